// What a worker remembers of failures.
#include "sl_test.h"

#include <netinet/in.h>
#include <sluice/dp/failures.h>
#include <sluice/dp/hash.h>
#include <sluice/dp/reject.h>
#include <sluice/dp/worker.h>
#include <sluice/proto/wire.h>
#include <stdlib.h>
#include <string.h>

static struct sl_hash_key key = { .secret = { 1, 2, 3 } };
static struct sl_failures *table;
static struct sl_worker w;

static void
begin(void)
{
	table = aligned_alloc(RTE_CACHE_LINE_SIZE, sizeof(*table));
	CU_ASSERT_PTR_NOT_NULL_FATAL(table);
	memset(table, 0, sizeof(*table));
	w = (struct sl_worker){ .owner_key = &key, .failures = table, .now_ds = 100 };
}

static void
end(void)
{
	free(table);
}

static void
fail(uint32_t client, uint16_t port, uint8_t reason, uint16_t client_port)
{
	struct sl_failure f = { .key = { .destination_port_be = port,
					 .source_port_be = client_port,
					 .scope_protocol = IPPROTO_TCP },
				.client = client,
				.reason = reason,
				.kind = SL_FLOW_CLIENT };

	sl_failure_note(&w, &f);
}

// How many kinds of a client there are, and the failures they stand for.
static unsigned
kinds(uint32_t client, unsigned *nb)
{
	struct sl_failure f;
	unsigned found = 0;

	*nb = 0;
	for (unsigned i = 0; i < SL_FAILURE_GROUPS * SL_FAILURE_KINDS; i++)
		if (sl_failure_read(table, i, &f) && f.client == client) {
			found++;
			*nb += f.nb;
		}
	return found;
}

static void
test_kinds(void)
{
	unsigned nb;

	begin();
	CU_ASSERT_EQUAL(kinds(1, &nb), 0);
	for (uint16_t i = 0; i < 5; i++)
		fail(1, 80, SL_CLOSE_POLICY, i);
	CU_ASSERT_EQUAL(kinds(1, &nb), 1);
	CU_ASSERT_EQUAL(nb, 5);
	fail(1, 80, SL_CLOSE_NO_NAME, 1);
	fail(1, 81, SL_CLOSE_POLICY, 1);
	CU_ASSERT_EQUAL(kinds(1, &nb), 3);
	CU_ASSERT_EQUAL(nb, 7);
	end();
}

static void
test_all_kinds_of_a_client(void)
{
	unsigned nb;

	begin();
	for (uint16_t port = 0; port < SL_FAILURE_KINDS; port++)
		fail(7, port, SL_CLOSE_POLICY, 1);
	CU_ASSERT_EQUAL(kinds(7, &nb), SL_FAILURE_KINDS);
	end();
}

static void
test_scan(void)
{
	unsigned nb;

	begin();
	fail(2, 80, SL_CLOSE_POLICY, 1);
	for (unsigned port = 0; port < 65536; port++)
		fail(1, (uint16_t)port, SL_CLOSE_POLICY, 1);
	CU_ASSERT_EQUAL(kinds(1, &nb), SL_FAILURE_KINDS);
	CU_ASSERT_EQUAL(kinds(2, &nb), 1);
	CU_ASSERT_EQUAL(nb, 1);
	end();
}

static void
test_half_written(void)
{
	unsigned nb;

	begin();
	fail(1, 80, SL_CLOSE_POLICY, 1);
	for (unsigned i = 0; i < SL_FAILURE_KINDS; i++)
		atomic_fetch_add(&table->groups[1].places[i].version, 1);
	CU_ASSERT_EQUAL(kinds(1, &nb), 0);
	end();
}

static const struct sl_test_case cases[] = {
	{ "failures of one kind are one record with a count, whatever the client's port",
	  test_kinds },
	{ "a client has room for all kinds of its group", test_all_kinds_of_a_client },
	{ "a client that scans ports loses its own records, not another's", test_scan },
	{ "a record that is being written is not read", test_half_written },
};
SL_TEST_MAIN(cases)
