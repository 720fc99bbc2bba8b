#include "sl_test.h"

#include <sluice/proto/inet.h>

static void
test_sum_rfc1071(void)
{
	// The worked example of RFC 1071 section 3.
	static const uint8_t data[] = { 0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7 };
	uint16_t sum = sl_sum(data, sizeof(data));
	uint8_t raw[2];

	memcpy(raw, &sum, 2);
	CU_ASSERT_EQUAL(raw[0], 0xdd);
	CU_ASSERT_EQUAL(raw[1], 0xf2);
}

static void
test_sum_odd(void)
{
	static const uint8_t data[] = { 0x12, 0x34, 0x56 };
	static const uint8_t padded[] = { 0x12, 0x34, 0x56, 0x00 };

	CU_ASSERT_EQUAL(sl_sum(data, 3), sl_sum(padded, 4));
}

static void
test_sub_inverts_add(void)
{
	for (uint32_t a = 1; a < 0xffff; a += 251)
		for (uint32_t b = 0; b < 0xffff; b += 509)
			CU_ASSERT_EQUAL(
				sl_sum_sub(sl_sum_add((uint16_t)a, (uint16_t)b), (uint16_t)b), a
			);
}

static const struct sl_test_case cases[] = {
	{ "sum: the worked example of RFC 1071", test_sum_rfc1071 },
	{ "sum: an odd last octet is padded with zero", test_sum_odd },
	{ "sum: subtraction inverts addition", test_sub_inverts_add },
};

SL_TEST_MAIN(cases)
