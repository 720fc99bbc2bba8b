// A PoP is killed and comes back while the client has nothing to say: the connector shows the ticket
// that the PoP gave it, and the conversation goes on. Whatever the ticket is not good for is refused.
#include "pair.h"

#include <netinet/in.h>
#include <sluice/dp/hash.h>
#include <sluice/dp/tickets.h>
#include <sluice/dp/worker.h>
#include <string.h>

static struct pair_packet p;

static void
restart(void)
{
	// Another process has another key: the client may get another owner.
	CU_ASSERT_EQUAL(
		sl_hash_key_random((struct sl_hash_key *)(uintptr_t
		)sl_dp_worker(path_dp(pair.pop), 0)
					   ->owner_key),
		0
	);
	pair_restart_pop();
}

static bool
is_host_reset(void)
{
	return pair_host_take(&p) && (p.tcp->tcp_flags & RTE_TCP_RST_FLAG) != 0;
}

// The tickets the connector holds, one after the other.
static struct sl_ticket_entry *
kept(unsigned number)
{
	for (unsigned k = 0; k < PATH_WORKERS; k++) {
		struct sl_tickets *t = sl_dp_worker(path_dp(pair.connector), k)->tickets;

		for (uint32_t i = 0; i < t->nb_sets * SL_TICKET_WAYS; i++)
			if (t->kept[i].generation != 0 && number-- == 0)
				return &t->kept[i];
	}
	return NULL;
}

// The host goes on sending, and is told that the conversation is over.
static void
expect_refused(const struct pair_tcp *t)
{
	pair_tcp_send_down(t, "anybody?");
	CU_ASSERT_FALSE(pair_client_take(&p));
	CU_ASSERT_TRUE(is_host_reset());
	CU_ASSERT_EQUAL(pair_flows(pair.pop) + pair_flows(pair.connector), 0);
}

static void
test_download(void)
{
	struct packet_spec udp = { .protocol = IPPROTO_UDP,
				   .source_port = 5555,
				   .destination_port = 5000,
				   .payload = "x",
				   .payload_bytes = 1 };
	struct pair_tcp t;
	uint16_t nat;

	pair_begin(NULL);
	pair_tcp_open(&t, pair_resolve(GIT), 33000, 80);
	udp.destination = t.address;
	pair_client_send(&udp);
	CU_ASSERT_TRUE(pair_host_take(&p));
	nat = p.udp->src_port;
	for (unsigned i = 0; i < 8; i++) {
		restart();
		pair_tcp_down(&t, RTE_TCP_ACK_FLAG, "data", 4);
		pair_tcp_down(&t, RTE_TCP_ACK_FLAG, "more", 4);
		pair_host_send(&(struct packet_spec){ .protocol = IPPROTO_UDP,
						      .source_port = 5000,
						      .destination_port = rte_be_to_cpu_16(nat),
						      .payload = "y",
						      .payload_bytes = 1 });
		CU_ASSERT_TRUE(pair_client_take(&p) && p.udp->dst_port == RTE_BE16(5555));
	}
	pair_tcp_up(&t, RTE_TCP_ACK_FLAG, "thanks", 6);
	CU_ASSERT_EQUAL(pair_flows(pair.pop), 2);
	CU_ASSERT_EQUAL(pair_drops(pair.pop, "flow_reopen_forged"), 0);
	pair_end("download");
}

// Both ends speak at once: one flow comes of it.
static void
test_crossing(void)
{
	struct pair_tcp t;

	pair_begin(NULL);
	pair_tcp_open(&t, pair_resolve(GIT), 33000, 80);
	for (unsigned i = 0; i < 8; i++) {
		restart();
		pair_client_queue(&(struct packet_spec){ .destination = t.address,
							 .protocol = IPPROTO_TCP,
							 .source_port = t.client_port,
							 .destination_port = t.service,
							 .tcp_flags = RTE_TCP_ACK_FLAG,
							 .tcp_seq = t.client_seq,
							 .tcp_ack = t.host_seq,
							 .payload = "u",
							 .payload_bytes = 1 });
		pair_tcp_send_down(&t, "d");
		CU_ASSERT_TRUE(pair_client_take(&p) && p.payload_bytes == 1);
		CU_ASSERT_TRUE(pair_host_take(&p) && p.payload_bytes == 1);
		t.client_seq++;
		t.host_seq++;
		pair_tcp_up(&t, RTE_TCP_ACK_FLAG, "up", 2);
		pair_tcp_down(&t, RTE_TCP_ACK_FLAG, "down", 4);
		CU_ASSERT_EQUAL(pair_flows(pair.pop), 1);
	}
	pair_end("crossing");
}

static void
test_forged(void)
{
	struct pair_tcp t;

	pair_begin(NULL);
	pair_tcp_open(&t, pair_resolve(GIT), 33000, 80);
	for (unsigned octet = 0; octet < SL_WIRE_TICKET_BYTES; octet += 7) {
		restart();
		kept(0)->ticket[octet] ^= 1;
		pair_tcp_send_down(&t, "secret");
		CU_ASSERT_FALSE(pair_client_take(&p));
		CU_ASSERT_EQUAL(pair_flows(pair.pop), 0);
		kept(0)->ticket[octet] ^= 1;
		path_pass_ms(300);
	}
	CU_ASSERT_EQUAL(pair_drops(pair.pop, "flow_reopen_forged"), 10);
	pair_tcp_down(&t, RTE_TCP_ACK_FLAG, "now", 3);
	pair_end("forged");
}

static void
test_other_connector(void)
{
	struct pair_tcp t;

	pair_begin(NULL);
	pair_tcp_open(&t, pair_resolve(GIT), 33000, 80);
	restart();
	pair.pop_sessions.sessions[0].public_key[5] ^= 1;
	pair_tcp_send_down(&t, "secret");
	CU_ASSERT_FALSE(pair_client_take(&p));
	CU_ASSERT_EQUAL(pair_drops(pair.pop, "flow_reopen_forged"), 1);
	pair_end("other connector");
}

static void
test_revoked(void)
{
	struct pair_tcp t;

	pair_begin(NULL);
	pair_tcp_open(&t, pair_resolve(GIT), 33000, 22);
	restart();
	pair_policy(1, 0);
	pair_tcp_send_down(&t, "secret");
	CU_ASSERT_FALSE(pair_client_take(&p));
	CU_ASSERT_EQUAL(pair_flows(pair.pop), 0);
	CU_ASSERT_EQUAL(pair_drops(pair.pop, "flow_reopen_unknown_name"), 1);
	pair_end("revoked");
}

// The name stands as before, but not with this port.
static void
test_narrowed(void)
{
	struct pair_tcp t;

	pair_begin(NULL);
	pair_tcp_open(&t, pair_resolve(GIT), 33000, 80);
	restart();
	pair.narrowed = 1;
	pair_policy(0, 0);
	expect_refused(&t);
	pair_end("narrowed");
}

// The connector serves another network now.
static void
test_moved(void)
{
	struct pair_tcp t;

	pair_begin(NULL);
	pair_tcp_open(&t, pair_resolve(GIT), 33000, 80);
	restart();
	pair.pop_sessions.sessions[0].network = 1;
	expect_refused(&t);
	pair_end("moved");
}

static void
test_other_client(void)
{
	struct pair_tcp t;

	pair_begin(NULL);
	pair_tcp_open(&t, pair_resolve(GIT), 33000, 80);
	restart();
	pair_replace_client();
	expect_refused(&t);
	pair_end("other client");
}

static void
test_old(void)
{
	struct pair_tcp t;

	pair_begin(NULL);
	pair_tcp_open(&t, pair_resolve(GIT), 33000, 80);
	restart();
	atomic_store(&pair.pop_sessions.wall_s, SL_TICKET_LIFETIME_S + 1);
	expect_refused(&t);
	pair_end("old");
}

// A ticket that has made a flow makes none once that is over.
static void
test_replayed(void)
{
	struct sl_ticket_entry first;
	struct pair_tcp t;
	struct sl_worker *w;

	pair_begin(NULL);
	pair_tcp_open(&t, pair_resolve(GIT), 33000, 80);
	restart();
	first = *kept(0);
	pair_tcp_down(&t, RTE_TCP_ACK_FLAG, "data", 4);
	CU_ASSERT_NOT_EQUAL(memcmp(first.ticket, kept(0)->ticket, sizeof(first.ticket)), 0);
	for (unsigned k = 0; k < PATH_WORKERS; k++) {
		w = sl_dp_worker(path_dp(pair.pop), k);
		for (uint32_t i = 0; i < w->flows->nb_flows; i++)
			if (sl_flow_at(w->flows, i)->kind != SL_FLOW_FREE)
				sl_flow_del(w->flows, i, 0, w->now_ns);
	}
	// A connector that means ill says that the PoP restarted once more.
	atomic_fetch_add(&pair.connector_sessions.sessions[0].epoch, 1);
	*kept(0) = first;
	expect_refused(&t);
	pair_end("replayed");
}

// A ticket of the present incarnation opens nothing either: the PoP knows its own flows.
static void
test_present(void)
{
	struct sl_worker *w;
	struct pair_tcp t;

	pair_begin(NULL);
	pair_tcp_open(&t, pair_resolve(GIT), 33000, 80);
	for (unsigned k = 0; k < PATH_WORKERS; k++) {
		w = sl_dp_worker(path_dp(pair.pop), k);
		for (uint32_t i = 0; i < w->flows->nb_flows; i++)
			if (sl_flow_at(w->flows, i)->kind != SL_FLOW_FREE)
				sl_flow_del(w->flows, i, 0, w->now_ns);
	}
	atomic_fetch_add(&pair.connector_sessions.sessions[0].epoch, 1);
	expect_refused(&t);
	pair_end("present");
}

// The ticket was lost: another comes while the flow is young.
static void
test_lost(void)
{
	struct pair_tcp t;

	pair_begin(NULL);
	pair_tcp_open(&t, pair_resolve(GIT), 33000, 80);
	kept(0)->generation = 0;
	CU_ASSERT_PTR_NULL(kept(0));
	pair_pass_s(SL_TICKET_FIRST_S + 2);
	CU_ASSERT_PTR_NOT_NULL_FATAL(kept(0));
	restart();
	pair_tcp_down(&t, RTE_TCP_ACK_FLAG, "data", 4);
	pair_end("lost");
}

// No PoP answers: one packet in 200 ms asks, and the flow is freed in the end.
static void
test_unanswered(void)
{
	struct pair_tcp t;

	pair_begin(NULL);
	pair_tcp_open(&t, pair_resolve(GIT), 33000, 80);
	restart();
	kept(0)->ticket[20] ^= 1;
	for (unsigned i = 0; i < 10; i++)
		pair_tcp_send_down(&t, "x");
	CU_ASSERT_EQUAL(pair_drops(pair.pop, "flow_reopen_forged"), 1);
	CU_ASSERT_EQUAL(pair_drops(pair.connector, "flow_collect_unsent"), 9);
	path_pass_ms(300);
	pair_tcp_send_down(&t, "x");
	CU_ASSERT_EQUAL(pair_drops(pair.pop, "flow_reopen_forged"), 2);
	pair_pass_s(SL_FLOW_ORPHAN_S + 5);
	CU_ASSERT_EQUAL(pair_flows(pair.connector), 0);
	pair_end("unanswered");
}

static const struct sl_test_case cases[] = {
	{ "C2: a transfer whose client is silent survives restarts of its PoP", test_download },
	{ "C2: both ends of a flow speaking after a restart make one flow", test_crossing },
	{ "C2: an altered ticket is refused and counted", test_forged },
	{ "C2: a ticket of another connector is refused", test_other_connector },
	{ "C2 C5: a ticket opens nothing that the policy of now does not grant", test_revoked },
	{ "C2 C5: a ticket opens no port that the policy of now denies", test_narrowed },
	{ "C2: a ticket opens nothing by a connector of another network", test_moved },
	{ "C2: a ticket is not good for another client at the same address", test_other_client },
	{ "C2: a ticket is good for half an hour", test_old },
	{ "C2: a ticket is good once", test_replayed },
	{ "C2: a ticket of the present incarnation opens nothing", test_present },
	{ "C2: a lost ticket is made good", test_lost },
	{ "C2: an unanswered connector asks seldom, and gives up", test_unanswered },
};

int
main(int argc, char **argv)
{
	return PAIR_MAIN(argc, argv, cases);
}
