// A client's query of any octets through the answer path and, as the private resolver's answer, through the scrubber:
// what comes out is a message no longer than its buffer, that parses, and holds no address but the pool's.
#include "fuzz.h"

#include <sluice/dns/answer.h>
#include <sluice/dns/egress.h>
#include <sluice/dns/scrub.h>
#include <stdlib.h>
#include <string.h>

static struct sl_policy *policy;
static struct sl_addresses *table;
static uint32_t bound_id, bound_address;

static bool
bind_name(void *store, uint32_t id, const char *name, uint32_t address)
{
	(void)store;
	(void)name;
	bound_id = id;
	bound_address = address;
	return true;
}

static bool
retire_name(void *store, uint32_t id, const char *name, uint32_t address, bool is_released)
{
	(void)store;
	(void)id;
	(void)name;
	(void)address;
	(void)is_released;
	return true;
}

static void
set_up(void)
{
	static const struct sl_lease_ops ops = { bind_name, retire_name };
	static const struct sl_policy_range all[] = { { 0, 65535 } };
	static const char *const patterns[] = { "a", "*.b", "b*.c" };
	const struct sl_name_key key = { { 3, 5, 7, 11 } };
	const struct sl_policy_resource resource = {
		.id = 1,
		.label = "r",
		.patterns = patterns,
		.nb_patterns = 3,
		.udp = all,
		.nb_udp = 1,
		.groups = 1,
		.ttl_s = 60,
	};
	const struct sl_policy_spec spec = { .generation = 1,
					     .name_key = key,
					     .resources = &resource,
					     .nb_resources = 1,
					     .canary = true };
	const struct sl_addresses_config config = {
		.pool = 0x64600000,
		.pool_bits = 24,
		.names_max = 8,
		.quarantine_s = 60,
		.drain_s = 60,
		.name_key = key,
		.lease = &ops,
	};
	struct sl_claim claim = { .client_groups = 1, .client = UINT32_MAX, .now_s = 1 };
	struct sl_policy_error error;
	struct sl_name name;
	uint32_t id;

	if (sl_policy_build(&spec, &policy, &error) != 0)
		abort();
	table = sl_addresses_create(&config);
	claim.policy = policy;
	if (table == NULL || sl_name_from_text(&name, "a") != SL_NAME_OK ||
	    sl_addresses_claim(table, &claim, &name, &id) != SL_CLAIM_PENDING ||
	    sl_addresses_bound(table, bound_id, SL_LEASE_BOUND, bound_address, 1) != SL_CLAIM_LIVE)
		abort();
}

// Walk a message we built; it must be whole. Addresses only if `pool` allows them.
static void
check(const uint8_t *m, size_t n, bool may_hold_pool)
{
	struct sl_response response;
	struct sl_record rec;

	if (n < SL_DNS_HEADER_BYTES || (m[2] & 0x80) == 0)
		abort();
	if (sl_get16(m + 4) == 0)
		return; // an error without question
	if (!sl_response_parse(&response, m, n))
		abort();
	while (sl_records_next(&response.records, &rec)) {
		if (rec.type == SL_DNS_AAAA && rec.class_ == SL_DNS_IN)
			abort();
		if (rec.type == SL_DNS_A && rec.class_ == SL_DNS_IN &&
		    !(may_hold_pool && sl_get32(m + rec.data_at) >> 8 == 0x646000))
			abort();
	}
	if (response.records.failed || response.records.at != n)
		abort();
	// The reader behind everything agrees.
	if (!may_hold_pool && sl_egress_addresses(m, n) != 0)
		abort();
}

static void
scrub(const uint8_t *data, size_t size)
{
	static uint8_t out[2 * SL_DNS_MESSAGE_MAX];
	struct sl_response response;
	struct sl_scrub_view view = { .policy = NULL };
	struct sl_scrubbed scrubbed;
	struct sl_query query;
	uint8_t *question;

	if (!sl_response_parse(&response, data, size))
		return;
	// The query this would be an answer to.
	question = malloc(response.question_end);
	if (question == NULL)
		abort();
	memcpy(question, data, response.question_end);
	sl_put16(question + 2, SL_DNS_RD);
	memset(question + 6, 0, 6);
	if (sl_query_parse(&query, question, response.question_end) == SL_QUERY_OK &&
	    sl_scrub(&scrubbed, &query, &view, data, size, out, sizeof(out), SL_DNS_MESSAGE_MAX) ==
		    SL_SCRUB_OK)
		check(out, scrubbed.nb_bytes, false);
	view = (struct sl_scrub_view){ .policy = policy, .groups = 1 };
	if (sl_query_parse(&query, question, response.question_end) == SL_QUERY_OK &&
	    sl_scrub(&scrubbed, &query, &view, data, size, out, sizeof(out), SL_DNS_MESSAGE_MAX) ==
		    SL_SCRUB_OK)
		check(out, scrubbed.nb_bytes, false);
	free(question);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sl_answer_context context = { .groups = 1, .now_s = 2, .budget_bytes = UINT32_MAX };
	struct sl_answer answer;
	size_t room = size + SL_DNS_ANSWER_ROOM;
	uint8_t *m;

	if (policy == NULL)
		set_up();
	if (size > SL_DNS_MESSAGE_MAX)
		return 0;
	context.policy = policy;
	context.addresses = table;
	m = malloc(room); // exactly, so that a sanitizer sees the first octet beyond
	if (m == NULL)
		abort();
	memcpy(m, data, size);
	sl_answer(&answer, &context, m, size, room);
	if (answer.verdict == SL_ANSWER_SEND) {
		if (answer.nb_bytes > room)
			abort();
		check(m, answer.nb_bytes, true);
	} else if (memcmp(m, data, size) != 0) {
		abort(); // left as it came
	}
	free(m);
	scrub(data, size);
	return 0;
}
