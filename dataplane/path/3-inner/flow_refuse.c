// flow_refuse: a client's packet of a protocol that is not carried, or TCP to a resolver.
//   client_input -> flow_refuse -> reject
// On entry the mbuf is an IPv4 packet at L3.
#include <sluice/dp/inner.h>
#include <sluice/dp/node.h>
#include <sluice/dp/reject.h>

enum edge { NO_CLIENT, ELSEWHERE, REJECT, EDGE_COUNT };

static const char *const edges[EDGE_COUNT] = {
	[NO_CLIENT] = "flow_refuse_no_client",
	[ELSEWHERE] = "flow_refuse_elsewhere",
	[REJECT] = "reject",
};

static inline enum edge
flow_refuse_verdict(struct sl_worker *w, struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	struct sl_meta *meta = sl_meta(m);

	meta->client = sl_client_of(w, meta, ip->src_addr);
	// As a host without a listener: RST.
	meta->reason = meta->protocol == IPPROTO_TCP ? SL_LOCAL_UNKNOWN_ADDRESS : SL_LOCAL_PROTOCOL;
	if (meta->client == SL_NO_CLIENT)
		return NO_CLIENT;
	return sl_is_answerable(w->net, ip->dst_addr) ? REJECT : ELSEWHERE;
}

static uint16_t
flow_refuse_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	return SL_FOREACH_VERDICT(graph, node, objs, nb, REJECT, flow_refuse_verdict);
}

SL_NODE(flow_refuse, flow_refuse_process, edges)
SL_DROP(flow_refuse_no_client,
	SL_PEER_FAULT,
	"Packet of another protocol from a source that is no client.")
SL_DROP(flow_refuse_elsewhere,
	SL_EXPECTED,
	"Packet of another protocol to an address that stands for nothing here.")
