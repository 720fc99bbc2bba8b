// ip4_fragment: cut packets that exceed the MTU of their port and allow it (RFC 791 3.2).
//   ip4_output -> ip4_fragment -> eth_output
// The mbuf starts at L3, out_port and next_hop are set. The packet itself becomes the first fragment.
#include "ip4_output.h"

enum edge { NO_BUFFER, FRAME, EDGE_COUNT };

static const char *const edges[EDGE_COUNT] = {
	[NO_BUFFER] = "ip4_fragment_no_buffer",
	[FRAME] = "eth_output",
};

#define OFFSET_BITS 0x1fffu
#define MORE_BIT    0x2000u

// Octets [at, at + bytes) of the payload of `whole` as a packet of their own; NULL without a buffer.
static struct rte_mbuf *
make_piece(struct sl_worker *w, struct rte_mbuf *whole, uint16_t at, uint16_t bytes, uint16_t bits)
{
	const struct rte_ipv4_hdr *from = rte_pktmbuf_mtod(whole, const struct rte_ipv4_hdr *);
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->pool);
	struct rte_ipv4_hdr *ip;

	if (m == NULL)
		return NULL;
	ip = (void *)rte_pktmbuf_append(m, (uint16_t)(sizeof(*ip) + bytes));
	*ip = *from;
	memcpy(ip + 1, (const uint8_t *)(from + 1) + at, bytes);
	ip->total_length = rte_cpu_to_be_16((uint16_t)(sizeof(*ip) + bytes));
	ip->fragment_offset = rte_cpu_to_be_16(bits);
	ip4_output_checksum(ip);
	*sl_meta(m) = *sl_meta(whole);
	w->stats.created++;
	return m;
}

// Cut the packet; the pieces and then what is left of it go to the next node. False: no buffer.
static bool
cut(struct rte_graph *graph, struct rte_node *node, struct rte_mbuf *m)
{
	struct sl_worker *w = sl_node_worker(node);
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *);
	uint16_t mtu = w->net->ports[sl_meta(m)->out_port].mtu_bytes;
	uint16_t step = (uint16_t)((mtu - sizeof(*ip)) & ~7u);
	uint16_t payload = (uint16_t)(m->data_len - sizeof(*ip));
	uint16_t bits = rte_be_to_cpu_16(ip->fragment_offset);
	uint16_t first = bits & OFFSET_BITS, more = bits & MORE_BIT;

	for (uint16_t at = step; at < payload; at = (uint16_t)(at + step)) {
		uint16_t bytes = (uint16_t)RTE_MIN(step, payload - at);
		bool is_last = at + bytes == payload;
		struct rte_mbuf *piece = make_piece(
			w, m, at, bytes, (uint16_t)((first + at / 8u) | (is_last ? more : MORE_BIT))
		);

		if (piece == NULL)
			return false;
		rte_node_enqueue_x1(graph, node, FRAME, piece);
	}
	rte_pktmbuf_trim(m, (uint16_t)(payload - step));
	ip->total_length = rte_cpu_to_be_16(m->data_len);
	ip->fragment_offset = rte_cpu_to_be_16((uint16_t)(first | MORE_BIT));
	ip4_output_checksum(ip);
	return true;
}

static uint16_t
ip4_fragment_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb_objs)
{
	for (uint16_t i = 0; i < nb_objs; i++)
		rte_node_enqueue_x1(
			graph, node, cut(graph, node, objs[i]) ? FRAME : NO_BUFFER, objs[i]
		);
	return nb_objs;
}

SL_NODE(ip4_fragment, ip4_fragment_process, edges)
SL_DROP(ip4_fragment_no_buffer, SL_OUR_FAULT, "No packet buffer is free to cut a packet into.")
