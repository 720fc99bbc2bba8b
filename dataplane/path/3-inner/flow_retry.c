#include "flow_host.h"

#include <sluice/dp/nat.h>

static uint32_t
index_of(const struct sl_worker *w, const struct sl_flow *f)
{
	return (uint32_t)(f - w->flows->flows);
}

static struct sl_retry_flow *
place_of(const struct sl_worker *w, uint32_t index)
{
	return &w->retries->flows[index % SL_RETRY_FLOWS];
}

// What is known of a flow that nobody has answered yet; NULL when nothing is.
static struct sl_retry_flow *
find(const struct sl_worker *w, const struct sl_flow *f)
{
	struct sl_retry_flow *r = place_of(w, index_of(w, f));

	return r->flow == index_of(w, f) && r->generation == f->link.own_generation &&
			f->pkts_down == 0
		? r
		: NULL;
}

void
sl_flow_retry_note(struct sl_worker *w, uint32_t index, const struct sl_pool *pool)
{
	// A flow that had the place before stays at the address it is at.
	*place_of(w, index) = (struct sl_retry_flow
	){ .flow = index,
	   .generation = sl_flow_at(w->flows, index)->link.own_generation,
	   .pool = *pool };
}

static void
avoid(struct sl_worker *w, const struct sl_flow *f, enum sl_retry_why why)
{
	rte_be32_t address = sl_ip4_unmap(f->key.source);
	bool is_host = why == SL_RETRY_UNREACHABLE && (uint8_t)f->key.scope_protocol == IPPROTO_TCP;

	w->retries
		->hosts[(address * 0x9e3779b1u) >> 23 &
			(SL_RETRY_HOSTS - 1)] = (struct sl_retry_host
	){ .address = address,
	   .port = is_host ? 0 : f->key.source_port_be,
	   .protocol = (uint8_t)f->key.scope_protocol,
	   .until_ds = w->now_ds + SL_RETRY_AVOID_S * 10 };
}

// Give the flow the next address of its pool that has a tuple left. False when there is none.
static bool
move_on(struct sl_worker *w, struct sl_flow *f, struct sl_retry_flow *r)
{
	struct sl_flow_key key = f->key, before = f->key;

	while (r->at + 1 < r->pool.nb) {
		sl_ip4_map(key.source, r->pool.addresses[++r->at]);
		if (!sl_nat_pick(w, &key) || !sl_flow_rekey(w->flows, index_of(w, f), &key))
			continue;
		if ((uint8_t)before.scope_protocol == IPPROTO_TCP)
			sl_nat_rest(w, &before);
		sl_flow_host_sums(f);
		w->retries->nb_moved++;
		return true;
	}
	return false;
}

void
sl_flow_retry_syn(struct sl_worker *w, struct sl_flow *f, const struct sl_rec *rec)
{
	const uint8_t *tcp = rec->body - SL_WIRE_TCP_SKIP_BYTES;
	struct sl_retry_flow *r = find(w, f);
	unsigned header_bytes = (unsigned)(tcp[12] >> 4) * 4;

	if (r == NULL)
		return;
	if (f->tcp == SL_TCP_SYN_SENT) {
		avoid(w, f, SL_RETRY_REFUSED);
		move_on(w, f, r);
		return;
	}
	// One with data in it is left to the client to repeat.
	if (rec->nb_bytes + SL_WIRE_TCP_SKIP_BYTES != header_bytes ||
	    header_bytes < sizeof(struct rte_tcp_hdr) || header_bytes > sizeof(r->tcp))
		return;
	memcpy(r->tcp, tcp, header_bytes);
	r->tcp_bytes = (uint8_t)header_bytes;
	r->tos = rec->tos;
}

// Make `m` the SYN that the flow began with, to where it is now.
static void
write_syn(struct sl_worker *w, struct rte_mbuf *m, struct sl_flow *f, const struct sl_retry_flow *r)
{
	struct sl_ip4_ends ends = { .source = sl_ip4_unmap(f->key.destination),
				    .destination = sl_ip4_unmap(f->key.source) };
	struct rte_ipv4_hdr *ip;
	struct rte_tcp_hdr *tcp;
	struct sl_meta *meta = sl_meta(m);

	m->data_off = RTE_PKTMBUF_HEADROOM;
	m->data_len = (uint16_t)(sizeof(*ip) + r->tcp_bytes);
	m->pkt_len = m->data_len;
	ip = rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *);
	tcp = (struct rte_tcp_hdr *)(ip + 1);
	memcpy(tcp, r->tcp, r->tcp_bytes);
	tcp->src_port = f->key.destination_port_be;
	tcp->dst_port = f->key.source_port_be;
	tcp->cksum = 0;
	tcp->cksum = (uint16_t)~sl_sum_add(
		sl_sum(tcp, r->tcp_bytes),
		sl_ip4_pseudo_sum(ends.source, ends.destination, IPPROTO_TCP, r->tcp_bytes)
	);
	sl_ip4_fill(ip, ends, IPPROTO_TCP, m->data_len, r->tos, 64, SL_IP4_DF);
	ip->packet_id = rte_cpu_to_be_16(w->ip_id++);
	meta->l4_offset = sizeof(*ip);
	meta->protocol = IPPROTO_TCP;
	meta->tos = r->tos;
	meta->ttl = 64;
}

enum sl_retry
sl_flow_retry(struct sl_worker *w, struct rte_mbuf *m, struct sl_flow *f, enum sl_retry_why why)
{
	bool is_tcp = (uint8_t)f->key.scope_protocol == IPPROTO_TCP;
	struct sl_retry_flow *r;

	if (w->retries == NULL || (is_tcp && f->tcp != SL_TCP_SYN_SENT))
		return SL_RETRY_TELL;
	r = find(w, f);
	if (r == NULL)
		return SL_RETRY_TELL;
	avoid(w, f, why);
	if (!move_on(w, f, r))
		return SL_RETRY_TELL;
	if (!is_tcp || r->tcp_bytes == 0)
		return SL_RETRY_TAKEN;
	write_syn(w, m, f, r);
	return SL_RETRY_SENT;
}
