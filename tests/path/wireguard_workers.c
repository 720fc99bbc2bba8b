// Which worker has a WireGuard client's keys, and what becomes of packets while there are none.
#include "wireguard_kit.h"

#include <sluice/dp/crypto.h>
#include <sluice/dp/inner.h>
#include <sluice/dp/meta.h>

#define ALICE 1u // her id as a client

static struct sl_session *
session(void)
{
	return &wg.sessions.sessions[0];
}

static uint16_t
worker_now(void)
{
	return atomic_load(&session()->worker);
}

static uint16_t
home(void)
{
	return sl_client_owner(
		sl_dp_worker(path_dp(wg.pop), 0), SL_SCOPE_WIREGUARD | ALICE, packet_ip(alice.inner)
	);
}

// As if worker k had lately had something to do in `permille` of its turns.
static void
load_worker(unsigned k, unsigned permille)
{
	struct sl_worker_stats *stats = &sl_dp_worker(path_dp(wg.pop), k)->stats;

	stats->walks += 1000000;
	stats->walks_empty += 1000 * (1000 - permille);
}

// The flows' worker is busy as said, the other one has nothing to do.
static void
load_home(unsigned permille)
{
	wg_pass_s(2); // loads are reckoned no more often than each second
	load_worker(home(), permille);
	load_worker(1 - home(), 0);
}

static void
arrive_at(uint16_t worker)
{
	path_arrive(wg.pop, 0, worker == 0 ? PATH_WORKER_0 : PATH_WORKER_1);
}

// Handshake messages by that worker, then data as in the whole program.
static void
rekey_by(uint16_t worker)
{
	arrive_at(worker);
	wg_handshake(&alice);
	CU_ASSERT(wg_echo(&alice));
	path_arrive(wg.pop, 0, wg_arrival);
	CU_ASSERT(wg_echo(&alice));
	wg_pass_s(1); // the session thread has heard of it
}

static void
test_first_is_home(void)
{
	wg_begin();
	load_home(1000);
	rekey_by(1 - home());
	CU_ASSERT_EQUAL(worker_now(), home());
	wg_end("first at home");
}

static void
test_moves_at_rekey(void)
{
	struct wg_datagram late[2];

	wg_begin();
	rekey_by(1 - home());
	load_home(1000);
	for (unsigned i = 0; i < 4; i++)
		CU_ASSERT(wg_echo(&alice));
	CU_ASSERT_EQUAL(worker_now(), home()); // not without a new key
	wg_seal_echo(&alice, &late[0], alice.inner);
	wg_seal_echo(&alice, &late[1], alice.inner);
	rekey_by(1 - home());
	CU_ASSERT_EQUAL(worker_now(), 1 - home());
	for (unsigned i = 0; i < 8; i++)
		CU_ASSERT(wg_echo(&alice));
	// What was under way goes to the worker that has the key it was sealed with.
	wg_send(&alice, &late[0]);
	CU_ASSERT(wg_take_echo(&alice));
	wg_send(&alice, &late[0]);
	CU_ASSERT_FALSE(wg_take_echo(&alice));
	CU_ASSERT_EQUAL(path_drops(wg.pop, "wireguard_open_replayed"), 1);
	wg_send(&alice, &late[1]);
	CU_ASSERT(wg_take_echo(&alice));
	load_home(100);
	CU_ASSERT_EQUAL(worker_now(), 1 - home());
	rekey_by(1 - home());
	CU_ASSERT_EQUAL(worker_now(), home());
	wg_end("moves at rekey");
}

// Many rekeys, by either side, to and fro, and an echo at every step.
static void
test_nothing_lost(void)
{
	wg_begin();
	rekey_by(home());
	for (unsigned i = 0; i < 12; i++) {
		struct sl_keypair *k;

		load_home(i % 3 == 0 ? 0 : 1000);
		arrive_at(i % 2 == 0 ? 1 - home() : home());
		if (i % 4 < 2) {
			wg_initiate(&alice);
			CU_ASSERT(wg_echo(&alice)
			); // under the old key, or its answer is taken first
			while (wg_receive(&alice))
				;
		} else {
			// The PoP asks, for it has sealed so much.
			k = atomic_load(&session()->current);
			CU_ASSERT_PTR_NOT_NULL_FATAL(k);
			k->lanes[0].next_counter = SL_AEAD_REKEY_LIMIT;
			CU_ASSERT(wg_echo(&alice));
			wg_pass_s(1);
			while (wg_receive(&alice))
				;
		}
		for (unsigned n = 0; n < 4; n++) {
			CU_ASSERT(wg_echo(&alice));
			path_pass_ms(50 * n);
		}
		CU_ASSERT_EQUAL(alice.nb_installed, 2 + i);
	}
	CU_ASSERT_EQUAL(path_drops(wg.pop, "wireguard_seal_no_key"), 0);
	CU_ASSERT_EQUAL(path_drops(wg.pop, "wireguard_seal_no_endpoint"), 0);
	CU_ASSERT_EQUAL(path_drops(wg.pop, "wireguard_open_forged"), 0);
	wg_end("nothing lost");
}

// A client roams between keys of two workers; the one whose turn it is knows where to.
static void
test_roams_between(void)
{
	wg_begin();
	rekey_by(home());
	for (unsigned i = 0; i < 6; i++) {
		load_home(i % 2 == 0 ? 1000 : 0);
		alice.port = (uint16_t)(41000 + i);
		rekey_by(1 - home());
		CU_ASSERT_EQUAL(worker_now(), i % 2 == 0 ? 1 - home() : home());
		CU_ASSERT_EQUAL(
			sl_session_lane(session())->remote_port, rte_cpu_to_be_16(alice.port)
		);
	}
	wg_end("roams between");
}

// ---- Without a key -------------------------------------------------------------------------------------

// Packets for Alice, as the flows' worker has them.
static void
packets_for_alice(unsigned nb)
{
	struct packet_spec spec = { .to = path_mac(wg.pop, 0),
				    .source = "100.95.0.251",
				    .destination = alice.inner,
				    .protocol = IPPROTO_UDP,
				    .source_port = 53,
				    .destination_port = 4000,
				    .payload = "wait for me",
				    .payload_bytes = 11 };
	uint8_t frame[PATH_FRAME_BYTES];
	size_t nb_bytes = packet_build(frame, sizeof(frame), &spec) - 14;

	for (unsigned i = 0; i < nb; i++) {
		struct rte_mbuf *m = sl_dp_alloc_mbuf(path_dp(wg.pop));

		CU_ASSERT_PTR_NOT_NULL_FATAL(m);
		memcpy(rte_pktmbuf_append(m, (uint16_t)nb_bytes), frame + 14, nb_bytes);
		sl_meta(m)->client = ALICE;
		sl_meta(m)->l4_offset = 20;
		sl_meta(m)->protocol = IPPROTO_UDP;
		sl_meta(m)->stage = SL_STAGE_TO_CLIENT;
		CU_ASSERT_EQUAL_FATAL(sl_dp_send_mbuf(path_dp(wg.pop), home(), m), 0);
	}
}

static unsigned
packets_at_alice(void)
{
	unsigned nb = 0;

	while (wg_receive(&alice))
		nb += alice.plain.nb_bytes >= 39 &&
			memcmp(alice.plain.bytes + 28, "wait for me", 11) == 0;
	return nb;
}

// After a restart the client says nothing, and something comes for it: the PoP remembers where it
// was, asks, and what came waits for the answer.
static void
test_held_after_restart(void)
{
	wg_begin();
	rekey_by(home());
	wg_restart();
	packets_for_alice(3);
	wg_run();
	CU_ASSERT_EQUAL(packets_at_alice(), 3); // taking in the initiation answers it
	CU_ASSERT_EQUAL(alice.nb_installed, 2);
	CU_ASSERT(wg_echo(&alice));
	CU_ASSERT_EQUAL(path_drops(wg.pop, "wireguard_seal_no_endpoint"), 0);
	wg_end("held after a restart");
}

// The same when the keys have run out in silence.
static void
test_held_after_silence(void)
{
	wg_begin();
	rekey_by(home());
	wg_pass_s(200);
	while (wg_receive(&alice))
		;
	CU_ASSERT_PTR_NULL(atomic_load(&session()->current));
	packets_for_alice(2);
	wg_run();
	CU_ASSERT_EQUAL(packets_at_alice(), 2);
	CU_ASSERT(wg_echo(&alice));
	wg_end("held after silence");
}

// A client that does not answer costs a few packets' room and is not asked for each of them.
static void
test_away(void)
{
	uint64_t before;

	wg_begin();
	rekey_by(home());
	wg_restart();
	before = sl_service_stats(wg.service)->nb_punts;
	packets_for_alice(500);
	wg_run();
	CU_ASSERT_EQUAL(sl_service_stats(wg.service)->nb_held, 8);
	CU_ASSERT_EQUAL(sl_service_stats(wg.service)->nb_punts - before, 8);
	CU_ASSERT_EQUAL(path_drops(wg.pop, "wireguard_seal_no_endpoint"), 492);
	wg_pass_s(4);
	CU_ASSERT_EQUAL(sl_service_stats(wg.service)->nb_held, 0);
	CU_ASSERT_EQUAL(packets_at_alice(), 0); // it answers, but too late for them
	packets_for_alice(1);
	wg_run();
	CU_ASSERT_EQUAL(packets_at_alice(), 1);
	wg_end("away");
}

// Who was never heard is asked for nothing, and nothing is kept for it.
static void
test_never_heard(void)
{
	wg_begin();
	packets_for_alice(20);
	wg_run();
	CU_ASSERT_EQUAL(sl_service_stats(wg.service)->nb_held, 0);
	CU_ASSERT_FALSE(wg_receive(&alice));
	wg_handshake(&alice);
	CU_ASSERT(wg_echo(&alice));
	wg_end("never heard");
}

static const struct sl_test_case cases[] = {
	{ "D1: a client's first key belongs to the worker of its flows", test_first_is_home },
	{ "C4 D1: a key stays with its worker; the next goes to another while that one is busy",
	  test_moves_at_rekey },
	{ "C4 D1: keys change, by either side and from worker to worker, and no packet is lost",
	  test_nothing_lost },
	{ "C4 D1: a client roams while its keys change worker", test_roams_between },
	{ "C2 D1: after a restart packets for a silent client wait for the key it is asked for",
	  test_held_after_restart },
	{ "D1: packets for a client whose keys ran out wait for the key it is asked for",
	  test_held_after_silence },
	{ "D1: a client that is away costs no more than a few packets' room", test_away },
	{ "D1: nothing waits for a client that was never heard", test_never_heard },
};

int
main(int argc, char **argv)
{
	return sl_test_main(argc, argv, cases, RTE_DIM(cases), path_setup, path_teardown);
}
