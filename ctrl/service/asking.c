// asking: on the PoP, a client's question of another type about a granted name, sent to the private DNS through the
// tunnel, and its answer.
#include "internal.h"

#include <sluice/dns/answer.h>
#include <sluice/dns/egress.h>
#include <sluice/dns/scrub.h>
#include <sluice/dp/reply.h>
#include <sluice/proto/record.h>

// The first session of the network that is up; RESOLVE needs no balance.
static uint32_t
session_of(const struct sl_service *s, uint32_t network)
{
	const struct sl_network *n = &s->snapshot->networks[network];

	for (unsigned i = 0; i < n->nb_sessions; i++)
		if (atomic_load(&s->sessions->sessions[n->sessions[i]].current) != NULL)
			return n->sessions[i];
	return SL_NO_SESSION;
}

// What the policy says of a client's question now: the flow it is treated as, UDP to port 53 of the name (A4).
struct asked {
	const struct sl_policy *policy;
	uint64_t groups;
	struct sl_query query;
	struct sl_choice choice;
	struct sl_name target; // of an alias
	bool is_alias;
};

// False when `m` holds no question.
static bool
look_up(const struct sl_service *s, struct rte_mbuf *m, struct asked *a)
{
	const struct sl_meta *meta = sl_meta(m);
	const struct sl_client *client = &s->snapshot->clients[meta->client];
	const struct sl_cookie_for who = cookie_for(s, m);
	struct sl_matches matches;
	uint8_t *message;
	uint16_t nb_bytes = sl_udp_payload(m, meta->l4_offset, &message);

	if (nb_bytes == 0 || sl_query_parse(&a->query, message, nb_bytes) != SL_QUERY_OK)
		return false;
	sl_cookie_answer(&a->query, &who);
	a->policy = s->snapshot->tenants[client->tenant].policy;
	a->groups = client->groups;
	sl_policy_match(
		a->policy, &a->query.name, sl_name_hash(&a->query.name, &s->name_key), &matches
	);
	sl_policy_choose(a->policy, &matches, client->groups, IPPROTO_UDP, SL_DNS_PORT, &a->choice);
	a->is_alias = a->choice.target == SL_TARGET_NAME &&
		sl_name_from_text(&a->target, a->choice.target_name) == SL_NAME_OK;
	return true;
}

void
asking_query(struct sl_service *s, struct rte_mbuf *m)
{
	uint8_t question[SL_DNS_HEADER_BYTES + SL_NAME_WIRE_MAX + 4 + SL_DNS_OPT_BYTES];
	const struct sl_name *name;
	uint32_t session, hold;
	size_t nb_question;
	struct asked a;

	if (!look_up(s, m, &a)) {
		rte_pktmbuf_free(m);
		return;
	}
	if (a.choice.verdict != SL_CHOICE_ADMITTED) {
		names_fail(s, m, SL_ANSWER_NODATA);
		return;
	}
	session = session_of(s, a.choice.network);
	if (session == SL_NO_SESSION) {
		names_fail(s, m, SL_ANSWER_NO_CONNECTOR);
		return;
	}
	// The question, under the target's name for an alias, and nothing else that the client wrote.
	name = a.is_alias ? &a.target : &a.query.name;
	nb_question = sl_query_build(
		question, sizeof(question), 0, name->wire, name->nb_bytes, a.query.type, SL_DNS_RD
	);
	hold = hold_put(s, HOLD_ASK, session, m);
	if (hold != HOLD_NONE && nb_question != 0)
		resolve_send(s, session, 0, hold, false, question, nb_question);
}

// What the private DNS said, made fit for the client whose question is in `m`.
static void
tell_client(struct sl_service *s, struct rte_mbuf *m, const uint8_t *answer, size_t nb_answer)
{
	const bool is_stream = sl_meta(m)->stream != 0;
	const size_t room = is_stream ? sizeof(s->message) : SL_DNS_EDNS_BYTES;
	struct sl_scrubbed scrubbed;
	struct asked a;
	uint8_t *message;

	// Taken from the client since it asked: it will ask again, and hear what holds now.
	if (!look_up(s, m, &a) || a.choice.verdict != SL_CHOICE_ADMITTED) {
		rte_pktmbuf_free(m);
		return;
	}
	if (sl_scrub(
		    &scrubbed,
		    &a.query,
		    &(struct sl_scrub_view){ .asked = a.is_alias ? &a.target : NULL,
					     .policy = a.policy,
					     .groups = a.groups },
		    answer,
		    nb_answer,
		    s->message,
		    room,
		    is_stream ? room : RTE_MIN((size_t)a.query.edns_bytes, room)
	    ) != SL_SCRUB_OK) {
		names_fail(s, m, SL_ANSWER_RESOLVER_SILENT);
		return;
	}
	// The permanent check, by a reader of its own: of a resource no address leaves in an answer.
	if (sl_egress_addresses(s->message, scrubbed.nb_bytes) != 0) {
		s->stats.nb_answers_leaking++;
		names_fail(s, m, SL_ANSWER_RESOLVER_SILENT);
		return;
	}
	if (streaming_answer(s, m, s->message, scrubbed.nb_bytes))
		return;
	sl_udp_payload(m, sl_meta(m)->l4_offset, &message);
	memcpy(message, s->message, scrubbed.nb_bytes);
	sl_udp_reply(m, sl_meta(m)->l4_offset, (uint16_t)scrubbed.nb_bytes);
	to_worker(s, sl_meta(m)->worker, SL_STAGE_TO_CLIENT, m);
}

void
asking_answer(struct sl_service *s, struct rte_mbuf *record, const struct sl_resolve *resolve)
{
	const uint8_t *answer = resolve->message;
	size_t nb_answer = resolve->nb_bytes;
	const struct hold *hold;
	struct rte_mbuf *m;

	hold = holds_find(&s->holds, resolve->token, HOLD_ASK);
	if (hold == NULL || hold->key != sl_meta(record)->session)
		return;
	if (resolve->has_more || resolve->offset != 0)
		answer = gather_piece(s, sl_meta(record)->session, resolve, &nb_answer);
	m = answer == NULL ? NULL : hold_take(s, resolve->token, HOLD_ASK);
	if (m != NULL)
		tell_client(s, m, answer, nb_answer);
}
