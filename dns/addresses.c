// addresses: what workers do with the table. No locks, no allocation; the writer is addresses_write.c.
#include "addresses_private.h"

#include <sluice/proto/bytes.h>
#include <string.h>

void
sl_addresses_prefetch(const struct sl_addresses *table, uint64_t hash)
{
	sl_index_prefetch(&table->index, hash);
}

bool
sl_addresses_prefetch_record(
	const struct sl_addresses *table, const struct sl_name *name, uint64_t hash
)
{
	struct sl_index_at at = { 0 };
	uint32_t i = sl_index_next(&table->index, hash, &at);

	if (i == SL_INDEX_NONE)
		return false;
	__builtin_prefetch(&table->hot[i]);
	if (offsetof(struct sl_name_hot, wire) + name->nb_bytes > 64)
		__builtin_prefetch((const uint8_t *)&table->hot[i] + 64);
	return true;
}

// memcmp() without the call, for what is seldom more than four words. n > 0.
static inline bool
same_octets(const uint8_t *a, const uint8_t *b, size_t n)
{
	size_t i = 0;

	if (n < 8)
		return memcmp(a, b, n) == 0;
	for (; i + 8 < n; i += 8)
		if (sl_get64(a + i) != sl_get64(b + i))
			return false;
	return sl_get64(a + n - 8) == sl_get64(b + n - 8);
}

static inline bool
same_name(const struct sl_addresses *table, uint32_t id, const struct sl_name *name, uint64_t hash)
{
	const struct sl_name_hot *h = &table->hot[id];
	size_t n = name->nb_bytes;

	if (h->hash != hash || h->nb_bytes != n)
		return false;
	if (n <= SL_NAME_INLINE_BYTES)
		return same_octets(h->wire, name->wire, n);
	return memcmp(table->wire[id], name->wire, n) == 0;
}

uint32_t
sl_addresses_find(const struct sl_addresses *table, const struct sl_name *name, uint64_t hash)
{
	struct sl_index_at at = { 0 };
	uint32_t i;

	while ((i = sl_index_next(&table->index, hash, &at)) != SL_INDEX_NONE)
		if (same_name(table, i, name, hash))
			return i;
	return SL_NO_NAME;
}

// Who sees a name whose record was compiled for another policy: match it here and now. TTLs are kept
// below what a drain always waits, since this answer's is not in the record's ttl_max_s.
static void
match_now(
	const struct sl_addresses *table,
	const struct sl_policy *policy,
	const struct sl_name *name,
	uint64_t hash,
	struct sl_assigned *assigned
)
{
	struct sl_matches matches;
	struct sl_visibility v;
	const uint32_t cap_s = table->config.drain_s / 2;

	sl_policy_match(policy, name, hash, &matches);
	sl_policy_visibility(policy, &matches, &v);
	assigned->groups = v.groups;
	assigned->ttl_s = v.ttl_s < cap_s ? v.ttl_s : cap_s;
}

bool
sl_addresses_lookup(
	const struct sl_addresses *table,
	const struct sl_policy *policy,
	const struct sl_name *name,
	uint64_t hash,
	struct sl_assigned *assigned
)
{
	const uint32_t wanted = sl_policy_generation(policy);
	const uint32_t id = sl_addresses_find(table, name, hash);
	const struct sl_name_hot *h;

	if (id == SL_NO_NAME)
		return false;
	h = &table->hot[id];
	if (sl_name_state(h) != SL_NAME_LIVE)
		return false;
	assigned->name_id = id;
	assigned->address = atomic_load_explicit(&h->address, memory_order_relaxed);
	if (atomic_load_explicit(&h->generation, memory_order_acquire) != wanted) {
		match_now(table, policy, name, hash, assigned);
		return true;
	}
	assigned->groups = atomic_load_explicit(&h->groups, memory_order_relaxed);
	assigned->ttl_s = atomic_load_explicit(&h->ttl_s, memory_order_relaxed);
	// The writer zeroes `generation` before it touches the fields: still ours means they are.
	atomic_thread_fence(memory_order_acquire);
	if (atomic_load_explicit(&h->generation, memory_order_relaxed) != wanted)
		match_now(table, policy, name, hash, assigned);
	return true;
}

bool
sl_addresses_in_pool(const struct sl_addresses *table, uint32_t address)
{
	return (address & ~table->offset_mask) == table->config.pool;
}

_Atomic uint32_t *
sl_addresses_cell(const struct sl_addresses *table, uint32_t address)
{
	uint32_t offset = address & table->offset_mask;
	_Atomic uint32_t *page = atomic_load_explicit(
		&table->pages[offset >> SL_PAGE_BITS], memory_order_acquire
	);

	return page == NULL ? NULL : &page[offset & (SL_PAGE_NAMES - 1)];
}

uint32_t
sl_addresses_at(const struct sl_addresses *table, uint32_t address)
{
	_Atomic uint32_t *cell;
	const struct sl_name_hot *h;
	enum sl_name_state state;
	uint32_t id;

	if (!sl_addresses_in_pool(table, address))
		return SL_NO_NAME;
	cell = sl_addresses_cell(table, address);
	if (cell == NULL)
		return SL_NO_NAME;
	id = atomic_load_explicit(cell, memory_order_acquire);
	if (id == 0)
		return SL_NO_NAME;
	h = &table->hot[--id];
	state = sl_name_state(h);
	if (state != SL_NAME_LIVE && state != SL_NAME_DRAINING)
		return SL_NO_NAME;
	// A proposal that failed may have left its id to another name a moment ago.
	return atomic_load_explicit(&h->address, memory_order_relaxed) == address ? id : SL_NO_NAME;
}

void
sl_addresses_load(const struct sl_addresses *table, uint32_t name_id, struct sl_name *name)
{
	// Cannot fail: it was a name when it was stored.
	(void)sl_name_parse_plain(name, table->wire[name_id], SL_NAME_WIRE_MAX + 1, 0, NULL);
}

enum sl_choice_verdict
sl_addresses_choose_name(
	struct sl_addresses *table,
	const struct sl_policy *policy,
	uint32_t name_id,
	uint64_t client_groups,
	uint8_t protocol,
	uint16_t port,
	struct sl_choice *choice
)
{
	struct sl_matches matches = { 0 };
	struct sl_name name;

	if (name_id < table->config.names_max) {
		const struct sl_name_hot *h = &table->hot[name_id];
		enum sl_name_state state = sl_name_state(h);

		if (state == SL_NAME_LIVE || state == SL_NAME_DRAINING) {
			sl_addresses_load(table, name_id, &name);
			sl_policy_match(policy, &name, h->hash, &matches);
		}
	}
	return sl_policy_choose(policy, &matches, client_groups, protocol, port, choice);
}

enum sl_choice_verdict
sl_addresses_choose(
	struct sl_addresses *table,
	const struct sl_policy *policy,
	uint32_t address,
	uint64_t client_groups,
	uint8_t protocol,
	uint16_t port,
	uint32_t now_s,
	struct sl_choice *choice,
	uint32_t *name_id
)
{
	enum sl_choice_verdict verdict;

	*name_id = sl_addresses_at(table, address);
	verdict = sl_addresses_choose_name(
		table, policy, *name_id, client_groups, protocol, port, choice
	);
	if (verdict == SL_CHOICE_ADMITTED)
		sl_addresses_use(table, *name_id, now_s);
	else if (verdict == SL_CHOICE_UNKNOWN)
		*name_id = SL_NO_NAME; // a hidden name is nobody's
	return verdict;
}

void
sl_addresses_use(struct sl_addresses *table, uint32_t name_id, uint32_t now_s)
{
	_Atomic uint32_t *used = &table->hot[name_id].used_s;

	// Written rarely, since every worker reads this line.
	if ((int32_t)(now_s - atomic_load_explicit(used, memory_order_relaxed)) >=
	    (int32_t)SL_USED_STEP_S)
		atomic_store_explicit(used, now_s, memory_order_relaxed);
}

bool
sl_addresses_name(const struct sl_addresses *table, uint32_t name_id, struct sl_name *name)
{
	if (name_id >= table->config.names_max ||
	    sl_name_state(&table->hot[name_id]) == SL_NAME_FREE)
		return false;
	sl_addresses_load(table, name_id, name);
	return true;
}

size_t
sl_addresses_text(
	const struct sl_addresses *table, uint32_t name_id, char text[SL_NAME_MAX_BYTES + 1]
)
{
	struct sl_name name;

	if (!sl_addresses_name(table, name_id, &name))
		return 0;
	return sl_name_to_text(&name, text, SL_NAME_MAX_BYTES + 1);
}

bool
sl_addresses_info(const struct sl_addresses *table, uint32_t name_id, struct sl_name_info *info)
{
	const struct sl_name_hot *h = &table->hot[name_id];
	const struct sl_name_cold *c = &table->cold[name_id];

	if (name_id >= table->config.names_max)
		return false;
	*info = (struct sl_name_info){
		.state = sl_name_state(h),
		.address = atomic_load_explicit(&h->address, memory_order_relaxed),
		.client = c->client,
		.used_s = atomic_load_explicit(&h->used_s, memory_order_relaxed),
		.is_wildcard = c->is_wildcard,
	};
	return true;
}

uint32_t
sl_addresses_nb_ids(const struct sl_addresses *table)
{
	return table->config.names_max;
}

void
sl_addresses_stats(const struct sl_addresses *table, struct sl_addresses_stats *stats)
{
	*stats = table->stats;
}
