// What sessions stand on: timestamps, cookies, weak keys, keypairs.
#include "../../lib/aead_openssl.h"
#include "sl_test.h"
#include "weak_points.h"

#include <sluice/proto/cookie.h>
#include <sluice/proto/keypair.h>
#include <sluice/proto/tai64n.h>
#include <stdlib.h>
#include <string.h>

#define S(n) ((uint64_t)(n)*SL_NS_PER_S)

static void
test_tai64n_form(void)
{
	static const uint8_t want[12] = { 0x40, 0, 0, 0, 0, 0, 0, 0x0b, 0, 0, 0, 7 };
	uint8_t out[12];

	sl_tai64n_put(out, S(1) + 7);
	CU_ASSERT_EQUAL(memcmp(out, want, 12), 0);
}

static void
test_tai64n_rises(void)
{
	static const uint64_t walls[] = { S(100), S(100), S(50), 0, S(101), S(99), S(102) };
	struct sl_tai64n_clock c;
	uint8_t last[12] = { 0 }, next[12];

	sl_tai64n_clock_init(&c, 0);
	CU_ASSERT_FALSE(sl_tai64n_next(&c, S(100), next));
	sl_tai64n_floor_is(&c, sl_tai64n_floor_wanted(&c, S(100)));
	for (unsigned i = 0; i < sizeof(walls) / sizeof(walls[0]); i++) {
		CU_ASSERT_TRUE(sl_tai64n_next(&c, walls[i], next));
		CU_ASSERT_TRUE(sl_tai64n_is_after(next, last));
		memcpy(last, next, 12);
	}
}

// kill -9 at any moment, and the clock in 1970 afterwards.
static void
test_tai64n_floor(void)
{
	uint64_t disk = 0, wall = S(1000000);
	uint8_t last[12] = { 0 }, next[12];
	struct sl_tai64n_clock c;

	for (unsigned life = 0; life < 20; life++) {
		sl_tai64n_clock_init(&c, disk);
		for (unsigned i = 0; i < 50; i++) {
			uint64_t floor = sl_tai64n_floor_wanted(&c, wall);

			if (floor != 0)
				sl_tai64n_floor_is(&c, disk = floor);
			CU_ASSERT_TRUE(sl_tai64n_next(&c, wall, next));
			CU_ASSERT_TRUE(sl_tai64n_is_after(next, last));
			memcpy(last, next, 12);
			wall += S(300);
		}
		wall = life % 3 == 0 ? 0 : wall - S(20000) * (wall > S(20000));
	}
}

static struct sl_noise_public
some_public(struct sl_noise_private_key *key)
{
	struct sl_noise_public public = { 0 };

	CU_ASSERT_EQUAL(sl_noise_generate(key), 0);
	CU_ASSERT_EQUAL(sl_noise_public_of(key, &public), SL_NOISE_OK);
	return public;
}

static void
test_cookie(void)
{
	static const uint8_t here[18] = { 1 }, there[18] = { 2 };
	uint8_t message[100] = { 1, 0, 0, 0, 9 }, reply[SL_COOKIE_REPLY_BYTES];
	struct sl_noise_private_key key;
	struct sl_noise_public public = some_public(&key);
	struct sl_cookie_checker c;
	struct sl_cookie_jar j;

	sl_cookie_checker_init(&c, &sl_noise_wireguard, &public);
	sl_cookie_jar_init(&j, &sl_noise_wireguard, &public);
	CU_ASSERT_EQUAL(sl_cookie_check(&c, message, 100, here, S(1)), SL_COOKIE_INVALID);
	sl_cookie_seal(&j, message, 100, S(1));
	CU_ASSERT_EQUAL(sl_cookie_check(&c, message, 100, here, S(1)), SL_COOKIE_MAC1_ONLY);
	CU_ASSERT_EQUAL(sl_cookie_reply(&c, message, 100, here, S(1), reply), 0);
	CU_ASSERT_TRUE(sl_cookie_take(&j, &sl_noise_wireguard, reply, sizeof(reply), S(1)));
	// A cookie is taken once per message sent.
	CU_ASSERT_FALSE(sl_cookie_take(&j, &sl_noise_wireguard, reply, sizeof(reply), S(1)));
	sl_cookie_seal(&j, message, 100, S(2));
	CU_ASSERT_EQUAL(sl_cookie_check(&c, message, 100, here, S(2)), SL_COOKIE_MAC2_VALID);
	CU_ASSERT_EQUAL(sl_cookie_check(&c, message, 100, there, S(2)), SL_COOKIE_MAC1_ONLY);
	CU_ASSERT_EQUAL(sl_cookie_check(&c, message, 100, here, S(121) - 1), SL_COOKIE_MAC2_VALID);
	CU_ASSERT_EQUAL(sl_cookie_check(&c, message, 100, here, S(121)), SL_COOKIE_MAC1_ONLY);
	// Another secret is made for the next reply; the initiator forgets after 120 s too.
	CU_ASSERT_EQUAL(sl_cookie_reply(&c, message, 100, here, S(121), reply), 0);
	CU_ASSERT_EQUAL(sl_cookie_check(&c, message, 100, here, S(121)), SL_COOKIE_MAC1_ONLY);
	sl_cookie_seal(&j, message, 100, S(121));
	for (unsigned i = 0; i < 16; i++)
		CU_ASSERT_EQUAL(message[84 + i], 0);
}

static void
test_weak_keys(void)
{
	struct sl_noise_private_key key;
	struct sl_noise_shared_key shared;
	struct sl_noise_local local;
	struct sl_noise_remote remote;

	(void)some_public(&key);
	CU_ASSERT_EQUAL(sl_noise_local_init(&local, &sl_noise_tunnel, &key), SL_NOISE_OK);
	for (unsigned i = 0; i < NB_WEAK_POINTS; i++) {
		struct sl_noise_public public;

		memcpy(public.octets, weak_points[i], 32);
		CU_ASSERT_EQUAL(sl_noise_dh(&key, &public, &shared), SL_NOISE_WEAK_KEY);
		CU_ASSERT_EQUAL(
			sl_noise_remote_init(&remote, &local, &public, NULL), SL_NOISE_WEAK_KEY
		);
	}
}

static struct sl_keypair *
some_keypair(struct sl_transport_key *t)
{
	struct sl_keypair *k = aligned_alloc(64, sl_keypair_bytes(t->cipher, t->nb_lanes));
	struct sl_aead *engine = sl_aead_openssl_create();

	CU_ASSERT_PTR_NOT_NULL_FATAL(k);
	CU_ASSERT_PTR_NOT_NULL_FATAL(engine);
	memset(k, 0xff, sl_keypair_bytes(t->cipher, t->nb_lanes));
	sl_keypair_init(k, t, engine);
	sl_aead_openssl_destroy(engine);
	return k;
}

static void
test_keypair_counters(void)
{
	struct sl_transport_key t = { .cipher = SL_CIPHER_AES256_GCM,
				      .nb_lanes = 4,
				      .created_ns = S(9) };
	struct sl_keypair *k = some_keypair(&t);
	uint64_t counter = 7;

	CU_ASSERT_TRUE(sl_keypair_take_counter(k, 0, &counter));
	CU_ASSERT_EQUAL(counter, 0);
	CU_ASSERT_TRUE(sl_keypair_take_counters(k, 0, 64, &counter));
	CU_ASSERT_EQUAL(counter, 1);
	CU_ASSERT_TRUE(sl_keypair_take_counter(k, 0, &counter));
	CU_ASSERT_EQUAL(counter, 65);
	CU_ASSERT_TRUE(sl_keypair_take_counter(k, 3, &counter));
	CU_ASSERT_EQUAL(counter, 0);
	// The end of a key: what does not fit whole is not taken at all.
	k->lanes[1].next_counter = SL_AEAD_SEAL_LIMIT - 2;
	CU_ASSERT_EQUAL(sl_keypair_verdict(k, 1, S(9)), SL_KEYPAIR_REKEY_DUE);
	CU_ASSERT_FALSE(atomic_load(&k->wants_rekey));
	CU_ASSERT_FALSE(sl_keypair_take_counters(k, 1, 3, &counter));
	CU_ASSERT_TRUE(sl_keypair_take_counters(k, 1, 2, &counter));
	CU_ASSERT_EQUAL(counter, SL_AEAD_SEAL_LIMIT - 2);
	CU_ASSERT_TRUE(atomic_load(&k->wants_rekey));
	CU_ASSERT_FALSE(sl_keypair_take_counter(k, 1, &counter));
	CU_ASSERT_EQUAL(sl_keypair_verdict(k, 1, S(9)), SL_KEYPAIR_EXPIRED);
	CU_ASSERT_EQUAL(sl_keypair_verdict(k, 0, S(9)), SL_KEYPAIR_GOOD);
	sl_keypair_wipe(k);
	free(k);
}

static void
test_keypair_age(void)
{
	static const struct {
		const char *name;
		uint64_t now_ns;
		bool is_initiator, confirmed;
		enum sl_keypair_verdict verdict;
		bool may_seal;
	} rows[] = {
		{ "new, initiator", S(1000), true, false, SL_KEYPAIR_GOOD, true },
		{ "new, responder", S(1000), false, false, SL_KEYPAIR_GOOD, false },
		{ "confirmed responder", S(1000), false, true, SL_KEYPAIR_GOOD, true },
		{ "clock read before", S(999), true, false, SL_KEYPAIR_GOOD, true },
		{ "just before rekey", S(1120) - 1, true, false, SL_KEYPAIR_GOOD, true },
		{ "rekey", S(1120), true, false, SL_KEYPAIR_REKEY_DUE, true },
		{ "rekey is the initiator's", S(1120), false, true, SL_KEYPAIR_GOOD, true },
		{ "just before reject", S(1180) - 1, true, true, SL_KEYPAIR_REKEY_DUE, true },
		{ "reject", S(1180), true, true, SL_KEYPAIR_EXPIRED, false },
	};
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sl_transport_key t = { .cipher = SL_CIPHER_CHACHA20_POLY1305,
					      .nb_lanes = 1,
					      .is_initiator = rows[i].is_initiator,
					      .created_ns = S(1000) };
		struct sl_keypair *k = some_keypair(&t);

		if (rows[i].confirmed) {
			CU_ASSERT_TRUE(sl_keypair_confirm(k));
			CU_ASSERT_FALSE(sl_keypair_confirm(k));
		}
		SL_ASSERT_ROW(
			sl_keypair_verdict(k, 0, rows[i].now_ns) == rows[i].verdict, rows[i].name
		);
		SL_ASSERT_ROW(
			sl_keypair_may_seal(k, rows[i].now_ns) == rows[i].may_seal, rows[i].name
		);
		sl_keypair_wipe(k);
		free(k);
	}
}

static void
test_keypair_wire(void)
{
	static const uint8_t header[16] = {
		8, 0, 1, 2, 0xa, 0xb, 0xc, 0xd, 1, 2, 3, 4, 5, 6, 7, 8
	};
	static const uint8_t nonce[12] = { 0, 0, 1, 2, 1, 2, 3, 4, 5, 6, 7, 8 };
	static const uint8_t wg_header[16] = { 4, 0, 0, 0, 0xd, 0xc, 0xb, 0xa,
					       8, 7, 6, 5, 4,   3,   2,   1 };
	static const uint8_t wg_nonce[12] = { 0, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1 };
	uint8_t out[16];

	sl_keypair_header(out, 0x0a0b0c0d, 0x0102, 0x0102030405060708);
	CU_ASSERT_EQUAL(memcmp(out, header, 16), 0);
	sl_keypair_nonce(out, 0x0102, 0x0102030405060708);
	CU_ASSERT_EQUAL(memcmp(out, nonce, 12), 0);
	sl_keypair_header_wireguard(out, 0x0a0b0c0d, 0x0102030405060708);
	CU_ASSERT_EQUAL(memcmp(out, wg_header, 16), 0);
	sl_keypair_nonce_wireguard(out, 0x0102030405060708);
	CU_ASSERT_EQUAL(memcmp(out, wg_nonce, 12), 0);
}

static const struct sl_test_case cases[] = {
	{ "TAI64N has its label, seconds and nanoseconds", test_tai64n_form },
	{ "timestamps rise whatever the clock does", test_tai64n_rises },
	{ "timestamps rise across kill -9 and a clock back in 1970", test_tai64n_floor },
	{ "C4: a cookie is for one address, and lives 120 s", test_cookie },
	{ "public keys of low order are refused", test_weak_keys },
	{ "a counter is taken once, and none past the end of a key", test_keypair_counters },
	{ "keys age: rekey at 120 s, reject at 180 s, a responder waits", test_keypair_age },
	{ "headers and nonces, octet for octet", test_keypair_wire },
};

SL_TEST_MAIN(cases)
