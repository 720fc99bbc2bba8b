// flow_table: the flows of one worker: records, the index by key, the index by the far side's flow
// key (connector), and the free list on which a slot rests before its id is given again. Private to
// the worker; nothing is allocated after creation. 128 + 11 octets a flow (22 with the second index)
// and 10 of the free list: at most 160 in all.
#pragma once

#include <sluice/dp/flow.h>
#include <sluice/dp/hash.h>
#include <sluice/dp/index.h>
#include <sluice/dp/meta.h>
#include <sluice/proto/slots.h>
#include <stdbool.h>
#include <stdint.h>

struct sl_flow_table {
	struct sl_flow *flows; // by index
	struct sl_index by_key;
	struct sl_index by_flow_key; // connector only
	struct sl_slots slots;
	struct sl_hash_key hash_key;
	uint32_t nb_flows; // capacity
	uint32_t nb_used;
	uint64_t nb_made; // flows that were ever in the table
	uint64_t nb_full; // flows that found no room
	uint32_t sweep_at; // next record the sweep looks at
	uint8_t worker;
};

// `with_flow_keys`: keep the second index.
[[nodiscard]] struct sl_flow_table *
sl_flow_table_create(uint32_t nb_flows, uint8_t worker, bool with_flow_keys, int socket_id);
void sl_flow_table_destroy(struct sl_flow_table *t);

// Index of the flow with this key, or SL_NO_FLOW.
uint32_t sl_flow_find(const struct sl_flow_table *t, const struct sl_flow_key *key);

struct sl_flow_wanted {
	const struct sl_flow *flows;
	const struct sl_flow_key *key;
};

static inline bool
sl_flow_is_wanted(uint32_t number, const void *arg)
{
	const struct sl_flow_wanted *want = arg;

	return sl_flow_key_is(&want->flows[number].key, want->key);
}

// The same, the key's hash being known.
static inline uint32_t
sl_flow_find_hashed(const struct sl_flow_table *t, const struct sl_flow_key *key, uint64_t hash)
{
	struct sl_flow_wanted want = { t->flows, key };

	return sl_index_find(&t->by_key, hash, sl_flow_is_wanted, &want);
}

#define SL_FLOW_BULK_MAX 256u

// The same for `nb` keys (at most SL_FLOW_BULK_MAX), with the index lines and records prefetched: what
// may be there is asked for in three steps, each for the whole burst: buckets, records, and where a
// guess was wrong, which is rare, the search in full. Inlined, so as to be built for the node's CPU.
static inline void
sl_flow_find_bulk(
	const struct sl_flow_table *t,
	const struct sl_flow_key keys[],
	unsigned nb,
	uint32_t found[]
)
{
	uint64_t hashes[SL_FLOW_BULK_MAX];

	sl_hash40_bulk(&t->hash_key, keys, nb, hashes);
	for (unsigned i = 0; i < nb; i++)
		sl_index_prefetch(&t->by_key, hashes[i]);
	for (unsigned i = 0; i < nb; i++) {
		found[i] = sl_index_guess(&t->by_key, hashes[i]);
		if (unlikely(found[i] == SL_NO_FLOW))
			continue;
		rte_prefetch0_write(&t->flows[found[i]]);
		rte_prefetch0_write(t->flows[found[i]].client_line);
	}
	for (unsigned i = 0; i < nb; i++)
		if (unlikely(
			    found[i] == SL_NO_FLOW ||
			    !sl_flow_key_is(&t->flows[found[i]].key, &keys[i])
		    ))
			found[i] = sl_flow_find_hashed(t, &keys[i], hashes[i]);
}

// A new flow with this key, zeroed but for key, generation and times; SL_NO_FLOW when full.
uint32_t sl_flow_add(struct sl_flow_table *t, const struct sl_flow_key *key, uint64_t now_ns);

// Connector: index of the flow of (session's tenant in `scope`, flow key), or SL_NO_FLOW.
uint32_t sl_flow_find_by_flow_key(
	const struct sl_flow_table *t, uint16_t tenant, const uint8_t flow_key[16]
);
// Put the flow, whose `flow_key` is filled in, under (tenant, flow_key). False when out of room.
[[nodiscard]] bool sl_flow_index_flow_key(struct sl_flow_table *t, uint32_t index, uint16_t tenant);

// Give the flow another key, that no flow has. False when out of room: it keeps the one it has.
[[nodiscard]] bool
sl_flow_rekey(struct sl_flow_table *t, uint32_t index, const struct sl_flow_key *key);

// Take the flow out of both indexes and let its slot rest.
void sl_flow_del(struct sl_flow_table *t, uint32_t index, uint16_t tenant, uint64_t now_ns);

static inline struct sl_flow *
sl_flow_at(const struct sl_flow_table *t, uint32_t index)
{
	return &t->flows[index];
}

// The flow of a record's id on this worker, or NULL when the index is out of range.
static inline struct sl_flow *
sl_flow_of_id(const struct sl_flow_table *t, uint32_t flow_id)
{
	uint32_t index = flow_id & 0xffffffu;

	return index < t->nb_flows ? &t->flows[index] : NULL;
}

static inline uint32_t
sl_flow_id(const struct sl_flow_table *t, uint32_t index)
{
	return (uint32_t)t->worker << 24 | index;
}
