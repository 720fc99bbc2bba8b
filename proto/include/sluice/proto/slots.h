// slots: which flow indices are free. A freed slot goes to the end of the free list and rests there
// SL_FLOW_SLOT_REST_S before it is given again, under the next generation, so that a record still
// under way for the old flow finds a slot at rest or another generation, never another flow.
//
// Generations run from 1 to 255 and round again; 0 is no generation. A (slot, generation) so comes
// back after 255 rests at the earliest (SL_FLOW_ID_TRUST_S). Private to one thread; every operation
// is O(1); 10 octets a slot, allocated once.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SL_SLOT_NONE      UINT32_MAX
#define SL_SLOTS_MAX      (1u << 24)
#define SL_SLOT_BEGIN_GEN 1u

struct sl_slots_rest {
	uint32_t index;
	uint32_t freed_ds; // deciseconds of the caller's clock
};

struct sl_slots {
	struct sl_slots_rest *rest; // ring, oldest at `head`
	uint8_t *generation; // by index: the one it has, or had last
	uint8_t *in_use; // by index
	uint32_t nb; // capacity
	uint32_t head;
	uint32_t nb_free; // on the list, resting ones included
};

// Allocate room for `nb` slots (1 to SL_SLOTS_MAX), all free and rested. 0 or -errno.
[[nodiscard]] int sl_slots_create(struct sl_slots *slots, uint32_t nb);
// Takes a zeroed struct as well.
void sl_slots_destroy(struct sl_slots *slots);

// The slot that has rested longest, and its new generation; SL_SLOT_NONE when none is free or the
// oldest has not rested long enough. `now_ns` is the caller's monotonic clock.
uint32_t sl_slots_take(struct sl_slots *slots, uint64_t now_ns, uint8_t *generation);

// Free a slot. False, and nothing done, when it is not in use.
bool sl_slots_give(struct sl_slots *slots, uint32_t index, uint64_t now_ns);

// Free a slot of whose id and generation nobody else was ever told: no record can be under way for it, so it is the
// next to be taken, under the same generation. False, and nothing done, when it is not in use.
bool sl_slots_give_untold(struct sl_slots *slots, uint32_t index, uint64_t now_ns);
