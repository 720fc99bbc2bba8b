#include "sl_test.h"

#include <sluice/proto/limits.h>
#include <sluice/proto/slots.h>
#include <string.h>

static void
test_rest(void)
{
	struct sl_slots s;
	uint8_t generation;
	uint64_t now = 5 * SL_NS_PER_S;

	CU_ASSERT_EQUAL_FATAL(sl_slots_create(&s, 2), 0);
	CU_ASSERT_EQUAL(sl_slots_take(&s, now, &generation), 0);
	CU_ASSERT_EQUAL(generation, 1);
	CU_ASSERT_EQUAL(sl_slots_take(&s, now, &generation), 1);
	CU_ASSERT_EQUAL(sl_slots_take(&s, now, &generation), SL_SLOT_NONE);
	CU_ASSERT(sl_slots_give(&s, 1, now));
	CU_ASSERT_FALSE(sl_slots_give(&s, 1, now));
	CU_ASSERT_FALSE(sl_slots_give(&s, 2, now));
	now += SL_FLOW_SLOT_REST_S * SL_NS_PER_S - 1;
	CU_ASSERT_EQUAL(sl_slots_take(&s, now, &generation), SL_SLOT_NONE);
	now += SL_NS_PER_S;
	CU_ASSERT_EQUAL(sl_slots_take(&s, now, &generation), 1);
	CU_ASSERT_EQUAL(generation, 2);
	sl_slots_destroy(&s);
}

static void
test_generations_go_round(void)
{
	struct sl_slots s;
	uint8_t generation;
	uint64_t now = 0;

	CU_ASSERT_EQUAL_FATAL(sl_slots_create(&s, 1), 0);
	for (unsigned i = 1; i <= 600; i++) {
		CU_ASSERT_EQUAL(sl_slots_take(&s, now, &generation), 0);
		CU_ASSERT_EQUAL(generation, (i - 1) % 255 + 1);
		CU_ASSERT(sl_slots_give(&s, 0, now));
		now += (SL_FLOW_SLOT_REST_S + 1) * SL_NS_PER_S;
	}
	// Ids are distrusted before one can come round.
	CU_ASSERT(SL_FLOW_ID_TRUST_S + 60 < 255 * SL_FLOW_SLOT_REST_S);
	sl_slots_destroy(&s);
}

#define NB 64u

// Against a naive model: who is out, since when each rests, and in which order.
static void
test_random_against_model(void)
{
	struct sl_slots s;
	uint64_t freed_ns[NB] = { 0 }, now = 0, x = 12345;
	uint8_t last[NB] = { 0 }, generation;
	bool out[NB] = { false };

	CU_ASSERT_EQUAL_FATAL(sl_slots_create(&s, NB), 0);
	for (unsigned i = 0; i < 200000; i++) {
		uint32_t index;

		x = x * 6364136223846793005ull + 1442695040888963407ull;
		now += (x >> 40) % (400 * SL_NS_PER_MS);
		if ((x >> 33) % 2 == 0) {
			index = (uint32_t)(x >> 50) % NB;
			CU_ASSERT_EQUAL(sl_slots_give(&s, index, now), out[index]);
			if (out[index])
				freed_ns[index] = now;
			out[index] = false;
			continue;
		}
		index = sl_slots_take(&s, now, &generation);
		if (index == SL_SLOT_NONE) {
			for (unsigned k = 0; k < NB; k++)
				CU_ASSERT(
					out[k] ||
					(last[k] != 0 &&
					 now - freed_ns[k] < (SL_FLOW_SLOT_REST_S + 1) * SL_NS_PER_S
					)
				);
			continue;
		}
		CU_ASSERT_FALSE(out[index]);
		CU_ASSERT(
			last[index] == 0 ||
			now - freed_ns[index] >= SL_FLOW_SLOT_REST_S * SL_NS_PER_S
		);
		CU_ASSERT(generation != 0 && generation != last[index]);
		for (unsigned k = 0; k < NB; k++)
			CU_ASSERT(out[k] || freed_ns[k] >= freed_ns[index]);
		out[index] = true;
		last[index] = generation;
	}
	sl_slots_destroy(&s);
}

static void
test_untold(void)
{
	struct sl_slots s;
	uint64_t now = 100 * SL_NS_PER_S;
	uint8_t generation;

	CU_ASSERT_EQUAL_FATAL(sl_slots_create(&s, 3), 0);
	for (unsigned i = 0; i < 1000; i++) {
		CU_ASSERT_EQUAL(sl_slots_take(&s, now, &generation), 0);
		CU_ASSERT_EQUAL(generation, 1);
		CU_ASSERT(sl_slots_give_untold(&s, 0, now));
		CU_ASSERT_FALSE(sl_slots_give_untold(&s, 0, now));
	}
	CU_ASSERT_FALSE(sl_slots_give_untold(&s, 3, now));
	for (unsigned i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(sl_slots_take(&s, now, &generation), i);
	CU_ASSERT(sl_slots_give(&s, 1, now)); // this one was told
	CU_ASSERT(sl_slots_give_untold(&s, 2, now));
	CU_ASSERT_EQUAL(sl_slots_take(&s, now, &generation), 2);
	CU_ASSERT_EQUAL(sl_slots_take(&s, now, &generation), SL_SLOT_NONE);
	CU_ASSERT(sl_slots_give_untold(&s, 2, now));
	now += (SL_FLOW_SLOT_REST_S + 1) * SL_NS_PER_S;
	CU_ASSERT_EQUAL(sl_slots_take(&s, now, &generation), 2);
	CU_ASSERT_EQUAL(sl_slots_take(&s, now, &generation), 1);
	CU_ASSERT_EQUAL(generation, 2);
	sl_slots_destroy(&s);
}

static void
test_limits(void)
{
	struct sl_slots s;

	CU_ASSERT_NOT_EQUAL(sl_slots_create(&s, 0), 0);
	CU_ASSERT_NOT_EQUAL(sl_slots_create(&s, SL_SLOTS_MAX + 1), 0);
	memset(&s, 0, sizeof(s));
	sl_slots_destroy(&s);
}

static const struct sl_test_case cases[] = {
	{ "slots: a freed slot rests 30 s and comes back under the next generation", test_rest },
	{ "slots: generations run from 1 to 255 and round", test_generations_go_round },
	{ "slots: as a naive model says, oldest first", test_random_against_model },
	{ "slots: one that nobody was told of is given again at once, a told one rests all the "
	  "same",
	  test_untold },
	{ "slots: capacity is bounded", test_limits },
};

SL_TEST_MAIN(cases)
