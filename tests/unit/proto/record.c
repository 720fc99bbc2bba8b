#include "sl_test.h"

#include <netinet/in.h>
#include <sluice/proto/record.h>
#include <stdlib.h>

static void
test_iterate(void)
{
	uint8_t p[64] = { 0 };
	struct sl_rec rec = { .type = SL_RECORD_DATA, .generation = 7, .flow = 0x02000005 };
	struct sl_recs recs;
	unsigned at = 0;

	rec.nb_bytes = 3;
	at += sl_rec_put(p + at, &rec) + 3;
	rec.flags = SL_RECORD_TOS_TTL;
	rec.tos = 0xb8;
	rec.ttl = 17;
	rec.nb_bytes = 5;
	at += sl_rec_put(p + at, &rec) + 5;
	recs = sl_recs_begin(p, at);
	CU_ASSERT_EQUAL(sl_recs_next(&recs, &rec), SL_REC_OK);
	CU_ASSERT_EQUAL(rec.nb_bytes, 3);
	CU_ASSERT_EQUAL(rec.generation, 7);
	CU_ASSERT_EQUAL(rec.flow, 0x02000005);
	CU_ASSERT_EQUAL(rec.tos, 0);
	CU_ASSERT_EQUAL(rec.ttl, 64);
	CU_ASSERT_EQUAL(sl_recs_next(&recs, &rec), SL_REC_OK);
	CU_ASSERT_EQUAL(rec.nb_bytes, 5);
	CU_ASSERT_EQUAL(rec.tos, 0xb8);
	CU_ASSERT_EQUAL(rec.ttl, 17);
	CU_ASSERT_PTR_EQUAL(rec.body, p + at - 5);
	CU_ASSERT_EQUAL(sl_recs_next(&recs, &rec), SL_REC_END);
}

static void
test_both_extensions(void)
{
	uint8_t p[SL_REC_HEAD_MAX_BYTES + 8] = { 0 };
	struct sl_rec out,
		in = {
			.type = SL_RECORD_DATA,
			.flags = SL_RECORD_TOS_TTL | SL_RECORD_FRAGMENT,
			.generation = 1,
			.tos = 1,
			.ttl = 2,
			.nb_bytes = 8,
			.fragment_id = 0x1234,
			.fragment_offset_bytes = 4096,
			.more = true,
		};
	static const uint8_t wire[] = { 0, 14, 0x06, 1, 0, 0, 0, 0, 1, 2, 0x12, 0x34, 0x10, 0x01 };
	size_t used;

	CU_ASSERT_EQUAL(sl_rec_put(p, &in), 14);
	CU_ASSERT_EQUAL(memcmp(p, wire, sizeof(wire)), 0);
	CU_ASSERT_EQUAL(sl_rec_parse(p, sizeof(p), &out, &used), SL_REC_OK);
	CU_ASSERT_EQUAL(used, sizeof(p));
	CU_ASSERT_EQUAL(out.fragment_id, 0x1234);
	CU_ASSERT_EQUAL(out.fragment_offset_bytes, 4096);
	CU_ASSERT(out.more);
	CU_ASSERT_EQUAL(out.nb_bytes, 8);
	CU_ASSERT_EQUAL(out.ttl, 2);
}

struct walk {
	const char *sentence;
	uint8_t bytes[24];
	size_t nb_bytes;
	enum sl_rec_verdict verdicts[3];
};

static const struct walk walks[] = {
	{ "an empty datagram is a keepalive", { 0 }, 0, { SL_REC_END } },
	{ "seven octets are no header", { 0 }, 7, { SL_REC_MALFORMED, SL_REC_MALFORMED } },
	{ "length past the end", { 0, 1 }, 8, { SL_REC_MALFORMED, SL_REC_MALFORMED } },
	{ "unknown type is skipped by its length",
	  { 0, 2, 0xf0, 0, 0, 0, 0, 0, 9, 9, 0, 0, 0x20, 1 },
	  18,
	  { SL_REC_SKIP, SL_REC_OK, SL_REC_END } },
	{ "the flag of an odd DF takes no octets", { 0, 0, 0x01 }, 8, { SL_REC_OK, SL_REC_END } },
	{ "unknown and mandatory stops the datagram",
	  { 0, 0, 0xf8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
	  16,
	  { SL_REC_REFUSE, SL_REC_REFUSE, SL_REC_REFUSE } },
	{ "mandatory on a known type changes nothing",
	  { 0, 0, 0x08 },
	  8,
	  { SL_REC_OK, SL_REC_END } },
	{ "no room for TOS and TTL", { 0, 1, 0x04, 0, 0, 0, 0, 0, 1 }, 9, { SL_REC_MALFORMED } },
	{ "no room for the fragment header",
	  { 0, 5, 0x06, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1 },
	  13,
	  { SL_REC_MALFORMED } },
};

static void
test_walks(void)
{
	for (size_t i = 0; i < sizeof(walks) / sizeof(walks[0]); i++) {
		const struct walk *row = &walks[i];
		struct sl_recs recs = sl_recs_begin(row->bytes, row->nb_bytes);
		struct sl_rec rec;

		for (unsigned k = 0; k < 3; k++) {
			enum sl_rec_verdict verdict = sl_recs_next(&recs, &rec);

			SL_ASSERT_ROW(verdict == row->verdicts[k], row->sentence);
			if (verdict == SL_REC_END || verdict == SL_REC_MALFORMED)
				break;
		}
	}
}

// A whole good OPEN record for git.corp.example, TCP 443; `nb` becomes its octets.
static void
make_open(uint8_t p[128], struct sl_open *open, size_t *nb)
{
	static const uint8_t key[16] = { 1 };
	struct sl_rec rec = { .type = SL_RECORD_OPEN };

	*open = (struct sl_open){
		.flow = 0x01000002,
		.generation = 3,
		.open_flags = SL_OPEN_RESUME,
		.protocol = IPPROTO_TCP,
		.port = 443,
		.destination = (const uint8_t *)"git.corp.example",
		.destination_bytes = 16,
		.flow_key = key,
	};
	memset(p, 0, 128);
	rec.nb_bytes = sl_open_bytes(16) + 16;
	*nb = sl_rec_put(p, &rec);
	*nb += sl_open_put(p + *nb, open) + 16;
}

static enum sl_body_verdict
parse_open(const uint8_t *p, size_t nb, struct sl_open *open)
{
	struct sl_rec rec;
	size_t used;

	if (sl_rec_parse(p, nb, &rec, &used) != SL_REC_OK)
		return SL_BODY_SHORT;
	return sl_open_parse(&rec, open);
}

static void
test_open_round_trip(void)
{
	uint8_t p[128];
	struct sl_open in, out;
	size_t nb;

	make_open(p, &in, &nb);
	CU_ASSERT_EQUAL(parse_open(p, nb, &out), SL_BODY_OK);
	CU_ASSERT_EQUAL(out.flow, in.flow);
	CU_ASSERT_EQUAL(out.generation, 3);
	CU_ASSERT_EQUAL(out.open_flags, SL_OPEN_RESUME);
	CU_ASSERT_EQUAL(out.port, 443);
	CU_ASSERT_EQUAL(out.destination_bytes, 16);
	CU_ASSERT_EQUAL(memcmp(out.destination, "git.corp.example", 16), 0);
	CU_ASSERT_EQUAL(out.flow_key[0], 1);
	CU_ASSERT_EQUAL(out.nb_transport_bytes, 16);
}

static void
test_open_truncated(void)
{
	struct sl_open in, out;
	size_t nb;
	uint8_t p[128];

	make_open(p, &in, &nb);
	for (size_t cut = 8; cut < nb; cut++) {
		uint8_t *exact = malloc(cut); // so that a sanitizer sees a read past the end

		memcpy(exact, p, cut);
		sl_put16(exact, (uint16_t)(cut - 8));
		CU_ASSERT_NOT_EQUAL(parse_open(exact, cut, &out), SL_BODY_OK);
		free(exact);
	}
}

struct spoil {
	const char *sentence;
	unsigned at; // offset in the record
	uint8_t value;
	enum sl_body_verdict verdict;
};

static const struct spoil spoils[] = {
	{ "a generation in the record header", 3, 1, SL_BODY_HEADER },
	{ "a flow id in the record header", 7, 1, SL_BODY_HEADER },
	{ "sender's generation 0", 12, 0, SL_BODY_VALUE },
	{ "a flag that never travels", 13, SL_OPEN_TENANT_PASS, SL_BODY_VALUE },
	{ "protocol GRE", 14, 47, SL_BODY_PROTOCOL },
	{ "echo with a port", 14, IPPROTO_ICMP, SL_BODY_DESTINATION },
	{ "unknown kind of destination", 15, 3, SL_BODY_VALUE },
	{ "IPv4 destination of 16 octets", 15, SL_DESTINATION_IP4, SL_BODY_DESTINATION },
	{ "name shorter than its labels: the rest is transport", 18, 3, SL_BODY_OK },
	{ "no name", 18, 0, SL_BODY_NAME },
	{ "name beyond the record", 18, 200, SL_BODY_SHORT },
	{ "flow key all zero", 20, 0, SL_BODY_FLOW_KEY },
	{ "upper case", 36, 'G', SL_BODY_NAME },
	{ "leading dot", 36, '.', SL_BODY_NAME },
	{ "two dots", 38, '.', SL_BODY_NAME },
	{ "trailing dot", 51, '.', SL_BODY_NAME },
	{ "NUL in the name", 40, 0, SL_BODY_NAME },
	{ "octet above 127", 40, 0xe4, SL_BODY_NAME },
};

static void
test_open_spoiled(void)
{
	for (size_t i = 0; i < sizeof(spoils) / sizeof(spoils[0]); i++) {
		const struct spoil *row = &spoils[i];
		struct sl_open in, out;
		uint8_t p[128];
		size_t nb;

		make_open(p, &in, &nb);
		p[row->at] = row->value;
		SL_ASSERT_ROW(parse_open(p, nb, &out) == row->verdict, row->sentence);
	}
}

static void
test_open_names(void)
{
	uint8_t name[300];

	memset(name, 'a', sizeof(name));
	CU_ASSERT(sl_open_name_ok(name, 63));
	CU_ASSERT_FALSE(sl_open_name_ok(name, 64));
	for (unsigned i = 63; i < sizeof(name); i += 64)
		name[i] = '.';
	CU_ASSERT(sl_open_name_ok(name, 253));
	CU_ASSERT_FALSE(sl_open_name_ok(name, 254));
	CU_ASSERT(sl_open_name_ok((const uint8_t *)"_sip-1", 6));
}

static void
test_small_records(void)
{
	uint8_t p[128];
	struct sl_rec rec;
	struct sl_accept accept;
	enum sl_close_reason reason;
	struct sl_heartbeat beat = { true, SL_HEARTBEAT_READY, 77, 5, 0x123456789abcdefull }, beat2;
	struct sl_lane_report lane = { 63, 2, 3 }, lane2;
	size_t used;

	sl_accept_put(p, 0x03000004, 5, 0x06000007, 8);
	CU_ASSERT_EQUAL(sl_rec_parse(p, SL_REC_ACCEPT_BYTES, &rec, &used), SL_REC_OK);
	CU_ASSERT_EQUAL(sl_accept_parse(&rec, &accept), SL_BODY_OK);
	CU_ASSERT(rec.flow == 0x03000004 && rec.generation == 5);
	CU_ASSERT(accept.flow == 0x06000007 && accept.generation == 8);

	sl_close_put(p, SL_RECORD_REJECT, 9, 1, SL_CLOSE_NO_FLOW);
	CU_ASSERT_EQUAL(sl_rec_parse(p, SL_REC_CLOSE_BYTES, &rec, &used), SL_REC_OK);
	CU_ASSERT_EQUAL(sl_close_parse(&rec, &reason), SL_BODY_OK);
	CU_ASSERT_EQUAL(reason, SL_CLOSE_NO_FLOW);
	p[8] = 200;
	CU_ASSERT_EQUAL(sl_close_parse(&rec, &reason), SL_BODY_OK);
	CU_ASSERT_EQUAL(reason, SL_CLOSE_DONE);

	sl_heartbeat_put(p, &beat);
	CU_ASSERT_EQUAL(sl_rec_parse(p, SL_REC_HEARTBEAT_BYTES, &rec, &used), SL_REC_OK);
	CU_ASSERT_EQUAL(sl_heartbeat_parse(&rec, &beat2), SL_BODY_OK);
	CU_ASSERT(beat2.is_pong && beat2.load == 77 && beat2.sequence == 5);
	CU_ASSERT_EQUAL(beat2.timestamp_ns, beat.timestamp_ns);

	sl_lane_report_put(p, &lane);
	CU_ASSERT_EQUAL(sl_rec_parse(p, SL_REC_LANE_BYTES, &rec, &used), SL_REC_OK);
	CU_ASSERT_EQUAL(sl_lane_report_parse(&rec, &lane2), SL_BODY_OK);
	CU_ASSERT(lane2.lane == 63 && lane2.worker == 2 && lane2.owner == 3);
	p[9] = SL_WIRE_MAX_LANES;
	CU_ASSERT_EQUAL(sl_lane_report_parse(&rec, &lane2), SL_BODY_VALUE);
}

static void
test_error_and_resolve(void)
{
	uint8_t p[128] = { 0 }, quoted[65] = { 1, 2, 3 };
	struct sl_error error = { 3, 4, 1280, 1400, 3, quoted }, error2;
	struct sl_resolve resolve = { .token = 0xdeadbeef, .is_answer = true, .nb_bytes = 12 }, got;
	struct sl_rec rec;
	size_t used;

	CU_ASSERT_EQUAL(sl_error_put(p, sizeof(p), 1, 2, &error), 19);
	CU_ASSERT_EQUAL(sl_error_put(p, 18, 1, 2, &error), 0);
	CU_ASSERT_EQUAL(sl_rec_parse(p, 19, &rec, &used), SL_REC_OK);
	CU_ASSERT_EQUAL(sl_error_parse(&rec, &error2), SL_BODY_OK);
	CU_ASSERT(error2.mtu == 1280 && error2.l4_bytes == 1400 && error2.quoted_bytes == 3);
	CU_ASSERT_EQUAL(memcmp(error2.quoted, quoted, 3), 0);
	rec.nb_bytes--;
	CU_ASSERT_EQUAL(sl_error_parse(&rec, &error2), SL_BODY_SHORT);
	rec.nb_bytes++;
	p[8] = 5; // a redirect is never carried
	CU_ASSERT_EQUAL(sl_error_parse(&rec, &error2), SL_BODY_VALUE);
	error.quoted_bytes = 65;
	CU_ASSERT_EQUAL(sl_error_put(p, sizeof(p), 1, 2, &error), 0);

	CU_ASSERT_EQUAL(sl_resolve_put(p, &resolve), SL_RESOLVE_HEAD_BYTES);
	CU_ASSERT_EQUAL(sl_rec_parse(p, 28, &rec, &used), SL_REC_OK);
	CU_ASSERT_EQUAL(sl_resolve_parse(&rec, &got), SL_BODY_OK);
	CU_ASSERT(got.token == 0xdeadbeef && got.is_answer && got.nb_bytes == 12);
	CU_ASSERT_PTR_EQUAL(got.message, p + SL_RESOLVE_HEAD_BYTES);
	rec.nb_bytes--;
	CU_ASSERT_EQUAL(sl_resolve_parse(&rec, &got), SL_BODY_SHORT);
	// A piece may be short; it ends within what a message can be long, and a question is no piece.
	resolve.has_more = true;
	resolve.offset = 65530;
	resolve.nb_bytes = 5;
	sl_resolve_put(p, &resolve);
	CU_ASSERT_EQUAL(sl_rec_parse(p, 21, &rec, &used), SL_REC_OK);
	CU_ASSERT_EQUAL(sl_resolve_parse(&rec, &got), SL_BODY_OK);
	CU_ASSERT(got.has_more && got.offset == 65530 && got.nb_bytes == 5);
	resolve.offset = 65531;
	sl_resolve_put(p, &resolve);
	CU_ASSERT_EQUAL(sl_resolve_parse(&rec, &got), SL_BODY_VALUE);
	resolve.offset = 12;
	resolve.is_answer = false;
	sl_resolve_put(p, &resolve);
	CU_ASSERT_EQUAL(sl_resolve_parse(&rec, &got), SL_BODY_VALUE);
}

static const struct sl_test_case cases[] = {
	{ "record: a datagram of several records is walked to its end", test_iterate },
	{ "record: TOS and TTL come before the fragment header", test_both_extensions },
	{ "record: every bad datagram gets its verdict", test_walks },
	{ "OPEN: what is built is what is parsed", test_open_round_trip },
	{ "OPEN: cut at any length it is refused", test_open_truncated },
	{ "OPEN: every spoiled field is refused for its reason", test_open_spoiled },
	{ "OPEN: names hold to the length of labels and whole", test_open_names },
	{ "ACCEPT, CLOSE, HEARTBEAT, LANE: built and parsed", test_small_records },
	{ "ERROR, RESOLVE: built and parsed, limits held", test_error_and_resolve },
};

SL_TEST_MAIN(cases)
