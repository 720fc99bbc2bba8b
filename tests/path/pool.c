// Names with several and with changing addresses: live flows stay where they are, new ones use the
// present answer, and who refuses, cannot be reached or is silent is passed over.
#include "pair.h"

#include <string.h>

static struct pair_packet p;

static struct packet_spec
syn(const char *address, uint16_t client_port)
{
	return (struct packet_spec){ .destination = address,
				     .protocol = IPPROTO_TCP,
				     .source_port = client_port,
				     .destination_port = 80,
				     .tcp_flags = RTE_TCP_SYN_FLAG,
				     .tcp_seq = 7000 };
}

static const char *
text_of(rte_be32_t address)
{
	return address == packet_ip(HOST) ? HOST : HOST_2;
}

// The host a packet that has just arrived is for answers it.
static void
answer(uint8_t flags)
{
	pair_host_send(&(struct packet_spec){ .source = text_of(p.ip->dst_addr),
					      .protocol = IPPROTO_TCP,
					      .source_port = rte_be_to_cpu_16(p.tcp->dst_port),
					      .destination_port = rte_be_to_cpu_16(p.tcp->src_port),
					      .tcp_flags = flags,
					      .tcp_seq = flags & RTE_TCP_SYN_FLAG ? 9000 : 0,
					      .tcp_ack = rte_be_to_cpu_32(p.tcp->sent_seq) + 1 });
}

// The packet that has just arrived cannot be delivered.
static void
unreachable(uint8_t code)
{
	uint8_t error[4 + 28] = { 0 };

	memcpy(error + 4, p.ip, sizeof(*p.ip));
	memcpy(error + 4 + sizeof(*p.ip), p.l4, 8);
	pair_host_send(&(struct packet_spec){ .source = text_of(p.ip->dst_addr),
					      .protocol = IPPROTO_ICMP,
					      .source_port = 0,
					      .destination_port = 0,
					      .payload = error + 4,
					      .payload_bytes = 28,
					      .icmp_type_code = (uint16_t)(3 << 8 | code) });
}

static bool
is_syn_from(const char *from)
{
	return p.ip->src_addr == packet_ip(from) &&
		p.tcp->tcp_flags == (RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG);
}

static void
begin(const char *first, const char *second)
{
	pair_begin(NULL);
	pair.dns_answers[0] = first;
	pair.dns_answers[1] = second;
}

static void
test_changes(void)
{
	static const uint32_t ttls_s[] = { 0, 30 };

	for (unsigned i = 0; i < RTE_DIM(ttls_s); i++) {
		struct packet_spec first, second, third;
		const char *git;

		begin(HOST, NULL);
		pair.dns_ttl_s = ttls_s[i];
		git = pair_resolve(GIT);
		first = syn(git, 33000);
		pair_client_send(&first);
		CU_ASSERT_TRUE_FATAL(pair_host_take(&p) && p.ip->dst_addr == packet_ip(HOST));
		answer(RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG);
		CU_ASSERT_TRUE(pair_client_take(&p) && is_syn_from(git));
		pair.dns_answers[0] = HOST_2;
		second = syn(git, 33001);
		pair_client_send(&second);
		// As long as the answer may be kept, it is used; with 0, not at all.
		CU_ASSERT_TRUE_FATAL(pair_host_take(&p));
		CU_ASSERT_EQUAL(p.ip->dst_addr, packet_ip(ttls_s[i] == 0 ? HOST_2 : HOST));
		CU_ASSERT_EQUAL(pair.nb_dns_queries, ttls_s[i] == 0 ? 2 : 1);
		pair_pass_s(31);
		third = syn(git, 33002);
		pair_client_send(&third);
		CU_ASSERT_TRUE_FATAL(pair_host_take(&p) && p.ip->dst_addr == packet_ip(HOST_2));
		// The flow that stands stays.
		first.tcp_flags = RTE_TCP_ACK_FLAG;
		first.tcp_seq = 7001;
		first.tcp_ack = 9001;
		pair_client_send(&first);
		CU_ASSERT_TRUE_FATAL(pair_host_take(&p) && p.ip->dst_addr == packet_ip(HOST));
		pair_end("changes");
	}
}

static void
test_refused(void)
{
	struct packet_spec spec;
	rte_be32_t first;
	const char *git;

	begin(HOST, HOST_2);
	git = pair_resolve(GIT);
	spec = syn(git, 33000);
	pair_client_send(&spec);
	CU_ASSERT_TRUE_FATAL(pair_host_take(&p));
	first = p.ip->dst_addr;
	answer(RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG);
	// The same SYN goes to the other at once, and the client hears of nothing.
	CU_ASSERT_TRUE_FATAL(pair_host_take(&p));
	CU_ASSERT_NOT_EQUAL(p.ip->dst_addr, first);
	CU_ASSERT_EQUAL(p.tcp->tcp_flags, RTE_TCP_SYN_FLAG);
	CU_ASSERT_EQUAL(rte_be_to_cpu_32(p.tcp->sent_seq), 7000);
	answer(RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG);
	CU_ASSERT_TRUE(pair_client_take(&p) && is_syn_from(git));
	CU_ASSERT_FALSE(pair_client_take(&p));
	// For a while new flows avoid the one that refused.
	for (uint16_t i = 1; i < 6; i++) {
		spec = syn(git, (uint16_t)(33000 + i));
		pair_client_send(&spec);
		CU_ASSERT_TRUE_FATAL(pair_host_take(&p));
		CU_ASSERT_NOT_EQUAL(p.ip->dst_addr, first);
		answer(RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG);
		CU_ASSERT_TRUE(pair_client_take(&p));
	}
	pair_end("refused");
}

static void
test_all_refuse(void)
{
	struct packet_spec spec;
	const char *git;

	begin(HOST, HOST_2);
	git = pair_resolve(GIT);
	spec = syn(git, 33000);
	pair_client_send(&spec);
	CU_ASSERT_TRUE_FATAL(pair_host_take(&p));
	answer(RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG);
	CU_ASSERT_TRUE_FATAL(pair_host_take(&p));
	answer(RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG);
	CU_ASSERT_FALSE(pair_host_take(&p));
	CU_ASSERT_TRUE_FATAL(pair_client_take(&p));
	CU_ASSERT_TRUE((p.tcp->tcp_flags & RTE_TCP_RST_FLAG) != 0);
	CU_ASSERT_EQUAL(p.ip->src_addr, packet_ip(git));
	pair_end("all_refuse");
}

static void
test_silent(void)
{
	struct packet_spec spec;
	rte_be32_t first;
	const char *git;

	begin(HOST, HOST_2);
	git = pair_resolve(GIT);
	spec = syn(git, 33000);
	pair_client_send(&spec);
	CU_ASSERT_TRUE_FATAL(pair_host_take(&p));
	first = p.ip->dst_addr;
	pair_pass_s(1);
	pair_client_send(&spec);
	CU_ASSERT_TRUE_FATAL(pair_host_take(&p));
	CU_ASSERT_NOT_EQUAL(p.ip->dst_addr, first);
	answer(RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG);
	CU_ASSERT_TRUE(pair_client_take(&p) && is_syn_from(git));
	pair_end("silent");
}

static void
test_unreachable(void)
{
	struct packet_spec spec;
	rte_be32_t first;
	const char *git;

	begin(HOST, HOST_2);
	git = pair_resolve(GIT);
	spec = syn(git, 33000);
	pair_client_send(&spec);
	CU_ASSERT_TRUE_FATAL(pair_host_take(&p));
	first = p.ip->dst_addr;
	unreachable(1);
	CU_ASSERT_TRUE_FATAL(pair_host_take(&p));
	CU_ASSERT_NOT_EQUAL(p.ip->dst_addr, first);
	CU_ASSERT_FALSE(pair_client_take(&p));
	pair_end("unreachable");
}

static void
test_udp(void)
{
	struct packet_spec spec = { .protocol = IPPROTO_UDP,
				    .source_port = 33000,
				    .destination_port = 5000,
				    .payload = "x",
				    .payload_bytes = 1 };
	rte_be32_t first;

	begin(HOST, HOST_2);
	spec.destination = pair_resolve(GIT);
	pair_client_send(&spec);
	CU_ASSERT_TRUE_FATAL(pair_host_take(&p));
	first = p.ip->dst_addr;
	// Silence says nothing of a datagram.
	pair_client_send(&spec);
	CU_ASSERT_TRUE_FATAL(pair_host_take(&p));
	CU_ASSERT_EQUAL(p.ip->dst_addr, first);
	unreachable(3);
	CU_ASSERT_FALSE(pair_client_take(&p));
	pair_client_send(&spec);
	CU_ASSERT_TRUE_FATAL(pair_host_take(&p));
	CU_ASSERT_NOT_EQUAL(p.ip->dst_addr, first);
	unreachable(3);
	CU_ASSERT_TRUE_FATAL(pair_client_take(&p));
	CU_ASSERT_EQUAL(p.ip->next_proto_id, IPPROTO_ICMP);
	pair_end("udp");
}

// A name is asked for anew and the private DNS says nothing: flows that stand, of that name and of
// others, and new flows of names that are known go on in the same instant.
static void
test_nobody_waits(void)
{
	struct packet_spec other, datagram, late;
	struct pair_tcp live;
	const char *git;

	begin(HOST, NULL);
	pair.dns_ttl_s = 600;
	other = syn(pair_resolve(WILD), 34000);
	pair_client_send(&other);
	CU_ASSERT_TRUE_FATAL(pair_host_take(&p));
	pair.dns_ttl_s = 5;
	git = pair_resolve(GIT);
	pair_tcp_open(&live, git, 33000, 80);
	datagram = pair_udp_to(git, 33001, 5000, "one", 3);
	pair_client_send(&datagram);
	CU_ASSERT_TRUE_FATAL(pair_host_take(&p));
	pair_pass_s(6);

	pair.dns_mode = PAIR_DNS_SILENT;
	late = syn(git, 33002);
	pair_client_send(&late);
	CU_ASSERT_FALSE(pair_host_take(&p));
	pair_tcp_up(&live, RTE_TCP_ACK_FLAG, "up", 2);
	pair_tcp_down(&live, RTE_TCP_ACK_FLAG, "down", 4);
	pair_client_send(&datagram);
	CU_ASSERT_TRUE(pair_host_take(&p) && p.ip->next_proto_id == IPPROTO_UDP);
	other.source_port = 34001;
	pair_client_send(&other);
	CU_ASSERT_TRUE(pair_host_take(&p) && p.ip->next_proto_id == IPPROTO_TCP);
	CU_ASSERT_FALSE(pair_client_take(&p));

	// It answers again: the one that waited goes on, to where the name is now.
	pair.dns_mode = PAIR_DNS_ANSWERS;
	pair.dns_answers[0] = HOST_2;
	pair_pass_s(2);
	CU_ASSERT_TRUE_FATAL(pair_host_take(&p));
	CU_ASSERT_EQUAL(p.ip->dst_addr, packet_ip(HOST_2));
	CU_ASSERT_EQUAL(rte_be_to_cpu_32(p.tcp->sent_seq), 7000);
	pair_end("nobody waits");
}

static const struct sl_test_case cases[] = {
	{ "B9: live flows stay, new ones use the present answer, TTL 0 is honoured", test_changes },
	{ "B9: of several addresses one that refuses is passed over at once", test_refused },
	{ "B9: when all addresses refuse the client hears it", test_all_refuse },
	{ "B9: a SYN that nobody answers goes to the next address when it is repeated",
	  test_silent },
	{ "B9: an address that cannot be reached is passed over at once", test_unreachable },
	{ "B9: datagrams go to the next address after an error, not after silence", test_udp },
	{ "B9: while a name is asked for anew nobody waits but who asked", test_nobody_waits },
};

int
main(int argc, char **argv)
{
	return PAIR_MAIN(argc, argv, cases);
}
