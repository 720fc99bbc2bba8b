// timers: deadlines of many peers in a binary heap, for one thread.
//
// A timer is embedded in what it belongs to; the heap holds pointers to timers and never allocates
// after sl_timers_init(). All operations are O(log n); the earliest deadline is O(1). Time is what
// the caller says it is (sl_clock_now_ns), so a two-hour timer is tested in microseconds.
// Not thread-safe: the owner is the session thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct sl_timer {
	uint64_t at_ns; // deadline while armed
	uint32_t place; // 1 + index in the heap; 0: not armed. Zero-initialise.
	uint32_t kind; // free for the caller
	void *owner; // free for the caller
};

struct sl_timers {
	struct sl_timer **heap;
	uint32_t nb;
	uint32_t capacity;
};

// Room for `capacity` armed timers. Returns 0 or -ENOMEM.
[[nodiscard]] int sl_timers_init(struct sl_timers *timers, uint32_t capacity);

// Forget every timer (their `place` is cleared) and free the heap.
void sl_timers_free(struct sl_timers *timers);

// Arm `timer` at `at_ns`, or move it there if it is armed. Returns 0, or -ENOSPC when full.
int sl_timers_set(struct sl_timers *timers, struct sl_timer *timer, uint64_t at_ns);

// Disarm; nothing happens when it is not armed.
void sl_timers_cancel(struct sl_timers *timers, struct sl_timer *timer);

// The earliest deadline, or UINT64_MAX when nothing is armed.
uint64_t sl_timers_next_ns(const struct sl_timers *timers);

// Take off and return the earliest timer whose deadline is at or before `now_ns`, or NULL. Equal
// deadlines come in no particular order.
struct sl_timer *sl_timers_expire(struct sl_timers *timers, uint64_t now_ns);

// For poll(): milliseconds until the earliest deadline, rounded up, at most `max_ms`.
int sl_timers_poll_ms(const struct sl_timers *timers, uint64_t now_ns, int max_ms);

static inline bool
sl_timer_armed(const struct sl_timer *timer)
{
	return timer->place != 0;
}
