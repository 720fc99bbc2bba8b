// What workers tell the flow log: a full ring loses and counts, and denials, told one by one or
// together, always add up.
#include "sl_test.h"

#include <netinet/in.h>
#include <sluice/dp/flow_event.h>
#include <sluice/dp/hash.h>
#include <sluice/dp/ip4.h>
#include <sluice/dp/meta.h>
#include <sluice/dp/worker.h>
#include <stdlib.h>
#include <string.h>

static struct sl_worker w;
static struct sl_hash_key owner_key;
static uint64_t told, lines, merged_lines;

static void
begin(void)
{
	CU_ASSERT_EQUAL_FATAL(sl_hash_key_random(&owner_key), 0);
	w = (struct sl_worker){ .owner_key = &owner_key, .now_ns = SL_NS_PER_S, .now_ds = 10 };
	w.flow_events = sl_flow_events_create();
	CU_ASSERT_PTR_NOT_NULL_FATAL(w.flow_events);
	atomic_store(&w.flow_events->is_on, true);
	told = lines = merged_lines = 0;
}

static void
end(void)
{
	sl_flow_events_destroy(w.flow_events);
}

static void
pass_s(unsigned s)
{
	w.now_ns += s * SL_NS_PER_S;
	w.now_ds += s * 10;
	sl_flow_events_tick(&w, SL_DENIALS_DUE);
}

static void
take(void)
{
	struct sl_flow_event events[64];
	unsigned nb;

	while ((nb = sl_flow_events_take(w.flow_events, events, 64)) != 0)
		for (unsigned i = 0; i < nb; i++) {
			told += events[i].nb_denials;
			lines++;
			merged_lines += events[i].is_merged;
		}
}

static void
deny(uint32_t client, uint16_t port)
{
	struct sl_flow_event event = { .kind = SL_FLOW_EVENT_DENY,
				       .client = client,
				       .key = { .scope_protocol = IPPROTO_TCP,
						.source_port_be = (rte_be16_t)rand(),
						.destination_port_be = rte_cpu_to_be_16(port) },
				       .resource = UINT32_MAX,
				       .reason = 1 };

	sl_flow_event_deny(&w, &event);
}

static void
test_first_at_once(void)
{
	begin();
	deny(1, 25);
	take();
	CU_ASSERT(told == 1 && lines == 1);
	for (unsigned i = 0; i < 1000; i++)
		deny(1, 25);
	take();
	CU_ASSERT(told == 1 && lines == 1);
	pass_s(SL_DENIAL_WINDOW_S);
	take();
	CU_ASSERT(told == 1001 && lines == 2);
	// A quiet window forgets it: the next is told at once again.
	pass_s(SL_DENIAL_WINDOW_S);
	deny(1, 25);
	take();
	CU_ASSERT(told == 1002 && lines == 3);
	end();
}

static void
test_scan(void)
{
	uint64_t nb = 0;

	begin();
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned port = 0; port < 65536; port++, nb++)
			deny(1 + port % 3, (uint16_t)port);
		take();
		pass_s(1);
	}
	// However many kinds there are, lines are few and nothing is missing.
	CU_ASSERT(lines < 4000);
	for (unsigned i = 0; i < 3; i++) {
		pass_s(SL_DENIAL_WINDOW_S);
		take();
	}
	CU_ASSERT_EQUAL(told, nb);
	CU_ASSERT(merged_lines > 0);
	end();
}

static void
test_random(void)
{
	uint64_t nb = 0;

	begin();
	for (unsigned i = 0; i < 400000; i++) {
		deny((uint32_t)rand() % 300, (uint16_t)(rand() % (rand() % 2 ? 20 : 65536)));
		nb++;
		if (rand() % 1000 == 0)
			pass_s((unsigned)rand() % 4);
		if (rand() % 5000 == 0)
			take(); // rarely: the ring is full most of the time
	}
	for (unsigned i = 0; i < 4; i++) {
		take();
		sl_flow_events_tick(&w, SL_DENIALS_ALL);
	}
	take();
	CU_ASSERT_EQUAL(told, nb);
	end();
}

static void
test_full_ring(void)
{
	struct sl_flow_event event = { .kind = SL_FLOW_EVENT_END };

	begin();
	for (unsigned i = 0; i < SL_FLOW_EVENTS + 1000; i++)
		sl_flow_event_put(&w, &event);
	take();
	CU_ASSERT_EQUAL(lines + atomic_load(&w.flow_events->nb_lost), SL_FLOW_EVENTS + 1000);
	CU_ASSERT_EQUAL(lines, SL_FLOW_EVENTS - 1); // a ring of N holds N - 1
	end();
}

static const struct sl_test_case cases[] = {
	{ "flow events: the first denial is told at once, the rest of a window together",
	  test_first_at_once },
	{ "flow events: a scan of all ports makes few lines that add up", test_scan },
	{ "flow events: denials add up however they come and however late they are taken",
	  test_random },
	{ "flow events: what a full ring loses is counted", test_full_ring },
};
SL_TEST_MAIN(cases)
