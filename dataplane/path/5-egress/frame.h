// frame: Ethernet headers and ARP queries, shared by the nodes that make frames.
#pragma once

#include <rte_arp.h>
#include <rte_ether.h>
#include <rte_mbuf.h>

#include <sluice/dp/worker.h>
#include <string.h>

// An Ethernet header, with the port's VLAN tag if it has one, to put before packets at L3.
struct frame_head {
	uint8_t octets[sizeof(struct rte_ether_hdr) + sizeof(struct rte_vlan_hdr)];
	uint16_t nb_bytes;
};

static inline struct frame_head
frame_head(const struct sl_port *p, const struct rte_ether_addr *to, uint16_t type)
{
	struct rte_ether_hdr eth = { .dst_addr = *to, .src_addr = p->mac };
	struct rte_vlan_hdr tag = { .vlan_tci = rte_cpu_to_be_16(p->vlan),
				    .eth_proto = rte_cpu_to_be_16(type) };
	struct frame_head head = { .nb_bytes = sizeof(eth) };

	eth.ether_type = rte_cpu_to_be_16(p->vlan != 0 ? RTE_ETHER_TYPE_VLAN : type);
	memcpy(head.octets, &eth, sizeof(eth));
	if (p->vlan == 0)
		return head;
	memcpy(head.octets + sizeof(eth), &tag, sizeof(tag));
	head.nb_bytes += sizeof(tag);
	return head;
}

// The headroom is always there: received packets had a header, and ours are built with the default
// headroom.
static inline void
frame_put(struct rte_mbuf *m, const struct frame_head *head)
{
	uint8_t *p;

	m->data_off = (uint16_t)(m->data_off - head->nb_bytes);
	m->data_len = (uint16_t)(m->data_len + head->nb_bytes);
	m->pkt_len += head->nb_bytes;
	p = rte_pktmbuf_mtod(m, uint8_t *);
	memcpy(p, head->octets, sizeof(struct rte_ether_hdr));
	if (unlikely(head->nb_bytes != sizeof(struct rte_ether_hdr)))
		memcpy(p + sizeof(struct rte_ether_hdr),
		       head->octets + sizeof(struct rte_ether_hdr),
		       sizeof(struct rte_vlan_hdr));
}

// Frame one packet for `port`, which is noted as the one it leaves by.
static inline void
frame_prepend(
	const struct sl_net *net,
	struct rte_mbuf *m,
	uint16_t port,
	const struct rte_ether_addr *to,
	uint16_t type
)
{
	struct frame_head head = frame_head(&net->ports[port], to, type);

	frame_put(m, &head);
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
