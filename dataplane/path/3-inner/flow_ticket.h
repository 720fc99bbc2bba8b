// flow_ticket: a host's packet as a connector sends it to a PoP that has forgotten the flow.
#pragma once

#include "flow_common.h"

#include <sluice/dp/tickets.h>

// Octets a REOPEN needs in front of the transport octets, with all that is put before it.
#define SL_REOPEN_HEADROOM 160u

// Turn a host's stripped packet into a REOPEN.
static inline void
sl_flow_put_reopen(
	struct rte_mbuf *m,
	struct sl_meta *meta,
	const struct sl_flow_link *link,
	uint32_t own_flow,
	const uint8_t *ticket
)
{
	uint8_t flags = sl_rec_tos_ttl_flag(meta->tos, meta->ttl) | meta->record_flags;
	struct sl_reopen reopen = { .flow = own_flow,
				    .generation = link->own_generation,
				    .ticket = ticket };
	struct sl_rec rec = { .type = SL_RECORD_REOPEN,
			      .flags = flags,
			      .nb_bytes = rte_pktmbuf_data_len(m) + SL_REOPEN_BODY_BYTES,
			      .tos = meta->tos,
			      .ttl = meta->ttl };

	sl_reopen_put((uint8_t *)rte_pktmbuf_prepend(m, SL_REOPEN_BODY_BYTES), &reopen);
	sl_rec_put((uint8_t *)rte_pktmbuf_prepend(m, (uint16_t)sl_rec_head_bytes(flags)), &rec);
	meta->session = link->session;
	meta->lane = link->lane;
}

// A flow that no way leads to: may it be opened again with the ticket kept for it? Its packet is
// then stripped and made a REOPEN.
static inline bool
sl_flow_try_reopen(struct sl_worker *w, struct rte_mbuf *m, struct sl_flow *f, uint32_t index)
{
	const struct sl_session *s = &w->sessions->sessions[f->link.session];
	const uint8_t *ticket = sl_tickets_find(w->tickets, index, f->link.own_generation);
	uint16_t nb_lanes = s->nb_lanes == 0 ? 1 : s->nb_lanes;
	enum sl_link_reopen reopen;

	if (ticket == NULL || !s->has_tickets ||
	    atomic_load_explicit(&s->current, memory_order_relaxed) == NULL ||
	    !sl_flow_make_headroom(m, SL_REOPEN_HEADROOM))
		return false;
	reopen = sl_link_reopen(
		&f->link,
		sl_flow_peer(w, f->link.session, 0).epoch,
		(uint16_t)(f->link.lane % nb_lanes),
		w->now_ds
	);
	if (reopen == SL_REOPEN_NO)
		return false;
	// What is never answered is freed as an orphan, so only the first counts as a sign of life.
	if (reopen == SL_REOPEN_FIRST)
		f->last_seen_ds = w->now_ds;
	sl_flow_strip(s, m, sl_meta(m), f->sum_strip);
	sl_flow_put_reopen(m, sl_meta(m), &f->link, sl_flow_id(w->flows, index), ticket);
	return true;
}
