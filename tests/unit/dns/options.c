#include "fixture.h"

// A query for a.example with an OPT of these options.
static size_t
with_options(uint8_t *m, const void *options, uint16_t nb)
{
	size_t n = make_query(m, "a.example", SL_DNS_A, SL_DNS_RD, 1232);

	sl_put16(m + n - 2, nb);
	memcpy(m + n, options, nb);
	return n + nb;
}

static void
test_found(void)
{
	static const uint8_t both[] = "\0\12\0\10abcdefgh\0\14\0\2\0\0\0\13\0";
	uint8_t m[512];
	size_t n = with_options(m, both, sizeof(both));
	struct sl_query query;

	CU_ASSERT_EQUAL(sl_query_parse(&query, m, n), SL_QUERY_OK);
	CU_ASSERT_TRUE(sl_query_has_option(&query, SL_DNS_OPTION_PADDING));
	CU_ASSERT_TRUE(sl_query_has_option(&query, SL_DNS_OPTION_KEEPALIVE));
	CU_ASSERT_FALSE(sl_query_has_option(&query, SL_DNS_OPTION_EDE));
	n = make_query(m, "a.example", SL_DNS_A, SL_DNS_RD, 0);
	CU_ASSERT_EQUAL(sl_query_parse(&query, m, n), SL_QUERY_OK);
	CU_ASSERT_FALSE(sl_query_has_option(&query, SL_DNS_OPTION_PADDING));
}

static void
test_cut(void)
{
	static const uint8_t whole[] = "\0\3\0\3abc\0\14\0\0";
	uint8_t m[512];
	struct sl_query query;

	for (uint16_t nb = 0; nb < sizeof(whole); nb++) {
		size_t n = with_options(m, whole, nb);
		bool is_whole = nb == 0 || nb == 7 || nb == 11;

		CU_ASSERT_EQUAL(
			sl_query_parse(&query, m, n), is_whole ? SL_QUERY_OK : SL_QUERY_FORMERR
		);
	}
	m[with_options(m, whole, 7) - 4] = 0xff; // longer than its OPT
	CU_ASSERT_EQUAL(
		sl_query_parse(
			&query,
			m,
			with_options(
				m,
				"\0\3\xff\xff"
				"abc",
				7
			)
		),
		SL_QUERY_FORMERR
	);
}

// An answer to `m`, at the start of `out`.
static size_t
answer_to(const uint8_t *m, size_t n, uint8_t *out)
{
	struct sl_query query;

	CU_ASSERT_EQUAL(sl_query_parse(&query, m, n), SL_QUERY_OK);
	return sl_error_build(&query, out, 512, SL_DNS_RA, SL_RCODE_SERVFAIL, SL_EDE_NOT_READY);
}

static void
test_added(void)
{
	uint8_t m[512], out[1024];
	size_t n = with_options(m, "", 0), nb = answer_to(m, n, out), padded;

	padded = sl_answer_add_option(out, nb, sizeof(out), SL_DNS_OPTION_KEEPALIVE, "\0\144", 2);
	CU_ASSERT_EQUAL(padded, nb + 6);
	CU_ASSERT_EQUAL(memcmp(out + nb, "\0\13\0\2\0\144", 6), 0);
	CU_ASSERT_EQUAL(sl_get16(out + n - 2), 6 + 6); // of the extended error, and this
	CU_ASSERT_EQUAL(sl_answer_pad(out, padded, sizeof(out), 468), 468);
	CU_ASSERT_EQUAL(sl_get16(out + n - 2), 468 - n);
	CU_ASSERT_EQUAL(sl_answer_pad(out, 468, sizeof(out), 468), 936); // not even the head fits
	// No room: as it was.
	nb = answer_to(m, n, out);
	CU_ASSERT_EQUAL(sl_answer_pad(out, nb, 467, 468), nb);
	CU_ASSERT_EQUAL(
		sl_answer_add_option(out, nb, nb + 5, SL_DNS_OPTION_KEEPALIVE, "\0\144", 2), nb
	);
	CU_ASSERT_EQUAL(sl_get16(out + n - 2), 6);
	// No OPT, or none at the end.
	n = make_query(m, "a.example", SL_DNS_A, SL_DNS_RD, 0);
	nb = answer_to(m, n, out);
	CU_ASSERT_EQUAL(sl_answer_pad(out, nb, sizeof(out), 468), nb);
	for (size_t cut = 0; cut < nb; cut++)
		CU_ASSERT_EQUAL(sl_answer_pad(out, cut, sizeof(out), 468), cut);
}

static const struct sl_test_case cases[] = {
	{ "options: those of a query are found", test_found },
	{ "A17: a list of options that is cut, or overruns its OPT, is FORMERR", test_cut },
	{ "options: added at the end of an answer that has an OPT and room, and to no other",
	  test_added },
};

SL_TEST_MAIN(cases)
