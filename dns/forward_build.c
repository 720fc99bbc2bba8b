// forward_build: from what an upstream said to what a client gets.
#include "forward_private.h"

#include <sluice/proto/limits.h>
#include <string.h>

#define STALE_TTL_S 30u // RFC 8767 section 4

size_t
sl_forward_strip(uint8_t *message, size_t nb_bytes, uint8_t *extended)
{
	struct sl_response response;
	struct sl_record rec;
	uint16_t nb_additional = 0;
	size_t end;

	*extended = 0;
	if (!sl_response_parse(&response, message, nb_bytes))
		return 0;
	end = response.records.at;
	while (sl_records_next(&response.records, &rec)) {
		if (rec.section == SL_SECTION_ADDITIONAL) {
			if (rec.type == SL_DNS_OPT) {
				*extended = message[rec.ttl_at];
				// Pointers go backward only: what stands before the OPT stays whole.
				break;
			}
			if (rec.type == SL_DNS_TSIG)
				break;
			nb_additional++;
		}
		end = response.records.at;
	}
	if (response.records.failed)
		return 0;
	sl_put16(message + 10, nb_additional);
	return end;
}

// The client's query as the builder of answers knows it.
static struct sl_query
query_of(const struct sl_promise *p)
{
	struct sl_query q = {
		.message = p->head,
		.question_end = p->question_end,
		.id = sl_get16(p->head),
		.flags = sl_get16(p->head + 2),
		.has_edns = p->has_edns,
		.edns_bytes = p->edns_bytes,
		.dnssec_ok = p->dnssec_ok,
		.says_cookie = p->says_cookie,
	};

	memcpy(q.cookie, p->cookie, sizeof(q.cookie));
	if (p->dnssec_ok) // DO asks for AD too (RFC 6840 section 5.7)
		q.flags |= SL_DNS_AD;
	return q;
}

// An owner that is the question's name, written out: the letter case in which we asked becomes that of the client.
static void
restore_case(uint8_t *out, const struct sl_response *response, const struct sl_record *rec)
{
	const size_t nb_name = response->name.nb_bytes;

	if (rec->owner_at + nb_name + 4 == rec->ttl_at &&
	    sl_name_wire_equal(out + rec->owner_at, out + SL_DNS_HEADER_BYTES, nb_name))
		memcpy(out + rec->owner_at, out + SL_DNS_HEADER_BYTES, nb_name);
}

// Count down the TTLs of the records in `out`, which is a whole message.
static void
age(uint8_t *out, size_t nb_bytes, uint32_t age_s, bool is_stale)
{
	struct sl_response response;
	struct sl_record rec;

	if (!sl_response_parse(&response, out, nb_bytes))
		return;
	while (sl_records_next(&response.records, &rec)) {
		restore_case(out, &response, &rec);
		uint32_t ttl_s = rec.ttl_s > age_s ? rec.ttl_s - age_s : 0;

		if (rec.type != SL_DNS_OPT)
			sl_put32(out + rec.ttl_at, is_stale ? STALE_TTL_S : ttl_s);
	}
}

size_t
sl_forward_build(
	struct sl_forward *f,
	const struct sl_promise *promise,
	const struct sl_stored *stored,
	bool is_stale,
	uint64_t now_ns,
	uint8_t *out,
	size_t room
)
{
	const struct sl_query q = query_of(promise);
	const size_t nb = sl_stored_get(f, stored);
	const uint16_t flags = sl_get16(f->scratch + 2);
	struct sl_writer w = sl_answer_begin(&q, out, room);
	struct sl_answer_counts counts = { sl_get16(f->scratch + 6),
					   sl_get16(f->scratch + 8),
					   sl_get16(f->scratch + 10) };
	size_t n;

	// Same question, same length: every pointer in the rest still points right.
	sl_write(&w, f->scratch + q.question_end, nb - q.question_end);
	n = sl_answer_end(
		&w,
		&q,
		counts,
		flags & (SL_DNS_AA | SL_DNS_TC | SL_DNS_RA | SL_DNS_AD),
		(enum sl_dns_rcode)(flags & SL_DNS_RCODE),
		is_stale ? SL_EDE_STALE_ANSWER : SL_EDE_NONE,
		promise->asker.is_tcp ? SL_DNS_MESSAGE_MAX : 0
	);
	if (n == 0)
		return 0;
	if ((sl_get16(out + 2) & SL_DNS_TC) != 0)
		f->stats.nb_truncated++;
	age(out, n, (uint32_t)((now_ns - stored->at_ns) / SL_NS_PER_S), is_stale);
	return n;
}

size_t
sl_forward_servfail(const struct sl_promise *promise, uint8_t *out, size_t room)
{
	const struct sl_query q = query_of(promise);

	return sl_error_build(
		&q, out, room, SL_DNS_RA, SL_RCODE_SERVFAIL, SL_EDE_NO_REACHABLE_AUTHORITY
	);
}
