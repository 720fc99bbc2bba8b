// The way between PoP and connector: what it carries is found out where no router says so, a router that
// says so is believed, and one that does not exist is not.
#include "pair.h"

#include <rte_udp.h>

#include <netinet/in.h>
#include <sluice/dp/path_mtu.h>
#include <sluice/dp/tunnel.h>
#include <stdlib.h>
#include <string.h>

#define DF 0x4000u

static struct pair_packet p;
static uint16_t
	carried; // octets of an IPv4 packet that the way carries, the rest is lost in silence
static uint8_t last[PATH_FRAME_BYTES]; // datagram of the PoP that is no heartbeat of lane 0's
static uint16_t last_bytes;
static uint8_t filling[4096];

static bool
narrow(struct path_node *to, unsigned port, struct rte_mbuf *m)
{
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
	const struct rte_ipv4_hdr *ip = (const void *)(frame + sizeof(struct rte_ether_hdr));

	if (port != (to == pair.pop ? 1u : 0u) || frame[12] != 8 || frame[13] != 0)
		return true;
	if (to == pair.connector && m->data_len <= sizeof(last) &&
	    ip->next_proto_id == IPPROTO_UDP) {
		memcpy(last, frame, m->data_len);
		last_bytes = m->data_len;
	}
	return rte_be_to_cpu_16(ip->total_length) <= carried;
}

static void
begin(void)
{
	carried = 1500;
	pair_begin(NULL);
	for (uint16_t k = 0; k < PAIR_LANES; k++) {
		struct sl_session *a = &pair.pop_sessions.sessions[0];
		struct sl_session *b = &pair.connector_sessions.sessions[0];

		sl_path_mtu_begin(&a->lanes[k], &a->paths[k], 1500);
		sl_path_mtu_begin(&b->lanes[k], &b->paths[k], 1500);
	}
	path_filter(narrow);
}

static void
end(const char *title)
{
	path_filter(NULL);
	pair_end(title);
}

static struct packet_spec
datagram(const char *git, size_t nb_bytes, uint16_t bits)
{
	struct packet_spec spec = pair_udp_to(git, 4000, 5000, filling, nb_bytes);

	spec.fragment_bits = bits;
	return spec;
}

static uint16_t
lane_of_flow(void)
{
	for (unsigned k = 0; k < PATH_WORKERS; k++) {
		const struct sl_flow_table *t = sl_dp_worker(path_dp(pair.pop), k)->flows;

		for (uint32_t i = 0; i < t->nb_flows; i++)
			if (t->flows[i].kind == SL_FLOW_CLIENT)
				return t->flows[i].link.lane;
	}
	CU_FAIL_FATAL("a flow");
	return 0;
}

static uint16_t
mtu_of_flow(void)
{
	return pair.pop_sessions.sessions[0].lanes[lane_of_flow()].mtu_bytes;
}

// A datagram a second, small enough for anything.
static void
talk_s(const char *git, unsigned s)
{
	struct packet_spec spec = datagram(git, 20, 0);

	for (unsigned i = 0; i < s; i++) {
		pair_client_send(&spec);
		CU_ASSERT_TRUE(pair_host_take(&p));
		pair_pass_s(1);
	}
}

static void
fall_into_black_hole(uint16_t limit)
{
	static uint8_t got[8192];
	struct packet_spec spec;
	unsigned nb_fragments, nb_s = 0;
	const char *git;
	uint16_t mtu;

	begin();
	git = pair_resolve(GIT);
	talk_s(git, 20);
	CU_ASSERT_EQUAL(mtu_of_flow(), 1500);
	carried = limit;
	talk_s(git, 30);
	mtu = mtu_of_flow();
	CU_ASSERT(mtu <= limit && mtu > limit - 20);
	// What may not be cut is told what fits, and that does pass.
	spec = datagram(git, 1400, DF);
	pair_client_send(&spec);
	CU_ASSERT_TRUE_FATAL(pair_client_take(&p));
	CU_ASSERT_TRUE_FATAL(pair_is_error(&p, 3, 4));
	spec.payload_bytes = rte_be_to_cpu_16(p.icmp->icmp_seq_nb) - 28u;
	pair_client_send(&spec);
	CU_ASSERT_TRUE_FATAL(pair_host_take(&p) && p.payload_bytes == spec.payload_bytes);
	// What may be cut goes, in fragments of a record, and arrives as what it was.
	spec = datagram(git, 1400, 0);
	pair_client_send(&spec);
	CU_ASSERT_EQUAL(pair_host_take_whole(got, &nb_fragments), 1428);
	CU_ASSERT_EQUAL(nb_fragments, 1);
	// The way is mended: in ten minutes or so it is found out.
	carried = 1500;
	while (mtu_of_flow() != 1500 && nb_s < 900) {
		talk_s(git, 10);
		nb_s += 10;
	}
	CU_ASSERT(nb_s > 400 && nb_s < 760);
	end("black hole");
}

static void
test_black_hole(void)
{
	fall_into_black_hole(1300);
	fall_into_black_hole(1450);
}

// The datagram that the PoP sent last, quoted by a router.
static void
router_says(uint16_t mtu, const uint8_t *quoted)
{
	uint8_t frame[PATH_FRAME_BYTES];
	struct packet_spec spec = { .to = path_mac(pair.pop, 1),
				    .source = "10.0.0.77",
				    .destination = POP_OUTER,
				    .protocol = IPPROTO_ICMP,
				    .icmp_type_code = 3 << 8 | 4,
				    .destination_port = mtu,
				    .payload = quoted,
				    .payload_bytes = 20 + 8 + 16 };

	path_send(pair.pop, 1, frame, packet_build(frame, sizeof(frame), &spec));
	path_run();
}

static void
test_told(void)
{
	uint8_t forged[64];
	const char *git;

	begin();
	git = pair_resolve(GIT);
	talk_s(git, 2);
	// The lane of the flow speaks last.
	pair_client_send(&(struct packet_spec){ .destination = git,
						.protocol = IPPROTO_UDP,
						.source_port = 4000,
						.destination_port = 5000,
						.payload = filling,
						.payload_bytes = 20 });
	CU_ASSERT_TRUE(pair_host_take(&p));
	const uint8_t *outer = last + sizeof(struct rte_ether_hdr);
	// One who has not seen the datagram cannot know its receiver's index.
	memcpy(forged, outer, 44);
	forged[20 + 8 + 4] ^= 1;
	router_says(1300, forged);
	CU_ASSERT_EQUAL(mtu_of_flow(), 1500);
	// Nor the ports of both ends.
	memcpy(forged, outer, 44);
	forged[22] ^= 1;
	router_says(1300, forged);
	CU_ASSERT_EQUAL(mtu_of_flow(), 1500);
	router_says(9000, outer);
	CU_ASSERT_EQUAL(mtu_of_flow(), 1500);
	router_says(1400, outer);
	CU_ASSERT_EQUAL(mtu_of_flow(), 1400);
	// Less than an underlay may carry is not believed, and nothing raises it.
	router_says(100, outer);
	CU_ASSERT_EQUAL(mtu_of_flow(), SL_UNDERLAY_MTU_MIN);
	router_says(1450, outer);
	CU_ASSERT_EQUAL(mtu_of_flow(), SL_UNDERLAY_MTU_MIN);
	end("told");
}

static const struct sl_test_case cases[] = {
	{ "B7: a way that loses large datagrams in silence is found out, and so is its mending",
	  test_black_hole },
	{ "B7: fragmentation-needed about a datagram of ours is heeded, forged or absurd it is not",
	  test_told },
};

int
main(int argc, char **argv)
{
	return PAIR_MAIN(argc, argv, cases);
}
