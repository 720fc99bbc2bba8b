// resolver: see resolver.h. A lookup is a slot; its token is slot and generation, new with every query sent, so
// that what comes late finds nothing.
#include "resolver_private.h"

#include <sluice/proto/limits.h>
#include <stdlib.h>
#include <string.h>

static void
set_defaults(struct sl_resolver_config *c)
{
	c->names_max = c->names_max != 0 ? c->names_max : 16384;
	c->queries_max = c->queries_max != 0 ? c->queries_max : 1024;
	c->askers_max = c->askers_max != 0 ? c->askers_max : 8192;
	c->ttl_max_s = c->ttl_max_s != 0 ? c->ttl_max_s : 3600;
	c->negative_max_s = c->negative_max_s != 0 ? c->negative_max_s : 60;
	c->deadline_ns = c->deadline_ns != 0 ? c->deadline_ns : 3 * SL_NS_PER_S;
}

static bool
allocate(struct sl_resolver *r)
{
	const struct sl_resolver_config *c = &r->config;

	r->known = calloc(c->names_max, sizeof(*r->known));
	r->lookups = calloc(c->queries_max, sizeof(*r->lookups));
	r->active = calloc(c->queries_max, sizeof(*r->active));
	r->idle = calloc(c->queries_max, sizeof(*r->idle));
	r->askers = calloc(c->askers_max, sizeof(*r->askers));
	r->big = calloc(SL_RESOLVER_TCP_SLOTS, sizeof(*r->big));
	if (r->known == NULL || r->lookups == NULL || r->active == NULL || r->idle == NULL ||
	    r->askers == NULL || r->big == NULL || !sl_index_init(&r->known_index, c->names_max) ||
	    !sl_index_init(&r->lookup_index, c->queries_max) ||
	    !sl_turns_init(&r->turns, c->queries_max))
		return false;
	for (uint32_t i = 0; i < c->queries_max; i++)
		r->idle[r->nb_idle++] = (uint16_t)(c->queries_max - 1 - i);
	for (uint32_t i = 0; i < c->askers_max; i++)
		r->askers[i].next = i + 1 < c->askers_max ? i + 1 : SL_NO_TOKEN;
	return true;
}

struct sl_resolver *
sl_resolver_create(const struct sl_resolver_config *config)
{
	struct sl_resolver *r;
	uint64_t random[4];

	if (config->nb_servers == 0 || config->nb_servers > SL_UPSTREAMS_MAX ||
	    config->nb_search > SL_RESOLVER_SEARCH_MAX || config->queries_max > UINT16_MAX ||
	    config->random == NULL || (r = calloc(1, sizeof(*r))) == NULL)
		return NULL;
	r->config = *config;
	set_defaults(&r->config);
	for (int i = 0; i < 4; i++)
		random[i] = config->random(config->random_context);
	sl_name_key_init(&r->key, (const uint8_t *)random);
	for (unsigned i = 0; i < config->nb_servers; i++)
		r->servers[i].at = config->servers[i];
	for (unsigned i = 0; i < config->nb_search; i++) {
		if (sl_name_from_text(&r->search[i], config->search[i]) != SL_NAME_OK)
			goto fail;
		r->config.search[i] = NULL; // the caller's memory
	}
	if (allocate(r))
		return r;
fail:
	sl_resolver_free(r);
	return NULL;
}

bool
sl_resolver_set_servers(
	struct sl_resolver *r, const struct sl_resolver_config *config, uint64_t now_ns
)
{
	struct sl_name search[SL_RESOLVER_SEARCH_MAX];

	if (config->nb_servers == 0 || config->nb_servers > SL_UPSTREAMS_MAX ||
	    config->nb_search > SL_RESOLVER_SEARCH_MAX)
		return false;
	for (unsigned i = 0; i < config->nb_search; i++)
		if (sl_name_from_text(&search[i], config->search[i]) != SL_NAME_OK)
			return false;
	memcpy(r->search, search, sizeof(search[0]) * config->nb_search);
	r->config.nb_search = config->nb_search;
	r->config.nb_servers = config->nb_servers;
	sl_upstream_replace(r->servers, config->servers, config->nb_servers);
	sl_known_forget(r);
	for (uint32_t i = 0; i < r->nb_active; i++) {
		sl_lookup_restart(r, &r->lookups[r->active[i]], now_ns);
		sl_turns_touch(&r->turns, r->active[i]);
	}
	return true;
}

void
sl_resolver_free(struct sl_resolver *r)
{
	if (r == NULL)
		return;
	sl_turns_fini(&r->turns);
	sl_index_fini(&r->lookup_index);
	sl_index_fini(&r->known_index);
	free(r->big);
	free(r->askers);
	free(r->idle);
	free(r->active);
	free(r->lookups);
	free(r->known);
	free(r);
}

static struct sl_lookup *
begin(struct sl_resolver *r,
      const struct sl_name *name,
      uint32_t type,
      uint64_t hash,
      uint64_t now_ns)
{
	struct sl_lookup *l;
	uint16_t generation;

	if (r->nb_idle == 0)
		return NULL;
	r->active[r->nb_active++] = r->idle[--r->nb_idle];
	l = &r->lookups[r->active[r->nb_active - 1]];
	generation = l->generation;
	memset(l, 0, offsetof(struct sl_lookup, message));
	l->generation = generation;
	l->hash = hash;
	l->active_at = (uint16_t)(r->nb_active - 1);
	l->type = (uint16_t)type;
	l->dnssec_ok = (type & SL_RESOLVER_DNSSEC_OK) != 0;
	l->started_ns = now_ns;
	l->first_asker = l->release = l->big = SL_NO_TOKEN;
	l->ttl_s = UINT32_MAX;
	l->original = l->name = *name;
	sl_index_insert(&r->lookup_index, hash, (uint32_t)(l - r->lookups));
	sl_lookup_next_name(r, l);
	sl_lookup_ask_next(r, l, now_ns);
	sl_turns_touch(&r->turns, (uint16_t)(l - r->lookups));
	return l;
}

static struct sl_lookup *
find_lookup(struct sl_resolver *r, const struct sl_name *name, uint32_t type, uint64_t hash)
{
	const bool dnssec_ok = (type & SL_RESOLVER_DNSSEC_OK) != 0;

	struct sl_index_at at = { 0 };
	uint32_t i;

	while ((i = sl_index_next(&r->lookup_index, hash, &at)) != SL_INDEX_NONE) {
		struct sl_lookup *l = &r->lookups[i];

		if (l->hash == hash && l->type == (uint16_t)type && l->dnssec_ok == dnssec_ok &&
		    l->state != SL_LOOKUP_DONE && sl_name_equal(&l->original, name))
			return l;
	}
	return NULL;
}

static bool
add_asker(struct sl_resolver *r, struct sl_lookup *l, uint64_t cookie)
{
	uint32_t a = r->free_asker;

	if (a == SL_NO_TOKEN)
		return false;
	r->free_asker = r->askers[a].next;
	r->askers[a] = (struct sl_asker){ .cookie = cookie, .next = l->first_asker };
	l->first_asker = a;
	return true;
}

static void
prefetch(struct sl_resolver *r, struct sl_known *k, const struct sl_name *name, uint64_t now_ns)
{
	if (k->is_fetched || k->ttl_s < 10 ||
	    (k->expires_ns - now_ns) / (SL_NS_PER_S / 10) >= k->ttl_s ||
	    find_lookup(r, name, k->type, k->hash) != NULL)
		return;
	k->is_fetched = true;
	if (begin(r, name, k->type, k->hash, now_ns) != NULL)
		r->stats.nb_prefetched++;
}

bool
sl_resolver_ask(
	struct sl_resolver *r,
	const struct sl_name *name,
	uint32_t type,
	uint64_t cookie,
	uint64_t now_ns,
	struct sl_resolver_result *result
)
{
	const uint64_t hash = sl_lookup_hash(r, name, type);
	struct sl_known *k;
	struct sl_lookup *l;

	r->stats.nb_asked++;
	if (sl_known_find(r, name, (uint16_t)type, hash, now_ns, &k)) {
		r->stats.nb_hits++;
		sl_known_result(k, now_ns, result);
		prefetch(r, k, name, now_ns);
		return true;
	}
	l = find_lookup(r, name, type, hash);
	if (l != NULL)
		r->stats.nb_shared++;
	else if (r->free_asker != SL_NO_TOKEN)
		l = begin(r, name, type, hash, now_ns);
	if (l != NULL && add_asker(r, l, cookie))
		return false;
	r->stats.nb_busy++;
	*result = (struct sl_resolver_result){ .result = SL_RESOLVED_BUSY, .type = (uint16_t)type };
	return true;
}

unsigned
sl_resolver_cancel(struct sl_resolver *r, uint64_t cookie)
{
	unsigned nb = 0;

	for (uint32_t i = 0; i < r->nb_active; i++) {
		uint32_t *at = &r->lookups[r->active[i]].first_asker;

		while (*at != SL_NO_TOKEN) {
			uint32_t a = *at;

			if (r->askers[a].cookie != cookie) {
				at = &r->askers[a].next;
				continue;
			}
			*at = r->askers[a].next;
			r->askers[a].next = r->free_asker;
			r->free_asker = a;
			nb++;
		}
	}
	return nb;
}

void
sl_resolver_unreachable(
	struct sl_resolver *r,
	const struct sl_name *name,
	const uint8_t *address,
	uint8_t family,
	uint64_t now_ns
)
{
	const uint16_t type = family == 6 ? SL_DNS_AAAA : SL_DNS_A;
	struct sl_known *k;

	if (!sl_known_find(r, name, type, sl_lookup_hash(r, name, type), now_ns, &k))
		return;
	for (unsigned i = 0; i < k->nb_addresses; i++)
		if (memcmp(k->addresses[i], address, family == 6 ? 16 : 4) == 0)
			k->bad |= (uint8_t)(1u << i);
}

static void
end(struct sl_resolver *r, struct sl_lookup *l)
{
	const uint16_t slot = (uint16_t)(l - r->lookups), last = r->active[--r->nb_active];

	sl_index_remove(&r->lookup_index, l->hash, slot);
	if (l->big != SL_NO_TOKEN)
		r->big_used[l->big] = false;
	l->state = SL_LOOKUP_FREE;
	r->idle[r->nb_idle++] = slot;
	r->active[l->active_at] = last;
	r->lookups[last].active_at = l->active_at;
}

// One lookup's turn. True when it has an event.
static bool
advance(struct sl_resolver *r, struct sl_lookup *l, uint64_t now_ns, struct sl_resolver_event *event
)
{
	uint32_t a;

	sl_lookup_timers(r, l, now_ns);
	if (l->release != SL_NO_TOKEN) {
		event->kind = SL_RESOLVER_RELEASE;
		event->token = l->release;
		l->release = SL_NO_TOKEN;
		return true;
	}
	if (l->state == SL_LOOKUP_SEND || l->state == SL_LOOKUP_TCP) {
		sl_lookup_send(r, l, now_ns, event);
		return true;
	}
	a = l->first_asker;
	if (l->state != SL_LOOKUP_DONE || a == SL_NO_TOKEN)
		return false;
	event->kind = SL_RESOLVER_RESULT;
	event->token = SL_NO_TOKEN;
	event->cookie = r->askers[a].cookie;
	event->result = l->result;
	l->first_asker = r->askers[a].next;
	r->askers[a].next = r->free_asker;
	r->free_asker = a;
	return true;
}

static uint64_t
due_of(const void *owner, uint16_t slot)
{
	const struct sl_resolver *r = owner;

	return sl_lookup_due_ns(r, &r->lookups[slot]);
}

bool
sl_resolver_poll(struct sl_resolver *r, uint64_t now_ns, struct sl_resolver_event *event)
{
	uint16_t slot;

	sl_turns_look(&r->turns, now_ns, r->active, r->nb_active, due_of, r);
	while (sl_turns_next(&r->turns, &slot)) {
		struct sl_lookup *l = &r->lookups[slot];
		bool is_done;

		if (advance(r, l, now_ns, event))
			return true;
		is_done = l->state == SL_LOOKUP_DONE;
		sl_turns_end(&r->turns, is_done ? UINT64_MAX : sl_lookup_due_ns(r, l));
		if (is_done)
			end(r, l);
	}
	return false;
}

uint64_t
sl_resolver_wake_ns(const struct sl_resolver *r)
{
	return sl_turns_wake_ns(&r->turns, r->nb_active);
}

void
sl_resolver_stats(const struct sl_resolver *r, struct sl_resolver_stats *stats)
{
	*stats = r->stats;
	stats->nb_in_flight = r->nb_active;
}

const struct sl_upstream *
sl_resolver_server(const struct sl_resolver *r, unsigned idx)
{
	return idx < r->config.nb_servers ? &r->servers[idx] : NULL;
}

bool
sl_resolver_is_alive(const struct sl_resolver *r, uint64_t nb_ns, uint64_t now_ns)
{
	return r->alive_ns != 0 && now_ns - r->alive_ns <= nb_ns;
}
