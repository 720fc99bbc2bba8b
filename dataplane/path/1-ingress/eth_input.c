// eth_input: sort frames off the wire by port, VLAN and EtherType.
//   port_rx -> eth_input -> ip4_input | arp_input
// On entry the mbuf starts at the Ethernet header; on a non-drop exit, at L3. Sets meta->port to the
// interface of the frame's VLAN, and meta->vlan.
#include "eth_input.h"

static const char *const edges[SL_ETH_EDGE_COUNT] = {
	[SL_ETH_BAD_TYPE] = "eth_input_bad_type",
	[SL_ETH_RUNT] = "eth_input_runt",
	[SL_ETH_NOT_OURS] = "eth_input_not_ours",
	[SL_ETH_BAD_VLAN] = "eth_input_bad_vlan",
	[SL_ETH_SEGMENTED] = "eth_input_segmented",
	[SL_ETH_IP4] = "ip4_input",
	[SL_ETH_ARP] = "arp_input",
};

static uint16_t
eth_input_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb_objs)
{
	return SL_FOREACH_VERDICT(graph, node, objs, nb_objs, SL_ETH_IP4, eth_input_verdict);
}

SL_NODE(eth_input, eth_input_process, edges)
SL_DROP(eth_input_bad_type, SL_EXPECTED, "EtherType is neither IPv4 nor ARP.")
SL_DROP(eth_input_runt, SL_PEER_FAULT, "Frame is shorter than its Ethernet header.")
SL_DROP(eth_input_not_ours, SL_EXPECTED, "Frame is for another station, or multicast.")
SL_DROP(eth_input_bad_vlan, SL_EXPECTED, "Frame is of a VLAN no interface is configured for.")
SL_DROP(eth_input_segmented, SL_OUR_FAULT, "Frame is larger than a packet buffer.")
