// Everything below the tunnel, in whole instances: ARP, echo, VLANs, malformed packets, neighbours.
#include "harness.h"
#include "packet.h"
#include "sl_test.h"

#include <rte_arp.h>
#include <rte_ethdev.h>
#include <rte_icmp.h>
#include <rte_ip.h>
#include <rte_udp.h>

#include <sluice/dp/neighbour.h>
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
	const struct rte_ether_hdr *eth = (const void *)frame;

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

static void
test_arp_answer(void)
{
	struct path_node *n = add_one();
	uint8_t frame[PATH_FRAME_BYTES];
	const struct rte_ether_hdr *eth = (const void *)frame;
	const struct rte_arp_hdr *arp = (const struct rte_arp_hdr *)(eth + 1);
	size_t len = packet_arp(frame, RTE_ARP_OP_REQUEST, HOST_MAC, HOST, SELF);

	path_send(n, 0, frame, len);
	path_run();
	CU_ASSERT_EQUAL_FATAL(path_take(n, 0, frame, sizeof(frame)), len);
	CU_ASSERT_EQUAL(arp->arp_opcode, RTE_BE16(RTE_ARP_OP_REPLY));
	CU_ASSERT(rte_is_same_ether_addr(&arp->arp_data.arp_sha, path_mac(n, 0)));
	CU_ASSERT(rte_is_same_ether_addr(&eth->src_addr, path_mac(n, 0)));
	CU_ASSERT_EQUAL(arp->arp_data.arp_sip, packet_ip(SELF));
	CU_ASSERT_EQUAL(arp->arp_data.arp_tip, packet_ip(HOST));
	CU_ASSERT_EQUAL(eth->dst_addr.addr_bytes[5], 2);
	// It asked for us, so both workers know it now: an echo to either needs no query.
	for (unsigned i = 0; i < 2; i++) {
		struct packet_spec spec = echo_to(n);

		path_send(n, 0, frame, packet_build(frame, sizeof(frame), &spec));
		path_run();
		len = path_take(n, 0, frame, sizeof(frame));
		CU_ASSERT_PTR_NOT_NULL(packet_check(frame, len));
		CU_ASSERT_EQUAL(path_take(n, 0, frame, sizeof(frame)), 0);
	}
	path_end("arp answer");
}

static const struct {
	const char *sentence;
	uint16_t opcode;
	const char *mac;
	const char *sender;
	const char *target;
	size_t cut; // octets taken off the end
	const char *drop;
} arps[] = {
	{ "others ask for each other", 1, HOST_MAC, HOST, "10.0.0.9", 0, "arp_input_not_for_us" },
	{ "somebody has our address", 1, HOST_MAC, SELF, SELF, 0, "arp_input_conflict" },
	{ "a sender outside the prefix",
	  1,
	  HOST_MAC,
	  "10.0.1.2",
	  SELF,
	  0,
	  "arp_input_not_on_link" },
	{ "cut short", 1, HOST_MAC, HOST, SELF, 1, "arp_input_malformed" },
	{ "a group address as sender",
	  1,
	  "03:00:00:00:00:01",
	  HOST,
	  SELF,
	  0,
	  "arp_input_malformed" },
	{ "neither query nor answer", 3, HOST_MAC, HOST, SELF, 0, "arp_input_malformed" },
	{ "an answer nobody asked for", 2, HOST_MAC, HOST, SELF, 0, "arp_input_learned" },
};

static void
test_arp_drops(void)
{
	struct path_node *n = add_one();
	uint8_t frame[PATH_FRAME_BYTES];

	for (unsigned i = 0; i < RTE_DIM(arps); i++) {
		size_t len = packet_arp(
			frame, arps[i].opcode, arps[i].mac, arps[i].sender, arps[i].target
		);
		uint64_t before = path_drops(n, arps[i].drop);

		path_send(n, 0, frame, len - arps[i].cut);
		path_run();
		SL_ASSERT_ROW(path_drops(n, arps[i].drop) > before, arps[i].sentence);
		SL_ASSERT_ROW(path_take(n, 0, frame, sizeof(frame)) == 0, arps[i].sentence);
	}
	path_end("arp drops");
}

// A frame changed in one place, and the reason it is dropped for.
static const struct {
	const char *sentence;
	unsigned at; // octet of the IPv4 header
	uint8_t value;
	bool is_checksum_mended;
	size_t cut; // octets taken off the end of the frame
	const char *drop;
} malformed[] = {
	{ "version 6", 0, 0x65, true, 0, "ip4_input_malformed" },
	{ "header length of 16", 0, 0x44, true, 0, "ip4_input_malformed" },
	{ "header length of 60, packet shorter", 0, 0x4f, false, 0, "ip4_input_malformed" },
	{ "options", 0, 0x46, true, 0, "ip4_input_options" },
	{ "total length below the header", 3, 19, true, 0, "ip4_input_malformed" },
	{ "total length above the frame", 3, 200, true, 0, "ip4_input_truncated" },
	{ "frame cut", 0, 0x45, true, 1, "ip4_input_truncated" },
	{ "frame cut in the header", 0, 0x45, true, 20, "ip4_input_truncated" },
	{ "checksum", 8, 63, false, 0, "ip4_input_checksum" },
	{ "source 0.x", 12, 0, true, 0, "ip4_input_martian_source" },
	{ "source 127.x", 12, 127, true, 0, "ip4_input_martian_source" },
	{ "source 224.x", 12, 224, true, 0, "ip4_input_martian_source" },
	{ "source 255.x", 12, 255, true, 0, "ip4_input_martian_source" },
	{ "our own address as source", 15, 1, true, 0, "ip4_input_martian_source" },
	{ "the subnet's broadcast as source", 15, 255, true, 0, "ip4_input_martian_source" },
	{ "destination 0.x", 16, 0, true, 0, "ip4_input_martian_destination" },
	{ "destination 127.x", 16, 127, true, 0, "ip4_input_martian_destination" },
	{ "destination 239.x", 16, 239, true, 0, "ip4_input_martian_destination" },
	{ "the subnet's broadcast", 19, 255, true, 0, "ip4_input_broadcast" },
	{ "the subnet's address", 19, 0, true, 0, "ip4_input_broadcast" },
	{ "a later fragment", 7, 5, true, 0, "fragment_input_held" },
	{ "a first fragment", 6, 0x20, true, 0, "fragment_input_held" },
	{ "ICMP checksum", 21, 1, true, 0, "icmp_local_checksum" },
};

static void
test_malformed(void)
{
	struct path_node *n = add_one();
	struct packet_spec spec = echo_to(n);
	uint8_t frame[PATH_FRAME_BYTES];

	for (unsigned i = 0; i < RTE_DIM(malformed); i++) {
		size_t len = packet_build(frame, sizeof(frame), &spec);
		uint64_t before = path_drops(n, malformed[i].drop);

		frame[sizeof(struct rte_ether_hdr) + malformed[i].at] = malformed[i].value;
		if (malformed[i].is_checksum_mended)
			packet_fix_ip_checksum(frame);
		path_send(n, 0, frame, len - malformed[i].cut);
		path_run();
		SL_ASSERT_ROW(
			path_drops(n, malformed[i].drop) == before + 1, malformed[i].sentence
		);
		SL_ASSERT_ROW(path_take(n, 0, frame, sizeof(frame)) == 0, malformed[i].sentence);
	}
	path_end("malformed");
}

static void
test_padding(void)
{
	struct path_node *n = add_one();
	struct packet_spec spec = echo_to(n);
	uint8_t frame[PATH_FRAME_BYTES] = { 0 };
	size_t len;

	path_host(n, 0, packet_ip(HOST), HOST_MAC);
	spec.payload_bytes = 1;
	len = packet_build(frame, sizeof(frame), &spec);
	memset(frame + len, 0xee, 60 - len);
	path_send(n, 0, frame, 60);
	path_run();
	CU_ASSERT_EQUAL(path_take(n, 0, frame, sizeof(frame)), len);
	CU_ASSERT_PTR_NOT_NULL(packet_check(frame, len));
	path_end("padding");
}

static const struct {
	const char *sentence;
	size_t nb_bytes;
	uint8_t destination; // last octet of the MAC address; 0xff: broadcast
	uint16_t type;
	const char *drop;
} frames[] = {
	{ "13 octets", 13, 0, RTE_ETHER_TYPE_IPV4, "eth_input_runt" },
	{ "a VLAN tag cut", 16, 0, RTE_ETHER_TYPE_VLAN, "eth_input_runt" },
	{ "IPv6", 60, 0, RTE_ETHER_TYPE_IPV6, "eth_input_bad_type" },
	{ "for another station", 60, 9, RTE_ETHER_TYPE_IPV4, "eth_input_not_ours" },
	{ "a VLAN nobody configured", 60, 0, RTE_ETHER_TYPE_VLAN, "eth_input_bad_vlan" },
};

static void
test_frames(void)
{
	struct path_node *n = add_one();

	for (unsigned i = 0; i < RTE_DIM(frames); i++) {
		uint8_t frame[60] = { 0 };
		struct rte_ether_hdr *eth = (void *)frame;

		eth->dst_addr = *path_mac(n, 0);
		eth->dst_addr.addr_bytes[5] = frames[i].destination;
		eth->ether_type = rte_cpu_to_be_16(frames[i].type);
		frame[15] = 7;
		path_send(n, 0, frame, frames[i].nb_bytes);
		path_run();
		SL_ASSERT_ROW(path_drops(n, frames[i].drop) != 0, frames[i].sentence);
	}
	path_end("frames");
}

static void
test_vlans(void)
{
	struct sl_net net = {
		.nb_ports = 2,
		.ports = { { .name = "p0", .address = packet_ip(SELF), .prefix_bits = 24 },
			   { .name = "p0",
			     .vlan = 30,
			     .address = packet_ip("10.0.30.1"),
			     .prefix_bits = 24 } },
	};
	struct path_node *n = path_add("vlans", SL_DP_POP, &net, NULL, 0);
	struct packet_spec spec = echo_to(n);
	uint8_t frame[PATH_FRAME_BYTES];
	const struct rte_vlan_hdr *tag = (const void *)(frame + sizeof(struct rte_ether_hdr));
	size_t len;

	spec.vlan = 30;
	spec.source = "10.0.30.2";
	spec.destination = "10.0.30.1";
	len = packet_build(frame, sizeof(frame), &spec);
	path_send(n, 1, frame, len);
	path_run();
	// The query for 10.0.30.2 carries the tag, and so does the reply when it is answered.
	CU_ASSERT_EQUAL(path_take(n, 1, frame, sizeof(frame)), 14 + 4 + 28);
	CU_ASSERT_EQUAL(tag->vlan_tci, RTE_BE16(30));
	CU_ASSERT_EQUAL(tag->eth_proto, RTE_BE16(RTE_ETHER_TYPE_ARP));
	len = packet_arp(frame, RTE_ARP_OP_REPLY, HOST_MAC, "10.0.30.2", "10.0.30.1");
	memmove(frame + 18, frame + 14, len - 14);
	memcpy(frame + 12, "\x81\x00\x00\x1e\x08\x06", 6);
	path_arrive(n, 1, PATH_WORKER_0);
	path_send(n, 1, frame, len + 4);
	path_run();
	len = path_take(n, 1, frame, sizeof(frame));
	CU_ASSERT_PTR_NOT_NULL(packet_check(frame, len));
	CU_ASSERT_EQUAL(tag->vlan_tci, RTE_BE16(30));
	path_end("vlans");
}

static void
test_hold(void)
{
	struct path_node *n = add_one();
	uint8_t frame[PATH_FRAME_BYTES];
	unsigned nb = 0;

	// One worker, so that all meet in one entry: two more than it holds are refused.
	path_arrive(n, 0, PATH_WORKER_1);
	for (uint16_t i = 0; i < SL_NEIGHBOUR_HELD + 2; i++) {
		struct packet_spec spec = echo_to(n);

		spec.destination_port = i;
		path_send(n, 0, frame, packet_build(frame, sizeof(frame), &spec));
		path_run();
	}
	CU_ASSERT_EQUAL(path_take(n, 0, frame, sizeof(frame)), 14 + 28);
	CU_ASSERT_EQUAL(path_take(n, 0, frame, sizeof(frame)), 0);
	CU_ASSERT_EQUAL(path_drops(n, "neighbour_hold_queue_full"), 2);
	// The answer comes in at the other worker.
	path_arrive(n, 0, PATH_WORKER_0);
	path_send(n, 0, frame, packet_arp(frame, RTE_ARP_OP_REPLY, HOST_MAC, HOST, SELF));
	path_run();
	for (size_t len; (len = path_take(n, 0, frame, sizeof(frame))) != 0; nb++) {
		const struct rte_ipv4_hdr *ip = packet_check(frame, len);

		CU_ASSERT_PTR_NOT_NULL_FATAL(ip);
		CU_ASSERT_EQUAL(
			((const struct rte_icmp_hdr *)(ip + 1))->icmp_seq_nb,
			rte_cpu_to_be_16((uint16_t)nb)
		);
	}
	CU_ASSERT_EQUAL(nb, SL_NEIGHBOUR_HELD);
	path_end("hold");
}

static void
test_silent_neighbour(void)
{
	struct path_node *n = add_one();
	struct packet_spec spec = echo_to(n);
	uint8_t frame[PATH_FRAME_BYTES];
	unsigned nb_queries = 0;

	path_send(n, 0, frame, packet_build(frame, sizeof(frame), &spec));
	path_pass_ms(5000);
	while (path_take(n, 0, frame, sizeof(frame)) != 0)
		nb_queries++;
	CU_ASSERT_EQUAL(nb_queries, 3);
	CU_ASSERT_EQUAL(path_drops(n, "neighbour_sweep_unanswered"), 1);
	path_end("silent neighbour");
}

static void
test_refresh(void)
{
	struct path_node *n = add_one();
	struct packet_spec spec = echo_to(n);
	uint8_t frame[PATH_FRAME_BYTES];

	path_arrive(n, 0, PATH_WORKER_0);
	path_send(n, 0, frame, packet_arp(frame, RTE_ARP_OP_REQUEST, HOST_MAC, HOST, SELF));
	path_send(n, 0, frame, packet_build(frame, sizeof(frame), &spec));
	path_run();
	while (path_take(n, 0, frame, sizeof(frame)) != 0)
		;
	path_pass_ms(29000);
	CU_ASSERT_EQUAL(path_take(n, 0, frame, sizeof(frame)), 0);
	path_pass_ms(1000); // a used entry is asked again, while it goes on being used
	CU_ASSERT_EQUAL(path_take(n, 0, frame, sizeof(frame)), 14 + 28);
	CU_ASSERT_EQUAL(path_take(n, 0, frame, sizeof(frame)), 0);
	path_send(n, 0, frame, packet_build(frame, sizeof(frame), &spec));
	path_run();
	CU_ASSERT_PTR_NOT_NULL(packet_check(frame, path_take(n, 0, frame, sizeof(frame))));
	path_end("refresh");
}

static void
test_link_down(void)
{
	struct path_node *n = add_one();
	struct packet_spec spec = echo_to(n);
	uint8_t frame[PATH_FRAME_BYTES];
	uint16_t ethdev = sl_dp_net(path_dp(n))->ports[0].ethdev;

	path_host(n, 0, packet_ip(HOST), HOST_MAC);
	CU_ASSERT_EQUAL(rte_eth_dev_set_link_down(ethdev), 0);
	CU_ASSERT(sl_dp_poll_links(path_dp(n)));
	path_send(n, 0, frame, packet_arp(frame, RTE_ARP_OP_REQUEST, HOST_MAC, HOST, SELF));
	path_run();
	CU_ASSERT_EQUAL(path_drops(n, "port_tx_link_down"), 1);
	CU_ASSERT_EQUAL(path_take(n, 0, frame, sizeof(frame)), 0);
	CU_ASSERT_EQUAL(rte_eth_dev_set_link_up(ethdev), 0);
	CU_ASSERT(sl_dp_poll_links(path_dp(n)));
	CU_ASSERT(!sl_dp_poll_links(path_dp(n)));
	path_send(n, 0, frame, packet_build(frame, sizeof(frame), &spec));
	path_run();
	CU_ASSERT_PTR_NOT_NULL(packet_check(frame, path_take(n, 0, frame, sizeof(frame))));
	path_end("link down");
}

// A packet of ours comes by the session thread's ring.
static void
send_own(struct path_node *n, const uint8_t *frame, size_t len, uint8_t stage)
{
	struct rte_mbuf *m = sl_dp_alloc_mbuf(path_dp(n));
	void *room = rte_pktmbuf_append(m, (uint16_t)(len - sizeof(struct rte_ether_hdr)));

	CU_ASSERT_PTR_NOT_NULL_FATAL(room);
	memcpy(room, frame + sizeof(struct rte_ether_hdr), len - sizeof(struct rte_ether_hdr));
	sl_meta(m)->stage = stage;
	CU_ASSERT_EQUAL(sl_dp_send_mbuf(path_dp(n), 0, m), 0);
}

static void
test_output(void)
{
	struct sl_net net = one_port();
	uint8_t payload[2000], frame[PATH_FRAME_BYTES], whole[sizeof(payload)] = { 0 };
	struct path_node *n;
	struct packet_spec spec;
	size_t len, nb_bytes = 0;

	net.ports[0].mtu_bytes = 576;
	n = path_add("output", SL_DP_CONNECTOR, &net, NULL, 0);
	path_host(n, 0, packet_ip(HOST), HOST_MAC);
	for (unsigned i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 7);
	spec = (struct packet_spec){ .to = path_mac(n, 0),
				     .source = SELF,
				     .destination = HOST,
				     .payload = payload,
				     .payload_bytes = 1500,
				     .protocol = 99 };
	len = packet_build(frame, sizeof(frame), &spec);
	send_own(n, frame, len, SL_STAGE_IP4);
	path_run();
	while ((len = path_take(n, 0, frame, sizeof(frame))) != 0) {
		const struct rte_ipv4_hdr *ip = packet_check(frame, len);
		unsigned at;

		CU_ASSERT_PTR_NOT_NULL_FATAL(ip);
		CU_ASSERT(len <= 576 + 14);
		at = (rte_be_to_cpu_16(ip->fragment_offset) & 0x1fffu) * 8;
		memcpy(whole + at, ip + 1, len - 34);
		nb_bytes += len - 34;
	}
	CU_ASSERT_EQUAL(nb_bytes, 1500);
	CU_ASSERT_EQUAL(memcmp(whole, payload, 1500), 0);

	spec.fragment_bits = RTE_IPV4_HDR_DF_FLAG;
	send_own(n, frame, packet_build(frame, sizeof(frame), &spec), SL_STAGE_IP4);
	spec.payload_bytes = 10;
	spec.destination = "192.0.2.1";
	send_own(n, frame, packet_build(frame, sizeof(frame), &spec), SL_STAGE_IP4);
	send_own(n, frame, packet_build(frame, sizeof(frame), &spec), SL_STAGE_NONE);
	path_run();
	CU_ASSERT_EQUAL(path_drops(n, "ip4_output_no_route"), 1);
	CU_ASSERT_EQUAL(path_drops(n, "mailbox_rx_no_stage"), 1);
	CU_ASSERT_EQUAL(path_take(n, 0, frame, sizeof(frame)), 0);
	path_end("output");
}

static const struct sl_test_case cases[] = {
	{ "link: an echo request to our address is answered, at either worker", test_echo },
	{ "link: ARP for our address is answered and teaches both workers", test_arp_answer },
	{ "link: ARP that does not concern us is dropped by name", test_arp_drops },
	{ "link: malformed and martian IPv4 is dropped by name", test_malformed },
	{ "link: padding after a short packet is not carried on", test_padding },
	{ "link: frames that are not ours are dropped by name", test_frames },
	{ "link: a tagged interface answers with its tag", test_vlans },
	{ "link: packets wait for an unknown next hop, in order and bounded", test_hold },
	{ "link: a silent next hop is asked three times and given up", test_silent_neighbour },
	{ "link: a used next hop is asked again before it is too old", test_refresh },
	{ "B11: a port without link drops by name and recovers by itself", test_link_down },
	{ "link: what exceeds the MTU is cut, or dropped by name", test_output },
};

int
main(int argc, char **argv)
{
	return sl_test_main(argc, argv, cases, RTE_DIM(cases), path_setup, path_teardown);
}
