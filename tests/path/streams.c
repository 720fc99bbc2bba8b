// DNS over TCP as the workers see it: which segments reach the stream thread, where answers to its questions go, and
// TCP of our own toward DNS servers. The test is the stream thread.
#include "pair.h"

#include <sluice/dp/ip4.h>
#include <string.h>

static struct pair_packet p;

static struct packet_spec
syn(const char *from, uint16_t service)
{
	return (struct packet_spec){ .source = from,
				     .destination = RESOLVER,
				     .protocol = IPPROTO_TCP,
				     .source_port = 4000,
				     .destination_port = service,
				     .tcp_flags = RTE_TCP_SYN_FLAG,
				     .tcp_seq = 7000 };
}

static bool
is_refused(const char *from, uint16_t service)
{
	struct packet_spec s = syn(from, service);

	pair_client_send(&s);
	return path_take_stream(pair.pop) == NULL && pair_client_take(&p) &&
		p.ip->next_proto_id == IPPROTO_TCP && (p.tcp->tcp_flags & RTE_TCP_RST_FLAG) != 0;
}

static void
test_segments(void)
{
	const struct pair_conf serving = { .serves_tcp = true };
	struct packet_spec s = syn(CLIENT, 53);
	const struct rte_ipv4_hdr *ip;
	struct rte_mbuf *m;

	pair_begin(&serving);
	pair_client_send(&s);
	m = path_take_stream(pair.pop);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	CU_ASSERT_EQUAL(ip->src_addr, packet_ip(CLIENT));
	CU_ASSERT_EQUAL(ip->dst_addr, packet_ip(RESOLVER));
	CU_ASSERT_EQUAL(ip->next_proto_id, IPPROTO_TCP);
	CU_ASSERT_NOT_EQUAL(sl_meta(m)->client, SL_NO_CLIENT);
	CU_ASSERT_EQUAL(sl_meta(m)->stream, 0);
	rte_pktmbuf_free(m);
	CU_ASSERT_FALSE(pair_client_take(&p));
	// Who is no client gets no octet; an address of the namespace within is a stranger's too.
	s = syn(STRANGER, 53);
	pair_client_send(&s);
	s = syn("10.128.0.0", 53);
	pair_client_send(&s);
	s = syn("10.0.0.99", 80);
	pair_client_send(&s);
	CU_ASSERT_PTR_NULL(path_take_stream(pair.pop));
	CU_ASSERT_FALSE(pair_client_take(&p));
	CU_ASSERT_EQUAL(pair_drops(pair.pop, "dns_stream_no_client"), 3);
	// Nothing but what is served.
	CU_ASSERT_TRUE(is_refused(CLIENT, 853));
	CU_ASSERT_TRUE(is_refused(CLIENT, 22));
	CU_ASSERT_TRUE(is_refused(CLIENT, 10000));
	pair_end("segments");
	pair_begin(NULL);
	CU_ASSERT_TRUE(is_refused(CLIENT, 53));
	pair_end("not served");
}

// A question as the stream thread passes it on.
static void
ask(const char *from, const char *name, uint32_t stream)
{
	struct rte_mbuf *m = sl_dp_alloc_mbuf(path_dp(pair.pop));
	struct sl_name wire;
	struct rte_ipv4_hdr *ip;
	struct rte_udp_hdr *udp;
	size_t nb;

	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT_EQUAL_FATAL(sl_name_from_text(&wire, name), SL_NAME_OK);
	ip = (void *)rte_pktmbuf_append(m, 400);
	udp = (struct rte_udp_hdr *)(ip + 1);
	nb = sl_query_build(
		(uint8_t *)(udp + 1), 300, 77, wire.wire, wire.nb_bytes, SL_DNS_A, SL_DNS_RD
	);
	rte_pktmbuf_trim(m, (uint16_t)(400 - 28 - nb));
	sl_ip4_fill(
		ip,
		(struct sl_ip4_ends){ packet_ip(from), packet_ip(RESOLVER) },
		IPPROTO_UDP,
		(uint16_t)(28 + nb),
		0,
		64,
		0
	);
	*udp = (struct rte_udp_hdr){ .dst_port = RTE_BE16(53),
				     .dgram_len = rte_cpu_to_be_16((uint16_t)(8 + nb)) };
	sl_meta(m)->l4_offset = sizeof(*ip);
	sl_meta(m)->protocol = IPPROTO_UDP;
	sl_meta(m)->stage = SL_STAGE_CLIENT;
	sl_meta(m)->stream = stream;
	CU_ASSERT_EQUAL_FATAL(sl_dp_send_stream(path_dp(pair.pop), 0, m), 0);
	path_run();
}

static void
test_questions(void)
{
	const struct pair_conf serving = { .serves_tcp = true };
	const char *names[] = { GIT, WILD };
	struct rte_mbuf *m;

	pair_begin(&serving);
	pair_resolve(GIT);
	for (unsigned i = 0; i < 2; i++) {
		const uint8_t *message;

		ask(CLIENT, names[i], 5 + i);
		CU_ASSERT_FALSE(pair_client_take(&p)); // it goes back by its connection alone
		m = path_take_stream(pair.pop);
		CU_ASSERT_PTR_NOT_NULL_FATAL(m);
		CU_ASSERT_EQUAL(sl_meta(m)->stream, 5 + i);
		message = rte_pktmbuf_mtod_offset(m, const uint8_t *, 28);
		CU_ASSERT_EQUAL(sl_get16(message), 77);
		CU_ASSERT_EQUAL(message[3] & 0xf, SL_RCODE_NOERROR);
		CU_ASSERT_EQUAL(message[7], 1);
		rte_pktmbuf_free(m);
	}
	// Who was a client when the connection was made, and is none now.
	ask(STRANGER, GIT, 9);
	CU_ASSERT_PTR_NULL(path_take_stream(pair.pop));
	CU_ASSERT_EQUAL(pair_drops(pair.pop, "dns_answer_no_client"), 1);
	pair_end("questions");
}

// A segment of socket `socket` toward the private DNS, as the stream thread makes it.
static void
send_out(uint32_t socket, uint8_t flags, uint32_t seq)
{
	struct rte_mbuf *m = sl_dp_alloc_mbuf(path_dp(pair.connector));
	struct rte_ipv4_hdr *ip;
	struct rte_tcp_hdr *tcp;

	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	ip = (void *)rte_pktmbuf_append(m, 40);
	tcp = (struct rte_tcp_hdr *)(ip + 1);
	sl_ip4_fill(
		ip,
		(struct sl_ip4_ends){ .destination = packet_ip(HOST) },
		IPPROTO_TCP,
		40,
		0,
		64,
		SL_IP4_DF
	);
	*tcp = (struct rte_tcp_hdr){ .src_port = rte_cpu_to_be_16((uint16_t)(10000 + socket)),
				     .dst_port = RTE_BE16(53),
				     .sent_seq = rte_cpu_to_be_32(seq),
				     .data_off = 0x50,
				     .tcp_flags = flags };
	tcp->cksum = rte_ipv4_udptcp_cksum(ip, tcp); // with no source address in it
	sl_meta(m)->l4_offset = sizeof(*ip);
	sl_meta(m)->protocol = IPPROTO_TCP;
	sl_meta(m)->stage = SL_STAGE_STREAM;
	sl_meta(m)->stream = socket;
	CU_ASSERT_EQUAL_FATAL(
		sl_dp_send_stream(path_dp(pair.connector), socket % PATH_WORKERS, m), 0
	);
	path_run();
}

static void
server_answers(uint16_t to_port, uint8_t flags)
{
	struct packet_spec back = { .protocol = IPPROTO_TCP,
				    .source_port = 53,
				    .destination_port = to_port,
				    .tcp_flags = flags,
				    .tcp_seq = 1 };

	pair_host_send(&back);
}

static void
test_servers(void)
{
	uint16_t ports[3];
	struct rte_mbuf *m;
	uint64_t nb_before;

	pair_begin(NULL);
	nb_before = pair_drops(pair.connector, "flow_collect_no_flow");
	for (uint32_t socket = 0; socket < 2; socket++) {
		send_out(socket, RTE_TCP_SYN_FLAG, 1000);
		CU_ASSERT_TRUE_FATAL(pair_host_take(&p)); // checksums are verified there
		CU_ASSERT_EQUAL(p.ip->src_addr, packet_ip(CONN_INNER));
		CU_ASSERT_EQUAL(p.tcp->dst_port, RTE_BE16(53));
		ports[socket] = rte_be_to_cpu_16(p.tcp->src_port);
		send_out(socket, RTE_TCP_SYN_FLAG, 1000); // once more: the same connection
		CU_ASSERT_TRUE_FATAL(pair_host_take(&p));
		CU_ASSERT_EQUAL(rte_be_to_cpu_16(p.tcp->src_port), ports[socket]);
	}
	CU_ASSERT_NOT_EQUAL(ports[0], ports[1]);
	for (uint32_t socket = 0; socket < 2; socket++) {
		server_answers(ports[socket], RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG);
		m = path_take_stream(pair.connector);
		CU_ASSERT_PTR_NOT_NULL_FATAL(m);
		CU_ASSERT_EQUAL(sl_meta(m)->stream, socket);
		CU_ASSERT_EQUAL(sl_meta(m)->client, SL_NO_CLIENT);
		rte_pktmbuf_free(m);
	}
	// A new connection of the socket: the old one's segments are nobody's.
	send_out(0, RTE_TCP_SYN_FLAG, 5000);
	CU_ASSERT_TRUE_FATAL(pair_host_take(&p));
	ports[2] = rte_be_to_cpu_16(p.tcp->src_port);
	CU_ASSERT_NOT_EQUAL(ports[2], ports[0]);
	server_answers(ports[0], RTE_TCP_ACK_FLAG);
	server_answers(29998, RTE_TCP_SYN_FLAG);
	CU_ASSERT_PTR_NULL(path_take_stream(pair.connector));
	// The forged answer that pair_begin() plays may have come late as well.
	CU_ASSERT_EQUAL(pair_drops(pair.connector, "flow_collect_no_flow"), nb_before + 2);
	// Nothing leaves for a socket without a connection.
	send_out(7, RTE_TCP_ACK_FLAG, 1);
	send_out(SL_STREAM_SOCKETS, RTE_TCP_SYN_FLAG, 1);
	CU_ASSERT_FALSE(pair_host_take(&p));
	CU_ASSERT_EQUAL(pair_drops(pair.connector, "stream_out_no_flow"), 2);
	pair_end("servers");
}

static const struct sl_test_case cases[] = {
	{ "A17: of TCP to a resolver only clients' to a served port goes further", test_segments },
	{ "A14: the answer to a question that came by TCP goes back by its connection",
	  test_questions },
	{ "A14: TCP of our own has a port of the NAT's, and only its server is heard",
	  test_servers },
};

int
main(int argc, char **argv)
{
	return PAIR_MAIN(argc, argv, cases);
}
