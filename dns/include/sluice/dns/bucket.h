// bucket: a token bucket for rates.
#pragma once

#include <stdbool.h>
#include <stdint.h>

// A token bucket: `rate` tokens a second, at most `burst`. Zero-initialised it is full at first use.
struct sl_bucket {
	uint64_t filled_ns;
	uint64_t tokens; // in units of 2^-20
};
// Take `nb` tokens; false when there are fewer.
bool sl_bucket_take(
	struct sl_bucket *bucket, uint32_t rate, uint32_t burst, uint32_t nb, uint64_t now_ns
);
