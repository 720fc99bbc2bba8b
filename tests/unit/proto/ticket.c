#include "aead_openssl.h"
#include "sl_test.h"

#include <sluice/proto/limits.h>
#include <sluice/proto/ticket.h>
#include <string.h>

static const struct sl_flowkey_key secret = { { 1, 2, 3 } };
static const uint8_t peer[SL_TICKET_PEER_BYTES] = { 9, 9 };
static const uint8_t own[SL_TICKET_PEER_BYTES] = { 7, 7 };
static const struct sl_ticket_parties parties = { &secret, own, peer };
static const struct sl_ticket sample = { .client_mark = 0x1122334455667788,
					 .scope = 0x801234,
					 .issued_s = 1000000,
					 .client = { 192, 168, 1, 10 },
					 .destination = { 100, 96, 0, 7 },
					 .client_port_be = 0x5ac3,
					 .port_be = 0x5000,
					 .protocol = 6 };
static uint8_t sealed[SL_WIRE_TICKET_BYTES];
static struct sl_aead *engine;

static enum sl_ticket_verdict
look(const struct sl_ticket_parties *who, uint64_t incarnation, uint32_t now_s, struct sl_ticket *t)
{
	return sl_ticket_open(engine, who, incarnation, now_s, sealed, t);
}

static void
test_round(void)
{
	struct sl_ticket t;

	CU_ASSERT_EQUAL(look(&parties, 8, 1000010, &t), SL_TICKET_GOOD);
	CU_ASSERT_EQUAL(t.client_mark, sample.client_mark);
	CU_ASSERT_EQUAL(t.scope, sample.scope);
	CU_ASSERT_EQUAL(t.issued_s, sample.issued_s);
	CU_ASSERT_EQUAL(t.client_port_be, sample.client_port_be);
	CU_ASSERT_EQUAL(t.port_be, sample.port_be);
	CU_ASSERT_EQUAL(t.protocol, sample.protocol);
	CU_ASSERT_EQUAL(memcmp(t.client, sample.client, 4), 0);
	CU_ASSERT_EQUAL(memcmp(t.destination, sample.destination, 4), 0);
	CU_ASSERT_EQUAL(look(&parties, 7, 1000010, &t), SL_TICKET_PRESENT);
}

static void
test_hidden(void)
{
	for (unsigned i = 0; i + 4 <= sizeof(sealed); i++) {
		CU_ASSERT_NOT_EQUAL(memcmp(sealed + i, sample.client, 4), 0);
		CU_ASSERT_NOT_EQUAL(memcmp(sealed + i, sample.destination, 4), 0);
	}
}

static void
test_altered(void)
{
	struct sl_ticket t;

	for (unsigned bit = 0; bit < 8 * sizeof(sealed); bit++) {
		sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
		CU_ASSERT_EQUAL(look(&parties, 8, 1000010, &t), SL_TICKET_FORGED);
		CU_ASSERT_EQUAL(look(&parties, 7, 1000010, &t), SL_TICKET_FORGED);
		sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

static void
test_others(void)
{
	static const struct sl_flowkey_key other = { { 1, 2, 4 } };
	static const uint8_t stranger[SL_TICKET_PEER_BYTES] = { 9, 8 };
	const struct sl_ticket_parties tenant = { &other, own, peer };
	const struct sl_ticket_parties connector = { &secret, own, stranger };
	const struct sl_ticket_parties pop = { &secret, stranger, peer };
	struct sl_ticket t;

	CU_ASSERT_EQUAL(look(&tenant, 8, 1000010, &t), SL_TICKET_FORGED);
	CU_ASSERT_EQUAL(look(&connector, 8, 1000010, &t), SL_TICKET_FORGED);
	CU_ASSERT_EQUAL(look(&pop, 8, 1000010, &t), SL_TICKET_FORGED);
}

static void
test_age(void)
{
	struct sl_ticket t;
	uint32_t born_s = sample.issued_s;

	CU_ASSERT_EQUAL(look(&parties, 8, born_s + SL_TICKET_LIFETIME_S, &t), SL_TICKET_GOOD);
	CU_ASSERT_EQUAL(look(&parties, 8, born_s + SL_TICKET_LIFETIME_S + 1, &t), SL_TICKET_OLD);
	// The clock was set back.
	CU_ASSERT_EQUAL(look(&parties, 8, born_s - 60, &t), SL_TICKET_GOOD);
	CU_ASSERT_EQUAL(look(&parties, 8, 0, &t), SL_TICKET_OLD);
}

// Keys and nonces: two tickets alike in all but their number share nothing.
static void
test_fresh(void)
{
	uint8_t again[SL_WIRE_TICKET_BYTES];

	sl_ticket_seal(engine, &parties, 7, 6, &sample, again);
	CU_ASSERT_NOT_EQUAL(memcmp(again + 16, sealed + 16, 8), 0);
	CU_ASSERT_NOT_EQUAL(sl_ticket_id(again), sl_ticket_id(sealed));
	sl_ticket_seal(engine, &parties, 8, 5, &sample, again);
	CU_ASSERT_NOT_EQUAL(memcmp(again + 16, sealed + 16, 8), 0);
	sl_ticket_seal(engine, &parties, 7, 5, &sample, again);
	CU_ASSERT_EQUAL(memcmp(again, sealed, sizeof(again)), 0);
}

static const struct sl_test_case cases[] = {
	{ "ticket: what was sealed is read again by another incarnation", test_round },
	{ "B1: no address can be read in a ticket", test_hidden },
	{ "C2: a ticket with any bit altered is forged", test_altered },
	{ "C2: a ticket of another tenant, PoP or connector is forged", test_others },
	{ "C2: a ticket ages by a wall clock that may be stepped", test_age },
	{ "ticket: no key and nonce are used twice", test_fresh },
};

static int
setup(void)
{
	engine = sl_aead_openssl_create();
	if (engine == NULL)
		return -1;
	sl_ticket_seal(engine, &parties, 7, 5, &sample, sealed);
	return 0;
}

static int
teardown(void)
{
	sl_aead_openssl_destroy(engine);
	return 0;
}

int
main(int argc, char **argv)
{
	return sl_test_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]), setup, teardown);
}
