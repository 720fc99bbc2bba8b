// udp_input: sort UDP datagrams to us into tunnel, WireGuard, handshakes and the rest.
//   ip4_input -> udp_input -> tunnel | wireguard | punt | other
// The mbuf starts at L3 and leaves so. Sets outer_ecn; on `punt`, meta->punt.
#include "udp_input.h"

#include <sluice/dp/session.h>
#include <sluice/proto/bytes.h>

static const char *const edges[SL_UDP_EDGE_COUNT] = {
	[SL_UDP_RUNT] = "udp_input_runt",
	[SL_UDP_LENGTH] = "udp_input_length",
	[SL_UDP_CHECKSUM] = "udp_input_checksum",
	[SL_UDP_UNKNOWN_TYPE] = "udp_input_unknown_type",
	[SL_UDP_TUNNEL] = "tunnel",
	[SL_UDP_WIREGUARD] = "wireguard",
	[SL_UDP_PUNT] = "punt",
	[SL_UDP_OTHER] = "other",
};

// tunnel_open begins with the keypair under the receiver index: its place is asked for here.
static inline rte_edge_t
sort(struct sl_worker *w, struct rte_mbuf *m)
{
	rte_edge_t edge = udp_input_verdict(w, m);

	if (likely(edge == SL_UDP_TUNNEL))
		rte_prefetch0(sl_sessions_slot(
			w->sessions,
			sl_get32(rte_pktmbuf_mtod_offset(
				m,
				const uint8_t *,
				sizeof(struct rte_ipv4_hdr) + sizeof(struct rte_udp_hdr) +
					offsetof(struct sl_wire_data, receiver_be)
			))
		));
	return edge;
}

static uint16_t
udp_input_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb_objs)
{
	return SL_FOREACH_VERDICT(graph, node, objs, nb_objs, SL_UDP_TUNNEL, sort);
}

SL_NODE(udp_input, udp_input_process, edges)
SL_DROP(udp_input_runt, SL_PEER_FAULT, "UDP datagram is shorter than its header.")
SL_DROP(udp_input_length, SL_PEER_FAULT, "UDP length does not agree with the packet's.")
SL_DROP(udp_input_checksum, SL_PEER_FAULT, "UDP checksum is wrong.")
SL_DROP(udp_input_unknown_type, SL_PEER_FAULT, "Datagram on a tunnel or WireGuard port is neither.")
