// flow_forward: a client's packet into the tunnel.
//   client_input -> flow_forward -> tunnel_pack | flow_new | reject
// On entry the mbuf is a client's IPv4 packet at L3 on the worker that owns the client; on exit to
// tunnel_pack it is a record. Packets without a flow, and those of flows admitted under an older
// policy or whose session is gone, go to flow_new, which decides and goes on by the same code.
#include "flow_up.h"

#include <sluice/dp/trace.h>

enum edge { MALFORMED, NOT_CARRIED, NEW, REJECT, PACK, OPEN_ROOM, UNSENT, EDGE_COUNT };

static const char *const edges[EDGE_COUNT] = {
	[MALFORMED] = "flow_forward_malformed",
	[NOT_CARRIED] = "flow_forward_not_carried",
	[NEW] = "new",
	[REJECT] = "reject",
	[PACK] = "pack",
	[OPEN_ROOM] = "flow_forward_open_room",
	[UNSENT] = "flow_forward_unsent",
};

static inline enum edge
flow_forward_verdict(struct sl_worker *w, struct rte_mbuf *m, uint32_t index)
{
	struct sl_meta *meta = sl_meta(m);
	struct sl_flow *f;

	meta->flow = index;
	if (index == SL_NO_FLOW)
		return NEW;
	f = sl_flow_at(w->flows, index);
	if (unlikely(f->pop.generation != w->snapshot->generation))
		return NEW;
	meta->client = f->pop.client;
	sl_trace_flag(w, meta);
	switch (sl_flow_up(w, m, f, index)) {
	case SL_UP_PACK:
		return PACK;
	case SL_UP_TOO_BIG:
	case SL_UP_TTL:
		return REJECT;
	case SL_UP_NO_SESSION:
		return NEW;
	case SL_UP_ROOM:
		return OPEN_ROOM;
	case SL_UP_UNSENT:
	default:
		return UNSENT;
	}
}

static void
flow_forward_burst(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	struct sl_worker *w = sl_node_worker(node);
	struct sl_flow_key keys[RTE_GRAPH_BURST_SIZE];
	uint32_t found[RTE_GRAPH_BURST_SIZE];
	rte_edge_t edge[RTE_GRAPH_BURST_SIZE];
	uint16_t nb_wanted = 0;

	for (uint16_t i = 0; i < nb; i++) {
		enum sl_up_key key = sl_flow_up_key(objs[i], &keys[nb_wanted]);

		edge[i] = key == SL_UP_KEY_OK        ? PACK
			: key == SL_UP_KEY_MALFORMED ? MALFORMED
						     : NOT_CARRIED;
		nb_wanted = (uint16_t)(nb_wanted + (edge[i] == PACK));
	}
	sl_flow_find_bulk(w->flows, keys, nb_wanted, found);
	for (uint16_t i = 0; i < nb_wanted; i++)
		if (found[i] != SL_NO_FLOW)
			sl_flow_prefetch_session(w, sl_flow_at(w->flows, found[i]));
	nb_wanted = 0;
	for (uint16_t i = 0; i < nb; i++)
		if (edge[i] == PACK)
			edge[i] = (rte_edge_t)flow_forward_verdict(w, objs[i], found[nb_wanted++]);
	sl_node_dispatch(graph, node, objs, nb, edge);
}

static uint16_t
flow_forward_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	return sl_node_bursts(graph, node, objs, nb, flow_forward_burst);
}

SL_NODE(flow_forward, flow_forward_process, edges)
SL_DROP(flow_forward_malformed,
	SL_PEER_FAULT,
	"Transport header is cut, or its length is not the packet's.")
SL_DROP(flow_forward_not_carried, SL_PEER_FAULT, "ICMP from a client that is no echo request.")
SL_DROP(flow_forward_open_room, SL_OUR_FAULT, "No room in the packet buffer for the flow's name.")
SL_DROP(flow_forward_unsent, SL_EXPECTED, "The flow's name or session is gone.")
