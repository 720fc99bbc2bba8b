#include "pair.h"
#include "pair_internal.h"

#include <ftw.h>
#include <netinet/in.h>
#include <sluice/ctrl/config.h>
#include <sluice/ctrl/key.h>
#include <sluice/ctrl/log.h>
#include <sluice/ctrl/service.h>
#include <sluice/ctrl/store.h>
#include <sluice/dp/crypto.h>
#include <sluice/dp/inner.h>
#include <sluice/dp/lane_port.h>
#include <sluice/dp/plain.h>
#include <sluice/dp/snapshot.h>
#include <sluice/dp/tables.h>
#include <sluice/dp/tickets.h>
#include <sluice/dp/upkeep.h>
#include <sluice/proto/keypair.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POLICIES_MAX 16u

struct pair pair;
static enum path_arrival arrival_mode;

struct pair_conf pair_conf;
static struct sl_snapshot pop_snapshots[POLICIES_MAX], connector_snapshot;
static struct sl_policy *policies[POLICIES_MAX];
static unsigned nb_policies;
static struct sl_tenant tenant;
static struct sl_tenant tenants[POLICIES_MAX];
static struct sl_client clients[3];
static struct sl_client_end ends[3];
static struct sl_network networks[1];
static struct sl_plain_clients *plain;
static bool is_standing; // left so by a failed case

// ---- The connector's session thread: the real one ----------------------------------------------

static struct sl_service *service;
static struct sl_config *config;
static struct sl_store *store;
static struct sl_clock service_clock;
static char state_dir[64];

static const char connector_conf
	[] = "node = { role = \"connector\"; key_file = \"/k\"; };\n"
	     "ports = ( { name = \"only\"; device = \"net_tap0\"; address = \"10.77.83.1/24\"; } "
	     ");\n"
	     "tunnel = { peers = ( { name = \"pop\"; endpoint = \"10.0.0.1\";\n"
	     "  public_key = \"YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=\"; } ); };\n"
	     "connector = { tenant = \"acme\"; resolvers = [\"10.77.83.53\"]; };\n";

static void
start_service(void)
{
	static const struct sl_private_key key = { { 1, 2, 3, 4 } };
	struct sl_store_config where = { .dir = state_dir,
					 .pool = { 0x64600000u, 1u << 10 },
					 .linger_us = UINT32_MAX };
	struct sl_service_conf how = { .dp = path_dp(pair.connector),
				       .clock = &service_clock,
				       .sessions = &pair.connector_sessions,
				       .key = &key,
				       .nb_lanes = PAIR_LANES,
				       .name_key = &pair_name_key };
	struct sl_config_errors errors = { 0 };
	char why[300] = "";

	strcpy(state_dir, "/tmp/pathflow-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(state_dir));
	CU_ASSERT_EQUAL_FATAL(
		sl_config_load_string(
			connector_conf, "t.conf", SL_CONFIG_SKIP_FILES, &config, &errors
		),
		0
	);
	sl_config_errors_free(&errors);
	CU_ASSERT_EQUAL_FATAL(sl_store_open(&store, &where, why, sizeof(why)), 0);
	sl_clock_set(&service_clock, path_now_ns());
	how.config = config;
	how.store = store;
	service = sl_service_create(&how);
	CU_ASSERT_PTR_NOT_NULL_FATAL(service);
	CU_ASSERT_EQUAL_FATAL(sl_store_start(store), 0);
	sl_service_config(service, config, &connector_snapshot, NULL, 0);
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static void
stop_service(void)
{
	sl_service_free(service);
	sl_store_close(store);
	sl_config_free(config);
	nftw(state_dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

// ---- The PoP's session thread: as much of it as names need -----------------------------------------

static bool
bind_at_once(void *context, uint32_t name_id, const char *name, uint32_t address)
{
	(void)context, (void)name_id, (void)name, (void)address;
	return true;
}

static bool
retire_at_once(
	void *context, uint32_t name_id, const char *name, uint32_t address, bool is_released
)
{
	(void)context, (void)name_id, (void)name, (void)address, (void)is_released;
	return true;
}

static uint32_t
now_s(void)
{
	return (uint32_t)(path_now_ns() / SL_NS_PER_S);
}

static void
claim(const struct sl_name *name, uint64_t groups, uint32_t client)
{
	struct sl_claim how = { .policy = policies[nb_policies - 1],
				.client_groups = groups,
				.client = client,
				.now_s = now_s() };
	struct sl_name_info info;
	uint32_t id;

	if (sl_addresses_claim(pair.addresses, &how, name, &id) != SL_CLAIM_PENDING)
		return;
	CU_ASSERT_TRUE(sl_addresses_info(pair.addresses, id, &info));
	CU_ASSERT_EQUAL(
		sl_addresses_bound(pair.addresses, id, SL_LEASE_BOUND, info.address, now_s()),
		SL_CLAIM_LIVE
	);
}

static void
serve_punt(struct rte_mbuf *m)
{
	struct sl_meta *meta = sl_meta(m);
	struct sl_query query;
	const uint8_t *message = rte_pktmbuf_mtod_offset(
		m, const uint8_t *, meta->l4_offset + sizeof(struct rte_udp_hdr)
	);
	size_t nb_bytes = m->data_len - meta->l4_offset - sizeof(struct rte_udp_hdr);

	if (meta->punt != SL_PUNT_DNS_NAME ||
	    sl_query_parse(&query, message, nb_bytes) != SL_QUERY_OK) {
		pair_punted[meta->punt]++;
		rte_pktmbuf_free(m);
		return;
	}
	claim(&query.name, clients[meta->client].groups, meta->client);
	meta->stage = SL_STAGE_CLIENT;
	CU_ASSERT_EQUAL(sl_dp_send_mbuf(path_dp(pair.pop), meta->worker, m), 0);
}

static unsigned
session_threads(void)
{
	struct rte_mbuf *m;
	unsigned done = 0;

	while ((m = path_take_punt(pair.pop)) != NULL) {
		serve_punt(m);
		done++;
	}
	sl_clock_set(&service_clock, path_now_ns());
	return done + sl_service_turn(service) + pair_play_hosts();
}

// ---- Policy ----------------------------------------------------------------------------------------

void
pair_policy(uint32_t without, uint32_t widened)
{
	struct sl_policy *policy;
	struct sl_snapshot *s = &pop_snapshots[nb_policies];
	struct sl_name name;

	CU_ASSERT_FATAL(nb_policies < POLICIES_MAX);
	policy = pair_policy_build(without, widened, pair.narrowed, ++pair.generation);
	tenants[nb_policies] = tenant;
	tenants[nb_policies].policy = policy;
	*s = (struct sl_snapshot){ .generation = pair.generation,
				   .clients = clients,
				   .ends = ends,
				   .nb_clients = RTE_DIM(clients),
				   .tenants = &tenants[nb_policies],
				   .nb_tenants = 1,
				   .networks = networks,
				   .nb_networks = 1,
				   .plain = plain };
	policies[nb_policies++] = policy;
	for (unsigned i = 0; i < sl_policy_nb_exact(policy); i++) {
		sl_policy_exact(policy, i, &name);
		claim(&name, UINT64_MAX, UINT32_MAX);
	}
	while (!sl_addresses_compile(pair.addresses, policy, 1024, now_s()))
		;
	(void)!sl_dp_swap_snapshot(path_dp(pair.pop), s);
}

void
pair_replace_client(void)
{
	clients[1].mark++;
}

// ---- Making and taking down --------------------------------------------------------------------------

static struct path_node *
add(const char *name, enum sl_dp_role role, const struct sl_net *net)
{
	struct sl_dp_conf how = { .name = name,
				  .role = role,
				  .net = net,
				  .nb_mbufs = 4095,
				  .on_mail = sl_upkeep_mail,
				  .on_tick = sl_upkeep_tick };
	struct path_node *node = path_add_conf(&how);

	path_arrive(node, 0, arrival_mode);
	path_arrive(node, 1, arrival_mode);
	return node;
}

static void
add_pop(void)
{
	struct sl_net net = {
		.nb_ports = 2,
		.ports = { { .name = "clients",
			     .address = packet_ip("192.168.1.1"),
			     .prefix_bits = 24 },
			   { .name = "underlay",
			     .address = packet_ip(POP_OUTER),
			     .prefix_bits = 24,
			     .mtu_bytes = pair_conf.underlay_mtu } },
		.tunnel_port_first = PAIR_POP_PORT,
		.tunnel_port_last = PAIR_POP_PORT,
		.nb_resolvers = 4,
		.serves_tcp = pair_conf.serves_tcp,
		.pool = packet_ip("100.96.0.0"),
		.pool_bits = 12,
	};
	struct sl_tables_conf how = { .nb_flows = pair_conf.nb_flows,
				      .nb_sessions = 1,
				      .timeouts = { 74400, 2400, 100, 1200, 20, 600 },
				      .nat_port_low = 30000,
				      .nat_port_high = 39999 };

	for (unsigned i = 0; i < 4; i++)
		net.resolvers[i] = packet_ip(RESOLVER) + rte_cpu_to_be_32(i);
	pair.pop = add("pop", SL_DP_POP, &net);
	CU_ASSERT_EQUAL_FATAL(sl_tables_create(path_dp(pair.pop), &how, &pair.pop_sessions), 0);
	path_host(pair.pop, 0, packet_ip(CLIENT), "02:aa:00:00:00:01");
	path_host(pair.pop, 0, packet_ip(CLIENT_B), "02:aa:00:00:00:02");
	path_host(pair.pop, 0, packet_ip(STRANGER), "02:aa:00:00:00:66");
}

static void
add_connector(void)
{
	struct sl_net net = {
		.nb_ports = 2,
		.ports = { { .name = "outer",
			     .address = packet_ip(CONN_OUTER),
			     .prefix_bits = 24,
			     .mtu_bytes = pair_conf.underlay_mtu },
			   { .name = "inner",
			     .address = packet_ip(CONN_INNER),
			     .prefix_bits = 24,
			     .mtu_bytes = pair_conf.inner_mtu } },
		.nb_routes = 3,
		.routes = { { .prefix = packet_ip("10.0.0.0"), .prefix_bits = 24, .port = 0 },
			    { .prefix = packet_ip("10.77.83.0"), .prefix_bits = 24, .port = 1 },
			    { .prefix = packet_ip("10.66.0.0"),
			      .prefix_bits = 24,
			      .port = 1,
			      .via = packet_ip(HOST) } },
		.tunnel_port_first = PAIR_POP_PORT,
		.tunnel_port_last = PAIR_POP_PORT + SL_WIRE_MAX_LANES - 1,
	};
	struct sl_tables_conf how = { .nb_flows = pair_conf.nb_flows,
				      .nb_sessions = 1,
				      .nb_names = 64,
				      .timeouts = { 111600, 3600, 150, 1800, 30, 900 },
				      .nat_port_low = pair_conf.nat_low,
				      .nat_port_high = pair_conf.nat_high };

	pair.connector = add("connector", SL_DP_CONNECTOR, &net);
	CU_ASSERT_EQUAL_FATAL(
		sl_tables_create(path_dp(pair.connector), &how, &pair.connector_sessions), 0
	);
	path_host(pair.connector, 1, packet_ip(HOST), "02:bb:00:00:00:05");
	path_host(pair.connector, 1, packet_ip(HOST_2), "02:bb:00:00:00:06");
	path_host(pair.connector, 1, packet_ip(PRIVATE_DNS), "02:bb:00:00:00:53");
}

static void
add_clients(void)
{
	const struct sl_plain_entry entries[] = {
		{ .prefix = packet_ip(CLIENT), .prefix_bits = 32, .client = 1, .port = 0 },
		{ .prefix = packet_ip(CLIENT_B), .prefix_bits = 32, .client = 2, .port = 0 },
	};

	for (unsigned i = 0; i < 2; i++)
		clients[i + 1] = (struct sl_client){ .is_live = true,
						     .session = SL_NO_SESSION,
						     .groups = i == 0 ? PAIR_GROUP_A : PAIR_GROUP_B,
						     .address = entries[i].prefix,
						     .prefix_bits = 32,
						     .mark = 1000 + i,
						     .name = i == 0 ? "a" : "b" };
	sl_client_ends_fill(ends, clients, RTE_DIM(clients));
	plain = sl_plain_build(entries, RTE_DIM(entries));
	CU_ASSERT_PTR_NOT_NULL_FATAL(plain);
	networks[0] = (struct sl_network){ .name = "corp", .nb_sessions = 1, .sessions = { 0 } };
}

void
pair_begin(const struct pair_conf *given)
{
	static const struct sl_lease_ops ops = { bind_at_once, retire_at_once };
	struct sl_addresses_config names = { .pool = 0x64600000u,
					     .pool_bits = 12,
					     .names_max = 256,
					     .quarantine_s = 86400,
					     .drain_s = 30,
					     .idle_s = 60,
					     .name_key = pair_name_key,
					     .lease = &ops };

	if (is_standing)
		pair_end("left standing");
	is_standing = true;
	pair_conf = given == NULL ? (struct pair_conf){ 0 } : *given;
	pair_conf.nb_flows = pair_conf.nb_flows == 0 ? 1024 : pair_conf.nb_flows;
	pair_conf.underlay_mtu = pair_conf.underlay_mtu == 0 ? 1500 : pair_conf.underlay_mtu;
	pair_conf.inner_mtu = pair_conf.inner_mtu == 0 ? 1500 : pair_conf.inner_mtu;
	pair_conf.nat_low = pair_conf.nat_low == 0 ? 20000 : pair_conf.nat_low;
	pair_conf.nat_high = pair_conf.nat_high == 0 ? 29999 : pair_conf.nat_high;
	memset(&pair, 0, sizeof(pair));
	pair.dns_ttl_s = 30;
	pair_reset_hosts();
	nb_policies = 0;
	add_pop();
	add_connector();
	path_wire(pair.pop, 1, pair.connector, 0);
	add_clients();
	pair.addresses = sl_addresses_create(&names);
	CU_ASSERT_PTR_NOT_NULL_FATAL(pair.addresses);
	tenant = (struct sl_tenant
	){ .name = "acme", .addresses = pair.addresses, .flow_secret = { 7, 7, 7 } };
	pair_policy(0, 0);
	connector_snapshot = (struct sl_snapshot
	){ .generation = 1, .allow = pair_conf.has_allow ? pair_allow_build() : NULL };
	(void)!sl_dp_swap_snapshot(path_dp(pair.connector), &connector_snapshot);
	pair_set_lanes(&pair.pop_sessions, POP_OUTER, CONN_OUTER, 0);
	pair_set_lanes(&pair.connector_sessions, CONN_OUTER, POP_OUTER, 1);
	pair_rekey();
	start_service();
	path_session(session_threads);
	path_pass_ms(200); // heartbeats: neighbours know each other
}

static void
free_tables(void)
{
	sl_tables_destroy(path_dp(pair.pop), &pair.pop_sessions);
	sl_tables_destroy(path_dp(pair.connector), &pair.connector_sessions);
}

void
pair_end(const char *title)
{
	is_standing = false;
	pair_drain();
	CU_ASSERT(pair.may_leak || pair.nb_leaks == 0);
	CU_ASSERT_EQUAL(path_drops(pair.pop, "handover_twice"), 0);
	CU_ASSERT_EQUAL(path_drops(pair.connector, "handover_twice"), 0);
	CU_ASSERT_EQUAL(path_drops(pair.pop, "handover_no_worker"), 0);
	CU_ASSERT_EQUAL(path_drops(pair.connector, "handover_no_worker"), 0);
	if (!pair.may_leak)
		CU_ASSERT_EQUAL(path_drops(pair.pop, "client_output_leak"), 0);
	pair_down(); // no heartbeats any more
	stop_service();
	path_before_destroy(free_tables);
	path_end(title);
	sl_addresses_free(pair.addresses);
	for (unsigned i = 0; i < nb_policies; i++)
		sl_policy_free(policies[i]);
	sl_policy_free((struct sl_policy *)(uintptr_t)connector_snapshot.allow);
	sl_plain_free(plain);
	pair_free_keys();
}

unsigned
pair_flows(struct path_node *node)
{
	unsigned nb = 0;

	for (unsigned k = 0; k < PATH_WORKERS; k++)
		nb += sl_dp_worker(path_dp(node), k)->flows->nb_used;
	return nb;
}

uint64_t
pair_drops(struct path_node *node, const char *reason)
{
	return path_drops(node, reason);
}

void
pair_note_drops(void)
{
	static struct sl_node_stats rows[512];
	struct path_node *nodes[] = { pair.pop, pair.connector };

	for (unsigned n = 0; n < 2; n++) {
		unsigned nb = sl_dp_node_stats(path_dp(nodes[n]), rows, RTE_DIM(rows));

		for (unsigned i = 0; i < nb; i++)
			if (rows[i].drop != NULL && rows[i].objs != 0)
				sl_test_note(
					"%s: %s %llu",
					n == 0 ? "pop" : "connector",
					rows[i].name,
					(unsigned long long)rows[i].objs
				);
	}
}

static const char *cpu_wanted;

static int
setup(void)
{
	setenv("SLUICE_CPU", cpu_wanted, 1);
	return path_setup();
}

int
pair_main(
	int argc,
	char **argv,
	const struct sl_test_case *cases,
	unsigned nb_cases,
	enum path_arrival arrival,
	const char *cpu
)
{
	arrival_mode = arrival;
	cpu_wanted = cpu;
	return sl_test_main(argc, argv, cases, nb_cases, setup, path_teardown);
}
