#include "sl_test.h"

#include <errno.h>
#include <sluice/ctrl/clock.h>
#include <sluice/ctrl/timers.h>
#include <stdlib.h>

#define NB 10000u

static void
test_order(void)
{
	static struct sl_timer timers[NB];
	struct sl_timers heap;
	uint64_t last_ns = 0;
	struct sl_timer *t;
	unsigned nb = 0;

	srandom(1);
	CU_ASSERT_EQUAL_FATAL(sl_timers_init(&heap, NB), 0);
	CU_ASSERT_EQUAL(sl_timers_next_ns(&heap), UINT64_MAX);
	for (unsigned i = 0; i < NB; i++)
		CU_ASSERT_EQUAL(sl_timers_set(&heap, &timers[i], (uint64_t)random() % 1000), 0);
	CU_ASSERT_EQUAL(sl_timers_set(&heap, &(struct sl_timer){ 0 }, 1), -ENOSPC);
	while ((t = sl_timers_expire(&heap, 999)) != NULL) {
		CU_ASSERT(t->at_ns >= last_ns);
		CU_ASSERT_FALSE(sl_timer_armed(t));
		last_ns = t->at_ns;
		nb++;
	}
	CU_ASSERT_EQUAL(nb, NB);
	sl_timers_free(&heap);
}

// Against the plainest thing that could be right: an array of deadlines, searched.
static void
test_model(void)
{
	static struct sl_timer timers[200];
	static uint64_t model[200]; // 0: not armed
	struct sl_timers heap;
	uint64_t now = 1;

	srandom(2);
	CU_ASSERT_EQUAL_FATAL(sl_timers_init(&heap, 200), 0);
	for (unsigned step = 0; step < 100000; step++) {
		unsigned i = (unsigned)random() % 200;
		uint64_t first = UINT64_MAX;
		struct sl_timer *t;

		switch (random() % 4) {
		case 0:
		case 1:
			model[i] = now + (uint64_t)random() % 500;
			CU_ASSERT_EQUAL(sl_timers_set(&heap, &timers[i], model[i]), 0);
			break;
		case 2:
			model[i] = 0;
			sl_timers_cancel(&heap, &timers[i]);
			break;
		default:
			now += (uint64_t)random() % 20;
			while ((t = sl_timers_expire(&heap, now)) != NULL) {
				CU_ASSERT_EQUAL(model[t - timers], t->at_ns);
				model[t - timers] = 0;
			}
		}
		for (unsigned k = 0; k < 200; k++) {
			CU_ASSERT_EQUAL(sl_timer_armed(&timers[k]), model[k] != 0);
			if (model[k] != 0 && model[k] < first)
				first = model[k];
		}
		CU_ASSERT_EQUAL(sl_timers_next_ns(&heap), first);
	}
	sl_timers_free(&heap);
	CU_ASSERT_FALSE(sl_timer_armed(&timers[0]));
}

static void
test_poll(void)
{
	struct sl_timer t = { 0 };
	struct sl_timers heap;

	CU_ASSERT_EQUAL_FATAL(sl_timers_init(&heap, 1), 0);
	CU_ASSERT_EQUAL(sl_timers_poll_ms(&heap, 5, 1000), 1000);
	CU_ASSERT_EQUAL(sl_timers_set(&heap, &t, 2000001), 0);
	CU_ASSERT_EQUAL(sl_timers_poll_ms(&heap, 0, 1000), 3); // rounded up: never a busy loop
	CU_ASSERT_EQUAL(sl_timers_poll_ms(&heap, 2000001, 1000), 0);
	CU_ASSERT_EQUAL(sl_timers_poll_ms(&heap, UINT64_MAX, 1000), 0);
	sl_timers_free(&heap);
}

static void
test_clock(void)
{
	uint64_t now = sl_clock_now_ns();

	CU_ASSERT(sl_clock_now_ns() >= now);
	CU_ASSERT(sl_clock_wall_ns() > 1600000000ull * 1000000000ull);
	sl_clock_freeze(10, 20);
	sl_clock_advance(5);
	sl_clock_step_wall(-7);
	CU_ASSERT_EQUAL(sl_clock_now_ns(), 15);
	CU_ASSERT_EQUAL(sl_clock_wall_ns(), 18);
	sl_clock_thaw();
	CU_ASSERT(sl_clock_now_ns() >= now);
}

static const struct sl_test_case cases[] = {
	{ "timers: 10,000 expire in order, one more is refused", test_order },
	{ "timers: random operations do what a searched array does", test_model },
	{ "timers: poll waits until the first, never less", test_poll },
	{ "clock: tests can stop, move and step it", test_clock },
};

SL_TEST_MAIN(cases)
