// flow_refuse: a client's packet of a protocol that is not carried, or TCP to a resolver.
//   client_input -> flow_refuse -> reject
// On entry the mbuf is an IPv4 packet at L3.
#include <sluice/dns/addresses.h>
#include <sluice/dp/flow_life.h>
#include <sluice/dp/inner.h>
#include <sluice/dp/node.h>
#include <sluice/dp/reject.h>

enum edge { NO_CLIENT, ELSEWHERE, REJECT, EDGE_COUNT };

static const char *const edges[EDGE_COUNT] = {
	[NO_CLIENT] = "flow_refuse_no_client",
	[ELSEWHERE] = "flow_refuse_elsewhere",
	[REJECT] = "reject",
};

// The flow log hears of it, and show flows; ports say nothing here.
static void
log_refusal(struct sl_worker *w, const struct sl_meta *meta, const struct rte_ipv4_hdr *ip)
{
	struct sl_flow_key key = { .scope_protocol = sl_scope(meta) << 8 | meta->protocol };
	struct sl_refusal refusal = { .client = meta->client,
				      .name = SL_NO_NAME,
				      .reason = meta->reason };

	sl_ip4_map(key.source, ip->src_addr);
	sl_ip4_map(key.destination, ip->dst_addr);
	sl_flow_refused(w, &key, &refusal);
}

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
	log_refusal(w, meta, ip);
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
