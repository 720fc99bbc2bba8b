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

static inline rte_edge_t
eth_output_verdict(struct sl_worker *w, struct rte_mbuf *m)
{
	const struct sl_meta *meta = sl_meta(m);
	const struct rte_ether_addr *mac = sl_neighbours_find(
		w->neighbours, meta->out_port, meta->next_hop
	);

	if (unlikely(mac == NULL))
		return UNKNOWN;
	frame_prepend(w->net, m, meta->out_port, mac, RTE_ETHER_TYPE_IPV4);
	return FRAME;
}

static uint16_t
eth_output_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb_objs)
{
	return SL_FOREACH_VERDICT(graph, node, objs, nb_objs, FRAME, eth_output_verdict);
}

SL_NODE(eth_output, eth_output_process, edges)
SL_DROP(eth_output_lost, SL_OUR_FAULT, "Packet left the framing node by no exit.")
