// arp_input: the verdict, apart so that tests can hold it to octets without a graph.
#pragma once

#include <rte_arp.h>

#include <sluice/dp/node.h>
#include <sluice/dp/worker.h>

enum sl_arp_verdict {
	SL_ARP_MALFORMED,
	SL_ARP_NOT_ON_LINK, // says who a host outside the interface's prefix is
	SL_ARP_CONFLICT, // somebody else uses our address
	SL_ARP_NOT_FOR_US,
	SL_ARP_ANSWER, // a query for our address: learn, answer
	SL_ARP_PROBE, // the same from a host without an address yet: answer only (RFC 5227)
	SL_ARP_LEARN, // an answer to us, or gratuitous: learn
};

// The port's own address, or one of the link that flows leave with.
static inline bool
arp_input_is_own(const struct sl_net *net, const struct sl_port *p, rte_be32_t address)
{
	return address == p->address ||
		(((address ^ p->address) & sl_net_mask(p->prefix_bits)) == 0 &&
		 sl_net_is_nat(net, address));
}

static inline enum sl_arp_verdict
arp_input_verdict(const struct sl_net *net, const struct rte_mbuf *m, uint16_t port)
{
	const struct rte_arp_hdr *arp = rte_pktmbuf_mtod(m, const struct rte_arp_hdr *);
	const struct sl_port *p = &net->ports[port];
	rte_be32_t mask = sl_net_mask(p->prefix_bits), sender, target;
	bool is_query;

	if (m->data_len < sizeof(*arp) || arp->arp_hardware != RTE_BE16(RTE_ARP_HRD_ETHER) ||
	    arp->arp_protocol != RTE_BE16(RTE_ETHER_TYPE_IPV4) ||
	    arp->arp_hlen != RTE_ETHER_ADDR_LEN || arp->arp_plen != sizeof(rte_be32_t))
		return SL_ARP_MALFORMED;
	is_query = arp->arp_opcode == RTE_BE16(RTE_ARP_OP_REQUEST);
	if (!is_query && arp->arp_opcode != RTE_BE16(RTE_ARP_OP_REPLY))
		return SL_ARP_MALFORMED;
	if (!rte_is_valid_assigned_ether_addr(&arp->arp_data.arp_sha))
		return SL_ARP_MALFORMED;
	sender = arp->arp_data.arp_sip;
	target = arp->arp_data.arp_tip;
	if (sender == 0)
		return is_query && arp_input_is_own(net, p, target) ? SL_ARP_PROBE
								    : SL_ARP_NOT_FOR_US;
	if (arp_input_is_own(net, p, sender))
		return SL_ARP_CONFLICT;
	if (((sender ^ p->address) & mask) != 0)
		return SL_ARP_NOT_ON_LINK;
	if (arp_input_is_own(net, p, target))
		return is_query ? SL_ARP_ANSWER : SL_ARP_LEARN;
	return target == sender ? SL_ARP_LEARN : SL_ARP_NOT_FOR_US;
}
