// clock: the one source of time of control code, which tests can move.
//
// Two readings: monotonic time, for deadlines, and wall time, for what is written to disk, to logs
// and to handshakes (TAI64N). Any thread may read either. The functions that move time are for
// tests alone and act on the whole process; wakers that sleep in poll() are not woken by them.
#pragma once

#include <stdint.h>

// Nanoseconds since an arbitrary point, never going back (CLOCK_MONOTONIC).
uint64_t sl_clock_now_ns(void);

// Nanoseconds since 1970-01-01 UTC (CLOCK_REALTIME). An administrator or NTP may step it.
uint64_t sl_clock_wall_ns(void);

// Tests: stop both clocks at the given readings.
void sl_clock_freeze(uint64_t now_ns, uint64_t wall_ns);

// Tests: move both stopped clocks on by `by_ns`.
void sl_clock_advance(uint64_t by_ns);

// Tests: step the stopped wall clock alone, back or forth.
void sl_clock_step_wall(int64_t by_ns);

// Tests: let both run again with real time.
void sl_clock_thaw(void);
