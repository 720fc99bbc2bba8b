#include <sluice/ctrl/clock.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

static atomic_bool frozen;
static atomic_uint_fast64_t frozen_now_ns;
static atomic_uint_fast64_t frozen_wall_ns;

static uint64_t
read_clock(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t
sl_clock_now_ns(void)
{
	return atomic_load(&frozen) ? atomic_load(&frozen_now_ns) : read_clock(CLOCK_MONOTONIC);
}

uint64_t
sl_clock_wall_ns(void)
{
	return atomic_load(&frozen) ? atomic_load(&frozen_wall_ns) : read_clock(CLOCK_REALTIME);
}

void
sl_clock_freeze(uint64_t now_ns, uint64_t wall_ns)
{
	atomic_store(&frozen_now_ns, now_ns);
	atomic_store(&frozen_wall_ns, wall_ns);
	atomic_store(&frozen, true);
}

void
sl_clock_advance(uint64_t by_ns)
{
	atomic_fetch_add(&frozen_now_ns, by_ns);
	atomic_fetch_add(&frozen_wall_ns, by_ns);
}

void
sl_clock_step_wall(int64_t by_ns)
{
	atomic_fetch_add(&frozen_wall_ns, (uint64_t)by_ns);
}

void
sl_clock_thaw(void)
{
	atomic_store(&frozen, false);
}
