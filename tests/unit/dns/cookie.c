// DNS cookies: RFC 9018's vectors (appendix A), and what answers of every origin carry.
#include "fixture.h"

#include <sluice/dns/cookie.h>
#include <sluice/dns/forward.h>

#define CLIENT 0xc6336464u // 198.51.100.100

// The secret of the vectors: e5e973e5a6b2a43f48e7dc849e37bfcf.
static const struct sl_name_key secret = { { 0x3fa4b2a6e573e9e5ull, 0xcfbf379e84dce748ull, 1, 1 } };

static void
from_hex(const char *hex, uint8_t *to)
{
	for (; *hex != '\0'; hex += 2, to++) {
		unsigned octet;

		sscanf(hex, "%2x", &octet);
		*to = (uint8_t)octet;
	}
}

static void
test_vectors(void)
{
	static const struct {
		const char *asked, *answered;
		uint32_t address, now_s;
	} rows[] = {
		// A.1: a client that has no server cookie yet.
		{ "2464c4abcf10c957",
		  "2464c4abcf10c957010000005cf79f111f8130c3eee29480",
		  CLIENT,
		  1559731985 },
		// A.2: it asks again after 40 minutes and gets a new one.
		{ "2464c4abcf10c957010000005cf79f111f8130c3eee29480",
		  "2464c4abcf10c957010000005cf7a871d4a564a1442aca77",
		  CLIENT,
		  1559734385 },
		// A.3: reserved octets of another server's count in the hash; too old for this one all the same.
		{ "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5",
		  "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e",
		  0xcb0071cb,
		  1559734700 },
		// Still young: it stays what it is.
		{ "2464c4abcf10c957010000005cf79f111f8130c3eee29480",
		  "2464c4abcf10c957010000005cf79f111f8130c3eee29480",
		  CLIENT,
		  1559731985 + 1800 },
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct sl_cookie_for who = { &secret, rows[i].address, rows[i].now_s };
		struct sl_query query = { .has_cookie = true };
		uint8_t want[SL_DNS_COOKIE_BYTES];

		from_hex(rows[i].asked, query.cookie);
		from_hex(rows[i].answered, want);
		sl_cookie_answer(&query, &who);
		CU_ASSERT_TRUE(query.says_cookie);
		SL_ASSERT_ROW(memcmp(query.cookie, want, sizeof(want)) == 0, rows[i].asked);
	}
}

// A good cookie of another address, of the future, of another version, or with any bit changed is replaced.
static void
test_not_good(void)
{
	const struct sl_cookie_for who = { &secret, CLIENT, 1559731985 };
	uint8_t good[SL_DNS_COOKIE_BYTES];

	from_hex("2464c4abcf10c957010000005cf79f111f8130c3eee29480", good);
	for (unsigned bit = 0; bit < SL_DNS_COOKIE_BYTES * 8; bit++) {
		struct sl_query query = { .has_cookie = true };
		uint8_t asked[SL_DNS_COOKIE_BYTES];

		memcpy(asked, good, sizeof(asked));
		asked[bit / 8] ^= (uint8_t)(1u << bit % 8);
		memcpy(query.cookie, asked, sizeof(asked));
		sl_cookie_answer(&query, &who);
		CU_ASSERT_TRUE(memcmp(query.cookie, asked, sizeof(asked)) != 0);
		CU_ASSERT_TRUE(memcmp(query.cookie, asked, 8) == 0); // the client's half
	}
	for (unsigned i = 0; i < 2; i++) {
		struct sl_cookie_for other = who;
		struct sl_query query = { .has_cookie = true };

		memcpy(query.cookie, good, sizeof(good));
		other.address += i == 0;
		other.now_s -= i == 1 ? 301 : 0;
		sl_cookie_answer(&query, &other);
		CU_ASSERT_TRUE(memcmp(query.cookie, good, sizeof(good)) != 0);
	}
}

// A query for `text` with a cookie of nb_cookie octets.
static size_t
ask(uint8_t *m, const char *text, uint16_t nb_cookie)
{
	size_t n = make_query(m, text, SL_DNS_A, SL_DNS_RD, 1232);

	sl_put16(m + n - 2, (uint16_t)(nb_cookie + 4));
	sl_put16(m + n, SL_DNS_OPTION_COOKIE);
	sl_put16(m + n + 2, nb_cookie);
	for (unsigned i = 0; i < nb_cookie; i++)
		m[n + 4 + i] = (uint8_t)(0x40 + i);
	return n + 4 + nb_cookie;
}

static void
test_lengths(void)
{
	struct sl_query query;
	uint8_t m[512];

	for (uint16_t nb = 0; nb < 60; nb++) {
		bool is_right = nb == 8 || (nb >= 16 && nb <= 40);
		size_t n = ask(m, "a.example", nb);

		CU_ASSERT_EQUAL(
			sl_query_parse(&query, m, n), is_right ? SL_QUERY_OK : SL_QUERY_FORMERR
		);
		CU_ASSERT_EQUAL(query.has_cookie, is_right);
	}
}

// Does the message end with an OPT whose first option is a cookie with the client's half?
static bool
has_cookie(const uint8_t *m, size_t nb_bytes, size_t nb_behind)
{
	const uint8_t *p = m + nb_bytes - nb_behind - SL_DNS_COOKIE_BYTES - 4;

	for (unsigned i = 0; i < 8; i++)
		if (p[4 + i] != 0x40 + i)
			return false;
	return sl_get16(p) == SL_DNS_OPTION_COOKIE && sl_get16(p + 2) == SL_DNS_COOKIE_BYTES &&
		sl_get16(p - 2) == SL_DNS_COOKIE_BYTES + 4 + nb_behind && p[12] == 1;
}

static void
test_answers(void)
{
	static const char *const git[] = { "git.example" };
	const struct sl_policy_resource list[] = { open_resource(1, git, GROUP_A) };
	struct sl_policy *policy = build_policy(list, 1, 1);
	struct fake_store store = { 0 };
	struct sl_addresses_config config = table_config(&store, 24, 16);
	struct sl_addresses *table = sl_addresses_create(&config);
	struct sl_answer_context context = { .policy = policy,
					     .addresses = table,
					     .groups = GROUP_A,
					     .source = CLIENT,
					     .now_s = 100,
					     .budget_bytes = UINT32_MAX };
	const struct sl_cookie_for who = { &fixture_key, CLIENT, 100 };
	struct sl_answer answer;
	uint8_t m[1024];
	size_t n;

	give_name(table, &store, policy, "git.example", 1, 100);
	n = ask(m, "git.example", 8);
	sl_answer(&answer, &context, m, n, sizeof(m));
	CU_ASSERT_EQUAL(answer.verdict, SL_ANSWER_SEND);
	CU_ASSERT_EQUAL(sl_get16(m + 6), 1);
	CU_ASSERT_TRUE(has_cookie(m, answer.nb_bytes, 0));
	n = ask(m, "use-application-dns.net", 8);
	sl_answer(&answer, &context, m, n, sizeof(m));
	CU_ASSERT_EQUAL(answer.rcode, SL_RCODE_NXDOMAIN);
	CU_ASSERT_TRUE(has_cookie(m, answer.nb_bytes, 0));
	n = ask(m, "git.example", 8);
	n = sl_answer_failure(SL_ANSWER_EXHAUSTED, &who, m, n, sizeof(m));
	CU_ASSERT_TRUE(has_cookie(m, n, 6)); // and the extended error
	sl_addresses_free(table);
	sl_policy_free(policy);
}

// A forwarded answer, too: of the upstream's options none comes through, of the client's none goes there.
static void
test_forwarded(void)
{
	uint64_t seed = 7;
	struct sl_forward_config config = { .upstreams = { { 0x09090909, 53 } },
					    .nb_upstreams = 1,
					    .name_key = fixture_key,
					    .cache_bytes = 1 << 18,
					    .random = next_random,
					    .random_context = &seed };
	struct sl_forward *f = sl_forward_create(&config);
	struct sl_forward_asker asker = { .client = 1, .address = CLIENT, .port = 1000 };
	struct sl_forward_event event;
	uint8_t m[512], reply[512], answer[2048];
	size_t n = ask(m, "www.public.example", 8), nb;

	CU_ASSERT_EQUAL(
		sl_forward_query(f, &asker, m, n, SL_NS_PER_S, answer, sizeof(answer), &nb),
		SL_FORWARD_PENDING
	);
	CU_ASSERT_TRUE_FATAL(sl_forward_poll(f, SL_NS_PER_S, &event));
	CU_ASSERT_EQUAL(event.nb_bytes, n - 12);
	memcpy(reply, event.message, event.nb_bytes);
	reply[2] |= 0x80;
	sl_forward_receive(
		f, event.token, reply, event.nb_bytes, event.upstream, false, SL_NS_PER_S
	);
	while (sl_forward_poll(f, SL_NS_PER_S, &event) && event.kind != SL_FORWARD_ANSWER)
		;
	CU_ASSERT_TRUE(
		event.kind == SL_FORWARD_ANSWER && has_cookie(event.message, event.nb_bytes, 0)
	);
	sl_forward_free(f);
}

static const struct sl_test_case cases[] = {
	{ "A14: cookies are those of RFC 9018's appendix A", test_vectors },
	{ "A14: a cookie that is not good gives way to one that is", test_not_good },
	{ "A14: a cookie of a wrong length is FORMERR", test_lengths },
	{ "A14: an answer has a cookie when the query had one, whoever makes it", test_answers },
	{ "A14: a forwarded answer has our cookie, and the upstream hears of none",
	  test_forwarded },
};
SL_TEST_MAIN(cases)
