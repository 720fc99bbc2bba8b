#include "internal.h"

#include <rte_ip.h>
#include <rte_tcp.h>

#include <netinet/in.h>
#include <sluice/proto/inet.h>

bool
rewrite_is_sound(const uint8_t *packet, size_t nb_bytes)
{
	const struct rte_ipv4_hdr *ip = (const void *)packet;
	const struct rte_tcp_hdr *tcp = (const void *)(ip + 1);

	return nb_bytes >= sizeof(*ip) + sizeof(*tcp) && ip->version_ihl == RTE_IPV4_VHL_DEF &&
		ip->next_proto_id == IPPROTO_TCP &&
		rte_be_to_cpu_16(ip->total_length) == nb_bytes &&
		(ip->fragment_offset & RTE_BE16(0x3fff)) == 0;
}

// RFC 1624: what was in the sum goes out, what comes instead goes in.
static uint16_t
swap(uint16_t sum, uint32_t out, uint32_t in)
{
	return sl_sum_add(sl_sum_sub(sum, sl_sum_fold(out)), sl_sum_fold(in));
}

void
rewrite(uint8_t *packet, const struct rewrite *to)
{
	struct rte_ipv4_hdr *ip = (void *)packet;
	struct rte_tcp_hdr *tcp = (void *)(ip + 1);
	uint16_t ip_sum = (uint16_t)~ip->hdr_checksum, sum = (uint16_t)~tcp->cksum;

	ip_sum = swap(ip_sum, ip->src_addr, to->source);
	ip_sum = swap(ip_sum, ip->dst_addr, to->destination);
	sum = swap(sum, ip->src_addr, to->source);
	sum = swap(sum, ip->dst_addr, to->destination);
	ip->src_addr = to->source;
	ip->dst_addr = to->destination;
	if (to->source_port != 0) {
		sum = swap(sum, tcp->src_port, to->source_port);
		tcp->src_port = to->source_port;
	}
	if (to->destination_port != 0) {
		sum = swap(sum, tcp->dst_port, to->destination_port);
		tcp->dst_port = to->destination_port;
	}
	ip->hdr_checksum = (uint16_t)~ip_sum;
	tcp->cksum = (uint16_t)~sum;
}
