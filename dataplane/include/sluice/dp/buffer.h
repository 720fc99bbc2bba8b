// buffer: giving packet buffers back, and growing and shrinking them without reading their second line.
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

// Like rte_pktmbuf_append() and rte_pktmbuf_trim() on a packet in one piece: those walk to the last
// segment, and where it would be stands in the second line. The caller knows that there is room.
static inline uint8_t *
sl_buffer_append(struct rte_mbuf *m, uint16_t nb_bytes)
{
	uint8_t *end = rte_pktmbuf_mtod_offset(m, uint8_t *, m->data_len);

	m->data_len = (uint16_t)(m->data_len + nb_bytes);
	m->pkt_len = m->data_len;
	return end;
}

static inline void
sl_buffer_trim(struct rte_mbuf *m, uint16_t nb_bytes)
{
	m->data_len = (uint16_t)(m->data_len - nb_bytes);
	m->pkt_len = m->data_len;
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
