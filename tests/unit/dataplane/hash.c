// The keyed hash: both implementations, whichever this machine would use.
#include "../../../dataplane/table/hash.c" // for the implementation that is not chosen here
#include "sl_test.h"

#include <stdlib.h>

#define NB_ITEMS 65536u

static bool machine_has_aes;

static int
setup(void)
{
	machine_has_aes = has_aes;
	return 0;
}

// Run `test` with either implementation.
static void
with_both(void (*test)(void))
{
	has_aes = false;
	test();
	has_aes = machine_has_aes;
	if (has_aes)
		test();
}

static void
test_vectors(void)
{
	struct sl_hash_key key = { { 0 } };

	for (uint8_t i = 0; i < 16; i++)
		key.secret[i] = i;
	has_aes = false;
	CU_ASSERT_EQUAL(sl_hash(&key, "", 0), 0xabac0158050fc4dcull);
	has_aes = machine_has_aes;
}

static void
agree(void)
{
	static uint8_t items[64][40];
	uint64_t hashes[64];
	struct sl_hash_key key, other;

	CU_ASSERT_EQUAL_FATAL(sl_hash_key_random(&key), 0);
	CU_ASSERT_EQUAL_FATAL(sl_hash_key_random(&other), 0);
	for (unsigned i = 0; i < 64; i++)
		for (unsigned k = 0; k < 40; k++)
			items[i][k] = (uint8_t)rand();
	sl_hash40_bulk(&key, items, 64, hashes);
	for (unsigned i = 0; i < 64; i++) {
		CU_ASSERT_EQUAL(hashes[i], sl_hash(&key, items[i], 40));
		CU_ASSERT_NOT_EQUAL(hashes[i], sl_hash(&other, items[i], 40));
	}
}

static void
differ(void)
{
	struct sl_hash_key key;
	uint8_t data[80] = { 0 };
	uint64_t whole;

	CU_ASSERT_EQUAL_FATAL(sl_hash_key_random(&key), 0);
	whole = sl_hash(&key, data, 40);
	for (unsigned bit = 0; bit < 320; bit++) {
		data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		CU_ASSERT_NOT_EQUAL(sl_hash(&key, data, 40), whole);
		data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	// Zeros of another length are another item.
	for (size_t nb = 0; nb < 80; nb++)
		CU_ASSERT(nb == 40 || sl_hash(&key, data, nb) != whole);
}

// Consecutive clients and ports over as many buckets: about e^-1 of them empty, none crowded.
static void
spread(void)
{
	static uint8_t nb_in[3][NB_ITEMS];
	struct sl_hash_key key;
	uint8_t item[40] = { 0 };

	CU_ASSERT_EQUAL_FATAL(sl_hash_key_random(&key), 0);
	memset(nb_in, 0, sizeof(nb_in));
	for (uint32_t i = 0; i < NB_ITEMS; i++) {
		uint64_t hash;

		memcpy(item + 12, &(uint32_t){ i / 256 }, 4);
		memcpy(item + 32, &(uint16_t){ (uint16_t)(i % 256) }, 2);
		hash = sl_hash(&key, item, 40);
		nb_in[0][hash % NB_ITEMS]++;
		nb_in[1][(hash >> 24) % NB_ITEMS]++; // the index's second choice
		nb_in[2][hash >> 48]++; // and its tags
	}
	for (unsigned k = 0; k < 3; k++) {
		unsigned nb_empty = 0, most = 0;

		for (uint32_t i = 0; i < NB_ITEMS; i++) {
			nb_empty += nb_in[k][i] == 0;
			most = nb_in[k][i] > most ? nb_in[k][i] : most;
		}
		CU_ASSERT(nb_empty > 23000 && nb_empty < 25200); // 24109 expected
		CU_ASSERT(most < 14);
	}
}

static void
test_agree(void)
{
	with_both(agree);
}

static void
test_differ(void)
{
	with_both(differ);
}

static void
test_spread(void)
{
	with_both(spread);
}

static const struct sl_test_case cases[] = {
	{ "hash: SipHash-1-3 gives the published value", test_vectors },
	{ "hash: many at once are the same as one by one, under one key", test_agree },
	{ "hash: every bit and the length matter", test_differ },
	{ "hash: neighbours spread evenly over every part of the value", test_spread },
};

int
main(int argc, char **argv)
{
	return sl_test_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]), setup, NULL);
}
