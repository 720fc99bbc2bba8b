// Thousands of WireGuard clients at one PoP, each with a real handshake and traffic of its own.
// SL_TEST_LONG=1 in the environment plays ten thousand instead of a thousand.
#include "wireguard_kit.h"

#include <stdlib.h>

#define NB_AT_ONCE 24u // that begin together: fewer than make the PoP ask for cookies

static struct wg_device crowd[WG_CROWD_MAX];

static unsigned
nb_clients(void)
{
	return getenv("SL_TEST_LONG") != NULL ? WG_CROWD_MAX : 1000;
}

// A batch asks, is answered, and proves its keys by an echo.
static unsigned
shake_hands(struct wg_device *devices, unsigned nb)
{
	unsigned nb_good = 0;

	for (unsigned i = 0; i < nb; i++) {
		struct wg_datagram d;

		devices[i].peer.is_asking = false;
		wg_initiate_sealed(&devices[i], &d);
		wg_queue(&devices[i], &d);
	}
	wg_run();
	for (unsigned i = 0; i < nb; i++)
		nb_good += wg_receive(&devices[i]) && wg_echo(&devices[i]);
	return nb_good;
}

// Everybody's echo is in the PoP at the same time as those of his neighbours.
static unsigned
echo_together(struct wg_device *devices, unsigned nb)
{
	unsigned nb_good = 0;

	for (unsigned i = 0; i < nb; i++) {
		struct wg_datagram d;

		wg_seal_echo(&devices[i], &d, devices[i].inner);
		wg_queue(&devices[i], &d);
	}
	wg_run();
	for (unsigned i = 0; i < nb; i++)
		nb_good += wg_take_echo(&devices[i]);
	return nb_good;
}

static unsigned
in_batches(unsigned nb, unsigned (*what)(struct wg_device *devices, unsigned nb))
{
	unsigned nb_good = 0;

	for (unsigned i = 0; i < nb; i += NB_AT_ONCE)
		nb_good += what(&crowd[i], RTE_MIN(NB_AT_ONCE, nb - i));
	return nb_good;
}

static void
test_many(void)
{
	unsigned nb = nb_clients(), nb_up = 0;

	wg_begin_crowd(crowd, nb);
	CU_ASSERT_EQUAL(in_batches(nb, shake_hands), nb);
	wg_pass_s(1);
	for (unsigned i = 0; i < nb; i++)
		nb_up += atomic_load(&wg.sessions.sessions[2 + i].current) != NULL;
	CU_ASSERT_EQUAL(nb_up, nb);
	for (unsigned round = 0; round < 2; round++)
		CU_ASSERT_EQUAL(in_batches(nb, echo_together), nb);
	// A rekey of all, and of none the traffic stops.
	CU_ASSERT_EQUAL(in_batches(nb, shake_hands), nb);
	CU_ASSERT_EQUAL(in_batches(nb, echo_together), nb);
	CU_ASSERT_EQUAL(sl_service_stats(wg.service)->nb_handshakes_bad, 0);
	sl_test_note("%u clients, %lu handshakes", nb, sl_service_stats(wg.service)->nb_handshakes);
	wg_end("many");
}

static const struct sl_test_case cases[] = {
	{ "D4: thousands of clients shake hands, send, get and rekey, each under keys of its own",
	  test_many },
};

int
main(int argc, char **argv)
{
	return sl_test_main(argc, argv, cases, RTE_DIM(cases), path_setup, path_teardown);
}
