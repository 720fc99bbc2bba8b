#include "sl_test.h"

#include <sluice/proto/histogram.h>

static void
test_bucket(void)
{
	static const struct {
		const char *sentence;
		uint64_t ns;
		unsigned bucket;
	} rows[] = {
		{ "nothing", 0, 0 },
		{ "the end of the first belongs to it", 1024, 0 },
		{ "just above", 1025, 1 },
		{ "the end of the second belongs to it", 2048, 1 },
		{ "a millisecond", 1000000, 10 },
		{ "the last end", 1ull << 34, 24 },
		{ "beyond it", (1ull << 34) + 1, 25 },
		{ "for ever", UINT64_MAX, 25 },
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		SL_ASSERT_ROW(sl_histogram_bucket(rows[i].ns) == rows[i].bucket, rows[i].sentence);
}

static void
test_merge(void)
{
	struct sl_histogram a = { 0 }, b = { 0 };

	sl_histogram_add(&a, 1000, 2);
	sl_histogram_add(&b, 3000, 1);
	sl_histogram_merge(&a, &b);
	CU_ASSERT_EQUAL(a.buckets[0], 2);
	CU_ASSERT_EQUAL(a.buckets[2], 1);
	CU_ASSERT_EQUAL(a.sum_ns, 5000);
}

static const struct sl_test_case cases[] = {
	{ "histogram: a bucket holds what is not above its end", test_bucket },
	{ "histogram: events are counted with what they took, and sums are sums", test_merge },
};

SL_TEST_MAIN(cases)
