// What the packet path follows of TCP, and the MSS clamp.
#include "sl_test.h"

#include <rte_ip.h>

#include <netinet/in.h>
#include <sluice/dp/tcp.h>
#include <string.h>

#define F RTE_TCP_FIN_FLAG
#define S RTE_TCP_SYN_FLAG
#define R RTE_TCP_RST_FLAG
#define A RTE_TCP_ACK_FLAG

// A conversation in letters: upper case client to host, lower case host to client; s syn, a ack,
// f fin and ack, r rst in window, x rst before the window, z syn and ack.
static const struct {
	const char *sentence;
	const char *segments;
	enum sl_tcp_state expected;
} talks[] = {
	{ "SYN", "S", SL_TCP_SYN_SENT },
	{ "SYN, again", "SS", SL_TCP_SYN_SENT },
	{ "SYN, SYN-ACK", "Sz", SL_TCP_SYN_RECEIVED },
	{ "the handshake", "SzA", SL_TCP_ESTABLISHED },
	{ "taken up in mid-stream", "A", SL_TCP_ESTABLISHED },
	{ "the client closes", "SzAF", SL_TCP_FIN_UP },
	{ "and goes on to acknowledge", "SzAFaAaA", SL_TCP_FIN_UP },
	{ "the host closes first", "SzAfA", SL_TCP_FIN_DOWN },
	{ "both", "SzAFf", SL_TCP_CLOSING },
	{ "both, the host first", "SzAfF", SL_TCP_CLOSING },
	{ "a FIN again", "SzAFFaF", SL_TCP_FIN_UP },
	{ "after both, the last ACK", "SzAFfA", SL_TCP_CLOSING },
	{ "refused", "Sr", SL_TCP_RESET },
	{ "reset by the host", "SzAaar", SL_TCP_RESET },
	{ "reset by the client", "SzAR", SL_TCP_RESET },
	{ "a RST in answer to nothing sent", "Sx", SL_TCP_SYN_SENT },
	{ "a RST whose number is not the next one", "SzAx", SL_TCP_DOUBTED },
	{ "the same from the client's side", "SzAX", SL_TCP_DOUBTED },
	{ "and the conversation goes on", "SzAXa", SL_TCP_ESTABLISHED },
	{ "a RST from far away", "SzAwW", SL_TCP_ESTABLISHED },
	{ "a RST again, after both FINs, that nobody sent", "SzAFfx", SL_TCP_CLOSING },
	{ "simultaneous open", "SsZz", SL_TCP_ESTABLISHED },
	{ "a SYN again after the handshake, late", "SzASa", SL_TCP_ESTABLISHED },
	{ "the port again, after both FINs", "SzAFfAS", SL_TCP_SYN_SENT },
	{ "the port again, after a RST", "SzArS", SL_TCP_SYN_SENT },
	{ "the port again, and the handshake", "SzAFfASzA", SL_TCP_ESTABLISHED },
	{ "a SYN in mid-stream is a challenge, no beginning", "SzAS", SL_TCP_ESTABLISHED },
};

static uint8_t
flags_of(char c)
{
	switch (c | 0x20) {
	case 's':
		return S;
	case 'z':
		return S | A;
	case 'f':
		return F | A;
	case 'r':
		return R | A;
	case 'x':
	case 'w':
		return R;
	default:
		return A;
	}
}

static void
test_track(void)
{
	for (unsigned i = 0; i < sizeof(talks) / sizeof(talks[0]); i++) {
		struct sl_flow f = { .kind = SL_FLOW_CLIENT };
		uint32_t seq[2] = { 0xfffffff0u, 1000 }; // one wraps

		for (const char *c = talks[i].segments; *c != 0; c++) {
			enum sl_direction d = *c >= 'a' ? SL_DOWN : SL_UP;
			uint8_t flags = flags_of(*c);
			uint32_t away = (*c | 0x20) == 'x' ? 5 : (*c | 0x20) == 'w' ? 1u << 30 : 0;
			unsigned data = flags == A ? 10 : 0;
			struct rte_tcp_hdr tcp = {
				.sent_seq = rte_cpu_to_be_32(seq[d] - away),
				.recv_ack = rte_cpu_to_be_32((flags & A) ? seq[!d] : 0),
				.data_off = 5 << 4,
				.tcp_flags = flags,
			};

			sl_tcp_track(&f, &tcp, (uint16_t)(20 + data), d);
			if (flags & R)
				continue;
			seq[d] += data + !!(flags & (S | F));
		}
		SL_ASSERT_ROW(f.tcp == talks[i].expected, talks[i].sentence);
		if (f.tcp == SL_TCP_ESTABLISHED && strchr(talks[i].segments, 'z') != NULL) {
			SL_ASSERT_ROW(
				f.seq_up == seq[SL_UP] ||
					strchr(talks[i].segments + 1, 'S') != NULL ||
					talks[i].segments[1] == 's',
				talks[i].sentence
			);
			SL_ASSERT_ROW(
				f.seq_down == seq[SL_DOWN] || talks[i].segments[1] == 's',
				talks[i].sentence
			);
		}
	}
}

static const struct {
	const char *sentence;
	uint8_t options[12];
	uint8_t nb_options;
	uint16_t mss;
	int at; // where the value is changed; -1: nothing is
} clamps[] = {
	{ "at the front", { 2, 4, 5, 0xb4 }, 4, 1400, 2 },
	{ "at an odd offset", { 1, 2, 4, 5, 0xb4, 1, 1, 1 }, 8, 1400, 3 },
	{ "at an odd offset, last", { 1, 1, 1, 1, 2, 4, 5, 0xb4 }, 8, 1400, 6 },
	{ "odd and last", { 3, 3, 7, 2, 4, 5, 0xb4, 0 }, 8, 1400, 5 },
	{ "carries over both octets", { 1, 2, 4, 0xff, 0xff, 1, 1, 1 }, 8, 0x00ff, 3 },
	{ "behind others", { 3, 3, 7, 1, 4, 2, 2, 4, 5, 0xb4, 0, 0 }, 12, 536, 8 },
	{ "small enough", { 2, 4, 2, 0x18 }, 4, 1400, -1 },
	{ "equal", { 2, 4, 5, 0x78 }, 4, 1400, -1 },
	{ "behind the end of options", { 0, 2, 4, 5, 0xb4, 0, 0, 0 }, 8, 1400, -1 },
	{ "of a wrong length", { 2, 3, 5, 0xb4 }, 4, 1400, -1 },
	{ "cut", { 1, 1, 2, 4 }, 4, 1400, -1 },
	{ "an option of length zero", { 5, 0, 2, 4, 5, 0xb4, 0, 0 }, 8, 1400, -1 },
	{ "an option past the header", { 5, 200, 2, 4 }, 4, 1400, -1 },
};

static void
test_clamp(void)
{
	for (unsigned i = 0; i < sizeof(clamps) / sizeof(clamps[0]); i++) {
		struct {
			struct rte_ipv4_hdr ip;
			struct rte_tcp_hdr tcp;
			uint8_t rest[24];
		} packet = { .ip = { .version_ihl = 0x45,
				     .next_proto_id = IPPROTO_TCP,
				     .src_addr = 0x01020304,
				     .dst_addr = 0x55667788 },
			     .tcp = { .tcp_flags = S } };
		uint16_t nb_bytes = (uint16_t)(sizeof(packet.tcp) + clamps[i].nb_options + 4u);
		uint8_t expected[24];

		packet.ip.total_length = rte_cpu_to_be_16((uint16_t)(nb_bytes + 20));
		packet.tcp.data_off = (uint8_t)((5 + clamps[i].nb_options / 4) << 4);
		memcpy(packet.rest, clamps[i].options, clamps[i].nb_options);
		memset(packet.rest + clamps[i].nb_options, 2, 4); // data that looks like an option
		packet.tcp.cksum = rte_ipv4_udptcp_cksum(&packet.ip, &packet.tcp);
		memcpy(expected, packet.rest, sizeof(expected));
		if (clamps[i].at >= 0) {
			expected[clamps[i].at] = (uint8_t)(clamps[i].mss >> 8);
			expected[clamps[i].at + 1] = (uint8_t)clamps[i].mss;
		}
		sl_tcp_clamp_mss(&packet.tcp, nb_bytes, clamps[i].mss);
		SL_ASSERT_ROW(
			memcmp(packet.rest, expected, sizeof(expected)) == 0, clamps[i].sentence
		);
		SL_ASSERT_ROW(
			rte_ipv4_udptcp_cksum_verify(&packet.ip, &packet.tcp) == 0,
			clamps[i].sentence
		);
	}
}

static const struct sl_test_case cases[] = {
	{ "tcp: states follow the segments of both sides", test_track },
	{ "tcp: the MSS is lowered wherever it stands, and the checksum mended", test_clamp },
};

SL_TEST_MAIN(cases)
