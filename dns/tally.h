// tally: counts by a 32-bit id, for quotas. Open addressing with backward-shift removal; one thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct sl_tally_slot {
	uint32_t id;
	uint32_t nb; // 0: free
};

struct sl_tally {
	struct sl_tally_slot *slots;
	uint32_t mask;
};

// Room for `nb_max` different ids at a time. False without memory.
bool sl_tally_init(struct sl_tally *tally, uint32_t nb_max);
void sl_tally_fini(struct sl_tally *tally);
uint32_t sl_tally_get(const struct sl_tally *tally, uint32_t id);
void sl_tally_add(struct sl_tally *tally, uint32_t id);
void sl_tally_drop(struct sl_tally *tally, uint32_t id);
