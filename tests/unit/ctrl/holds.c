// holds: an answer finds the packet that asked for it, and no other.
#include "service/holds.h"
#include "sl_test.h"

static struct holds holds;
static char packets[3];

static struct rte_mbuf *
packet(unsigned i)
{
	return (struct rte_mbuf *)&packets[i]; // never looked into
}

static uint32_t
put(unsigned i)
{
	return holds_put(&holds, HOLD_ASK, 7, packet(i), 1000 + i);
}

static void
test_found(void)
{
	const struct hold *h;
	uint32_t ticket;

	holds_init(&holds, 2);
	ticket = put(0);
	h = holds_find(&holds, ticket, HOLD_ASK);
	CU_ASSERT_PTR_NOT_NULL_FATAL(h);
	CU_ASSERT_TRUE(h->mbuf == packet(0) && h->key == 7 && h->until_ns == 1000);
	CU_ASSERT_TRUE(holds_find(&holds, ticket, HOLD_OPEN) == NULL);
	holds_end(&holds, ticket);
	CU_ASSERT_TRUE(holds_find(&holds, ticket, HOLD_ASK) == NULL);
}

static void
test_late(void)
{
	uint32_t late, next;

	holds_init(&holds, 1);
	late = put(0);
	holds_end(&holds, late);
	next = put(1); // in the same slot
	CU_ASSERT_TRUE(next % NB_HOLDS == late % NB_HOLDS);
	CU_ASSERT_TRUE(holds_find(&holds, late, HOLD_ASK) == NULL);
	CU_ASSERT_TRUE(holds_find(&holds, next, HOLD_ASK) != NULL);
}

static void
test_none(void)
{
	holds_init(&holds, NB_HOLDS);
	CU_ASSERT_TRUE(holds_find(&holds, HOLD_NONE, HOLD_FREE) == NULL);
	// The last slot, a moment before its tickets begin anew.
	holds.first_free = NB_HOLDS;
	holds.slots[NB_HOLDS - 1].ticket = HOLD_NONE - NB_HOLDS;
	CU_ASSERT_TRUE(put(0) == NB_HOLDS - 1);
}

static void
test_bound(void)
{
	uint32_t first;

	holds_init(&holds, 2);
	first = put(0);
	CU_ASSERT_TRUE(put(1) != HOLD_NONE && holds.nb_used == 2);
	CU_ASSERT_TRUE(put(2) == HOLD_NONE && holds.nb_used == 2);
	holds_end(&holds, first);
	CU_ASSERT_TRUE(put(2) != HOLD_NONE);
	holds_init(&holds, 0);
	CU_ASSERT_TRUE(put(0) == HOLD_NONE);
}

static const struct sl_test_case cases[] = {
	{ "holds: a packet is found by its ticket and kind until its hold ends", test_found },
	{ "holds: an answer that comes late does not find what waits in the slot by then",
	  test_late },
	{ "holds: none has the ticket that means none", test_none },
	{ "holds: no more wait than may", test_bound },
};
SL_TEST_MAIN(cases)
