// Who may reach what: policy that changes under live flows, the connector's own list, prefixes and
// aliases, and the check that no private address leaves.
#include "pair.h"
#include "pair_fault.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sluice/dp/hash.h>
#include <sluice/dp/worker.h>
#include <stdlib.h>
#include <string.h>

static struct pair_packet p;

static void
test_revoke_up(void)
{
	struct pair_tcp t;

	pair_begin(NULL);
	pair_tcp_open(&t, pair_resolve(GIT), 33000, 80);
	pair_policy(8, 0); // another resource goes: the flow goes on
	pair_tcp_up(&t, RTE_TCP_ACK_FLAG, "a", 1);
	pair_tcp_down(&t, RTE_TCP_ACK_FLAG, "b", 1);
	pair_policy(1, 0);
	pair_tcp_send_up(&t, "secret");
	CU_ASSERT_TRUE(pair_client_take(&p) && pair_is_reset(&p, &t, false));
	// The host is told too, and hears nothing else.
	CU_ASSERT_TRUE(pair_host_take(&p) && pair_is_reset(&p, &t, true) && p.payload_bytes == 0);
	CU_ASSERT_FALSE(pair_host_take(&p));
	CU_ASSERT_EQUAL(pair_flows(pair.pop), 0);
	pair_policy(0, 0);
	pair_tcp_open(&t, pair_resolve(GIT), 33001, 80);
	pair_end("revoke up");
}

static void
test_revoke_down(void)
{
	struct pair_tcp t;

	pair_begin(NULL);
	pair_tcp_open(&t, pair_resolve(GIT), 33000, 80);
	pair_policy(1, 0);
	pair_tcp_send_down(&t, "secret");
	CU_ASSERT_FALSE(pair_client_take(&p));
	CU_ASSERT_EQUAL(pair_drops(pair.pop, "flow_return_revoked"), 1);
	pair_end("revoke down");
}

static void
test_revoke_idle(void)
{
	struct pair_tcp t;

	pair_begin(NULL);
	pair_tcp_open(&t, pair_resolve(GIT), 33000, 80);
	pair.narrowed = 1; // the name is there as before, the port is not
	pair_policy(0, 0);
	pair_pass_s(2);
	CU_ASSERT_TRUE(pair_client_take(&p) && pair_is_reset(&p, &t, false));
	CU_ASSERT_TRUE(pair_host_take(&p) && pair_is_reset(&p, &t, true));
	CU_ASSERT_EQUAL(pair_flows(pair.pop) + pair_flows(pair.connector), 0);
	pair_end("revoke idle");
}

static void
test_grant(void)
{
	struct pair_tcp t;

	pair_begin(NULL);
	CU_ASSERT_STRING_EQUAL(pair_resolve(HIDDEN), "0.0.0.0");
	pair_policy(0, 2);
	pair_tcp_open(&t, pair_resolve(HIDDEN), 33000, 80);
	pair_end("grant");
}

static void
test_allow(void)
{
	struct pair_conf conf = { .has_allow = true };
	struct pair_tcp t;
	struct packet_spec udp;

	pair_begin(&conf);
	pair_tcp_open(&t, pair_resolve(GIT), 33000, 22);
	udp = pair_udp_to(t.address, 5555, 5000, "x", 1);
	pair_client_send(&udp);
	CU_ASSERT_TRUE(pair_client_take(&p) && pair_is_error(&p, 3, 13));
	t.client_port++;
	pair_client_send(&(struct packet_spec){ .destination = t.address,
						.protocol = IPPROTO_TCP,
						.source_port = 33002,
						.destination_port = 80,
						.tcp_flags = RTE_TCP_SYN_FLAG });
	CU_ASSERT_TRUE(pair_client_take(&p) && (p.tcp->tcp_flags & RTE_TCP_RST_FLAG) != 0);
	CU_ASSERT_FALSE(pair_host_take(&p));
	pair_end("allow");
}

static void
test_prefix(void)
{
	struct packet_spec up = { .destination = IP_HOST,
				  .protocol = IPPROTO_TCP,
				  .source_port = 33000,
				  .destination_port = 80,
				  .tcp_flags = RTE_TCP_SYN_FLAG };

	pair_begin(NULL);
	pair_client_send(&up);
	CU_ASSERT_TRUE(pair_host_take(&p) && p.ip->dst_addr == packet_ip(IP_HOST));
	pair_host_send(&(struct packet_spec){ .source = IP_HOST,
					      .protocol = IPPROTO_TCP,
					      .source_port = 80,
					      .destination_port = rte_be_to_cpu_16(p.tcp->src_port),
					      .tcp_flags = RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG });
	CU_ASSERT_TRUE(pair_client_take(&p) && p.ip->src_addr == packet_ip(IP_HOST));
	up.destination_port = 81;
	pair_client_send(&up);
	CU_ASSERT_TRUE(pair_client_take(&p) && (p.tcp->tcp_flags & RTE_TCP_RST_FLAG) != 0);
	CU_ASSERT_EQUAL(p.ip->src_addr, packet_ip(IP_HOST));
	pair_end("prefix");
}

static void
test_alias(void)
{
	struct pair_tcp t;

	pair_begin(NULL);
	pair_tcp_open(&t, pair_resolve(ALIAS), 33000, 80);
	CU_ASSERT_STRING_EQUAL(pair.dns_name, "real.corp.example");
	pair_end("alias");
}

// A flow whose record has gone wrong in memory would show the host's address.
static void
test_leak(void)
{
	struct pair_tcp t;
	rte_be32_t host = packet_ip(HOST);

	pair_begin(NULL);
	pair_tcp_open(&t, pair_resolve(GIT), 33000, 80);
	for (unsigned k = 0; k < PATH_WORKERS; k++) {
		struct sl_flow_table *flows = sl_dp_worker(path_dp(pair.pop), k)->flows;

		for (uint32_t i = 0; i < flows->nb_flows; i++)
			if (flows->flows[i].kind == SL_FLOW_CLIENT)
				memcpy(flows->flows[i].key.destination + 12, &host, 4);
	}
	pair.may_leak = true;
	pair_tcp_send_down(&t, "leak");
	CU_ASSERT_FALSE(pair_client_take(&p));
	CU_ASSERT_EQUAL(pair_drops(pair.pop, "client_output_leak"), 1);
	CU_ASSERT_EQUAL(pair.nb_leaks, 0);
	pair_end("leak");
}

// The address that a name has, whoever may ask for it.
static const char *
address_of(const char *name)
{
	static char text[INET_ADDRSTRLEN];

	if (strcmp(name, HIDDEN) != 0)
		return pair_resolve(name);
	CU_ASSERT_FATAL(pair_ask(CLIENT_B, name, SL_DNS_A, false, &p) > 16);
	return inet_ntop(AF_INET, p.payload + p.payload_bytes - 4, text, sizeof(text));
}

// All names here are of one host. A right to one of them is none to another, whoever has what.
static void
test_one_host(void)
{
	static const struct {
		const char *source, *name;
		uint8_t protocol;
		uint16_t service;
		bool passes;
	} rows[] = {
		{ CLIENT, GIT, IPPROTO_TCP, 22, true },
		{ CLIENT, NO_ECHO, IPPROTO_TCP, 22, false },
		{ CLIENT, NO_ECHO, IPPROTO_TCP, 80, true },
		{ CLIENT, GIT, IPPROTO_TCP, 8080, false },
		{ CLIENT, HIDDEN, IPPROTO_TCP, 80, false },
		{ CLIENT_B, HIDDEN, IPPROTO_TCP, 8080, true },
		{ CLIENT_B, GIT, IPPROTO_TCP, 80, false },
		{ CLIENT_B, NO_ECHO, IPPROTO_TCP, 80, false },
		{ CLIENT, GIT, IPPROTO_ICMP, 1, true },
		{ CLIENT, NO_ECHO, IPPROTO_ICMP, 1, false },
		{ CLIENT, GIT, IPPROTO_UDP, 5000, true },
		{ CLIENT, NO_ECHO, IPPROTO_UDP, 5000, false },
	};

	pair_begin(NULL);
	for (unsigned i = 0; i < RTE_DIM(rows); i++) {
		const char *name = rows[i].name;
		struct packet_spec spec = { .source = rows[i].source,
					    .protocol = rows[i].protocol,
					    .source_port = (uint16_t)(4000 + i),
					    .destination_port = rows[i].service,
					    .tcp_flags = RTE_TCP_SYN_FLAG,
					    .payload = "12345678",
					    .payload_bytes = rows[i].protocol == IPPROTO_TCP ? 0
											     : 8 };

		spec.destination = address_of(name);
		pair_client_send(&spec);
		SL_ASSERT_ROW(pair_host_take(&p) == rows[i].passes, name);
		if (rows[i].passes)
			SL_ASSERT_ROW(p.ip->dst_addr == packet_ip(HOST), name);
		else
			SL_ASSERT_ROW(pair_client_take(&p), name);
	}
	CU_ASSERT_EQUAL(pair_flows(pair.pop), 5);
	pair_end("one host");
}

// The same in an answer: a name's address becomes, by a fault, the private one.
static void
test_leak_in_answer(void)
{
	uint32_t git, host = rte_be_to_cpu_32(packet_ip(HOST));

	pair_begin(NULL);
	git = rte_be_to_cpu_32(packet_ip(pair_resolve(GIT)));
	pair_misassign(pair.addresses, git, host);
	CU_ASSERT_EQUAL(pair_ask(CLIENT, GIT, SL_DNS_A, false, &p), 0);
	CU_ASSERT_EQUAL(pair_drops(pair.pop, "dns_answer_leak"), 1);
	CU_ASSERT_EQUAL(pair.nb_leaks, 0);
	pair_misassign(pair.addresses, host, git);
	pair_end("leak in answer");
}

static const struct sl_test_case cases[] = {
	{ "C5: the next packet of a client after a revocation is refused, and the host is told",
	  test_revoke_up },
	{ "C5: the next packet of a host after a revocation does not reach the client",
	  test_revoke_down },
	{ "C5: an idle flow ends within seconds of its revocation", test_revoke_idle },
	{ "C5: a grant works for the next packet", test_grant },
	{ "rights: the connector holds to its own list", test_allow },
	{ "B10: names of one host keep their rights apart, and a right opens nothing beside it",
	  test_one_host },
	{ "A10: an address of a granted prefix is reached as itself", test_prefix },
	{ "A9: an alias is resolved by the name it stands for", test_alias },
	{ "B1: a private address about to leave toward a client is held back and counted",
	  test_leak },
	{ "B1: an answer about to tell a private address is held back and counted",
	  test_leak_in_answer },
};

int
main(int argc, char **argv)
{
	return PAIR_MAIN(argc, argv, cases);
}
