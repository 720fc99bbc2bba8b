// internal: the parts of a service. Everything here belongs to the session thread.
#pragma once

#include "holds.h"

#include <sluice/ctrl/log.h>
#include <sluice/ctrl/service.h>
#include <sluice/ctrl/store.h>
#include <sluice/ctrl/stream.h>
#include <sluice/dns/cookie.h>
#include <sluice/dp/dp.h>
#include <sluice/dp/meta.h>
#include <sluice/dp/snapshot.h>

#define NB_QUERIES 65536u
#define HOLD_NS    (3 * SL_NS_PER_S)

// Cookies of store requests that are about no name.
#define COOKIE_RETIRE UINT64_MAX
#define COOKIE_FLOOR  (UINT64_MAX - 1)

// A DNS query of our own under way: which resolver or forwarder asked.
struct query {
	uint64_t sent_ns;
	uint32_t token; // of the asker
	uint16_t asker; // 0: the connector's resolver; 1 + tenant index: a forwarder
	bool is_used;
	uint8_t generation;
};

struct queries {
	struct query slots[NB_QUERIES];
	uint32_t next;
};

struct tenant {
	struct sl_addresses *addresses;
	struct sl_forward *forward; // NULL: there never were upstreams
	bool has_upstreams; // false: other names are refused
	struct sl_stream_server servers[SL_UPSTREAMS_MAX]; // its upstreams
	unsigned nb_claimed; // exact names of the policy asked for on this walk over them
	unsigned nb_missing; // of those, without an address yet
	bool is_short; // on this walk: no address was left
	bool is_claimed; // a walk found all of them with their addresses
	unsigned nb_walks; // in vain, for this configuration
	uint64_t next_walk_ns;
	bool is_compiled;
};

// Pieces of long answers, by the hold they are for.
#define NB_GATHERS 16u
struct gather {
	uint32_t hold, session;
	uint64_t started_ns;
	uint32_t nb_got, nb_bytes; // octets so far, and in all; 0: not known yet
	bool is_used;
	uint8_t *bytes; // SL_DNS_MESSAGE_MAX; NULL: not needed so far
};

struct peers;
struct clients;
struct sl_resolve;
struct keys;

struct sl_service {
	struct sl_dp *dp;
	struct sl_clock *clock;
	const struct sl_config *config;
	const struct sl_snapshot *snapshot;
	struct sl_store *store;
	struct sl_sessions *sessions;
	struct sl_streams *streams; // NULL: no TCP
	struct tenant *tenants;
	unsigned nb_tenants;
	unsigned nb_binding; // leases asked of the store, not told yet
	uint16_t *nb_binding_of; // of names that a client asked for first, by client id
	uint32_t nb_clients; // entries of it
	const char *claimer; // whose query the claim under way is; "" for exact names
	struct sl_resolver *resolver; // connector
	uint64_t next_probe_ns;
	uint32_t next_address; // rotates new flows over the addresses of an answer
	struct keys *keys;
	struct peers *peers;
	struct clients *clients; // NULL: no WireGuard here
	struct holds holds;
	struct queries queries;
	struct sl_name_key name_key;
	bool is_busy; // more punts wait than a turn takes: handshakes need cookies
	uint64_t now_ns;
	uint64_t next_second_ns; // for what is done once a second
	struct gather gathers[NB_GATHERS];
	struct sl_service_stats stats;
	uint8_t message[SL_DNS_MESSAGE_MAX]; // a long answer being made
};

static inline uint32_t
now_s(const struct sl_service *s)
{
	return (uint32_t)(s->now_ns / SL_NS_PER_S);
}

// ---- service.c ---------------------------------------------------------------------------------

// Keep a packet until it is taken or its time is over; its ticket, or HOLD_NONE when too many wait
// (the packet is freed).
uint32_t hold_put(struct sl_service *s, enum hold_kind kind, uint64_t key, struct rte_mbuf *m);
// The packet of a hold, which ends; NULL when it has ended before or is of another kind.
struct rte_mbuf *hold_take(struct sl_service *s, uint32_t ticket, enum hold_kind kind);
// Give a packet to a worker at `stage`; freed and counted when the ring is full.
void to_worker(struct sl_service *s, unsigned worker, uint8_t stage, struct rte_mbuf *m);
// Unpredictable bits, for IDs and ports.
uint64_t service_random(void *context);

// ---- queries.c: DNS queries of our own through the data plane --------------------------------------

// Send `message` to `to` from a port of a worker's choice. False when none is free.
bool query_send(
	struct sl_service *s,
	uint16_t asker,
	uint32_t token,
	struct sl_upstream_address to,
	const uint8_t *message,
	size_t nb_bytes
);
void query_release(struct sl_service *s, uint16_t asker, uint32_t token);
// A punted answer.
void query_answer(struct sl_service *s, struct rte_mbuf *m);
// A punted word that a query did not reach its server.
void query_refused(struct sl_service *s, struct rte_mbuf *m);

// ---- names.c: assigned addresses (PoP) ----------------------------------------------------------

int names_create(struct sl_service *s);
void names_free(struct sl_service *s);
// Ids of clients are below this.
void names_clients(struct sl_service *s, uint32_t nb_clients);
void names_query(struct sl_service *s, struct rte_mbuf *m);
unsigned names_completions(struct sl_service *s);
// A new policy is in force for this tenant.
void names_config(struct sl_service *s, unsigned t);
// When exact names that have no address yet are tried again.
uint64_t names_wake_ns(const struct sl_service *s);
// Claim exact names, compile for a new policy, drain and reclaim: a bounded piece a call.
unsigned names_work(struct sl_service *s);
// For the cookie of an answer to the query in `m`.
struct sl_cookie_for cookie_for(const struct sl_service *s, const struct rte_mbuf *m);
// Answer the held query with a failure.
void names_fail(struct sl_service *s, struct rte_mbuf *m, int why);

// ---- forwarding.c: other names (PoP) ----------------------------------------------------------------

int forwarding_create(struct sl_service *s);
void forwarding_free(struct sl_service *s);
// A new configuration is in force: forwarders whose upstreams changed begin anew.
void forwarding_config(struct sl_service *s, const struct sl_config *before);
void forwarding_query(struct sl_service *s, struct rte_mbuf *m);
void forwarding_receive(
	struct sl_service *s,
	unsigned tenant,
	uint32_t token,
	const uint8_t *message,
	size_t nb_bytes,
	struct sl_upstream_address from,
	bool is_tcp
);
void forwarding_refused(struct sl_service *s, unsigned tenant, uint32_t token);
unsigned forwarding_work(struct sl_service *s);

// ---- resolving.c: private names (connector), RESOLVE records ---------------------------------------

int resolving_create(struct sl_service *s);
void resolving_free(struct sl_service *s);
// A new configuration is in force: with other servers or search domains the resolver begins anew.
void resolving_config(struct sl_service *s, const struct sl_config *before);
void resolving_open(struct sl_service *s, struct rte_mbuf *m);
void resolving_record(struct sl_service *s, struct rte_mbuf *m);
unsigned resolving_work(struct sl_service *s);
// A question or answer by RESOLVE records, in as many pieces as it takes.
void resolve_send(
	struct sl_service *s,
	uint32_t session,
	uint16_t lane,
	uint32_t token,
	bool is_answer,
	const uint8_t *message,
	size_t nb_bytes
);

// ---- asking.c: other types of granted names (PoP) --------------------------------------------------

void asking_query(struct sl_service *s, struct rte_mbuf *m);
// An answer came by RESOLVE in `record`, which stays the caller's.
void asking_answer(struct sl_service *s, struct rte_mbuf *record, const struct sl_resolve *resolve);

// ---- gather.c: long answers in pieces (PoP) ------------------------------------------------------

// Take in a piece of an answer. The whole message when this was what it lacked, else NULL.
const uint8_t *gather_piece(
	struct sl_service *s, uint32_t session, const struct sl_resolve *piece, size_t *nb_bytes
);
void gather_free(struct sl_service *s);

// ---- streaming.c: DNS over TCP and TLS ----------------------------------------------------------

// The answer to the query in `m`, which is then freed, when it came by TCP; false: it did not.
bool
streaming_answer(struct sl_service *s, struct rte_mbuf *m, const uint8_t *message, size_t nb_bytes);
// Ask a server by TCP, or by TLS if that is how it is to be asked. False: that is not possible now.
bool streaming_ask(
	struct sl_service *s,
	uint16_t asker,
	uint32_t token,
	struct sl_upstream_address to,
	const uint8_t *message,
	size_t nb_bytes
);
// The upstreams of a tenant, as configured. 0 or -ENOMEM.
[[nodiscard]] int
streaming_servers(struct tenant *tenant, const struct sl_config_upstreams *upstreams);
void streaming_servers_free(struct tenant *tenant);
// How a forwarder's upstream is asked; NULL: nothing is said of it.
const struct sl_stream_server *
streaming_server(const struct sl_service *s, uint16_t asker, struct sl_upstream_address at);
unsigned streaming_work(struct sl_service *s);

// ---- peers.c: handshakes and sessions ---------------------------------------------------------------

int peers_create(struct sl_service *s, const struct sl_service_conf *conf);
void peers_free(struct sl_service *s);
void peers_handshake(struct sl_service *s, struct rte_mbuf *m);
void peers_config(struct sl_service *s, const struct sl_service_peer *peers, unsigned nb);
// The floor of timestamps that was asked for is on disk, or could not be written.
// The floor found on disk at start.
uint64_t peers_floor(const struct sl_service *s);
void peers_floor_done(struct sl_service *s, bool is_on_disk);
unsigned peers_work(struct sl_service *s);
uint64_t peers_wake_ns(const struct sl_service *s);

// ---- clients.c: handshakes and sessions of WireGuard clients (PoP) -----------------------------------

int clients_create(struct sl_service *s, const struct sl_service_conf *conf);
void clients_free(struct sl_service *s);
// A punted handshake message on the WireGuard port.
void clients_handshake(struct sl_service *s, struct rte_mbuf *m);
// A punted datagram under an index that nobody has.
void clients_unknown(struct sl_service *s, struct rte_mbuf *m);
// A punted packet for a client without a key in force.
void clients_keyless(struct sl_service *s, struct rte_mbuf *m);
void clients_config(struct sl_service *s, const struct sl_service_peer *peers, unsigned nb);
// The floor of timestamps on disk, and the one that initiations need; peers.c keeps it for both.
void clients_floor(struct sl_service *s, uint64_t floor_ns);
uint64_t clients_floor_wanted(const struct sl_service *s, uint64_t wall_ns);
unsigned clients_work(struct sl_service *s);
uint64_t clients_wake_ns(const struct sl_service *s);
