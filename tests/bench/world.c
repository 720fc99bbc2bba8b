#include "device.h"
#include "world.h"

#include <rte_malloc.h>

#include <netinet/in.h>
#include <sluice/dns/addresses.h>
#include <sluice/dns/policy.h>
#include <sluice/dp/names_cache.h>
#include <sluice/dp/neighbour.h>
#include <sluice/dp/plain.h>
#include <sluice/dp/quota.h>
#include <sluice/dp/tables.h>
#include <sluice/dp/upkeep.h>
#include <sluice/proto/keypair.h>
#include <stdlib.h>
#include <string.h>

#define START_NS       (1000 * SL_NS_PER_S)
#define NB_MBUFS       8191u
#define TUNNEL_PORT    51900u
#define UNDERLAY_MTU   1500u
#define POOL_IP        0x64600000u // 100.96.0.0
#define POOL_BITS      12u
#define POP_UNDERLAY   0xac100001u // 172.16.0.1
#define HOST_UNDERLAY  0xac100002u // 172.16.0.2
#define ACCESS_IP      0xc0a80001u // 192.168.0.1
#define ACCESS_ROUTER  0xc0a80002u
#define PRIVATE_IP     0xc0a80901u // 192.168.9.1
#define PRIVATE_ROUTER 0xc0a80902u
#define GROUP          1ull

static const struct sl_name_key name_key = { { 0x9ae16a3b2f90404full,
					       0xc949d7c7509e6557ull,
					       0xff51afd7ed558ccdull,
					       0xc4ceb9fe1a85ec53ull } };

static void
give_up(const char *what)
{
	fprintf(stderr, "bench: no %s\n", what);
	exit(EXIT_FAILURE);
}

static void *
need(size_t nb, size_t nb_bytes)
{
	void *p = calloc(nb, nb_bytes);

	if (p == NULL)
		give_up("memory");
	return p;
}

unsigned
bench_name_text(uint32_t n, char text[64])
{
	return (unsigned)snprintf(text, 64, "host%u.bench.example", n);
}

const struct rte_ether_addr *
bench_mac(const struct bench_end *end, unsigned port)
{
	return &sl_dp_net(end->dp)->ports[port].mac;
}

// ---- Policy and names --------------------------------------------------------------------------

static void
build_policy(struct bench_world *w)
{
	static const struct sl_policy_range all = { 0, 65535 };
	struct sl_policy_resource *list = need(w->size.nb_names, sizeof(*list));
	char(*texts)[64] = need(w->size.nb_names, sizeof(*texts));
	const char **patterns = need(w->size.nb_names, sizeof(*patterns));
	struct sl_policy_spec spec = { .generation = ++w->generation,
				       .name_key = name_key,
				       .resources = list };
	struct sl_policy_error error;

	for (uint32_t n = 0; n < w->size.nb_names; n++) {
		bench_name_text(n, texts[n]);
		patterns[n] = texts[n];
		list[n] = (struct sl_policy_resource){
			.id = n,
			.network = n % w->size.nb_sessions,
			.label = texts[n],
			.patterns = &patterns[n],
			.nb_patterns = 1,
			.tcp = &all,
			.nb_tcp = 1,
			.udp = &all,
			.nb_udp = 1,
			.groups = GROUP,
			.ttl_s = 60,
		};
	}
	spec.nb_resources = w->size.nb_names;
	if (sl_policy_build(&spec, &w->policy, &error) != 0)
		give_up(error.what);
	free(patterns);
	free(texts);
	free(list);
}

struct lease {
	uint32_t address; // last proposed
};

static bool
lease_bind(void *store, uint32_t name_id, const char *name, uint32_t address)
{
	(void)name_id;
	(void)name;
	((struct lease *)store)->address = address;
	return true;
}

static bool
lease_retire(void *store, uint32_t name_id, const char *name, uint32_t address, bool is_released)
{
	(void)store;
	(void)name_id;
	(void)name;
	(void)address;
	(void)is_released;
	return true;
}

static void
assign_names(struct bench_world *w)
{
	static const struct sl_lease_ops ops = { .bind = lease_bind, .retire = lease_retire };
	static struct lease lease;
	struct sl_addresses_config config = {
		.pool = POOL_IP,
		.pool_bits = POOL_BITS,
		.names_max = w->size.nb_names + 64,
		.quarantine_s = 86400,
		.drain_s = 60,
		.idle_s = 600,
		.name_key = name_key,
		.probe_key = { 1, 2, 3 },
		.lease = &ops,
		.store = &lease,
	};
	struct sl_claim claim = { .policy = w->policy,
				  .client_groups = UINT64_MAX,
				  .client = UINT32_MAX,
				  .now_s = START_NS / SL_NS_PER_S };
	struct sl_name name;
	char text[64];
	uint32_t id;

	w->addresses = sl_addresses_create(&config);
	if (w->addresses == NULL)
		give_up("memory for names");
	w->assigned = need(w->size.nb_names, sizeof(*w->assigned));
	for (uint32_t n = 0; n < w->size.nb_names; n++) {
		struct sl_name_info info;

		bench_name_text(n, text);
		if (sl_name_from_text(&name, text) != SL_NAME_OK ||
		    sl_addresses_claim(w->addresses, &claim, &name, &id) != SL_CLAIM_PENDING ||
		    sl_addresses_bound(
			    w->addresses, id, SL_LEASE_BOUND, lease.address, claim.now_s
		    ) != SL_CLAIM_LIVE ||
		    !sl_addresses_info(w->addresses, id, &info))
			give_up("address for a name");
		w->assigned[n] = info.address;
	}
}

static void
make_snapshots(struct bench_world *w)
{
	struct sl_plain_entry *entries = need(w->size.nb_clients, sizeof(*entries));
	struct sl_snapshot *s = &w->pop.snapshot;

	w->clients = need(w->size.nb_clients + 1, sizeof(*w->clients));
	w->ends = need(w->size.nb_clients + 1, sizeof(*w->ends));
	w->networks = need(w->size.nb_sessions, sizeof(*w->networks));
	for (uint32_t c = 0; c < w->size.nb_clients; c++) {
		rte_be32_t address = rte_cpu_to_be_32(BENCH_FIRST_CLIENT_IP + c);

		entries[c] = (struct sl_plain_entry
		){ .prefix = address, .prefix_bits = 32, .client = c + 1 };
		w->clients[c + 1] = (struct sl_client){ .is_live = true,
							.session = SL_NO_SESSION,
							.groups = GROUP,
							.address = address,
							.prefix_bits = 32,
							.name = "client" };
	}
	for (uint32_t i = 0; i < w->size.nb_sessions; i++)
		w->networks[i] = (struct sl_network
		){ .name = "network", .nb_sessions = 1, .sessions = { i } };
	w->tenants[0] = (struct sl_tenant){ .name = "tenant",
					    .policy = w->policy,
					    .addresses = w->addresses,
					    .flow_secret = { 7, 1 } };
	s->plain = sl_plain_build(entries, w->size.nb_clients);
	if (s->plain == NULL)
		give_up("memory for clients");
	free(entries);
	s->generation = w->generation;
	s->clients = w->clients;
	s->ends = w->ends;
	s->nb_clients = w->size.nb_clients + 1;
	s->tenants = &w->tenants[0];
	s->nb_tenants = 1;
	s->networks = w->networks;
	s->nb_networks = (uint16_t)w->size.nb_sessions;
	w->connector.snapshot = (struct sl_snapshot
	){ .generation = 1, .tenants = &w->tenants[0], .nb_tenants = 1 };
}

// ---- Instances ---------------------------------------------------------------------------------

static void
add_port(
	struct sl_net *net,
	const char *name,
	uint32_t address,
	uint32_t far,
	uint32_t prefix,
	uint8_t b
)
{
	uint16_t i = (uint16_t)net->nb_ports++;

	snprintf(net->ports[i].name, sizeof(net->ports[i].name), "%s", name);
	net->ports[i].mtu_bytes = UNDERLAY_MTU;
	net->ports[i].address = rte_cpu_to_be_32(address);
	net->ports[i].prefix_bits = 24;
	net->routes[net->nb_routes++] = (struct sl_route
	){ .prefix = rte_cpu_to_be_32(address & ~255u), .prefix_bits = 24, .port = i };
	if (far != 0)
		net->routes[net->nb_routes++] = (struct sl_route
		){ .prefix = rte_cpu_to_be_32(prefix),
		   .prefix_bits = b,
		   .port = i,
		   .via = rte_cpu_to_be_32(far) };
}

static void
create_instance(
	struct bench_world *w,
	struct bench_end *end,
	const char *name,
	enum sl_dp_role role,
	struct sl_net *net
)
{
	// Packets come from bench_source and go to bench_sink, which stand for the ports.
	static const struct sl_wiring wiring[] = {
		{ "bench_source", "frame", "eth_input" },
		{ "eth_output", "port_tx", "bench_sink" },
	};
	struct sl_dp_conf conf = { .name = name,
				   .role = role,
				   .net = net,
				   .devices = { "net_null0,no-rx=1", "net_null1,no-rx=1" },
				   .cores = { -1 },
				   .nb_workers = 1,
				   .nb_mbufs = NB_MBUFS,
				   .clock = &w->clock,
				   .wiring = wiring,
				   .nb_wiring = 2,
				   .on_mail = w->size.is_kept ? sl_upkeep_mail : NULL,
				   .on_tick = w->size.is_kept ? sl_upkeep_tick : NULL };
	struct sl_tables_conf tables = { .nb_flows = w->size.nb_flows + w->size.nb_flows / 8 + 1024,
					 .nb_sessions = w->size.nb_sessions +
						 (w->size.is_wireguard ? w->size.nb_clients : 0),
					 .timeouts = { 74400, 2400, 100, 1200, 20, 600 },
					 .nat_port_low = 1024,
					 .nat_port_high = 65535 };

	if (role == SL_DP_CONNECTOR) {
		conf.devices[0] = "net_null2,no-rx=1";
		conf.devices[1] = "net_null3,no-rx=1";
		tables.nb_names = 32 * w->size.nb_names; // so that none is lost to its set
	}
	net->tunnel_port_first = TUNNEL_PORT;
	net->tunnel_port_last = TUNNEL_PORT;
	end->dp = sl_dp_create(&conf);
	if (end->dp == NULL || sl_tables_create(end->dp, &tables, &end->sessions) != 0 ||
	    sl_quota_reserve(end->dp, w->size.nb_clients + 1, 1) != 0 ||
	    sl_dp_start_ports(end->dp) != 0)
		give_up("memory for tables (try fewer flows, or --memory)");
	end->worker = sl_dp_worker(end->dp, 0);
	end->pool = sl_dp_pool(end->dp);
	if (sl_dp_swap_snapshot(end->dp, &end->snapshot) != NULL ||
	    sl_quota_reserve(end->dp, end->snapshot.nb_clients, end->snapshot.nb_tenants) != 0)
		give_up("first snapshot");
}

static void
know(struct bench_end *end, uint16_t port, uint32_t address, const struct rte_ether_addr *mac)
{
	struct rte_mbuf *released[SL_NEIGHBOUR_HELD];

	sl_neighbours_learn(
		end->worker->neighbours,
		port,
		rte_cpu_to_be_32(address),
		mac,
		START_NS,
		SL_NEIGHBOUR_MAY_ADD,
		released
	);
}

// ---- Sessions ----------------------------------------------------------------------------------

static void
make_session(
	struct bench_world *w, struct bench_end *end, uint32_t i, const struct sl_transport_key *t
)
{
	struct sl_session *s = &end->sessions.sessions[i];
	struct sl_lane_endpoint *lane = &s->lanes[0];
	struct sl_keypair *k = rte_malloc(
		"sl_keypair", sl_keypair_bytes(t->cipher, t->nb_lanes), 64
	);
	bool is_pop = end == &w->pop;

	if (k == NULL)
		give_up("memory for keys");
	sl_keypair_init(k, t, end->worker->aead);
	k->session = i;
	atomic_store(&k->confirmed, true);
	end->keypairs[i] = k;
	atomic_store(&end->sessions.keypairs[t->local_index & end->sessions.slot_mask], k);
	s->id = i;
	s->nb_lanes = 1;
	s->peer_workers = 1;
	s->weight = 1;
	*lane = (struct sl_lane_endpoint){
		.remote = rte_cpu_to_be_32(is_pop ? HOST_UNDERLAY : POP_UNDERLAY),
		.local = rte_cpu_to_be_32(is_pop ? POP_UNDERLAY : HOST_UNDERLAY),
		.remote_port = rte_cpu_to_be_16(TUNNEL_PORT),
		.local_port = rte_cpu_to_be_16(TUNNEL_PORT),
		.mtu_bytes = UNDERLAY_MTU,
		.heard_ns = START_NS,
	};
	atomic_store(&s->kind, SL_SESSION_TUNNEL);
	atomic_store(&s->current, k);
}

static void
make_sessions(struct bench_world *w)
{
	uint64_t random = 0x9e3779b97f4a7c15u;

	w->pop.keypairs = need(w->size.nb_sessions, sizeof(struct sl_keypair *));
	w->connector.keypairs = need(w->size.nb_sessions, sizeof(struct sl_keypair *));
	atomic_store(&w->pop.sessions.tunnels_end, w->size.nb_sessions);
	atomic_store(&w->connector.sessions.tunnels_end, w->size.nb_sessions);
	for (uint32_t i = 0; i < w->size.nb_sessions; i++) {
		struct sl_transport_key pop = { .cipher = w->size.cipher,
						.local_index = 0xab000000u | i,
						.remote_index = 0xcd000000u | i,
						.nb_lanes = 1,
						.peer_workers = 1,
						.created_ns = START_NS };
		struct sl_transport_key connector = pop;

		for (unsigned b = 0; b < SL_AEAD_KEY_BYTES; b++) {
			pop.seal[b] = connector.open[b] = (uint8_t)sl_bench_random(&random);
			pop.open[b] = connector.seal[b] = (uint8_t)sl_bench_random(&random);
		}
		connector.local_index = pop.remote_index;
		connector.remote_index = pop.local_index;
		connector.is_initiator = true;
		make_session(w, &w->pop, i, &pop);
		make_session(w, &w->connector, i, &connector);
	}
}

static void
resolve_names(struct bench_world *w)
{
	for (uint32_t n = 0; n < w->size.nb_names; n++) {
		struct sl_mail mail = { .kind = SL_MAIL_NAME, .nb_addresses = 1, .ttl_s = 86400 };

		mail.addresses[0] = rte_cpu_to_be_32(BENCH_FIRST_HOST_IP + n);
		mail.name_bytes = (uint8_t)bench_name_text(n, mail.name);
		sl_names_cache_put(w->connector.worker->names, &mail, START_NS);
	}
}

struct bench_world *
bench_world_create(const struct bench_size *size)
{
	static const struct rte_ether_addr router = { { 0x02, 0xff, 0, 0, 0, 1 } };
	struct sl_net net = { .resolvers = { rte_cpu_to_be_32(BENCH_RESOLVER_IP) },
			      .nb_resolvers = 1,
			      .pool = rte_cpu_to_be_32(POOL_IP),
			      .pool_bits = POOL_BITS };
	struct bench_world *w = need(1, sizeof(*w));

	w->size = *size;
	sl_clock_set(&w->clock, START_NS);
	build_policy(w);
	assign_names(w);
	make_snapshots(w);
	add_port(&net, "access", ACCESS_IP, ACCESS_ROUTER, BENCH_FIRST_CLIENT_IP & ~0x3fffffu, 10);
	add_port(&net, "underlay", POP_UNDERLAY, 0, 0, 0);
	net.wireguard_port = size->is_wireguard ? BENCH_WIREGUARD_PORT : 0;
	net.wireguard_mtu = 1420;
	create_instance(w, &w->pop, "bench_pop", SL_DP_POP, &net);
	memset(&net, 0, sizeof(net));
	add_port(&net, "underlay", HOST_UNDERLAY, 0, 0, 0);
	add_port(&net, "private", PRIVATE_IP, PRIVATE_ROUTER, BENCH_FIRST_HOST_IP & ~0x3fffffu, 10);
	create_instance(w, &w->connector, "bench_host", SL_DP_CONNECTOR, &net);
	know(&w->pop, BENCH_POP_ACCESS, ACCESS_ROUTER, &router);
	know(&w->pop,
	     BENCH_POP_UNDERLAY,
	     HOST_UNDERLAY,
	     bench_mac(&w->connector, BENCH_HOST_UNDERLAY));
	know(&w->connector, BENCH_HOST_PRIVATE, PRIVATE_ROUTER, &router);
	know(&w->connector,
	     BENCH_HOST_UNDERLAY,
	     POP_UNDERLAY,
	     bench_mac(&w->pop, BENCH_POP_UNDERLAY));
	make_sessions(w);
	if (size->is_wireguard)
		bench_devices_create(w);
	sl_client_ends_fill(w->ends, w->clients, size->nb_clients + 1);
	resolve_names(w);
	return w;
}

void
bench_world_reload(struct bench_world *w)
{
	const struct sl_snapshot *now = w->pop.worker->snapshot;
	struct sl_snapshot *next = now == &w->spare ? &w->pop.snapshot : &w->spare;
	struct sl_tenant *tenant = &w->tenants[now->tenants == &w->tenants[0]];
	struct sl_policy *old = w->policy;

	build_policy(w);
	while (!sl_addresses_compile(w->addresses, w->policy, 1024, START_NS / SL_NS_PER_S))
		;
	*tenant = now->tenants[0];
	tenant->policy = w->policy;
	*next = *now;
	next->generation = w->generation;
	next->tenants = tenant;
	(void)!sl_dp_swap_snapshot(w->pop.dp, next);
	sl_policy_free(old);
}

static void
destroy_end(struct bench_world *w, struct bench_end *end)
{
	sl_dp_stop(end->dp);
	for (uint32_t i = 0; i < w->size.nb_sessions; i++)
		rte_free(end->keypairs[i]);
	free(end->keypairs);
	sl_tables_destroy(end->dp, &end->sessions);
	sl_dp_destroy(end->dp);
}

void
bench_world_destroy(struct bench_world *w)
{
	destroy_end(w, &w->pop);
	if (w->size.is_wireguard)
		bench_devices_destroy(w);
	destroy_end(w, &w->connector);
	sl_plain_free((struct sl_plain_clients *)(uintptr_t)w->pop.snapshot.plain);
	sl_addresses_free(w->addresses);
	sl_policy_free(w->policy);
	free(w->assigned);
	free(w->clients);
	free(w->ends);
	free(w->networks);
	free(w);
}
