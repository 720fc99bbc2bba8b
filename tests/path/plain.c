// Plain access: who sends is known by the port, the VLAN and the source address of the packet, and what
// comes otherwise is dropped and counted, whatever it asks for.
#include "harness.h"
#include "packet.h"
#include "sl_test.h"

#include <rte_icmp.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include <netinet/in.h>
#include <sluice/dns/addresses.h>
#include <sluice/dns/policy.h>
#include <sluice/dp/plain.h>
#include <sluice/dp/session.h>
#include <sluice/dp/snapshot.h>
#include <sluice/dp/tables.h>
#include <sluice/dp/upkeep.h>
#include <string.h>

#define RESOLVER "100.95.0.251"
#define UNUSED   "100.100.1.1"
#define OFFICE   0u // untagged
#define LAB      1u // VLAN 30
#define OTHER    2u // untagged, and nobody's

static struct path_node *pop;
static struct sl_sessions sessions;
static struct sl_addresses *addresses;
static struct sl_policy *policy;
static struct sl_plain_clients *plain;
static struct sl_client clients[5];
static struct sl_client_end ends[5];
static struct sl_tenant tenant;
static struct sl_snapshot snapshot;

// The clients: one address, a prefix, one address within that prefix, a prefix on a VLAN.
static const struct {
	const char *prefix;
	uint8_t bits;
	uint16_t port, vlan;
} places[] = {
	{ "192.168.1.10", 32, OFFICE, 0 },
	{ "172.16.0.0", 16, OFFICE, 0 },
	{ "172.16.5.5", 32, OFFICE, 0 },
	{ "192.168.30.0", 24, LAB, 30 },
};

static bool
bind_none(void *context, uint32_t id, const char *name, uint32_t address)
{
	(void)context;
	(void)id;
	(void)name;
	(void)address;
	return false;
}

static bool
retire_none(void *context, uint32_t id, const char *name, uint32_t address, bool is_new)
{
	(void)context;
	(void)id;
	(void)name;
	(void)address;
	(void)is_new;
	return false;
}

static void
add_clients(void)
{
	struct sl_plain_entry entries[RTE_DIM(places)];

	for (unsigned i = 0; i < RTE_DIM(places); i++) {
		entries[i] = (struct sl_plain_entry){ .prefix = packet_ip(places[i].prefix),
						      .prefix_bits = places[i].bits,
						      .port = places[i].port,
						      .vlan = places[i].vlan,
						      .client = i + 1 };
		clients[i + 1] = (struct sl_client){ .is_live = true,
						     .session = SL_NO_SESSION,
						     .groups = 1,
						     .port = places[i].port,
						     .vlan = places[i].vlan,
						     .name = places[i].prefix };
	}
	plain = sl_plain_build(entries, RTE_DIM(entries));
	CU_ASSERT_PTR_NOT_NULL_FATAL(plain);
}

static void
add_pop(void)
{
	struct sl_net net = {
		.nb_ports = 3,
		.ports = { { .name = "office",
			     .address = packet_ip("192.168.1.1"),
			     .prefix_bits = 24 },
			   { .name = "lab",
			     .vlan = 30,
			     .address = packet_ip("192.168.30.1"),
			     .prefix_bits = 24 },
			   { .name = "other",
			     .address = packet_ip("10.0.0.1"),
			     .prefix_bits = 24 } },
		.nb_resolvers = 1,
		.resolvers = { packet_ip(RESOLVER) },
		.pool = packet_ip("100.96.0.0"),
		.pool_bits = 12,
		.nb_routes = 4,
		.routes = { { .prefix = packet_ip("192.168.1.0"),
			      .prefix_bits = 24,
			      .port = OFFICE },
			    { .prefix = packet_ip("192.168.30.0"), .prefix_bits = 24, .port = LAB },
			    { .prefix = packet_ip("10.0.0.0"), .prefix_bits = 24, .port = OTHER },
			    { .prefix = packet_ip("172.16.0.0"),
			      .prefix_bits = 16,
			      .port = OFFICE,
			      .via = packet_ip("192.168.1.10") } },
	};
	struct sl_dp_conf how = { .name = "plain",
				  .role = SL_DP_POP,
				  .net = &net,
				  .nb_mbufs = 4095,
				  .on_mail = sl_upkeep_mail,
				  .on_tick = sl_upkeep_tick };
	struct sl_tables_conf tables = { .nb_flows = 256,
					 .nb_sessions = 1,
					 .timeouts = { 74400, 2400, 100, 1200, 20, 600 },
					 .nat_port_low = 30000,
					 .nat_port_high = 39999 };

	pop = path_add_conf(&how);
	CU_ASSERT_EQUAL_FATAL(sl_tables_create(path_dp(pop), &tables, &sessions), 0);
	path_host(pop, OFFICE, packet_ip("192.168.1.10"), "02:aa:00:00:00:01");
	path_host(pop, OTHER, packet_ip("10.0.0.9"), "02:aa:00:00:00:03");
}

static void
begin(void)
{
	static const struct sl_lease_ops ops = { bind_none, retire_none };
	struct sl_addresses_config names = { .pool = 0x64600000u,
					     .pool_bits = 12,
					     .names_max = 64,
					     .quarantine_s = 86400,
					     .drain_s = 30,
					     .idle_s = 60,
					     .lease = &ops };
	static const struct sl_policy_range web[] = { { 80, 80 } };
	const struct sl_policy_resource resource = {
		.id = 1,
		.label = "git",
		.patterns = (const char *const[]){ "git.corp.example" },
		.nb_patterns = 1,
		.tcp = web,
		.nb_tcp = 1,
		.groups = 1,
	};
	struct sl_policy_spec spec = { .generation = 1, .resources = &resource, .nb_resources = 1 };
	struct sl_policy_error error;

	add_pop();
	add_clients();
	addresses = sl_addresses_create(&names);
	CU_ASSERT_PTR_NOT_NULL_FATAL(addresses);
	CU_ASSERT_EQUAL_FATAL(sl_policy_build(&spec, &policy, &error), 0);
	tenant = (struct sl_tenant){ .name = "acme", .policy = policy, .addresses = addresses };
	sl_client_ends_fill(ends, clients, RTE_DIM(clients));
	snapshot = (struct sl_snapshot){ .generation = 1,
					 .clients = clients,
					 .ends = ends,
					 .nb_clients = RTE_DIM(clients),
					 .tenants = &tenant,
					 .nb_tenants = 1,
					 .plain = plain };
	(void)!sl_dp_swap_snapshot(path_dp(pop), &snapshot);
	path_run();
}

static void
free_tables(void)
{
	sl_tables_destroy(path_dp(pop), &sessions);
}

static void
end(const char *title)
{
	path_before_destroy(free_tables);
	path_end(title);
	sl_addresses_free(addresses);
	sl_policy_free(policy);
	sl_plain_free(plain);
}

static const struct {
	const char *what;
	unsigned port;
	uint16_t vlan;
	const char *source;
	const char *drop; // NULL: a client's, so it is answered
} rows[] = {
	{ "a client's address at its port", OFFICE, 0, "192.168.1.10", NULL },
	{ "an address of a routed prefix", OFFICE, 0, "172.16.77.1", NULL },
	{ "its neighbour", OFFICE, 0, "192.168.1.11", "no_client" },
	{ "an address beside the routed prefix", OFFICE, 0, "172.17.0.1", "no_client" },
	{ "a client's address at another port", OTHER, 0, "192.168.1.10", "no_client" },
	{ "a routed address at another port", OTHER, 0, "172.16.5.5", "no_client" },
	{ "an address of another VLAN's client, untagged", OFFICE, 0, "192.168.30.7", "no_client" },
	{ "a client's address on a VLAN", LAB, 30, "192.168.1.10", "no_client" },
	{ "a client's address on a VLAN that is not there", OFFICE, 30, "192.168.1.10", "vlan" },
	{ "a VLAN's client without its tag", LAB, 0, "192.168.30.7", "vlan" },
	{ "a VLAN's client with another tag", LAB, 31, "192.168.30.7", "vlan" },
	{ "a resolver's address", OFFICE, 0, RESOLVER, "martian" },
	{ "the PoP's own", OFFICE, 0, "192.168.1.1", "martian" },
	{ "an assigned address", OFFICE, 0, UNUSED, "no_client" },
};

// What each of them asks for.
static const struct {
	uint8_t protocol;
	const char *destination;
	uint16_t port;
} questions[] = {
	{ IPPROTO_TCP, UNUSED, 80 }, { IPPROTO_UDP, UNUSED, 80 },   { IPPROTO_ICMP, UNUSED, 1 },
	{ 47, UNUSED, 0 },           { IPPROTO_UDP, RESOLVER, 53 }, { IPPROTO_ICMP, RESOLVER, 1 },
};

// 12 octets of header and a question for the root.
static const uint8_t dns[] = { 0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1 };

static uint64_t
drops_of(const char *kind)
{
	static const char *const no_client[] = { "flow_new_no_client",
						 "flow_refuse_no_client",
						 "dns_answer_no_client",
						 "icmp_local_stranger" };
	uint64_t nb = 0;

	if (strcmp(kind, "vlan") == 0)
		return path_drops(pop, "eth_input_bad_vlan");
	if (strcmp(kind, "martian") == 0)
		return path_drops(pop, "ip4_input_martian_source");
	for (unsigned i = 0; i < RTE_DIM(no_client); i++)
		nb += path_drops(pop, no_client[i]);
	return nb;
}

static unsigned
frames_out(void)
{
	uint8_t frame[PATH_FRAME_BYTES];
	unsigned nb = 0;

	for (unsigned port = 0; port < 3; port++)
		while (path_take(pop, port, frame, sizeof(frame)) != 0)
			nb++;
	return nb;
}

static void
ask(unsigned row, unsigned question)
{
	struct packet_spec spec = { .to = path_mac(pop, rows[row].port),
				    .vlan = rows[row].vlan,
				    .source = rows[row].source,
				    .destination = questions[question].destination,
				    .protocol = questions[question].protocol,
				    .source_port = 4000,
				    .destination_port = questions[question].port,
				    .tcp_flags = RTE_TCP_SYN_FLAG,
				    .payload = dns,
				    .payload_bytes = sizeof(dns) };
	uint8_t frame[PATH_FRAME_BYTES];

	path_send(pop, rows[row].port, frame, packet_build(frame, sizeof(frame), &spec));
	path_run();
}

static void
test_rows(void)
{
	begin();
	for (unsigned r = 0; r < RTE_DIM(rows); r++)
		for (unsigned q = 0; q < RTE_DIM(questions); q++) {
			uint64_t before = rows[r].drop == NULL ? 0 : drops_of(rows[r].drop);

			ask(r, q);
			if (rows[r].drop != NULL) {
				SL_ASSERT_ROW(drops_of(rows[r].drop) == before + 1, rows[r].what);
				SL_ASSERT_ROW(frames_out() == 0, rows[r].what);
			} else if (questions[q].port != 53) { // that one goes to an upstream
				SL_ASSERT_ROW(frames_out() == 1, rows[r].what);
			}
		}
	end("rows");
}

// The client of the longest prefix is the one that counts.
static void
test_longest(void)
{
	static const struct {
		const char *source;
		uint32_t client;
	} wanted[] = { { "172.16.5.4", 2 }, { "172.16.5.5", 3 }, { "172.16.5.6", 2 } };

	begin();
	for (unsigned i = 0; i < RTE_DIM(wanted); i++)
		CU_ASSERT_EQUAL(
			sl_plain_find(plain, OFFICE, 0, packet_ip(wanted[i].source)),
			wanted[i].client
		);
	// Revoked: its own entry still stands before the prefix around it.
	clients[3].is_live = false;
	rte_atomic_thread_fence(__ATOMIC_SEQ_CST);
	struct packet_spec spec = { .to = path_mac(pop, OFFICE),
				    .source = "172.16.5.5",
				    .destination = UNUSED,
				    .protocol = IPPROTO_TCP,
				    .source_port = 4000,
				    .destination_port = 80,
				    .tcp_flags = RTE_TCP_SYN_FLAG };
	uint8_t frame[PATH_FRAME_BYTES];

	path_send(pop, OFFICE, frame, packet_build(frame, sizeof(frame), &spec));
	path_run();
	CU_ASSERT_EQUAL(frames_out(), 0);
	CU_ASSERT_EQUAL(path_drops(pop, "flow_new_no_client"), 1);
	end("longest");
}

static const struct sl_test_case cases[] = {
	{ "D2: by port, VLAN and source who is no client is dropped and counted, whatever is asked",
	  test_rows },
	{ "D2: the longest prefix names the client, a revoked one as well", test_longest },
};

int
main(int argc, char **argv)
{
	return sl_test_main(argc, argv, cases, RTE_DIM(cases), path_setup, path_teardown);
}
