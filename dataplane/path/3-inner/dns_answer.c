// dns_answer: answer a client's DNS query in place, or send it to the session thread.
//   client_input | mailbox_rx -> dns_answer -> client_output | punt
// On entry the mbuf is an IPv4/UDP packet to a resolver address, port 53. A source that is no client
// gets no octet. On exit to client_output it is the finished answer.
#include <sluice/dns/answer.h>
#include <sluice/dp/inner.h>
#include <sluice/dp/node.h>

#define TTL 64u

enum edge { MALFORMED, NO_CLIENT, ROOM, CLIENT, PUNT, EDGE_COUNT };

static const char *const edges[EDGE_COUNT] = {
	[MALFORMED] = "dns_answer_malformed",
	[NO_CLIENT] = "dns_answer_no_client",
	[ROOM] = "dns_answer_room",
	[CLIENT] = "client",
	[PUNT] = "punt",
};

// The UDP payload of the query; its length, 0 when the lengths do not agree.
static inline uint16_t
payload(const struct rte_mbuf *m, const struct sl_meta *meta, uint8_t **message)
{
	const struct rte_udp_hdr *udp = rte_pktmbuf_mtod_offset(
		m, const struct rte_udp_hdr *, meta->l4_offset
	);
	uint16_t nb_bytes = rte_be_to_cpu_16(udp->dgram_len);

	*message = rte_pktmbuf_mtod_offset(m, uint8_t *, meta->l4_offset + sizeof(*udp));
	if (nb_bytes < sizeof(*udp) || meta->l4_offset + nb_bytes > rte_pktmbuf_data_len(m))
		return 0;
	return (uint16_t)(nb_bytes - sizeof(*udp));
}

// Turn the headers round for an answer of `nb_bytes` octets that stands where the query stood.
static inline void
address_answer(struct rte_mbuf *m, const struct sl_meta *meta, uint16_t nb_bytes)
{
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *);
	struct rte_udp_hdr *udp = rte_pktmbuf_mtod_offset(m, struct rte_udp_hdr *, meta->l4_offset);
	struct sl_ip4_ends back = { .source = ip->dst_addr, .destination = ip->src_addr };
	uint16_t udp_bytes = (uint16_t)(sizeof(*udp) + nb_bytes), sum;
	rte_be16_t port = udp->src_port;

	// The answer starts at a header without options: move the front, not the message.
	ip = (struct rte_ipv4_hdr *)(void *)rte_pktmbuf_adj(
		m, (uint16_t)(meta->l4_offset - sizeof(*ip))
	);
	udp->src_port = udp->dst_port;
	udp->dst_port = port;
	udp->dgram_len = rte_cpu_to_be_16(udp_bytes);
	udp->dgram_cksum = 0;
	sum = sl_sum_add(
		sl_sum(udp, udp_bytes),
		sl_ip4_pseudo_sum(back.source, back.destination, IPPROTO_UDP, udp_bytes)
	);
	sum = (uint16_t)~sum;
	udp->dgram_cksum = sum == 0 ? 0xffff : sum;
	sl_ip4_fill(ip, back, IPPROTO_UDP, (uint16_t)(sizeof(*ip) + udp_bytes), 0, TTL, 0);
	m->data_len = (uint16_t)(sizeof(*ip) + udp_bytes);
	m->pkt_len = m->data_len;
}

static inline enum edge
follow(const struct sl_answer *answer, struct rte_mbuf *m)
{
	struct sl_meta *meta = sl_meta(m);

	switch (answer->verdict) {
	case SL_ANSWER_SEND:
		address_answer(m, meta, answer->nb_bytes);
		return CLIENT;
	case SL_ANSWER_NEED_NAME:
		meta->punt = SL_PUNT_DNS_NAME;
		return PUNT;
	case SL_ANSWER_NEED_RESOLVE:
		meta->punt = SL_PUNT_DNS_RESOLVE;
		return PUNT;
	case SL_ANSWER_FORWARD:
		meta->punt = SL_PUNT_DNS_FORWARD;
		return PUNT;
	case SL_ANSWER_DROP:
	default:
		return answer->drop == SL_ANSWER_DROP_ROOM ? ROOM : MALFORMED;
	}
}

static inline enum edge
dns_answer_verdict(struct sl_worker *w, struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	struct sl_meta *meta = sl_meta(m);
	struct sl_answer_context context;
	struct sl_answer answer;
	uint16_t nb_bytes;
	uint8_t *message;

	meta->client = sl_client_of(w, meta, ip->src_addr);
	if (meta->client == SL_NO_CLIENT)
		return NO_CLIENT;
	nb_bytes = payload(m, meta, &message);
	if (nb_bytes == 0)
		return MALFORMED;
	context = (struct sl_answer_context){
		.policy = sl_tenant_of_client(w, meta->client)->policy,
		.addresses = sl_tenant_of_client(w, meta->client)->addresses,
		.groups = w->snapshot->clients[meta->client].groups,
		.now_s = sl_now_s(w),
		.budget_bytes = UINT32_MAX,
	};
	sl_answer(&answer, &context, message, nb_bytes, nb_bytes + rte_pktmbuf_tailroom(m));
	return follow(&answer, m);
}

static uint16_t
dns_answer_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	return SL_FOREACH_VERDICT(graph, node, objs, nb, CLIENT, dns_answer_verdict);
}

SL_NODE(dns_answer, dns_answer_process, edges)
SL_DROP(dns_answer_malformed, SL_PEER_FAULT, "DNS query is not one, or its lengths do not agree.")
SL_DROP(dns_answer_no_client, SL_PEER_FAULT, "Packet to a resolver from a source that is no client."
)
SL_DROP(dns_answer_room, SL_OUR_FAULT, "The packet buffer has no room for the answer.")
