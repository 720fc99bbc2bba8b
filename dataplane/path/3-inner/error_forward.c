// error_forward: a client's ICMP errors into the tunnel: it may tell the host that nobody listens for
// its answers, or that they are too long.
//   client_input -> error_forward -> tunnel_pack
// On entry the mbuf is an ICMP error at L3 on the worker that owns its source; on exit an ERROR
// record. Only the client itself is believed, only about a packet of a flow that stands under the
// present policy.
#include "error_common.h"

enum edge { MALFORMED, CHECKSUM, NO_FLOW, NOT_IN_FLIGHT, LIMITED, UNSENT, PACK, EDGE_COUNT };

static const char *const edges[EDGE_COUNT] = {
	[MALFORMED] = "error_forward_malformed",
	[CHECKSUM] = "error_forward_checksum",
	[NO_FLOW] = "error_forward_no_flow",
	[NOT_IN_FLIGHT] = "error_forward_not_in_flight",
	[LIMITED] = "error_forward_limited",
	[UNSENT] = "error_forward_unsent",
	[PACK] = "pack",
};

// The flow's key is the packet the client sent; the quoted one answers it.
static bool
key_of(const struct sl_meta *meta, const struct sl_quote *q, struct sl_flow_key *key)
{
	sl_ip4_map(key->source, q->ip->dst_addr);
	sl_ip4_map(key->destination, q->ip->src_addr);
	key->scope_protocol = sl_scope(meta) << 8 | q->protocol;
	if (q->protocol == IPPROTO_ICMP) {
		memcpy(&key->source_port_be, q->l4 + 4, 2);
		key->destination_port_be = 0;
		return q->l4[0] == SL_ICMP_ECHO_REPLY && q->l4[1] == 0;
	}
	memcpy(&key->source_port_be, q->l4 + 2, 2);
	memcpy(&key->destination_port_be, q->l4, 2);
	return true;
}

static inline enum edge
error_forward_verdict(struct sl_worker *w, struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	struct sl_meta *meta = sl_meta(m);
	uint16_t l4_bytes = sl_flow_l4_bytes(m, meta);
	struct sl_flow_key key;
	struct sl_quote q;
	struct sl_flow *f;
	uint32_t index;

	if (sl_sum(rte_pktmbuf_mtod_offset(m, const uint8_t *, meta->l4_offset), l4_bytes) !=
	    0xffff)
		return CHECKSUM;
	if (!sl_quote_parse(m, meta->l4_offset, &q) || q.ip->dst_addr != ip->src_addr ||
	    q.ip->src_addr != ip->dst_addr || !key_of(meta, &q, &key))
		return MALFORMED;
	index = sl_flow_find(w->flows, &key);
	if (index == SL_NO_FLOW)
		return NO_FLOW;
	f = sl_flow_at(w->flows, index);
	if (f->kind != SL_FLOW_CLIENT || f->pop.generation != w->snapshot->generation)
		return NO_FLOW;
	if (!sl_quote_is_in_flight(&q, f->seq_down))
		return NOT_IN_FLIGHT;
	if (!sl_quota_error(w, f->pop.client))
		return LIMITED;
	meta->client = f->pop.client;
	return sl_error_to_record(w, m, f, index, &q) ? PACK : UNSENT;
}

static uint16_t
error_forward_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	return SL_FOREACH_VERDICT(graph, node, objs, nb, PACK, error_forward_verdict);
}

SL_NODE(error_forward, error_forward_process, edges)
SL_DROP(error_forward_malformed,
	SL_PEER_FAULT,
	"Client's ICMP error that quotes no answer to that client.")
SL_DROP(error_forward_checksum, SL_PEER_FAULT, "Client's ICMP error whose checksum is wrong.")
SL_DROP(error_forward_no_flow, SL_PEER_FAULT, "Client's ICMP error about a packet of no flow.")
SL_DROP(error_forward_not_in_flight,
	SL_PEER_FAULT,
	"Client's ICMP error about a TCP segment that cannot be under way.")
SL_DROP(error_forward_limited,
	SL_EXPECTED,
	"Client's ICMP error beyond the limit of errors a second.")
SL_DROP(error_forward_unsent, SL_EXPECTED, "Client's ICMP error for a flow not yet open.")
