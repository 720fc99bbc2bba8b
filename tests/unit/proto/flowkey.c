#include "sl_test.h"

#include <sluice/proto/flowkey.h>
#include <string.h>

// vectors_sip128 of the reference implementation (github.com/veorq/SipHash, vectors.h): key 00..0f,
// input 00, 01, ... of the given length.
struct vector {
	size_t nb_bytes;
	uint8_t out[16];
};

static const struct vector vectors[] = {
	{ 0,
	  { 0xa3,
	    0x81,
	    0x7f,
	    0x04,
	    0xba,
	    0x25,
	    0xa8,
	    0xe6,
	    0x6d,
	    0xf6,
	    0x72,
	    0x14,
	    0xc7,
	    0x55,
	    0x02,
	    0x93 } },
	{ 1,
	  { 0xda,
	    0x87,
	    0xc1,
	    0xd8,
	    0x6b,
	    0x99,
	    0xaf,
	    0x44,
	    0x34,
	    0x76,
	    0x59,
	    0x11,
	    0x9b,
	    0x22,
	    0xfc,
	    0x45 } },
	{ 2,
	  { 0x81,
	    0x77,
	    0x22,
	    0x8d,
	    0xa4,
	    0xa4,
	    0x5d,
	    0xc7,
	    0xfc,
	    0xa3,
	    0x8b,
	    0xde,
	    0xf6,
	    0x0a,
	    0xff,
	    0xe4 } },
	{ 3,
	  { 0x9c,
	    0x70,
	    0xb6,
	    0x0c,
	    0x52,
	    0x67,
	    0xa9,
	    0x4e,
	    0x5f,
	    0x33,
	    0xb6,
	    0xb0,
	    0x29,
	    0x85,
	    0xed,
	    0x51 } },
	{ 15,
	  { 0x54,
	    0x93,
	    0xe9,
	    0x99,
	    0x33,
	    0xb0,
	    0xa8,
	    0x11,
	    0x7e,
	    0x08,
	    0xec,
	    0x0f,
	    0x97,
	    0xcf,
	    0xc3,
	    0xd9 } },
};

static void
test_vectors(void)
{
	uint8_t key[16], in[64], out[16];

	for (unsigned i = 0; i < 16; i++)
		key[i] = (uint8_t)i;
	for (unsigned i = 0; i < 64; i++)
		in[i] = (uint8_t)i;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		sl_siphash128(key, in, vectors[i].nb_bytes, out);
		CU_ASSERT_EQUAL(memcmp(out, vectors[i].out, 16), 0);
	}
}

static struct sl_flowkey_input
input(void)
{
	return (struct sl_flowkey_input){
		.client = { [10] = 0xff, [11] = 0xff, [12] = 100, [15] = 2 },
		.client_port_be = 0x5000,
		.port_be = 0xbb01,
		.protocol = 6,
		.destination_bytes = 4,
		.destination = (const uint8_t *)"git.corp",
	};
}

static void
test_every_part_counts(void)
{
	struct sl_flowkey_key key = { { 1, 2, 3 } };
	uint8_t keys[9][SL_FLOWKEY_BYTES];
	struct sl_flowkey_input in[8];

	for (unsigned i = 0; i < 8; i++)
		in[i] = input();
	in[1].client[15]++;
	in[2].client_port_be++;
	in[3].port_be++;
	in[4].protocol = 17;
	in[5].destination_kind = SL_DESTINATION_IP4;
	in[6].destination_bytes = 5;
	in[7].destination = (const uint8_t *)"gix.corp";
	for (unsigned i = 0; i < 8; i++)
		sl_flowkey_derive(&key, &in[i], keys[i]);
	key.secret[15] ^= 1;
	sl_flowkey_derive(&key, &in[0], keys[8]);
	for (unsigned i = 0; i < 9; i++)
		for (unsigned k = 0; k < i; k++)
			CU_ASSERT_NOT_EQUAL(memcmp(keys[i], keys[k], SL_FLOWKEY_BYTES), 0);
	key.secret[15] ^= 1;
	sl_flowkey_derive(&key, &in[0], keys[1]);
	CU_ASSERT_EQUAL(memcmp(keys[0], keys[1], SL_FLOWKEY_BYTES), 0);
}

static const struct sl_test_case cases[] = {
	{ "flow key: SipHash-2-4-128 gives the published vectors", test_vectors },
	{ "flow key: every part of a flow and the tenant's secret change it",
	  test_every_part_counts },
};

SL_TEST_MAIN(cases)
