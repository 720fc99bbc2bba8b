// resolving: on the connector, the private addresses of names (for OPEN) and answers of other types
// (for RESOLVE).
#include "internal.h"

#include <errno.h>
#include <sluice/proto/record.h>

#define EVENTS_PER_TURN 256u
#define NAMES_MAX       16384u
#define PROBE_NS        (20 * SL_NS_PER_S)
#define PROBE_RETRY_NS  (1 * SL_NS_PER_S)
#define PIECE_BYTES     1120u // of a message: a record of it passes every path of a lane whole

static struct sl_resolver_config
resolver_config(const struct sl_service *s)
{
	const struct sl_config_connector_role *role = &s->config->connector;
	struct sl_resolver_config config = {
		.names_max = NAMES_MAX,
		.random = service_random,
		.deadline_ns = (uint64_t)s->config->timers.resolve_ms * SL_NS_PER_MS,
	};

	for (unsigned i = 0; i < role->nb_resolvers && i < SL_UPSTREAMS_MAX; i++)
		config.servers[config.nb_servers++] = (struct sl_upstream_address){
			.address = role->resolvers[i].address,
			.port = role->resolvers[i].port,
		};
	for (unsigned i = 0; i < role->search.nb && i < SL_RESOLVER_SEARCH_MAX; i++)
		config.search[config.nb_search++] = role->search.list[i];
	return config;
}

int
resolving_create(struct sl_service *s)
{
	const struct sl_resolver_config config = resolver_config(s);

	if (s->config->node.role != SL_ROLE_CONNECTOR)
		return 0;
	s->resolver = sl_resolver_create(&config);
	return s->resolver == NULL ? -ENOMEM : 0;
}

void
resolving_free(struct sl_service *s)
{
	sl_resolver_free(s->resolver);
}

static bool
same_resolvers(const struct sl_config_connector_role *a, const struct sl_config_connector_role *b)
{
	if (a->nb_resolvers != b->nb_resolvers || a->search.nb != b->search.nb)
		return false;
	for (unsigned i = 0; i < a->nb_resolvers; i++)
		if (a->resolvers[i].address != b->resolvers[i].address ||
		    a->resolvers[i].port != b->resolvers[i].port)
			return false;
	for (unsigned i = 0; i < a->search.nb; i++)
		if (strcmp(a->search.list[i], b->search.list[i]) != 0)
			return false;
	return true;
}

void
resolving_config(struct sl_service *s, const struct sl_config *before)
{
	const struct sl_resolver_config config = resolver_config(s);

	if (s->resolver == NULL || same_resolvers(&before->connector, &s->config->connector))
		return;
	if (!sl_resolver_set_servers(s->resolver, &config, s->now_ns))
		sl_log(SL_LOG_ERROR,
		       "resolvers-kept",
		       "the new private name servers or search domains cannot be used");
}

// ---- OPEN: a name the worker has no address for --------------------------------------------------

static uint8_t
reason_of(enum sl_resolved result)
{
	return result == SL_RESOLVED_NO_NAME ? SL_CLOSE_NO_NAME : SL_CLOSE_RESOLVER;
}

static void
mail_name(
	struct sl_service *s,
	unsigned worker,
	const struct sl_open *open,
	uint16_t tenant,
	const struct sl_resolver_result *result
)
{
	struct sl_mail *mail = sl_dp_alloc_mail(s->dp);

	if (mail == NULL)
		return;
	mail->kind = SL_MAIL_NAME;
	mail->tenant = tenant;
	mail->name_bytes = open->destination_bytes;
	mail->ttl_s = result->ttl_s;
	mail->nb_addresses = 0;
	mail->reason = reason_of(result->result);
	for (unsigned i = 0; result->result == SL_RESOLVED_OK && i < result->nb_addresses; i++)
		memcpy(&mail->addresses[mail->nb_addresses++], result->addresses[i], 4);
	memcpy(mail->name, open->destination, open->destination_bytes);
	mail->name[open->destination_bytes] = '\0';
	if (sl_dp_send_mail(s->dp, worker, mail) != 0)
		sl_dp_free_mail(mail);
}

// All addresses go with the OPEN, behind its record, in turn beginning with another: with a TTL of 0
// nothing else of the answer is kept.
static void
attach(struct sl_service *s, struct rte_mbuf *m, const struct sl_resolver_result *result)
{
	unsigned nb = RTE_MIN(result->nb_addresses, SL_MAIL_ADDRESSES);
	struct sl_meta *meta = sl_meta(m);
	uint8_t *p;

	if (nb == 0)
		return;
	s->next_address++;
	memcpy(&meta->resolved, result->addresses[s->next_address % nb], 4);
	p = nb == 1 ? NULL : (void *)rte_pktmbuf_append(m, (uint16_t)(nb * 4));
	if (p == NULL)
		return; // one, or no room: the first has to do
	for (unsigned i = 0; i < nb; i++)
		memcpy(p + i * 4, result->addresses[(s->next_address + i) % nb], 4);
	meta->token = nb;
}

// The OPEN goes back to its worker with an address, or with the reason why there is none.
static void
open_resolved(struct sl_service *s, struct rte_mbuf *m, const struct sl_resolver_result *result)
{
	struct sl_meta *meta = sl_meta(m);
	struct sl_open open;
	struct sl_rec rec;
	size_t used;

	meta->resolved = 0;
	meta->reason = reason_of(result->result);
	meta->token = 0;
	// What may be kept goes into the worker's cache first, so that the packets behind find it.
	if (result->ttl_s != 0 && result->result <= SL_RESOLVED_NO_NAME &&
	    sl_rec_parse(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, &rec, &used) ==
		    SL_REC_OK &&
	    sl_open_parse(&rec, &open) == SL_BODY_OK)
		mail_name(
			s, meta->worker, &open, s->sessions->sessions[meta->session].tenant, result
		);
	if (result->result == SL_RESOLVED_OK)
		attach(s, m, result);
	to_worker(s, meta->worker, SL_STAGE_RESOLVED, m);
}

static bool
open_name(const struct rte_mbuf *m, struct sl_name *name)
{
	char text[SL_NAME_MAX_BYTES + 1];
	struct sl_open open;
	struct sl_rec rec;
	size_t used;

	if (sl_rec_parse(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, &rec, &used) !=
		    SL_REC_OK ||
	    sl_open_parse(&rec, &open) != SL_BODY_OK ||
	    open.destination_kind != SL_DESTINATION_NAME)
		return false;
	memcpy(text, open.destination, open.destination_bytes);
	text[open.destination_bytes] = '\0';
	return sl_name_from_text(name, text) == SL_NAME_OK;
}

void
resolving_open(struct sl_service *s, struct rte_mbuf *m)
{
	struct sl_resolver_result result = { .result = SL_RESOLVED_BUSY };
	struct sl_name name;
	uint32_t hold;

	if (s->resolver == NULL || !open_name(m, &name)) {
		rte_pktmbuf_free(m);
		return;
	}
	hold = hold_put(s, HOLD_OPEN, 0, m);
	if (hold == HOLD_NONE)
		return;
	if (sl_resolver_ask(s->resolver, &name, SL_DNS_A, hold, s->now_ns, &result))
		open_resolved(s, hold_take(s, hold, HOLD_OPEN), &result);
}

// ---- RESOLVE at the connector ----------------------------------------------------------------------

static bool
send_piece(struct sl_service *s, uint32_t session, uint16_t lane, const struct sl_resolve *piece)
{
	struct rte_mbuf *m = sl_dp_alloc_mbuf(s->dp);
	uint8_t *p;

	p = m == NULL ? NULL
		      : (void *)rte_pktmbuf_append(
				m, (uint16_t)(SL_RESOLVE_HEAD_BYTES + piece->nb_bytes)
			);
	if (p == NULL) {
		rte_pktmbuf_free(m);
		return false;
	}
	memcpy(p + sl_resolve_put(p, piece), piece->message, piece->nb_bytes);
	sl_meta(m)->session = session;
	sl_meta(m)->lane = lane;
	to_worker(s, lane % sl_dp_nb_workers(s->dp), SL_STAGE_SEAL, m);
	return true;
}

void
resolve_send(
	struct sl_service *s,
	uint32_t session,
	uint16_t lane,
	uint32_t token,
	bool is_answer,
	const uint8_t *message,
	size_t nb_bytes
)
{
	bool is_sent = true;

	for (size_t at = 0; at < nb_bytes && is_sent; at += PIECE_BYTES) {
		size_t nb = RTE_MIN(nb_bytes - at, (size_t)PIECE_BYTES);
		struct sl_resolve piece = { .token = token,
					    .is_answer = is_answer,
					    .has_more = at + nb < nb_bytes,
					    .offset = (uint16_t)at,
					    .message = message + at,
					    .nb_bytes = (uint32_t)nb };

		is_sent = send_piece(s, session, lane, &piece);
	}
}

// What no private server could be got to say, in its stead (RFC 8914): the PoP need not wait.
static size_t
build_failure(
	uint8_t *out,
	size_t room,
	const struct sl_resolve *resolve,
	const struct sl_resolver_result *result
)
{
	const bool is_answered = result->rcode != SL_RCODE_NOERROR;
	struct sl_query query;

	if (sl_query_parse(&query, resolve->message, resolve->nb_bytes) != SL_QUERY_OK)
		return 0;
	return sl_error_build(
		&query,
		out,
		room,
		SL_DNS_RA,
		is_answered ? (enum sl_dns_rcode)result->rcode : SL_RCODE_SERVFAIL,
		result->result == SL_RESOLVED_BUSY ? SL_EDE_OTHER
			: is_answered              ? SL_EDE_NO_REACHABLE_AUTHORITY
						   : SL_EDE_NETWORK_ERROR
	);
}

static void
answer_resolve(
	struct sl_service *s,
	const struct sl_meta *meta,
	const struct sl_resolve *resolve,
	const struct sl_resolver_result *result
)
{
	uint8_t failure[SL_DNS_HEADER_BYTES + SL_NAME_WIRE_MAX + 4 + 32];
	const uint8_t *message = result->message;
	size_t nb_bytes = result->nb_message_bytes;

	if (message == NULL) {
		message = failure;
		nb_bytes = build_failure(failure, sizeof(failure), resolve, result);
	}
	resolve_send(s, meta->session, meta->lane, resolve->token, true, message, nb_bytes);
}

static void
resolve_done(struct sl_service *s, struct rte_mbuf *m, const struct sl_resolver_result *result)
{
	const struct sl_meta *meta = sl_meta(m);
	struct sl_resolve resolve;
	struct sl_rec rec;
	size_t used;

	if (sl_rec_parse(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, &rec, &used) ==
		    SL_REC_OK &&
	    sl_resolve_parse(&rec, &resolve) == SL_BODY_OK)
		answer_resolve(s, meta, &resolve, result);
	rte_pktmbuf_free(m);
}

static void
resolve_question(struct sl_service *s, struct rte_mbuf *m, const struct sl_resolve *resolve)
{
	struct sl_resolver_result result = { .result = SL_RESOLVED_BUSY };
	struct sl_query query;
	uint32_t hold, type;

	if (s->resolver == NULL ||
	    sl_query_parse(&query, resolve->message, resolve->nb_bytes) != SL_QUERY_OK) {
		rte_pktmbuf_free(m);
		return;
	}
	hold = hold_put(s, HOLD_RESOLVE, 0, m);
	if (hold == HOLD_NONE)
		return;
	type = query.type | (query.dnssec_ok ? SL_RESOLVER_DNSSEC_OK : 0);
	if (sl_resolver_ask(s->resolver, &query.name, type, hold, s->now_ns, &result))
		resolve_done(s, hold_take(s, hold, HOLD_RESOLVE), &result);
}

static unsigned
resolver_work(struct sl_service *s)
{
	struct sl_resolver_event event;
	struct rte_mbuf *m;
	unsigned nb_done = 0;

	for (; nb_done < EVENTS_PER_TURN && sl_resolver_poll(s->resolver, s->now_ns, &event);
	     nb_done++) {
		switch (event.kind) {
		case SL_RESOLVER_NEED_TCP:
			if (streaming_ask(
				    s, 0, event.token, event.server, event.message, event.nb_bytes
			    ))
				break;
			[[fallthrough]];
		case SL_RESOLVER_SEND:
			query_send(s, 0, event.token, event.server, event.message, event.nb_bytes);
			break;
		case SL_RESOLVER_RELEASE:
			query_release(s, 0, event.token);
			break;
		case SL_RESOLVER_RESULT:
			m = hold_take(s, (uint32_t)event.cookie, HOLD_OPEN);
			if (m != NULL) {
				open_resolved(s, m, &event.result);
				break;
			}
			m = hold_take(s, (uint32_t)event.cookie, HOLD_RESOLVE);
			if (m != NULL)
				resolve_done(s, m, &event.result);
			break;
		default:
			break;
		}
	}
	return nb_done;
}

// Nobody may have asked for long: a question of our own shows whether the private DNS is there. Any
// answer will do, a refusal too.
static void
probe(struct sl_service *s)
{
	struct sl_resolver_result result;
	struct sl_name root;

	if (s->now_ns < s->next_probe_ns || sl_resolver_is_alive(s->resolver, PROBE_NS, s->now_ns))
		return;
	s->next_probe_ns = s->now_ns + PROBE_RETRY_NS;
	if (sl_name_from_text(&root, ".") == SL_NAME_OK)
		sl_resolver_ask(s->resolver, &root, SL_DNS_NS, HOLD_NONE, s->now_ns, &result);
}

unsigned
resolving_work(struct sl_service *s)
{
	if (s->resolver == NULL)
		return 0;
	probe(s);
	return resolver_work(s);
}

void
resolving_record(struct sl_service *s, struct rte_mbuf *m)
{
	struct sl_resolve resolve;
	struct sl_rec rec;
	size_t used;

	if (sl_rec_parse(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, &rec, &used) !=
		    SL_REC_OK ||
	    sl_resolve_parse(&rec, &resolve) != SL_BODY_OK) {
		rte_pktmbuf_free(m);
		return;
	}
	if (!resolve.is_answer) {
		resolve_question(s, m, &resolve);
		return;
	}
	asking_answer(s, m, &resolve);
	rte_pktmbuf_free(m);
}
