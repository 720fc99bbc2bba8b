// client_input: sort a client's packets: questions to the resolvers, packets for flows.
//   ip4_input | udp_input | wireguard_open -> client_input -> dns_answer | dns_stream | flow_forward | icmp_local |
//   flow_collect | error_forward | flow_refuse | handover
// On entry the mbuf is a checked IPv4 packet at L3; nobody has asked yet whether its source is a
// client. That is done where it first matters: by dns_answer, and by flow_new when no flow is found.
#include <sluice/dp/inner.h>
#include <sluice/dp/node.h>

enum edge { RESOLVER_PORT, HANDOVER, DNS, STREAM, ECHO, FLOW, OWN, ERROR, OTHER, EDGE_COUNT };

static const char *const edges[EDGE_COUNT] = {
	[RESOLVER_PORT] = "client_input_resolver_port",
	[HANDOVER] = "handover",
	[DNS] = "dns",
	[STREAM] = "stream",
	[ECHO] = "echo",
	[FLOW] = "flow",
	[OWN] = "own",
	[ERROR] = "error",
	[OTHER] = "other",
};

static inline enum edge
to_resolver(const struct rte_mbuf *m, const struct sl_meta *meta)
{
	const struct rte_udp_hdr *udp = rte_pktmbuf_mtod_offset(
		m, const struct rte_udp_hdr *, meta->l4_offset
	);

	if (meta->protocol == IPPROTO_UDP && udp->dst_port == RTE_BE16(53))
		return DNS;
	if (meta->protocol == IPPROTO_TCP)
		return STREAM;
	return meta->protocol == IPPROTO_ICMP ? ECHO : RESOLVER_PORT;
}

static inline bool
is_icmp_error(const struct rte_mbuf *m, const struct sl_meta *meta)
{
	uint8_t type;

	if (rte_pktmbuf_data_len(m) <= meta->l4_offset)
		return false;
	type = *rte_pktmbuf_mtod_offset(m, const uint8_t *, meta->l4_offset);
	return type == 3 || type == 11 || type == 12;
}

static inline enum edge
client_input_verdict(struct sl_worker *w, struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	struct sl_meta *meta = sl_meta(m);
	uint32_t what = sl_net_local(w->net, ip->dst_addr);
	uint8_t owner;

	// An answer to a query of our own, or of a server we have a TCP connection to; its owner is another
	// computation.
	if (unlikely((what & SL_LOCAL_PORT) != 0) &&
	    (meta->protocol == IPPROTO_UDP || meta->protocol == IPPROTO_TCP))
		return OWN;
	owner = sl_client_owner(w, sl_scope(meta), ip->src_addr);
	if (owner != w->idx) {
		meta->worker = owner;
		meta->stage = SL_STAGE_CLIENT;
		return HANDOVER;
	}
	if (unlikely((what & SL_LOCAL_RESOLVER) != 0))
		return to_resolver(m, meta);
	if (likely(meta->protocol == IPPROTO_TCP || meta->protocol == IPPROTO_UDP))
		return FLOW;
	if (meta->protocol != IPPROTO_ICMP)
		return OTHER;
	return is_icmp_error(m, meta) ? ERROR : FLOW;
}

static uint16_t
client_input_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	return SL_FOREACH_VERDICT(graph, node, objs, nb, FLOW, client_input_verdict);
}

SL_NODE(client_input, client_input_process, edges)
SL_DROP(client_input_resolver_port,
	SL_PEER_FAULT,
	"Packet to a resolver address on a port that is not served.")
