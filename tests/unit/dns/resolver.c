#include "fixture.h"

#include <sluice/dns/resolver.h>
#include <sluice/proto/bytes.h>

#define MS SL_NS_PER_MS

static uint64_t seed;
static struct sl_resolver *
make(unsigned nb_servers)
{
	struct sl_resolver_config config = {
		.servers = { { 0x0a000001, 53 }, { 0x0a000002, 53 } },
		.nb_servers = nb_servers,
		.search = { "corp.example" },
		.nb_search = 1,
		.names_max = 64,
		.queries_max = 16,
		.askers_max = 32,
		.random = next_random,
		.random_context = &seed,
	};

	seed = 42;
	return sl_resolver_create(&config);
}

static struct sl_name
name_of(const char *text)
{
	struct sl_name name;

	CU_ASSERT_EQUAL_FATAL(sl_name_from_text(&name, text), SL_NAME_OK);
	return name;
}

// The next event that is not a RELEASE.
static bool
poll_event(struct sl_resolver *r, uint64_t now_ns, struct sl_resolver_event *event)
{
	while (sl_resolver_poll(r, now_ns, event))
		if (event->kind != SL_RESOLVER_RELEASE)
			return true;
	return false;
}

// An answer to a query that was sent: its own header and question, then records.
static struct sl_writer
reply(const struct sl_resolver_event *sent, uint8_t *to, uint16_t flags, unsigned nb_answers)
{
	struct sl_writer w = sl_writer(to, 2048);

	sl_write(&w, sent->message, sent->nb_bytes - SL_DNS_OPT_BYTES);
	sl_put16(to + 2, SL_DNS_QR | SL_DNS_RD | SL_DNS_RA | flags);
	sl_put16(to + 6, (uint16_t)nb_answers);
	sl_put16(to + 10, 0);
	return w;
}

static void
put_name(struct sl_writer *w, const char *text)
{
	struct sl_name name = name_of(text);

	sl_write(w, name.wire, name.nb_bytes);
}

static void
put_record(
	struct sl_writer *w,
	const char *owner,
	uint16_t type,
	uint32_t ttl_s,
	const void *data,
	uint16_t nb
)
{
	put_name(w, owner);
	sl_write16(w, type);
	sl_write16(w, SL_DNS_IN);
	sl_write32(w, ttl_s);
	sl_write16(w, nb);
	sl_write(w, data, nb);
}

static void
put_cname(struct sl_writer *w, const char *owner, const char *target)
{
	struct sl_name name = name_of(target);

	put_record(w, owner, SL_DNS_CNAME, 100, name.wire, name.nb_bytes);
}

static enum sl_receive_verdict
give(struct sl_resolver *r,
     const struct sl_resolver_event *sent,
     const struct sl_writer *w,
     uint64_t now_ns)
{
	return sl_resolver_receive(
		r, sent->token, w->begin, sl_writer_len(w), sent->server, false, now_ns
	);
}

static void
test_shared_and_cached(void)
{
	struct sl_resolver *r = make(1);
	struct sl_name name = name_of("git.corp.example");
	struct sl_resolver_result result;
	struct sl_resolver_event sent, e;
	uint8_t m[2048], a[4] = { 10, 0, 0, 7 };
	struct sl_writer w;

	CU_ASSERT_FALSE(sl_resolver_ask(r, &name, SL_DNS_A, 1, MS, &result));
	CU_ASSERT_FALSE(sl_resolver_ask(r, &name, SL_DNS_A, 2, MS, &result));
	CU_ASSERT_TRUE(poll_event(r, MS, &sent));
	CU_ASSERT_EQUAL(sent.kind, SL_RESOLVER_SEND);
	CU_ASSERT_FALSE(poll_event(r, MS, &e)); // one query for both
	w = reply(&sent, m, 0, 1);
	put_record(&w, "git.corp.example", SL_DNS_A, 60, a, 4);
	CU_ASSERT_EQUAL(give(r, &sent, &w, 2 * MS), SL_RECEIVE_ACCEPTED);
	for (int i = 0; i < 2; i++) {
		CU_ASSERT_TRUE(poll_event(r, 2 * MS, &e));
		CU_ASSERT_EQUAL(e.kind, SL_RESOLVER_RESULT);
		CU_ASSERT_EQUAL(e.result.result, SL_RESOLVED_OK);
		CU_ASSERT_EQUAL(memcmp(e.result.addresses[0], a, 4), 0);
	}
	CU_ASSERT_FALSE(poll_event(r, 2 * MS, &e));
	CU_ASSERT_EQUAL(sl_resolver_wake_ns(r), UINT64_MAX);
	CU_ASSERT_TRUE(sl_resolver_ask(r, &name, SL_DNS_A, 3, 1000 * MS, &result));
	CU_ASSERT_EQUAL(result.ttl_s, 59);
	// After its TTL it is asked again.
	CU_ASSERT_FALSE(sl_resolver_ask(r, &name, SL_DNS_A, 4, 61000 * MS, &result));
	sl_resolver_free(r);
}

static void
test_next_server(void)
{
	struct sl_resolver *r = make(2);
	struct sl_name name = name_of("git.corp.example");
	struct sl_resolver_result result;
	struct sl_resolver_event first, second, e;
	uint8_t m[2048], a[4] = { 10, 0, 0, 7 };
	struct sl_writer w;

	sl_resolver_ask(r, &name, SL_DNS_A, 1, MS, &result);
	CU_ASSERT_TRUE(poll_event(r, MS, &first));
	CU_ASSERT_FALSE(poll_event(r, MS, &e));
	CU_ASSERT_TRUE(poll_event(r, sl_resolver_wake_ns(r), &second));
	CU_ASSERT_EQUAL(first.server.address, 0x0a000001);
	CU_ASSERT_EQUAL(second.server.address, 0x0a000002);
	CU_ASSERT_NOT_EQUAL(first.token, second.token);
	CU_ASSERT_NOT_EQUAL(sl_get16(first.message), sl_get16(second.message));
	w = reply(&first, m, 0, 1);
	put_record(&w, "git.corp.example", SL_DNS_A, 60, a, 4);
	CU_ASSERT_EQUAL(give(r, &first, &w, 500 * MS), SL_RECEIVE_UNKNOWN); // late
	// The second fails: the first is asked again, and silence ends with the deadline.
	w = reply(&second, m, SL_RCODE_SERVFAIL, 0);
	CU_ASSERT_EQUAL(give(r, &second, &w, 500 * MS), SL_RECEIVE_ACCEPTED);
	CU_ASSERT_TRUE(poll_event(r, 500 * MS, &e));
	CU_ASSERT_EQUAL(e.server.address, 0x0a000001);
	CU_ASSERT_TRUE(poll_event(r, 3001 * MS, &e));
	CU_ASSERT_EQUAL(e.kind, SL_RESOLVER_RESULT);
	CU_ASSERT_EQUAL(e.result.result, SL_RESOLVED_SILENT);
	sl_resolver_free(r);
}

static void
test_chain(void)
{
	struct sl_resolver *r = make(1);
	struct sl_name name = name_of("www.corp.example");
	struct sl_resolver_result result;
	struct sl_resolver_event sent, e;
	uint8_t m[2048], good[4] = { 10, 0, 0, 7 }, evil[4] = { 6, 6, 6, 6 };
	struct sl_resolver_stats stats;
	struct sl_writer w;

	sl_resolver_ask(r, &name, SL_DNS_A, 1, MS, &result);
	CU_ASSERT_TRUE(poll_event(r, MS, &sent));
	w = reply(&sent, m, 0, 4);
	put_record(&w, "b.corp.example", SL_DNS_A, 60, good, 4);
	put_cname(&w, "a.corp.example", "b.corp.example");
	put_cname(&w, "www.corp.example", "a.corp.example");
	put_record(&w, "bank.example", SL_DNS_A, 60, evil, 4);
	CU_ASSERT_EQUAL(give(r, &sent, &w, 2 * MS), SL_RECEIVE_ACCEPTED);
	CU_ASSERT_TRUE(poll_event(r, 2 * MS, &e));
	CU_ASSERT_EQUAL(e.result.nb_addresses, 1);
	CU_ASSERT_EQUAL(memcmp(e.result.addresses[0], good, 4), 0);
	name = name_of("bank.example"); // out of bailiwick: not kept
	CU_ASSERT_FALSE(sl_resolver_ask(r, &name, SL_DNS_A, 2, 2 * MS, &result));
	sl_resolver_stats(r, &stats);
	CU_ASSERT(stats.nb_bailiwick >= 1);
	sl_resolver_free(r);
}

static void
test_chain_across_queries(void)
{
	struct sl_resolver *r = make(1);
	struct sl_name name = name_of("www.corp.example"), target = name_of("x.corp.example");
	struct sl_resolver_result result;
	struct sl_resolver_event sent, e;
	uint8_t m[2048];
	struct sl_writer w;
	unsigned nb_sent = 0;

	sl_resolver_ask(r, &name, SL_DNS_A, 1, MS, &result);
	CU_ASSERT_TRUE(poll_event(r, MS, &sent));
	w = reply(&sent, m, 0, 1);
	put_cname(&w, "www.corp.example", "x.corp.example");
	give(r, &sent, &w, MS);
	CU_ASSERT_TRUE(poll_event(r, MS, &sent));
	CU_ASSERT_EQUAL(sent.kind, SL_RESOLVER_SEND);
	CU_ASSERT_TRUE(sl_name_wire_equal(sent.message + 12, target.wire, target.nb_bytes));
	// A circle across queries ends, and is counted.
	for (; nb_sent < 50 && sent.kind == SL_RESOLVER_SEND; nb_sent++) {
		const char *other = nb_sent % 2 != 0 ? "x.corp.example" : "www.corp.example";

		w = reply(&sent, m, 0, 1);
		put_cname(&w, nb_sent % 2 != 0 ? "www.corp.example" : "x.corp.example", other);
		give(r, &sent, &w, MS);
		CU_ASSERT_TRUE_FATAL(poll_event(r, MS, &sent));
	}
	e = sent;
	CU_ASSERT(nb_sent <= SL_RESOLVER_CHAIN_MAX + 1);
	CU_ASSERT_EQUAL(e.kind, SL_RESOLVER_RESULT);
	CU_ASSERT_EQUAL(e.result.result, SL_RESOLVED_FAILED);
	sl_resolver_free(r);
}

static void
test_hostile(void)
{
	static const struct {
		const char *what;
		unsigned at;
		uint8_t mask;
		uint32_t from;
		uint32_t token; // xored
		enum sl_receive_verdict verdict;
	} rows[] = {
		{ "another ID", 0, 0xff, 0x0a000001, 0, SL_RECEIVE_ID },
		{ "another letter case", 13, 0x20, 0x0a000001, 0, SL_RECEIVE_QUESTION },
		{ "another name", 14, 0x03, 0x0a000001, 0, SL_RECEIVE_QUESTION },
		{ "another server", 14, 0, 0x0a000009, 0, SL_RECEIVE_SERVER },
		{ "another token", 14, 0, 0x0a000001, 0x10000, SL_RECEIVE_UNKNOWN },
		{ "a query", 2, 0x80, 0x0a000001, 0, SL_RECEIVE_MALFORMED },
		{ "no question", 5, 1, 0x0a000001, 0, SL_RECEIVE_MALFORMED },
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sl_resolver *r = make(1);
		struct sl_name name = name_of("git.corp.example");
		struct sl_resolver_result result;
		struct sl_resolver_event sent, e;
		struct sl_resolver_stats stats;
		uint8_t m[2048], a[4] = { 6, 6, 6, 6 };
		struct sl_writer w;

		sl_resolver_ask(r, &name, SL_DNS_A, 1, MS, &result);
		CU_ASSERT_TRUE(poll_event(r, MS, &sent));
		w = reply(&sent, m, 0, 1);
		put_record(&w, "git.corp.example", SL_DNS_A, 60, a, 4);
		m[rows[i].at] ^= rows[i].mask;
		SL_ASSERT_ROW(
			sl_resolver_receive(
				r,
				sent.token ^ rows[i].token,
				m,
				sl_writer_len(&w),
				(struct sl_upstream_address){ rows[i].from, 53 },
				false,
				MS
			) == rows[i].verdict,
			rows[i].what
		);
		SL_ASSERT_ROW(!poll_event(r, MS, &e), rows[i].what);
		sl_resolver_stats(r, &stats);
		SL_ASSERT_ROW(stats.nb_received[rows[i].verdict] == 1, rows[i].what);
		sl_resolver_free(r);
	}
}

static void
test_tcp_and_search(void)
{
	struct sl_resolver *r = make(1);
	struct sl_name name = name_of("git"), full = name_of("git.corp.example");
	struct sl_resolver_result result;
	struct sl_resolver_event sent, e;
	uint8_t m[2048], a[4] = { 10, 0, 0, 7 };
	struct sl_writer w;

	sl_resolver_ask(r, &name, SL_DNS_A, 1, MS, &result);
	CU_ASSERT_TRUE(poll_event(r, MS, &sent));
	CU_ASSERT_TRUE(sl_name_wire_equal(sent.message + 12, full.wire, full.nb_bytes));
	w = reply(&sent, m, SL_DNS_TC, 0);
	give(r, &sent, &w, MS);
	CU_ASSERT_TRUE(poll_event(r, MS, &sent));
	CU_ASSERT_EQUAL(sent.kind, SL_RESOLVER_NEED_TCP);
	w = reply(&sent, m, SL_RCODE_NXDOMAIN, 0);
	give(r, &sent, &w, MS);
	CU_ASSERT_TRUE(poll_event(r, MS, &sent)); // then the name as it is
	CU_ASSERT_TRUE(sl_name_wire_equal(sent.message + 12, name.wire, name.nb_bytes));
	w = reply(&sent, m, 0, 1);
	put_record(&w, "git", SL_DNS_A, 0, a, 4);
	give(r, &sent, &w, MS);
	CU_ASSERT_TRUE(poll_event(r, MS, &e));
	CU_ASSERT_EQUAL(e.result.result, SL_RESOLVED_OK);
	// TTL 0: good for who waited, not kept.
	CU_ASSERT_FALSE(sl_resolver_ask(r, &name, SL_DNS_A, 2, MS, &result));
	sl_resolver_free(r);
}

static void
test_bounded(void)
{
	struct sl_resolver *r = make(1);
	struct sl_resolver_result result;
	struct sl_resolver_event e;
	struct sl_resolver_stats stats;
	unsigned nb_busy = 0;

	for (uint64_t i = 0; i < 100; i++) {
		char text[32];
		struct sl_name name;

		snprintf(text, sizeof(text), "n%u.corp.example", (unsigned)i);
		name = name_of(text);
		if (sl_resolver_ask(r, &name, SL_DNS_A, i, MS, &result)) {
			CU_ASSERT_EQUAL(result.result, SL_RESOLVED_BUSY);
			nb_busy++;
		}
	}
	CU_ASSERT_EQUAL(nb_busy, 84);
	CU_ASSERT_EQUAL(sl_resolver_cancel(r, 3), 1);
	for (unsigned i = 0; i < 1000 && sl_resolver_poll(r, 4000 * MS, &e); i++)
		;
	sl_resolver_stats(r, &stats);
	CU_ASSERT_EQUAL(stats.nb_in_flight, 0);
	sl_resolver_free(r);
}

static void
test_pool(void)
{
	struct sl_resolver *r = make(1);
	struct sl_name name = name_of("pool.corp.example");
	struct sl_resolver_result result;
	struct sl_resolver_event sent, e;
	uint8_t m[2048], a[4] = { 10, 0, 0, 1 }, b[4] = { 10, 0, 0, 2 };
	struct sl_writer w;

	sl_resolver_ask(r, &name, SL_DNS_A, 1, MS, &result);
	CU_ASSERT_TRUE(poll_event(r, MS, &sent));
	w = reply(&sent, m, 0, 2);
	put_record(&w, "pool.corp.example", SL_DNS_A, 60, a, 4);
	put_record(&w, "pool.corp.example", SL_DNS_A, 60, b, 4);
	give(r, &sent, &w, MS);
	CU_ASSERT_TRUE(poll_event(r, MS, &e));
	CU_ASSERT_EQUAL(e.result.nb_addresses, 2);
	sl_resolver_unreachable(r, &name, a, 4, MS);
	for (int i = 0; i < 3; i++) {
		CU_ASSERT_TRUE(sl_resolver_ask(r, &name, SL_DNS_A, 1, MS, &result));
		CU_ASSERT_EQUAL(memcmp(result.addresses[0], b, 4), 0);
	}
	// In the last tenth of its TTL it is fetched again, behind the asker's back.
	CU_ASSERT_FALSE(poll_event(r, 50000 * MS, &e));
	CU_ASSERT_TRUE(sl_resolver_ask(r, &name, SL_DNS_A, 1, 55000 * MS, &result));
	CU_ASSERT_TRUE(poll_event(r, 55000 * MS, &e));
	CU_ASSERT_EQUAL(e.kind, SL_RESOLVER_SEND);
	sl_resolver_free(r);
}

static void
test_other_servers(void)
{
	struct sl_resolver *r = make(2);
	struct sl_resolver_config other = { .servers = { { 0x0a000009, 53 } },
					    .nb_servers = 1,
					    .search = { "other.example" },
					    .nb_search = 1 };
	const struct sl_name name = name_of("git.corp.example");
	struct sl_resolver_event first, s;
	struct sl_resolver_result result;
	struct sl_writer w;
	uint8_t m[2048], address[4] = { 10, 0, 0, 1 };

	CU_ASSERT_FALSE(sl_resolver_ask(r, &name, SL_DNS_A, 1, MS, &result));
	CU_ASSERT_TRUE_FATAL(poll_event(r, MS, &first));
	CU_ASSERT_TRUE(sl_resolver_set_servers(r, &other, 2 * MS));
	CU_ASSERT_TRUE_FATAL(poll_event(r, 2 * MS, &s));
	CU_ASSERT_EQUAL(s.server.address, 0x0a000009);
	w = reply(&first, m, 0, 1);
	put_record(&w, "git.corp.example", SL_DNS_A, 100, address, 4);
	CU_ASSERT_NOT_EQUAL(give(r, &first, &w, 3 * MS), SL_RECEIVE_ACCEPTED);
	w = reply(&s, m, 0, 1);
	put_record(&w, "git.corp.example", SL_DNS_A, 100, address, 4);
	CU_ASSERT_EQUAL(give(r, &s, &w, 3 * MS), SL_RECEIVE_ACCEPTED);
	CU_ASSERT_TRUE_FATAL(poll_event(r, 3 * MS, &s));
	CU_ASSERT_EQUAL(s.kind, SL_RESOLVER_RESULT);
	CU_ASSERT_TRUE(sl_resolver_ask(r, &name, SL_DNS_A, 1, 4 * MS, &result));
	CU_ASSERT_TRUE(sl_resolver_set_servers(r, &other, 5 * MS));
	CU_ASSERT_FALSE(sl_resolver_ask(r, &name, SL_DNS_A, 1, 6 * MS, &result)); // forgotten
	other.search[0] = "no..name";
	CU_ASSERT_FALSE(sl_resolver_set_servers(r, &other, 7 * MS));
	sl_resolver_free(r);
}

// ICMP says that a server is not there, or it fails: the next is asked at once, and the last one's end is the end.
static void
test_refused(void)
{
	struct sl_resolver *r = make(2);
	struct sl_name name = name_of("git.corp.example");
	struct sl_resolver_result result;
	struct sl_resolver_event first, sent, e;
	struct sl_writer w;
	uint8_t m[2048];

	CU_ASSERT_FALSE(sl_resolver_ask(r, &name, SL_DNS_TXT, 1, MS, &result));
	CU_ASSERT_TRUE(poll_event(r, MS, &first));
	CU_ASSERT_EQUAL(first.message[first.nb_bytes - 4], 0);
	sl_resolver_refused(r, first.token ^ 0x10000, 2 * MS); // nobody's
	sl_resolver_refused(r, 0xffff, 2 * MS);
	CU_ASSERT_FALSE(poll_event(r, 2 * MS, &e));
	sl_resolver_refused(r, first.token, 2 * MS);
	CU_ASSERT_TRUE_FATAL(poll_event(r, 2 * MS, &sent));
	CU_ASSERT_EQUAL(sent.kind, SL_RESOLVER_SEND);
	CU_ASSERT_EQUAL(sent.server.address, 0x0a000002);
	sl_resolver_refused(r, first.token, 2 * MS); // once more: it is over
	w = reply(&sent, m, SL_RCODE_REFUSED, 0);
	CU_ASSERT_EQUAL(give(r, &sent, &w, 3 * MS), SL_RECEIVE_ACCEPTED);
	CU_ASSERT_TRUE_FATAL(poll_event(r, 3 * MS, &e));
	CU_ASSERT_EQUAL(e.kind, SL_RESOLVER_RESULT);
	CU_ASSERT_EQUAL(e.result.result, SL_RESOLVED_FAILED);
	CU_ASSERT_EQUAL(e.result.rcode, SL_RCODE_REFUSED);
	// Neither is there: no server said anything.
	CU_ASSERT_FALSE(sl_resolver_ask(r, &name, SL_DNS_A, 1, 4 * MS, &result));
	for (int i = 0; i < 2; i++) {
		CU_ASSERT_TRUE_FATAL(poll_event(r, 4 * MS, &sent));
		sl_resolver_refused(r, sent.token, 4 * MS);
	}
	CU_ASSERT_TRUE_FATAL(poll_event(r, 4 * MS, &e));
	CU_ASSERT_EQUAL(e.result.result, SL_RESOLVED_FAILED);
	CU_ASSERT_EQUAL(e.result.rcode, SL_RCODE_NOERROR);
	sl_resolver_free(r);
}

static void
test_dnssec_ok(void)
{
	struct sl_resolver *r = make(1);
	struct sl_name name = name_of("git.corp.example");
	struct sl_resolver_result result;
	struct sl_resolver_event plain, with, e;

	CU_ASSERT_FALSE(sl_resolver_ask(r, &name, SL_DNS_TXT, 1, MS, &result));
	CU_ASSERT_TRUE(poll_event(r, MS, &plain));
	CU_ASSERT_FALSE(
		sl_resolver_ask(r, &name, SL_DNS_TXT | SL_RESOLVER_DNSSEC_OK, 2, MS, &result)
	);
	CU_ASSERT_TRUE_FATAL(poll_event(r, MS, &with)); // a query of its own
	CU_ASSERT_EQUAL(plain.message[plain.nb_bytes - 4] & 0x80, 0);
	CU_ASSERT_EQUAL(with.message[with.nb_bytes - 4] & 0x80, 0x80);
	CU_ASSERT_FALSE(
		sl_resolver_ask(r, &name, SL_DNS_TXT | SL_RESOLVER_DNSSEC_OK, 3, MS, &result)
	);
	CU_ASSERT_FALSE(poll_event(r, MS, &e));
	sl_resolver_free(r);
}

static const struct sl_test_case cases[] = {
	{ "resolver: askers of one name share a query; its answer is kept for its TTL",
	  test_shared_and_cached },
	{ "resolver: a silent or failing server gives way to the next; the deadline ends it",
	  test_next_server },
	{ "A4: a private server that ICMP says is not there, or that fails, gives way to the next "
	  "at once",
	  test_refused },
	{ "A4: whoever asks with DO has a query with DO", test_dnssec_ok },
	{ "resolver: of an answer only the chain from the question counts", test_chain },
	{ "resolver: chains go on across queries, and circles end", test_chain_across_queries },
	{ "resolver: answers that do not match are refused and counted", test_hostile },
	{ "resolver: truncation asks for TCP, search domains come first, TTL 0 is not kept",
	  test_tcp_and_search },
	{ "resolver: other servers take over what is under way, and nothing old is kept",
	  test_other_servers },
	{ "resolver: queries and promises are bounded, and all of them end", test_bounded },
	{ "resolver: several addresses are a pool, dead ones last; fetched again before the TTL "
	  "ends",
	  test_pool },
};

SL_TEST_MAIN(cases)
