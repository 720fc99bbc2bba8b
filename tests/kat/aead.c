// aead: published vectors through both engines, each sealed, opened, and opened with a wrong tag.
//
// AES-256-GCM: test cases 13 to 16 of "The Galois/Counter Mode of Operation" (McGrew and Viega), the
// 256-bit cases with a 96-bit IV. ChaCha20-Poly1305: RFC 8439 sections 2.8.2 and A.5.
// NIST's and Wycheproof's are in aead_files.c.
#include "sl_test.h"

#include <sluice/dp/crypto.h>
#include <stdio.h>
#include <string.h>

#define MAX_BYTES 2048u

struct vector {
	const char *name;
	enum sl_cipher cipher;
	const char *key, *nonce, *aad, *plain, *sealed, *tag; // hexadecimal
};

#define GCM_KEY "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"
#define GCM_PLAIN                                                                                  \
	"d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"                         \
	"1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
#define GCM_SEALED                                                                                 \
	"522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"                         \
	"8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
#define ZERO32 "0000000000000000000000000000000000000000000000000000000000000000"

static const struct vector vectors[] = {
	{ "GCM 13: nothing",
	  SL_CIPHER_AES256_GCM,
	  ZERO32,
	  "000000000000000000000000",
	  "",
	  "",
	  "",
	  "530f8afbc74536b9a963b4f1c4cb738b" },
	{ "GCM 14: one block",
	  SL_CIPHER_AES256_GCM,
	  ZERO32,
	  "000000000000000000000000",
	  "",
	  "00000000000000000000000000000000",
	  "cea7403d4d606b6e074ec5d3baf39d18",
	  "d0d1c8a799996bf0265b98b5d48ab919" },
	{ "GCM 15: four blocks",
	  SL_CIPHER_AES256_GCM,
	  GCM_KEY,
	  "cafebabefacedbaddecaf888",
	  "",
	  GCM_PLAIN "1aafd255",
	  GCM_SEALED "898015ad",
	  "b094dac5d93471bdec1a502270e3cc6c" },
	{ "GCM 16: associated data",
	  SL_CIPHER_AES256_GCM,
	  GCM_KEY,
	  "cafebabefacedbaddecaf888",
	  "feedfacedeadbeeffeedfacedeadbeefabaddad2",
	  GCM_PLAIN,
	  GCM_SEALED,
	  "76fc6ece0f4e1768cddf8853bb2d551b" },
	{ "RFC 8439 2.8.2",
	  SL_CIPHER_CHACHA20_POLY1305,
	  "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
	  "070000004041424344454647",
	  "50515253c0c1c2c3c4c5c6c7",
	  "4c616469657320616e642047656e746c656d656e206f662074686520636c6173"
	  "73206f66202739393a204966204920636f756c64206f6666657220796f75206f"
	  "6e6c79206f6e652074697020666f7220746865206675747572652c2073756e73"
	  "637265656e20776f756c642062652069742e",
	  "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
	  "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
	  "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
	  "3ff4def08e4b7a9de576d26586cec64b6116",
	  "1ae10b594f09e26a7e902ecbd0600691" },
	{ "RFC 8439 A.5",
	  SL_CIPHER_CHACHA20_POLY1305,
	  "1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0",
	  "000000000102030405060708",
	  "f33388860000000000004e91",
	  "496e7465726e65742d4472616674732061726520647261667420646f63756d65"
	  "6e74732076616c696420666f722061206d6178696d756d206f6620736978206d"
	  "6f6e74687320616e64206d617920626520757064617465642c207265706c6163"
	  "65642c206f72206f62736f6c65746564206279206f7468657220646f63756d65"
	  "6e747320617420616e792074696d652e20497420697320696e617070726f7072"
	  "6961746520746f2075736520496e7465726e65742d4472616674732061732072"
	  "65666572656e6365206d6174657269616c206f7220746f206369746520746865"
	  "6d206f74686572207468616e206173202fe2809c776f726b20696e2070726f67"
	  "726573732e2fe2809d",
	  "64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb2"
	  "4c6cfc18755d43eea09ee94e382d26b0bdb7b73c321b0100d4f03b7f355894cf"
	  "332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37c855"
	  "9797a06ef4f0ef61c186324e2b3506383606907b6a7c02b0f9f6157b53c867e4"
	  "b9166c767b804d46a59b5216cde7a4e99040c5a40433225ee282a1b0a06c523e"
	  "af4534d7f83fa1155b0047718cbc546a0d072b04b3564eea1b422273f548271a"
	  "0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a10"
	  "49e617d91d361094fa68f0ff77987130305beaba2eda04df997b714d6c6f2c29"
	  "a6ad5cb4022b02709b",
	  "eead9d67890cbb22392336fea1851f38" },
};

static struct sl_aead *engines[2];

static int
setup(void)
{
	engines[0] = sl_aead_create(SL_AEAD_IPSEC_MB);
	engines[1] = sl_aead_create(SL_AEAD_BEST);
	return engines[0] && engines[1] ? 0 : -1;
}

static int
teardown(void)
{
	sl_aead_destroy(engines[0]);
	sl_aead_destroy(engines[1]);
	return 0;
}

static uint32_t
from_hex(uint8_t *to, uint32_t nb_max, const char *hex)
{
	uint32_t nb = (uint32_t)strlen(hex) / 2;
	unsigned octet;

	CU_ASSERT_FATAL(nb <= nb_max);
	for (uint32_t i = 0; i < nb; i++) {
		CU_ASSERT_FATAL(sscanf(hex + 2 * (size_t)i, "%2x", &octet) == 1);
		to[i] = (uint8_t)octet;
	}
	return nb;
}

// Open as published; where that is a valid message seal as well, and open with a bad tag.
static bool
holds(struct sl_aead *engine, const struct vector *v, bool valid)
{
	uint8_t plain[MAX_BYTES], sealed[MAX_BYTES], data[MAX_BYTES], aad[MAX_BYTES];
	uint8_t tag[SL_AEAD_TAG_BYTES], ours[SL_AEAD_TAG_BYTES], raw[SL_AEAD_KEY_BYTES];
	struct sl_aead_key key;
	struct sl_aead_op op = { .key = key.expanded,
				 .cipher = (uint8_t)v->cipher,
				 .data = data,
				 .tag = tag,
				 .aad = aad };

	from_hex(raw, sizeof(raw), v->key);
	from_hex(op.nonce, sizeof(op.nonce), v->nonce);
	from_hex(tag, sizeof(tag), v->tag);
	from_hex(plain, sizeof(plain), v->plain);
	op.nb_aad_bytes = from_hex(aad, sizeof(aad), v->aad);
	op.nb_bytes = from_hex(sealed, sizeof(sealed), v->sealed);
	engine->ops->expand(engine, &key, v->cipher, raw);
	memcpy(data, sealed, op.nb_bytes);
	op.authentic = !valid;
	engine->ops->open(engine, &op, 1);
	if (op.authentic != valid)
		return false;
	if (!valid)
		return true;
	if (memcmp(data, plain, op.nb_bytes) != 0)
		return false;
	op.tag = ours;
	engine->ops->seal(engine, &op, 1);
	if (memcmp(data, sealed, op.nb_bytes) != 0 || memcmp(ours, tag, sizeof(tag)) != 0)
		return false;
	ours[0] ^= 1;
	engine->ops->open(engine, &op, 1);
	return !op.authentic;
}

static void
test_published(void)
{
	for (unsigned i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
		for (unsigned e = 0; e < 2; e++)
			SL_ASSERT_ROW(holds(engines[e], &vectors[i], true), vectors[i].name);
}

static const struct sl_test_case cases[] = {
	{ "aead: engines give the published GCM and RFC 8439 vectors", test_published },
};

int
main(int argc, char **argv)
{
	return sl_test_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]), setup, teardown);
}
