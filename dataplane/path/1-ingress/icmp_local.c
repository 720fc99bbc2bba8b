// icmp_local: answer echo requests to our own and to resolver addresses.
//   ip4_input -> icmp_local -> ip4_output | client | icmp_error | other
// The mbuf starts at L3. Replies leave by `other` for whoever keeps flows.
#include "icmp_local.h"

static const char *const edges[SL_ICMP_EDGE_COUNT] = {
	[SL_ICMP_RUNT] = "icmp_local_runt",
	[SL_ICMP_CHECKSUM] = "icmp_local_checksum",
	[SL_ICMP_NOT_ECHO] = "icmp_local_not_echo",
	[SL_ICMP_STRANGER] = "icmp_local_stranger",
	[SL_ICMP_OUTPUT] = "ip4_output",
	[SL_ICMP_OTHER] = "other",
	[SL_ICMP_CLIENT] = "client",
	[SL_ICMP_ERROR] = "error",
};

static uint16_t
icmp_local_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb_objs)
{
	return SL_FOREACH_VERDICT(graph, node, objs, nb_objs, SL_ICMP_OUTPUT, icmp_local_verdict);
}

SL_NODE(icmp_local, icmp_local_process, edges)
SL_DROP(icmp_local_runt, SL_PEER_FAULT, "ICMP message is shorter than its header.")
SL_DROP(icmp_local_checksum, SL_PEER_FAULT, "ICMP checksum is wrong.")
SL_DROP(icmp_local_stranger,
	SL_PEER_FAULT,
	"Echo request to a resolver address from a source that is no client.")
SL_DROP(icmp_local_not_echo, SL_EXPECTED, "Resolver addresses answer echo and no other ICMP.")
