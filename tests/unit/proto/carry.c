#include "sl_test.h"

#include <sluice/proto/carry.h>
#include <stdlib.h>

// One side's view of a flow's packets in one direction.
struct side {
	uint32_t source, destination;
	uint16_t sport, dport; // ICMP: id, type
};

static uint64_t state = 88172645463325252ull;

static uint32_t
rnd(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 32);
}

static uint16_t
side_sum(const struct side *s, uint8_t protocol)
{
	if (protocol == IPPROTO_ICMP)
		return sl_carry_sum_echo((uint8_t)s->dport, s->sport);
	return sl_carry_sum(s->source, s->destination, protocol, s->sport, s->dport);
}

static void
write_front(uint8_t *l4, uint16_t nb, uint8_t protocol, const struct side *s)
{
	if (protocol == IPPROTO_ICMP) {
		l4[0] = (uint8_t)s->dport;
		l4[1] = 0;
		sl_carry_store16(l4 + 4, s->sport);
		return;
	}
	sl_carry_store16(l4, s->sport);
	sl_carry_store16(l4 + 2, s->dport);
	if (protocol == IPPROTO_UDP) {
		l4[4] = (uint8_t)(nb >> 8);
		l4[5] = (uint8_t)nb;
	}
}

// The checksum by RFC 9293, 768, 792, over the whole packet.
static uint16_t
full_checksum(uint8_t *l4, uint16_t nb, uint8_t protocol, const struct side *s)
{
	unsigned at = sl_carry_checksum_at(protocol);
	uint16_t saved = sl_carry_load16(l4 + at), sum;
	uint8_t pseudo[12] = { 0 };

	sl_carry_store16(l4 + at, 0);
	sum = sl_sum(l4, nb);
	sl_carry_store16(l4 + at, saved);
	if (protocol != IPPROTO_ICMP) {
		memcpy(pseudo, &s->source, 4);
		memcpy(pseudo + 4, &s->destination, 4);
		pseudo[9] = protocol;
		pseudo[10] = (uint8_t)(nb >> 8);
		pseudo[11] = (uint8_t)nb;
		sum = sl_sum_add(sum, sl_sum(pseudo, 12));
	}
	sum = (uint16_t)~sum;
	return protocol == IPPROTO_UDP && sum == 0 ? 0xffff : sum;
}

static void
random_side(struct side *s, uint8_t protocol, uint8_t type)
{
	*s = (struct side){ rnd(), rnd(), (uint16_t)rnd(), (uint16_t)rnd() };
	if (protocol == IPPROTO_ICMP)
		s->dport = type;
}

// Through strip and restore; `front` gets what must not travel replaced by rubbish on the way.
static void
through(uint8_t *l4, uint16_t nb, uint8_t protocol, const struct side *a, const struct side *b)
{
	uint8_t *carried = sl_carry_strip(l4, nb, protocol, side_sum(a, protocol));

	CU_ASSERT_PTR_EQUAL(carried, l4 + sl_carry_skip_bytes(protocol));
	for (unsigned i = 0; i < sl_carry_skip_bytes(protocol); i++)
		l4[i] = 0xa5;
	if (protocol == IPPROTO_ICMP) {
		CU_ASSERT_EQUAL(sl_carry_load16(l4 + 4), 0);
	}
	sl_carry_restore(
		l4, nb, protocol, sl_carry_restore_sum(side_sum(b, protocol)), b->sport, b->dport
	);
}

static void
random_packet(bool corrupt)
{
	static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP };
	uint8_t protocol = protocols[rnd() % 3], l4[1600], want[1600];
	uint16_t nb = (uint16_t)(20 + rnd() % 1481), delta = (uint16_t)(1 + rnd() % 0xfffe);
	unsigned at = sl_carry_checksum_at(protocol);
	struct side a, b;

	random_side(&a, protocol, SL_ICMP_ECHO_REQUEST);
	random_side(&b, protocol, SL_ICMP_ECHO_REQUEST);
	for (unsigned i = 0; i < nb; i++)
		l4[i] = (uint8_t)(rnd() & (rnd() % 4 == 0 ? 0 : 0xff));
	write_front(l4, nb, protocol, &a);
	memcpy(want, l4, nb);
	write_front(want, nb, protocol, &b);
	sl_carry_store16(l4 + at, full_checksum(l4, nb, protocol, &a));
	if (corrupt)
		sl_carry_store16(l4 + at, sl_sum_add(sl_carry_load16(l4 + at), delta));
	through(l4, nb, protocol, &a, &b);
	if (corrupt) {
		// The same difference, and so never right: sums differ by delta, which is not 0.
		uint16_t right = full_checksum(l4, nb, protocol, &b);
		uint16_t expect = sl_sum_add(right, delta), got = sl_carry_load16(l4 + at);

		CU_ASSERT(got == expect || (got % 0xffff == 0 && expect % 0xffff == 0));
		CU_ASSERT(got != right);
		return;
	}
	sl_carry_store16(want + at, full_checksum(want, nb, protocol, &b));
	CU_ASSERT_EQUAL(memcmp(l4, want, nb), 0);
}

static void
test_random(void)
{
	for (unsigned i = 0; i < 30000; i++)
		random_packet(false);
}

static void
test_corrupted(void)
{
	for (unsigned i = 0; i < 30000; i++)
		random_packet(true);
}

static void
test_udp_none(void)
{
	uint8_t l4[12] = { 0 };
	struct side a, b;

	for (unsigned i = 0; i < 1000; i++) {
		random_side(&a, IPPROTO_UDP, 0);
		random_side(&b, IPPROTO_UDP, 0);
		write_front(l4, 12, IPPROTO_UDP, &a);
		sl_carry_store16(l4 + 6, 0);
		through(l4, 12, IPPROTO_UDP, &a, &b);
		CU_ASSERT_EQUAL(sl_carry_load16(l4 + 6), 0);
	}
}

// Every checksum value against sums around the two zeros.
static void
test_udp_zeros(void)
{
	static const uint16_t sums[] = { 0, 1, 0x7fff, 0xfffe, 0xffff };

	for (unsigned i = 0; i < 5; i++)
		for (unsigned k = 0; k < 5; k++)
			for (uint32_t c = 0; c <= 0xffff; c++) {
				uint16_t travelled = c == 0 ? 0 : sl_sum_add((uint16_t)c, sums[i]);
				uint16_t out = sl_carry_checksum(IPPROTO_UDP, travelled, sums[k]);

				if ((out == 0) != (c == 0))
					CU_FAIL("\"no checksum\" lost or made up");
			}
}

// The example of docs/wire-format.md.
static void
test_worked_example(void)
{
	uint8_t l4[12] = { 0xc3, 0x50, 0x00, 0x35, 0x00, 0x0c, 0x00, 0x00, 'p', 'i', 'n', 'g' };
	struct side a = { htonl(0x64400102), htonl(0x64600007), htons(50000), htons(53) };
	struct side b = { htonl(0x0a000002), htonl(0x0a090035), htons(20001), htons(53) };

	sl_carry_store16(l4 + 6, full_checksum(l4, 12, IPPROTO_UDP, &a));
	CU_ASSERT_EQUAL(ntohs(sl_carry_load16(l4 + 6)), 0x93d6);
	CU_ASSERT_EQUAL(ntohs(side_sum(&a, IPPROTO_UDP)), 0x8d40);
	sl_carry_strip(l4, 12, IPPROTO_UDP, side_sum(&a, IPPROTO_UDP));
	CU_ASSERT_EQUAL(ntohs(sl_carry_load16(l4 + 6)), 0x212f);
	CU_ASSERT_EQUAL(ntohs(side_sum(&b, IPPROTO_UDP)), 0x62a7);
	sl_carry_restore(
		l4,
		12,
		IPPROTO_UDP,
		sl_carry_restore_sum(side_sum(&b, IPPROTO_UDP)),
		b.sport,
		b.dport
	);
	CU_ASSERT_EQUAL(ntohs(sl_carry_load16(l4 + 6)), 0xbe6f);
	CU_ASSERT_EQUAL(sl_carry_load16(l4 + 6), full_checksum(l4, 12, IPPROTO_UDP, &b));
}

static const struct sl_test_case cases[] = {
	{ "carry: 30,000 random packets arrive as if summed whole at the far side", test_random },
	{ "carry: a corrupted packet stays corrupted by the same difference", test_corrupted },
	{ "carry: a UDP packet without checksum arrives without one", test_udp_none },
	{ "carry: no checksum of a UDP packet becomes none, nor the reverse", test_udp_zeros },
	{ "carry: the worked example of the wire format", test_worked_example },
};

SL_TEST_MAIN(cases)
