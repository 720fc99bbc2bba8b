// Known answers of the handshake and what it is made of. Data only:
// - cacophony.txt, vector Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s, of the Haskell library cacophony
//   (https://github.com/haskell-cryptography/cacophony, vectors/, public domain), also carried by snow.
// - HChaCha20 and XChaCha20-Poly1305: draft-irtf-cfrg-xchacha-03, sections 2.2.1 and A.3.1.
// - MACs and transport keys: computed with Python's hashlib.blake2s and hmac over counting octets.
// - WireGuard's chaining key and hash before message 1, as every implementation has them.
#include "../../proto/primitives.h"
#include "sl_test.h"

#include <sluice/proto/cookie.h>
#include <sluice/proto/noise.h>
#include <stdio.h>
#include <string.h>

static size_t
unhex(uint8_t *out, const char *hex)
{
	size_t n = strlen(hex) / 2;

	for (size_t i = 0; i < n; i++) {
		unsigned v;

		CU_ASSERT_EQUAL(sscanf(hex + 2 * i, "%2x", &v), 1);
		out[i] = (uint8_t)v;
	}
	return n;
}

static bool
is_hex(const uint8_t *data, const char *hex)
{
	uint8_t want[256];
	size_t n = unhex(want, hex);

	return memcmp(data, want, n) == 0;
}

#define PSK         "54686973206973206d7920417573747269616e20706572737065637469766521"
#define INIT_STATIC "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1"
#define INIT_EPH    "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a"
#define RESP_PUBLIC "31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62"
#define RESP_STATIC "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893"
#define RESP_EPH    "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b"
#define HASH        "f5191b875290abcd41347ac3622d9679688a7e980229cb937ef748336cfde0e5"
#define PAYLOAD_1   "4c756477696720766f6e204d69736573"
#define PAYLOAD_2   "4d757272617920526f746862617264"
#define CIPHERTEXT_1                                                                               \
	"ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944001e21de9f98ddd8e2ad5752" \
	"7207"                                                                                     \
	"feb56253c9c94a9e496782ecfcb2a75fbcaf1b52948cc48daefe660c62119ab5000980c84831215f2441eba6" \
	"16548e"                                                                                   \
	"832985464cf17e51ee93109008399a21f7e13f"
#define CIPHERTEXT_2                                                                               \
	"95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843cb765f2caef0751b8f007572" \
	"dab0"                                                                                     \
	"322217755c0632f365717edbf34d33e87a"

static const struct {
	const char *name;
	const char *plain;
	const char *sealed;
	unsigned counter;
	bool by_initiator;
} transport[] = {
	{ "F. A. Hayek",
	  "462e20412e20486179656b",
	  "8153ca9833bc3c1b91a7e66e5f4d4f5b59bf9e64c2f20d15f0bba7",
	  0,
	  true },
	{ "Carl Menger",
	  "4361726c204d656e676572",
	  "07af0c9c86e1b4e80f36b04ff7688d51141af3debd0332f0a705ef",
	  0,
	  false },
	{ "Jean-Baptiste Say",
	  "4a65616e2d426170746973746520536179",
	  "6ab1467c0448cc78394494abaaf23afce0e234315d6e2624dcbfa8a21c1c4d073d",
	  1,
	  true },
	{ "Eugen Böhm von Bawerk",
	  "457567656e2042f6686d20766f6e2042617765726b",
	  "dfc346c0d2296ae6cf1acf6f12b8456a1dba228cf8d8b774aacf1c47fc53aa80ebc7a4c292",
	  1,
	  false },
};

// The vector's own prologue and payload sizes, in the layout of a suite.
static const struct sl_noise_suite suite = {
	.name = "cacophony",
	.prologue = "John Galt",
	.label_mac1 = "",
	.label_cookie = "",
	.type_initiation = 1,
	.type_response = 2,
	.payload1_bytes = 16,
	.payload2_bytes = 15,
};

struct ends {
	struct sl_noise_local initiator, responder;
	struct sl_noise_remote of_initiator, of_responder; // who the other is
	struct sl_noise_handshake_key hi, hr;
};

static const struct sl_noise_remote *
lookup(void *context, const struct sl_noise_public *public)
{
	const struct ends *e = context;

	return sl_noise_public_equal(public, &e->of_responder.public) ? &e->of_responder : NULL;
}

static void
ends_init(struct ends *e)
{
	struct sl_noise_private_key key;
	struct sl_noise_shared_key psk;

	unhex(psk.octets, PSK);
	unhex(key.octets, INIT_STATIC);
	CU_ASSERT_EQUAL(sl_noise_local_init(&e->initiator, &suite, &key), SL_NOISE_OK);
	unhex(key.octets, RESP_STATIC);
	CU_ASSERT_EQUAL(sl_noise_local_init(&e->responder, &suite, &key), SL_NOISE_OK);
	CU_ASSERT_TRUE(is_hex(e->responder.public.octets, RESP_PUBLIC));
	CU_ASSERT_EQUAL(
		sl_noise_remote_init(&e->of_initiator, &e->initiator, &e->responder.public, &psk),
		SL_NOISE_OK
	);
	CU_ASSERT_EQUAL(
		sl_noise_remote_init(&e->of_responder, &e->responder, &e->initiator.public, &psk),
		SL_NOISE_OK
	);
}

static void
ends_first(struct ends *e)
{
	uint8_t message[SL_NOISE_MESSAGE_MAX] = { 0 }, payload[SL_NOISE_PAYLOAD_MAX];
	struct sl_noise_private_key ephemeral;
	uint32_t sender = 0;

	unhex(payload, PAYLOAD_1);
	unhex(ephemeral.octets, INIT_EPH);
	CU_ASSERT_EQUAL(
		sl_noise_write_initiation(
			&e->hi, &e->initiator, &e->of_initiator, &ephemeral, 77, payload, message
		),
		SL_NOISE_OK
	);
	CU_ASSERT_TRUE(is_hex(message + 8, CIPHERTEXT_1));
	memset(payload, 0, sizeof(payload));
	CU_ASSERT_EQUAL(
		sl_noise_read_initiation(
			&e->hr,
			&e->responder,
			lookup,
			e,
			message,
			sl_noise_initiation_bytes(&suite),
			payload,
			&sender
		),
		SL_NOISE_OK
	);
	CU_ASSERT_EQUAL(sender, 77);
	CU_ASSERT_TRUE(is_hex(payload, PAYLOAD_1));
}

static void
ends_second(struct ends *e)
{
	uint8_t message[SL_NOISE_MESSAGE_MAX] = { 0 }, payload[SL_NOISE_PAYLOAD_MAX];
	struct sl_noise_private_key ephemeral;
	uint32_t sender = 0;

	unhex(payload, PAYLOAD_2);
	unhex(ephemeral.octets, RESP_EPH);
	CU_ASSERT_EQUAL(
		sl_noise_write_response(
			&e->hr,
			&e->responder,
			&e->of_responder,
			&ephemeral,
			88,
			77,
			payload,
			message
		),
		SL_NOISE_OK
	);
	CU_ASSERT_TRUE(is_hex(message + 12, CIPHERTEXT_2));
	memset(payload, 0, sizeof(payload));
	CU_ASSERT_EQUAL(
		sl_noise_read_response(
			&e->hi,
			&e->initiator,
			&e->of_initiator,
			message,
			sl_noise_response_bytes(&suite),
			payload,
			&sender
		),
		SL_NOISE_OK
	);
	CU_ASSERT_EQUAL(sender, 88);
	CU_ASSERT_TRUE(is_hex(payload, PAYLOAD_2));
	CU_ASSERT_TRUE(is_hex(e->hi.hash, HASH));
	CU_ASSERT_TRUE(is_hex(e->hr.hash, HASH));
}

static void
test_handshake(void)
{
	struct ends e;

	ends_init(&e);
	ends_first(&e);
	ends_second(&e);
}

static void
test_transport(void)
{
	struct sl_transport_key ki = { 0 }, kr = { 0 };
	struct ends e;

	ends_init(&e);
	ends_first(&e);
	ends_second(&e);
	sl_noise_split(&e.hi, &suite, SL_CIPHER_CHACHA20_POLY1305, true, &ki);
	sl_noise_split(&e.hr, &suite, SL_CIPHER_CHACHA20_POLY1305, false, &kr);
	CU_ASSERT_EQUAL(memcmp(ki.seal, kr.open, 32), 0);
	CU_ASSERT_EQUAL(memcmp(ki.open, kr.seal, 32), 0);
	for (unsigned i = 0; i < sizeof(transport) / sizeof(transport[0]); i++) {
		const uint8_t *key = transport[i].by_initiator ? ki.seal : kr.seal;
		uint8_t plain[64], sealed[80], nonce[12];
		size_t n = unhex(plain, transport[i].plain);
		struct sl_prim_sealed s = { key, nonce, { NULL, 0 } };

		sl_keypair_nonce_wireguard(nonce, transport[i].counter);
		sl_prim_seal(&s, sealed, plain, n);
		SL_ASSERT_ROW(is_hex(sealed, transport[i].sealed), transport[i].name);
	}
}

static void
test_prologue(void)
{
	struct sl_noise_private_key key;
	struct sl_noise_local local;

	unhex(key.octets, INIT_STATIC);
	CU_ASSERT_EQUAL(sl_noise_local_init(&local, &sl_noise_wireguard, &key), SL_NOISE_OK);
	CU_ASSERT_TRUE(
		is_hex(local.prologue_chaining,
		       "60e26daef327efc02ec335e2a025d2d016eb4206f87277f52d38d1988b78cd36")
	);
	CU_ASSERT_TRUE(
		is_hex(local.prologue_hash,
		       "2211b361081ac566691243db458ad5322d9c6c662293e8b70ee19c65ba079ef3")
	);
}

static void
test_hchacha20(void)
{
	uint8_t key[32], nonce[16], out[32];

	for (unsigned i = 0; i < 32; i++)
		key[i] = (uint8_t)i;
	unhex(nonce, "000000090000004a0000000031415927");
	sl_prim_hchacha20(out, key, nonce);
	CU_ASSERT_TRUE(
		is_hex(out, "82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc")
	);
}

static void
test_xchacha(void)
{
	static const char plain[] = "Ladies and Gentlemen of the class of '99: If I could offer "
				    "you only one tip for "
				    "the future, sunscreen would be it.";
	uint8_t key[32], nonce[24], aad[12], subkey[32], sealed[130], nonce12[12] = { 0 };
	struct sl_prim_sealed s = { subkey, nonce12, { aad, sizeof(aad) } };

	for (unsigned i = 0; i < 32; i++)
		key[i] = (uint8_t)(0x80 + i);
	for (unsigned i = 0; i < 24; i++)
		nonce[i] = (uint8_t)(0x40 + i);
	unhex(aad, "50515253c0c1c2c3c4c5c6c7");
	sl_prim_hchacha20(subkey, key, nonce);
	memcpy(nonce12 + 4, nonce + 16, 8);
	sl_prim_seal(&s, sealed, (const uint8_t *)plain, sizeof(plain) - 1);
	CU_ASSERT_TRUE(is_hex(sealed, "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c"));
	CU_ASSERT_TRUE(is_hex(sealed + sizeof(plain) - 1, "c0875924c1c7987947deafd8780acf49"));
}

static void
test_macs(void)
{
	static const struct {
		const struct sl_noise_suite *suite;
		const char *key;
		const char *mac1;
	} rows[] = {
		{ &sl_noise_wireguard,
		  "4fb2527ac956001553dc1ad9b55171b7d9daa3de1cdbcd71451830170c7e6cac",
		  "3a7d1b865f062f4af4677f1d88d7ea74" },
		{ &sl_noise_tunnel,
		  "4d66395612c4194da930a84455ece9e47a62c07fab89e026c68b25db07429795",
		  "58c14c7cffdbc88d0bd65339cdebd515" },
	};
	struct sl_noise_public public;

	for (unsigned i = 0; i < 32; i++)
	public.octets[i] = (uint8_t)i;
	for (unsigned i = 0; i < 2; i++) {
		struct sl_cookie_jar jar;
		uint8_t message[148];

		for (unsigned n = 0; n < sizeof(message); n++)
			message[n] = (uint8_t)n;
		sl_cookie_jar_init(&jar, rows[i].suite, &public);
		SL_ASSERT_ROW(is_hex(jar.label.mac1, rows[i].key), rows[i].suite->name);
		jar.has_cookie = true;
		for (unsigned n = 0; n < 16; n++)
			jar.cookie_key[n] = (uint8_t)(16 + n);
		sl_cookie_seal(&jar, message, sizeof(message), 0);
		SL_ASSERT_ROW(is_hex(message + 116, rows[i].mac1), rows[i].suite->name);
		if (i == 0) {
			CU_ASSERT_TRUE(is_hex(message + 132, "0a691df5c2583034e3c571e33d6d4b7b"));
			CU_ASSERT_TRUE(is_hex(
				jar.label.cookie,
				"3dd5869c5202e45146936d1644f76ff697061661c181f3fd450eae43932eacec"
			));
		}
	}
}

static void
test_split(void)
{
	static const struct {
		const struct sl_noise_suite *suite;
		enum sl_cipher cipher;
		const char *first;
		const char *second;
	} rows[] = {
		{ &sl_noise_tunnel,
		  SL_CIPHER_AES256_GCM,
		  "8ef3c09b067db8974c5c8411c6504511ebf4411a1905053601a0d7919bb21f0f",
		  "94c5a42ac238ee41376be503fcaa910ae232a82f00d1e989d4ce52215ae16afc" },
		{ &sl_noise_tunnel,
		  SL_CIPHER_CHACHA20_POLY1305,
		  "0a78b56a8cbbeb11d47997b255133fefa6744289f89ecc98996dcb30dfe64562",
		  "4e913a1fbb786dda4e1e0288dd9946436d5d56f3e8154aa6a0b914361169a7f2" },
		{ &sl_noise_wireguard,
		  SL_CIPHER_CHACHA20_POLY1305,
		  "7a38c34bf2b8738d7374ca77c44ecb309a11d2b2528304fa86052c365e722624",
		  "1a17621f346abdc520746a9fb64d8eb03231d674fc15687537b0780fd9c060fd" },
	};
	struct sl_noise_handshake_key h = { 0 };

	for (unsigned i = 0; i < 32; i++)
		h.chaining[i] = (uint8_t)i;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sl_transport_key ki = { 0 }, kr = { 0 };

		sl_noise_split(&h, rows[i].suite, rows[i].cipher, true, &ki);
		sl_noise_split(&h, rows[i].suite, rows[i].cipher, false, &kr);
		CU_ASSERT_TRUE(is_hex(ki.seal, rows[i].first));
		CU_ASSERT_TRUE(is_hex(ki.open, rows[i].second));
		CU_ASSERT_TRUE(is_hex(kr.seal, rows[i].second));
		CU_ASSERT_TRUE(is_hex(kr.open, rows[i].first));
	}
}

static const struct sl_test_case cases[] = {
	{ "IKpsk2: both messages of cacophony's vector, written and read", test_handshake },
	{ "IKpsk2: the transport messages of cacophony's vector", test_transport },
	{ "WireGuard's handshake begins from its chaining key and hash", test_prologue },
	{ "mac1, mac2 and their keys, of both suites", test_macs },
	{ "transport keys are derived with the cipher's name in the tunnel", test_split },
	{ "HChaCha20: the draft's vector", test_hchacha20 },
	{ "XChaCha20-Poly1305: the draft's vector", test_xchacha },
};

SL_TEST_MAIN(cases)
