// stream_out: a TCP segment of this node's own toward a DNS server.
//   mailbox_rx -> stream_out -> ip4_output
// On entry the mbuf is an IPv4/TCP packet at L3 without source address, its checksum that of the packet
// as the namespace sent it, less the source address; meta->stream is the socket, meta->token the source
// port there. A SYN takes a port from where NAT ports come from; the flow made here brings the server's
// segments back to the stream thread.
#include "flow_common.h"

#include <sluice/dp/nat.h>

enum edge { NO_PORT, TABLE_FULL, NO_FLOW, OUTPUT, EDGE_COUNT };

static const char *const edges[EDGE_COUNT] = {
	[NO_PORT] = "stream_out_no_port",
	[TABLE_FULL] = "stream_out_table_full",
	[NO_FLOW] = "stream_out_no_flow",
	[OUTPUT] = "output",
};

// The flow of a socket, if it still is that.
static inline struct sl_flow *
flow_of(const struct sl_worker *w, uint32_t socket)
{
	uint32_t index = w->stream_flows[socket];
	struct sl_flow *f;

	if (index == SL_NO_FLOW)
		return NULL;
	f = sl_flow_at(w->flows, index);
	return f->kind == SL_FLOW_STREAM && f->query.token == socket ? f : NULL;
}

static enum edge
begin(struct sl_worker *w, uint32_t socket, const struct rte_ipv4_hdr *ip, rte_be16_t service)
{
	struct sl_flow_key key = { .scope_protocol = IPPROTO_TCP, .source_port_be = service };
	struct sl_flow *f;
	uint32_t index;

	if (flow_of(w, socket) != NULL) {
		sl_flow_del(w->flows, w->stream_flows[socket], 0, w->now_ns);
		w->stream_flows[socket] = SL_NO_FLOW;
	}
	sl_ip4_map(key.source, ip->dst_addr);
	if (!sl_nat_pick(w, &key))
		return NO_PORT;
	index = sl_flow_add(w->flows, &key, w->now_ns);
	if (index == SL_NO_FLOW)
		return TABLE_FULL;
	f = sl_flow_at(w->flows, index);
	f->kind = SL_FLOW_STREAM;
	f->query.token = socket;
	w->stream_flows[socket] = index;
	return OUTPUT;
}

// A SYN sent again belongs to the connection that is under way: it has its sequence number.
static inline bool
is_new(const struct sl_flow *f, const struct rte_tcp_hdr *tcp)
{
	return (tcp->tcp_flags & (RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG)) == RTE_TCP_SYN_FLAG &&
		(f == NULL || f->seq_up != rte_be_to_cpu_32(tcp->sent_seq));
}

static inline enum edge
stream_out_verdict(struct sl_worker *w, struct rte_mbuf *m)
{
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *);
	struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)(ip + 1);
	uint32_t socket = sl_meta(m)->stream;
	struct sl_ip4_ends ends = { .destination = ip->dst_addr };
	struct sl_flow *f;
	enum edge edge;
	uint16_t sum;

	if (socket >= SL_STREAM_SOCKETS)
		return NO_FLOW;
	f = flow_of(w, socket);
	if (is_new(f, tcp)) {
		edge = begin(w, socket, ip, tcp->dst_port);
		if (edge != OUTPUT)
			return edge;
		f = flow_of(w, socket);
		f->seq_up = rte_be_to_cpu_32(tcp->sent_seq);
	}
	if (f == NULL)
		return NO_FLOW;
	f->last_seen_ds = w->now_ds;
	ends.source = sl_ip4_unmap(f->key.destination);
	// RFC 1624: out with the old port, in with the new one and the address.
	sum = (uint16_t)~tcp->cksum;
	sum = sl_sum_sub(sum, tcp->src_port);
	sum = sl_sum_add(sum, f->key.destination_port_be);
	sum = sl_sum_add(sum, sl_sum_fold(ends.source));
	tcp->cksum = (uint16_t)~sum;
	tcp->src_port = f->key.destination_port_be;
	sl_ip4_fill(
		ip,
		ends,
		IPPROTO_TCP,
		rte_be_to_cpu_16(ip->total_length),
		0,
		ip->time_to_live,
		SL_IP4_DF
	);
	return OUTPUT;
}

static uint16_t
stream_out_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	return SL_FOREACH_VERDICT(graph, node, objs, nb, OUTPUT, stream_out_verdict);
}

SL_NODE(stream_out, stream_out_process, edges)
SL_DROP(stream_out_no_port,
	SL_OUR_FAULT,
	"No source port, or no route, for TCP of our own to a DNS server.")
SL_DROP(stream_out_table_full,
	SL_OUR_FAULT,
	"The flow table is full; TCP of our own to a DNS server was not sent.")
SL_DROP(stream_out_no_flow, SL_EXPECTED, "TCP of our own to a DNS server whose connection is over.")
