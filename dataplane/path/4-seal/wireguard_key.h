// wireguard_key: under which key a packet to a WireGuard client is sealed, and by which worker. A
// keypair belongs to one worker for its life; the next one may belong to another.
#pragma once

#include <sluice/dp/node.h>
#include <sluice/dp/session.h>
#include <sluice/dp/worker.h>
#include <sluice/proto/keypair.h>

// The newest keypair that may seal: the one the session thread has published, or, for the moment
// before it learns that a client has proved a newer one, that one.
static inline struct sl_keypair *
newest_of(const struct sl_worker *w, struct sl_session *session)
{
	struct sl_keypair *current = atomic_load_explicit(&session->current, memory_order_acquire);
	uint32_t index = atomic_load_explicit(&session->proved, memory_order_acquire);
	struct sl_keypair *proved;

	if (likely(current != NULL && current->local_index == index) || index == 0)
		return current;
	proved = sl_sessions_keypair(w->sessions, index);
	if (proved != NULL && proved->local_index == index && proved->session == session->id &&
	    (current == NULL || current->created_ns < proved->created_ns))
		return proved;
	return current;
}

// The worker that is to seal; this one for what was handed to it, so that a key that is replaced by
// another worker's meanwhile sends nothing round.
static inline uint16_t
owner_of(
	const struct sl_worker *w,
	const struct sl_meta *meta,
	const struct sl_session *session,
	const struct sl_keypair *newest
)
{
	if (likely(newest != NULL && newest->worker == w->idx) ||
	    (meta->stages_done & 1u << SL_STAGE_TO_SESSION) != 0)
		return w->idx;
	return newest != NULL ? newest->worker
			      : atomic_load_explicit(&session->worker, memory_order_relaxed);
}

// A keypair that we asked for says where the peer answered.
static void
adopt(struct sl_worker *w, struct sl_lane_endpoint *e, struct sl_keypair *keypair)
{
	const struct sl_keypair_place *place = sl_keypair_place(keypair);
	const struct sl_route *route;

	e->index = keypair->local_index;
	if (place->remote_be == 0)
		return;
	route = sl_net_route(w->net, place->remote_be);
	e->remote = place->remote_be;
	e->local = place->local_be;
	e->remote_port = place->remote_port_be;
	e->local_port = place->local_port_be;
	e->mtu_bytes = route == NULL ? 0 : w->net->ports[route->port].mtu_bytes;
}

// The keypair by which this worker seals: the newest, or, for a packet that was on its way here when
// another worker got that, the last that was here.
static inline struct sl_keypair *
keypair_of(struct sl_worker *w, struct sl_session *session, struct sl_keypair *newest)
{
	struct sl_lane_endpoint *e = &session->lanes[w->idx];
	struct sl_keypair *last;

	if (likely(newest != NULL && newest->worker == w->idx)) {
		if (unlikely(newest->local_index != e->index))
			adopt(w, e, newest);
		return newest;
	}
	last = sl_sessions_keypair(w->sessions, e->index);
	if (e->index == 0 || last == NULL || last->local_index != e->index ||
	    last->session != session->id)
		return NULL;
	return last;
}
