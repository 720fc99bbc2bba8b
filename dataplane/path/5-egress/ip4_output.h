// ip4_output: the verdict, apart so that tests can hold it to octets without a graph.
#pragma once

#include <rte_ip.h>

#include <sluice/dp/node.h>
#include <sluice/dp/reject.h>
#include <sluice/dp/worker.h>
#include <sluice/proto/inet.h>

enum sl_ip4_output_edge {
	SL_IP4_OUTPUT_NO_ROUTE,
	SL_IP4_OUTPUT_TOO_BIG,
	SL_IP4_OUTPUT_FRAGMENT,
	SL_IP4_OUTPUT_FRAME,
	SL_IP4_OUTPUT_EDGE_COUNT
};

static inline void
ip4_output_checksum(struct rte_ipv4_hdr *ip)
{
	// Taken out of the sum afterwards: to write a zero first and read it back at once would stall.
	uint16_t sum = sl_sum_add(sl_sum_ip4_header(ip), (uint16_t)~ip->hdr_checksum);

	ip->hdr_checksum = (uint16_t)~sum;
}

static inline rte_edge_t
ip4_output_verdict(struct sl_worker *w, struct rte_mbuf *m)
{
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *);
	const struct sl_route *r = sl_net_route(w->net, ip->dst_addr);
	struct sl_meta *meta = sl_meta(m);

	if (unlikely(r == NULL)) {
		meta->reason = SL_LOCAL_NO_ROUTE;
		return SL_IP4_OUTPUT_NO_ROUTE;
	}
	meta->out_port = r->port;
	meta->next_hop = r->via != 0 ? r->via : ip->dst_addr;
	ip4_output_checksum(ip);
	if (likely(m->data_len <= w->net->ports[r->port].mtu_bytes))
		return SL_IP4_OUTPUT_FRAME;
	if ((ip->fragment_offset & RTE_BE16(RTE_IPV4_HDR_DF_FLAG)) == 0)
		return SL_IP4_OUTPUT_FRAGMENT;
	meta->reason = SL_LOCAL_TOO_BIG;
	meta->token = w->net->ports[r->port].mtu_bytes;
	return SL_IP4_OUTPUT_TOO_BIG;
}
