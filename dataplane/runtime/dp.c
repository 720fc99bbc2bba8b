// dp: makes, runs and ends an instance; see <sluice/dp/dp.h>.
#include "graph.h"
#include "instance.h"

#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>

#include <errno.h>
#include <sluice/dp/fragments.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define MBUF_CACHE 128u
#define NB_MAILS   1023u

static int
create_pools(struct sl_dp *dp)
{
	unsigned largest = RTE_MBUF_DEFAULT_DATAROOM;
	char name[64];

	for (unsigned i = 0; i < dp->net.nb_ports; i++)
		largest = RTE_MAX(largest, dp->net.ports[i].mtu_bytes + 64u);
	snprintf(name, sizeof(name), "%.20s_p", dp->name);
	dp->pool = rte_pktmbuf_pool_create(
		name,
		dp->conf.nb_mbufs,
		MBUF_CACHE,
		sizeof(struct sl_meta),
		(uint16_t)(largest + RTE_PKTMBUF_HEADROOM),
		SOCKET_ID_ANY
	);
	snprintf(name, sizeof(name), "%.20s_l", dp->name);
	dp->large_pool = rte_pktmbuf_pool_create(
		name,
		SL_LARGE_MBUFS * dp->conf.nb_workers,
		0,
		sizeof(struct sl_meta),
		SL_LARGE_ROOM_BYTES,
		SOCKET_ID_ANY
	);
	snprintf(name, sizeof(name), "%.20s_m", dp->name);
	dp->mails = rte_mempool_create(
		name,
		NB_MAILS,
		sizeof(struct sl_mail),
		0,
		0,
		NULL,
		NULL,
		NULL,
		NULL,
		SOCKET_ID_ANY,
		0
	);
	return dp->pool == NULL || dp->large_pool == NULL || dp->mails == NULL ? -rte_errno : 0;
}

static int
create_qsbr(struct sl_dp *dp)
{
	size_t bytes = rte_rcu_qsbr_get_memsize(dp->conf.nb_workers);

	dp->qsbr = rte_zmalloc("sl_qsbr", bytes, RTE_CACHE_LINE_SIZE);
	if (dp->qsbr == NULL || rte_rcu_qsbr_init(dp->qsbr, dp->conf.nb_workers) != 0)
		return -ENOMEM;
	for (unsigned k = 0; k < dp->conf.nb_workers; k++)
		if (rte_rcu_qsbr_thread_register(dp->qsbr, k) != 0)
			return -EINVAL;
	return 0;
}

static int
create_workers(struct sl_dp *dp)
{
	if (sl_hash_key_random(&dp->owner_key) != 0)
		return -EIO;
	for (unsigned k = 0; k < dp->conf.nb_workers; k++) {
		dp->workers[k] = sl_worker_create(dp, k);
		if (dp->workers[k] == NULL)
			return -ENOMEM;
		dp->workers[k]->owner_key = &dp->owner_key;
	}
	return 0;
}

static int
create_graphs(struct sl_dp *dp)
{
	int rc = sl_graph_wire(dp->name, dp->conf.role, dp->conf.wiring, dp->conf.nb_wiring);

	for (unsigned k = 0; k < dp->conf.nb_workers && rc == 0; k++)
		rc = sl_graph_create(dp->name, dp->workers[k]);
	return rc;
}

struct sl_dp *
sl_dp_create(const struct sl_dp_conf *conf)
{
	struct sl_dp *dp = aligned_alloc(RTE_CACHE_LINE_SIZE, sizeof(*dp));
	int rc = 0;

	if (dp == NULL)
		return NULL;
	memset(dp, 0, sizeof(*dp));
	dp->session_fd = -1;
	dp->stream_fd = -1;
	if (conf->nb_workers == 0 || conf->nb_workers > SL_MAX_WORKERS)
		rc = -EINVAL;
	if (rc == 0) {
		dp->conf = *conf;
		dp->net = *conf->net;
		sl_net_index(&dp->net);
		dp->clock = conf->clock == NULL ? &dp->machine_clock : conf->clock;
		snprintf(dp->name, sizeof(dp->name), "%s", conf->name);
		dp->session_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		dp->stream_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		rc = dp->session_fd < 0 || dp->stream_fd < 0 ? -errno : create_pools(dp);
	}
	if (rc == 0)
		rc = create_qsbr(dp);
	if (rc == 0)
		rc = create_workers(dp);
	if (rc == 0)
		rc = sl_ports_create(dp);
	if (rc == 0)
		rc = create_graphs(dp);
	if (rc == 0)
		return dp;
	fprintf(stderr, "sluice: %s cannot be made: %s\n", conf->name, strerror(-rc));
	sl_dp_destroy(dp);
	errno = -rc;
	return NULL;
}

void
sl_dp_destroy(struct sl_dp *dp)
{
	if (dp == NULL)
		return;
	sl_dp_stop(dp);
	for (unsigned k = 0; k < SL_MAX_WORKERS; k++)
		sl_worker_destroy(dp->workers[k]);
	sl_ports_destroy(dp);
	rte_free(dp->qsbr);
	rte_mempool_free(dp->mails);
	rte_mempool_free(dp->large_pool);
	rte_mempool_free(dp->pool);
	if (dp->session_fd >= 0)
		close(dp->session_fd);
	if (dp->stream_fd >= 0)
		close(dp->stream_fd);
	free(dp);
}

int
sl_dp_start_ports(struct sl_dp *dp)
{
	return sl_ports_start(dp);
}

int
sl_dp_start(struct sl_dp *dp)
{
	int rc = sl_ports_start(dp);

	atomic_store(&dp->is_stopping, false);
	for (unsigned k = 0; k < dp->conf.nb_workers && rc == 0; k++) {
		rc = -pthread_create(&dp->threads[k], NULL, sl_worker_main, dp->workers[k]);
		if (rc == 0)
			dp->nb_threads++;
	}
	if (rc != 0)
		sl_dp_stop(dp);
	return rc;
}

void
sl_dp_stop(struct sl_dp *dp)
{
	atomic_store(&dp->is_stopping, true);
	for (unsigned k = 0; k < dp->nb_threads; k++) {
		uint64_t one = 1;
		ssize_t rc = write(dp->workers[k]->eventfd, &one, sizeof(one));

		(void)rc;
		pthread_join(dp->threads[k], NULL);
	}
	dp->nb_threads = 0;
	sl_ports_stop(dp);
}

unsigned
sl_dp_walk(struct sl_dp *dp, unsigned k)
{
	return sl_worker_turn(dp->workers[k]);
}

unsigned
sl_dp_nb_workers(const struct sl_dp *dp)
{
	return dp->conf.nb_workers;
}

struct sl_worker *
sl_dp_worker(struct sl_dp *dp, unsigned k)
{
	return dp->workers[k];
}

const struct sl_net *
sl_dp_net(const struct sl_dp *dp)
{
	return &dp->net;
}

struct rte_mempool *
sl_dp_pool(struct sl_dp *dp)
{
	return dp->pool;
}

int
sl_dp_core(const struct sl_dp *dp, unsigned k)
{
	return dp->conf.cores[k];
}

void
sl_dp_grace(struct sl_dp *dp)
{
	rte_rcu_qsbr_synchronize(dp->qsbr, RTE_QSBR_THRID_INVALID);
}

const struct sl_snapshot *
sl_dp_swap_snapshot(struct sl_dp *dp, const struct sl_snapshot *snapshot)
{
	const struct sl_snapshot *old = atomic_exchange_explicit(
		&dp->snapshot, snapshot, memory_order_acq_rel
	);

	sl_dp_grace(dp);
	return old;
}
