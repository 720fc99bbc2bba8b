// Hours without an answer: a connector goes on asking, by the second, and the session stands again with the
// first answer, whoever was away and whatever became of the keys.
#include "../../lib/peer_pair.h"
#include "sl_test.h"

#include <sluice/proto/limits.h>

#define S(n)  ((uint64_t)(n)*SL_NS_PER_S)
#define HOURS 10u

// Thousands are asked for: those given back are given again.
static bool
take_free_index(void *context, struct sl_peer *peer, uint32_t *index)
{
	struct pair_end *end = context;

	(void)peer;
	for (uint32_t i = 0; i < PAIR_INDICES; i++)
		if (!end->live[i] && !end->installed[i]) {
			end->live[i] = true;
			*index = end->base + i;
			return true;
		}
	return false;
}

// Nothing arrives for so long; every initiation is lost. How many were sent.
static unsigned
silence(struct pair *p, uint64_t ns)
{
	unsigned nb_sent = 0;

	for (uint64_t end = p->now.ns + ns; p->now.ns < end;) {
		uint64_t at = sl_peer_next_deadline(&p->initiator.peer);

		// It always has something to do, and soon.
		CU_ASSERT_TRUE_FATAL(at > p->now.ns && at <= p->now.ns + S(130));
		pair_pass(p, at - p->now.ns);
		pair_run(p, &p->initiator);
		if (sl_peer_next_deadline(&p->responder.peer) <= p->now.ns)
			pair_run(p, &p->responder);
		nb_sent += p->initiator.nb_bytes != 0;
		if (p->now.ns < end)
			p->initiator.nb_bytes = 0;
	}
	return nb_sent;
}

static void
expect_up(struct pair *p)
{
	CU_ASSERT_EQUAL(pair_deliver(p, &p->initiator, &p->responder), SL_PEER_OK);
	CU_ASSERT_EQUAL(pair_deliver(p, &p->responder, &p->initiator), SL_PEER_OK);
	pair_data(p, &p->initiator, &p->responder);
	pair_data(p, &p->responder, &p->initiator);
}

static void
wait_for_initiation(struct pair *p)
{
	uint64_t began_ns = p->now.ns;

	for (unsigned i = 0; i < 20 && p->initiator.nb_bytes == 0; i++) {
		pair_pass(p, sl_peer_next_deadline(&p->initiator.peer) - p->now.ns);
		pair_run(p, &p->initiator);
	}
	CU_ASSERT_TRUE(p->now.ns - began_ns <= S(6));
}

static void
test_outage(void)
{
	struct pair p;
	unsigned nb_sent;

	pair_init(&p, &sl_noise_tunnel, NULL, SL_PEER_INITIATES | SL_PEER_PERSISTENT, 0);
	CU_ASSERT_TRUE(pair_handshake(&p));
	p.initiator.local.take_index = take_free_index;
	nb_sent = silence(&p, S(HOURS * 3600));
	sl_test_note("%u initiations in %u hours", nb_sent, HOURS);
	CU_ASSERT(nb_sent > HOURS * 3600 / 6 - 60 && nb_sent < HOURS * 3600 / 4);
	CU_ASSERT_EQUAL(p.responder.nb_expired, 1);
	wait_for_initiation(&p);
	expect_up(&p);
	CU_ASSERT_EQUAL(p.initiator.nb_restarted + p.responder.nb_restarted, 0);
	pair_fini(&p);
}

static void
test_started_last(void)
{
	struct pair p;

	pair_init(&p, &sl_noise_tunnel, NULL, SL_PEER_INITIATES | SL_PEER_PERSISTENT, 0);
	// The PoP has waited for a day, and asks nobody.
	pair_pass(&p, S(86400));
	CU_ASSERT_EQUAL(sl_peer_next_deadline(&p.responder.peer), UINT64_MAX);
	CU_ASSERT_EQUAL(p.responder.nb_bytes, 0);
	pair_initiate(&p);
	expect_up(&p);
	pair_fini(&p);
}

static const struct sl_test_case cases[] = {
	{ "C1: after ten hours without an answer a connector is back within seconds of the first",
	  test_outage },
	{ "C1: a PoP asks nobody, and a connector that is started a day later is up at once",
	  test_started_last },
};
SL_TEST_MAIN(cases)
