// What a connector refuses whatever a PoP says, as its configuration makes it: addresses that lead to
// itself, to its link or back to a PoP, named as they are or as the answer for a name; unless listed.
#include "3-inner/open_allow.h"
#include "daemon/daemon.h"
#include "sl_test.h"

#include <netinet/in.h>
#include <sluice/dp/session.h>
#include <sluice/dp/snapshot.h>
#include <stdlib.h>
#include <string.h>

static const char conf
	[] = "node = { role = \"connector\"; key_file = \"/k\"; };\n"
	     "ports = ( { name = \"a\"; device = \"net_tap0\"; address = \"10.77.83.1/24\"; },\n"
	     "          { name = \"b\"; device = \"net_tap1\"; address = \"172.16.0.2/24\"; } );\n"
	     "tunnel = { port = \"b\"; peers = ( { name = \"pop\"; endpoint = \"172.16.0.9\";\n"
	     "  public_key = \"YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=\"; } ); };\n"
	     "connector = { tenant = \"acme\"; resolvers = [\"10.77.83.53\"];\n"
	     "  nat_addresses = [\"10.77.83.8\"]; };\n";

static const struct {
	const char *what;
	uint32_t address;
	bool is_refused;
} rows[] = {
	{ "a private host", RTE_IPV4(10, 77, 83, 5), false },
	{ "the private DNS server", RTE_IPV4(10, 77, 83, 53), false },
	{ "a host on the underlay's network", RTE_IPV4(172, 16, 0, 5), false },
	{ "a public host", RTE_IPV4(192, 0, 2, 1), false },
	{ "beside the pool", RTE_IPV4(100, 112, 0, 0), false },
	{ "loopback", RTE_IPV4(127, 0, 0, 1), true },
	{ "loopback, last", RTE_IPV4(127, 255, 255, 255), true },
	{ "this host", RTE_IPV4(0, 0, 0, 0), true },
	{ "this network", RTE_IPV4(0, 1, 2, 3), true },
	{ "link-local", RTE_IPV4(169, 254, 169, 254), true },
	{ "multicast", RTE_IPV4(224, 0, 0, 251), true },
	{ "reserved", RTE_IPV4(240, 0, 0, 1), true },
	{ "broadcast", RTE_IPV4(255, 255, 255, 255), true },
	{ "its own", RTE_IPV4(10, 77, 83, 1), true },
	{ "its own on the underlay", RTE_IPV4(172, 16, 0, 2), true },
	{ "one that flows leave with", RTE_IPV4(10, 77, 83, 8), true },
	{ "the PoP's end of the tunnel", RTE_IPV4(172, 16, 0, 9), true },
	{ "a PoP's resolver", RTE_IPV4(100, 95, 0, 251), true },
	{ "a PoP's resolver, last", RTE_IPV4(100, 95, 0, 254), true },
	{ "the pool, first", RTE_IPV4(100, 96, 0, 0), true },
	{ "the pool, last", RTE_IPV4(100, 111, 255, 255), true },
};

static struct sl_net net;
static struct sl_session session;
static struct sl_sessions sessions = { .sessions = &session, .nb_sessions = 1 };
static struct sl_snapshot snapshot;
static struct sl_worker worker = { .net = &net, .sessions = &sessions, .snapshot = &snapshot };

static void
begin(void)
{
	struct sl_config_errors errors = { 0 };
	struct sl_config *config = NULL;

	CU_ASSERT_EQUAL_FATAL(
		sl_config_load_string(conf, "t.conf", SL_CONFIG_SKIP_FILES, &config, &errors), 0
	);
	sl_config_errors_free(&errors);
	daemon_net(&net, config);
	sl_config_free(config);
	sl_net_index(&net);
	session.lanes[0].remote = rte_cpu_to_be_32(0xac100009u);
	snapshot.allow = NULL;
}

// Is it, asked for as an address and as what a name resolved to?
static bool
is_allowed(rte_be32_t address, uint16_t port)
{
	static const char name[] = "git.corp.example";
	struct sl_open open = { .protocol = IPPROTO_TCP,
				.port = port,
				.destination_kind = SL_DESTINATION_IP4,
				.destination = (const uint8_t *)&address,
				.destination_bytes = sizeof(address) };
	bool as_address = sl_open_allowed(&worker, &open, address);

	open.destination_kind = SL_DESTINATION_NAME;
	open.destination = (const uint8_t *)name;
	open.destination_bytes = sizeof(name) - 1;
	CU_ASSERT_EQUAL(sl_open_allowed(&worker, &open, address), as_address);
	return as_address;
}

static void
test_reserved(void)
{
	begin();
	for (unsigned i = 0; i < RTE_DIM(rows); i++)
		SL_ASSERT_ROW(
			is_allowed(rte_cpu_to_be_32(rows[i].address), 80) != rows[i].is_refused,
			rows[i].what
		);
}

static void
test_listed(void)
{
	static const struct sl_policy_range web = { 80, 80 };
	struct sl_policy_prefix one = { 0, 32 };
	const struct sl_policy_resource resource = { .id = 1,
						     .label = "one",
						     .prefixes = &one,
						     .nb_prefixes = 1,
						     .tcp = &web,
						     .nb_tcp = 1,
						     .groups = UINT64_MAX };
	struct sl_policy_spec spec = { .generation = 1, .resources = &resource, .nb_resources = 1 };
	struct sl_policy_error error;
	struct sl_policy *allow;

	begin();
	for (unsigned i = 0; i < RTE_DIM(rows); i++) {
		one.address = rows[i].address;
		CU_ASSERT_EQUAL_FATAL(sl_policy_build(&spec, &allow, &error), 0);
		snapshot.allow = allow;
		for (unsigned k = 0; k < RTE_DIM(rows); k++)
			SL_ASSERT_ROW(
				is_allowed(rte_cpu_to_be_32(rows[k].address), 80) == (k == i),
				rows[k].what
			);
		CU_ASSERT_FALSE(is_allowed(rte_cpu_to_be_32(rows[i].address), 81));
		sl_policy_free(allow);
	}
	snapshot.allow = NULL;
}

static const struct sl_test_case cases[] = {
	{ "B10: a connector refuses what leads to itself, its link or a PoP, by address and by "
	  "name",
	  test_reserved },
	{ "B10: a connector's list allows what it names and nothing beside, reserved or not",
	  test_listed },
};

SL_TEST_MAIN(cases)
