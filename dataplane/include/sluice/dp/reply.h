// reply: turn a query's packet into the packet of its answer.
#pragma once

#include <sluice/dp/ip4.h>

#define SL_REPLY_TTL 64u

// The UDP payload of the IPv4 packet in `m`, at L3; its length, 0 when the lengths do not agree.
static inline uint16_t
sl_udp_payload(const struct rte_mbuf *m, uint16_t l4_offset, uint8_t **payload)
{
	const struct rte_udp_hdr *udp = rte_pktmbuf_mtod_offset(
		m, const struct rte_udp_hdr *, l4_offset
	);
	uint16_t nb_bytes;

	*payload = NULL;
	if (rte_pktmbuf_data_len(m) < l4_offset + sizeof(*udp))
		return 0;
	nb_bytes = rte_be_to_cpu_16(udp->dgram_len);
	*payload = rte_pktmbuf_mtod_offset(m, uint8_t *, l4_offset + sizeof(*udp));
	if (nb_bytes < sizeof(*udp) || l4_offset + nb_bytes > rte_pktmbuf_data_len(m))
		return 0;
	return (uint16_t)(nb_bytes - sizeof(*udp));
}

// The payload, now `nb_bytes` long, becomes a datagram back to its sender: ends and ports swapped,
// lengths and checksums filled, IPv4 options gone.
static inline void
sl_udp_reply(struct rte_mbuf *m, uint16_t l4_offset, uint16_t nb_bytes)
{
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *);
	struct rte_udp_hdr *udp = rte_pktmbuf_mtod_offset(m, struct rte_udp_hdr *, l4_offset);
	struct sl_ip4_ends back = { .source = ip->dst_addr, .destination = ip->src_addr };
	uint16_t udp_bytes = (uint16_t)(sizeof(*udp) + nb_bytes), sum;
	rte_be16_t port = udp->src_port;

	ip = (struct rte_ipv4_hdr *)(void *)rte_pktmbuf_adj(m, (uint16_t)(l4_offset - sizeof(*ip)));
	udp->src_port = udp->dst_port;
	udp->dst_port = port;
	udp->dgram_len = rte_cpu_to_be_16(udp_bytes);
	udp->dgram_cksum = 0;
	sum = sl_sum_add(
		sl_sum(udp, udp_bytes),
		sl_ip4_pseudo_sum(back.source, back.destination, IPPROTO_UDP, udp_bytes)
	);
	sum = (uint16_t)~sum;
	udp->dgram_cksum = sum == 0 ? 0xffff : sum;
	sl_ip4_fill(ip, back, IPPROTO_UDP, (uint16_t)(sizeof(*ip) + udp_bytes), 0, SL_REPLY_TTL, 0);
	m->data_len = (uint16_t)(sizeof(*ip) + udp_bytes);
	m->pkt_len = m->data_len;
}
