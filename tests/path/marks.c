// Type of service across the tunnel: DSCP and ECN of a packet are its own, and the mark that congestion
// left on the outer packet comes out on the inner one as RFC 6040 has it, both ways.
#include "pair.h"

#include <string.h>

#define LOST     0xff
#define NB_MARKS 4u

enum { NOT_ECT, ECT_1, ECT_0, CE };

// RFC 6040, figure 4: what arrives, by what the packet had and what the outer one came with.
static const uint8_t arrives[NB_MARKS][NB_MARKS] = {
	[NOT_ECT] = { [NOT_ECT] = NOT_ECT, [ECT_0] = NOT_ECT, [ECT_1] = NOT_ECT, [CE] = LOST },
	[ECT_0] = { [NOT_ECT] = ECT_0, [ECT_0] = ECT_0, [ECT_1] = ECT_1, [CE] = CE },
	[ECT_1] = { [NOT_ECT] = ECT_1, [ECT_0] = ECT_1, [ECT_1] = ECT_1, [CE] = CE },
	[CE] = { [NOT_ECT] = CE, [ECT_0] = CE, [ECT_1] = CE, [CE] = CE },
};

static struct pair_packet p;
static uint8_t outer; // ECN that tunnel datagrams arrive with
static uint8_t seen; // and that they left with
static bool changes;

static bool
mark(struct path_node *to, unsigned port, struct rte_mbuf *m)
{
	uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);
	bool is_tunnel = (to == pair.connector && port == 0) || (to == pair.pop && port == 1);

	if (!is_tunnel || frame[12] != 8 || frame[13] != 0)
		return true;
	seen |= frame[15] & 3;
	if (changes) {
		frame[15] = (uint8_t)((frame[15] & ~3) | outer);
		packet_fix_ip_checksum(frame);
	}
	return true;
}

// TOS of what arrives, LOST if nothing does.
static uint8_t
cross(bool is_up, const struct packet_spec *spec)
{
	if (is_up)
		pair_client_send(spec);
	else
		pair_host_send(spec);
	return (is_up ? pair_host_take(&p) : pair_client_take(&p)) ? p.ip->type_of_service : LOST;
}

static struct packet_spec specs[2]; // down, up

static void
begin(void)
{
	pair_begin(NULL);
	specs[1] = pair_udp_to(pair_resolve(GIT), 6000, 5000, "x", 1);
	pair_client_send(&specs[1]);
	CU_ASSERT_TRUE_FATAL(pair_host_take(&p));
	specs[0] = (struct packet_spec){ .protocol = IPPROTO_UDP,
					 .source_port = 5000,
					 .destination_port = rte_be_to_cpu_16(p.udp->src_port),
					 .payload = "y",
					 .payload_bytes = 1 };
	pair_host_send(&specs[0]);
	CU_ASSERT_TRUE_FATAL(pair_client_take(&p));
	path_filter(mark);
}

static void
test_congestion(void)
{
	changes = true;
	begin();
	for (unsigned i = 0; i < 2 * NB_MARKS * NB_MARKS; i++) {
		unsigned is_up = i % 2, inner = i / 2 % NB_MARKS;
		uint8_t wanted;

		outer = (uint8_t)(i / 2 / NB_MARKS);
		wanted = arrives[inner][outer];
		specs[is_up].tos = (uint8_t)(0xb8 | inner);
		CU_ASSERT_EQUAL(
			cross(is_up, &specs[is_up]), wanted == LOST ? LOST : (0xb8 | wanted)
		);
	}
	// And in the packet that opens a flow.
	for (unsigned inner = 0; inner < NB_MARKS; inner++) {
		outer = CE;
		specs[1].source_port++;
		specs[1].tos = (uint8_t)inner;
		CU_ASSERT_EQUAL(cross(true, &specs[1]), arrives[inner][CE]);
	}
	CU_ASSERT_EQUAL(pair_drops(pair.connector, "record_input_congested"), 2);
	CU_ASSERT_EQUAL(pair_drops(pair.pop, "record_input_congested"), 1);
	pair_end("congestion");
}

static void
test_own(void)
{
	changes = false;
	begin();
	for (unsigned i = 0; i < 2 * 256; i++) {
		unsigned is_up = i % 2, tos = i / 2;

		seen = 0;
		specs[is_up].tos = (uint8_t)tos;
		CU_ASSERT_EQUAL(cross(is_up, &specs[is_up]), tos);
		CU_ASSERT_EQUAL(seen, tos & 3); // the normal mode of RFC 6040
	}
	pair_end("own");
}

static const struct sl_test_case cases[] = {
	{ "B7: congestion that the outer packet met is told to the inner one as RFC 6040 says, "
	  "both ways",
	  test_congestion },
	{ "B7: every DSCP and ECN crosses as it is, and the outer packet has the inner one's ECN",
	  test_own },
};

int
main(int argc, char **argv)
{
	return PAIR_MAIN(argc, argv, cases);
}
