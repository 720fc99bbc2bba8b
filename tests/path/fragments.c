// Packets in fragments: put together whatever worker each piece arrives at, carried, and cut again;
// what is not a sound set of fragments is dropped under its reason.
#include "pair.h"

#include <netinet/in.h>
#include <sluice/dp/fragments.h>
#include <sluice/proto/inet.h>
#include <stdlib.h>
#include <string.h>

#define ID_FIRST 0x4000u

// What a fragment may claim goes beyond what a packet may hold.
static uint8_t packet[UINT16_MAX + 1024u], got[UINT16_MAX + 64u];
static uint16_t next_id = ID_FIRST;
static struct pair_packet p;

// An IPv4 packet with `l4_bytes` of transport header and payload, right as a whole.
static size_t
build(const char *source,
      const char *destination,
      uint8_t protocol,
      uint16_t source_port,
      uint16_t destination_port,
      size_t l4_bytes)
{
	struct rte_ipv4_hdr *ip = (void *)packet;
	struct rte_udp_hdr *udp = (void *)(ip + 1);
	struct rte_icmp_hdr *icmp = (void *)(ip + 1);

	for (size_t i = 0; i < l4_bytes; i++)
		((uint8_t *)(ip + 1))[i] = (uint8_t)(i * 11 + i / 251 + next_id);
	*ip = (struct rte_ipv4_hdr){ .version_ihl = 0x45,
				     .total_length = rte_cpu_to_be_16((uint16_t)(20 + l4_bytes)),
				     .packet_id = rte_cpu_to_be_16(next_id++),
				     .time_to_live = 64,
				     .next_proto_id = protocol,
				     .src_addr = packet_ip(source),
				     .dst_addr = packet_ip(destination) };
	if (protocol == IPPROTO_ICMP) {
		*icmp = (struct rte_icmp_hdr){ .icmp_type = 8,
					       .icmp_ident = rte_cpu_to_be_16(source_port) };
		icmp->icmp_cksum = (uint16_t)~sl_sum(icmp, l4_bytes);
	} else {
		*udp = (struct rte_udp_hdr){ .src_port = rte_cpu_to_be_16(source_port),
					     .dst_port = rte_cpu_to_be_16(destination_port),
					     .dgram_len = rte_cpu_to_be_16((uint16_t)l4_bytes) };
		udp->dgram_cksum = rte_ipv4_udptcp_cksum(ip, udp);
	}
	ip->hdr_checksum = (uint16_t)~rte_raw_cksum(ip, sizeof(*ip));
	return 20 + l4_bytes;
}

// Octets [at, at + bytes) behind the header of what build() made, as a fragment.
static void
send_piece(bool is_host, size_t at, size_t bytes, uint16_t flags, uint8_t tos)
{
	uint8_t piece[2048];
	struct rte_ipv4_hdr *ip = (void *)piece;

	*ip = *(struct rte_ipv4_hdr *)(void *)packet;
	memcpy(ip + 1, packet + 20 + at, bytes);
	ip->total_length = rte_cpu_to_be_16((uint16_t)(20 + bytes));
	ip->fragment_offset = rte_cpu_to_be_16((uint16_t)(at / 8 | flags));
	ip->type_of_service = tos;
	ip->hdr_checksum = 0;
	ip->hdr_checksum = (uint16_t)~rte_raw_cksum(ip, sizeof(*ip));
	if (is_host)
		pair_host_raw(piece, 20 + bytes);
	else
		pair_client_raw(piece, 20 + bytes);
}

enum order { IN_ORDER, BACKWARD, SHUFFLED };

static void
send_in_pieces(bool is_host, size_t nb_bytes, size_t step, enum order order)
{
	static size_t at[8192];
	size_t l4_bytes = nb_bytes - 20, nb = 0;

	for (size_t i = 0; i < l4_bytes; i += step)
		at[nb++] = i;
	for (size_t i = nb - 1; i > 0 && order != IN_ORDER; i--) {
		size_t k = order == BACKWARD ? 0 : (size_t)rand() % (i + 1), swap = at[i];

		if (order == BACKWARD)
			k = nb - 1 - i < i ? nb - 1 - i : i;
		at[i] = at[k];
		at[k] = swap;
	}
	for (size_t i = 0; i < nb; i++) {
		size_t bytes = RTE_MIN(step, l4_bytes - at[i]);

		send_piece(is_host, at[i], bytes, at[i] + bytes == l4_bytes ? 0 : 0x2000, 0);
		if (i % 32 == 31)
			path_run();
	}
	path_run();
}

static void
expect_payload(size_t nb_bytes, size_t nb_got, size_t header)
{
	CU_ASSERT_EQUAL(nb_got, nb_bytes);
	CU_ASSERT_EQUAL(memcmp(got + 20 + header, packet + 20 + header, nb_bytes - 20 - header), 0);
}

// A flow that stands: its first packet is a small one. Returns the connector's port, or echo id.
static uint16_t
open_flow(const char *address, uint8_t protocol, uint16_t client_port, uint16_t service)
{
	pair_client_send(&(struct packet_spec){ .destination = address,
						.protocol = protocol,
						.source_port = client_port,
						.destination_port = service,
						.payload = "hello",
						.payload_bytes = 5 });
	CU_ASSERT_FATAL(pair_host_take(&p));
	return rte_be_to_cpu_16(protocol == IPPROTO_UDP ? p.udp->src_port : p.icmp->icmp_ident);
}

static const size_t sizes[] = { 1480, 1600, 2200, 4028, 9000, 30001, 65028 };

static void
test_both_ways(void)
{
	const char *address;
	unsigned nb_fragments;
	uint16_t nat_port;

	for (unsigned i = 0; i < RTE_DIM(sizes) * 3; i++) {
		size_t nb, size = sizes[i / 3];

		pair_begin(NULL);
		address = pair_resolve(GIT);
		nat_port = open_flow(address, IPPROTO_UDP, 5555, 5000);
		nb = build(CLIENT, address, IPPROTO_UDP, 5555, 5000, size - 20);
		send_in_pieces(false, nb, 1480, (enum order)(i % 3));
		expect_payload(nb, pair_host_take_whole(got, &nb_fragments), 8);
		CU_ASSERT_EQUAL(nb_fragments, (size - 20 + 1479) / 1480);
		CU_ASSERT_EQUAL(
			((struct rte_udp_hdr *)(got + 20))->src_port, rte_cpu_to_be_16(nat_port)
		);
		nb = build(HOST, CONN_INNER, IPPROTO_UDP, 5000, nat_port, size - 20);
		send_in_pieces(true, nb, 1400, (enum order)(i % 3));
		expect_payload(nb, pair_client_take_whole(got, &nb_fragments), 8);
		CU_ASSERT_FALSE(pair_client_take(&p) || pair_host_take(&p));
		pair_end("both ways");
	}
}

static void
test_first_packet(void)
{
	static const size_t all[] = { 1600, 4028, 65028 };
	const char *address;
	unsigned nb_fragments;
	size_t nb;

	for (unsigned i = 0; i < RTE_DIM(all); i++) {
		pair_begin(&(struct pair_conf){ .underlay_mtu = i == 1 ? 1280 : 0 });
		address = pair_resolve(GIT);
		nb = build(CLIENT, address, IPPROTO_ICMP, 77, 0, all[i] - 20);
		send_in_pieces(false, nb, 1480, IN_ORDER);
		expect_payload(nb, pair_host_take_whole(got, &nb_fragments), 8);
		pair_end("first packet");
	}
}

static void
test_longest(void)
{
	struct rte_icmp_hdr *icmp = (void *)(packet + 20);
	const char *address;
	unsigned nb_fragments;
	uint16_t id;
	size_t nb;

	pair_begin(NULL);
	address = pair_resolve(GIT);
	// No OPEN holds it: the flow opens without it, and it follows.
	nb = build(CLIENT, address, IPPROTO_ICMP, 77, 0, UINT16_MAX - 20);
	send_in_pieces(false, nb, 1480, IN_ORDER);
	expect_payload(nb, pair_host_take_whole(got, &nb_fragments), 8);
	CU_ASSERT_FALSE(pair_host_take(&p));
	CU_ASSERT_EQUAL(pair_drops(pair.connector, "flow_open_ttl"), 1);
	nb = build(CLIENT, address, IPPROTO_ICMP, 77, 0, UINT16_MAX - 20);
	send_in_pieces(false, nb, 1480, BACKWARD);
	expect_payload(nb, pair_host_take_whole(got, &nb_fragments), 8);
	id = ((struct rte_icmp_hdr *)(got + 20))->icmp_ident;
	nb = build(HOST, CONN_INNER, IPPROTO_ICMP, rte_be_to_cpu_16(id), 0, UINT16_MAX - 20);
	icmp->icmp_cksum = (uint16_t)~sl_sum_sub((uint16_t)~icmp->icmp_cksum, RTE_BE16(0x0800));
	icmp->icmp_type = 0;
	send_in_pieces(true, nb, 1480, IN_ORDER);
	expect_payload(nb, pair_client_take_whole(got, &nb_fragments), 8);
	CU_ASSERT_EQUAL(((struct rte_icmp_hdr *)(got + 20))->icmp_ident, rte_cpu_to_be_16(77));
	pair_end("longest");
}

struct piece {
	size_t at, bytes;
	uint16_t flags; // 0x2000: more
	uint8_t tos;
};

static const struct {
	const char *sentence;
	struct piece pieces[6];
	unsigned nb;
	uint8_t protocol;
	const char *drop;
} unsound[] = {
	{ "an overlap",
	  { { 0, 800, 0x2000, 0 }, { 792, 808, 0, 0 } },
	  2,
	  IPPROTO_UDP,
	  "fragment_input_overlap" },
	{ "teardrop: one inside another",
	  { { 0, 800, 0x2000, 0 }, { 24, 8, 0, 0 } },
	  2,
	  IPPROTO_UDP,
	  "fragment_input_overlap" },
	{ "two ends",
	  { { 800, 400, 0, 0 }, { 800, 800, 0, 0 } },
	  2,
	  IPPROTO_UDP,
	  "fragment_input_overlap" },
	{ "all of it comes after an overlap",
	  { { 0, 800, 0x2000, 0 }, { 8, 800, 0x2000, 0 }, { 800, 800, 0, 0 } },
	  3,
	  IPPROTO_UDP,
	  "fragment_input_overlap" },
	{ "ping of death",
	  { { 0, 800, 0x2000, 0 }, { 65528, 800, 0, 0 } },
	  2,
	  IPPROTO_ICMP,
	  "fragment_input_too_long" },
	{ "one octet too long", { { 65512, 4, 0, 0 } }, 1, IPPROTO_UDP, "fragment_input_too_long" },
	{ "a first fragment without its UDP header",
	  { { 0, 0, 0x2000, 0 } },
	  1,
	  IPPROTO_UDP,
	  "fragment_input_tiny" },
	{ "a first fragment with half a TCP header",
	  { { 0, 16, 0x2000, 0 }, { 16, 784, 0, 0 } },
	  2,
	  IPPROTO_TCP,
	  "fragment_input_tiny" },
	{ "a fragment into the TCP header",
	  { { 8, 792, 0, 0 } },
	  1,
	  IPPROTO_TCP,
	  "fragment_input_tiny" },
	{ "an odd length in the middle",
	  { { 0, 801, 0x2000, 0 } },
	  1,
	  IPPROTO_UDP,
	  "fragment_input_bad" },
	{ "nothing in the middle",
	  { { 800, 0, 0x2000, 0 } },
	  1,
	  IPPROTO_UDP,
	  "fragment_input_bad" },
	{ "congestion on a fragment, none of the other's business",
	  { { 0, 800, 0x2000, 3 }, { 800, 800, 0, 0 } },
	  2,
	  IPPROTO_UDP,
	  "fragment_input_ecn" },
};

static void
test_unsound(void)
{
	for (unsigned i = 0; i < RTE_DIM(unsound) * 2; i++) {
		unsigned row = i / 2;
		bool is_host = i % 2 != 0;
		const char *address;
		uint16_t nat_port;

		pair_begin(NULL);
		address = pair_resolve(GIT);
		nat_port = open_flow(address, IPPROTO_UDP, 5555, 5000);
		if (is_host)
			build(HOST, CONN_INNER, IPPROTO_UDP, 5000, nat_port, 1600);
		else
			build(CLIENT, address, IPPROTO_UDP, 5555, 5000, 1600);
		((struct rte_ipv4_hdr *)(void *)packet)->next_proto_id = unsound[row].protocol;
		for (unsigned k = 0; k < unsound[row].nb; k++) {
			const struct piece *piece = &unsound[row].pieces[k];

			send_piece(is_host, piece->at, piece->bytes, piece->flags, piece->tos);
			path_run();
		}
		SL_ASSERT_ROW(
			pair_drops(is_host ? pair.connector : pair.pop, unsound[row].drop) != 0,
			unsound[row].sentence
		);
		SL_ASSERT_ROW(!pair_host_take(&p) && !pair_client_take(&p), unsound[row].sentence);
		pair_end("unsound fragments");
	}
}

static void
test_duplicates_and_marks(void)
{
	const char *address;
	unsigned nb_fragments;
	size_t nb;

	pair_begin(NULL);
	address = pair_resolve(GIT);
	open_flow(address, IPPROTO_UDP, 5555, 5000);
	nb = build(CLIENT, address, IPPROTO_UDP, 5555, 5000, 2000);
	send_piece(false, 0, 800, 0x2000, 2 | 46 << 2);
	send_piece(false, 800, 400, 0x2000, 3 | 46 << 2);
	path_run();
	send_piece(false, 800, 400, 0x2000, 2 | 46 << 2);
	path_run();
	send_piece(false, 1200, 800, 0, 2 | 46 << 2);
	path_run();
	expect_payload(nb, pair_host_take_whole(got, &nb_fragments), 8);
	CU_ASSERT_EQUAL(((struct rte_ipv4_hdr *)(void *)got)->type_of_service, 3 | 46 << 2);
	CU_ASSERT_EQUAL(pair_drops(pair.pop, "fragment_input_duplicate"), 1);
	pair_end("duplicates and marks");
}

static void
test_time(void)
{
	const char *address;
	unsigned nb_fragments;
	size_t nb;

	pair_begin(NULL);
	address = pair_resolve(GIT);
	open_flow(address, IPPROTO_UDP, 5555, 5000);
	nb = build(CLIENT, address, IPPROTO_UDP, 5555, 5000, 1600);
	send_piece(false, 0, 800, 0x2000, 0);
	pair_pass_s(SL_FRAGMENTS_TIMEOUT_S - 1);
	send_piece(false, 800, 800, 0, 0);
	path_run();
	expect_payload(nb, pair_host_take_whole(got, &nb_fragments), 8);
	// The first fragment alone: its sender hears that the rest did not come.
	build(CLIENT, address, IPPROTO_UDP, 5555, 5000, 1600);
	send_piece(false, 0, 800, 0x2000, 0);
	pair_pass_s(SL_FRAGMENTS_TIMEOUT_S + 1);
	CU_ASSERT_TRUE(pair_client_take(&p));
	CU_ASSERT(
		p.ip->next_proto_id == IPPROTO_ICMP && p.icmp->icmp_type == 11 &&
		p.icmp->icmp_code == 1 && p.ip->src_addr == packet_ip(address)
	);
	send_piece(false, 800, 800, 0, 0);
	path_run();
	CU_ASSERT_FALSE(pair_host_take(&p));
	pair_pass_s(SL_FRAGMENTS_TIMEOUT_S + 1);
	CU_ASSERT_FALSE(pair_client_take(&p));
	CU_ASSERT_EQUAL(pair_drops(pair.pop, "fragment_sweep_timed_out"), 1);
	pair_end("time");
}

static void
test_strangers(void)
{
	const char *address;

	pair_begin(NULL);
	address = pair_resolve(GIT);
	build(STRANGER, address, IPPROTO_UDP, 5555, 5000, 1600);
	send_in_pieces(false, 1620, 800, IN_ORDER);
	CU_ASSERT_EQUAL(pair_drops(pair.pop, "fragment_input_stranger"), 2);
	build(HOST, HOST_2, IPPROTO_UDP, 5555, 5000, 1600);
	send_in_pieces(true, 1620, 800, IN_ORDER);
	CU_ASSERT_EQUAL(pair_drops(pair.connector, "fragment_input_stranger"), 2);
	// To nobody's address: refused as a whole packet is.
	build(CLIENT, UNUSED, IPPROTO_UDP, 5555, 5000, 1600);
	send_in_pieces(false, 1620, 800, IN_ORDER);
	CU_ASSERT_TRUE(pair_client_take(&p));
	CU_ASSERT(
		p.ip->next_proto_id == IPPROTO_ICMP && p.icmp->icmp_type == 3 &&
		p.icmp->icmp_code == 13
	);
	pair_end("strangers");
}

// A flood of packets that never become whole costs other clients nothing.
static void
test_flood(void)
{
	const char *address;
	unsigned nb_fragments;
	size_t nb;

	pair_begin(NULL);
	address = pair_resolve(GIT);
	open_flow(address, IPPROTO_UDP, 5555, 5000);
	build(HOST, CONN_INNER, IPPROTO_UDP, 5000, 5555, 1600);
	for (unsigned i = 0; i < 2000; i++) {
		((struct rte_ipv4_hdr *)(void *)packet)->packet_id = (rte_be16_t)(i * 7919);
		send_piece(true, 8 * (i % 100 + 1), 800, 0x2000, 0);
		if (i % 32 == 0)
			path_run();
	}
	path_run();
	nb = build(CLIENT, address, IPPROTO_UDP, 5555, 5000, 4000);
	send_in_pieces(false, nb, 1480, IN_ORDER);
	expect_payload(nb, pair_host_take_whole(got, &nb_fragments), 8);
	pair_end("flood");
}

static const struct sl_test_case cases[] = {
	{ "B7: fragmented datagrams of 1.5 to 64 kB cross both ways, in any order of fragments",
	  test_both_ways },
	{ "B6 B7: the first packet of a flow may come in fragments", test_first_packet },
	{ "B6: the longest echo there is passes both ways", test_longest },
	{ "B7: fragments that overlap, contradict or exceed are dropped by name", test_unsound },
	{ "B7: a repeated fragment does no harm, a congestion mark marks the whole",
	  test_duplicates_and_marks },
	{ "B7: a packet whose fragments do not all come is given up in time", test_time },
	{ "B7: strangers' fragments are not kept, a refused packet's answer names it",
	  test_strangers },
	{ "B7: unfinished packets of one source cost another nothing", test_flood },
};

int
main(int argc, char **argv)
{
	return PAIR_MAIN(argc, argv, cases);
}
