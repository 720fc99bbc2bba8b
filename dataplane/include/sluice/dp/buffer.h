// buffer: giving packet buffers back.
#pragma once

#include <rte_mbuf.h>

#include <string.h>

#define SL_BUFFERS_BULK 64u

// A whole buffer that nobody else holds and that is in one piece: it may go to its pool as it is. DPDK
// keeps `next` of such a buffer NULL, so its second line, which is cold, need not be read.
static inline bool
sl_buffer_is_plain(const struct rte_mbuf *m)
{
	const uint64_t refcnt_and_segments = 0x0000ffffffff0000ull;
	uint64_t rearm;

	memcpy(&rearm, m->rearm_data, sizeof(rearm));
	return (rearm & refcnt_and_segments) == 0x0000000100010000ull &&
		(m->ol_flags & (RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL)) == 0;
}

// Free `nb` packets, whatever their pools.
static inline void
sl_buffers_free(struct rte_mbuf *const *m, unsigned nb)
{
	void *plain[SL_BUFFERS_BULK];
	struct rte_mempool *pool = NULL;
	unsigned nb_plain = 0;

	for (unsigned i = 0; i < nb; i++) {
		if (unlikely(!sl_buffer_is_plain(m[i]))) {
			rte_pktmbuf_free(m[i]);
			continue;
		}
		if (unlikely(m[i]->pool != pool || nb_plain == SL_BUFFERS_BULK)) {
			if (nb_plain != 0)
				rte_mempool_put_bulk(pool, plain, nb_plain);
			pool = m[i]->pool;
			nb_plain = 0;
		}
		plain[nb_plain++] = m[i];
	}
	if (nb_plain != 0)
		rte_mempool_put_bulk(pool, plain, nb_plain);
}
