// A million flows at once through both graphs: from ten thousand clients to a hundred private hosts,
// all from the one address of a connector. Each packet is held to what it has to be where it arrives.
#include "../bench/rounds.h"
#include "../bench/traffic.h"
#include "sl_test.h"

#include <sluice/dp/flow_table.h>
#include <stdlib.h>

#define MILLION 1000000u
#define HOSTS   100u

static int
setup(void)
{
	static const struct sl_eal_conf eal = { .name = "sl_million", .memory_mb = 1500 };

	return sl_eal_start(&eal);
}

static int
teardown(void)
{
	sl_eal_stop();
	return 0;
}

// No two flows to one host have the same port, and each port serves flows to many hosts.
static void
expect_reuse(const struct bench_rounds *r)
{
	bool *taken = calloc(HOSTS, 65536 * sizeof(*taken)), *used = calloc(65536, sizeof(*used));
	unsigned nb_twice = 0, nb_ports = 0;

	CU_ASSERT_FATAL(taken != NULL && used != NULL);
	for (uint32_t flow = 0; flow < MILLION; flow++) {
		uint32_t host = bench_flow_of(&r->world->size, flow).name;
		uint16_t port = r->nat_ports[flow];

		nb_twice += taken[host * 65536 + port];
		taken[host * 65536 + port] = true;
		nb_ports += !used[port];
		used[port] = true;
	}
	CU_ASSERT_EQUAL(nb_twice, 0);
	CU_ASSERT(nb_ports < 65536);
	sl_test_note("%u flows by %u ports of one address", MILLION, nb_ports);
	free(taken);
	free(used);
}

static void
test_million(void)
{
	struct bench_size size = { .nb_flows = MILLION,
				   .nb_clients = 10000,
				   .nb_sessions = 1,
				   .nb_names = HOSTS,
				   .cipher = SL_CIPHER_AES256_GCM };
	struct bench_rounds *r = bench_rounds_create(&size, 64, MILLION);

	bench_rounds_open(r);
	CU_ASSERT_EQUAL(r->world->pop.worker->flows->nb_used, MILLION);
	CU_ASSERT_EQUAL(r->world->connector.worker->flows->nb_used, MILLION);
	expect_reuse(r);
	// All stand at once: each is used both ways once more.
	bench_rounds_exchange(r, MILLION / BENCH_BATCH_PKTS + 1);
	CU_ASSERT_EQUAL(bench_rounds_faults(r), 0);
	CU_ASSERT_EQUAL(r->world->connector.worker->flows->nb_used, MILLION);
	bench_rounds_destroy(r);
}

static const struct sl_test_case cases[] = {
	{ "B8: a million flows to a hundred hosts from one address go both ways through both "
	  "graphs",
	  test_million },
};

int
main(int argc, char **argv)
{
	return sl_test_main(argc, argv, cases, RTE_DIM(cases), setup, teardown);
}
