// What a DNS message shows of addresses, wherever it hides them.
#include "sl_test.h"

#include <sluice/dns/egress.h>
#include <stdlib.h>
#include <string.h>

// A header for one question and so many records in each section, and the question for "a.".
static size_t
begin(uint8_t *p, uint8_t nb_answer, uint8_t nb_authority, uint8_t nb_additional)
{
	const uint8_t head[] = {
		0, 1,   0x81, 0x80, 0, 1, 0, nb_answer, 0, nb_authority, 0, nb_additional,
		1, 'a', 0,    0,    1, 0, 1
	};

	memcpy(p, head, sizeof(head));
	return sizeof(head);
}

static size_t
put(uint8_t *p, size_t at, uint16_t type, const void *data, size_t nb_bytes)
{
	const uint8_t head[] = { 0xc0, 12, (uint8_t)(type >> 8),     (uint8_t)type,    0, 1, 0, 0,
				 0,    60, (uint8_t)(nb_bytes >> 8), (uint8_t)nb_bytes };

	memcpy(p + at, head, sizeof(head));
	memcpy(p + at + sizeof(head), data, nb_bytes);
	return at + sizeof(head) + nb_bytes;
}

static const struct {
	const char *what;
	uint16_t type;
	uint8_t data[24];
	size_t nb_bytes;
	int nb;
} rows[] = {
	{ "A", 1, { 10, 0, 0, 1 }, 4, 1 },
	{ "AAAA", 28, { 0xfd }, 16, 1 },
	{ "A6", 38, { 0 }, 17, 1 },
	{ "APL", 42, { 0, 1, 24, 3, 10, 0, 0 }, 7, 1 },
	{ "WKS", 11, { 10, 0, 0, 1, 6 }, 5, 1 },
	{ "L32", 105, { 0, 10, 10, 0, 0, 1 }, 6, 1 },
	{ "L64", 106, { 0, 10 }, 10, 1 },
	{ "HTTPS with a hint of each", 65, { 0, 1, 0, 0, 4, 0, 2, 10, 0, 0, 6, 0, 1, 1 }, 14, 2 },
	{ "SVCB with a port", 64, { 0, 1, 0, 0, 3, 0, 2, 1, 187 }, 9, 0 },
	{ "HTTPS whose parameters are cut", 65, { 0, 1, 0, 0, 4, 0, 9, 10 }, 8, -1 },
	{ "HTTPS without a target", 65, { 0, 1 }, 2, -1 },
	{ "TXT", 16, { 3, 'x', 'y', 'z' }, 4, 0 },
	{ "MX", 15, { 0, 10, 1, 'm', 0 }, 5, 0 },
};

static void
test_rows(void)
{
	uint8_t p[256];

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (unsigned section = 0; section < 3; section++) {
			size_t nb = begin(p, section == 0, section == 1, section == 2);

			nb = put(p, nb, rows[i].type, rows[i].data, rows[i].nb_bytes);
			SL_ASSERT_ROW(sl_egress_addresses(p, nb) == rows[i].nb, rows[i].what);
		}
}

static void
test_cut(void)
{
	uint8_t p[256];
	size_t nb = begin(p, 2, 0, 0);

	nb = put(p, nb, 16, "\3xyz", 4);
	nb = put(p, nb, 1, "\12\0\0\1", 4);
	CU_ASSERT_EQUAL(sl_egress_addresses(p, nb), 1);
	for (size_t cut = 0; cut < nb; cut++) {
		uint8_t *exact = malloc(cut + 1); // so that a sanitizer sees a read past the end

		memcpy(exact, p, cut);
		CU_ASSERT_EQUAL(sl_egress_addresses(exact, cut), SL_EGRESS_UNREADABLE);
		free(exact);
	}
	p[nb] = 0;
	CU_ASSERT_EQUAL(sl_egress_addresses(p, nb + 1), SL_EGRESS_UNREADABLE);
}

static void
test_noise(void)
{
	uint8_t p[128];

	srand(5);
	for (unsigned i = 0; i < 200000; i++) {
		size_t nb = begin(p, (uint8_t)(rand() % 4), 0, 0);
		size_t more = (size_t)(rand() % 100);

		for (size_t k = 0; k < more; k++)
			p[nb + k] = (uint8_t)rand();
		CU_ASSERT(sl_egress_addresses(p, nb + more) >= SL_EGRESS_UNREADABLE);
	}
}

static const struct sl_test_case cases[] = {
	{ "B1: an address is found in every record and section that may hold one", test_rows },
	{ "egress: what is cut anywhere is no message", test_cut },
	{ "egress: any octets are read within their length", test_noise },
};
SL_TEST_MAIN(cases)
