#include <sluice/dns/bucket.h>
#include <sluice/proto/limits.h>

// Tokens are kept in units of 2^-20, so that slow rates gain something at every look.
bool
sl_bucket_take(
	struct sl_bucket *bucket, uint32_t rate, uint32_t burst, uint32_t nb, uint64_t now_ns
)
{
	const uint64_t full = (uint64_t)burst << 20;
	uint64_t past_ns = now_ns > bucket->filled_ns ? now_ns - bucket->filled_ns : 0;

	if (bucket->filled_ns == 0 || past_ns >= 3600 * SL_NS_PER_S) {
		bucket->tokens = full;
	} else {
		__uint128_t gain = ((__uint128_t)past_ns * rate << 20) / SL_NS_PER_S;

		bucket->tokens = gain > full - (bucket->tokens < full ? bucket->tokens : full)
			? full
			: bucket->tokens + (uint64_t)gain;
	}
	bucket->filled_ns = now_ns != 0 ? now_ns : 1; // 0 means never used
	if (bucket->tokens < (uint64_t)nb << 20)
		return false;
	bucket->tokens -= (uint64_t)nb << 20;
	return true;
}
