// Random requests against the plainest thing that could be right: a list of leases, searched.
#include "sl_test.h"
#include "store_kit.h"

#include <sluice/ctrl/clock.h>

#define TENANTS 2u
#define NAMES   40u
#define POOL    32u // 30 can be given
#define STEPS   6000u

struct lease {
	bool there;
	uint8_t state;
	uint32_t address;
	uint64_t until_ns;
};

static struct lease model[TENANTS][NAMES];
static uint64_t now_ns;

static void
end_rests(void)
{
	for (unsigned t = 0; t < TENANTS; t++)
		for (unsigned n = 0; n < NAMES; n++)
			if (model[t][n].state == SL_LEASE_RESTING && model[t][n].until_ns <= now_ns)
				model[t][n].there = false;
}

static unsigned
holders(unsigned tenant, uint32_t address)
{
	unsigned nb = 0;

	for (unsigned n = 0; n < NAMES; n++)
		nb += model[tenant][n].there && model[tenant][n].address == address;
	return nb;
}

static unsigned
held(unsigned tenant)
{
	unsigned nb = 0;

	for (unsigned n = 0; n < NAMES; n++)
		nb += model[tenant][n].there;
	return nb;
}

static void
step_acquire(struct sl_store *store, unsigned tenant, unsigned n)
{
	struct lease *lease = &model[tenant][n];
	struct sl_store_done done;
	char name[32];

	snprintf(name, sizeof(name), "n%u.example", n);
	// Another tenant has the same names and addresses: ids far apart.
	done = kit_acquire(store, (uint16_t)(1 + tenant * 65000), name);
	if (lease->there) {
		CU_ASSERT_EQUAL(done.status, SL_STORE_OK);
		CU_ASSERT_EQUAL(done.address, lease->address);
		CU_ASSERT_EQUAL(done.state_before, 1 + lease->state);
	} else if (held(tenant) == POOL - 2) {
		CU_ASSERT_EQUAL(done.status, SL_STORE_EXHAUSTED);
		return;
	} else {
		CU_ASSERT_EQUAL(done.status, SL_STORE_OK);
		CU_ASSERT_EQUAL(done.state_before, 0);
		CU_ASSERT(done.address > BASE && done.address < BASE + POOL - 1);
		CU_ASSERT_EQUAL(holders(tenant, done.address), 0);
	}
	*lease = (struct lease){ true, SL_LEASE_ACTIVE, done.address, 0 };
}

static void
step_change(struct sl_store *store, unsigned tenant, unsigned n, unsigned what)
{
	uint64_t rest_ns = (uint64_t)(random() % 100) * NS;
	struct lease *lease = &model[tenant][n];
	uint16_t id = (uint16_t)(1 + tenant * 65000);
	bool can = false;

	if (what == 0) {
		CU_ASSERT_EQUAL(sl_lease_drain(store, 3, id, lease->address), 0);
		can = lease->there && lease->state == SL_LEASE_ACTIVE;
		if (can)
			lease->state = SL_LEASE_DRAINING;
	} else if (what == 1) {
		CU_ASSERT_EQUAL(sl_lease_rest(store, 3, id, lease->address, rest_ns), 0);
		can = lease->there && lease->state != SL_LEASE_RESTING;
		if (can) {
			lease->state = SL_LEASE_RESTING;
			lease->until_ns = now_ns + rest_ns;
		}
	} else {
		CU_ASSERT_EQUAL(sl_lease_reclaim(store, 3, id, lease->address), 0);
		can = lease->there && lease->state == SL_LEASE_RESTING;
		if (can)
			lease->there = false;
	}
	CU_ASSERT_EQUAL(kit_await(store).status, can ? SL_STORE_OK : SL_STORE_NOT_FOUND);
}

static unsigned nb_loaded;

static void
check_lease(void *arg, const struct sl_lease *lease)
{
	const struct lease *is;
	unsigned n;

	(void)arg;
	CU_ASSERT_EQUAL_FATAL(sscanf(lease->name, "n%u.", &n), 1);
	is = &model[lease->tenant == 1 ? 0 : 1][n];
	if (lease->state == SL_LEASE_RESTING && lease->until_ns <= now_ns)
		return; // over, and not yet deleted
	CU_ASSERT_TRUE(is->there);
	CU_ASSERT_EQUAL(is->address, lease->address);
	CU_ASSERT_EQUAL(is->state, lease->state);
	CU_ASSERT_EQUAL(is->state == SL_LEASE_RESTING ? is->until_ns : 0, lease->until_ns);
	nb_loaded++;
}

static struct sl_store *
restart(struct sl_store *store)
{
	sl_store_close(store);
	store = kit_open(POOL);
	nb_loaded = 0;
	CU_ASSERT(sl_lease_load(store, check_lease, NULL) >= 0);
	end_rests();
	CU_ASSERT_EQUAL(nb_loaded, held(0) + held(1));
	CU_ASSERT_EQUAL_FATAL(sl_store_start(store), 0);
	return store;
}

static void
advance(uint64_t by_ns)
{
	sl_clock_advance(by_ns);
	now_ns += by_ns;
}

static void
test_model(void)
{
	struct sl_store *store;

	srandom(3);
	now_ns = 1700000000 * NS;
	sl_clock_freeze(NS, now_ns);
	kit_fresh_dir();
	store = kit_start(POOL);
	for (unsigned i = 0; i < STEPS; i++) {
		unsigned tenant = (unsigned)random() % TENANTS, n = (unsigned)random() % NAMES;
		unsigned what = (unsigned)random() % 100;

		end_rests();
		if (what < 55)
			step_acquire(store, tenant, n);
		// A name that never had an address, or lost it, has one that may be another's by now.
		else if (what < 85 && model[tenant][n].there)
			step_change(store, tenant, n, what % 3);
		else if (what < 99)
			advance((uint64_t)(random() % 10) * NS);
		else
			store = restart(store);
	}
	sl_store_close(store);
	sl_clock_thaw();
	kit_clean();
}

static const struct sl_test_case cases[] = {
	{ "store: random requests and restarts do what a searched list does", test_model },
};

SL_TEST_MAIN(cases)
