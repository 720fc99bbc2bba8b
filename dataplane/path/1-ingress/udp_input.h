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
	if (rte_be_to_cpu_16(udp->dgram_len) != bytes)
		return SL_UDP_LENGTH;
	if (udp->dgram_cksum != 0 &&
	    (m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) != RTE_MBUF_F_RX_L4_CKSUM_GOOD &&
	    rte_ipv4_udptcp_cksum_verify(ip, udp) != 0)
		return SL_UDP_CHECKSUM;
	return SL_UDP_OTHER;
}

static inline rte_edge_t
udp_input_verdict(struct sl_worker *w, struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	const struct rte_udp_hdr *udp = (const struct rte_udp_hdr *)(ip + 1);
	const struct sl_net *net = w->net;
	struct sl_meta *meta = sl_meta(m);
	rte_edge_t form = udp_input_check(m);
	bool is_resolver;
	uint16_t port;

	if (unlikely(form != SL_UDP_OTHER))
		return form;
	meta->outer_ecn = ip->type_of_service & 3;
	port = rte_be_to_cpu_16(udp->dst_port);
	is_resolver = sl_is_resolver(net, ip->dst_addr);
	if (is_resolver || m->data_len == sizeof(*ip) + sizeof(*udp))
		return SL_UDP_OTHER;
	if (net->tunnel_port_first != 0 && port >= net->tunnel_port_first &&
	    port <= net->tunnel_port_last)
		return udp_input_tunnel(meta, *(const uint8_t *)(udp + 1));
	if (net->wireguard_port != 0 && port == net->wireguard_port)
		return udp_input_wireguard(meta, *(const uint8_t *)(udp + 1));
	return SL_UDP_OTHER;
}
