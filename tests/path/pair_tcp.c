// A TCP connection between client and host, played segment by segment.
#include "pair_internal.h"

static void
expect_segment(
	const struct pair_packet *p,
	uint32_t seq,
	uint32_t ack,
	uint8_t flags,
	const void *data,
	size_t nb
)
{
	CU_ASSERT_EQUAL_FATAL(p->ip->next_proto_id, IPPROTO_TCP);
	CU_ASSERT_EQUAL(rte_be_to_cpu_32(p->tcp->sent_seq), seq);
	CU_ASSERT_EQUAL(rte_be_to_cpu_32(p->tcp->recv_ack), ack);
	CU_ASSERT_EQUAL(p->tcp->tcp_flags, flags);
	CU_ASSERT_EQUAL_FATAL(p->payload_bytes, nb);
	CU_ASSERT(nb == 0 || memcmp(p->payload, data, nb) == 0);
}

static uint32_t
length_of(uint8_t flags, size_t nb_bytes)
{
	return (uint32_t)nb_bytes + !!(flags & (RTE_TCP_SYN_FLAG | RTE_TCP_FIN_FLAG));
}

void
pair_tcp_up(struct pair_tcp *t, uint8_t flags, const void *data, size_t nb_bytes)
{
	static struct pair_packet p;
	bool has_ack = (flags & RTE_TCP_ACK_FLAG) != 0;

	pair_client_send(&(struct packet_spec){ .destination = t->address,
						.protocol = IPPROTO_TCP,
						.source_port = t->client_port,
						.destination_port = t->service,
						.tcp_flags = flags,
						.tcp_seq = t->client_seq,
						.tcp_ack = has_ack ? t->host_seq : 0,
						.payload = data,
						.payload_bytes = nb_bytes });
	if (!pair_host_take(&p)) {
		CU_FAIL("the segment did not reach the host");
		return;
	}
	expect_segment(&p, t->client_seq, has_ack ? t->host_seq : 0, flags, data, nb_bytes);
	CU_ASSERT_EQUAL(p.ip->src_addr, packet_ip(CONN_INNER));
	CU_ASSERT_EQUAL(p.tcp->dst_port, rte_cpu_to_be_16(t->service));
	CU_ASSERT_EQUAL(p.ip->time_to_live, 63);
	if (t->nat_port == 0)
		t->nat_port = rte_be_to_cpu_16(p.tcp->src_port);
	CU_ASSERT_EQUAL(rte_be_to_cpu_16(p.tcp->src_port), t->nat_port);
	t->client_seq += length_of(flags, nb_bytes);
}

void
pair_tcp_down(struct pair_tcp *t, uint8_t flags, const void *data, size_t nb_bytes)
{
	static struct pair_packet p;

	pair_host_send(&(struct packet_spec){ .protocol = IPPROTO_TCP,
					      .source_port = t->service,
					      .destination_port = t->nat_port,
					      .tcp_flags = flags,
					      .tcp_seq = t->host_seq,
					      .tcp_ack = t->client_seq,
					      .payload = data,
					      .payload_bytes = nb_bytes });
	if (!pair_client_take(&p)) {
		CU_FAIL("the segment did not reach the client");
		return;
	}
	expect_segment(&p, t->host_seq, t->client_seq, flags, data, nb_bytes);
	CU_ASSERT_EQUAL(p.ip->src_addr, packet_ip(t->address));
	CU_ASSERT_EQUAL(p.ip->dst_addr, packet_ip(CLIENT));
	CU_ASSERT_EQUAL(p.tcp->src_port, rte_cpu_to_be_16(t->service));
	CU_ASSERT_EQUAL(p.tcp->dst_port, rte_cpu_to_be_16(t->client_port));
	CU_ASSERT_EQUAL(p.ip->time_to_live, 63);
	t->host_seq += length_of(flags, nb_bytes);
}

void
pair_tcp_open(struct pair_tcp *t, const char *address, uint16_t client_port, uint16_t service)
{
	*t = (struct pair_tcp){ .address = address,
				.client_port = client_port,
				.service = service,
				.client_seq = 1000,
				.host_seq = 500000 };
	pair_tcp_up(t, RTE_TCP_SYN_FLAG, NULL, 0);
	pair_tcp_down(t, RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG, NULL, 0);
	pair_tcp_up(t, RTE_TCP_ACK_FLAG, NULL, 0);
}
