#include "aead_openssl.h"

#include <openssl/evp.h>

#include <stdlib.h>
#include <string.h>

struct openssl_engine {
	struct sl_aead aead; // first
	EVP_CIPHER_CTX *ctx;
};

static const EVP_CIPHER *
cipher_of(const struct sl_aead_op *op)
{
	if (op->cipher == SL_CIPHER_AES256_GCM)
		return EVP_aes_256_gcm();
	return EVP_chacha20_poly1305();
}

// Everything but the tag; false when OpenSSL refuses. A zero length update means "final" to some
// ciphers, so empty parts are left out.
static bool
pass(EVP_CIPHER_CTX *ctx, struct sl_aead_op *op, int encrypt)
{
	int nb;

	if (EVP_CipherInit_ex(ctx, cipher_of(op), NULL, op->key, op->nonce, encrypt) != 1)
		return false;
	if (!encrypt &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, SL_AEAD_TAG_BYTES, op->tag) != 1)
		return false;
	if (op->nb_aad_bytes &&
	    EVP_CipherUpdate(ctx, NULL, &nb, op->aad, (int)op->nb_aad_bytes) != 1)
		return false;
	if (op->nb_bytes && EVP_CipherUpdate(ctx, op->data, &nb, op->data, (int)op->nb_bytes) != 1)
		return false;
	return true;
}

static void
expand(struct sl_aead *aead,
       struct sl_aead_key *key,
       enum sl_cipher cipher,
       const uint8_t raw_key[SL_AEAD_KEY_BYTES])
{
	(void)aead;
	(void)cipher;
	memcpy(key->expanded, raw_key, SL_AEAD_KEY_BYTES);
}

static void
seal(struct sl_aead *aead, struct sl_aead_op *ops, unsigned nb_ops)
{
	EVP_CIPHER_CTX *ctx = ((struct openssl_engine *)aead)->ctx;
	uint8_t none[16];
	int nb;

	for (unsigned i = 0; i < nb_ops; i++)
		ops[i].authentic = pass(ctx, &ops[i], 1) &&
			EVP_CipherFinal_ex(ctx, none, &nb) == 1 &&
			EVP_CIPHER_CTX_ctrl(
				ctx, EVP_CTRL_AEAD_GET_TAG, SL_AEAD_TAG_BYTES, ops[i].tag
			) == 1;
}

static void
open(struct sl_aead *aead, struct sl_aead_op *ops, unsigned nb_ops)
{
	EVP_CIPHER_CTX *ctx = ((struct openssl_engine *)aead)->ctx;
	uint8_t none[16];
	int nb;

	for (unsigned i = 0; i < nb_ops; i++)
		ops[i].authentic = pass(ctx, &ops[i], 0) && EVP_CipherFinal_ex(ctx, none, &nb) == 1;
}

static const struct sl_aead_ops openssl_ops = {
	.name = "openssl",
	.expand = expand,
	.seal = seal,
	.open = open,
};

struct sl_aead *
sl_aead_openssl_create(void)
{
	struct openssl_engine *engine = calloc(1, sizeof(*engine));

	if (!engine)
		return NULL;
	engine->ctx = EVP_CIPHER_CTX_new();
	if (!engine->ctx) {
		free(engine);
		return NULL;
	}
	engine->aead.ops = &openssl_ops;
	return &engine->aead;
}

void
sl_aead_openssl_destroy(struct sl_aead *aead)
{
	struct openssl_engine *engine = (struct openssl_engine *)aead;

	if (!engine)
		return;
	EVP_CIPHER_CTX_free(engine->ctx);
	free(engine);
}
