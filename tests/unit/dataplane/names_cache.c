// The connector's cache of private addresses: what was put last is found until it expires.
#include "sl_test.h"

#include <sluice/dp/dp.h>
#include <sluice/dp/names_cache.h>
#include <sluice/proto/wire.h>
#include <stdio.h>
#include <string.h>

static int
setup(void)
{
	static const struct sl_eal_conf eal = { .name = "sl_names", .memory_mb = 64 };

	return sl_eal_start(&eal);
}

static int
teardown(void)
{
	sl_eal_stop();
	return 0;
}

static struct sl_mail
mail_of(unsigned i, uint16_t tenant, uint32_t ttl_s)
{
	struct sl_mail mail = { .kind = SL_MAIL_NAME,
				.tenant = tenant,
				.ttl_s = ttl_s,
				.nb_addresses = 2,
				.addresses = { i, i + 1 } };

	mail.name_bytes = (uint8_t)snprintf(mail.name, sizeof(mail.name), "host%u.corp.example", i);
	return mail;
}

static struct sl_names_entry *
find(struct sl_names_cache *c, unsigned i, uint16_t tenant, uint64_t now_ns)
{
	struct sl_mail mail = mail_of(i, tenant, 0);

	return sl_names_cache_find(c, tenant, mail.name, mail.name_bytes, now_ns);
}

static void
test_life(void)
{
	struct sl_names_cache *c = sl_names_cache_create(64, SOCKET_ID_ANY);
	struct sl_mail mail = mail_of(1, 7, 30);
	struct sl_names_entry *e;

	CU_ASSERT_PTR_NOT_NULL_FATAL(c);
	CU_ASSERT_PTR_NULL(find(c, 1, 7, SL_NS_PER_S));
	sl_names_cache_put(c, &mail, SL_NS_PER_S);
	e = find(c, 1, 7, 30 * SL_NS_PER_S);
	CU_ASSERT_PTR_NOT_NULL_FATAL(e);
	CU_ASSERT_EQUAL(e->nb_addresses, 2);
	CU_ASSERT_EQUAL(e->addresses[1], 2);
	CU_ASSERT_PTR_NULL(find(c, 1, 8, 30 * SL_NS_PER_S)); // of another tenant
	CU_ASSERT_PTR_NULL(find(c, 2, 7, 30 * SL_NS_PER_S));
	CU_ASSERT_PTR_NULL(find(c, 1, 7, 31 * SL_NS_PER_S));
	// The newest word holds, also that there is no such name.
	mail.nb_addresses = 0;
	mail.reason = SL_CLOSE_NO_NAME;
	sl_names_cache_put(c, &mail, 40 * SL_NS_PER_S);
	e = find(c, 1, 7, 41 * SL_NS_PER_S);
	CU_ASSERT(e != NULL && e->nb_addresses == 0 && e->reason == SL_CLOSE_NO_NAME);
	sl_names_cache_destroy(c);
}

static void
test_crowded(void)
{
	struct sl_names_cache *c = sl_names_cache_create(64, SOCKET_ID_ANY);
	unsigned nb_found = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(c);
	for (unsigned i = 0; i < 1000; i++) {
		struct sl_mail mail = mail_of(i, 0, 30 + i);
		struct sl_names_entry *e;

		sl_names_cache_put(c, &mail, SL_NS_PER_S);
		e = find(c, i, 0, SL_NS_PER_S);
		CU_ASSERT(e != NULL && e->addresses[0] == i);
	}
	for (unsigned i = 0; i < 1000; i++)
		nb_found += find(c, i, 0, SL_NS_PER_S) != NULL;
	CU_ASSERT_EQUAL(nb_found, 64);
	sl_names_cache_destroy(c);
}

static const struct sl_test_case cases[] = {
	{ "names cache: a name is there for its TTL, for its tenant, as last told", test_life },
	{ "names cache: when crowded it holds what it can, the newest always", test_crowded },
};

int
main(int argc, char **argv)
{
	return sl_test_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]), setup, teardown);
}
