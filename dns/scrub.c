// scrub: see scrub.h. The answer is rebuilt record by record; names are expanded, so that nothing points into
// what was taken out. Owners equal to the question's name, or to the owner before, are pointers again.
#include <sluice/dns/scrub.h>
#include <string.h>

enum {
	TYPE_MINFO = 14,
	TYPE_RP = 17,
	TYPE_AFSDB = 18,
	TYPE_RT = 21,
	TYPE_SIG = 24,
	TYPE_PX = 26,
	TYPE_NAPTR = 35,
	TYPE_KX = 36
};
#define SVC_MANDATORY 0u

struct scrub {
	const uint8_t *in;
	size_t nb_in;
	const struct sl_scrub_view *view;
	const struct sl_name *asked;
	const uint8_t *question; // the asked name as it is to be written
	size_t stand_at; // the last name of the CNAME chain that may be seen; 0: the question's
	bool is_hiding; // the chain has led to a name that may not be seen
	struct sl_writer w;
	struct sl_name last_owner;
	size_t last_owner_at; // in `out`; 0: none that can be pointed at
	uint16_t ede; // the resolver's extended error
	struct sl_scrubbed *result;
};

static bool
may_see(const struct scrub *s, const struct sl_name *name)
{
	const struct sl_policy *policy = s->view->policy;
	struct sl_visibility visibility;
	struct sl_matches matches;

	if (policy == NULL || sl_name_equal(name, s->asked))
		return true;
	sl_policy_match(policy, name, sl_name_hash(name, sl_policy_name_key(policy)), &matches);
	sl_policy_visibility(policy, &matches, &visibility);
	return (visibility.groups & s->view->groups) != 0;
}

static bool
may_see_at(const struct scrub *s, size_t at)
{
	struct sl_name name;

	return sl_name_parse(&name, s->in, s->nb_in, at, NULL) == SL_NAME_OK && may_see(s, &name);
}

static bool
is_address_type(uint16_t type)
{
	return type == SL_DNS_A || type == SL_DNS_AAAA || type == SL_DNS_A6 || type == SL_DNS_WKS ||
		type == SL_DNS_APL || type == SL_DNS_L32 || type == SL_DNS_L64;
}

// Does a signature cover what was taken out or changed?
static bool
is_broken(const struct scrub *s, const struct sl_record *r)
{
	const uint16_t covered = r->nb_bytes < 2 ? 0 : sl_get16(s->in + r->data_at);

	return is_address_type(covered) || covered == SL_DNS_SVCB || covered == SL_DNS_HTTPS ||
		covered == 0 || (s->is_hiding && covered == SL_DNS_CNAME) ||
		(r->section == SL_SECTION_ANSWER && !may_see_at(s, r->owner_at));
}

// Behind a name that may not be seen, what the other sections say may be about its zone.
static bool
is_about_hidden(const struct scrub *s, const struct sl_record *r)
{
	struct sl_name owner;

	if (!s->is_hiding || r->section == SL_SECTION_ANSWER)
		return false;
	return sl_name_parse(&owner, s->in, s->nb_in, r->owner_at, NULL) != SL_NAME_OK ||
		!sl_name_is_under(s->asked, &owner);
}

// A step of the chain. True when it leads to what may not be seen.
static bool
is_hidden_step(struct scrub *s, const struct sl_record *r)
{
	if (may_see_at(s, r->data_at)) {
		if (r->type == SL_DNS_CNAME)
			s->stand_at = r->data_at;
		return false;
	}
	s->is_hiding = true;
	return true;
}

// Does the record leave the answer?
static bool
is_removed(struct scrub *s, const struct sl_record *r)
{
	// Of another class than was asked, it is no part of the answer.
	if (r->class_ != SL_DNS_IN || is_address_type(r->type))
		return true;
	if (is_about_hidden(s, r))
		return true;
	switch (r->type) {
	case SL_DNS_CNAME:
	case SL_DNS_DNAME:
		return is_hidden_step(s, r);
	case SL_DNS_OPT: // ours is made anew
	case SL_DNS_TSIG:
	case TYPE_SIG:
		return true;
	case SL_DNS_RRSIG:
		return is_broken(s, r);
	default:
		return false;
	}
}

// The label at `at`. The question was asked in a letter case of our own; where an answer points to it, it gets the
// one of whoever asked.
static const uint8_t *
label(const struct scrub *s, size_t at)
{
	const size_t in_name = at - SL_DNS_HEADER_BYTES;

	return at >= SL_DNS_HEADER_BYTES && in_name + 1u + s->in[at] <= s->asked->nb_bytes
		? s->question + in_name
		: s->in + at;
}

// Expand the name at `at`, in the letter case it has. `next` becomes where it ends.
static bool
copy_name(struct scrub *s, size_t at, size_t *next)
{
	struct sl_name name;

	if (sl_name_parse(&name, s->in, s->nb_in, at, next) != SL_NAME_OK)
		return false;
	for (;;) { // checked just now: it ends, inside the message
		uint8_t length = s->in[at];

		if ((length & 0xc0) == 0xc0) {
			at = (size_t)(length & 0x3f) << 8 | s->in[at + 1];
			continue;
		}
		sl_write(&s->w, label(s, at), 1u + length);
		at += 1u + length;
		if (length == 0)
			return true;
	}
}

static bool
copy_owner(struct scrub *s, const struct sl_record *r)
{
	size_t next, from = r->owner_at, at = sl_writer_len(&s->w);
	struct sl_name name;

	if (sl_name_parse(&name, s->in, s->nb_in, from, &next) != SL_NAME_OK)
		return false;
	if (r->section == SL_SECTION_ANSWER && r->type != SL_DNS_DNAME && !may_see(s, &name)) {
		from = s->stand_at != 0 ? s->stand_at : SL_DNS_HEADER_BYTES;
		if (sl_name_parse(&name, s->in, s->nb_in, from, &next) != SL_NAME_OK)
			return false;
	}
	if (sl_name_equal(&name, s->asked)) {
		sl_write16(&s->w, 0xc00c);
		return true;
	}
	if (s->last_owner_at != 0 && sl_name_equal(&name, &s->last_owner)) {
		sl_write16(&s->w, (uint16_t)(0xc000 | s->last_owner_at));
		return true;
	}
	s->last_owner_at = at < 0x4000 ? at : 0;
	s->last_owner = name;
	return copy_name(s, from, &next);
}

// Octets before the names in a record's data, and how many names; false if it holds none that may be compressed.
static bool
names_in(uint16_t type, unsigned *nb_before, unsigned *nb_names)
{
	*nb_before = 0;
	*nb_names = 1;
	switch (type) {
	case SL_DNS_NS:
	case SL_DNS_CNAME:
	case SL_DNS_PTR:
	case SL_DNS_DNAME:
	case 3: // MD, MF, MB, MG, MR
	case 4:
	case 7:
	case 8:
	case 9:
		return true;
	case SL_DNS_SOA:
	case TYPE_MINFO:
	case TYPE_RP:
		*nb_names = 2;
		return true;
	case SL_DNS_MX:
	case TYPE_AFSDB:
	case TYPE_RT:
	case TYPE_KX:
		*nb_before = 2;
		return true;
	case TYPE_PX:
		*nb_before = 2;
		*nb_names = 2;
		return true;
	case SL_DNS_SRV:
		*nb_before = 6;
		return true;
	default:
		return false;
	}
}

static bool
copy_with_names(struct scrub *s, const struct sl_record *r, unsigned nb_before, unsigned nb_names)
{
	const size_t end = r->data_at + r->nb_bytes;
	size_t at = r->data_at + nb_before;

	if (at > end)
		return false;
	sl_write(&s->w, s->in + r->data_at, nb_before);
	for (; nb_names != 0; nb_names--)
		if (at >= end || !copy_name(s, at, &at))
			return false;
	if (at > end)
		return false;
	sl_write(&s->w, s->in + at, end - at);
	return true;
}

// NAPTR: four octets, three strings, a name.
static bool
copy_naptr(struct scrub *s, const struct sl_record *r)
{
	unsigned nb_before = 4;

	for (int i = 0; i < 3; i++) {
		if (nb_before >= r->nb_bytes)
			return false;
		nb_before += 1u + s->in[r->data_at + nb_before];
	}
	return copy_with_names(s, r, nb_before, 1);
}

// The list of mandatory keys without the hints; nothing at all if no other is left.
static void
copy_mandatory(struct scrub *s, const uint8_t *keys, unsigned nb_bytes)
{
	uint8_t *head = sl_write_room(&s->w, 4);
	uint16_t nb = 0;

	for (unsigned i = 0; i + 2 <= nb_bytes; i += 2) {
		uint16_t key = sl_get16(keys + i);

		if (key == SL_DNS_SVC_IPV4HINT || key == SL_DNS_SVC_IPV6HINT)
			continue;
		sl_write16(&s->w, key);
		nb += 2;
	}
	if (head == NULL || s->w.failed)
		return;
	if (nb == 0) {
		s->w.at = head;
		return;
	}
	sl_put16(head, SVC_MANDATORY);
	sl_put16(head + 2, nb);
}

// SVCB and HTTPS (RFC 9460 section 2.2): priority, target, parameters in ascending order.
static bool
copy_svcb(struct scrub *s, const struct sl_record *r)
{
	const size_t end = r->data_at + r->nb_bytes;
	size_t at = r->data_at + 2u;

	if (at >= end)
		return false;
	sl_write(&s->w, s->in + r->data_at, 2);
	if (!copy_name(s, at, &at) || at > end)
		return false;
	while (at < end) {
		uint16_t key, nb;

		if (at + 4 > end)
			return false;
		key = sl_get16(s->in + at);
		nb = sl_get16(s->in + at + 2);
		if (at + 4 + nb > end)
			return false;
		if (key == SL_DNS_SVC_IPV4HINT || key == SL_DNS_SVC_IPV6HINT)
			s->result->nb_hints++;
		else if (key == SVC_MANDATORY)
			copy_mandatory(s, s->in + at + 4, nb);
		else
			sl_write(&s->w, s->in + at, 4u + nb);
		at += 4u + nb;
	}
	return true;
}

static bool
copy_record(struct scrub *s, const struct sl_record *r)
{
	unsigned nb_before, nb_names;
	uint8_t *fixed;
	size_t begin;
	bool is_ok;

	if (!copy_owner(s, r))
		return false;
	fixed = sl_write_room(&s->w, 10);
	begin = sl_writer_len(&s->w);
	if (r->type == SL_DNS_SVCB || r->type == SL_DNS_HTTPS)
		is_ok = copy_svcb(s, r);
	else if (r->type == TYPE_NAPTR)
		is_ok = copy_naptr(s, r);
	else if (names_in(r->type, &nb_before, &nb_names))
		is_ok = copy_with_names(s, r, nb_before, nb_names);
	else {
		sl_write(&s->w, s->in + r->data_at, r->nb_bytes);
		is_ok = true;
	}
	if (!is_ok || fixed == NULL || s->w.failed)
		return is_ok; // no room shows in the writer
	if (sl_writer_len(&s->w) - begin > UINT16_MAX)
		return false;
	sl_put16(fixed, r->type);
	sl_put16(fixed + 2, r->class_);
	sl_put32(fixed + 4, r->ttl_s);
	sl_put16(fixed + 8, (uint16_t)(sl_writer_len(&s->w) - begin));
	return true;
}

// The OPT of the answer: its extended error, and what it adds to the rcode.
static void
read_opt(struct scrub *s, const struct sl_record *r, enum sl_dns_rcode *rcode)
{
	const uint8_t *p = s->in + r->data_at, *end = p + r->nb_bytes;

	if (s->in[r->ttl_at] != 0) // BADVERS and its like: about our own query, not the client's
		*rcode = SL_RCODE_SERVFAIL;
	for (; end - p >= 4 && end - p - 4 >= sl_get16(p + 2); p += 4u + sl_get16(p + 2))
		if (sl_get16(p) == SL_DNS_OPTION_EDE && sl_get16(p + 2) >= 2)
			s->ede = sl_get16(p + 4);
}

// All records that may stay, into the answer. False when the message is malformed.
static bool
copy_records(struct scrub *s, struct sl_records *records, enum sl_dns_rcode *rcode, uint16_t nb[3])
{
	struct sl_record r;

	while (sl_records_next(records, &r)) {
		if (r.type == SL_DNS_OPT) {
			read_opt(s, &r, rcode);
			continue;
		}
		if (is_removed(s, &r)) {
			s->result->nb_removed++;
			continue;
		}
		if (!copy_record(s, &r))
			return false;
		nb[r.section]++;
	}
	return !records->failed;
}

enum sl_scrub_verdict
sl_scrub(
	struct sl_scrubbed *scrubbed,
	const struct sl_query *query,
	const struct sl_scrub_view *view,
	const uint8_t *answer,
	size_t nb_bytes,
	uint8_t *out,
	size_t room,
	size_t max_bytes
)
{
	struct scrub s = { .in = answer,
			   .nb_in = nb_bytes,
			   .view = view,
			   .asked = view->asked != NULL ? view->asked : &query->name,
			   .question = view->asked != NULL ? view->asked->wire
							   : query->message + SL_DNS_HEADER_BYTES,
			   .ede = SL_EDE_NONE,
			   .result = scrubbed };
	uint16_t nb[3] = { 0 };
	struct sl_response response;
	enum sl_dns_rcode rcode;

	*scrubbed = (struct sl_scrubbed){ 0 };
	if (!sl_response_parse(&response, answer, nb_bytes))
		return SL_SCRUB_MALFORMED;
	if (!sl_name_equal(&response.name, s.asked) || response.type != query->type ||
	    response.class_ != query->class_)
		return SL_SCRUB_MISMATCH;
	rcode = (enum sl_dns_rcode)(response.flags & SL_DNS_RCODE);
	s.w = sl_answer_begin(query, out, room);
	if (!copy_records(&s, &response.records, &rcode, nb))
		return SL_SCRUB_MALFORMED;
	scrubbed->nb_bytes = sl_answer_end(
		&s.w,
		query,
		(struct sl_answer_counts){ nb[0], nb[1], nb[2] },
		SL_DNS_RA | (response.flags & SL_DNS_TC),
		rcode,
		(enum sl_dns_ede)s.ede,
		max_bytes
	);
	scrubbed->truncated = scrubbed->nb_bytes != 0 && (sl_get16(out + 2) & SL_DNS_TC) != 0;
	return scrubbed->nb_bytes == 0 ? SL_SCRUB_NO_ROOM : SL_SCRUB_OK;
}
