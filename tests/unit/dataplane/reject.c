// RSTs and ICMP errors: right in every octet, and never an answer to what must not be answered.
#include "sl_test.h"

#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>

#include <netinet/in.h>
#include <sluice/dp/flow.h>
#include <sluice/dp/ip4.h>
#include <sluice/dp/reject.h>
#include <string.h>

#define ROOM 2048

static uint8_t memory[ROOM];
static struct rte_mbuf mbuf;

static const rte_be32_t client = RTE_BE32(0xc0a8010a), service = RTE_BE32(0x64600001);

// A packet of the client's in the mbuf, at L3.
static struct rte_ipv4_hdr *
packet(uint8_t protocol, const void *l4, uint16_t nb_bytes)
{
	struct rte_ipv4_hdr *ip = (void *)(memory + 256);

	mbuf = (struct rte_mbuf){ .buf_addr = memory,
				  .buf_len = ROOM,
				  .data_off = 256,
				  .nb_segs = 1,
				  .data_len = (uint16_t)(sizeof(*ip) + nb_bytes) };
	mbuf.pkt_len = mbuf.data_len;
	sl_ip4_fill(ip, (struct sl_ip4_ends){ client, service }, protocol, mbuf.data_len, 0, 64, 0);
	if (nb_bytes != 0)
		memcpy(ip + 1, l4, nb_bytes);
	return ip;
}

static const struct rte_ipv4_hdr *
answer(void)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(&mbuf, const struct rte_ipv4_hdr *);
	uint16_t nb_l4 = (uint16_t)(mbuf.data_len - sizeof(*ip));

	CU_ASSERT_EQUAL(rte_be_to_cpu_16(ip->total_length), mbuf.data_len);
	CU_ASSERT_EQUAL(rte_raw_cksum(ip, sizeof(*ip)), 0xffff);
	CU_ASSERT_EQUAL(ip->src_addr, service);
	CU_ASSERT_EQUAL(ip->dst_addr, client);
	CU_ASSERT(
		ip->next_proto_id == IPPROTO_TCP ? rte_ipv4_udptcp_cksum_verify(ip, ip + 1) == 0
						 : rte_raw_cksum(ip + 1, nb_l4) == 0xffff
	);
	return ip;
}

static const struct {
	const char *sentence;
	uint8_t flags;
	uint16_t data_bytes;
	uint32_t expected_seq, expected_ack;
	uint8_t expected_flags; // 0: no answer
} resets[] = {
	{ "a SYN", RTE_TCP_SYN_FLAG, 0, 0, 101, RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG },
	{ "a SYN with data", RTE_TCP_SYN_FLAG, 7, 0, 108, RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG },
	{ "a FIN without ACK", RTE_TCP_FIN_FLAG, 0, 0, 101, RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG },
	{ "an ACK", RTE_TCP_ACK_FLAG, 0, 5000, 0, RTE_TCP_RST_FLAG },
	{ "data", RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG, 7, 5000, 0, RTE_TCP_RST_FLAG },
	{ "a RST", RTE_TCP_RST_FLAG, 0, 0, 0, 0 },
	{ "a RST with ACK", RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG, 0, 0, 0, 0 },
};

static void
test_reset(void)
{
	for (unsigned i = 0; i < RTE_DIM(resets); i++) {
		struct {
			struct rte_tcp_hdr tcp;
			uint8_t data[8];
		} l4 = { .tcp = { .src_port = RTE_BE16(33000),
				  .dst_port = RTE_BE16(80),
				  .sent_seq = RTE_BE32(100),
				  .recv_ack = RTE_BE32(5000),
				  .data_off = 5 << 4,
				  .tcp_flags = resets[i].flags } };
		const struct rte_tcp_hdr *tcp;
		bool is_answered;

		packet(IPPROTO_TCP, &l4, (uint16_t)(20 + resets[i].data_bytes));
		is_answered = sl_reject_packet(&mbuf, 20, SL_CLOSE_POLICY, 0);
		SL_ASSERT_ROW(is_answered == (resets[i].expected_flags != 0), resets[i].sentence);
		if (!is_answered)
			continue;
		tcp = (const void *)(answer() + 1);
		SL_ASSERT_ROW(tcp->tcp_flags == resets[i].expected_flags, resets[i].sentence);
		SL_ASSERT_ROW(
			rte_be_to_cpu_32(tcp->sent_seq) == resets[i].expected_seq,
			resets[i].sentence
		);
		SL_ASSERT_ROW(
			rte_be_to_cpu_32(tcp->recv_ack) == resets[i].expected_ack,
			resets[i].sentence
		);
		CU_ASSERT_EQUAL(tcp->src_port, RTE_BE16(80));
		CU_ASSERT_EQUAL(tcp->dst_port, RTE_BE16(33000));
	}
}

static const struct {
	const char *sentence;
	uint8_t reason;
	uint8_t tcp_type, tcp_code; // 0, 0: RST
	uint8_t type, code; // to others
} reasons[] = {
	{ "policy", SL_CLOSE_POLICY, 0, 0, 3, 13 },
	{ "nobody's address", SL_LOCAL_UNKNOWN_ADDRESS, 0, 0, 3, 13 },
	{ "no such name", SL_CLOSE_NO_NAME, 0, 0, 3, 1 },
	{ "silent resolver", SL_CLOSE_RESOLVER, 3, 1, 3, 1 },
	{ "no connector", SL_LOCAL_NO_CONNECTOR, 3, 1, 3, 1 },
	{ "no port", SL_CLOSE_NO_PORT, 3, 13, 3, 13 },
	{ "table full", SL_CLOSE_TABLE_FULL, 3, 13, 3, 13 },
	{ "flow unknown to the connector", SL_CLOSE_NO_FLOW, 0, 0, 3, 1 },
	{ "session lost", SL_CLOSE_SHUTDOWN, 0, 0, 3, 1 },
	{ "TTL", SL_LOCAL_TTL, 11, 0, 11, 0 },
	{ "too big", SL_LOCAL_TOO_BIG, 3, 4, 3, 4 },
};

static void
expect_error(uint8_t type, uint8_t code, uint8_t protocol, const char *sentence)
{
	const struct rte_ipv4_hdr *ip = answer(), *quoted;
	const uint8_t *icmp = (const void *)(ip + 1);

	SL_ASSERT_ROW(ip->next_proto_id == IPPROTO_ICMP, sentence);
	SL_ASSERT_ROW(icmp[0] == type && icmp[1] == code, sentence);
	SL_ASSERT_ROW((icmp[6] << 8 | icmp[7]) == (type == 3 && code == 4 ? 1400 : 0), sentence);
	quoted = (const void *)(icmp + 8);
	SL_ASSERT_ROW(quoted->src_addr == client && quoted->dst_addr == service, sentence);
	SL_ASSERT_ROW(quoted->next_proto_id == protocol, sentence);
	SL_ASSERT_ROW(mbuf.data_len == 20 + 8 + 20 + 8, sentence);
}

static void
test_reasons(void)
{
	struct rte_tcp_hdr tcp = { .data_off = 5 << 4, .tcp_flags = RTE_TCP_SYN_FLAG };
	const uint8_t udp[8] = { 1, 2, 3, 4, 0, 8, 0, 0 };

	for (unsigned i = 0; i < RTE_DIM(reasons); i++) {
		packet(IPPROTO_TCP, &tcp, sizeof(tcp));
		SL_ASSERT_ROW(
			sl_reject_packet(&mbuf, 20, reasons[i].reason, 1400), reasons[i].sentence
		);
		if (reasons[i].tcp_type != 0)
			expect_error(
				reasons[i].tcp_type,
				reasons[i].tcp_code,
				IPPROTO_TCP,
				reasons[i].sentence
			);
		else
			SL_ASSERT_ROW(answer()->next_proto_id == IPPROTO_TCP, reasons[i].sentence);
		packet(IPPROTO_UDP, udp, sizeof(udp));
		SL_ASSERT_ROW(
			sl_reject_packet(&mbuf, 20, reasons[i].reason, 1400), reasons[i].sentence
		);
		expect_error(reasons[i].type, reasons[i].code, IPPROTO_UDP, reasons[i].sentence);
	}
}

static void
test_unanswerable(void)
{
	const uint8_t types[] = { 3, 4, 5, 11, 12 };
	uint8_t icmp[16] = { 0 };
	struct rte_ipv4_hdr *ip;

	for (unsigned i = 0; i < sizeof(types); i++) {
		icmp[0] = types[i];
		packet(IPPROTO_ICMP, icmp, sizeof(icmp));
		CU_ASSERT_FALSE(sl_reject_packet(&mbuf, 20, SL_CLOSE_POLICY, 0));
	}
	icmp[0] = 8;
	packet(IPPROTO_ICMP, icmp, sizeof(icmp));
	CU_ASSERT_TRUE(sl_reject_packet(&mbuf, 20, SL_CLOSE_POLICY, 0));
	ip = packet(IPPROTO_UDP, icmp, sizeof(icmp));
	ip->fragment_offset = RTE_BE16(5);
	CU_ASSERT_FALSE(sl_reject_packet(&mbuf, 20, SL_CLOSE_POLICY, 0));
}

static void
test_flow(void)
{
	struct sl_flow f = { .kind = SL_FLOW_CLIENT,
			     .key = { .source_port_be = RTE_BE16(33000),
				      .destination_port_be = RTE_BE16(80),
				      .scope_protocol = IPPROTO_TCP },
			     .tcp = SL_TCP_ESTABLISHED,
			     .seq_up = 111,
			     .seq_down = 222 };
	const struct rte_tcp_hdr *tcp;

	sl_ip4_map(f.key.source, client);
	sl_ip4_map(f.key.destination, service);
	packet(IPPROTO_TCP, NULL, 0);
	sl_reject_flow(&mbuf, &f, SL_CLOSE_RESOLVER);
	tcp = (const void *)(answer() + 1);
	// RFC 5961 section 3.2: exactly what the client expects next.
	CU_ASSERT_EQUAL(tcp->sent_seq, RTE_BE32(222));
	CU_ASSERT_EQUAL(tcp->recv_ack, RTE_BE32(111));
	CU_ASSERT_EQUAL(tcp->dst_port, RTE_BE16(33000));
	f.key.scope_protocol = IPPROTO_UDP;
	packet(IPPROTO_UDP, NULL, 0);
	sl_reject_flow(&mbuf, &f, SL_CLOSE_RESOLVER);
	expect_error(3, 1, IPPROTO_UDP, "an error of a flow");
}

static const struct sl_test_case cases[] = {
	{ "reject: a RST is in window, whatever it answers", test_reset },
	{ "reject: each reason has its answer", test_reasons },
	{ "reject: errors, RSTs and later fragments are not answered", test_unanswerable },
	{ "reject: a flow that ends is told so in its own terms", test_flow },
};

SL_TEST_MAIN(cases)
