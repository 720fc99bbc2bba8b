// forward_kit: a forwarder with two upstreams that the test plays, and a client that asks.
#pragma once

#include "fixture.h"

#include <sluice/dns/forward.h>

#define MS SL_NS_PER_MS

static uint64_t seed;

static inline struct sl_forward *
make(enum sl_forward_mode mode)
{
	struct sl_forward_config config = {
		.mode = mode,
		.upstreams = { { 0x09090909, 53 }, { 0x08080808, 53 } },
		.nb_upstreams = 2,
		.name_key = fixture_key,
		.askers_max = 32,
		.client_askers_max = 8,
		.queries_max = 16,
		.cache_bytes = 1 << 18,
		.random = next_random,
		.random_context = &seed,
	};

	seed = 7;
	return sl_forward_create(&config);
}

static inline struct sl_forward_asker
asker(uint32_t client, uint16_t port)
{
	return (struct sl_forward_asker){ .client = client, .address = client, .port = port };
}

struct asked {
	uint8_t query[512], answer[65536];
	size_t nb_query, nb_answer;
};
static struct asked q;

static inline enum sl_forward_verdict
ask(struct sl_forward *f,
    uint32_t client,
    uint16_t port,
    const char *name,
    uint16_t edns_bytes,
    uint64_t now_ns)
{
	struct sl_forward_asker who = asker(client, port);

	q.nb_query = make_query(q.query, name, SL_DNS_A, SL_DNS_RD, edns_bytes);
	return sl_forward_query(
		f, &who, q.query, q.nb_query, now_ns, q.answer, sizeof(q.answer), &q.nb_answer
	);
}

struct sent {
	struct sl_forward_event event;
	uint8_t message[512];
};

static inline bool
poll_event(struct sl_forward *f, uint64_t now_ns, struct sent *s)
{
	while (sl_forward_poll(f, now_ns, &s->event)) {
		if (s->event.kind == SL_FORWARD_RELEASE)
			continue;
		memcpy(s->message,
		       s->event.message,
		       s->event.nb_bytes < sizeof(s->message) ? s->event.nb_bytes
							      : sizeof(s->message));
		return true;
	}
	return false;
}

// An answer to what was sent: `nb` A records of TTL `ttl_s`, and an OPT.
static inline size_t
reply(const struct sent *s, uint8_t *to, uint16_t flags, unsigned nb, uint32_t ttl_s)
{
	size_t n = s->event.nb_bytes - SL_DNS_OPT_BYTES;
	struct sl_writer w = sl_writer(to, 8192);

	sl_write(&w, s->message, n);
	sl_put16(to + 2, SL_DNS_QR | SL_DNS_RD | SL_DNS_RA | flags);
	sl_put16(to + 6, (uint16_t)nb);
	for (unsigned i = 0; i < nb; i++) {
		uint8_t a[4] = { 192, 0, 2, (uint8_t)i };

		sl_answer_record(&w, SL_DNS_A, ttl_s, a, 4);
	}
	sl_write(&w, s->message + n, SL_DNS_OPT_BYTES);
	return sl_writer_len(&w);
}

static inline enum sl_receive_verdict
give(struct sl_forward *f, const struct sent *s, const uint8_t *m, size_t n, uint64_t now_ns)
{
	return sl_forward_receive(f, s->event.token, m, n, s->event.upstream, false, now_ns);
}
