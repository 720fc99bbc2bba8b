// Any answer to the resolver's query, made to match as an attacker on the path could: every promise is kept, and nothing
// stays in flight.
#include "fuzz.h"

#include <sluice/dns/resolver.h>
#include <sluice/proto/bytes.h>
#include <stdlib.h>
#include <string.h>

static uint64_t
no_random(void *context)
{
	uint64_t *x = context;

	return *x += 0x9e3779b97f4a7c15ull;
}

// The event's query header and question, then the input as records (its first octets as flags and counts).
static size_t
answer(uint8_t *to, const struct sl_resolver_event *e, const uint8_t *data, size_t size)
{
	size_t n = e->nb_bytes - SL_DNS_OPT_BYTES;

	memcpy(to, e->message, n);
	to[2] = (uint8_t)(0x80 | (data[0] & 2));
	to[3] = data[1] & 15;
	to[6] = to[8] = to[10] = 0;
	to[7] = data[2];
	to[9] = data[3];
	to[11] = 0;
	memcpy(to + n, data + 4, size - 4);
	return n + size - 4;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t seed = 1, now_ns = 1;
	struct sl_resolver_config config = {
		.servers = { { 1, 53 }, { 2, 53 } },
		.nb_servers = 2,
		.names_max = 4,
		.queries_max = 4,
		.askers_max = 4,
		.random = no_random,
		.random_context = &seed,
	};
	struct sl_resolver_result result;
	struct sl_resolver_event e;
	struct sl_resolver *r;
	struct sl_name name;
	unsigned nb_kept = 0, nb_promised = 0;
	uint8_t *m;

	if (size < 5 || size > 4096 || (r = sl_resolver_create(&config)) == NULL)
		return 0;
	m = malloc(size + 512);
	if (m == NULL || sl_name_from_text(&name, "a.b") != SL_NAME_OK)
		abort();
	for (uint64_t i = 0; i < 3; i++)
		nb_promised += !sl_resolver_ask(
			r,
			&name,
			i == 2                ? SL_DNS_TXT
				: data[4] & 1 ? SL_DNS_A
					      : SL_DNS_AAAA,
			i,
			now_ns,
			&result
		);
	for (unsigned i = 0; i < 1000; i++) {
		if (!sl_resolver_poll(r, now_ns, &e)) {
			now_ns = sl_resolver_wake_ns(r);
			if (now_ns == UINT64_MAX)
				break;
			continue;
		}
		nb_kept += e.kind == SL_RESOLVER_RESULT;
		if (e.kind == SL_RESOLVER_SEND || e.kind == SL_RESOLVER_NEED_TCP) {
			size_t n = answer(m, &e, data, size);

			sl_resolver_receive(
				r, e.token, m, n, e.server, e.kind == SL_RESOLVER_NEED_TCP, now_ns
			);
			sl_resolver_receive(
				r, e.token ^ 0x10000, data, size, e.server, false, now_ns
			);
		}
	}
	if (nb_kept != nb_promised || sl_resolver_wake_ns(r) != UINT64_MAX)
		abort();
	free(m);
	sl_resolver_free(r);
	return 0;
}
