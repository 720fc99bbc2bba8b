// flow_common: what the nodes on both ends of a flow do alike: find the transport header, turn it
// into a record and back. Inlined; nothing here tests the role.
#pragma once

#include <sluice/dp/flow_table.h>
#include <sluice/dp/inner.h>
#include <sluice/dp/node.h>
#include <sluice/dp/tcp.h>
#include <sluice/dp/tunnel.h>
#include <sluice/proto/carry.h>
#include <sluice/proto/record.h>

// Octets a record's headers may need in front of the transport octets: OPEN with the longest name,
// ACCEPT, and what tunnel_seal, IPv4 and Ethernet add.
#define SL_FLOW_HEADROOM 420u

static inline struct sl_link_peer
sl_flow_peer(const struct sl_worker *w, uint32_t session, uint16_t lane)
{
	return (struct sl_link_peer){
		.session = session,
		.epoch = (uint16_t
		)atomic_load_explicit(&w->sessions->sessions[session].epoch, memory_order_relaxed),
		.lane = lane,
	};
}

// What sending on a flow reads of its session, asked for a stage ahead. The flow's line is here.
static inline void
sl_flow_prefetch_session(const struct sl_worker *w, const struct sl_flow *f)
{
	const struct sl_session *s = &w->sessions->sessions[f->link.session];

	rte_prefetch0(s);
	rte_prefetch0(&s->lanes[f->link.lane]);
}

// Octets of the transport part by the IP header. ip4_input has checked that they are there.
static inline uint16_t
sl_flow_l4_bytes(const struct rte_mbuf *m, const struct sl_meta *meta)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);

	return (uint16_t)(rte_be_to_cpu_16(ip->total_length) - meta->l4_offset);
}

// Is the transport header whole, and do its own lengths agree with IP's?
static inline bool
sl_flow_l4_is_sound(const struct rte_mbuf *m, const struct sl_meta *meta)
{
	const struct sl_carry_shape *shape = &sl_carry_shapes[meta->protocol];
	uint16_t l4_bytes = sl_flow_l4_bytes(m, meta);
	const uint8_t *l4 = rte_pktmbuf_mtod_offset(m, const uint8_t *, meta->l4_offset);

	if (l4_bytes < shape->skip_bytes + shape->min_bytes)
		return false;
	if (meta->protocol == IPPROTO_UDP)
		return sl_get16(l4 + 4) == l4_bytes;
	if (meta->protocol == IPPROTO_TCP)
		return (l4[12] >> 4) >= 5 && (l4[12] >> 4) * 4 <= l4_bytes;
	return true;
}

static inline const struct rte_tcp_hdr *
sl_flow_tcp(const struct rte_mbuf *m, const struct sl_meta *meta)
{
	return rte_pktmbuf_mtod_offset(m, const struct rte_tcp_hdr *, meta->l4_offset);
}

// Largest MSS with which every segment of the flow fits one datagram of its lane.
static inline uint16_t
sl_flow_mss(const struct sl_worker *w, const struct sl_flow *f)
{
	const struct sl_lane_endpoint *e = &w->sessions->sessions[f->link.session]
						    .lanes[f->link.lane];

	return (uint16_t
	)(sl_tunnel_room(e) - SL_REC_HEAD_BYTES - SL_REC_TOS_TTL_BYTES + SL_WIRE_TCP_SKIP_BYTES -
	  sizeof(struct rte_tcp_hdr));
}

// Largest IPv4 packet of the protocol that fits one datagram.
static inline uint16_t
sl_flow_mtu(const struct sl_worker *w, const struct sl_flow *f, uint8_t protocol)
{
	const struct sl_lane_endpoint *e = &w->sessions->sessions[f->link.session]
						    .lanes[f->link.lane];

	return (uint16_t
	)(sl_tunnel_room(e) - SL_REC_HEAD_BYTES - SL_REC_TOS_TTL_BYTES +
	  sl_carry_skip_bytes(protocol) + sizeof(struct rte_ipv4_hdr));
}

static inline void
sl_flow_seen(struct sl_flow *f, const struct sl_worker *w, enum sl_direction d, uint16_t nb_bytes)
{
	f->last_seen_ds = w->now_ds;
	if (d == SL_UP) {
		f->pkts_up++;
		f->bytes_up += nb_bytes;
	} else {
		f->pkts_down++;
		f->bytes_down += nb_bytes;
	}
}

// Shift the octets of `m` toward its tail until `nb_bytes` are free in front. False: no room.
static inline bool
sl_flow_make_headroom(struct rte_mbuf *m, uint16_t nb_bytes)
{
	uint16_t have = rte_pktmbuf_headroom(m), shift;

	if (likely(have >= nb_bytes))
		return true;
	shift = (uint16_t)(nb_bytes - have);
	if (rte_pktmbuf_tailroom(m) < shift + SL_WIRE_TAG_BYTES)
		return false;
	memmove(rte_pktmbuf_mtod_offset(m, uint8_t *, shift),
		rte_pktmbuf_mtod(m, uint8_t *),
		rte_pktmbuf_data_len(m));
	m->data_off = (uint16_t)(m->data_off + shift);
	return true;
}

// The flag that tells the far end of a packet's DF (RFC 1191, RFC 6864), where it is not the usual one.
static inline uint8_t
sl_flow_df_flag(const struct sl_session *s, const struct rte_ipv4_hdr *ip)
{
	bool is_set = (ip->fragment_offset & SL_IP4_DF) != 0;

	return is_set != (ip->next_proto_id == IPPROTO_TCP) && s->knows_df ? SL_RECORD_ODD_DF : 0;
}

// Turn the packet at L3 into a record: strip its transport part to what is carried, put a DATA header
// before it (and an ACCEPT before that, when due). TOS, TTL and DF go to meta.
static inline void
sl_flow_to_record(
	const struct sl_session *s,
	struct rte_mbuf *m,
	struct sl_meta *meta,
	const struct sl_flow *f,
	uint32_t own_flow,
	enum sl_link_send send
)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	uint8_t *l4 = (uint8_t *)(uintptr_t)ip + meta->l4_offset;
	uint16_t l4_bytes = (uint16_t)(rte_be_to_cpu_16(ip->total_length) - meta->l4_offset);
	uint8_t flags = sl_rec_tos_ttl_flag(ip->type_of_service, ip->time_to_live) |
		sl_flow_df_flag(s, ip);
	struct sl_rec rec = { .type = SL_RECORD_DATA,
			      .flags = flags,
			      .generation = f->link.peer_generation,
			      .flow = f->link.peer_flow,
			      .tos = ip->type_of_service,
			      .ttl = ip->time_to_live };
	uint8_t *start, *end = l4 + l4_bytes;

	meta->tos = rec.tos;
	meta->ttl = rec.ttl;
	meta->session = f->link.session;
	meta->lane = f->link.lane;
	start = sl_carry_strip(l4, l4_bytes, meta->protocol, f->sum_strip);
	rec.nb_bytes = (uint32_t)(end - start);
	start -= sl_rec_head_bytes(flags);
	sl_rec_put(start, &rec);
	// A packet that fills a large buffer goes alone; the next one takes the ACCEPT along.
	if (unlikely(send == SL_SEND_ACCEPT_DATA) &&
	    start - (uint8_t *)m->buf_addr >= SL_REC_ACCEPT_BYTES) {
		start -= SL_REC_ACCEPT_BYTES;
		sl_accept_put(
			start,
			f->link.peer_flow,
			f->link.peer_generation,
			own_flow,
			f->link.own_generation
		);
	}
	m->data_off = (uint16_t)(m->data_off + (start - (const uint8_t *)ip));
	m->data_len = (uint16_t)(end - start);
	m->pkt_len = m->data_len;
}

// May a record's body be the carried octets of a packet? At least a header, and with what is put back
// no more than IPv4 holds.
static inline bool
sl_flow_body_is_sound(uint32_t nb_bytes, uint8_t protocol)
{
	unsigned min = sl_carry_min_bytes(protocol);

	return nb_bytes - min <=
		UINT16_MAX - sizeof(struct rte_ipv4_hdr) - sl_carry_skip_bytes(protocol) - min;
}

// What the packet out of a record is to look like.
struct sl_flow_out {
	struct sl_ip4_ends ends;
	uint16_t sum_restore;
	uint16_t source_port_be; // ICMP: identifier
	uint16_t destination_port_be; // ICMP: type
	uint8_t protocol;
};

// The mbuf holds one record whose body is carried octets; make it the IPv4 packet at L3 they were.
// TTL is lowered by one: the two ends together are one hop. False when it was spent.
static inline bool
sl_flow_restore(
	struct sl_worker *w,
	struct rte_mbuf *m,
	const struct sl_rec *rec,
	const struct sl_flow_out *out
)
{
	unsigned skip = sl_carry_skip_bytes(out->protocol);
	uint8_t *l4 = (uint8_t *)(uintptr_t)rec->body - skip;
	uint16_t l4_bytes = (uint16_t)(rec->nb_bytes + skip);
	struct sl_meta *meta = sl_meta(m);
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(void *)(l4 - sizeof(*ip));
	bool is_odd = (rec->flags & SL_RECORD_ODD_DF) != 0;

	if (rec->ttl <= 1)
		return false;
	sl_carry_restore(
		l4,
		l4_bytes,
		out->protocol,
		out->sum_restore,
		out->source_port_be,
		out->destination_port_be
	);
	sl_ip4_fill(
		ip,
		out->ends,
		out->protocol,
		(uint16_t)(l4_bytes + sizeof(*ip)),
		rec->tos,
		(uint8_t)(rec->ttl - 1),
		is_odd != (out->protocol == IPPROTO_TCP) ? SL_IP4_DF : 0
	);
	ip->packet_id = rte_cpu_to_be_16(w->ip_id);
	w->ip_id = w->ip_id == w->ip_id_last ? w->ip_id_first : (uint16_t)(w->ip_id + 1);
	m->data_off = (uint16_t)((uint8_t *)ip - (uint8_t *)m->buf_addr);
	m->data_len = (uint16_t)(l4_bytes + sizeof(*ip));
	m->pkt_len = m->data_len;
	meta->l4_offset = sizeof(*ip);
	meta->protocol = out->protocol;
	meta->tos = rec->tos;
	meta->ttl = (uint8_t)(rec->ttl - 1);
	return true;
}

// The one record an mbuf holds, and the flow of this worker it names; NULL when there is none.
static inline struct sl_flow *
sl_flow_of_record(const struct sl_worker *w, const struct rte_mbuf *m, struct sl_rec *rec)
{
	size_t used;

	if (sl_rec_parse(
		    rte_pktmbuf_mtod(m, const uint8_t *), rte_pktmbuf_data_len(m), rec, &used
	    ) != SL_REC_OK)
		return NULL;
	return sl_flow_of_id(w->flows, rec->flow);
}

// Make `m` the answer to a record that is for no flow here; false when it deserves none.
static inline bool
sl_flow_answer_unknown(struct rte_mbuf *m, const struct sl_rec *rec)
{
	uint8_t answer[SL_UNKNOWN_ANSWER_BYTES];
	unsigned nb_bytes = sl_unknown_answer(answer, rec);

	if (nb_bytes == 0)
		return false;
	m->data_len = 0;
	m->pkt_len = 0;
	memcpy(rte_pktmbuf_append(m, (uint16_t)nb_bytes), answer, nb_bytes);
	return true;
}

// Turn the packet at L3 into the carried octets of its transport part; TOS, TTL and DF go to meta.
static inline void
sl_flow_strip(
	const struct sl_session *s, struct rte_mbuf *m, struct sl_meta *meta, uint16_t sum_strip
)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	uint8_t *l4 = rte_pktmbuf_mtod_offset(m, uint8_t *, meta->l4_offset);
	uint16_t l4_bytes = sl_flow_l4_bytes(m, meta);
	uint8_t *body;

	meta->tos = ip->type_of_service;
	meta->ttl = ip->time_to_live;
	meta->record_flags = sl_flow_df_flag(s, ip);
	body = sl_carry_strip(l4, l4_bytes, meta->protocol, sum_strip);
	m->data_len = (uint16_t)(l4_bytes - (body - l4));
	m->pkt_len = m->data_len;
	m->data_off = (uint16_t)(m->data_off + (body - rte_pktmbuf_mtod(m, uint8_t *)));
}

// The checksum's share of what does not travel. The sum of addresses and ports does not mind which end is
// which; an echo is taken in as `stripped` and given back as `restored`, under the identifier `id`.
static inline void
sl_flow_sums(struct sl_flow *f, uint8_t stripped, uint8_t restored, rte_be16_t id)
{
	const struct sl_flow_key *k = &f->key;
	uint8_t protocol = (uint8_t)k->scope_protocol;

	if (protocol == IPPROTO_ICMP) {
		f->sum_strip = sl_carry_sum_echo(stripped, id);
		f->sum_restore = sl_carry_restore_sum(sl_carry_sum_echo(restored, id));
		return;
	}
	f->sum_strip = sl_carry_sum(
		sl_ip4_unmap(k->source),
		sl_ip4_unmap(k->destination),
		protocol,
		k->source_port_be,
		k->destination_port_be
	);
	f->sum_restore = sl_carry_restore_sum(f->sum_strip);
}
