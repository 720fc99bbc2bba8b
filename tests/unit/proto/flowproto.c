#include "sl_test.h"

#include <sluice/proto/flowproto.h>

static const struct sl_link_peer peer = { .session = 4, .epoch = 1, .lane = 2 };
static const struct sl_open an_open = { .flow = 0x01000007, .generation = 9 };

static struct sl_flow_link
opener(void)
{
	struct sl_flow_link link = { .own_generation = 5, .owner_data = 77 };

	sl_link_open(&link, peer);
	return link;
}

static struct sl_flow_link
open_opener(void)
{
	struct sl_flow_link link = opener();
	struct sl_accept accept = { .flow = 0x02000003, .generation = 6 };

	CU_ASSERT_EQUAL(sl_link_accepted(&link, 5, peer, &accept), SL_LINK_ACCEPTED);
	return link;
}

static struct sl_flow_link
acceptor(void)
{
	struct sl_flow_link link = { .own_generation = 5 };

	CU_ASSERT_EQUAL(sl_link_accept(&link, peer, &an_open), SL_LINK_REATTACH);
	return link;
}

static void
test_opener(void)
{
	struct sl_flow_link link = opener();

	CU_ASSERT_EQUAL(sl_link_send(&link, 1, 100), SL_SEND_OPEN);
	CU_ASSERT_EQUAL(sl_link_send(&link, 1, 101), SL_SEND_OPEN);
	// The ACCEPT was lost, its packet was not: delivered, and still opening.
	CU_ASSERT_EQUAL(sl_link_data(&link, 5, peer), SL_LINK_DELIVER);
	CU_ASSERT_EQUAL(sl_link_send(&link, 1, 102), SL_SEND_OPEN);
	link = open_opener();
	CU_ASSERT_EQUAL(sl_link_send(&link, 1, 103), SL_SEND_DATA);
	CU_ASSERT_EQUAL(link.peer_flow, 0x02000003);
	CU_ASSERT_EQUAL(link.peer_generation, 6);
	CU_ASSERT_EQUAL(link.owner_data, 77);
	CU_ASSERT_EQUAL(link.lane, 2);
}

static void
test_acceptor(void)
{
	struct sl_flow_link link = acceptor();

	CU_ASSERT_EQUAL(sl_link_send(&link, 1, 100), SL_SEND_ACCEPT_DATA);
	CU_ASSERT_EQUAL(sl_link_send(&link, 1, 101), SL_SEND_ACCEPT_DATA);
	CU_ASSERT_EQUAL(sl_link_data(&link, 5, peer), SL_LINK_DELIVER);
	CU_ASSERT_EQUAL(sl_link_send(&link, 1, 102), SL_SEND_DATA);
	// A duplicate OPEN says that ACCEPT may not have arrived.
	CU_ASSERT_EQUAL(sl_link_accept(&link, peer, &an_open), SL_LINK_DUPLICATE);
	CU_ASSERT_EQUAL(sl_link_send(&link, 1, 103), SL_SEND_ACCEPT_DATA);
}

struct stale {
	const char *sentence;
	uint8_t generation;
	struct sl_link_peer peer;
};

static const struct stale stales[] = {
	{ "an earlier flow of the slot", 4, { 4, 1, 2 } },
	{ "a later flow of the slot", 6, { 4, 1, 2 } },
	{ "no generation", 0, { 4, 1, 2 } },
	{ "another session", 5, { 3, 1, 2 } },
	{ "another incarnation of the peer", 5, { 4, 2, 2 } },
};

static void
test_stale(void)
{
	struct sl_accept accept = { 1, 1 };

	for (size_t i = 0; i < sizeof(stales) / sizeof(stales[0]); i++) {
		const struct stale *row = &stales[i];
		struct sl_flow_link link = open_opener(), before = link;

		SL_ASSERT_ROW(
			sl_link_data(&link, row->generation, row->peer) == SL_LINK_DROP_STALE,
			row->sentence
		);
		SL_ASSERT_ROW(
			sl_link_accepted(&link, row->generation, row->peer, &accept) ==
				SL_LINK_DROP_STALE,
			row->sentence
		);
		SL_ASSERT_ROW(
			sl_link_closed(&link, row->generation, row->peer, SL_CLOSE_DONE) ==
				SL_LINK_DROP_STALE,
			row->sentence
		);
		SL_ASSERT_ROW(
			sl_link_rejected(&link, row->generation, row->peer) == SL_LINK_DROP_STALE,
			row->sentence
		);
		SL_ASSERT_ROW(memcmp(&link, &before, sizeof(link)) == 0, row->sentence);
	}
}

static void
test_closed_believes_nothing(void)
{
	struct sl_flow_link link = open_opener();

	sl_link_close(&link);
	CU_ASSERT_EQUAL(sl_link_data(&link, 5, peer), SL_LINK_DROP_STALE);
	CU_ASSERT_EQUAL(sl_link_send(&link, 1, 1), SL_SEND_NOTHING);
	sl_link_void(&link);
	CU_ASSERT_EQUAL(link.state, SL_LINK_CLOSED);
	link = (struct sl_flow_link){ 0 };
	CU_ASSERT_EQUAL(sl_link_data(&link, 0, (struct sl_link_peer){ 0 }), SL_LINK_DROP_STALE);
}

static void
test_peer_restarts(void)
{
	static const struct sl_link_peer later = { .session = 4, .epoch = 2, .lane = 2 };
	struct sl_flow_link link = open_opener();

	CU_ASSERT_EQUAL(sl_link_send(&link, 2, 1), SL_SEND_OPEN);
	CU_ASSERT_EQUAL(link.peer_generation, 0);
	CU_ASSERT_EQUAL(sl_link_data(&link, 5, peer), SL_LINK_DROP_STALE);
	CU_ASSERT_EQUAL(sl_link_data(&link, 5, later), SL_LINK_DELIVER);

	link = acceptor();
	CU_ASSERT_EQUAL(sl_link_data(&link, 5, peer), SL_LINK_DELIVER);
	CU_ASSERT_EQUAL(sl_link_send(&link, 2, 1), SL_SEND_NOTHING);
	CU_ASSERT_EQUAL(sl_link_data(&link, 5, later), SL_LINK_DROP_STALE);
	CU_ASSERT_EQUAL(sl_link_accept(&link, later, &an_open), SL_LINK_REATTACH);
	CU_ASSERT_EQUAL(sl_link_send(&link, 2, 1), SL_SEND_ACCEPT_DATA);
	CU_ASSERT_EQUAL(link.own_generation, 5);
}

static void
test_asks_again(void)
{
	struct sl_flow_link link = open_opener();
	uint32_t now = 1000;

	CU_ASSERT_EQUAL(sl_link_send(&link, 1, now), SL_SEND_DATA);
	now += SL_FLOW_ASK_AGAIN_S * 10 - 2;
	CU_ASSERT_EQUAL(sl_link_send(&link, 1, now), SL_SEND_DATA);
	now += 3;
	CU_ASSERT_EQUAL(sl_link_send(&link, 1, now), SL_SEND_OPEN);
	CU_ASSERT_EQUAL(sl_link_send(&link, 1, now), SL_SEND_DATA); // one packet asks
	CU_ASSERT_EQUAL(sl_link_data(&link, 5, peer), SL_LINK_DELIVER);
	now += 1000; // idle, then a first packet: nothing is owed
	CU_ASSERT_EQUAL(sl_link_send(&link, 1, now), SL_SEND_DATA);

	link = acceptor();
	CU_ASSERT_EQUAL(sl_link_data(&link, 5, peer), SL_LINK_DELIVER);
	CU_ASSERT_EQUAL(sl_link_send(&link, 1, now), SL_SEND_DATA);
	CU_ASSERT_EQUAL(sl_link_send(&link, 1, now + 40), SL_SEND_ACCEPT_DATA);
	CU_ASSERT_EQUAL(sl_link_send(&link, 1, now + 41), SL_SEND_DATA);
}

static void
test_age(void)
{
	struct sl_flow_link link = open_opener();

	sl_link_age(&link, SL_FLOW_ID_TRUST_S - 1);
	CU_ASSERT_EQUAL(link.state, SL_LINK_OPEN);
	sl_link_age(&link, SL_FLOW_ID_TRUST_S);
	CU_ASSERT_EQUAL(sl_link_send(&link, 1, 1), SL_SEND_OPEN);
	link = acceptor();
	sl_link_age(&link, SL_FLOW_ID_TRUST_S);
	CU_ASSERT_EQUAL(sl_link_send(&link, 1, 1), SL_SEND_NOTHING);
}

static void
test_endings(void)
{
	struct sl_flow_link link = open_opener();

	CU_ASSERT_EQUAL(sl_link_closed(&link, 5, peer, SL_CLOSE_UNKNOWN), SL_LINK_VOIDED);
	CU_ASSERT_EQUAL(sl_link_send(&link, 1, 1), SL_SEND_OPEN);
	CU_ASSERT_EQUAL(sl_link_closed(&link, 5, peer, SL_CLOSE_DONE), SL_LINK_PEER_CLOSED);
	CU_ASSERT_EQUAL(link.state, SL_LINK_CLOSED);
	link = opener();
	CU_ASSERT_EQUAL(sl_link_rejected(&link, 5, peer), SL_LINK_REJECTED);
	CU_ASSERT_EQUAL(link.state, SL_LINK_CLOSED);
	link = acceptor();
	CU_ASSERT_EQUAL(sl_link_rejected(&link, 5, peer), SL_LINK_IGNORE);
	CU_ASSERT_EQUAL(sl_link_accepted(&link, 5, peer, NULL), SL_LINK_IGNORE);
	CU_ASSERT_EQUAL(sl_link_closed(&link, 5, peer, SL_CLOSE_UNKNOWN), SL_LINK_ORPHANED);
	CU_ASSERT_EQUAL(sl_link_send(&link, 1, 1), SL_SEND_NOTHING);
	// The opener's id was wrong, ours is not: what it still sends is delivered.
	CU_ASSERT_EQUAL(sl_link_data(&link, 5, peer), SL_LINK_DELIVER);
	CU_ASSERT_EQUAL(sl_link_accept(&link, peer, &an_open), SL_LINK_REATTACH);
	CU_ASSERT_EQUAL(sl_link_closed(&link, 5, peer, SL_CLOSE_POLICY), SL_LINK_PEER_CLOSED);
}

static void
test_unknown(void)
{
	struct sl_flow_link link = open_opener();
	struct sl_rec rec = { .type = SL_RECORD_DATA, .generation = 6, .flow = 0x02000003 }, out;
	uint8_t p[SL_UNKNOWN_ANSWER_BYTES], accept[SL_REC_ACCEPT_BYTES];
	enum sl_close_reason reason;
	size_t used;

	CU_ASSERT_EQUAL(sl_unknown_answer(p, &rec), SL_REC_CLOSE_BYTES);
	CU_ASSERT_EQUAL(sl_rec_parse(p, sizeof(p), &out, &used), SL_REC_OK);
	CU_ASSERT_EQUAL(sl_close_parse(&out, &reason), SL_BODY_OK);
	CU_ASSERT(sl_reject_is_echo(out.type, reason));
	CU_ASSERT_FALSE(sl_link_unknown(&link, peer, out.flow, (uint8_t)(out.generation + 1)));
	CU_ASSERT_FALSE(sl_link_unknown(&link, peer, out.flow + 1, out.generation));
	CU_ASSERT(sl_link_unknown(&link, peer, out.flow, out.generation));
	CU_ASSERT_EQUAL(link.state, SL_LINK_OPENING);

	sl_accept_put(accept, 1, 2, 0x03000004, 5);
	CU_ASSERT_EQUAL(sl_rec_parse(accept, sizeof(accept), &rec, &used), SL_REC_OK);
	CU_ASSERT_EQUAL(sl_unknown_answer(p, &rec), SL_REC_CLOSE_BYTES);
	CU_ASSERT_EQUAL(sl_rec_parse(p, sizeof(p), &out, &used), SL_REC_OK);
	CU_ASSERT(out.type == SL_RECORD_CLOSE && out.flow == 0x03000004 && out.generation == 5);
	CU_ASSERT_EQUAL(sl_unknown_answer(p, &out), 0);
	out.type = SL_RECORD_REJECT;
	CU_ASSERT_EQUAL(sl_unknown_answer(p, &out), 0);
}

static void
test_open_decisions(void)
{
	CU_ASSERT_EQUAL(sl_open_flags(IPPROTO_TCP, 0x02), 0);
	CU_ASSERT_EQUAL(sl_open_flags(IPPROTO_TCP, 0xc2), 0); // SYN with ECN
	CU_ASSERT_EQUAL(sl_open_flags(IPPROTO_TCP, 0x12), SL_OPEN_RESUME);
	CU_ASSERT_EQUAL(sl_open_flags(IPPROTO_TCP, 0x10), SL_OPEN_RESUME);
	CU_ASSERT_EQUAL(sl_open_flags(IPPROTO_UDP, 0x10), 0);
	CU_ASSERT_EQUAL(sl_open_missed(0, false, false), SL_OPEN_CREATE);
	CU_ASSERT_EQUAL(sl_open_missed(0, true, false), SL_OPEN_SEARCH);
	CU_ASSERT_EQUAL(sl_open_missed(0, true, true), SL_OPEN_CREATE);
	CU_ASSERT_EQUAL(sl_open_missed(SL_OPEN_RESUME, false, false), SL_OPEN_SEARCH);
	CU_ASSERT_EQUAL(sl_open_missed(SL_OPEN_RESUME, true, true), SL_OPEN_REJECT);
}

static const struct sl_test_case cases[] = {
	{ "link: an opener sends OPEN until ACCEPT has come", test_opener },
	{ "link: an acceptor sends ACCEPT ahead until its id is used", test_acceptor },
	{ "link: a record for another flow, session or incarnation changes nothing", test_stale },
	{ "link: a closed link believes nothing", test_closed_believes_nothing },
	{ "link: a peer's restart voids the ids it gave", test_peer_restarts },
	{ "link: what is not answered for 3 s is asked again by one packet", test_asks_again },
	{ "link: ids idle too long are not used again", test_age },
	{ "link: CLOSE and REJECT end a flow, UNKNOWN lets it open again", test_endings },
	{ "link: records for unknown flows are answered, answers are not", test_unknown },
	{ "OPEN: RESUME never creates, and is searched for first", test_open_decisions },
};

SL_TEST_MAIN(cases)
