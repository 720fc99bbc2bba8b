// eth_input: the verdict, apart so that tests can hold it to octets without a graph.
#pragma once

#include <rte_ether.h>

#include <sluice/dp/node.h>
#include <sluice/dp/worker.h>

enum sl_eth_edge {
	SL_ETH_BAD_TYPE,
	SL_ETH_RUNT,
	SL_ETH_NOT_OURS,
	SL_ETH_BAD_VLAN,
	SL_ETH_SEGMENTED,
	SL_ETH_IP4,
	SL_ETH_ARP,
	SL_ETH_EDGE_COUNT
};

// The interface of a VLAN on the ethdev of interface `first`; UINT16_MAX if there is none.
static inline uint16_t
eth_input_port(const struct sl_net *net, uint16_t first, uint16_t vlan)
{
	if (likely(net->ports[first].vlan == vlan))
		return first;
	for (uint16_t i = first + 1; i < net->nb_ports; i++)
		if (net->ports[i].ethdev == net->ports[first].ethdev && net->ports[i].vlan == vlan)
			return i;
	return UINT16_MAX;
}

// Take the 802.1Q tag, if there is one. Priority-tagged frames (VLAN 0) count as untagged.
static inline bool
eth_input_untag(const struct rte_mbuf *m, uint16_t *type, uint16_t *vlan, uint16_t *bytes)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	const struct rte_vlan_hdr *tag = (const struct rte_vlan_hdr *)(eth + 1);

	*type = eth->ether_type;
	*vlan = 0;
	*bytes = sizeof(*eth);
	if (unlikely((m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0))
		*vlan = m->vlan_tci & 0xfff;
	if (likely(eth->ether_type != RTE_BE16(RTE_ETHER_TYPE_VLAN)))
		return true;
	if (m->data_len < sizeof(*eth) + sizeof(*tag))
		return false;
	*type = tag->eth_proto;
	*vlan = rte_be_to_cpu_16(tag->vlan_tci) & 0xfff;
	*bytes += sizeof(*tag);
	return true;
}

// Frames that are tagged, not IPv4, not for us, or not whole.
static __rte_noinline rte_edge_t
eth_input_rare(struct sl_worker *w, struct rte_mbuf *m)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	struct sl_meta *meta = sl_meta(m);
	uint16_t type, vlan, bytes, port;

	if (unlikely(m->nb_segs != 1))
		return SL_ETH_SEGMENTED;
	if (m->data_len < sizeof(*eth) || !eth_input_untag(m, &type, &vlan, &bytes))
		return SL_ETH_RUNT;
	port = eth_input_port(w->net, meta->port, vlan);
	if (port == UINT16_MAX)
		return SL_ETH_BAD_VLAN;
	meta->port = port;
	meta->vlan = vlan;
	if (!rte_is_same_ether_addr(&eth->dst_addr, &w->net->ports[port].mac) &&
	    !rte_is_broadcast_ether_addr(&eth->dst_addr))
		return SL_ETH_NOT_OURS;
	rte_pktmbuf_adj(m, bytes);
	if (likely(type == RTE_BE16(RTE_ETHER_TYPE_IPV4)))
		return SL_ETH_IP4;
	return type == RTE_BE16(RTE_ETHER_TYPE_ARP) ? SL_ETH_ARP : SL_ETH_BAD_TYPE;
}

// Untagged IPv4 to the port's own address: decided by two words, with the metadata as it came.
static inline rte_edge_t
eth_input_verdict(struct sl_worker *w, struct rte_mbuf *m)
{
	const struct sl_port *port = &w->net->ports[sl_meta(m)->port];
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	uint64_t to, own;

	if (unlikely(m->data_len < sizeof(*eth) + sizeof(own)))
		return eth_input_rare(w, m);
	memcpy(&to, eth, sizeof(to));
	memcpy(&own, port->mac.addr_bytes, sizeof(own));
	if (unlikely(((to ^ own) << 16) != 0) ||
	    unlikely(eth->ether_type != RTE_BE16(RTE_ETHER_TYPE_IPV4)) ||
	    unlikely((m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0) ||
	    unlikely(port->vlan != 0) || unlikely(m->nb_segs != 1))
		return eth_input_rare(w, m);
	m->data_off = (uint16_t)(m->data_off + sizeof(*eth));
	m->data_len = (uint16_t)(m->data_len - sizeof(*eth));
	m->pkt_len -= (uint32_t)sizeof(*eth);
	return SL_ETH_IP4;
}
