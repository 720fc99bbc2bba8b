// histogram: how long things took, in powers of two. One thread adds, others read what stands there:
// each number is exact at some moment, and none ever falls.
#pragma once

#include <stdint.h>

#define SL_HISTOGRAM_FIRST_BIT 10u // the first bucket ends at 2^10 ns, about a microsecond
#define SL_HISTOGRAM_BUCKETS   26u // the last but one ends at 2^34 ns, about 17 s; the last never

struct sl_histogram {
	uint64_t buckets[SL_HISTOGRAM_BUCKETS]; // what fell between two ends, not summed up
	uint64_t sum_ns;
};

// Index of the bucket that ends at or above `ns`.
static inline unsigned
sl_histogram_bucket(uint64_t ns)
{
	unsigned bits = ns <= 1 ? 0 : 64u - (unsigned)__builtin_clzll(ns - 1);

	if (bits <= SL_HISTOGRAM_FIRST_BIT)
		return 0;
	bits -= SL_HISTOGRAM_FIRST_BIT;
	return bits < SL_HISTOGRAM_BUCKETS ? bits : SL_HISTOGRAM_BUCKETS - 1;
}

// `nb` events that took `ns` each.
static inline void
sl_histogram_add(struct sl_histogram *h, uint64_t ns, uint64_t nb)
{
	h->buckets[sl_histogram_bucket(ns)] += nb;
	h->sum_ns += ns * nb;
}

// Add what `from` has to `to`.
static inline void
sl_histogram_merge(struct sl_histogram *to, const struct sl_histogram *from)
{
	for (unsigned i = 0; i < SL_HISTOGRAM_BUCKETS; i++)
		to->buckets[i] += from->buckets[i];
	to->sum_ns += from->sum_ns;
}
