// bench-dns: cycles per answer of the DNS core in memory, by what is asked and how many names there are:
//
//	exact     a granted name; the client is one of 10,000
//	wildcard  a granted name of a wildcard that is literal from its second label on, with an address
//	hidden    a name that this client was not granted
//	miss      a name of the public DNS, up to the point where it is passed on
//	cached    the same, answered by the forwarder's cache
//	forwarded the same, asked of an upstream while as many others are under way, at most 2,000: query, query
//	          upstream, its answer, answer
//
// Bursts of 64 in the steps of dns_answer; names and clients in uniform random order; buffers not used again
// within 4,096 queries. Every answer is checked. --json; --quick takes fewer repetitions.
#include "kit.h"

#include <netinet/in.h>
#include <sluice/dns/answer.h>
#include <sluice/dns/forward.h>
#include <stdlib.h>
#include <string.h>

#define NB_QUERIES    4096u
#define STEP          16u
#define BURST         64u
#define NB_CLIENTS    10000u
#define BUFFER_BYTES  512u
#define POOL_IP       0x64600000u
#define POOL_BITS     12
#define NOW_S         1000000u
#define NOW_NS        (NOW_S * SL_NS_PER_S)
#define GRANTED       2ull
#define OTHERS        4ull
#define CPU           1u
#define UNDER_WAY_MAX 2000u
#define ROUND_TRIP_NS (20 * SL_NS_PER_MS)

enum subject { EXACT, WILDCARD, HIDDEN, MISS, CACHED, FORWARDED, SUBJECT_COUNT };

static const struct {
	const char *name, *zone;
} subjects[] = {
	[EXACT] = { "exact", "corp.example" },     [WILDCARD] = { "wildcard", "dev.corp.example" },
	[HIDDEN] = { "hidden", "hid.example" },    [MISS] = { "miss", "public.example" },
	[CACHED] = { "cached", "public.example" }, [FORWARDED] = { "forwarded", "public.example" },
};

struct lease {
	uint32_t address; // last proposed
};

struct sent {
	struct sl_upstream_address to;
	uint32_t token;
	uint16_t nb_bytes;
	uint8_t message[BUFFER_BYTES];
};

struct world {
	enum subject subject;
	uint32_t nb_names;
	struct sl_policy *policy;
	struct sl_addresses *addresses;
	struct sl_forward *forward;
	struct lease lease;
	uint64_t *groups; // of each client
	uint8_t (*buffers)[BUFFER_BYTES];
	uint16_t nb_bytes[NB_QUERIES];
	uint32_t client[NB_QUERIES];
	struct sent *sent; // FORWARDED: ring of queries under way
	uint32_t nb_sent, nb_replied, nb_asked;
	uint64_t now_ns;
	uint64_t random;
};

static const struct sl_name_key name_key = { { 0x9ae16a3b2f90404full,
					       0xc949d7c7509e6557ull,
					       0xff51afd7ed558ccdull,
					       0xc4ceb9fe1a85ec53ull } };

static void
give_up(const char *what)
{
	fprintf(stderr, "bench-dns: %s\n", what);
	exit(EXIT_FAILURE);
}

static void
name_text(char text[64], enum subject subject, uint32_t n)
{
	snprintf(text, 64, "host%u.%s", n, subjects[subject].zone);
}

// ---- The world --------------------------------------------------------------------------------------

static struct sl_policy_resource
resource(uint32_t id, const char *const *pattern, uint64_t groups)
{
	static const struct sl_policy_range all = { 0, 65535 };

	return (struct sl_policy_resource){ .id = id,
					    .label = *pattern,
					    .patterns = pattern,
					    .nb_patterns = 1,
					    .tcp = &all,
					    .nb_tcp = 1,
					    .udp = &all,
					    .nb_udp = 1,
					    .groups = groups,
					    .ttl_s = 60 };
}

// The names are resources; those of the wildcard are one.
static void
build_policy(struct world *w)
{
	static const char *const wildcard = "*.dev.corp.example";
	const uint32_t nb = w->nb_names + 1;
	struct sl_policy_resource *list = calloc(nb, sizeof(*list));
	char(*texts)[64] = calloc(nb, sizeof(*texts));
	const char **patterns = calloc(nb, sizeof(*patterns));
	struct sl_policy_spec spec = { .generation = 1, .name_key = name_key, .resources = list };
	struct sl_policy_error error;

	if (list == NULL || texts == NULL || patterns == NULL)
		give_up("no memory");
	list[spec.nb_resources++] = resource(0, &wildcard, GRANTED);
	for (uint32_t n = 0; n < w->nb_names && w->subject != WILDCARD; n++) {
		name_text(texts[n], w->subject == HIDDEN ? HIDDEN : EXACT, n);
		patterns[n] = texts[n];
		list[spec.nb_resources++] = resource(
			n + 1, &patterns[n], w->subject == HIDDEN ? OTHERS : GRANTED
		);
	}
	if (sl_policy_build(&spec, &w->policy, &error) != 0)
		give_up(error.what);
	free(patterns);
	free(texts);
	free(list);
}

static bool
lease_bind(void *store, uint32_t name_id, const char *name, uint32_t address)
{
	(void)name_id;
	(void)name;
	((struct lease *)store)->address = address;
	return true;
}

static bool
lease_retire(void *store, uint32_t name_id, const char *name, uint32_t address, bool is_released)
{
	(void)store;
	(void)name_id;
	(void)name;
	(void)address;
	(void)is_released;
	return true;
}

static void
assign(struct world *w, enum subject subject)
{
	struct sl_claim claim = { .policy = w->policy,
				  .client_groups = UINT64_MAX,
				  .client = UINT32_MAX,
				  .now_s = NOW_S };
	struct sl_name name;
	char text[64];
	uint32_t id;

	for (uint32_t n = 0; n < w->nb_names; n++) {
		name_text(text, subject, n);
		if (sl_name_from_text(&name, text) != SL_NAME_OK ||
		    sl_addresses_claim(w->addresses, &claim, &name, &id) != SL_CLAIM_PENDING ||
		    sl_addresses_bound(w->addresses, id, SL_LEASE_BOUND, w->lease.address, NOW_S) !=
			    SL_CLAIM_LIVE)
			give_up("no address for a name");
	}
}

static void
make_addresses(struct world *w)
{
	static const struct sl_lease_ops ops = { .bind = lease_bind, .retire = lease_retire };
	const struct sl_addresses_config config = {
		.pool = POOL_IP,
		.pool_bits = POOL_BITS,
		.names_max = w->nb_names + 64,
		.quarantine_s = 86400,
		.drain_s = 600,
		.idle_s = 600,
		.name_key = name_key,
		.probe_key = { 1, 2, 3 },
		.lease = &ops,
		.store = &w->lease,
	};

	w->addresses = sl_addresses_create(&config);
	if (w->addresses == NULL)
		give_up("no memory for names");
	assign(w, w->subject == WILDCARD || w->subject == HIDDEN ? w->subject : EXACT);
}

static size_t
put_query(uint8_t *to, enum subject subject, uint32_t n, uint16_t id)
{
	static const uint8_t tail[15] = { 0, 1, 0, 1, 0, 0, 41, 0x04, 0xd0 }; // A, IN, and an OPT
	uint8_t *p = to + SL_DNS_HEADER_BYTES;
	char text[64];

	name_text(text, subject, n);
	memset(to, 0, SL_DNS_HEADER_BYTES);
	sl_put16(to, id);
	sl_put16(to + 2, SL_DNS_RD);
	sl_put16(to + 4, 1);
	sl_put16(to + 10, 1);
	for (const char *t = text; *t != '\0';) {
		size_t nb = strcspn(t, ".");

		*p++ = (uint8_t)nb;
		memcpy(p, t, nb);
		p += nb;
		t += nb + (t[nb] == '.');
	}
	*p++ = 0;
	memcpy(p, tail, sizeof(tail));
	return (size_t)(p + sizeof(tail) - to);
}

// The answer of an upstream: what was asked, with an address.
static size_t
put_reply(const uint8_t *query, size_t nb_bytes, uint8_t *to)
{
	static const uint8_t address[4] = { 192, 0, 2, 1 };
	struct sl_writer w = sl_writer(to, BUFFER_BYTES);

	sl_write(&w, query, nb_bytes - SL_DNS_OPT_BYTES);
	sl_answer_record(&w, SL_DNS_A, 86400, address, sizeof(address));
	sl_write(&w, query + nb_bytes - SL_DNS_OPT_BYTES, SL_DNS_OPT_BYTES);
	sl_put16(to + 2, SL_DNS_QR | SL_DNS_RD | SL_DNS_RA);
	sl_put16(to + 6, 1);
	return sl_writer_len(&w);
}

static uint64_t
random_bits(void *context)
{
	return sl_bench_random(context);
}

static void
make_forward(struct world *w)
{
	const struct sl_forward_config config = {
		.upstreams = { { 0x09090909, 53 } },
		.nb_upstreams = 1,
		.name_key = name_key,
		.cache_bytes = w->subject == CACHED ? 128u << 20 : 0, // all of them, or the default
		.random = random_bits,
		.random_context = &w->random,
	};

	w->now_ns = NOW_NS;
	w->sent = calloc(UNDER_WAY_MAX, sizeof(*w->sent));
	w->forward = sl_forward_create(&config);
	if (w->forward == NULL || w->sent == NULL)
		give_up("no memory for the cache");
}

static void
fill_cache(struct world *w)
{
	uint8_t query[BUFFER_BYTES], reply[BUFFER_BYTES];
	struct sl_forward_asker asker = { .client = 1 };
	struct sl_forward_event event;
	size_t nb;

	for (uint32_t n = 0; n < w->nb_names; n++) {
		nb = put_query(query, CACHED, n, 1);
		sl_forward_query(w->forward, &asker, query, nb, NOW_NS, reply, sizeof(reply), &nb);
		while (sl_forward_poll(w->forward, NOW_NS, &event)) {
			if (event.kind != SL_FORWARD_SEND)
				continue;
			nb = put_reply(event.message, event.nb_bytes, reply);
			sl_forward_receive(
				w->forward, event.token, reply, nb, event.upstream, false, NOW_NS
			);
		}
	}
}

static void
begin(struct world *w, enum subject subject, uint32_t nb_names)
{
	*w = (struct world
	){ .subject = subject, .nb_names = nb_names, .random = 88172645463325252ull };
	build_policy(w);
	make_addresses(w);
	make_forward(w);
	if (subject == CACHED)
		fill_cache(w);
	w->groups = sl_bench_memory(NB_CLIENTS * 64);
	w->buffers = sl_bench_memory(NB_QUERIES * BUFFER_BYTES);
	for (uint32_t c = 0; c < NB_CLIENTS; c++)
		w->groups[c * 8] = GRANTED | 1; // a line each
}

static void
end(struct world *w)
{
	free(w->sent);
	free(w->buffers);
	free(w->groups);
	sl_forward_free(w->forward);
	sl_addresses_free(w->addresses);
	sl_policy_free(w->policy);
}

// ---- Rounds -------------------------------------------------------------------------------------------

static void
ask(struct world *w)
{
	for (uint32_t q = 0; q < NB_QUERIES; q++) {
		uint32_t n = (uint32_t)(sl_bench_random(&w->random) % w->nb_names);

		w->client[q] = (uint32_t)(sl_bench_random(&w->random) % NB_CLIENTS);
		w->nb_bytes[q] = (uint16_t)put_query(w->buffers[q], w->subject, n, (uint16_t)q);
	}
}

// Does the answer stand in the buffer, or was it to be passed on?
static bool
is_right(const struct world *w, uint32_t q, const struct sl_answer *answer)
{
	const uint8_t *m = w->buffers[q], *at = m + SL_DNS_HEADER_BYTES;

	if (w->subject == HIDDEN || w->subject == MISS)
		return answer->verdict == SL_ANSWER_FORWARD;
	while (*at != 0)
		at += *at + 1u;
	return answer->verdict == SL_ANSWER_SEND && sl_get16(m) == (uint16_t)q &&
		(sl_get16(m + 2) & (SL_DNS_QR | SL_DNS_RCODE)) == SL_DNS_QR &&
		sl_get16(m + 6) == 1 && sl_get16(at + 7) == SL_DNS_A &&
		sl_addresses_in_pool(w->addresses, sl_get32(at + 17));
}

static unsigned
answer_round(struct world *w, double *cycles)
{
	static struct sl_answer answers[NB_QUERIES];
	struct sl_answer_query parsed[STEP];
	struct sl_answer_context contexts[STEP];
	unsigned nb_wrong = 0;
	uint64_t began;

	ask(w);
	began = sl_bench_start_tsc();
	for (uint32_t at = 0; at < NB_QUERIES; at += STEP) {
		for (uint32_t i = 0; i < STEP; i++) {
			contexts[i] = (struct sl_answer_context){
				.policy = w->policy,
				.addresses = w->addresses,
				.groups = w->groups[w->client[at + i] * 8],
				.now_s = NOW_S,
				.budget_bytes = UINT32_MAX,
			};
			sl_answer_parse(
				&parsed[i], &contexts[i], w->buffers[at + i], w->nb_bytes[at + i]
			);
		}
		for (uint32_t i = 0; i < STEP; i++)
			sl_answer_prefetch(&parsed[i], &contexts[i]);
		for (uint32_t i = 0; i < STEP; i++)
			sl_answer_decide(
				&answers[at + i],
				&parsed[i],
				&contexts[i],
				w->buffers[at + i],
				BUFFER_BYTES
			);
	}
	*cycles = (double)(sl_bench_stop_tsc() - began) / NB_QUERIES;
	for (uint32_t q = 0; q < NB_QUERIES; q++)
		nb_wrong += !is_right(w, q, &answers[q]);
	return nb_wrong;
}

static unsigned
cached_round(struct world *w, double *cycles)
{
	uint8_t answer[BUFFER_BYTES];
	unsigned nb_wrong = 0;
	uint64_t began;

	ask(w);
	began = sl_bench_start_tsc();
	for (uint32_t q = 0; q < NB_QUERIES; q++) {
		struct sl_forward_asker asker = { .client = w->client[q], .port = (uint16_t)q };
		size_t nb;

		nb_wrong += sl_forward_query(
				    w->forward,
				    &asker,
				    w->buffers[q],
				    w->nb_bytes[q],
				    NOW_NS,
				    answer,
				    sizeof(answer),
				    &nb
			    ) != SL_FORWARD_ANSWERED ||
			sl_get16(answer) != (uint16_t)q || sl_get16(answer + 6) != 1;
	}
	*cycles = (double)(sl_bench_stop_tsc() - began) / NB_QUERIES;
	return nb_wrong;
}

// The oldest query under way is answered.
static void
reply_oldest(struct world *w)
{
	const struct sent *s = &w->sent[w->nb_replied++ % UNDER_WAY_MAX];
	uint8_t reply[BUFFER_BYTES];
	size_t nb = put_reply(s->message, s->nb_bytes, reply);

	sl_forward_receive(w->forward, s->token, reply, nb, s->to, false, w->now_ns);
}

static unsigned
carry_out(struct world *w)
{
	struct sl_forward_event event;
	unsigned nb_answered = 0;

	while (sl_forward_poll(w->forward, w->now_ns, &event)) {
		nb_answered += event.kind == SL_FORWARD_ANSWER;
		if (event.kind != SL_FORWARD_SEND)
			continue;
		w->sent[w->nb_sent % UNDER_WAY_MAX] = (struct sent
		){ .to = event.upstream,
		   .token = event.token,
		   .nb_bytes = (uint16_t)event.nb_bytes };
		memcpy(w->sent[w->nb_sent++ % UNDER_WAY_MAX].message, event.message, event.nb_bytes
		);
	}
	return nb_answered;
}

// Every name is new. Time passes so that all under way come back after one round trip.
static unsigned
forwarded_round(struct world *w, double *cycles)
{
	const uint32_t nb_max = w->nb_names < UNDER_WAY_MAX ? w->nb_names : UNDER_WAY_MAX;
	uint8_t answer[SL_DNS_EDNS_BYTES];
	unsigned nb_answered = 0, nb_before = w->nb_sent - w->nb_replied;
	uint64_t began;
	size_t nb;

	for (uint32_t q = 0; q < NB_QUERIES; q++)
		w->nb_bytes[q] = (uint16_t
		)put_query(w->buffers[q], FORWARDED, w->nb_asked++, (uint16_t)q);
	began = sl_bench_start_tsc();
	for (uint32_t q = 0; q < NB_QUERIES; q++) {
		struct sl_forward_asker asker = { .client = q % NB_CLIENTS, .port = (uint16_t)q };

		sl_forward_query(
			w->forward,
			&asker,
			w->buffers[q],
			w->nb_bytes[q],
			w->now_ns,
			answer,
			sizeof(answer),
			&nb
		);
		if (w->nb_sent - w->nb_replied == nb_max)
			reply_oldest(w);
		nb_answered += carry_out(w);
		(void)sl_forward_wake_ns(w->forward);
		w->now_ns += ROUND_TRIP_NS / nb_max;
	}
	*cycles = (double)(sl_bench_stop_tsc() - began) / NB_QUERIES;
	return nb_answered + (w->nb_sent - w->nb_replied) - nb_before != NB_QUERIES;
}

static bool
measure(struct world *w, unsigned nb_repetitions, struct sl_bench_stat *stat)
{
	double *samples = calloc(nb_repetitions, sizeof(*samples)), warm;
	unsigned nb_wrong = 0;

	if (samples == NULL)
		give_up("no memory");
	for (unsigned i = 0; i <= nb_repetitions; i++) {
		double *cycles = i == 0 ? &warm : &samples[i - 1];

		nb_wrong += w->subject == FORWARDED ? forwarded_round(w, cycles)
			: w->subject == CACHED      ? cached_round(w, cycles)
						    : answer_round(w, cycles);
	}
	*stat = sl_bench_stat(samples, nb_repetitions);
	free(samples);
	if (nb_wrong != 0)
		fprintf(stderr, "bench-dns: %s: %u wrong\n", subjects[w->subject].name, nb_wrong);
	return nb_wrong == 0;
}

static void
report(enum subject subject,
       uint32_t nb_names,
       const struct sl_bench_stat *s,
       struct sl_bench_json *json)
{
	if (json == NULL) {
		printf("%-10s %8u %8.0f %8.0f\n",
		       subjects[subject].name,
		       nb_names,
		       s->min,
		       s->median);
		fflush(stdout);
		return;
	}
	sl_bench_json_object(json);
	sl_bench_json_text(json, "bench", "dns");
	sl_bench_json_text(json, "subject", subjects[subject].name);
	sl_bench_json_number(json, "names", nb_names);
	sl_bench_json_number(json, "clients", NB_CLIENTS);
	sl_bench_json_stat(json, "cycles", s);
}

int
main(int argc, char **argv)
{
	static const uint32_t counts[] = { 100, 100000 };
	struct sl_bench_json json, *to = NULL;
	unsigned nb_repetitions = 200;
	bool all_right = true;
	struct world w;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--quick") == 0) {
			nb_repetitions = 30;
		} else if (strcmp(argv[i], "--json") == 0) {
			to = &json;
		} else {
			fprintf(stderr, "usage: bench-dns [--quick] [--json]\n");
			return EXIT_FAILURE;
		}
	}
	if (!sl_bench_pin(CPU))
		(void)sl_bench_pin(0);
	if (to != NULL)
		sl_bench_json_open(to, stdout);
	else
		printf("%-10s %8s %8s %8s\n", "cycles", "names", "min", "median");
	for (unsigned c = 0; c < sizeof(counts) / sizeof(counts[0]); c++)
		for (enum subject s = EXACT; s < SUBJECT_COUNT; s++) {
			struct sl_bench_stat stat;

			begin(&w, s, counts[c]);
			if (measure(&w, nb_repetitions, &stat))
				report(s, counts[c], &stat, to);
			else
				all_right = false;
			end(&w);
		}
	if (to != NULL)
		sl_bench_json_close(to);
	return all_right ? EXIT_SUCCESS : EXIT_FAILURE;
}
