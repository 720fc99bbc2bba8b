// index: hash -> number, for one writer and many lock-free readers. Buckets of one cache line: seven
// slots of (tag 32, value + 1) in one word each, published whole, and a count of how many entries had
// to go past this bucket, so that a miss stops at the first line as soon as nothing did. Values are
// candidates: the caller compares what they stand for.
//
// A reader that runs while the writer moves an entry may miss it for that moment; callers treat a
// miss as "not there yet".
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SL_INDEX_NONE  UINT32_MAX
#define SL_INDEX_SLOTS 7u

struct sl_index_bucket {
	_Atomic uint64_t slot[SL_INDEX_SLOTS];
	_Atomic uint32_t nb_past; // entries whose home is here or before, and that lie beyond
	uint32_t reserved;
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct sl_index_bucket) == 64, "one line");

struct sl_index {
	struct sl_index_bucket *buckets;
	uint32_t mask;
	uint32_t capacity;
};

// Where a lookup stands: zero-initialise.
struct sl_index_at {
	uint32_t bucket; // past the home
	uint32_t slot;
};

// Zeroed memory at a huge page's boundary, of huge pages if the kernel has them to give: tables read at random
// should not miss the TLB as well. Free with free().
void *sl_huge_alloc(uint64_t nb_bytes);

// Room for `capacity` entries at half load. False without memory.
bool sl_index_init(struct sl_index *index, uint32_t capacity);
void sl_index_fini(struct sl_index *index);
uint64_t sl_index_bytes(const struct sl_index *index);
// The caller keeps to the capacity. Writer.
void sl_index_insert(struct sl_index *index, uint64_t hash, uint32_t value);
// False if it is not there. Writer.
bool sl_index_remove(struct sl_index *index, uint64_t hash, uint32_t value);

static inline void
sl_index_prefetch(const struct sl_index *index, uint64_t hash)
{
	__builtin_prefetch(&index->buckets[(uint32_t)hash & index->mask]);
}

// The next candidate for `hash`, or SL_INDEX_NONE.
static inline uint32_t
sl_index_next(const struct sl_index *index, uint64_t hash, struct sl_index_at *at)
{
	const uint32_t tag = (uint32_t)(hash >> 32);

	while (at->bucket <= index->mask) {
		const struct sl_index_bucket
			*b = &index->buckets[((uint32_t)hash + at->bucket) & index->mask];

		while (at->slot < SL_INDEX_SLOTS) {
			uint64_t v = atomic_load_explicit(
				&b->slot[at->slot++], memory_order_acquire
			);

			if ((uint32_t)(v >> 32) == tag && (uint32_t)v != 0)
				return (uint32_t)v - 1;
		}
		if (atomic_load_explicit(&b->nb_past, memory_order_acquire) == 0)
			return SL_INDEX_NONE;
		at->bucket++;
		at->slot = 0;
	}
	return SL_INDEX_NONE;
}
