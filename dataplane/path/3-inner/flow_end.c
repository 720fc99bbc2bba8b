// flow_end: the far end says that a flow is over.
//   record_input -> flow_end -> client_output (PoP) | ip4_output (connector)
// On entry the mbuf is one CLOSE or REJECT record for this worker; on exit it is what the flow's own
// side is told: RST in window, or an ICMP error.
#include "flow_common.h"

#include <sluice/dp/flow_life.h>
#include <sluice/dp/reject.h>
#include <sluice/dp/trace.h>

enum edge { MALFORMED, STALE, TAKEN, CLIENT, HOST, EDGE_COUNT };

static const char *const edges[EDGE_COUNT] = {
	[MALFORMED] = "flow_end_malformed",
	[STALE] = "flow_end_stale",
	[TAKEN] = "flow_end_taken",
	[CLIENT] = "client",
	[HOST] = "host",
};

// Whether this side has to be told: not when it has seen the end itself.
static bool
is_news(const struct sl_flow *f, enum sl_close_reason reason)
{
	if ((uint8_t)f->key.scope_protocol == IPPROTO_TCP)
		return f->tcp != SL_TCP_CLOSING && f->tcp != SL_TCP_RESET;
	return f->kind == SL_FLOW_CLIENT && reason != SL_CLOSE_DONE;
}

static enum edge
tell(struct sl_worker *w, struct rte_mbuf *m, uint32_t index, enum sl_close_reason reason)
{
	struct sl_flow *f = sl_flow_at(w->flows, index);
	struct sl_meta *meta = sl_meta(m);
	enum edge edge = f->kind == SL_FLOW_CLIENT ? CLIENT : HOST;

	if (!is_news(f, reason)) {
		sl_flow_over(w, index, (uint8_t)reason);
		return TAKEN;
	}
	m->data_off = RTE_PKTMBUF_HEADROOM;
	if (edge == CLIENT) {
		meta->client = f->pop.client;
		meta->reason = (uint8_t)reason;
		sl_trace_flag(w, meta);
		meta->resolved = sl_ip4_unmap(f->key.destination);
		sl_reject_flow(m, f, (uint8_t)reason);
	} else {
		sl_reset_host(m, f);
	}
	meta->l4_offset = sizeof(struct rte_ipv4_hdr);
	sl_flow_over(w, index, (uint8_t)reason);
	return edge;
}

static inline enum edge
flow_end_verdict(struct sl_worker *w, struct rte_mbuf *m)
{
	struct sl_meta *meta = sl_meta(m);
	struct sl_link_peer peer = sl_flow_peer(w, meta->session, meta->lane);
	enum sl_close_reason reason;
	enum sl_link_verdict verdict;
	struct sl_rec rec;
	struct sl_flow *f = sl_flow_of_record(w, m, &rec);

	if (sl_close_parse(&rec, &reason) != SL_BODY_OK)
		return MALFORMED;
	if (f == NULL || sl_reject_is_echo(rec.type, reason))
		return STALE;
	verdict = rec.type == SL_RECORD_REJECT
		? sl_link_rejected(&f->link, rec.generation, peer)
		: sl_link_closed(&f->link, rec.generation, peer, reason);
	if (verdict == SL_LINK_DROP_STALE)
		return STALE;
	if (verdict != SL_LINK_PEER_CLOSED && verdict != SL_LINK_REJECTED)
		return TAKEN;
	return tell(w, m, sl_id_index(rec.flow), reason);
}

static uint16_t
flow_end_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	return SL_FOREACH_VERDICT(graph, node, objs, nb, CLIENT, flow_end_verdict);
}

SL_NODE(flow_end, flow_end_process, edges)
SL_DROP(flow_end_malformed, SL_PEER_FAULT, "CLOSE or REJECT whose fields are wrong.")
SL_DROP(flow_end_stale, SL_EXPECTED, "CLOSE or REJECT for a flow that is over.")
SL_DROP(flow_end_taken, SL_EXPECTED, "CLOSE or REJECT, taken in; nobody had to be told.")
