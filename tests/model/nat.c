// Flow table and NAT together against a naive model: flows to many hosts open and close at random
// while time passes, on two workers. A tuple never serves two flows; a closed one rests as long as it
// should unless a rest was cut short, which is counted; every flow is found under its own key and no
// other; what the table holds is what the model holds.
//
// The second case is B8: a million flows at once from one address to a hundred hosts.
#include "sl_test.h"

#include <rte_malloc.h>

#include <sluice/dp/dp.h>
#include <sluice/dp/flow_life.h>
#include <sluice/dp/inner.h>
#include <sluice/dp/nat.h>
#include <sluice/dp/session.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WORKERS   2u
#define OWN       0x0a4d5301u
#define PORT_LOW  20000u
#define NB_PORTS  200u
#define HOSTS     6u
#define MAX_FLOWS 2048u // a worker
#define REST_DS   2400u
#define STEPS     300000u
#define MILLION   1000000u

static struct sl_net net = {
	.nb_ports = 1,
	.ports = { { .address = RTE_BE32(OWN), .prefix_bits = 24 } },
	.nb_routes = 1,
	.routes = { { .prefix = 0, .prefix_bits = 0 } },
};
static struct sl_hash_key owner_key;
static struct sl_session session;
static struct sl_sessions sessions = { .sessions = &session, .nb_sessions = 1 };
static struct sl_worker workers[WORKERS];

// Of one tuple: who has it, and until when it rests.
struct tuple {
	uint32_t flow; // SL_NO_FLOW: none
	uint32_t until_ds; // 0: does not rest
	uint32_t opened_ds;
};
static struct tuple tuples[HOSTS][2][NB_PORTS]; // TCP, UDP
static uint32_t now_ds, nb_live;

static int
setup(void)
{
	static const struct sl_eal_conf eal = { .name = "sl_model_nat", .memory_mb = 400 };

	return sl_eal_start(&eal) != 0 || sl_hash_key_random(&owner_key) != 0 ? -1 : 0;
}

static int
teardown(void)
{
	sl_eal_stop();
	return 0;
}

static void
begin(unsigned nb_workers, uint32_t nb_flows, uint16_t low, uint16_t high)
{
	now_ds = 10000;
	for (uint16_t k = 0; k < nb_workers; k++) {
		workers[k] = (struct sl_worker){ .net = &net,
						 .owner_key = &owner_key,
						 .sessions = &sessions,
						 .idx = k,
						 .nb_workers = (uint16_t)nb_workers,
						 .now_ds = now_ds,
						 .now_ns = now_ds * (SL_NS_PER_S / 10) };
		workers[k].nat = sl_nat_create(1u << 17, SOCKET_ID_ANY); // never too few places
		workers[k].flows = sl_flow_table_create(nb_flows, (uint8_t)k, true, SOCKET_ID_ANY);
		CU_ASSERT_FATAL(workers[k].nat != NULL && workers[k].flows != NULL);
		workers[k].nat->port_low = low;
		workers[k].nat->port_high = high;
		workers[k].nat->rest_ds = REST_DS;
	}
}

static void
end(unsigned nb_workers)
{
	for (unsigned k = 0; k < nb_workers; k++) {
		sl_flow_table_destroy(workers[k].flows);
		sl_nat_destroy(workers[k].nat);
	}
}

static struct sl_flow_key
key_of(unsigned host, uint8_t protocol)
{
	struct sl_flow_key key = { .source_port_be = RTE_BE16(443), .scope_protocol = protocol };

	sl_ip4_map(key.source, rte_cpu_to_be_32(0x0a320000u + host));
	return key;
}

static uint64_t
nb_cut_short(void)
{
	return workers[0].nat->nb_cut_short + workers[1].nat->nb_cut_short;
}

static void
open_one(void)
{
	struct sl_worker *w = &workers[(unsigned)rand() % WORKERS];
	unsigned host = (unsigned)rand() % HOSTS, udp = (unsigned)rand() % 4 == 0;
	struct sl_flow_key key = key_of(host, udp ? IPPROTO_UDP : IPPROTO_TCP);
	uint64_t cut = w->nat->nb_cut_short, evicted = w->nat->nb_evicted;
	struct tuple *t;
	struct sl_flow *f;
	uint32_t index;

	if (!sl_nat_pick(w, &key))
		return;
	CU_ASSERT_EQUAL_FATAL(sl_ip4_unmap(key.destination), RTE_BE32(OWN));
	CU_ASSERT_EQUAL_FATAL(sl_nat_owner(w, &key), w->idx);
	t = &tuples[host][udp][rte_be_to_cpu_16(key.destination_port_be) - PORT_LOW];
	if (w->nat->nb_evicted != evicted) { // somebody idle made room
		CU_ASSERT_FATAL(udp && t->flow != SL_NO_FLOW);
		CU_ASSERT_FATAL(now_ds - t->opened_ds >= SL_NAT_EVICT_IDLE_S * 10);
		t->flow = SL_NO_FLOW;
		nb_live--;
	}
	CU_ASSERT_EQUAL_FATAL(t->flow, SL_NO_FLOW); // nobody has it
	if (w->nat->nb_cut_short == cut)
		CU_ASSERT_FATAL(t->until_ds <= now_ds); // and it does not rest
	t->until_ds = 0; // a rest that was cut short is over, whatever follows
	index = sl_flow_add(w->flows, &key, w->now_ns);
	if (index == SL_NO_FLOW)
		return; // slots rest too
	f = sl_flow_at(w->flows, index);
	f->kind = SL_FLOW_HOST;
	f->tcp = udp ? SL_TCP_NONE : SL_TCP_ESTABLISHED;
	memcpy(f->flow_key, &key.destination_port_be, 2);
	f->flow_key[2] = (uint8_t)host;
	f->flow_key[3] = (uint8_t)udp;
	CU_ASSERT_TRUE_FATAL(sl_flow_index_flow_key(w->flows, index, 0));
	*t = (struct tuple){ .flow = (uint32_t)w->idx << 24 | index, .opened_ds = now_ds };
	nb_live++;
}

static void
close_one(void)
{
	unsigned host = (unsigned)rand() % HOSTS, udp = (unsigned)rand() % 2;
	struct tuple *t = &tuples[host][udp][(unsigned)rand() % NB_PORTS];
	struct sl_worker *w;

	if (t->flow == SL_NO_FLOW)
		return;
	w = &workers[t->flow >> 24];
	sl_flow_over(w, t->flow & 0xffffff, SL_CLOSE_DONE);
	*t = (struct tuple){ .flow = SL_NO_FLOW, .until_ds = udp ? 0 : now_ds + REST_DS };
	nb_live--;
}

static void
check_all(void)
{
	uint32_t nb_used = 0;

	for (unsigned k = 0; k < WORKERS; k++)
		nb_used += workers[k].flows->nb_used;
	CU_ASSERT_EQUAL_FATAL(nb_used, nb_live);
	for (unsigned host = 0; host < HOSTS; host++)
		for (unsigned udp = 0; udp < 2; udp++)
			for (unsigned p = 0; p < NB_PORTS; p++) {
				struct sl_flow_key key = key_of(
					host, udp ? IPPROTO_UDP : IPPROTO_TCP
				);
				uint32_t want = tuples[host][udp][p].flow, k;

				sl_ip4_map(key.destination, RTE_BE32(OWN));
				key.destination_port_be = rte_cpu_to_be_16((uint16_t)(PORT_LOW + p)
				);
				k = sl_nat_owner(&workers[0], &key);
				CU_ASSERT_EQUAL_FATAL(
					sl_flow_find(workers[k].flows, &key),
					want == SL_NO_FLOW ? SL_NO_FLOW : (want & 0xffffff)
				);
			}
}

static void
test_random(void)
{
	begin(WORKERS, MAX_FLOWS, PORT_LOW, PORT_LOW + NB_PORTS - 1);
	nb_live = 0;
	for (unsigned i = 0; i < HOSTS * 2 * NB_PORTS; i++)
		(&tuples[0][0][0])[i] = (struct tuple){ .flow = SL_NO_FLOW };
	for (unsigned step = 0; step < STEPS; step++) {
		// Now more come, now more go, so that it is full at times and nearly empty at others.
		if ((unsigned)rand() % 100 < (step / 20000 % 2 == 0 ? 60u : 15u))
			open_one();
		else
			close_one();
		if (rand() % 50 == 0)
			now_ds += (unsigned)rand() % 20;
		for (unsigned k = 0; k < WORKERS; k++) {
			workers[k].now_ds = now_ds;
			workers[k].now_ns = now_ds * (SL_NS_PER_S / 10);
		}
		if (step % 10000 == 0)
			check_all();
	}
	check_all();
	// How tight it was differs by seed.
	sl_test_note(
		"%llu rests cut short, %llu flows made room",
		(unsigned long long)nb_cut_short(),
		(unsigned long long)(workers[0].nat->nb_evicted + workers[1].nat->nb_evicted)
	);
	end(WORKERS);
}

static uint64_t
heap_bytes(void)
{
	struct rte_malloc_socket_stats stats = { 0 };

	rte_malloc_get_socket_stats(0, &stats);
	return stats.heap_allocsz_bytes;
}

static void
test_million(void)
{
	uint32_t nb = 0;
	uint64_t before;
	struct sl_worker *w = &workers[0];

	begin(1, MILLION, 1024, 65535);
	before = heap_bytes();
	for (; nb < MILLION; nb++) {
		struct sl_flow_key key = key_of(nb % 100, IPPROTO_TCP);
		uint32_t index;

		if (!sl_nat_pick(w, &key))
			break;
		index = sl_flow_add(w->flows, &key, w->now_ns);
		if (index == SL_NO_FLOW)
			break;
	}
	CU_ASSERT_EQUAL(nb, MILLION);
	CU_ASSERT_EQUAL(w->flows->nb_used, MILLION);
	CU_ASSERT_EQUAL(w->nat->nb_exhausted + w->nat->nb_cut_short + w->nat->nb_evicted, 0);
	CU_ASSERT_EQUAL(heap_bytes(), before); // all memory was there at start
	// Answers find their flow. The table is full now, which is said and does no harm.
	for (uint32_t i = 0; i < MILLION; i += 997)
		CU_ASSERT_EQUAL_FATAL(sl_flow_find(w->flows, &sl_flow_at(w->flows, i)->key), i);
	CU_ASSERT_EQUAL(sl_flow_add(w->flows, &(struct sl_flow_key){ 0 }, w->now_ns), SL_NO_FLOW);
	CU_ASSERT_EQUAL(w->flows->nb_full, 1);
	end(1);
}

static const struct sl_test_case cases[] = {
	{ "nat: flow table and NAT hold to a naive model", test_random },
	{ "B8: a million flows at once from one address to a hundred hosts", test_million },
};

int
main(int argc, char **argv)
{
	const char *given = getenv("SEED");
	unsigned seed = given != NULL ? (unsigned)strtoul(given, NULL, 0) : (unsigned)time(NULL);

	srand(seed);
	printf("seed %u\n", seed);
	return sl_test_main(argc, argv, cases, RTE_DIM(cases), setup, teardown);
}
