// Conversations by TCP, letter by letter through the whole graph: what arrives at the other side, the
// state that both ends of the tunnel keep, and for how long they keep it.
#include "pair.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

static struct pair_packet p;
static struct pair_tcp t;

// A segment of the client (capital letters) or the host.
struct letter {
	char letter;
	uint8_t flags;
	int32_t seq_off; // from the number that is next
	uint8_t nb_bytes;
};

static const struct letter letters[] = {
	{ 'S', RTE_TCP_SYN_FLAG, 0, 0 },
	{ 's', RTE_TCP_SYN_FLAG, 0, 0 },
	{ 'Z', RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG, 0, 0 },
	{ 'z', RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG, 0, 0 },
	{ 'A', RTE_TCP_ACK_FLAG, 0, 0 },
	{ 'a', RTE_TCP_ACK_FLAG, 0, 0 },
	{ 'D', RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG, 0, 9 },
	{ 'd', RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG, 0, 9 },
	{ 'F', RTE_TCP_FIN_FLAG | RTE_TCP_ACK_FLAG, 0, 0 },
	{ 'f', RTE_TCP_FIN_FLAG | RTE_TCP_ACK_FLAG, 0, 0 },
	{ 'R', RTE_TCP_RST_FLAG, 0, 0 },
	{ 'r', RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG, 0, 0 },
	// Some octets on: its receiver does not take it for the end.
	{ 'X', RTE_TCP_RST_FLAG, 300, 0 },
	{ 'x', RTE_TCP_RST_FLAG, 300, 0 },
	// From far away: forged.
	{ 'W', RTE_TCP_RST_FLAG, 1 << 29, 0 },
	{ 'w', RTE_TCP_RST_FLAG, 1 << 29, 0 },
};

static const struct {
	const char *what;
	const char *segments;
	uint8_t state; // enum sl_tcp_state, at both ends
	uint32_t stands_s, gone_s; // idle: it still is, and is no more; 0: not waited for
} rows[] = {
	{ "a SYN alone", "S", SL_TCP_SYN_SENT, 230, 250 },
	{ "a SYN again", "SSS", SL_TCP_SYN_SENT, 230, 250 },
	{ "the host's SYN", "Sz", SL_TCP_SYN_RECEIVED, 230, 250 },
	{ "the host's SYN again", "Szz", SL_TCP_SYN_RECEIVED, 230, 250 },
	{ "the handshake", "SzA", SL_TCP_ESTABLISHED, 300, 0 },
	{ "simultaneous open", "SsZz", SL_TCP_ESTABLISHED, 300, 0 },
	{ "data both ways", "SzADaDadA", SL_TCP_ESTABLISHED, 300, 0 },
	{ "a SYN in mid-stream", "SzADaS", SL_TCP_ESTABLISHED, 300, 0 },
	{ "the client closes", "SzAFa", SL_TCP_FIN_UP, 300, 0 },
	{ "and the host goes on", "SzAFadAdAdA", SL_TCP_FIN_UP, 300, 0 },
	{ "the host closes", "SzAfA", SL_TCP_FIN_DOWN, 300, 0 },
	{ "and the client goes on", "SzAfADaDa", SL_TCP_FIN_DOWN, 300, 0 },
	{ "both close, the client first", "SzAFafA", SL_TCP_CLOSING, 8, 14 },
	{ "both close, the host first", "SzAfAFa", SL_TCP_CLOSING, 8, 14 },
	{ "simultaneous close", "SzAFfaA", SL_TCP_CLOSING, 8, 14 },
	{ "the host refuses", "Sr", SL_TCP_RESET, 8, 14 },
	{ "the client resets", "SzADaR", SL_TCP_RESET, 8, 14 },
	{ "the host resets", "SzADar", SL_TCP_RESET, 8, 14 },
	{ "the client resets a half-closed one", "SzAfAR", SL_TCP_RESET, 8, 14 },
	{ "a RST beside the mark", "SzADax", SL_TCP_DOUBTED, 230, 250 },
	{ "and the conversation goes on", "SzADaxdA", SL_TCP_ESTABLISHED, 300, 0 },
	{ "the client's beside the mark", "SzADaX", SL_TCP_DOUBTED, 230, 250 },
	{ "a RST that nobody sent", "SzAwW", SL_TCP_ESTABLISHED, 300, 0 },
	{ "the port again after the end", "SzAFafASzA", SL_TCP_ESTABLISHED, 300, 0 },
	{ "the port again after a RST", "SzArSz", SL_TCP_SYN_RECEIVED, 230, 250 },
};

static const struct letter *
letter_of(char c)
{
	for (unsigned i = 0; i < RTE_DIM(letters); i++)
		if (letters[i].letter == c)
			return &letters[i];
	CU_FAIL_FATAL("a letter");
	return NULL;
}

static struct packet_spec
segment(const struct letter *l, bool is_up)
{
	uint32_t own = is_up ? t.client_seq : t.host_seq, other = is_up ? t.host_seq : t.client_seq;
	bool is_again = (l->flags & RTE_TCP_SYN_FLAG) != 0 && own % 1000 == 1;

	return (struct packet_spec){
		.destination = is_up ? t.address : NULL,
		.protocol = IPPROTO_TCP,
		.source_port = is_up ? t.client_port : t.service,
		.destination_port = is_up ? t.service : t.nat_port,
		.tcp_flags = l->flags,
		// A SYN that comes again has the number it had.
		.tcp_seq = (is_again ? own - 1 : own) + (uint32_t)l->seq_off,
		.tcp_ack = l->flags & RTE_TCP_ACK_FLAG ? other : 0,
		.payload = "nine more",
		.payload_bytes = l->nb_bytes,
	};
}

// One segment from its side; the other side gets it as it was sent.
static void
play(char c)
{
	const struct letter *l = letter_of(c);
	bool is_up = c >= 'A' && c <= 'Z';
	uint32_t *own = is_up ? &t.client_seq : &t.host_seq;
	struct packet_spec spec;

	if (c == 'S' && t.client_seq % 1000 > 1 && l->nb_bytes == 0 && *own > 1001)
		*own = 1000; // a mid-stream or a new SYN; the test's own numbers do not wrap
	spec = segment(l, is_up);
	if (is_up)
		pair_client_send(&spec);
	else
		pair_host_send(&spec);
	CU_ASSERT_TRUE_FATAL(is_up ? pair_host_take(&p) : pair_client_take(&p));
	CU_ASSERT_EQUAL(p.tcp->tcp_flags, l->flags);
	CU_ASSERT_EQUAL(rte_be_to_cpu_32(p.tcp->sent_seq), spec.tcp_seq);
	CU_ASSERT_EQUAL(rte_be_to_cpu_32(p.tcp->recv_ack), spec.tcp_ack);
	CU_ASSERT_EQUAL(p.payload_bytes, l->nb_bytes);
	if (is_up)
		t.nat_port = rte_be_to_cpu_16(p.tcp->src_port);
	if (l->seq_off != 0)
		return;
	*own = spec.tcp_seq + l->nb_bytes + !!(l->flags & RTE_TCP_SYN_FLAG) +
		!!(l->flags & RTE_TCP_FIN_FLAG);
}

// The state a node keeps of the conversation; UINT8_MAX: it has none.
static uint8_t
state_at(struct path_node *node, uint8_t kind)
{
	for (unsigned k = 0; k < PATH_WORKERS; k++) {
		const struct sl_flow_table *flows = sl_dp_worker(path_dp(node), k)->flows;

		for (uint32_t i = 0; i < flows->nb_flows; i++)
			if (flows->flows[i].kind == kind)
				return flows->flows[i].tcp;
	}
	return UINT8_MAX;
}

static void
expect_state(const char *what, uint8_t state)
{
	SL_ASSERT_ROW(state_at(pair.pop, SL_FLOW_CLIENT) == state, what);
	SL_ASSERT_ROW(state_at(pair.connector, SL_FLOW_HOST) == state, what);
}

static void
play_row(const char *segments)
{
	t = (struct pair_tcp){ .address = pair_resolve(GIT),
			       .client_port = 33000,
			       .service = 80,
			       .client_seq = 1000,
			       .host_seq = 500000 };
	for (const char *c = segments; *c != '\0'; c++)
		play(*c);
}

static void
test_states(void)
{
	for (unsigned i = 0; i < RTE_DIM(rows); i++) {
		pair_begin(NULL);
		play_row(rows[i].segments);
		expect_state(rows[i].what, rows[i].state);
		pair_pass_s(rows[i].stands_s);
		expect_state(rows[i].what, rows[i].state);
		if (rows[i].gone_s != 0) {
			pair_pass_s(rows[i].gone_s - rows[i].stands_s);
			expect_state(rows[i].what, UINT8_MAX);
		}
		pair_end("states");
	}
}

// A segment with a window and options of its own, between the ports of `t`; its length at L3.
static size_t
put_segment(uint8_t *packet, bool is_up, uint8_t flags, const uint8_t *options, size_t nb_options)
{
	struct rte_ipv4_hdr *ip = (void *)packet;
	struct rte_tcp_hdr *tcp = (void *)(ip + 1);
	size_t nb_bytes = sizeof(*ip) + sizeof(*tcp) + nb_options;

	*ip = (struct rte_ipv4_hdr){ .version_ihl = RTE_IPV4_VHL_DEF,
				     .total_length = rte_cpu_to_be_16((uint16_t)nb_bytes),
				     .time_to_live = 64,
				     .next_proto_id = IPPROTO_TCP,
				     .src_addr = packet_ip(is_up ? CLIENT : HOST),
				     .dst_addr = packet_ip(is_up ? t.address : CONN_INNER) };
	ip->hdr_checksum = (uint16_t)~rte_raw_cksum(ip, sizeof(*ip));
	*tcp = (struct rte_tcp_hdr){
		.src_port = rte_cpu_to_be_16(is_up ? t.client_port : t.service),
		.dst_port = rte_cpu_to_be_16(is_up ? t.service : t.nat_port),
		.sent_seq = rte_cpu_to_be_32(is_up ? t.client_seq : t.host_seq),
		.recv_ack = rte_cpu_to_be_32(is_up ? t.host_seq : t.client_seq),
		.data_off = (uint8_t)((sizeof(*tcp) + nb_options) / 4 << 4),
		.tcp_flags = flags,
		.rx_win = RTE_BE16(0x1234),
		.tcp_urp = RTE_BE16(0x4321),
	};
	memcpy(tcp + 1, options, nb_options);
	tcp->cksum = rte_ipv4_udptcp_cksum(ip, tcp);
	return nb_bytes;
}

// But for ports and checksum the header arrives as it left.
static void
expect_untouched(bool is_up, uint8_t flags, const uint8_t *options, size_t nb_options)
{
	uint8_t packet[128];
	size_t nb_bytes = put_segment(packet, is_up, flags, options, nb_options);
	const struct rte_tcp_hdr *sent = (void *)(packet + sizeof(struct rte_ipv4_hdr));

	if (is_up)
		pair_client_raw(packet, nb_bytes);
	else
		pair_host_raw(packet, nb_bytes);
	path_run();
	CU_ASSERT_TRUE_FATAL(is_up ? pair_host_take(&p) : pair_client_take(&p));
	CU_ASSERT_EQUAL(rte_be_to_cpu_16(p.ip->total_length), nb_bytes);
	CU_ASSERT_EQUAL(memcmp(&p.tcp->sent_seq, &sent->sent_seq, 12), 0); // to the window
	CU_ASSERT_EQUAL(p.tcp->tcp_urp, sent->tcp_urp);
	CU_ASSERT_EQUAL(memcmp(p.tcp + 1, options, nb_options), 0);
	if (is_up)
		t.nat_port = rte_be_to_cpu_16(p.tcp->src_port);
}

static void
test_untouched(void)
{
	static const uint8_t syn[] = {
		2, 4, 2, 24, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 14
	};
	static const uint8_t sack[] = {
		1, 1, 5, 18, 0, 0, 9, 1, 0, 0, 9, 9, 0, 0, 8, 1, 0, 0, 8, 9
	};
	static const uint8_t odd[40] = { 253, 4, 0xf9, 0x89, 34, 2, 30, 30, 7, 7, 7, 7, 0, 5, 5 };
	static const struct {
		uint8_t flags;
		const uint8_t *options;
		size_t nb_options;
	} segments[] = {
		{ RTE_TCP_ACK_FLAG, sack, sizeof(sack) },
		{ RTE_TCP_ACK_FLAG | RTE_TCP_URG_FLAG | RTE_TCP_ECE_FLAG, odd, sizeof(odd) },
		{ RTE_TCP_ACK_FLAG | RTE_TCP_CWR_FLAG | RTE_TCP_PSH_FLAG, odd, 0 },
	};

	pair_begin(NULL);
	t = (struct pair_tcp){ .address = pair_resolve(GIT),
			       .client_port = 33000,
			       .service = 80,
			       .client_seq = 1000,
			       .host_seq = 5000 };
	expect_untouched(
		true, RTE_TCP_SYN_FLAG | RTE_TCP_ECE_FLAG | RTE_TCP_CWR_FLAG, syn, sizeof(syn)
	);
	t.client_seq++;
	expect_untouched(false, RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG, syn, sizeof(syn));
	t.host_seq++;
	for (unsigned i = 0; i < 2 * RTE_DIM(segments); i++)
		expect_untouched(
			i % 2 == 0,
			segments[i / 2].flags,
			segments[i / 2].options,
			segments[i / 2].nb_options
		);
	pair_end("untouched");
}

static const struct sl_test_case cases[] = {
	{ "B1 B2: windows, flags and options of TCP arrive as they left, but for an MSS too large",
	  test_untouched },
	{ "B2 B4: states of TCP at both ends, by the segments of both sides, and how long they "
	  "stand",
	  test_states },
};

int
main(int argc, char **argv)
{
	return PAIR_MAIN(argc, argv, cases);
}
