// No packet buffers: what goes in place goes on, what needs a buffer is counted, and when there are some
// again all is as before.
#include "pair.h"

#include <netinet/in.h>
#include <sluice/dp/dp.h>
#include <stdlib.h>
#include <string.h>

#define BUFFERS_MAX 8192u

static struct pair_packet p;
static uint8_t filling[1400];

struct hoard {
	struct rte_mbuf *m[BUFFERS_MAX];
	unsigned nb;
};
static struct hoard at_pop, at_connector;

static void
take_all(struct hoard *h, struct path_node *node)
{
	struct rte_mempool *pool = sl_dp_pool(path_dp(node));

	while (h->nb < BUFFERS_MAX && (h->m[h->nb] = rte_pktmbuf_alloc(pool)) != NULL)
		h->nb++;
	CU_ASSERT(h->nb > 1000 && h->nb < BUFFERS_MAX);
}

static void
give_back(struct hoard *h)
{
	rte_pktmbuf_free_bulk(h->m, h->nb);
	h->nb = 0;
}

static uint64_t
without_buffer(struct path_node *node)
{
	return pair_drops(node, "tunnel_pack_no_mbuf");
}

static void
send_large(const char *git, uint16_t port)
{
	struct packet_spec spec = pair_udp_to(git, port, 5000, filling, sizeof(filling));

	pair_client_send(&spec);
}

// Of a connection to an address that is nobody's.
static void
expect_refusal(void)
{
	pair_client_send(&(struct packet_spec){ .destination = UNUSED,
						.protocol = IPPROTO_TCP,
						.source_port = 34000,
						.destination_port = 80,
						.tcp_flags = RTE_TCP_SYN_FLAG });
	CU_ASSERT_TRUE(pair_client_take(&p) && (p.tcp->tcp_flags & RTE_TCP_RST_FLAG) != 0);
}

static void
test_shortage(void)
{
	static uint8_t got[4096];
	struct pair_tcp live;
	struct packet_spec udp;
	unsigned nb_fragments;
	const char *git;

	// Large packets have to be cut at the PoP, which takes buffers.
	pair_begin(&(struct pair_conf){ .underlay_mtu = 1300 });
	git = pair_resolve(GIT);
	pair_tcp_open(&live, git, 33000, 80);
	udp = pair_udp_to(git, 4000, 5000, "x", 1);
	pair_client_send(&udp);
	CU_ASSERT_TRUE_FATAL(pair_host_take(&p));
	take_all(&at_pop, pair.pop);
	take_all(&at_connector, pair.connector);

	// Of flows that stand, and in refusals, each packet stays in the buffer it came in.
	pair_tcp_up(&live, RTE_TCP_ACK_FLAG, "up", 2);
	pair_tcp_down(&live, RTE_TCP_ACK_FLAG, "down", 4);
	pair_client_send(&udp);
	CU_ASSERT_TRUE(pair_host_take(&p));
	expect_refusal();
	// A new flow begins, although there is none for its ACCEPT: that rides on the answer.
	udp.source_port = 4001;
	pair_client_send(&udp);
	CU_ASSERT_TRUE_FATAL(pair_host_take(&p));
	give_back(&at_pop); // two records in one datagram want a second
	pair_host_send(&(struct packet_spec){ .protocol = IPPROTO_UDP,
					      .source_port = 5000,
					      .destination_port = rte_be_to_cpu_16(p.udp->src_port),
					      .payload = "y",
					      .payload_bytes = 1 });
	CU_ASSERT_TRUE(pair_client_take(&p));
	take_all(&at_pop, pair.pop);
	// What has to be cut cannot be, and is counted.
	send_large(git, 4000);
	CU_ASSERT_FALSE(pair_host_take(&p));
	CU_ASSERT(without_buffer(pair.pop) >= 1);
	// No heartbeats leave. A connector that is silent, and the only one, gets new flows all the same.
	path_pass_ms(600);
	udp.source_port = 4002;
	pair_client_send(&udp);
	CU_ASSERT_TRUE(pair_host_take(&p));

	give_back(&at_pop);
	give_back(&at_connector);
	path_pass_ms(400);
	pair_client_send(&udp);
	CU_ASSERT_TRUE(pair_host_take(&p));
	send_large(git, 4000);
	CU_ASSERT_EQUAL(pair_host_take_whole(got, &nb_fragments), sizeof(filling) + 28);
	pair_tcp_up(&live, RTE_TCP_ACK_FLAG, "up", 2);
	pair_end("shortage");
}

static struct packet_spec
syn(const char *source, const char *address, uint16_t port)
{
	return (struct packet_spec){ .source = source,
				     .destination = address,
				     .protocol = IPPROTO_TCP,
				     .source_port = port,
				     .destination_port = 80,
				     .tcp_flags = RTE_TCP_SYN_FLAG,
				     .tcp_seq = 1000 };
}

// A client that completes no handshake holds its share of the table and no more, for no more than
// seconds; its conversations, its datagrams and another client go on all the while.
static void
test_syn_flood(void)
{
	unsigned nb_flows = 0, nb_half_open = 0, most;
	struct pair_tcp live;
	struct packet_spec spec, udp;
	const char *git, *hidden;

	pair_begin(NULL);
	git = pair_resolve(GIT);
	pair_policy(0, 2);
	hidden = pair_resolve(HIDDEN);
	pair_tcp_open(&live, git, 33000, 80);
	for (unsigned k = 0; k < PATH_WORKERS; k++)
		nb_flows += sl_dp_worker(path_dp(pair.pop), k)->flows->nb_flows;
	most = nb_flows / 8;
	for (unsigned i = 0; i < 2 * most; i++) {
		spec = syn(CLIENT, git, (uint16_t)(20000 + i));
		pair_client_send(&spec);
		nb_half_open += pair_host_take(&p);
	}
	CU_ASSERT_EQUAL(nb_half_open, most);
	CU_ASSERT_EQUAL(pair_flows(pair.pop), most + 1);
	CU_ASSERT(pair_client_take(&p)); // it is told
	while (pair_client_take(&p))
		;
	pair_tcp_up(&live, RTE_TCP_ACK_FLAG, "on", 2);
	udp = pair_udp_to(git, 4000, 5000, "x", 1);
	pair_client_send(&udp);
	CU_ASSERT_TRUE(pair_host_take(&p));
	spec = syn(CLIENT_B, hidden, 20000);
	pair_client_send(&spec);
	CU_ASSERT_TRUE(pair_host_take(&p));
	// It has stopped.
	pair_pass_s(8);
	CU_ASSERT(pair_flows(pair.pop) <= most / 2 + 3);
	spec = syn(CLIENT, git, 33001);
	pair_client_send(&spec);
	CU_ASSERT_TRUE(pair_host_take(&p));
	pair_end("syn flood");
}

static const struct sl_test_case cases[] = {
	{ "B11: a SYN flood of one client is bounded, costs nobody else anything, and passes by "
	  "itself",
	  test_syn_flood },
	{ "B11: without packet buffers what stands goes on, the rest is counted, and it passes by "
	  "itself",
	  test_shortage },
};

int
main(int argc, char **argv)
{
	return PAIR_MAIN(argc, argv, cases);
}
