// ip4_output: route a finished IPv4 packet.
//   any node -> ip4_output -> eth_output | ip4_fragment | too_big | no_route
// The mbuf starts at L3 (20 octets of header, no options) and leaves so. Sets out_port and next_hop
// and writes the header checksum, whatever it was; TTL and total length are the caller's business.
// On `no_route` and `too_big` (DF set), meta->reason says so; meta->token then is the MTU.
#include "ip4_output.h"

static const char *const edges[SL_IP4_OUTPUT_EDGE_COUNT] = {
	[SL_IP4_OUTPUT_NO_ROUTE] = "no_route",
	[SL_IP4_OUTPUT_TOO_BIG] = "too_big",
	[SL_IP4_OUTPUT_FRAGMENT] = "ip4_fragment",
	[SL_IP4_OUTPUT_FRAME] = "eth_output",
};

static uint16_t
ip4_output_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb_objs)
{
	return SL_FOREACH_VERDICT(
		graph, node, objs, nb_objs, SL_IP4_OUTPUT_FRAME, ip4_output_verdict
	);
}

SL_NODE(ip4_output, ip4_output_process, edges)
SL_DROP(ip4_output_no_route, SL_EXPECTED, "No route leads to the packet's destination.")
SL_DROP(ip4_output_too_big, SL_EXPECTED, "Packet exceeds the MTU of its port and may not be cut.")
