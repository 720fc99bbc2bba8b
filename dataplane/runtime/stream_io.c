// stream_io: the stream thread's side of the rings between it and the workers.
#include "instance.h"

#include <errno.h>
#include <unistd.h>

int
sl_dp_send_stream(struct sl_dp *dp, unsigned k, struct rte_mbuf *m)
{
	struct sl_worker *w = dp->workers[k];

	if (rte_ring_sp_enqueue(w->from_stream, m) != 0)
		return -ENOBUFS;
	sl_worker_wake(w);
	return 0;
}

unsigned
sl_dp_poll_stream(struct sl_dp *dp, struct rte_mbuf **mbufs, unsigned nb)
{
	unsigned got = 0, start = dp->stream_next++;

	// Another worker's ring goes first each time, so that none starves.
	for (unsigned i = 0; i < dp->conf.nb_workers && got < nb; i++) {
		unsigned k = (start + i) % dp->conf.nb_workers;

		got += rte_ring_sc_dequeue_burst(
			dp->workers[k]->to_stream, (void **)(mbufs + got), nb - got, NULL
		);
	}
	return got;
}

int
sl_dp_stream_fd(const struct sl_dp *dp)
{
	return dp->stream_fd;
}

bool
sl_dp_stream_sleeps(struct sl_dp *dp)
{
	atomic_store_explicit(&dp->stream_asleep, true, memory_order_relaxed);
	// A worker that queues either sees the flag or is seen by the look that follows.
	atomic_thread_fence(memory_order_seq_cst);
	for (unsigned k = 0; k < dp->conf.nb_workers; k++) {
		if (rte_ring_empty(dp->workers[k]->to_stream))
			continue;
		atomic_store_explicit(&dp->stream_asleep, false, memory_order_relaxed);
		return false;
	}
	return true;
}

void
sl_dp_stream_woke(struct sl_dp *dp)
{
	uint64_t bell;
	ssize_t rc;

	atomic_store_explicit(&dp->stream_asleep, false, memory_order_relaxed);
	rc = read(dp->stream_fd, &bell, sizeof(bell));
	(void)rc; // EAGAIN: nobody rang
}
