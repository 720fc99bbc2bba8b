// WireGuard's rules that the tunnel does not share, or that a clock and a counter decide.
#include "peer_pair.h"
#include "sl_test.h"
#include "weak_points.h"

#include <sluice/proto/replay.h>
#include <string.h>

#define S(n) ((n)*SL_NS_PER_S)

static void
wireguard_pair(struct pair *p)
{
	pair_init(p, &sl_noise_wireguard, NULL, SL_PEER_INITIATES, 0);
	CU_ASSERT_TRUE(pair_handshake(p));
	p->initiator.nb_bytes = 0;
	p->responder.nb_bytes = 0;
}

// Tell an end that it opened something under the key it seals with; true when it now asks.
static bool
asks_after_opening(struct pair *p, struct pair_end *end)
{
	sl_peer_note_opened(&end->peer, end->sealing, SL_PEER_EMPTY, p->now, &end->out);
	pair_book(end);
	return end->nb_bytes != 0;
}

static void
test_late_receiver(void)
{
	struct pair p;

	wireguard_pair(&p);
	pair_pass(&p, S(164));
	CU_ASSERT_FALSE(asks_after_opening(&p, &p.initiator));
	pair_pass(&p, S(1));
	p.responder.peer.flags |= SL_PEER_INITIATES;
	CU_ASSERT_FALSE(asks_after_opening(&p, &p.responder)); // not its turn
	CU_ASSERT_TRUE(asks_after_opening(&p, &p.initiator));
	CU_ASSERT_EQUAL(pair_deliver(&p, &p.initiator, &p.responder), SL_PEER_OK);
	CU_ASSERT_EQUAL(pair_deliver(&p, &p.responder, &p.initiator), SL_PEER_OK);
	pair_fini(&p);
}

static void
test_by_count(void)
{
	struct pair p;

	wireguard_pair(&p);
	p.responder.peer.flags |= SL_PEER_INITIATES;
	for (unsigned i = 0; i < 2; i++) {
		struct pair_end *end = i == 0 ? &p.initiator : &p.responder;

		sl_peer_note_used_up(&end->peer, p.now, &end->out);
		pair_book(end);
		CU_ASSERT_TRUE(end->nb_bytes != 0);
		sl_peer_note_used_up(&end->peer, p.now, &end->out);
		CU_ASSERT_EQUAL(end->out.nb, 0); // it is asking already
	}
	pair_fini(&p);
}

// A cookie is worth nothing 120 s after it was made, at either end.
static void
test_cookie_expiry(void)
{
	struct sl_peer_local *asked;
	struct pair p;

	for (unsigned age_s = 100; age_s <= 130; age_s += 30) {
		uint8_t source[SL_COOKIE_ADDRESS_BYTES] = { 0 };
		enum sl_peer_verdict verdict;
		struct pair_end *from;

		pair_init(&p, &sl_noise_wireguard, NULL, SL_PEER_INITIATES, 0);
		from = &p.initiator;
		asked = &p.responder.local;
		pair_initiate(&p);
		verdict = pair_give(
			&p, &p.responder, from->message, from->nb_bytes, SL_PEER_UNDER_LOAD
		);
		CU_ASSERT_EQUAL(verdict, SL_PEER_COOKIE_SENT);
		CU_ASSERT_EQUAL(pair_deliver(&p, &p.responder, from), SL_PEER_OK);
		pair_pass(&p, S(age_s));
		from->peer.is_asking = false;
		pair_initiate(&p);
		CU_ASSERT_EQUAL(
			memcmp(from->message + from->nb_bytes - 16, source, 16) == 0, age_s > 120
		);
		verdict = pair_give(
			&p, &p.responder, from->message, from->nb_bytes, SL_PEER_UNDER_LOAD
		);
		CU_ASSERT_EQUAL(verdict, age_s > 120 ? SL_PEER_COOKIE_SENT : SL_PEER_OK);
		CU_ASSERT_TRUE(asked->checker.has_secret);
		pair_fini(&p);
	}
}

// In either message, with a mac1 that is right.
static void
test_weak_ephemeral(void)
{
	for (unsigned i = 0; i < NB_WEAK_POINTS; i++) {
		struct pair p;

		pair_init(&p, &sl_noise_wireguard, NULL, SL_PEER_INITIATES, 0);
		pair_initiate(&p);
		memcpy(p.initiator.message + 8, weak_points[i], 32);
		sl_cookie_seal(
			&p.initiator.peer.jar, p.initiator.message, p.initiator.nb_bytes, p.now.ns
		);
		CU_ASSERT_EQUAL(pair_deliver(&p, &p.initiator, &p.responder), SL_PEER_WEAK_KEY);
		CU_ASSERT_EQUAL(p.responder.nb_bytes, 0);
		p.initiator.peer.is_asking = false;
		pair_initiate(&p);
		CU_ASSERT_EQUAL(pair_deliver(&p, &p.initiator, &p.responder), SL_PEER_OK);
		memcpy(p.responder.message + 12, weak_points[i], 32);
		sl_cookie_seal(
			&p.responder.peer.jar, p.responder.message, p.responder.nb_bytes, p.now.ns
		);
		CU_ASSERT_EQUAL(pair_deliver(&p, &p.responder, &p.initiator), SL_PEER_WEAK_KEY);
		CU_ASSERT_EQUAL(p.initiator.nb_sealing, 0);
		pair_fini(&p);
	}
}

static void
test_last_counters(void)
{
	uint64_t words[SL_REPLAY_WORDS(SL_REPLAY_WIREGUARD_PKTS)] = { 0 };
	static const uint64_t refused[] = { SL_REJECT_AFTER_MESSAGES,
					    SL_REJECT_AFTER_MESSAGES + 1,
					    UINT64_MAX };
	struct sl_replay r = { 0 };
	uint32_t nb = sizeof(words) / sizeof(words[0]);

	CU_ASSERT_EQUAL(sl_replay_commit(&r, words, nb, 5), SL_REPLAY_FRESH);
	for (unsigned i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(sl_replay_commit(&r, words, nb, refused[i]), SL_REPLAY_OLD);
	CU_ASSERT_EQUAL(sl_replay_commit(&r, words, nb, 5), SL_REPLAY_SEEN);
	CU_ASSERT_EQUAL(sl_replay_commit(&r, words, nb, refused[0] - 1), SL_REPLAY_FRESH);
	CU_ASSERT_EQUAL(sl_replay_commit(&r, words, nb, refused[0] - 1), SL_REPLAY_SEEN);
	CU_ASSERT_EQUAL(sl_replay_commit(&r, words, nb, 6), SL_REPLAY_OLD);
}

static const struct sl_test_case cases[] = {
	{ "D1: an initiator that only receives asks for a new key at 165 s", test_late_receiver },
	{ "D1: a key that has sealed its share is replaced, by either end", test_by_count },
	{ "C4 D1: a cookie is worth nothing after 120 s, at either end", test_cookie_expiry },
	{ "C4 D1: an ephemeral key of low order is refused in either message",
	  test_weak_ephemeral },
	{ "C4 D1: the last counters of a key are refused, and the window never comes round",
	  test_last_counters },
};

int
main(int argc, char **argv)
{
	return sl_test_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]), NULL, NULL);
}
