// resolver_lookup: one lookup and its servers: who is asked next, what is sent, which answers count.
#include "resolver_private.h"

#include <sluice/proto/limits.h>
#include <string.h>

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
	l->result = (struct sl_resolver_result){
		.result = result,
		.type = l->type,
		.rcode = result == SL_RESOLVED_FAILED ? l->rcode : SL_RCODE_NOERROR,
	};
	l->state = SL_LOOKUP_DONE;
	drop_token(r, l);
}

bool
sl_lookup_next_name(struct sl_resolver *r, struct sl_lookup *l)
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
			return sl_lookup_next_name(r, l);
		memcpy(l->name.wire + n, s->wire, s->nb_bytes);
		(void)sl_name_parse_plain(&l->name, l->name.wire, sizeof(l->name.wire), 0, NULL);
	}
	l->tried = l->failed = 0;
	l->chain = 0;
	l->ttl_s = UINT32_MAX;
	return true;
}

void
sl_lookup_ask_next(struct sl_resolver *r, struct sl_lookup *l, uint64_t now_ns)
{
	int server;

	drop_token(r, l);
	l->is_tcp = l->retries_plain = false;
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

void
sl_lookup_restart(struct sl_resolver *r, struct sl_lookup *l, uint64_t now_ns)
{
	if (l->state == SL_LOOKUP_DONE)
		return;
	l->search = 0;
	l->name = l->original;
	l->tried = l->failed = 0;
	l->chain = 0;
	l->ttl_s = UINT32_MAX;
	sl_lookup_next_name(r, l);
	sl_lookup_ask_next(r, l, now_ns);
}

static struct sl_asked
asked_of(const struct sl_lookup *l)
{
	return (struct sl_asked){ &l->name, l->id, l->type, l->mix, l->is_plain };
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
	struct sl_asked asked;
	struct sl_lookup *l;

	if ((token & 0xffff) >= r->config.queries_max)
		return SL_RECEIVE_UNKNOWN;
	l = &r->lookups[token & 0xffff];
	if (l->state != SL_LOOKUP_WAIT || !l->has_token || token_of(r, l) != token)
		return SL_RECEIVE_UNKNOWN;
	if (!sl_upstream_same(r->servers[l->server].at, from))
		return SL_RECEIVE_SERVER;
	*lookup = l;
	asked = asked_of(l);
	return sl_upstream_match(&asked, message, nb_bytes, response);
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
		sl_lookup_ask_next(r, l, now_ns);
		return;
	case SL_READ_DONE:
		break;
	case SL_READ_LOOP:
		r->stats.nb_received[SL_RECEIVE_LOOP]++;
		l->failed |= 1u << l->server;
		l->chain = 0;
		sl_lookup_ask_next(r, l, now_ns);
		return;
	case SL_READ_MALFORMED:
		r->stats.nb_received[SL_RECEIVE_MALFORMED]++;
		l->failed |= 1u << l->server;
		sl_lookup_ask_next(r, l, now_ns);
		return;
	case SL_READ_SERVER_FAILED:
	default:
		r->servers[l->server].nb_failures++;
		l->rcode = (uint8_t)(response->flags & SL_DNS_RCODE);
		l->failed |= 1u << l->server;
		sl_lookup_ask_next(r, l, now_ns);
		return;
	}
	if (l->result.result == SL_RESOLVED_NO_NAME && sl_lookup_next_name(r, l)) {
		sl_lookup_ask_next(r, l, now_ns);
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
	struct sl_asked asked;
	enum sl_receive_verdict verdict = match(r, token, message, nb_bytes, from, &l, &response);

	r->stats.nb_received[verdict]++;
	if (verdict != SL_RECEIVE_ACCEPTED)
		return verdict;
	sl_turns_touch(&r->turns, (uint16_t)(l - r->lookups));
	sl_upstream_answered(&r->servers[l->server], now_ns - l->sent_ns);
	r->alive_ns = now_ns != 0 ? now_ns : 1;
	asked = asked_of(l);
	if (l->retries_plain)
		sl_upstream_plain_answered(&r->servers[l->server], &response, now_ns);
	if (sl_upstream_refused_edns(&asked, &response)) {
		l->retries_plain = true;
		drop_token(r, l);
		l->state = is_tcp ? SL_LOOKUP_TCP : SL_LOOKUP_SEND;
		return verdict;
	}
	if ((response.flags & SL_DNS_TC) != 0 && !is_tcp) {
		drop_token(r, l);
		l->state = SL_LOOKUP_TCP;
		return verdict;
	}
	accept(r, l, &response, nb_bytes, now_ns);
	return verdict;
}

void
sl_resolver_refused(struct sl_resolver *r, uint32_t token, uint64_t now_ns)
{
	struct sl_lookup *l = &r->lookups[(token & 0xffff) % r->config.queries_max];

	if ((token & 0xffff) >= r->config.queries_max || l->state != SL_LOOKUP_WAIT)
		return;
	if (!l->has_token || token_of(r, l) != token)
		return;
	sl_upstream_silent(&r->servers[l->server], now_ns);
	l->failed |= 1u << l->server;
	sl_lookup_ask_next(r, l, now_ns);
	sl_turns_touch(&r->turns, (uint16_t)(l - r->lookups));
}

void
sl_lookup_send(
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
	l->is_plain = l->retries_plain || sl_upstream_is_plain(u, now_ns);
	if (l->is_plain)
		event->nb_bytes = sl_query_drop_edns(event->message, event->nb_bytes);
	else if (l->dnssec_ok)
		sl_query_set_dnssec_ok(event->message, event->nb_bytes);
}

uint64_t
sl_lookup_due_ns(const struct sl_resolver *r, const struct sl_lookup *l)
{
	const uint64_t end_ns = l->started_ns + r->config.deadline_ns;

	if (l->state != SL_LOOKUP_WAIT || l->release != SL_NO_TOKEN)
		return 0; // at once
	return l->retry_ns < end_ns ? l->retry_ns : end_ns;
}

void
sl_lookup_timers(struct sl_resolver *r, struct sl_lookup *l, uint64_t now_ns)
{
	if (l->state != SL_LOOKUP_DONE && now_ns - l->started_ns >= r->config.deadline_ns) {
		if (l->state == SL_LOOKUP_WAIT)
			sl_upstream_silent(&r->servers[l->server], now_ns);
		complete(r, l, SL_RESOLVED_SILENT);
	} else if (l->state == SL_LOOKUP_WAIT && now_ns >= l->retry_ns) {
		r->stats.nb_timeouts++;
		sl_upstream_silent(&r->servers[l->server], now_ns);
		sl_lookup_ask_next(r, l, now_ns);
	}
}
