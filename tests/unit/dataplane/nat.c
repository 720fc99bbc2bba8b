// Source ports of a node's own: used again across destinations, never twice for one, exhausted in
// the end, and always such that the answer comes to the worker that chose.
#include "sl_test.h"

#include <sluice/dp/dp.h>
#include <sluice/dp/inner.h>
#include <sluice/dp/nat.h>
#include <sluice/dp/session.h>
#include <stdlib.h>
#include <string.h>

static struct sl_net net = {
	.nb_ports = 1,
	.ports = { { .address = RTE_BE32(0x0a4d5301), .prefix_bits = 24 } },
	.nb_routes = 1,
	.routes = { { .prefix = RTE_BE32(0x0a4d5300), .prefix_bits = 24 } },
	.tunnel_port_first = 20000,
	.tunnel_port_last = 20003,
};
static struct sl_hash_key owner_key;
static struct sl_nat nats[2];
static struct sl_worker workers[2];
static struct sl_session session;
static struct sl_sessions sessions = { .sessions = &session, .nb_sessions = 1 };

static int
setup(void)
{
	static const struct sl_eal_conf eal = { .name = "sl_nat", .memory_mb = 64 };

	if (sl_eal_start(&eal) != 0 || sl_hash_key_random(&owner_key) != 0)
		return -1;
	sl_net_index(&net);
	return 0;
}

static int
teardown(void)
{
	sl_eal_stop();
	return 0;
}

static void
begin(uint16_t low, uint16_t high)
{
	for (uint16_t k = 0; k < 2; k++) {
		nats[k] = (struct sl_nat){ .port_low = low, .port_high = high };
		workers[k] = (struct sl_worker){ .net = &net,
						 .nat = &nats[k],
						 .owner_key = &owner_key,
						 .idx = k,
						 .nb_workers = 2 };
		workers[k].flows = sl_flow_table_create(4096, (uint8_t)k, false, SOCKET_ID_ANY);
		CU_ASSERT_PTR_NOT_NULL_FATAL(workers[k].flows);
	}
}

static void
end(void)
{
	for (unsigned k = 0; k < 2; k++)
		sl_flow_table_destroy(workers[k].flows);
}

static struct sl_flow_key
to_host(uint8_t host, uint16_t port, uint8_t protocol)
{
	struct sl_flow_key key = { .source_port_be = rte_cpu_to_be_16(port),
				   .scope_protocol = protocol };

	sl_ip4_map(key.source, rte_cpu_to_be_32(0x0a4d5300u + host));
	return key;
}

// Take ports until there is none left; how many.
static unsigned
take_all(struct sl_worker *w, uint8_t host, uint16_t port, uint8_t protocol, uint8_t seen[65536])
{
	unsigned nb = 0;

	for (;;) {
		struct sl_flow_key key = to_host(host, port, protocol);
		uint16_t own;

		if (!sl_nat_pick(w, &key))
			return nb;
		own = rte_be_to_cpu_16(key.destination_port_be);
		CU_ASSERT_EQUAL(sl_nat_owner(w, &key), w->idx);
		CU_ASSERT(own >= w->nat->port_low && own <= w->nat->port_high);
		CU_ASSERT(own < 20000 || own > 20003);
		CU_ASSERT_EQUAL(sl_ip4_unmap(key.destination), net.ports[0].address);
		CU_ASSERT_EQUAL(seen[own], 0);
		seen[own]++;
		CU_ASSERT_NOT_EQUAL_FATAL(sl_flow_add(w->flows, &key, SL_NS_PER_S), SL_NO_FLOW);
		nb++;
	}
}

static void
test_exhaustion(void)
{
	static uint8_t seen[65536];
	unsigned nb;

	begin(19990, 20089);
	memset(seen, 0, sizeof(seen));
	nb = take_all(&workers[0], 5, 80, IPPROTO_TCP, seen);
	nb += take_all(&workers[1], 5, 80, IPPROTO_TCP, seen);
	CU_ASSERT_EQUAL(nb, 96); // 100 without the lanes' four
	CU_ASSERT_EQUAL(nats[0].nb_exhausted + nats[1].nb_exhausted, 2);
	// Every other tuple has all of them again.
	for (unsigned i = 0; i < 4; i++) {
		memset(seen, 0, sizeof(seen));
		nb = 0;
		for (unsigned k = 0; k < 2; k++)
			nb += take_all(
				&workers[k],
				(uint8_t)(5 + (i == 0)),
				(uint16_t)(80 + (i == 1)),
				i == 2           ? IPPROTO_UDP
					: i == 3 ? IPPROTO_ICMP
						 : IPPROTO_TCP,
				seen
			);
		CU_ASSERT_EQUAL(nb, 96);
	}
	end();
}

static void
test_release(void)
{
	static uint8_t seen[65536];
	struct sl_flow_key key;

	begin(30000, 30063);
	memset(seen, 0, sizeof(seen));
	take_all(&workers[0], 5, 80, IPPROTO_TCP, seen);
	key = to_host(5, 80, IPPROTO_TCP);
	CU_ASSERT_FALSE(sl_nat_pick(&workers[0], &key));
	sl_flow_del(workers[0].flows, 0, 0, SL_NS_PER_S);
	key = to_host(5, 80, IPPROTO_TCP);
	CU_ASSERT_TRUE(sl_nat_pick(&workers[0], &key));
	end();
}

static void
test_route(void)
{
	struct sl_flow_key key = to_host(5, 80, IPPROTO_TCP);

	begin(30000, 39999);
	sl_ip4_map(key.source, RTE_BE32(0x08080808));
	CU_ASSERT_FALSE(sl_nat_pick(&workers[0], &key));
	end();
}

static void
test_wide_lane_range(void)
{
	uint16_t last = net.tunnel_port_last;

	net.tunnel_port_last = 21023;
	begin(1024, 65535);
	for (uint16_t port = 1; port <= 5000; port++) {
		struct sl_flow_key key = to_host(5, port, IPPROTO_UDP);
		uint16_t own;

		CU_ASSERT_TRUE_FATAL(sl_nat_pick(&workers[0], &key));
		own = rte_be_to_cpu_16(key.destination_port_be);
		CU_ASSERT(own < net.tunnel_port_first || own > net.tunnel_port_last);
	}
	net.tunnel_port_last = last;
	end();
}

// ---- Rest, eviction, several addresses ----------------------------------------------------------

static void
begin_one(struct sl_nat *nat, uint16_t low, uint16_t high)
{
	CU_ASSERT_PTR_NOT_NULL_FATAL(nat);
	nat->port_low = low;
	nat->port_high = high;
	nat->rest_ds = 2400;
	workers[0] = (struct sl_worker){ .net = &net,
					 .nat = nat,
					 .owner_key = &owner_key,
					 .sessions = &sessions,
					 .nb_workers = 1,
					 .now_ns = 1000 * SL_NS_PER_S,
					 .now_ds = 10000 };
	workers[0].flows = sl_flow_table_create(4096, 0, true, SOCKET_ID_ANY);
	CU_ASSERT_PTR_NOT_NULL_FATAL(workers[0].flows);
}

static void
end_one(void)
{
	sl_flow_table_destroy(workers[0].flows);
	sl_nat_destroy(workers[0].nat);
}

static void
pass_ds(uint32_t ds)
{
	workers[0].now_ds += ds;
	workers[0].now_ns += ds * (SL_NS_PER_S / 10);
}

// A flow to a host; its index, SL_NO_FLOW when there is no tuple.
static uint32_t
open_one(uint8_t protocol, uint8_t tcp)
{
	struct sl_flow_key key = to_host(5, 80, protocol);
	struct sl_worker *w = &workers[0];
	uint32_t index;

	if (!sl_nat_pick(w, &key))
		return SL_NO_FLOW;
	CU_ASSERT_EQUAL(sl_flow_find(w->flows, &key), SL_NO_FLOW);
	index = sl_flow_add(w->flows, &key, w->now_ns);
	CU_ASSERT_NOT_EQUAL_FATAL(index, SL_NO_FLOW);
	sl_flow_at(w->flows, index)->kind = SL_FLOW_QUERY; // of one index alone
	sl_flow_at(w->flows, index)->tcp = tcp;
	return index;
}

// It is over: a connector's flow, whose tuple rests.
static void
close_one(uint32_t index)
{
	const struct sl_flow *f = sl_flow_at(workers[0].flows, index);

	sl_nat_rest(&workers[0], &f->key);
	sl_flow_del(workers[0].flows, index, 0, workers[0].now_ns);
}

static void
test_rest(void)
{
	struct sl_nat *nat = sl_nat_create(64, SOCKET_ID_ANY);
	uint16_t first;
	uint32_t index;

	begin_one(nat, 30000, 30009);
	index = open_one(IPPROTO_TCP, SL_TCP_ESTABLISHED);
	first = rte_be_to_cpu_16(sl_flow_at(workers[0].flows, index)->key.destination_port_be);
	close_one(index);
	CU_ASSERT_EQUAL(sl_nat_nb_resting(nat), 1);
	// The nine others, and never the one at rest.
	for (unsigned i = 0; i < 9; i++) {
		index = open_one(IPPROTO_TCP, SL_TCP_ESTABLISHED);
		CU_ASSERT_NOT_EQUAL(
			sl_flow_at(workers[0].flows, index)->key.destination_port_be,
			rte_cpu_to_be_16(first)
		);
	}
	CU_ASSERT_EQUAL(nat->nb_cut_short, 0);
	// With nothing else left, its rest is cut short, and counted.
	index = open_one(IPPROTO_TCP, SL_TCP_ESTABLISHED);
	CU_ASSERT_NOT_EQUAL_FATAL(index, SL_NO_FLOW);
	CU_ASSERT_EQUAL(
		sl_flow_at(workers[0].flows, index)->key.destination_port_be,
		rte_cpu_to_be_16(first)
	);
	CU_ASSERT_EQUAL(nat->nb_cut_short, 1);
	CU_ASSERT_EQUAL(open_one(IPPROTO_TCP, SL_TCP_ESTABLISHED), SL_NO_FLOW);
	CU_ASSERT_EQUAL(nat->nb_exhausted, 1);
	// After its time a tuple is as any other.
	close_one(index);
	pass_ds(2400);
	CU_ASSERT_NOT_EQUAL(open_one(IPPROTO_TCP, SL_TCP_ESTABLISHED), SL_NO_FLOW);
	CU_ASSERT_EQUAL(nat->nb_cut_short, 1);
	end_one();
}

static void
test_oldest_rest(void)
{
	struct sl_nat *nat = sl_nat_create(64, SOCKET_ID_ANY);
	rte_be16_t ports[8];
	uint32_t index[8];

	begin_one(nat, 30000, 30007);
	for (unsigned i = 0; i < 8; i++) {
		index[i] = open_one(IPPROTO_TCP, SL_TCP_ESTABLISHED);
		ports[i] = sl_flow_at(workers[0].flows, index[i])->key.destination_port_be;
	}
	for (unsigned i = 0; i < 8; i++) {
		close_one(index[(i + 3) % 8]);
		pass_ds(1);
	}
	for (unsigned i = 0; i < 8; i++) {
		uint32_t again = open_one(IPPROTO_TCP, SL_TCP_ESTABLISHED);

		CU_ASSERT_EQUAL(
			sl_flow_at(workers[0].flows, again)->key.destination_port_be,
			ports[(i + 3) % 8]
		);
	}
	CU_ASSERT_EQUAL(nat->nb_cut_short, 8);
	end_one();
}

static void
test_eviction(void)
{
	struct sl_nat *nat = sl_nat_create(64, SOCKET_ID_ANY);
	struct sl_flow *f;
	uint32_t index[4];

	begin_one(nat, 30000, 30003);
	for (unsigned i = 0; i < 4; i++) {
		index[i] = open_one(IPPROTO_UDP, 0);
		f = sl_flow_at(workers[0].flows, index[i]);
		f->last_seen_ds = workers[0].now_ds;
	}
	CU_ASSERT_EQUAL(open_one(IPPROTO_UDP, 0), SL_NO_FLOW);
	pass_ds(SL_NAT_EVICT_IDLE_S * 10);
	// Queries of our own, and who was heard lately, are left alone.
	for (unsigned i = 1; i < 4; i++) {
		f = sl_flow_at(workers[0].flows, index[i]);
		f->kind = SL_FLOW_HOST;
		f->last_seen_ds -= i == 2 ? 20 : 0;
		CU_ASSERT_TRUE(sl_flow_index_flow_key(workers[0].flows, index[i], 0));
	}
	sl_flow_at(workers[0].flows, index[3])->last_seen_ds = workers[0].now_ds;
	CU_ASSERT_NOT_EQUAL(open_one(IPPROTO_UDP, 0), SL_NO_FLOW);
	CU_ASSERT_EQUAL(sl_flow_at(workers[0].flows, index[2])->kind, SL_FLOW_FREE);
	CU_ASSERT_NOT_EQUAL(open_one(IPPROTO_UDP, 0), SL_NO_FLOW);
	CU_ASSERT_EQUAL(sl_flow_at(workers[0].flows, index[1])->kind, SL_FLOW_FREE);
	CU_ASSERT_EQUAL(open_one(IPPROTO_UDP, 0), SL_NO_FLOW);
	CU_ASSERT(nat->nb_evicted == 2 && nat->nb_exhausted == 2);
	end_one();
}

static void
test_established_stays(void)
{
	struct sl_nat *nat = sl_nat_create(64, SOCKET_ID_ANY);
	struct sl_flow *f;

	begin_one(nat, 30000, 30000);
	f = sl_flow_at(workers[0].flows, open_one(IPPROTO_TCP, SL_TCP_ESTABLISHED));
	f->kind = SL_FLOW_HOST;
	CU_ASSERT_TRUE(
		sl_flow_index_flow_key(workers[0].flows, (uint32_t)(f - workers[0].flows->flows), 0)
	);
	pass_ds(36000);
	CU_ASSERT_EQUAL(open_one(IPPROTO_TCP, SL_TCP_SYN_SENT), SL_NO_FLOW);
	f->tcp = SL_TCP_SYN_SENT; // half open, and idle for an hour
	CU_ASSERT_NOT_EQUAL(open_one(IPPROTO_TCP, SL_TCP_SYN_SENT), SL_NO_FLOW);
	CU_ASSERT_EQUAL(nat->nb_evicted, 1);
	end_one();
}

static void
test_addresses(void)
{
	struct sl_nat *nat = sl_nat_create(0, SOCKET_ID_ANY);
	unsigned nb[3] = { 0 };
	uint32_t index;

	begin_one(nat, 30000, 30009);
	nat->nb_addresses = 3;
	for (unsigned i = 0; i < 3; i++)
		nat->addresses[i] = rte_cpu_to_be_32(0x0a4d5310 + i);
	// A host sees one of them until its ports are used up, then the others.
	for (unsigned i = 0; i < 30; i++) {
		const struct sl_flow *f;

		index = open_one(IPPROTO_TCP, SL_TCP_ESTABLISHED);
		CU_ASSERT_NOT_EQUAL_FATAL(index, SL_NO_FLOW);
		f = sl_flow_at(workers[0].flows, index);
		nb[rte_be_to_cpu_32(sl_ip4_unmap(f->key.destination)) - 0x0a4d5310]++;
		if (i == 9)
			CU_ASSERT(nb[0] == 10 || nb[1] == 10 || nb[2] == 10);
	}
	CU_ASSERT(nb[0] == 10 && nb[1] == 10 && nb[2] == 10);
	CU_ASSERT_EQUAL(open_one(IPPROTO_TCP, SL_TCP_ESTABLISHED), SL_NO_FLOW);
	end_one();
}

static void
test_full_ring(void)
{
	struct sl_nat *nat = sl_nat_create(4, SOCKET_ID_ANY);

	begin_one(nat, 30000, 39999);
	for (unsigned i = 0; i < 10; i++)
		close_one(open_one(IPPROTO_TCP, SL_TCP_ESTABLISHED));
	CU_ASSERT_EQUAL(sl_nat_nb_resting(nat), 4);
	CU_ASSERT_EQUAL(nat->nb_cut_short, 6);
	CU_ASSERT_EQUAL(nat->rest_index.nb_used, 4);
	end_one();
}

static const struct sl_test_case cases[] = {
	{ "nat: every port once a destination, none of a lane, at its owner alone",
	  test_exhaustion },
	{ "nat: a port is free again when its flow is", test_release },
	{ "nat: a wide range of lane ports keeps no flow from its own", test_wide_lane_range },
	{ "nat: without a route there is no address", test_route },
	{ "nat: a closed tuple rests for 2 MSL, unless nothing else is left", test_rest },
	{ "nat: the tuple that has rested longest is taken first", test_oldest_rest },
	{ "nat: when none is left the flow idle longest makes room", test_eviction },
	{ "nat: an established connection never makes room", test_established_stays },
	{ "nat: a host sees one address until its ports are used up, then the next",
	  test_addresses },
	{ "nat: rests are bounded, the oldest goes first", test_full_ring },
};

int
main(int argc, char **argv)
{
	return sl_test_main(argc, argv, cases, RTE_DIM(cases), setup, teardown);
}
