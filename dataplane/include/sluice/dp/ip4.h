// ip4: building IPv4, TCP and ICMP headers of our own into mbufs.
#pragma once

#include <rte_byteorder.h>
#include <rte_icmp.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include <sluice/proto/inet.h>
#include <stdbool.h>
#include <stdint.h>

#define SL_IP4_DF RTE_BE16(0x4000)

struct sl_ip4_ends {
	rte_be32_t source;
	rte_be32_t destination;
};

// Sum over the pseudo-header of RFC 793, folded; `l4_bytes` in host order.
static inline uint16_t
sl_ip4_pseudo_sum(rte_be32_t source, rte_be32_t destination, uint8_t protocol, uint16_t l4_bytes)
{
	uint64_t sum = (uint64_t)source + destination;

	sum += rte_cpu_to_be_16(protocol);
	sum += rte_cpu_to_be_16(l4_bytes);
	return sl_sum_fold(sum);
}

// Is the checksum of the UDP datagram in the IPv4 packet at L3, without options, right, or absent, or
// has the port found it good?
static inline bool
sl_udp_is_intact(const struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	const struct rte_udp_hdr *udp = (const struct rte_udp_hdr *)(ip + 1);

	return udp->dgram_cksum == 0 ||
		(m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD ||
		rte_ipv4_udptcp_cksum_verify(ip, udp) == 0;
}

// Fill a 20-octet header, checksum included. `total_bytes` counts the header.
static inline void
sl_ip4_fill(
	struct rte_ipv4_hdr *ip,
	struct sl_ip4_ends ends,
	uint8_t protocol,
	uint16_t total_bytes,
	uint8_t tos,
	uint8_t ttl,
	rte_be16_t fragment
)
{
	uint64_t sum;

	*ip = (struct rte_ipv4_hdr){
		.version_ihl = RTE_IPV4_VHL_DEF,
		.type_of_service = tos,
		.total_length = rte_cpu_to_be_16(total_bytes),
		.fragment_offset = fragment,
		.time_to_live = ttl,
		.next_proto_id = protocol,
		.src_addr = ends.source,
		.dst_addr = ends.destination,
	};
	sum = (uint64_t)ends.source + ends.destination;
	sum += rte_cpu_to_be_16(RTE_IPV4_VHL_DEF << 8 | tos);
	sum += ip->total_length;
	sum += fragment;
	sum += rte_cpu_to_be_16((uint16_t)(ttl << 8 | protocol));
	ip->hdr_checksum = (uint16_t)~sl_sum_fold(sum);
}

// IPv4-mapped IPv6 form, as flow keys hold addresses.
static inline void
sl_ip4_map(uint8_t out[16], rte_be32_t address)
{
	memset(out, 0, 10);
	out[10] = 0xff;
	out[11] = 0xff;
	memcpy(out + 12, &address, 4);
}

static inline rte_be32_t
sl_ip4_unmap(const uint8_t mapped[16])
{
	rte_be32_t address;

	memcpy(&address, mapped + 12, 4);
	return address;
}
