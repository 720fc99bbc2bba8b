// addresses, inside.
#pragma once

#include "index.h"
#include "tally.h"

#include <sluice/dns/addresses.h>

#define SL_NAME_INLINE_BYTES 94u // all but the longest names
#define SL_PAGE_BITS         12u
#define SL_PAGE_NAMES        (1u << SL_PAGE_BITS)
#define SL_USED_STEP_S       8u // used_s is stored no more often than this
#define SL_PROBES_MAX        65536u // addresses tried for one name before the pool counts as full
#define SL_TAKEN_MAX         64u // of those, refused by the store

// What answering and matching read: two lines side by side, fetched together.
struct sl_name_hot {
	_Atomic uint64_t groups; // compiled: who sees it; valid under `generation`
	uint64_t hash; // before `state` leaves FREE
	_Atomic uint32_t generation; // of the policy it was compiled for; 0: being changed
	_Atomic uint32_t ttl_s;
	_Atomic uint32_t address; // host order
	_Atomic uint32_t used_s; // workers: w
	_Atomic uint8_t state; // enum sl_name_state
	uint8_t nb_bytes; // of the wire form
	uint8_t wire[SL_NAME_INLINE_BYTES]; // its beginning
} __attribute__((aligned(128)));
_Static_assert(sizeof(struct sl_name_hot) == 128, "two lines");

// Session thread only.
struct sl_name_cold {
	uint32_t since_s; // when it entered its state
	uint32_t ttl_max_s; // largest TTL answers may have carried
	uint32_t client; // UINT32_MAX: none
	uint32_t resource; // id whose quota it counts in
	uint32_t attempt; // of the probe sequence
	uint32_t nb_taken;
	uint32_t next_free;
	bool is_wildcard;
	bool is_counted; // in the tallies
	bool was_quarantined; // PENDING: revived, and to be quarantined again if that fails
};

struct sl_addresses {
	struct sl_addresses_config config;
	struct sl_name_key probe_key;
	struct sl_name_hot *hot;
	struct sl_name_cold *cold;
	uint8_t (*wire)[SL_NAME_WIRE_MAX + 1];
	struct sl_index index; // every name that is not free
	_Atomic(_Atomic uint32_t *) *pages; // address offset -> name id + 1
	uint32_t nb_pages;
	uint32_t offset_mask;

	// Session thread.
	uint32_t free_head, free_tail; // FIFO: a freed id rests
	uint32_t poll_at;
	uint32_t compile_at;
	uint32_t compile_generation;
	uint32_t squeezed_s; // when names were last sought for a quota, ...
	uint32_t squeeze_at; // ... and where the next search begins
	struct sl_tally clients, resources;
	struct sl_addresses_stats stats;
};

// The id of a name in any state but FREE, or SL_NO_NAME.
uint32_t
sl_addresses_find(const struct sl_addresses *table, const struct sl_name *name, uint64_t hash);
void sl_addresses_set_state(
	struct sl_addresses *table, uint32_t name_id, enum sl_name_state state, uint32_t now_s
);
// Is a quarantined name's address free to be another's?
bool sl_addresses_is_rested(const struct sl_addresses *table, uint32_t name_id, uint32_t now_s);
// Clear everything of a name that is not LIVE or DRAINING; its id goes to the end of the free list.
void sl_addresses_release(struct sl_addresses *table, uint32_t name_id, uint32_t now_s);
void sl_addresses_uncount(struct sl_addresses *table, uint32_t name_id);
// Start the drain of a few idle names of one client (UINT32_MAX: any) and resource.
void sl_addresses_squeeze(
	struct sl_addresses *table, uint32_t client, uint32_t resource, uint32_t now_s
);
_Atomic uint32_t *sl_addresses_cell(const struct sl_addresses *table, uint32_t address);
// Wire form of a record into a name.
void sl_addresses_load(const struct sl_addresses *table, uint32_t name_id, struct sl_name *name);

static inline enum sl_name_state
sl_name_state(const struct sl_name_hot *hot)
{
	return (enum sl_name_state)atomic_load_explicit(&hot->state, memory_order_acquire);
}
