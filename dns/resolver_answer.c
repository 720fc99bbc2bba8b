// resolver_answer: from a matched answer to addresses. Only the CNAME chain that begins at the question's name, and
// the addresses at its end, count; everything else a server adds is passed over and counted.
#include "resolver_private.h"

#include <string.h>

#define RECORDS_MAX 256u // looked at in one answer

struct reading {
	struct sl_resolver *r;
	struct sl_lookup *l;
	const struct sl_response *response;
	struct sl_name at; // where the chain stands
	uint32_t ttl_s;
	unsigned nb_used; // records that counted
	unsigned nb_seen;
	bool is_malformed;
};

static uint32_t
smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static void
take_address(struct reading *g, const struct sl_record *rec)
{
	const unsigned nb = g->l->type == SL_DNS_AAAA ? 16 : 4;
	struct sl_resolver_result *res = &g->l->result;

	g->nb_used++;
	if (rec->nb_bytes != nb) {
		g->is_malformed = true;
		return;
	}
	g->ttl_s = smaller(g->ttl_s, rec->ttl_s);
	if (res->nb_addresses < SL_RESOLVER_ADDRESSES_MAX)
		memcpy(res->addresses[res->nb_addresses++],
		       g->response->records.message + rec->data_at,
		       nb);
}

// One pass over the answer section for the name the chain stands at. True if a CNAME leads on.
static bool
pass(struct reading *g)
{
	struct sl_records records = g->response->records;
	struct sl_name owner, next;
	struct sl_record rec;
	bool leads_on = false;

	g->nb_seen = 0;
	while (g->nb_seen < RECORDS_MAX && sl_records_next(&records, &rec)) {
		if (rec.section != SL_SECTION_ANSWER)
			break;
		g->nb_seen++;
		if (rec.class_ != SL_DNS_IN ||
		    sl_name_parse(&owner, records.message, records.nb_bytes, rec.owner_at, NULL) !=
			    SL_NAME_OK ||
		    !sl_name_equal(&owner, &g->at))
			continue;
		if (rec.type == g->l->type)
			take_address(g, &rec);
		if (rec.type != SL_DNS_CNAME || leads_on)
			continue;
		g->nb_used++;
		if (sl_name_parse(&next, records.message, records.nb_bytes, rec.data_at, NULL) !=
		    SL_NAME_OK) {
			g->is_malformed = true;
			return false;
		}
		g->ttl_s = smaller(g->ttl_s, rec.ttl_s);
		leads_on = true;
	}
	if (records.failed)
		g->is_malformed = true;
	if (leads_on && g->l->result.nb_addresses == 0)
		g->at = next;
	return leads_on && g->l->result.nb_addresses == 0;
}

// RFC 2308 section 5: the smaller of the SOA's own TTL and its MINIMUM; without a SOA nothing is kept.
static uint32_t
negative_ttl(const struct sl_response *response)
{
	struct sl_records records = response->records;
	struct sl_record rec;

	for (unsigned i = 0; i < RECORDS_MAX && sl_records_next(&records, &rec); i++)
		if (rec.section == SL_SECTION_AUTHORITY && rec.type == SL_DNS_SOA &&
		    rec.nb_bytes >= 22)
			return smaller(
				rec.ttl_s,
				sl_get32(records.message + rec.data_at + rec.nb_bytes - 4)
			);
	return 0;
}

static enum sl_reading
finish_negative(struct sl_resolver *r, struct sl_lookup *l, const struct sl_response *response)
{
	l->result.result = SL_RESOLVED_NO_NAME;
	l->result.ttl_s = smaller(negative_ttl(response), r->config.negative_max_s);
	l->result.ttl_s = smaller(l->result.ttl_s, l->ttl_s);
	return SL_READ_DONE;
}

static enum sl_reading
read_addresses(struct sl_resolver *r, struct sl_lookup *l, struct sl_response *response)
{
	struct reading g = {
		.r = r, .l = l, .response = response, .at = l->name, .ttl_s = l->ttl_s
	};

	l->result.nb_addresses = 0;
	while (pass(&g))
		if (++l->chain > SL_RESOLVER_CHAIN_MAX)
			return SL_READ_LOOP;
	if (g.is_malformed)
		return SL_READ_MALFORMED;
	r->stats.nb_bailiwick += g.nb_seen > g.nb_used ? g.nb_seen - g.nb_used : 0;
	l->ttl_s = g.ttl_s;
	if (l->result.nb_addresses != 0) {
		l->result.result = SL_RESOLVED_OK;
		l->result.ttl_s = smaller(g.ttl_s, r->config.ttl_max_s);
		return SL_READ_DONE;
	}
	if ((response->flags & SL_DNS_RCODE) == SL_RCODE_NOERROR &&
	    !sl_name_equal(&g.at, &l->name)) {
		l->name = g.at;
		return SL_READ_FOLLOW;
	}
	return finish_negative(r, l, response);
}

enum sl_reading
sl_lookup_read(
	struct sl_resolver *r, struct sl_lookup *l, struct sl_response *response, size_t nb_bytes
)
{
	const unsigned rcode = response->flags & SL_DNS_RCODE;

	if (rcode != SL_RCODE_NOERROR && rcode != SL_RCODE_NXDOMAIN)
		return SL_READ_SERVER_FAILED;
	l->result = (struct sl_resolver_result){
		.type = l->type,
		.family = l->type == SL_DNS_AAAA ? 6 : 4,
	};
	if (l->type == SL_DNS_A || l->type == SL_DNS_AAAA)
		return read_addresses(r, l, response);
	// Other types: the message goes to whoever asked, as it is.
	l->result.result = SL_RESOLVED_OK;
	l->result.family = 0;
	l->result.message = response->records.message;
	l->result.nb_message_bytes = nb_bytes;
	return SL_READ_DONE;
}
