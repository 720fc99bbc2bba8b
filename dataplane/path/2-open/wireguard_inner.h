// wireguard_inner: what a decrypted packet of a client is held to: the client still exists, the
// source is its own address (cryptokey routing), and the rules of ip4_input.
#pragma once

#include "../1-ingress/ip4_input.h"
#include "../1-ingress/udp_input.h"

// Edges of the inner packet; those of ip4_input come first and keep their numbers, so that 0 drops.
enum sl_wg_inner_edge {
	SL_WG_INNER_GOOD = SL_IP4_TRANSIT,
	SL_WG_INNER_REVOKED = SL_IP4_EDGE_COUNT,
	SL_WG_INNER_KEEPALIVE,
	SL_WG_INNER_NOT_IP4,
	SL_WG_INNER_WRONG_SOURCE,
	SL_WG_INNER_CONGESTED,
	SL_WG_INNER_UDP_RUNT,
	SL_WG_INNER_UDP_LENGTH,
	SL_WG_INNER_UDP_CHECKSUM,
	SL_WG_INNER_EDGE_COUNT
};

#define SL_WG_INNER_EDGES                                                                          \
	[SL_IP4_MALFORMED] = "ip4_input_malformed", [SL_IP4_TRUNCATED] = "ip4_input_truncated",    \
	[SL_IP4_CHECKSUM] = "ip4_input_checksum", [SL_IP4_OPTIONS] = "ip4_input_options",          \
	[SL_IP4_MARTIAN_SOURCE] = "ip4_input_martian_source",                                      \
	[SL_IP4_MARTIAN_DESTINATION] = "ip4_input_martian_destination",                            \
	[SL_IP4_BROADCAST] = "ip4_input_broadcast", [SL_IP4_FRAGMENT] = "fragment",                \
	[SL_IP4_TTL] = "ip4_input_ttl", [SL_IP4_LOCAL_UDP] = "inner",                              \
	[SL_IP4_LOCAL_ICMP] = "inner", [SL_IP4_LOCAL_OTHER] = "inner", [SL_IP4_TRANSIT] = "inner", \
	[SL_WG_INNER_REVOKED] = "wireguard_open_revoked",                                          \
	[SL_WG_INNER_KEEPALIVE] = "wireguard_open_keepalive",                                      \
	[SL_WG_INNER_NOT_IP4] = "wireguard_open_not_ip4",                                          \
	[SL_WG_INNER_WRONG_SOURCE] = "wireguard_open_wrong_source",                                \
	[SL_WG_INNER_CONGESTED] = "wireguard_open_congested",                                      \
	[SL_WG_INNER_UDP_RUNT] = "udp_input_runt", [SL_WG_INNER_UDP_LENGTH] = "udp_input_length",  \
	[SL_WG_INNER_UDP_CHECKSUM] = "udp_input_checksum"

#define SL_ECN_MASK 3u
#define SL_ECN_CE   3u

// RFC 6040: congestion that the outer header met is told to the inner packet's ends, if they listen.
static inline rte_edge_t
wireguard_inner_ecn(struct rte_mbuf *m)
{
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *);
	struct sl_meta *meta = sl_meta(m);

	if ((ip->type_of_service & SL_ECN_MASK) == 0)
		return SL_WG_INNER_CONGESTED;
	ip->type_of_service |= SL_ECN_CE;
	meta->tos = ip->type_of_service;
	ip->hdr_checksum = 0;
	ip->hdr_checksum = (uint16_t)~sl_sum(ip, sizeof(*ip));
	return SL_WG_INNER_GOOD;
}

// To a resolver address: as udp_input would have it, had it come without WireGuard.
static inline rte_edge_t
wireguard_inner_local_udp(const struct rte_mbuf *m)
{
	switch (udp_input_check(m)) {
	case SL_UDP_OTHER:
		return sl_udp_is_intact(m) ? SL_WG_INNER_GOOD : SL_WG_INNER_UDP_CHECKSUM;
	case SL_UDP_LENGTH:
		return SL_WG_INNER_UDP_LENGTH;
	default:
		return SL_WG_INNER_UDP_RUNT;
	}
}

// `m` starts at the inner packet, padding included; meta->client is set.
static inline rte_edge_t
wireguard_inner(struct sl_worker *w, struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	const struct sl_meta *meta = sl_meta(m);
	const struct sl_client_end *client;
	rte_edge_t edge;

	if (unlikely(meta->client >= w->snapshot->nb_clients))
		return SL_WG_INNER_REVOKED;
	client = &w->snapshot->ends[meta->client];
	if (unlikely(client->session != meta->session))
		return SL_WG_INNER_REVOKED;
	if (rte_pktmbuf_data_len(m) == 0)
		return SL_WG_INNER_KEEPALIVE;
	if (unlikely(*rte_pktmbuf_mtod(m, const uint8_t *) >> 4 != 4))
		return SL_WG_INNER_NOT_IP4;
	// What the port said of checksums was said of the outer packet.
	m->ol_flags &= ~(uint64_t)(RTE_MBUF_F_RX_IP_CKSUM_MASK | RTE_MBUF_F_RX_L4_CKSUM_MASK);
	edge = ip4_input_verdict(w, m);
	if (unlikely(edge < SL_IP4_FRAGMENT))
		return edge;
	if (unlikely(ip->src_addr != client->address))
		return SL_WG_INNER_WRONG_SOURCE;
	if (unlikely(meta->outer_ecn == SL_ECN_CE) &&
	    wireguard_inner_ecn(m) == SL_WG_INNER_CONGESTED)
		return SL_WG_INNER_CONGESTED;
	if (edge == SL_IP4_LOCAL_UDP)
		return wireguard_inner_local_udp(m);
	return edge == SL_IP4_LOCAL_ICMP || edge == SL_IP4_LOCAL_OTHER ? SL_WG_INNER_GOOD : edge;
}
