// eth_output: put the Ethernet header of a known next hop before the packet.
//   ip4_output -> eth_output -> port_tx | neighbour_hold
// The mbuf starts at L3; out_port and next_hop are set. On port_tx it starts at the Ethernet header.
#include "frame.h"

#include <sluice/dp/neighbour.h>
#include <sluice/dp/node.h>

enum edge { LOST, UNKNOWN, FRAME, EDGE_COUNT };

static const char *const edges[EDGE_COUNT] = {
	[LOST] = "eth_output_lost",
	[UNKNOWN] = "neighbour_hold",
	[FRAME] = "port_tx",
};

// The header of the packet before: packets of a burst mostly go to one next hop.
struct last {
	uint64_t hop; // port and next hop
	bool is_known;
	struct frame_head head;
};

static inline uint64_t
hop_of(const struct sl_meta *meta)
{
	return (uint64_t)meta->out_port << 32 | meta->next_hop;
}

static void
look_up(struct sl_worker *w, const struct sl_meta *meta, struct last *last)
{
	const struct rte_ether_addr *mac = sl_neighbours_find(
		w->neighbours, meta->out_port, meta->next_hop
	);

	last->hop = hop_of(meta);
	last->is_known = mac != NULL;
	if (mac != NULL)
		last->head = frame_head(&w->net->ports[meta->out_port], mac, RTE_ETHER_TYPE_IPV4);
}

static void
eth_output_burst(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	struct sl_worker *w = sl_node_worker(node);
	rte_edge_t edge[RTE_GRAPH_BURST_SIZE];
	struct last last = { .hop = UINT64_MAX };

	for (uint16_t i = 0; i < nb; i++) {
		const struct sl_meta *meta = sl_meta(objs[i]);

		if (unlikely(hop_of(meta) != last.hop))
			look_up(w, meta, &last);
		edge[i] = last.is_known ? FRAME : UNKNOWN;
		if (likely(last.is_known))
			frame_put(objs[i], &last.head);
	}
	sl_node_dispatch(graph, node, objs, nb, edge);
}

static uint16_t
eth_output_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	return sl_node_bursts(graph, node, objs, nb, eth_output_burst);
}

SL_NODE(eth_output, eth_output_process, edges)
SL_DROP(eth_output_lost, SL_OUR_FAULT, "Packet left the framing node by no exit.")
