// unreachable: tell the far end of a flow that its packet could not be sent from here.
//   ip4_output | neighbour_sweep | wireguard_cut -> unreachable -> error_collect (connector) |
//   error_forward (PoP)
// On entry the mbuf is an IPv4 packet at L3 that this node made of a record, and meta->reason says
// why it does not go on: no route, a silent next hop, an MTU (meta->token). On exit it is the ICMP
// error that a router on its way would have sent, which goes the way of those: it is believed if it
// quotes a packet of a flow, and becomes an ERROR record. Everything else is dropped under its reason.
#include <sluice/dp/inner.h>
#include <sluice/dp/node.h>
#include <sluice/dp/reject.h>

enum edge { UNSORTED, NO_ROUTE, TOO_BIG, UNANSWERED, FLOW, EDGE_COUNT };

static const char *const edges[EDGE_COUNT] = {
	[UNSORTED] = "unreachable_unsorted",
	[NO_ROUTE] = "ip4_output_no_route",
	[TOO_BIG] = "ip4_output_too_big",
	[UNANSWERED] = "neighbour_sweep_unanswered",
	[FLOW] = "flow",
};

// A datagram of a tunnel or of WireGuard: what it carries has no header to quote.
static bool
is_outer(const struct sl_worker *w, const struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	const struct rte_udp_hdr *udp = (const struct rte_udp_hdr *)(ip + 1);
	const struct sl_net *net = w->net;
	uint16_t port;

	if (ip->next_proto_id != IPPROTO_UDP || sl_net_port_of(net, ip->src_addr) == NULL ||
	    rte_pktmbuf_data_len(m) < sizeof(*ip) + sizeof(*udp))
		return false;
	port = rte_be_to_cpu_16(udp->src_port);
	return (net->tunnel_port_first != 0 && port >= net->tunnel_port_first &&
		port <= net->tunnel_port_last) ||
		(net->wireguard_port != 0 && port == net->wireguard_port);
}

static enum edge
drop_of(uint8_t reason)
{
	switch (reason) {
	case SL_LOCAL_NO_ROUTE:
		return NO_ROUTE;
	case SL_LOCAL_NO_NEIGHBOUR:
		return UNANSWERED;
	case SL_LOCAL_TOO_BIG:
		return TOO_BIG;
	default:
		return UNSORTED;
	}
}

static inline enum edge
unreachable_verdict(struct sl_worker *w, struct rte_mbuf *m)
{
	struct sl_meta *meta = sl_meta(m);
	const struct sl_client *client;

	if (w->flows == NULL || is_outer(w, m) ||
	    !sl_reject_packet(m, sizeof(struct rte_ipv4_hdr), meta->reason, (uint16_t)meta->token))
		return drop_of(meta->reason);
	meta->l4_offset = sizeof(struct rte_ipv4_hdr);
	meta->protocol = IPPROTO_ICMP;
	// To a client: its own end says so.
	if (meta->client == SL_NO_CLIENT || w->snapshot == NULL ||
	    meta->client >= w->snapshot->nb_clients)
		return FLOW;
	client = &w->snapshot->clients[meta->client];
	meta->port = client->session == SL_NO_SESSION ? client->port : SL_PORT_WIREGUARD;
	meta->vlan = client->vlan;
	return FLOW;
}

static uint16_t
unreachable_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	return SL_FOREACH_VERDICT(graph, node, objs, nb, FLOW, unreachable_verdict);
}

SL_NODE(unreachable, unreachable_process, edges)
SL_DROP(unreachable_unsorted, SL_OUR_FAULT, "Packet that could not be sent, without a reason.")
