// spares: packet buffers for the records of a burst of datagrams, taken from the pool together. Their
// lines, which are cold, are asked for a few records before they are written; the second line of a
// buffer's head is never touched, since a buffer in its pool has no successor there.
#pragma once

#include <rte_mbuf.h>
#include <rte_memcpy.h>

#include <sluice/dp/meta.h>
#include <sluice/dp/worker.h>
#include <sluice/proto/record.h>

#define SPARES_MAX         128u // more than fit 1500 octets with a body each
#define SPARES_AHEAD       8u
#define SPARES_SMALL_BYTES 64u

struct spares {
	struct rte_mbuf *m[SPARES_MAX];
	unsigned at, nb; // m[at] to m[nb - 1] are there
	unsigned nb_used;
};

static inline void
spares_begin(struct spares *s)
{
	s->at = 0;
	s->nb = 0;
	s->nb_used = 0;
}

// How many buffers a datagram wants, by the lengths of its records alone: all but the last need one.
static inline unsigned
spares_wanted(const struct rte_mbuf *m)
{
	const uint8_t *at = rte_pktmbuf_mtod(m, const uint8_t *);
	size_t left = rte_pktmbuf_data_len(m);
	unsigned nb = 0;

	while (left >= SL_REC_HEAD_BYTES && nb < SPARES_MAX) {
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
spares_prefetch(struct rte_mbuf *m)
{
	// Where they lie follows from the pool's layout alone; reading it from the buffer would wait.
	const uint8_t *data = (const uint8_t *)m + sizeof(*m) + sizeof(struct sl_meta) +
		RTE_PKTMBUF_HEADROOM;

	rte_prefetch0_write(m);
	rte_prefetch0_write(sl_meta(m));
	rte_prefetch0_write(data);
}

static inline void
spares_give_back(struct spares *s)
{
	if (unlikely(s->at != s->nb))
		rte_mempool_put_bulk(
			s->m[s->at]->pool, (void *const *)(s->m + s->at), s->nb - s->at
		);
	s->at = s->nb;
}

// Have what the datagram in `m` wants.
static inline void
spares_want(struct sl_worker *w, struct spares *s, const struct rte_mbuf *m)
{
	unsigned nb = spares_wanted(m);

	spares_give_back(s);
	s->at = 0;
	s->nb = 0;
	if (nb == 0 || rte_mempool_get_bulk(w->pool, (void **)s->m, nb) != 0)
		return;
	s->nb = nb;
	for (unsigned i = 0; i < nb && i < SPARES_AHEAD; i++)
		spares_prefetch(s->m[i]);
}

// The next, empty; one from the pool when more are wanted than were had; NULL when there is none.
static inline struct rte_mbuf *
spares_next(struct sl_worker *w, struct spares *s)
{
	struct rte_mbuf *m;

	s->nb_used++;
	if (unlikely(s->at == s->nb)) {
		m = rte_pktmbuf_alloc(w->pool);
		s->nb_used -= m == NULL;
		return m;
	}
	if (s->at + SPARES_AHEAD < s->nb)
		spares_prefetch(s->m[s->at + SPARES_AHEAD]);
	m = s->m[s->at++];
	m->data_off = RTE_PKTMBUF_HEADROOM;
	m->port = RTE_MBUF_PORT_INVALID;
	m->ol_flags = 0;
	m->packet_type = 0;
	return m;
}

// Copy a record to an empty buffer. A small one is copied in pieces of a fixed size, past its end if it
// is shorter: what it stands in is longer, its tag if nothing else, and so is a buffer.
static inline void
spares_copy(uint8_t *to, const uint8_t *from, uint16_t nb_bytes)
{
	if (unlikely(nb_bytes > SPARES_SMALL_BYTES)) {
		rte_memcpy(to, from, nb_bytes);
		return;
	}
	rte_mov32(to, from);
	if (nb_bytes > SPARES_SMALL_BYTES / 2)
		rte_mov32(to + SPARES_SMALL_BYTES / 2, from + SPARES_SMALL_BYTES / 2);
}
