// record_take: what the records do that carry no packet: ACCEPT, TICKET, HEARTBEAT, LANE. Each ends here, or
// its buffer becomes the answer.
#pragma once

#include "flow_common.h"

#include <sluice/dp/lane_port.h>
#include <sluice/dp/path_mtu.h>
#include <sluice/dp/tally.h>
#include <sluice/dp/tickets.h>

enum record_taken {
	RECORD_MALFORMED = 0,
	RECORD_STALE, // for a flow that is over
	RECORD_STRANGE, // of a kind that this role does not take
	RECORD_TAKEN,
	RECORD_ANSWERED, // the mbuf is a record to seal
};

// A flow that has just been accepted may get its ticket, in the buffer of the ACCEPT.
static inline enum record_taken
answer_accept(struct sl_worker *w, struct rte_mbuf *m, const struct sl_flow *f)
{
	if (!sl_flow_gets_ticket(w, f))
		return RECORD_TAKEN;
	m->data_len = 0;
	m->pkt_len = 0;
	sl_flow_ticket_put(w, f, (uint8_t *)rte_pktmbuf_append(m, SL_REC_TICKET_BYTES));
	sl_meta(m)->session = f->link.session;
	sl_meta(m)->lane = f->link.lane;
	sl_meta(m)->tos = 0;
	return RECORD_ANSWERED;
}

static inline enum record_taken
record_take_accept(struct sl_worker *w, struct rte_mbuf *m, const struct sl_rec *rec)
{
	const struct sl_meta *meta = sl_meta(m);
	struct sl_flow *f = sl_flow_of_id(w->flows, rec->flow);
	struct sl_accept accept;
	bool is_first;

	if (sl_accept_parse(rec, &accept) != SL_BODY_OK)
		return RECORD_MALFORMED;
	is_first = f != NULL && f->link.peer_generation == 0;
	if (f != NULL &&
	    sl_link_accepted(
		    &f->link, rec->generation, sl_flow_peer(w, meta->session, meta->lane), &accept
	    ) != SL_LINK_DROP_STALE) {
		if (is_first)
			sl_tally_reached(w, sl_id_index(rec->flow), SL_TALLY_TUNNEL);
		return answer_accept(w, m, f);
	}
	return sl_flow_answer_unknown(m, rec) ? RECORD_ANSWERED : RECORD_STALE;
}

// What a ping of lane 0 says of its sender, unless a later one has been here before it: a lane that changes its
// source port has two ways for a moment. A clock that is far behind is another one: the peer has restarted.
static inline void
record_note_state(struct sl_session *s, const struct sl_heartbeat *beat)
{
	uint64_t told_ns = s->preference.told_ns;
	bool is_draining = (beat->state & SL_HEARTBEAT_DRAINING) != 0;

	if (beat->timestamp_ns < told_ns && told_ns - beat->timestamp_ns < SL_NS_PER_S)
		return;
	s->preference.told_ns = beat->timestamp_ns;
	atomic_store_explicit(&s->draining, is_draining, memory_order_relaxed);
	atomic_store_explicit(&s->preference.load, beat->load, memory_order_relaxed);
}

// A ping goes back as a pong on the lane it came by; a pong has done its work by
// arriving, unless it answers a probe of the path.
static inline enum record_taken
record_take_heartbeat(struct sl_worker *w, struct rte_mbuf *m, const struct sl_rec *rec)
{
	const struct sl_meta *meta = sl_meta(m);
	struct sl_heartbeat beat;

	if (sl_heartbeat_parse(rec, &beat) != SL_BODY_OK)
		return RECORD_MALFORMED;
	if (beat.is_pong) {
		struct sl_session *s = &w->sessions->sessions[meta->session];

		sl_path_mtu_pong(&s->lanes[meta->lane], &s->paths[meta->lane], &beat, w->now_ns);
		if (meta->lane == 0)
			sl_preference_pong(&s->preference, &beat, w->now_ns);
		return RECORD_TAKEN;
	}
	// Said in every ping; those of lane 0 come each 100 ms.
	if (meta->lane == 0)
		record_note_state(&w->sessions->sessions[meta->session], &beat);
	beat.is_pong = true;
	sl_heartbeat_put(rte_pktmbuf_mtod(m, uint8_t *), &beat);
	m->data_len = SL_REC_HEARTBEAT_BYTES;
	m->pkt_len = SL_REC_HEARTBEAT_BYTES;
	return RECORD_ANSWERED;
}

// A connector keeps what it cannot read.
static inline enum record_taken
record_take_ticket(struct sl_worker *w, struct rte_mbuf *m, const struct sl_rec *rec)
{
	const struct sl_meta *meta = sl_meta(m);
	struct sl_flow *f = sl_flow_of_id(w->flows, rec->flow);
	const uint8_t *ticket;

	if (w->tickets->kept == NULL)
		return RECORD_STRANGE;
	if (sl_ticket_record_parse(rec, &ticket) != SL_BODY_OK)
		return RECORD_MALFORMED;
	if (f == NULL ||
	    sl_link_data(&f->link, rec->generation, sl_flow_peer(w, meta->session, meta->lane)) !=
		    SL_LINK_DELIVER)
		return RECORD_STALE;
	sl_tickets_keep(w->tickets, sl_id_index(rec->flow), rec->generation, ticket);
	return RECORD_TAKEN;
}

// The far end says at which of its workers the lane arrives; from a new source port it gets a ping, to
// see where that arrives.
static inline enum record_taken
record_take_lane(struct sl_worker *w, struct rte_mbuf *m, const struct sl_rec *rec)
{
	const struct sl_meta *meta = sl_meta(m);
	struct sl_session *s = &w->sessions->sessions[meta->session];
	struct sl_heartbeat ping = { .state = sl_sessions_state(w->sessions),
				     .load = sl_preference_own_load(w),
				     .timestamp_ns = w->now_ns };
	struct sl_lane_report report;

	if (s->ports[meta->lane].first_port == 0)
		return RECORD_STRANGE;
	if (sl_lane_report_parse(rec, &report) != SL_BODY_OK || report.lane != meta->lane)
		return RECORD_MALFORMED;
	if (!sl_lane_port_told(&s->ports[meta->lane], &s->lanes[meta->lane], &report, w->now_ds))
		return RECORD_TAKEN;
	m->data_len = 0;
	m->pkt_len = 0;
	sl_heartbeat_put((uint8_t *)rte_pktmbuf_append(m, SL_REC_HEARTBEAT_BYTES), &ping);
	return RECORD_ANSWERED;
}
