// Whether a packet may be cut is its sender's to say: DF crosses the tunnel as it is, and what forbids
// cutting and does not fit is told to its sender.
#include "pair.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define DF 0x4000u

static struct pair_packet p;
static uint8_t filling[1472];

static struct packet_spec
up(const char *git, uint8_t protocol, uint16_t bits)
{
	return (struct packet_spec){ .destination = git,
				     .protocol = protocol,
				     .source_port = 4000,
				     .destination_port = protocol == IPPROTO_TCP ? 80 : 5000,
				     .tcp_flags = RTE_TCP_SYN_FLAG,
				     .tcp_seq = 1000,
				     .fragment_bits = bits,
				     .payload = filling,
				     .payload_bytes = protocol == IPPROTO_TCP ? 0 : 16 };
}

// What answers the packet that has just arrived at the host.
static struct packet_spec
down(uint8_t protocol, uint16_t bits)
{
	struct packet_spec spec = { .protocol = protocol,
				    .fragment_bits = bits,
				    .payload = filling,
				    .payload_bytes = protocol == IPPROTO_TCP ? 0 : 16 };

	spec.source_port = rte_be_to_cpu_16(p.udp->dst_port);
	spec.destination_port = rte_be_to_cpu_16(p.udp->src_port);
	spec.tcp_flags = RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG;
	spec.tcp_seq = 9000;
	spec.tcp_ack = 1001;
	return spec;
}

static uint16_t
bits_of(void)
{
	return rte_be_to_cpu_16(p.ip->fragment_offset);
}

// The first packet travels in an OPEN, the second in DATA, with their answers between them.
static void
cross(uint8_t protocol, uint16_t bits, uint16_t wanted)
{
	const char *git = pair_resolve(GIT);
	struct packet_spec spec = up(git, protocol, bits), back;

	for (unsigned i = 0; i < 3; i++) {
		pair_client_send(&spec);
		CU_ASSERT_TRUE_FATAL(pair_host_take(&p));
		CU_ASSERT_EQUAL(bits_of(), wanted);
		if (protocol == IPPROTO_ICMP) // its answers come as requests do
			continue;
		back = down(protocol, bits);
		pair_host_send(&back);
		CU_ASSERT_TRUE_FATAL(pair_client_take(&p));
		CU_ASSERT_EQUAL(bits_of(), wanted);
		if (protocol == IPPROTO_TCP) {
			spec.tcp_flags = RTE_TCP_ACK_FLAG;
			spec.tcp_seq = 1001;
			spec.tcp_ack = 9001;
			pair_client_send(&spec);
			CU_ASSERT_TRUE_FATAL(pair_host_take(&p));
			CU_ASSERT_EQUAL(bits_of(), wanted);
			return;
		}
	}
}

static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP };

static void
test_df(void)
{
	for (unsigned i = 0; i < RTE_DIM(protocols); i++)
		for (unsigned is_set = 0; is_set < 2; is_set++) {
			uint16_t bits = is_set ? DF : 0;

			pair_begin(NULL);
			cross(protocols[i], bits, bits);
			pair_end("df");
		}
}

// One end is of the version before: TCP has DF, the others have not, as ever.
static void
test_df_unknown(void)
{
	for (unsigned i = 0; i < RTE_DIM(protocols); i++)
		for (unsigned is_set = 0; is_set < 2; is_set++) {
			pair_begin(&(struct pair_conf){ .no_df = true });
			cross(protocols[i], is_set ? DF : 0, protocols[i] == IPPROTO_TCP ? DF : 0);
			pair_end("df unknown");
		}
}

// A PoP that has restarted gets the host's packet in a REOPEN.
static void
test_df_reopened(void)
{
	struct packet_spec spec, back;

	for (unsigned is_set = 0; is_set < 2; is_set++) {
		pair_begin(NULL);
		spec = up(pair_resolve(GIT), IPPROTO_UDP, 0);
		pair_client_send(&spec);
		CU_ASSERT_TRUE_FATAL(pair_host_take(&p));
		back = down(IPPROTO_UDP, is_set ? DF : 0);
		pair_host_send(&back);
		CU_ASSERT_TRUE_FATAL(pair_client_take(&p));
		pair_pass_s(6); // a ticket comes
		pair_restart_pop();
		path_pass_ms(200);
		pair_host_send(&back);
		CU_ASSERT_TRUE_FATAL(pair_client_take(&p));
		CU_ASSERT_EQUAL(bits_of(), is_set ? DF : 0);
		pair_end("df reopened");
	}
}

// Behind the connector the path is narrow: what may be cut is, what may not is told to the client.
static void
test_narrow(void)
{
	struct packet_spec spec;
	unsigned nb_fragments;
	static uint8_t got[2048];

	pair_begin(&(struct pair_conf){ .inner_mtu = 1200 });
	spec = up(pair_resolve(GIT), IPPROTO_UDP, 0);
	pair_client_send(&spec);
	CU_ASSERT_TRUE_FATAL(pair_host_take(&p));
	spec.payload_bytes = 1300;
	pair_client_send(&spec);
	CU_ASSERT_EQUAL(pair_host_take_whole(got, &nb_fragments), 1300 + 28);
	CU_ASSERT_EQUAL(nb_fragments, 2);
	spec.fragment_bits = DF;
	pair_client_send(&spec);
	CU_ASSERT_FALSE(pair_host_take(&p));
	CU_ASSERT_TRUE_FATAL(pair_client_take(&p) && pair_is_error(&p, 3, 4));
	CU_ASSERT_EQUAL(rte_be_to_cpu_16(p.icmp->icmp_seq_nb), 1200);
	spec.payload_bytes = 1200 - 28;
	pair_client_send(&spec);
	CU_ASSERT_TRUE_FATAL(pair_host_take(&p));
	CU_ASSERT_EQUAL(bits_of(), DF);
	pair_end("narrow");
}

// What may be cut on its way has an identifier of its own (RFC 6864 section 4.1).
static void
test_ids(void)
{
	struct packet_spec spec;
	static bool seen[65536];

	pair_begin(NULL);
	memset(seen, 0, sizeof(seen));
	spec = up(pair_resolve(GIT), IPPROTO_UDP, 0);
	for (unsigned i = 0; i < 500; i++) {
		pair_client_send(&spec);
		CU_ASSERT_TRUE_FATAL(pair_host_take(&p));
		CU_ASSERT_FALSE(seen[p.ip->packet_id]);
		seen[p.ip->packet_id] = true;
	}
	pair_end("ids");
}

static const struct sl_test_case cases[] = {
	{ "B7: DF crosses both ways as it is, in OPEN and DATA, of every protocol", test_df },
	{ "B7: with a peer that does not know of it TCP has DF and nothing else has",
	  test_df_unknown },
	{ "B7: DF of a host's packet survives the restart of the PoP", test_df_reopened },
	{ "B7: what may not be cut is told what the private network's path carries", test_narrow },
	{ "B7: packets that may be cut have identifiers of their own", test_ids },
};

int
main(int argc, char **argv)
{
	return PAIR_MAIN(argc, argv, cases);
}
