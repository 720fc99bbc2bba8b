// Which connector gets a new flow: by weight and load, the same one for the same flow, none that drains,
// one that is silent or full only when nothing better is left; and a preference that changes at most once
// in 30 s, whatever a path does.
#include "sl_test.h"

#include <sluice/dp/flow_table.h>
#include <sluice/dp/preference.h>
#include <sluice/dp/session.h>
#include <sluice/dp/snapshot.h>
#include <sluice/dp/worker.h>
#include <string.h>

#define PEERS   4u
#define DRAWS   100000u
#define BEAT_NS (SL_HEARTBEAT_MS * SL_NS_PER_MS)
#define HOLD_NS (SL_PREFERENCE_HOLD_S * SL_NS_PER_S)
#define DAY_NS  (86400 * SL_NS_PER_S)
#define T0_NS   (1000 * SL_NS_PER_S)

static struct sl_session table[PEERS];
static struct sl_sessions sessions = { .sessions = table, .nb_sessions = PEERS };
static struct sl_network network = { .nb_sessions = PEERS, .sessions = { 0, 1, 2, 3 } };
static struct sl_snapshot snapshot = { .networks = &network, .nb_networks = 1 };
static struct sl_worker w;
static uint64_t seed;

static uint64_t
draw(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * 0x9e3779b97f4a7c15u;
}

static void
begin(void)
{
	memset(table, 0, sizeof(table));
	w = (struct sl_worker){ .sessions = &sessions,
				.snapshot = &snapshot,
				.nb_workers = 1,
				.timeouts = { .suspect_ms = SL_SUSPECT_MS },
				.now_ns = T0_NS };
	seed = 0x5eed;
	for (unsigned i = 0; i < PEERS; i++) {
		table[i].lanes[0].heard_ns = T0_NS;
		table[i].weight = 100;
		atomic_store(&table[i].current, (struct sl_keypair *)&table[i]);
	}
}

// How many of DRAWS new flows each session gets.
static void
count(unsigned got[PEERS])
{
	memset(got, 0, PEERS * sizeof(*got));
	for (unsigned i = 0; i < DRAWS; i++) {
		uint32_t session = sl_preference_pick(&w, 0, draw());

		CU_ASSERT_TRUE_FATAL(session < PEERS);
		got[session]++;
	}
}

// Within two percent of all draws.
static void
expect_shares(const unsigned parts[PEERS])
{
	unsigned got[PEERS], total = parts[0] + parts[1] + parts[2] + parts[3];

	count(got);
	for (unsigned i = 0; i < PEERS; i++) {
		double share = (double)got[i] / DRAWS, wanted = (double)parts[i] / total;

		CU_ASSERT_DOUBLE_EQUAL(share, wanted, 0.02);
		CU_ASSERT(parts[i] != 0 || got[i] == 0);
	}
}

static void
test_weights(void)
{
	begin();
	expect_shares((unsigned[]){ 1, 1, 1, 1 });
	table[0].weight = 300;
	table[3].weight = 500;
	expect_shares((unsigned[]){ 3, 1, 1, 5 });
	table[0].weight = 1000;
	table[1].weight = 1;
	table[2].weight = 0; // as before the configuration has said anything: as little as can be
	table[3].weight = 1000;
	expect_shares((unsigned[]){ 1000, 1, 1, 1000 });
}

static void
test_load(void)
{
	CU_ASSERT_EQUAL(sl_preference_of_load(0), SL_PREFERENCE_FULL);
	CU_ASSERT_EQUAL(sl_preference_of_load(SL_LOAD_EASY), SL_PREFERENCE_FULL);
	CU_ASSERT_EQUAL(sl_preference_of_load(SL_LOAD_MAX * 4 / 5), 4);
	CU_ASSERT_EQUAL(sl_preference_of_load(SL_LOAD_MAX), 1);
	for (unsigned load = 1; load <= SL_LOAD_MAX; load++)
		CU_ASSERT(
			sl_preference_of_load((uint16_t)load) <=
			sl_preference_of_load((uint16_t)(load - 1))
		);
	begin();
	atomic_store(&table[1].preference.load, (uint16_t)(SL_LOAD_MAX * 4 / 5));
	for (unsigned i = 0; i < PEERS; i++)
		sl_preference_look(&table[i].preference, false, w.now_ns);
	expect_shares((unsigned[]){ 8, 4, 8, 8 });
}

static void
test_sticky(void)
{
	begin();
	for (unsigned i = 0; i < 1000; i++) {
		uint64_t hash = draw();
		uint32_t first = sl_preference_pick(&w, 0, hash);

		for (unsigned again = 0; again < 3; again++)
			CU_ASSERT_EQUAL(sl_preference_pick(&w, 0, hash), first);
	}
}

static void
test_not_to_be_had(void)
{
	begin();
	table[0].lanes[0].heard_ns = w.now_ns - 301 * SL_NS_PER_MS;
	table[1].lanes[0].heard_ns = w.now_ns - 299 * SL_NS_PER_MS;
	atomic_store(&table[2].draining, true);
	atomic_store(&table[3].preference.load, SL_LOAD_FULL);
	expect_shares((unsigned[]){ 0, 1, 0, 0 });
	// The full one is better than the silent one, the silent one than a refusal; a draining one is not.
	atomic_store(&table[1].current, NULL);
	expect_shares((unsigned[]){ 0, 0, 0, 1 });
	atomic_store(&table[3].current, NULL);
	expect_shares((unsigned[]){ 1, 0, 0, 0 });
	atomic_store(&table[0].current, NULL);
	CU_ASSERT_EQUAL(sl_preference_pick(&w, 0, draw()), SL_NO_SESSION);
}

// A path that was silent is in doubt for 30 s of being sound: others get what it had, and it alone
// still serves when there is no other.
static void
test_doubt(void)
{
	begin();
	sl_preference_look(&table[0].preference, true, w.now_ns);
	expect_shares((unsigned[]){ 0, 1, 1, 1 });
	for (unsigned i = 1; i < PEERS; i++)
		atomic_store(&table[i].current, NULL);
	expect_shares((unsigned[]){ 1, 0, 0, 0 });
	for (unsigned i = 1; i < PEERS; i++)
		atomic_store(&table[i].current, (struct sl_keypair *)&table[i]);
	sl_preference_look(&table[0].preference, false, w.now_ns + HOLD_NS - 1);
	expect_shares((unsigned[]){ 0, 1, 1, 1 });
	sl_preference_look(&table[0].preference, false, w.now_ns + HOLD_NS);
	expect_shares((unsigned[]){ 1, 1, 1, 1 });
	CU_ASSERT_EQUAL(atomic_load(&table[0].preference.nb_changes), 2);
}

// A node that stood still itself has heard nobody, and holds it against nobody.
static void
test_own_stall(void)
{
	struct sl_preference p = { 0 };

	sl_preference_look(&p, false, T0_NS);
	sl_preference_look(&p, true, T0_NS + 4 * BEAT_NS);
	CU_ASSERT_EQUAL(sl_preference_share(&p), SL_PREFERENCE_FULL);
	sl_preference_look(&p, true, T0_NS + 5 * BEAT_NS);
	CU_ASSERT_EQUAL(sl_preference_share(&p), 0);
}

// Silences and loads at random for a day, of many characters.
static void
test_changes(void)
{
	for (unsigned every = 2; every < 4000; every = every * 3 / 2 + 1) {
		struct sl_preference p = { 0 };
		uint64_t last_ns = 0;
		unsigned nb = 0, before;

		seed = every;
		for (uint64_t now_ns = T0_NS; now_ns < T0_NS + DAY_NS / 8; now_ns += BEAT_NS) {
			before = sl_preference_share(&p);
			if (draw() % 50 == 0)
				atomic_store(&p.load, (uint16_t)draw());
			sl_preference_look(&p, draw() % every == 0, now_ns);
			if (sl_preference_share(&p) == before)
				continue;
			CU_ASSERT(nb == 0 || now_ns - last_ns >= HOLD_NS);
			last_ns = now_ns;
			nb++;
		}
		CU_ASSERT(nb != 0);
		CU_ASSERT_EQUAL(nb, atomic_load(&p.nb_changes));
	}
}

// Round trips of 20 ms to 380 ms, jittering by half: nobody is ever silent for 300 ms, since the far
// end's own beats come on their own time, and nothing changes.
static void
test_jitter(void)
{
	static const uint64_t rtts_ms[] = { 20, 100, 200, 380 };

	for (unsigned r = 0; r < RTE_DIM(rtts_ms); r++) {
		struct sl_preference p = { 0 };
		uint64_t heard_ns = T0_NS;

		seed = r + 1;
		for (uint64_t now_ns = T0_NS; now_ns < T0_NS + DAY_NS / 24; now_ns += BEAT_NS) {
			uint64_t rtt_ns = rtts_ms[r] * SL_NS_PER_MS / 1000 * (750 + draw() % 500);
			struct sl_heartbeat pong = { .is_pong = true,
						     .timestamp_ns = now_ns - rtt_ns };

			sl_preference_pong(&p, &pong, now_ns);
			// The peer's beat of one way ago, which took a quarter more or less.
			heard_ns = RTE_MAX(heard_ns, now_ns - draw() % (rtt_ns / 4 + 1));
			sl_preference_look(
				&p, now_ns - heard_ns > SL_SUSPECT_MS * SL_NS_PER_MS, now_ns
			);
		}
		CU_ASSERT_EQUAL(atomic_load(&p.nb_changes), 0);
		CU_ASSERT_DOUBLE_EQUAL(
			(double)atomic_load(&p.rtt_ns) / 1e6,
			(double)rtts_ms[r],
			(double)rtts_ms[r] / 4
		);
	}
}

static void
test_pong(void)
{
	struct sl_preference p = { 0 };
	struct sl_heartbeat pong = { .is_pong = true, .timestamp_ns = T0_NS + 1 };

	sl_preference_pong(&p, &pong, T0_NS);
	CU_ASSERT_EQUAL(atomic_load(&p.rtt_ns), 0);
	pong.timestamp_ns = 0;
	sl_preference_pong(&p, &pong, T0_NS);
	CU_ASSERT_EQUAL(atomic_load(&p.rtt_ns), 0);
}

static void
test_own_load(void)
{
	struct sl_flow_table flows[2] = { { .nb_flows = 1000, .nb_used = 500 },
					  { .nb_flows = 1000, .nb_used = 100 } };
	struct sl_worker two[2] = { { .flows = &flows[0] }, { .flows = &flows[1] } };
	struct sl_worker *peers[2] = { &two[0], &two[1] };

	two[0].peers = peers;
	two[0].nb_workers = 2;
	CU_ASSERT_EQUAL(sl_preference_own_load(&two[0]), SL_LOAD_MAX * 3 / 10);
	flows[0].nb_used = flows[1].nb_used = 1000;
	CU_ASSERT_EQUAL(sl_preference_own_load(&two[0]), SL_LOAD_MAX);
}

static const struct sl_test_case cases[] = {
	{ "C3: connectors get new flows by their weights", test_weights },
	{ "C3: a loaded connector gets less, step by step", test_load },
	{ "C3: the same flow falls on the same connector", test_sticky },
	{ "C2 C3: none that is silent for 300 ms or is full gets a new flow while there is "
	  "another, none that drains any",
	  test_not_to_be_had },
	{ "C3: a path that was silent is trusted again after 30 s", test_doubt },
	{ "C3: a node that stood still doubts nobody for what it has not heard", test_own_stall },
	{ "C3: whatever paths and loads do, a preference changes at most once in 30 s",
	  test_changes },
	{ "C3: round trips that jitter by half change nothing", test_jitter },
	{ "C3: a pong that answers no ping of ours is not believed", test_pong },
	{ "C3: a node's load is what its workers' tables hold together", test_own_load },
};
SL_TEST_MAIN(cases)
