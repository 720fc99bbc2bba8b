#include "sl_test.h"
#include "store_kit.h"

#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <sluice/ctrl/clock.h>
#include <sluice/ctrl/log.h>
#include <sluice/ctrl/store.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char why[300];

static void
test_same_name_same_address(void)
{
	struct sl_store *store;
	struct sl_store_done a, b, c, d;

	kit_fresh_dir();
	store = kit_start(256);
	a = kit_acquire(store, 1, "git.corp.example");
	b = kit_acquire(store, 1, "git.corp.example");
	c = kit_acquire(store, 1, "web.corp.example");
	CU_ASSERT_EQUAL(a.status, SL_STORE_OK);
	CU_ASSERT_EQUAL(a.cookie, 7);
	CU_ASSERT_EQUAL(a.state_before, 0);
	CU_ASSERT_EQUAL(b.state_before, 1 + SL_LEASE_ACTIVE);
	CU_ASSERT_EQUAL(a.address, b.address);
	CU_ASSERT_NOT_EQUAL(a.address, c.address);
	sl_store_close(store);
	store = kit_start(256);
	d = kit_acquire(store, 1, "git.corp.example");
	CU_ASSERT_EQUAL(d.address, a.address);
	sl_store_close(store);
	kit_clean();
}

static void
test_exhausted(void)
{
	struct sl_store *store;
	struct sl_store_health health;
	bool seen[16] = { false };
	char name[32];

	kit_fresh_dir();
	store = kit_start(16);
	for (unsigned i = 0; i < 14; i++) {
		struct sl_store_done done;

		snprintf(name, sizeof(name), "n%u.example", i);
		done = kit_acquire(store, 1, name);
		CU_ASSERT_EQUAL(done.status, SL_STORE_OK);
		CU_ASSERT_FATAL(done.address - BASE < 16);
		CU_ASSERT(!seen[done.address - BASE]);
		seen[done.address - BASE] = true;
	}
	CU_ASSERT(!seen[0] && !seen[15]);
	CU_ASSERT_EQUAL(kit_acquire(store, 1, "one.more.example").status, SL_STORE_EXHAUSTED);
	CU_ASSERT_EQUAL(kit_acquire(store, 2, "one.more.example").status, SL_STORE_OK);
	CU_ASSERT_EQUAL(kit_acquire(store, 1, "n3.example").status, SL_STORE_OK);
	sl_store_health(store, &health);
	CU_ASSERT_EQUAL(health.nb_exhausted, 1);
	CU_ASSERT_EQUAL(health.nb_leases, 15);
	CU_ASSERT_EQUAL(health.nb_waiting, 0);
	sl_store_close(store);
	kit_clean();
}

static void
test_rest(void)
{
	struct sl_store *store;
	struct sl_store_done a, b;

	kit_fresh_dir();
	sl_clock_freeze(1000 * NS, 1700000000 * NS);
	store = kit_start(4); // two addresses
	a = kit_acquire(store, 1, "a.example");
	kit_acquire(store, 1, "b.example");
	CU_ASSERT_EQUAL(sl_lease_drain(store, 8, 1, a.address), 0);
	CU_ASSERT_EQUAL(kit_await(store).status, SL_STORE_OK);
	CU_ASSERT_EQUAL(kit_acquire(store, 1, "c.example").status, SL_STORE_EXHAUSTED);
	CU_ASSERT_EQUAL(sl_lease_rest(store, 8, 1, a.address, 86400 * NS), 0);
	CU_ASSERT_EQUAL(kit_await(store).status, SL_STORE_OK);
	sl_clock_advance(86399 * NS);
	sl_clock_step_wall((int64_t)(86400 * NS)); // a stepped clock does not shorten it
	CU_ASSERT_EQUAL(kit_acquire(store, 1, "c.example").status, SL_STORE_EXHAUSTED);
	sl_clock_advance(2 * NS);
	b = kit_acquire(store, 1, "c.example");
	CU_ASSERT_EQUAL(b.status, SL_STORE_OK);
	CU_ASSERT_EQUAL(b.address, a.address);
	CU_ASSERT_EQUAL(sl_lease_drain(store, 8, 1, BASE + 3), 0);
	CU_ASSERT_EQUAL(kit_await(store).status, SL_STORE_NOT_FOUND);
	sl_store_close(store);
	sl_clock_thaw();
	kit_clean();
}

static void
test_revive(void)
{
	struct sl_store *store;
	struct sl_store_done a, b;

	kit_fresh_dir();
	store = kit_start(256);
	a = kit_acquire(store, 1, "a.example");
	CU_ASSERT_EQUAL(sl_lease_rest(store, 8, 1, a.address, 86400 * NS), 0);
	CU_ASSERT_EQUAL(kit_await(store).status, SL_STORE_OK);
	sl_store_close(store);
	store = kit_start(256);
	b = kit_acquire(store, 1, "a.example");
	CU_ASSERT_EQUAL(b.address, a.address);
	CU_ASSERT_EQUAL(b.state_before, 1 + SL_LEASE_RESTING);
	b = kit_acquire(store, 1, "a.example");
	CU_ASSERT_EQUAL(b.state_before, 1 + SL_LEASE_ACTIVE);
	sl_store_close(store);
	kit_clean();
}

static void
remember(void *arg, const struct sl_lease *lease)
{
	struct sl_lease *to = arg;

	*to = *lease;
	to->name = strcmp(lease->name, "w.dev.example") == 0 ? "w.dev.example" : "?";
	to->owner = strcmp(lease->owner, "laptop") == 0 ? "laptop" : "?";
}

static void
test_load(void)
{
	struct sl_lease lease = { 0 };
	struct sl_store *store;
	struct sl_store_done a;

	kit_fresh_dir();
	sl_clock_freeze(1000 * NS, 1700000000 * NS);
	store = kit_start(256);
	CU_ASSERT_EQUAL(
		sl_lease_acquire(store, 1, 9, "w.dev.example", "laptop", SL_LEASE_WILDCARD), 0
	);
	a = kit_await(store);
	sl_clock_advance(50 * NS);
	sl_lease_touch(store, 9, a.address);
	sl_store_close(store); // writes what waits
	store = kit_open(256);
	CU_ASSERT_EQUAL(sl_lease_load(store, remember, &lease), 1);
	CU_ASSERT_STRING_EQUAL(lease.name, "w.dev.example");
	CU_ASSERT_STRING_EQUAL(lease.owner, "laptop");
	CU_ASSERT_EQUAL(lease.tenant, 9);
	CU_ASSERT_EQUAL(lease.address, a.address);
	CU_ASSERT_EQUAL(lease.flags, SL_LEASE_WILDCARD);
	CU_ASSERT_EQUAL(lease.state, SL_LEASE_ACTIVE);
	CU_ASSERT_EQUAL(lease.used_ns, 1700000050 * NS);
	sl_store_close(store);
	sl_clock_thaw();
	kit_clean();
}

static void
test_clock_floor(void)
{
	struct sl_store *store;

	kit_fresh_dir();
	sl_clock_freeze(1000 * NS, 1700000000 * NS);
	store = kit_start(256);
	kit_acquire(store, 1, "a.example");
	sl_store_close(store);
	sl_clock_freeze(5 * NS, 1600000000 * NS); // rebooted with a dead clock battery
	store = kit_open(256);
	CU_ASSERT_EQUAL(sl_store_wall_ns(store), 1700000000 * NS);
	sl_store_close(store);
	sl_clock_thaw();
	kit_clean();
}

static void
test_pool_moved(void)
{
	struct sl_store_config config = { .dir = dir,
					  .pool = { BASE + 0x10000, 256 },
					  .linger_us = UINT32_MAX };
	struct sl_store *store;
	struct sl_store_done a, b;

	kit_fresh_dir();
	store = kit_start(256);
	a = kit_acquire(store, 1, "a.example");
	sl_store_close(store);
	CU_ASSERT_EQUAL_FATAL(sl_store_open(&store, &config, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(sl_store_start(store), 0);
	b = kit_acquire(store, 1, "a.example");
	CU_ASSERT_EQUAL(b.status, SL_STORE_OK);
	CU_ASSERT_NOT_EQUAL(a.address, b.address);
	CU_ASSERT(b.address - config.pool.base < 256);
	CU_ASSERT_EQUAL(kit_acquire(store, 1, "a.example").address, b.address);
	sl_store_close(store);
	kit_clean();
}

static void
refuse(struct sl_store_config config, int error, const char *words)
{
	struct sl_store *store = NULL;

	why[0] = '\0';
	CU_ASSERT_EQUAL(sl_store_open(&store, &config, why, sizeof(why)), -error);
	CU_ASSERT_PTR_NULL(store);
	SL_ASSERT_ROW(strstr(why, words) != NULL, why);
	sl_store_close(store);
}

static void
test_refusals(void)
{
	struct sl_store_config config = { .dir = dir, .pool = { BASE, 256 } };
	struct sl_store_config odd = { .dir = dir, .pool = { BASE, 100 } };
	struct sl_store *store;
	struct stat st;
	sqlite3 *db;
	char path[100];

	kit_fresh_dir();
	refuse(odd, EINVAL, "prefix");
	CU_ASSERT_EQUAL(chmod(dir, 0750), 0);
	refuse(config, EPERM, "chmod 0700");
	CU_ASSERT_EQUAL(chmod(dir, 0700), 0);
	store = kit_open(256);
	refuse(config, EBUSY, "another sluice");
	sl_store_close(store);
	snprintf(path, sizeof(path), "%s/state.db", dir);
	CU_ASSERT_EQUAL(stat(path, &st), 0);
	CU_ASSERT_EQUAL(sqlite3_open(path, &db), SQLITE_OK);
	CU_ASSERT_EQUAL(sqlite3_exec(db, "PRAGMA user_version = 77", NULL, NULL, NULL), 0);
	sqlite3_close(db);
	refuse(config, EPROTO, "schema 77");
	CU_ASSERT_EQUAL(sqlite3_open(path, &db), SQLITE_OK);
	CU_ASSERT_EQUAL(
		sqlite3_exec(
			db, "PRAGMA user_version = 1; PRAGMA application_id = 5", NULL, NULL, NULL
		),
		0
	);
	sqlite3_close(db);
	refuse(config, EUCLEAN, "another program");
	kit_clean();
}

static void
count_value(void *arg, const char *key, const void *value, size_t nb_bytes)
{
	int *nb = arg;

	if (strcmp(key, "floor/ab") == 0 && nb_bytes == 3 && memcmp(value, "xyz", 3) == 0)
		(*nb)++;
}

static void
test_values(void)
{
	struct sl_store *store;
	int nb = 0;

	kit_fresh_dir();
	store = kit_start(256);
	CU_ASSERT_EQUAL(sl_store_put(store, 5, "floor/ab", "old", 3), 0);
	CU_ASSERT_EQUAL(kit_await(store).cookie, 5);
	CU_ASSERT_EQUAL(sl_store_put(store, 0, "floor/ab", "xyz", 3), 0);
	CU_ASSERT_EQUAL(sl_store_put(store, 0, "floor/cd", "xyz", 3), 0);
	CU_ASSERT_EQUAL(sl_store_put(store, 0, "floor/cd", NULL, 0), 0);
	CU_ASSERT_EQUAL(sl_store_put(store, 0, "endpoint/ab", "xyz", 3), 0);
	sl_store_close(store);
	store = kit_open(256);
	CU_ASSERT_EQUAL(sl_store_values(store, "floor/", count_value, &nb), 1);
	CU_ASSERT_EQUAL(nb, 1);
	sl_store_close(store);
	kit_clean();
}

static void
test_secret(void)
{
	uint8_t a[32], b[32], c[32];
	struct sl_store *store;

	kit_fresh_dir();
	store = kit_open(256);
	CU_ASSERT_EQUAL(sl_store_tenant_secret(store, 1, a), 0);
	CU_ASSERT_EQUAL(sl_store_start(store), 0);
	CU_ASSERT_EQUAL(sl_store_tenant_secret(store, 2, b), 0);
	CU_ASSERT_NOT_EQUAL(memcmp(a, b, 32), 0);
	sl_store_close(store);
	store = kit_open(256);
	CU_ASSERT_EQUAL(sl_store_tenant_secret(store, 1, c), 0);
	CU_ASSERT_EQUAL(memcmp(a, c, 32), 0);
	CU_ASSERT_EQUAL(sl_store_tenant_secret(store, 2, c), 0);
	CU_ASSERT_EQUAL(memcmp(b, c, 32), 0);
	sl_store_close(store);
	kit_clean();
}

static void
last_client(void *arg, const struct sl_store_client *client)
{
	*(struct sl_store_client *)arg = *client;
}

static void
test_clients(void)
{
	struct sl_store_client client = {
		.tenant = "home",
		.name = "phone",
		.groups = "staff dev",
		.public_key = { 1 },
		.psk = { 2 },
		.address = 0x0a090002,
	};
	struct sl_store_client other = client, got = { 0 };
	struct sl_store *store;

	kit_fresh_dir();
	store = kit_start(256);
	CU_ASSERT_EQUAL(sl_store_client_add(store, &client), 0);
	CU_ASSERT_EQUAL(sl_store_client_add(store, &client), -EEXIST);
	strcpy(other.name, "tablet");
	other.address++;
	CU_ASSERT_EQUAL(sl_store_client_add(store, &other), -EEXIST); // the key
	other.public_key[0] = 9;
	CU_ASSERT_EQUAL(sl_store_client_add(store, &other), 0);
	CU_ASSERT_EQUAL(sl_store_client_remove(store, "home", "tablet"), 0);
	CU_ASSERT_EQUAL(sl_store_client_remove(store, "home", "tablet"), -ENOENT);
	sl_store_close(store);
	store = kit_open(256);
	CU_ASSERT_EQUAL(sl_store_clients(store, last_client, &got), 1);
	CU_ASSERT_STRING_EQUAL(got.name, "phone");
	CU_ASSERT_STRING_EQUAL(got.groups, "staff dev");
	CU_ASSERT_EQUAL(got.psk[0], 2);
	CU_ASSERT_EQUAL(got.address, 0x0a090002);
	sl_store_close(store);
	kit_clean();
}

static void
test_full_queue(void)
{
	struct sl_store_config config = { .dir = dir, .pool = { BASE, 256 }, .queue_len = 4 };
	struct sl_store_done done[8];
	struct sl_store *store;
	unsigned nb = 0;

	kit_fresh_dir();
	CU_ASSERT_EQUAL_FATAL(sl_store_open(&store, &config, why, sizeof(why)), 0);
	for (unsigned i = 0; i < 4; i++)
		CU_ASSERT_EQUAL(sl_lease_acquire(store, i + 1, 1, "a.example", "", 0), 0);
	CU_ASSERT_EQUAL(sl_lease_acquire(store, 9, 1, "a.example", "", 0), -EAGAIN);
	CU_ASSERT_EQUAL(sl_store_start(store), 0);
	for (unsigned i = 0; i < 100 && nb < 4; i++) {
		struct pollfd pfd = { .fd = sl_store_fd(store), .events = POLLIN };

		poll(&pfd, 1, 1000);
		nb += sl_store_take(store, done + nb, 1);
	}
	CU_ASSERT_EQUAL(nb, 4);
	CU_ASSERT_EQUAL(kit_acquire(store, 1, "a.example").status, SL_STORE_OK);
	sl_store_close(store);
	kit_clean();
}

static const struct sl_test_case cases[] = {
	{ "store: a name keeps its address, also over a restart", test_same_name_same_address },
	{ "store: a full pool says so and touches no other tenant", test_exhausted },
	{ "A11: an address is given to another name only after its rest", test_rest },
	{ "store: a resting name that is asked for again has its address back", test_revive },
	{ "store: what is loaded is what was leased, last use included", test_load },
	{ "store: time on disk never goes back", test_clock_floor },
	{ "store: names move when the pool is another one", test_pool_moved },
	{ "E7: a newer schema, a foreign file, an open directory are refused with a remedy",
	  test_refusals },
	{ "store: values are kept, replaced and deleted", test_values },
	{ "store: a tenant's secret is made once and kept", test_secret },
	{ "store: added clients are kept and unique", test_clients },
	{ "store: a full queue refuses and recovers", test_full_queue },
};

SL_TEST_MAIN(cases)
