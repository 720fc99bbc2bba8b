// Source ports of a node's own: used again across destinations, never twice for one, exhausted in
// the end, and always such that the answer comes to the worker that chose.
#include "sl_test.h"

#include <sluice/dp/dp.h>
#include <sluice/dp/inner.h>
#include <sluice/dp/nat.h>
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

static const struct sl_test_case cases[] = {
	{ "nat: every port once a destination, none of a lane, at its owner alone",
	  test_exhaustion },
	{ "nat: a port is free again when its flow is", test_release },
	{ "nat: a wide range of lane ports keeps no flow from its own", test_wide_lane_range },
	{ "nat: without a route there is no address", test_route },
};

int
main(int argc, char **argv)
{
	return sl_test_main(argc, argv, cases, RTE_DIM(cases), setup, teardown);
}
