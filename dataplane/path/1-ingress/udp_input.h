// udp_input: the verdict, apart so that tests can hold it to octets without a graph.
#pragma once

#include <rte_ip.h>
#include <rte_udp.h>

#include <sluice/dp/inner.h>
#include <sluice/dp/node.h>
#include <sluice/dp/worker.h>
#include <sluice/proto/wire.h>

enum sl_udp_edge {
	SL_UDP_RUNT,
	SL_UDP_LENGTH,
	SL_UDP_CHECKSUM,
	SL_UDP_UNKNOWN_TYPE,
	SL_UDP_TUNNEL,
	SL_UDP_WIREGUARD,
	SL_UDP_PUNT,
	SL_UDP_OTHER,
	SL_UDP_EDGE_COUNT
};

#define SL_WIREGUARD_COOKIE_REPLY 3u
#define SL_WIREGUARD_DATA         4u

static inline rte_edge_t
udp_input_tunnel(struct sl_meta *meta, uint8_t type)
{
	if (likely(type == SL_WIRE_DATA))
		return SL_UDP_TUNNEL;
	if (type < SL_WIRE_INITIATION || type > SL_WIRE_COOKIE_REPLY)
		return SL_UDP_UNKNOWN_TYPE;
	meta->punt = SL_PUNT_HANDSHAKE;
	return SL_UDP_PUNT;
}

static inline rte_edge_t
udp_input_wireguard(struct sl_meta *meta, uint8_t type)
{
	if (likely(type == SL_WIREGUARD_DATA))
		return SL_UDP_WIREGUARD;
	if (type == 0 || type > SL_WIREGUARD_COOKIE_REPLY)
		return SL_UDP_UNKNOWN_TYPE;
	meta->punt = SL_PUNT_HANDSHAKE;
	return SL_UDP_PUNT;
}

static inline rte_edge_t
udp_input_check(const struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	const struct rte_udp_hdr *udp = (const struct rte_udp_hdr *)(ip + 1);
	uint16_t bytes = (uint16_t)(m->data_len - sizeof(*ip));

	if (bytes < sizeof(*udp))
		return SL_UDP_RUNT;
	// RFC 768: the length counts the header and cannot exceed the packet. Octets past it would be
	// carried by nobody, so a shorter one is refused too.
	return rte_be_to_cpu_16(udp->dgram_len) == bytes ? SL_UDP_OTHER : SL_UDP_LENGTH;
}

static inline rte_edge_t
udp_input_sort(const struct sl_net *net, struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	const struct rte_udp_hdr *udp = (const struct rte_udp_hdr *)(ip + 1);
	uint16_t port = rte_be_to_cpu_16(udp->dst_port);

	if (m->data_len == sizeof(*ip) + sizeof(*udp) || sl_is_resolver(net, ip->dst_addr))
		return SL_UDP_OTHER;
	if (net->tunnel_port_first != 0 && port >= net->tunnel_port_first &&
	    port <= net->tunnel_port_last)
		return udp_input_tunnel(sl_meta(m), *(const uint8_t *)(udp + 1));
	if (net->wireguard_port != 0 && port == net->wireguard_port)
		return udp_input_wireguard(sl_meta(m), *(const uint8_t *)(udp + 1));
	return SL_UDP_OTHER;
}

// A checksum is held against the octets where they end here: what goes to the session thread or to a
// resolver. Sealed datagrams have a tag. What becomes a record carries its checksum on, so damage stays
// visible to the far end (carry.h), and summing it here would only cost.
static inline rte_edge_t
udp_input_verdict(struct sl_worker *w, struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	rte_edge_t edge = udp_input_check(m);

	if (unlikely(edge != SL_UDP_OTHER))
		return edge;
	sl_meta(m)->outer_ecn = ip->type_of_service & 3;
	edge = udp_input_sort(w->net, m);
	if (unlikely(edge == SL_UDP_PUNT))
		sl_meta(m)->worker = (uint8_t)w->idx;
	if (unlikely(edge == SL_UDP_PUNT || sl_is_resolver(w->net, ip->dst_addr)) &&
	    !sl_udp_is_intact(m))
		return SL_UDP_CHECKSUM;
	return edge;
}
