// keypair: the transport keys of one session between two handshakes, and what may be done with them.
//
// Counters and replay windows live here, one set per lane. Lane to worker is fixed when the keypair is
// installed: lane k belongs to worker k mod W, at either end with that end's own W, and only that
// worker touches the lane. A new handshake brings a new keypair, never a reset counter.
//
// Made by the session thread from a finished handshake, published to workers, unpublished, and freed
// after a grace period. Keys are secret: sl_keypair_wipe().
#pragma once

#include <sluice/proto/aead.h>
#include <sluice/proto/bytes.h>
#include <sluice/proto/limits.h>
#include <sluice/proto/replay.h>
#include <sluice/proto/wire.h>

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SL_LANE_REPLAY_WORDS SL_REPLAY_WORDS(SL_REPLAY_TUNNEL_PKTS)

// One lane of one keypair: its owner's alone.
struct sl_keypair_lane {
	uint64_t next_counter; // to seal with
	struct sl_replay replay;
	uint64_t replay_words[SL_LANE_REPLAY_WORDS];
} __attribute__((aligned(64)));

struct sl_keypair {
	// Written before publication, read by workers.
	struct sl_aead_key seal_key;
	struct sl_aead_key open_key;
	uint32_t local_index; // we receive under it
	uint32_t remote_index; // we send to it
	uint32_t session; // id
	uint16_t nb_lanes;
	uint64_t created_ns;
	bool is_initiator;

	// Set by the first worker that opens a datagram, read by the session thread: a responder may
	// seal from then on.
	atomic_bool confirmed;
	// Set by a worker whose counter has come far, read by the session thread.
	atomic_bool wants_rekey;

	struct sl_keypair_lane lanes[]; // nb_lanes
};

static inline size_t
sl_keypair_bytes(uint16_t nb_lanes)
{
	return sizeof(struct sl_keypair) + nb_lanes * sizeof(struct sl_keypair_lane);
}

// May nothing be sealed or opened under it any more?
static inline bool
sl_keypair_is_expired(const struct sl_keypair *k, uint64_t now_ns)
{
	return now_ns - k->created_ns >= SL_REJECT_AFTER_S * SL_NS_PER_S;
}

// Reserve a counter on `lane`; owner only. False when the key is used up.
static inline bool
sl_keypair_take_counter(struct sl_keypair *k, uint16_t lane, uint64_t *counter)
{
	struct sl_keypair_lane *l = &k->lanes[lane];

	if (l->next_counter >= SL_AEAD_SEAL_LIMIT)
		return false;
	*counter = l->next_counter++;
	return true;
}

// The nonce of the tunnel, for both ciphers: 16 zero bits, lane, counter.
static inline void
sl_keypair_nonce(uint8_t nonce[SL_AEAD_NONCE_BYTES], uint16_t lane, uint64_t counter)
{
	sl_put16(nonce, 0);
	sl_put16(nonce + 2, lane);
	sl_put64(nonce + 4, counter);
}

// The 16 octets in front of the ciphertext.
static inline void
sl_keypair_header(uint8_t p[16], uint32_t remote_index, uint16_t lane, uint64_t counter)
{
	p[0] = SL_WIRE_DATA;
	p[1] = 0;
	sl_put16(p + 2, lane);
	sl_put32(p + 4, remote_index);
	sl_put64(p + 8, counter);
}

// Overwrite both keys.
static inline void
sl_keypair_wipe(struct sl_keypair *k)
{
	sl_wipe(&k->seal_key, sizeof(k->seal_key));
	sl_wipe(&k->open_key, sizeof(k->open_key));
}
