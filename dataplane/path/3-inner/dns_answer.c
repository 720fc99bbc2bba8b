// dns_answer: answer a client's DNS query in place, or send it to the session thread.
//   client_input | mailbox_rx -> dns_answer -> client_output | punt
// On entry the mbuf is an IPv4/UDP packet to a resolver address, port 53. A source that is no client
// gets no octet. On exit to client_output it is the finished answer.
#include <sluice/dns/answer.h>
#include <sluice/dp/inner.h>
#include <sluice/dp/node.h>
#include <sluice/dp/quota.h>
#include <sluice/dp/reply.h>
#include <sluice/dp/tally.h>
#include <sluice/dp/trace.h>

#define STEP_PKTS 16 // taken through the steps together: their queries fit the first cache

enum edge { MALFORMED, NO_CLIENT, ROOM, LEAK, LIMITED, CLIENT, PUNT, EDGE_COUNT };

static const char *const edges[EDGE_COUNT] = {
	[MALFORMED] = "dns_answer_malformed",
	[NO_CLIENT] = "dns_answer_no_client",
	[ROOM] = "dns_answer_room",
	[LEAK] = "dns_answer_leak",
	[LIMITED] = "dns_answer_limited",
	[CLIENT] = "client",
	[PUNT] = "punt",
};

// One query on its way through the three steps.
struct asking {
	struct sl_answer_query parsed;
	struct sl_answer_context context;
	uint8_t *message;
	uint16_t nb_bytes;
};

// Beyond the new names of a second: what a full pool would say.
static enum edge
refuse_name(struct rte_mbuf *m, const struct asking *a)
{
	const struct sl_cookie_for who = { .key = sl_policy_name_key(a->context.policy),
					   .address = a->context.source,
					   .now_s = a->context.now_s };
	size_t nb = sl_answer_failure(
		SL_ANSWER_EXHAUSTED,
		&who,
		a->message,
		a->nb_bytes,
		a->nb_bytes + rte_pktmbuf_tailroom(m)
	);

	if (nb == 0)
		return ROOM;
	sl_udp_reply(m, sl_meta(m)->l4_offset, (uint16_t)nb);
	return CLIENT;
}

static inline enum edge
follow(struct sl_worker *w,
       const struct sl_answer *answer,
       const struct asking *a,
       struct rte_mbuf *m)
{
	struct sl_meta *meta = sl_meta(m);

	switch (answer->verdict) {
	case SL_ANSWER_SEND:
		if (unlikely(a->context.budget_bytes != UINT32_MAX))
			sl_quota_dns_answered(w, meta->client, answer->nb_bytes);
		sl_udp_reply(m, meta->l4_offset, answer->nb_bytes);
		return CLIENT;
	case SL_ANSWER_NEED_NAME:
		if (unlikely(
			    sl_tenant_of_client(w, meta->client)->client_limits.new_names_per_s != 0
		    ) &&
		    sl_quota_new_name(w, meta->client) != SL_QUOTA_FREE)
			return refuse_name(m, a);
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
		if (unlikely(answer->drop == SL_ANSWER_DROP_LEAK))
			return LEAK;
		return answer->drop == SL_ANSWER_DROP_ROOM ? ROOM : MALFORMED;
	}
}

// Whose query it is and where it stands; CLIENT: go on.
static inline enum edge
dns_answer_find(struct sl_worker *w, struct rte_mbuf *m, struct asking *a)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	struct sl_meta *meta = sl_meta(m);
	const struct sl_tenant *tenant;

	meta->client = sl_client_of(w, meta, ip->src_addr);
	meta->worker = (uint8_t)w->idx;
	sl_trace_flag(w, meta);
	if (meta->client == SL_NO_CLIENT)
		return NO_CLIENT;
	a->nb_bytes = sl_udp_payload(m, meta->l4_offset, &a->message);
	if (a->nb_bytes == 0)
		return MALFORMED;
	tenant = sl_tenant_of_client(w, meta->client);
	if (unlikely((tenant->limits.dns_per_s | tenant->client_limits.dns_per_s) != 0) &&
	    sl_quota_query(w, meta->client) != SL_QUOTA_FREE)
		return LIMITED;
	a->context = (struct sl_answer_context){
		.policy = tenant->policy,
		.addresses = tenant->addresses,
		.groups = w->snapshot->clients[meta->client].groups,
		.source = rte_be_to_cpu_32(ip->src_addr),
		.now_s = sl_now_s(w),
		.budget_bytes = UINT32_MAX,
	};
	if (unlikely(tenant->client_limits.dns_bytes_per_s != 0) && meta->stream == 0)
		a->context.budget_bytes = sl_quota_dns_budget(w, meta->client);
	return CLIENT;
}

// Each step asks for the lines the next one reads, so that the misses of a burst overlap: of names
// there may be hundreds of thousands.
static void
dns_answer_burst(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	struct sl_worker *w = sl_node_worker(node);
	struct asking askings[STEP_PKTS];
	rte_edge_t edge[STEP_PKTS];
	struct sl_answer answer;
	uint64_t began = rte_rdtsc();
	unsigned nb_answered = 0;

	for (uint16_t i = 0; i < nb; i++) {
		struct asking *a = &askings[i];

		edge[i] = (rte_edge_t)dns_answer_find(w, objs[i], a);
		if (edge[i] == CLIENT)
			sl_answer_parse(&a->parsed, &a->context, a->message, a->nb_bytes);
	}
	for (uint16_t i = 0; i < nb; i++)
		if (edge[i] == CLIENT)
			sl_answer_prefetch(&askings[i].parsed, &askings[i].context);
	for (uint16_t i = 0; i < nb; i++) {
		struct asking *a = &askings[i];

		if (edge[i] != CLIENT)
			continue;
		sl_answer_decide(
			&answer,
			&a->parsed,
			&a->context,
			a->message,
			a->nb_bytes + rte_pktmbuf_tailroom((struct rte_mbuf *)objs[i])
		);
		edge[i] = (rte_edge_t)follow(w, &answer, a, objs[i]);
		nb_answered += edge[i] == CLIENT;
	}
	sl_tally_cycles(w, SL_TALLY_DNS, rte_rdtsc() - began, nb_answered);
	sl_node_dispatch(graph, node, objs, nb, edge);
}

static uint16_t
dns_answer_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	sl_clients_prefetch(sl_node_worker(node), objs, nb);
	for (uint16_t at = 0; at < nb; at = (uint16_t)(at + STEP_PKTS))
		dns_answer_burst(graph, node, objs + at, (uint16_t)RTE_MIN(nb - at, STEP_PKTS));
	return nb;
}

SL_NODE(dns_answer, dns_answer_process, edges)
SL_DROP(dns_answer_malformed, SL_PEER_FAULT, "DNS query is not one, or its lengths do not agree.")
SL_DROP(dns_answer_no_client, SL_PEER_FAULT, "Packet to a resolver from a source that is no client."
)
SL_DROP(dns_answer_limited,
	SL_EXPECTED,
	"DNS query beyond what the client or its tenant may ask a second.")
SL_DROP(dns_answer_room, SL_OUR_FAULT, "The packet buffer has no room for the answer.")
SL_DROP(dns_answer_leak,
	SL_OUR_FAULT,
	"Answer to a client would have shown it an address that is none of the pool's.")
