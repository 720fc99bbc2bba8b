// ICMP errors about packets of flows, each type and code, both ways: who gets them hears of its own
// packet, from the address it sent it to; what no flow of ours can have sent goes nowhere.
#include "pair.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define ROUTER "10.77.83.254" // of the private network; nobody may hear of it

static struct pair_packet p;

// What an error may say.
static const struct {
	uint8_t type, code;
} errors[] = { { 3, 0 },  { 3, 1 },  { 3, 2 },  { 3, 3 },  { 3, 4 },  { 3, 5 },  { 3, 6 },
	       { 3, 7 },  { 3, 8 },  { 3, 9 },  { 3, 10 }, { 3, 11 }, { 3, 12 }, { 3, 13 },
	       { 3, 14 }, { 3, 15 }, { 11, 0 }, { 11, 1 }, { 12, 0 }, { 12, 1 }, { 12, 2 } };

static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP };

// A packet as it was seen, to be quoted.
struct seen {
	struct rte_ipv4_hdr ip;
	uint8_t l4[8];
};

static struct seen
see(void)
{
	struct seen seen = { .ip = *p.ip };

	memcpy(seen.l4, p.l4, sizeof(seen.l4));
	return seen;
}

// An error about `seen` from one side. Where an echo has its sequence number an error has the MTU.
static struct packet_spec
error_about(const struct seen *seen, const char *who, uint8_t type, uint8_t code)
{
	return (struct packet_spec){ .source = who,
				     .protocol = IPPROTO_ICMP,
				     .icmp_type_code = (uint16_t)(type << 8 | code),
				     .destination_port = type == 3 && code == 4 ? 1000 : 0,
				     .payload = seen,
				     .payload_bytes = sizeof(*seen) };
}

static void
host_says(const struct seen *seen, const char *who, uint8_t type, uint8_t code)
{
	struct packet_spec spec = error_about(seen, who, type, code);

	pair_host_send(&spec);
}

static void
client_says(const struct seen *seen, const char *who, const char *to, uint8_t type, uint8_t code)
{
	struct packet_spec spec = error_about(seen, who, type, code);

	spec.destination = to;
	pair_client_send(&spec);
}

static struct packet_spec
packet_of(const char *address, uint8_t protocol)
{
	return (struct packet_spec){ .destination = address,
				     .protocol = protocol,
				     .source_port = 4000,
				     .destination_port = protocol == IPPROTO_TCP ? 80 : 5000,
				     .tcp_flags = RTE_TCP_SYN_FLAG,
				     .tcp_seq = 77000,
				     .payload = "12345678",
				     .payload_bytes = protocol == IPPROTO_TCP ? 0 : 8 };
}

static const struct rte_ipv4_hdr *
quoted(void)
{
	return (const void *)((const uint8_t *)p.icmp + 8);
}

// The error that arrived is about the packet `sent` of CLIENT.
static void
expect_at_client(const struct packet_spec *sent, uint8_t type, uint8_t code)
{
	const struct rte_udp_hdr *l4 = (const void *)(quoted() + 1);

	CU_ASSERT_TRUE_FATAL(p.ip->next_proto_id == IPPROTO_ICMP);
	CU_ASSERT(p.icmp->icmp_type == type && p.icmp->icmp_code == code);
	CU_ASSERT_EQUAL(p.ip->src_addr, packet_ip(sent->destination));
	CU_ASSERT_EQUAL(p.ip->dst_addr, packet_ip(CLIENT));
	CU_ASSERT_EQUAL(quoted()->src_addr, packet_ip(CLIENT));
	CU_ASSERT_EQUAL(quoted()->dst_addr, packet_ip(sent->destination));
	CU_ASSERT_EQUAL(quoted()->next_proto_id, sent->protocol);
	CU_ASSERT_EQUAL(rte_raw_cksum(quoted(), sizeof(*quoted())), 0xffff);
	if (type == 3 && code == 4)
		CU_ASSERT_EQUAL(p.icmp->icmp_seq_nb, RTE_BE16(1000));
	if (sent->protocol == IPPROTO_ICMP) {
		const struct rte_icmp_hdr *echo = (const void *)l4;

		CU_ASSERT_EQUAL(echo->icmp_type, RTE_IP_ICMP_ECHO_REQUEST);
		CU_ASSERT_EQUAL(echo->icmp_ident, rte_cpu_to_be_16(sent->source_port));
		return;
	}
	CU_ASSERT_EQUAL(l4->src_port, rte_cpu_to_be_16(sent->source_port));
	CU_ASSERT_EQUAL(l4->dst_port, rte_cpu_to_be_16(sent->destination_port));
	if (sent->protocol == IPPROTO_TCP)
		CU_ASSERT_EQUAL(
			((const struct rte_tcp_hdr *)(const void *)l4)->sent_seq,
			rte_cpu_to_be_32(sent->tcp_seq)
		);
}

static void
test_to_client(void)
{
	for (unsigned i = 0; i < RTE_DIM(protocols); i++) {
		struct packet_spec spec;
		struct seen seen;

		pair_begin(NULL);
		spec = packet_of(pair_resolve(GIT), protocols[i]);
		pair_client_send(&spec);
		CU_ASSERT_TRUE_FATAL(pair_host_take(&p));
		seen = see();
		for (unsigned e = 0; e < RTE_DIM(errors); e++) {
			host_says(&seen, e % 2 ? ROUTER : HOST, errors[e].type, errors[e].code);
			CU_ASSERT_TRUE_FATAL(pair_client_take(&p));
			expect_at_client(&spec, errors[e].type, errors[e].code);
		}
		CU_ASSERT_EQUAL(pair_flows(pair.pop), 1);
		pair_end("to client");
	}
}

// The name grants TCP 80 alone: errors about that are no echo.
static void
test_echo_denied(void)
{
	struct packet_spec spec;
	struct seen seen;

	pair_begin(NULL);
	spec = packet_of(pair_resolve(NO_ECHO), IPPROTO_TCP);
	pair_client_send(&spec);
	CU_ASSERT_TRUE_FATAL(pair_host_take(&p));
	seen = see();
	host_says(&seen, ROUTER, 3, 1);
	CU_ASSERT_TRUE_FATAL(pair_client_take(&p));
	expect_at_client(&spec, 3, 1);
	spec.protocol = IPPROTO_ICMP;
	pair_client_send(&spec);
	CU_ASSERT_TRUE(pair_client_take(&p) && pair_is_error(&p, 3, 13));
	pair_end("echo denied");
}

static void
test_to_host(void)
{
	static const uint8_t both[] = { IPPROTO_TCP, IPPROTO_UDP };

	for (unsigned i = 0; i < RTE_DIM(both); i++) {
		struct packet_spec spec,
			back = { .protocol = both[i],
				 .payload = "answer",
				 .payload_bytes = both[i] == IPPROTO_TCP ? 0 : 6,
				 .tcp_flags = RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG,
				 .tcp_seq = 5000,
				 .tcp_ack = 77001 };
		struct seen seen;
		uint16_t nat;

		pair_begin(NULL);
		spec = packet_of(pair_resolve(GIT), both[i]);
		pair_client_send(&spec);
		CU_ASSERT_TRUE_FATAL(pair_host_take(&p));
		nat = rte_be_to_cpu_16(p.udp->src_port);
		back.source_port = spec.destination_port;
		back.destination_port = nat;
		pair_host_send(&back);
		CU_ASSERT_TRUE_FATAL(pair_client_take(&p));
		seen = see();
		for (unsigned e = 0; e < RTE_DIM(errors); e++) {
			const struct rte_udp_hdr *l4;

			client_says(
				&seen, CLIENT, spec.destination, errors[e].type, errors[e].code
			);
			CU_ASSERT_TRUE_FATAL(pair_host_take(&p));
			l4 = (const void *)(quoted() + 1);
			CU_ASSERT(
				p.icmp->icmp_type == errors[e].type &&
				p.icmp->icmp_code == errors[e].code
			);
			CU_ASSERT_EQUAL(p.ip->src_addr, packet_ip(CONN_INNER));
			CU_ASSERT_EQUAL(quoted()->src_addr, packet_ip(HOST));
			CU_ASSERT_EQUAL(quoted()->dst_addr, packet_ip(CONN_INNER));
			CU_ASSERT_EQUAL(l4->src_port, rte_cpu_to_be_16(spec.destination_port));
			CU_ASSERT_EQUAL(l4->dst_port, rte_cpu_to_be_16(nat));
		}
		pair_end("to host");
	}
}

// What the private network may say, and is not believed.
static void
test_from_hosts_unbelieved(void)
{
	struct packet_spec spec;
	struct seen good, bad;
	uint32_t seq;

	pair_begin(NULL);
	spec = packet_of(pair_resolve(GIT), IPPROTO_TCP);
	pair_client_send(&spec);
	CU_ASSERT_TRUE_FATAL(pair_host_take(&p));
	good = see();
	// A number that cannot be under way: not sent yet, or long ago.
	for (unsigned i = 0; i < 2; i++) {
		bad = good;
		seq = rte_cpu_to_be_32(i == 0 ? spec.tcp_seq + 100 : spec.tcp_seq - (1u << 24));
		memcpy(bad.l4 + 4, &seq, sizeof(seq));
		host_says(&bad, HOST, 3, 1);
	}
	CU_ASSERT_EQUAL(pair_drops(pair.connector, "error_collect_not_in_flight"), 2);
	// Another port, another host, another protocol, a later fragment, options.
	for (unsigned i = 0; i < 5; i++) {
		bad = good;
		if (i == 0)
			bad.l4[0] ^= 1;
		else if (i == 1)
			bad.ip.dst_addr = packet_ip(HOST_2);
		else if (i == 2)
			bad.ip.next_proto_id = IPPROTO_UDP;
		else if (i == 3)
			bad.ip.fragment_offset = RTE_BE16(7);
		else
			bad.ip.version_ihl = 0x46;
		host_says(&bad, HOST, 3, 1);
	}
	CU_ASSERT_EQUAL(
		pair_drops(pair.connector, "error_collect_no_flow") +
			pair_drops(pair.connector, "error_collect_malformed") +
			pair_drops(pair.connector, "icmp_error_malformed"),
		5
	);
	// Neither a redirect nor a source quench is an error to pass on.
	host_says(&good, ROUTER, 5, 1);
	host_says(&good, ROUTER, 4, 0);
	CU_ASSERT_FALSE(pair_client_take(&p));
	CU_ASSERT_EQUAL(pair_flows(pair.pop), 1);
	pair_end("hosts unbelieved");
}

// What a client may say, and is not believed.
static void
test_from_clients_unbelieved(void)
{
	struct packet_spec spec;
	struct seen good, bad;
	const char *git;

	pair_begin(NULL);
	git = pair_resolve(GIT);
	spec = packet_of(git, IPPROTO_UDP);
	pair_client_send(&spec);
	CU_ASSERT_TRUE_FATAL(pair_host_take(&p));
	pair_host_send(&(struct packet_spec){ .protocol = IPPROTO_UDP,
					      .source_port = 5000,
					      .destination_port = rte_be_to_cpu_16(p.udp->src_port),
					      .payload = "x",
					      .payload_bytes = 1 });
	CU_ASSERT_TRUE_FATAL(pair_client_take(&p));
	good = see();
	// Another client about this one's flow, and a stranger.
	client_says(&good, CLIENT_B, git, 3, 3);
	client_says(&good, STRANGER, git, 3, 3);
	// About a packet that was never sent, and one to somebody else.
	bad = good;
	bad.l4[0] ^= 1;
	client_says(&bad, CLIENT, git, 3, 3);
	bad = good;
	bad.ip.dst_addr = packet_ip(CLIENT_B);
	client_says(&bad, CLIENT, git, 3, 3);
	// To another address than the one it is about.
	client_says(&good, CLIENT, UNUSED, 3, 3);
	CU_ASSERT_FALSE(pair_host_take(&p));
	CU_ASSERT_FALSE(pair_client_take(&p)); // errors are not answered (RFC 1122)
	CU_ASSERT_EQUAL(pair_flows(pair.pop), 1);
	// And the flow is none the worse for it.
	client_says(&good, CLIENT, git, 3, 3);
	CU_ASSERT_TRUE(pair_host_take(&p));
	pair_end("clients unbelieved");
}

static const struct sl_test_case cases[] = {
	{ "B6: each ICMP error from a host or router reaches the client as one about its own "
	  "packet",
	  test_to_client },
	{ "B6: errors pass where echo is denied", test_echo_denied },
	{ "B6: each ICMP error of a client reaches the host as one about the host's packet",
	  test_to_host },
	{ "B6: errors about what no flow has under way are dropped by name and make no flow",
	  test_from_hosts_unbelieved },
	{ "B6: a client is believed about its own flows alone", test_from_clients_unbelieved },
};

int
main(int argc, char **argv)
{
	return PAIR_MAIN(argc, argv, cases);
}
