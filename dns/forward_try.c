// forward_try: one question and its upstreams: who is asked next, what is sent, which answers count.
#include "forward_private.h"

#include <sluice/proto/limits.h>
#include <string.h>

#define TOKEN_GENERATION_MASK 0x1fffu

uint64_t
sl_forward_random(struct sl_forward *f)
{
	return f->config.random(f->config.random_context);
}

static uint32_t
token_of(const struct sl_forward *f, const struct sl_question *q, const struct sl_try *t)
{
	return (uint32_t)(q - f->questions) | (uint32_t)(t - q->tries) << 16 |
		(uint32_t)(t->generation & TOKEN_GENERATION_MASK) << 19;
}

static void
close_try(
	const struct sl_forward *f, struct sl_question *q, struct sl_try *t, enum sl_try_state state
)
{
	if (t->has_token)
		t->release = token_of(f, q, t);
	t->has_token = false;
	t->state = (uint8_t)state;
}

static void
done(struct sl_forward *f, struct sl_question *q)
{
	q->is_done = true;
	for (unsigned u = 0; u < f->config.nb_upstreams; u++)
		close_try(f, q, &q->tries[u], SL_TRY_CLOSED);
}

// Say the stale answer, if there is one. False if not.
static bool
done_stale(struct sl_forward *f, struct sl_question *q, uint64_t now_ns)
{
	struct sl_cached *c = sl_cached_find(f, &q->name, q->type, q->flags, q->hash);

	if (c == NULL || now_ns >= c->stale_ns)
		return false;
	if (sl_stored_get(f, &c->stored) == 0 ||
	    !sl_stored_put(f, &q->answer, f->scratch, c->stored.nb_bytes, c->stored.at_ns))
		return false;
	q->is_stale = true;
	done(f, q);
	return true;
}

void
sl_question_ask_next(struct sl_forward *f, struct sl_question *q, uint64_t now_ns)
{
	uint32_t tried = 0, failed = 0;
	int u;

	for (unsigned i = 0; i < f->config.nb_upstreams; i++) {
		tried |= (uint32_t)(q->tries[i].state != SL_TRY_IDLE) << i;
		failed |= (uint32_t)(q->tries[i].state == SL_TRY_FAILED) << i;
	}
	u = sl_upstream_pick(
		f->upstreams, f->config.nb_upstreams, q->first_upstream, tried, now_ns
	);
	while (u >= 0) {
		q->tries[u].state = SL_TRY_SEND;
		tried |= 1u << u;
		if (f->config.mode != SL_FORWARD_PARALLEL)
			return;
		u = sl_upstream_pick(
			f->upstreams, f->config.nb_upstreams, q->first_upstream, tried, now_ns
		);
	}
	if (failed == (1u << f->config.nb_upstreams) - 1) {
		if (!done_stale(f, q, now_ns))
			done(f, q);
		return;
	}
	for (unsigned i = 0; i < f->config.nb_upstreams; i++) // lost on the way: send once more
		if (q->tries[i].state == SL_TRY_WAIT && q->tries[i].is_silent) {
			close_try(f, q, &q->tries[i], SL_TRY_SEND);
			return;
		}
}

void
sl_question_restart(struct sl_forward *f, struct sl_question *q, uint64_t now_ns)
{
	if (q->is_done)
		return;
	for (unsigned u = 0; u < SL_UPSTREAMS_MAX; u++) {
		struct sl_try *t = &q->tries[u];

		// The port of a try whose upstream has gone frees itself in time.
		if (u < f->config.nb_upstreams)
			close_try(f, q, t, SL_TRY_IDLE);
		t->has_token = false;
		t->state = SL_TRY_IDLE;
		t->is_silent = t->retries_plain = false;
	}
	q->first_upstream = 0;
	sl_question_ask_next(f, q, now_ns);
}

// The try a token stands for; NULL: it is over.
static struct sl_try *
try_of(struct sl_forward *f, uint32_t token, struct sl_question **question)
{
	const unsigned u = token >> 16 & 7;
	struct sl_question *q;
	struct sl_try *t;

	if ((token & 0xffff) >= f->config.queries_max || u >= f->config.nb_upstreams)
		return NULL;
	q = &f->questions[token & 0xffff];
	t = &q->tries[u];
	if (!q->is_used || q->is_done || t->state != SL_TRY_WAIT || !t->has_token ||
	    token_of(f, q, t) != token)
		return NULL;
	*question = q;
	return t;
}

void
sl_forward_refused(struct sl_forward *f, uint32_t token, uint64_t now_ns)
{
	struct sl_question *q = NULL;
	struct sl_try *t = try_of(f, token, &q);

	if (t == NULL)
		return;
	sl_upstream_silent(&f->upstreams[t - q->tries], now_ns);
	close_try(f, q, t, SL_TRY_FAILED);
	sl_question_ask_next(f, q, now_ns);
	sl_turns_touch(&f->turns, (uint16_t)(q - f->questions));
}

static struct sl_asked
asked_of(const struct sl_question *q, const struct sl_try *t)
{
	return (struct sl_asked){ &q->name, t->id, q->type, t->mix, t->is_plain };
}

static enum sl_receive_verdict
match(struct sl_forward *f,
      uint32_t token,
      const uint8_t *message,
      size_t nb_bytes,
      struct sl_upstream_address from,
      struct sl_question **question,
      struct sl_try **try,
      struct sl_response *response)
{
	struct sl_question *q = NULL;
	struct sl_try *t = try_of(f, token, &q);
	struct sl_asked asked;

	if (t == NULL)
		return SL_RECEIVE_UNKNOWN;
	if (!sl_upstream_same(f->upstreams[t - q->tries].at, from))
		return SL_RECEIVE_SERVER;
	*question = q;
	*try = t;
	asked = asked_of(q, t);
	return sl_upstream_match(&asked, message, nb_bytes, response);
}

// An upstream that does not know EDNS is asked again without. What it says to that is noted.
static bool
retried_plain(
	struct sl_forward *f,
	struct sl_question *q,
	struct sl_try *t,
	const struct sl_response *response,
	bool is_tcp,
	uint64_t now_ns
)
{
	struct sl_upstream *u = &f->upstreams[t - q->tries];
	struct sl_asked asked = asked_of(q, t);

	if (t->retries_plain)
		sl_upstream_plain_answered(u, response, now_ns);
	if (!sl_upstream_refused_edns(&asked, response))
		return false;
	f->stats.nb_received[SL_RECEIVE_ACCEPTED]++;
	sl_upstream_answered(u, now_ns - t->sent_ns);
	t->retries_plain = true;
	close_try(f, q, t, is_tcp ? SL_TRY_TCP : SL_TRY_SEND);
	return true;
}

static bool
is_failure(unsigned rcode)
{
	return rcode != SL_RCODE_NOERROR && rcode != SL_RCODE_NXDOMAIN;
}

enum sl_receive_verdict
sl_forward_receive(
	struct sl_forward *f,
	uint32_t token,
	const uint8_t *message,
	size_t nb_bytes,
	struct sl_upstream_address from,
	bool is_tcp,
	uint64_t now_ns
)
{
	struct sl_question *q = NULL;
	struct sl_try *t = NULL;
	struct sl_response response;
	enum sl_receive_verdict verdict = match(
		f, token, message, nb_bytes, from, &q, &t, &response
	);
	struct sl_upstream *u;
	uint8_t extended = 0;
	size_t n = 0;

	if (verdict == SL_RECEIVE_ACCEPTED)
		sl_turns_touch(&f->turns, (uint16_t)(q - f->questions));
	if (verdict == SL_RECEIVE_ACCEPTED && retried_plain(f, q, t, &response, is_tcp, now_ns))
		return verdict;
	if (verdict == SL_RECEIVE_ACCEPTED && (is_tcp || (response.flags & SL_DNS_TC) == 0)) {
		memcpy(f->scratch, message, nb_bytes);
		n = sl_forward_strip(f->scratch, nb_bytes, &extended);
		if (n == 0)
			verdict = SL_RECEIVE_MALFORMED;
	}
	f->stats.nb_received[verdict]++;
	if (verdict != SL_RECEIVE_ACCEPTED)
		return verdict;
	u = &f->upstreams[t - q->tries];
	sl_upstream_answered(u, now_ns - t->sent_ns);
	if (!is_tcp && (response.flags & SL_DNS_TC) != 0) {
		close_try(f, q, t, SL_TRY_TCP);
		return verdict;
	}
	if (is_failure(response.flags & SL_DNS_RCODE) || extended != 0) {
		u->nb_failures++;
		sl_stored_drop(f, &q->answer);
		if (extended == 0) // what the last of them said is what the client gets if all fail
			(void)sl_stored_put(f, &q->answer, f->scratch, n, now_ns);
		if (extended == 0)
			sl_cached_keep(f, q, f->scratch, n, now_ns);
		close_try(f, q, t, SL_TRY_FAILED);
		sl_question_ask_next(f, q, now_ns);
		return verdict;
	}
	sl_cached_keep(f, q, f->scratch, n, now_ns);
	sl_stored_drop(f, &q->answer);
	(void)sl_stored_put(f, &q->answer, f->scratch, n, now_ns);
	done(f, q);
	return verdict;
}

void
sl_try_send(
	struct sl_forward *f,
	struct sl_question *q,
	struct sl_try *t,
	uint64_t now_ns,
	struct sl_forward_event *event
)
{
	struct sl_upstream *u = &f->upstreams[t - q->tries];
	uint8_t wire[SL_NAME_WIRE_MAX];

	t->is_tcp = t->state == SL_TRY_TCP;
	t->state = SL_TRY_WAIT;
	t->is_silent = false;
	t->generation++;
	t->has_token = true;
	t->id = (uint16_t)sl_forward_random(f);
	t->mix = sl_forward_random(f);
	t->sent_ns = now_ns;
	t->retry_ns = now_ns + (t->is_tcp ? SL_NS_PER_S : sl_upstream_retry_ns(u));
	u->nb_queries++;
	f->stats.nb_sent++;
	f->stats.nb_tcp += t->is_tcp;
	memcpy(wire, q->name.wire, q->name.nb_bytes);
	sl_name_mix_case(wire, q->name.nb_bytes, t->mix);
	event->kind = t->is_tcp ? SL_FORWARD_NEED_TCP : SL_FORWARD_SEND;
	event->token = token_of(f, q, t);
	event->upstream = u->at;
	event->message = f->out;
	event->nb_bytes = sl_query_build(
		f->out,
		SL_DNS_MESSAGE_MAX,
		t->id,
		wire,
		q->name.nb_bytes,
		q->type,
		q->flags & SL_FORWARD_FLAGS
	);
	t->is_plain = t->retries_plain || sl_upstream_is_plain(u, now_ns);
	if (t->is_plain)
		event->nb_bytes = sl_query_drop_edns(f->out, event->nb_bytes);
	else if ((q->flags & SL_FORWARD_DO) != 0)
		sl_query_set_dnssec_ok(f->out, event->nb_bytes);
}

uint64_t
sl_question_due_ns(const struct sl_forward *f, const struct sl_question *q)
{
	const uint64_t stale_ns = q->started_ns + SL_FORWARD_STALE_AFTER_NS;
	uint64_t due_ns = q->started_ns + f->config.deadline_ns;

	if (q->is_done)
		return 0;
	if (!q->was_stale_tried && stale_ns < due_ns)
		due_ns = stale_ns;
	for (unsigned u = 0; u < f->config.nb_upstreams; u++) {
		const struct sl_try *t = &q->tries[u];

		if (t->state == SL_TRY_WAIT && !t->is_silent && t->retry_ns < due_ns)
			due_ns = t->retry_ns;
	}
	return due_ns;
}

void
sl_question_timers(struct sl_forward *f, struct sl_question *q, uint64_t now_ns)
{
	const uint64_t age_ns = now_ns - q->started_ns;

	if (q->is_done)
		return;
	for (unsigned u = 0; u < f->config.nb_upstreams; u++) {
		struct sl_try *t = &q->tries[u];

		if (t->state != SL_TRY_WAIT || t->is_silent || now_ns < t->retry_ns)
			continue;
		t->is_silent = true;
		f->stats.nb_timeouts++;
		sl_upstream_silent(&f->upstreams[u], now_ns);
		sl_question_ask_next(f, q, now_ns);
	}
	if (!q->is_done && !q->was_stale_tried && age_ns >= SL_FORWARD_STALE_AFTER_NS) {
		q->was_stale_tried = true;
		(void)done_stale(f, q, now_ns);
	}
	if (!q->is_done && age_ns >= f->config.deadline_ns)
		done(f, q);
}
