// A connector is gone, or another incarnation of it answers: clients hear at once that their
// conversations are over, before they say another word.
#include "pair.h"

#include <netinet/in.h>
#include <sluice/dp/worker.h>
#include <stdlib.h>
#include <string.h>

#define MANY 400u // more than a worker cuts off in a turn

static struct pair_packet p;

static void
tell_workers(struct path_node *node, enum sl_mail_kind kind)
{
	struct sl_dp *dp = path_dp(node);

	for (unsigned k = 0; k < sl_dp_nb_workers(dp); k++) {
		struct sl_mail *mail = sl_dp_alloc_mail(dp);

		CU_ASSERT_PTR_NOT_NULL_FATAL(mail);
		mail->kind = (uint8_t)kind;
		mail->session = 0;
		CU_ASSERT_EQUAL_FATAL(sl_dp_send_mail(dp, k, mail), 0);
	}
	path_run();
}

// The connector's process ends, and another one shakes hands with the PoP.
static void
restart_connector(void)
{
	struct sl_dp *dp = path_dp(pair.connector);

	for (unsigned k = 0; k < PATH_WORKERS; k++) {
		struct sl_worker *w = sl_dp_worker(dp, k);
		uint32_t nb_flows = w->flows->nb_flows;

		sl_flow_table_destroy(w->flows);
		w->flows = sl_flow_table_create(nb_flows, (uint8_t)k, true, SOCKET_ID_ANY);
		CU_ASSERT_PTR_NOT_NULL_FATAL(w->flows);
	}
	atomic_fetch_add(&pair.pop_sessions.sessions[0].epoch, 1);
}

static void
test_restarted(void)
{
	struct packet_spec udp = pair_udp_to(NULL, 5555, 5000, "x", 1);
	struct pair_tcp t, idle, after;

	pair_begin(NULL);
	pair_tcp_open(&t, pair_resolve(GIT), 33000, 80);
	pair_tcp_open(&idle, t.address, 33001, 22);
	udp.destination = t.address;
	pair_client_send(&udp);
	CU_ASSERT_TRUE(pair_host_take(&p));
	restart_connector();
	pair_rekey();
	pair_tcp_open(&after, t.address, 33002, 80);
	tell_workers(pair.pop, SL_MAIL_PEER_RESTARTED);
	for (unsigned i = 0; i < 2; i++) {
		CU_ASSERT_TRUE_FATAL(pair_client_take(&p));
		CU_ASSERT(pair_is_reset(&p, &t, false) || pair_is_reset(&p, &idle, false));
	}
	CU_ASSERT_FALSE(pair_client_take(&p));
	// What began with the new incarnation goes on, and so do datagrams.
	pair_tcp_up(&after, RTE_TCP_ACK_FLAG, "on", 2);
	pair_tcp_down(&after, RTE_TCP_ACK_FLAG, "and on", 6);
	pair_client_send(&udp);
	CU_ASSERT_TRUE(pair_host_take(&p));
	CU_ASSERT_EQUAL(pair_flows(pair.pop), 2);
	pair_end("restarted");
}

static bool
lose_all(struct path_node *to, unsigned port, struct rte_mbuf *m)
{
	(void)m;
	return !(to == pair.connector && port == 0);
}

// The client speaks between the new handshake and the mail: what it said went under the old key, and
// nobody answers.
static void
test_asked_in_vain(void)
{
	struct pair_tcp t;

	pair_begin(NULL);
	pair_tcp_open(&t, pair_resolve(GIT), 33000, 80);
	restart_connector();
	path_filter(lose_all);
	pair_tcp_send_up(&t, "anybody?");
	CU_ASSERT_FALSE(pair_client_take(&p));
	path_filter(NULL);
	tell_workers(pair.pop, SL_MAIL_PEER_RESTARTED);
	CU_ASSERT_TRUE(pair_client_take(&p) && pair_is_reset(&p, &t, false));
	CU_ASSERT_EQUAL(pair_flows(pair.pop), 0);
	pair_rekey();
	pair_end("asked in vain");
}

static void
test_dead(void)
{
	static struct pair_tcp t[MANY];
	const char *address;
	unsigned nb = 0;

	pair_begin(NULL);
	address = pair_resolve(GIT);
	for (unsigned i = 0; i < MANY; i++)
		pair_tcp_open(&t[i], address, (uint16_t)(20000 + i), 80);
	atomic_store(&pair.pop_sessions.sessions[0].current, NULL);
	tell_workers(pair.pop, SL_MAIL_SESSION_GONE);
	for (unsigned i = 0; i < 20; i++)
		path_run(); // turns, and no time passes
	while (pair_client_take(&p))
		nb += p.ip->next_proto_id == IPPROTO_TCP &&
			(p.tcp->tcp_flags & RTE_TCP_RST_FLAG) != 0;
	CU_ASSERT_EQUAL(nb, MANY);
	CU_ASSERT_EQUAL(pair_flows(pair.pop), 0);
	pair_end("dead");
}

// The way between them was lost for a while: the PoP reset its flows and could not say so. The connector
// forgets in minutes, not in hours, those that the PoP speaks on no more.
static void
test_forgotten(void)
{
	struct pair_tcp t, kept;

	pair_begin(NULL);
	pair_tcp_open(&t, pair_resolve(GIT), 33000, 80);
	atomic_store(&pair.pop_sessions.sessions[0].current, NULL);
	tell_workers(pair.pop, SL_MAIL_SESSION_GONE);
	CU_ASSERT_TRUE(pair_client_take(&p) && pair_is_reset(&p, &t, false));
	pair_rekey();
	pair_tcp_open(&kept, t.address, 33001, 80);
	tell_workers(pair.connector, SL_MAIL_PEER_BACK);
	pair_tcp_up(&kept, RTE_TCP_ACK_FLAG, "still here", 10);
	pair_pass_s(230);
	CU_ASSERT_EQUAL(pair_flows(pair.connector), 2);
	pair_pass_s(15);
	CU_ASSERT_EQUAL(pair_flows(pair.connector), 1);
	pair_tcp_down(&kept, RTE_TCP_ACK_FLAG, "so am I", 7);
	pair_end("forgotten");
}

static const struct sl_test_case cases[] = {
	{ "C2: a connector seen to have restarted has its connections reset at once",
	  test_restarted },
	{ "C2: a connection that asked the new incarnation in vain is reset as well",
	  test_asked_in_vain },
	{ "C2: all connections of a dead connector are reset without time passing", test_dead },
	{ "C2: a connector forgets what a PoP reset while they could not speak", test_forgotten },
};

int
main(int argc, char **argv)
{
	return PAIR_MAIN(argc, argv, cases);
}
