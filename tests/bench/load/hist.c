// hist: a histogram of latencies with buckets of equal relative width.
#include "load.h"

#define BITS 6u // 64 buckets for each power of two

static unsigned
bucket_of(uint64_t v)
{
	unsigned power;

	if (v < (1u << BITS))
		return (unsigned)v;
	power = 63u - (unsigned)__builtin_clzll(v);
	return ((power - BITS + 1) << BITS) |
		(unsigned)((v >> (power - BITS)) & ((1u << BITS) - 1));
}

static uint64_t
end_of(unsigned bucket)
{
	unsigned power = bucket >> BITS, part = bucket & ((1u << BITS) - 1);

	if (power == 0)
		return part;
	return ((uint64_t)(part | (1u << BITS)) + 1) << (power - 1);
}

void
load_hist_add(struct load_hist *h, uint64_t cycles)
{
	unsigned b = bucket_of(cycles);

	h->counts[b < LOAD_HIST_BUCKETS ? b : LOAD_HIST_BUCKETS - 1]++;
	h->nb++;
	if (cycles > h->max)
		h->max = cycles;
}

uint64_t
load_hist_at(const struct load_hist *h, double share)
{
	uint64_t want = (uint64_t)(share * (double)h->nb), seen = 0;

	for (unsigned b = 0; b < LOAD_HIST_BUCKETS; b++) {
		seen += h->counts[b];
		if (seen > want)
			return end_of(b) < h->max ? end_of(b) : h->max;
	}
	return h->max;
}
