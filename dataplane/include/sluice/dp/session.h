// session: the table of authenticated peers, shared by all threads of an instance. A fixed array;
// the session thread alone fills and clears entries and publishes keypair pointers one by one with
// release stores; workers load them with acquire and never keep them past a walk. A keypair is
// freed after every worker has been quiescent since it was unpublished.
#pragma once

#include <rte_byteorder.h>
#include <rte_common.h>

#include <assert.h>
#include <sluice/dp/preference.h>
#include <sluice/proto/record.h>
#include <sluice/proto/wire.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sl_keypair; // proto/keypair.h

enum sl_session_kind {
	SL_SESSION_NONE = 0,
	SL_SESSION_TUNNEL, // PoP-connector
	SL_SESSION_CLIENT, // PoP-WireGuard client
};

#define SL_NO_SESSION UINT32_MAX

// Where datagrams of one lane go. Owned by the lane's worker once published: it alone moves it, on
// authenticated data only. A WireGuard client's session has a lane for each worker, worker k's the k-th:
// that of the keypair's worker is the one in use.
struct sl_lane_endpoint {
	rte_be32_t remote; // underlay address of the peer
	rte_be32_t local;
	rte_be16_t remote_port;
	rte_be16_t local_port;
	uint16_t mtu_bytes; // confirmed path MTU of the underlay
	uint16_t fragment_id; // of the next record that is cut
	uint64_t heard_ns; // last authenticated datagram (lane 0's is what liveness reads)
	uint64_t opened_pkts; // with something in them
	uint64_t sealed_pkts; // client: keepalives apart
	uint64_t opened_empty_pkts; // client: keepalives
	uint64_t wanted_pkts; // client: not sealed for want of a key or an endpoint
	uint32_t index; // client: local, of the keypair that was used last; 0: none
	uint32_t sealed_at; // client: sl_session_tick() of the last
} __rte_cache_aligned;
static_assert(sizeof(struct sl_lane_endpoint) == RTE_CACHE_LINE_SIZE, "one line a lane");

// A millisecond or so of the clock, in 32 bits: which of two recent events came later.
static inline uint32_t
sl_session_tick(uint64_t now_ns)
{
	return (uint32_t)(now_ns >> 20);
}

// What is known of how large a datagram a lane carries, beside its endpoint's mtu_bytes, and what is
// being asked; see path_mtu.h. Owned like the endpoint.
struct sl_path_mtu {
	uint64_t probe_ns; // when the last probe was sent; its pong says so
	uint64_t sealed_pkts; // the endpoint's, at the last question
	uint32_t due_ds;
	uint16_t max_bytes; // of the port: no probe is larger
	uint16_t failed_bytes; // a size that does not pass; above the maximum: none known
	uint16_t probe_bytes; // size being asked about, 0 none
	uint8_t nb_probes; // of that size that stayed unanswered
	uint8_t nb_cycles; // confirmations since the full size was tried last
};

// Which worker a lane arrives at, and the search for a source port that mends it; see lane_port.h.
// Owned like the endpoint.
struct sl_lane_port {
	uint32_t opened_pkts; // dialled end: of the endpoint, at the last look
	uint32_t nb_strayed; // arrived at another worker, since the last look or move
	uint32_t said_index; // dialled end: what the last report was about: keypair, ...
	rte_be32_t said_remote; // ... address
	rte_be16_t said_port; // ... and port of the far end
	uint16_t first_port; // dialling end: of those it may use (host order); 0: the dialled end
	uint32_t due_ds; // when to report again; dialling end: rest until then, 0 none
	uint8_t from; // the worker the last stray came by
	uint8_t said; // worker in the last report; dialling end: in the first of this search
	uint8_t at, best; // ports in use and best so far, counted from first_port
	uint8_t best_score;
	uint8_t seen; // all scores of this search
	uint8_t nb_tries; // 0: no search
	bool varies; // the far end named more than one worker in this search
};

struct sl_session {
	// session thread: rw, workers: ro.
	_Atomic(struct sl_keypair *) current; // to seal with; NULL: not up
	atomic_uchar kind; // enum sl_session_kind
	atomic_bool draining; // it says so in its heartbeats: no new flows; lane 0's worker: rw
	uint16_t tenant;
	uint16_t network; // PoP: remote network the connector serves
	uint16_t nb_lanes;
	uint16_t peer_workers;
	uint32_t id;
	uint32_t client; // SL_SESSION_CLIENT: client id
	// SL_SESSION_CLIENT: local index of the newest keypair that the client has proved to hold; 0: none.
	// The worker that opened the first datagram under it: w, the session thread for what it asked for.
	atomic_uint proved;
	atomic_ushort worker; // SL_SESSION_CLIENT: of the newest keypair, or to be of the first
	uint32_t weight; // PoP: share of new flows
	atomic_uint epoch; // bumped when the peer restarted: ids it gave before are void
	atomic_uint_fast64_t established_ns;
	bool has_tickets; // peer knows TICKET and REOPEN
	bool knows_df; // peer knows SL_RECORD_ODD_DF

	// Lane 0's endpoint is beside what sealing to the session reads: two lines, one place.
	struct sl_lane_endpoint lanes[SL_WIRE_MAX_LANES];
	struct sl_path_mtu paths[SL_WIRE_MAX_LANES]; // of the lanes, with the same owners
	struct sl_lane_port ports[SL_WIRE_MAX_LANES]; // likewise

	// PoP: who gets new flows; on a connector, what its PoPs say.
	struct sl_preference preference;
	// session thread: rw, seldom read.
	char name[64]; // of the peer, from the configuration
	uint8_t public_key[32]; // tunnel: of the peer
} __rte_cache_aligned;
static_assert(offsetof(struct sl_session, lanes) == RTE_CACHE_LINE_SIZE, "one line before lane 0");

static_assert(SL_WIRE_MAX_LANES >= 64, "a client's session has a lane for each worker");

// The lane that says where the peer is and when it was heard.
static inline const struct sl_lane_endpoint *
sl_session_lane(const struct sl_session *s)
{
	bool is_client = atomic_load_explicit(&s->kind, memory_order_relaxed) == SL_SESSION_CLIENT;

	return &s->lanes[is_client ? atomic_load_explicit(&s->worker, memory_order_relaxed) : 0];
}

#define SL_INDEX_WAYS 4u // previous, current, next and one at rest

// Receiver index -> keypair. An index is slot (low bits) and a random rest; `keypairs[slot]` holds
// the keypair whose local index it is.
struct sl_sessions {
	struct sl_session *sessions;
	uint32_t nb_sessions;
	uint32_t nb_slots; // power of two
	uint32_t slot_mask;
	// This node's, for handshakes and tickets; written before workers start.
	uint64_t incarnation;
	uint8_t public_key[32];
	atomic_bool draining; // this node takes no new flows and says so; control thread: rw
	atomic_uint wall_s; // wall clock, as the session thread last read it
	atomic_uint tunnels_end; // no tunnel session has this id or a higher one; 0: not said
	_Atomic(struct sl_keypair *) *keypairs;
};

// What this node says of itself in each heartbeat: SL_HEARTBEAT_*.
static inline uint8_t
sl_sessions_state(const struct sl_sessions *s)
{
	return atomic_load_explicit(&s->draining, memory_order_relaxed)
		? SL_HEARTBEAT_READY | SL_HEARTBEAT_DRAINING
		: SL_HEARTBEAT_READY;
}

// Where the keypair that receives under `index` stands, if there is one.
static inline _Atomic(struct sl_keypair *) *
sl_sessions_slot(const struct sl_sessions *s, uint32_t index)
{
	return &s->keypairs[index & s->slot_mask];
}

// The keypair that receives under `index`, or NULL. Worker; valid until the end of the walk.
static inline struct sl_keypair *
sl_sessions_keypair(const struct sl_sessions *s, uint32_t index)
{
	return atomic_load_explicit(sl_sessions_slot(s, index), memory_order_acquire);
}
