// tai64n: the timestamps of handshakes, and the floor that keeps them rising.
//
// A responder takes an initiation only if its timestamp is greater than every one it took from that
// peer before, so that an old initiation cannot be played back. A peer whose clock runs backwards
// (no battery, a restored virtual machine) would so be locked out. It is not, because the
// initiator's timestamps rise by construction: each is the greater of the wall clock and one tick
// above the last. What a restart would forget is kept as a *floor* on disk that is always ahead of
// what was sent: timestamps are used up to the floor only, and the floor is moved on, an hour at a
// time and on disk first, before that. After a restart the first timestamp is above the floor read.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define SL_TAI64N_BYTES        12u
#define SL_TAI64N_FLOOR_STEP_S 3600u

// Nanoseconds since 1970 (UTC) are the form in memory; 2^62 s + 10 s + that is what travels.
void sl_tai64n_put(uint8_t out[SL_TAI64N_BYTES], uint64_t wall_ns);

// Is `a` later than `b`, both as they travel? All-zero is before everything.
static inline bool
sl_tai64n_is_after(const uint8_t a[SL_TAI64N_BYTES], const uint8_t b[SL_TAI64N_BYTES])
{
	return memcmp(a, b, SL_TAI64N_BYTES) > 0;
}

// The initiator's clock. One per identity (static key).
struct sl_tai64n_clock {
	uint64_t last_ns; // the last given
	uint64_t floor_ns; // on disk: nothing above it is given
};

// Start from the floor found on disk (0: none yet).
static inline void
sl_tai64n_clock_init(struct sl_tai64n_clock *c, uint64_t floor_ns)
{
	*c = (struct sl_tai64n_clock){ .last_ns = floor_ns, .floor_ns = floor_ns };
}

// The floor that must be on disk before sl_tai64n_next may be called at `wall_ns`; 0 when the one
// there will do. Once it is there, tell sl_tai64n_floor_is.
uint64_t sl_tai64n_floor_wanted(const struct sl_tai64n_clock *c, uint64_t wall_ns);
void sl_tai64n_floor_is(struct sl_tai64n_clock *c, uint64_t floor_ns);

// The next timestamp: later than all given before. False when the floor does not allow it.
[[nodiscard]] bool
sl_tai64n_next(struct sl_tai64n_clock *c, uint64_t wall_ns, uint8_t out[SL_TAI64N_BYTES]);
