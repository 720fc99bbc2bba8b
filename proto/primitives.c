#include "primitives.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <errno.h>
#include <sluice/proto/aead.h>
#include <sluice/proto/bytes.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES 64u // of BLAKE2s

// Fetched once: an implicit fetch costs more than the hash itself.
static struct {
	CRYPTO_ONCE once;
	EVP_MD *hash;
	EVP_MAC *mac;
	EVP_CIPHER *aead;
} lib = { .once = CRYPTO_ONCE_STATIC_INIT };

static void
fetch(void)
{
	lib.hash = EVP_MD_fetch(NULL, "BLAKE2S-256", NULL);
	lib.mac = EVP_MAC_fetch(NULL, "BLAKE2SMAC", NULL);
	lib.aead = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
}

int
sl_prim_setup(void)
{
	if (!CRYPTO_THREAD_run_once(&lib.once, fetch))
		return -ENOTSUP;
	return lib.hash == NULL || lib.mac == NULL || lib.aead == NULL ? -ENOTSUP : 0;
}

static void
must(bool ok)
{
	if (!ok)
		abort();
}

void
sl_prim_hash(uint8_t out[HASH_BYTES], struct sl_part a, struct sl_part b)
{
	EVP_MD_CTX *ctx;

	must(sl_prim_setup() == 0);
	ctx = EVP_MD_CTX_new();
	must(ctx != NULL && EVP_DigestInit_ex2(ctx, lib.hash, NULL) == 1 &&
	     EVP_DigestUpdate(ctx, a.data, a.nb_bytes) == 1 &&
	     EVP_DigestUpdate(ctx, b.data, b.nb_bytes) == 1 &&
	     EVP_DigestFinal_ex(ctx, out, NULL) == 1);
	EVP_MD_CTX_free(ctx);
}

void
sl_prim_mac(
	uint8_t out[16], const uint8_t *key, size_t nb_key_bytes, struct sl_part a, struct sl_part b
)
{
	size_t size = 16;
	OSSL_PARAM params[] = { OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
				OSSL_PARAM_construct_end() };
	EVP_MAC_CTX *ctx;

	must(sl_prim_setup() == 0);
	ctx = EVP_MAC_CTX_new(lib.mac);
	must(ctx != NULL && EVP_MAC_init(ctx, key, nb_key_bytes, params) == 1 &&
	     EVP_MAC_update(ctx, a.data, a.nb_bytes) == 1 &&
	     EVP_MAC_update(ctx, b.data, b.nb_bytes) == 1 &&
	     EVP_MAC_final(ctx, out, &size, 16) == 1);
	EVP_MAC_CTX_free(ctx);
}

// RFC 2104; the key is one hash long here, so it is never hashed first.
static void
hmac(uint8_t out[HASH_BYTES], const uint8_t key[HASH_BYTES], struct sl_part a)
{
	uint8_t inner[BLOCK_BYTES], outer[BLOCK_BYTES], digest[HASH_BYTES];

	memset(inner, 0x36, sizeof(inner));
	memset(outer, 0x5c, sizeof(outer));
	for (unsigned i = 0; i < HASH_BYTES; i++) {
		inner[i] ^= key[i];
		outer[i] ^= key[i];
	}
	sl_prim_hash(digest, (struct sl_part){ inner, sizeof(inner) }, a);
	sl_prim_hash(
		out,
		(struct sl_part){ outer, sizeof(outer) },
		(struct sl_part){ digest, sizeof(digest) }
	);
	sl_wipe(inner, sizeof(inner));
	sl_wipe(outer, sizeof(outer));
	sl_wipe(digest, sizeof(digest));
}

void
sl_prim_kdf(uint8_t *outs[], unsigned nb, const uint8_t key[HASH_BYTES], struct sl_part input)
{
	uint8_t secret[HASH_BYTES], block[HASH_BYTES + 1];

	hmac(secret, key, input);
	for (unsigned i = 0; i < nb; i++) {
		// Output i + 1 is the HMAC of output i (none for the first) and the octet i + 1.
		size_t kept = i == 0 ? 0 : HASH_BYTES;

		block[kept] = (uint8_t)(i + 1);
		hmac(outs[i], secret, (struct sl_part){ block, kept + 1 });
		memcpy(block, outs[i], HASH_BYTES);
	}
	sl_wipe(secret, sizeof(secret));
	sl_wipe(block, sizeof(block));
}

void
sl_prim_seal(const struct sl_prim_sealed *s, uint8_t *out, const uint8_t *plain, size_t nb_bytes)
{
	EVP_CIPHER_CTX *ctx;
	int n;

	must(sl_prim_setup() == 0);
	ctx = EVP_CIPHER_CTX_new();
	must(ctx != NULL && EVP_EncryptInit_ex2(ctx, lib.aead, s->key, s->nonce, NULL) == 1 &&
	     EVP_EncryptUpdate(ctx, NULL, &n, s->aad.data, (int)s->aad.nb_bytes) == 1 &&
	     (nb_bytes == 0 || EVP_EncryptUpdate(ctx, out, &n, plain, (int)nb_bytes) == 1) &&
	     EVP_EncryptFinal_ex(ctx, out + nb_bytes, &n) == 1 &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, out + nb_bytes) == 1);
	EVP_CIPHER_CTX_free(ctx);
}

bool
sl_prim_open(const struct sl_prim_sealed *s, uint8_t *out, const uint8_t *sealed, size_t nb_bytes)
{
	uint8_t tag[TAG_BYTES], end[TAG_BYTES];
	EVP_CIPHER_CTX *ctx;
	bool ok;
	int n;

	must(sl_prim_setup() == 0);
	memcpy(tag, sealed + nb_bytes, sizeof(tag));
	ctx = EVP_CIPHER_CTX_new();
	must(ctx != NULL && EVP_DecryptInit_ex2(ctx, lib.aead, s->key, s->nonce, NULL) == 1 &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, tag) == 1 &&
	     EVP_DecryptUpdate(ctx, NULL, &n, s->aad.data, (int)s->aad.nb_bytes) == 1 &&
	     (nb_bytes == 0 || EVP_DecryptUpdate(ctx, out, &n, sealed, (int)nb_bytes) == 1));
	ok = EVP_DecryptFinal_ex(ctx, end, &n) == 1;
	EVP_CIPHER_CTX_free(ctx);
	if (!ok)
		sl_wipe(out, nb_bytes);
	return ok;
}

static inline uint32_t
rotate(uint32_t v, unsigned by)
{
	return v << by | v >> (32 - by);
}

static inline void
quarter_round(uint32_t x[16], unsigned a, unsigned b, unsigned c, unsigned d)
{
	x[a] += x[b];
	x[d] = rotate(x[d] ^ x[a], 16);
	x[c] += x[d];
	x[b] = rotate(x[b] ^ x[c], 12);
	x[a] += x[b];
	x[d] = rotate(x[d] ^ x[a], 8);
	x[c] += x[d];
	x[b] = rotate(x[b] ^ x[c], 7);
}

void
sl_prim_hchacha20(uint8_t out[32], const uint8_t key[32], const uint8_t nonce[16])
{
	// "expand 32-byte k"
	uint32_t x[16] = { 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574 };

	for (unsigned i = 0; i < 8; i++)
		x[4 + i] = sl_get32le(key + 4 * i);
	for (unsigned i = 0; i < 4; i++)
		x[12 + i] = sl_get32le(nonce + 4 * i);
	for (unsigned i = 0; i < 10; i++) {
		quarter_round(x, 0, 4, 8, 12);
		quarter_round(x, 1, 5, 9, 13);
		quarter_round(x, 2, 6, 10, 14);
		quarter_round(x, 3, 7, 11, 15);
		quarter_round(x, 0, 5, 10, 15);
		quarter_round(x, 1, 6, 11, 12);
		quarter_round(x, 2, 7, 8, 13);
		quarter_round(x, 3, 4, 9, 14);
	}
	for (unsigned i = 0; i < 4; i++) {
		sl_put32le(out + 4 * i, x[i]);
		sl_put32le(out + 16 + 4 * i, x[12 + i]);
	}
	sl_wipe(x, sizeof(x));
}

bool
sl_prim_dh(uint8_t out[32], const uint8_t private_key[32], const uint8_t public[32])
{
	EVP_PKEY *own = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, private_key, 32);
	EVP_PKEY *peer = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, public, 32);
	EVP_PKEY_CTX *ctx = own == NULL ? NULL : EVP_PKEY_CTX_new(own, NULL);
	size_t nb_bytes = 32;
	// libcrypto itself refuses a result of zero; what follows does not depend on that.
	bool ok = ctx != NULL && peer != NULL && EVP_PKEY_derive_init(ctx) == 1 &&
		EVP_PKEY_derive_set_peer(ctx, peer) == 1 &&
		EVP_PKEY_derive(ctx, out, &nb_bytes) == 1 && nb_bytes == 32;
	uint8_t any = 0;

	for (unsigned i = 0; ok && i < 32; i++)
		any |= out[i];
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(peer);
	EVP_PKEY_free(own);
	if (!ok || any == 0) {
		sl_wipe(out, 32);
		return false;
	}
	return true;
}

bool
sl_prim_public(uint8_t out[32], const uint8_t private_key[32])
{
	EVP_PKEY *own = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, private_key, 32);
	size_t nb_bytes = 32;
	bool ok = own != NULL && EVP_PKEY_get_raw_public_key(own, out, &nb_bytes) == 1;

	EVP_PKEY_free(own);
	return ok;
}
