// worker: the loop of one pinned thread. Time is read once a turn; the graph is walked, mail read,
// sleepers woken, and the turn ends in a quiescent state. An adaptive worker that found nothing for
// a while announces that it sleeps, looks once more, and waits on its ports and its eventfd.
#include "graph.h"
#include "instance.h"

#include <rte_cycles.h>
#include <rte_lcore.h>
#include <rte_malloc.h>

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <sluice/dp/fragments.h>
#include <sluice/dp/neighbour.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define SPIN_EMPTY_WALKS 200u
#define MAILS_PER_TURN   16u
#define SLEEP_NS         (20 * SL_NS_PER_MS) // longest sleep: timers are no finer than that
#define SLEEP_BLIND_NS   100000ull // with a port that cannot wake us
// One part in so many of all buffers may wait for neighbours, on all workers together.
#define NEIGHBOURS_SHARE 8u
#define NS_PER_DS        (SL_NS_PER_S / 10)

static struct rte_ring *
ring_create(unsigned nb)
{
	ssize_t bytes = rte_ring_get_memsize(nb);
	struct rte_ring *r = bytes < 0 ? NULL : rte_zmalloc("sl_ring", (size_t)bytes, 0);

	if (r != NULL && rte_ring_init(r, "sl_ring", nb, RING_F_SP_ENQ | RING_F_SC_DEQ) != 0) {
		rte_free(r);
		r = NULL;
	}
	return r;
}

static void
ring_destroy(struct rte_ring *r)
{
	void *m;

	while (r != NULL && rte_ring_sc_dequeue(r, &m) == 0)
		rte_pktmbuf_free(m);
	rte_free(r);
}

static bool
create_rings(struct sl_worker *w, unsigned nb_workers)
{
	for (unsigned k = 0; k < nb_workers; k++)
		if ((w->from_worker[k] = ring_create(SL_RING_PKTS)) == NULL)
			return false;
	w->from_session = ring_create(SL_RING_PKTS);
	w->to_session = ring_create(SL_RING_PKTS);
	w->mail = ring_create(SL_RING_PKTS);
	w->from_stream = ring_create(SL_RING_PKTS);
	w->to_stream = ring_create(SL_RING_PKTS);
	return w->from_session != NULL && w->to_session != NULL && w->mail != NULL &&
		w->from_stream != NULL && w->to_stream != NULL;
}

// A host that puts fragments together must never get two packets of one id at once.
static void
set_ip_ids(struct sl_worker *w)
{
	uint32_t span = (UINT16_MAX + 1u) / w->nb_workers;

	w->ip_id_first = (uint16_t)(w->idx * span);
	w->ip_id_last = (uint16_t)(w->ip_id_first + span - 1);
	w->ip_id = (uint16_t)(w->ip_id_first + w->random % span);
}

static struct sl_assembly *
create_fragments(void)
{
	struct sl_assembly_conf conf = SL_FRAGMENTS_CONF;
	void *memory = rte_malloc("sl_fragments", sl_assembly_bytes(&conf), RTE_CACHE_LINE_SIZE);

	return memory == NULL ? NULL : sl_assembly_init(memory, &conf);
}

struct sl_worker *
sl_worker_create(struct sl_dp *dp, unsigned k)
{
	struct sl_worker *w = rte_zmalloc("sl_worker", sizeof(*w), RTE_CACHE_LINE_SIZE);
	unsigned nb_neighbours = dp->conf.nb_neighbours == 0 ? 1024 : dp->conf.nb_neighbours;

	if (w == NULL)
		return NULL;
	w->eventfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	w->dp = dp;
	w->net = &dp->net;
	w->pool = dp->pool;
	w->large_pool = dp->large_pool;
	w->peers = dp->workers;
	w->idx = (uint16_t)k;
	w->nb_workers = (uint16_t)dp->conf.nb_workers;
	w->random = rte_rdtsc() | 1;
	memset(w->stream_flows, 0xff, sizeof(w->stream_flows)); // SL_NO_FLOW
	w->trace = rte_zmalloc("sl_trace", sizeof(*w->trace), RTE_CACHE_LINE_SIZE);
	w->neighbours = sl_neighbours_create(
		nb_neighbours, dp->conf.nb_mbufs / NEIGHBOURS_SHARE / dp->conf.nb_workers
	);
	w->fragments = create_fragments();
	set_ip_ids(w);
	if (w->eventfd < 0 || w->trace == NULL || w->neighbours == NULL || w->fragments == NULL ||
	    !create_rings(w, dp->conf.nb_workers)) {
		sl_worker_destroy(w);
		return NULL;
	}
	atomic_store(&w->trace->armed_client, SL_NO_TRACE);
	return w;
}

void
sl_worker_destroy(struct sl_worker *w)
{
	void *mail;

	if (w == NULL)
		return;
	sl_graph_destroy(w);
	for (unsigned k = 0; k < SL_MAX_WORKERS; k++)
		ring_destroy(w->from_worker[k]);
	ring_destroy(w->from_session);
	ring_destroy(w->to_session);
	ring_destroy(w->from_stream);
	ring_destroy(w->to_stream);
	while (w->mail != NULL && rte_ring_sc_dequeue(w->mail, &mail) == 0)
		sl_dp_free_mail(mail);
	rte_free(w->mail);
	sl_neighbours_destroy(w->neighbours);
	rte_free(w->fragments);
	rte_free(w->trace);
	if (w->eventfd >= 0)
		close(w->eventfd);
	rte_free(w);
}

static unsigned
drain_mail(struct sl_worker *w)
{
	void *mails[MAILS_PER_TURN];
	unsigned nb = rte_ring_sc_dequeue_burst(w->mail, mails, MAILS_PER_TURN, NULL);

	for (unsigned i = 0; i < nb; i++) {
		if (w->dp->conf.on_mail != NULL)
			w->dp->conf.on_mail(w, mails[i]);
		sl_dp_free_mail(mails[i]);
	}
	return nb;
}

static void
ring_bell(int fd)
{
	uint64_t one = 1;
	ssize_t rc = write(fd, &one, sizeof(one));

	(void)rc; // EAGAIN: it rings already
}

// Wake those this turn queued something for, if they sleep. The fence orders our ring stores before
// our look at their flags; it pairs with the one after they announce sleep.
static void
wake_others(struct sl_worker *w)
{
	uint64_t peers = w->wake_peers;

	if (likely(peers == 0 && !w->wake_session && !w->wake_stream))
		return;
	atomic_thread_fence(memory_order_seq_cst);
	for (; peers != 0; peers &= peers - 1) {
		struct sl_worker *peer = w->peers[__builtin_ctzll(peers)];

		if (atomic_load_explicit(&peer->asleep, memory_order_relaxed))
			ring_bell(peer->eventfd);
	}
	if (w->wake_session && atomic_load_explicit(&w->dp->session_asleep, memory_order_relaxed))
		ring_bell(w->dp->session_fd);
	if (w->wake_stream && atomic_load_explicit(&w->dp->stream_asleep, memory_order_relaxed))
		ring_bell(w->dp->stream_fd);
	w->wake_peers = 0;
	w->wake_session = false;
	w->wake_stream = false;
}

unsigned
sl_worker_turn(struct sl_worker *w)
{
	struct sl_dp *dp = w->dp;
	unsigned found;

	w->now_ns = sl_clock_ns(dp->clock);
	w->now_ds = (uint32_t)(w->now_ns / NS_PER_DS);
	w->snapshot = atomic_load_explicit(&dp->snapshot, memory_order_acquire);
	w->is_traced = atomic_load_explicit(&w->trace->armed_client, memory_order_acquire) !=
		SL_NO_TRACE;
	found = sl_graph_walk(w);
	found += drain_mail(w);
	if (dp->conf.on_tick != NULL)
		dp->conf.on_tick(w);
	wake_others(w);
	return found;
}

static bool
has_work_queued(const struct sl_worker *w)
{
	for (unsigned k = 0; k < w->nb_workers; k++)
		if (!rte_ring_empty(w->from_worker[k]))
			return true;
	return w->cut_due != 0 || w->sweep_due != 0 || !rte_ring_empty(w->from_session) ||
		!rte_ring_empty(w->from_stream) || !rte_ring_empty(w->mail);
}

struct bed {
	struct pollfd fds[SL_MAX_POLL_FDS];
	nfds_t nb;
	struct timespec longest;
};

static void
make_bed(const struct sl_worker *w, struct bed *bed)
{
	int ports[SL_MAX_POLL_FDS - 1];
	int nb = sl_ports_poll_fds(w, ports, RTE_DIM(ports));

	bed->fds[0] = (struct pollfd){ .fd = w->eventfd, .events = POLLIN };
	bed->nb = 1;
	for (int i = 0; i < nb; i++)
		bed->fds[bed->nb++] = (struct pollfd){ .fd = ports[i], .events = POLLIN };
	bed->longest.tv_nsec = (long)(nb < 0 ? SLEEP_BLIND_NS : SLEEP_NS);
}

static void
sleep_in(struct sl_worker *w, struct bed *bed)
{
	uint64_t bell;

	atomic_store_explicit(&w->asleep, true, memory_order_relaxed);
	// Whoever queues for us either sees the flag or is seen by the look that follows.
	atomic_thread_fence(memory_order_seq_cst);
	if (!has_work_queued(w)) {
		w->stats.sleeps++;
		rte_rcu_qsbr_thread_offline(w->dp->qsbr, w->idx);
		(void)ppoll(bed->fds, bed->nb, &bed->longest, NULL);
		rte_rcu_qsbr_thread_online(w->dp->qsbr, w->idx);
	}
	atomic_store_explicit(&w->asleep, false, memory_order_relaxed);
	if (bed->fds[0].revents != 0) {
		ssize_t rc = read(w->eventfd, &bell, sizeof(bell));

		(void)rc;
	}
	// A port that is down says POLLERR at once and for ever: do not spin on it.
	for (nfds_t i = 1; i < bed->nb; i++)
		if ((bed->fds[i].revents & POLLERR) != 0 && (bed->fds[i].revents & POLLIN) == 0)
			(void)ppoll(bed->fds, 1, &bed->longest, NULL);
}

static void
pin(int core)
{
	cpu_set_t set;

	if (core < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET(core, &set);
	if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set) != 0)
		fprintf(stderr, "sluice: core %d is not ours to run a worker on\n", core);
}

void *
sl_worker_main(void *arg)
{
	struct sl_worker *w = arg;
	struct sl_dp *dp = w->dp;
	struct bed bed = { 0 };
	unsigned nb_empty = 0;

	pin(dp->conf.cores[w->idx]);
	// An lcore id of its own gives the thread its cache of each mempool.
	if (rte_thread_register() != 0)
		fprintf(stderr, "sluice: worker %u runs without a packet cache\n", w->idx);
	make_bed(w, &bed);
	rte_rcu_qsbr_thread_online(dp->qsbr, w->idx);
	while (!atomic_load_explicit(&dp->is_stopping, memory_order_relaxed)) {
		nb_empty = sl_worker_turn(w) == 0 ? nb_empty + 1 : 0;
		rte_rcu_qsbr_quiescent(dp->qsbr, w->idx);
		if (dp->conf.idle == SL_DP_IDLE_ADAPTIVE && nb_empty >= SPIN_EMPTY_WALKS) {
			sleep_in(w, &bed);
			nb_empty = SPIN_EMPTY_WALKS - 1; // one empty look after waking is enough
		}
	}
	rte_rcu_qsbr_thread_offline(dp->qsbr, w->idx);
	rte_thread_unregister();
	return NULL;
}
