// wireguard_session: the session of a packet to a client, and what sealing a burst will read, asked for
// together: it may be of as many clients as it has packets.
#pragma once

#include <sluice/dp/node.h>
#include <sluice/dp/session.h>
#include <sluice/dp/snapshot.h>
#include <sluice/dp/worker.h>
#include <sluice/proto/keypair.h>

static inline struct sl_session *
session_of(struct sl_worker *w, const struct sl_meta *meta)
{
	uint32_t id;

	if (unlikely(meta->client >= w->snapshot->nb_clients))
		return NULL;
	id = w->snapshot->ends[meta->client].session;
	if (unlikely(id >= w->sessions->nb_sessions))
		return NULL;
	return &w->sessions->sessions[id];
}

static inline void
ahead_session(struct sl_worker *w, struct rte_mbuf *m)
{
	struct sl_session *session = session_of(w, sl_meta(m));

	if (unlikely(session == NULL))
		return;
	rte_prefetch0(session);
	rte_prefetch0_write(&session->lanes[w->idx]);
}

static inline void
ahead_keypair(struct sl_worker *w, struct rte_mbuf *m)
{
	struct sl_session *session = session_of(w, sl_meta(m));
	struct sl_keypair *k;

	if (unlikely(session == NULL))
		return;
	k = atomic_load_explicit(&session->current, memory_order_acquire);
	if (unlikely(k == NULL))
		return;
	rte_prefetch0(k);
	rte_prefetch0_write(&k->lanes[0]);
}

static inline void
wireguard_seal_ahead(struct sl_worker *w, struct rte_mbuf *const *packets, uint16_t nb)
{
	for (uint16_t i = 0; i < nb; i++)
		if (likely(sl_meta(packets[i])->client < w->snapshot->nb_clients))
			rte_prefetch0(&w->snapshot->ends[sl_meta(packets[i])->client]);
	for (uint16_t i = 0; i < nb; i++)
		ahead_session(w, packets[i]);
	for (uint16_t i = 0; i < nb; i++)
		ahead_keypair(w, packets[i]);
}
