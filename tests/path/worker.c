// What workers do for packets beside moving them: traces, hand-overs, counts.
#include "harness.h"
#include "packet.h"
#include "sl_test.h"

#include <rte_ip.h>

#include <string.h>

#define CLIENT 42u

// Stands where client_input finds out whose the packet is.
static inline rte_edge_t
tag_verdict(struct sl_worker *w, struct rte_mbuf *m)
{
	sl_meta(m)->client = CLIENT;
	sl_trace_flag(w, sl_meta(m));
	return 1;
}

static const char *const tag_edges[] = { "test_tag_lost", "next" };

static uint16_t
tag_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb_objs)
{
	return SL_FOREACH_VERDICT(graph, node, objs, nb_objs, 1, tag_verdict);
}

SL_NODE(test_tag, tag_process, tag_edges)
SL_DROP(test_tag_lost, SL_OUR_FAULT, "Only in tests.")

static struct path_node *
add_one(void)
{
	static const struct sl_wiring wiring[] = {
		{ "ip4_input", "local_icmp", "test_tag" },
		{ "test_tag", "next", "icmp_local" },
	};
	struct sl_net net = {
		.nb_ports = 1,
		.ports = { { .name = "p0", .address = packet_ip("10.0.0.1"), .prefix_bits = 24 } },
	};

	return path_add("worker", SL_DP_POP, &net, wiring, RTE_DIM(wiring));
}

static void
send_echo(struct path_node *n, uint8_t spoil, uint16_t fragment_bits, uint8_t id)
{
	uint8_t frame[PATH_FRAME_BYTES];
	struct packet_spec spec = {
		.to = path_mac(n, 0),
		.source = "10.0.0.2",
		.destination = "10.0.0.1",
		.protocol = IPPROTO_ICMP,
		.payload = "abcdefgh",
		.payload_bytes = 8,
		.fragment_bits = fragment_bits,
	};
	size_t len = packet_build(frame, sizeof(frame), &spec);

	frame[len - 1] = (uint8_t)(frame[len - 1] + spoil);
	frame[19] = id;
	packet_fix_ip_checksum(frame);
	path_send(n, 0, frame, len);
	path_run();
}

static void
assert_trail(const struct sl_trace_entry *e, const char *expected)
{
	char text[256] = "";

	for (unsigned i = 0; i < e->trail_len; i++) {
		strncat(text, sl_node_by_number(e->trail[i])->name, 40);
		strcat(text, " ");
	}
	strncat(text,
		e->is_drop ? sl_drop_by_number(e->outcome)->name
			   : sl_node_by_number(e->outcome)->name,
		40);
	SL_ASSERT_ROW(strcmp(text, expected) == 0, text);
	CU_ASSERT_EQUAL(e->client, CLIENT);
	CU_ASSERT_EQUAL(e->now_ns, path_now_ns());
}

static void
test_trace(void)
{
	struct path_node *n = add_one();
	struct sl_trace_entry e[8];

	path_host(n, 0, packet_ip("10.0.0.2"), "02:aa:00:00:00:02");
	path_arrive(n, 0, PATH_WORKER_1);
	send_echo(n, 0, 0, 1); // before it is armed, and to learn the neighbour
	sl_trace_arm(path_dp(n), CLIENT + 1, 5);
	send_echo(n, 0, 0, 1); // of another client
	CU_ASSERT_EQUAL(sl_trace_read(path_dp(n), e, RTE_DIM(e)), 0);
	sl_trace_arm(path_dp(n), CLIENT, 3);
	send_echo(n, 0, 0, 1);
	send_echo(n, 1, 0, 1);
	CU_ASSERT_EQUAL_FATAL(sl_trace_read(path_dp(n), e, RTE_DIM(e)), 2);
	assert_trail(
		&e[0],
		"eth_input ip4_input test_tag icmp_local ip4_output eth_output port_tx port_tx"
	);
	assert_trail(&e[1], "eth_input ip4_input test_tag icmp_local icmp_local_checksum");
	CU_ASSERT_EQUAL(e[0].worker, 1);
	for (unsigned i = 0; i < 5; i++)
		send_echo(n, 0, 0, 1);
	CU_ASSERT_EQUAL(sl_trace_read(path_dp(n), e, RTE_DIM(e)), 1); // the third of three
	sl_trace_arm(path_dp(n), SL_NO_TRACE, 0);
	send_echo(n, 0, 0, 1);
	CU_ASSERT_EQUAL(sl_trace_read(path_dp(n), e, RTE_DIM(e)), 0);
	sl_trace_arm(path_dp(n), CLIENT, 1000);
	for (unsigned i = 0; i < 2 * SL_TRACE_ENTRIES; i++)
		send_echo(n, 1, 0, 1);
	CU_ASSERT_EQUAL(sl_trace_read(path_dp(n), e, 4), 4); // more than are read are kept
	CU_ASSERT_EQUAL(sl_trace_read(path_dp(n), e, 8), 8);
	path_end("trace");
}

static uint64_t
handed_over(struct path_node *n)
{
	struct sl_worker_stats s;

	sl_dp_worker_stats(path_dp(n), &s);
	return s.handed_over;
}

static void
test_handover(void)
{
	struct path_node *n = add_one();
	uint64_t at_first;

	path_arrive(n, 0, PATH_WORKER_0);
	for (unsigned i = 0; i < 100; i++)
		send_echo(n, 0, 0x2000, (uint8_t)i);
	at_first = handed_over(n);
	path_arrive(n, 0, PATH_WORKER_1);
	for (unsigned i = 0; i < 100; i++)
		send_echo(n, 0, 0x2000, (uint8_t)i);
	// Each has one owner wherever it arrives: it is handed over from exactly one of the two.
	CU_ASSERT_EQUAL(handed_over(n), 100);
	CU_ASSERT(at_first > 20 && at_first < 80);
	CU_ASSERT_EQUAL(
		path_drops(n, "fragment_input_held") + path_drops(n, "fragment_input_duplicate") +
			path_drops(n, "fragment_input_bad"),
		200
	);
	CU_ASSERT_EQUAL(path_drops(n, "handover_twice"), 0);
	path_end("handover");
}

static void
test_counts(void)
{
	struct path_node *n = add_one();
	static struct sl_node_stats rows[512];
	unsigned nb, seen = 0;

	path_host(n, 0, packet_ip("10.0.0.2"), "02:aa:00:00:00:02");
	for (unsigned i = 0; i < 10; i++)
		send_echo(n, i == 9, 0, 1);
	nb = sl_dp_node_stats(path_dp(n), rows, RTE_DIM(rows));
	for (unsigned i = 0; i < nb; i++) {
		if (strcmp(rows[i].name, "icmp_local") == 0) {
			CU_ASSERT_EQUAL(rows[i].objs, 10);
			CU_ASSERT_EQUAL(rows[i].calls, 10);
			CU_ASSERT_PTR_NULL(rows[i].drop);
			seen++;
		}
		if (strcmp(rows[i].name, "icmp_local_checksum") == 0) {
			CU_ASSERT_EQUAL(rows[i].objs, 1);
			CU_ASSERT_EQUAL(rows[i].drop->severity, SL_PEER_FAULT);
			seen++;
		}
	}
	CU_ASSERT_EQUAL(seen, 2);
	CU_ASSERT_EQUAL(path_drops(n, "icmp_local_checksum"), 1);
	path_end("counts");
}

static const struct sl_test_case cases[] = {
	{ "worker: a trace tells the journey of a client's packets and no other's", test_trace },
	{ "worker: a packet at the wrong worker is handed over once", test_handover },
	{ "worker: nodes and drops are counted over all workers", test_counts },
};

int
main(int argc, char **argv)
{
	return sl_test_main(argc, argv, cases, RTE_DIM(cases), path_setup, path_teardown);
}
