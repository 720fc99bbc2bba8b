// The neighbour table against a naive one: every held packet comes out once, and no lie is told.
#include "sl_test.h"

#include <sluice/dp/dp.h>
#include <sluice/dp/neighbour.h>
#include <stdlib.h>
#include <string.h>

#define NB_ADDRESSES 300u
#define NB_STEPS     200000u

static struct rte_mbuf packets[8192]; // never looked into, only passed round
static bool is_held[RTE_DIM(packets)];
static unsigned nb_held;
static uint64_t seed = 88172645463325252ull;

static uint64_t
draw(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

static int
setup(void)
{
	static const struct sl_eal_conf eal = { .name = "sl_neighbour", .memory_mb = 64 };

	return sl_eal_start(&eal);
}

static int
teardown(void)
{
	sl_eal_stop();
	return 0;
}

static void
release(struct rte_mbuf **m, unsigned nb)
{
	for (unsigned i = 0; i < nb; i++) {
		CU_ASSERT_FATAL(is_held[m[i] - packets]);
		is_held[m[i] - packets] = false;
	}
	nb_held -= nb;
}

static void
sweep(struct sl_neighbours *t, uint64_t now_ns)
{
	struct sl_neighbour_event e;
	uint32_t at = 0;

	while (sl_neighbours_sweep(t, now_ns, &at, &e))
		release(e.given_up, e.nb_given_up);
}

static void
hold_one(struct sl_neighbours *t, rte_be32_t address, uint64_t now_ns)
{
	struct rte_mbuf *m = &packets[draw(RTE_DIM(packets))];
	enum sl_neighbour_verdict v;

	if (is_held[m - packets])
		return;
	v = sl_neighbours_hold(t, 0, address, now_ns, m);
	if (v != SL_NEIGHBOUR_HELD_ASK && v != SL_NEIGHBOUR_HELD_WAIT)
		return;
	is_held[m - packets] = true;
	nb_held++;
}

static void
learn_one(struct sl_neighbours *t, unsigned i, uint8_t *last, uint64_t now_ns)
{
	struct rte_mbuf *released[SL_NEIGHBOUR_HELD];
	struct rte_ether_addr mac = { { 2, 0, 0, 0, 0, 0 } };
	enum sl_neighbour_news news = draw(2) == 0 ? SL_NEIGHBOUR_UPDATE_ONLY
						   : SL_NEIGHBOUR_MAY_ADD;

	last[i]++;
	mac.addr_bytes[4] = (uint8_t)i;
	mac.addr_bytes[5] = last[i];
	release(released, sl_neighbours_learn(t, 0, 1000 + i, &mac, now_ns, news, released));
}

static void
test_model(void)
{
	static uint8_t last[NB_ADDRESSES]; // the newest claim of each address
	struct sl_neighbours *t = sl_neighbours_create(128, 4096);
	uint64_t now_ns = SL_NS_PER_S;
	unsigned nb_known = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(t);
	for (unsigned step = 0; step < NB_STEPS; step++) {
		unsigned i = (unsigned)draw(NB_ADDRESSES);
		const struct rte_ether_addr *mac = sl_neighbours_find(t, 0, 1000 + i);

		// What it knows is the newest it was told about that very address.
		if (mac != NULL) {
			CU_ASSERT_EQUAL(mac->addr_bytes[4], (uint8_t)i);
			CU_ASSERT_EQUAL(mac->addr_bytes[5], last[i]);
			nb_known++;
		} else {
			hold_one(t, 1000 + i, now_ns);
		}
		if (draw(3) == 0)
			learn_one(t, (unsigned)draw(NB_ADDRESSES), last, now_ns);
		now_ns += draw(20 * SL_NS_PER_MS);
		if (draw(50) == 0)
			sweep(t, now_ns);
	}
	sl_test_note("%u of %u known", nb_known, NB_STEPS);
	CU_ASSERT(nb_known > NB_STEPS / 100);
	// Silence from here on: everybody who waits is given up.
	for (unsigned i = 0; i < 5; i++)
		sweep(t, now_ns += SL_NS_PER_S);
	CU_ASSERT_EQUAL(nb_held, 0);
	sl_neighbours_destroy(t);
}

static void
test_gratuitous(void)
{
	struct sl_neighbours *t = sl_neighbours_create(8, 4096);
	struct rte_ether_addr mac = { { 2, 0, 0, 0, 0, 1 } };
	struct rte_mbuf *released[SL_NEIGHBOUR_HELD];

	CU_ASSERT_PTR_NOT_NULL_FATAL(t);
	CU_ASSERT_EQUAL(
		sl_neighbours_learn(t, 0, 5, &mac, 1, SL_NEIGHBOUR_UPDATE_ONLY, released), 0
	);
	CU_ASSERT_PTR_NULL(sl_neighbours_find(t, 0, 5));
	CU_ASSERT_EQUAL(sl_neighbours_learn(t, 0, 5, &mac, 1, SL_NEIGHBOUR_MAY_ADD, released), 0);
	CU_ASSERT_PTR_NOT_NULL(sl_neighbours_find(t, 0, 5));
	CU_ASSERT_PTR_NULL(sl_neighbours_find(t, 1, 5)); // the same address on another port
	sl_neighbours_destroy(t);
}

static void
test_share(void)
{
	struct sl_neighbours *t = sl_neighbours_create(128, 10);
	uint64_t now_ns = SL_NS_PER_S;

	CU_ASSERT_PTR_NOT_NULL_FATAL(t);
	for (uint32_t i = 0; i < 200; i++)
		hold_one(t, 1000 + i % 50, now_ns);
	CU_ASSERT_EQUAL(nb_held, 10);
	for (unsigned i = 0; i < 5; i++)
		sweep(t, now_ns += SL_NS_PER_S);
	CU_ASSERT_EQUAL(nb_held, 0);
	hold_one(t, 1000, now_ns);
	CU_ASSERT_EQUAL(nb_held, 1);
	for (unsigned i = 0; i < 5; i++)
		sweep(t, now_ns += SL_NS_PER_S);
	sl_neighbours_destroy(t);
}

static void
test_sizes(void)
{
	CU_ASSERT_PTR_NULL(sl_neighbours_create(4, 4096));
	CU_ASSERT_PTR_NULL(sl_neighbours_create(100, 4096));
}

static const struct sl_test_case cases[] = {
	{ "neighbour: a full table loses no packet and believes the newest claim", test_model },
	{ "neighbour: an unasked-for claim adds nothing", test_gratuitous },
	{ "neighbour: no more packets wait than the share of buffers", test_share },
	{ "neighbour: a table's size is a power of two", test_sizes },
};

int
main(int argc, char **argv)
{
	return sl_test_main(argc, argv, cases, RTE_DIM(cases), setup, teardown);
}
