#include "primitives.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <errno.h>
#include <sluice/proto/bytes.h>
#include <sluice/proto/noise.h>
#include <string.h>

#define CONSTRUCTION "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"

const struct sl_noise_suite sl_noise_wireguard = {
	.name = "wireguard",
	.prologue = "WireGuard v1 zx2c4 Jason@zx2c4.com",
	.label_mac1 = "mac1----",
	.label_cookie = "cookie--",
	.type_initiation = SL_WG_INITIATION,
	.type_response = SL_WG_RESPONSE,
	.type_cookie_reply = SL_WG_COOKIE_REPLY,
	.payload1_bytes = SL_TAI64N_BYTES,
	.payload2_bytes = 0,
	.has_hello = false,
};

const struct sl_noise_suite sl_noise_tunnel = {
	.name = "tunnel",
	.prologue = SL_WIRE_IDENTIFIER,
	.label_mac1 = SL_WIRE_LABEL_MAC1,
	.label_cookie = SL_WIRE_LABEL_COOKIE,
	.type_initiation = SL_WIRE_INITIATION,
	.type_response = SL_WIRE_RESPONSE,
	.type_cookie_reply = SL_WIRE_COOKIE_REPLY,
	.payload1_bytes = SL_TAI64N_BYTES + sizeof(struct sl_wire_hello),
	.payload2_bytes = sizeof(struct sl_wire_hello),
	.has_hello = true,
};

// Every sealed field of the handshake has a key of its own.
static const uint8_t nonce_zero[12];

int
sl_noise_setup(void)
{
	return sl_prim_setup();
}

int
sl_noise_generate(struct sl_noise_private_key *out)
{
	return RAND_priv_bytes(out->octets, sizeof(out->octets)) == 1 ? 0 : -EIO;
}

enum sl_noise_verdict
sl_noise_public_of(const struct sl_noise_private_key *key, struct sl_noise_public *out)
{
	return sl_prim_public(out->octets, key->octets) ? SL_NOISE_OK : SL_NOISE_FAULT;
}

enum sl_noise_verdict
sl_noise_dh(
	const struct sl_noise_private_key *key,
	const struct sl_noise_public *remote,
	struct sl_noise_shared_key *out
)
{
	return sl_prim_dh(out->octets, key->octets, remote->octets) ? SL_NOISE_OK
								    : SL_NOISE_WEAK_KEY;
}

bool
sl_noise_public_equal(const struct sl_noise_public *a, const struct sl_noise_public *b)
{
	return CRYPTO_memcmp(a->octets, b->octets, sizeof(a->octets)) == 0;
}

static void
mix_hash(struct sl_noise_handshake_key *h, const void *data, size_t nb_bytes)
{
	sl_prim_hash(
		h->hash,
		(struct sl_part){ h->hash, sizeof(h->hash) },
		(struct sl_part){ data, nb_bytes }
	);
}

// MixKey: `key` (may be NULL) is for the field that follows.
static void
mix_key(struct sl_noise_handshake_key *h, uint8_t *key, const uint8_t input[32])
{
	uint8_t *outs[] = { h->chaining, key };

	sl_prim_kdf(outs, key == NULL ? 1 : 2, h->chaining, (struct sl_part){ input, 32 });
}

[[nodiscard]] static enum sl_noise_verdict
mix_dh(struct sl_noise_handshake_key *h,
       uint8_t *key,
       const uint8_t private_key[32],
       const uint8_t public[32])
{
	uint8_t shared[32];

	if (!sl_prim_dh(shared, private_key, public))
		return SL_NOISE_WEAK_KEY;
	mix_key(h, key, shared);
	sl_wipe(shared, sizeof(shared));
	return SL_NOISE_OK;
}

// MixKeyAndHash, of the preshared key.
static void
mix_preshared(struct sl_noise_handshake_key *h, uint8_t *key, const uint8_t preshared[32])
{
	uint8_t tau[HASH_BYTES];
	uint8_t *outs[] = { h->chaining, tau, key };

	sl_prim_kdf(outs, 3, h->chaining, (struct sl_part){ preshared, 32 });
	mix_hash(h, tau, sizeof(tau));
	sl_wipe(tau, sizeof(tau));
}

static void
seal(struct sl_noise_handshake_key *h,
     const uint8_t key[32],
     uint8_t *out,
     const void *plain,
     size_t nb_bytes)
{
	struct sl_prim_sealed s = { key, nonce_zero, { h->hash, sizeof(h->hash) } };

	sl_prim_seal(&s, out, plain, nb_bytes);
	mix_hash(h, out, nb_bytes + TAG_BYTES);
}

[[nodiscard]] static enum sl_noise_verdict
open(struct sl_noise_handshake_key *h,
     const uint8_t key[32],
     void *out,
     const uint8_t *sealed,
     size_t nb_bytes)
{
	struct sl_prim_sealed s = { key, nonce_zero, { h->hash, sizeof(h->hash) } };

	if (!sl_prim_open(&s, out, sealed, nb_bytes))
		return SL_NOISE_FORGED;
	mix_hash(h, sealed, nb_bytes + TAG_BYTES);
	return SL_NOISE_OK;
}

enum sl_noise_verdict
sl_noise_local_init(
	struct sl_noise_local *local,
	const struct sl_noise_suite *suite,
	const struct sl_noise_private_key *key
)
{
	struct sl_part none = { NULL, 0 };

	if (sl_prim_setup() != 0)
		return SL_NOISE_FAULT;
	*local = (struct sl_noise_local){ .suite = suite, .key = *key };
	sl_prim_hash(
		local->prologue_chaining,
		(struct sl_part){ CONSTRUCTION, strlen(CONSTRUCTION) },
		none
	);
	sl_prim_hash(
		local->prologue_hash,
		(struct sl_part){ local->prologue_chaining, HASH_BYTES },
		(struct sl_part){ suite->prologue, strlen(suite->prologue) }
	);
	return sl_noise_public_of(key, &local->public);
}

void
sl_noise_local_wipe(struct sl_noise_local *local)
{
	sl_wipe(local, sizeof(*local));
}

enum sl_noise_verdict
sl_noise_remote_init(
	struct sl_noise_remote *remote,
	const struct sl_noise_local *local,
	const struct sl_noise_public *public,
	const struct sl_noise_shared_key *preshared
)
{
	*remote = (struct sl_noise_remote){ .public = *public };
	if (preshared != NULL)
		remote->preshared = *preshared;
	return sl_noise_dh(&local->key, public, &remote->static_shared);
}

void
sl_noise_remote_wipe(struct sl_noise_remote *remote)
{
	sl_wipe(remote, sizeof(*remote));
}

static void
begin(struct sl_noise_handshake_key *h,
      const struct sl_noise_local *local,
      const struct sl_noise_public *responder)
{
	memset(h, 0, sizeof(*h));
	memcpy(h->chaining, local->prologue_chaining, sizeof(h->chaining));
	memcpy(h->hash, local->prologue_hash, sizeof(h->hash));
	mix_hash(h, responder->octets, sizeof(responder->octets));
}

static void
mix_ephemeral(struct sl_noise_handshake_key *h, const uint8_t public[32])
{
	mix_key(h, NULL, public);
	mix_hash(h, public, 32);
}

enum sl_noise_verdict
sl_noise_write_initiation(
	struct sl_noise_handshake_key *handshake,
	const struct sl_noise_local *local,
	const struct sl_noise_remote *remote,
	const struct sl_noise_private_key *ephemeral,
	uint32_t sender_index,
	const uint8_t *payload,
	uint8_t *out
)
{
	struct sl_noise_handshake_key h;
	enum sl_noise_verdict verdict = SL_NOISE_FAULT;
	uint8_t key[32];

	begin(&h, local, &remote->public);
	h.ephemeral = *ephemeral;
	sl_put32le(out, local->suite->type_initiation);
	sl_put32le(out + 4, sender_index);
	if (!sl_prim_public(out + 8, ephemeral->octets))
		goto out;
	mix_ephemeral(&h, out + 8);
	verdict = mix_dh(&h, key, ephemeral->octets, remote->public.octets);
	if (verdict != SL_NOISE_OK)
		goto out;
	seal(&h, key, out + 40, local->public.octets, 32);
	mix_key(&h, key, remote->static_shared.octets);
	seal(&h, key, out + 88, payload, local->suite->payload1_bytes);
	*handshake = h;
out:
	sl_wipe(key, sizeof(key));
	sl_wipe(&h, sizeof(h));
	return verdict;
}

// Who sent it, and what it says: the second half of message 1.
[[nodiscard]] static enum sl_noise_verdict
read_identity(
	struct sl_noise_handshake_key *h,
	const struct sl_noise_local *local,
	sl_noise_lookup_fn *lookup,
	void *context,
	const uint8_t *message,
	uint8_t payload[SL_NOISE_PAYLOAD_MAX]
)
{
	const struct sl_noise_remote *remote;
	struct sl_noise_public public;
	enum sl_noise_verdict verdict;
	uint8_t key[32];

	verdict = mix_dh(h, key, local->key.octets, message + 8);
	if (verdict == SL_NOISE_OK)
		verdict = open(h, key, public.octets, message + 40, 32);
	if (verdict != SL_NOISE_OK)
		goto out;
	remote = lookup(context, &public);
	verdict = SL_NOISE_UNKNOWN_PEER;
	if (remote == NULL || !sl_noise_public_equal(&remote->public, &public))
		goto out;
	mix_key(h, key, remote->static_shared.octets);
	verdict = open(h, key, payload, message + 88, local->suite->payload1_bytes);
out:
	sl_wipe(key, sizeof(key));
	return verdict;
}

enum sl_noise_verdict
sl_noise_read_initiation(
	struct sl_noise_handshake_key *handshake,
	const struct sl_noise_local *local,
	sl_noise_lookup_fn *lookup,
	void *context,
	const uint8_t *message,
	size_t nb_bytes,
	uint8_t payload[SL_NOISE_PAYLOAD_MAX],
	uint32_t *sender_index
)
{
	uint8_t said[SL_NOISE_PAYLOAD_MAX] = { 0 };
	struct sl_noise_handshake_key h;
	enum sl_noise_verdict verdict;

	if (nb_bytes != sl_noise_initiation_bytes(local->suite) ||
	    sl_get32le(message) != local->suite->type_initiation)
		return SL_NOISE_SHORT;
	begin(&h, local, &local->public);
	memcpy(h.remote_ephemeral.octets, message + 8, 32);
	mix_ephemeral(&h, message + 8);
	verdict = read_identity(&h, local, lookup, context, message, said);
	if (verdict == SL_NOISE_OK) {
		*handshake = h;
		memcpy(payload, said, local->suite->payload1_bytes);
		*sender_index = sl_get32le(message + 4);
	}
	sl_wipe(&h, sizeof(h));
	sl_wipe(said, sizeof(said));
	return verdict;
}

enum sl_noise_verdict
sl_noise_write_response(
	struct sl_noise_handshake_key *handshake,
	const struct sl_noise_local *local,
	const struct sl_noise_remote *remote,
	const struct sl_noise_private_key *ephemeral,
	uint32_t sender_index,
	uint32_t receiver_index,
	const uint8_t *payload,
	uint8_t *out
)
{
	struct sl_noise_handshake_key h = *handshake;
	enum sl_noise_verdict verdict = SL_NOISE_FAULT;
	uint8_t key[32];

	sl_put32le(out, local->suite->type_response);
	sl_put32le(out + 4, sender_index);
	sl_put32le(out + 8, receiver_index);
	if (!sl_prim_public(out + 12, ephemeral->octets))
		goto out;
	mix_ephemeral(&h, out + 12);
	verdict = mix_dh(&h, NULL, ephemeral->octets, h.remote_ephemeral.octets);
	if (verdict == SL_NOISE_OK)
		verdict = mix_dh(&h, NULL, ephemeral->octets, remote->public.octets);
	if (verdict != SL_NOISE_OK)
		goto out;
	mix_preshared(&h, key, remote->preshared.octets);
	seal(&h, key, out + 44, payload, local->suite->payload2_bytes);
	*handshake = h;
out:
	sl_wipe(key, sizeof(key));
	sl_wipe(&h, sizeof(h));
	return verdict;
}

enum sl_noise_verdict
sl_noise_read_response(
	struct sl_noise_handshake_key *handshake,
	const struct sl_noise_local *local,
	const struct sl_noise_remote *remote,
	const uint8_t *message,
	size_t nb_bytes,
	uint8_t payload[SL_NOISE_PAYLOAD_MAX],
	uint32_t *sender_index
)
{
	struct sl_noise_handshake_key h = *handshake;
	uint8_t key[32], said[SL_NOISE_PAYLOAD_MAX];
	enum sl_noise_verdict verdict;

	if (nb_bytes != sl_noise_response_bytes(local->suite) ||
	    sl_get32le(message) != local->suite->type_response) {
		sl_wipe(&h, sizeof(h));
		return SL_NOISE_SHORT;
	}
	mix_ephemeral(&h, message + 12);
	verdict = mix_dh(&h, NULL, h.ephemeral.octets, message + 12);
	if (verdict == SL_NOISE_OK)
		verdict = mix_dh(&h, NULL, local->key.octets, message + 12);
	if (verdict != SL_NOISE_OK)
		goto out;
	mix_preshared(&h, key, remote->preshared.octets);
	verdict = open(&h, key, said, message + 44, local->suite->payload2_bytes);
	if (verdict == SL_NOISE_OK) {
		*handshake = h;
		memcpy(payload, said, local->suite->payload2_bytes);
		*sender_index = sl_get32le(message + 4);
	}
out:
	sl_wipe(key, sizeof(key));
	sl_wipe(said, sizeof(said));
	sl_wipe(&h, sizeof(h));
	return verdict;
}

static const char *
cipher_name(enum sl_cipher cipher)
{
	return cipher == SL_CIPHER_AES256_GCM ? "AES-256-GCM" : "ChaCha20-Poly1305";
}

void
sl_noise_split(
	const struct sl_noise_handshake_key *handshake,
	const struct sl_noise_suite *suite,
	enum sl_cipher cipher,
	bool is_initiator,
	struct sl_transport_key *out
)
{
	uint8_t *outs[] = { is_initiator ? out->seal : out->open,
			    is_initiator ? out->open : out->seal };
	const char *name = suite->has_hello ? cipher_name(cipher) : "";

	sl_prim_kdf(outs, 2, handshake->chaining, (struct sl_part){ name, strlen(name) });
	out->cipher = cipher;
	out->is_initiator = is_initiator;
}
