// The session machine against who means it ill: damaged and foreign messages, floods.
#include "../../lib/peer_pair.h"
#include "sl_test.h"

#include <sluice/proto/limits.h>
#include <string.h>

#define S(n) ((uint64_t)(n)*SL_NS_PER_S)

static const struct sl_noise_suite *const suites[] = { &sl_noise_tunnel, &sl_noise_wireguard };
static const struct sl_noise_shared_key preshared = { { 7, 7, 7 } };

// Everything of an end that a refused message may not change. The jar and counters of a test are not
// part of it.
static bool
is_unchanged(const struct sl_peer *before, const struct pair_end *end)
{
	return memcmp(before, &end->peer, sizeof(*before)) == 0 && end->out.nb == 0;
}

static void
refuse_all(
	struct pair *p,
	struct pair_end *to,
	const uint8_t *message,
	size_t nb_bytes,
	enum sl_peer_load load,
	size_t nb_flips
)
{
	uint8_t changed[SL_NOISE_MESSAGE_MAX + 1];
	struct sl_peer before = to->peer;
	uint32_t nb_indices = to->nb_indices;

	memcpy(changed, message, nb_bytes);
	changed[nb_bytes] = 0;
	for (size_t n = 0; n <= nb_bytes + 1; n++)
		if (n != nb_bytes)
			CU_ASSERT_NOT_EQUAL(pair_give(p, to, changed, n, load), SL_PEER_OK);
	for (size_t at = 0; at < nb_flips; at++) {
		for (unsigned bit = 0; bit < 8; bit += 7) {
			changed[at] ^= (uint8_t)(1u << bit);
			CU_ASSERT_NOT_EQUAL(pair_give(p, to, changed, nb_bytes, load), SL_PEER_OK);
			changed[at] ^= (uint8_t)(1u << bit);
		}
	}
	CU_ASSERT_TRUE(is_unchanged(&before, to));
	CU_ASSERT_EQUAL(nb_indices, to->nb_indices);
}

static void
test_damaged(void)
{
	for (unsigned i = 0; i < 2; i++) {
		struct pair p;

		pair_init(&p, suites[i], &preshared, SL_PEER_INITIATES, 0);
		pair_initiate(&p);
		// mac2 is looked at under load alone.
		refuse_all(
			&p,
			&p.responder,
			p.initiator.message,
			p.initiator.nb_bytes,
			SL_PEER_CALM,
			p.initiator.nb_bytes - 16
		);
		CU_ASSERT_EQUAL(pair_deliver(&p, &p.initiator, &p.responder), SL_PEER_OK);
		refuse_all(
			&p,
			&p.initiator,
			p.responder.message,
			p.responder.nb_bytes,
			SL_PEER_CALM,
			p.responder.nb_bytes - 16
		);
		CU_ASSERT_EQUAL(pair_deliver(&p, &p.responder, &p.initiator), SL_PEER_OK);
		pair_fini(&p);
	}
}

// A mac1 that is right does not help: change a field, then seal the macs anew.
static void
test_damaged_inside(void)
{
	for (unsigned i = 0; i < 2; i++) {
		uint8_t changed[SL_NOISE_MESSAGE_MAX];
		struct sl_cookie_jar jar;
		struct sl_peer before;
		size_t nb;
		struct pair p;

		pair_init(&p, suites[i], NULL, SL_PEER_INITIATES, 0);
		pair_initiate(&p);
		nb = p.initiator.nb_bytes;
		before = p.responder.peer;
		sl_cookie_jar_init(&jar, suites[i], &p.responder.local.noise.public);
		// The sender index (octets 4 to 7) is the one thing mac1 alone protects.
		for (size_t at = 8; at < nb - 32; at++) {
			memcpy(changed, p.initiator.message, nb);
			changed[at] ^= 1;
			sl_cookie_seal(&jar, changed, nb, p.now.ns);
			CU_ASSERT_NOT_EQUAL(
				pair_give(&p, &p.responder, changed, nb, SL_PEER_CALM), SL_PEER_OK
			);
		}
		CU_ASSERT_TRUE(is_unchanged(&before, &p.responder));
		CU_ASSERT_EQUAL(pair_deliver(&p, &p.initiator, &p.responder), SL_PEER_OK);
		nb = p.responder.nb_bytes;
		before = p.initiator.peer;
		sl_cookie_jar_init(&jar, suites[i], &p.initiator.local.noise.public);
		for (size_t at = 8; at < nb - 32; at++) {
			memcpy(changed, p.responder.message, nb);
			changed[at] ^= 1;
			sl_cookie_seal(&jar, changed, nb, p.now.ns);
			CU_ASSERT_NOT_EQUAL(
				pair_give(&p, &p.initiator, changed, nb, SL_PEER_CALM), SL_PEER_OK
			);
		}
		CU_ASSERT_TRUE(is_unchanged(&before, &p.initiator));
		pair_fini(&p);
	}
}

static void
test_cookie(void)
{
	for (unsigned i = 0; i < 2; i++) {
		struct sl_peer before;
		struct pair p;

		pair_init(&p, suites[i], NULL, SL_PEER_INITIATES, 0);
		pair_initiate(&p);
		before = p.responder.peer;
		CU_ASSERT_EQUAL(
			pair_give(
				&p,
				&p.responder,
				p.initiator.message,
				p.initiator.nb_bytes,
				SL_PEER_UNDER_LOAD
			),
			SL_PEER_COOKIE_SENT
		);
		CU_ASSERT_TRUE(is_unchanged(&before, &p.responder));
		CU_ASSERT_EQUAL(p.responder.nb_bytes, SL_COOKIE_REPLY_BYTES);
		refuse_all(
			&p,
			&p.initiator,
			p.responder.message,
			p.responder.nb_bytes,
			SL_PEER_CALM,
			p.responder.nb_bytes
		);
		CU_ASSERT_EQUAL(pair_deliver(&p, &p.responder, &p.initiator), SL_PEER_OK);
		// The next try carries it, and is served under load; changed anywhere it is not.
		pair_pass(&p, sl_peer_next_deadline(&p.initiator.peer) - p.now.ns);
		pair_run(&p, &p.initiator);
		refuse_all(
			&p,
			&p.responder,
			p.initiator.message,
			p.initiator.nb_bytes,
			SL_PEER_UNDER_LOAD,
			p.initiator.nb_bytes
		);
		CU_ASSERT_EQUAL(
			pair_give(
				&p,
				&p.responder,
				p.initiator.message,
				p.initiator.nb_bytes,
				SL_PEER_UNDER_LOAD
			),
			SL_PEER_OK
		);
		pair_fini(&p);
	}
}

static void
test_strangers(void)
{
	struct pair p, q;

	pair_init(&p, &sl_noise_tunnel, NULL, SL_PEER_INITIATES, 0);
	pair_init(&q, &sl_noise_tunnel, NULL, SL_PEER_INITIATES, 0);
	// q's initiator asks p's responder, whom it knows but who does not know it.
	CU_ASSERT_EQUAL(
		sl_peer_init(
			&q.initiator.peer,
			&q.initiator.local,
			&p.responder.local.noise.public,
			NULL,
			SL_PEER_INITIATES,
			0
		),
		SL_NOISE_OK
	);
	pair_initiate(&q);
	CU_ASSERT_EQUAL(pair_deliver(&q, &q.initiator, &p.responder), SL_PEER_UNKNOWN);
	CU_ASSERT_EQUAL(p.responder.nb_indices, 0);
	// Another preshared key: the response does not open.
	p.responder.peer.remote.preshared.octets[0] = 1;
	pair_initiate(&p);
	CU_ASSERT_EQUAL(pair_deliver(&p, &p.initiator, &p.responder), SL_PEER_OK);
	CU_ASSERT_EQUAL(pair_deliver(&p, &p.responder, &p.initiator), SL_PEER_FORGED);
	pair_fini(&p);
	pair_fini(&q);
}

static void
test_flood(void)
{
	struct pair p;

	pair_init(&p, &sl_noise_wireguard, NULL, SL_PEER_INITIATES, 0);
	CU_ASSERT_TRUE(pair_handshake(&p));
	pair_pass(&p, 10 * SL_NS_PER_MS);
	pair_initiate(&p);
	CU_ASSERT_EQUAL(pair_deliver(&p, &p.initiator, &p.responder), SL_PEER_TOO_SOON);
	pair_fini(&p);
}

static const struct sl_test_case cases[] = {
	{ "C4: handshake messages cut or with any octet changed change nothing", test_damaged },
	{ "C4: a right mac1 around a changed field changes nothing", test_damaged_inside },
	{ "C4: under load a cookie comes first, and good peers keep working", test_cookie },
	{ "strangers and wrong preshared keys are refused", test_strangers },
	{ "a peer may ask once in 20 ms", test_flood },
};

SL_TEST_MAIN(cases)
