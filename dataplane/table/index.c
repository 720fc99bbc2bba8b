#include <rte_malloc.h>

#include <errno.h>
#include <sluice/dp/index.h>

int
sl_index_create(struct sl_index *ix, uint32_t nb_records, int socket_id)
{
	// Three quarters full at most: of 10 M at random, one in 100,000 then needs the chain.
	uint32_t nb = RTE_MAX(nb_records / 6u + 1u, 16u);

	*ix = (struct sl_index){ .nb_buckets = nb, .nb_overflow = nb / 64 + 8 };
	ix->buckets = rte_zmalloc_socket(
		"sl_index",
		((size_t)nb + ix->nb_overflow) * sizeof(*ix->buckets),
		RTE_CACHE_LINE_SIZE,
		socket_id
	);
	if (ix->buckets == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i + 1 < ix->nb_overflow; i++)
		ix->buckets[nb + i].overflow = nb + i + 1;
	ix->overflow_free = nb;
	return 0;
}

void
sl_index_destroy(struct sl_index *ix)
{
	rte_free(ix->buckets);
	ix->buckets = NULL;
}

static bool
bucket_put(struct sl_index_bucket *b, uint16_t tag, uint32_t number)
{
	uint32_t free_ways = sl_index_match(b, 0);
	unsigned way;

	if (free_ways == 0)
		return false;
	way = (unsigned)__builtin_ctz(free_ways);
	b->tags[way] = tag;
	b->numbers[way] = number;
	return true;
}

static bool
chain_put(struct sl_index *ix, struct sl_index_bucket *b, uint16_t tag, uint32_t number)
{
	uint32_t fresh = ix->overflow_free;

	for (uint32_t next = b->overflow; next != 0; next = ix->buckets[next].overflow)
		if (bucket_put(&ix->buckets[next], tag, number))
			return true;
	if (fresh == 0)
		return false;
	ix->overflow_free = ix->buckets[fresh].overflow;
	ix->buckets[fresh].overflow = b->overflow;
	b->overflow = fresh;
	return bucket_put(&ix->buckets[fresh], tag, number);
}

bool
sl_index_add(struct sl_index *ix, uint64_t hash, uint32_t number)
{
	struct sl_index_bucket *first = &ix->buckets[sl_index_first(ix, hash)];
	struct sl_index_bucket *second = &ix->buckets[sl_index_second(ix, hash)];
	uint16_t tag = sl_index_tag(hash);
	bool done;

	if (__builtin_popcount(sl_index_match(second, 0)) >
	    __builtin_popcount(sl_index_match(first, 0)))
		done = bucket_put(second, tag, number) || chain_put(ix, second, tag, number);
	else
		done = bucket_put(first, tag, number) || chain_put(ix, first, tag, number);
	ix->nb_used += done;
	return done;
}

static bool
bucket_take(struct sl_index_bucket *b, uint16_t tag, uint32_t number)
{
	for (uint32_t hits = sl_index_match(b, tag); hits != 0; hits &= hits - 1) {
		unsigned way = (unsigned)__builtin_ctz(hits);

		if (b->numbers[way] != number)
			continue;
		b->tags[way] = 0;
		return true;
	}
	return false;
}

bool
sl_index_del(struct sl_index *ix, uint64_t hash, uint32_t number)
{
	uint16_t tag = sl_index_tag(hash);
	uint32_t at[2] = { sl_index_first(ix, hash), sl_index_second(ix, hash) };

	for (unsigned choice = 0; choice < 2; choice++) {
		struct sl_index_bucket *b = &ix->buckets[at[choice]];
		bool taken = bucket_take(b, tag, number);

		while (!taken && b->overflow != 0) {
			uint32_t next = b->overflow;
			struct sl_index_bucket *o = &ix->buckets[next];

			taken = bucket_take(o, tag, number);
			if (taken && sl_index_match(o, 0) == 0xff) {
				b->overflow = o->overflow;
				o->overflow = ix->overflow_free;
				ix->overflow_free = next;
			}
			b = o;
		}
		if (taken) {
			ix->nb_used--;
			return true;
		}
	}
	return false;
}
