#include "fixture.h"

#include <sluice/dns/bucket.h>

// One tenant: an exact name for A, one for B withheld from A's wildcard, a wildcard for A, and one
// whose ports shut DNS.
static const char *const nas[] = { "nas.home.int" };
static const char *const hidden[] = { "payroll.dev.home.int" };
static const char *const wild[] = { "*.dev.home.int" };
static const char *const web[] = { "web.home.int" };
static const struct sl_policy_range http[] = { { 80, 80 } };

static struct fake_store store;
static struct sl_policy *policy;
static struct sl_addresses *table;

static int
setup(void)
{
	struct sl_policy_resource list[] = {
		open_resource(1, nas, GROUP_A),
		open_resource(2, hidden, GROUP_B),
		open_resource(3, wild, GROUP_A),
		open_resource(4, web, GROUP_A),
	};
	struct sl_addresses_config config = table_config(&store, 24, 100);

	list[3].tcp = http;
	list[3].nb_udp = 0;
	list[3].icmp = false;
	policy = build_policy(list, 4, 1);
	table = sl_addresses_create(&config);
	return policy == NULL || table == NULL ||
		give_name(table, &store, policy, nas[0], UINT32_MAX, 100) == SL_NO_NAME ||
		give_name(table, &store, policy, hidden[0], UINT32_MAX, 100) == SL_NO_NAME ||
		give_name(table, &store, policy, web[0], UINT32_MAX, 100) == SL_NO_NAME;
}

static int
teardown(void)
{
	sl_addresses_free(table);
	sl_policy_free(policy);
	return 0;
}

static struct sl_answer
ask_raw(uint8_t *m, size_t n, uint64_t groups)
{
	struct sl_answer_context context = { .policy = policy,
					     .addresses = table,
					     .groups = groups,
					     .now_s = 200,
					     .budget_bytes = UINT32_MAX };
	struct sl_answer answer;

	sl_answer(&answer, &context, m, n, n + SL_DNS_ANSWER_ROOM + SL_NAME_WIRE_MAX);
	return answer;
}

static struct sl_answer
ask(uint8_t *m, const char *name, uint16_t type, uint64_t groups)
{
	return ask_raw(m, make_query(m, name, type, SL_DNS_RD, 0), groups);
}

static void
test_a(void)
{
	uint8_t m[1024], question[18];
	size_t n = make_query(m, "NaS.hOme.INT", SL_DNS_A, SL_DNS_RD | SL_DNS_AD, 0);
	struct sl_answer a;
	uint32_t id;

	memcpy(question, m + 12, sizeof(question));
	a = ask_raw(m, n, GROUP_A);
	CU_ASSERT_EQUAL(a.verdict, SL_ANSWER_SEND);
	CU_ASSERT_EQUAL(a.nb_bytes, 46);
	CU_ASSERT_EQUAL(sl_get16(m), 0x1234);
	// qr aa rd ra ad, NOERROR
	CU_ASSERT_EQUAL(sl_get16(m + 2), 0x85a0);
	CU_ASSERT_EQUAL(sl_get64(m + 4), 0x0001000100000000ull);
	CU_ASSERT_EQUAL(memcmp(m + 12, question, sizeof(question)), 0);
	CU_ASSERT_EQUAL(sl_get16(m + 30), 0xc00c);
	CU_ASSERT_EQUAL(sl_get32(m + 36), 60);
	id = sl_addresses_at(table, sl_get32(m + 42));
	CU_ASSERT_EQUAL(id, a.name_id);
	a = ask(m, "nas.home.int", SL_DNS_A, GROUP_A);
	CU_ASSERT_EQUAL(sl_get16(m + 2), 0x8580); // ad only if asked
}

static void
test_edns(void)
{
	uint8_t m[1024];
	size_t n = make_query(m, "nas.home.int", SL_DNS_A, SL_DNS_RD, 4096);
	struct sl_answer a = ask_raw(m, n, GROUP_A);

	CU_ASSERT_EQUAL(a.nb_bytes, 46 + 11);
	CU_ASSERT_EQUAL(sl_get16(m + 10), 1);
	CU_ASSERT_EQUAL(m[46], 0);
	CU_ASSERT_EQUAL(sl_get16(m + 47), SL_DNS_OPT);
	CU_ASSERT_EQUAL(sl_get16(m + 49), SL_DNS_EDNS_BYTES);
	CU_ASSERT_EQUAL(sl_get32(m + 51), 0);
}

// The fast builder and the general one write the same octets.
static void
test_fast_builder(void)
{
	static const uint16_t flags[] = { 0, SL_DNS_RD, SL_DNS_RD | SL_DNS_AD, SL_DNS_CD };
	static const uint8_t data[] = { 100, 96, 1, 2 };

	for (unsigned i = 0; i < 12; i++) {
		uint8_t fast[512], slow[512];
		size_t n = make_query(
			fast, "Nas.home.int", SL_DNS_A, flags[i % 4], i < 4 ? 0 : 1232
		);
		struct sl_query query;
		struct sl_writer w;
		size_t nb_fast, nb_slow;

		if (i >= 8)
			fast[n - 4] |= 0x80; // DO
		memcpy(slow, fast, n);
		CU_ASSERT_EQUAL(sl_query_parse(&query, slow, n), SL_QUERY_OK);
		w = sl_answer_begin(&query, slow, sizeof(slow));
		sl_answer_record(&w, SL_DNS_A, 0x00015180, data, 4);
		nb_slow = sl_answer_end(
			&w,
			&query,
			(struct sl_answer_counts){ .nb_answers = 1 },
			SL_DNS_AA | SL_DNS_RA | SL_DNS_AD,
			SL_RCODE_NOERROR,
			SL_EDE_NONE,
			0
		);
		CU_ASSERT_EQUAL(sl_query_parse(&query, fast, n), SL_QUERY_OK);
		CU_ASSERT_EQUAL(sl_answer_address(&query, fast, nb_slow - 1, 0x64600102, 86400), 0);
		nb_fast = sl_answer_address(&query, fast, nb_slow, 0x64600102, 86400);
		CU_ASSERT_EQUAL(nb_fast, nb_slow);
		CU_ASSERT_EQUAL(memcmp(fast, slow, nb_slow), 0);
	}
}

static void
test_aaaa(void)
{
	uint8_t m[1024];
	struct sl_answer a = ask(m, "nas.home.int", SL_DNS_AAAA, GROUP_A);

	CU_ASSERT_EQUAL(a.verdict, SL_ANSWER_SEND);
	CU_ASSERT_EQUAL(a.rcode, SL_RCODE_NOERROR);
	CU_ASSERT_EQUAL(sl_get16(m + 2) & SL_DNS_RCODE, 0);
	CU_ASSERT_EQUAL(sl_get16(m + 6), 0);
	CU_ASSERT_EQUAL(sl_get16(m + 8), 1); // SOA
	CU_ASSERT_EQUAL(sl_get16(m + 32), SL_DNS_SOA);
	// A wildcard name that has no address yet needs none for this.
	a = ask(m, "new.dev.home.int", SL_DNS_AAAA, GROUP_A);
	CU_ASSERT_EQUAL(a.verdict, SL_ANSWER_SEND);
	CU_ASSERT_EQUAL(sl_get16(m + 6), 0);
}

static void
test_other_types(void)
{
	uint8_t m[1024];
	struct sl_answer a = ask(m, "nas.home.int", SL_DNS_TXT, GROUP_A);

	CU_ASSERT_EQUAL(a.verdict, SL_ANSWER_NEED_RESOLVE);
	CU_ASSERT_EQUAL(a.choice.resource, 1);
	CU_ASSERT_EQUAL(a.choice.network, 1001);
	a = ask(m, "web.home.int", SL_DNS_TXT, GROUP_A);
	CU_ASSERT_EQUAL(a.verdict, SL_ANSWER_SEND);
	CU_ASSERT_EQUAL(a.rcode, SL_RCODE_NOERROR);
	CU_ASSERT_EQUAL(sl_get16(m + 6), 0);
	a = ask(m, "nas.home.int", SL_DNS_ANY, GROUP_A);
	CU_ASSERT_EQUAL(a.verdict, SL_ANSWER_SEND);
	CU_ASSERT_EQUAL(sl_get16(m + 32), SL_DNS_HINFO);
	CU_ASSERT_EQUAL(memcmp(m + 43, "RFC8482", 8), 0);
}

static void
test_ptr(void)
{
	uint8_t m[1024];
	struct sl_answer a = ask(m, "nas.home.int", SL_DNS_A, GROUP_A);
	uint32_t addr = sl_get32(m + 42);
	char reverse[80];

	CU_ASSERT_EQUAL(a.verdict, SL_ANSWER_SEND);
	snprintf(
		reverse,
		sizeof(reverse),
		"%u.%u.%u.%u.in-addr.arpa",
		addr & 255,
		addr >> 8 & 255,
		addr >> 16 & 255,
		addr >> 24
	);
	a = ask(m, reverse, SL_DNS_PTR, GROUP_A);
	CU_ASSERT_EQUAL(a.rcode, SL_RCODE_NOERROR);
	CU_ASSERT_EQUAL(sl_get16(m + 6), 1);
	CU_ASSERT_EQUAL(memcmp(m + a.nb_bytes - 14, "\3nas\4home\3int", 14), 0);
	a = ask(m, reverse, SL_DNS_PTR, GROUP_B);
	CU_ASSERT_EQUAL(a.verdict, SL_ANSWER_SEND);
	CU_ASSERT_EQUAL(a.rcode, SL_RCODE_NXDOMAIN);
	// An unassigned address differs in nothing but the question.
	{
		uint8_t u[1024];
		struct sl_answer b;
		uint32_t free_at = POOL + 1;

		while (sl_addresses_at(table, free_at) != SL_NO_NAME)
			free_at++;
		snprintf(
			reverse,
			sizeof(reverse),
			"%u.%u.%u.%u.in-addr.arpa",
			free_at & 255,
			free_at >> 8 & 255,
			free_at >> 16 & 255,
			free_at >> 24
		);
		b = ask(u, reverse, SL_DNS_PTR, GROUP_A);
		CU_ASSERT_EQUAL(b.rcode, SL_RCODE_NXDOMAIN);
		CU_ASSERT_EQUAL(memcmp(m, u, 12), 0);
	}
	a = ask(m, "1.2.0.192.in-addr.arpa", SL_DNS_PTR, GROUP_A);
	CU_ASSERT_EQUAL(a.verdict, SL_ANSWER_FORWARD);
}

static void
test_not_granted(void)
{
	static const uint16_t types[] = {
		SL_DNS_A, SL_DNS_AAAA, SL_DNS_TXT, SL_DNS_ANY, SL_DNS_PTR
	};
	uint8_t m[1024];

	for (unsigned i = 0; i < 5; i++) {
		struct sl_answer a = ask(m, "payroll.dev.home.int", types[i], GROUP_A);
		struct sl_answer b = ask(m, "no.such.name", types[i], GROUP_A);

		CU_ASSERT_EQUAL(a.verdict, SL_ANSWER_FORWARD);
		CU_ASSERT_EQUAL(a.name_id, SL_NO_NAME);
		CU_ASSERT_EQUAL(b.verdict, SL_ANSWER_FORWARD);
	}
	// The more specific name is withheld although the wildcard is granted; its owner sees it.
	CU_ASSERT_EQUAL(ask(m, "payroll.dev.home.int", SL_DNS_A, GROUP_B).verdict, SL_ANSWER_SEND);
	CU_ASSERT_EQUAL(ask(m, "nas.home.int", SL_DNS_A, GROUP_B).verdict, SL_ANSWER_FORWARD);
}

static void
test_wildcard(void)
{
	uint8_t m[1024];

	CU_ASSERT_EQUAL(ask(m, "ci.dev.home.int", SL_DNS_A, GROUP_A).verdict, SL_ANSWER_NEED_NAME);
	CU_ASSERT_EQUAL(ask(m, "a.b.dev.home.int", SL_DNS_A, GROUP_A).verdict, SL_ANSWER_NEED_NAME);
	CU_ASSERT_EQUAL(ask(m, "dev.home.int", SL_DNS_A, GROUP_A).verdict, SL_ANSWER_FORWARD);
	CU_ASSERT_EQUAL(ask(m, "ci.dev.home.int", SL_DNS_A, GROUP_B).verdict, SL_ANSWER_FORWARD);
	CU_ASSERT(give_name(table, &store, policy, "ci.dev.home.int", 7, 100) != SL_NO_NAME);
	CU_ASSERT_EQUAL(ask(m, "ci.dev.home.int", SL_DNS_A, GROUP_A).verdict, SL_ANSWER_SEND);
	CU_ASSERT_EQUAL(ask(m, "ci.dev.home.int", SL_DNS_A, GROUP_B).verdict, SL_ANSWER_FORWARD);
}

static void
test_canary(void)
{
	uint8_t m[1024];
	struct sl_answer a = ask(m, "use-application-dns.net", SL_DNS_A, GROUP_A);

	CU_ASSERT_EQUAL(a.verdict, SL_ANSWER_SEND);
	CU_ASSERT_EQUAL(a.rcode, SL_RCODE_NXDOMAIN);
}

// What a malformed query gets: the bytes of a good one, changed.
static void
test_hygiene(void)
{
	static const struct {
		const char *what;
		unsigned at;
		uint8_t octet;
		int cut; // octets taken off (or put on, if negative)
		enum sl_answer_verdict verdict;
		enum sl_dns_rcode rcode;
		size_t grows; // over the query, at most
	} rows[] = {
		{ "response", 2, 0x81, 0, SL_ANSWER_DROP, 0, 0 },
		{ "no header", 0, 0, 47 - 11, SL_ANSWER_DROP, 0, 0 },
		{ "opcode STATUS", 2, 0x11, 0, SL_ANSWER_SEND, SL_RCODE_NOTIMP, 0 },
		{ "opcode 15", 2, 0x79, 0, SL_ANSWER_SEND, SL_RCODE_NOTIMP, 0 },
		{ "QDCOUNT 0", 5, 0, 0, SL_ANSWER_SEND, SL_RCODE_FORMERR, 0 },
		{ "QDCOUNT 2", 5, 2, 0, SL_ANSWER_SEND, SL_RCODE_FORMERR, 0 },
		{ "ANCOUNT 1", 7, 1, 0, SL_ANSWER_SEND, SL_RCODE_FORMERR, 0 },
		{ "NSCOUNT 256", 8, 1, 0, SL_ANSWER_SEND, SL_RCODE_FORMERR, 0 },
		{ "ARCOUNT 2", 11, 2, 0, SL_ANSWER_SEND, SL_RCODE_FORMERR, 0 },
		{ "ARCOUNT 0: trailing octets", 11, 0, 0, SL_ANSWER_SEND, SL_RCODE_FORMERR, 0 },
		{ "pointer in the question", 12, 0xc0, 0, SL_ANSWER_SEND, SL_RCODE_FORMERR, 0 },
		{ "label type 0x40", 12, 0x41, 0, SL_ANSWER_SEND, SL_RCODE_FORMERR, 0 },
		{ "label past the end", 12, 63, 0, SL_ANSWER_SEND, SL_RCODE_FORMERR, 0 },
		{ "cut in the OPT", 0, 0x12, 3, SL_ANSWER_SEND, SL_RCODE_FORMERR, 0 },
		{ "cut in the question", 0, 0x12, 14, SL_ANSWER_SEND, SL_RCODE_FORMERR, 0 },
		{ "an octet too many", 0, 0x12, -1, SL_ANSWER_SEND, SL_RCODE_FORMERR, 0 },
		{ "EDNS version 1", 36, 1, 0, SL_ANSWER_SEND, SL_RCODE_BADVERS, 0 },
		{ "class CH", 29, 3, 0, SL_ANSWER_SEND, SL_RCODE_REFUSED, 0 },
		{ "class ANY", 29, 255, 0, SL_ANSWER_SEND, SL_RCODE_REFUSED, 0 },
		{ "AXFR", 27, 252, 0, SL_ANSWER_SEND, SL_RCODE_REFUSED, 0 },
		{ "type OPT", 27, 41, 0, SL_ANSWER_SEND, SL_RCODE_FORMERR, 0 },
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t m[1024] = { 0 };
		size_t n = make_query(m, "nas.home.int", SL_DNS_A, SL_DNS_RD, 1232);
		struct sl_answer a;

		CU_ASSERT_EQUAL(n, 41);
		m[rows[i].at] = rows[i].octet;
		n = rows[i].cut > 30 ? 11 : n - rows[i].cut;
		a = ask_raw(m, n, GROUP_A);
		SL_ASSERT_ROW(a.verdict == rows[i].verdict, rows[i].what);
		SL_ASSERT_ROW(a.rcode == rows[i].rcode, rows[i].what);
		SL_ASSERT_ROW(a.nb_bytes <= n, rows[i].what);
		if (a.verdict == SL_ANSWER_SEND && a.rcode != SL_RCODE_BADVERS)
			SL_ASSERT_ROW((m[3] & 15) == (int)rows[i].rcode, rows[i].what);
	}
}

static void
test_budget(void)
{
	uint8_t m[1024];
	struct sl_answer_context context = {
		.policy = policy, .addresses = table, .groups = GROUP_A, .budget_bytes = 40
	};
	struct sl_answer a;
	size_t n = make_query(m, "nas.home.int", SL_DNS_A, SL_DNS_RD, 0);

	sl_answer(&a, &context, m, n, sizeof(m));
	CU_ASSERT_EQUAL(a.verdict, SL_ANSWER_SEND);
	CU_ASSERT_EQUAL(a.nb_bytes, n);
	CU_ASSERT(sl_get16(m + 2) & SL_DNS_TC);
	// Nothing at all is left, and nobody else is asked for what could not be said.
	context.budget_bytes = 0;
	for (unsigned i = 0; i < 2; i++) {
		n = make_query(
			m, i == 0 ? "nas.home.int" : "www.public.example", SL_DNS_A, SL_DNS_RD, 1232
		);
		sl_answer(&a, &context, m, n, sizeof(m));
		CU_ASSERT_EQUAL(a.verdict, SL_ANSWER_SEND);
		CU_ASSERT_EQUAL(a.nb_bytes, n);
		CU_ASSERT(sl_get16(m + 2) & SL_DNS_TC);
	}
}

static void
test_bucket(void)
{
	struct sl_bucket b = { 0 };
	uint64_t now_ns = SL_NS_PER_S;
	unsigned nb = 0;

	while (sl_bucket_take(&b, 10, 20, 1, now_ns))
		nb++;
	CU_ASSERT_EQUAL(nb, 20);
	CU_ASSERT_FALSE(sl_bucket_take(&b, 10, 20, 1, now_ns + SL_NS_PER_S / 20));
	CU_ASSERT_TRUE(sl_bucket_take(&b, 10, 20, 1, now_ns + SL_NS_PER_S / 9));
	for (nb = 0; sl_bucket_take(&b, 10, 20, 1, now_ns + 3000 * SL_NS_PER_S); nb++)
		;
	CU_ASSERT_EQUAL(nb, 20);
}

static void
test_failure(void)
{
	const struct sl_cookie_for who = { .key = &fixture_key };
	uint8_t m[1024];
	size_t n = make_query(m, "nas.home.int", SL_DNS_A, SL_DNS_RD, 1232);
	size_t nb = sl_answer_failure(SL_ANSWER_EXHAUSTED, &who, m, n, sizeof(m));

	CU_ASSERT_EQUAL(nb, n + 6);
	CU_ASSERT_EQUAL(m[3] & 15, SL_RCODE_SERVFAIL);
	CU_ASSERT_EQUAL(sl_get16(m + n), 15); // extended error
	n = make_query(m, "nas.home.int", SL_DNS_A, SL_DNS_RD, 0);
	CU_ASSERT_EQUAL(sl_answer_failure(SL_ANSWER_EXHAUSTED, &who, m, n, sizeof(m)), n);
}

static const struct sl_test_case cases[] = {
	{ "A2: A of nas.home.int is one record in 46 octets, letter case kept, ad if asked",
	  test_a },
	{ "A2: a query with EDNS gets an OPT back, of 1232 octets", test_edns },
	{ "A2: the fast builder writes what the general one does", test_fast_builder },
	{ "A3: AAAA is NOERROR without answers, and with a SOA so that it is kept", test_aaaa },
	{ "A4: other types go to the connector, or are empty where UDP/53 is shut; ANY is HINFO",
	  test_other_types },
	{ "A5: PTR names who may be reached; else NXDOMAIN, assigned or not", test_ptr },
	{ "A7 A13: a name withheld is a miss like any other, for every type", test_not_granted },
	{ "A6: wildcard names are assigned at first sight, the apex is none of them",
	  test_wildcard },
	{ "A16: Firefox's canary is NXDOMAIN", test_canary },
	{ "A17: malformed queries get the right error, never longer than themselves",
	  test_hygiene },
	{ "A17: beyond the client's bytes the answer is TC and nothing else", test_budget },
	{ "bucket: holds its burst, refills at its rate, never overfills", test_bucket },
	{ "A12: exhaustion is SERVFAIL with an extended error where the query has EDNS",
	  test_failure },
};

int
main(int argc, char **argv)
{
	return sl_test_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]), setup, teardown);
}
