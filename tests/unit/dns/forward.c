#include "forward_kit.h"

static void
test_two_sockets(void)
{
	struct sl_forward *f = make(SL_FORWARD_SERIAL);
	struct sent s, e;
	uint8_t m[8192];
	size_t n;
	unsigned nb = 0, ports = 0;

	// One ID (make_query's), three ports, and another letter case.
	CU_ASSERT_EQUAL(ask(f, 1, 1000, "www.public.example", 0, MS), SL_FORWARD_PENDING);
	CU_ASSERT_EQUAL(ask(f, 1, 1001, "WWW.public.example", 0, MS), SL_FORWARD_PENDING);
	CU_ASSERT_EQUAL(ask(f, 1, 1002, "www.public.example", 0, MS), SL_FORWARD_PENDING);
	CU_ASSERT_EQUAL(ask(f, 1, 1000, "www.public.example", 0, MS), SL_FORWARD_REPEATED);
	CU_ASSERT_TRUE(poll_event(f, MS, &s));
	CU_ASSERT_EQUAL(s.event.kind, SL_FORWARD_SEND);
	CU_ASSERT_NOT_EQUAL(sl_get16(s.message), 0x1234);
	CU_ASSERT_FALSE(poll_event(f, MS, &e));
	n = reply(&s, m, 0, 1, 300);
	CU_ASSERT_EQUAL(give(f, &s, m, n, 5 * MS), SL_RECEIVE_ACCEPTED);
	while (poll_event(f, 5 * MS, &e)) {
		CU_ASSERT_EQUAL(e.event.kind, SL_FORWARD_ANSWER);
		CU_ASSERT_EQUAL(sl_get16(e.message), 0x1234);
		CU_ASSERT_EQUAL(e.event.nb_bytes, q.nb_query + 16); // no OPT: none asked
		CU_ASSERT_EQUAL(e.message[13], e.event.asker.port == 1001 ? 'W' : 'w');
		ports |= 1u << (e.event.asker.port - 1000);
		nb++;
	}
	CU_ASSERT_EQUAL(nb, 3);
	CU_ASSERT_EQUAL(ports, 7);
	CU_ASSERT_EQUAL(give(f, &s, m, n, 6 * MS), SL_RECEIVE_UNKNOWN); // late
	// From the cache, with the TTL counted down and an OPT for who sent one.
	CU_ASSERT_EQUAL(ask(f, 2, 9, "www.public.example", 1232, 100005 * MS), SL_FORWARD_ANSWERED);
	CU_ASSERT_EQUAL(q.nb_answer, q.nb_query + 16);
	CU_ASSERT_EQUAL(sl_get32(q.answer + q.nb_query - 11 + 6), 200);
	CU_ASSERT_EQUAL(ask(f, 2, 9, "www.public.example", 0, 300006 * MS), SL_FORWARD_PENDING);
	sl_forward_free(f);
}

static void
test_mismatch(void)
{
	static const struct {
		const char *what;
		unsigned at;
		uint8_t mask;
		uint32_t from, token;
		enum sl_receive_verdict verdict;
	} rows[] = {
		{ "another ID", 1, 1, 0x09090909, 0, SL_RECEIVE_ID },
		{ "another letter case", 13, 0x20, 0x09090909, 0, SL_RECEIVE_QUESTION },
		{ "another name", 13, 1, 0x09090909, 0, SL_RECEIVE_QUESTION },
		{ "another server", 13, 0, 0x08080808, 0, SL_RECEIVE_SERVER },
		{ "another token", 13, 0, 0x09090909, 1u << 19, SL_RECEIVE_UNKNOWN },
		{ "a query", 2, 0x80, 0x09090909, 0, SL_RECEIVE_MALFORMED },
		{ "a record too many", 7, 3, 0x09090909, 0, SL_RECEIVE_MALFORMED },
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sl_forward *f = make(SL_FORWARD_SERIAL);
		struct sl_forward_stats stats;
		struct sent s, e;
		uint8_t m[8192];
		size_t n;

		ask(f, 1, 1000, "www.public.example", 0, MS);
		CU_ASSERT_TRUE(poll_event(f, MS, &s));
		n = reply(&s, m, 0, 1, 300);
		m[rows[i].at] ^= rows[i].mask;
		SL_ASSERT_ROW(
			sl_forward_receive(
				f,
				s.event.token ^ rows[i].token,
				m,
				n,
				(struct sl_upstream_address){ rows[i].from, 53 },
				false,
				MS
			) == rows[i].verdict,
			rows[i].what
		);
		sl_forward_stats(f, &stats);
		SL_ASSERT_ROW(stats.nb_received[rows[i].verdict] == 1, rows[i].what);
		SL_ASSERT_ROW(!poll_event(f, MS, &e), rows[i].what);
		sl_forward_free(f);
	}
}

static void
test_modes(void)
{
	struct sl_forward *f = make(SL_FORWARD_SERIAL);
	struct sent a, b, e;
	uint8_t m[8192];

	ask(f, 1, 1, "a.example", 0, MS);
	CU_ASSERT_TRUE(poll_event(f, MS, &a));
	CU_ASSERT_EQUAL(a.event.upstream.address, 0x09090909);
	CU_ASSERT_FALSE(poll_event(f, MS, &b));
	CU_ASSERT_TRUE(poll_event(f, sl_forward_wake_ns(f), &b));
	CU_ASSERT_EQUAL(b.event.upstream.address, 0x08080808);
	// The slow one's answer still counts.
	CU_ASSERT_EQUAL(give(f, &a, m, reply(&a, m, 0, 1, 60), 500 * MS), SL_RECEIVE_ACCEPTED);
	CU_ASSERT_TRUE(poll_event(f, 500 * MS, &e));
	CU_ASSERT_EQUAL(e.event.kind, SL_FORWARD_ANSWER);
	sl_forward_free(f);

	f = make(SL_FORWARD_PARALLEL);
	ask(f, 1, 1, "a.example", 0, MS);
	CU_ASSERT_TRUE(poll_event(f, MS, &a));
	CU_ASSERT_TRUE(poll_event(f, MS, &b));
	CU_ASSERT_NOT_EQUAL(a.event.upstream.address, b.event.upstream.address);
	CU_ASSERT_NOT_EQUAL(a.event.token, b.event.token);
	// A failure does not win over an answer.
	give(f, &a, m, reply(&a, m, SL_RCODE_SERVFAIL, 0, 0), 2 * MS);
	CU_ASSERT_FALSE(poll_event(f, 2 * MS, &e));
	give(f, &b, m, reply(&b, m, 0, 1, 60), 3 * MS);
	CU_ASSERT_TRUE(poll_event(f, 3 * MS, &e));
	CU_ASSERT_EQUAL(e.message[3] & 15, 0);
	sl_forward_free(f);
}

// A server that is silent costs the first queries a retry interval, then is asked last.
static void
test_health(void)
{
	struct sl_forward *f = make(SL_FORWARD_SERIAL);
	uint64_t now_ns = MS, waited_ns = 0;
	struct sent s, e;
	uint8_t m[8192];
	char name[32];

	for (unsigned i = 0; i < 20; i++) {
		uint64_t begin_ns = now_ns;

		snprintf(name, sizeof(name), "n%u.example", i);
		ask(f, 1, 1, name, 0, now_ns);
		CU_ASSERT_TRUE_FATAL(poll_event(f, now_ns, &s));
		if (s.event.upstream.address == 0x09090909) { // dead
			CU_ASSERT_FALSE(poll_event(f, now_ns, &e));
			now_ns = sl_forward_wake_ns(f);
			CU_ASSERT_TRUE_FATAL(poll_event(f, now_ns, &s));
		}
		now_ns += MS;
		give(f, &s, m, reply(&s, m, 0, 1, 60), now_ns);
		CU_ASSERT_TRUE(poll_event(f, now_ns, &e));
		if (i >= 3)
			waited_ns += now_ns - begin_ns;
	}
	CU_ASSERT_TRUE(sl_forward_upstream(f, 0)->is_down);
	CU_ASSERT(waited_ns <= 18 * MS);
	sl_forward_free(f);
}

static void
test_stale_and_failure(void)
{
	struct sl_forward *f = make(SL_FORWARD_SERIAL);
	struct sent s, e;
	uint8_t m[8192];
	uint64_t now_ns = MS;

	ask(f, 1, 1, "a.example", 0, now_ns);
	poll_event(f, now_ns, &s);
	give(f, &s, m, reply(&s, m, 0, 1, 10), now_ns);
	CU_ASSERT_TRUE(poll_event(f, now_ns, &e));
	now_ns += 60000 * MS;
	CU_ASSERT_EQUAL(ask(f, 1, 1, "a.example", 1232, now_ns), SL_FORWARD_PENDING);
	while (poll_event(f, now_ns + 1700 * MS, &e))
		CU_ASSERT_NOT_EQUAL(e.event.kind, SL_FORWARD_ANSWER);
	CU_ASSERT_TRUE(poll_event(f, now_ns + 1801 * MS, &e));
	CU_ASSERT_EQUAL(e.event.kind, SL_FORWARD_ANSWER);
	CU_ASSERT_EQUAL(sl_get32(e.message + 33), 30); // TTL of a stale answer
	CU_ASSERT_EQUAL(sl_get16(e.message + e.event.nb_bytes - 2), SL_EDE_STALE_ANSWER);
	// Nothing stale to say: SERVFAIL at the deadline.
	ask(f, 1, 1, "b.example", 0, now_ns);
	while (poll_event(f, now_ns + 2900 * MS, &e))
		CU_ASSERT_NOT_EQUAL(e.event.kind, SL_FORWARD_ANSWER);
	CU_ASSERT_TRUE(poll_event(f, now_ns + 3001 * MS, &e));
	CU_ASSERT_EQUAL(e.message[3] & 15, SL_RCODE_SERVFAIL);
	CU_ASSERT_EQUAL(sl_forward_wake_ns(f), 0);
	CU_ASSERT_FALSE(poll_event(f, now_ns + 3001 * MS, &e));
	CU_ASSERT_EQUAL(sl_forward_wake_ns(f), UINT64_MAX);
	sl_forward_free(f);
}

static void
test_truncation_and_tcp(void)
{
	struct sl_forward *f = make(SL_FORWARD_SERIAL);
	struct sent s, e;
	uint8_t m[8192];
	size_t n;

	ask(f, 1, 1, "a.example", 0, MS);
	ask(f, 2, 2, "a.example", 4096, MS);
	poll_event(f, MS, &s);
	n = reply(&s, m, SL_DNS_TC, 0, 0);
	give(f, &s, m, n, MS);
	CU_ASSERT_TRUE(poll_event(f, MS, &s));
	CU_ASSERT_EQUAL(s.event.kind, SL_FORWARD_NEED_TCP);
	n = reply(&s, m, 0, 60, 300); // 27 + 960: more than 512, less than 1232
	CU_ASSERT_EQUAL(
		sl_forward_receive(f, s.event.token, m, n, s.event.upstream, true, MS),
		SL_RECEIVE_ACCEPTED
	);
	for (int i = 0; i < 2; i++) {
		CU_ASSERT_TRUE(poll_event(f, MS, &e));
		CU_ASSERT_EQUAL(
			(sl_get16(e.message + 2) & SL_DNS_TC) != 0, e.event.asker.client == 1
		);
		CU_ASSERT_EQUAL(e.event.nb_bytes, e.event.asker.client == 1 ? 27 : 27 + 960 + 11);
	}
	sl_forward_free(f);
}

static void
test_negative(void)
{
	static const uint8_t soa[22] = { [21] = 60 };
	struct sl_forward *f = make(SL_FORWARD_SERIAL);
	struct sent s, e;
	uint8_t m[8192];
	struct sl_writer w = sl_writer(m, sizeof(m));

	ask(f, 1, 1, "nope.example", 0, MS);
	poll_event(f, MS, &s);
	sl_write(&w, s.message, s.event.nb_bytes - SL_DNS_OPT_BYTES);
	sl_put16(m + 2, SL_DNS_QR | SL_RCODE_NXDOMAIN);
	sl_put16(m + 8, 1);
	sl_put16(m + 10, 0);
	sl_answer_record(&w, SL_DNS_SOA, 3600, soa, sizeof(soa));
	give(f, &s, m, sl_writer_len(&w), MS);
	CU_ASSERT_TRUE(poll_event(f, MS, &e));
	CU_ASSERT_EQUAL(e.message[3] & 15, SL_RCODE_NXDOMAIN);
	CU_ASSERT_EQUAL(ask(f, 2, 1, "nope.example", 0, 60000 * MS), SL_FORWARD_ANSWERED);
	CU_ASSERT_EQUAL(ask(f, 2, 1, "nope.example", 0, 60002 * MS), SL_FORWARD_PENDING);
	sl_forward_free(f);
}

static void
test_other_upstreams(void)
{
	struct sl_forward *f = make(SL_FORWARD_SERIAL);
	struct sl_forward_config other = { .upstreams = { { 0x0a000009, 53 } }, .nb_upstreams = 1 };
	struct sent first, s, e;
	uint8_t m[8192];
	size_t n;

	ask(f, 1, 1, "kept.example", 0, MS);
	poll_event(f, MS, &first);
	n = reply(&first, m, 0, 1, 300);
	give(f, &first, m, n, MS);
	CU_ASSERT_TRUE(poll_event(f, MS, &e));
	ask(f, 1, 2, "waits.example", 0, MS);
	poll_event(f, MS, &first);
	sl_forward_set_upstreams(f, &other, 2 * MS);
	// What is under way is asked of the new one; what the old one says now is late.
	CU_ASSERT_TRUE_FATAL(poll_event(f, 2 * MS, &s));
	CU_ASSERT_EQUAL(s.event.upstream.address, 0x0a000009);
	n = reply(&first, m, 0, 1, 300);
	CU_ASSERT_NOT_EQUAL(give(f, &first, m, n, 3 * MS), SL_RECEIVE_ACCEPTED);
	n = reply(&s, m, 0, 1, 300);
	CU_ASSERT_EQUAL(give(f, &s, m, n, 3 * MS), SL_RECEIVE_ACCEPTED);
	CU_ASSERT_TRUE(poll_event(f, 3 * MS, &e));
	CU_ASSERT_EQUAL(e.event.kind, SL_FORWARD_ANSWER);
	// What the old ones said is forgotten.
	CU_ASSERT_EQUAL(ask(f, 1, 3, "kept.example", 0, 4 * MS), SL_FORWARD_PENDING);
	CU_ASSERT_TRUE(poll_event(f, 4 * MS, &s));
	CU_ASSERT_EQUAL(s.event.upstream.address, 0x0a000009);
	sl_forward_free(f);
}

static void
test_bounds(void)
{
	struct sl_forward *f = make(SL_FORWARD_SERIAL);
	struct sl_forward_stats stats;
	struct sent e;
	char name[32];

	for (unsigned i = 0; i < 12; i++) {
		snprintf(name, sizeof(name), "n%u.example", i);
		CU_ASSERT_EQUAL(
			ask(f, 1, 1, name, 0, MS),
			i < 8 ? SL_FORWARD_PENDING : SL_FORWARD_CLIENT_FULL
		);
	}
	CU_ASSERT_EQUAL(ask(f, 2, 1, "other.example", 0, MS), SL_FORWARD_PENDING);
	CU_ASSERT_EQUAL(sl_forward_cancel_client(f, 1), 8);
	while (poll_event(f, 5000 * MS, &e))
		;
	sl_forward_stats(f, &stats);
	CU_ASSERT_EQUAL(stats.nb_in_flight, 0);
	CU_ASSERT_EQUAL(stats.nb_waiting, 0);
	sl_forward_free(f);
}

static void
test_refused(void)
{
	struct sl_forward *f = make(SL_FORWARD_SERIAL);
	struct sent first, second, end;

	CU_ASSERT_EQUAL(ask(f, 1, 5000, "a.example", 1232, MS), SL_FORWARD_PENDING);
	CU_ASSERT_TRUE_FATAL(poll_event(f, MS, &first));
	sl_forward_refused(f, first.event.token ^ 1u << 19, MS); // nobody's
	sl_forward_refused(f, 0x7ffff, MS);
	CU_ASSERT_FALSE(poll_event(f, MS, &second));
	sl_forward_refused(f, first.event.token, MS);
	CU_ASSERT_TRUE_FATAL(poll_event(f, MS, &second));
	CU_ASSERT_EQUAL(second.event.kind, SL_FORWARD_SEND);
	CU_ASSERT_EQUAL(second.event.upstream.address, 0x08080808);
	sl_forward_refused(f, second.event.token, MS);
	CU_ASSERT_TRUE_FATAL(poll_event(f, MS, &end));
	CU_ASSERT_EQUAL(end.event.kind, SL_FORWARD_ANSWER);
	CU_ASSERT_EQUAL(end.message[3] & 15, SL_RCODE_SERVFAIL);
	CU_ASSERT_EQUAL(sl_forward_upstream(f, 0)->nb_silent, 1);
	sl_forward_free(f);
}

// An upstream that writes the owner out, in the letter case of our query: the client gets its own.
static void
test_owner_case(void)
{
	struct sl_forward *f = make(SL_FORWARD_SERIAL);
	struct sent up, down;
	uint8_t m[8192];
	size_t n, nb_name;
	struct sl_writer w;

	CU_ASSERT_EQUAL(ask(f, 1, 5000, "WwW.many.letters.ex", 0, MS), SL_FORWARD_PENDING);
	CU_ASSERT_TRUE_FATAL(poll_event(f, MS, &up));
	n = reply(&up, m, 0, 0, 60) - SL_DNS_OPT_BYTES;
	nb_name = n - SL_DNS_HEADER_BYTES - 4;
	w = sl_writer(m + n, sizeof(m) - n);
	sl_write(&w, up.message + SL_DNS_HEADER_BYTES, nb_name);
	sl_write(&w, "\0\1\0\1\0\0\0\74\0\4\300\0\2\1", 14);
	sl_put16(m + 6, 1);
	sl_put16(m + 10, 0);
	CU_ASSERT_EQUAL(give(f, &up, m, n + sl_writer_len(&w), MS), SL_RECEIVE_ACCEPTED);
	CU_ASSERT_TRUE_FATAL(poll_event(f, MS, &down));
	CU_ASSERT_EQUAL(down.event.kind, SL_FORWARD_ANSWER);
	CU_ASSERT_NOT_EQUAL(
		memcmp(up.message + SL_DNS_HEADER_BYTES, q.query + SL_DNS_HEADER_BYTES, nb_name), 0
	);
	CU_ASSERT_EQUAL(memcmp(down.message + n, q.query + SL_DNS_HEADER_BYTES, nb_name), 0);
	sl_forward_free(f);
}

static const struct sl_test_case cases[] = {
	{ "A14: two sockets with one ID both get their answer, from upstream and from the cache",
	  test_two_sockets },
	{ "A14: answers that do not match, or come late, are dropped and counted", test_mismatch },
	{ "A14: serial asks the next after a while, parallel asks all and takes the first good "
	  "answer",
	  test_modes },
	{ "A14: a dead upstream is asked last once three queries met silence", test_health },
	{ "A14: an upstream that ICMP says is not there gives way to the next at once",
	  test_refused },
	{ "A14: owners come back in the client's letter case, not that of our query",
	  test_owner_case },
	{ "A14: a stale answer is said after 1.8 s of silence, SERVFAIL at the deadline",
	  test_stale_and_failure },
	{ "A14: truncated upstream means TCP, too long for the client means TC",
	  test_truncation_and_tcp },
	{ "A14: NXDOMAIN is kept as long as the SOA says", test_negative },
	{ "A14: other upstreams take over what is under way, and nothing old is said",
	  test_other_upstreams },
	{ "forward: promises are bounded per client, and all of them end", test_bounds },
};

SL_TEST_MAIN(cases)
