#include "sl_test.h"
#include "store_kit.h"

#include <errno.h>
#include <lease/pool.h>
#include <lease/schema.h>

static int64_t
number(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *statement;
	int64_t value = -1;

	if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
		return -1;
	if (sqlite3_step(statement) == SQLITE_ROW)
		value = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return value;
}

static void
test_upgrade(void)
{
	static const char *const steps[] = {
		"CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (5)",
		"ALTER TABLE a ADD COLUMN y INTEGER DEFAULT 7",
		"CREATE TABLE b (x INTEGER)",
	};
	static const char *const broken[] = {
		"", "", "", "CREATE TABLE c (x); CREATE TABLE a (x)"
	};
	char why[300] = "";
	sqlite3 *db;

	CU_ASSERT_EQUAL_FATAL(sqlite3_open(":memory:", &db), SQLITE_OK);
	CU_ASSERT_EQUAL(sl_schema_upgrade(db, steps, 1, why, sizeof(why)), 0); // version N-1
	CU_ASSERT_EQUAL(number(db, "PRAGMA user_version"), 1);
	CU_ASSERT_EQUAL(sl_schema_upgrade(db, steps, 3, why, sizeof(why)), 0); // and this one
	CU_ASSERT_EQUAL(number(db, "PRAGMA user_version"), 3);
	CU_ASSERT_EQUAL(number(db, "SELECT x + y FROM a"), 12);
	CU_ASSERT_EQUAL(sl_schema_upgrade(db, steps, 3, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(sl_schema_upgrade(db, steps, 2, why, sizeof(why)), -EPROTO);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "install"));
	// A step that breaks leaves nothing of itself.
	CU_ASSERT_NOT_EQUAL(sl_schema_upgrade(db, broken, 4, why, sizeof(why)), 0);
	CU_ASSERT_EQUAL(number(db, "PRAGMA user_version"), 3);
	CU_ASSERT_EQUAL(number(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'c'"), 0);
	sqlite3_close(db);
}

static void
test_probe(void)
{
	static uint8_t seen[1 << 16];

	for (uint32_t nb = 1; nb <= 1 << 16; nb *= 16) {
		struct sl_pool_tenant *tenant = sl_pool_tenant_new(nb);
		struct sl_probe probe;
		unsigned nb_seen = 0;

		memset(seen, 0, sizeof(seen));
		CU_ASSERT_PTR_NOT_NULL_FATAL(tenant);
		CU_ASSERT_EQUAL(sl_probe_begin(&probe, tenant, "git.corp.example", nb), 0);
		for (uint32_t i = 0; i < nb; i++) {
			uint32_t idx = sl_probe_next(&probe);

			CU_ASSERT_FATAL(idx < nb);
			nb_seen += !seen[idx];
			seen[idx] = 1;
		}
		CU_ASSERT_EQUAL(nb_seen, nb);
		sl_pool_tenant_free(tenant);
	}
}

static void
test_keyed(void)
{
	struct sl_pool_tenant *a = sl_pool_tenant_new(1 << 20), *b = sl_pool_tenant_new(1 << 20);
	unsigned nb_equal = 0;

	memset(a->secret, 1, sizeof(a->secret));
	memset(b->secret, 2, sizeof(b->secret));
	for (unsigned i = 0; i < 1000; i++) {
		struct sl_probe pa, pb, again;
		char name[32];

		snprintf(name, sizeof(name), "n%u.example", i);
		CU_ASSERT_EQUAL(sl_probe_begin(&pa, a, name, 1 << 20), 0);
		CU_ASSERT_EQUAL(sl_probe_begin(&again, a, name, 1 << 20), 0);
		CU_ASSERT_EQUAL(sl_probe_begin(&pb, b, name, 1 << 20), 0);
		CU_ASSERT_EQUAL(pa.at, again.at);
		nb_equal += pa.at == pb.at;
	}
	CU_ASSERT(nb_equal < 5);
	sl_pool_tenant_free(a);
	sl_pool_tenant_free(b);
}

static const struct sl_test_case cases[] = {
	{ "E7: a state one version back is brought up to date, a newer one is refused",
	  test_upgrade },
	{ "pool: a name's sequence meets every address once", test_probe },
	{ "pool: preferred addresses depend on the tenant's secret", test_keyed },
};

SL_TEST_MAIN(cases)
