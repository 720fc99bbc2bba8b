// A PoP with its session thread, and WireGuard clients played by the test with proto/ code.
#include "wireguard_kit.h"

// ---- Data ------------------------------------------------------------------------------------------------

static void
test_both_ways(void)
{
	wg_begin();
	wg_handshake(&alice);
	for (unsigned i = 0; i < 8; i++)
		CU_ASSERT(wg_echo(&alice));
	wg_pass_s(1);
	CU_ASSERT_EQUAL(atomic_load(&wg.sessions.sessions[0].kind), SL_SESSION_CLIENT);
	CU_ASSERT_PTR_NOT_NULL(atomic_load(&wg.sessions.sessions[0].current));
	wg_end("both ways");
}

// The answer to the very first datagram under a key is sealed with that key, before the session thread
// has heard of it.
static void
test_first_answer(void)
{
	wg_begin();
	wg_handshake(&alice);
	CU_ASSERT_PTR_NULL(atomic_load(&wg.sessions.sessions[0].current));
	CU_ASSERT(wg_echo(&alice));
	wg_end("first answer");
}

static void
test_psk(void)
{
	wg_begin();
	wg_handshake(&bob); // has a preshared key
	CU_ASSERT(wg_echo(&bob));
	CU_ASSERT_EQUAL(sl_service_stats(wg.service)->nb_handshakes_bad, 0);
	wg_end("preshared key");
}

static void
test_unknown_key(void)
{
	wg_begin();
	wg_initiate(&mallory);
	CU_ASSERT_FALSE(wg_receive(&mallory));
	CU_ASSERT_EQUAL(sl_service_stats(wg.service)->nb_handshakes_bad, 1);
	wg_end("a key that is nobody's");
}

// ---- Refused ---------------------------------------------------------------------------------------------

static void
test_replay(void)
{
	struct wg_datagram d;

	wg_begin();
	wg_handshake(&alice);
	CU_ASSERT(wg_echo(&alice));
	wg_seal_echo(&alice, &d, "10.90.0.5");
	wg_send(&alice, &d);
	CU_ASSERT(wg_take_echo(&alice));
	wg_send(&alice, &d);
	CU_ASSERT_FALSE(wg_take_echo(&alice));
	CU_ASSERT_EQUAL(path_drops(wg.pop, "wireguard_open_replayed"), 1);
	// To the window's edge: of 8192 counters the lowest is still taken, the one before is not.
	wg_seal_echo(&alice, &d, "10.90.0.5");
	alice.sealing->lanes[0].next_counter += 8190;
	CU_ASSERT(wg_echo(&alice));
	wg_send(&alice, &d);
	CU_ASSERT(wg_take_echo(&alice));
	wg_seal_echo(&alice, &d, "10.90.0.5");
	alice.sealing->lanes[0].next_counter += 8191;
	CU_ASSERT(wg_echo(&alice));
	wg_send(&alice, &d);
	CU_ASSERT_FALSE(wg_take_echo(&alice));
	CU_ASSERT_EQUAL(path_drops(wg.pop, "wireguard_open_replayed"), 2);
	wg_end("replay");
}

static void
test_forged(void)
{
	struct wg_datagram d, bad;
	size_t nb;

	wg_begin();
	wg_handshake(&alice);
	wg_seal_echo(&alice, &d, "10.90.0.5");
	nb = d.nb_bytes;
	for (size_t i = 0; i < nb; i++) {
		bad = d;
		bad.bytes[i] ^= 0x80;
		wg_send(&alice, &bad);
		CU_ASSERT_FALSE(wg_take_echo(&alice));
		bad = d;
		bad.nb_bytes = i;
		if (i != 0)
			wg_send(&alice, &bad);
		CU_ASSERT_FALSE(wg_take_echo(&alice));
	}
	CU_ASSERT(path_drops(wg.pop, "wireguard_open_forged") > nb);
	CU_ASSERT_EQUAL(path_drops(wg.pop, "wireguard_open_short"), SL_WG_DATA_MIN_BYTES - 1);
	CU_ASSERT_EQUAL(path_drops(wg.pop, "wireguard_open_bad_type"), 3);
	wg_send(&alice, &d);
	CU_ASSERT(wg_take_echo(&alice));
	wg_end("forged");
}

static void
test_wrong_source(void)
{
	struct wg_datagram d;

	wg_begin();
	wg_handshake(&alice);
	CU_ASSERT(wg_echo(&alice));
	wg_seal_echo(&alice, &d, "10.90.0.6"); // bob's
	wg_send(&alice, &d);
	CU_ASSERT_FALSE(wg_take_echo(&alice));
	CU_ASSERT_EQUAL(path_drops(wg.pop, "wireguard_open_wrong_source"), 1);
	wg_end("wrong source");
}

// RFC 6040 section 4.2: who does not take part in marking loses the packet instead.
static void
test_congestion(void)
{
	wg_begin();
	wg_handshake(&alice);
	CU_ASSERT(wg_echo(&alice));
	alice.tos = 3;
	CU_ASSERT_FALSE(wg_echo(&alice));
	CU_ASSERT_EQUAL(path_drops(wg.pop, "wireguard_open_congested"), 1);
	alice.tos = 0;
	CU_ASSERT(wg_echo(&alice));
	wg_end("congestion");
}

static void
test_revoked(void)
{
	wg_begin();
	wg_handshake(&alice);
	wg_handshake(&bob);
	CU_ASSERT(wg_echo(&alice));
	CU_ASSERT(wg_echo(&bob));
	wg_configure(false, true);
	CU_ASSERT_FALSE(wg_echo(&alice));
	CU_ASSERT(wg_echo(&bob));
	wg_initiate(&alice);
	CU_ASSERT_FALSE(wg_receive(&alice));
	wg_configure(true, true);
	wg_handshake(&alice);
	CU_ASSERT(wg_echo(&alice));
	wg_end("revoked");
}

// ---- Life of a session -----------------------------------------------------------------------------------

static void
test_roaming(void)
{
	struct wg_datagram d, late;

	wg_begin();
	wg_handshake(&alice);
	CU_ASSERT(wg_echo(&alice));
	wg_seal_echo(&alice, &late, "10.90.0.5");
	alice.port = 40001;
	CU_ASSERT(wg_echo(&alice)); // answered at the new port
	alice.port = 40000;
	wg_send(&alice, &late); // sent before, from the old one
	CU_ASSERT_FALSE(wg_take_echo(&alice));
	alice.port = 40001;
	CU_ASSERT(wg_take_echo(&alice));
	// Not authentic: nothing moves.
	wg_seal_echo(&alice, &d, "10.90.0.5");
	d.bytes[d.nb_bytes - 1] ^= 1;
	alice.port = 40002;
	wg_send(&alice, &d);
	alice.port = 40001;
	CU_ASSERT(wg_echo(&alice));
	wg_pass_s(1);
	wg_end("roaming");
}

static void
test_keepalive(void)
{
	struct wg_datagram d;
	unsigned nb;

	wg_begin();
	wg_handshake(&alice); // with a keepalive, which proves the key
	wg_seal(&alice, &d, NULL, 0);
	wg_send(&alice, &d);
	CU_ASSERT_EQUAL(path_drops(wg.pop, "wireguard_open_keepalive"), 2);
	wg_pass_s(15);
	CU_ASSERT_EQUAL(alice.nb_empty, 0); // a keepalive is not answered
	// What cannot be answered is data all the same: within ten seconds it is heard that it came.
	wg_seal_silent(&alice, &d);
	wg_send(&alice, &d);
	wg_pass_s(9);
	while (wg_receive(&alice))
		;
	CU_ASSERT_EQUAL(alice.nb_empty, 0);
	wg_pass_s(2);
	for (nb = 0; nb < 8 && wg_receive(&alice); nb++)
		;
	CU_ASSERT_EQUAL(alice.nb_empty, 1);
	wg_end("keepalive");
}

static void
test_rekey(void)
{
	uint32_t first;

	wg_begin();
	wg_handshake(&alice);
	first = alice.sealing->local_index;
	for (unsigned i = 0; i < 230; i++) {
		wg_pass_s(1);
		CU_ASSERT(wg_echo(&alice));
	}
	CU_ASSERT_NOT_EQUAL(alice.sealing->local_index, first);
	CU_ASSERT_EQUAL(alice.nb_installed, 2);
	wg_pass_s(181);
	CU_ASSERT_PTR_NULL(atomic_load(&wg.sessions.sessions[0].current));
	wg_end("rekey");
}

// The PoP comes back with nothing but its disk; the client talks on under keys that are gone.
static void
test_restart(void)
{
	struct wg_datagram d;

	wg_begin();
	wg_handshake(&alice);
	CU_ASSERT(wg_echo(&alice));
	wg_pass_s(1);
	wg_restart();
	wg_seal_echo(&alice, &d, "10.90.0.5");
	wg_send(&alice, &d);
	CU_ASSERT(wg_receive(&alice)); // an initiation, which is answered
	while (wg_receive(&alice))
		;
	CU_ASSERT(wg_echo(&alice));
	CU_ASSERT(alice.nb_installed == 2);
	CU_ASSERT_FALSE(alice.sealing->is_initiator);
	wg_end("restart");
}

// An initiation from before the restart, played again after it, is refused.
static void
test_old_initiation(void)
{
	uint64_t bad;

	wg_begin();
	wg_initiate(&alice);
	CU_ASSERT(wg_receive(&alice));
	CU_ASSERT(wg_echo(&alice));
	wg_pass_s(1);
	wg_restart();
	bad = sl_service_stats(wg.service)->nb_handshakes_bad;
	wg_send(&alice, &alice.initiation);
	CU_ASSERT_FALSE(wg_receive(&alice));
	CU_ASSERT_EQUAL(sl_service_stats(wg.service)->nb_handshakes_bad, bad + 1);
	wg_end("old initiation");
}

static void
test_flood(void)
{
	struct wg_datagram d;

	wg_begin();
	wg_handshake(&alice);
	CU_ASSERT(wg_echo(&alice));
	// Many initiations with a right mac1 in one go: most get a cookie, and whoever is known none.
	wg_initiate_sealed(&mallory, &d);
	for (unsigned i = 0; i < 200; i++) {
		mallory.port = (uint16_t)(50000 + i);
		wg_queue(&mallory, &d);
	}
	wg_run();
	CU_ASSERT(sl_service_stats(wg.service)->nb_cookies > 50);
	CU_ASSERT(wg_echo(&alice));
	wg_pass_s(1);
	wg_handshake(&alice);
	CU_ASSERT(wg_echo(&alice));
	wg_end("flood");
}

static const struct sl_test_case cases[] = {
	{ "D1: a WireGuard client shakes hands and its packets go both ways", test_both_ways },
	{ "D1: the first answer is sealed with the key of the first question", test_first_answer },
	{ "D1: a client with a preshared key", test_psk },
	{ "a static key that is nobody's gets no answer", test_unknown_key },
	{ "C4: a datagram played again, and the replay window to its edge", test_replay },
	{ "C4: each octet flipped and each length cut is refused", test_forged },
	{ "a client that sends from another's inner address is dropped", test_wrong_source },
	{ "congestion outside costs the packet of who does not take part in marking",
	  test_congestion },
	{ "a client taken out of the configuration, and put back", test_revoked },
	{ "C4 D1: a client roams on authentic data alone, late data moves nothing", test_roaming },
	{ "D1: data without an answer is answered by a keepalive", test_keepalive },
	{ "D1: a client rekeys after 120 s without loss; a silent one runs out", test_rekey },
	{ "D1: after a restart the PoP asks a known client for new keys", test_restart },
	{ "C4: an old initiation is refused after a restart", test_old_initiation },
	{ "D1: a flood of initiations gets cookies and disturbs nobody", test_flood },
};

int
main(int argc, char **argv)
{
	return sl_test_main(argc, argv, cases, RTE_DIM(cases), path_setup, path_teardown);
}
