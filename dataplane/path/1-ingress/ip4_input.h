// ip4_input: the verdict, apart so that tests can hold it to octets without a graph.
#pragma once

#include <rte_ip.h>

#include <netinet/in.h>
#include <sluice/dp/inner.h>
#include <sluice/dp/node.h>
#include <sluice/dp/worker.h>
#include <sluice/proto/inet.h>

enum sl_ip4_edge {
	SL_IP4_MALFORMED,
	SL_IP4_TRUNCATED,
	SL_IP4_CHECKSUM,
	SL_IP4_OPTIONS,
	SL_IP4_MARTIAN_SOURCE,
	SL_IP4_MARTIAN_DESTINATION,
	SL_IP4_BROADCAST,
	SL_IP4_FRAGMENT,
	SL_IP4_TTL,
	SL_IP4_LOCAL_UDP,
	SL_IP4_LOCAL_ICMP,
	SL_IP4_LOCAL_OTHER,
	SL_IP4_TRANSIT,
	SL_IP4_EDGE_COUNT
};

// First octets of addresses that must not be a source, and mostly no destination either: 0/8, 127/8
// (RFC 1812 5.3.7), classes D and E. `address` in wire order.
static inline bool
ip4_input_is_never(rte_be32_t address)
{
	uint8_t first = (uint8_t)address; // x86: the first octet is the lowest

	return (uint8_t)(first - 1) >= 223 || first == 127;
}

// RFC 1812 5.2.2: version, header length, total length against what arrived, checksum. What is wrong
// with a header that is not the usual one.
static __rte_noinline rte_edge_t
ip4_input_form_rare(const struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	uint16_t total, ihl;

	if (m->data_len < sizeof(*ip))
		return SL_IP4_TRUNCATED;
	ihl = (uint16_t)((ip->version_ihl & 0xf) * 4);
	total = rte_be_to_cpu_16(ip->total_length);
	if (ip->version_ihl >> 4 != 4 || ihl < sizeof(*ip) || total < ihl)
		return SL_IP4_MALFORMED;
	if (total > m->data_len)
		return SL_IP4_TRUNCATED;
	if (ihl != sizeof(*ip) && sl_sum(ip, ihl) == 0xffff)
		return SL_IP4_OPTIONS;
	return SL_IP4_CHECKSUM;
}

static inline rte_edge_t
ip4_input_check_form(struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	uint16_t total;

	if (unlikely(m->data_len < sizeof(*ip)))
		return SL_IP4_TRUNCATED;
	total = rte_be_to_cpu_16(ip->total_length);
	if (unlikely(ip->version_ihl != RTE_IPV4_VHL_DEF) || unlikely(total < sizeof(*ip)) ||
	    unlikely(total > m->data_len) || unlikely(sl_sum_ip4_header(ip) != 0xffff))
		return ip4_input_form_rare(m);
	m->data_len = total; // what follows is Ethernet's padding
	m->pkt_len = total;
	return SL_IP4_TRANSIT;
}

static inline rte_edge_t
ip4_input_local(const struct rte_ipv4_hdr *ip)
{
	if (likely(ip->next_proto_id == IPPROTO_UDP))
		return SL_IP4_LOCAL_UDP;
	return ip->next_proto_id == IPPROTO_ICMP ? SL_IP4_LOCAL_ICMP : SL_IP4_LOCAL_OTHER;
}

static inline rte_edge_t
ip4_input_verdict(struct sl_worker *w, struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	struct sl_meta *meta = sl_meta(m);
	rte_edge_t form = ip4_input_check_form(m);
	uint32_t what;

	if (unlikely(form != SL_IP4_TRANSIT))
		return form;
	if (unlikely(ip4_input_is_never(ip->src_addr)) ||
	    unlikely(sl_net_local(w->net, ip->src_addr) != 0))
		return SL_IP4_MARTIAN_SOURCE;
	what = sl_net_local(w->net, ip->dst_addr);
	if (unlikely((what & (SL_LOCAL_BROADCAST | SL_LOCAL_PORT)) == SL_LOCAL_BROADCAST))
		return SL_IP4_BROADCAST;
	if (unlikely(ip4_input_is_never(ip->dst_addr)))
		return SL_IP4_MARTIAN_DESTINATION;
	meta->l4_offset = sizeof(*ip);
	meta->protocol = ip->next_proto_id;
	meta->tos = ip->type_of_service;
	meta->ttl = ip->time_to_live;
	// More-fragments or an offset; bit 14 is DF.
	if (unlikely((ip->fragment_offset & RTE_BE16(0x3fff)) != 0))
		return SL_IP4_FRAGMENT;
	if (what != 0)
		return ip4_input_local(ip);
	return likely(ip->time_to_live > 1) ? SL_IP4_TRANSIT : SL_IP4_TTL;
}
