// wireguard_cut: cut packets that exceed what one datagram to a WireGuard client holds.
//   wireguard_seal -> wireguard_cut -> wireguard_seal (in fragments) | unreachable (DF is set)
// On entry the mbuf is a finished IPv4 packet at L3 on the worker that owns the client's session;
// meta->token says what fits.
#include "../5-egress/ip4_cut.h"

#include <sluice/dp/reject.h>

enum edge { NO_BUFFER, CUT, UNREACHABLE, SEAL, EDGE_COUNT };

static const char *const edges[EDGE_COUNT] = {
	[NO_BUFFER] = "wireguard_cut_no_buffer",
	[CUT] = "wireguard_cut_done",
	[UNREACHABLE] = "unreachable",
	[SEAL] = "wireguard",
};

static enum edge
cut(struct rte_graph *graph, struct rte_node *node, struct rte_mbuf *m, struct rte_mbuf **pieces)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	struct sl_worker *w = sl_node_worker(node);
	struct sl_meta *meta = sl_meta(m);
	unsigned nb;

	if ((ip->fragment_offset & RTE_BE16(RTE_IPV4_HDR_DF_FLAG)) != 0) {
		meta->reason = SL_LOCAL_TOO_BIG;
		return UNREACHABLE;
	}
	nb = ip4_cut(w, m, (uint16_t)meta->token, pieces);
	for (unsigned i = 0; i < nb; i++)
		rte_node_enqueue_x1(graph, node, SEAL, pieces[i]);
	return nb == 0 ? NO_BUFFER : CUT;
}

static uint16_t
wireguard_cut_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	struct rte_mbuf *pieces[IP4_CUT_MAX];

	for (uint16_t i = 0; i < nb; i++)
		rte_node_enqueue_x1(
			graph, node, (rte_edge_t)cut(graph, node, objs[i], pieces), objs[i]
		);
	return nb;
}

SL_NODE(wireguard_cut, wireguard_cut_process, edges)
SL_DROP(wireguard_cut_no_buffer, SL_OUR_FAULT, "No packet buffer is free to cut a packet into.")
SL_DROP(wireguard_cut_done, SL_EXPECTED, "Packet went on in fragments; its own buffer is free.")
