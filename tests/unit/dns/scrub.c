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

static enum sl_scrub_verdict
scrub(struct sl_scrubbed *s, const char *name, uint16_t type, const char *asked, size_t nb)
{
	uint8_t m[512];
	size_t n = make_query(m, name, type, SL_DNS_RD, 1232);
	struct sl_query query;
	struct sl_name target;

	CU_ASSERT_EQUAL(sl_query_parse(&query, m, n), SL_QUERY_OK);
	if (asked != NULL)
		CU_ASSERT_EQUAL(sl_name_from_text(&target, asked), SL_NAME_OK);
	return sl_scrub(
		s, &query, asked != NULL ? &target : NULL, answer, nb, out, sizeof(out), 1232
	);
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
			CU_ASSERT_EQUAL(memcmp(out + rec.data_at + 2, "\2mx\4mail\4corp", 14), 0);
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

static const struct sl_test_case cases[] = {
	{ "A4: every A and AAAA leaves every section, the rest stays whole", test_addresses_go },
	{ "A4: address hints leave HTTPS, and the list of mandatory keys", test_hints_go },
	{ "A4 A9: the private rcode is kept; an alias answers under its own name",
	  test_rcode_and_alias },
	{ "scrub: too long is TC, cut is refused", test_too_long },
};

SL_TEST_MAIN(cases)
