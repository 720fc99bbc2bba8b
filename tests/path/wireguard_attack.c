// What the network may do to a PoP with WireGuard clients, and must not achieve.
#include "wireguard_kit.h"

#include <rte_ip.h>

#include <sluice/dp/crypto.h>
#include <sluice/proto/cookie.h>

// Datagrams of a flood: more than a queue of the session thread holds, or as many as that of a port.
#define NB_RANDOM (WG_ARRIVAL == PATH_ALTERNATE ? 1500u : 1000u)

static uint32_t seed = 2463534242u;

static uint32_t
rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed;
}

// A datagram to the PoP from some address and port of the network's.
static void
queue_from_anywhere(const struct wg_datagram *datagram)
{
	char source[INET_ADDRSTRLEN];
	struct packet_spec spec = { .to = path_mac(wg.pop, 0),
				    .from = "02:aa:00:00:00:02",
				    .source = source,
				    .destination = "10.0.0.1",
				    .protocol = IPPROTO_UDP,
				    .source_port = (uint16_t)(1024 + rnd() % 60000),
				    .destination_port = 51820,
				    .payload = datagram->bytes,
				    .payload_bytes = datagram->nb_bytes };
	uint8_t frame[PATH_FRAME_BYTES];

	snprintf(source, sizeof(source), "10.0.0.%u", 3 + rnd() % 250);
	path_send(wg.pop, 0, frame, packet_build(frame, sizeof(frame), &spec));
}

static bool
is_refused(struct wg_device *d, const struct wg_datagram *datagram)
{
	uint64_t bad = sl_service_stats(wg.service)->nb_handshakes_bad;

	wg_send(d, datagram);
	return !wg_receive(d) && sl_service_stats(wg.service)->nb_handshakes_bad > bad;
}

// Each length and each octet, but for the type, which would make it something else, and mac2, which
// counts under load alone.
static void
refuse_all_damaged(struct wg_device *d, const struct wg_datagram *good)
{
	for (size_t i = 4; i < good->nb_bytes; i++) {
		struct wg_datagram bad = *good;

		bad.nb_bytes = i;
		SL_ASSERT_ROW(is_refused(d, &bad), "cut");
		bad = *good;
		bad.bytes[i] ^= 0x40;
		if (i < good->nb_bytes - 16)
			SL_ASSERT_ROW(is_refused(d, &bad), "an octet flipped");
	}
}

static void
test_damaged_initiation(void)
{
	struct wg_datagram good;

	wg_begin();
	wg_initiate_sealed(&alice, &good);
	refuse_all_damaged(&alice, &good);
	wg_send(&alice, &good);
	CU_ASSERT(wg_receive(&alice)); // the response, which is taken
	CU_ASSERT(wg_echo(&alice));
	wg_end("damaged initiation");
}

// ---- Counters ----------------------------------------------------------------------------------------------

// An authentic keepalive under any counter at all.
static void
seal_at(const struct wg_device *d, struct wg_datagram *out, uint64_t counter)
{
	struct sl_aead *engine = sl_aead_create(SL_AEAD_BEST);
	struct sl_aead_op op = { .key = sl_keypair_seal_key(d->sealing, 0),
				 .cipher = d->sealing->cipher,
				 .data = out->bytes + 16,
				 .tag = out->bytes + 16 };

	sl_keypair_header_wireguard(out->bytes, d->sealing->remote_index, counter);
	sl_keypair_nonce_wireguard(op.nonce, counter);
	engine->ops->seal(engine, &op, 1);
	out->nb_bytes = 32;
	sl_aead_destroy(engine);
}

static void
test_last_counters(void)
{
	static const uint64_t refused[] = { SL_REJECT_AFTER_MESSAGES, UINT64_MAX - 1, UINT64_MAX };
	struct wg_datagram d, replay;

	wg_begin();
	wg_handshake(&alice);
	CU_ASSERT(wg_echo(&alice));
	wg_seal_echo(&alice, &replay, "10.90.0.5");
	wg_send(&alice, &replay);
	CU_ASSERT(wg_take_echo(&alice));
	for (unsigned i = 0; i < RTE_DIM(refused); i++) {
		seal_at(&alice, &d, refused[i]);
		wg_send(&alice, &d);
		CU_ASSERT_EQUAL(path_drops(wg.pop, "wireguard_open_replayed"), 2 * i + 1);
		wg_send(&alice, &replay); // the window is where it was
		CU_ASSERT_FALSE(wg_take_echo(&alice));
		CU_ASSERT_EQUAL(path_drops(wg.pop, "wireguard_open_replayed"), 2 * i + 2);
		CU_ASSERT(wg_echo(&alice));
	}
	wg_end("last counters");
}

// The PoP has sealed so much under a key that it asks for the next one itself.
static void
test_rekey_by_count(void)
{
	struct sl_keypair *k;
	unsigned before;

	wg_begin();
	wg_handshake(&alice);
	CU_ASSERT(wg_echo(&alice));
	wg_pass_s(1);
	before = alice.nb_installed;
	k = atomic_load(&wg.sessions.sessions[0].current);
	CU_ASSERT_PTR_NOT_NULL_FATAL(k);
	k->lanes[0].next_counter = SL_AEAD_REKEY_LIMIT;
	CU_ASSERT(wg_echo(&alice));
	CU_ASSERT(wg_echo(&alice));
	wg_pass_s(1);
	while (wg_receive(&alice))
		;
	CU_ASSERT_EQUAL(alice.nb_installed, before + 1);
	CU_ASSERT(wg_echo(&alice));
	wg_pass_s(1);
	CU_ASSERT_PTR_NOT_EQUAL(atomic_load(&wg.sessions.sessions[0].current), k);
	wg_end("rekey by count");
}

// ---- Floods ------------------------------------------------------------------------------------------------

// A flood of initiations whose mac1 is right, from sources that cannot answer.
static void
flood(void)
{
	struct wg_datagram d;

	mallory.peer.is_asking = false;
	wg_initiate_sealed(&mallory, &d);
	for (unsigned i = 0; i < NB_RANDOM; i++)
		queue_from_anywhere(&d);
}

// A client that is known where it is rekeys in the middle of it. One that is not gets a cookie, and in
// with its next try.
static void
test_flood(void)
{
	wg_begin();
	wg_handshake(&alice);
	CU_ASSERT(wg_echo(&alice));
	wg_pass_s(1);
	flood();
	wg_handshake(&alice); // asks behind the flood
	CU_ASSERT(wg_echo(&alice));
	CU_ASSERT(sl_service_stats(wg.service)->nb_cookies > NB_RANDOM / 4);
	flood();
	wg_initiate(&bob);
	CU_ASSERT(wg_receive(&bob)); // the cookie
	CU_ASSERT_EQUAL(bob.nb_installed, 0);
	CU_ASSERT(bob.peer.jar.has_cookie);
	flood();
	wg_handshake(&bob);
	CU_ASSERT(wg_echo(&bob));
	CU_ASSERT(wg_echo(&alice));
	wg_end("flood from anywhere");
}

// What claims to be a cookie reply costs no place in a queue unless it names a question of ours.
static void
test_cookie_flood(void)
{
	struct wg_datagram d = { .bytes = { SL_WG_COOKIE_REPLY }, .nb_bytes = 64 };

	wg_begin();
	wg_handshake(&alice);
	CU_ASSERT(wg_echo(&alice));
	wg_pass_s(1);
	for (unsigned i = 0; i < NB_RANDOM; i++) {
		d.bytes[4 + i % 4] = (uint8_t)rnd();
		queue_from_anywhere(&d);
	}
	wg_handshake(&alice);
	CU_ASSERT(wg_echo(&alice));
	CU_ASSERT_EQUAL(sl_service_stats(wg.service)->nb_handshakes_full, 0);
	wg_end("cookie replies from anywhere");
}

// ---- Roaming -------------------------------------------------------------------------------------------------

static void
test_to_and_fro(void)
{
	struct wg_datagram late;

	wg_begin();
	wg_handshake(&alice);
	for (unsigned i = 0; i < 6; i++) {
		wg_seal_echo(&alice, &late, "10.90.0.5");
		alice.port = (uint16_t)(40000 + (i + 1) % 2);
		CU_ASSERT(wg_echo(&alice));
		wg_pass_s(i % 2);
		// Sent earlier, from where it was: the answer goes to where it is.
		alice.port = (uint16_t)(40000 + i % 2);
		wg_send(&alice, &late);
		CU_ASSERT_FALSE(wg_take_echo(&alice));
		alice.port = (uint16_t)(40000 + (i + 1) % 2);
		CU_ASSERT(wg_take_echo(&alice));
	}
	wg_end("to and fro");
}

// ---- Another's protocol --------------------------------------------------------------------------------------

// A client has keys and an index; records under them would be a connector's word.
static void
test_records(void)
{
	struct sl_aead *engine = sl_aead_create(SL_AEAD_BEST);
	struct sl_heartbeat beat = { .timestamp_ns = 1 };
	struct wg_datagram d = { .nb_bytes = 16 + SL_REC_HEARTBEAT_BYTES + 16 };
	struct sl_aead_op op = { .data = d.bytes + 16,
				 .tag = d.bytes + 16 + SL_REC_HEARTBEAT_BYTES,
				 .aad = d.bytes,
				 .nb_bytes = SL_REC_HEARTBEAT_BYTES,
				 .nb_aad_bytes = 16 };
	uint64_t counter = 0;

	wg_begin();
	wg_handshake(&alice);
	CU_ASSERT(wg_echo(&alice));
	CU_ASSERT_FATAL(sl_keypair_take_counter(alice.sealing, 0, &counter));
	op.key = sl_keypair_seal_key(alice.sealing, 0);
	op.cipher = alice.sealing->cipher;
	sl_keypair_header(d.bytes, alice.sealing->remote_index, 0, counter);
	sl_keypair_nonce(op.nonce, 0, counter);
	sl_heartbeat_put(d.bytes + 16, &beat);
	engine->ops->seal(engine, &op, 1);
	sl_aead_destroy(engine);
	alice.is_at_tunnel = true;
	wg_send(&alice, &d);
	alice.is_at_tunnel = false;
	CU_ASSERT_EQUAL(path_drops(wg.pop, "tunnel_open_no_session"), 1);
	CU_ASSERT(wg_echo(&alice));
	wg_end("records");
}

static const struct sl_test_case cases[] = {
	{ "C4 D1: an initiation cut at any length or changed in any octet is refused by the graph",
	  test_damaged_initiation },
	{ "C4 D1: authentic datagrams past the last counter are refused and move no window",
	  test_last_counters },
	{ "D1: the PoP replaces a key that has sealed its share", test_rekey_by_count },
	{ "C4 D1: in a flood from random sources known clients rekey and new ones get in by cookie",
	  test_flood },
	{ "C4: a flood of cookie replies takes no place from a client", test_cookie_flood },
	{ "C4 D1: a client roams to and fro, late datagrams move nothing", test_to_and_fro },
	{ "D1: a client's keys open no records: those are connectors'", test_records },
};

int
main(int argc, char **argv)
{
	return sl_test_main(argc, argv, cases, RTE_DIM(cases), path_setup, path_teardown);
}
