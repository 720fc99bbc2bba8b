#include "index.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_PAGE_BYTES (2ull << 20)

void *
sl_huge_alloc(uint64_t nb_bytes)
{
	const uint64_t align = nb_bytes < HUGE_PAGE_BYTES ? 128 : HUGE_PAGE_BYTES;
	const uint64_t nb = (nb_bytes + align - 1) & ~(align - 1);
	void *p = aligned_alloc(align, nb);

	if (p == NULL)
		return NULL;
	if (align == HUGE_PAGE_BYTES)
		(void)madvise(p, nb, MADV_HUGEPAGE); // a wish
	memset(p, 0, nb);
	return p;
}

bool
sl_index_init(struct sl_index *index, uint32_t capacity)
{
	uint64_t nb = 1;

	while (nb * SL_INDEX_SLOTS < (uint64_t)capacity * 2)
		nb *= 2;
	index->buckets = sl_huge_alloc(nb * sizeof(*index->buckets));
	if (index->buckets == NULL)
		return false;
	index->mask = (uint32_t)(nb - 1);
	index->capacity = capacity;
	return true;
}

void
sl_index_fini(struct sl_index *index)
{
	free(index->buckets);
	index->buckets = NULL;
}

uint64_t
sl_index_bytes(const struct sl_index *index)
{
	return index->buckets == NULL ? 0 : ((uint64_t)index->mask + 1) * sizeof(*index->buckets);
}

void
sl_index_insert(struct sl_index *index, uint64_t hash, uint32_t value)
{
	const uint64_t entry = hash >> 32 << 32 | (value + 1);

	for (uint32_t past = 0; past <= index->mask; past++) {
		struct sl_index_bucket *b = &index->buckets[((uint32_t)hash + past) & index->mask];

		for (unsigned s = 0; s < SL_INDEX_SLOTS; s++)
			if ((uint32_t)atomic_load_explicit(&b->slot[s], memory_order_relaxed) ==
			    0) {
				// Release: what the value stands for is complete before it is found.
				atomic_store_explicit(&b->slot[s], entry, memory_order_release);
				return;
			}
		atomic_store_explicit(
			&b->nb_past,
			atomic_load_explicit(&b->nb_past, memory_order_relaxed) + 1,
			memory_order_release
		);
	}
}

bool
sl_index_remove(struct sl_index *index, uint64_t hash, uint32_t value)
{
	const uint64_t entry = hash >> 32 << 32 | (value + 1);

	for (uint32_t past = 0; past <= index->mask; past++) {
		struct sl_index_bucket *b = &index->buckets[((uint32_t)hash + past) & index->mask];

		for (unsigned s = 0; s < SL_INDEX_SLOTS; s++) {
			if (atomic_load_explicit(&b->slot[s], memory_order_relaxed) != entry)
				continue;
			atomic_store_explicit(&b->slot[s], 0, memory_order_release);
			while (past-- != 0) {
				b = &index->buckets[((uint32_t)hash + past) & index->mask];
				atomic_store_explicit(
					&b->nb_past,
					atomic_load_explicit(&b->nb_past, memory_order_relaxed) - 1,
					memory_order_release
				);
			}
			return true;
		}
		if (atomic_load_explicit(&b->nb_past, memory_order_relaxed) == 0)
			return false;
	}
	return false;
}
