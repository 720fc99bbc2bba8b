// error_common: ICMP errors about packets of flows (RFC 5508), for both ends of a tunnel. An error
// travels as an ERROR record: type, code, MTU and the first transport octets of the packet it is
// about, without any address; the far end makes of them the packet that its own side had sent.
#pragma once

#include "flow_common.h"

#include <sluice/dp/quota.h>
#include <sluice/dp/reject.h>

#define SL_QUOTE_MIN_BYTES 8u // transport octets every error quotes, RFC 792
// A segment an error speaks of lies at most this far behind the last one sent (RFC 5927 section 4.1,
// without knowing what is acknowledged).
#define SL_IN_FLIGHT_BYTES (1u << 22)

// The packet an ICMP error quotes.
struct sl_quote {
	const struct rte_ipv4_hdr *ip;
	const uint8_t *l4;
	uint16_t nb_l4; // transport octets quoted
	uint16_t l4_bytes; // of the whole packet
	uint8_t protocol;
	uint8_t type, code; // of the error
	uint16_t mtu;
};

static inline bool
sl_is_icmp_error(uint8_t type)
{
	return type == 3 || type == 11 || type == 12;
}

// Parse the ICMP error in `m`, at L3. False when what it quotes is no packet a flow could have sent.
static inline bool
sl_quote_parse(const struct rte_mbuf *m, uint16_t l4_offset, struct sl_quote *q)
{
	uint16_t at = (uint16_t)(l4_offset + 8), total;
	const uint8_t *icmp = rte_pktmbuf_mtod_offset(m, const uint8_t *, l4_offset);

	if (rte_pktmbuf_data_len(m) < at + sizeof(*q->ip) + SL_QUOTE_MIN_BYTES)
		return false;
	q->ip = rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, at);
	q->l4 = (const uint8_t *)(q->ip + 1);
	total = rte_be_to_cpu_16(q->ip->total_length);
	// We send no options, and a fragment that is not the first names no flow.
	if (q->ip->version_ihl != RTE_IPV4_VHL_DEF || total < sizeof(*q->ip) + SL_QUOTE_MIN_BYTES ||
	    (q->ip->fragment_offset & RTE_BE16(0x1fff)) != 0)
		return false;
	q->protocol = q->ip->next_proto_id;
	q->l4_bytes = (uint16_t)(total - sizeof(*q->ip));
	q->nb_l4 = (uint16_t
	)RTE_MIN(rte_pktmbuf_data_len(m) - at - sizeof(*q->ip), (size_t)q->l4_bytes);
	// Of a first fragment UDP still tells the whole length.
	if (q->protocol == IPPROTO_UDP)
		q->l4_bytes = sl_get16(q->l4 + 4);
	q->type = icmp[0];
	q->code = icmp[1];
	q->mtu = q->type == 3 && q->code == 4 ? sl_get16(icmp + 6) : 0;
	return sl_is_icmp_error(q->type) &&
		(q->protocol == IPPROTO_TCP || q->protocol == IPPROTO_UDP ||
		 q->protocol == IPPROTO_ICMP) &&
		q->l4_bytes >= SL_QUOTE_MIN_BYTES;
}

// Is the quoted segment one this flow may have in flight? `next` is the sender's next number.
static inline bool
sl_quote_is_in_flight(const struct sl_quote *q, uint32_t next)
{
	return q->protocol != IPPROTO_TCP || next - sl_get32(q->l4 + 4) <= SL_IN_FLIGHT_BYTES;
}

// Make `m` the ERROR record that tells the far end of flow `f`. The quoted packet is one this end
// has sent, so its checksum is the one sum_restore made.
static inline bool
sl_error_to_record(
	struct sl_worker *w,
	struct rte_mbuf *m,
	struct sl_flow *f,
	uint32_t index,
	struct sl_quote *q
)
{
	struct sl_meta *meta = sl_meta(m);
	struct sl_link_peer peer = sl_flow_peer(w, f->link.session, 0);
	enum sl_link_send send = sl_link_send(&f->link, peer.epoch, w->now_ds);
	unsigned skip = sl_carry_skip_bytes(q->protocol), nb;
	uint8_t l4[SL_WIRE_UDP_SKIP_BYTES + SL_ERROR_QUOTED_MAX_BYTES] = { 0 };
	struct sl_error error = {
		.icmp_type = q->type, .icmp_code = q->code, .mtu = q->mtu, .l4_bytes = q->l4_bytes
	};

	if (send != SL_SEND_DATA && send != SL_SEND_ACCEPT_DATA)
		return false;
	nb = RTE_MIN(q->nb_l4, skip + SL_ERROR_QUOTED_MAX_BYTES);
	memcpy(l4, q->l4, nb);
	error.quoted = sl_carry_strip(l4, q->l4_bytes, q->protocol, (uint16_t)~f->sum_restore);
	error.quoted_bytes = (uint8_t)(nb - skip);
	m->data_off = RTE_PKTMBUF_HEADROOM;
	m->data_len = 0;
	m->pkt_len = 0;
	if (send == SL_SEND_ACCEPT_DATA)
		sl_accept_put(
			(uint8_t *)rte_pktmbuf_append(m, SL_REC_ACCEPT_BYTES),
			f->link.peer_flow,
			f->link.peer_generation,
			sl_flow_id(w->flows, index),
			f->link.own_generation
		);
	nb = sl_error_put(
		rte_pktmbuf_mtod_offset(m, uint8_t *, m->data_len),
		rte_pktmbuf_tailroom(m),
		f->link.peer_flow,
		f->link.peer_generation,
		&error
	);
	if (nb == 0)
		return false;
	rte_pktmbuf_append(m, (uint16_t)nb);
	meta->session = f->link.session;
	meta->lane = f->link.lane;
	meta->tos = 0;
	return true;
}
