// frame: Ethernet headers and ARP queries, shared by the nodes that make frames.
#pragma once

#include <rte_arp.h>
#include <rte_ether.h>
#include <rte_mbuf.h>

#include <sluice/dp/worker.h>
#include <string.h>

// Put an Ethernet header, with the port's VLAN tag if it has one, before a packet at L3, and note the
// port as the one it leaves by. The headroom is always there: received packets had a header, and ours
// are built with the default headroom.
static inline void
frame_prepend(
	const struct sl_net *net,
	struct rte_mbuf *m,
	uint16_t port,
	const struct rte_ether_addr *to,
	uint16_t type
)
{
	const struct sl_port *p = &net->ports[port];
	struct rte_ether_hdr *eth;

	if (p->vlan != 0) {
		struct rte_vlan_hdr *tag = (void *)rte_pktmbuf_prepend(m, sizeof(*tag));

		tag->vlan_tci = rte_cpu_to_be_16(p->vlan);
		tag->eth_proto = rte_cpu_to_be_16(type);
		type = RTE_ETHER_TYPE_VLAN;
	}
	eth = (void *)rte_pktmbuf_prepend(m, sizeof(*eth));
	eth->dst_addr = *to;
	eth->src_addr = p->mac;
	eth->ether_type = rte_cpu_to_be_16(type);
	m->l2_len = p->vlan != 0 ? sizeof(*eth) + sizeof(struct rte_vlan_hdr) : sizeof(*eth);
	sl_meta(m)->out_port = port;
}

// A broadcast frame that asks who has `address`, ready for port_tx; NULL without a buffer.
static inline struct rte_mbuf *
frame_arp_query(struct sl_worker *w, uint16_t port, rte_be32_t address)
{
	static const struct rte_ether_addr everyone = { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } };
	const struct sl_port *p = &w->net->ports[port];
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->pool);
	struct rte_arp_hdr *arp;

	if (m == NULL)
		return NULL;
	memset(sl_meta(m), 0, sizeof(struct sl_meta));
	arp = (void *)rte_pktmbuf_append(m, sizeof(*arp));
	*arp = (struct rte_arp_hdr){
		.arp_hardware = RTE_BE16(RTE_ARP_HRD_ETHER),
		.arp_protocol = RTE_BE16(RTE_ETHER_TYPE_IPV4),
		.arp_hlen = RTE_ETHER_ADDR_LEN,
		.arp_plen = sizeof(rte_be32_t),
		.arp_opcode = RTE_BE16(RTE_ARP_OP_REQUEST),
		.arp_data = { .arp_sha = p->mac, .arp_sip = p->address, .arp_tip = address },
	};
	frame_prepend(w->net, m, port, &everyone, RTE_ETHER_TYPE_ARP);
	w->stats.created++;
	return m;
}
