// Many names, and many questions under way.
#include "forward_kit.h"

// Ask for the n-th of many names, answered by the upstream when it hears of it. Whether the cache had it.
static bool
ask_nth(struct sl_forward *f, unsigned n)
{
	struct sent s, answer;
	uint8_t m[8192];
	char name[64];

	snprintf(name, sizeof(name), "host%u.public.example", n);
	if (ask(f, 1, 1000, name, 1232, MS) == SL_FORWARD_ANSWERED)
		return true;
	CU_ASSERT_TRUE_FATAL(poll_event(f, MS, &s));
	give(f, &s, m, reply(&s, m, 0, 1, 300), MS);
	CU_ASSERT_TRUE(poll_event(f, MS, &answer) && answer.event.kind == SL_FORWARD_ANSWER);
	return false;
}

static void
test_many_names(void)
{
	struct sl_forward *f = make(SL_FORWARD_SERIAL);
	struct sl_forward_stats stats;
	unsigned nb_max, n = 0, nb_kept = 0;

	for (; n < 100; n++)
		CU_ASSERT_FALSE(ask_nth(f, n));
	for (n = 0; n < 100; n++)
		CU_ASSERT_TRUE(ask_nth(f, n));
	// More than there is room for: as many are kept as before, the last ones.
	for (nb_max = 0; n < 10000; n++) {
		ask_nth(f, n);
		sl_forward_stats(f, &stats);
		CU_ASSERT_TRUE(stats.nb_cached >= nb_max);
		nb_max = stats.nb_cached;
	}
	CU_ASSERT_TRUE(nb_max > 100 && nb_max < 9900);
	for (unsigned back = 0; back < nb_max; back++)
		nb_kept += ask_nth(f, n - 1 - back);
	CU_ASSERT_EQUAL(nb_kept, nb_max);
	CU_ASSERT_FALSE(ask_nth(f, 0));
	sl_forward_free(f);
}

// A thousand questions to upstreams that are silent, one a millisecond: each is retried, and ends with its deadline,
// though nobody polls but when told to.
static void
test_thousand(void)
{
	const unsigned nb = 1000;
	struct sl_forward_config config = { .upstreams = { { 0x09090909, 53 }, { 0x08080808, 53 } },
					    .nb_upstreams = 2,
					    .name_key = fixture_key,
					    .client_askers_max = nb,
					    .queries_max = nb,
					    .random = next_random,
					    .random_context = &seed };
	struct sl_forward *f = sl_forward_create(&config);
	unsigned nb_asked = 0, nb_answered = 0, nb_sent = 0, nb_wakes = 0;
	struct sl_forward_event e;
	uint64_t now_ns = 0, wake_ns, worst_ns = 0;
	char name[64];

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	while (nb_answered < nb && nb_wakes < 20000) {
		wake_ns = sl_forward_wake_ns(f);
		if (nb_asked < nb && wake_ns >= (nb_asked + 1) * MS) {
			now_ns = (nb_asked + 1) * MS;
			snprintf(name, sizeof(name), "silent%u.example", nb_asked++);
			CU_ASSERT_EQUAL(
				ask(f, 1, (uint16_t)nb_asked, name, 0, now_ns), SL_FORWARD_PENDING
			);
		} else {
			CU_ASSERT_TRUE_FATAL(wake_ns >= now_ns && wake_ns != UINT64_MAX);
			now_ns = wake_ns;
			nb_wakes++;
		}
		while (sl_forward_poll(f, now_ns, &e)) {
			nb_sent += e.kind == SL_FORWARD_SEND;
			if (e.kind != SL_FORWARD_ANSWER)
				continue;
			nb_answered++; // the port tells when it was asked
			if (now_ns - e.asker.port * MS > worst_ns)
				worst_ns = now_ns - e.asker.port * MS;
		}
	}
	CU_ASSERT_EQUAL(nb_answered, nb);
	CU_ASSERT_TRUE(nb_sent >= 2 * nb);
	CU_ASSERT_TRUE(worst_ns >= 3000 * MS && worst_ns <= 3001 * MS);
	CU_ASSERT_TRUE(nb_wakes <= 4100); // not one for each of what is due
	CU_ASSERT_EQUAL(sl_forward_wake_ns(f), UINT64_MAX);
	sl_forward_free(f);
}

static const struct sl_test_case cases[] = {
	{ "A14: the cache keeps as many names as it has room for, the last ones", test_many_names },
	{ "forward: a thousand questions under way are retried and end in time", test_thousand },
};
SL_TEST_MAIN(cases)
