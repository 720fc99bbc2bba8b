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

#define GROUP_A      1ull
#define GROUP_B      2ull
#define POP_PORT     4500
#define KEYPAIRS_MAX 256u
#define POLICIES_MAX 16u

struct pair pair;
enum path_arrival pair_arrival = PATH_ALTERNATE;

static const struct sl_name_key name_key = { { 0x9ae16a3b2f90404full,
					       0xc949d7c7509e6557ull,
					       0xff51afd7ed558ccdull,
					       0xc4ceb9fe1a85ec53ull } };

static struct pair_conf conf;
static struct sl_snapshot pop_snapshots[POLICIES_MAX], connector_snapshot;
static struct sl_policy *policies[POLICIES_MAX];
static unsigned nb_policies;
static struct sl_tenant tenant;
static struct sl_tenant tenants[POLICIES_MAX];
static struct sl_client clients[3];
static struct sl_client_end ends[3];
static struct sl_network networks[1];
static struct sl_plain_clients *plain;
static struct sl_keypair *keypairs[KEYPAIRS_MAX];
static unsigned nb_keypairs;
static uint32_t next_index;
static uint64_t keyed_ns;
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
				       .name_key = &name_key };
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

#define PATTERN(name)                                                                              \
	.label = (name), .patterns = (const char *const[]){ name }, .nb_patterns = 1, .ttl_s = 60

static const struct sl_policy_range all[] = { { 0, 65535 } };
static const struct sl_policy_range web[] = { { 80, 80 } };
static const struct sl_policy_range git_tcp[] = { { 22, 22 }, { 80, 80 }, { 443, 443 } };
static const struct sl_policy_range git_udp[] = { { 53, 53 }, { 5000, 5999 } };
static const struct sl_policy_prefix ip_hosts[] = { { 0x0a420000, 24 } };
#define EVERYTHING .tcp = all, .nb_tcp = 1, .udp = all, .nb_udp = 1, .icmp = true

static const struct sl_policy_resource resources[] = {
	{ .id = 1,
	  PATTERN(GIT),
	  .tcp = git_tcp,
	  .nb_tcp = 3,
	  .udp = git_udp,
	  .nb_udp = 2,
	  .icmp = true,
	  .groups = GROUP_A },
	{ .id = 2, PATTERN(HIDDEN), EVERYTHING, .groups = GROUP_B },
	{ .id = 3,
	  PATTERN(SILENT),
	  .tcp = web,
	  .nb_tcp = 1,
	  .groups = GROUP_A,
	  .deny = SL_POLICY_SILENT },
	{ .id = 4, PATTERN("*.dev.corp.example"), EVERYTHING, .groups = GROUP_A },
	{ .id = 5, PATTERN(NOBODY), EVERYTHING, .groups = GROUP_A },
	{ .id = 6,
	  PATTERN("real.corp.example"),
	  EVERYTHING,
	  .groups = GROUP_A,
	  .aliases = (const char *const[]){ ALIAS },
	  .nb_aliases = 1 },
	{ .id = 7,
	  .label = "10.66.0.0/24",
	  .prefixes = ip_hosts,
	  .nb_prefixes = 1,
	  .tcp = web,
	  .nb_tcp = 1,
	  .groups = GROUP_A },
	{ .id = 8, PATTERN(NO_ECHO), .tcp = web, .nb_tcp = 1, .groups = GROUP_A },
};

static struct sl_policy *
build_policy(const struct sl_policy_resource *list, unsigned nb, uint32_t generation)
{
	struct sl_policy_spec spec = { .generation = generation,
				       .name_key = name_key,
				       .resources = list,
				       .nb_resources = nb,
				       .canary = true };
	struct sl_policy_error error;
	struct sl_policy *policy = NULL;

	if (sl_policy_build(&spec, &policy, &error) != 0)
		sl_test_note("policy: %s", error.what);
	CU_ASSERT_PTR_NOT_NULL_FATAL(policy);
	return policy;
}

void
pair_policy(uint32_t without, uint32_t widened)
{
	struct sl_policy_resource list[RTE_DIM(resources)];
	struct sl_policy *policy;
	struct sl_snapshot *s = &pop_snapshots[nb_policies];
	struct sl_name name;
	unsigned nb = 0;

	CU_ASSERT_FATAL(nb_policies < POLICIES_MAX);
	for (unsigned i = 0; i < RTE_DIM(resources); i++) {
		if (resources[i].id == without)
			continue;
		list[nb] = resources[i];
		if (list[nb].id == widened)
			list[nb].groups = GROUP_A | GROUP_B;
		if (list[nb].id == pair.narrowed)
			list[nb].nb_tcp = 1;
		nb++;
	}
	policy = build_policy(list, nb, ++pair.generation);
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

static struct sl_policy *
build_allow(void)
{
	static const struct sl_policy_range ssh[] = { { 22, 22 } };
	const struct sl_policy_resource list[] = {
		{ .id = 1, PATTERN(GIT), .tcp = ssh, .nb_tcp = 1, .groups = UINT64_MAX },
		{ .id = 2,
		  .label = "ip",
		  .prefixes = ip_hosts,
		  .nb_prefixes = 1,
		  .tcp = web,
		  .nb_tcp = 1,
		  .groups = UINT64_MAX },
	};

	return build_policy(list, RTE_DIM(list), 1);
}

// ---- Keys ------------------------------------------------------------------------------------------

static struct sl_keypair *
make_keypair(const struct sl_transport_key *t)
{
	struct sl_aead *engine = sl_aead_create(SL_AEAD_BEST);
	struct sl_keypair *k = aligned_alloc(64, sl_keypair_bytes(t->cipher, t->nb_lanes));

	CU_ASSERT_FATAL(engine != NULL && k != NULL && nb_keypairs < KEYPAIRS_MAX);
	sl_keypair_init(k, t, engine);
	sl_aead_destroy(engine);
	keypairs[nb_keypairs++] = k;
	return k;
}

static void
install(struct sl_sessions *sessions, const struct sl_transport_key *t)
{
	struct sl_keypair *k = make_keypair(t);
	struct sl_session *s = &sessions->sessions[0];

	atomic_store(&sessions->keypairs[t->local_index & sessions->slot_mask], k);
	s->nb_lanes = t->nb_lanes;
	s->peer_workers = t->peer_workers;
	s->weight = 1;
	s->has_tickets = !conf.no_tickets;
	s->knows_df = !conf.no_df;
	memset(s->public_key, 0xcc, sizeof(s->public_key)
	); // of the other end; the PoP's view counts
	atomic_store(&s->kind, SL_SESSION_TUNNEL);
	atomic_store(&s->current, k);
}

void
pair_rekey(void)
{
	struct sl_transport_key pop = {
		.cipher = conf.is_chacha ? SL_CIPHER_CHACHA20_POLY1305 : SL_CIPHER_AES256_GCM,
		.nb_lanes = PAIR_LANES,
		.peer_workers = PATH_WORKERS,
		.created_ns = path_now_ns(),
		.local_index = 0x1000 + next_index,
		.remote_index = 0x2000 + next_index,
	};
	struct sl_transport_key connector = pop;

	next_index++;
	for (unsigned i = 0; i < SL_AEAD_KEY_BYTES; i++) {
		pop.seal[i] = (uint8_t)(rand() >> 8);
		pop.open[i] = (uint8_t)(rand() >> 8);
	}
	memcpy(connector.seal, pop.open, sizeof(connector.seal));
	memcpy(connector.open, pop.seal, sizeof(connector.open));
	connector.local_index = pop.remote_index;
	connector.remote_index = pop.local_index;
	connector.is_initiator = true;
	install(&pair.connector_sessions, &connector);
	install(&pair.pop_sessions, &pop);
	keyed_ns = path_now_ns();
}

static void
set_lanes(
	struct sl_sessions *sessions, const char *local, const char *remote, unsigned is_connector
)
{
	for (uint16_t k = 0; k < PAIR_LANES; k++) {
		uint16_t own = (uint16_t)(POP_PORT + (is_connector ? k : 0));
		uint16_t other = (uint16_t)(POP_PORT + (is_connector ? 0 : k));

		sessions->sessions[0].lanes[k] = (struct sl_lane_endpoint){
			.remote = packet_ip(remote),
			.local = packet_ip(local),
			.remote_port = rte_cpu_to_be_16(other),
			.local_port = rte_cpu_to_be_16(own),
			.mtu_bytes = conf.underlay_mtu,
			.heard_ns = path_now_ns(),
		};
		sl_lane_port_begin(
			&sessions->sessions[0].ports[k],
			is_connector && conf.searches_ports ? POP_PORT : 0
		);
	}
}

void
pair_down(void)
{
	atomic_store(&pair.pop_sessions.sessions[0].current, NULL);
	atomic_store(&pair.connector_sessions.sessions[0].current, NULL);
}

void
pair_restart_pop(void)
{
	struct sl_dp *dp = path_dp(pair.pop);

	for (unsigned k = 0; k < sl_dp_nb_workers(dp); k++) {
		struct sl_worker *w = sl_dp_worker(dp, k);
		uint32_t nb_flows = w->flows->nb_flows;

		sl_flow_table_destroy(w->flows);
		w->flows = sl_flow_table_create(nb_flows, (uint8_t)k, false, SOCKET_ID_ANY);
		CU_ASSERT_PTR_NOT_NULL_FATAL(w->flows);
	}
	for (unsigned k = 0; k < sl_dp_nb_workers(dp); k++) {
		struct sl_worker *w = sl_dp_worker(dp, k);

		sl_tickets_destroy(w->tickets);
		w->tickets = sl_tickets_create(0, SOCKET_ID_ANY);
	}
	pair.pop_sessions.incarnation++;
	// The connector learns of the new incarnation by the handshake.
	atomic_fetch_add(&pair.connector_sessions.sessions[0].epoch, 1);
	pair_rekey();
}

void
pair_replace_client(void)
{
	clients[1].mark++;
}

void
pair_pass_s(unsigned s)
{
	for (unsigned i = 0; i < s; i++) {
		path_pass_ms(1000);
		if (atomic_load(&pair.pop_sessions.sessions[0].current) != NULL &&
		    path_now_ns() - keyed_ns > SL_REKEY_AFTER_S * SL_NS_PER_S)
			pair_rekey();
	}
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

	path_arrive(node, 0, pair_arrival);
	path_arrive(node, 1, pair_arrival);
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
			     .mtu_bytes = conf.underlay_mtu } },
		.tunnel_port_first = POP_PORT,
		.tunnel_port_last = POP_PORT,
		.nb_resolvers = 4,
		.serves_tcp = conf.serves_tcp,
		.pool = packet_ip("100.96.0.0"),
		.pool_bits = 12,
	};
	struct sl_tables_conf how = { .nb_flows = conf.nb_flows,
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
			     .mtu_bytes = conf.underlay_mtu },
			   { .name = "inner",
			     .address = packet_ip(CONN_INNER),
			     .prefix_bits = 24,
			     .mtu_bytes = conf.inner_mtu } },
		.nb_routes = 3,
		.routes = { { .prefix = packet_ip("10.0.0.0"), .prefix_bits = 24, .port = 0 },
			    { .prefix = packet_ip("10.77.83.0"), .prefix_bits = 24, .port = 1 },
			    { .prefix = packet_ip("10.66.0.0"),
			      .prefix_bits = 24,
			      .port = 1,
			      .via = packet_ip(HOST) } },
		.tunnel_port_first = POP_PORT,
		.tunnel_port_last = POP_PORT + SL_WIRE_MAX_LANES - 1,
	};
	struct sl_tables_conf how = { .nb_flows = conf.nb_flows,
				      .nb_sessions = 1,
				      .nb_names = 64,
				      .timeouts = { 111600, 3600, 150, 1800, 30, 900 },
				      .nat_port_low = conf.nat_low,
				      .nat_port_high = conf.nat_high };

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
						     .groups = i == 0 ? GROUP_A : GROUP_B,
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
					     .name_key = name_key,
					     .lease = &ops };

	if (is_standing)
		pair_end("left standing");
	is_standing = true;
	conf = given == NULL ? (struct pair_conf){ 0 } : *given;
	conf.nb_flows = conf.nb_flows == 0 ? 1024 : conf.nb_flows;
	conf.underlay_mtu = conf.underlay_mtu == 0 ? 1500 : conf.underlay_mtu;
	conf.inner_mtu = conf.inner_mtu == 0 ? 1500 : conf.inner_mtu;
	conf.nat_low = conf.nat_low == 0 ? 20000 : conf.nat_low;
	conf.nat_high = conf.nat_high == 0 ? 29999 : conf.nat_high;
	memset(&pair, 0, sizeof(pair));
	pair.dns_ttl_s = 30;
	pair_reset_hosts();
	nb_policies = nb_keypairs = next_index = 0;
	add_pop();
	add_connector();
	path_wire(pair.pop, 1, pair.connector, 0);
	add_clients();
	pair.addresses = sl_addresses_create(&names);
	CU_ASSERT_PTR_NOT_NULL_FATAL(pair.addresses);
	tenant = (struct sl_tenant
	){ .name = "acme", .addresses = pair.addresses, .flow_secret = { 7, 7, 7 } };
	pair_policy(0, 0);
	connector_snapshot = (struct sl_snapshot){ .generation = 1,
						   .allow = conf.has_allow ? build_allow() : NULL };
	(void)!sl_dp_swap_snapshot(path_dp(pair.connector), &connector_snapshot);
	set_lanes(&pair.pop_sessions, POP_OUTER, CONN_OUTER, 0);
	set_lanes(&pair.connector_sessions, CONN_OUTER, POP_OUTER, 1);
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
	for (unsigned i = 0; i < nb_keypairs; i++) {
		sl_keypair_wipe(keypairs[i]);
		free(keypairs[i]);
	}
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
