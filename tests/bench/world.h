// world: a PoP and a connector in one process, one worker each, with the policy, names, clients,
// sessions and keys a bench asks for. No port carries packets: a bench feeds the graphs (feed.h).
//
// Addresses: clients 10.128.0.1 on, behind one router; private hosts 10.0.0.1 on, one for each name,
// behind one router; every session has one lane, and all share the two underlay addresses.
#pragma once

#include "kit.h"

#include <sluice/dp/dp.h>
#include <sluice/dp/session.h>
#include <sluice/dp/snapshot.h>

#define BENCH_POP_ACCESS      0u // ports of the PoP
#define BENCH_POP_UNDERLAY    1u
#define BENCH_HOST_UNDERLAY   0u // ports of the connector
#define BENCH_HOST_PRIVATE    1u
#define BENCH_SERVICE_PORT    4433u // of every private host
#define BENCH_FIRST_CLIENT_IP 0x0a800001u // 10.128.0.1
#define BENCH_FIRST_HOST_IP   0x0a000001u // 10.0.0.1
#define BENCH_RESOLVER_IP     0x645f00fbu // 100.95.0.251

struct bench_size {
	uint32_t nb_flows;
	uint32_t nb_clients;
	uint32_t nb_sessions;
	uint32_t nb_names;
	enum sl_cipher cipher;
	bool is_wireguard; // clients are WireGuard devices; else plain ones
	bool is_kept; // upkeep runs (expiry, heartbeats), and time passes when told
};

// One end: its instance and what its worker reads.
struct bench_end {
	struct sl_dp *dp;
	struct sl_worker *worker;
	struct sl_sessions sessions;
	struct sl_keypair **keypairs; // by session
	struct sl_snapshot snapshot;
	struct rte_mempool *pool;
};

struct bench_world {
	struct bench_size size;
	struct bench_end pop, connector;
	struct sl_clock clock;
	struct sl_policy *policy;
	uint32_t generation; // of the policy
	struct sl_tenant tenants[2]; // in force, and the one before or to come
	struct sl_snapshot spare; // of the PoP, likewise
	struct sl_addresses *addresses;
	uint32_t *assigned; // by name: its assigned address, host order
	struct sl_client *clients;
	struct sl_client_end *ends;
	struct sl_keypair **devices,
		**device_keys; // by client: its end and the PoP's; see device.h
	struct sl_aead *device_aead;
	struct sl_network *networks; // one a session
};

// Make it; exits with a message when something cannot be had. sl_eal_start() has been called.
struct bench_world *bench_world_create(const struct bench_size *size);
void bench_world_destroy(struct bench_world *w);

// A policy that says the same under a new generation, and all it touches, comes into force at the
// PoP, as a reload does it beside the workers.
void bench_world_reload(struct bench_world *w);

// What stands for name `n` in text; returns its length.
unsigned bench_name_text(uint32_t n, char text[64]);

// Routers beyond the ports that are not the underlay, and the ports themselves.
const struct rte_ether_addr *bench_mac(const struct bench_end *end, unsigned port);
