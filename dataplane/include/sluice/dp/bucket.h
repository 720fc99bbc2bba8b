// bucket: a token bucket owned by one thread.
#pragma once

#include <sluice/proto/limits.h>

#include <stdbool.h>
#include <stdint.h>

struct sl_bucket {
	uint64_t filled_ns; // when the tokens were last counted
	uint32_t rate_per_s; // 0: no limit
	uint32_t burst;
	uint32_t tokens;
};

static inline bool
sl_bucket_take(struct sl_bucket *b, uint64_t now_ns, uint32_t tokens)
{
	uint64_t gained;

	if (b->rate_per_s == 0)
		return true;
	if (b->tokens < tokens) {
		// A second or more away fills any bucket whose burst is at most its rate.
		uint64_t past_ns = now_ns - b->filled_ns;

		if (past_ns > 10 * SL_NS_PER_S)
			past_ns = 10 * SL_NS_PER_S;
		gained = past_ns * b->rate_per_s / SL_NS_PER_S;
		if (gained != 0) {
			uint64_t sum = b->tokens + gained;

			b->tokens = sum > b->burst ? b->burst : (uint32_t)sum;
			b->filled_ns = now_ns;
		}
	}
	if (b->tokens < tokens)
		return false;
	b->tokens -= tokens;
	return true;
}
