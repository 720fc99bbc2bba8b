// noise: Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s in WireGuard's message layout, for two suites that
// differ in prologue, labels, message numbers and payloads alone. Sources: The Noise Protocol
// Framework, revision 34; the WireGuard paper, section 5.4.
//
// Message 1: type, sender | e | static sealed | payload sealed | mac1, mac2
// Message 2: type, sender, receiver | e | payload sealed | mac1, mac2
//
// Nothing here keeps state of its own: a handshake is the caller's struct, and a message that is
// refused leaves it as it was. The MACs at the end are cookie.h's.
#pragma once

#include <sluice/proto/keypair.h>
#include <sluice/proto/tai64n.h>
#include <sluice/proto/wire.h>
#include <sluice/proto/wireguard.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SL_NOISE_KEY_BYTES   32u
#define SL_NOISE_HASH_BYTES  32u
#define SL_NOISE_TAG_BYTES   16u
#define SL_NOISE_MACS_BYTES  sizeof(struct sl_wg_macs)
#define SL_NOISE_PAYLOAD_MAX 64u

struct sl_noise_suite {
	const char *name; // for logs
	const char *prologue; // WireGuard's "identifier"
	const char *label_mac1;
	const char *label_cookie;
	uint8_t type_initiation;
	uint8_t type_response;
	uint8_t type_cookie_reply;
	uint8_t payload1_bytes;
	uint8_t payload2_bytes;
	bool has_hello;
};

extern const struct sl_noise_suite sl_noise_wireguard;
extern const struct sl_noise_suite sl_noise_tunnel;

// Whole messages of a suite, MACs included.
static inline size_t
sl_noise_initiation_bytes(const struct sl_noise_suite *s)
{
	return 8 + 32 + 48 + s->payload1_bytes + SL_NOISE_TAG_BYTES + SL_NOISE_MACS_BYTES;
}

static inline size_t
sl_noise_response_bytes(const struct sl_noise_suite *s)
{
	return 12 + 32 + s->payload2_bytes + SL_NOISE_TAG_BYTES + SL_NOISE_MACS_BYTES;
}

#define SL_NOISE_MESSAGE_MAX 192u

struct sl_noise_private_key {
	uint8_t octets[SL_NOISE_KEY_BYTES];
};

// Symmetric secrets: a preshared key (zero: none), a Diffie-Hellman result.
struct sl_noise_shared_key {
	uint8_t octets[SL_NOISE_KEY_BYTES];
};

struct sl_noise_public {
	uint8_t octets[SL_NOISE_KEY_BYTES];
};

// What a handshake has come to: chaining key and hash, our ephemeral.
struct sl_noise_handshake_key {
	uint8_t chaining[SL_NOISE_HASH_BYTES];
	uint8_t hash[SL_NOISE_HASH_BYTES];
	struct sl_noise_private_key ephemeral; // initiator: ours
	struct sl_noise_public remote_ephemeral; // responder: theirs
};

enum sl_noise_verdict {
	SL_NOISE_OK = 0,
	SL_NOISE_SHORT, // size or type is not the message's
	SL_NOISE_FORGED, // a tag is wrong
	SL_NOISE_WEAK_KEY, // a public key of low order, zero among them
	SL_NOISE_UNKNOWN_PEER, // the initiator's static key is nobody's
	SL_NOISE_FAULT, // libcrypto failed: memory
};

// Fetch the algorithms; called by everything here, and by a program at start to know early.
// -ENOTSUP when libcrypto has no BLAKE2s or ChaCha20-Poly1305.
[[nodiscard]] int sl_noise_setup(void);

// A fresh private key; -EIO when there is no randomness.
[[nodiscard]] int sl_noise_generate(struct sl_noise_private_key *out);

// The public key of a private one.
[[nodiscard]] enum sl_noise_verdict
sl_noise_public_of(const struct sl_noise_private_key *key, struct sl_noise_public *out);

// Diffie-Hellman; WEAK_KEY when the result would be all zero.
[[nodiscard]] enum sl_noise_verdict sl_noise_dh(
	const struct sl_noise_private_key *key,
	const struct sl_noise_public *remote,
	struct sl_noise_shared_key *out
);

// Are they equal? Constant time.
[[nodiscard]] bool
sl_noise_public_equal(const struct sl_noise_public *a, const struct sl_noise_public *b);

// One end's long-lived side of a relation.
struct sl_noise_local {
	const struct sl_noise_suite *suite;
	struct sl_noise_private_key key;
	struct sl_noise_public public;
	uint8_t prologue_chaining[SL_NOISE_HASH_BYTES]; // both as they are before message 1
	uint8_t prologue_hash[SL_NOISE_HASH_BYTES];
};

[[nodiscard]] enum sl_noise_verdict sl_noise_local_init(
	struct sl_noise_local *local,
	const struct sl_noise_suite *suite,
	const struct sl_noise_private_key *key
);
void sl_noise_local_wipe(struct sl_noise_local *local);

struct sl_noise_remote {
	struct sl_noise_public public;
	struct sl_noise_shared_key static_shared; // DH of both static keys, computed once
	struct sl_noise_shared_key preshared; // zero: none
};

[[nodiscard]] enum sl_noise_verdict sl_noise_remote_init(
	struct sl_noise_remote *remote,
	const struct sl_noise_local *local,
	const struct sl_noise_public *public,
	const struct sl_noise_shared_key *preshared // NULL: none
);
void sl_noise_remote_wipe(struct sl_noise_remote *remote);

// Write message 1 without its MACs. `payload` has suite->payload1_bytes. `ephemeral` is used once,
// by this message. Writes sl_noise_initiation_bytes - SL_NOISE_MACS_BYTES octets.
[[nodiscard]] enum sl_noise_verdict sl_noise_write_initiation(
	struct sl_noise_handshake_key *handshake,
	const struct sl_noise_local *local,
	const struct sl_noise_remote *remote,
	const struct sl_noise_private_key *ephemeral,
	uint32_t sender_index,
	const uint8_t *payload,
	uint8_t *out
);

// Gives what is known of the peer with that static key, or NULL. The pointer is used before the
// call that asked returns.
typedef const struct sl_noise_remote *
sl_noise_lookup_fn(void *context, const struct sl_noise_public *public);

// Read message 1 (MACs are checked before, by cookie.h). On OK `handshake`, `payload` and
// `sender_index` are set; otherwise nothing is.
[[nodiscard]] enum sl_noise_verdict sl_noise_read_initiation(
	struct sl_noise_handshake_key *handshake,
	const struct sl_noise_local *local,
	sl_noise_lookup_fn *lookup,
	void *context,
	const uint8_t *message,
	size_t nb_bytes,
	uint8_t payload[SL_NOISE_PAYLOAD_MAX],
	uint32_t *sender_index
);

// Write message 2 without its MACs; `handshake` then is what sl_noise_split takes.
[[nodiscard]] enum sl_noise_verdict sl_noise_write_response(
	struct sl_noise_handshake_key *handshake,
	const struct sl_noise_local *local,
	const struct sl_noise_remote *remote,
	const struct sl_noise_private_key *ephemeral,
	uint32_t sender_index,
	uint32_t receiver_index,
	const uint8_t *payload,
	uint8_t *out
);

// Read message 2; on OK `handshake` is what sl_noise_split takes, otherwise it is unchanged.
[[nodiscard]] enum sl_noise_verdict sl_noise_read_response(
	struct sl_noise_handshake_key *handshake,
	const struct sl_noise_local *local,
	const struct sl_noise_remote *remote,
	const uint8_t *message,
	size_t nb_bytes,
	uint8_t payload[SL_NOISE_PAYLOAD_MAX],
	uint32_t *sender_index
);

// The transport keys: HKDF of the chaining key, with the cipher's name as input in the tunnel suite
// ("AES-256-GCM", "ChaCha20-Poly1305") and none in WireGuard's. Sets seal, open and cipher of `out`.
void sl_noise_split(
	const struct sl_noise_handshake_key *handshake,
	const struct sl_noise_suite *suite,
	enum sl_cipher cipher,
	bool is_initiator,
	struct sl_transport_key *out
);
