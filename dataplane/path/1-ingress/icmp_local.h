// icmp_local: the verdict, apart so that tests can hold it to octets without a graph.
#pragma once

#include <rte_icmp.h>
#include <rte_ip.h>

#include <sluice/dp/inner.h>
#include <sluice/dp/node.h>
#include <sluice/dp/worker.h>
#include <sluice/proto/inet.h>

#define SL_LOCAL_TTL 64u

enum sl_icmp_edge {
	SL_ICMP_RUNT,
	SL_ICMP_CHECKSUM,
	SL_ICMP_NOT_ECHO,
	SL_ICMP_STRANGER,
	SL_ICMP_OUTPUT,
	SL_ICMP_OTHER,
	SL_ICMP_CLIENT,
	SL_ICMP_ERROR,
	SL_ICMP_EDGE_COUNT
};

static inline rte_edge_t
icmp_local_verdict(struct sl_worker *w, struct rte_mbuf *m)
{
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *);
	struct rte_icmp_hdr *icmp = (struct rte_icmp_hdr *)(ip + 1);
	uint16_t bytes = (uint16_t)(m->data_len - sizeof(*ip));
	rte_be32_t asker = ip->src_addr;
	uint16_t sum;

	if (bytes < sizeof(*icmp))
		return SL_ICMP_RUNT;
	sum = sl_sum(icmp, bytes);
	if (sum != 0xffff)
		return SL_ICMP_CHECKSUM;
	if (icmp->icmp_type == 3 || icmp->icmp_type == 11 || icmp->icmp_type == 12)
		return sl_is_resolver(w->net, ip->dst_addr) ? SL_ICMP_NOT_ECHO : SL_ICMP_ERROR;
	if (icmp->icmp_type != RTE_IP_ICMP_ECHO_REQUEST || icmp->icmp_code != 0)
		return sl_is_resolver(w->net, ip->dst_addr) ? SL_ICMP_NOT_ECHO : SL_ICMP_OTHER;
	if (sl_is_resolver(w->net, ip->dst_addr) && w->snapshot != NULL &&
	    sl_client_of(w, sl_meta(m), asker) == SL_NO_CLIENT)
		return SL_ICMP_STRANGER;
	icmp->icmp_type = RTE_IP_ICMP_ECHO_REPLY;
	// Type and code were the word 0x0800 and are 0 now.
	icmp->icmp_cksum = (uint16_t)~sl_sum_sub((uint16_t)~icmp->icmp_cksum, RTE_BE16(0x0800));
	ip->src_addr = ip->dst_addr;
	ip->dst_addr = asker;
	ip->time_to_live = SL_LOCAL_TTL;
	ip->fragment_offset = 0;
	return unlikely(sl_meta(m)->port == SL_PORT_WIREGUARD) ? SL_ICMP_CLIENT : SL_ICMP_OUTPUT;
}
