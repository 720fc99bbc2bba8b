// primitives: BLAKE2s, HMAC, the key derivation, ChaCha20-Poly1305 and X25519 as the handshake wants
// them, over libcrypto. Private to proto/.
//
// libcrypto refuses a hash or a seal of ours only when memory is exhausted; going on with an unset
// buffer would be worse than stopping, so those abort.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HASH_BYTES 32u
#define TAG_BYTES  16u

struct sl_part {
	const void *data;
	size_t nb_bytes;
};

[[nodiscard]] int sl_prim_setup(void);

void sl_prim_hash(uint8_t out[HASH_BYTES], struct sl_part a, struct sl_part b);

// Keyed BLAKE2s of 16 octets; the key has `nb_key_bytes` (at most 32).
void sl_prim_mac(
	uint8_t out[16], const uint8_t *key, size_t nb_key_bytes, struct sl_part a, struct sl_part b
);

// HKDF with HMAC-BLAKE2s: `nb` outputs (1 to 3) of 32 octets; outputs may be the key itself.
void sl_prim_kdf(uint8_t *outs[], unsigned nb, const uint8_t key[HASH_BYTES], struct sl_part input);

struct sl_prim_sealed {
	const uint8_t *key; // 32 octets
	const uint8_t *nonce; // 12 octets
	struct sl_part aad;
};

// ChaCha20-Poly1305; `out` has nb_bytes + TAG_BYTES.
void
sl_prim_seal(const struct sl_prim_sealed *s, uint8_t *out, const uint8_t *plain, size_t nb_bytes);

// `nb_bytes` of plaintext out of nb_bytes + TAG_BYTES. False, and `out` zero, if forged.
[[nodiscard]] bool
sl_prim_open(const struct sl_prim_sealed *s, uint8_t *out, const uint8_t *sealed, size_t nb_bytes);

// The subkey of XChaCha20 (draft-irtf-cfrg-xchacha-03, section 2.2).
void sl_prim_hchacha20(uint8_t out[32], const uint8_t key[32], const uint8_t nonce[16]);

// X25519. False when the result is zero (a point of low order).
[[nodiscard]] bool
sl_prim_dh(uint8_t out[32], const uint8_t private_key[32], const uint8_t public[32]);
[[nodiscard]] bool sl_prim_public(uint8_t out[32], const uint8_t private_key[32]);
