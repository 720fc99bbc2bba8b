#include "packet.h"
#include "sl_test.h"

#include <rte_arp.h>
#include <rte_icmp.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include <arpa/inet.h>
#include <string.h>

rte_be32_t
packet_ip(const char *text)
{
	struct in_addr a;

	CU_ASSERT_EQUAL_FATAL(inet_pton(AF_INET, text, &a), 1);
	return a.s_addr;
}

static size_t
put_ethernet(uint8_t *frame, const struct packet_spec *s)
{
	struct rte_ether_hdr *eth = (void *)frame;

	eth->dst_addr = *s->to;
	rte_ether_unformat_addr(s->from == NULL ? "02:aa:00:00:00:01" : s->from, &eth->src_addr);
	eth->ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4);
	if (s->vlan == 0)
		return sizeof(*eth);
	eth->ether_type = RTE_BE16(RTE_ETHER_TYPE_VLAN);
	*(struct rte_vlan_hdr *)(void *)(eth + 1) = (struct rte_vlan_hdr){
		.vlan_tci = rte_cpu_to_be_16(s->vlan),
		.eth_proto = RTE_BE16(RTE_ETHER_TYPE_IPV4),
	};
	return sizeof(*eth) + sizeof(struct rte_vlan_hdr);
}

static size_t
l4_header_bytes(uint8_t protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return sizeof(struct rte_tcp_hdr);
	case IPPROTO_UDP:
		return sizeof(struct rte_udp_hdr);
	case IPPROTO_ICMP:
		return sizeof(struct rte_icmp_hdr);
	default:
		return 0;
	}
}

static void
put_icmp(struct rte_icmp_hdr *icmp, const struct packet_spec *s, size_t l4_bytes)
{
	*icmp = (struct rte_icmp_hdr){
		.icmp_type = s->icmp_type_code == 0 ? RTE_IP_ICMP_ECHO_REQUEST
						    : (uint8_t)(s->icmp_type_code >> 8),
		.icmp_code = (uint8_t)s->icmp_type_code,
		.icmp_ident = rte_cpu_to_be_16(s->source_port),
		.icmp_seq_nb = rte_cpu_to_be_16(s->destination_port),
	};
	icmp->icmp_cksum = (uint16_t)~rte_raw_cksum(icmp, l4_bytes);
}

static void
put_udp(const struct rte_ipv4_hdr *ip, struct rte_udp_hdr *udp, const struct packet_spec *s)
{
	*udp = (struct rte_udp_hdr){
		.src_port = rte_cpu_to_be_16(s->source_port),
		.dst_port = rte_cpu_to_be_16(s->destination_port),
		.dgram_len = rte_cpu_to_be_16((uint16_t)(sizeof(*udp) + s->payload_bytes)),
	};
	udp->dgram_cksum = rte_ipv4_udptcp_cksum(ip, udp);
}

static void
put_tcp(const struct rte_ipv4_hdr *ip, struct rte_tcp_hdr *tcp, const struct packet_spec *s)
{
	*tcp = (struct rte_tcp_hdr){
		.src_port = rte_cpu_to_be_16(s->source_port),
		.dst_port = rte_cpu_to_be_16(s->destination_port),
		.sent_seq = rte_cpu_to_be_32(s->tcp_seq),
		.recv_ack = rte_cpu_to_be_32(s->tcp_ack),
		.data_off = 5 << 4,
		.tcp_flags = s->tcp_flags,
		.rx_win = RTE_BE16(65535),
	};
	tcp->cksum = rte_ipv4_udptcp_cksum(ip, tcp);
}

size_t
packet_build(uint8_t *frame, size_t room, const struct packet_spec *s)
{
	size_t l2 = put_ethernet(frame, s), head = l4_header_bytes(s->protocol);
	struct rte_ipv4_hdr *ip = (void *)(frame + l2);
	size_t l4_bytes = head + s->payload_bytes;
	uint8_t *l4 = (uint8_t *)(ip + 1);

	CU_ASSERT_FATAL(l2 + sizeof(*ip) + l4_bytes <= room);
	*ip = (struct rte_ipv4_hdr){
		.version_ihl = 0x45,
		.type_of_service = s->tos,
		.total_length = rte_cpu_to_be_16((uint16_t)(sizeof(*ip) + l4_bytes)),
		.packet_id = RTE_BE16(0x1234),
		.fragment_offset = rte_cpu_to_be_16(s->fragment_bits),
		.time_to_live = s->ttl == 0 ? 64 : s->ttl,
		.next_proto_id = s->protocol,
		.src_addr = packet_ip(s->source),
		.dst_addr = packet_ip(s->destination),
	};
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	if (s->payload_bytes != 0)
		memcpy(l4 + head, s->payload, s->payload_bytes);
	if (s->protocol == IPPROTO_ICMP)
		put_icmp((struct rte_icmp_hdr *)l4, s, l4_bytes);
	else if (s->protocol == IPPROTO_UDP)
		put_udp(ip, (struct rte_udp_hdr *)l4, s);
	else if (s->protocol == IPPROTO_TCP)
		put_tcp(ip, (struct rte_tcp_hdr *)l4, s);
	return l2 + sizeof(*ip) + l4_bytes;
}

void
packet_fix_ip_checksum(uint8_t *frame)
{
	struct rte_ipv4_hdr *ip = (void *)(frame + sizeof(struct rte_ether_hdr));

	ip->hdr_checksum = 0;
	ip->hdr_checksum = (uint16_t)~rte_raw_cksum(ip, (size_t)(ip->version_ihl & 0xf) * 4);
}

static const char *
l4_fault(const struct rte_ipv4_hdr *ip, size_t l4_bytes)
{
	const void *l4 = ip + 1;
	const struct rte_udp_hdr *udp = l4;

	if (l4_bytes < l4_header_bytes(ip->next_proto_id))
		return "transport header is cut";
	if ((ip->fragment_offset & RTE_BE16(0x3fff)) != 0)
		return NULL;
	switch (ip->next_proto_id) {
	case IPPROTO_ICMP:
		return rte_raw_cksum(l4, l4_bytes) == 0xffff ? NULL : "ICMP checksum is wrong";
	case IPPROTO_TCP:
		return rte_ipv4_udptcp_cksum_verify(ip, l4) == 0 ? NULL : "TCP checksum is wrong";
	case IPPROTO_UDP:
		if (rte_be_to_cpu_16(udp->dgram_len) != l4_bytes)
			return "UDP length is wrong";
		if (udp->dgram_cksum != 0 && rte_ipv4_udptcp_cksum_verify(ip, l4) != 0)
			return "UDP checksum is wrong";
		return NULL;
	default:
		return NULL;
	}
}

static const char *
fault(const struct rte_ipv4_hdr *ip, size_t nb_bytes)
{
	if (nb_bytes < sizeof(*ip) || ip->version_ihl != 0x45)
		return "no IPv4 header";
	if (rte_be_to_cpu_16(ip->total_length) != nb_bytes)
		return "IPv4 length is wrong";
	if (rte_raw_cksum(ip, sizeof(*ip)) != 0xffff)
		return "IPv4 checksum is wrong";
	return l4_fault(ip, nb_bytes - sizeof(*ip));
}

const struct rte_ipv4_hdr *
packet_check(const uint8_t *frame, size_t nb_bytes)
{
	const struct rte_ether_hdr *eth = (const void *)frame;
	size_t l2 = sizeof(*eth);
	rte_be16_t type = eth->ether_type;
	const struct rte_ipv4_hdr *ip;
	const char *what;

	if (nb_bytes < l2 + sizeof(*ip)) {
		sl_test_note("frame of %zu octets is no IPv4 packet", nb_bytes);
		return NULL;
	}
	if (type == RTE_BE16(RTE_ETHER_TYPE_VLAN)) {
		type = ((const struct rte_vlan_hdr *)(eth + 1))->eth_proto;
		l2 += sizeof(struct rte_vlan_hdr);
	}
	ip = (const struct rte_ipv4_hdr *)(frame + l2);
	what = type == RTE_BE16(RTE_ETHER_TYPE_IPV4) ? fault(ip, nb_bytes - l2) : "not IPv4";
	if (what == NULL)
		return ip;
	sl_test_note("frame of %zu octets: %s", nb_bytes, what);
	return NULL;
}

size_t
packet_arp(
	uint8_t *frame,
	uint16_t opcode,
	const char *sender_mac,
	const char *sender,
	const char *target
)
{
	struct rte_ether_hdr *eth = (void *)frame;
	struct rte_arp_hdr *arp = (struct rte_arp_hdr *)(eth + 1);

	memset(&eth->dst_addr, 0xff, sizeof(eth->dst_addr));
	rte_ether_unformat_addr(sender_mac, &eth->src_addr);
	eth->ether_type = RTE_BE16(RTE_ETHER_TYPE_ARP);
	*arp = (struct rte_arp_hdr){
		.arp_hardware = RTE_BE16(RTE_ARP_HRD_ETHER),
		.arp_protocol = RTE_BE16(RTE_ETHER_TYPE_IPV4),
		.arp_hlen = RTE_ETHER_ADDR_LEN,
		.arp_plen = sizeof(rte_be32_t),
		.arp_opcode = rte_cpu_to_be_16(opcode),
		.arp_data = { .arp_sha = eth->src_addr,
			      .arp_sip = packet_ip(sender),
			      .arp_tip = packet_ip(target) },
	};
	return sizeof(*eth) + sizeof(*arp);
}
