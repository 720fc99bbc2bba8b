// addresses_write: the session thread's side of the table: names come, get an address, are compiled.
#include "addresses_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void
sl_addresses_set_state(
	struct sl_addresses *t, uint32_t id, enum sl_name_state state, uint32_t now_s
)
{
	t->stats.nb_state[sl_name_state(&t->hot[id])]--;
	t->stats.nb_state[state]++;
	t->cold[id].since_s = now_s;
	// Release: name, address and what was compiled are complete before the state is seen.
	atomic_store_explicit(&t->hot[id].state, (uint8_t)state, memory_order_release);
}

// The cell of an address, its page made if need be; NULL without memory.
static _Atomic uint32_t *
make_cell(struct sl_addresses *t, uint32_t address)
{
	uint32_t page_idx = (address & t->offset_mask) >> SL_PAGE_BITS;
	_Atomic uint32_t *cell = sl_addresses_cell(t, address);
	_Atomic uint32_t *page;

	if (cell != NULL)
		return cell;
	page = calloc(SL_PAGE_NAMES, sizeof(*page));
	if (page == NULL)
		return NULL;
	atomic_store_explicit(&t->pages[page_idx], page, memory_order_release);
	return sl_addresses_cell(t, address);
}

static void
set_address(struct sl_addresses *t, uint32_t id, uint32_t address)
{
	atomic_store_explicit(&t->hot[id].address, address, memory_order_relaxed);
	atomic_store_explicit(sl_addresses_cell(t, address), id + 1, memory_order_release);
}

static void
clear_address(struct sl_addresses *t, uint32_t id)
{
	uint32_t address = atomic_load_explicit(&t->hot[id].address, memory_order_relaxed);
	_Atomic uint32_t *cell = sl_addresses_cell(t, address);

	if (address != 0 && cell != NULL &&
	    atomic_load_explicit(cell, memory_order_relaxed) == id + 1)
		atomic_store_explicit(cell, 0, memory_order_release);
	atomic_store_explicit(&t->hot[id].address, 0, memory_order_relaxed);
}

void
sl_addresses_uncount(struct sl_addresses *t, uint32_t id)
{
	struct sl_name_cold *c = &t->cold[id];

	if (!c->is_counted)
		return;
	c->is_counted = false;
	if (c->client != UINT32_MAX)
		sl_tally_drop(&t->clients, c->client);
	if (c->resource != UINT32_MAX)
		sl_tally_drop(&t->resources, c->resource);
}

static void
count(struct sl_addresses *t, uint32_t id)
{
	struct sl_name_cold *c = &t->cold[id];

	if (c->is_counted || !c->is_wildcard)
		return;
	c->is_counted = true;
	if (c->client != UINT32_MAX)
		sl_tally_add(&t->clients, c->client);
	if (c->resource != UINT32_MAX)
		sl_tally_add(&t->resources, c->resource);
}

void
sl_addresses_release(struct sl_addresses *t, uint32_t id, uint32_t now_s)
{
	sl_addresses_uncount(t, id);
	sl_addresses_set_state(t, id, SL_NAME_FREE, now_s);
	clear_address(t, id);
	sl_index_remove(&t->index, t->hot[id].hash, id);
	atomic_store_explicit(&t->hot[id].generation, 0, memory_order_relaxed);
	t->cold[id].next_free = SL_NO_NAME;
	if (t->stats.nb_state[SL_NAME_FREE] == 1)
		t->free_head = id;
	else
		t->cold[t->free_tail].next_free = id;
	t->free_tail = id;
}

// A free record for `name`, PENDING and without address; SL_NO_NAME when there is none.
static uint32_t
take_record(struct sl_addresses *t, const struct sl_name *name, uint64_t hash, uint32_t now_s)
{
	uint32_t id = t->free_head;
	struct sl_name_hot *h;

	if (t->stats.nb_state[SL_NAME_FREE] == 0)
		return SL_NO_NAME;
	t->free_head = t->cold[id].next_free;
	t->cold[id] = (struct sl_name_cold){ .client = UINT32_MAX, .resource = UINT32_MAX };
	h = &t->hot[id];
	h->hash = hash;
	h->nb_bytes = (uint8_t)name->nb_bytes;
	memcpy(h->wire,
	       name->wire,
	       name->nb_bytes < SL_NAME_INLINE_BYTES ? name->nb_bytes : SL_NAME_INLINE_BYTES);
	memcpy(t->wire[id], name->wire, name->nb_bytes);
	atomic_store_explicit(&h->address, 0, memory_order_relaxed);
	atomic_store_explicit(&h->used_s, now_s, memory_order_relaxed);
	atomic_store_explicit(&h->generation, 0, memory_order_relaxed);
	sl_addresses_set_state(t, id, SL_NAME_PENDING, now_s);
	sl_index_insert(&t->index, hash, id);
	return id;
}

// The next address along the name's probe sequence that no name here holds, from `attempt` on; 0 if
// none. The stride is odd and the pool a power of two, so the sequence visits all of it.
static uint32_t
probe(struct sl_addresses *t, const struct sl_name *name, uint32_t *attempt)
{
	const uint64_t h = sl_name_hash(name, &t->probe_key);
	const uint32_t stride = (uint32_t)(h >> 32) | 1;
	const uint32_t size = t->offset_mask;

	for (unsigned i = 0; i < SL_PROBES_MAX && *attempt <= size; i++, (*attempt)++) {
		uint32_t offset = ((uint32_t)h + *attempt * stride) & t->offset_mask;
		_Atomic uint32_t *cell;

		if (offset == 0 || offset == t->offset_mask)
			continue;
		cell = sl_addresses_cell(t, t->config.pool + offset);
		if (cell == NULL || atomic_load_explicit(cell, memory_order_relaxed) == 0)
			return t->config.pool + offset;
	}
	return 0;
}

static enum sl_claim_verdict
propose(struct sl_addresses *t, uint32_t id, uint32_t now_s)
{
	char text[SL_NAME_MAX_BYTES + 1];
	struct sl_name name;
	uint32_t address;

	sl_addresses_load(t, id, &name);
	// A full pool is not searched from end to end for every name.
	address = t->config.names_max - t->stats.nb_state[SL_NAME_FREE] > t->stats.nb_addresses
		? 0
		: probe(t, &name, &t->cold[id].attempt);
	if (address == 0 || make_cell(t, address) == NULL ||
	    sl_name_to_text(&name, text, sizeof(text)) == 0) {
		sl_addresses_release(t, id, now_s);
		t->stats.nb_exhausted++;
		return SL_CLAIM_FULL;
	}
	set_address(t, id, address);
	if (t->config.lease->bind(t->config.store, id, text, address))
		return SL_CLAIM_PENDING;
	sl_addresses_release(t, id, now_s);
	t->stats.nb_busy++;
	return SL_CLAIM_BUSY;
}

// Write what the policy says of a name into its record.
static void
compile(struct sl_addresses *t,
	uint32_t id,
	const struct sl_policy *policy,
	const struct sl_visibility *v)
{
	struct sl_name_hot *h = &t->hot[id];
	struct sl_name_cold *c = &t->cold[id];

	c->is_wildcard = v->is_wildcard;
	if (v->ttl_max_s > c->ttl_max_s)
		c->ttl_max_s = v->ttl_max_s;
	atomic_store_explicit(&h->generation, 0, memory_order_relaxed);
	// A reader that sees a field of the new policy also sees that the generation is in doubt.
	atomic_thread_fence(memory_order_release);
	atomic_store_explicit(&h->groups, v->groups, memory_order_relaxed);
	atomic_store_explicit(
		&h->ttl_s, v->ttl_varies ? SL_ADDRESSES_TTL_VARIES : v->ttl_s, memory_order_relaxed
	);
	atomic_store_explicit(&h->generation, sl_policy_generation(policy), memory_order_release);
}

// A name that was given up is asked for again: the same address. While draining its lease is still good; out
// of quarantine it must be made durable anew.
static enum sl_claim_verdict
revive(struct sl_addresses *t, uint32_t id, const struct sl_claim *claim)
{
	enum sl_name_state state = sl_name_state(&t->hot[id]);
	char text[SL_NAME_MAX_BYTES + 1];
	uint32_t address = atomic_load_explicit(&t->hot[id].address, memory_order_relaxed);

	if (state == SL_NAME_LIVE || state == SL_NAME_DRAINING) {
		t->stats.nb_revived += state == SL_NAME_DRAINING;
		if (state == SL_NAME_DRAINING)
			sl_addresses_set_state(t, id, SL_NAME_LIVE, claim->now_s);
		sl_addresses_use(t, id, claim->now_s);
		return SL_CLAIM_LIVE;
	}
	if (state == SL_NAME_PENDING)
		return SL_CLAIM_PENDING;
	sl_addresses_text(t, id, text);
	if (!t->config.lease->bind(t->config.store, id, text, address)) {
		t->stats.nb_busy++;
		return SL_CLAIM_BUSY;
	}
	t->stats.nb_revived++;
	count(t, id);
	t->cold[id].was_quarantined = true;
	sl_addresses_set_state(t, id, SL_NAME_PENDING, claim->now_s);
	return SL_CLAIM_PENDING;
}

// Quotas of wildcard names: of the client, and of the resource that shows it first.
static enum sl_claim_verdict
check_quotas(struct sl_addresses *t, const struct sl_claim *claim, const struct sl_choice *first)
{
	const uint32_t client_max = t->config.client_names_max;

	if (client_max != 0 && claim->client != UINT32_MAX &&
	    sl_tally_get(&t->clients, claim->client) >= client_max) {
		t->stats.nb_client_quota++;
		sl_addresses_squeeze(t, claim->client, UINT32_MAX, claim->now_s);
		return SL_CLAIM_CLIENT_QUOTA;
	}
	if (first->names_max != 0 &&
	    sl_tally_get(&t->resources, first->resource) >= first->names_max) {
		t->stats.nb_resource_quota++;
		sl_addresses_squeeze(t, UINT32_MAX, first->resource, claim->now_s);
		return SL_CLAIM_RESOURCE_QUOTA;
	}
	return SL_CLAIM_LIVE;
}

enum sl_claim_verdict
sl_addresses_claim(
	struct sl_addresses *t,
	const struct sl_claim *claim,
	const struct sl_name *name,
	uint32_t *name_id
)
{
	const uint64_t hash = sl_name_hash(name, &t->config.name_key);
	struct sl_matches matches;
	struct sl_visibility v;
	struct sl_choice first;
	enum sl_claim_verdict verdict;

	*name_id = SL_NO_NAME;
	sl_policy_match(claim->policy, name, hash, &matches);
	sl_policy_visibility(claim->policy, &matches, &v);
	// At load (UINT64_MAX) a name needs no group: it may be granted to nobody yet.
	if (matches.nb == 0 || !sl_name_is_host(name) ||
	    ((v.groups & claim->client_groups) == 0 && claim->client_groups != UINT64_MAX))
		return SL_CLAIM_NOT_A_RESOURCE;
	*name_id = sl_addresses_find(t, name, hash);
	if (*name_id == SL_NO_NAME) {
		// The resource that shows the name: protocol 0 is admitted by none, and names it.
		sl_policy_choose(claim->policy, &matches, claim->client_groups, 0, 0, &first);
		if (v.is_wildcard) {
			verdict = check_quotas(t, claim, &first);
			if (verdict != SL_CLAIM_LIVE)
				return verdict;
		}
		*name_id = take_record(t, name, hash, claim->now_s);
		if (*name_id == SL_NO_NAME) {
			t->stats.nb_exhausted++;
			return SL_CLAIM_FULL;
		}
		compile(t, *name_id, claim->policy, &v);
		t->cold[*name_id].client = v.is_wildcard ? claim->client : UINT32_MAX;
		t->cold[*name_id].resource = v.is_wildcard ? first.resource : UINT32_MAX;
		count(t, *name_id);
		verdict = propose(t, *name_id, claim->now_s);
	} else {
		compile(t, *name_id, claim->policy, &v);
		verdict = revive(t, *name_id, claim);
	}
	if (verdict == SL_CLAIM_FULL)
		*name_id = SL_NO_NAME;
	return verdict;
}

// May `id` have the address the store bound it to? The store knows better than a proposal, but not
// than a flow that lives or an answer that is cached.
static bool
vacate(struct sl_addresses *t, uint32_t id, uint32_t address, uint32_t now_s)
{
	uint32_t holder;

	if (!sl_addresses_in_pool(t, address) || make_cell(t, address) == NULL)
		return false;
	holder = atomic_load_explicit(sl_addresses_cell(t, address), memory_order_relaxed);
	if (holder == 0 || --holder == id)
		return true;
	switch (sl_name_state(&t->hot[holder])) {
	case SL_NAME_PENDING:
		if (t->cold[holder].was_quarantined)
			return false;
		clear_address(t, holder); // it gets another when the store has spoken
		return true;
	case SL_NAME_QUARANTINED:
		if (!sl_addresses_is_rested(t, holder, now_s))
			return false;
		sl_addresses_release(t, holder, now_s);
		return true;
	case SL_NAME_FREE:
	case SL_NAME_LIVE:
	case SL_NAME_DRAINING:
	default:
		return false;
	}
}

enum sl_claim_verdict
sl_addresses_bound(
	struct sl_addresses *t,
	uint32_t id,
	enum sl_lease_result result,
	uint32_t address,
	uint32_t now_s
)
{
	struct sl_name_cold *c = &t->cold[id];

	if (id >= t->config.names_max || sl_name_state(&t->hot[id]) != SL_NAME_PENDING)
		return SL_CLAIM_BUSY;
	if (result == SL_LEASE_BOUND && vacate(t, id, address, now_s)) {
		clear_address(t, id);
		set_address(t, id, address);
		c->was_quarantined = false;
		atomic_store_explicit(&t->hot[id].used_s, now_s, memory_order_relaxed);
		sl_addresses_set_state(t, id, SL_NAME_LIVE, now_s);
		return SL_CLAIM_LIVE;
	}
	if (result == SL_LEASE_TAKEN && !c->was_quarantined && ++c->nb_taken < SL_TAKEN_MAX) {
		t->stats.nb_taken++;
		clear_address(t, id);
		c->attempt++;
		return propose(t, id, now_s);
	}
	if (c->was_quarantined) {
		c->was_quarantined = false;
		sl_addresses_uncount(t, id);
		sl_addresses_set_state(t, id, SL_NAME_QUARANTINED, now_s);
	} else {
		sl_addresses_release(t, id, now_s);
	}
	if (result == SL_LEASE_TAKEN || result == SL_LEASE_EXHAUSTED) {
		t->stats.nb_exhausted++;
		return SL_CLAIM_FULL;
	}
	t->stats.nb_busy++;
	return SL_CLAIM_BUSY;
}

int
sl_addresses_restore(
	struct sl_addresses *t,
	const char *text,
	uint32_t address,
	bool is_quarantined,
	uint32_t age_s,
	uint32_t now_s
)
{
	_Atomic uint32_t *cell;
	struct sl_name name;
	uint64_t hash;
	uint32_t id;

	if (sl_name_from_text(&name, text) != SL_NAME_OK || !sl_name_is_host(&name) ||
	    !sl_addresses_in_pool(t, address))
		return -EINVAL;
	cell = make_cell(t, address);
	if (cell == NULL)
		return -ENOSPC;
	hash = sl_name_hash(&name, &t->config.name_key);
	if (atomic_load_explicit(cell, memory_order_relaxed) != 0 ||
	    sl_addresses_find(t, &name, hash) != SL_NO_NAME)
		return -EEXIST;
	id = take_record(t, &name, hash, now_s);
	if (id == SL_NO_NAME)
		return -ENOSPC;
	set_address(t, id, address);
	// Not compiled: workers match it themselves until sl_addresses_compile() has come by. What TTL
	// its answers carried is unknown; a name restored as live is at least the default's worth away
	// from any drain, and the longest TTL is assumed.
	t->cold[id].ttl_max_s = SL_POLICY_TTL_MAX_S;
	t->cold[id].is_wildcard = true;
	if (is_quarantined) // no flow used it for that long
		atomic_store_explicit(&t->hot[id].used_s, now_s - age_s, memory_order_relaxed);
	sl_addresses_set_state(
		t, id, is_quarantined ? SL_NAME_QUARANTINED : SL_NAME_LIVE, now_s - age_s
	);
	return 0;
}

// Who first asked for a restored name is not known; whose wildcard it is shows in the policy.
static void
count_restored(
	struct sl_addresses *t,
	uint32_t id,
	const struct sl_policy *policy,
	const struct sl_matches *matches
)
{
	struct sl_name_cold *c = &t->cold[id];
	const enum sl_name_state state = sl_name_state(&t->hot[id]);
	struct sl_choice first;

	if (!c->is_wildcard || c->resource != UINT32_MAX || matches->nb == 0 ||
	    (state != SL_NAME_LIVE && state != SL_NAME_DRAINING))
		return;
	sl_policy_choose(policy, matches, UINT64_MAX, 0, 0, &first);
	c->resource = first.resource;
	count(t, id);
}

bool
sl_addresses_compile(
	struct sl_addresses *t, const struct sl_policy *policy, unsigned nb_max, uint32_t now_s
)
{
	if (t->compile_generation != sl_policy_generation(policy)) {
		t->compile_generation = sl_policy_generation(policy);
		t->compile_at = 0;
	}
	for (; nb_max != 0 && t->compile_at < t->config.names_max; nb_max--, t->compile_at++) {
		const uint32_t id = t->compile_at;
		const enum sl_name_state state = sl_name_state(&t->hot[id]);
		struct sl_matches matches;
		struct sl_visibility v;
		struct sl_name name;

		if (state == SL_NAME_FREE)
			continue;
		sl_addresses_load(t, id, &name);
		sl_policy_match(policy, &name, t->hot[id].hash, &matches);
		sl_policy_visibility(policy, &matches, &v);
		compile(t, id, policy, &v);
		count_restored(t, id, policy, &matches);
		if (matches.nb == 0 && state == SL_NAME_LIVE)
			sl_addresses_set_state(t, id, SL_NAME_DRAINING, now_s);
	}
	return t->compile_at >= t->config.names_max;
}
