// How much is told of what is refused: limits of each client's own, and a flow log whose counts add up.
#include "pair.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sluice/dp/flow_event.h>
#include <sluice/dp/quota.h>
#include <sluice/dp/worker.h>
#include <stdlib.h>
#include <string.h>

static struct pair_packet p;

static struct packet_spec
refused_of(const char *source, uint8_t protocol, uint16_t port)
{
	return (struct packet_spec){ .source = source,
				     .destination = UNUSED,
				     .protocol = protocol,
				     .source_port = 4000,
				     .destination_port = port,
				     .tcp_flags = RTE_TCP_SYN_FLAG,
				     .payload = "12345678",
				     .payload_bytes = protocol == IPPROTO_TCP ? 0 : 8 };
}

// Send `nb` of them in bursts; how many were answered.
static unsigned
flood(const char *source, uint8_t protocol, unsigned nb)
{
	unsigned nb_answered = 0;

	for (unsigned i = 0; i < nb; i++) {
		struct packet_spec spec = refused_of(source, protocol, (uint16_t)(1 + i));

		pair_client_queue(&spec);
		if (i % 16 != 15 && i + 1 != nb)
			continue;
		path_run();
		while (pair_client_take(&p))
			nb_answered++;
	}
	return nb_answered;
}

static void
test_limit(void)
{
	static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, 47 };

	for (unsigned i = 0; i < RTE_DIM(protocols); i++) {
		pair_begin(NULL);
		CU_ASSERT_EQUAL(flood(CLIENT, protocols[i], 1500), SL_REFUSALS_BURST);
		CU_ASSERT_EQUAL(pair_drops(pair.pop, "reject_limited"), 1500 - SL_REFUSALS_BURST);
		// Another client has its own, whole.
		CU_ASSERT_EQUAL(flood(CLIENT_B, protocols[i], 100), 100);
		path_pass_ms(100);
		CU_ASSERT_EQUAL(flood(CLIENT, protocols[i], 500), SL_REFUSALS_PER_S / 10);
		path_pass_ms(5000);
		CU_ASSERT_EQUAL(flood(CLIENT, protocols[i], 1500), SL_REFUSALS_BURST);
		pair_end("limit");
	}
}

static void
log_flows(bool is_on)
{
	for (unsigned k = 0; k < PATH_WORKERS; k++)
		atomic_store(&sl_dp_worker(path_dp(pair.pop), k)->flow_events->is_on, is_on);
}

// Packets that the log has heard of; `*nb_lines`: in how many lines.
static uint64_t
logged(unsigned *nb_lines)
{
	uint64_t nb_denials = 0;

	*nb_lines = 0;
	for (unsigned k = 0; k < PATH_WORKERS; k++) {
		struct sl_worker *w = sl_dp_worker(path_dp(pair.pop), k);
		struct sl_flow_event events[32];
		unsigned nb;

		sl_flow_events_tick(w, SL_DENIALS_ALL);
		while ((nb = sl_flow_events_take(w->flow_events, events, 32)) != 0)
			for (unsigned i = 0; i < nb; i++) {
				if (events[i].kind != SL_FLOW_EVENT_DENY)
					continue;
				nb_denials += events[i].nb_denials;
				++*nb_lines;
			}
	}
	return nb_denials;
}

// Whether a refusal was told or kept silent, the log counts it.
static void
test_log(void)
{
	unsigned nb_lines;

	pair_begin(NULL);
	log_flows(true);
	flood(CLIENT, IPPROTO_TCP, 5000);
	flood(CLIENT, IPPROTO_UDP, 3000);
	flood(CLIENT, 47, 700);
	flood(CLIENT_B, IPPROTO_TCP, 50);
	CU_ASSERT_EQUAL(logged(&nb_lines), 5000 + 3000 + 700 + 50);
	CU_ASSERT(nb_lines < 2500);
	// One kind, again and again: one line at once, if the limit of these allows, and one for all the rest.
	for (unsigned i = 0; i < 300; i++) {
		struct packet_spec spec = refused_of(CLIENT_B, IPPROTO_TCP, 7777);

		pair_client_send(&spec);
		(void)pair_client_take(&p);
	}
	CU_ASSERT_EQUAL(logged(&nb_lines), 300);
	CU_ASSERT(nb_lines == 1 || nb_lines == 2);
	log_flows(false);
	pair_end("log");
}

// A datagram from the host, and the client's 3/3 about it.
static bool
complain(const char *client, const char *address, uint16_t nat_port)
{
	uint8_t error[4 + 28] = { 0 };

	pair_host_send(&(struct packet_spec){ .protocol = IPPROTO_UDP,
					      .source_port = 5000,
					      .destination_port = nat_port,
					      .payload = "x",
					      .payload_bytes = 1 });
	CU_ASSERT_TRUE_FATAL(pair_client_take(&p));
	memcpy(error + 4, p.ip, sizeof(*p.ip));
	memcpy(error + 4 + sizeof(*p.ip), p.l4, 8);
	pair_client_send(&(struct packet_spec){ .source = client,
						.destination = address,
						.protocol = IPPROTO_ICMP,
						.payload = error + 4,
						.payload_bytes = 28,
						.icmp_type_code = 3 << 8 | 3 });
	return pair_host_take(&p) && p.ip->next_proto_id == IPPROTO_ICMP;
}

static uint16_t
open_udp(const char *client, const char *address)
{
	struct packet_spec spec = pair_udp_to(address, 4000, 5000, "x", 1);

	spec.source = client;
	pair_client_send(&spec);
	CU_ASSERT_TRUE_FATAL(pair_host_take(&p));
	return rte_be_to_cpu_16(p.udp->src_port);
}

static void
test_errors(void)
{
	char git[16], hidden[INET_ADDRSTRLEN];
	uint16_t nat, nat_b;
	unsigned nb = 0;

	pair_begin(NULL);
	snprintf(git, sizeof(git), "%s", pair_resolve(GIT));
	CU_ASSERT_FATAL(pair_ask(CLIENT_B, HIDDEN, SL_DNS_A, false, &p) > 16);
	inet_ntop(AF_INET, p.payload + p.payload_bytes - 4, hidden, sizeof(hidden));
	nat = open_udp(CLIENT, git);
	nat_b = open_udp(CLIENT_B, hidden);
	for (unsigned i = 0; i < 2 * SL_ERRORS_BURST; i++)
		nb += complain(CLIENT, git, nat);
	CU_ASSERT_EQUAL(nb, SL_ERRORS_BURST);
	CU_ASSERT_EQUAL(pair_drops(pair.pop, "error_forward_limited"), SL_ERRORS_BURST);
	CU_ASSERT_TRUE(complain(CLIENT_B, hidden, nat_b));
	pair_end("errors");
}

static const struct sl_test_case cases[] = {
	{ "B3: refusals are limited for each client, and a flood of one takes none from another",
	  test_limit },
	{ "B3: each refused packet is in the flow log's counts, told or not, in few lines",
	  test_log },
	{ "B6: ICMP errors are limited for each client, and a flood of one takes none from another",
	  test_errors },
};

int
main(int argc, char **argv)
{
	return PAIR_MAIN(argc, argv, cases);
}
