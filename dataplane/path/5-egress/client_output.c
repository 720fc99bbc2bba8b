// client_output: send a finished IPv4 packet to its client, by the way that client came.
//   dns_answer | flow_return | reject | mailbox_rx -> client_output -> ip4_output | wireguard_seal | stream_tx
// On entry the mbuf is an IPv4 packet at L3 with meta->client set. The permanent check that no
// private address leaves toward a client stands here: every path to a client passes.
#include <sluice/dp/inner.h>
#include <sluice/dp/node.h>
#include <sluice/dp/quota.h>

enum edge { LEAK, NO_CLIENT, PLAIN, WIREGUARD, STREAM, EDGE_COUNT };

static const char *const edges[EDGE_COUNT] = {
	[LEAK] = "client_output_leak",
	[NO_CLIENT] = "client_output_no_client",
	[PLAIN] = "plain",
	[WIREGUARD] = "wireguard",
	[STREAM] = "stream",
};

// An address of an IP or CIDR resource that the client may reach.
static bool
is_granted(const struct sl_worker *w, uint32_t client, rte_be32_t address)
{
	const struct sl_tenant *tenant = sl_tenant_of_client(w, client);
	struct sl_matches matches;
	struct sl_visibility seen;

	sl_policy_match_address(tenant->policy, rte_be_to_cpu_32(address), &matches);
	if (matches.nb == 0)
		return false;
	sl_policy_visibility(tenant->policy, &matches, &seen);
	return (seen.groups & w->snapshot->clients[client].groups) != 0;
}

// May `address` be shown to this client as the source of an outer header? A refusal may come from the
// very address that the client wrote to.
static inline bool
is_showable(const struct sl_worker *w, const struct sl_meta *meta, rte_be32_t address)
{
	if (likely(((address ^ w->net->pool) & w->net->pool_mask) == 0))
		return true;
	return (sl_net_local(w->net, address) & (SL_LOCAL_RESOLVER | SL_LOCAL_PORT)) != 0 ||
		(meta->resolved != 0 && meta->resolved == address) ||
		is_granted(w, meta->client, address);
}

// Both addresses of the header quoted by an ICMP error (RFC 792); the client's own is one of them.
static bool
is_quote_showable(const struct sl_worker *w, const struct sl_meta *meta, const struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	uint16_t at = (uint16_t)((ip->version_ihl & 0xf) * 4);
	const struct rte_ipv4_hdr *quoted;
	uint8_t type;

	if (rte_pktmbuf_data_len(m) < at + 1)
		return true;
	type = *rte_pktmbuf_mtod_offset(m, const uint8_t *, at);
	if (type != 3 && type != 4 && type != 5 && type != 11 && type != 12)
		return true;
	if (rte_pktmbuf_data_len(m) < at + 8 + sizeof(*quoted))
		return true;
	quoted = rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, at + 8);
	return (quoted->src_addr == ip->dst_addr || is_showable(w, meta, quoted->src_addr)) &&
		(quoted->dst_addr == ip->dst_addr || is_showable(w, meta, quoted->dst_addr));
}

static inline enum edge
client_output_verdict(struct sl_worker *w, struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	const struct sl_meta *meta = sl_meta(m);
	uint32_t session;

	if (unlikely(meta->client >= w->snapshot->nb_clients))
		return NO_CLIENT;
	session = w->snapshot->ends[meta->client].session;
	if (unlikely(session == SL_CLIENT_GONE))
		return NO_CLIENT;
	if (unlikely(!is_showable(w, meta, ip->src_addr)))
		return LEAK;
	if (unlikely(ip->next_proto_id == IPPROTO_ICMP) && !is_quote_showable(w, meta, m))
		return LEAK;
	// The answer to a question that came by TCP goes back by its connection.
	if (unlikely(meta->stream != 0))
		return STREAM;
	// What the session thread answered counts like what a worker did (dns_answer); other packets, which
	// waited for a key, do not.
	if (unlikely(meta->stage == SL_STAGE_TO_CLIENT) && sl_is_resolver(w->net, ip->src_addr) &&
	    sl_tenant_of_client(w, meta->client)->client_limits.dns_bytes_per_s != 0)
		sl_quota_dns_answered(
			w,
			meta->client,
			rte_be_to_cpu_16(ip->total_length) -
				(uint32_t)(sizeof(*ip) + sizeof(struct rte_udp_hdr))
		);
	return session == SL_NO_SESSION ? PLAIN : WIREGUARD;
}

static uint16_t
client_output_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	return SL_FOREACH_VERDICT(graph, node, objs, nb, PLAIN, client_output_verdict);
}

SL_NODE(client_output, client_output_process, edges)
SL_DROP(client_output_leak,
	SL_OUR_FAULT,
	"Packet toward a client would have shown it an address it may not see.")
SL_DROP(client_output_no_client, SL_EXPECTED, "Packet for a client that is configured no more.")
