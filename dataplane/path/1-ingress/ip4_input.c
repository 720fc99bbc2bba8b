// ip4_input: hold IPv4 packets to RFC 1812 and tell ours from those in transit.
//   eth_input -> ip4_input -> local_udp | local_icmp | local_other | transit | fragment | ttl_expired
// The mbuf starts at L3 and leaves so, trimmed to the packet's length. Sets l4_offset, protocol, tos
// and ttl. Packets with options are dropped: the tunnel carries no IP header, so they could not reach
// their destination unchanged, and RFC 7126 finds none that a host behind us would miss.
#include "ip4_input.h"

static const char *const edges[SL_IP4_EDGE_COUNT] = {
	[SL_IP4_MALFORMED] = "ip4_input_malformed",
	[SL_IP4_TRUNCATED] = "ip4_input_truncated",
	[SL_IP4_CHECKSUM] = "ip4_input_checksum",
	[SL_IP4_OPTIONS] = "ip4_input_options",
	[SL_IP4_MARTIAN_SOURCE] = "ip4_input_martian_source",
	[SL_IP4_MARTIAN_DESTINATION] = "ip4_input_martian_destination",
	[SL_IP4_BROADCAST] = "ip4_input_broadcast",
	[SL_IP4_FRAGMENT] = "fragment",
	[SL_IP4_TTL] = "ttl_expired",
	[SL_IP4_LOCAL_UDP] = "local_udp",
	[SL_IP4_LOCAL_ICMP] = "local_icmp",
	[SL_IP4_LOCAL_OTHER] = "local_other",
	[SL_IP4_TRANSIT] = "transit",
};

static uint16_t
ip4_input_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb_objs)
{
	return SL_FOREACH_VERDICT(graph, node, objs, nb_objs, SL_IP4_TRANSIT, ip4_input_verdict);
}

SL_NODE(ip4_input, ip4_input_process, edges)
SL_DROP(ip4_input_malformed, SL_PEER_FAULT, "IPv4 version, header length or total length is wrong.")
SL_DROP(ip4_input_truncated, SL_PEER_FAULT, "IPv4 packet is longer than the frame it came in.")
SL_DROP(ip4_input_checksum, SL_PEER_FAULT, "IPv4 header checksum is wrong.")
SL_DROP(ip4_input_options, SL_PEER_FAULT, "IPv4 packet has options.")
SL_DROP(ip4_input_martian_source, SL_PEER_FAULT, "IPv4 source is no address of another single host."
)
SL_DROP(ip4_input_martian_destination,
	SL_EXPECTED,
	"IPv4 destination is multicast or may not be on a wire.")
SL_DROP(ip4_input_broadcast, SL_EXPECTED, "IPv4 destination is a broadcast address.")
SL_DROP(ip4_input_ttl, SL_EXPECTED, "TTL ran out here.")
SL_DROP(ip4_input_not_ours,
	SL_EXPECTED,
	"A connector forwards nothing that did not come by a tunnel.")
