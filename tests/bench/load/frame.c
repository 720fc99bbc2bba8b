// frame: Ethernet, IPv4 and UDP around a payload, and out of them again.
#include "load.h"

#include <rte_ip.h>
#include <rte_udp.h>

#include <string.h>

#define HEADERS                                                                                    \
	(sizeof(struct rte_ether_hdr) + sizeof(struct rte_ipv4_hdr) + sizeof(struct rte_udp_hdr))

struct rte_mbuf *
load_udp_make(struct load *l, const struct load_port *p, const struct load_udp *u)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(l->pool);
	struct rte_ether_hdr *eth;
	struct rte_ipv4_hdr *ip;
	struct rte_udp_hdr *udp;

	if (m == NULL)
		return NULL;
	eth = (void *)rte_pktmbuf_append(m, (uint16_t)(HEADERS + u->payload_bytes));
	eth->dst_addr = p->gateway_mac;
	eth->src_addr = p->mac;
	eth->ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4);
	ip = (struct rte_ipv4_hdr *)(eth + 1);
	*ip = (struct rte_ipv4_hdr){
		.version_ihl = RTE_IPV4_VHL_DEF,
		.total_length = rte_cpu_to_be_16((uint16_t
		)(sizeof(*ip) + sizeof(*udp) + u->payload_bytes)),
		.fragment_offset = RTE_BE16(RTE_IPV4_HDR_DF_FLAG),
		.time_to_live = 64,
		.next_proto_id = IPPROTO_UDP,
		.src_addr = rte_cpu_to_be_32(u->from),
		.dst_addr = rte_cpu_to_be_32(u->to),
	};
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	udp = (struct rte_udp_hdr *)(ip + 1);
	udp->src_port = rte_cpu_to_be_16(u->from_port);
	udp->dst_port = rte_cpu_to_be_16(u->to_port);
	udp->dgram_len = rte_cpu_to_be_16((uint16_t)(sizeof(*udp) + u->payload_bytes));
	udp->dgram_cksum = 0;
	memcpy(udp + 1, u->payload, u->payload_bytes);
	udp->dgram_cksum = rte_ipv4_udptcp_cksum(ip, udp);
	return m;
}

bool
load_udp_parse(struct rte_mbuf *m, struct load_udp *u)
{
	struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(eth + 1);
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(ip + 1);
	unsigned ip_bytes, udp_bytes;

	if (m->nb_segs != 1 || m->data_len < HEADERS ||
	    eth->ether_type != RTE_BE16(RTE_ETHER_TYPE_IPV4) ||
	    ip->version_ihl != RTE_IPV4_VHL_DEF || ip->next_proto_id != IPPROTO_UDP ||
	    rte_ipv4_cksum(ip) != 0)
		return false;
	ip_bytes = rte_be_to_cpu_16(ip->total_length);
	udp_bytes = rte_be_to_cpu_16(udp->dgram_len);
	if (ip_bytes + sizeof(*eth) > m->data_len || ip_bytes != udp_bytes + sizeof(*ip) ||
	    udp_bytes < sizeof(*udp))
		return false;
	if (udp->dgram_cksum != 0 && rte_ipv4_udptcp_cksum_verify(ip, udp) != 0)
		return false;
	*u = (struct load_udp){
		.from = rte_be_to_cpu_32(ip->src_addr),
		.to = rte_be_to_cpu_32(ip->dst_addr),
		.from_port = rte_be_to_cpu_16(udp->src_port),
		.to_port = rte_be_to_cpu_16(udp->dst_port),
		.payload = (uint8_t *)(udp + 1),
		.payload_bytes = udp_bytes - (unsigned)sizeof(*udp),
	};
	return true;
}
