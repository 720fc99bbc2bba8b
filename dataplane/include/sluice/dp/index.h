// index: hash -> record number, private to one worker. Two-choice buckets of one cache line (8 tags,
// 8 numbers) with a bounded overflow chain; the keys live in the records, which the caller compares.
//
// A lookup touches one or two lines of the index and the record. Nothing is allocated after
// sl_index_create(). All calls but create and destroy: the owning worker alone.
#pragma once

#include <rte_common.h>
#include <rte_prefetch.h>

#include <assert.h>
#include <emmintrin.h>
#include <stdbool.h>
#include <stdint.h>

#define SL_INDEX_WAYS_PER_LINE 8u

struct sl_index_bucket {
	uint16_t tags[8]; // 0: free
	uint32_t numbers[8];
	uint32_t overflow; // bucket number in the overflow area, 0: none
	uint32_t spare[3];
} __rte_cache_aligned;
static_assert(sizeof(struct sl_index_bucket) == 64, "one line");

struct sl_index {
	struct sl_index_bucket *buckets; // nb_buckets main ones, then the overflow area
	uint32_t nb_buckets;
	uint32_t nb_overflow;
	uint32_t overflow_free; // head of the free chain, 0: none left
	uint32_t nb_used; // entries
};

// Room for `nb_records` entries; 11 octets a record. Returns 0 or -ENOMEM.
[[nodiscard]] int sl_index_create(struct sl_index *ix, uint32_t nb_records, int socket_id);
void sl_index_destroy(struct sl_index *ix);

// Put `number` under `hash`. The caller has made sure that it is not there. False when the overflow
// area is used up.
[[nodiscard]] bool sl_index_add(struct sl_index *ix, uint64_t hash, uint32_t number);

// Take `number` out from under `hash`; false when it was not there.
bool sl_index_del(struct sl_index *ix, uint64_t hash, uint32_t number);

// The halves of the hash choose the two buckets by their upper bits, so that the number of buckets need
// be no power of two; the tag is of the low bits, which decide neither.
static inline uint16_t
sl_index_tag(uint64_t hash)
{
	return (uint16_t)hash | 1u;
}

static inline uint32_t
sl_index_first(const struct sl_index *ix, uint64_t hash)
{
	return (uint32_t)((hash & 0xffffffffu) * ix->nb_buckets >> 32);
}

static inline uint32_t
sl_index_second(const struct sl_index *ix, uint64_t hash)
{
	return (uint32_t)((hash >> 32) * ix->nb_buckets >> 32);
}

static inline void
sl_index_prefetch(const struct sl_index *ix, uint64_t hash)
{
	rte_prefetch0(&ix->buckets[sl_index_first(ix, hash)]);
	rte_prefetch0(&ix->buckets[sl_index_second(ix, hash)]);
}

// Bit i set: way i of the bucket holds `tag`.
static inline uint32_t
sl_index_match(const struct sl_index_bucket *b, uint16_t tag)
{
	__m128i tags = _mm_load_si128((const __m128i *)(const void *)b->tags);
	__m128i same = _mm_cmpeq_epi16(tags, _mm_set1_epi16((short)tag));

	return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(same, _mm_setzero_si128()));
}

// A number that may be under `hash`: the first whose tag matches, overflow chains apart; UINT32_MAX when
// none does. What it names is to be compared, and sl_index_find() asked if it is not the one.
static inline uint32_t
sl_index_guess(const struct sl_index *ix, uint64_t hash)
{
	const struct sl_index_bucket *b = &ix->buckets[sl_index_first(ix, hash)];
	uint16_t tag = sl_index_tag(hash);
	uint32_t hits = sl_index_match(b, tag);

	if (hits == 0) {
		b = &ix->buckets[sl_index_second(ix, hash)];
		hits = sl_index_match(b, tag);
	}
	return hits == 0 ? UINT32_MAX : b->numbers[__builtin_ctz(hits)];
}

// The first number under `hash` for which `is_it(number, arg)` holds, or UINT32_MAX.
static __rte_always_inline uint32_t
sl_index_find(
	const struct sl_index *ix,
	uint64_t hash,
	bool (*is_it)(uint32_t number, const void *arg),
	const void *arg
)
{
	const uint16_t tag = sl_index_tag(hash);
	uint32_t at[2] = { sl_index_first(ix, hash), sl_index_second(ix, hash) };

	for (unsigned choice = 0; choice < 2; choice++) {
		uint32_t bucket = at[choice];

		do {
			const struct sl_index_bucket *b = &ix->buckets[bucket];
			uint32_t hits = sl_index_match(b, tag);

			while (hits != 0) {
				uint32_t number = b->numbers[__builtin_ctz(hits)];

				if (is_it(number, arg))
					return number;
				hits &= hits - 1;
			}
			bucket = b->overflow;
		} while (bucket != 0);
	}
	return UINT32_MAX;
}
