// dns_stream: a client's TCP segment to a resolver, port 53 or 853.
//   client_input -> dns_stream -> stream_tx | flow_refuse
// On entry the mbuf is an IPv4/TCP packet at L3 to a resolver address. A source that is no client gets
// no octet, other ports and what is not served are refused. No state is kept here: the stream thread
// gives the client its address there.
#include <sluice/dp/inner.h>
#include <sluice/dp/node.h>
#include <sluice/dp/trace.h>

enum edge { MALFORMED, NO_CLIENT, REFUSE, STREAM, EDGE_COUNT };

static const char *const edges[EDGE_COUNT] = {
	[MALFORMED] = "dns_stream_malformed",
	[NO_CLIENT] = "dns_stream_no_client",
	[REFUSE] = "other",
	[STREAM] = "stream",
};

static inline bool
is_served(const struct sl_net *net, rte_be16_t port)
{
	return (port == RTE_BE16(53) && net->serves_tcp) ||
		(port == RTE_BE16(853) && net->serves_tls);
}

static inline enum edge
dns_stream_verdict(struct sl_worker *w, struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	struct sl_meta *meta = sl_meta(m);
	const struct rte_tcp_hdr *tcp = rte_pktmbuf_mtod_offset(
		m, const struct rte_tcp_hdr *, meta->l4_offset
	);

	meta->client = sl_client_of(w, meta, ip->src_addr);
	meta->worker = (uint8_t)w->idx;
	sl_trace_flag(w, meta);
	if (meta->client == SL_NO_CLIENT)
		return NO_CLIENT;
	if (rte_pktmbuf_data_len(m) < meta->l4_offset + sizeof(*tcp) || m->nb_segs != 1)
		return MALFORMED;
	meta->stream = 0;
	return is_served(w->net, tcp->dst_port) ? STREAM : REFUSE;
}

static uint16_t
dns_stream_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	return SL_FOREACH_VERDICT(graph, node, objs, nb, STREAM, dns_stream_verdict);
}

SL_NODE(dns_stream, dns_stream_process, edges)
SL_DROP(dns_stream_malformed, SL_PEER_FAULT, "TCP segment to a resolver is cut.")
SL_DROP(dns_stream_no_client,
	SL_PEER_FAULT,
	"TCP segment to a resolver from a source that is no client.")
