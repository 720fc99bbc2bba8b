// What the network may do to handshakes that the PoP began, to cookies, and to what is old or late.
#include "wireguard_kit.h"

#include <sluice/proto/cookie.h>

#define SOURCE_OF_KIT                                                                              \
	{                                                                                          \
		1                                                                                  \
	} // where a device believes that datagrams come from
#define MAC2_BYTES 16u

static uint64_t
nb_bad(void)
{
	return sl_service_stats(wg.service)->nb_handshakes_bad;
}

static bool
is_up(void)
{
	return atomic_load(&wg.sessions.sessions[0].current) != NULL;
}

// Counted, unanswered, and no session comes of it.
static bool
is_refused(const struct wg_datagram *datagram)
{
	struct wg_datagram answer;
	uint64_t before = nb_bad();

	wg_send(&alice, datagram);
	return nb_bad() == before + 1 && !is_up() && !wg_take(&alice, &answer);
}

// Cut at each length, made longer, and each octet changed, but for the type, which makes it another
// message, and `nb_free` octets at the end, which may be anything.
static void
refuse_all_damaged(const struct wg_datagram *good, size_t nb_free)
{
	struct wg_datagram bad = *good;

	for (size_t i = 4; i < good->nb_bytes; i++) {
		bad = *good;
		bad.nb_bytes = i;
		SL_ASSERT_ROW(is_refused(&bad), "cut");
		bad = *good;
		bad.bytes[i] ^= 0x40;
		if (i < good->nb_bytes - nb_free)
			SL_ASSERT_ROW(is_refused(&bad), "an octet changed");
	}
	for (size_t more = 1; more <= 32; more++) {
		bad = *good;
		bad.nb_bytes += more;
		SL_ASSERT_ROW(is_refused(&bad), "longer");
	}
}

// The PoP has lost its keys and hears Alice: its initiation.
static void
begin_asked(struct wg_datagram *initiation)
{
	struct wg_datagram d;

	wg_begin();
	wg_handshake(&alice);
	CU_ASSERT(wg_echo(&alice));
	wg_pass_s(1);
	wg_restart();
	wg_seal_echo(&alice, &d, alice.inner);
	wg_send(&alice, &d);
	CU_ASSERT_FATAL(wg_take(&alice, initiation));
	CU_ASSERT_EQUAL(initiation->bytes[0], SL_WG_INITIATION);
}

static bool
has_mac2(const struct wg_datagram *initiation)
{
	static const uint8_t none[MAC2_BYTES];

	return memcmp(initiation->bytes + initiation->nb_bytes - MAC2_BYTES, none, MAC2_BYTES) != 0;
}

// What the device says to `in`; the keys it makes are installed.
static bool
answer_of(const struct wg_datagram *in, enum sl_peer_load load, struct wg_datagram *out)
{
	uint8_t source[SL_COOKIE_ADDRESS_BYTES] = SOURCE_OF_KIT;
	struct sl_peer_output asked = { .nb = 0 };
	bool has_answer = false;

	(void
	)sl_peer_receive(&alice.local, in->bytes, in->nb_bytes, source, load, wg_now(), &asked);
	for (unsigned i = 0; i < asked.nb; i++) {
		struct sl_peer_event *e = &asked.events[i];

		if (e->type != SL_PEER_SEND)
			continue;
		memcpy(out->bytes, e->bytes, e->nb_bytes);
		out->nb_bytes = e->nb_bytes;
		*e = (struct sl_peer_event){ .type = SL_PEER_GAVE_UP }; // the test sends it
		has_answer = true;
	}
	wg_carry_out(&alice, &asked);
	return has_answer;
}

static void
test_damaged_response(void)
{
	struct wg_datagram initiation, response;
	uint64_t before;

	begin_asked(&initiation);
	CU_ASSERT_FATAL(answer_of(&initiation, SL_PEER_CALM, &response));
	CU_ASSERT_EQUAL(response.bytes[0], SL_WG_RESPONSE);
	refuse_all_damaged(&response, MAC2_BYTES);
	wg_send(&alice, &response);
	CU_ASSERT(is_up());
	while (wg_receive(&alice)) // a keepalive, which proves the keys
		;
	CU_ASSERT(wg_echo(&alice));
	// Played again it is an answer to nothing.
	before = nb_bad();
	wg_send(&alice, &response);
	CU_ASSERT_EQUAL(nb_bad(), before + 1);
	CU_ASSERT(wg_echo(&alice));
	wg_end("damaged response");
}

static void
test_damaged_cookie(void)
{
	struct wg_datagram initiation, cookie, again, response;

	begin_asked(&initiation);
	CU_ASSERT_FALSE(has_mac2(&initiation));
	CU_ASSERT_FATAL(answer_of(&initiation, SL_PEER_UNDER_LOAD, &cookie));
	CU_ASSERT_EQUAL(cookie.bytes[0], SL_WG_COOKIE_REPLY);
	refuse_all_damaged(&cookie, 0);
	wg_pass_s(6);
	CU_ASSERT_FATAL(wg_take(&alice, &again));
	CU_ASSERT_FALSE(has_mac2(&again)); // none of them was taken
	CU_ASSERT(is_refused(&cookie)); // nor is the good one, since it is about another question
	CU_ASSERT_FATAL(answer_of(&again, SL_PEER_UNDER_LOAD, &cookie));
	wg_send(&alice, &cookie);
	wg_pass_s(6);
	CU_ASSERT_FATAL(wg_take(&alice, &again));
	CU_ASSERT(has_mac2(&again));
	CU_ASSERT_FATAL(answer_of(&again, SL_PEER_UNDER_LOAD, &response));
	CU_ASSERT_EQUAL(response.bytes[0], SL_WG_RESPONSE); // it proves where the PoP is
	wg_send(&alice, &response);
	while (wg_receive(&alice))
		;
	CU_ASSERT(wg_echo(&alice));
	wg_end("damaged cookie");
}

// A cookie that the PoP got is used for 120 s, and no longer.
static void
test_cookie_ages(void)
{
	struct wg_datagram initiation, cookie, d;

	begin_asked(&initiation);
	CU_ASSERT_FATAL(answer_of(&initiation, SL_PEER_UNDER_LOAD, &cookie));
	wg_send(&alice, &cookie);
	for (unsigned i = 0; i < 15; i++) {
		wg_pass_s(6);
		while (wg_take(&alice, &initiation))
			CU_ASSERT(has_mac2(&initiation));
	}
	wg_pass_s(40); // it has given up meanwhile
	alice.peer.flags = 0; // nor does the device ask
	while (wg_take(&alice, &initiation))
		;
	wg_seal_echo(&alice, &d, alice.inner);
	wg_send(&alice, &d);
	CU_ASSERT_FATAL(wg_take(&alice, &initiation));
	CU_ASSERT_EQUAL(initiation.bytes[0], SL_WG_INITIATION);
	CU_ASSERT_FALSE(has_mac2(&initiation));
	wg_end("a cookie ages");
}

// ---- Old and late ----------------------------------------------------------------------------------------

#define NB_OLD 4u

static void
refuse_all_old(const struct wg_datagram *old)
{
	for (unsigned i = 0; i < NB_OLD; i++) {
		uint64_t before = nb_bad();

		wg_send(&alice, &old[(i + 2) % NB_OLD]);
		CU_ASSERT_EQUAL(nb_bad(), before + 1);
		CU_ASSERT_FALSE(wg_receive(&alice));
		path_pass_ms(50);
	}
}

// Initiations of a life before, and of the one before that, in any order and ever again.
static void
test_old_initiations(void)
{
	struct wg_datagram old[NB_OLD];

	wg_begin();
	for (unsigned i = 0; i < NB_OLD; i++) {
		wg_handshake(&alice);
		old[i] = alice.initiation;
		CU_ASSERT(wg_echo(&alice));
		wg_pass_s(1);
	}
	refuse_all_old(old);
	for (unsigned life = 0; life < 2; life++) {
		wg_restart();
		refuse_all_old(old);
		refuse_all_old(old);
		CU_ASSERT_FALSE(is_up());
	}
	wg_handshake(&alice);
	CU_ASSERT(wg_echo(&alice));
	wg_pass_s(1);
	refuse_all_old(old);
	CU_ASSERT(wg_echo(&alice));
	wg_end("old initiations");
}

// Datagrams that come in the worst order: the newest first, then all that the window holds, the oldest
// last. Each is taken once, and the one before the window never.
static void
test_reordered(void)
{
	static struct wg_datagram d[SL_REPLAY_WIREGUARD_PKTS + 1];
	unsigned nb = SL_REPLAY_WIREGUARD_PKTS;
	uint64_t before;

	wg_begin();
	wg_handshake(&alice);
	CU_ASSERT(wg_echo(&alice));
	for (unsigned i = 0; i <= nb; i++)
		wg_seal(&alice, &d[i], NULL, 0);
	before = path_drops(wg.pop, "wireguard_open_keepalive");
	for (unsigned i = nb; i > 0; i--)
		wg_send(&alice, &d[i]);
	CU_ASSERT_EQUAL(path_drops(wg.pop, "wireguard_open_keepalive") - before, nb);
	CU_ASSERT_EQUAL(path_drops(wg.pop, "wireguard_open_replayed"), 0);
	wg_send(&alice, &d[0]);
	CU_ASSERT_EQUAL(path_drops(wg.pop, "wireguard_open_replayed"), 1);
	for (unsigned i = 1; i <= nb; i += 97)
		wg_send(&alice, &d[i]);
	CU_ASSERT_EQUAL(path_drops(wg.pop, "wireguard_open_replayed"), 1 + (nb + 96) / 97);
	CU_ASSERT_EQUAL(path_drops(wg.pop, "wireguard_open_keepalive") - before, nb);
	CU_ASSERT(wg_echo(&alice));
	wg_end("reordered");
}

static const struct sl_test_case cases[] = {
	{ "C4 D1: a response to the PoP cut, longer or changed in any octet is refused",
	  test_damaged_response },
	{ "C4 D1: a cookie reply to the PoP cut, longer or changed in any octet is refused",
	  test_damaged_cookie },
	{ "C4 D1: the PoP uses a cookie for 120 s and no longer", test_cookie_ages },
	{ "C4 D1: initiations of lives before a restart are refused, in any order and ever again",
	  test_old_initiations },
	{ "C4 D1: datagrams in the worst order are taken once each, to the window's edge",
	  test_reordered },
};

int
main(int argc, char **argv)
{
	return sl_test_main(argc, argv, cases, RTE_DIM(cases), path_setup, path_teardown);
}
