#include "sl_test.h"

#include <sluice/proto/fragment.h>
#include <sluice/proto/limits.h>
#include <stdlib.h>

#define MAX_BYTES 5000u
#define PLACES    4u
#define CHUNKS    3u // of 2048 octets, a record of MAX_BYTES takes

static struct sl_reass *
make(uint32_t per_source)
{
	struct sl_assembly_conf conf = { .nb_places = PLACES,
					 .nb_chunks = PLACES * CHUNKS,
					 .share_places = per_source,
					 .share_chunks = PLACES * CHUNKS,
					 .max_bytes = MAX_BYTES };
	void *memory = aligned_alloc(64, (sl_reass_bytes(&conf) + 63) & ~(size_t)63);

	return sl_reass_init(memory, &conf);
}

// Cut, send over the wire in a shuffled order, put together.
static void
round_trip(struct sl_reass *reass, uint32_t nb_bytes, uint32_t room, unsigned seed)
{
	static uint8_t body[MAX_BYTES], wire[700][SL_REC_HEAD_MAX_BYTES + MAX_BYTES];
	struct sl_rec rec = {
		.type = SL_RECORD_OPEN, .flags = SL_RECORD_TOS_TTL, .tos = 3, .ttl = 9
	};
	struct sl_split split;
	struct sl_rec got, whole;
	unsigned nb = 0, nb_done = 0, order[700];
	size_t used;

	for (uint32_t i = 0; i < nb_bytes; i++)
		body[i] = (uint8_t)(i * 7 + seed);
	rec.fragment_id = (uint16_t)seed;
	CU_ASSERT_FATAL(sl_split_begin(&split, nb_bytes, room, rec.flags));
	while (sl_split_next(&split, body, &rec)) {
		unsigned head = sl_rec_put(wire[nb], &rec);

		memcpy(wire[nb] + head, rec.body, rec.nb_bytes);
		CU_ASSERT(head + rec.nb_bytes <= room);
		order[nb] = nb;
		nb++;
	}
	srand(seed);
	for (unsigned i = nb - 1; i > 0; i--) {
		unsigned k = (unsigned)rand() % (i + 1), swap = order[i];

		order[i] = order[k];
		order[k] = swap;
	}
	for (unsigned i = 0; i < nb; i++) {
		enum sl_reass_verdict verdict;

		CU_ASSERT_EQUAL(
			sl_rec_parse(wire[order[i]], sizeof(wire[0]), &got, &used), SL_REC_OK
		);
		verdict = sl_reass_add(reass, 1, &got, 0, &whole);
		CU_ASSERT_EQUAL(verdict, i + 1 == nb ? SL_REASS_DONE : SL_REASS_HELD);
		nb_done += verdict == SL_REASS_DONE;
	}
	CU_ASSERT_EQUAL_FATAL(nb_done, 1);
	CU_ASSERT_EQUAL(whole.nb_bytes, nb_bytes);
	CU_ASSERT_EQUAL(memcmp(whole.body, body, nb_bytes), 0);
	CU_ASSERT(
		whole.type == SL_RECORD_OPEN && whole.flags == SL_RECORD_TOS_TTL && whole.ttl == 9
	);
}

static void
test_round_trips(void)
{
	struct sl_reass *reass = make(PLACES);

	for (unsigned seed = 1; seed < 300; seed++) {
		uint32_t nb_bytes = 1 + seed * 7919 % MAX_BYTES;

		round_trip(reass, nb_bytes, 22 + seed * 31 % 1400, seed);
	}
	free(reass);
}

static void
test_split_limits(void)
{
	struct sl_split split;

	CU_ASSERT_FALSE(sl_split_begin(&split, 100, 8 + 4 + 7, 0));
	CU_ASSERT(sl_split_begin(&split, 100, 8 + 4 + 8, 0));
	CU_ASSERT_FALSE(sl_split_begin(&split, 100, 8 + 4 + 8, SL_RECORD_TOS_TTL));
	CU_ASSERT_FALSE(sl_split_begin(&split, 0, 1400, 0));
	CU_ASSERT_FALSE(sl_split_begin(&split, 65536, 1400, 0));
}

struct piece {
	uint32_t at, nb;
	bool more;
	enum sl_reass_verdict verdict;
};

struct sequence {
	const char *sentence;
	struct piece pieces[5];
	unsigned nb;
};

static const struct sequence sequences[] = {
	{ "an overlap gives the record up, whatever follows",
	  { { 0, 16, true, SL_REASS_HELD },
	    { 8, 16, true, SL_REASS_OVERLAP },
	    { 16, 8, true, SL_REASS_OVERLAP },
	    { 24, 8, false, SL_REASS_OVERLAP } },
	  4 },
	{ "the same piece twice does no harm",
	  { { 0, 16, true, SL_REASS_HELD },
	    { 0, 16, true, SL_REASS_HELD },
	    { 16, 8, false, SL_REASS_DONE } },
	  3 },
	{ "two ends", { { 16, 4, false, SL_REASS_HELD }, { 32, 4, false, SL_REASS_OVERLAP } }, 2 },
	{ "a piece beyond the end",
	  { { 16, 4, false, SL_REASS_HELD }, { 24, 8, true, SL_REASS_OVERLAP } },
	  2 },
	{ "an end before a piece seen",
	  { { 24, 8, true, SL_REASS_HELD }, { 8, 4, false, SL_REASS_OVERLAP } },
	  2 },
	{ "an empty piece", { { 0, 0, true, SL_REASS_BAD } }, 1 },
	{ "a middle piece not a multiple of 8", { { 0, 12, true, SL_REASS_BAD } }, 1 },
	{ "past 65535", { { 65528, 16, false, SL_REASS_BAD } }, 1 },
	{ "past the size allowed", { { 5056, 8, true, SL_REASS_TOO_BIG } }, 1 },
	{ "one piece alone is whole", { { 0, 5, false, SL_REASS_DONE } }, 1 },
};

static void
test_sequences(void)
{
	static const uint8_t body[64];

	for (size_t i = 0; i < sizeof(sequences) / sizeof(sequences[0]); i++) {
		struct sl_reass *reass = make(PLACES);

		for (unsigned k = 0; k < sequences[i].nb; k++) {
			const struct piece *p = &sequences[i].pieces[k];
			struct sl_rec whole,
				rec = {
					.body = body,
					.nb_bytes = p->nb,
					.flags = SL_RECORD_FRAGMENT,
					.fragment_offset_bytes = p->at,
					.more = p->more,
				};

			SL_ASSERT_ROW(
				sl_reass_add(reass, 1, &rec, 0, &whole) == p->verdict,
				sequences[i].sentence
			);
		}
		free(reass);
	}
}

static void
test_quota_and_timeout(void)
{
	static const uint8_t body[8];
	struct sl_reass *reass = make(2);
	struct sl_rec whole, rec = { .body = body, .nb_bytes = 8, .more = true };
	struct sl_rec last = { .body = body, .nb_bytes = 8, .fragment_offset_bytes = 8 };
	uint64_t later = SL_RECORD_FRAGMENT_TIMEOUT_MS * SL_NS_PER_MS;

	for (uint16_t id = 0; id < 3; id++) {
		rec.fragment_id = id;
		CU_ASSERT_EQUAL(sl_reass_add(reass, 1, &rec, id, &whole), SL_REASS_HELD);
	}
	// The oldest made room; the others are there.
	CU_ASSERT_EQUAL(sl_reass_evicted(reass), 1);
	last.fragment_id = 1;
	CU_ASSERT_EQUAL(sl_reass_add(reass, 1, &last, 3, &whole), SL_REASS_DONE);
	last.fragment_id = 0;
	CU_ASSERT_EQUAL(sl_reass_add(reass, 1, &last, 3, &whole), SL_REASS_HELD);
	last.fragment_id = 2;
	CU_ASSERT_EQUAL(sl_reass_add(reass, 1, &last, later + 2, &whole), SL_REASS_HELD);
	CU_ASSERT_EQUAL(sl_reass_expired(reass), 1);
	CU_ASSERT_TRUE(sl_reass_expire(reass, later + 3));
	CU_ASSERT_FALSE(sl_reass_expire(reass, later + 3));
	free(reass);
}

// The end of another source, generation or flow is not that of this record.
static void
keep_apart(uint64_t source, uint8_t generation, uint32_t flow)
{
	static const uint8_t body[8];
	struct sl_reass *reass = make(PLACES);
	struct sl_rec whole, first = { .body = body, .nb_bytes = 8, .more = true };
	struct sl_rec last = { .body = body,
			       .nb_bytes = 8,
			       .fragment_offset_bytes = 8,
			       .generation = generation,
			       .flow = flow };

	CU_ASSERT_EQUAL(sl_reass_add(reass, 0, &first, 0, &whole), SL_REASS_HELD);
	CU_ASSERT_EQUAL(sl_reass_add(reass, source, &last, 0, &whole), SL_REASS_HELD);
	last.generation = 0;
	last.flow = 0;
	CU_ASSERT_EQUAL(sl_reass_add(reass, 0, &last, 0, &whole), SL_REASS_DONE);
	free(reass);
}

static void
test_kept_apart(void)
{
	// So many that some share a slot with this one, where only the comparison keeps them apart.
	for (uint8_t other = 1; other < 100; other++) {
		keep_apart(other, 0, 0);
		keep_apart(0, other, 0);
		keep_apart(0, 0, other);
	}
}

static const struct sl_test_case cases[] = {
	{ "fragments: any record comes together from pieces in any order", test_round_trips },
	{ "fragments: what has no room is not cut", test_split_limits },
	{ "fragments: pieces that overlap or contradict give the record up", test_sequences },
	{ "fragments: a lane's oldest record makes room, and each has its time",
	  test_quota_and_timeout },
	{ "fragments: pieces of two flows, generations or sources never mix", test_kept_apart },
};

SL_TEST_MAIN(cases)
