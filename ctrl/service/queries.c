// queries: DNS queries of our own. They leave by a worker, which picks the source port from the same
// allocator as NAT, and their answers come back as punts with the token.
#include "internal.h"

#include <sluice/dp/ip4.h>

#define TTL          64u
#define LOOK_BACK    4096u // more than can be under way at once
#define FORGOTTEN_NS (30 * SL_NS_PER_S)

// A slot whose release was not found in time frees itself.
static bool
is_free(const struct sl_service *s, const struct query *q)
{
	return !q->is_used || s->now_ns - q->sent_ns > FORGOTTEN_NS;
}

bool
query_send(
	struct sl_service *s,
	uint16_t asker,
	uint32_t token,
	struct sl_upstream_address to,
	const uint8_t *message,
	size_t nb_bytes
)
{
	struct queries *q = &s->queries;
	uint32_t slot = UINT32_MAX;
	struct rte_udp_hdr *udp;
	struct rte_ipv4_hdr *ip;
	struct rte_mbuf *m;
	uint16_t udp_bytes = (uint16_t)(sizeof(*udp) + nb_bytes);
	struct sl_ip4_ends ends = { .destination = rte_cpu_to_be_32(to.address) };

	for (unsigned i = 0; i < 64 && slot == UINT32_MAX; i++, q->next++)
		if (is_free(s, &q->slots[q->next % NB_QUERIES]))
			slot = q->next % NB_QUERIES;
	m = slot == UINT32_MAX ? NULL : sl_dp_alloc_mbuf(s->dp);
	ip = m == NULL ? NULL : (void *)rte_pktmbuf_append(m, (uint16_t)(sizeof(*ip) + udp_bytes));
	if (ip == NULL) {
		rte_pktmbuf_free(m);
		s->stats.nb_queries_full++;
		return false;
	}
	udp = (struct rte_udp_hdr *)(ip + 1);
	sl_ip4_fill(ip, ends, IPPROTO_UDP, (uint16_t)(sizeof(*ip) + udp_bytes), 0, TTL, 0);
	*udp = (struct rte_udp_hdr){ .src_port = (uint16_t)service_random(NULL),
				     .dst_port = rte_cpu_to_be_16(to.port),
				     .dgram_len = rte_cpu_to_be_16(udp_bytes) };
	memcpy(udp + 1, message, nb_bytes);
	q->slots[slot] = (struct query){ .token = token,
					 .asker = asker,
					 .is_used = true,
					 .sent_ns = s->now_ns,
					 .generation = (uint8_t)(q->slots[slot].generation + 1) };
	sl_meta(m)->token = slot | (uint32_t)q->slots[slot].generation << 16;
	sl_meta(m)->l4_offset = sizeof(*ip);
	sl_meta(m)->protocol = IPPROTO_UDP;
	s->stats.nb_queries++;
	to_worker(s, slot % sl_dp_nb_workers(s->dp), SL_STAGE_QUERY, m);
	return true;
}

void
query_release(struct sl_service *s, uint16_t asker, uint32_t token)
{
	// Few are under way at once, and they were given out in order: look back from the newest.
	for (uint32_t i = 1; i <= LOOK_BACK; i++) {
		struct query *q = &s->queries.slots[(s->queries.next - i) % NB_QUERIES];

		if (q->is_used && q->asker == asker && q->token == token) {
			q->is_used = false;
			return;
		}
	}
}

void
query_answer(struct sl_service *s, struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	const struct sl_meta *meta = sl_meta(m);
	const struct rte_udp_hdr *udp = rte_pktmbuf_mtod_offset(
		m, const struct rte_udp_hdr *, meta->l4_offset
	);
	const struct query *q = &s->queries.slots[(uint16_t)meta->token];
	size_t at = meta->l4_offset + sizeof(*udp);
	struct sl_upstream_address from = { .address = rte_be_to_cpu_32(ip->src_addr),
					    .port = rte_be_to_cpu_16(udp->src_port) };

	if (!q->is_used || q->generation != (uint8_t)(meta->token >> 16) ||
	    rte_pktmbuf_data_len(m) < at) {
		s->stats.nb_answers_late++;
	} else if (q->asker == 0) {
		sl_histogram_add(&s->stats.waits[SL_WAIT_PRIVATE_DNS], s->now_ns - q->sent_ns, 1);
		sl_resolver_receive(
			s->resolver,
			q->token,
			rte_pktmbuf_mtod_offset(m, const uint8_t *, at),
			rte_pktmbuf_data_len(m) - at,
			from,
			false,
			s->now_ns
		);
	} else {
		sl_histogram_add(&s->stats.waits[SL_WAIT_UPSTREAM_DNS], s->now_ns - q->sent_ns, 1);
		forwarding_receive(
			s,
			q->asker - 1u,
			q->token,
			rte_pktmbuf_mtod_offset(m, const uint8_t *, at),
			rte_pktmbuf_data_len(m) - at,
			from,
			false
		);
	}
	rte_pktmbuf_free(m);
}

void
query_refused(struct sl_service *s, struct rte_mbuf *m)
{
	const uint32_t token = sl_meta(m)->token;
	struct query *q = &s->queries.slots[(uint16_t)token];

	if (q->is_used && q->generation == (uint8_t)(token >> 16)) {
		q->is_used = false;
		s->stats.nb_queries_refused++;
		if (q->asker == 0)
			sl_resolver_refused(s->resolver, q->token, s->now_ns);
		else
			forwarding_refused(s, q->asker - 1u, q->token);
	}
	rte_pktmbuf_free(m);
}
