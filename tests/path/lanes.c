// Lanes through RSS: source ports that lead each lane to its owner at both ends are found, through a
// NAT as well, and where nothing chooses by ports the search ends and all goes on as before.
#include "pair.h"

#include <netinet/in.h>
#include <sluice/dp/lane_port.h>
#include <sluice/dp/upkeep.h>
#include <sluice/dp/worker.h>
#include <sluice/proto/record.h>
#include <stdlib.h>

static struct pair_packet p;
static uint16_t nat_shift; // what the NAT adds to the connector's ports; 0: there is none

// Between PoP and connector: a NAT that keeps the address and moves the ports.
static bool
translate(struct path_node *to, unsigned port, struct rte_mbuf *m)
{
	const struct rte_ether_hdr *ether = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(m, void *, sizeof(*ether));
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(ip + 1);

	if (ether->ether_type != RTE_BE16(RTE_ETHER_TYPE_IPV4) || ip->next_proto_id != IPPROTO_UDP)
		return true;
	if (to == pair.pop && port == 1)
		udp->src_port = rte_cpu_to_be_16((uint16_t
		)(rte_be_to_cpu_16(udp->src_port) + nat_shift));
	else if (to == pair.connector && port == 0)
		udp->dst_port = rte_cpu_to_be_16((uint16_t
		)(rte_be_to_cpu_16(udp->dst_port) - nat_shift));
	udp->dgram_cksum = 0;
	return true;
}

// The connector pings on every lane; each ping is answered on its lane.
static void
ping_lanes(unsigned rounds)
{
	for (unsigned i = 0; i < rounds; i++) {
		for (uint16_t lane = 0; lane < PAIR_LANES; lane++) {
			struct sl_worker *w = sl_dp_worker(
				path_dp(pair.connector), lane % PATH_WORKERS
			);
			struct sl_heartbeat beat = { .timestamp_ns = 1 };
			struct rte_mbuf *m = sl_upkeep_record(w, 0, lane, SL_REC_HEARTBEAT_BYTES);

			CU_ASSERT_PTR_NOT_NULL_FATAL(m);
			sl_heartbeat_put(rte_pktmbuf_mtod(m, uint8_t *), &beat);
			CU_ASSERT_TRUE(sl_upkeep_to_self(w, m, SL_STAGE_SEAL));
		}
		path_pass_ms(100);
	}
}

static uint64_t
handed_over(void)
{
	uint64_t nb = 0;

	for (unsigned k = 0; k < PATH_WORKERS; k++)
		nb += sl_dp_worker(path_dp(pair.pop), k)->stats.handed_over +
			sl_dp_worker(path_dp(pair.connector), k)->stats.handed_over;
	return nb;
}

static uint64_t
pongs(void)
{
	uint64_t nb = 0;

	for (unsigned lane = 0; lane < PAIR_LANES; lane++)
		nb += pair.connector_sessions.sessions[0].lanes[lane].opened_pkts;
	return nb;
}

// Next hops that are confirmed meanwhile: an ARP answer goes to the other worker too.
#define MAX_HANDED 16u

// Of 400 datagrams none is handed over any more, and every ping is answered.
static void
assert_home(const char *when)
{
	uint64_t before = handed_over(), answered = pongs();

	ping_lanes(50);
	SL_ASSERT_ROW(handed_over() - before <= MAX_HANDED, when);
	SL_ASSERT_ROW(pongs() - answered >= 50 * PAIR_LANES, when);
}

static void
begin(uint16_t shift, enum path_arrival at_pop, enum path_arrival at_connector)
{
	nat_shift = shift;
	pair_begin(&(struct pair_conf){ .searches_ports = true });
	path_arrive(pair.pop, 1, at_pop);
	path_arrive(pair.connector, 0, at_connector);
	path_filter(translate);
}

static void
test_search(void)
{
	begin(0, PATH_RSS, PATH_RSS);
	ping_lanes(100);
	CU_ASSERT(
		handed_over() > MAX_HANDED
	); // the first ports do not lead home, or nothing is shown
	assert_home("as it begins");
	nat_shift = 11111;
	ping_lanes(100);
	assert_home("behind a NAT that has changed its mind");
	pair_rekey();
	ping_lanes(2);
	assert_home("under new keys");
	pair_end("search");
}

// RSS that goes by addresses alone, as some NICs do for UDP.
static void
test_futile(void)
{
	struct sl_lane_endpoint *lanes;
	rte_be16_t ports[PAIR_LANES];
	uint64_t answered;

	begin(0, PATH_WORKER_1, PATH_RSS);
	lanes = pair.connector_sessions.sessions[0].lanes;
	ping_lanes(300); // longer than the search may take
	for (unsigned lane = 0; lane < PAIR_LANES; lane++)
		ports[lane] = lanes[lane].local_port;
	answered = pongs();
	ping_lanes(200);
	for (unsigned lane = 0; lane < PAIR_LANES; lane++)
		CU_ASSERT_EQUAL(ports[lane], lanes[lane].local_port);
	CU_ASSERT(pongs() - answered >= 200 * PAIR_LANES);
	pair_end("futile");
}

// Flows stand while their lanes move.
static void
test_flows(void)
{
	struct pair_tcp t;

	begin(0, PATH_RSS, PATH_RSS);
	pair_tcp_open(&t, pair_resolve(GIT), 33000, 80);
	for (unsigned i = 0; i < 60; i++) {
		pair_tcp_up(&t, RTE_TCP_ACK_FLAG, "up", 2);
		pair_tcp_down(&t, RTE_TCP_ACK_FLAG, "down", 4);
		if (i == 30)
			nat_shift = 333;
		ping_lanes(1);
	}
	pair_end("flows");
}

// A report from the end that is told, and one about another lane than it came by.
static void
test_strange(void)
{
	const struct {
		struct path_node **from, **to;
		struct sl_lane_report report;
		const char *reason;
	} rows[] = {
		{ &pair.connector, &pair.pop, { .lane = 0, .worker = 1 }, "record_input_unknown" },
		{ &pair.pop,
		  &pair.connector,
		  { .lane = 1, .worker = 1 },
		  "record_input_malformed" },
	};

	begin(0, PATH_RSS, PATH_RSS);
	for (unsigned i = 0; i < RTE_DIM(rows); i++) {
		struct sl_worker *w = sl_dp_worker(path_dp(*rows[i].from), 0);
		struct rte_mbuf *m = sl_upkeep_record(w, 0, 0, SL_REC_LANE_BYTES);
		uint64_t before = pair_drops(*rows[i].to, rows[i].reason);

		CU_ASSERT_PTR_NOT_NULL_FATAL(m);
		sl_lane_report_put(rte_pktmbuf_mtod(m, uint8_t *), &rows[i].report);
		CU_ASSERT_TRUE(sl_upkeep_to_self(w, m, SL_STAGE_SEAL));
		path_run();
		SL_ASSERT_ROW(
			pair_drops(*rows[i].to, rows[i].reason) == before + 1, rows[i].reason
		);
	}
	CU_ASSERT_FALSE(pair_client_take(&p));
	pair_end("strange");
}

static const struct sl_test_case cases[] = {
	{ "lanes: with RSS at both ends, ports are found that need no hand-over, through a NAT too",
	  test_search },
	{ "lanes: where no port leads home the search ends, and all lanes work", test_futile },
	{ "lanes: a conversation goes on while its lane changes ports", test_flows },
	{ "lanes: a report that is not for this end, or about another lane, changes nothing",
	  test_strange },
};

int
main(int argc, char **argv)
{
	return pair_main(argc, argv, cases, RTE_DIM(cases), PATH_RSS, "x86-64-v4");
}
