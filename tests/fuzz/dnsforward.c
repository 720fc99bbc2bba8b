// Any answer from an upstream, made to match, and the input itself as a client's query: every promise is kept with a
// message of the client's ID that fits, and nothing stays in flight.
#include "fuzz.h"

#include <sluice/dns/forward.h>
#include <sluice/proto/bytes.h>
#include <stdlib.h>
#include <string.h>

static uint64_t
no_random(void *context)
{
	uint64_t *x = context;

	return *x += 0x9e3779b97f4a7c15ull;
}

static size_t
answer(uint8_t *to, const struct sl_forward_event *e, const uint8_t *data, size_t size)
{
	size_t n = e->nb_bytes - SL_DNS_OPT_BYTES;

	memcpy(to, e->message, n);
	to[2] = (uint8_t)(0x80 | (data[0] & 2));
	to[3] = data[1] & 15;
	to[6] = to[8] = to[10] = 0;
	to[7] = data[2];
	to[9] = data[3] >> 4;
	to[11] = data[3] & 15;
	memcpy(to + n, data + 4, size - 4);
	return n + size - 4;
}

static void
check(const struct sl_forward_event *e)
{
	const size_t most = e->asker.is_tcp ? SL_DNS_MESSAGE_MAX : SL_DNS_EDNS_BYTES;

	if (e->nb_bytes < SL_DNS_HEADER_BYTES || e->nb_bytes > most || (e->message[2] & 0x80) == 0)
		abort();
}

static void
drive(struct sl_forward *f, unsigned nb_promised, const uint8_t *data, size_t size, uint64_t now_ns)
{
	uint8_t *m = malloc(size + 512);
	struct sl_forward_event e;
	unsigned nb_kept = 0;

	if (m == NULL)
		abort();
	for (unsigned i = 0; i < 1000; i++) {
		if (!sl_forward_poll(f, now_ns, &e)) {
			now_ns = sl_forward_wake_ns(f);
			if (now_ns == UINT64_MAX)
				break;
			continue;
		}
		if (e.kind == SL_FORWARD_ANSWER) {
			check(&e);
			nb_kept++;
		}
		if (e.kind == SL_FORWARD_SEND || e.kind == SL_FORWARD_NEED_TCP) {
			size_t n = answer(m, &e, data, size);

			sl_forward_receive(
				f, e.token, m, n, e.upstream, e.kind == SL_FORWARD_NEED_TCP, now_ns
			);
		}
	}
	if (nb_kept != nb_promised || sl_forward_wake_ns(f) != UINT64_MAX)
		abort();
	free(m);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t query[] = { 0x12, 0x34, 1,   0, 0,   1, 0, 0, 0, 0, 0,
					 0,    1,    'a', 1, 'b', 0, 0, 1, 0, 1 };
	uint64_t seed = 1;
	struct sl_forward_config config = {
		.upstreams = { { 1, 53 }, { 2, 53 } },
		.nb_upstreams = 2,
		.name_key = { { 3, 5, 7, 11 } },
		.askers_max = 4,
		.client_askers_max = 4,
		.queries_max = 4,
		.cache_bytes = 65536,
		.random = no_random,
		.random_context = &seed,
	};
	struct sl_forward_asker asker = { .client = 1 };
	uint8_t out[SL_DNS_EDNS_BYTES];
	struct sl_forward *f;
	unsigned nb = 0;
	size_t n;

	if (size < 5 || size > 4096)
		return 0;
	config.mode = (enum sl_forward_mode)(data[0] % 3);
	f = sl_forward_create(&config);
	if (f == NULL)
		abort();
	nb += sl_forward_query(f, &asker, query, sizeof(query), 1, out, sizeof(out), &n) ==
		SL_FORWARD_PENDING;
	nb += sl_forward_query(f, &asker, data, size, 1, out, sizeof(out), &n) ==
		SL_FORWARD_PENDING;
	drive(f, nb, data, size, 1);
	// Once more: now perhaps from the cache, or stale.
	nb = sl_forward_query(
		     f, &asker, query, sizeof(query), 8000000000ull, out, sizeof(out), &n
	     ) == SL_FORWARD_PENDING;
	drive(f, nb, data, size, 8000000000ull);
	sl_forward_free(f);
	return 0;
}
