// primitives: what the handshake is made of, against published vectors: X25519 (Wycheproof, with
// RFC 7748's among them), BLAKE2s (its authors'), ChaCha20-Poly1305 as the handshake calls it, and
// XChaCha20-Poly1305 as cookies do (Wycheproof).
#include "../../proto/primitives.h"
#include "sl_test.h"
#include "vectors.h"

#include <sluice/proto/noise.h>
#include <string.h>

#define MAX_BYTES 2048u

struct counts {
	unsigned nb_good, nb_weak;
};

static void
take_x25519(const json_t *test, void *context)
{
	struct sl_noise_private_key private_key;
	struct sl_noise_public public;
	struct sl_noise_shared_key shared;
	struct counts *counts = context;
	const char *want = vectors_text(test, "shared"), *name = vectors_text(test, "comment");
	bool is_zero = strspn(want, "0") == strlen(want);
	enum sl_noise_verdict verdict;

	vectors_hex(private_key.octets, 32, vectors_text(test, "private"));
	vectors_hex(public.octets, 32, vectors_text(test, "public"));
	memset(shared.octets, 0xa5, sizeof(shared.octets));
	verdict = sl_noise_dh(&private_key, &public, &shared);
	if (is_zero) {
		counts->nb_weak++;
		SL_ASSERT_ROW(verdict == SL_NOISE_WEAK_KEY, name);
		return;
	}
	counts->nb_good++;
	SL_ASSERT_ROW(verdict == SL_NOISE_OK, name);
	SL_ASSERT_ROW(vectors_are(shared.octets, 32, want), name);
}

static void
test_x25519(void)
{
	struct counts counts = { 0 };

	vectors_wycheproof(
		"x25519_test.json", (struct vectors_sizes){ 0, 0 }, take_x25519, &counts
	);
	sl_test_note("%u results, %u points of low order", counts.nb_good, counts.nb_weak);
	CU_ASSERT_EQUAL(counts.nb_good, 487);
	CU_ASSERT_EQUAL(counts.nb_weak, 31);
}

static void
take_blake2s(const json_t *test)
{
	uint8_t in[MAX_BYTES], out[HASH_BYTES];
	const char *hex = vectors_text(test, "in");
	size_t nb = vectors_hex(in, sizeof(in), hex), half = nb / 3;

	sl_prim_hash(out, (struct sl_part){ in, half }, (struct sl_part){ in + half, nb - half });
	SL_ASSERT_ROW(vectors_are(out, sizeof(out), vectors_text(test, "out")), hex);
}

static void
test_blake2s(void)
{
	json_t *root = vectors_json("blake2s-kat.json");
	const json_t *test;
	unsigned nb = 0;
	size_t i;

	json_array_foreach(root, i, test)
	{
		if (vectors_text(test, "key")[0] != '\0')
			continue;
		take_blake2s(test);
		nb++;
	}
	json_decref(root);
	CU_ASSERT_EQUAL(nb, 256);
}

struct message {
	uint8_t plain[MAX_BYTES], sealed[MAX_BYTES], aad[MAX_BYTES];
	size_t nb_bytes, nb_aad_bytes;
	bool is_valid;
	const char *name;
};

static void
message_of(struct message *m, const json_t *test)
{
	m->name = vectors_text(test, "comment");
	m->is_valid = strcmp(vectors_text(test, "result"), "valid") == 0;
	vectors_hex(m->plain, MAX_BYTES, vectors_text(test, "msg"));
	m->nb_aad_bytes = vectors_hex(m->aad, MAX_BYTES, vectors_text(test, "aad"));
	m->nb_bytes = vectors_hex(m->sealed, MAX_BYTES - 16, vectors_text(test, "ct"));
	vectors_hex(m->sealed + m->nb_bytes, 16, vectors_text(test, "tag"));
}

static void
hold(const struct message *m, const uint8_t key[32], const uint8_t nonce[12])
{
	struct sl_prim_sealed s = { key, nonce, { m->aad, m->nb_aad_bytes } };
	uint8_t out[MAX_BYTES];

	SL_ASSERT_ROW(sl_prim_open(&s, out, m->sealed, m->nb_bytes) == m->is_valid, m->name);
	if (!m->is_valid)
		return;
	SL_ASSERT_ROW(memcmp(out, m->plain, m->nb_bytes) == 0, m->name);
	sl_prim_seal(&s, out, m->plain, m->nb_bytes);
	SL_ASSERT_ROW(memcmp(out, m->sealed, m->nb_bytes + 16) == 0, m->name);
}

static void
take_chapoly(const json_t *test, void *context)
{
	uint8_t key[32], nonce[12];
	struct message m;

	(void)context;
	message_of(&m, test);
	vectors_hex(key, sizeof(key), vectors_text(test, "key"));
	vectors_hex(nonce, sizeof(nonce), vectors_text(test, "iv"));
	hold(&m, key, nonce);
}

// draft-irtf-cfrg-xchacha-03, section 2.3: a subkey of 16 octets of the nonce, the other 8 after 4 of
// zero.
static void
take_xchapoly(const json_t *test, void *context)
{
	uint8_t key[32], subkey[32], nonce[24], rest[12] = { 0 };
	struct message m;

	(void)context;
	message_of(&m, test);
	vectors_hex(key, sizeof(key), vectors_text(test, "key"));
	vectors_hex(nonce, sizeof(nonce), vectors_text(test, "iv"));
	sl_prim_hchacha20(subkey, key, nonce);
	memcpy(rest + 4, nonce + 16, 8);
	hold(&m, subkey, rest);
}

static void
test_chapoly(void)
{
	vectors_wycheproof(
		"chacha20_poly1305_test.json", (struct vectors_sizes){ 256, 96 }, take_chapoly, NULL
	);
}

static void
test_xchapoly(void)
{
	vectors_wycheproof(
		"xchacha20_poly1305_test.json",
		(struct vectors_sizes){ 256, 192 },
		take_xchapoly,
		NULL
	);
}

static const struct sl_test_case cases[] = {
	{ "X25519 gives Wycheproof's results, and refuses points of low order", test_x25519 },
	{ "BLAKE2s gives its authors' digests", test_blake2s },
	{ "the handshake's ChaCha20-Poly1305 gives Wycheproof's vectors", test_chapoly },
	{ "cookies' XChaCha20-Poly1305 gives Wycheproof's vectors", test_xchapoly },
};

SL_TEST_MAIN(cases)
