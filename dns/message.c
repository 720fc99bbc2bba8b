#include <sluice/dns/message.h>
#include <string.h>

#define OPT_VERSION(ttl)    (((ttl) >> 16) & 0xff)
#define OPT_DNSSEC_OK       0x8000u
#define OPTION_HEAD_BYTES   4
#define EDE_OPTION_BYTES    6u
#define POINTER_TO_QUESTION 0xc00cu

// Of several cookies the first counts (RFC 7873 section 5.2). False when its length is wrong.
static bool
take_cookie(struct sl_query *query, const uint8_t *p, unsigned nb_bytes)
{
	if (query->has_cookie)
		return true;
	if (nb_bytes != 8 && (nb_bytes < 16 || nb_bytes > 40))
		return false;
	query->has_cookie = true;
	memset(query->cookie, 0, sizeof(query->cookie));
	memcpy(query->cookie, p, nb_bytes == sizeof(query->cookie) ? nb_bytes : 8);
	return true;
}

// Options fill their OPT exactly (RFC 6891 section 6.1.2).
static bool
read_options(struct sl_query *query, const uint8_t *p, uint16_t nb_bytes)
{
	const uint8_t *end = p + nb_bytes;

	while (end - p >= OPTION_HEAD_BYTES && end - p - OPTION_HEAD_BYTES >= sl_get16(p + 2)) {
		if (sl_get16(p) == SL_DNS_OPTION_COOKIE &&
		    !take_cookie(query, p + OPTION_HEAD_BYTES, sl_get16(p + 2)))
			return false;
		p += OPTION_HEAD_BYTES + sl_get16(p + 2);
	}
	return p == end;
}

static enum sl_query_verdict
parse_opt(struct sl_query *query, const uint8_t *fixed)
{
	uint32_t ttl = sl_get32(fixed + 4);
	uint16_t size = sl_get16(fixed + 2);

	query->nb_options_bytes = sl_get16(fixed + 8);
	query->options_at = (uint16_t)(fixed + 10 - query->message);
	if (query->has_edns || !read_options(query, fixed + 10, query->nb_options_bytes))
		return SL_QUERY_FORMERR;
	query->has_edns = true;
	query->edns_bytes = size < SL_DNS_UDP_BYTES ? SL_DNS_UDP_BYTES : size;
	query->edns_version = (uint8_t)OPT_VERSION(ttl);
	query->dnssec_ok = (ttl & OPT_DNSSEC_OK) != 0;
	return SL_QUERY_OK;
}

// Additional records of a query: the OPT is read, others are passed over.
static enum sl_query_verdict
parse_additional(struct sl_query *query, size_t at, unsigned nb)
{
	const uint8_t *m = query->message;

	for (; nb != 0; nb--) {
		struct sl_name owner;
		bool is_root = at < query->nb_bytes && m[at] == 0;
		const uint8_t *fixed;
		uint16_t nb_data;

		if (is_root)
			at++;
		else if (sl_name_parse(&owner, m, query->nb_bytes, at, &at) != SL_NAME_OK)
			return SL_QUERY_FORMERR;
		if (at + 10 > query->nb_bytes)
			return SL_QUERY_FORMERR;
		fixed = m + at;
		nb_data = sl_get16(fixed + 8);
		if (at + 10 + nb_data > query->nb_bytes)
			return SL_QUERY_FORMERR;
		at += 10u + nb_data;
		if (sl_get16(fixed) != SL_DNS_OPT)
			continue;
		if (!is_root || parse_opt(query, fixed) != SL_QUERY_OK)
			return SL_QUERY_FORMERR;
	}
	return at == query->nb_bytes ? SL_QUERY_OK : SL_QUERY_FORMERR;
}

static enum sl_query_verdict
judge_question(const struct sl_query *query)
{
	if (query->has_edns && query->edns_version != 0)
		return SL_QUERY_BADVERS;
	if (query->type == SL_DNS_OPT || query->type == 0)
		return SL_QUERY_FORMERR;
	if (query->class_ != SL_DNS_IN)
		return SL_QUERY_REFUSED;
	// Meta types (RFC 6895 section 3.1) but ANY: transfers, TKEY, TSIG, MAILA, MAILB.
	if (query->type >= 128 && query->type < SL_DNS_ANY)
		return SL_QUERY_REFUSED;
	return SL_QUERY_OK;
}

enum sl_query_verdict
sl_query_parse(struct sl_query *query, const uint8_t *message, size_t nb_bytes)
{
	enum sl_query_verdict verdict;
	size_t at;

	query->message = message;
	query->question_end = SL_DNS_HEADER_BYTES;
	query->edns_bytes = SL_DNS_UDP_BYTES;
	query->has_edns = query->dnssec_ok = false;
	query->has_cookie = query->says_cookie = false;
	query->edns_version = 0;
	query->type = query->class_ = 0;
	query->nb_bytes = nb_bytes < SL_DNS_MESSAGE_MAX ? (uint16_t)nb_bytes : SL_DNS_MESSAGE_MAX;
	if (nb_bytes < SL_DNS_HEADER_BYTES || nb_bytes > SL_DNS_MESSAGE_MAX)
		return SL_QUERY_DROP;
	query->id = sl_get16(message);
	query->flags = sl_get16(message + 2);
	if ((query->flags & SL_DNS_QR) != 0)
		return SL_QUERY_DROP;
	if ((query->flags & SL_DNS_OPCODE) != 0)
		return SL_QUERY_NOTIMP;
	// One question, no answer, no authority.
	if (sl_get16(message + 4) != 1 || sl_get32(message + 6) != 0)
		return SL_QUERY_FORMERR;
	if (sl_name_parse_plain(&query->name, message, nb_bytes, SL_DNS_HEADER_BYTES, &at) !=
	    SL_NAME_OK)
		return SL_QUERY_FORMERR;
	if (at + 4 > nb_bytes)
		return SL_QUERY_FORMERR;
	query->type = sl_get16(message + at);
	query->class_ = sl_get16(message + at + 2);
	verdict = parse_additional(query, at + 4, sl_get16(message + 10));
	if (verdict != SL_QUERY_OK)
		return verdict;
	query->question_end = (uint16_t)(at + 4);
	return judge_question(query);
}

struct sl_writer
sl_answer_begin(const struct sl_query *query, uint8_t *buffer, size_t room)
{
	struct sl_writer w = sl_writer(buffer, room);

	if (buffer == query->message)
		sl_write_room(&w, query->question_end);
	else
		sl_write(&w, query->message, query->question_end);
	return w;
}

void
sl_answer_record(
	struct sl_writer *w, uint16_t type, uint32_t ttl_s, const void *data, uint16_t nb_bytes
)
{
	uint8_t *p = sl_write_room(w, 12);

	if (p != NULL) {
		sl_put16(p, POINTER_TO_QUESTION);
		sl_put16(p + 2, type);
		sl_put16(p + 4, SL_DNS_IN);
		sl_put32(p + 6, ttl_s);
		sl_put16(p + 10, nb_bytes);
	}
	sl_write(w, data, nb_bytes);
}

// Octets of the options of an answer.
static size_t
nb_options(const struct sl_query *query, enum sl_dns_ede ede)
{
	return (ede == SL_EDE_NONE ? 0 : EDE_OPTION_BYTES) +
		(query->says_cookie ? OPTION_HEAD_BYTES + SL_DNS_COOKIE_BYTES : 0);
}

static void
write_opt(
	struct sl_writer *w,
	const struct sl_query *query,
	enum sl_dns_rcode rcode,
	enum sl_dns_ede ede
)
{
	size_t nb_data = nb_options(query, ede);
	uint8_t *p = sl_write_room(w, SL_DNS_OPT_BYTES + nb_data);
	uint32_t ttl = (uint32_t)rcode >> 4 << 24;

	if (p == NULL)
		return;
	if (query->dnssec_ok)
		ttl |= OPT_DNSSEC_OK;
	p[0] = 0;
	sl_put16(p + 1, SL_DNS_OPT);
	sl_put16(p + 3, SL_DNS_EDNS_BYTES);
	sl_put32(p + 5, ttl);
	sl_put16(p + 9, (uint16_t)nb_data);
	p += SL_DNS_OPT_BYTES;
	if (query->says_cookie) {
		sl_put16(p, SL_DNS_OPTION_COOKIE);
		sl_put16(p + 2, SL_DNS_COOKIE_BYTES);
		memcpy(p + OPTION_HEAD_BYTES, query->cookie, SL_DNS_COOKIE_BYTES);
		p += OPTION_HEAD_BYTES + SL_DNS_COOKIE_BYTES;
	}
	if (ede != SL_EDE_NONE) {
		sl_put16(p, SL_DNS_OPTION_EDE);
		sl_put16(p + 2, 2);
		sl_put16(p + 4, (uint16_t)ede);
	}
}

static size_t
max_answer(const struct sl_query *query, size_t max_bytes)
{
	if (max_bytes != 0)
		return max_bytes;
	return query->edns_bytes < SL_DNS_EDNS_BYTES ? query->edns_bytes : SL_DNS_EDNS_BYTES;
}

size_t
sl_answer_end(
	struct sl_writer *w,
	const struct sl_query *query,
	struct sl_answer_counts counts,
	uint16_t flags,
	enum sl_dns_rcode rcode,
	enum sl_dns_ede ede,
	size_t max_bytes
)
{
	const uint16_t asked = query->flags & (SL_DNS_OPCODE | SL_DNS_RD | SL_DNS_CD);
	size_t nb_opt = query->has_edns ? SL_DNS_OPT_BYTES + nb_options(query, ede) : 0;
	uint8_t *h = w->begin;

	if (w->failed || sl_writer_len(w) + nb_opt > max_answer(query, max_bytes)) {
		// Too long: say so, with nothing but the question.
		if ((size_t)(w->end - w->begin) < query->question_end)
			return 0;
		w->failed = false;
		w->at = w->begin + query->question_end;
		counts = (struct sl_answer_counts){ 0 };
		flags |= SL_DNS_TC;
	}
	if (query->has_edns)
		write_opt(w, query, rcode, ede);
	if (w->failed)
		return 0;
	flags &= (uint16_t)~SL_DNS_AD | (query->flags & SL_DNS_AD);
	sl_put16(h, query->id);
	sl_put16(h + 2, SL_DNS_QR | asked | flags | ((uint16_t)rcode & SL_DNS_RCODE));
	sl_put16(h + 4, query->question_end > SL_DNS_HEADER_BYTES);
	sl_put16(h + 6, counts.nb_answers);
	sl_put16(h + 8, counts.nb_authority);
	sl_put16(h + 10, (uint16_t)(counts.nb_additional + query->has_edns));
	return sl_writer_len(w);
}

size_t
sl_answer_address(
	const struct sl_query *query, uint8_t *buffer, size_t room, uint32_t address, uint32_t ttl_s
)
{
	const uint16_t asked = query->flags & (SL_DNS_RD | SL_DNS_CD | SL_DNS_AD);
	const size_t nb_opt = query->has_edns ? SL_DNS_OPT_BYTES : 0;
	uint8_t *p = buffer + query->question_end;

	if (query->question_end + 16 + nb_opt > room)
		return 0;
	sl_put16(buffer, query->id);
	sl_put16(buffer + 2, SL_DNS_QR | SL_DNS_AA | SL_DNS_RA | asked);
	sl_put64(buffer + 4, query->has_edns ? 0x0001000100000001ull : 0x0001000100000000ull);
	sl_put64(
		p,
		(uint64_t)POINTER_TO_QUESTION << 48 | (uint64_t)SL_DNS_A << 32 | SL_DNS_IN << 16 |
			ttl_s >> 16
	);
	sl_put64(p + 8, (uint64_t)ttl_s << 48 | 4ull << 32 | address);
	if (query->has_edns) {
		p[16] = 0;
		sl_put64(
			p + 17,
			(uint64_t)SL_DNS_OPT << 48 | (uint64_t)SL_DNS_EDNS_BYTES << 32 |
				(query->dnssec_ok ? OPT_DNSSEC_OK : 0)
		);
		sl_put16(p + 25, 0);
	}
	return query->question_end + 16 + nb_opt;
}

size_t
sl_error_build(
	const struct sl_query *query,
	uint8_t *buffer,
	size_t room,
	uint16_t flags,
	enum sl_dns_rcode rcode,
	enum sl_dns_ede ede
)
{
	struct sl_writer w = sl_answer_begin(query, buffer, room);

	if (w.failed)
		return 0;
	return sl_answer_end(&w, query, (struct sl_answer_counts){ 0 }, flags, rcode, ede, 0);
}

size_t
sl_query_build(
	uint8_t *buffer,
	size_t room,
	uint16_t id,
	const uint8_t *wire_name,
	size_t wire_bytes,
	uint16_t type,
	uint16_t flags
)
{
	static const uint8_t opt[SL_DNS_OPT_BYTES] = {
		0, 0, SL_DNS_OPT, SL_DNS_EDNS_BYTES >> 8, SL_DNS_EDNS_BYTES & 0xff
	};
	struct sl_writer w = sl_writer(buffer, room);

	sl_write16(&w, id);
	sl_write16(&w, SL_DNS_RD | flags);
	sl_write16(&w, 1);
	sl_write32(&w, 0);
	sl_write16(&w, 1);
	sl_write(&w, wire_name, wire_bytes);
	sl_write16(&w, type);
	sl_write16(&w, SL_DNS_IN);
	sl_write(&w, opt, sizeof(opt));
	return w.failed ? 0 : sl_writer_len(&w);
}

void
sl_name_mix_case(uint8_t *wire, size_t nb_bytes, uint64_t random)
{
	for (size_t i = 0; i < nb_bytes; i++) {
		if (wire[i] < 'a' || wire[i] > 'z')
			continue;
		if ((random & 1) != 0)
			wire[i] ^= 0x20;
		random = random >> 1 | random << 63;
	}
}

bool
sl_response_parse(struct sl_response *response, const uint8_t *message, size_t nb_bytes)
{
	size_t at;

	if (nb_bytes < SL_DNS_HEADER_BYTES || nb_bytes > SL_DNS_MESSAGE_MAX)
		return false;
	response->id = sl_get16(message);
	response->flags = sl_get16(message + 2);
	if ((response->flags & SL_DNS_QR) == 0 || (response->flags & SL_DNS_OPCODE) != 0 ||
	    sl_get16(message + 4) != 1)
		return false;
	if (sl_name_parse_plain(&response->name, message, nb_bytes, SL_DNS_HEADER_BYTES, &at) !=
	    SL_NAME_OK)
		return false;
	if (at + 4 > nb_bytes)
		return false;
	response->type = sl_get16(message + at);
	response->class_ = sl_get16(message + at + 2);
	response->question_end = (uint16_t)(at + 4);
	response->records = (struct sl_records){
		.message = message,
		.nb_bytes = nb_bytes,
		.at = at + 4,
		.left = { sl_get16(message + 6), sl_get16(message + 8), sl_get16(message + 10) },
	};
	return true;
}

bool
sl_records_next(struct sl_records *records, struct sl_record *record)
{
	struct sl_name owner;
	const uint8_t *p;
	unsigned s = SL_SECTION_ANSWER;
	size_t at;

	while (s <= SL_SECTION_ADDITIONAL && records->left[s] == 0)
		s++;
	if (s > SL_SECTION_ADDITIONAL || records->failed)
		return false;
	records->failed = true;
	if (sl_name_parse(&owner, records->message, records->nb_bytes, records->at, &at) !=
		    SL_NAME_OK ||
	    at + 10 > records->nb_bytes)
		return false;
	p = records->message + at;
	*record = (struct sl_record){
		.section = (enum sl_section)s,
		.owner_at = (uint16_t)records->at,
		.type = sl_get16(p),
		.class_ = sl_get16(p + 2),
		.ttl_s = (sl_get32(p + 4) & 0x80000000u) != 0 ? 0 : sl_get32(p + 4),
		.ttl_at = (uint16_t)(at + 4),
		.data_at = (uint16_t)(at + 10),
		.nb_bytes = sl_get16(p + 8),
	};
	if (at + 10 + record->nb_bytes > records->nb_bytes)
		return false;
	records->at = at + 10 + record->nb_bytes;
	records->left[s]--;
	records->failed = false;
	return true;
}
