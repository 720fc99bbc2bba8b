// keypair: the transport keys of one session between two handshakes, and what may be done with them.
//
// Counters and replay windows live here, one set per lane. Lane to worker is fixed when the keypair is
// installed: lane k belongs to worker k mod W, at either end with that end's own W, and only that
// worker touches the lane. A new handshake brings a new keypair, never a reset counter.
//
// Made by the session thread from a finished handshake (sl_keypair_init), published to workers,
// unpublished, and freed after a grace period. Keys are secret: sl_keypair_wipe().
//
// A worker seals:  sl_keypair_may_seal, sl_keypair_take_counter(s), header, nonce, AEAD.
// A worker opens:  sl_keypair_is_expired, sl_replay_check, AEAD, then, if authentic,
//                  sl_replay_commit and sl_keypair_confirm.
// A WireGuard client's keypair has one lane, which belongs to the worker named here, and the _wireguard
// forms of header and nonce.
//
// Packets of thousands of keypairs may follow one another, so what one of them needs stands close
// together: beside the header the key of ChaCha20-Poly1305 to open with, beside a lane's counter the one
// to seal with. What is seldom read and schedules of AES, which are longer, follow the lanes.
#pragma once

#include <assert.h>
#include <sluice/proto/aead.h>
#include <sluice/proto/bytes.h>
#include <sluice/proto/limits.h>
#include <sluice/proto/replay.h>
#include <sluice/proto/wire.h>
#include <sluice/proto/wireguard.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// One window serves both suites; a lane pays for the words it touches, not for those it has.
#define SL_LANE_REPLAY_WORDS SL_REPLAY_WORDS(SL_REPLAY_WIREGUARD_PKTS)
static_assert(SL_REPLAY_WIREGUARD_PKTS >= SL_REPLAY_TUNNEL_PKTS, "a lane's window is wide enough");

// What a finished handshake gives: wipe it once the keypair is made.
struct sl_transport_key {
	uint8_t seal[SL_AEAD_KEY_BYTES];
	uint8_t open[SL_AEAD_KEY_BYTES];
	enum sl_cipher cipher;
	uint32_t local_index; // we receive under it
	uint32_t remote_index; // we send to it
	uint16_t nb_lanes; // the smaller of what both ends offered; WireGuard: 1
	uint16_t peer_workers; // W of the peer; WireGuard: 0
	bool is_initiator;
	uint64_t created_ns;
};

// One lane of one keypair: its owner's alone.
struct sl_keypair_lane {
	uint8_t chacha_seal[SL_AEAD_KEY_BYTES]; // the same in every lane; AES: zero
	uint64_t next_counter; // to seal with
	struct sl_replay replay;
	uint64_t replay_words[SL_LANE_REPLAY_WORDS];
} __attribute__((aligned(64)));
static_assert(offsetof(struct sl_keypair_lane, replay_words) <= 64, "one line, in order");

// WireGuard, network order: where the peer answered us, and at which address of ours; 0: it was the peer
// that asked, and its first datagram will say.
struct sl_keypair_place {
	uint32_t remote_be, local_be;
	uint16_t remote_port_be, local_port_be;
} __attribute__((aligned(64)));

struct sl_keypair {
	// Written before publication, read by workers.
	uint8_t chacha_open[SL_AEAD_KEY_BYTES]; // AES: zero
	uint64_t created_ns;
	uint32_t local_index; // we receive under it
	uint32_t remote_index; // we send to it
	// Set by whoever publishes the keypair.
	uint32_t session; // id
	uint32_t client; // WireGuard: whose session it is; 0: a tunnel
	uint16_t peer_workers;
	uint8_t worker; // WireGuard: the one that seals and opens
	uint8_t nb_lanes;
	uint8_t cipher; // enum sl_cipher
	bool is_initiator;

	// Set by the first worker that opens a datagram, read by the session thread and by workers: a
	// responder may seal from then on.
	atomic_bool confirmed;
	// Set by a worker whose counter has come far, read by the session thread.
	atomic_bool wants_rekey;

	// nb_lanes; a struct sl_keypair_place follows, and two struct sl_aead_key of AES
	struct sl_keypair_lane lanes[];
};
static_assert(offsetof(struct sl_keypair, lanes) == 64, "one line, and lanes share none");
static_assert(SL_WIRE_MAX_LANES <= UINT8_MAX, "nb_lanes holds them");
static_assert(sizeof(struct sl_keypair_lane) % 64 == 0, "lanes share no cache line");

enum sl_keypair_verdict {
	SL_KEYPAIR_GOOD = 0,
	SL_KEYPAIR_REKEY_DUE, // still good; the initiator asks for a new one
	SL_KEYPAIR_EXPIRED, // seals and opens nothing any more
};

// Debug builds call this for each run of counters taken, if it is set; tests set it before threads
// start. The keypair's address is its identity for as long as it is not freed.
#ifndef NDEBUG
typedef void
sl_keypair_recorder_fn(const struct sl_keypair *k, uint16_t lane, uint64_t first, uint64_t nb);
extern sl_keypair_recorder_fn *sl_keypair_recorder;
#endif

// Memory a keypair needs, to be 64-octet aligned: a multiple of 64.
static inline size_t
sl_keypair_bytes(enum sl_cipher cipher, uint16_t nb_lanes)
{
	return sizeof(struct sl_keypair) + nb_lanes * sizeof(struct sl_keypair_lane) +
		sizeof(struct sl_keypair_place) +
		(cipher == SL_CIPHER_AES256_GCM ? 2 * sizeof(struct sl_aead_key) : 0);
}

// Set by whoever publishes the keypair.
static inline struct sl_keypair_place *
sl_keypair_place(struct sl_keypair *k)
{
	return (struct sl_keypair_place *)(void *)&k->lanes[k->nb_lanes];
}

// The schedules of an AES keypair: to open with, to seal with.
static inline struct sl_aead_key *
sl_keypair_aes(struct sl_keypair *k)
{
	return (struct sl_aead_key *)(void *)(sl_keypair_place(k) + 1);
}

// What an op of the AEAD takes to open with, and to seal with on `lane`.
static inline const uint8_t *
sl_keypair_open_key(struct sl_keypair *k)
{
	return k->cipher == SL_CIPHER_AES256_GCM ? sl_keypair_aes(k)[0].expanded : k->chacha_open;
}

static inline const uint8_t *
sl_keypair_seal_key(struct sl_keypair *k, uint16_t lane)
{
	return k->cipher == SL_CIPHER_AES256_GCM ? sl_keypair_aes(k)[1].expanded
						 : k->lanes[lane].chacha_seal;
}

// Fill `k`, of sl_keypair_bytes(t->cipher, t->nb_lanes) octets, from a finished handshake; at most
// SL_WIRE_MAX_LANES. Session thread, before publication. `t` stays the caller's to wipe.
void
sl_keypair_init(struct sl_keypair *k, const struct sl_transport_key *t, struct sl_aead *engine);

// The worker that owns `lane` at an end with `nb_workers`.
static inline uint16_t
sl_lane_owner(uint16_t lane, uint16_t nb_workers)
{
	return (uint16_t)(lane % nb_workers);
}

// May nothing be sealed or opened under it any more? A clock read just before the keypair was made
// counts as its making.
static inline bool
sl_keypair_is_expired(const struct sl_keypair *k, uint64_t now_ns)
{
	return now_ns > k->created_ns && now_ns - k->created_ns >= SL_REJECT_AFTER_S * SL_NS_PER_S;
}

// A responder seals nothing until the initiator has proved, with a datagram, that it has the keys.
static inline bool
sl_keypair_may_seal(const struct sl_keypair *k, uint64_t now_ns)
{
	return !sl_keypair_is_expired(k, now_ns) &&
		(k->is_initiator || atomic_load_explicit(&k->confirmed, memory_order_relaxed));
}

// Note that an authentic datagram was opened. True for the first, which the owner of the session
// (sl_peer_note_received) must hear of. Any worker; two workers may both see true.
static inline bool
sl_keypair_confirm(struct sl_keypair *k)
{
	if (atomic_load_explicit(&k->confirmed, memory_order_relaxed))
		return false;
	atomic_store_explicit(&k->confirmed, true, memory_order_relaxed);
	return true;
}

// By age and by the count of `lane`; owner of the lane only.
static inline enum sl_keypair_verdict
sl_keypair_verdict(const struct sl_keypair *k, uint16_t lane, uint64_t now_ns)
{
	uint64_t age_ns = now_ns > k->created_ns ? now_ns - k->created_ns : 0;
	uint64_t counter = k->lanes[lane].next_counter;

	if (age_ns >= SL_REJECT_AFTER_S * SL_NS_PER_S || counter >= SL_AEAD_SEAL_LIMIT)
		return SL_KEYPAIR_EXPIRED;
	if ((k->is_initiator && age_ns >= SL_REKEY_AFTER_S * SL_NS_PER_S) ||
	    counter >= SL_AEAD_REKEY_LIMIT)
		return SL_KEYPAIR_REKEY_DUE;
	return SL_KEYPAIR_GOOD;
}

// Reserve `nb` consecutive counters on `lane`; owner only. False, and nothing taken, when the key is
// used up.
static inline bool
sl_keypair_take_counters(struct sl_keypair *k, uint16_t lane, uint64_t nb, uint64_t *first)
{
	struct sl_keypair_lane *l = &k->lanes[lane];

	if (nb > SL_AEAD_SEAL_LIMIT || l->next_counter > SL_AEAD_SEAL_LIMIT - nb)
		return false;
	*first = l->next_counter;
	l->next_counter += nb;
	if (l->next_counter > SL_AEAD_REKEY_LIMIT)
		atomic_store_explicit(&k->wants_rekey, true, memory_order_relaxed);
#ifndef NDEBUG
	if (sl_keypair_recorder != NULL)
		sl_keypair_recorder(k, lane, *first, nb);
#endif
	return true;
}

// Reserve a counter on `lane`; owner only. False when the key is used up.
static inline bool
sl_keypair_take_counter(struct sl_keypair *k, uint16_t lane, uint64_t *counter)
{
	return sl_keypair_take_counters(k, lane, 1, counter);
}

// The nonce of the tunnel, for both ciphers: 16 zero bits, lane, counter.
static inline void
sl_keypair_nonce(uint8_t nonce[SL_AEAD_NONCE_BYTES], uint16_t lane, uint64_t counter)
{
	sl_put16(nonce, 0);
	sl_put16(nonce + 2, lane);
	sl_put64(nonce + 4, counter);
}

// The 16 octets in front of the ciphertext, which are its AAD too.
static inline void
sl_keypair_header(uint8_t p[16], uint32_t remote_index, uint16_t lane, uint64_t counter)
{
	p[0] = SL_WIRE_DATA;
	p[1] = 0;
	sl_put16(p + 2, lane);
	sl_put32(p + 4, remote_index);
	sl_put64(p + 8, counter);
}

// WireGuard's nonce: 32 zero bits, the counter little-endian. No AAD.
static inline void
sl_keypair_nonce_wireguard(uint8_t nonce[SL_AEAD_NONCE_BYTES], uint64_t counter)
{
	sl_put32(nonce, 0);
	sl_put64le(nonce + 4, counter);
}

// WireGuard's 16 octets in front of the ciphertext (struct sl_wg_data).
static inline void
sl_keypair_header_wireguard(uint8_t p[16], uint32_t remote_index, uint64_t counter)
{
	sl_put32le(p, SL_WG_DATA);
	sl_put32le(p + 4, remote_index);
	sl_put64le(p + 8, counter);
}

// Overwrite both keys.
static inline void
sl_keypair_wipe(struct sl_keypair *k)
{
	sl_wipe(k->chacha_open, sizeof(k->chacha_open));
	for (unsigned i = 0; i < k->nb_lanes; i++)
		sl_wipe(k->lanes[i].chacha_seal, sizeof(k->lanes[i].chacha_seal));
	if (k->cipher == SL_CIPHER_AES256_GCM)
		sl_wipe(sl_keypair_aes(k), 2 * sizeof(struct sl_aead_key));
}
