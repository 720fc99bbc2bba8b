// preference: which of the connectors of a network gets a new flow. Each has the share of its weight
// that its own load leaves it, and none while its path is in doubt. What a connector says and how its
// path does change all the time; its preference changes at most once in SL_PREFERENCE_HOLD_S. What
// cannot wait is no preference but looked at with every flow: one that drains gets none, and a silent or
// full one only when nothing better is left. A flow stays where it began.
#pragma once

#include <sluice/proto/limits.h>
#include <sluice/proto/record.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct sl_worker;
struct sl_session;
struct sl_sessions;

// Between two changes, and how long a path must be sound to be trusted.
#define SL_PREFERENCE_HOLD_S 30u
#define SL_PREFERENCE_FULL   8u // share of a connector with room to spare
#define SL_LOAD_MAX          65535u
#define SL_LOAD_EASY         39321u // three fifths: up to here load takes nothing away
#define SL_LOAD_FULL         64880u // 99 %: no new flows while others have room

// Of one tunnel session (worker 0: rw, others: ro but for what is atomic).
struct sl_preference {
	uint64_t told_ns; // peer's clock: when it said its state and load; lane 0's worker: rw
	atomic_uchar lost; // eighths of its weight that it does without; all of them: in doubt
	atomic_ushort load; // as the peer says, of SL_LOAD_MAX
	atomic_uint nb_changes; // of `lost`
	uint64_t changed_ns; // the last; 0: never
	uint64_t doubted_ns; // when its path was last found silent; 0: never
	uint64_t looked_ns; // the last look; 0: none
	atomic_uint_fast64_t rtt_ns; // smoothed; 0: not known
};

// How much of its weight a connector with this load gets, in eighths: 1 to SL_PREFERENCE_FULL.
unsigned sl_preference_of_load(uint16_t load);

// Look at one session: each heartbeat, by worker 0. `is_silent`: it is not to be had just now.
void sl_preference_look(struct sl_preference *p, bool is_silent, uint64_t now_ns);

// A pong came: smooth the round trip it shows.
void sl_preference_pong(struct sl_preference *p, const struct sl_heartbeat *pong, uint64_t now_ns);

// Has the peer been silent for so long that new flows should go elsewhere? Never heard is not silent.
bool sl_preference_is_silent(const struct sl_session *s, uint32_t suspect_ms, uint64_t now_ns);

// A session of the network for a new flow, by its hash; SL_NO_SESSION: none.
uint32_t sl_preference_pick(const struct sl_worker *w, uint32_t network, uint64_t hash);

// This node's own load, for its heartbeats.
uint16_t sl_preference_own_load(const struct sl_worker *w);

static inline unsigned
sl_preference_share(const struct sl_preference *p)
{
	return SL_PREFERENCE_FULL - atomic_load_explicit(&p->lost, memory_order_relaxed);
}
