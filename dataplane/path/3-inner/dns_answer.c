// dns_answer: answer a client's DNS query in place, or send it to the session thread.
//   client_input | mailbox_rx -> dns_answer -> client_output | punt
// On entry the mbuf is an IPv4/UDP packet to a resolver address, port 53. A source that is no client
// gets no octet. On exit to client_output it is the finished answer.
#include <sluice/dns/answer.h>
#include <sluice/dp/inner.h>
#include <sluice/dp/node.h>
#include <sluice/dp/reply.h>
#include <sluice/dp/trace.h>

enum edge { MALFORMED, NO_CLIENT, ROOM, CLIENT, PUNT, EDGE_COUNT };

static const char *const edges[EDGE_COUNT] = {
	[MALFORMED] = "dns_answer_malformed",
	[NO_CLIENT] = "dns_answer_no_client",
	[ROOM] = "dns_answer_room",
	[CLIENT] = "client",
	[PUNT] = "punt",
};

static inline enum edge
follow(const struct sl_answer *answer, struct rte_mbuf *m)
{
	struct sl_meta *meta = sl_meta(m);

	switch (answer->verdict) {
	case SL_ANSWER_SEND:
		sl_udp_reply(m, meta->l4_offset, answer->nb_bytes);
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
	meta->worker = (uint8_t)w->idx;
	sl_trace_flag(w, meta);
	if (meta->client == SL_NO_CLIENT)
		return NO_CLIENT;
	nb_bytes = sl_udp_payload(m, meta->l4_offset, &message);
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
