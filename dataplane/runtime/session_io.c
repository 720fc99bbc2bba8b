// session_io: the session thread's side of the rings between it and the workers.
#include "instance.h"

#include <errno.h>
#include <sluice/dp/snapshot.h>
#include <unistd.h>

void
sl_worker_wake(struct sl_worker *w)
{
	uint64_t one = 1;

	// Our ring store before our look at the flag; see sleep_in() in worker.c.
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&w->asleep, memory_order_relaxed)) {
		ssize_t rc = write(w->eventfd, &one, sizeof(one));

		(void)rc; // EAGAIN: it rings already
	}
}

int
sl_dp_send_mbuf(struct sl_dp *dp, unsigned k, struct rte_mbuf *m)
{
	struct sl_worker *w = dp->workers[k];

	if (rte_ring_sp_enqueue(w->from_session, m) != 0)
		return -ENOBUFS;
	sl_worker_wake(w);
	return 0;
}

int
sl_dp_send_mail(struct sl_dp *dp, unsigned k, struct sl_mail *mail)
{
	struct sl_worker *w = dp->workers[k];

	if (rte_ring_sp_enqueue(w->mail, mail) != 0)
		return -ENOBUFS;
	sl_worker_wake(w);
	return 0;
}

struct rte_mbuf *
sl_dp_alloc_mbuf(struct sl_dp *dp)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(dp->pool);

	if (m != NULL)
		*sl_meta(m) = (struct sl_meta){ .client = SL_NO_CLIENT, .flow = SL_NO_FLOW };
	return m;
}

struct sl_mail *
sl_dp_alloc_mail(struct sl_dp *dp)
{
	void *mail;

	if (rte_mempool_get(dp->mails, &mail) != 0)
		return NULL;
	memset(mail, 0, sizeof(struct sl_mail));
	return mail;
}

void
sl_dp_free_mail(struct sl_mail *mail)
{
	rte_mempool_put(rte_mempool_from_obj(mail), mail);
}

unsigned
sl_dp_poll_punts(struct sl_dp *dp, struct rte_mbuf **mbufs, unsigned nb)
{
	unsigned got = 0;

	for (unsigned k = 0; k < dp->conf.nb_workers && got < nb; k++)
		got += rte_ring_sc_dequeue_burst(
			dp->workers[k]->to_session, (void **)(mbufs + got), nb - got, NULL
		);
	return got;
}

int
sl_dp_session_fd(const struct sl_dp *dp)
{
	return dp->session_fd;
}

bool
sl_dp_session_sleeps(struct sl_dp *dp)
{
	atomic_store_explicit(&dp->session_asleep, true, memory_order_relaxed);
	// A worker that punts either sees the flag or is seen by the look that follows.
	atomic_thread_fence(memory_order_seq_cst);
	for (unsigned k = 0; k < dp->conf.nb_workers; k++) {
		if (rte_ring_empty(dp->workers[k]->to_session))
			continue;
		atomic_store_explicit(&dp->session_asleep, false, memory_order_relaxed);
		return false;
	}
	return true;
}

void
sl_dp_session_woke(struct sl_dp *dp)
{
	uint64_t bell;
	ssize_t rc;

	atomic_store_explicit(&dp->session_asleep, false, memory_order_relaxed);
	rc = read(dp->session_fd, &bell, sizeof(bell));
	(void)rc;
}
