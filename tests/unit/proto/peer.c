// The session machine: two ends, a wire in the test's hands, a clock it moves.
#include "../../lib/peer_pair.h"
#include "sl_test.h"

#include <sluice/proto/limits.h>
#include <string.h>

#define S(n) ((uint64_t)(n)*SL_NS_PER_S)

static const struct sl_noise_suite *const suites[] = { &sl_noise_tunnel, &sl_noise_wireguard };
static const struct sl_noise_shared_key preshared = { { 7, 7, 7 } };

static void
test_handshake(void)
{
	for (unsigned i = 0; i < 2; i++) {
		const struct sl_transport_key *a, *b;
		struct pair p;

		pair_init(&p, suites[i], &preshared, SL_PEER_INITIATES, 0);
		pair_initiate(&p);
		CU_ASSERT_EQUAL(p.initiator.nb_bytes, sl_noise_initiation_bytes(suites[i]));
		CU_ASSERT_EQUAL(pair_deliver(&p, &p.initiator, &p.responder), SL_PEER_OK);
		// Known to the workers, but not to seal with: the initiator has proved nothing yet.
		CU_ASSERT_TRUE(p.responder.installed[0]);
		CU_ASSERT_EQUAL(p.responder.nb_sealing, 0);
		CU_ASSERT_TRUE(p.responder.to_source);
		CU_ASSERT_EQUAL(p.responder.nb_bytes, sl_noise_response_bytes(suites[i]));
		CU_ASSERT_EQUAL(pair_deliver(&p, &p.responder, &p.initiator), SL_PEER_OK);
		CU_ASSERT_EQUAL(p.initiator.nb_sealing, 1);
		CU_ASSERT_EQUAL(p.initiator.nb_keepalives, 1);
		pair_data(&p, &p.initiator, &p.responder);
		CU_ASSERT_EQUAL(p.responder.nb_sealing, 1);
		a = &p.initiator.keys[0];
		b = &p.responder.keys[0];
		CU_ASSERT_EQUAL(memcmp(a->seal, b->open, 32), 0);
		CU_ASSERT_EQUAL(memcmp(a->open, b->seal, 32), 0);
		CU_ASSERT_NOT_EQUAL(memcmp(a->open, a->seal, 32), 0);
		CU_ASSERT_EQUAL(a->remote_index, b->local_index);
		CU_ASSERT_EQUAL(b->remote_index, a->local_index);
		CU_ASSERT_EQUAL(a->nb_lanes, suites[i]->has_hello ? 8 : 1);
		CU_ASSERT_EQUAL(a->peer_workers, suites[i]->has_hello ? 4 : 0);
		CU_ASSERT_EQUAL(
			a->cipher,
			suites[i]->has_hello ? SL_CIPHER_AES256_GCM : SL_CIPHER_CHACHA20_POLY1305
		);
		pair_fini(&p);
	}
}

static void
test_negotiation(void)
{
	static const struct {
		const char *name;
		uint16_t lanes_a, lanes_b, lanes;
		uint8_t ciphers_a, ciphers_b;
		enum sl_cipher cipher; // NONE: refused
	} rows[] = {
		{ "both have AES", 4, 8, 4, 3, 3, SL_CIPHER_AES256_GCM },
		{ "responder lacks AES", 8, 4, 4, 3, 2, SL_CIPHER_CHACHA20_POLY1305 },
		{ "initiator lacks AES", 1, 64, 1, 2, 3, SL_CIPHER_CHACHA20_POLY1305 },
		{ "more lanes than there are", 500, 300, 64, 3, 3, SL_CIPHER_AES256_GCM },
		{ "only AES", 2, 2, 2, 1, 3, SL_CIPHER_AES256_GCM },
		{ "nothing in common", 2, 2, 2, 1, 2, SL_CIPHER_NONE },
		{ "no lanes", 0, 2, 0, 3, 3, SL_CIPHER_NONE },
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pair p;

		pair_init(&p, &sl_noise_tunnel, NULL, SL_PEER_INITIATES, 0);
		p.initiator.local.hello.nb_lanes = rows[i].lanes_a;
		p.initiator.local.hello.ciphers = rows[i].ciphers_a;
		p.responder.local.hello.nb_lanes = rows[i].lanes_b;
		p.responder.local.hello.ciphers = rows[i].ciphers_b;
		if (rows[i].cipher == SL_CIPHER_NONE) {
			pair_initiate(&p);
			SL_ASSERT_ROW(
				pair_deliver(&p, &p.initiator, &p.responder) ==
					SL_PEER_NO_AGREEMENT,
				rows[i].name
			);
			SL_ASSERT_ROW(p.responder.nb_indices == 0, rows[i].name);
		} else {
			SL_ASSERT_ROW(pair_handshake(&p), rows[i].name);
			SL_ASSERT_ROW(p.initiator.agreement.cipher == rows[i].cipher, rows[i].name);
			SL_ASSERT_ROW(p.responder.agreement.cipher == rows[i].cipher, rows[i].name);
			SL_ASSERT_ROW(
				p.initiator.agreement.nb_lanes == rows[i].lanes, rows[i].name
			);
			SL_ASSERT_ROW(
				p.responder.agreement.nb_lanes == rows[i].lanes, rows[i].name
			);
		}
		pair_fini(&p);
	}
}

static void
test_retries(void)
{
	for (unsigned persistent = 0; persistent < 2; persistent++) {
		uint8_t flags = SL_PEER_INITIATES;
		unsigned nb_sent = 0;
		uint64_t began_ns;
		struct pair p;

		if (persistent)
			flags |= SL_PEER_PERSISTENT;
		pair_init(&p, &sl_noise_tunnel, NULL, flags, 0);
		pair_initiate(&p);
		began_ns = p.now.ns;
		for (uint64_t end = p.now.ns + S(400); p.now.ns < end;) {
			uint64_t at = sl_peer_next_deadline(&p.initiator.peer);

			nb_sent += p.initiator.nb_bytes != 0;
			p.initiator.nb_bytes = 0;
			if (at == UINT64_MAX)
				break;
			CU_ASSERT_TRUE(at > p.now.ns && at <= p.now.ns + S(6));
			// A WireGuard device waits 5 s; a connector that has asked for t asks again
			// before 2 t + 1 s.
			if (persistent && nb_sent < 4)
				CU_ASSERT_TRUE(at <= 2 * p.now.ns - began_ns + S(1));
			if (!persistent)
				CU_ASSERT_TRUE(nb_sent > 18 || at >= p.now.ns + S(5));
			pair_pass(&p, at - p.now.ns);
			pair_run(&p, &p.initiator);
		}
		sl_test_note("%u initiations", nb_sent);
		if (persistent) {
			CU_ASSERT_TRUE(nb_sent > 65);
			CU_ASSERT_EQUAL(p.initiator.nb_gave_up, 4);
			CU_ASSERT_EQUAL(pair_deliver(&p, &p.initiator, &p.responder), SL_PEER_OK);
			CU_ASSERT_EQUAL(pair_deliver(&p, &p.responder, &p.initiator), SL_PEER_OK);
		} else {
			CU_ASSERT_EQUAL(p.initiator.nb_gave_up, 1);
			CU_ASSERT_TRUE(nb_sent >= 17 && nb_sent <= 19);
		}
		pair_fini(&p);
	}
}

static void
test_rekey(void)
{
	struct pair p;

	pair_init(&p, &sl_noise_tunnel, NULL, SL_PEER_INITIATES | SL_PEER_PERSISTENT, 0);
	CU_ASSERT_TRUE(pair_handshake(&p));
	for (unsigned round = 0; round < 5; round++) {
		uint32_t before = p.initiator.sealing;
		uint64_t made_ns = p.now.ns;

		CU_ASSERT_EQUAL(sl_peer_next_deadline(&p.initiator.peer), p.now.ns + S(120));
		pair_pass(&p, S(120));
		pair_run(&p, &p.initiator);
		CU_ASSERT_TRUE(p.initiator.nb_bytes > 0);
		CU_ASSERT_EQUAL(pair_deliver(&p, &p.initiator, &p.responder), SL_PEER_OK);
		// The old key goes on until the new one is proved.
		pair_data(&p, &p.responder, &p.initiator);
		CU_ASSERT_EQUAL(pair_deliver(&p, &p.responder, &p.initiator), SL_PEER_OK);
		pair_data(&p, &p.initiator, &p.responder);
		CU_ASSERT_NOT_EQUAL(p.initiator.sealing, before);
		CU_ASSERT_EQUAL(
			p.initiator.keys[p.initiator.sealing - p.initiator.base].remote_index,
			p.responder.sealing
		);
		// Late datagrams are opened until the old key is 180 s old.
		CU_ASSERT_TRUE(p.initiator.installed[before - p.initiator.base]);
		CU_ASSERT_EQUAL(sl_peer_next_deadline(&p.initiator.peer), made_ns + S(180));
		pair_pass(&p, S(60));
		pair_run(&p, &p.initiator);
		pair_run(&p, &p.responder);
		CU_ASSERT_FALSE(p.initiator.installed[before - p.initiator.base]);
		p.now.ns -= S(60);
		p.now.wall_ns -= S(60);
	}
	CU_ASSERT_EQUAL(p.initiator.nb_restarted + p.responder.nb_restarted, 0);
	CU_ASSERT_EQUAL(p.initiator.nb_expired + p.responder.nb_expired, 0);
	pair_fini(&p);
}

static void
test_expiry(void)
{
	struct pair p;

	pair_init(&p, &sl_noise_tunnel, NULL, SL_PEER_INITIATES, 0);
	CU_ASSERT_TRUE(pair_handshake(&p));
	CU_ASSERT_EQUAL(sl_peer_next_deadline(&p.responder.peer), p.now.ns + S(180));
	pair_pass(&p, S(180) - 1);
	pair_run(&p, &p.responder);
	CU_ASSERT_EQUAL(p.responder.nb_expired, 0);
	pair_pass(&p, 1);
	pair_run(&p, &p.responder);
	CU_ASSERT_EQUAL(p.responder.nb_expired, 1);
	CU_ASSERT_FALSE(p.responder.live[0]);
	CU_ASSERT_EQUAL(sl_peer_next_deadline(&p.responder.peer), UINT64_MAX);
	pair_fini(&p);
}

static void
test_restart(void)
{
	struct pair p;

	pair_init(&p, &sl_noise_tunnel, NULL, SL_PEER_INITIATES, 0);
	CU_ASSERT_TRUE(pair_handshake(&p));
	pair_pass(&p, S(1));
	pair_restart(&p, &p.initiator, SL_PEER_INITIATES);
	pair_initiate(&p);
	CU_ASSERT_EQUAL(pair_deliver(&p, &p.initiator, &p.responder), SL_PEER_OK);
	// Not believed before it is proved: an initiation kept from earlier may say what it likes.
	CU_ASSERT_EQUAL(p.responder.nb_restarted, 0);
	CU_ASSERT_EQUAL(pair_deliver(&p, &p.responder, &p.initiator), SL_PEER_OK);
	pair_data(&p, &p.initiator, &p.responder);
	CU_ASSERT_EQUAL(p.responder.nb_restarted, 1);
	CU_ASSERT_FALSE(p.responder.installed[0]);
	CU_ASSERT_EQUAL(p.initiator.nb_restarted, 0);
	pair_pass(&p, S(1));
	pair_restart(&p, &p.responder, 0);
	CU_ASSERT_TRUE(pair_handshake(&p));
	CU_ASSERT_EQUAL(p.initiator.nb_restarted, 1);
	pair_fini(&p);
}

static void
test_clock_backwards(void)
{
	struct pair p;

	pair_init(&p, &sl_noise_tunnel, NULL, SL_PEER_INITIATES, 0);
	CU_ASSERT_TRUE(pair_handshake(&p));
	pair_restart(&p, &p.initiator, SL_PEER_INITIATES);
	p.now.ns += S(1);
	p.now.wall_ns = 0; // 1970: no battery
	CU_ASSERT_TRUE(pair_handshake(&p));
	// Without the floor it is locked out, so the row above says something.
	p.initiator.local.clock.last_ns = 0;
	p.now.ns += S(1);
	pair_initiate(&p);
	CU_ASSERT_EQUAL(pair_deliver(&p, &p.initiator, &p.responder), SL_PEER_REPLAYED);
	pair_fini(&p);
}

static void
test_replay(void)
{
	uint8_t initiation[SL_NOISE_MESSAGE_MAX], response[SL_NOISE_MESSAGE_MAX];
	size_t nb1, nb2;
	struct pair p;

	pair_init(&p, &sl_noise_tunnel, NULL, SL_PEER_INITIATES, 0);
	pair_initiate(&p);
	nb1 = p.initiator.nb_bytes;
	memcpy(initiation, p.initiator.message, nb1);
	CU_ASSERT_EQUAL(pair_deliver(&p, &p.initiator, &p.responder), SL_PEER_OK);
	nb2 = p.responder.nb_bytes;
	memcpy(response, p.responder.message, nb2);
	CU_ASSERT_EQUAL(pair_deliver(&p, &p.responder, &p.initiator), SL_PEER_OK);
	pair_data(&p, &p.initiator, &p.responder);
	pair_pass(&p, S(5));
	CU_ASSERT_EQUAL(
		pair_give(&p, &p.responder, initiation, nb1, SL_PEER_CALM), SL_PEER_REPLAYED
	);
	CU_ASSERT_EQUAL(
		pair_give(&p, &p.initiator, response, nb2, SL_PEER_CALM), SL_PEER_NOT_ASKED
	);
	CU_ASSERT_EQUAL(p.responder.nb_indices, 1);
	CU_ASSERT_EQUAL(p.initiator.nb_indices, 1);
	pair_pass(&p, S(5));
	pair_initiate(&p);
	CU_ASSERT_EQUAL(
		pair_give(&p, &p.initiator, response, nb2, SL_PEER_CALM), SL_PEER_NOT_ASKED
	);
	pair_fini(&p);
}

static void
test_keepalives(void)
{
	struct pair p;

	pair_init(&p, &sl_noise_wireguard, NULL, SL_PEER_INITIATES, 25);
	CU_ASSERT_TRUE(pair_handshake(&p));
	// Passive: the responder heard data and has sent nothing for 10 s.
	CU_ASSERT_EQUAL(sl_peer_next_deadline(&p.responder.peer), p.now.ns + S(10));
	// The initiator heard nothing for 15 s after it sent: it asks anew.
	CU_ASSERT_EQUAL(sl_peer_next_deadline(&p.initiator.peer), p.now.ns + S(15));
	pair_pass(&p, S(10));
	pair_run(&p, &p.responder);
	CU_ASSERT_EQUAL(p.responder.nb_keepalives, 1);
	sl_peer_note_opened(
		&p.initiator.peer, p.initiator.sealing, SL_PEER_EMPTY, p.now, &p.initiator.out
	);
	pair_book(&p.initiator);
	// Persistent: 25 s after the last datagram it sealed.
	CU_ASSERT_EQUAL(sl_peer_next_deadline(&p.initiator.peer), p.now.ns + S(15));
	pair_pass(&p, S(15));
	pair_run(&p, &p.initiator);
	CU_ASSERT_EQUAL(p.initiator.nb_keepalives, 2);
	CU_ASSERT_EQUAL(p.initiator.nb_bytes, 0);
	pair_fini(&p);
}

static const struct sl_test_case cases[] = {
	{ "a handshake in two messages gives both ends the same keys, the responder's at rest",
	  test_handshake },
	{ "initiations are repeated with jitter, given up after 90 s, by a connector never",
	  test_retries },
	{ "hello: lanes are the fewer, AES where both have it", test_negotiation },
	{ "C4: a rekey at 120 s keeps the old key for what is under way", test_rekey },
	{ "a key is refused when it is 180 s old", test_expiry },
	{ "another incarnation is a restart, once it is proved", test_restart },
	{ "a clock that ran backwards locks nobody out", test_clock_backwards },
	{ "C4: replayed handshake messages change nothing", test_replay },
	{ "keepalives, passive and persistent", test_keepalives },
};

SL_TEST_MAIN(cases)
