// How long a flow lives: restarts, lost and draining sessions, timers, a full table.
#include "pair.h"

#include <netinet/in.h>
#include <sluice/dp/hash.h>
#include <sluice/dp/worker.h>
#include <stdlib.h>
#include <string.h>

static struct pair_packet p;

static void
test_restart(void)
{
	struct packet_spec udp = pair_udp_to(NULL, 5555, 5000, "x", 1);
	struct pair_tcp t, other;
	uint16_t nat;

	pair_begin(&(struct pair_conf){ .no_tickets = true });
	pair_tcp_open(&t, pair_resolve(GIT), 33000, 80);
	pair_tcp_open(&other, t.address, 33001, 80);
	udp.destination = t.address;
	pair_client_send(&udp);
	CU_ASSERT_TRUE(pair_host_take(&p));
	nat = p.udp->src_port;
	for (unsigned i = 0; i < 8; i++) {
		struct sl_worker *w = sl_dp_worker(path_dp(pair.pop), 0);

		// Another process has another key: the client may get another owner, and flows another
		// lane, whose owner at the connector is not theirs.
		CU_ASSERT_EQUAL(
			sl_hash_key_random((struct sl_hash_key *)(uintptr_t)w->owner_key), 0
		);
		pair_restart_pop();
		pair_tcp_send_down(&t, "too early");
		CU_ASSERT_FALSE(pair_client_take(&p));
		pair_tcp_up(&t, RTE_TCP_ACK_FLAG, "after", 5);
		pair_tcp_down(&t, RTE_TCP_ACK_FLAG, "restart", 7);
		pair_client_send(&udp);
		CU_ASSERT_TRUE(pair_host_take(&p) && p.udp->src_port == nat);
	}
	CU_ASSERT(pair_flows(pair.connector) <= 5);
	pair_tcp_up(&other, RTE_TCP_ACK_FLAG, "late", 4);
	pair_tcp_down(&other, RTE_TCP_ACK_FLAG, "late", 4);
	pair_end("restart");
}

static void
test_resume_missed(void)
{
	struct pair_tcp t;
	struct sl_dp *dp;

	pair_begin(NULL);
	pair_tcp_open(&t, pair_resolve(GIT), 33000, 80);
	dp = path_dp(pair.connector);
	// The connector starts anew: it has no flows, and the PoP hears of a new incarnation.
	for (unsigned k = 0; k < PATH_WORKERS; k++) {
		struct sl_worker *w = sl_dp_worker(dp, k);
		uint32_t nb_flows = w->flows->nb_flows;

		sl_flow_table_destroy(w->flows);
		w->flows = sl_flow_table_create(nb_flows, (uint8_t)k, true, SOCKET_ID_ANY);
	}
	atomic_fetch_add(&pair.pop_sessions.sessions[0].epoch, 1);
	pair_rekey();
	pair_tcp_send_up(&t, "lost");
	CU_ASSERT_FALSE(pair_host_take(&p));
	CU_ASSERT_TRUE(pair_client_take(&p) && pair_is_reset(&p, &t, false));
	pair_tcp_open(&t, t.address, 33001, 80);
	pair_end("resume missed");
}

static void
test_orphans(void)
{
	struct pair_tcp t;

	pair_begin(&(struct pair_conf){ .no_tickets = true });
	pair_tcp_open(&t, pair_resolve(GIT), 33000, 80);
	pair_restart_pop();
	pair_tcp_send_down(&t, "anybody?");
	pair_pass_s(230);
	CU_ASSERT_EQUAL(pair_flows(pair.connector), 1);
	pair_pass_s(15);
	CU_ASSERT_EQUAL(pair_flows(pair.connector), 0);
	pair_end("orphans");
}

static void
test_session_lost(void)
{
	struct packet_spec udp = pair_udp_to(NULL, 5555, 5000, "x", 1);
	struct pair_tcp t, idle;

	pair_begin(NULL);
	pair_tcp_open(&t, pair_resolve(GIT), 33000, 80);
	pair_tcp_open(&idle, t.address, 33001, 80);
	udp.destination = t.address;
	pair_client_send(&udp);
	CU_ASSERT_TRUE(pair_host_take(&p));
	pair_down();
	pair_tcp_send_up(&t, "lost");
	CU_ASSERT_TRUE(pair_client_take(&p) && pair_is_reset(&p, &t, false));
	pair_client_send(&udp);
	CU_ASSERT_TRUE(pair_client_take(&p) && pair_is_error(&p, 3, 1));
	path_pass_ms(2000);
	CU_ASSERT_TRUE(pair_client_take(&p) && pair_is_reset(&p, &idle, false));
	CU_ASSERT_EQUAL(pair_flows(pair.pop), 0);
	pair_rekey();
	path_pass_ms(200);
	pair_client_send(&udp); // the connector still has it, and its port
	CU_ASSERT_TRUE(pair_host_take(&p));
	pair_end("session lost");
}

static bool
lose_all(struct path_node *to, unsigned port, struct rte_mbuf *m)
{
	(void)m;
	return !(to == pair.pop && port == 1);
}

static void
test_heartbeats(void)
{
	struct sl_lane_endpoint *at_pop, *at_connector;
	struct packet_spec udp = pair_udp_to(NULL, 5555, 5000, "x", 1);

	pair_begin(NULL);
	at_pop = &pair.pop_sessions.sessions[0].lanes[0];
	at_connector = &pair.connector_sessions.sessions[0].lanes[0];
	for (unsigned i = 0; i < 50; i++) {
		path_pass_ms(100);
		CU_ASSERT(path_now_ns() - at_pop->heard_ns <= 200 * SL_NS_PER_MS);
		CU_ASSERT(path_now_ns() - at_connector->heard_ns <= 200 * SL_NS_PER_MS);
	}
	udp.destination = pair_resolve(GIT);
	path_filter(lose_all);
	path_pass_ms(250);
	CU_ASSERT_EQUAL(pair.nb_dns_queries, 0);
	path_pass_ms(200);
	// Silent, and the only one: better tried than refused.
	pair_client_send(&udp);
	CU_ASSERT_FALSE(pair_client_take(&p));
	path_filter(NULL);
	path_pass_ms(200);
	pair_client_send(&udp);
	CU_ASSERT_TRUE(pair_host_take(&p));
	// Another worker heard the peer by a clock read later than this worker's.
	at_pop->heard_ns = path_now_ns() + 1000;
	udp.source_port++;
	pair_client_send(&udp);
	CU_ASSERT_TRUE(pair_host_take(&p));
	pair_end("heartbeats");
}

// Who drains, PoP or connector, gets no new flows; those there are go on.
static void
test_drain(void)
{
	struct packet_spec udp = pair_udp_to(NULL, 5555, 5000, "x", 1);

	pair_begin(NULL);
	udp.destination = pair_resolve(GIT);
	pair_client_send(&udp);
	CU_ASSERT_TRUE(pair_host_take(&p));
	for (unsigned i = 0; i < 2; i++) {
		struct sl_sessions *who = i == 0 ? &pair.connector_sessions : &pair.pop_sessions;

		atomic_store(&who->draining, true);
		path_pass_ms(200);
		CU_ASSERT_EQUAL(pair.pop_sessions.sessions[0].draining, i == 0);
		CU_ASSERT_EQUAL(pair.connector_sessions.sessions[0].draining, i == 1);
		udp.source_port++;
		pair_client_send(&udp);
		CU_ASSERT_TRUE(pair_client_take(&p) && pair_is_error(&p, 3, 1));
		udp.source_port--;
		pair_client_send(&udp);
		CU_ASSERT_TRUE(pair_host_take(&p));
		atomic_store(&who->draining, false);
		path_pass_ms(200);
		udp.source_port++;
		pair_client_send(&udp);
		CU_ASSERT_TRUE(pair_host_take(&p));
	}
	pair_end("drain");
}

static uint8_t held[PATH_FRAME_BYTES];
static uint16_t held_bytes;

// The connector's pings do not arrive; the last is kept.
static bool
hold_ping(struct path_node *to, unsigned port, struct rte_mbuf *m)
{
	if (port != (to == pair.pop ? 1u : 0u))
		return true;
	if (to == pair.pop && m->data_len < sizeof(held) / 8) { // no probe of the path
		held_bytes = m->data_len;
		memcpy(held, rte_pktmbuf_mtod(m, void *), m->data_len);
	}
	return false;
}

// A ping that was overtaken, as by one from a lane's new source port, says nothing.
static void
test_late_ping(void)
{
	const atomic_bool *draining;

	pair_begin(NULL);
	draining = &pair.pop_sessions.sessions[0].draining;
	held_bytes = 0;
	path_filter(hold_ping);
	path_pass_ms(150);
	path_filter(NULL);
	CU_ASSERT_NOT_EQUAL_FATAL(held_bytes, 0);
	atomic_store(&pair.connector_sessions.draining, true);
	path_pass_ms(250); // the next ping is not due at once
	CU_ASSERT_TRUE(atomic_load(draining));
	path_send(pair.pop, 1, held, held_bytes);
	path_run();
	CU_ASSERT_TRUE(atomic_load(draining));
	atomic_store(&pair.connector_sessions.draining, false);
	path_pass_ms(200);
	CU_ASSERT_FALSE(atomic_load(draining));
	pair_end("late ping");
}

static void
test_one_shots(void)
{
	struct packet_spec up;

	pair_begin(NULL);
	up = pair_udp_to(pair_resolve(GIT), 9999, 5000, "one shot", 8);
	pair_client_send(&up); // the connector knows name and host from here on
	CU_ASSERT_TRUE(pair_host_take(&p));
	for (uint16_t i = 0; i < 399; i++) {
		up.source_port = (uint16_t)(10000 + i);
		pair_client_queue(&up);
		if (i % 100 == 99)
			path_run();
	}
	path_run();
	for (unsigned i = 0; i < 399; i++)
		CU_ASSERT_TRUE(pair_host_take(&p));
	CU_ASSERT_EQUAL(pair_flows(pair.pop), 400);
	pair_pass_s(119);
	CU_ASSERT_EQUAL(pair_flows(pair.pop), 400);
	pair_pass_s(4);
	CU_ASSERT_EQUAL(pair_flows(pair.pop), 0);
	// CLOSE was said, so that the connector needs not wait for its own, longer timer.
	CU_ASSERT_EQUAL(pair_flows(pair.connector), 0);
	pair_end("one shots");
}

static const struct {
	const char *sentence;
	uint8_t protocol;
	uint16_t service;
	unsigned lives_s, over_s;
} timers[] = {
	{ "UDP", IPPROTO_UDP, 5000, 118, 123 },
	{ "UDP to port 53", IPPROTO_UDP, 53, 1, 5 },
	{ "echo", IPPROTO_ICMP, 0, 58, 63 },
	{ "TCP without an answer", IPPROTO_TCP, 80, 238, 243 },
};

static void
test_timers(void)
{
	for (unsigned i = 0; i < RTE_DIM(timers); i++) {
		struct packet_spec up = { .protocol = timers[i].protocol,
					  .source_port = 7000,
					  .destination_port = timers[i].service,
					  .tcp_flags = RTE_TCP_SYN_FLAG,
					  .payload = "12345678",
					  .payload_bytes = timers[i].protocol == IPPROTO_TCP ? 0
											     : 8 };

		pair_begin(NULL);
		up.destination = pair_resolve(GIT);
		pair_client_send(&up);
		pair_pass_s(timers[i].lives_s);
		SL_ASSERT_ROW(pair_flows(pair.pop) == 1, timers[i].sentence);
		pair_pass_s(timers[i].over_s - timers[i].lives_s);
		SL_ASSERT_ROW(pair_flows(pair.pop) == 0, timers[i].sentence);
		SL_ASSERT_ROW(pair_flows(pair.connector) == 0, timers[i].sentence);
		pair_end("timers");
	}
}

static void
test_established(void)
{
	struct pair_tcp t;

	pair_begin(NULL);
	pair_tcp_open(&t, pair_resolve(GIT), 33000, 80);
	pair_pass_s(3600);
	pair_tcp_up(&t, RTE_TCP_ACK_FLAG, "still here", 10);
	pair_pass_s(7430);
	CU_ASSERT_EQUAL(pair_flows(pair.pop), 1);
	pair_pass_s(15);
	CU_ASSERT_EQUAL(pair_flows(pair.pop), 0);
	CU_ASSERT_EQUAL(pair_flows(pair.connector), 0);
	pair_end("established");
}

static void
test_table_full(void)
{
	struct pair_conf conf = { .nb_flows = 128 };
	struct packet_spec up;
	unsigned nb_refused = 0;

	pair_begin(&conf);
	up = pair_udp_to(pair_resolve(GIT), 0, 5000, "x", 1);
	for (uint16_t i = 0; i < 100; i++) {
		up.source_port = (uint16_t)(10000 + i);
		pair_client_send(&up);
		nb_refused += pair_client_take(&p) && pair_is_error(&p, 3, 13);
	}
	CU_ASSERT(nb_refused >= 36 && nb_refused <= 37); // 64 of a worker, a query's among them
	pair_pass_s(160); // expiry, and rest of the slots
	while (pair_host_take(&p))
		;
	pair_client_send(&up);
	CU_ASSERT_TRUE(pair_host_take(&p));
	pair_end("table full");
}

static const struct sl_test_case cases[] = {
	{ "C2: a PoP that was restarted takes its flows up again, ports and all", test_restart },
	{ "C2: a connector that was restarted has its flows reset", test_resume_missed },
	{ "lifetime: a flow that no PoP takes up again is freed in four minutes", test_orphans },
	{ "C2 B12: TCP is reset when its session dies, the rest hears that the host is unreachable",
	  test_session_lost },
	{ "lifetime: heartbeats keep a session, and without them it is the last resort of new "
	  "flows",
	  test_heartbeats },
	{ "C2: a peer that drains gets no new flows, and live ones go on", test_drain },
	{ "C2: a ping that was overtaken does not take back what a later one said",
	  test_late_ping },
	{ "B5: after one-shot flows the tables of both ends are empty", test_one_shots },
	{ "B5: timers by protocol", test_timers },
	{ "B5: an established conversation stands two hours idle, and no longer",
	  test_established },
	{ "B11 B12: a full table refuses, and recovers", test_table_full },
};

int
main(int argc, char **argv)
{
	return PAIR_MAIN(argc, argv, cases);
}
