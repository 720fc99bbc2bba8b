// Timers in virtual time: each kind of flow goes when its idle time is over and not before, whatever
// the configuration says it is; and a million one-shot flows leave an empty table.
#include "sl_test.h"

#include <netinet/in.h>
#include <sluice/dns/policy.h>
#include <sluice/dp/dp.h>
#include <sluice/dp/flow_event.h>
#include <sluice/dp/flow_table.h>
#include <sluice/dp/ip4.h>
#include <sluice/dp/nat.h>
#include <sluice/dp/session.h>
#include <sluice/dp/snapshot.h>
#include <sluice/dp/upkeep.h>
#include <stdlib.h>
#include <string.h>

#define MILLION 1000000u
#define T0_DS   1000u

// As config.h has them, in deciseconds: established, transitory, closed, UDP, DNS, ICMP.
static const struct sl_timeouts defaults = { 74400, 2400, 20, 1200, 100, 600 };
static const struct sl_timeouts others = { 36000, 300, 20, 450, 50, 70 };

static struct sl_session session;
static struct sl_sessions sessions = { .sessions = &session, .nb_sessions = 1 };
static struct sl_worker w;

static int
setup(void)
{
	static const struct sl_eal_conf eal = { .name = "sl_upkeep", .memory_mb = 300 };

	return sl_eal_start(&eal) != 0 ? -1 : 0;
}

static int
teardown(void)
{
	sl_eal_stop();
	return 0;
}

static void
at(uint32_t ds)
{
	w.now_ds = ds;
	w.now_ns = ds * (SL_NS_PER_S / 10);
	w.next_beat_ns = UINT64_MAX;
	w.fragments_due_ns = UINT64_MAX;
}

static void
begin(uint32_t nb_flows, const struct sl_timeouts *timeouts)
{
	w = (struct sl_worker){ .sessions = &sessions, .nb_workers = 1, .timeouts = *timeouts };
	w.flows = sl_flow_table_create(nb_flows, 0, false, SOCKET_ID_ANY);
	CU_ASSERT_PTR_NOT_NULL_FATAL(w.flows);
	at(T0_DS);
	w.swept_ds = T0_DS;
}

static void
end(void)
{
	sl_flow_table_destroy(w.flows);
}

// Let the sweep go over the whole table at this time.
static void
sweep_at(uint32_t ds)
{
	at(ds);
	for (unsigned i = 0; i < 2 * (w.flows->nb_flows / 4096 + 1); i++) {
		w.swept_ds = ds - 10;
		sl_upkeep_tick(&w);
	}
}

static struct sl_flow *
add(uint8_t protocol, uint16_t port, uint32_t nb)
{
	struct sl_flow_key key = { .source_port_be = (rte_be16_t)nb,
				   .destination_port_be = rte_cpu_to_be_16(port),
				   .scope_protocol = protocol };
	uint32_t index;

	sl_ip4_map(key.source, 0x0a000001u + (nb >> 16));
	index = sl_flow_add(w.flows, &key, w.now_ns);
	CU_ASSERT_NOT_EQUAL_FATAL(index, SL_NO_FLOW);
	sl_flow_at(w.flows, index)->kind = SL_FLOW_CLIENT;
	return sl_flow_at(w.flows, index);
}

static const struct {
	const char *title;
	uint8_t protocol, tcp;
	uint16_t port;
	uint32_t pkts_up, pkts_down;
	uint32_t idle_ds, other_ds; // by default, and as configured otherwise
} rows[] = {
	{ "TCP, established", IPPROTO_TCP, SL_TCP_ESTABLISHED, 80, 9, 9, 74400, 36000 },
	{ "TCP, the client has closed", IPPROTO_TCP, SL_TCP_FIN_UP, 80, 9, 9, 74400, 36000 },
	{ "TCP, the host has closed", IPPROTO_TCP, SL_TCP_FIN_DOWN, 80, 9, 9, 74400, 36000 },
	{ "TCP, no answer yet", IPPROTO_TCP, SL_TCP_SYN_SENT, 80, 1, 0, 2400, 300 },
	{ "TCP, answered", IPPROTO_TCP, SL_TCP_SYN_RECEIVED, 80, 1, 1, 2400, 300 },
	{ "TCP, both have closed", IPPROTO_TCP, SL_TCP_CLOSING, 80, 9, 9, 20, 20 },
	{ "TCP, reset", IPPROTO_TCP, SL_TCP_RESET, 80, 9, 9, 20, 20 },
	{ "UDP", IPPROTO_UDP, 0, 5000, 1, 0, 1200, 450 },
	{ "UDP, answered", IPPROTO_UDP, 0, 5000, 1, 1, 1200, 450 },
	{ "a DNS question without an answer", IPPROTO_UDP, 0, 53, 1, 0, 100, 50 },
	{ "one of two DNS questions answered", IPPROTO_UDP, 0, 53, 2, 1, 100, 50 },
	{ "DNS answered", IPPROTO_UDP, 0, 53, 2, 2, 20, 20 },
	{ "echo", IPPROTO_ICMP, 0, 0, 1, 1, 600, 70 },
};

static void
test_timers(void)
{
	for (unsigned i = 0; i < 2 * RTE_DIM(rows); i++) {
		unsigned r = i / 2;
		uint32_t idle_ds = i % 2 == 0 ? rows[r].idle_ds : rows[r].other_ds;
		struct sl_flow *f;

		begin(64, i % 2 == 0 ? &defaults : &others);
		f = add(rows[r].protocol, rows[r].port, 1);
		f->tcp = rows[r].tcp;
		f->pkts_up = rows[r].pkts_up;
		f->pkts_down = rows[r].pkts_down;
		sweep_at(T0_DS + idle_ds);
		SL_ASSERT_ROW(w.flows->nb_used == 1, rows[r].title);
		sweep_at(T0_DS + idle_ds + 1);
		SL_ASSERT_ROW(w.flows->nb_used == 0, rows[r].title);
		end();
	}
}

static void
test_million(void)
{
	begin(MILLION, &defaults);
	for (uint32_t i = 0; i < MILLION; i++)
		add(IPPROTO_UDP, (uint16_t)(1024 + i % 60000), i)->pkts_up = 1;
	CU_ASSERT_EQUAL(w.flows->nb_used, MILLION);
	sweep_at(T0_DS + 1200);
	CU_ASSERT_EQUAL(w.flows->nb_used, MILLION);
	sweep_at(T0_DS + 1201);
	CU_ASSERT_EQUAL(w.flows->nb_used, 0);
	CU_ASSERT_EQUAL(w.flows->by_key.nb_used, 0);
	// Nothing is lost for good: after their rest all places are there again.
	at(T0_DS + 1600);
	for (uint32_t i = 0; i < MILLION; i++)
		add(IPPROTO_UDP, (uint16_t)(1024 + i % 60000), i);
	CU_ASSERT_EQUAL(w.flows->nb_used, MILLION);
	end();
}

// A pass a second over a flow that does not stop; returns how many lines there were, each with what
// the flow carried until then.
static unsigned
told_in_s(struct sl_flow *f, unsigned s)
{
	struct sl_flow_event events[8];
	unsigned lines = 0, nb;

	for (unsigned i = 0; i < s; i++) {
		f->pkts_up++;
		f->bytes_up += 100;
		f->last_seen_ds = w.now_ds;
		sweep_at(w.now_ds + 10);
		nb = sl_flow_events_take(w.flow_events, events, RTE_DIM(events));
		for (unsigned k = 0; k < nb; k++) {
			CU_ASSERT_EQUAL(events[k].kind, SL_FLOW_EVENT_INTERIM);
			CU_ASSERT_EQUAL(events[k].bytes_up, f->bytes_up);
			CU_ASSERT_EQUAL(events[k].pkts_up, f->pkts_up);
			CU_ASSERT_EQUAL(events[k].age_ds, w.now_ds - f->started_ds);
		}
		lines += nb;
	}
	return lines;
}

static void
test_interim(void)
{
	struct sl_flow *f;

	begin(64, &defaults);
	w.flow_events = sl_flow_events_create();
	CU_ASSERT_PTR_NOT_NULL_FATAL(w.flow_events);
	atomic_store(&w.flow_events->is_on, true);
	atomic_store(&w.flow_events->interim_s, 30);
	f = add(IPPROTO_UDP, 5000, 1);
	f->started_ds = T0_DS;
	CU_ASSERT_EQUAL(told_in_s(f, 28), 0);
	CU_ASSERT_EQUAL(told_in_s(f, 4), 1);
	CU_ASSERT_EQUAL(told_in_s(f, 300), 10);
	atomic_store(&w.flow_events->interim_s, 0);
	(void)told_in_s(f, 2); // a pass that had begun ends as it began
	CU_ASSERT_EQUAL(told_in_s(f, 100), 0);
	sl_flow_events_destroy(w.flow_events);
	end();
}

// A policy that lets client 1 reach everything by UDP.
static struct sl_policy *
build_policy(uint32_t generation)
{
	static const struct sl_policy_prefix all = { 0, 0 };
	static const struct sl_policy_range ports = { 0, 65535 };
	const struct sl_policy_resource resource = { .label = "all",
						     .prefixes = &all,
						     .nb_prefixes = 1,
						     .udp = &ports,
						     .nb_udp = 1,
						     .groups = 1 };
	struct sl_policy_spec spec = { .generation = generation,
				       .resources = &resource,
				       .nb_resources = 1 };
	struct sl_policy_error error;
	struct sl_policy *policy;

	CU_ASSERT_EQUAL_FATAL(sl_policy_build(&spec, &policy, &error), 0);
	return policy;
}

// How many flows were admitted, or again, under this generation.
static uint32_t
nb_admitted(uint32_t generation)
{
	uint32_t nb = 0;

	for (uint32_t i = 0; i < w.flows->nb_flows; i++)
		nb += w.flows->flows[i].kind != SL_FLOW_FREE &&
			w.flows->flows[i].pop.generation == generation;
	return nb;
}

static void
test_reload(void)
{
	static struct sl_client clients[2] = { [1] = { .is_live = true, .groups = 1 } };
	static struct sl_keypair
		*const key = (void *)&session; // the session has one; not looked into
	struct sl_tenant tenant = { .policy = build_policy(2) };
	struct sl_snapshot snapshot = { .generation = 2,
					.clients = clients,
					.nb_clients = 2,
					.tenants = &tenant,
					.nb_tenants = 1 };
	const uint32_t nb_flows = 20000, most = 512;
	uint32_t before = 0, now, ticks = 0;

	begin(nb_flows, &defaults);
	for (uint32_t i = 0; i < nb_flows; i++) {
		struct sl_flow *f = add(IPPROTO_UDP, 5000, i);

		f->started_ds = T0_DS;
		f->pop.client = 1;
		f->pop.name = SL_NO_NAME;
		f->pop.generation = 1;
	}
	atomic_store(&session.current, key);
	w.snapshot = &snapshot;
	at(T0_DS + 10);
	while ((now = nb_admitted(2)) < nb_flows && ticks++ < 1000) {
		CU_ASSERT(now - before <= most);
		before = now;
		sl_upkeep_tick(&w);
	}
	// Each walk did its share, and no second had to pass.
	CU_ASSERT_EQUAL(ticks, (nb_flows + most - 1) / most);
	CU_ASSERT_EQUAL(w.flows->nb_used, nb_flows);
	atomic_store(&session.current, NULL);
	w.snapshot = NULL;
	sl_policy_free((struct sl_policy *)(uintptr_t)tenant.policy);
	end();
}

static const struct sl_test_case cases[] = {
	{ "C5: after a reload each walk looks again at a share of the idle flows, until all are "
	  "done",
	  test_reload },
	{ "flow log: a flow that lasts is told once an interval, with what it carried",
	  test_interim },
	{ "B5: each kind of flow ends when its time is over, as configured", test_timers },
	{ "B5: a million one-shot flows leave an empty table", test_million },
};

int
main(int argc, char **argv)
{
	return sl_test_main(argc, argv, cases, RTE_DIM(cases), setup, teardown);
}
