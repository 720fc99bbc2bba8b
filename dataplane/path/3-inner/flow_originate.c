// flow_originate: a client's packet out of the tunnel, on to the private host.
//   record_input -> flow_originate -> ip4_output | tunnel_pack
// On entry the mbuf is one DATA record for a flow of this worker; on exit an IPv4 packet from the
// connector's own address.
#include "flow_host.h"

enum edge { BAD_FLOW, STALE, SHORT, TTL, ANSWER, OUTPUT, EDGE_COUNT };

static const char *const edges[EDGE_COUNT] = {
	[BAD_FLOW] = "flow_originate_bad_flow",
	[STALE] = "flow_originate_stale",
	[SHORT] = "flow_originate_short",
	[TTL] = "flow_originate_ttl",
	[ANSWER] = "pack",
	[OUTPUT] = "output",
};

static inline enum edge
flow_originate_verdict(struct sl_worker *w, struct rte_mbuf *m)
{
	struct sl_meta *meta = sl_meta(m);
	struct sl_rec rec;
	struct sl_flow *f = sl_flow_of_record(w, m, &rec);

	if (unlikely(f == NULL))
		return BAD_FLOW;
	if (unlikely(
		    sl_link_data(
			    &f->link, rec.generation, sl_flow_peer(w, meta->session, meta->lane)
		    ) != SL_LINK_DELIVER
	    ))
		return sl_flow_answer_unknown(m, &rec) ? ANSWER : STALE;
	switch (sl_flow_to_host(w, m, f, &rec)) {
	case SL_TO_HOST_SENT:
		return OUTPUT;
	case SL_TO_HOST_TTL:
		return TTL;
	case SL_TO_HOST_SHORT:
	default:
		return SHORT;
	}
}

static uint16_t
flow_originate_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	return SL_FOREACH_VERDICT(graph, node, objs, nb, OUTPUT, flow_originate_verdict);
}

SL_NODE(flow_originate, flow_originate_process, edges)
SL_DROP(flow_originate_bad_flow, SL_PEER_FAULT, "Record for a flow id beyond the table.")
SL_DROP(flow_originate_stale, SL_EXPECTED, "Record for a flow that is over.")
SL_DROP(flow_originate_short,
	SL_PEER_FAULT,
	"Record is shorter than its transport header, or longer than a packet.")
SL_DROP(flow_originate_ttl, SL_EXPECTED, "Packet for a host whose time to live was spent.")
