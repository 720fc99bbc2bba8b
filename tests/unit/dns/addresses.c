#include "fixture.h"

#include <errno.h>

static const char *const wild[] = { "*.dev.corp" };
static const char *const exact[] = { "git.corp" };

static struct fake_store store;

static struct sl_policy *
make_policy(uint32_t generation, uint32_t names_max)
{
	struct sl_policy_resource list[] = { open_resource(1, wild, GROUP_A),
					     open_resource(2, exact, GROUP_A) };

	list[0].names_max = names_max;
	return build_policy(list, 2, generation);
}

static struct sl_addresses *
make_table(uint8_t pool_bits, uint32_t names_max, uint32_t client_names_max)
{
	struct sl_addresses_config config;

	memset(&store, 0, sizeof(store));
	config = table_config(&store, pool_bits, names_max);
	config.client_names_max = client_names_max;
	return sl_addresses_create(&config);
}

static enum sl_name_state
state_of(const struct sl_addresses *t, uint32_t id)
{
	struct sl_name_info info;

	CU_ASSERT_TRUE_FATAL(sl_addresses_info(t, id, &info));
	return info.state;
}

static uint32_t
address_of(const struct sl_addresses *t, uint32_t id)
{
	struct sl_name_info info;

	CU_ASSERT_TRUE_FATAL(sl_addresses_info(t, id, &info));
	return info.address;
}

static bool
look_up(const struct sl_addresses *t, const struct sl_policy *p, const char *text)
{
	struct sl_assigned assigned;
	struct sl_name name;

	CU_ASSERT_EQUAL_FATAL(sl_name_from_text(&name, text), SL_NAME_OK);
	return sl_addresses_lookup(t, p, &name, sl_name_hash(&name, &fixture_key), &assigned);
}

static void
test_pending(void)
{
	struct sl_policy *p = make_policy(1, 0);
	struct sl_addresses *t = make_table(24, 10, 0);
	struct sl_claim claim = { .policy = p, .client_groups = GROUP_A, .client = 1, .now_s = 10 };
	struct sl_name name;
	uint32_t id, again, first;

	CU_ASSERT_EQUAL(sl_name_from_text(&name, "a.dev.corp"), SL_NAME_OK);
	CU_ASSERT_EQUAL(sl_addresses_claim(t, &claim, &name, &id), SL_CLAIM_PENDING);
	CU_ASSERT_EQUAL(sl_addresses_claim(t, &claim, &name, &again), SL_CLAIM_PENDING);
	CU_ASSERT_EQUAL(again, id);
	CU_ASSERT_EQUAL(store.nb_bound, 1);
	first = store.address;
	// Until the store has said so, no answer carries it and no packet finds it.
	CU_ASSERT_FALSE(look_up(t, p, "a.dev.corp"));
	CU_ASSERT_EQUAL(sl_addresses_at(t, first), SL_NO_NAME);
	CU_ASSERT_EQUAL(sl_addresses_bound(t, id, SL_LEASE_TAKEN, 0, 11), SL_CLAIM_PENDING);
	CU_ASSERT_NOT_EQUAL(store.address, first);
	CU_ASSERT_EQUAL(
		sl_addresses_bound(t, id, SL_LEASE_BOUND, store.address, 11), SL_CLAIM_LIVE
	);
	CU_ASSERT_TRUE(look_up(t, p, "a.dev.corp"));
	CU_ASSERT_EQUAL(sl_addresses_at(t, store.address), id);
	CU_ASSERT_EQUAL(sl_addresses_at(t, first), SL_NO_NAME);
	// What the client may not see, or is no resource, gets none.
	claim.client_groups = GROUP_B;
	CU_ASSERT_EQUAL(sl_addresses_claim(t, &claim, &name, &id), SL_CLAIM_NOT_A_RESOURCE);
	sl_addresses_free(t);
	sl_policy_free(p);
}

// The same key, the same names, another order: the same addresses, but where two met.
static void
test_preferred(void)
{
	struct sl_policy *p = make_policy(1, 0);
	uint32_t address[2][50];
	unsigned nb_same = 0;

	for (unsigned round = 0; round < 2; round++) {
		struct sl_addresses *t = make_table(16, 50, 0);

		for (unsigned i = 0; i < 50; i++) {
			unsigned k = round == 0 ? i : 49 - i;
			char text[32];
			uint32_t id;

			snprintf(text, sizeof(text), "n%u.dev.corp", k);
			id = give_name(t, &store, p, text, 1, 1);
			CU_ASSERT_NOT_EQUAL_FATAL(id, SL_NO_NAME);
			address[round][k] = address_of(t, id);
		}
		sl_addresses_free(t);
	}
	for (unsigned k = 0; k < 50; k++)
		nb_same += address[0][k] == address[1][k];
	CU_ASSERT(nb_same >= 48);
	sl_policy_free(p);
}

static void
test_quotas(void)
{
	struct sl_policy *p = make_policy(1, 6);
	struct sl_addresses *t = make_table(24, 50, 4);
	struct sl_claim claim = { .policy = p, .client_groups = GROUP_A, .now_s = 10 };
	static const struct {
		uint32_t client;
		enum sl_claim_verdict verdict;
	} rows[] = {
		{ 1, SL_CLAIM_PENDING },        { 1, SL_CLAIM_PENDING },
		{ 1, SL_CLAIM_PENDING },        { 1, SL_CLAIM_PENDING },
		{ 1, SL_CLAIM_CLIENT_QUOTA },   { 2, SL_CLAIM_PENDING },
		{ 2, SL_CLAIM_PENDING },        { 2, SL_CLAIM_RESOURCE_QUOTA },
		{ 3, SL_CLAIM_RESOURCE_QUOTA },
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sl_name name;
		char text[32];
		uint32_t id;

		snprintf(text, sizeof(text), "n%u.dev.corp", i);
		CU_ASSERT_EQUAL(sl_name_from_text(&name, text), SL_NAME_OK);
		claim.client = rows[i].client;
		SL_ASSERT_ROW(sl_addresses_claim(t, &claim, &name, &id) == rows[i].verdict, text);
	}
	// Exact names are nobody's quota.
	CU_ASSERT_NOT_EQUAL(give_name(t, &store, p, "git.corp", UINT32_MAX, 10), SL_NO_NAME);
	sl_addresses_free(t);
	sl_policy_free(p);
}

// A client's idle names make room for its new ones, wherever in a large table they are.
static void
test_quota_of_many(void)
{
	struct sl_policy *p = make_policy(1, 0);
	struct sl_addresses *t = make_table(12, 70000, 4);
	struct sl_claim claim = { .policy = p, .client_groups = GROUP_A, .client = 20000 };
	struct sl_addresses_stats stats;
	struct sl_name name;
	char text[32];
	uint32_t id;

	for (uint32_t i = 0; i < 66004; i++) {
		snprintf(text, sizeof(text), "n%u.dev.corp", i);
		id = give_name(t, &store, p, text, i < 66000 ? i / 4 : claim.client, 10);
		CU_ASSERT_NOT_EQUAL_FATAL(id, SL_NO_NAME);
	}
	CU_ASSERT_EQUAL(sl_name_from_text(&name, "more.dev.corp"), SL_NAME_OK);
	for (claim.now_s = 1000; claim.now_s < 1003; claim.now_s++)
		CU_ASSERT_EQUAL(sl_addresses_claim(t, &claim, &name, &id), SL_CLAIM_CLIENT_QUOTA);
	sl_addresses_stats(t, &stats);
	CU_ASSERT_EQUAL(stats.nb_state[SL_NAME_DRAINING], 4);
	while (claim.now_s < 1200 && stats.nb_state[SL_NAME_DRAINING] != 0) {
		sl_addresses_poll(t, 70000, ++claim.now_s);
		sl_addresses_stats(t, &stats);
	}
	CU_ASSERT_EQUAL(sl_addresses_claim(t, &claim, &name, &id), SL_CLAIM_PENDING);
	sl_addresses_free(t);
	sl_policy_free(p);
}

static void
test_exhaustion(void)
{
	struct sl_policy *p = make_policy(1, 0);
	struct sl_addresses *t = make_table(28, 100, 0); // 14 addresses
	struct sl_addresses_stats stats;
	char text[32];

	for (unsigned i = 0; i < 14; i++) {
		snprintf(text, sizeof(text), "n%u.dev.corp", i);
		CU_ASSERT_NOT_EQUAL(give_name(t, &store, p, text, 1, 1), SL_NO_NAME);
	}
	CU_ASSERT_EQUAL(give_name(t, &store, p, "more.dev.corp", 1, 1), SL_NO_NAME);
	sl_addresses_stats(t, &stats);
	CU_ASSERT_EQUAL(stats.nb_exhausted, 1);
	CU_ASSERT_EQUAL(stats.nb_state[SL_NAME_LIVE], 14);
	// A full store queue gives the record back.
	store.is_full = true;
	CU_ASSERT_EQUAL(give_name(t, &store, p, "busy.dev.corp", 1, 1), SL_NO_NAME);
	sl_addresses_free(t);
	sl_policy_free(p);
}

// The oldest idle name goes first; drain, quarantine, then free; a flow or a question keeps it.
static void
test_life(void)
{
	struct sl_policy *p = make_policy(1, 0);
	struct sl_addresses *t = make_table(28, 14, 0);
	uint32_t id[14], old_address, now_s = 1000, q_s, exact_id;
	struct sl_choice choice;
	char text[32];

	exact_id = give_name(t, &store, p, "git.corp", UINT32_MAX, 1);
	for (unsigned i = 1; i < 14; i++) {
		snprintf(text, sizeof(text), "n%u.dev.corp", i);
		id[i] = give_name(t, &store, p, text, 1, 100 + i);
		CU_ASSERT_NOT_EQUAL_FATAL(id[i], SL_NO_NAME);
		sl_addresses_use(t, id[i], i == 5 ? now_s : 200 + i); // 5 is in use
	}
	sl_addresses_poll(t, 1000, now_s);
	CU_ASSERT_EQUAL(state_of(t, exact_id), SL_NAME_LIVE);
	CU_ASSERT_EQUAL(state_of(t, id[5]), SL_NAME_LIVE);
	CU_ASSERT_EQUAL(state_of(t, id[1]), SL_NAME_DRAINING);
	old_address = address_of(t, id[1]);
	// Draining: no answer carries it, packets still are its own.
	CU_ASSERT_FALSE(look_up(t, p, "n1.dev.corp"));
	CU_ASSERT_EQUAL(sl_addresses_at(t, old_address), id[1]);
	// Asked again: live again, at once.
	CU_ASSERT_EQUAL(give_name(t, &store, p, "n2.dev.corp", 1, now_s), id[2]);
	CU_ASSERT_EQUAL(state_of(t, id[2]), SL_NAME_LIVE);
	// A flow holds its drain open however long it lasts.
	for (q_s = now_s; q_s < now_s + 1000; q_s += 20) {
		sl_addresses_use(t, id[1], q_s);
		sl_addresses_poll(t, 1000, q_s);
		CU_ASSERT_EQUAL(state_of(t, id[1]), SL_NAME_DRAINING);
	}
	// Not before the TTL (60) and the drain (60) are over.
	sl_addresses_poll(t, 1000, q_s + 100);
	CU_ASSERT_EQUAL(state_of(t, id[1]), SL_NAME_DRAINING);
	q_s += 200;
	sl_addresses_poll(t, 1000, q_s);
	CU_ASSERT_EQUAL(state_of(t, id[1]), SL_NAME_QUARANTINED);
	CU_ASSERT(store.nb_retired >= 1);
	CU_ASSERT_EQUAL(sl_addresses_at(t, old_address), SL_NO_NAME);
	CU_ASSERT_EQUAL(
		sl_addresses_choose(
			t, p, old_address, GROUP_A, IPPROTO_TCP, 80, q_s, &choice, &exact_id
		),
		SL_CHOICE_UNKNOWN
	);
	// Out of quarantine by asking: durable anew, the same address.
	store.nb_bound = 0;
	CU_ASSERT_EQUAL(give_name(t, &store, p, "n1.dev.corp", 1, q_s + 10), id[1]);
	CU_ASSERT_EQUAL(store.nb_bound, 1);
	CU_ASSERT_EQUAL(address_of(t, id[1]), old_address);
	// Others reach the end of theirs: a drain of 60 s and a day, after what was long unused.
	CU_ASSERT_EQUAL(store.nb_released, 0);
	sl_addresses_poll(t, 1000, now_s + 60 + 86400);
	CU_ASSERT_EQUAL(store.nb_released, 0);
	CU_ASSERT(sl_addresses_poll(t, 1000, q_s + 86401) > 0);
	CU_ASSERT(store.nb_released > 0);
	sl_addresses_free(t);
	sl_policy_free(p);
}

static void
test_reload(void)
{
	struct sl_policy *p1 = make_policy(1, 0), *p2, *p3;
	struct sl_addresses *t = make_table(24, 10, 0);
	struct sl_policy_resource list[] = { open_resource(2, exact, GROUP_B) };
	uint32_t id = give_name(t, &store, p1, "git.corp", UINT32_MAX, 1), got;
	uint32_t wild_id = give_name(t, &store, p1, "a.dev.corp", 1, 1);
	struct sl_assigned a;
	struct sl_choice c;
	struct sl_name name;
	uint64_t hash;

	p2 = build_policy(list, 1, 2);
	list[0].groups = GROUP_A | GROUP_B;
	p3 = build_policy(list, 1, 3);
	CU_ASSERT_EQUAL(sl_name_from_text(&name, "git.corp"), SL_NAME_OK);
	hash = sl_name_hash(&name, &fixture_key);
	// Each policy sees its own, whether or not the names were compiled for it.
	for (unsigned round = 0; round < 2; round++) {
		CU_ASSERT_TRUE(sl_addresses_lookup(t, p1, &name, hash, &a) && a.groups == GROUP_A);
		CU_ASSERT_TRUE(sl_addresses_lookup(t, p2, &name, hash, &a) && a.groups == GROUP_B);
		CU_ASSERT_TRUE(sl_addresses_lookup(t, p3, &name, hash, &a) && a.groups == 3);
		CU_ASSERT_EQUAL(a.name_id, id);
		CU_ASSERT_TRUE(sl_addresses_compile(t, p2, 1000, 5));
	}
	CU_ASSERT_FALSE(sl_addresses_compile(t, p3, 3, 5)); // in portions
	CU_ASSERT_TRUE(sl_addresses_compile(t, p3, 1000, 5));
	// The grant is re-read by flows at once, and the wildcard that is gone drains.
	CU_ASSERT_EQUAL(
		sl_addresses_choose(t, p2, a.address, GROUP_A, IPPROTO_TCP, 80, 5, &c, &got),
		SL_CHOICE_UNKNOWN
	);
	CU_ASSERT_EQUAL(got, SL_NO_NAME);
	CU_ASSERT_EQUAL(
		sl_addresses_choose(t, p2, a.address, GROUP_B, IPPROTO_TCP, 80, 5, &c, &got),
		SL_CHOICE_ADMITTED
	);
	CU_ASSERT_EQUAL(got, id);
	CU_ASSERT_EQUAL(state_of(t, wild_id), SL_NAME_DRAINING);
	sl_addresses_free(t);
	sl_policy_free(p1);
	sl_policy_free(p2);
	sl_policy_free(p3);
}

static void
test_restore(void)
{
	struct sl_policy *p = make_policy(1, 0);
	struct sl_addresses *t = make_table(24, 4, 0);

	CU_ASSERT_EQUAL(sl_addresses_restore(t, "a.dev.corp", POOL + 7, false, 0, 50), 0);
	CU_ASSERT_EQUAL(sl_addresses_restore(t, "b.dev.corp", POOL + 8, true, 86000, 50), 0);
	CU_ASSERT_EQUAL(sl_addresses_restore(t, "c.dev.corp", POOL + 7, false, 0, 50), -EEXIST);
	CU_ASSERT_EQUAL(sl_addresses_restore(t, "a.dev.corp", POOL + 9, false, 0, 50), -EEXIST);
	CU_ASSERT_EQUAL(sl_addresses_restore(t, "d.dev.corp", POOL - 1, false, 0, 50), -EINVAL);
	CU_ASSERT_TRUE(look_up(t, p, "a.dev.corp"));
	CU_ASSERT_FALSE(look_up(t, p, "b.dev.corp"));
	CU_ASSERT_NOT_EQUAL(sl_addresses_at(t, POOL + 7), SL_NO_NAME);
	CU_ASSERT_EQUAL(sl_addresses_at(t, POOL + 8), SL_NO_NAME);
	CU_ASSERT_EQUAL(sl_addresses_poll(t, 100, 50 + 399), 0);
	CU_ASSERT_EQUAL(sl_addresses_poll(t, 100, 50 + 401), 1);
	sl_addresses_free(t);
	sl_policy_free(p);
}

// Against a list: whatever happens, one address is one name's, and a name that lives keeps its own.
static void
test_model(void)
{
	struct sl_policy *p = make_policy(1, 0);
	struct sl_addresses *t = make_table(26, 40, 0);
	uint32_t held[200] = { 0 }, owner[64] = { 0 }, rng = 7, now_s = 1000;
	uint32_t held_s[200] = { 0 };
	unsigned nb_bad = 0, nb_passed_on = 0;

	for (unsigned step = 0; step < 60000; step++) {
		unsigned k = (rng = rng * 1664525u + 1013904223u) >> 16;
		uint32_t id, address;
		char text[32];

		now_s += step % 64 == 0 ? 4000 : 0;
		k %= (step / 5000) % 2 != 0 ? 30 : 200;
		snprintf(text, sizeof(text), "n%u.dev.corp", k);
		id = give_name(t, &store, p, text, 1, now_s);
		if (step % 8 == 0)
			sl_addresses_poll(t, 64, now_s);
		if (id == SL_NO_NAME)
			continue;
		address = address_of(t, id);
		nb_bad += sl_addresses_at(t, address) != id && state_of(t, id) == SL_NAME_LIVE;
		if (held[k] != address) {
			// A new address only after the old one's drain and quarantine.
			nb_bad += held[k] != 0 && now_s - held_s[k] < 86400;
			held[k] = address;
		}
		held_s[k] = now_s;
		if (owner[address - POOL] != k + 1) {
			unsigned was = owner[address - POOL];

			nb_bad += was != 0 && now_s - held_s[was - 1] < 86400;
			nb_passed_on += was != 0;
			owner[address - POOL] = k + 1;
		}
	}
	CU_ASSERT_EQUAL(nb_bad, 0);
	CU_ASSERT(nb_passed_on > 10); // it was a run that tried
	sl_addresses_free(t);
	sl_policy_free(p);
}

static const struct sl_test_case cases[] = {
	{ "addresses: nothing is answered or found before the lease is durable", test_pending },
	{ "addresses: a name's preferred address follows from the key, not from the order",
	  test_preferred },
	{ "A12: quotas of wildcard names per client and per resource", test_quotas },
	{ "A12: a client's idle names make room for its new ones in a table of 70,000",
	  test_quota_of_many },
	{ "A12: a full pool says so and counts it", test_exhaustion },
	{ "A12: drain while used, quarantine, revival at the same address", test_life },
	{ "addresses: a reload is seen at once, compiled or not", test_reload },
	{ "addresses: leases come back from the store as they were", test_restore },
	{ "addresses: no address changes its name within a day of its last answer", test_model },
};

SL_TEST_MAIN(cases)
