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
	    r->askers == NULL || r->big == NULL || !sl_index_init(&r->known_index, c->names_max))
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

void
sl_resolver_free(struct sl_resolver *r)
{
	if (r == NULL)
		return;
	sl_index_fini(&r->known_index);
	free(r->big);
	free(r->askers);
	free(r->idle);
	free(r->active);
	free(r->lookups);
	free(r->known);
	free(r);
}

static uint64_t
random64(struct sl_resolver *r)
{
	return r->config.random(r->config.random_context);
}

static uint32_t
token_of(const struct sl_resolver *r, const struct sl_lookup *l)
{
	return (uint32_t)(l - r->lookups) | (uint32_t)l->generation << 16;
}

static void
drop_token(const struct sl_resolver *r, struct sl_lookup *l)
{
	if (l->has_token)
		l->release = token_of(r, l);
	l->has_token = false;
}

static void
complete(struct sl_resolver *r, struct sl_lookup *l, enum sl_resolved result)
{
	l->result = (struct sl_resolver_result){ .result = result, .type = l->type };
	l->state = SL_LOOKUP_DONE;
	drop_token(r, l);
}

// A name of one label is tried under each search domain in turn, then as it is. False when there is nothing
// left to try.
static bool
next_name(struct sl_resolver *r, struct sl_lookup *l)
{
	const unsigned at = l->search;

	if (l->original.nb_labels != 1 || at > r->config.nb_search)
		return false;
	l->search++;
	l->name = l->original;
	if (at < r->config.nb_search) {
		const struct sl_name *s = &r->search[at];
		size_t n = l->original.nb_bytes - 1u;

		if (n + s->nb_bytes > SL_NAME_WIRE_MAX)
			return next_name(r, l);
		memcpy(l->name.wire + n, s->wire, s->nb_bytes);
		(void)sl_name_parse_plain(&l->name, l->name.wire, sizeof(l->name.wire), 0, NULL);
	}
	l->tried = l->failed = 0;
	l->chain = 0;
	l->ttl_s = UINT32_MAX;
	return true;
}

// Ask the next server, or give up.
static void
ask_next(struct sl_resolver *r, struct sl_lookup *l, uint64_t now_ns)
{
	int server;

	drop_token(r, l);
	l->is_tcp = false;
	if (l->failed == (1u << r->config.nb_servers) - 1) {
		complete(r, l, SL_RESOLVED_FAILED);
		return;
	}
	server = sl_upstream_pick(
		r->servers, r->config.nb_servers, 0, l->tried | l->failed, now_ns
	);
	if (server < 0) { // all were asked: another round
		l->tried = 0;
		server = sl_upstream_pick(r->servers, r->config.nb_servers, 0, l->failed, now_ns);
	}
	l->server = (uint8_t)server;
	l->tried |= 1u << server;
	l->state = SL_LOOKUP_SEND;
}

static struct sl_lookup *
begin(struct sl_resolver *r,
      const struct sl_name *name,
      uint16_t type,
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
	l->type = type;
	l->started_ns = now_ns;
	l->first_asker = l->release = l->big = SL_NO_TOKEN;
	l->ttl_s = UINT32_MAX;
	l->original = l->name = *name;
	next_name(r, l);
	ask_next(r, l, now_ns);
	return l;
}

static struct sl_lookup *
find_lookup(struct sl_resolver *r, const struct sl_name *name, uint16_t type, uint64_t hash)
{
	for (uint32_t i = 0; i < r->nb_active; i++) {
		struct sl_lookup *l = &r->lookups[r->active[i]];

		if (l->hash == hash && l->type == type && l->state != SL_LOOKUP_DONE &&
		    sl_name_equal(&l->original, name))
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
	uint16_t type,
	uint64_t cookie,
	uint64_t now_ns,
	struct sl_resolver_result *result
)
{
	const uint64_t hash = sl_lookup_hash(r, name, type);
	struct sl_known *k;
	struct sl_lookup *l;

	r->stats.nb_asked++;
	if (sl_known_find(r, name, type, hash, now_ns, &k)) {
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
	*result = (struct sl_resolver_result){ .result = SL_RESOLVED_BUSY, .type = type };
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

// The lookup a message belongs to, if its token, server, ID and question are those that were sent.
static enum sl_receive_verdict
match(struct sl_resolver *r,
      uint32_t token,
      const uint8_t *message,
      size_t nb_bytes,
      struct sl_upstream_address from,
      struct sl_lookup **lookup,
      struct sl_response *response)
{
	uint8_t wire[SL_NAME_WIRE_MAX];
	struct sl_lookup *l;

	if ((token & 0xffff) >= r->config.queries_max)
		return SL_RECEIVE_UNKNOWN;
	l = &r->lookups[token & 0xffff];
	if (l->state != SL_LOOKUP_WAIT || !l->has_token || token_of(r, l) != token)
		return SL_RECEIVE_UNKNOWN;
	if (!sl_upstream_same(r->servers[l->server].at, from))
		return SL_RECEIVE_SERVER;
	if (!sl_response_parse(response, message, nb_bytes))
		return SL_RECEIVE_MALFORMED;
	if (response->id != l->id)
		return SL_RECEIVE_ID;
	memcpy(wire, l->name.wire, l->name.nb_bytes);
	sl_name_mix_case(wire, l->name.nb_bytes, l->mix);
	if (response->type != l->type || response->class_ != SL_DNS_IN ||
	    response->name.nb_bytes != l->name.nb_bytes ||
	    memcmp(message + SL_DNS_HEADER_BYTES, wire, l->name.nb_bytes) != 0)
		return SL_RECEIVE_QUESTION;
	*lookup = l;
	return SL_RECEIVE_ACCEPTED;
}

// Keep the message of an answer of another type until the promises are kept.
static bool
keep_message(struct sl_resolver *r, struct sl_lookup *l)
{
	const size_t n = l->result.nb_message_bytes;
	uint8_t *to = l->message;

	if (n > sizeof(l->message)) {
		uint32_t b = 0;

		while (b < SL_RESOLVER_TCP_SLOTS && r->big_used[b])
			b++;
		if (b == SL_RESOLVER_TCP_SLOTS || n > SL_DNS_MESSAGE_MAX)
			return false;
		r->big_used[b] = true;
		l->big = b;
		to = r->big[b];
	}
	memcpy(to, l->result.message, n);
	l->result.message = to;
	return true;
}

static void
accept(struct sl_resolver *r,
       struct sl_lookup *l,
       struct sl_response *response,
       size_t nb_bytes,
       uint64_t now_ns)
{
	switch (sl_lookup_read(r, l, response, nb_bytes)) {
	case SL_READ_FOLLOW:
		if (++l->chain > SL_RESOLVER_CHAIN_MAX) {
			r->stats.nb_received[SL_RECEIVE_LOOP]++;
			complete(r, l, SL_RESOLVED_FAILED);
			return;
		}
		l->tried = 0;
		ask_next(r, l, now_ns);
		return;
	case SL_READ_DONE:
		break;
	case SL_READ_LOOP:
		r->stats.nb_received[SL_RECEIVE_LOOP]++;
		l->failed |= 1u << l->server;
		l->chain = 0;
		ask_next(r, l, now_ns);
		return;
	case SL_READ_MALFORMED:
		r->stats.nb_received[SL_RECEIVE_MALFORMED]++;
		l->failed |= 1u << l->server;
		ask_next(r, l, now_ns);
		return;
	case SL_READ_SERVER_FAILED:
	default:
		r->servers[l->server].nb_failures++;
		l->failed |= 1u << l->server;
		ask_next(r, l, now_ns);
		return;
	}
	if (l->result.result == SL_RESOLVED_NO_NAME && next_name(r, l)) {
		ask_next(r, l, now_ns);
		return;
	}
	if (l->result.message != NULL && !keep_message(r, l)) {
		complete(r, l, SL_RESOLVED_BUSY);
		return;
	}
	if (l->type == SL_DNS_A || l->type == SL_DNS_AAAA)
		sl_known_store(r, l, now_ns);
	l->state = SL_LOOKUP_DONE;
	drop_token(r, l);
}

enum sl_receive_verdict
sl_resolver_receive(
	struct sl_resolver *r,
	uint32_t token,
	const uint8_t *message,
	size_t nb_bytes,
	struct sl_upstream_address from,
	bool is_tcp,
	uint64_t now_ns
)
{
	struct sl_lookup *l = NULL;
	struct sl_response response;
	enum sl_receive_verdict verdict = match(r, token, message, nb_bytes, from, &l, &response);

	r->stats.nb_received[verdict]++;
	if (verdict != SL_RECEIVE_ACCEPTED)
		return verdict;
	sl_upstream_answered(&r->servers[l->server], now_ns - l->sent_ns);
	r->alive_ns = now_ns != 0 ? now_ns : 1;
	if ((response.flags & SL_DNS_TC) != 0 && !is_tcp) {
		drop_token(r, l);
		l->state = SL_LOOKUP_TCP;
		return verdict;
	}
	accept(r, l, &response, nb_bytes, now_ns);
	return verdict;
}

static void
send_query(
	struct sl_resolver *r, struct sl_lookup *l, uint64_t now_ns, struct sl_resolver_event *event
)
{
	struct sl_upstream *u = &r->servers[l->server];
	uint64_t random = random64(r);
	uint8_t wire[SL_NAME_WIRE_MAX];

	l->is_tcp = l->state == SL_LOOKUP_TCP;
	l->state = SL_LOOKUP_WAIT;
	l->generation++;
	l->has_token = true;
	l->id = (uint16_t)random;
	l->mix = random64(r);
	l->sent_ns = now_ns;
	l->retry_ns = now_ns + (l->is_tcp ? SL_NS_PER_S : sl_upstream_retry_ns(u));
	u->nb_queries++;
	r->stats.nb_sent++;
	r->stats.nb_tcp += l->is_tcp;
	memcpy(wire, l->name.wire, l->name.nb_bytes);
	sl_name_mix_case(wire, l->name.nb_bytes, l->mix);
	event->kind = l->is_tcp ? SL_RESOLVER_NEED_TCP : SL_RESOLVER_SEND;
	event->token = token_of(r, l);
	event->server = u->at;
	event->nb_bytes = sl_query_build(
		event->message, sizeof(event->message), l->id, wire, l->name.nb_bytes, l->type, 0
	);
}

static void
end(struct sl_resolver *r, uint32_t active_idx)
{
	struct sl_lookup *l = &r->lookups[r->active[active_idx]];

	if (l->big != SL_NO_TOKEN)
		r->big_used[l->big] = false;
	l->state = SL_LOOKUP_FREE;
	r->idle[r->nb_idle++] = r->active[active_idx];
	r->active[active_idx] = r->active[--r->nb_active];
}

// One lookup's turn. True when it has an event.
static bool
advance(struct sl_resolver *r, struct sl_lookup *l, uint64_t now_ns, struct sl_resolver_event *event
)
{
	uint32_t a;

	if (l->state != SL_LOOKUP_DONE && now_ns - l->started_ns >= r->config.deadline_ns) {
		if (l->state == SL_LOOKUP_WAIT)
			sl_upstream_silent(&r->servers[l->server], now_ns);
		complete(r, l, SL_RESOLVED_SILENT);
	} else if (l->state == SL_LOOKUP_WAIT && now_ns >= l->retry_ns) {
		r->stats.nb_timeouts++;
		sl_upstream_silent(&r->servers[l->server], now_ns);
		ask_next(r, l, now_ns);
	}
	if (l->release != SL_NO_TOKEN) {
		event->kind = SL_RESOLVER_RELEASE;
		event->token = l->release;
		l->release = SL_NO_TOKEN;
		return true;
	}
	if (l->state == SL_LOOKUP_SEND || l->state == SL_LOOKUP_TCP) {
		send_query(r, l, now_ns, event);
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

bool
sl_resolver_poll(struct sl_resolver *r, uint64_t now_ns, struct sl_resolver_event *event)
{
	for (uint32_t i = 0; i < r->nb_active;) {
		struct sl_lookup *l = &r->lookups[r->active[i]];

		if (advance(r, l, now_ns, event))
			return true;
		if (l->state == SL_LOOKUP_DONE)
			end(r, i); // another slot takes this place
		else
			i++;
	}
	return false;
}

uint64_t
sl_resolver_wake_ns(const struct sl_resolver *r)
{
	uint64_t wake_ns = UINT64_MAX;

	for (uint32_t i = 0; i < r->nb_active; i++) {
		const struct sl_lookup *l = &r->lookups[r->active[i]];
		uint64_t ns = l->started_ns + r->config.deadline_ns;

		if (l->state != SL_LOOKUP_WAIT || l->release != SL_NO_TOKEN)
			return 0; // at once
		ns = l->retry_ns < ns ? l->retry_ns : ns;
		wake_ns = ns < wake_ns ? ns : wake_ns;
	}
	return wake_ns;
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
