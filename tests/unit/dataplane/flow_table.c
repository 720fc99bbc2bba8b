// The flow table and its index against naive ones.
#include "sl_test.h"

#include <sluice/dp/dp.h>
#include <sluice/dp/flow_table.h>
#include <stdlib.h>
#include <string.h>

#define NB_FLOWS 512u
#define NB_KEYS  1500u
#define NB_STEPS 200000u

static uint64_t seed = 88172645463325252ull;

static uint32_t
draw(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed % below);
}

static int
setup(void)
{
	static const struct sl_eal_conf eal = { .name = "sl_flow_table", .memory_mb = 64 };

	return sl_eal_start(&eal);
}

static int
teardown(void)
{
	sl_eal_stop();
	return 0;
}

static struct sl_flow_key
key_of(uint32_t i)
{
	struct sl_flow_key key = { .source_port_be = (uint16_t)i, .scope_protocol = 6 };

	memcpy(key.destination + 12, &(uint32_t){ i >> 4 }, 4);
	return key;
}

static void
flow_key_of(uint32_t i, uint8_t flow_key[16])
{
	memset(flow_key, 0x5a, 16);
	memcpy(flow_key, &i, 4);
}

static void
compare(const struct sl_flow_table *t, const uint32_t where[NB_KEYS])
{
	struct sl_flow_key keys[64];
	uint32_t found[64], first = draw(NB_KEYS - 64);
	uint8_t flow_key[16];

	for (uint32_t i = 0; i < 64; i++)
		keys[i] = key_of(first + i);
	sl_flow_find_bulk(t, keys, 64, found);
	for (uint32_t i = 0; i < 64; i++) {
		flow_key_of(first + i, flow_key);
		CU_ASSERT_EQUAL_FATAL(found[i], where[first + i]);
		CU_ASSERT_EQUAL_FATAL(sl_flow_find(t, &keys[i]), where[first + i]);
		CU_ASSERT_EQUAL_FATAL(sl_flow_find_by_flow_key(t, 3, flow_key), where[first + i]);
		CU_ASSERT_EQUAL_FATAL(sl_flow_find_by_flow_key(t, 4, flow_key), SL_NO_FLOW);
	}
}

static void
test_model(void)
{
	struct sl_flow_table *t = sl_flow_table_create(NB_FLOWS, 5, true, SOCKET_ID_ANY);
	static uint32_t where[NB_KEYS], given[NB_FLOWS];
	uint64_t now_ns = 1000 * SL_NS_PER_S;
	uint32_t nb = 0, nb_full = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(t);
	for (uint32_t i = 0; i < NB_KEYS; i++)
		where[i] = SL_NO_FLOW;
	for (uint32_t step = 0; step < NB_STEPS; step++) {
		uint32_t i = draw(NB_KEYS);
		struct sl_flow_key key = key_of(i);

		now_ns += 200 * SL_NS_PER_MS;
		if (where[i] != SL_NO_FLOW) {
			sl_flow_del(t, where[i], 3, now_ns);
			where[i] = SL_NO_FLOW;
			nb--;
		} else {
			uint32_t index = sl_flow_add(t, &key, now_ns);
			struct sl_flow *f;

			nb_full += index == SL_NO_FLOW;
			if (index != SL_NO_FLOW) {
				f = sl_flow_at(t, index);
				// Another life of the slot is another generation.
				CU_ASSERT_NOT_EQUAL(f->link.own_generation, 0);
				CU_ASSERT_NOT_EQUAL(f->link.own_generation, given[index]);
				given[index] = f->link.own_generation;
				f->kind = SL_FLOW_HOST;
				flow_key_of(i, f->flow_key);
				CU_ASSERT_TRUE_FATAL(sl_flow_index_flow_key(t, index, 3));
				CU_ASSERT_EQUAL(sl_flow_id(t, index), 5u << 24 | index);
				where[i] = index;
				nb++;
			}
		}
		CU_ASSERT_EQUAL(t->nb_used, nb);
		if (step % 64 == 0)
			compare(t, where);
	}
	CU_ASSERT(nb_full > 0); // it was full at times
	for (uint32_t i = 0; i < NB_KEYS; i++)
		if (where[i] != SL_NO_FLOW)
			sl_flow_del(t, where[i], 3, now_ns);
	CU_ASSERT_EQUAL(t->nb_used, 0);
	CU_ASSERT_EQUAL(t->by_key.nb_used, 0);
	CU_ASSERT_EQUAL(t->by_flow_key.nb_used, 0);
	sl_flow_table_destroy(t);
}

static void
test_rest(void)
{
	struct sl_flow_table *t = sl_flow_table_create(64, 0, false, SOCKET_ID_ANY);
	struct sl_flow_key key = key_of(1);
	uint64_t now_ns = 1000 * SL_NS_PER_S;
	uint32_t index[64];

	CU_ASSERT_PTR_NOT_NULL_FATAL(t);
	for (uint32_t i = 0; i < 64; i++) {
		key = key_of(i);
		index[i] = sl_flow_add(t, &key, now_ns);
		CU_ASSERT_NOT_EQUAL(index[i], SL_NO_FLOW);
	}
	key = key_of(64);
	CU_ASSERT_EQUAL(sl_flow_add(t, &key, now_ns), SL_NO_FLOW);
	sl_flow_del(t, index[7], 0, now_ns);
	CU_ASSERT_EQUAL(sl_flow_add(t, &key, now_ns + 29 * SL_NS_PER_S), SL_NO_FLOW);
	CU_ASSERT_EQUAL(sl_flow_add(t, &key, now_ns + 31 * SL_NS_PER_S), index[7]);
	sl_flow_table_destroy(t);
}

// Queries of our own come and go by the thousand; what peers know of rests meanwhile.
static void
test_own_queries(void)
{
	struct sl_flow_table *t = sl_flow_table_create(64, 0, false, SOCKET_ID_ANY);
	const uint64_t now_ns = 1000 * SL_NS_PER_S;
	struct sl_flow_key key = key_of(0);
	uint32_t told, index;

	CU_ASSERT_PTR_NOT_NULL_FATAL(t);
	told = sl_flow_add(t, &key, now_ns);
	sl_flow_at(t, told)->kind = SL_FLOW_CLIENT;
	sl_flow_del(t, told, 0, now_ns);
	for (uint32_t i = 1; i < 10000; i++) {
		key = key_of(i);
		index = sl_flow_add(t, &key, now_ns);
		CU_ASSERT_NOT_EQUAL_FATAL(index, SL_NO_FLOW);
		CU_ASSERT_NOT_EQUAL(index, told);
		sl_flow_at(t, index)->kind = i % 2 != 0 ? SL_FLOW_QUERY : SL_FLOW_STREAM;
		sl_flow_del(t, index, 0, now_ns);
		CU_ASSERT_EQUAL(sl_flow_find(t, &key), SL_NO_FLOW);
	}
	CU_ASSERT_EQUAL(t->nb_used, 0);
	sl_flow_table_destroy(t);
}

static struct by_model {
	uint64_t hash;
	bool is_in;
} model[4096];

static bool
is_wanted(uint32_t number, const void *arg)
{
	return number == *(const uint32_t *)arg;
}

// Few distinct hashes, so that buckets overflow and chains grow and shrink.
static void
test_index(void)
{
	struct sl_index ix;
	uint32_t nb = 0, nb_refused = 0;

	CU_ASSERT_EQUAL_FATAL(sl_index_create(&ix, 512, SOCKET_ID_ANY), 0);
	for (uint32_t i = 0; i < RTE_DIM(model); i++)
		model[i].hash = (uint64_t)draw(40) * 0x9e3779b97f4a7c15ull;
	for (uint32_t step = 0; step < NB_STEPS; step++) {
		uint32_t i = draw(RTE_DIM(model));

		if (model[i].is_in) {
			CU_ASSERT_TRUE_FATAL(sl_index_del(&ix, model[i].hash, i));
			model[i].is_in = false;
			nb--;
		} else if (sl_index_add(&ix, model[i].hash, i)) {
			model[i].is_in = true;
			nb++;
		} else {
			nb_refused++;
		}
		i = draw(RTE_DIM(model));
		CU_ASSERT_EQUAL_FATAL(
			sl_index_find(&ix, model[i].hash, is_wanted, &i),
			model[i].is_in ? i : UINT32_MAX
		);
		CU_ASSERT_EQUAL_FATAL(ix.nb_used, nb);
	}
	CU_ASSERT(nb_refused > 0);
	for (uint32_t i = 0; i < RTE_DIM(model); i++)
		if (model[i].is_in)
			CU_ASSERT_TRUE(sl_index_del(&ix, model[i].hash, i));
	CU_ASSERT_EQUAL(ix.nb_used, 0);
	CU_ASSERT_FALSE(sl_index_del(&ix, model[0].hash, 0));
	sl_index_destroy(&ix);
}

static const struct sl_test_case cases[] = {
	{ "flow table: finds what is in it and nothing else, full or not", test_model },
	{ "flow table: a slot rests before its id is given again", test_rest },
	{ "flow table: DNS queries of our own use up no slots, however many", test_own_queries },
	{ "index: holds under any crowding of hashes, and refuses what does not fit", test_index },
};

int
main(int argc, char **argv)
{
	return sl_test_main(argc, argv, cases, RTE_DIM(cases), setup, teardown);
}
