// spares: packet buffers for the records of one datagram but its last, taken from the pool together.
// Their lines are asked for all at once: each buffer's are cold and would be waited for one by one.
#pragma once

#include <rte_mbuf.h>

#include <sluice/dp/meta.h>
#include <sluice/dp/worker.h>
#include <sluice/proto/record.h>

#define SL_SPARES_MAX 128u // more than fit 1500 octets with a body each

struct spares {
	struct rte_mbuf *m[SL_SPARES_MAX];
	unsigned nb;
};

// How many buffers a datagram wants, by the lengths of its records alone.
static inline unsigned
spares_wanted(const struct rte_mbuf *m)
{
	const uint8_t *at = rte_pktmbuf_mtod(m, const uint8_t *);
	size_t left = rte_pktmbuf_data_len(m);
	unsigned nb = 0;

	while (left >= SL_REC_HEAD_BYTES && nb < SL_SPARES_MAX) {
		size_t used = SL_REC_HEAD_BYTES + sl_get16(at);

		if (used >= left)
			break;
		left -= used;
		at += used;
		nb++;
	}
	return nb;
}

static inline void
spares_take(struct sl_worker *w, struct spares *s, unsigned nb)
{
	s->nb = 0;
	if (nb == 0 || rte_mempool_get_bulk(w->pool, (void **)s->m, nb) != 0)
		return;
	s->nb = nb;
	for (unsigned i = 0; i < nb; i++) {
		rte_prefetch0_write(s->m[i]);
		rte_prefetch0_write(s->m[i]->cacheline1);
		rte_prefetch0_write(sl_meta(s->m[i]));
	}
	for (unsigned i = 0; i < nb; i++) {
		rte_pktmbuf_reset(s->m[i]);
		rte_prefetch0_write(rte_pktmbuf_mtod(s->m[i], void *));
	}
}

// One of them, or one from the pool; NULL when there is none.
static inline struct rte_mbuf *
spares_next(struct sl_worker *w, struct spares *s)
{
	return likely(s->nb != 0) ? s->m[--s->nb] : rte_pktmbuf_alloc(w->pool);
}

static inline void
spares_give_back(struct spares *s)
{
	if (unlikely(s->nb != 0))
		rte_pktmbuf_free_bulk(s->m, s->nb);
}
