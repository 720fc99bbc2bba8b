#include "sl_test.h"

#include <pthread.h>
#include <sched.h>
#include <sluice/ctrl/mpsc.h>

#define PRODUCERS 4u
#define EACH      50000u

struct item {
	uint32_t producer;
	uint32_t nb;
	uint64_t check;
};

static struct sl_mpsc queue;

static void *
produce(void *arg)
{
	uint32_t producer = (uint32_t)(uintptr_t)arg;

	for (uint32_t i = 0; i < EACH; i++) {
		struct item item = { producer,
				     i,
				     ((uint64_t)producer << 32 | i) * 0x9e3779b97f4a7c15u };

		while (!sl_mpsc_push(&queue, &item))
			sched_yield();
	}
	return NULL;
}

static void
test_threads(void)
{
	uint32_t next[PRODUCERS] = { 0 };
	pthread_t threads[PRODUCERS];
	unsigned nb = 0, nb_wrong = 0;

	CU_ASSERT_EQUAL_FATAL(sl_mpsc_init(&queue, 64, sizeof(struct item)), 0);
	for (uintptr_t i = 0; i < PRODUCERS; i++)
		pthread_create(&threads[i], NULL, produce, (void *)i);
	while (nb < PRODUCERS * EACH) {
		struct item item;

		if (!sl_mpsc_pop(&queue, &item)) {
			sched_yield();
			continue;
		}
		nb++;
		nb_wrong += item.producer >= PRODUCERS ||
			item.nb != next[item.producer % PRODUCERS] ||
			item.check !=
				((uint64_t)item.producer << 32 | item.nb) * 0x9e3779b97f4a7c15u;
		next[item.producer % PRODUCERS]++;
	}
	CU_ASSERT_EQUAL(nb_wrong, 0);
	CU_ASSERT_TRUE(sl_mpsc_empty(&queue));
	for (unsigned i = 0; i < PRODUCERS; i++)
		pthread_join(threads[i], NULL);
	sl_mpsc_free(&queue);
}

static void
test_bounds(void)
{
	uint8_t value = 0;

	CU_ASSERT_EQUAL_FATAL(sl_mpsc_init(&queue, 3, 1), 0); // rounded up to 4
	CU_ASSERT_FALSE(sl_mpsc_pop(&queue, &value));
	for (unsigned round = 0; round < 10; round++) {
		for (uint8_t i = 0; i < 4; i++)
			CU_ASSERT_TRUE(sl_mpsc_push(&queue, &i));
		CU_ASSERT_FALSE(sl_mpsc_push(&queue, &value));
		for (uint8_t i = 0; i < 4; i++) {
			CU_ASSERT_TRUE(sl_mpsc_pop(&queue, &value));
			CU_ASSERT_EQUAL(value, i);
		}
		CU_ASSERT_TRUE(sl_mpsc_empty(&queue));
	}
	sl_mpsc_free(&queue);
}

static const struct sl_test_case cases[] = {
	{ "mpsc: four producers, nothing lost, doubled, torn or out of turn", test_threads },
	{ "mpsc: a full queue refuses, an empty one gives nothing", test_bounds },
};

SL_TEST_MAIN(cases)
