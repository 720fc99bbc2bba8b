// forward: see forward.h. One struct sl_question per distinct question in flight, with one try per upstream. A try
// stays open when the next upstream is asked, so that a slow answer is not lost.
#include "forward_private.h"

#include <sluice/dns/cookie.h>
#include <sluice/proto/limits.h>
#include <stdlib.h>
#include <string.h>

static void
set_defaults(struct sl_forward_config *c)
{
	c->askers_max = c->askers_max != 0 ? c->askers_max : 8192;
	c->client_askers_max = c->client_askers_max != 0 ? c->client_askers_max
							 : c->askers_max / 8 + 1;
	c->queries_max = c->queries_max != 0 ? c->queries_max : 2048;
	c->cache_bytes = c->cache_bytes != 0 ? c->cache_bytes : 16u << 20;
	c->ttl_max_s = c->ttl_max_s != 0 ? c->ttl_max_s : 86400;
	c->negative_max_s = c->negative_max_s != 0 ? c->negative_max_s : 900;
	c->stale_max_s = c->stale_max_s != 0 ? c->stale_max_s : 86400;
	c->deadline_ns = c->deadline_ns != 0 ? c->deadline_ns : 3 * SL_NS_PER_S;
}

static bool
allocate(struct sl_forward *f)
{
	const struct sl_forward_config *c = &f->config;

	// A typical answer is one or two blocks beside its entry.
	f->nb_cached_max = c->cache_bytes /
		(sizeof(struct sl_cached) + 2 * sizeof(struct sl_block));
	f->nb_blocks = f->nb_cached_max * 2 + 260;
	// Of pages that nothing was written to yet the kernel has none: a tenant that asks little takes little.
	f->blocks = calloc(f->nb_blocks, sizeof(*f->blocks));
	f->cached = calloc(f->nb_cached_max, sizeof(*f->cached));
	f->questions = calloc(c->queries_max, sizeof(*f->questions));
	f->active = calloc(c->queries_max, sizeof(*f->active));
	f->idle = calloc(c->queries_max, sizeof(*f->idle));
	f->promises = calloc(c->askers_max, sizeof(*f->promises));
	f->scratch = malloc(SL_DNS_MESSAGE_MAX + 1);
	f->out = malloc(SL_DNS_MESSAGE_MAX + 1);
	if (f->blocks == NULL || f->cached == NULL || f->questions == NULL || f->active == NULL ||
	    f->idle == NULL || f->promises == NULL || f->scratch == NULL || f->out == NULL ||
	    !sl_index_init(&f->cache_index, f->nb_cached_max) ||
	    !sl_index_init(&f->question_index, c->queries_max) ||
	    !sl_turns_init(&f->turns, c->queries_max) || !sl_tally_init(&f->clients, c->askers_max))
		return false;
	f->free_block = SL_NO_BLOCK;
	f->nb_free_blocks = f->nb_blocks;
	for (uint32_t i = 0; i < c->queries_max; i++)
		f->idle[f->nb_idle++] = (uint16_t)(c->queries_max - 1 - i);
	f->free_promise = SL_NO_TOKEN;
	return true;
}

struct sl_forward *
sl_forward_create(const struct sl_forward_config *config)
{
	struct sl_forward *f;

	if (config->nb_upstreams == 0 || config->nb_upstreams > SL_UPSTREAMS_MAX ||
	    config->queries_max > UINT16_MAX || config->random == NULL ||
	    (config->cache_bytes != 0 && config->cache_bytes < 65536) ||
	    (f = calloc(1, sizeof(*f))) == NULL)
		return NULL;
	f->config = *config;
	set_defaults(&f->config);
	for (unsigned i = 0; i < config->nb_upstreams; i++)
		f->upstreams[i].at = config->upstreams[i];
	if (!allocate(f)) {
		sl_forward_free(f);
		return NULL;
	}
	return f;
}

void
sl_forward_free(struct sl_forward *f)
{
	if (f == NULL)
		return;
	sl_index_fini(&f->question_index);
	sl_index_fini(&f->cache_index);
	sl_tally_fini(&f->clients);
	free(f->out);
	free(f->scratch);
	free(f->promises);
	sl_turns_fini(&f->turns);
	free(f->idle);
	free(f->active);
	free(f->questions);
	free(f->cached);
	free(f->blocks);
	free(f);
}

void
sl_forward_set_upstreams(
	struct sl_forward *f, const struct sl_forward_config *config, uint64_t now_ns
)
{
	if (config->nb_upstreams == 0 || config->nb_upstreams > SL_UPSTREAMS_MAX)
		return;
	f->config.mode = config->mode;
	f->config.nb_upstreams = config->nb_upstreams;
	sl_upstream_replace(f->upstreams, config->upstreams, config->nb_upstreams);
	sl_cached_forget(f);
	for (uint32_t i = 0; i < f->nb_active; i++) {
		sl_question_restart(f, &f->questions[f->active[i]], now_ns);
		sl_turns_touch(&f->turns, f->active[i]);
	}
}

static struct sl_question *
begin(struct sl_forward *f,
      const struct sl_query *query,
      uint16_t flags,
      uint64_t hash,
      uint64_t now_ns)
{
	struct sl_question *q;
	uint16_t generation[SL_UPSTREAMS_MAX];

	if (f->nb_idle == 0)
		return NULL;
	f->active[f->nb_active++] = f->idle[--f->nb_idle];
	q = &f->questions[f->active[f->nb_active - 1]];
	for (unsigned i = 0; i < SL_UPSTREAMS_MAX; i++)
		generation[i] = q->tries[i].generation;
	*q = (struct sl_question){
		.hash = hash,
		.started_ns = now_ns,
		.answer = { .first_block = SL_NO_BLOCK },
		.first_asker = SL_NO_TOKEN,
		.type = query->type,
		.flags = flags,
		.active_at = (uint16_t)(f->nb_active - 1),
		.is_used = true,
		.name = query->name,
	};
	for (unsigned i = 0; i < SL_UPSTREAMS_MAX; i++) {
		q->tries[i].generation = generation[i];
		q->tries[i].release = SL_NO_TOKEN;
	}
	if (f->config.mode == SL_FORWARD_RANDOM)
		q->first_upstream = (uint8_t)(sl_forward_random(f) % f->config.nb_upstreams);
	sl_index_insert(&f->question_index, hash, (uint32_t)(q - f->questions));
	sl_question_ask_next(f, q, now_ns);
	sl_turns_touch(&f->turns, (uint16_t)(q - f->questions));
	return q;
}

// Nobody waits for it any more.
static void
end(struct sl_forward *f, struct sl_question *q)
{
	const uint16_t last = f->active[--f->nb_active];

	sl_index_remove(&f->question_index, q->hash, (uint32_t)(q - f->questions));
	sl_stored_drop(f, &q->answer);
	q->is_used = false;
	f->idle[f->nb_idle++] = (uint16_t)(q - f->questions);
	f->active[q->active_at] = last;
	f->questions[last].active_at = q->active_at;
}

static struct sl_question *
find_question(struct sl_forward *f, const struct sl_query *query, uint16_t flags, uint64_t hash)
{
	struct sl_index_at at = { 0 };
	uint32_t i;

	while ((i = sl_index_next(&f->question_index, hash, &at)) != SL_INDEX_NONE) {
		struct sl_question *q = &f->questions[i];

		if (q->hash == hash && q->type == query->type && q->flags == flags && !q->is_done &&
		    sl_name_equal(&q->name, &query->name))
			return q;
	}
	return NULL;
}

static bool
same_asker(
	const struct sl_promise *p, const struct sl_forward_asker *a, const struct sl_query *query
)
{
	return p->asker.client == a->client && p->asker.address == a->address &&
		p->asker.resolver == a->resolver && p->asker.port == a->port &&
		p->asker.is_tcp == a->is_tcp && sl_get16(p->head) == query->id &&
		p->question_end == query->question_end &&
		memcmp(p->head + SL_DNS_HEADER_BYTES,
		       query->message + SL_DNS_HEADER_BYTES,
		       query->question_end - SL_DNS_HEADER_BYTES) == 0;
}

static void
fill_promise(
	struct sl_promise *p, const struct sl_forward_asker *asker, const struct sl_query *query
)
{
	p->asker = *asker;
	p->question_end = query->question_end;
	p->edns_bytes = query->edns_bytes;
	p->has_edns = query->has_edns;
	p->dnssec_ok = query->dnssec_ok;
	p->says_cookie = query->says_cookie;
	memcpy(p->cookie, query->cookie, sizeof(p->cookie));
	memcpy(p->head, query->message, query->question_end);
}

static void
free_promise(struct sl_forward *f, uint32_t i)
{
	sl_tally_drop(&f->clients, f->promises[i].asker.client);
	f->promises[i].next = f->free_promise;
	f->free_promise = i;
	f->stats.nb_waiting--;
}

// From the cache, into the caller's buffer. Length, 0 if there is nothing fresh.
static size_t
answer_cached(
	struct sl_forward *f,
	const struct sl_forward_asker *asker,
	const struct sl_query *query,
	uint16_t flags,
	uint64_t hash,
	uint64_t now_ns,
	uint8_t *answer,
	size_t room
)
{
	struct sl_cached *c = sl_cached_find(f, &query->name, query->type, flags, hash);
	struct sl_promise p;

	if (c == NULL || now_ns >= c->expires_ns)
		return 0;
	f->stats.nb_hits++;
	f->stats.nb_negative_hits += c->is_negative;
	fill_promise(&p, asker, query);
	return sl_forward_build(f, &p, &c->stored, false, now_ns, answer, room);
}

// Has this asker been promised an answer to this question already?
static bool
is_promised(
	const struct sl_forward *f,
	const struct sl_question *q,
	const struct sl_forward_asker *asker,
	const struct sl_query *query
)
{
	for (uint32_t i = q->first_asker; i != SL_NO_TOKEN; i = f->promises[i].next)
		if (same_asker(&f->promises[i], asker, query))
			return true;
	return false;
}

// A promise to be made, if there is one left.
static uint32_t
next_promise(const struct sl_forward *f)
{
	if (f->free_promise != SL_NO_TOKEN)
		return f->free_promise;
	return f->nb_promises_ever < f->config.askers_max ? f->nb_promises_ever : SL_NO_TOKEN;
}

static void
take_promise(struct sl_forward *f, uint32_t i)
{
	if (i == f->free_promise)
		f->free_promise = f->promises[i].next;
	else
		f->nb_promises_ever++;
}

enum sl_forward_verdict
sl_forward_query(
	struct sl_forward *f,
	const struct sl_forward_asker *asker,
	const uint8_t *message,
	size_t nb_bytes,
	uint64_t now_ns,
	uint8_t *answer,
	size_t room,
	size_t *nb_answer_bytes
)
{
	struct sl_query query;
	struct sl_question *q;
	uint64_t hash;
	uint16_t flags;
	uint32_t i;

	*nb_answer_bytes = 0;
	if (sl_query_parse(&query, message, nb_bytes) != SL_QUERY_OK)
		return SL_FORWARD_REFUSED;
	sl_cookie_answer(
		&query,
		&(struct sl_cookie_for){ .key = &f->config.name_key,
					 .address = asker->address,
					 .now_s = (uint32_t)(now_ns / SL_NS_PER_S) }
	);
	f->stats.nb_queries++;
	flags = (uint16_t
	)((query.flags & SL_FORWARD_FLAGS) | (query.dnssec_ok ? SL_FORWARD_DO : 0));
	hash = sl_name_hash(&query.name, &f->config.name_key) ^
		((uint64_t)query.type << 16 | flags) * 0x9e3779b97f4a7c15ull;
	*nb_answer_bytes = answer_cached(f, asker, &query, flags, hash, now_ns, answer, room);
	if (*nb_answer_bytes != 0)
		return SL_FORWARD_ANSWERED;
	q = find_question(f, &query, flags, hash);
	if (q != NULL && is_promised(f, q, asker, &query)) {
		f->stats.nb_repeated++;
		return SL_FORWARD_REPEATED;
	}
	if (sl_tally_get(&f->clients, asker->client) >= f->config.client_askers_max) {
		f->stats.nb_full++;
		return SL_FORWARD_CLIENT_FULL;
	}
	i = next_promise(f);
	if (q != NULL)
		f->stats.nb_shared++;
	else if (i != SL_NO_TOKEN)
		q = begin(f, &query, flags, hash, now_ns);
	if (q == NULL || i == SL_NO_TOKEN) {
		f->stats.nb_full++;
		return SL_FORWARD_FULL;
	}
	take_promise(f, i);
	fill_promise(&f->promises[i], asker, &query);
	f->promises[i].next = q->first_asker;
	q->first_asker = i;
	sl_tally_add(&f->clients, asker->client);
	f->stats.nb_waiting++;
	return SL_FORWARD_PENDING;
}

// Keep the next promise of a question that is done.
static bool
deliver(struct sl_forward *f, struct sl_question *q, uint64_t now_ns, struct sl_forward_event *event
)
{
	const uint32_t i = q->first_asker;
	const struct sl_promise *p;

	if (i == SL_NO_TOKEN)
		return false;
	p = &f->promises[i];
	if (q->answer.first_block != SL_NO_BLOCK) {
		event->nb_bytes = sl_forward_build(
			f, p, &q->answer, q->is_stale, now_ns, f->out, SL_DNS_MESSAGE_MAX
		);
		f->stats.nb_stale += q->is_stale;
	} else {
		event->nb_bytes = sl_forward_servfail(p, f->out, SL_DNS_MESSAGE_MAX);
		f->stats.nb_failed++;
	}
	event->kind = SL_FORWARD_ANSWER;
	event->token = SL_NO_TOKEN;
	event->asker = p->asker;
	event->message = f->out;
	q->first_asker = p->next;
	free_promise(f, i);
	return true;
}

// One question's turn. True when it has an event.
static bool
advance(struct sl_forward *f, struct sl_question *q, uint64_t now_ns, struct sl_forward_event *event
)
{
	sl_question_timers(f, q, now_ns);
	for (unsigned u = 0; u < f->config.nb_upstreams; u++) {
		struct sl_try *t = &q->tries[u];

		if (t->release != SL_NO_TOKEN) {
			event->kind = SL_FORWARD_RELEASE;
			event->token = t->release;
			t->release = SL_NO_TOKEN;
			return true;
		}
		if (!q->is_done && (t->state == SL_TRY_SEND || t->state == SL_TRY_TCP)) {
			sl_try_send(f, q, t, now_ns, event);
			return true;
		}
	}
	return q->is_done && deliver(f, q, now_ns, event);
}

static uint64_t
due_of(const void *owner, uint16_t slot)
{
	const struct sl_forward *f = owner;

	return sl_question_due_ns(f, &f->questions[slot]);
}

bool
sl_forward_poll(struct sl_forward *f, uint64_t now_ns, struct sl_forward_event *event)
{
	uint16_t slot;

	sl_turns_look(&f->turns, now_ns, f->active, f->nb_active, due_of, f);
	while (sl_turns_next(&f->turns, &slot)) {
		struct sl_question *q = &f->questions[slot];

		if (advance(f, q, now_ns, event))
			return true;
		sl_turns_end(&f->turns, q->is_done ? UINT64_MAX : sl_question_due_ns(f, q));
		if (q->is_done)
			end(f, q);
	}
	return false;
}

uint64_t
sl_forward_wake_ns(const struct sl_forward *f)
{
	return sl_turns_wake_ns(&f->turns, f->nb_active);
}

unsigned
sl_forward_cancel_client(struct sl_forward *f, uint32_t client)
{
	unsigned nb = 0;

	for (uint32_t a = 0; a < f->nb_active; a++) {
		uint32_t *at = &f->questions[f->active[a]].first_asker;

		while (*at != SL_NO_TOKEN) {
			uint32_t i = *at;

			if (f->promises[i].asker.client != client) {
				at = &f->promises[i].next;
				continue;
			}
			*at = f->promises[i].next;
			free_promise(f, i);
			nb++;
		}
	}
	return nb;
}

void
sl_forward_stats(const struct sl_forward *f, struct sl_forward_stats *stats)
{
	*stats = f->stats;
	stats->nb_in_flight = f->nb_active;
}

const struct sl_upstream *
sl_forward_upstream(const struct sl_forward *f, unsigned idx)
{
	return idx < f->config.nb_upstreams ? &f->upstreams[idx] : NULL;
}
