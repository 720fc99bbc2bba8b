// What a flow lives through: changed policies, restarts, lost sessions, small paths, congestion,
// expiry; and what the tunnel does with datagrams that are not what they seem.
#include "pair.h"

#include <netinet/in.h>
#include <sluice/dp/hash.h>
#include <sluice/dp/worker.h>
#include <stdlib.h>
#include <string.h>

static struct pair_packet p;

static struct packet_spec
udp_to(const char *address, uint16_t client_port, uint16_t service, const void *data, size_t nb)
{
	return (struct packet_spec){ .destination = address,
				     .protocol = IPPROTO_UDP,
				     .source_port = client_port,
				     .destination_port = service,
				     .payload = data,
				     .payload_bytes = nb };
}

static bool
is_reset(const struct pair_tcp *t, bool is_to_host)
{
	uint16_t to = is_to_host ? t->service : t->client_port;

	return p.ip->next_proto_id == IPPROTO_TCP && (p.tcp->tcp_flags & RTE_TCP_RST_FLAG) != 0 &&
		p.tcp->dst_port == rte_cpu_to_be_16(to) &&
		rte_be_to_cpu_32(p.tcp->sent_seq) == (is_to_host ? t->client_seq : t->host_seq);
}

static bool
is_error(uint8_t type, uint8_t code)
{
	return p.ip->next_proto_id == IPPROTO_ICMP && p.icmp->icmp_type == type &&
		p.icmp->icmp_code == code;
}

// A segment of the client that does not reach the host.
static void
send_up(const struct pair_tcp *t, const char *data)
{
	pair_client_send(&(struct packet_spec){ .destination = t->address,
						.protocol = IPPROTO_TCP,
						.source_port = t->client_port,
						.destination_port = t->service,
						.tcp_flags = RTE_TCP_ACK_FLAG,
						.tcp_seq = t->client_seq,
						.tcp_ack = t->host_seq,
						.payload = data,
						.payload_bytes = strlen(data) });
}

static void
send_down(const struct pair_tcp *t, const char *data)
{
	pair_host_send(&(struct packet_spec){ .protocol = IPPROTO_TCP,
					      .source_port = t->service,
					      .destination_port = t->nat_port,
					      .tcp_flags = RTE_TCP_ACK_FLAG,
					      .tcp_seq = t->host_seq,
					      .tcp_ack = t->client_seq,
					      .payload = data,
					      .payload_bytes = strlen(data) });
}

// ---- Policy -----------------------------------------------------------------------------------------

static void
test_revoke_up(void)
{
	struct pair_tcp t;

	pair_begin(NULL);
	pair_tcp_open(&t, pair_resolve(GIT), 33000, 80);
	pair_policy(8, 0); // another resource goes: the flow goes on
	pair_tcp_up(&t, RTE_TCP_ACK_FLAG, "a", 1);
	pair_tcp_down(&t, RTE_TCP_ACK_FLAG, "b", 1);
	pair_policy(1, 0);
	send_up(&t, "secret");
	CU_ASSERT_TRUE(pair_client_take(&p) && is_reset(&t, false));
	// The host is told too, and hears nothing else.
	CU_ASSERT_TRUE(pair_host_take(&p) && is_reset(&t, true) && p.payload_bytes == 0);
	CU_ASSERT_FALSE(pair_host_take(&p));
	CU_ASSERT_EQUAL(pair_flows(pair.pop), 0);
	pair_policy(0, 0);
	pair_tcp_open(&t, pair_resolve(GIT), 33001, 80);
	pair_end("revoke up");
}

static void
test_revoke_down(void)
{
	struct pair_tcp t;

	pair_begin(NULL);
	pair_tcp_open(&t, pair_resolve(GIT), 33000, 80);
	pair_policy(1, 0);
	send_down(&t, "secret");
	CU_ASSERT_FALSE(pair_client_take(&p));
	CU_ASSERT_EQUAL(pair_drops(pair.pop, "flow_return_revoked"), 1);
	pair_end("revoke down");
}

static void
test_revoke_idle(void)
{
	struct pair_tcp t;

	pair_begin(NULL);
	pair_tcp_open(&t, pair_resolve(GIT), 33000, 80);
	pair.narrowed = 1; // the name is there as before, the port is not
	pair_policy(0, 0);
	pair_pass_s(2);
	CU_ASSERT_TRUE(pair_client_take(&p) && is_reset(&t, false));
	CU_ASSERT_TRUE(pair_host_take(&p) && is_reset(&t, true));
	CU_ASSERT_EQUAL(pair_flows(pair.pop) + pair_flows(pair.connector), 0);
	pair_end("revoke idle");
}

static void
test_grant(void)
{
	struct pair_tcp t;

	pair_begin(NULL);
	CU_ASSERT_STRING_EQUAL(pair_resolve(HIDDEN), "0.0.0.0");
	pair_policy(0, 2);
	pair_tcp_open(&t, pair_resolve(HIDDEN), 33000, 80);
	pair_end("grant");
}

// ---- Restarts and losses ------------------------------------------------------------------------------

static void
test_restart(void)
{
	struct packet_spec udp = udp_to(NULL, 5555, 5000, "x", 1);
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
		send_down(&t, "too early");
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
	send_up(&t, "lost");
	CU_ASSERT_FALSE(pair_host_take(&p));
	CU_ASSERT_TRUE(pair_client_take(&p) && is_reset(&t, false));
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
	send_down(&t, "anybody?");
	pair_pass_s(230);
	CU_ASSERT_EQUAL(pair_flows(pair.connector), 1);
	pair_pass_s(15);
	CU_ASSERT_EQUAL(pair_flows(pair.connector), 0);
	pair_end("orphans");
}

static void
test_session_lost(void)
{
	struct packet_spec udp = udp_to(NULL, 5555, 5000, "x", 1);
	struct pair_tcp t, idle;

	pair_begin(NULL);
	pair_tcp_open(&t, pair_resolve(GIT), 33000, 80);
	pair_tcp_open(&idle, t.address, 33001, 80);
	udp.destination = t.address;
	pair_client_send(&udp);
	CU_ASSERT_TRUE(pair_host_take(&p));
	pair_down();
	send_up(&t, "lost");
	CU_ASSERT_TRUE(pair_client_take(&p) && is_reset(&t, false));
	pair_client_send(&udp);
	CU_ASSERT_TRUE(pair_client_take(&p) && is_error(3, 1));
	path_pass_ms(2000);
	CU_ASSERT_TRUE(pair_client_take(&p) && is_reset(&idle, false));
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
	struct packet_spec udp = udp_to(NULL, 5555, 5000, "x", 1);

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
	pair_client_send(&udp);
	CU_ASSERT_TRUE(pair_client_take(&p) && is_error(3, 1));
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

// ---- Sizes --------------------------------------------------------------------------------------------

static const struct {
	const char *sentence;
	uint16_t underlay;
	uint8_t nb_nops; // in front of the option
	uint16_t asked, expected;
} clamps[] = {
	{ "an Ethernet path", 1500, 0, 1460, 1414 },
	{ "at an odd offset", 1500, 1, 1460, 1414 },
	{ "at an odd offset, carries over", 1500, 3, 65535, 1414 },
	{ "small already", 1500, 0, 536, 536 },
	{ "the smallest path", 1280, 2, 1460, 1194 },
};

static size_t
syn_with_mss(uint8_t *frame, struct packet_spec spec, uint8_t nb_nops, uint16_t mss)
{
	uint8_t options[8] = { 1, 1, 1, 1, 1, 1, 1, 1 };
	struct rte_ipv4_hdr *ip = (void *)(frame + sizeof(struct rte_ether_hdr));
	struct rte_tcp_hdr *tcp = (void *)(ip + 1);
	size_t nb_bytes;

	options[nb_nops] = 2;
	options[nb_nops + 1] = 4;
	options[nb_nops + 2] = (uint8_t)(mss >> 8);
	options[nb_nops + 3] = (uint8_t)mss;
	spec.payload = options;
	spec.payload_bytes = sizeof(options);
	nb_bytes = packet_build(frame, PATH_FRAME_BYTES, &spec);
	tcp->data_off = 7 << 4;
	tcp->cksum = 0;
	tcp->cksum = rte_ipv4_udptcp_cksum(ip, tcp);
	return nb_bytes;
}

static uint16_t
mss_of(unsigned nb_nops)
{
	const uint8_t *at = (const uint8_t *)(p.tcp + 1) + nb_nops + 2;

	return (uint16_t)(at[0] << 8 | at[1]);
}

// Who drains, PoP or connector, gets no new flows; those there are go on.
static void
test_drain(void)
{
	struct packet_spec udp = udp_to(NULL, 5555, 5000, "x", 1);

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
		CU_ASSERT_TRUE(pair_client_take(&p) && is_error(3, 1));
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

static void
test_mss(void)
{
	uint8_t frame[PATH_FRAME_BYTES];

	for (unsigned i = 0; i < RTE_DIM(clamps); i++) {
		struct pair_conf conf = { .underlay_mtu = clamps[i].underlay };
		struct packet_spec syn = { .protocol = IPPROTO_TCP,
					   .source_port = 33000,
					   .destination_port = 80,
					   .source = CLIENT,
					   .tcp_flags = RTE_TCP_SYN_FLAG };
		struct packet_spec ack = { .protocol = IPPROTO_TCP,
					   .source_port = 80,
					   .source = HOST,
					   .destination = CONN_INNER,
					   .from = "02:bb:00:00:00:05",
					   .tcp_flags = RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG };
		size_t nb;

		pair_begin(&conf);
		syn.destination = pair_resolve(GIT);
		syn.to = path_mac(pair.pop, 0);
		nb = syn_with_mss(frame, syn, clamps[i].nb_nops, clamps[i].asked);
		path_send(pair.pop, 0, frame, nb);
		path_run();
		SL_ASSERT_ROW(pair_host_take(&p), clamps[i].sentence);
		SL_ASSERT_ROW(mss_of(clamps[i].nb_nops) == clamps[i].expected, clamps[i].sentence);
		ack.to = path_mac(pair.connector, 1);
		ack.destination_port = rte_be_to_cpu_16(p.tcp->src_port);
		nb = syn_with_mss(frame, ack, clamps[i].nb_nops, clamps[i].asked);
		path_send(pair.connector, 1, frame, nb);
		path_run();
		SL_ASSERT_ROW(pair_client_take(&p), clamps[i].sentence);
		SL_ASSERT_ROW(mss_of(clamps[i].nb_nops) == clamps[i].expected, clamps[i].sentence);
		pair_end("mss");
	}
}

// Datagrams of every interesting size, both ways, first in an OPEN and then in DATA.
static void
test_sizes(void)
{
	static const uint16_t mtus[] = { 1500, 1280 };
	static const uint16_t sizes[] = { 1472, 1436, 1428, 1427, 1426, 1420, 1300,
					  1216, 1208, 1207, 1206, 1200, 1472 };
	uint8_t data[1472];

	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 13 + (i >> 8));
	for (unsigned u = 0; u < RTE_DIM(mtus); u++) {
		struct pair_conf conf = { .underlay_mtu = mtus[u] };
		const char *address;

		pair_begin(&conf);
		address = pair_resolve(GIT);
		for (unsigned i = 0; i < 2 * RTE_DIM(sizes); i++) {
			uint16_t size = sizes[i / 2];
			struct packet_spec up = udp_to(
				address, (uint16_t)(6000 + i / 2), 5000, data, size
			);
			struct packet_spec down = { .protocol = IPPROTO_UDP,
						    .source_port = 5000,
						    .payload = data,
						    .payload_bytes = size };

			pair_client_send(&up);
			CU_ASSERT_TRUE(pair_host_take(&p));
			CU_ASSERT_EQUAL(p.payload_bytes, size);
			CU_ASSERT_EQUAL(memcmp(p.payload, data, size), 0);
			down.destination_port = rte_be_to_cpu_16(p.udp->src_port);
			pair_host_send(&down);
			CU_ASSERT_TRUE(pair_client_take(&p));
			CU_ASSERT_EQUAL(p.payload_bytes, size);
			CU_ASSERT_EQUAL(memcmp(p.payload, data, size), 0);
		}
		CU_ASSERT(pair_drops(pair.connector, "record_whole_held") > 0);
		CU_ASSERT(pair_drops(pair.pop, "record_whole_held") > 0);
		pair_end("sizes");
	}
}

static void
test_too_big(void)
{
	uint8_t data[1472] = { 0 };
	struct packet_spec up;
	uint16_t mtu;

	pair_begin(NULL);
	up = udp_to(pair_resolve(GIT), 6000, 5000, data, sizeof(data));
	up.fragment_bits = 0x4000;
	pair_client_send(&up);
	CU_ASSERT_TRUE(pair_client_take(&p) && is_error(3, 4));
	mtu = (uint16_t)(p.frame[14 + 20 + 6] << 8 | p.frame[14 + 20 + 7]);
	CU_ASSERT_EQUAL(mtu, 1500 - 60 - 8 - 2 + 6 + 20);
	CU_ASSERT_EQUAL(p.ip->src_addr, packet_ip(up.destination));
	CU_ASSERT_FALSE(pair_host_take(&p));
	up.payload_bytes = mtu - 28u;
	for (unsigned i = 0; i < 2; i++) {
		pair_client_send(&up);
		CU_ASSERT_TRUE(pair_host_take(&p) && p.payload_bytes == mtu - 28u);
	}
	pair_end("too big");
}

static void
test_ttl(void)
{
	struct packet_spec up;

	pair_begin(NULL);
	up = udp_to(pair_resolve(GIT), 6000, 5000, "x", 1);
	up.ttl = 1;
	pair_client_send(&up);
	CU_ASSERT_TRUE(pair_client_take(&p) && is_error(11, 0));
	CU_ASSERT_EQUAL(p.ip->src_addr, packet_ip(up.destination));
	CU_ASSERT_FALSE(pair_host_take(&p));
	for (unsigned ttl = 2; ttl < 256; ttl += 11) {
		up.ttl = (uint8_t)ttl;
		up.tos = (uint8_t)(ttl & 0xfc);
		pair_client_send(&up);
		CU_ASSERT_TRUE(pair_host_take(&p) && p.ip->time_to_live == ttl - 1);
		CU_ASSERT_EQUAL(p.ip->type_of_service, up.tos);
	}
	pair_end("ttl");
}

// ---- Bursts -------------------------------------------------------------------------------------------

static unsigned nb_datagrams;

static bool
count_datagrams(struct path_node *to, unsigned port, struct rte_mbuf *m)
{
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);

	nb_datagrams += to == pair.connector && port == 0 && frame[12] == 8 && frame[13] == 0;
	return true;
}

static void
test_coalescing(void)
{
	struct packet_spec up;
	char text[16];

	pair_begin(NULL);
	up = udp_to(pair_resolve(GIT), 6000, 5000, "first", 5);
	pair_client_send(&up);
	CU_ASSERT_TRUE(pair_host_take(&p));
	path_filter(count_datagrams);
	nb_datagrams = 0;
	for (unsigned i = 0; i < 60; i++) {
		snprintf(text, sizeof(text), "number %u", i);
		up.payload = text;
		up.payload_bytes = strlen(text);
		up.tos = i < 40 ? 0 : 0xb8;
		pair_client_queue(&up);
	}
	path_run();
	CU_ASSERT(nb_datagrams >= 2 && nb_datagrams <= 6);
	if (pair_arrival == PATH_ALTERNATE)
		path_filter(NULL); // two workers' frames may overtake each other
	for (unsigned i = 0; i < 60; i++) {
		CU_ASSERT_TRUE(pair_host_take(&p));
		snprintf(text, sizeof(text), "number %u", i);
		CU_ASSERT(
			pair_arrival == PATH_ALTERNATE || memcmp(p.payload, text, strlen(text)) == 0
		);
		CU_ASSERT(p.payload_bytes == 8 || p.payload_bytes == 9);
	}
	pair_end("coalescing");
}

static void
test_one_shots(void)
{
	struct packet_spec up;

	pair_begin(NULL);
	up = udp_to(pair_resolve(GIT), 9999, 5000, "one shot", 8);
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
	up = udp_to(pair_resolve(GIT), 0, 5000, "x", 1);
	for (uint16_t i = 0; i < 100; i++) {
		up.source_port = (uint16_t)(10000 + i);
		pair_client_send(&up);
		nb_refused += pair_client_take(&p) && is_error(3, 13);
	}
	CU_ASSERT(nb_refused >= 36 && nb_refused <= 37); // 64 of a worker, a query's among them
	pair_pass_s(160); // expiry, and rest of the slots
	while (pair_host_take(&p))
		;
	pair_client_send(&up);
	CU_ASSERT_TRUE(pair_host_take(&p));
	pair_end("table full");
}

// ---- Trust ----------------------------------------------------------------------------------------------

static void
test_allow(void)
{
	struct pair_conf conf = { .has_allow = true };
	struct pair_tcp t;
	struct packet_spec udp;

	pair_begin(&conf);
	pair_tcp_open(&t, pair_resolve(GIT), 33000, 22);
	udp = udp_to(t.address, 5555, 5000, "x", 1);
	pair_client_send(&udp);
	CU_ASSERT_TRUE(pair_client_take(&p) && is_error(3, 13));
	t.client_port++;
	pair_client_send(&(struct packet_spec){ .destination = t.address,
						.protocol = IPPROTO_TCP,
						.source_port = 33002,
						.destination_port = 80,
						.tcp_flags = RTE_TCP_SYN_FLAG });
	CU_ASSERT_TRUE(pair_client_take(&p) && (p.tcp->tcp_flags & RTE_TCP_RST_FLAG) != 0);
	CU_ASSERT_FALSE(pair_host_take(&p));
	pair_end("allow");
}

static void
test_prefix(void)
{
	struct packet_spec up = { .destination = IP_HOST,
				  .protocol = IPPROTO_TCP,
				  .source_port = 33000,
				  .destination_port = 80,
				  .tcp_flags = RTE_TCP_SYN_FLAG };

	pair_begin(NULL);
	pair_client_send(&up);
	CU_ASSERT_TRUE(pair_host_take(&p) && p.ip->dst_addr == packet_ip(IP_HOST));
	pair_host_send(&(struct packet_spec){ .source = IP_HOST,
					      .protocol = IPPROTO_TCP,
					      .source_port = 80,
					      .destination_port = rte_be_to_cpu_16(p.tcp->src_port),
					      .tcp_flags = RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG });
	CU_ASSERT_TRUE(pair_client_take(&p) && p.ip->src_addr == packet_ip(IP_HOST));
	up.destination_port = 81;
	pair_client_send(&up);
	CU_ASSERT_TRUE(pair_client_take(&p) && (p.tcp->tcp_flags & RTE_TCP_RST_FLAG) != 0);
	CU_ASSERT_EQUAL(p.ip->src_addr, packet_ip(IP_HOST));
	pair_end("prefix");
}

static void
test_alias(void)
{
	struct pair_tcp t;

	pair_begin(NULL);
	pair_tcp_open(&t, pair_resolve(ALIAS), 33000, 80);
	CU_ASSERT_STRING_EQUAL(pair.dns_name, "real.corp.example");
	pair_end("alias");
}

// A flow whose record has gone wrong in memory would show the host's address.
static void
test_leak(void)
{
	struct pair_tcp t;
	rte_be32_t host = packet_ip(HOST);

	pair_begin(NULL);
	pair_tcp_open(&t, pair_resolve(GIT), 33000, 80);
	for (unsigned k = 0; k < PATH_WORKERS; k++) {
		struct sl_flow_table *flows = sl_dp_worker(path_dp(pair.pop), k)->flows;

		for (uint32_t i = 0; i < flows->nb_flows; i++)
			if (flows->flows[i].kind == SL_FLOW_CLIENT)
				memcpy(flows->flows[i].key.destination + 12, &host, 4);
	}
	pair.may_leak = true;
	send_down(&t, "leak");
	CU_ASSERT_FALSE(pair_client_take(&p));
	CU_ASSERT_EQUAL(pair_drops(pair.pop, "client_output_leak"), 1);
	CU_ASSERT_EQUAL(pair.nb_leaks, 0);
	pair_end("leak");
}

// ---- Datagrams that are not what they seem ----------------------------------------------------------------

static uint8_t kept[PATH_FRAME_BYTES];
static size_t kept_bytes;

static bool
keep_datagram(struct path_node *to, unsigned port, struct rte_mbuf *m)
{
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);

	if (to == pair.connector && port == 0 && frame[12] == 8 && frame[13] == 0) {
		kept_bytes = m->data_len;
		memcpy(kept, frame, kept_bytes);
	}
	return true;
}

static uint64_t
opened_badly(void)
{
	static const char *const reasons[] = {
		"tunnel_open_short",    "tunnel_open_no_session", "tunnel_open_bad_lane",
		"tunnel_open_replayed", "tunnel_open_forged",     "udp_input_unknown_type",
	};
	uint64_t nb = 0;

	for (unsigned i = 0; i < RTE_DIM(reasons); i++)
		nb += pair_drops(pair.connector, reasons[i]);
	return nb;
}

static void
test_replay(void)
{
	struct packet_spec up;
	uint64_t before;

	pair_begin(NULL);
	up = udp_to(pair_resolve(GIT), 6000, 5000, "once", 4);
	pair_client_send(&up);
	path_filter(keep_datagram);
	pair_client_send(&up);
	path_filter(NULL);
	CU_ASSERT_TRUE(pair_host_take(&p) && pair_host_take(&p));
	for (unsigned i = 0; i < 10; i++) {
		path_send(pair.connector, 0, kept, kept_bytes);
		path_send(pair.connector, 0, kept, kept_bytes);
		path_run();
	}
	CU_ASSERT_EQUAL(pair_drops(pair.connector, "tunnel_open_replayed"), 20);
	// Twice in one burst, the first time it is seen: one is taken.
	pair_client_queue(&up);
	path_run();
	CU_ASSERT_TRUE(pair_host_take(&p));
	before = opened_badly();
	for (unsigned at = 14 + 28; at < kept_bytes; at++) {
		kept[at] ^= 0x40;
		path_send(pair.connector, 0, kept, kept_bytes);
		path_run();
		kept[at] ^= 0x40;
	}
	CU_ASSERT_EQUAL(opened_badly() - before, kept_bytes - 14 - 28);
	CU_ASSERT_FALSE(pair_host_take(&p));
	pair_client_send(&up);
	CU_ASSERT_TRUE(pair_host_take(&p));
	pair_end("replay");
}

static bool lose_and_double;

static bool
lose_datagram(struct path_node *to, unsigned port, struct rte_mbuf *m)
{
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);

	if (!lose_and_double || to != pair.connector || port != 0 || frame[12] != 8 ||
	    frame[13] != 0)
		return true;
	kept_bytes = m->data_len;
	memcpy(kept, frame, kept_bytes);
	return false;
}

static void
test_double(void)
{
	struct packet_spec up;

	pair_begin(NULL);
	up = udp_to(pair_resolve(GIT), 6000, 5000, "once", 4);
	pair_client_send(&up);
	CU_ASSERT_TRUE(pair_host_take(&p));
	path_filter(lose_datagram);
	lose_and_double = true;
	pair_client_send(&up);
	lose_and_double = false;
	path_arrive(pair.connector, 0, PATH_WORKER_0);
	// Both in one burst: neither has been committed when the other is looked at first.
	path_send(pair.connector, 0, kept, kept_bytes);
	path_send(pair.connector, 0, kept, kept_bytes);
	path_run();
	CU_ASSERT_TRUE(pair_host_take(&p));
	CU_ASSERT_FALSE(pair_host_take(&p));
	CU_ASSERT_EQUAL(pair_drops(pair.connector, "tunnel_open_replayed"), 1);
	pair_end("double");
}

static void
test_truncated(void)
{
	struct packet_spec up;
	uint64_t before;
	unsigned nb = 0;

	pair_begin(NULL);
	up = udp_to(pair_resolve(GIT), 6000, 5000, "whole", 5);
	pair_client_send(&up);
	path_filter(keep_datagram);
	pair_client_send(&up);
	path_filter(NULL);
	CU_ASSERT_TRUE(pair_host_take(&p) && pair_host_take(&p));
	before = opened_badly();
	for (size_t bytes = 14 + 28 + 1; bytes < kept_bytes; bytes++, nb++) {
		uint8_t cut[PATH_FRAME_BYTES];
		struct rte_ipv4_hdr *ip = (void *)(cut + 14);
		struct rte_udp_hdr *udp = (void *)(ip + 1);

		memcpy(cut, kept, bytes);
		ip->total_length = rte_cpu_to_be_16((uint16_t)(bytes - 14));
		udp->dgram_len = rte_cpu_to_be_16((uint16_t)(bytes - 34));
		packet_fix_ip_checksum(cut);
		path_send(pair.connector, 0, cut, bytes);
		path_run();
	}
	CU_ASSERT_EQUAL(opened_badly() - before, nb);
	CU_ASSERT_FALSE(pair_host_take(&p));
	pair_end("truncated");
}

static bool
mark_congestion(struct path_node *to, unsigned port, struct rte_mbuf *m)
{
	uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);

	if (to == pair.connector && port == 0 && frame[12] == 8 && frame[13] == 0) {
		frame[15] |= 3;
		packet_fix_ip_checksum(frame);
	}
	return true;
}

static void
test_ecn(void)
{
	struct packet_spec up;

	pair_begin(NULL);
	up = udp_to(pair_resolve(GIT), 6000, 5000, "x", 1);
	pair_client_send(&up);
	CU_ASSERT_TRUE(pair_host_take(&p));
	path_filter(mark_congestion);
	up.tos = 0xb8 | 2;
	pair_client_send(&up);
	CU_ASSERT_TRUE(pair_host_take(&p) && p.ip->type_of_service == (0xb8 | 3));
	up.source_port++; // and in an OPEN
	pair_client_send(&up);
	CU_ASSERT_TRUE(pair_host_take(&p) && p.ip->type_of_service == (0xb8 | 3));
	up.tos = 0;
	pair_client_send(&up);
	CU_ASSERT_FALSE(pair_host_take(&p));
	CU_ASSERT_EQUAL(pair_drops(pair.connector, "record_input_congested"), 1);
	pair_end("ecn");
}

static void
test_ciphers(void)
{
	struct pair_conf conf = { .is_chacha = true };
	struct pair_tcp t;

	pair_begin(&conf);
	pair_tcp_open(&t, pair_resolve(GIT), 33000, 80);
	pair_rekey();
	pair_tcp_up(&t, RTE_TCP_ACK_FLAG, "up", 2);
	pair_tcp_down(&t, RTE_TCP_ACK_FLAG, "down", 4);
	pair_end("ciphers");
}

// Whatever comes from anywhere: nothing is lost without a name, and a flow goes on.
static void
test_noise(void)
{
	struct pair_tcp t;
	uint8_t frame[PATH_FRAME_BYTES];
	struct packet_spec up;

	pair_begin(NULL);
	pair_tcp_open(&t, pair_resolve(GIT), 33000, 80);
	srand(7);
	pair.is_noisy = true;
	for (unsigned i = 0; i < 3000; i++) {
		uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP };
		bool is_up = rand() % 2 == 0;
		struct path_node *to = is_up ? pair.pop : pair.connector;
		unsigned port = is_up ? 0 : 1;
		size_t nb, at;

		up = (struct packet_spec){ .to = path_mac(to, port),
					   .from = is_up ? "02:aa:00:00:00:01"
							 : "02:bb:00:00:00:05",
					   .source = is_up ? CLIENT : HOST,
					   .destination = is_up ? t.address : CONN_INNER,
					   .protocol = protocols[rand() % 3],
					   .source_port = (uint16_t)(is_up ? 33000 : 80),
					   .destination_port = is_up ? 80 : t.nat_port,
					   .tcp_flags = 0x10,
					   .payload = kept,
					   .payload_bytes = (size_t)(rand() % 100) };
		nb = packet_build(frame, sizeof(frame), &up);
		at = 14 + 8 + (size_t)rand() % (nb - 22);
		if (at < 14 + 12 || at >= 14 + 20) // addresses stay
			frame[at] = (uint8_t)rand();
		if (frame[14 + 20 + 13] & 4)
			continue; // a RST may end the flow
		packet_fix_ip_checksum(frame);
		path_send(to, port, frame, nb);
		if (i % 16 == 0)
			path_run();
		if (i % 200 == 0)
			pair_pass_s(1);
	}
	path_run();
	pair.is_noisy = false;
	pair_end("noise");
}

static const struct sl_test_case cases[] = {
	{ "C5: the next packet of a client after a revocation is refused, and the host is told",
	  test_revoke_up },
	{ "C5: the next packet of a host after a revocation does not reach the client",
	  test_revoke_down },
	{ "C5: an idle flow ends within seconds of its revocation", test_revoke_idle },
	{ "C5: a grant works for the next packet", test_grant },
	{ "C2: a PoP that was restarted takes its flows up again, ports and all", test_restart },
	{ "C2: a connector that was restarted has its flows reset", test_resume_missed },
	{ "tunnel: a flow that no PoP takes up again is freed in four minutes", test_orphans },
	{ "C2 B12: TCP is reset when its session dies, the rest hears that the host is unreachable",
	  test_session_lost },
	{ "tunnel: heartbeats keep a session, and without them new flows are refused",
	  test_heartbeats },
	{ "tunnel: C2: a peer that drains gets no new flows, and live ones go on", test_drain },
	{ "B7: the MSS of both SYNs is clamped to the path", test_mss },
	{ "B7: datagrams larger than the path cross it both ways, whole", test_sizes },
	{ "B7: a packet that may not be cut is answered with the MTU that fits", test_too_big },
	{ "B6 B7: TTL is one less, TTL 1 is answered, TOS is kept", test_ttl },
	{ "tunnel: the small packets of a burst share a datagram", test_coalescing },
	{ "B5: after one-shot flows the tables of both ends are empty", test_one_shots },
	{ "B5: timers by protocol", test_timers },
	{ "B5: an established conversation stands two hours idle, and no longer",
	  test_established },
	{ "B11 B12: a full table refuses, and recovers", test_table_full },
	{ "tunnel: the connector holds to its own list", test_allow },
	{ "A10: an address of a granted prefix is reached as itself", test_prefix },
	{ "A9: an alias is resolved by the name it stands for", test_alias },
	{ "B1: a private address about to leave toward a client is held back and counted",
	  test_leak },
	{ "C4: replayed and altered datagrams are counted and change nothing", test_replay },
	{ "C4: of two copies in one burst one is taken", test_double },
	{ "C4: truncated datagrams are counted and change nothing", test_truncated },
	{ "B7: congestion that the outer packet met is told to the inner one", test_ecn },
	{ "tunnel: both ciphers, and a rekey in between", test_ciphers },
	{ "tunnel: altered packets from client and host are all accounted for", test_noise },
};

static int
setup(void)
{
	pair_arrival = PAIR_ARRIVAL;
	setenv("SLUICE_CPU", PAIR_CPU, 1);
	return path_setup();
}

int
main(int argc, char **argv)
{
	return sl_test_main(argc, argv, cases, RTE_DIM(cases), setup, path_teardown);
}
