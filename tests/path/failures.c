// What a client is told when the connector cannot send its packet, and what a host is told when the
// PoP cannot: as a router on the way would have said it.
#include "pair.h"

#include <netinet/in.h>
#include <string.h>

static struct pair_packet p;
static uint8_t filling[1472];

static void
send_up(const char *address, uint8_t protocol, uint16_t port, size_t payload_bytes, uint16_t bits)
{
	pair_client_send(&(struct packet_spec){
		.destination = address,
		.protocol = protocol,
		.source_port = port,
		.destination_port = protocol == IPPROTO_TCP ? 80 : 5000,
		.tcp_flags = RTE_TCP_SYN_FLAG,
		.tcp_seq = 1000,
		.fragment_bits = bits,
		.payload = filling,
		.payload_bytes = payload_bytes,
	});
}

// An ICMP error from the address that the client used, about its own packet.
static void
expect_error(uint8_t code, const char *address, uint8_t protocol, uint16_t port, uint16_t mtu)
{
	const struct rte_ipv4_hdr *quoted;
	const struct rte_tcp_hdr *tcp;

	CU_ASSERT_TRUE_FATAL(pair_client_take(&p));
	CU_ASSERT_EQUAL(p.ip->next_proto_id, IPPROTO_ICMP);
	CU_ASSERT_EQUAL(p.icmp->icmp_type, 3);
	CU_ASSERT_EQUAL(p.icmp->icmp_code, code);
	CU_ASSERT_EQUAL(p.ip->src_addr, packet_ip(address));
	CU_ASSERT_EQUAL(rte_be_to_cpu_16(p.icmp->icmp_seq_nb), mtu);
	quoted = (const void *)((const uint8_t *)p.icmp + 8);
	tcp = (const void *)(quoted + 1);
	CU_ASSERT_EQUAL(quoted->src_addr, packet_ip(CLIENT));
	CU_ASSERT_EQUAL(quoted->dst_addr, packet_ip(address));
	CU_ASSERT_EQUAL(quoted->next_proto_id, protocol);
	if (protocol != IPPROTO_ICMP)
		CU_ASSERT_EQUAL(tcp->src_port, rte_cpu_to_be_16(port));
	if (protocol == IPPROTO_TCP)
		CU_ASSERT_EQUAL(tcp->sent_seq, rte_cpu_to_be_32(1000));
}

static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP };

static void
test_silent_neighbour(void)
{
	const char *address;

	for (unsigned i = 0; i < RTE_DIM(protocols); i++) {
		pair_begin(NULL);
		pair.dns_mode = PAIR_DNS_ABSENT;
		address = pair_resolve(GIT);
		send_up(address, protocols[i], 33000, protocols[i] == IPPROTO_TCP ? 0 : 8, 0);
		CU_ASSERT_FALSE(pair_client_take(&p));
		pair_pass_s(4);
		expect_error(1, address, protocols[i], 33000, 0);
		CU_ASSERT_FALSE(pair_client_take(&p));
		pair_end("silent neighbour");
	}
}

static void
test_no_route(void)
{
	const char *address;

	for (unsigned i = 0; i < RTE_DIM(protocols); i++) {
		pair_begin(NULL);
		pair.dns_mode = PAIR_DNS_FAR;
		address = pair_resolve(GIT);
		send_up(address, protocols[i], 33000, protocols[i] == IPPROTO_TCP ? 0 : 8, 0);
		CU_ASSERT_TRUE_FATAL(pair_client_take(&p));
		CU_ASSERT(
			p.ip->next_proto_id == IPPROTO_ICMP && p.icmp->icmp_type == 3 &&
			p.icmp->icmp_code == 1 && p.ip->src_addr == packet_ip(address)
		);
		// Linux believes no error about a segment that is not under way.
		if (protocols[i] == IPPROTO_TCP)
			CU_ASSERT_EQUAL(
				((const struct rte_tcp_hdr
					  *)(const void *)((const uint8_t *)p.icmp + 28))
					->sent_seq,
				rte_cpu_to_be_32(1000)
			);
		CU_ASSERT_EQUAL(pair_flows(pair.pop) + pair_flows(pair.connector), 0);
		pair_end("no route");
	}
}

static void
test_too_big(void)
{
	struct pair_tcp t;
	const char *address;
	unsigned nb_fragments;
	static uint8_t got[4096];

	pair_begin(&(struct pair_conf){ .inner_mtu = 1300 });
	address = pair_resolve(GIT);
	pair_tcp_open(&t, address, 33000, 80);
	pair_client_send(&(struct packet_spec){ .destination = address,
						.protocol = IPPROTO_TCP,
						.source_port = 33000,
						.destination_port = 80,
						.tcp_flags = RTE_TCP_ACK_FLAG,
						.tcp_seq = t.client_seq,
						.tcp_ack = t.host_seq,
						.fragment_bits = 0x4000,
						.payload = filling,
						.payload_bytes = 1350 });
	CU_ASSERT_TRUE(pair_client_take(&p));
	CU_ASSERT(
		p.ip->next_proto_id == IPPROTO_ICMP && p.icmp->icmp_type == 3 &&
		p.icmp->icmp_code == 4
	);
	CU_ASSERT_EQUAL(rte_be_to_cpu_16(p.icmp->icmp_seq_nb), 1300);
	CU_ASSERT_FALSE(pair_host_take(&p));
	// A datagram that may be cut is.
	send_up(address, IPPROTO_UDP, 5555, 1350, 0);
	CU_ASSERT_EQUAL(pair_host_take_whole(got, &nb_fragments), 1378);
	CU_ASSERT_EQUAL(nb_fragments, 2);
	pair_end("too big");
}

// Errors make no flow, and those about nothing of ours go nowhere.
static void
test_no_flow_by_error(void)
{
	const char *address;

	pair_begin(NULL);
	pair.dns_mode = PAIR_DNS_ABSENT;
	address = pair_resolve(GIT);
	for (uint16_t i = 0; i < 8; i++)
		send_up(address, IPPROTO_UDP, (uint16_t)(5000 + i), 4, 0);
	pair_pass_s(4);
	for (uint16_t i = 0; i < 8; i++)
		CU_ASSERT_TRUE(pair_client_take(&p) && p.icmp->icmp_code == 1);
	CU_ASSERT_EQUAL(pair_flows(pair.pop), 8);
	CU_ASSERT_EQUAL(pair_drops(pair.connector, "neighbour_sweep_unanswered"), 0);
	pair_end("no flow by error");
}

static const struct sl_test_case cases[] = {
	{ "B2 B12: of a host that does not answer ARP the client hears 3/1, in 4 s",
	  test_silent_neighbour },
	{ "B12: where the connector has no route the client hears 3/1 at once", test_no_route },
	{ "B7: what exceeds the private network's MTU is told to its sender, or cut",
	  test_too_big },
	{ "B6: an error for each packet that could not be sent, and no flow by an error",
	  test_no_flow_by_error },
};

int
main(int argc, char **argv)
{
	return PAIR_MAIN(argc, argv, cases);
}
