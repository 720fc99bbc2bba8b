// Everything below the tunnel, in whole instances: ARP, echo, VLANs, malformed packets, neighbours.
#include "harness.h"
#include "packet.h"
#include "sl_test.h"

#include <rte_arp.h>
#include <rte_icmp.h>
#include <rte_ip.h>
#include <rte_udp.h>

#include <string.h>

#define HOST     "10.0.0.2"
#define HOST_MAC "02:aa:00:00:00:02"
#define SELF     "10.0.0.1"

static struct sl_net
one_port(void)
{
	return (struct sl_net){
		.nb_ports = 1,
		.ports = { { .name = "p0", .address = packet_ip(SELF), .prefix_bits = 24 } },
	};
}

static struct path_node *
add_one(void)
{
	struct sl_net net = one_port();

	return path_add("link", SL_DP_POP, &net, NULL, 0);
}

static struct packet_spec
echo_to(const struct path_node *n)
{
	return (struct packet_spec){
		.to = path_mac(n, 0),
		.from = HOST_MAC,
		.source = HOST,
		.destination = SELF,
		.protocol = IPPROTO_ICMP,
		.source_port = 77,
		.destination_port = 5,
		.payload = "abcdefgh",
		.payload_bytes = 8,
	};
}

static void
test_echo(void)
{
	struct path_node *n = add_one();
	struct packet_spec spec = echo_to(n);
	uint8_t frame[PATH_FRAME_BYTES];
	const struct rte_ether_hdr *eth = (const struct rte_ether_hdr *)frame;

	path_host(n, 0, packet_ip(HOST), HOST_MAC);
	for (unsigned i = 0; i < 4; i++) {
		size_t len = packet_build(frame, sizeof(frame), &spec);
		const struct rte_ipv4_hdr *ip;
		const struct rte_icmp_hdr *icmp;

		path_send(n, 0, frame, len);
		path_run();
		memset(frame, 0, sizeof(frame));
		CU_ASSERT_EQUAL_FATAL(path_take(n, 0, frame, sizeof(frame)), len);
		ip = packet_check(frame, len);
		CU_ASSERT_PTR_NOT_NULL_FATAL(ip);
		icmp = (const struct rte_icmp_hdr *)(ip + 1);
		CU_ASSERT_EQUAL(ip->src_addr, packet_ip(SELF));
		CU_ASSERT_EQUAL(ip->dst_addr, packet_ip(HOST));
		CU_ASSERT_EQUAL(icmp->icmp_type, RTE_IP_ICMP_ECHO_REPLY);
		CU_ASSERT_EQUAL(icmp->icmp_ident, RTE_BE16(77));
		CU_ASSERT_EQUAL(memcmp(icmp + 1, "abcdefgh", 8), 0);
		CU_ASSERT_EQUAL(eth->dst_addr.addr_bytes[5], 2);
	}
	path_end("echo");
}

static const struct sl_test_case cases[] = {
	{ "link: an echo request to our address is answered, at either worker", test_echo },
};

int
main(int argc, char **argv)
{
	return sl_test_main(argc, argv, cases, RTE_DIM(cases), path_setup, path_teardown);
}
