// reject: tell a client why its packet goes no further.
//   client_input, flow_forward, flow_open, ... -> reject -> client_output
// On entry the mbuf is the client's IPv4 packet and meta->reason says why; on exit it is the answer,
// from the address the client wrote to, which meta->resolved tells client_output.
// Rate-limited per client; what is over the limit is dropped in silence.
#include <sluice/dp/flow.h>
#include <sluice/dp/ip4.h>
#include <sluice/dp/node.h>
#include <sluice/dp/quota.h>
#include <sluice/dp/reject.h>
#include <sluice/dp/worker.h>

#define ICMP_QUOTE_BYTES 8u // of the transport header, RFC 792
#define TTL              64u

uint16_t
sl_reject_icmp(uint8_t reason)
{
	switch (reason) {
	case SL_CLOSE_NO_NAME:
	case SL_CLOSE_RESOLVER:
	case SL_CLOSE_UNREACHABLE:
	case SL_CLOSE_SHUTDOWN:
	case SL_CLOSE_UNKNOWN:
	case SL_CLOSE_NO_FLOW:
	case SL_LOCAL_NO_CONNECTOR:
	case SL_LOCAL_NO_ROUTE:
	case SL_LOCAL_NO_NEIGHBOUR:
		return 3 << 8 | 1;
	case SL_LOCAL_PROTOCOL:
		return 3 << 8 | 2;
	case SL_LOCAL_TOO_BIG:
		return 3 << 8 | 4;
	case SL_LOCAL_TTL:
		return 11 << 8 | 0;
	case SL_LOCAL_REASSEMBLY:
		return 11 << 8 | 1;
	default:
		return 3 << 8 | 13;
	}
}

// For which reasons TCP hears a RST: where the host, asked directly, could have sent one.
static bool
is_reset(uint8_t reason)
{
	switch (reason) {
	case SL_CLOSE_RESOLVER:
	case SL_CLOSE_NO_PORT:
	case SL_CLOSE_TABLE_FULL:
	case SL_CLOSE_UNREACHABLE:
	case SL_CLOSE_QUOTA:
	case SL_LOCAL_NO_CONNECTOR:
	case SL_LOCAL_PROTOCOL:
	case SL_LOCAL_TTL:
	case SL_LOCAL_TOO_BIG:
	case SL_LOCAL_NO_ROUTE:
	case SL_LOCAL_NO_NEIGHBOUR:
	case SL_LOCAL_REASSEMBLY:
		return false;
	default:
		return true;
	}
}

static void
fill_tcp_rst(
	struct rte_ipv4_hdr *ip,
	struct sl_ip4_ends ends,
	rte_be16_t source_port,
	rte_be16_t destination_port,
	rte_be32_t seq,
	rte_be32_t ack,
	uint8_t flags
)
{
	struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)(ip + 1);

	*tcp = (struct rte_tcp_hdr){ .src_port = source_port,
				     .dst_port = destination_port,
				     .sent_seq = seq,
				     .recv_ack = ack,
				     .data_off = sizeof(*tcp) / 4 << 4,
				     .tcp_flags = flags };
	tcp->cksum = (uint16_t)~sl_sum_add(
		sl_sum(tcp, sizeof(*tcp)),
		sl_ip4_pseudo_sum(ends.source, ends.destination, IPPROTO_TCP, sizeof(*tcp))
	);
	sl_ip4_fill(ip, ends, IPPROTO_TCP, sizeof(*ip) + sizeof(*tcp), 0, TTL, SL_IP4_DF);
}

// RFC 9293 section 3.10.7.1: the RST that answers a segment without a connection.
static bool
reset_packet(struct rte_mbuf *m, uint16_t l4_offset)
{
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *);
	struct rte_tcp_hdr tcp = *rte_pktmbuf_mtod_offset(m, struct rte_tcp_hdr *, l4_offset);
	struct sl_ip4_ends back = { .source = ip->dst_addr, .destination = ip->src_addr };
	uint32_t data_bytes;

	if (tcp.tcp_flags & RTE_TCP_RST_FLAG)
		return false;
	data_bytes = (uint32_t)rte_be_to_cpu_16(ip->total_length) - l4_offset -
		(uint32_t)(tcp.data_off >> 4) * 4;
	data_bytes += !!(tcp.tcp_flags & RTE_TCP_SYN_FLAG) + !!(tcp.tcp_flags & RTE_TCP_FIN_FLAG);
	m->data_len = sizeof(*ip) + sizeof(tcp);
	m->pkt_len = m->data_len;
	if (tcp.tcp_flags & RTE_TCP_ACK_FLAG)
		fill_tcp_rst(
			ip, back, tcp.dst_port, tcp.src_port, tcp.recv_ack, 0, RTE_TCP_RST_FLAG
		);
	else
		fill_tcp_rst(
			ip,
			back,
			tcp.dst_port,
			tcp.src_port,
			0,
			rte_cpu_to_be_32(rte_be_to_cpu_32(tcp.sent_seq) + data_bytes),
			RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG
		);
	return true;
}

void
sl_icmp_error_fill(
	struct rte_ipv4_hdr *ip,
	struct sl_ip4_ends ends,
	uint16_t type_code,
	uint16_t mtu,
	uint16_t quoted_bytes
)
{
	uint8_t *icmp = (uint8_t *)(ip + 1);
	uint16_t nb_bytes = (uint16_t)(8 + quoted_bytes), sum;

	memset(icmp, 0, 8);
	icmp[0] = (uint8_t)(type_code >> 8);
	icmp[1] = (uint8_t)type_code;
	if (type_code == (3 << 8 | 4)) {
		icmp[6] = (uint8_t)(mtu >> 8);
		icmp[7] = (uint8_t)mtu;
	}
	sum = (uint16_t)~sl_sum(icmp, nb_bytes);
	memcpy(icmp + 2, &sum, 2);
	sl_ip4_fill(ip, ends, IPPROTO_ICMP, (uint16_t)(sizeof(*ip) + nb_bytes), 0, TTL, 0);
}

// RFC 1122 section 3.2.2: errors are not answered.
static bool
is_icmp_error(const struct rte_mbuf *m, uint16_t l4_offset)
{
	uint8_t type = *rte_pktmbuf_mtod_offset(m, const uint8_t *, l4_offset);

	return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

static bool
icmp_packet(struct rte_mbuf *m, uint16_t l4_offset, uint8_t reason, uint16_t mtu)
{
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *);
	struct sl_ip4_ends back = { .source = ip->dst_addr, .destination = ip->src_addr };
	uint16_t quoted_bytes = (uint16_t
	)RTE_MIN(rte_pktmbuf_data_len(m), l4_offset + ICMP_QUOTE_BYTES);
	struct rte_ipv4_hdr *out;

	if (ip->fragment_offset & RTE_BE16(0x1fff))
		return false;
	if (ip->next_proto_id == IPPROTO_ICMP && is_icmp_error(m, l4_offset))
		return false;
	m->data_len = quoted_bytes;
	m->pkt_len = quoted_bytes;
	if (unlikely(rte_pktmbuf_headroom(m) < RTE_PKTMBUF_HEADROOM)) {
		// A packet that filled a large buffer.
		memmove((uint8_t *)m->buf_addr + RTE_PKTMBUF_HEADROOM, ip, quoted_bytes);
		m->data_off = RTE_PKTMBUF_HEADROOM;
	}
	out = (struct rte_ipv4_hdr *)(void *)rte_pktmbuf_prepend(m, sizeof(*out) + 8);
	if (out == NULL)
		return false;
	sl_icmp_error_fill(out, back, sl_reject_icmp(reason), mtu, quoted_bytes);
	return true;
}

bool
sl_reject_packet(struct rte_mbuf *m, uint16_t l4_offset, uint8_t reason, uint16_t mtu)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);

	if (ip->next_proto_id == IPPROTO_TCP && is_reset(reason) &&
	    rte_pktmbuf_data_len(m) >= l4_offset + sizeof(struct rte_tcp_hdr))
		return reset_packet(m, l4_offset);
	return icmp_packet(m, l4_offset, reason, mtu);
}

static uint16_t
fill_quote(struct rte_ipv4_hdr *quote, const struct sl_flow *flow, struct sl_ip4_ends ends)
{
	uint8_t protocol = (uint8_t)flow->key.scope_protocol;
	uint8_t *l4 = (uint8_t *)(quote + 1);

	memset(l4, 0, 8);
	if (protocol == IPPROTO_ICMP) {
		l4[0] = RTE_IP_ICMP_ECHO_REQUEST;
		memcpy(l4 + 4, &flow->key.source_port_be, 2);
	} else {
		memcpy(l4, &flow->key.source_port_be, 2);
		memcpy(l4 + 2, &flow->key.destination_port_be, 2);
		if (protocol == IPPROTO_TCP) {
			// The SYN: an error about a number that is not under way is not believed.
			rte_be32_t seq = rte_cpu_to_be_32(flow->seq_up - 1);

			memcpy(l4 + 4, &seq, 4);
		} else {
			l4[5] = 8;
		}
	}
	sl_ip4_fill(quote, ends, protocol, sizeof(*quote) + 8, 0, TTL, 0);
	return sizeof(*quote) + 8;
}

void
sl_reject_flow(struct rte_mbuf *m, const struct sl_flow *flow, uint8_t reason)
{
	struct sl_ip4_ends there = { .source = sl_ip4_unmap(flow->key.source),
				     .destination = sl_ip4_unmap(flow->key.destination) };
	struct sl_ip4_ends back = { .source = there.destination, .destination = there.source };
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *);
	uint16_t quoted_bytes;

	if ((uint8_t)flow->key.scope_protocol == IPPROTO_TCP &&
	    (is_reset(reason) || flow->tcp >= SL_TCP_ESTABLISHED)) {
		fill_tcp_rst(
			ip,
			back,
			flow->key.destination_port_be,
			flow->key.source_port_be,
			rte_cpu_to_be_32(flow->seq_down),
			rte_cpu_to_be_32(flow->seq_up),
			RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG
		);
		m->data_len = sizeof(*ip) + sizeof(struct rte_tcp_hdr);
	} else {
		quoted_bytes = fill_quote(
			(struct rte_ipv4_hdr *)(void *)((uint8_t *)(ip + 1) + 8), flow, there
		);
		sl_icmp_error_fill(ip, back, sl_reject_icmp(reason), 0, quoted_bytes);
		m->data_len = (uint16_t)(sizeof(*ip) + 8 + quoted_bytes);
	}
	m->pkt_len = m->data_len;
}

void
sl_reset_host(struct rte_mbuf *m, const struct sl_flow *flow)
{
	struct sl_ip4_ends there = { .source = sl_ip4_unmap(flow->key.destination),
				     .destination = sl_ip4_unmap(flow->key.source) };
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *);

	fill_tcp_rst(
		ip,
		there,
		flow->key.destination_port_be,
		flow->key.source_port_be,
		rte_cpu_to_be_32(flow->seq_up),
		rte_cpu_to_be_32(flow->seq_down),
		RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG
	);
	m->data_len = sizeof(*ip) + sizeof(struct rte_tcp_hdr);
	m->pkt_len = m->data_len;
}

enum edge { LIMITED, UNANSWERABLE, CLIENT, EDGE_COUNT };

static const char *const edges[EDGE_COUNT] = {
	[LIMITED] = "reject_limited",
	[UNANSWERABLE] = "reject_unanswerable",
	[CLIENT] = "client",
};

static inline enum edge
reject_verdict(struct sl_worker *w, struct rte_mbuf *m)
{
	struct sl_meta *meta = sl_meta(m);

	if (!sl_quota_refusal(w, meta->client))
		return LIMITED;
	meta->resolved = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *)->dst_addr;
	if (!sl_reject_packet(m, meta->l4_offset, meta->reason, (uint16_t)meta->token))
		return UNANSWERABLE;
	return CLIENT;
}

static uint16_t
reject_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	return SL_FOREACH_VERDICT(graph, node, objs, nb, CLIENT, reject_verdict);
}

SL_NODE(reject, reject_process, edges)
SL_DROP(reject_limited,
	SL_EXPECTED,
	"Refused; the limit of refusals a second was reached, so in silence.")
SL_DROP(reject_unanswerable,
	SL_EXPECTED,
	"Refused; an error, a RST or a later fragment is not answered.")
