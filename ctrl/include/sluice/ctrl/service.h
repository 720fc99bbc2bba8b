// service: everything that is too rare or too slow for a worker: handshakes, first sight of wildcard
// names, queries to upstream and private DNS, RESOLVE. One thread owns a service and calls
// sl_service_turn(); packets come to it as punts and go back by the workers' rings. It never waits
// for the disk and never touches a worker's tables.
#pragma once

#include <sluice/ctrl/config.h>
#include <sluice/dns/addresses.h>
#include <sluice/dns/forward.h>
#include <sluice/dns/resolver.h>
#include <sluice/dp/clock.h>
#include <sluice/dp/session.h>
#include <sluice/proto/histogram.h>
#include <stdbool.h>
#include <stdint.h>

struct sl_dp;
struct sl_service;
struct sl_snapshot;
struct sl_store;
struct sl_streams;

struct sl_service_conf {
	struct sl_dp *dp;
	struct sl_clock *clock; // the instance's
	const struct sl_config
		*config; // outlives the service, or is replaced by sl_service_config()
	struct sl_streams *streams; // DNS over TCP; NULL: none
	struct sl_store *store; // open; to be started after the service was made, which reads it
	struct sl_sessions *sessions; // filled and cleared by the service alone
	const struct sl_private_key *key; // the node's; copied
	const struct sl_private_key *wireguard_key; // copied; NULL: the node's
	uint16_t nb_lanes; // offered to peers
	const struct sl_name_key *name_key; // of the process, the policies' too
};

// The other end of a session, as configured. Addresses in host order.
struct sl_service_peer {
	uint32_t client; // id of a WireGuard client; SL_NO_CLIENT: a connector or PoP
	uint32_t session; // id
	uint16_t tenant; // index
	uint16_t network; // id
	uint32_t weight;
	uint32_t remote; // connector: where the PoP listens; PoP: 0
	uint32_t inner; // client: its address
	uint16_t remote_port;
	uint32_t local; // connector: own address, and source port of lane 0
	uint16_t local_port;
	bool has_psk;
	uint8_t psk[32]; // secret
	uint8_t public_key[32];
	char name[64];
};

// Make a service: tables allocated, leases restored, nothing sent. NULL and a line in the log when
// something is missing.
[[nodiscard]] struct sl_service *sl_service_create(const struct sl_service_conf *conf);
void sl_service_free(struct sl_service *s);

// Do all that is to be done now: punts, completions, timers. Never blocks. Returns how much it did.
unsigned sl_service_turn(struct sl_service *s);

// Until when nothing happens by itself (nanoseconds of the clock).
uint64_t sl_service_wake_ns(const struct sl_service *s);

// A new configuration is in force: `snapshot` is what workers see. Its exact names are claimed and
// known names compiled over the next turns. `peers` is copied.
void sl_service_config(
	struct sl_service *s,
	const struct sl_config *config,
	const struct sl_snapshot *snapshot,
	const struct sl_service_peer *peers,
	unsigned nb_peers
);

// The name and address table of a tenant by its index in the snapshot; outlives snapshots.
struct sl_addresses *sl_service_addresses(struct sl_service *s, unsigned tenant_idx);

// True when every exact name of the configuration has its address on disk.
bool sl_service_names_ready(const struct sl_service *s);

// Say CLOSE to every peer, as far as one turn goes; then the daemon may stop.
void sl_service_shutdown(struct sl_service *s);

// For readiness, show and metrics; plain counts that may be read by the control thread.
// What took how long. The first five are packets that waited here.
enum sl_wait {
	SL_WAIT_NAME, // PoP: a query, for an assigned address on disk
	SL_WAIT_OPEN, // connector: a new flow, for the address of its name
	SL_WAIT_RESOLVE, // connector: a question of a client's, for the private DNS
	SL_WAIT_ASK, // PoP: the same question, for the connector
	SL_WAIT_KEY, // PoP: a packet for a WireGuard client, for a key
	SL_WAIT_PRIVATE_DNS, // connector: a query, for a private DNS server
	SL_WAIT_UPSTREAM_DNS, // PoP: a query, for an upstream server
	SL_WAIT_PEER_HANDSHAKE, // a session with a peer: from asking, or from the answer, until confirmed
	SL_WAIT_CLIENT_HANDSHAKE, // with a WireGuard client
	SL_WAITS
};

struct sl_service_stats {
	uint64_t nb_punts;
	uint64_t nb_held; // packets waiting for a name, a lease or an answer
	uint64_t nb_held_full; // not held: too many were
	uint64_t nb_handshakes; // datagrams looked at
	uint64_t nb_handshakes_bad;
	uint64_t nb_cookies; // of them, answered with a cookie
	uint64_t nb_handshakes_full; // not looked at: too many waited
	uint64_t nb_queries; // sent to DNS servers
	uint64_t nb_queries_full;
	uint64_t nb_answers_late;
	uint64_t nb_answers_leaking; // held back: they would have shown a private address
	uint64_t nb_queries_refused; // ICMP says that their server cannot be reached
	struct sl_histogram waits[SL_WAITS];
};
const struct sl_service_stats *sl_service_stats(const struct sl_service *s);
const struct sl_resolver *sl_service_resolver(const struct sl_service *s);
const struct sl_forward *sl_service_forward(const struct sl_service *s, unsigned tenant_idx);
