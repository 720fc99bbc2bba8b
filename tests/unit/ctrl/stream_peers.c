// Synthetic addresses of DNS over TCP: who stands behind one, for how long, and the checksums of packets
// that change addresses.
#include "sl_test.h"
#include "stream/internal.h"

#include <rte_ip.h>
#include <rte_tcp.h>

#include <stdlib.h>
#include <string.h>

static struct peers *peers;

static void
begin(void)
{
	peers = calloc(1, sizeof(*peers));
	CU_ASSERT_PTR_NOT_NULL_FATAL(peers);
	CU_ASSERT_EQUAL_FATAL(peers_init(peers), 0);
}

static void
end(void)
{
	peers_fini(peers);
	free(peers);
}

// Many clients: one's share is not reached.
static struct peer_key
key_of(uint32_t n)
{
	return (struct peer_key
	){ .client = 1 + n % 100, .scope = 7, .address = n, .resolver = RTE_BE32(0x645f00fb) };
}

static void
test_same(void)
{
	struct peer_key a = key_of(1), b = a, c = a, d = a, e = a;
	uint32_t i;

	b.scope = 8; // another VLAN: perhaps another tenant's
	c.client = 3; // the address is another client's now
	d.resolver = RTE_BE32(0x645f00fc);
	e.address++;
	begin();
	i = peers_take(peers, &a, 0, 0);
	CU_ASSERT_NOT_EQUAL(i, NOBODY);
	CU_ASSERT_EQUAL(peers_take(peers, &a, 1, 5), i);
	CU_ASSERT_EQUAL(peers->list[i].worker, 1);
	CU_ASSERT_NOT_EQUAL(peers_take(peers, &b, 0, 0), i);
	CU_ASSERT_NOT_EQUAL(peers_take(peers, &c, 0, 0), i);
	CU_ASSERT_NOT_EQUAL(peers_take(peers, &d, 0, 0), i);
	CU_ASSERT_NOT_EQUAL(peers_take(peers, &e, 0, 0), i);
	CU_ASSERT_EQUAL(peers->nb_used, 5);
	CU_ASSERT_EQUAL(peers_find(peers, peers_address(i), 0), i);
	CU_ASSERT_EQUAL(peers_find(peers, peers_address(5), 0), NOBODY); // nobody yet
	CU_ASSERT_EQUAL(peers_find(peers, STREAM_LOCAL, 0), NOBODY);
	CU_ASSERT_EQUAL(peers_find(peers, STREAM_CLIENTS - 1, 0), NOBODY);
	CU_ASSERT_EQUAL(peers_find(peers, UINT32_MAX, 0), NOBODY);
	end();
}

static void
test_rest(void)
{
	struct peer_key key = key_of(0);
	uint32_t first;

	begin();
	first = peers_take(peers, &key, 0, 0);
	for (uint32_t n = 1; n < NB_PEERS; n++) {
		key = key_of(n);
		CU_ASSERT_NOT_EQUAL_FATAL(peers_take(peers, &key, 0, 1), NOBODY);
	}
	// All are in use, none has rested: nobody else gets one.
	key = key_of(NB_PEERS);
	CU_ASSERT_EQUAL(peers_take(peers, &key, 0, PEER_REST_NS - 1), NOBODY);
	// An answer on its way out counts as use.
	CU_ASSERT_EQUAL(peers_find(peers, peers_address(first), PEER_REST_NS), first);
	key = key_of(NB_PEERS);
	CU_ASSERT_EQUAL(peers_take(peers, &key, 0, PEER_REST_NS + 1), 1);
	key = key_of(1); // it was this one's: gone, and it gets another
	CU_ASSERT_EQUAL(peers_take(peers, &key, 0, PEER_REST_NS + 1), 2);
	key = key_of(0);
	CU_ASSERT_EQUAL(peers_take(peers, &key, 0, PEER_REST_NS + 1), first);
	end();
}

static void
test_share(void)
{
	struct peer_key key = key_of(0);

	begin();
	for (uint32_t n = 0; n < CLIENT_PEERS; n++) {
		key.address = n;
		CU_ASSERT_NOT_EQUAL_FATAL(peers_take(peers, &key, 0, 0), NOBODY);
	}
	key.address = CLIENT_PEERS;
	CU_ASSERT_EQUAL(peers_take(peers, &key, 0, 0), NOBODY);
	key.address = 3; // what it has, it keeps
	CU_ASSERT_NOT_EQUAL(peers_take(peers, &key, 0, 0), NOBODY);
	key.client = 99;
	CU_ASSERT_NOT_EQUAL(peers_take(peers, &key, 0, 0), NOBODY);
	end();
}

static void
test_random(void)
{
	static struct peer_key owner[NB_PEERS]; // the model: who was given it last
	static uint64_t seen_ns[NB_PEERS];
	uint64_t now_ns = 0;

	begin();
	srand(7);
	for (unsigned step = 0; step < 200000; step++) {
		struct peer_key key = key_of((uint32_t)rand() % 40000);
		uint32_t i;

		now_ns += (uint64_t)rand() % (10 * SL_NS_PER_MS);
		i = peers_take(peers, &key, 0, now_ns);
		if (i == NOBODY)
			continue;
		CU_ASSERT_FATAL(i < NB_PEERS);
		if (memcmp(&owner[i], &key, sizeof(key)) != 0 && seen_ns[i] != 0)
			CU_ASSERT_FATAL(now_ns - seen_ns[i] >= PEER_REST_NS);
		owner[i] = key;
		seen_ns[i] = now_ns;
		CU_ASSERT_FATAL(memcmp(&peers->list[i].key, &key, sizeof(key)) == 0);
	}
	end();
}

struct segment {
	struct rte_ipv4_hdr ip;
	struct rte_tcp_hdr tcp;
	uint8_t data[101];
} __attribute__((packed, aligned(4)));

static struct segment
segment_of(unsigned nb_data)
{
	struct segment s = { 0 };

	s.ip = (struct rte_ipv4_hdr){
		.version_ihl = RTE_IPV4_VHL_DEF,
		.total_length = rte_cpu_to_be_16((uint16_t)(40 + nb_data)),
		.next_proto_id = 6,
		.time_to_live = 64,
		.src_addr = (uint32_t)rand(),
		.dst_addr = (uint32_t)rand(),
	};
	s.tcp = (struct rte_tcp_hdr){ .src_port = (uint16_t)rand(),
				      .dst_port = (uint16_t)rand(),
				      .sent_seq = (uint32_t)rand(),
				      .data_off = 0x50 };
	for (unsigned i = 0; i < nb_data; i++)
		s.data[i] = (uint8_t)rand();
	s.tcp.cksum = rte_ipv4_udptcp_cksum(&s.ip, &s.tcp);
	s.ip.hdr_checksum = rte_ipv4_cksum(&s.ip);
	return s;
}

static void
test_rewrite(void)
{
	for (unsigned n = 0; n < 20000; n++) {
		struct segment s = segment_of((unsigned)rand() % sizeof(s.data));
		struct rewrite to = { .source = (uint32_t)rand(),
				      .destination = (uint32_t)rand(),
				      .source_port = n % 2 ? (uint16_t)rand() : 0,
				      .destination_port = n % 3 ? (uint16_t)rand() : 0 };
		uint16_t source_port = to.source_port != 0 ? to.source_port : s.tcp.src_port;

		rewrite((uint8_t *)&s, &to);
		CU_ASSERT_FATAL(s.ip.src_addr == to.source && s.ip.dst_addr == to.destination);
		CU_ASSERT_FATAL(s.tcp.src_port == source_port);
		CU_ASSERT_FATAL(rte_ipv4_udptcp_cksum_verify(&s.ip, &s.tcp) == 0);
		CU_ASSERT_FATAL(rte_ipv4_cksum(&s.ip) == 0xffff || rte_ipv4_cksum(&s.ip) == 0);
	}
}

static void
test_sound(void)
{
	struct segment s = segment_of(10), bad;
	const uint8_t *p = (const uint8_t *)&bad;

	bad = s;
	CU_ASSERT_TRUE(rewrite_is_sound(p, 50));
	CU_ASSERT_FALSE(rewrite_is_sound(p, 49)); // cut
	CU_ASSERT_FALSE(rewrite_is_sound(p, 51));
	bad.ip.total_length = RTE_BE16(39);
	CU_ASSERT_FALSE(rewrite_is_sound(p, 39)); // no whole header
	bad = s;
	bad.ip.version_ihl = 0x46;
	CU_ASSERT_FALSE(rewrite_is_sound(p, 50)); // options
	bad = s;
	bad.ip.next_proto_id = 17;
	CU_ASSERT_FALSE(rewrite_is_sound(p, 50));
	bad = s;
	bad.ip.fragment_offset = RTE_BE16(0x2000);
	CU_ASSERT_FALSE(rewrite_is_sound(p, 50));
	bad.ip.fragment_offset = RTE_BE16(0x4000);
	CU_ASSERT_TRUE(rewrite_is_sound(p, 50));
}

static const struct sl_test_case cases[] = {
	{ "stream: an address stands for one client, address, way in and resolver", test_same },
	{ "stream: an address goes to another only after a rest", test_rest },
	{ "stream: one client's addresses leave others theirs", test_share },
	{ "stream: at random, no address changes hands early", test_random },
	{ "stream: checksums are right after a change of addresses and ports", test_rewrite },
	{ "stream: only whole TCP segments are rewritten", test_sound },
};
SL_TEST_MAIN(cases)
