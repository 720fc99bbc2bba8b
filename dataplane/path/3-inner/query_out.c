// query_out: a DNS query of this node's own onto the wire.
//   mailbox_rx -> query_out -> ip4_output
// On entry the mbuf is an IPv4/UDP packet at L3 without source address and checksum,
// meta->token says whose it is; the source port is a random number. The port comes from where NAT
// ports come from, searched from there on; the flow made here brings the answer back to the session
// thread.
#include "flow_common.h"

#include <sluice/dp/nat.h>
#include <sluice/dp/reply.h>

enum edge { NO_PORT, TABLE_FULL, OUTPUT, EDGE_COUNT };

static const char *const edges[EDGE_COUNT] = {
	[NO_PORT] = "query_out_no_port",
	[TABLE_FULL] = "query_out_table_full",
	[OUTPUT] = "output",
};

static inline enum edge
query_out_verdict(struct sl_worker *w, struct rte_mbuf *m)
{
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *);
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(ip + 1);
	struct sl_flow_key key = { .scope_protocol = IPPROTO_UDP, .source_port_be = udp->dst_port };
	uint16_t udp_bytes = rte_be_to_cpu_16(udp->dgram_len), sum;
	struct sl_ip4_ends ends = { .destination = ip->dst_addr };
	uint32_t index;

	sl_ip4_map(key.source, ip->dst_addr);
	if (!sl_nat_pick_from(w, &key, udp->src_port))
		return NO_PORT;
	index = sl_flow_add(w->flows, &key, w->now_ns);
	if (index == SL_NO_FLOW)
		return TABLE_FULL;
	sl_flow_at(w->flows, index)->kind = SL_FLOW_QUERY;
	sl_flow_at(w->flows, index)->query.token = sl_meta(m)->token;
	memcpy(&sl_flow_at(w->flows, index)->query.id_be, udp + 1, sizeof(rte_be16_t));
	ends.source = sl_ip4_unmap(key.destination);
	udp->src_port = key.destination_port_be;
	udp->dgram_cksum = 0;
	sum = (uint16_t)~sl_sum_add(
		sl_sum(udp, udp_bytes),
		sl_ip4_pseudo_sum(ends.source, ends.destination, IPPROTO_UDP, udp_bytes)
	);
	udp->dgram_cksum = sum == 0 ? 0xffff : sum;
	sl_ip4_fill(ip, ends, IPPROTO_UDP, (uint16_t)(sizeof(*ip) + udp_bytes), 0, SL_REPLY_TTL, 0);
	return OUTPUT;
}

static uint16_t
query_out_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	return SL_FOREACH_VERDICT(graph, node, objs, nb, OUTPUT, query_out_verdict);
}

SL_NODE(query_out, query_out_process, edges)
SL_DROP(query_out_no_port, SL_OUR_FAULT, "No source port, or no route, for a DNS query of our own.")
SL_DROP(query_out_table_full,
	SL_OUR_FAULT,
	"The flow table is full; a DNS query of our own was not sent.")
