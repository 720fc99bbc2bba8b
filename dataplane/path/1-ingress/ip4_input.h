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

// Whose a destination address is.
enum sl_ip4_owner { SL_IP4_OTHERS, SL_IP4_OURS, SL_IP4_EVERYONES };

static inline enum sl_ip4_owner
ip4_input_owner(const struct sl_net *net, rte_be32_t address)
{
	if (address == INADDR_BROADCAST)
		return SL_IP4_EVERYONES;
	for (unsigned i = 0; i < net->nb_ports; i++) {
		const struct sl_port *p = &net->ports[i];
		rte_be32_t mask = sl_net_mask(p->prefix_bits);

		if (address == p->address)
			return SL_IP4_OURS;
		// A /31 (RFC 3021) or /32 has no broadcast address.
		if (p->prefix_bits < 31 && ((address ^ p->address) & mask) == 0 &&
		    ((address & ~mask) == ~mask || (address & ~mask) == 0))
			return SL_IP4_EVERYONES;
	}
	return sl_is_resolver(net, address) ? SL_IP4_OURS : SL_IP4_OTHERS;
}

// Addresses that must not appear in either place on a wire: 0/8, 127/8 (RFC 1812 5.3.7).
static inline bool
ip4_input_is_never(uint32_t address)
{
	return address >> 24 == 0 || address >> 24 == 127;
}

static inline bool
ip4_input_is_class_d_or_e(uint32_t address)
{
	return address >> 28 >= 14;
}

// RFC 1812 5.2.2: version, header length, total length against what arrived, checksum.
static inline rte_edge_t
ip4_input_check_form(struct rte_mbuf *m)
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
	if (unlikely(ihl != sizeof(*ip)))
		return sl_sum(ip, ihl) == 0xffff ? SL_IP4_OPTIONS : SL_IP4_CHECKSUM;
	if (sl_sum_ip4_header(ip) != 0xffff)
		return SL_IP4_CHECKSUM;
	if (m->data_len > total)
		rte_pktmbuf_trim(m, m->data_len - total);
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
	enum sl_ip4_owner owner;
	uint32_t source, destination;

	if (unlikely(form != SL_IP4_TRANSIT))
		return form;
	source = rte_be_to_cpu_32(ip->src_addr);
	destination = rte_be_to_cpu_32(ip->dst_addr);
	if (ip4_input_is_never(source) || ip4_input_is_class_d_or_e(source) ||
	    ip4_input_owner(w->net, ip->src_addr) != SL_IP4_OTHERS)
		return SL_IP4_MARTIAN_SOURCE;
	owner = ip4_input_owner(w->net, ip->dst_addr);
	if (owner == SL_IP4_EVERYONES)
		return SL_IP4_BROADCAST;
	if (ip4_input_is_never(destination) || ip4_input_is_class_d_or_e(destination))
		return SL_IP4_MARTIAN_DESTINATION;
	meta->l4_offset = sizeof(*ip);
	meta->protocol = ip->next_proto_id;
	meta->tos = ip->type_of_service;
	meta->ttl = ip->time_to_live;
	// More-fragments or an offset; bit 14 is DF.
	if (unlikely((ip->fragment_offset & RTE_BE16(0x3fff)) != 0))
		return SL_IP4_FRAGMENT;
	if (owner == SL_IP4_OURS)
		return ip4_input_local(ip);
	return likely(ip->time_to_live > 1) ? SL_IP4_TRANSIT : SL_IP4_TTL;
}
