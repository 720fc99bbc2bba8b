// What packets of flows go through: sizes, bursts, congestion; and what the tunnel does with datagrams
// that are not what they seem.
#include "pair.h"

#include <netinet/in.h>
#include <sluice/dp/hash.h>
#include <sluice/dp/worker.h>
#include <stdlib.h>
#include <string.h>

static struct pair_packet p;

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
			struct packet_spec up = pair_udp_to(
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
	up = pair_udp_to(pair_resolve(GIT), 6000, 5000, data, sizeof(data));
	up.fragment_bits = 0x4000;
	pair_client_send(&up);
	CU_ASSERT_TRUE(pair_client_take(&p) && pair_is_error(&p, 3, 4));
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
	up = pair_udp_to(pair_resolve(GIT), 6000, 5000, "x", 1);
	up.ttl = 1;
	pair_client_send(&up);
	CU_ASSERT_TRUE(pair_client_take(&p) && pair_is_error(&p, 11, 0));
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
	up = pair_udp_to(pair_resolve(GIT), 6000, 5000, "first", 5);
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
	if (PAIR_ARRIVAL == PATH_ALTERNATE)
		path_filter(NULL); // two workers' frames may overtake each other
	for (unsigned i = 0; i < 60; i++) {
		CU_ASSERT_TRUE(pair_host_take(&p));
		snprintf(text, sizeof(text), "number %u", i);
		CU_ASSERT(
			PAIR_ARRIVAL == PATH_ALTERNATE || memcmp(p.payload, text, strlen(text)) == 0
		);
		CU_ASSERT(p.payload_bytes == 8 || p.payload_bytes == 9);
	}
	pair_end("coalescing");
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
	up = pair_udp_to(pair_resolve(GIT), 6000, 5000, "once", 4);
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
	up = pair_udp_to(pair_resolve(GIT), 6000, 5000, "once", 4);
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
	up = pair_udp_to(pair_resolve(GIT), 6000, 5000, "whole", 5);
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
	{ "B7: the MSS of both SYNs is clamped to the path", test_mss },
	{ "B7: datagrams larger than the path cross it both ways, whole", test_sizes },
	{ "B7: a packet that may not be cut is answered with the MTU that fits", test_too_big },
	{ "B6 B7: TTL is one less, TTL 1 is answered, TOS is kept", test_ttl },
	{ "tunnel: the small packets of a burst share a datagram", test_coalescing },
	{ "C4: replayed and altered datagrams are counted and change nothing", test_replay },
	{ "C4: of two copies in one burst one is taken", test_double },
	{ "C4: truncated datagrams are counted and change nothing", test_truncated },
	{ "tunnel: both ciphers, and a rekey in between", test_ciphers },
	{ "tunnel: altered packets from client and host are all accounted for", test_noise },
};

int
main(int argc, char **argv)
{
	return PAIR_MAIN(argc, argv, cases);
}
