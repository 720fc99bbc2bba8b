// port_tx: send frames, run by run per port.
//   eth_output | arp_input | neighbour_* -> port_tx -> (port meta->out_port, queue of this worker)
// The mbuf starts at the Ethernet header. A node that wants a UDP checksum sets
// RTE_MBUF_F_TX_UDP_CKSUM and leaves a zero checksum; where the port cannot, it is summed here.
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_udp.h>

#include <sluice/dp/node.h>
#include <sluice/dp/worker.h>

enum edge { LINK_DOWN, FULL, EDGE_COUNT };

static const char *const edges[EDGE_COUNT] = {
	[LINK_DOWN] = "port_tx_link_down",
	[FULL] = "port_tx_full",
};

// What the port will not do: the UDP checksum in software. Where it will, the pseudo-header's sum,
// which it expects.
static inline void
finish_udp(const struct sl_port *p, struct rte_mbuf *m)
{
	uint16_t l2_bytes = RTE_ETHER_HDR_LEN + (p->vlan != 0 ? RTE_VLAN_HLEN : 0);
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, l2_bytes);
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(ip + 1);

	if (p->is_udp_checksum_offloaded) {
		m->l2_len = p->vlan != 0 ? RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN : RTE_ETHER_HDR_LEN;
		m->l3_len = sizeof(*ip);
		m->ol_flags |= RTE_MBUF_F_TX_IPV4;
		udp->dgram_cksum = rte_ipv4_phdr_cksum(ip, m->ol_flags);
		return;
	}
	m->ol_flags &= ~RTE_MBUF_F_TX_UDP_CKSUM;
	udp->dgram_cksum = 0;
	udp->dgram_cksum = rte_ipv4_udptcp_cksum(ip, udp);
}

static void
send_run(
	struct rte_graph *graph,
	struct rte_node *node,
	uint16_t port,
	struct rte_mbuf **m,
	uint16_t nb
)
{
	struct sl_worker *w = sl_node_worker(node);
	const struct sl_port *p = &w->net->ports[port];
	uint64_t bytes = 0, lost_bytes = 0;
	uint16_t sent;

	if (unlikely(!atomic_load_explicit(&p->link_up, memory_order_relaxed))) {
		rte_node_enqueue(graph, node, LINK_DOWN, (void **)m, nb);
		return;
	}
	for (uint16_t i = 0; i < nb; i++) {
		if (unlikely((m[i]->ol_flags & RTE_MBUF_F_TX_UDP_CKSUM) != 0))
			finish_udp(p, m[i]);
		bytes += m[i]->pkt_len;
	}
	sent = rte_eth_tx_burst(p->ethdev, w->idx, m, nb);
	for (uint16_t i = sent; i < nb; i++)
		lost_bytes += m[i]->pkt_len;
	w->stats.tx_pkts[port] += sent;
	w->stats.tx_bytes[port] += bytes - lost_bytes;
	if (unlikely(sent < nb))
		rte_node_enqueue(graph, node, FULL, (void **)(m + sent), (uint16_t)(nb - sent));
}

static uint16_t
port_tx_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb_objs)
{
	struct rte_mbuf **m = (struct rte_mbuf **)objs;

	for (uint16_t i = 0; i < nb_objs;) {
		uint16_t port = sl_meta(m[i])->out_port;
		uint16_t end = i + 1;

		while (end < nb_objs && sl_meta(m[end])->out_port == port)
			end++;
		send_run(graph, node, port, m + i, (uint16_t)(end - i));
		i = end;
	}
	return nb_objs;
}

SL_NODE_FLAGS(port_tx, port_tx_process, edges, SL_NODE_FINAL_F)
SL_DROP(port_tx_link_down, SL_OUR_FAULT, "The port the packet leaves by has no link.")
SL_DROP(port_tx_full, SL_OUR_FAULT, "The port does not take packets as fast as they come.")
