// Flows from client to private host and back, through a PoP and a connector: what arrives, octet by
// octet, and what a client hears when something does not.
#include "pair.h"

#include <stdlib.h>
#include <string.h>

static struct pair_packet p;

static struct packet_spec
tcp_to(const char *address, uint16_t client_port, uint16_t service, uint8_t flags)
{
	return (struct packet_spec){ .destination = address,
				     .protocol = IPPROTO_TCP,
				     .source_port = client_port,
				     .destination_port = service,
				     .tcp_flags = flags,
				     .tcp_seq = 7000 };
}

static struct packet_spec
udp_to(const char *address, uint16_t client_port, uint16_t service, const char *data)
{
	return (struct packet_spec){ .destination = address,
				     .protocol = IPPROTO_UDP,
				     .source_port = client_port,
				     .destination_port = service,
				     .payload = data,
				     .payload_bytes = strlen(data) };
}

static bool
is_reset_from(const char *address, uint16_t service, uint16_t client_port)
{
	return p.ip->next_proto_id == IPPROTO_TCP && p.ip->src_addr == packet_ip(address) &&
		p.tcp->src_port == rte_cpu_to_be_16(service) &&
		p.tcp->dst_port == rte_cpu_to_be_16(client_port) &&
		(p.tcp->tcp_flags & RTE_TCP_RST_FLAG) != 0;
}

static bool
is_error_from(const char *address, uint8_t type, uint8_t code)
{
	const struct rte_ipv4_hdr *quoted = (const void *)p.payload;

	return p.ip->next_proto_id == IPPROTO_ICMP && p.ip->src_addr == packet_ip(address) &&
		p.icmp->icmp_type == type && p.icmp->icmp_code == code && p.payload_bytes >= 28 &&
		quoted->src_addr == p.ip->dst_addr && quoted->dst_addr == packet_ip(address);
}

// ---- DNS ----------------------------------------------------------------------------------------

static void
test_dns(void)
{
	size_t nb;

	pair_begin(NULL);
	CU_ASSERT_EQUAL(pair_ask(CLIENT, GIT, SL_DNS_A, false, &p), 12 + 18 + 4 + 16);
	CU_ASSERT_EQUAL(p.payload[3] & 0xf, SL_RCODE_NOERROR);
	CU_ASSERT_EQUAL(p.payload[7], 1);
	CU_ASSERT_EQUAL(p.payload[13], 'G'); // the asker's letter case
	CU_ASSERT_EQUAL(p.payload[p.payload_bytes - 4], 100);
	nb = pair_ask(CLIENT, GIT, SL_DNS_A, true, &p);
	CU_ASSERT_EQUAL(nb, 12 + 18 + 4 + 16 + SL_DNS_OPT_BYTES);
	pair_ask(CLIENT, GIT, SL_DNS_AAAA, false, &p);
	CU_ASSERT_EQUAL(p.payload[3] & 0xf, SL_RCODE_NOERROR);
	CU_ASSERT_EQUAL(p.payload[7], 0);
	CU_ASSERT_EQUAL(pair.nb_dns_queries, 0);
	// Not granted, and no resource: both go to the upstreams.
	CU_ASSERT_EQUAL(pair_ask(CLIENT, HIDDEN, SL_DNS_A, false, &p), 0);
	CU_ASSERT_EQUAL(pair_ask(CLIENT, "hiddem.corp.example", SL_DNS_A, false, &p), 0);
	CU_ASSERT(pair_ask(CLIENT_B, HIDDEN, SL_DNS_A, false, &p) > 0);
	CU_ASSERT_EQUAL(pair_ask(STRANGER, GIT, SL_DNS_A, false, &p), 0);
	CU_ASSERT_EQUAL(pair_drops(pair.pop, "dns_answer_no_client"), 1);
	// A wildcard name gets its address at first sight, and keeps it.
	CU_ASSERT_STRING_NOT_EQUAL(pair_resolve(WILD), "0.0.0.0");
	CU_ASSERT_STRING_EQUAL(pair_resolve(WILD), pair_resolve(WILD));
	pair_end("dns");
}

static void
test_ptr(void)
{
	const char *address;
	unsigned a, b, c, d;
	char name[64];

	pair_begin(NULL);
	address = pair_resolve(GIT);
	CU_ASSERT_EQUAL_FATAL(sscanf(address, "%u.%u.%u.%u", &a, &b, &c, &d), 4);
	snprintf(name, sizeof(name), "%u.%u.%u.%u.in-addr.arpa", d, c, b, a);
	CU_ASSERT(pair_ask(CLIENT, name, SL_DNS_PTR, false, &p) > 0);
	CU_ASSERT_EQUAL(p.payload[3] & 0xf, SL_RCODE_NOERROR);
	CU_ASSERT_PTR_NOT_NULL(memmem(p.payload, p.payload_bytes, "\3git\4corp", 9));
	CU_ASSERT(pair_ask(CLIENT_B, name, SL_DNS_PTR, false, &p) > 0);
	CU_ASSERT_EQUAL(p.payload[3] & 0xf, SL_RCODE_NXDOMAIN);
	pair_end("ptr");
}

// ---- Carrying -------------------------------------------------------------------------------------

static void
test_tcp(void)
{
	struct pair_tcp t, second;
	char data[1200];

	pair_begin(NULL);
	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 7);
	pair_tcp_open(&t, pair_resolve(GIT), 33000, 80);
	CU_ASSERT_EQUAL(pair.nb_dns_queries, 1);
	CU_ASSERT_STRING_EQUAL(pair.dns_name, GIT);
	CU_ASSERT_STRING_EQUAL(pair.dns_source, CONN_INNER);
	for (unsigned i = 1; i <= sizeof(data); i += 117) {
		pair_tcp_up(&t, RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG, data, i);
		pair_tcp_down(&t, RTE_TCP_ACK_FLAG, data + 1, i - 1);
	}
	pair_tcp_open(&second, t.address, 33001, 80);
	CU_ASSERT_NOT_EQUAL(second.nat_port, t.nat_port);
	pair_tcp_up(&t, RTE_TCP_ACK_FLAG, "x", 1);
	pair_tcp_up(&second, RTE_TCP_ACK_FLAG, "y", 1);
	pair_tcp_down(&second, RTE_TCP_ACK_FLAG, "Y", 1);
	pair_tcp_down(&t, RTE_TCP_ACK_FLAG, "X", 1);
	CU_ASSERT_EQUAL(pair_flows(pair.pop), 2);
	CU_ASSERT(pair_flows(pair.connector) <= 3); // and the DNS query's, until it is swept
	pair_end("tcp");
}

static void
test_half_close(void)
{
	struct pair_tcp t;

	pair_begin(NULL);
	pair_tcp_open(&t, pair_resolve(GIT), 33000, 80);
	pair_tcp_up(&t, RTE_TCP_FIN_FLAG | RTE_TCP_ACK_FLAG, NULL, 0);
	for (unsigned i = 0; i < 20; i++) {
		pair_tcp_down(&t, RTE_TCP_ACK_FLAG, "still sending", 13);
		pair_tcp_up(&t, RTE_TCP_ACK_FLAG, NULL, 0);
		pair_pass_s(10);
	}
	pair_tcp_down(&t, RTE_TCP_FIN_FLAG | RTE_TCP_ACK_FLAG, NULL, 0);
	pair_tcp_up(&t, RTE_TCP_ACK_FLAG, NULL, 0);
	pair_pass_s(25);
	CU_ASSERT_EQUAL(pair_flows(pair.pop), 0);
	CU_ASSERT_EQUAL(pair_flows(pair.connector), 0);
	pair_end("half close");
}

static void
test_reset(void)
{
	struct pair_tcp t;

	pair_begin(NULL);
	pair_tcp_open(&t, pair_resolve(GIT), 33000, 80);
	pair_tcp_down(&t, RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG, NULL, 0);
	pair_pass_s(25);
	CU_ASSERT_EQUAL(pair_flows(pair.pop), 0);
	CU_ASSERT_EQUAL(pair_flows(pair.connector), 0);
	// Nobody listens: the host's own RST comes through.
	pair_client_send(&(struct packet_spec){ .destination = t.address,
						.protocol = IPPROTO_TCP,
						.source_port = 33001,
						.destination_port = 443,
						.tcp_flags = RTE_TCP_SYN_FLAG,
						.tcp_seq = 1 });
	CU_ASSERT_TRUE_FATAL(pair_host_take(&p));
	t = (struct pair_tcp){ .address = t.address,
			       .client_port = 33001,
			       .service = 443,
			       .client_seq = 2,
			       .nat_port = rte_be_to_cpu_16(p.tcp->src_port) };
	pair_tcp_down(&t, RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG, NULL, 0);
	pair_end("reset");
}

static void
test_port_reuse(void)
{
	struct pair_tcp t;
	const char *address;

	pair_begin(NULL);
	address = pair_resolve(GIT);
	for (unsigned i = 0; i < 4; i++) {
		pair_tcp_open(&t, address, 33000, 80);
		// The new conversation is a whole one, not the tail of the one before.
		pair_pass_s(60);
		pair_tcp_up(&t, RTE_TCP_ACK_FLAG, "data", 4);
		pair_tcp_down(&t, RTE_TCP_ACK_FLAG, "data", 4);
		pair_tcp_up(&t, RTE_TCP_FIN_FLAG | RTE_TCP_ACK_FLAG, NULL, 0);
		pair_tcp_down(&t, RTE_TCP_FIN_FLAG | RTE_TCP_ACK_FLAG, NULL, 0);
		pair_tcp_up(&t, RTE_TCP_ACK_FLAG, NULL, 0);
		pair_pass_s(i);
	}
	pair_end("port reuse");
}

static void
test_udp(void)
{
	struct packet_spec spec;
	uint16_t nat;

	pair_begin(NULL);
	spec = udp_to(pair_resolve(GIT), 5555, 5000, "question");
	for (unsigned i = 0; i < 4; i++) {
		pair_client_send(&spec);
		CU_ASSERT_TRUE_FATAL(pair_host_take(&p));
		CU_ASSERT_EQUAL(p.ip->src_addr, packet_ip(CONN_INNER));
		CU_ASSERT_EQUAL(p.ip->dst_addr, packet_ip(HOST));
		CU_ASSERT_EQUAL(p.udp->dst_port, RTE_BE16(5000));
		CU_ASSERT_EQUAL_FATAL(p.payload_bytes, 8);
		CU_ASSERT_EQUAL(memcmp(p.payload, "question", 8), 0);
		nat = rte_be_to_cpu_16(p.udp->src_port);
		pair_host_send(&(struct packet_spec){ .protocol = IPPROTO_UDP,
						      .source_port = 5000,
						      .destination_port = nat,
						      .tos = 0xb8,
						      .payload = "an answer",
						      .payload_bytes = 9 });
		CU_ASSERT_TRUE_FATAL(pair_client_take(&p));
		CU_ASSERT_EQUAL(p.ip->src_addr, packet_ip(spec.destination));
		CU_ASSERT_EQUAL(p.ip->type_of_service, 0xb8);
		CU_ASSERT_EQUAL(p.udp->src_port, RTE_BE16(5000));
		CU_ASSERT_EQUAL(p.udp->dst_port, RTE_BE16(5555));
		CU_ASSERT_EQUAL_FATAL(p.payload_bytes, 9);
		CU_ASSERT_EQUAL(memcmp(p.payload, "an answer", 9), 0);
	}
	// Empty datagrams travel too.
	spec.payload_bytes = 0;
	pair_client_send(&spec);
	CU_ASSERT_TRUE(pair_host_take(&p) && p.payload_bytes == 0);
	pair_end("udp");
}

static void
test_echo(void)
{
	struct packet_spec spec = { .protocol = IPPROTO_ICMP,
				    .source_port = 77,
				    .payload = "abcdefgh",
				    .payload_bytes = 8 };
	uint8_t frame[PATH_FRAME_BYTES];
	uint16_t id;

	pair_begin(NULL);
	spec.destination = pair_resolve(GIT);
	for (uint16_t seq = 1; seq < 5; seq++) {
		struct rte_ether_hdr *eth = (void *)frame;
		struct rte_ipv4_hdr *ip = (void *)(eth + 1);
		struct rte_icmp_hdr *icmp = (void *)(ip + 1);

		spec.destination_port = seq;
		pair_client_send(&spec);
		CU_ASSERT_TRUE_FATAL(pair_host_take(&p));
		CU_ASSERT_EQUAL(p.icmp->icmp_type, RTE_IP_ICMP_ECHO_REQUEST);
		CU_ASSERT_EQUAL(p.icmp->icmp_seq_nb, rte_cpu_to_be_16(seq));
		CU_ASSERT_EQUAL(p.ip->src_addr, packet_ip(CONN_INNER));
		CU_ASSERT_EQUAL(memcmp(p.payload, "abcdefgh", 8), 0);
		id = p.icmp->icmp_ident;
		// The host answers what it got.
		memcpy(frame, p.frame, p.nb_bytes);
		rte_ether_unformat_addr("02:bb:00:00:00:05", &eth->src_addr);
		eth->dst_addr = *path_mac(pair.connector, 1);
		ip->src_addr = p.ip->dst_addr;
		ip->dst_addr = p.ip->src_addr;
		packet_fix_ip_checksum(frame);
		icmp->icmp_type = 0;
		icmp->icmp_cksum = 0;
		icmp->icmp_cksum = (uint16_t)~rte_raw_cksum(icmp, 16);
		path_send(pair.connector, 1, frame, p.nb_bytes);
		path_run();
		CU_ASSERT_TRUE_FATAL(pair_client_take(&p));
		CU_ASSERT_EQUAL(p.icmp->icmp_type, RTE_IP_ICMP_ECHO_REPLY);
		CU_ASSERT_EQUAL(p.icmp->icmp_ident, RTE_BE16(77));
		CU_ASSERT_EQUAL(p.icmp->icmp_seq_nb, rte_cpu_to_be_16(seq));
		CU_ASSERT_EQUAL(p.ip->src_addr, packet_ip(spec.destination));
		CU_ASSERT_EQUAL(memcmp(p.payload, "abcdefgh", 8), 0);
	}
	(void)id;
	pair_end("echo");
}

// ---- Refusing ---------------------------------------------------------------------------------------

static const struct {
	const char *sentence;
	const char *source;
	const char *destination; // a name, or an address
	uint8_t protocol;
	uint16_t service;
	uint8_t type, code; // of the ICMP error; 0, 0: RST; 255: nothing
} refusals[] = {
	{ "a port that is not granted, TCP", CLIENT, GIT, IPPROTO_TCP, 25, 0, 0 },
	{ "a port that is not granted, UDP", CLIENT, GIT, IPPROTO_UDP, 25, 3, 13 },
	{ "echo that is not granted", CLIENT, NO_ECHO, IPPROTO_ICMP, 0, 3, 13 },
	{ "an address that is nobody's, TCP", CLIENT, UNUSED, IPPROTO_TCP, 80, 0, 0 },
	{ "an address that is nobody's, UDP", CLIENT, UNUSED, IPPROTO_UDP, 80, 3, 13 },
	{ "a name of others, TCP", CLIENT_B, GIT, IPPROTO_TCP, 80, 0, 0 },
	{ "a name of others, UDP", CLIENT_B, GIT, IPPROTO_UDP, 5000, 3, 13 },
	{ "a prefix of others", CLIENT_B, IP_HOST, IPPROTO_TCP, 80, 255, 0 },
	{ "an address outside of everything", CLIENT, "10.50.0.1", IPPROTO_TCP, 80, 255, 0 },
	{ "the same, UDP", CLIENT, "10.50.0.1", IPPROTO_UDP, 80, 255, 0 },
	{ "another protocol", CLIENT, GIT, 47, 0, 3, 2 },
	{ "in silence", CLIENT, SILENT, IPPROTO_TCP, 81, 255, 0 },
	{ "no client", STRANGER, GIT, IPPROTO_TCP, 80, 255, 0 },
	{ "no client, UDP", STRANGER, UNUSED, IPPROTO_UDP, 80, 255, 0 },
};

static void
test_refusals(void)
{
	pair_begin(NULL);
	for (unsigned i = 0; i < RTE_DIM(refusals); i++) {
		const char *to = refusals[i].destination;
		struct packet_spec spec = { .source = refusals[i].source,
					    .protocol = refusals[i].protocol,
					    .source_port = (uint16_t)(2000 + i),
					    .destination_port = refusals[i].service,
					    .tcp_flags = RTE_TCP_SYN_FLAG,
					    .tcp_seq = 99,
					    .payload = "12345678",
					    .payload_bytes = 8 };
		bool is_told = refusals[i].type != 255, got;

		spec.destination = to[0] >= 'a' ? pair_resolve(to) : to;
		pair_client_send(&spec);
		SL_ASSERT_ROW(!pair_host_take(&p), refusals[i].sentence);
		got = pair_client_take(&p);
		SL_ASSERT_ROW(got == is_told, refusals[i].sentence);
		if (!got || !is_told)
			continue;
		SL_ASSERT_ROW(
			refusals[i].type == 0
				? is_reset_from(
					  spec.destination, refusals[i].service, spec.source_port
				  ) && rte_be_to_cpu_32(p.tcp->recv_ack) == 99 + 1 + 8
				: is_error_from(
					  spec.destination, refusals[i].type, refusals[i].code
				  ),
			refusals[i].sentence
		);
	}
	CU_ASSERT_EQUAL(pair_flows(pair.pop), 0);
	CU_ASSERT_EQUAL(pair.nb_dns_queries, 0);
	pair_end("refusals");
}

static const struct {
	const char *sentence;
	enum pair_dns_mode mode;
	const char *name;
	uint8_t tcp_code, udp_code; // of type 3; 0: RST
} unresolved[] = {
	{ "the private DNS knows no such name", PAIR_DNS_ANSWERS, NOBODY, 0, 1 },
	{ "the private DNS is silent", PAIR_DNS_SILENT, GIT, 1, 1 },
	{ "the name resolves to the connector's loopback", PAIR_DNS_LOOPBACK, WILD, 0, 13 },
};

static void
expect_unresolved(unsigned i, struct packet_spec spec, uint8_t code)
{
	pair_client_send(&spec);
	for (unsigned ms = 0; ms < 3000 && pair.nb_to_client == 0; ms += 50)
		path_pass_ms(50);
	SL_ASSERT_ROW(!pair_host_take(&p), unresolved[i].sentence);
	if (!pair_client_take(&p)) {
		SL_ASSERT_ROW(false, unresolved[i].sentence);
		return;
	}
	SL_ASSERT_ROW(
		code == 0 ? is_reset_from(
				    spec.destination, spec.destination_port, spec.source_port
			    ) && rte_be_to_cpu_32(p.tcp->recv_ack) == spec.tcp_seq + 1
			  : is_error_from(spec.destination, 3, code),
		unresolved[i].sentence
	);
}

static void
test_unresolved(void)
{
	for (unsigned i = 0; i < RTE_DIM(unresolved); i++) {
		const char *address;

		pair_begin(NULL);
		address = pair_resolve(unresolved[i].name);
		pair.dns_mode = unresolved[i].mode;
		pair.nb_to_client = 0;
		expect_unresolved(
			i, tcp_to(address, 4000, 80, RTE_TCP_SYN_FLAG), unresolved[i].tcp_code
		);
		pair.nb_to_client = 0;
		expect_unresolved(i, udp_to(address, 4001, 5000, "x"), unresolved[i].udp_code);
		CU_ASSERT_EQUAL(pair_flows(pair.pop), 0);
		pair_end("unresolved");
	}
}

static void
test_no_session(void)
{
	struct packet_spec tcp, udp;
	struct pair_tcp t;

	pair_begin(NULL);
	tcp = tcp_to(pair_resolve(GIT), 4000, 80, RTE_TCP_SYN_FLAG);
	udp = udp_to(tcp.destination, 4001, 5000, "x");
	pair_tcp_open(&t, tcp.destination, 33000, 80);
	pair_down();
	pair_client_send(&tcp);
	CU_ASSERT_TRUE(pair_client_take(&p) && is_error_from(tcp.destination, 3, 1));
	pair_client_send(&udp);
	CU_ASSERT_TRUE(pair_client_take(&p) && is_error_from(tcp.destination, 3, 1));
	pair_end("no session");
}

static const struct sl_test_case cases[] = {
	{ "A2 A3: DNS is answered by the PoP, and what is hidden goes the way of what is not there",
	  test_dns },
	{ "A5: PTR names an assigned address to who may reach it", test_ptr },
	{ "B1 B2 A19: TCP goes both ways octet by octet, from the connector's address", test_tcp },
	{ "B4: a host goes on sending after the client's FIN, and both FINs free the flow",
	  test_half_close },
	{ "B2 B4: a RST of the host comes through and frees the flow", test_reset },
	{ "flows: a client port is used again for a new conversation", test_port_reuse },
	{ "B1: UDP goes both ways", test_udp },
	{ "B6: echo keeps identifier, sequence and payload", test_echo },
	{ "B3 A5 B12: what is not granted is refused alike, and nothing leaves", test_refusals },
	{ "B12: a name that does not resolve is told within three seconds", test_unresolved },
	{ "B12: without a connector the client hears that the host is unreachable",
	  test_no_session },
};

int
main(int argc, char **argv)
{
	return PAIR_MAIN(argc, argv, cases);
}
