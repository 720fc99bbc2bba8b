// Servers that do not know EDNS (RFC 6891 section 7), as private DNS and as upstream: they are asked again
// without, at once, and without from then on.
#include "fixture.h"

#include <sluice/dns/forward.h>
#include <sluice/dns/resolver.h>

#define MS SL_NS_PER_MS

static uint64_t seed;

static bool
has_opt(const uint8_t *query)
{
	return sl_get16(query + 10) != 0;
}

enum manner { WHOLE, BARE, WITH_OPT, MANNERS };

// What an old server says to a query; how it says no to EDNS is its manner. Without EDNS it answers, unless it is
// `stubborn`.
static size_t
old_server(
	const uint8_t *query, size_t nb, enum manner manner, uint16_t no, bool stubborn, uint8_t *to
)
{
	static const uint8_t a[4] = { 10, 0, 0, 7 };
	size_t nb_question = nb - (has_opt(query) ? SL_DNS_OPT_BYTES : 0);
	struct sl_writer w = sl_writer(to, 2048);

	if ((has_opt(query) || stubborn) && manner == BARE) {
		memset(to, 0, SL_DNS_HEADER_BYTES);
		memcpy(to, query, 2);
		sl_put16(to + 2, SL_DNS_QR | no);
		return SL_DNS_HEADER_BYTES;
	}
	sl_write(&w, query, manner == WITH_OPT ? nb : nb_question);
	sl_put16(to + 2, SL_DNS_QR | SL_DNS_RD | SL_DNS_RA);
	if (manner != WITH_OPT)
		sl_put16(to + 10, 0);
	if (has_opt(query) || stubborn) {
		sl_put16(to + 2, SL_DNS_QR | SL_DNS_RD | no);
		return sl_writer_len(&w);
	}
	sl_answer_record(&w, SL_DNS_A, 60, a, 4);
	sl_put16(to + 6, 1);
	return sl_writer_len(&w);
}

static struct sl_resolver *
make_resolver(void)
{
	struct sl_resolver_config config = { .servers = { { 0x0a000001, 53 } },
					     .nb_servers = 1,
					     .names_max = 64,
					     .queries_max = 16,
					     .askers_max = 32,
					     .random = next_random,
					     .random_context = &seed };

	seed = 42;
	return sl_resolver_create(&config);
}

// Ask and play the server until there is a result; how many queries that took.
static unsigned
resolve(struct sl_resolver *r,
	const char *text,
	enum manner manner,
	uint16_t no,
	bool stubborn,
	uint64_t now_ns,
	enum sl_resolved *result)
{
	struct sl_resolver_event e;
	struct sl_resolver_result at_once;
	uint8_t m[2048];
	unsigned nb = 0;
	struct sl_name name;

	CU_ASSERT_EQUAL_FATAL(sl_name_from_text(&name, text), SL_NAME_OK);
	CU_ASSERT_FALSE(sl_resolver_ask(r, &name, SL_DNS_A, 1, now_ns, &at_once));
	while (sl_resolver_poll(r, now_ns, &e) && e.kind != SL_RESOLVER_RESULT) {
		size_t n;

		if (e.kind == SL_RESOLVER_RELEASE)
			continue;
		CU_ASSERT_TRUE_FATAL(++nb < 10);
		n = old_server(e.message, e.nb_bytes, manner, no, stubborn, m);
		(void)sl_resolver_receive(r, e.token, m, n, e.server, false, now_ns);
	}
	*result = e.kind == SL_RESOLVER_RESULT ? e.result.result : SL_RESOLVED_SILENT;
	return nb;
}

static void
test_private(void)
{
	static const uint16_t noes[] = { SL_RCODE_FORMERR, SL_RCODE_NOTIMP };
	enum sl_resolved result;

	for (enum manner manner = WHOLE; manner <= BARE; manner++)
		for (unsigned i = 0; i < 2; i++) {
			struct sl_resolver *r = make_resolver();

			CU_ASSERT_EQUAL(
				resolve(r, "a.example", manner, noes[i], false, MS, &result), 2
			);
			CU_ASSERT_EQUAL(result, SL_RESOLVED_OK);
			// From then on without, and after a while with again.
			CU_ASSERT_EQUAL(
				resolve(r, "b.example", manner, noes[i], false, 2 * MS, &result), 1
			);
			CU_ASSERT_EQUAL(
				resolve(r,
					"c.example",
					manner,
					noes[i],
					false,
					1000 * SL_NS_PER_S,
					&result),
				2
			);
			CU_ASSERT_EQUAL(result, SL_RESOLVED_OK);
			sl_resolver_free(r);
		}
}

// What it refuses without EDNS too, or with an OPT of its own, is refused; the next query has EDNS.
static void
test_other_refusals(void)
{
	struct sl_resolver *r = make_resolver();
	enum sl_resolved result;

	CU_ASSERT_EQUAL(resolve(r, "a.example", WHOLE, SL_RCODE_FORMERR, true, MS, &result), 2);
	CU_ASSERT_EQUAL(result, SL_RESOLVED_FAILED);
	CU_ASSERT_EQUAL(resolve(r, "b.example", WITH_OPT, SL_RCODE_FORMERR, false, MS, &result), 1);
	CU_ASSERT_EQUAL(result, SL_RESOLVED_FAILED);
	CU_ASSERT_EQUAL(resolve(r, "c.example", WHOLE, SL_RCODE_SERVFAIL, false, MS, &result), 1);
	CU_ASSERT_EQUAL(result, SL_RESOLVED_FAILED);
	CU_ASSERT_EQUAL(resolve(r, "d.example", WHOLE, SL_RCODE_FORMERR, false, MS, &result), 2);
	CU_ASSERT_EQUAL(result, SL_RESOLVED_OK);
	sl_resolver_free(r);
}

// A header and no more has no question to be held against: its ID must be right all the same.
static void
test_bare_is_matched(void)
{
	struct sl_resolver *r = make_resolver();
	struct sl_resolver_result at_once;
	struct sl_resolver_event e;
	struct sl_name name;
	uint8_t m[64];
	size_t n;

	CU_ASSERT_EQUAL_FATAL(sl_name_from_text(&name, "a.example"), SL_NAME_OK);
	CU_ASSERT_FALSE(sl_resolver_ask(r, &name, SL_DNS_A, 1, MS, &at_once));
	CU_ASSERT_TRUE_FATAL(sl_resolver_poll(r, MS, &e));
	n = old_server(e.message, e.nb_bytes, BARE, SL_RCODE_FORMERR, false, m);
	m[1] ^= 1;
	CU_ASSERT_EQUAL(sl_resolver_receive(r, e.token, m, n, e.server, false, MS), SL_RECEIVE_ID);
	m[1] ^= 1;
	sl_put16(m + 2, SL_DNS_QR | SL_RCODE_NOERROR);
	CU_ASSERT_EQUAL(
		sl_resolver_receive(r, e.token, m, n, e.server, false, MS), SL_RECEIVE_MALFORMED
	);
	sl_resolver_free(r);
}

// Ask an upstream by way of the forwarder, and play it; how many queries that took.
static unsigned
forward(struct sl_forward *f, const char *name, enum manner manner)
{
	static uint8_t query[512], answer[65536], m[2048];
	struct sl_forward_asker who = { .client = 1, .address = 1, .port = 1 };
	size_t nb = make_query(query, name, SL_DNS_A, SL_DNS_RD, 1232), n;
	struct sl_forward_event e;
	unsigned nb_sent = 0;
	bool is_told = false;

	CU_ASSERT_EQUAL(
		sl_forward_query(f, &who, query, nb, MS, answer, sizeof(answer), &n),
		SL_FORWARD_PENDING
	);
	while (sl_forward_poll(f, MS, &e)) {
		if (e.kind == SL_FORWARD_ANSWER) {
			is_told = true;
			CU_ASSERT_EQUAL(e.message[3] & 15, SL_RCODE_NOERROR);
		} else if (e.kind == SL_FORWARD_SEND) {
			nb_sent++;
			n = old_server(e.message, e.nb_bytes, manner, SL_RCODE_FORMERR, false, m);
			CU_ASSERT_EQUAL(
				sl_forward_receive(f, e.token, m, n, e.upstream, false, MS),
				SL_RECEIVE_ACCEPTED
			);
		}
	}
	CU_ASSERT_TRUE(is_told);
	return nb_sent;
}

static void
test_upstream(void)
{
	struct sl_forward_config config = { .mode = SL_FORWARD_SERIAL,
					    .upstreams = { { 0x09090909, 53 } },
					    .nb_upstreams = 1,
					    .name_key = fixture_key,
					    .askers_max = 32,
					    .client_askers_max = 8,
					    .queries_max = 16,
					    .cache_bytes = 1 << 18,
					    .random = next_random,
					    .random_context = &seed };

	for (enum manner manner = WHOLE; manner <= BARE; manner++) {
		struct sl_forward *f = sl_forward_create(&config);

		CU_ASSERT_EQUAL(forward(f, "a.example", manner), 2);
		CU_ASSERT_EQUAL(forward(f, "b.example", manner), 1);
		sl_forward_free(f);
	}
}

static const struct sl_test_case cases[] = {
	{ "resolver: a private server that does not know EDNS is asked again without, and so for a "
	  "while",
	  test_private },
	{ "resolver: another refusal is one, and the next query has EDNS", test_other_refusals },
	{ "resolver: a refusal without a question must have the ID that was sent",
	  test_bare_is_matched },
	{ "A14: an upstream that does not know EDNS is asked again without", test_upstream },
};
SL_TEST_MAIN(cases)
