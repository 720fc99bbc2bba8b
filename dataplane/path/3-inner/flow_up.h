// flow_up: the way of a client's packet from its flow to a record, shared by flow_forward (flows
// that stand) and flow_new (flows just made or admitted anew).
#pragma once

#include "flow_common.h"

#include <sluice/dp/quota.h>
#include <sluice/dp/reject.h>

enum sl_up_key { SL_UP_KEY_OK, SL_UP_KEY_MALFORMED, SL_UP_KEY_NOT_CARRIED };

// The key of a client's packet. Its own lengths are checked here, once.
static inline enum sl_up_key
sl_flow_up_key(struct rte_mbuf *m, struct sl_flow_key *key)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	const struct sl_meta *meta = sl_meta(m);
	const uint8_t *l4 = rte_pktmbuf_mtod_offset(m, const uint8_t *, meta->l4_offset);

	if (!sl_flow_l4_is_sound(m, meta))
		return SL_UP_KEY_MALFORMED;
	sl_ip4_map(key->source, ip->src_addr);
	sl_ip4_map(key->destination, ip->dst_addr);
	key->scope_protocol = sl_scope(meta) << 8 | meta->protocol;
	if (meta->protocol == IPPROTO_ICMP) {
		if (l4[0] != SL_ICMP_ECHO_REQUEST || l4[1] != 0)
			return SL_UP_KEY_NOT_CARRIED;
		memcpy(&key->source_port_be, l4 + 4, 2);
		key->destination_port_be = 0;
		return SL_UP_KEY_OK;
	}
	memcpy(&key->source_port_be, l4, 2);
	memcpy(&key->destination_port_be, l4 + 2, 2);
	return SL_UP_KEY_OK;
}

static inline void
sl_flow_client_sums(struct sl_flow *f)
{
	sl_flow_sums(f, SL_ICMP_ECHO_REQUEST, SL_ICMP_ECHO_REPLY, f->key.source_port_be);
}

enum sl_up {
	SL_UP_UNSENT = 0, // the name or the session is gone
	SL_UP_ROOM, // the buffer is too small for the OPEN
	SL_UP_PACK, // a record stands in the mbuf
	SL_UP_TOO_BIG, // reject: meta->reason and token are set
	SL_UP_TTL, // reject
	SL_UP_NO_SESSION, // reject
};

// The uncommon case: the packet travels in an OPEN.
enum sl_up sl_flow_up_open(
	struct sl_worker *w,
	struct rte_mbuf *m,
	struct sl_flow *f,
	uint32_t index,
	uint8_t tcp_flags
);

static inline enum sl_up
sl_flow_up_refuse(struct sl_meta *meta, uint8_t reason, uint16_t mtu, enum sl_up verdict)
{
	meta->reason = reason;
	meta->token = mtu;
	return verdict;
}

// Turn a client's packet of flow `f` into a record for tunnel_pack.
static inline enum sl_up
sl_flow_up(struct sl_worker *w, struct rte_mbuf *m, struct sl_flow *f, uint32_t index)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	struct sl_meta *meta = sl_meta(m);
	const struct sl_session *session = &w->sessions->sessions[f->link.session];
	uint16_t l4_bytes = sl_flow_l4_bytes(m, meta), mtu = sl_flow_mtu(w, f, meta->protocol);
	enum sl_link_send send;
	uint8_t tcp_flags = 0, tcp_before;

	if (unlikely(ip->time_to_live <= 1))
		return sl_flow_up_refuse(meta, SL_LOCAL_TTL, 0, SL_UP_TTL);
	if (unlikely(atomic_load_explicit(&session->current, memory_order_relaxed) == NULL))
		return sl_flow_up_refuse(meta, SL_LOCAL_NO_CONNECTOR, 0, SL_UP_NO_SESSION);
	if (unlikely(l4_bytes + sizeof(*ip) > mtu) && (ip->fragment_offset & SL_IP4_DF))
		return sl_flow_up_refuse(meta, SL_LOCAL_TOO_BIG, mtu, SL_UP_TOO_BIG);
	if (meta->protocol == IPPROTO_TCP) {
		struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)(uintptr_t)sl_flow_tcp(m, meta);

		tcp_flags = tcp->tcp_flags;
		if (unlikely(tcp_flags & RTE_TCP_SYN_FLAG))
			sl_tcp_clamp_mss(tcp, l4_bytes, sl_flow_mss(w, f));
		tcp_before = f->tcp;
		sl_tcp_track(f, tcp, l4_bytes, SL_UP);
		sl_quota_follow(w, f, tcp_before);
	}
	sl_flow_seen(f, w, SL_UP, (uint16_t)(l4_bytes + sizeof(*ip)));
	send = sl_link_send(
		&f->link,
		(uint16_t)atomic_load_explicit(&session->epoch, memory_order_relaxed),
		w->now_ds
	);
	if (likely(send == SL_SEND_DATA)) {
		sl_flow_to_record(session, m, meta, f, 0, send);
		return SL_UP_PACK;
	}
	if (send == SL_SEND_OPEN)
		return sl_flow_up_open(w, m, f, index, tcp_flags);
	return SL_UP_UNSENT;
}
