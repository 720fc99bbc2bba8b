// turns: which of many slots have something to do. One that something has happened to waits in a ring, once; of all
// others only the time of the earliest is known, and then all are looked at, at most once a millisecond.
//
//	sl_turns_look(t, now, ...)         when it is time, all slots in use are looked at
//	while (sl_turns_next(t, &slot))    have it do what it has to do; when there is no more,
//	                                   sl_turns_end(t, its next time)
#pragma once

#include <sluice/proto/limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#define SL_TURNS_LOOK_NS SL_NS_PER_MS

struct sl_turns {
	uint16_t *ring;
	bool *waits; // by slot
	uint32_t nb_slots;
	uint32_t first, nb; // of the ring
	uint64_t look_ns; // when the time of a slot comes next, at the latest
};

static inline bool
sl_turns_init(struct sl_turns *t, uint32_t nb_slots)
{
	t->ring = calloc(nb_slots, sizeof(*t->ring));
	t->waits = calloc(nb_slots, sizeof(*t->waits));
	t->nb_slots = nb_slots;
	return t->ring != NULL && t->waits != NULL;
}

static inline void
sl_turns_fini(struct sl_turns *t)
{
	free(t->ring);
	free(t->waits);
}

static inline void
sl_turns_touch(struct sl_turns *t, uint16_t slot)
{
	if (t->waits[slot])
		return;
	t->waits[slot] = true;
	t->ring[(t->first + t->nb++) % t->nb_slots] = slot;
}

static inline bool
sl_turns_next(const struct sl_turns *t, uint16_t *slot)
{
	if (t->nb == 0)
		return false;
	*slot = t->ring[t->first];
	return true;
}

// The turn of the slot that sl_turns_next() gave is over until `due_ns`; UINT64_MAX: until it is touched.
static inline void
sl_turns_end(struct sl_turns *t, uint64_t due_ns)
{
	t->waits[t->ring[t->first]] = false;
	t->first = (t->first + 1) % t->nb_slots;
	t->nb--;
	if (due_ns < t->look_ns)
		t->look_ns = due_ns;
}

// When a slot of `owner` has something to do next.
typedef uint64_t sl_turns_due_fn(const void *owner, uint16_t slot);

// Touch those of the slots in use whose time has come.
static inline void
sl_turns_look(
	struct sl_turns *t,
	uint64_t now_ns,
	const uint16_t *active,
	uint32_t nb_active,
	sl_turns_due_fn *due,
	const void *owner
)
{
	uint64_t next_ns = UINT64_MAX;

	if (now_ns < t->look_ns)
		return;
	for (uint32_t i = 0; i < nb_active; i++) {
		const uint64_t due_ns = due(owner, active[i]);

		if (due_ns <= now_ns)
			sl_turns_touch(t, active[i]);
		else if (due_ns < next_ns)
			next_ns = due_ns;
	}
	t->look_ns = next_ns > now_ns + SL_TURNS_LOOK_NS ? next_ns : now_ns + SL_TURNS_LOOK_NS;
}

// When there is something to do again, of `nb_active` slots in use; 0: at once.
static inline uint64_t
sl_turns_wake_ns(const struct sl_turns *t, uint32_t nb_active)
{
	if (t->nb != 0)
		return 0;
	return nb_active != 0 ? t->look_ns : UINT64_MAX;
}
