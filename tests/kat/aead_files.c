// aead_files: NIST's vectors of AES-256-GCM and Wycheproof's of both ciphers through every engine, and
// through the OpenSSL code that other tests hold the engines to. Each vector is opened as published,
// sealed if it is a valid one, and opened with every octet of its tag wrong in turn; first alone, then
// in batches with others, since the interleaved code works on many packets at once.
#include "aead_openssl.h"
#include "sl_test.h"
#include "vectors.h"

#include <sluice/dp/crypto.h>
#include <stdlib.h>
#include <string.h>

#define NB_ENGINES 3u
#define MAX_BYTES  2048u
#define MAX_LOADED 1024u
#define BATCH_MAX  64u

struct vector {
	char name[160];
	enum sl_cipher cipher;
	bool is_valid;
	uint8_t raw_key[SL_AEAD_KEY_BYTES], nonce[SL_AEAD_NONCE_BYTES], tag[SL_AEAD_TAG_BYTES];
	uint8_t plain[MAX_BYTES], sealed[MAX_BYTES], aad[MAX_BYTES];
	uint32_t nb_bytes, nb_aad_bytes;
	struct sl_aead_key keys[NB_ENGINES];
};

static struct sl_aead *engines[NB_ENGINES];
static struct vector *loaded;
static unsigned nb_loaded;
static uint8_t data[BATCH_MAX][MAX_BYTES], tags[BATCH_MAX][SL_AEAD_TAG_BYTES];

static int
setup(void)
{
	engines[0] = sl_aead_create(SL_AEAD_IPSEC_MB);
	engines[1] = sl_aead_create(SL_AEAD_BEST);
	engines[2] = sl_aead_openssl_create();
	loaded = aligned_alloc(64, MAX_LOADED * sizeof(loaded[0]));
	return engines[0] && engines[1] && engines[2] && loaded ? 0 : -1;
}

static int
teardown(void)
{
	sl_aead_destroy(engines[0]);
	sl_aead_destroy(engines[1]);
	sl_aead_openssl_destroy(engines[2]);
	free(loaded);
	return 0;
}

static struct vector *
next_vector(enum sl_cipher cipher, const char *key)
{
	struct vector *v = &loaded[nb_loaded++];

	CU_ASSERT_FATAL(nb_loaded <= MAX_LOADED);
	memset(v, 0, sizeof(*v));
	v->cipher = cipher;
	CU_ASSERT_FATAL(vectors_hex(v->raw_key, sizeof(v->raw_key), key) == sizeof(v->raw_key));
	for (unsigned e = 0; e < NB_ENGINES; e++)
		engines[e]->ops->expand(engines[e], &v->keys[e], cipher, v->raw_key);
	return v;
}

static void
load_nist(const struct vectors_nist *r, void *context)
{
	struct vector *v = next_vector(SL_CIPHER_AES256_GCM, r->key);

	(void)context;
	memcpy(v->name, r->name, sizeof(r->name));
	v->is_valid = !r->is_fail;
	CU_ASSERT_FATAL(vectors_hex(v->nonce, sizeof(v->nonce), r->nonce) == sizeof(v->nonce));
	CU_ASSERT_FATAL(vectors_hex(v->tag, sizeof(v->tag), r->tag) == sizeof(v->tag));
	v->nb_aad_bytes = (uint32_t)vectors_hex(v->aad, MAX_BYTES, r->aad);
	v->nb_bytes = (uint32_t)vectors_hex(v->sealed, MAX_BYTES, r->sealed);
	if (v->is_valid)
		CU_ASSERT_FATAL(vectors_hex(v->plain, MAX_BYTES, r->plain) == v->nb_bytes);
}

static void
load_wycheproof(const json_t *test, void *context)
{
	struct vector *v = next_vector(*(const enum sl_cipher *)context, vectors_text(test, "key"));

	strncpy(v->name, vectors_text(test, "comment"), sizeof(v->name) - 1);
	v->is_valid = strcmp(vectors_text(test, "result"), "valid") == 0;
	CU_ASSERT_FATAL(
		vectors_hex(v->nonce, sizeof(v->nonce), vectors_text(test, "iv")) ==
		sizeof(v->nonce)
	);
	CU_ASSERT_FATAL(
		vectors_hex(v->tag, sizeof(v->tag), vectors_text(test, "tag")) == sizeof(v->tag)
	);
	v->nb_aad_bytes = (uint32_t)vectors_hex(v->aad, MAX_BYTES, vectors_text(test, "aad"));
	v->nb_bytes = (uint32_t)vectors_hex(v->sealed, MAX_BYTES, vectors_text(test, "ct"));
	vectors_hex(v->plain, MAX_BYTES, vectors_text(test, "msg"));
}

// Ops for `nb` vectors from `first` on, on what is sealed or plain, with the published tags.
static void
prepare(struct sl_aead_op *ops, unsigned e, unsigned first, unsigned nb, bool is_sealed)
{
	for (unsigned i = 0; i < nb; i++) {
		const struct vector *v = &loaded[first + i];

		memcpy(data[i], is_sealed ? v->sealed : v->plain, v->nb_bytes);
		memcpy(tags[i], v->tag, sizeof(tags[i]));
		ops[i] = (struct sl_aead_op){
			.key = v->keys[e].expanded,
			.cipher = (uint8_t)v->cipher,
			.data = data[i],
			.tag = tags[i],
			.aad = v->aad,
			.nb_bytes = v->nb_bytes,
			.nb_aad_bytes = v->nb_aad_bytes,
		};
		memcpy(ops[i].nonce, v->nonce, sizeof(v->nonce));
	}
}

static void
open_as_published(unsigned e, unsigned first, unsigned nb)
{
	struct sl_aead_op ops[BATCH_MAX];

	prepare(ops, e, first, nb, true);
	for (unsigned i = 0; i < nb; i++)
		ops[i].authentic = !loaded[first + i].is_valid;
	engines[e]->ops->open(engines[e], ops, nb);
	for (unsigned i = 0; i < nb; i++) {
		const struct vector *v = &loaded[first + i];

		SL_ASSERT_ROW(ops[i].authentic == v->is_valid, v->name);
		if (v->is_valid)
			SL_ASSERT_ROW(memcmp(data[i], v->plain, v->nb_bytes) == 0, v->name);
	}
}

static void
seal_to_published(unsigned e, unsigned first, unsigned nb)
{
	struct sl_aead_op ops[BATCH_MAX];

	prepare(ops, e, first, nb, false);
	memset(tags, 0, sizeof(tags));
	engines[e]->ops->seal(engines[e], ops, nb);
	for (unsigned i = 0; i < nb; i++) {
		const struct vector *v = &loaded[first + i];

		if (!v->is_valid)
			continue;
		SL_ASSERT_ROW(memcmp(data[i], v->sealed, v->nb_bytes) == 0, v->name);
		SL_ASSERT_ROW(memcmp(tags[i], v->tag, sizeof(v->tag)) == 0, v->name);
	}
}

static void
refuse_wrong_tags(unsigned e, unsigned first, unsigned nb)
{
	struct sl_aead_op ops[BATCH_MAX];

	for (unsigned at = 0; at < SL_AEAD_TAG_BYTES; at++) {
		prepare(ops, e, first, nb, true);
		for (unsigned i = 0; i < nb; i++) {
			ops[i].authentic = true;
			if (loaded[first + i].is_valid)
				tags[i][at] ^= 0x80;
		}
		engines[e]->ops->open(engines[e], ops, nb);
		for (unsigned i = 0; i < nb; i++)
			SL_ASSERT_ROW(!ops[i].authentic, loaded[first + i].name);
	}
}

// All vectors loaded, `nb_max` together, through every engine.
static void
run_batches(unsigned nb_max)
{
	for (unsigned e = 0; e < NB_ENGINES; e++)
		for (unsigned first = 0, nb; first < nb_loaded; first += nb) {
			nb = nb_loaded - first < nb_max ? nb_loaded - first : nb_max;
			open_as_published(e, first, nb);
			seal_to_published(e, first, nb);
			refuse_wrong_tags(e, first, nb);
		}
}

static void
run_loaded(unsigned nb_wanted)
{
	CU_ASSERT_EQUAL(nb_loaded, nb_wanted);
	run_batches(1);
	run_batches(7);
	run_batches(BATCH_MAX);
}

static void
test_nist(void)
{
	nb_loaded = 0;
	vectors_nist("gcmEncryptExtIV256.rsp", load_nist, NULL);
	vectors_nist("gcmDecrypt256.rsp", load_nist, NULL);
	run_loaded(750);
}

static void
wycheproof(const char *name, enum sl_cipher cipher)
{
	struct vectors_sizes sizes = { 256, 96 };

	nb_loaded = 0;
	run_loaded(vectors_wycheproof(name, sizes, load_wycheproof, &cipher));
}

static void
test_wycheproof_gcm(void)
{
	wycheproof("aes_gcm_test.json", SL_CIPHER_AES256_GCM);
}

static void
test_wycheproof_chapoly(void)
{
	wycheproof("chacha20_poly1305_test.json", SL_CIPHER_CHACHA20_POLY1305);
}

// Both ciphers in one batch, as a PoP with both kinds of peers has them.
static void
test_mixed(void)
{
	enum sl_cipher gcm = SL_CIPHER_AES256_GCM, chapoly = SL_CIPHER_CHACHA20_POLY1305;
	struct vectors_sizes sizes = { 256, 96 };

	nb_loaded = 0;
	vectors_wycheproof("aes_gcm_test.json", sizes, load_wycheproof, &gcm);
	vectors_wycheproof("chacha20_poly1305_test.json", sizes, load_wycheproof, &chapoly);
	for (unsigned i = 0; i < nb_loaded / 2; i += 2) {
		struct vector v = loaded[i];

		loaded[i] = loaded[nb_loaded - 1 - i];
		loaded[nb_loaded - 1 - i] = v;
	}
	run_batches(BATCH_MAX);
}

static const struct sl_test_case cases[] = {
	{ "aead: AES-256-GCM gives NIST's vectors, and refuses those that must fail", test_nist },
	{ "aead: AES-256-GCM gives Wycheproof's vectors", test_wycheproof_gcm },
	{ "aead: ChaCha20-Poly1305 gives Wycheproof's vectors", test_wycheproof_chapoly },
	{ "aead: vectors of both ciphers hold in one batch", test_mixed },
};

int
main(int argc, char **argv)
{
	return sl_test_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]), setup, teardown);
}
