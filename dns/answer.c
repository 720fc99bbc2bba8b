// answer: see answer.h. The order of questions asked of a query: is it well-formed, is it a name this client
// was granted, is it in the pool's reverse zone, is it one we always answer; else it is a miss.
#include <netinet/in.h>
#include <sluice/dns/answer.h>
#include <string.h>

#define ADDRESS_ANSWER_MAX 298u // longest answer of one A record

static const uint16_t OURS = SL_DNS_AA | SL_DNS_RA | SL_DNS_AD;

// Largest answer for this client now, as sl_answer_end() wants it.
static size_t
max_bytes(const struct sl_query *query, const struct sl_answer_context *context)
{
	if (context->budget_bytes >= SL_DNS_EDNS_BYTES)
		return 0;
	if (context->budget_bytes == 0)
		return 1; // nothing fits
	return context->budget_bytes < query->edns_bytes ? context->budget_bytes
							 : query->edns_bytes;
}

static void
finish(struct sl_answer *answer, size_t nb_bytes, enum sl_dns_rcode rcode)
{
	answer->verdict = nb_bytes != 0 ? SL_ANSWER_SEND : SL_ANSWER_DROP;
	answer->drop = nb_bytes != 0 ? SL_ANSWER_DROP_NONE : SL_ANSWER_DROP_ROOM;
	answer->nb_bytes = (uint16_t)nb_bytes;
	answer->rcode = rcode;
}

static void
send_error(
	struct sl_answer *answer,
	const struct sl_query *query,
	uint8_t *buffer,
	size_t room,
	uint16_t flags,
	enum sl_dns_rcode rcode
)
{
	finish(answer, sl_error_build(query, buffer, room, flags, rcode, SL_EDE_NONE), rcode);
}

// The session thread goes on with the query, while the client may get answers of any length at all.
static void
pass_on(struct sl_answer *answer,
	enum sl_answer_verdict verdict,
	const struct sl_query *query,
	const struct sl_answer_context *context,
	uint8_t *buffer,
	size_t room)
{
	if (context->budget_bytes < SL_ANSWER_BUDGET_MIN)
		send_error(answer, query, buffer, room, SL_DNS_RA | SL_DNS_TC, SL_RCODE_NOERROR);
	else
		answer->verdict = verdict;
}

// NOERROR without answers, with the SOA that lets it be cached.
static size_t
build_nodata(
	const struct sl_query *query, uint8_t *buffer, size_t room, uint32_t ttl_s, size_t limit
)
{
	// MNAME and RNAME are the root, SERIAL 1, REFRESH 3600, RETRY 600, EXPIRE 86400, MINIMUM.
	uint8_t soa[22] = {
		0, 0, 0, 0, 0, 1, 0, 0, 0x0e, 0x10, 0, 0, 0x02, 0x58, 0, 1, 0x51, 0x80
	};
	struct sl_writer w = sl_answer_begin(query, buffer, room);

	sl_put32(soa + 18, ttl_s);
	sl_answer_record(&w, SL_DNS_SOA, ttl_s, soa, sizeof(soa));
	return sl_answer_end(
		&w,
		query,
		(struct sl_answer_counts){ .nb_authority = 1 },
		OURS,
		SL_RCODE_NOERROR,
		SL_EDE_NONE,
		limit
	);
}

static void
send_record(
	struct sl_answer *answer,
	const struct sl_query *query,
	const struct sl_answer_context *context,
	uint8_t *buffer,
	size_t room,
	uint16_t type,
	uint32_t ttl_s,
	const void *data,
	uint16_t nb_data
)
{
	struct sl_writer w = sl_answer_begin(query, buffer, room);

	sl_answer_record(&w, type, ttl_s, data, nb_data);
	finish(answer,
	       sl_answer_end(
		       &w,
		       query,
		       (struct sl_answer_counts){ .nb_answers = 1 },
		       OURS,
		       SL_RCODE_NOERROR,
		       SL_EDE_NONE,
		       max_bytes(query, context)
	       ),
	       SL_RCODE_NOERROR);
}

static void
send_nodata(
	struct sl_answer *answer,
	const struct sl_query *query,
	const struct sl_answer_context *context,
	uint8_t *buffer,
	size_t room,
	uint32_t ttl_s
)
{
	finish(answer,
	       build_nodata(query, buffer, room, ttl_s, max_bytes(query, context)),
	       SL_RCODE_NOERROR);
}

// A name the client sees, of any type but A with an address at hand.
static void
answer_granted(
	struct sl_answer *answer,
	const struct sl_answer_query *parsed,
	const struct sl_answer_context *context,
	const struct sl_matches *matches,
	uint8_t *buffer,
	size_t room
)
{
	// RFC 8482 section 4.2: one HINFO record says that ANY is not answered.
	static const uint8_t hinfo[] = "\7RFC8482";
	const struct sl_query *query = &parsed->query;
	const uint32_t ttl_s = sl_policy_ttl(context->policy, matches, context->groups);

	switch (query->type) {
	case SL_DNS_A:
		if (sl_name_is_host(&query->name))
			answer->verdict = SL_ANSWER_NEED_NAME;
		else
			send_nodata(answer, query, context, buffer, room, ttl_s);
		return;
	case SL_DNS_AAAA:
		send_nodata(answer, query, context, buffer, room, ttl_s);
		return;
	case SL_DNS_ANY:
		send_record(
			answer,
			query,
			context,
			buffer,
			room,
			SL_DNS_HINFO,
			ttl_s,
			hinfo,
			sizeof(hinfo)
		);
		return;
	default:
		break;
	}
	// The private DNS is asked as if the client sent it UDP to port 53 of this name (A4).
	if (sl_policy_choose(
		    context->policy,
		    matches,
		    context->groups,
		    IPPROTO_UDP,
		    SL_DNS_PORT,
		    &answer->choice
	    ) == SL_CHOICE_ADMITTED &&
	    answer->choice.target != SL_TARGET_IP4) {
		pass_on(answer, SL_ANSWER_NEED_RESOLVE, query, context, buffer, room);
		return;
	}
	send_nodata(answer, query, context, buffer, room, ttl_s);
}

// PTR and its neighbours in the pool's reverse zone. True when the name is there.
static bool
answer_reverse(
	struct sl_answer *answer,
	const struct sl_query *query,
	const struct sl_answer_context *context,
	uint8_t *buffer,
	size_t room
)
{
	struct sl_matches matches;
	struct sl_visibility v;
	struct sl_name name;
	unsigned nb_bits;
	uint32_t address, id, last;

	if (!sl_name_reverse4(&query->name, &address, &nb_bits))
		return false;
	last = nb_bits == 0 ? UINT32_MAX : address | (uint32_t)((1ull << (32 - nb_bits)) - 1);
	if (!sl_addresses_in_pool(context->addresses, address) ||
	    !sl_addresses_in_pool(context->addresses, last))
		return false;
	if (nb_bits != 32) { // names stand below: no name itself, but no NXDOMAIN either (RFC 8020)
		send_error(answer, query, buffer, room, OURS, SL_RCODE_NOERROR);
		return true;
	}
	id = sl_addresses_at(context->addresses, address);
	if (id != SL_NO_NAME && sl_addresses_name(context->addresses, id, &name)) {
		sl_policy_match(
			context->policy,
			&name,
			sl_name_hash(&name, sl_policy_name_key(context->policy)),
			&matches
		);
		sl_policy_visibility(context->policy, &matches, &v);
		if ((v.groups & context->groups) != 0) {
			uint32_t ttl_s = sl_policy_ttl(context->policy, &matches, context->groups);

			answer->name_id = id;
			if (query->type == SL_DNS_PTR || query->type == SL_DNS_ANY)
				send_record(
					answer,
					query,
					context,
					buffer,
					room,
					SL_DNS_PTR,
					ttl_s,
					name.wire,
					name.nb_bytes
				);
			else
				send_nodata(answer, query, context, buffer, room, ttl_s);
			return true;
		}
	}
	send_error(answer, query, buffer, room, OURS, SL_RCODE_NXDOMAIN);
	return true;
}

// No resource, or none this client sees.
static void
answer_miss(
	struct sl_answer *answer,
	const struct sl_answer_query *parsed,
	const struct sl_answer_context *context,
	uint8_t *buffer,
	size_t room
)
{
	const struct sl_query *query = &parsed->query;

	if (answer_reverse(answer, query, context, buffer, room))
		return;
	if (sl_policy_is_canary(context->policy, &query->name, parsed->hash))
		send_error(answer, query, buffer, room, OURS, SL_RCODE_NXDOMAIN);
	else if (sl_policy_refuses_other(context->policy))
		send_error(answer, query, buffer, room, SL_DNS_RA, SL_RCODE_REFUSED);
	else
		pass_on(answer, SL_ANSWER_FORWARD, query, context, buffer, room);
}

// A name that is not in the table, or for which more than its address is wanted.
static void
answer_by_policy(
	struct sl_answer *answer,
	const struct sl_answer_query *parsed,
	const struct sl_answer_context *context,
	uint8_t *buffer,
	size_t room
)
{
	struct sl_matches matches;
	struct sl_visibility v;

	sl_policy_match(context->policy, &parsed->query.name, parsed->hash, &matches);
	sl_policy_visibility(context->policy, &matches, &v);
	if ((v.groups & context->groups) != 0)
		answer_granted(answer, parsed, context, &matches, buffer, room);
	else
		answer_miss(answer, parsed, context, buffer, room);
}

static uint32_t
ttl_of(const struct sl_assigned *assigned,
       const struct sl_answer_query *parsed,
       const struct sl_answer_context *context)
{
	struct sl_matches matches;

	if (assigned->ttl_s != SL_ADDRESSES_TTL_VARIES)
		return assigned->ttl_s;
	sl_policy_match(context->policy, &parsed->query.name, parsed->hash, &matches);
	return sl_policy_ttl(context->policy, &matches, context->groups);
}

static void
answer_cookie(struct sl_answer_query *parsed, const struct sl_answer_context *context)
{
	const struct sl_cookie_for who = { .key = sl_policy_name_key(context->policy),
					   .address = context->source,
					   .now_s = context->now_s };

	sl_cookie_answer(&parsed->query, &who);
}

void
sl_answer_parse(
	struct sl_answer_query *parsed,
	const struct sl_answer_context *context,
	const uint8_t *message,
	size_t nb_bytes
)
{
	parsed->verdict = sl_query_parse(&parsed->query, message, nb_bytes);
	if (parsed->query.has_cookie)
		answer_cookie(parsed, context);
	if (parsed->verdict != SL_QUERY_OK)
		return;
	parsed->hash = sl_name_hash(&parsed->query.name, sl_policy_name_key(context->policy));
	sl_addresses_prefetch(context->addresses, parsed->hash);
}

void
sl_answer_prefetch(const struct sl_answer_query *parsed, const struct sl_answer_context *context)
{
	// A name that has no address is matched against the policy.
	if (parsed->verdict == SL_QUERY_OK &&
	    !sl_addresses_prefetch_record(context->addresses, &parsed->query.name, parsed->hash))
		sl_policy_prefetch(context->policy, parsed->hash);
}

static void
answer_fault(
	struct sl_answer *answer, const struct sl_answer_query *parsed, uint8_t *buffer, size_t room
)
{
	static const enum sl_dns_rcode rcodes[] = {
		[SL_QUERY_FORMERR] = SL_RCODE_FORMERR,
		[SL_QUERY_NOTIMP] = SL_RCODE_NOTIMP,
		[SL_QUERY_BADVERS] = SL_RCODE_BADVERS,
		[SL_QUERY_REFUSED] = SL_RCODE_REFUSED,
	};
	const struct sl_query *query = &parsed->query;

	if (parsed->verdict == SL_QUERY_DROP)
		answer->drop = query->nb_bytes < SL_DNS_HEADER_BYTES ? SL_ANSWER_DROP_NO_HEADER
								     : SL_ANSWER_DROP_RESPONSE;
	else
		send_error(answer, query, buffer, room, SL_DNS_RA, rcodes[parsed->verdict]);
}

static void
tell_address(
	struct sl_answer *answer,
	const struct sl_answer_query *parsed,
	const struct sl_answer_context *context,
	const struct sl_assigned *assigned,
	uint8_t *buffer,
	size_t room
)
{
	const struct sl_query *query = &parsed->query;
	uint32_t ttl_s = ttl_of(assigned, parsed, context);
	uint8_t address[4];

	if (context->budget_bytes >= ADDRESS_ANSWER_MAX && !query->says_cookie)
		finish(answer,
		       sl_answer_address(query, buffer, room, assigned->address, ttl_s),
		       SL_RCODE_NOERROR);
	else {
		sl_put32(address, assigned->address);
		send_record(
			answer,
			query,
			context,
			buffer,
			room,
			SL_DNS_A,
			ttl_s,
			address,
			sizeof(address)
		);
	}
}

void
sl_answer_decide(
	struct sl_answer *answer,
	struct sl_answer_query *parsed,
	const struct sl_answer_context *context,
	uint8_t *buffer,
	size_t room
)
{
	const struct sl_query *query = &parsed->query;
	struct sl_assigned assigned;

	answer->verdict = SL_ANSWER_DROP;
	answer->drop = SL_ANSWER_DROP_NONE;
	answer->rcode = SL_RCODE_NOERROR;
	answer->nb_bytes = 0;
	answer->type = query->type;
	answer->name_id = SL_NO_NAME;
	if (parsed->verdict != SL_QUERY_OK) {
		answer_fault(answer, parsed, buffer, room);
		return;
	}
	if (!sl_addresses_lookup(
		    context->addresses, context->policy, &query->name, parsed->hash, &assigned
	    )) {
		answer_by_policy(answer, parsed, context, buffer, room);
		return;
	}
	// A hidden name: the record has what the policy says, and matching it again would cost more than what is no
	// resource does.
	if ((assigned.groups & context->groups) == 0) {
		answer_miss(answer, parsed, context, buffer, room);
		return;
	}
	answer->name_id = assigned.name_id;
	if (query->type != SL_DNS_A) {
		answer_by_policy(answer, parsed, context, buffer, room);
		return;
	}
	// The permanent check: whatever else went wrong, no other address is told.
	if (!sl_addresses_in_pool(context->addresses, assigned.address)) {
		answer->drop = SL_ANSWER_DROP_LEAK;
		return;
	}
	tell_address(answer, parsed, context, &assigned, buffer, room);
	sl_addresses_use(context->addresses, assigned.name_id, context->now_s);
}

void
sl_answer(
	struct sl_answer *answer,
	const struct sl_answer_context *context,
	uint8_t *message,
	size_t nb_bytes,
	size_t room
)
{
	struct sl_answer_query parsed;

	sl_answer_parse(&parsed, context, message, nb_bytes);
	sl_answer_decide(answer, &parsed, context, message, room);
}

size_t
sl_answer_failure(
	enum sl_answer_failure why,
	const struct sl_cookie_for *who,
	uint8_t *message,
	size_t nb_bytes,
	size_t room
)
{
	static const struct {
		enum sl_dns_rcode rcode;
		enum sl_dns_ede ede;
	} words[] = {
		[SL_ANSWER_EXHAUSTED] = { SL_RCODE_SERVFAIL, SL_EDE_OTHER },
		[SL_ANSWER_NO_CONNECTOR] = { SL_RCODE_SERVFAIL, SL_EDE_NO_REACHABLE_AUTHORITY },
		[SL_ANSWER_RESOLVER_SILENT] = { SL_RCODE_SERVFAIL, SL_EDE_NETWORK_ERROR },
		[SL_ANSWER_UPSTREAM_SILENT] = { SL_RCODE_SERVFAIL, SL_EDE_NO_REACHABLE_AUTHORITY },
		[SL_ANSWER_NOT_READY] = { SL_RCODE_SERVFAIL, SL_EDE_NOT_READY },
		[SL_ANSWER_REFUSED] = { SL_RCODE_REFUSED, SL_EDE_PROHIBITED },
		[SL_ANSWER_NODATA] = { SL_RCODE_NOERROR, SL_EDE_NONE },
	};
	struct sl_query query;

	if (sl_query_parse(&query, message, nb_bytes) != SL_QUERY_OK)
		return 0;
	sl_cookie_answer(&query, who);
	if (why == SL_ANSWER_NODATA)
		return build_nodata(&query, message, room, 60, 0);
	return sl_error_build(&query, message, room, SL_DNS_RA, words[why].rcode, words[why].ede);
}
