// ip4_fragment: cut packets that exceed the MTU of their port and allow it.
//   ip4_output -> ip4_fragment -> eth_output
// The mbuf starts at L3, out_port and next_hop are set. The fragments are copies, and leave in order.
#include "ip4_cut.h"

enum edge { NO_BUFFER, CUT, FRAME, EDGE_COUNT };

static const char *const edges[EDGE_COUNT] = {
	[NO_BUFFER] = "ip4_fragment_no_buffer",
	[CUT] = "ip4_fragment_cut",
	[FRAME] = "eth_output",
};

static uint16_t
ip4_fragment_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb_objs)
{
	struct sl_worker *w = sl_node_worker(node);
	struct rte_mbuf *pieces[IP4_CUT_MAX];

	for (uint16_t i = 0; i < nb_objs; i++) {
		uint16_t mtu = w->net->ports[sl_meta(objs[i])->out_port].mtu_bytes;
		unsigned nb = ip4_cut(w, objs[i], mtu, pieces);

		for (unsigned k = 0; k < nb; k++)
			rte_node_enqueue_x1(graph, node, FRAME, pieces[k]);
		rte_node_enqueue_x1(graph, node, nb == 0 ? NO_BUFFER : CUT, objs[i]);
	}
	return nb_objs;
}

SL_NODE(ip4_fragment, ip4_fragment_process, edges)
SL_DROP(ip4_fragment_no_buffer, SL_OUR_FAULT, "No packet buffer is free to cut a packet into.")
SL_DROP(ip4_fragment_cut, SL_EXPECTED, "Packet went on in fragments; its own buffer is free.")
