// The replay window: numbered one-line cases, then random counters against a model that remembers
// everything.
#include "sl_test.h"

#include <sluice/proto/limits.h>
#include <sluice/proto/replay.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX SL_REPLAY_WORDS(SL_REPLAY_WIREGUARD_PKTS)

struct window {
	struct sl_replay replay;
	uint64_t words[WORDS_MAX];
	uint32_t nb_words;
};

static enum sl_replay_verdict
take(struct window *w, uint64_t counter)
{
	enum sl_replay_verdict asked = sl_replay_check(&w->replay, w->words, w->nb_words, counter);
	enum sl_replay_verdict taken = sl_replay_commit(&w->replay, w->words, w->nb_words, counter);

	CU_ASSERT_EQUAL(asked, taken);
	return taken;
}

// W is the window's size. Each row is one counter, in order; a row of RESET empties the window.
enum { FRESH = SL_REPLAY_FRESH, OLD = SL_REPLAY_OLD, SEEN = SL_REPLAY_SEEN, RESET = 9 };

// Above what any key may seal.
#define FAR (1ll << 60)

struct row {
	int nb; // number of the case
	unsigned windows; // the counter is windows * W + offset
	int64_t offset;
	int verdict;
};

static const struct row rows[] = {
	{ 1, 0, 0, FRESH },
	{ 2, 0, 0, SEEN },
	{ 3, 0, 1, FRESH },
	{ 4, 0, 1, SEEN },
	{ 5, 0, 9, FRESH },
	{ 6, 0, 8, FRESH },
	{ 7, 0, 7, FRESH },
	{ 8, 0, 7, SEEN },
	{ 9, 0, 8, SEEN },
	{ 10, 0, 9, SEEN },
	{ 11, 0, 63, FRESH },
	{ 12, 0, 64, FRESH },
	{ 13, 0, 63, SEEN },
	{ 14, 0, 64, SEEN },
	{ 15, 1, -1, FRESH }, // highest W - 1: 0 is just inside
	{ 16, 0, 0, SEEN },
	{ 17, 0, 2, FRESH },
	{ 18, 1, 0, FRESH }, // and now outside
	{ 19, 0, 0, OLD },
	{ 20, 0, 1, SEEN },
	{ 21, 0, 3, FRESH },
	{ 22, 1, 0, SEEN },
	{ 23, 2, 0, FRESH },
	{ 24, 1, 0, OLD },
	{ 25, 1, 1, FRESH },
	{ 26, 1, 1, SEEN },
	{ 27, 1, -1, OLD },
	{ 28, 2, -1, FRESH },
	{ 29, 2, 0, SEEN },
	{ 30, 9, 5, FRESH }, // a jump past the whole window forgets nothing it should keep
	{ 31, 8, 5, OLD },
	{ 32, 8, 6, FRESH },
	{ 33, 9, 4, FRESH },
	{ 34, 9, 5, SEEN },
	{ 35, 8, 6, SEEN },
	{ 36, 0, 0, RESET },
	{ 37, 1, 0, FRESH }, // the first may be any
	{ 38, 0, 0, OLD },
	{ 39, 0, 1, FRESH },
	{ 40, 1, 0, SEEN },
	{ 41, 0, 0, RESET },
	{ 42, 0, FAR, FRESH },
	{ 43, 0, FAR, SEEN },
	{ 44, 0, FAR - 1, FRESH },
	{ 45, 0, 0, OLD },
	{ 46, 0, FAR + 1, FRESH },
	{ 47, 0, FAR - 1, SEEN },
};

static void
run_rows(uint32_t window_pkts)
{
	struct window w = { .nb_words = SL_REPLAY_WORDS(window_pkts) };

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t counter = (uint64_t)rows[i].windows * window_pkts + rows[i].offset;

		CU_ASSERT_EQUAL(rows[i].nb, (int)i + 1);
		if (rows[i].verdict == RESET) {
			w = (struct window){ .nb_words = w.nb_words };
			continue;
		}
		if ((int)take(&w, counter) != rows[i].verdict) {
			sl_test_note("window %u, case %d", window_pkts, rows[i].nb);
			CU_FAIL("verdict");
		}
	}
}

static void
test_numbered(void)
{
	run_rows(SL_REPLAY_TUNNEL_PKTS);
	run_rows(SL_REPLAY_WIREGUARD_PKTS);
}

static void
test_check_only(void)
{
	struct window w = { .nb_words = SL_REPLAY_WORDS(SL_REPLAY_TUNNEL_PKTS) };

	// Asking changes nothing, however high: a forged counter must not move the window.
	for (uint64_t counter = 0; counter < 1ull << 40; counter = counter * 3 + 1)
		CU_ASSERT_EQUAL(
			sl_replay_check(&w.replay, w.words, w.nb_words, counter), SL_REPLAY_FRESH
		);
	CU_ASSERT_EQUAL(w.replay.next, 0);
	CU_ASSERT_EQUAL(take(&w, 0), SL_REPLAY_FRESH);
}

#define MODEL_COUNTERS (1u << 20)

// Mostly within or just below the window, often the next, seldom far ahead.
static uint64_t
draw(uint64_t highest, uint32_t window)
{
	uint64_t r = (uint64_t)random();
	uint64_t low = highest > window + window / 8 ? highest - window - window / 8 : 0;

	if (random() % 1024 == 0)
		return highest + r % (3 * window);
	if (random() % 2 == 0)
		return highest + 1 + r % 2;
	return low + r % (highest - low + 1);
}

static void
test_random(void)
{
	uint8_t *seen = malloc(MODEL_COUNTERS);
	unsigned nb_fresh = 0, nb_old = 0, nb_seen = 0;

	srandom(3);
	for (uint32_t pkts = SL_REPLAY_TUNNEL_PKTS; seen != NULL; pkts = SL_REPLAY_WIREGUARD_PKTS) {
		struct window w = { .nb_words = SL_REPLAY_WORDS(pkts) };
		uint64_t highest = 0;
		bool any = false;

		memset(seen, 0, MODEL_COUNTERS);
		for (unsigned i = 0; i < 400000; i++) {
			uint64_t counter = draw(highest, pkts);
			enum sl_replay_verdict want = SL_REPLAY_FRESH, got;

			if (counter >= MODEL_COUNTERS)
				break;
			if (any && highest >= counter && highest - counter >= pkts)
				want = SL_REPLAY_OLD;
			else if (seen[counter])
				want = SL_REPLAY_SEEN;
			got = take(&w, counter);
			if (got != want) {
				sl_test_note(
					"counter %llu after %llu",
					(unsigned long long)counter,
					(unsigned long long)highest
				);
				CU_ASSERT_EQUAL_FATAL(got, want);
			}
			nb_fresh += got == SL_REPLAY_FRESH;
			nb_old += got == SL_REPLAY_OLD;
			nb_seen += got == SL_REPLAY_SEEN;
			if (got != SL_REPLAY_FRESH)
				continue;
			seen[counter] = 1;
			highest = counter > highest ? counter : highest;
			any = true;
		}
		if (pkts == SL_REPLAY_WIREGUARD_PKTS)
			break;
	}
	sl_test_note("%u fresh, %u old, %u seen", nb_fresh, nb_old, nb_seen);
	CU_ASSERT_TRUE(nb_fresh > 10000 && nb_old > 1000 && nb_seen > 10000);
	free(seen);
}

static const struct sl_test_case cases[] = {
	{ "C4: 47 counters in order, each with its verdict, in both window sizes", test_numbered },
	{ "C4: asking about a counter moves nothing", test_check_only },
	{ "C4: random counters get the verdicts of a model that remembers all", test_random },
};

SL_TEST_MAIN(cases)
