// clock: the one source of time. Everything that ages reads it, so that a test may move two hours
// in a microsecond.
#pragma once

#include <sluice/proto/limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

// A clock. Zero-initialised it is the machine's; sl_clock_set() makes it stand still where it is
// put. Any thread may read; one thread sets.
struct sl_clock {
	atomic_bool is_set;
	atomic_uint_fast64_t set_ns;
};

// Monotonic nanoseconds. Its zero means nothing.
static inline uint64_t
sl_clock_ns(struct sl_clock *c)
{
	struct timespec t;

	if (atomic_load_explicit(&c->is_set, memory_order_acquire))
		return atomic_load_explicit(&c->set_ns, memory_order_relaxed);
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SL_NS_PER_S + (uint64_t)t.tv_nsec;
}

static inline void
sl_clock_set(struct sl_clock *c, uint64_t ns)
{
	atomic_store_explicit(&c->set_ns, ns, memory_order_relaxed);
	atomic_store_explicit(&c->is_set, true, memory_order_release);
}

// Move a set clock forward.
static inline void
sl_clock_move(struct sl_clock *c, uint64_t ns)
{
	sl_clock_set(c, atomic_load_explicit(&c->set_ns, memory_order_relaxed) + ns);
}
