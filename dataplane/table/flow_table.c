#include <rte_malloc.h>

#include <sluice/dp/flow_table.h>
#include <string.h>

struct sl_flow_table *
sl_flow_table_create(uint32_t nb_flows, uint8_t worker, bool with_flow_keys, int socket_id)
{
	struct sl_flow_table *t = rte_zmalloc_socket("sl_flows", sizeof(*t), 64, socket_id);

	if (t == NULL)
		return NULL;
	t->nb_flows = nb_flows;
	t->worker = worker;
	t->flows = rte_zmalloc_socket(
		"sl_flow", (size_t)nb_flows * sizeof(*t->flows), RTE_CACHE_LINE_SIZE, socket_id
	);
	if (t->flows == NULL || sl_hash_key_random(&t->hash_key) != 0 ||
	    sl_slots_create(&t->slots, nb_flows) != 0 ||
	    sl_index_create(&t->by_key, nb_flows, socket_id) != 0 ||
	    (with_flow_keys && sl_index_create(&t->by_flow_key, nb_flows, socket_id) != 0)) {
		sl_flow_table_destroy(t);
		return NULL;
	}
	return t;
}

void
sl_flow_table_destroy(struct sl_flow_table *t)
{
	if (t == NULL)
		return;
	sl_index_destroy(&t->by_flow_key);
	sl_index_destroy(&t->by_key);
	sl_slots_destroy(&t->slots);
	rte_free(t->flows);
	rte_free(t);
}

uint32_t
sl_flow_find(const struct sl_flow_table *t, const struct sl_flow_key *key)
{
	return sl_flow_find_hashed(t, key, sl_hash(&t->hash_key, key, sizeof(*key)));
}

uint32_t
sl_flow_add(struct sl_flow_table *t, const struct sl_flow_key *key, uint64_t now_ns)
{
	uint8_t generation;
	uint32_t index = sl_slots_take(&t->slots, now_ns, &generation);
	struct sl_flow *f;

	if (index == SL_SLOT_NONE) {
		t->nb_full++;
		return SL_NO_FLOW;
	}
	f = &t->flows[index];
	memset(f, 0, sizeof(*f));
	f->key = *key;
	f->link.own_generation = generation;
	f->started_ds = (uint32_t)(now_ns / (100 * SL_NS_PER_MS));
	f->last_seen_ds = f->started_ds;
	if (!sl_index_add(&t->by_key, sl_hash(&t->hash_key, key, sizeof(*key)), index)) {
		sl_slots_give_untold(&t->slots, index, now_ns);
		t->nb_full++;
		return SL_NO_FLOW;
	}
	t->nb_used++;
	t->nb_made++;
	return index;
}

struct by_flow_key {
	const struct sl_flow *flows;
	const uint8_t *flow_key;
};

static inline bool
is_flow_key(uint32_t number, const void *arg)
{
	const struct by_flow_key *want = arg;

	return memcmp(want->flows[number].flow_key, want->flow_key, 16) == 0;
}

// Tenants are told apart by the hash and, since a flow key is a keyed hash under the tenant's own
// secret, by its 128 bits.
static uint64_t
hash_flow_key(const struct sl_flow_table *t, uint16_t tenant, const uint8_t flow_key[16])
{
	uint8_t both[18];

	memcpy(both, flow_key, 16);
	memcpy(both + 16, &tenant, 2);
	return sl_hash(&t->hash_key, both, sizeof(both));
}

uint32_t
sl_flow_find_by_flow_key(const struct sl_flow_table *t, uint16_t tenant, const uint8_t flow_key[16])
{
	struct by_flow_key want = { t->flows, flow_key };

	return sl_index_find(
		&t->by_flow_key, hash_flow_key(t, tenant, flow_key), is_flow_key, &want
	);
}

bool
sl_flow_index_flow_key(struct sl_flow_table *t, uint32_t index, uint16_t tenant)
{
	const struct sl_flow *f = &t->flows[index];

	return sl_index_add(&t->by_flow_key, hash_flow_key(t, tenant, f->flow_key), index);
}

bool
sl_flow_rekey(struct sl_flow_table *t, uint32_t index, const struct sl_flow_key *key)
{
	struct sl_flow *f = &t->flows[index];

	if (!sl_index_add(&t->by_key, sl_hash(&t->hash_key, key, sizeof(*key)), index))
		return false;
	sl_index_del(&t->by_key, sl_hash(&t->hash_key, &f->key, sizeof(f->key)), index);
	f->key = *key;
	return true;
}

void
sl_flow_del(struct sl_flow_table *t, uint32_t index, uint16_t tenant, uint64_t now_ns)
{
	struct sl_flow *f = &t->flows[index];
	// No peer knows a flow of our own to a DNS server. If its slot had to rest, a few thousand queries a second
	// would use up the table.
	const bool is_untold = f->kind == SL_FLOW_QUERY || f->kind == SL_FLOW_STREAM;

	sl_index_del(&t->by_key, sl_hash(&t->hash_key, &f->key, sizeof(f->key)), index);
	if (f->kind == SL_FLOW_HOST)
		sl_index_del(&t->by_flow_key, hash_flow_key(t, tenant, f->flow_key), index);
	f->kind = SL_FLOW_FREE;
	sl_link_close(&f->link);
	if (is_untold)
		sl_slots_give_untold(&t->slots, index, now_ns);
	else
		sl_slots_give(&t->slots, index, now_ns);
	t->nb_used--;
}
