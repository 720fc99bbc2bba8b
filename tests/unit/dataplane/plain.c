// Plain clients: the longest prefix of the right port and VLAN, against a naive search.
#include "sl_test.h"

#include <rte_common.h>

#include <sluice/dp/meta.h>
#include <sluice/dp/plain.h>
#include <stdlib.h>

#define NB 400u

static uint32_t
mask(unsigned bits)
{
	return bits == 0 ? 0 : UINT32_MAX << (32 - bits);
}

static uint32_t
naive(const struct sl_plain_entry *e, uint16_t port, uint16_t vlan, uint32_t source)
{
	uint32_t best = SL_NO_CLIENT;
	int bits = -1;

	for (unsigned i = 0; i < NB; i++)
		if (e[i].port == port && e[i].vlan == vlan && e[i].prefix_bits > bits &&
		    ((source ^ rte_be_to_cpu_32(e[i].prefix)) & mask(e[i].prefix_bits)) == 0) {
			best = e[i].client;
			bits = e[i].prefix_bits;
		}
	return best;
}

static void
test_model(void)
{
	struct sl_plain_entry entries[NB];
	struct sl_plain_clients *p;
	unsigned nb_found = 0;

	srand(11);
	for (unsigned i = 0; i < NB; i++) {
		uint8_t bits = (uint8_t)(i % 33);

		// Distinct by construction: the number stands in what the prefix keeps, or in the VLAN.
		entries[i] = (struct sl_plain_entry){
			.prefix = rte_cpu_to_be_32(((uint32_t)rand() & 0x0f0f0fffu) | 0x0a000000u),
			.client = i + 1,
			.port = (uint16_t)(rand() % 2),
			.vlan = (uint16_t)(bits < 8 ? 100 + i : (unsigned)rand() % 2),
			.prefix_bits = bits,
		};
	}
	p = sl_plain_build(entries, NB);
	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	for (unsigned i = 0; i < 200000; i++) {
		const struct sl_plain_entry *e = &entries[(unsigned)rand() % NB];
		uint32_t source = rte_be_to_cpu_32(e->prefix) ^
			((uint32_t)rand() & ~mask((unsigned)rand() % 33));
		uint16_t port = (uint16_t)(rand() % 8 == 0 ? 1 - e->port : e->port);
		uint32_t expected = naive(entries, port, e->vlan, source);
		uint32_t found = sl_plain_find(p, port, e->vlan, rte_cpu_to_be_32(source));

		// Two equal prefixes may stand in the list: either will do.
		CU_ASSERT_FATAL(
			found == expected ||
			(found != SL_NO_CLIENT && expected != SL_NO_CLIENT &&
			 entries[found - 1].prefix_bits == entries[expected - 1].prefix_bits)
		);
		nb_found += found != SL_NO_CLIENT;
	}
	CU_ASSERT(nb_found > 10000 && nb_found < 199000);
	sl_plain_free(p);
}

static void
test_empty(void)
{
	struct sl_plain_clients *p = sl_plain_build(NULL, 0);

	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	CU_ASSERT_EQUAL(sl_plain_find(p, 0, 0, RTE_BE32(0x0a000001)), SL_NO_CLIENT);
	sl_plain_free(p);
	sl_plain_free(NULL);
}

// Ten thousand neighbours, as addresses are given out: finding one reads a few slots, not hundreds.
static void
test_neighbours(void)
{
	enum { NB_NEIGHBOURS = 10000 };
	static struct sl_plain_entry entries[NB_NEIGHBOURS];
	static const uint32_t firsts[] = { 0x0a800001, 0xc0a80000, 0x64600001 };

	for (unsigned k = 0; k < 2 * RTE_DIM(firsts); k++) {
		unsigned bits = k % 2 ? 24 : 32;
		struct sl_plain_clients *p;

		for (uint32_t i = 0; i < NB_NEIGHBOURS; i++)
			entries[i] = (struct sl_plain_entry
			){ .prefix = rte_cpu_to_be_32(firsts[k / 2] + (i << (32 - bits))),
			   .client = i + 1,
			   .port = 1,
			   .prefix_bits = (uint8_t)bits };
		p = sl_plain_build(entries, NB_NEIGHBOURS);
		CU_ASSERT_PTR_NOT_NULL_FATAL(p);
		CU_ASSERT(sl_plain_longest(p) <= 24);
		sl_plain_free(p);
	}
}

static const struct sl_test_case cases[] = {
	{ "D2: a plain client is known by port, VLAN and longest prefix", test_model },
	{ "D2: without clients nobody is one", test_empty },
	{ "D4: neighbours are found in a few probes", test_neighbours },
};

SL_TEST_MAIN(cases)
