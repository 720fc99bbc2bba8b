#include "fixture.h"

#include <sluice/dns/scrub.h>

static uint8_t answer[4096], out[4096];

// A private resolver's answer to (name, type), empty.
static struct sl_writer
begin(const char *name, uint16_t type, uint16_t rcode)
{
	struct sl_writer w = sl_writer(answer, sizeof(answer));

	sl_write_room(
		&w, make_query(answer, name, type, SL_DNS_QR | SL_DNS_RD | SL_DNS_RA | rcode, 0)
	);
	return w;
}

static void
add(struct sl_writer *w, unsigned section, uint16_t type, const void *data, uint16_t nb)
{
	sl_answer_record(w, type, 77, data, nb);
	sl_put16(answer + 6 + 2 * section, (uint16_t)(sl_get16(answer + 6 + 2 * section) + 1));
}

static struct sl_policy *seen; // NULL: every name may be seen

static enum sl_scrub_verdict
scrub(struct sl_scrubbed *s, const char *name, uint16_t type, const char *asked, size_t nb)
{
	uint8_t m[512];
	size_t n = make_query(m, name, type, SL_DNS_RD, 1232);
	struct sl_scrub_view view = { .policy = seen, .groups = 1 };
	struct sl_query query;
	struct sl_name target;

	CU_ASSERT_EQUAL(sl_query_parse(&query, m, n), SL_QUERY_OK);
	if (asked != NULL)
		CU_ASSERT_EQUAL(sl_name_from_text(&target, asked), SL_NAME_OK);
	view.asked = asked != NULL ? &target : NULL;
	return sl_scrub(s, &query, &view, answer, nb, out, sizeof(out), 1232);
}

static void
test_addresses_go(void)
{
	static const uint8_t a[4] = { 10, 0, 0, 1 }, aaaa[16] = { 0xfd, 10, 9, 8, 7, 6, 5 };
	struct sl_writer w = begin("mail.corp", SL_DNS_MX, 0);
	struct sl_response response;
	struct sl_scrubbed s;
	struct sl_record rec;
	unsigned nb = 0;

	add(&w, 0, SL_DNS_MX, "\0\5\2mx\xc0\x0c", 7);
	add(&w, 0, SL_DNS_A, a, 4);
	add(&w, 1, SL_DNS_NS, "\2ns\xc0\x0c", 5);
	add(&w, 2, SL_DNS_AAAA, aaaa, 16);
	add(&w, 2, SL_DNS_A, a, 4);
	sl_put16(answer + sl_writer_len(&w) - 12, 4); // of class HS, which has the same addresses
	CU_ASSERT_EQUAL(scrub(&s, "MAIL.corp", SL_DNS_MX, NULL, sl_writer_len(&w)), SL_SCRUB_OK);
	CU_ASSERT_EQUAL(s.nb_removed, 3);
	CU_ASSERT_PTR_NULL(memmem(out, s.nb_bytes, a, 4));
	CU_ASSERT_PTR_NULL(memmem(out, s.nb_bytes, aaaa, 7));
	CU_ASSERT_EQUAL(memcmp(out + 12, "\4MAIL\4corp", 11), 0); // as the client wrote it
	CU_ASSERT_TRUE_FATAL(sl_response_parse(&response, out, s.nb_bytes));
	while (sl_records_next(&response.records, &rec)) {
		if (rec.type == SL_DNS_MX) {
			CU_ASSERT_EQUAL(rec.ttl_s, 77);
			CU_ASSERT_EQUAL(rec.nb_bytes, 16); // expanded: mx.mail.corp
			CU_ASSERT_EQUAL(memcmp(out + rec.data_at + 2, "\2mx\4MAIL\4corp", 14), 0);
		}
		nb++;
	}
	CU_ASSERT_EQUAL(nb, 3); // MX, NS, OPT
	CU_ASSERT_FALSE(response.records.failed);
}

static void
test_hints_go(void)
{
	static const uint8_t https[] = {
		0, 1, 0, //
		0, 0, 0, 6,  0,    1,   0,   4, 0, 6, // mandatory: alpn, both hints
		0, 1, 0, 3,  2,    'h', '2', //
		0, 4, 0, 4,  10,   0,   0,   1, //
		0, 6, 0, 16, 0xfd, 1,   2,   3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	};
	static const uint8_t want[] = { 0, 1, 0, 0, 0, 0, 2, 0, 1, 0, 1, 0, 3, 2, 'h', '2' };
	struct sl_writer w = begin("www.corp", SL_DNS_HTTPS, 0);
	struct sl_scrubbed s;

	add(&w, 0, SL_DNS_HTTPS, https, sizeof(https));
	CU_ASSERT_EQUAL(scrub(&s, "www.corp", SL_DNS_HTTPS, NULL, sl_writer_len(&w)), SL_SCRUB_OK);
	CU_ASSERT_EQUAL(s.nb_hints, 2);
	CU_ASSERT_EQUAL(sl_get16(out + 26 + 10), sizeof(want));
	CU_ASSERT_EQUAL(memcmp(out + 26 + 12, want, sizeof(want)), 0);
}

static void
test_rcode_and_alias(void)
{
	struct sl_writer w = begin("git.corp", SL_DNS_TXT, SL_RCODE_NXDOMAIN);
	struct sl_scrubbed s;

	CU_ASSERT_EQUAL(scrub(&s, "git.corp", SL_DNS_TXT, NULL, sl_writer_len(&w)), SL_SCRUB_OK);
	CU_ASSERT_EQUAL(out[3] & 15, SL_RCODE_NXDOMAIN);
	// Asked under another name: the client's own comes back, and its records hang on it.
	w = begin("git.corp", SL_DNS_TXT, 0);
	add(&w, 0, SL_DNS_TXT, "\5hello", 6);
	CU_ASSERT_EQUAL(
		scrub(&s, "code.lan", SL_DNS_TXT, "git.corp", sl_writer_len(&w)), SL_SCRUB_OK
	);
	CU_ASSERT_EQUAL(memcmp(out + 12, "\4code\3lan", 10), 0);
	CU_ASSERT_EQUAL(sl_get16(out + 26), 0xc00c);
	CU_ASSERT_EQUAL(
		scrub(&s, "code.lan", SL_DNS_TXT, NULL, sl_writer_len(&w)), SL_SCRUB_MISMATCH
	);
}

static void
test_too_long(void)
{
	struct sl_writer w = begin("big.corp", SL_DNS_TXT, 0);
	uint8_t text[256] = { 255 };
	struct sl_scrubbed s;

	for (int i = 0; i < 6; i++)
		add(&w, 0, SL_DNS_TXT, text, sizeof(text));
	CU_ASSERT_EQUAL(scrub(&s, "big.corp", SL_DNS_TXT, NULL, sl_writer_len(&w)), SL_SCRUB_OK);
	CU_ASSERT_TRUE(s.truncated);
	CU_ASSERT_EQUAL(sl_get16(out + 6), 0);
	// Cut anywhere it is malformed, never half an answer.
	for (size_t n = 0; n < sl_writer_len(&w); n++)
		CU_ASSERT_EQUAL(scrub(&s, "big.corp", SL_DNS_TXT, NULL, n), SL_SCRUB_MALFORMED);
}

// The question was asked in a letter case of our own, and the answer's names point into it.
static void
test_letter_case(void)
{
	struct sl_writer w = begin("maIL.COrp", SL_DNS_MX, 0);
	struct sl_scrubbed s;

	add(&w, 0, SL_DNS_MX, "\0\5\2mX\xc0\x0c", 7); // below the question's name
	add(&w, 0, SL_DNS_MX, "\0\6\2my\xc0\x11", 7); // below its second label
	CU_ASSERT_EQUAL(scrub(&s, "Mail.corP", SL_DNS_MX, NULL, sl_writer_len(&w)), SL_SCRUB_OK);
	CU_ASSERT_PTR_NOT_NULL(memmem(out, s.nb_bytes, "\2mX\4Mail\4corP", 14));
	CU_ASSERT_PTR_NOT_NULL(memmem(out, s.nb_bytes, "\0\6\2my\4corP", 11));
	CU_ASSERT_EQUAL(
		scrub(&s, "code.lan", SL_DNS_MX, "mail.corp", sl_writer_len(&w)), SL_SCRUB_OK
	);
	CU_ASSERT_PTR_NOT_NULL(memmem(out, s.nb_bytes, "\2mX\4mail\4corp", 14));
	// An octet of the name that reads like a length: what it counts lies beyond the question.
	w = begin("a\x02.corp", SL_DNS_MX, 0);
	add(&w, 0, SL_DNS_MX, "\0\5\xc0\x0e", 4);
	(void)scrub(&s, "a\x02.corp", SL_DNS_MX, NULL, sl_writer_len(&w));
}

static bool
holds(const struct sl_scrubbed *s, const char *name)
{
	return memmem(out, s->nb_bytes, name, strlen(name)) != NULL;
}

// Number of answers, and whether all hang on the question's name.
static unsigned
nb_answers(const struct sl_scrubbed *s)
{
	struct sl_response response;
	struct sl_record rec;
	unsigned nb = 0;

	CU_ASSERT_TRUE_FATAL(sl_response_parse(&response, out, s->nb_bytes));
	while (sl_records_next(&response.records, &rec))
		nb += rec.section == SL_SECTION_ANSWER;
	CU_ASSERT_FALSE(response.records.failed);
	return nb;
}

static void
add_under(struct sl_writer *w, const char *owner, uint16_t type, const void *data, uint16_t nb)
{
	uint8_t fixed[10] = {
		(uint8_t)(type >> 8), (uint8_t)type, 0, 1, 0, 0, 0, 77, 0, (uint8_t)nb
	};

	sl_write(w, owner, strlen(owner) + 1);
	sl_write(w, fixed, sizeof(fixed));
	sl_write(w, data, nb);
	sl_put16(answer + 6, (uint16_t)(sl_get16(answer + 6) + 1));
}

// www -> web (seen) -> box (hidden) -> TXT.
static void
test_hidden_targets(void)
{
	static const char *const names[] = { "www.corp", "web.corp", "box.corp" };
	const struct sl_policy_resource list[] = { open_resource(1, &names[0], GROUP_A),
						   open_resource(2, &names[1], GROUP_A),
						   open_resource(3, &names[2], GROUP_B) };
	struct sl_policy *policy = build_policy(list, 3, 1);
	struct sl_writer w = begin("www.corp", SL_DNS_TXT, 0);
	struct sl_scrubbed s;

	CU_ASSERT_PTR_NOT_NULL_FATAL(policy);
	add(&w, 0, SL_DNS_CNAME, "\3web\4corp", 10);
	add_under(&w, "\3web\4corp", SL_DNS_CNAME, "\3box\4corp", 10);
	add_under(&w, "\3box\4corp", SL_DNS_TXT, "\5hello", 6);
	add_under(&w, "\3box\4corp", SL_DNS_RRSIG, "\0\20 and so on", 12);
	seen = policy;
	CU_ASSERT_EQUAL(scrub(&s, "www.corp", SL_DNS_TXT, NULL, sl_writer_len(&w)), SL_SCRUB_OK);
	seen = NULL;
	CU_ASSERT_EQUAL(nb_answers(&s), 2); // CNAME to web, TXT of web
	CU_ASSERT_FALSE(holds(&s, "\3box"));
	CU_ASSERT(holds(&s, "\5hello"));
	CU_ASSERT(holds(&s, "\3web\4corp"));
	// Whoever sees all of it gets all of it.
	CU_ASSERT_EQUAL(scrub(&s, "www.corp", SL_DNS_TXT, NULL, sl_writer_len(&w)), SL_SCRUB_OK);
	CU_ASSERT_EQUAL(nb_answers(&s), 4);
	CU_ASSERT(holds(&s, "\3box"));
	sl_policy_free(policy);
}

// A chain that ends elsewhere in nothing: nor do the zones there show.
static void
test_hidden_zone(void)
{
	static const uint8_t soa[] = "\2ns\5cloud\0\1a\0"
				     "0123456789abcdefghij";
	static const char *const names[] = { "www.corp" };
	const struct sl_policy_resource resource = open_resource(1, names, GROUP_A);
	struct sl_writer w = begin("www.corp", SL_DNS_CNAME, 0);
	struct sl_scrubbed s;

	seen = build_policy(&resource, 1, 1);
	CU_ASSERT_PTR_NOT_NULL_FATAL(seen);
	add(&w, 0, SL_DNS_CNAME, "\1x\5cloud", 9);
	add_under(&w, "\5cloud", SL_DNS_SOA, soa, sizeof(soa) - 1);
	sl_put16(answer + 6, 1);
	sl_put16(answer + 8, 1);
	CU_ASSERT_EQUAL(scrub(&s, "www.corp", SL_DNS_CNAME, NULL, sl_writer_len(&w)), SL_SCRUB_OK);
	CU_ASSERT_EQUAL(nb_answers(&s), 0);
	CU_ASSERT_FALSE(holds(&s, "cloud"));
	sl_policy_free(seen);
	seen = NULL;
}

static void
test_extended_error(void)
{
	static const uint8_t opt[] = { 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 6, 0, 15, 0, 2, 0, 22 };
	struct sl_writer w = begin("git.corp", SL_DNS_TXT, SL_RCODE_SERVFAIL);
	uint8_t m[512];
	size_t n = make_query(m, "git.corp", SL_DNS_TXT, SL_DNS_RD, 1232);
	struct sl_scrub_view view = { .groups = 1 };
	struct sl_scrubbed s;
	struct sl_query query;

	CU_ASSERT_EQUAL(sl_query_parse(&query, m, n), SL_QUERY_OK);
	CU_ASSERT_TRUE_FATAL(query.has_edns);
	sl_write(&w, opt, sizeof(opt));
	sl_put16(answer + 10, 1);
	n = sl_writer_len(&w);
	CU_ASSERT_EQUAL(
		sl_scrub(&s, &query, &view, answer, n, out, sizeof(out), 1232), SL_SCRUB_OK
	);
	CU_ASSERT_EQUAL(out[3] & 15, SL_RCODE_SERVFAIL);
	CU_ASSERT_EQUAL(memcmp(out + s.nb_bytes - 6, "\0\17\0\2\0\26", 6), 0);
	// BADVERS is about our own query.
	answer[n - sizeof(opt) + 5] = 1;
	answer[3] = 0;
	CU_ASSERT_EQUAL(
		sl_scrub(&s, &query, &view, answer, n, out, sizeof(out), 1232), SL_SCRUB_OK
	);
	CU_ASSERT_EQUAL(out[3] & 15, SL_RCODE_SERVFAIL);
}

static const struct sl_test_case cases[] = {
	{ "A4: every A and AAAA leaves every section, the rest stays whole", test_addresses_go },
	{ "A4: address hints leave HTTPS, and the list of mandatory keys", test_hints_go },
	{ "A4 A9: the private rcode is kept; an alias answers under its own name",
	  test_rcode_and_alias },
	{ "A4: names in answers are in the client's letter case, not that of our query",
	  test_letter_case },
	{ "A4 A13: a CNAME to a name that may not be seen goes, and what stands there is said of "
	  "the last "
	  "name that may",
	  test_hidden_targets },
	{ "A4 A13: nor does the zone show that a CNAME leads to", test_hidden_zone },
	{ "A4: the extended error of the private DNS goes on", test_extended_error },
	{ "scrub: too long is TC, cut is refused", test_too_long },
};

SL_TEST_MAIN(cases)
