// Limits of clients and tenants: held exactly by one worker, and against the sum of all when a
// tenant's clients stand at several; one that is at its limit costs another nothing.
#include "sl_test.h"

#include <netinet/in.h>
#include <sluice/dp/dp.h>
#include <sluice/dp/flow_table.h>
#include <sluice/dp/quota.h>
#include <stdlib.h>
#include <string.h>

#define WORKERS 3u
#define FLOWS   4096u

// Clients 1 and 2 are of tenant 0, 3 of tenant 1; 2 is a prefix.
static struct sl_client clients[4] = {
	[1] = { .is_live = true, .tenant = 0, .prefix_bits = 32 },
	[2] = { .is_live = true, .tenant = 0, .prefix_bits = 24 },
	[3] = { .is_live = true, .tenant = 1, .prefix_bits = 32 },
};
static struct sl_tenant tenants[2];
static struct sl_snapshot snapshot = {
	.clients = clients, .nb_clients = 4, .tenants = tenants, .nb_tenants = 2
};
static struct sl_worker workers[WORKERS], *peers[WORKERS];
static struct sl_quota quotas[WORKERS];
static struct sl_flow_table table = { .nb_flows = FLOWS };

static void
begin(void)
{
	memset(tenants, 0, sizeof(tenants));
	for (uint16_t k = 0; k < WORKERS; k++) {
		memset(&quotas[k], 0, sizeof(quotas[k]));
		CU_ASSERT_EQUAL_FATAL(sl_quota_grow(&quotas[k], 4, 2), 0);
		workers[k] = (struct sl_worker){ .snapshot = &snapshot,
						 .quota = &quotas[k],
						 .flows = &table,
						 .peers = peers,
						 .idx = k,
						 .nb_workers = WORKERS,
						 .now_ns = SL_NS_PER_S };
		peers[k] = &workers[k];
	}
}

static void
end(void)
{
	for (unsigned k = 0; k < WORKERS; k++)
		for (unsigned i = 0; i < SL_QUOTA_PAGES; i++) {
			free(quotas[k].clients[i]);
			if (i < SL_QUOTA_PAGES / 64)
				free(quotas[k].tenants[i]);
		}
}

static void
pass_ns(uint64_t ns)
{
	for (unsigned k = 0; k < WORKERS; k++)
		workers[k].now_ns += ns;
}

// A flow of `client` at worker k, if it may; what was said.
static enum sl_quota_verdict
open_flow(unsigned k, uint32_t client, struct sl_flow *f)
{
	enum sl_quota_verdict v = sl_quota_new_flow(&workers[k], client, IPPROTO_UDP);

	*f = (struct sl_flow){ .kind = SL_FLOW_CLIENT, .pop.client = client };
	if (v == SL_QUOTA_FREE)
		sl_quota_flow_begins(&workers[k], f);
	return v;
}

static void
test_flows(void)
{
	struct sl_flow f[12];

	begin();
	tenants[0].client_limits.flows = 4;
	tenants[0].limits.flows = 6;
	for (unsigned i = 0; i < 4; i++)
		CU_ASSERT_EQUAL(open_flow(0, 1, &f[i]), SL_QUOTA_FREE);
	CU_ASSERT_EQUAL(open_flow(0, 1, &f[11]), SL_QUOTA_CLIENT_FLOWS);
	// The other client of the tenant, at other workers: two more, then the tenant is full.
	CU_ASSERT_EQUAL(open_flow(1, 2, &f[4]), SL_QUOTA_FREE);
	CU_ASSERT_EQUAL(open_flow(2, 2, &f[5]), SL_QUOTA_FREE);
	CU_ASSERT_EQUAL(open_flow(1, 2, &f[11]), SL_QUOTA_TENANT_FLOWS);
	CU_ASSERT_EQUAL(open_flow(2, 2, &f[11]), SL_QUOTA_TENANT_FLOWS);
	// Nothing of this is the other tenant's concern.
	CU_ASSERT_EQUAL(open_flow(1, 3, &f[6]), SL_QUOTA_FREE);
	sl_quota_flow_ends(&workers[0], &f[0]);
	CU_ASSERT_EQUAL(open_flow(2, 2, &f[7]), SL_QUOTA_FREE);
	CU_ASSERT_EQUAL(open_flow(0, 1, &f[11]), SL_QUOTA_TENANT_FLOWS);
	end();
}

static void
test_prefix(void)
{
	struct sl_flow f;

	begin();
	tenants[0].client_limits.flows = 3;
	// Each address of the prefix may be another worker's; the client is one.
	for (unsigned k = 0; k < WORKERS; k++)
		CU_ASSERT_EQUAL(open_flow(k, 2, &f), SL_QUOTA_FREE);
	for (unsigned k = 0; k < WORKERS; k++)
		CU_ASSERT_EQUAL(open_flow(k, 2, &f), SL_QUOTA_CLIENT_FLOWS);
	end();
}

static void
test_rate(void)
{
	struct sl_flow f;
	unsigned nb = 0;

	begin();
	tenants[0].limits.new_flows_per_s = 300;
	for (unsigned i = 0; i < 1000; i++)
		nb += open_flow(i % WORKERS, i % 2 + 1, &f) == SL_QUOTA_FREE;
	// The burst, shared by all workers: each may miss what others took in its first instant.
	CU_ASSERT(nb >= 300 && nb < 300 + WORKERS);
	CU_ASSERT_EQUAL(open_flow(0, 1, &f), SL_QUOTA_TENANT_NEW_FLOWS);
	CU_ASSERT_EQUAL(open_flow(0, 3, &f), SL_QUOTA_FREE);
	// In a second of trying without pause, at whatever workers, as many as one second gives.
	nb = 0;
	for (unsigned i = 0; i < 3000; i++) {
		pass_ns(SL_NS_PER_S / 3000);
		nb += open_flow((unsigned)rand() % WORKERS, 1, &f) == SL_QUOTA_FREE;
	}
	CU_ASSERT(nb >= 298 && nb <= 300);
	// One that had all to itself leaves the others nothing, and the reverse.
	nb = 0;
	for (unsigned i = 0; i < 30000; i++) {
		pass_ns(SL_NS_PER_S / 3000);
		nb += open_flow(i % 100 == 0 ? 1 : 0, 1, &f) == SL_QUOTA_FREE;
	}
	CU_ASSERT(nb >= 2990 && nb <= 3002);
	end();
}

static void
test_client_rate_is_not_charged_for_refusals(void)
{
	struct sl_flow f;

	begin();
	tenants[0].client_limits.new_flows_per_s = 10;
	tenants[0].limits.new_flows_per_s = 5;
	for (unsigned i = 0; i < 5; i++)
		CU_ASSERT_EQUAL(open_flow(0, 1, &f), SL_QUOTA_FREE);
	for (unsigned i = 0; i < 5; i++)
		CU_ASSERT_EQUAL(open_flow(0, 1, &f), SL_QUOTA_TENANT_NEW_FLOWS);
	tenants[0].limits.new_flows_per_s = 0;
	for (unsigned i = 0; i < 5; i++)
		CU_ASSERT_EQUAL(open_flow(0, 1, &f), SL_QUOTA_FREE);
	CU_ASSERT_EQUAL(open_flow(0, 1, &f), SL_QUOTA_CLIENT_NEW_FLOWS);
	end();
}

static void
test_queries(void)
{
	unsigned nb = 0;

	begin();
	tenants[0].client_limits.dns_per_s = 20;
	tenants[0].limits.dns_per_s = 50;
	for (unsigned i = 0; i < 200; i++)
		nb += sl_quota_query(&workers[0], 1) == SL_QUOTA_FREE;
	CU_ASSERT_EQUAL(nb, 20);
	CU_ASSERT_EQUAL(sl_quota_query(&workers[0], 1), SL_QUOTA_CLIENT_DNS);
	CU_ASSERT_EQUAL(sl_quota_query(&workers[1], 2), SL_QUOTA_FREE);
	CU_ASSERT_EQUAL(sl_quota_query(&workers[1], 3), SL_QUOTA_FREE);
	end();
}

static void
test_dns_bytes(void)
{
	begin();
	CU_ASSERT_EQUAL(sl_quota_dns_budget(&workers[0], 1), UINT32_MAX);
	tenants[0].client_limits.dns_bytes_per_s = 1000;
	CU_ASSERT_EQUAL(sl_quota_dns_budget(&workers[0], 1), 1000);
	sl_quota_dns_answered(&workers[0], 1, 400);
	CU_ASSERT_EQUAL(sl_quota_dns_budget(&workers[0], 1), 600);
	sl_quota_dns_answered(&workers[0], 1, 2600); // a long one: two seconds' worth owed
	CU_ASSERT_EQUAL(sl_quota_dns_budget(&workers[0], 1), 0);
	CU_ASSERT_EQUAL(sl_quota_dns_budget(&workers[1], 2), 1000);
	pass_ns(SL_NS_PER_S);
	CU_ASSERT_EQUAL(sl_quota_dns_budget(&workers[0], 1), 0);
	pass_ns(2 * SL_NS_PER_S - SL_NS_PER_S / 2);
	CU_ASSERT_EQUAL(sl_quota_dns_budget(&workers[0], 1), 500);
	pass_ns(100 * SL_NS_PER_S);
	CU_ASSERT_EQUAL(sl_quota_dns_budget(&workers[0], 1), 1000);
	end();
}

static void
test_new_names(void)
{
	unsigned nb = 0;

	begin();
	tenants[0].client_limits.new_names_per_s = 5;
	for (unsigned i = 0; i < 20; i++)
		nb += sl_quota_new_name(&workers[0], 1) == SL_QUOTA_FREE;
	CU_ASSERT_EQUAL(nb, 5);
	CU_ASSERT_EQUAL(sl_quota_new_name(&workers[0], 1), SL_QUOTA_CLIENT_NEW_NAMES);
	CU_ASSERT_EQUAL(sl_quota_new_name(&workers[1], 2), SL_QUOTA_FREE);
	pass_ns(SL_NS_PER_S / 5);
	CU_ASSERT_EQUAL(sl_quota_new_name(&workers[0], 1), SL_QUOTA_FREE);
	end();
}

static void
test_half_open(void)
{
	struct sl_flow f[20];
	unsigned nb = 0;

	begin();
	tenants[0].client_limits.half_open = 8;
	for (unsigned i = 0; i < 20; i++) {
		f[i] = (struct sl_flow){ .kind = SL_FLOW_CLIENT, .pop.client = 1 };
		if (sl_quota_new_flow(&workers[0], 1, IPPROTO_TCP) != SL_QUOTA_FREE)
			continue;
		sl_quota_flow_begins(&workers[0], &f[i]);
		f[i].tcp = SL_TCP_SYN_SENT;
		sl_quota_follow(&workers[0], &f[i], SL_TCP_NONE);
		nb++;
	}
	CU_ASSERT_EQUAL(nb, 8);
	CU_ASSERT_TRUE(sl_quota_is_pressed(&workers[0], 1));
	CU_ASSERT_FALSE(sl_quota_is_pressed(&workers[0], 3));
	CU_ASSERT_EQUAL(sl_quota_new_flow(&workers[0], 1, IPPROTO_TCP), SL_QUOTA_CLIENT_HALF_OPEN);
	CU_ASSERT_EQUAL(sl_quota_new_flow(&workers[0], 1, IPPROTO_UDP), SL_QUOTA_FREE);
	// Answered but not confirmed is half open still; confirmed is not.
	f[0].tcp = SL_TCP_SYN_RECEIVED;
	sl_quota_follow(&workers[0], &f[0], SL_TCP_SYN_SENT);
	CU_ASSERT_EQUAL(sl_quota_new_flow(&workers[0], 1, IPPROTO_TCP), SL_QUOTA_CLIENT_HALF_OPEN);
	f[0].tcp = SL_TCP_ESTABLISHED;
	sl_quota_follow(&workers[0], &f[0], SL_TCP_SYN_RECEIVED);
	CU_ASSERT_EQUAL(sl_quota_new_flow(&workers[0], 1, IPPROTO_TCP), SL_QUOTA_FREE);
	// Ends give back what they had, whatever state they were in.
	for (unsigned i = 0; i < 8; i++)
		sl_quota_flow_ends(&workers[0], &f[i]);
	CU_ASSERT_EQUAL(atomic_load(&sl_quota_client(&workers[0], 1)->nb_half_open), 0);
	CU_ASSERT_EQUAL(atomic_load(&sl_quota_client(&workers[0], 1)->nb_flows), 0);
	end();
}

static void
test_default_half_open(void)
{
	begin();
	CU_ASSERT_EQUAL(
		sl_quota_half_open_max(&workers[0], &tenants[0].client_limits), FLOWS * WORKERS / 8
	);
	end();
}

static const struct sl_test_case cases[] = {
	{ "quota: live flows of a client and of its tenant, across workers", test_flows },
	{ "quota: a client that is a prefix is one client at all workers", test_prefix },
	{ "quota: a tenant's rate holds whichever workers take from it", test_rate },
	{ "quota: what one limit refuses is not taken from another",
	  test_client_rate_is_not_charged_for_refusals },
	{ "quota: DNS queries of a client and of its tenant", test_queries },
	{ "quota: octets of DNS answers may be owed, and are paid back at the rate",
	  test_dns_bytes },
	{ "quota: names that a client asks for first", test_new_names },
	{ "quota: half-open connections of a client are bounded, others are not", test_half_open },
	{ "quota: without a limit a client has an eighth of the node's flows half open",
	  test_default_half_open },
};
SL_TEST_MAIN(cases)
