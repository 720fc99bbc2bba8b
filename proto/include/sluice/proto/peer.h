// peer: the handshakes and timers of one session, for initiator and responder and for both suites.
//
// Sans-IO: datagrams and clocks go in, events come out. One thread, the session thread, calls
// everything here. A caller keeps peers in a heap by sl_peer_next_deadline, which may change with
// every call that takes a peer.
//
// Of each session at most three keypairs exist: `next` (responder: not proved yet), `current` (to
// seal with) and `previous` (late datagrams are still opened). The caller holds the keypairs
// themselves and does as the events say, in their order: a key is known to the workers before a
// message leaves that lets the peer use it.
#pragma once

#include <sluice/proto/cookie.h>
#include <sluice/proto/hello.h>
#include <sluice/proto/keypair.h>
#include <sluice/proto/noise.h>
#include <sluice/proto/tai64n.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sl_peer;

// Both clocks, read once by the caller: one that never steps, and the wall.
struct sl_peer_now {
	uint64_t ns; // monotonic
	uint64_t wall_ns; // since 1970, UTC
};

enum sl_peer_event_type {
	// Send bytes[0..nb_bytes): to the peer's endpoint, or if `to_source`, to where the datagram just
	// received came from.
	SL_PEER_SEND,
	// Make a keypair from `key` (sl_keypair_init) and publish it for receiving under key.local_index.
	SL_PEER_INSTALL,
	// Seal with the keypair of local index `index` from now on; `agreement` holds for it.
	SL_PEER_CONFIRMED,
	// Index `index` is free again: unpublish the keypair under it, if one was installed, and wipe and
	// free it after a grace period.
	SL_PEER_RELEASE,
	// Seal and send an empty packet (WireGuard) or a HEARTBEAT (tunnel): confirms a key, or keeps a
	// NAT open.
	SL_PEER_KEEPALIVE,
	// The peer has another incarnation than before: all ids it gave are void. Comes before CONFIRMED.
	SL_PEER_RESTARTED,
	// No keypair to seal with is left.
	SL_PEER_EXPIRED,
	// 90 s of initiations went unanswered. A persistent peer goes on asking (resolve its name anew);
	// another one stops until sl_peer_initiate or sl_peer_note_sealed.
	SL_PEER_GAVE_UP,
};

struct sl_peer_event {
	enum sl_peer_event_type type;
	uint32_t index; // CONFIRMED, RELEASE
	bool to_source; // SEND
	uint16_t nb_bytes; // SEND
	uint8_t bytes[SL_NOISE_MESSAGE_MAX]; // SEND
	struct sl_transport_key key; // INSTALL; wiped by sl_peer_output_wipe
	struct sl_agreement agreement; // CONFIRMED
};

#define SL_PEER_EVENTS_MAX 12u

// What a call asks for. Zero `nb` first; wipe after use.
struct sl_peer_output {
	unsigned nb;
	struct sl_peer *peer; // sl_peer_receive: whom the events are about; NULL: nobody
	struct sl_peer_event events[SL_PEER_EVENTS_MAX];
};

void sl_peer_output_wipe(struct sl_peer_output *out);

enum sl_peer_verdict {
	SL_PEER_OK = 0,
	SL_PEER_COOKIE_SENT, // under load: a cookie reply is among the events, nothing else was done
	SL_PEER_SHORT, // size or type is none of the suite's
	SL_PEER_BAD_MAC, // mac1 is wrong
	SL_PEER_FORGED, // a tag is wrong
	SL_PEER_WEAK_KEY, // a public key of low order
	SL_PEER_UNKNOWN, // static key is nobody's
	SL_PEER_REPLAYED, // timestamp is not later than the last
	SL_PEER_TOO_SOON, // more initiations than one in 20 ms
	SL_PEER_NOT_ASKED, // response or cookie reply to nothing we sent
	SL_PEER_NO_AGREEMENT, // no version or cipher in common
	SL_PEER_NO_MEANS, // no index, no randomness, no memory
};

// This end's side of all its peers of one suite.
struct sl_peer_local {
	struct sl_noise_local noise;
	struct sl_cookie_checker checker;
	struct sl_tai64n_clock clock; // see tai64n.h; needs a floor before anything is initiated
	struct sl_hello hello; // tunnel: own offer; incarnation and all
	void *context; // of the calls below
	// The peer with that static key, or NULL.
	struct sl_peer *(*by_public)(void *context, const struct sl_noise_public *public);
	// The peer that took this index, or NULL.
	struct sl_peer *(*by_index)(void *context, uint32_t index);
	// A fresh receiver index for `peer`, hard to guess and not in use; false when there is none.
	bool (*take_index)(void *context, struct sl_peer *peer, uint32_t *index);
};

[[nodiscard]] enum sl_noise_verdict sl_peer_local_init(
	struct sl_peer_local *local,
	const struct sl_noise_suite *suite,
	const struct sl_noise_private_key *key
);
void sl_peer_local_wipe(struct sl_peer_local *local);

enum sl_peer_flag {
	SL_PEER_INITIATES =
		0x01, // may send initiations (a connector; a WireGuard peer with endpoint)
	SL_PEER_PERSISTENT = 0x02, // never gives up, and rekeys by the clock alone (a connector)
};

// One of the up to three keypairs, as far as the timers need it.
struct sl_peer_slot {
	uint32_t index; // local
	bool is_used;
	bool is_initiator;
	uint64_t created_ns;
	struct sl_agreement agreement;
};

struct sl_peer {
	struct sl_peer_local *local;
	void *owner; // the caller's
	struct sl_noise_remote remote;
	struct sl_cookie_jar jar;
	uint8_t flags; // enum sl_peer_flag
	uint16_t keepalive_s; // persistent keepalive; 0: none

	// Initiation under way.
	struct sl_noise_handshake_key handshake;
	uint32_t handshake_index; // its own, if has_handshake_index
	bool has_handshake_index;
	bool is_asking;
	uint64_t asking_since_ns;
	uint64_t retry_ns;

	struct sl_peer_slot previous, current, next;
	uint8_t last_timestamp[SL_TAI64N_BYTES]; // highest taken
	uint64_t last_taken_ns; // initiation
	bool has_taken;
	bool has_incarnation;
	uint64_t incarnation;

	uint64_t last_sealed_ns; // anything
	uint64_t keepalive_due_ns; // passive: opened data, nothing sealed since; UINT64_MAX: none
	uint64_t answer_due_ns; // sealed data, nothing opened since; UINT64_MAX: none
};

// `preshared` may be NULL. 50 us (one Diffie-Hellman).
[[nodiscard]] enum sl_noise_verdict sl_peer_init(
	struct sl_peer *peer,
	struct sl_peer_local *local,
	const struct sl_noise_public *public,
	const struct sl_noise_shared_key *preshared,
	uint8_t flags,
	uint16_t keepalive_s
);

// RELEASE of every index; then the peer may be freed. Wipes it.
void sl_peer_fini(struct sl_peer *peer, struct sl_peer_output *out);

// Start a handshake unless one is under way. A persistent peer calls it once at start, and again when
// the session is found dead. Without SL_PEER_INITIATES: nothing.
void sl_peer_initiate(struct sl_peer *peer, struct sl_peer_now now, struct sl_peer_output *out);

// A handshake message arrived (first octet one of the suite's three types). `under_load`: ask for
// proof of address before any Diffie-Hellman.
enum sl_peer_load { SL_PEER_CALM, SL_PEER_UNDER_LOAD };

[[nodiscard]] enum sl_peer_verdict sl_peer_receive(
	struct sl_peer_local *local,
	const uint8_t *message,
	size_t nb_bytes,
	const uint8_t source[SL_COOKIE_ADDRESS_BYTES],
	enum sl_peer_load load,
	struct sl_peer_now now,
	struct sl_peer_output *out
);

enum sl_peer_traffic { SL_PEER_DATA, SL_PEER_EMPTY }; // EMPTY: a keepalive

// An authentic datagram was opened under `index`. The first under a `next` keypair confirms it, so
// that one must be told at once; others may be told in sum, some times a second.
void sl_peer_note_opened(
	struct sl_peer *peer,
	uint32_t index,
	enum sl_peer_traffic traffic,
	struct sl_peer_now now,
	struct sl_peer_output *out
);

// Something was sealed for the peer, or could not be for want of a key.
void sl_peer_note_sealed(
	struct sl_peer *peer,
	enum sl_peer_traffic traffic,
	struct sl_peer_now now,
	struct sl_peer_output *out
);

// The key in force has sealed so much that a next one is due (sl_keypair.wants_rekey).
void sl_peer_note_used_up(struct sl_peer *peer, struct sl_peer_now now, struct sl_peer_output *out);

// Do what is due. Call when sl_peer_next_deadline has passed.
void sl_peer_run(struct sl_peer *peer, struct sl_peer_now now, struct sl_peer_output *out);

// Monotonic time of the next thing to do; UINT64_MAX: none.
uint64_t sl_peer_next_deadline(const struct sl_peer *peer);
