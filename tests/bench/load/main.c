// bench-load: drives a PoP, or a PoP and a connector, over two ports; scripts/loadtest starts it.
#include "load.h"

#include <rte_cycles.h>
#include <rte_ethdev.h>

#include <getopt.h>
#include <sluice/dp/dp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NB_MBUFS    32767u
#define SEARCH_STOP 0.02 // of the rate: how close a search ends

static const char *const what_names[] = { "dns", "flows", "both", "new", "wireguard" };

static void
usage(void)
{
	fprintf(stderr,
		"bench-load --clients-device D [--private-device D]\n"
		"  [--what dns|flows|both|new|wireguard] [--pop-key HEX] [--print-devices N]\n"
		"  [--clients N] [--names N] [--flows N] [--bytes N] [--window N] [--rate PPS]\n"
		"  [--seconds S] [--search] [--core N] [--memory MB] [--json]\n");
	exit(2);
}

static enum load_what
what_of(const char *name)
{
	for (unsigned i = 0; i < RTE_DIM(what_names); i++)
		if (strcmp(name, what_names[i]) == 0)
			return (enum load_what)i;
	usage();
	return LOAD_DNS;
}

// What an option sets, or PRINT, which does something and ends.
struct option_row {
	const char *name;
	enum { TEXT, WHAT, WHOLE, REAL, FLAG, PRINT } kind;
	size_t at; // in struct load_options
	unsigned least, most;
};
#define AT(field) offsetof(struct load_options, field)

static const struct option_row rows[] = {
	{ "clients-device", TEXT, AT(client_device) },
	{ "private-device", TEXT, AT(private_device) },
	{ "what", WHAT, AT(what) },
	{ "clients", WHOLE, AT(nb_clients), 1, 65000 },
	{ "names", WHOLE, AT(nb_names), 1, LOAD_MAX_NAMES },
	{ "flows", WHOLE, AT(nb_flows), 1, 4000000 },
	{ "bytes", WHOLE, AT(frame_bytes), 64, 1518 },
	{ "window", WHOLE, AT(window), 1, LOAD_SLOTS / 2 },
	{ "rate", REAL, AT(rate_pps) },
	{ "seconds", REAL, AT(seconds) },
	{ "search", FLAG, AT(is_search) },
	{ "core", WHOLE, AT(core), 0, 1023 },
	{ "memory", WHOLE, AT(memory_mb), 64, 65536 },
	{ "json", FLAG, AT(is_json) },
	{ "pop-key", TEXT, AT(pop_key) },
	{ "print-devices", PRINT, 0, 1, 65000 },
};

static unsigned
number(const struct option_row *row, const char *text)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	if (*end != '\0' || end == text || v < row->least || v > row->most) {
		fprintf(stderr,
			"bench-load: --%s is from %u to %u, not '%s'\n",
			row->name,
			row->least,
			row->most,
			text);
		exit(2);
	}
	return (unsigned)v;
}

static void
set(struct load_options *o, const struct option_row *row, const char *text)
{
	void *at = (char *)o + row->at;

	switch (row->kind) {
	case TEXT:
		*(const char **)at = text;
		break;
	case WHAT:
		*(enum load_what *)at = what_of(text);
		break;
	case WHOLE:
		*(unsigned *)at = number(row, text);
		break;
	case REAL:
		*(double *)at = atof(text);
		break;
	case PRINT:
		load_wireguard_print(number(row, text));
		exit(0);
	case FLAG:
	default:
		*(bool *)at = true;
		break;
	}
}

static void
parse(int argc, char **argv, struct load_options *o)
{
	struct option options[RTE_DIM(rows) + 1] = { 0 };
	int c, at;

	for (unsigned i = 0; i < RTE_DIM(rows); i++)
		options[i] = (struct option){ .name = rows[i].name,
					      .has_arg = rows[i].kind != FLAG };
	while ((c = getopt_long(argc, argv, "", options, &at)) != -1) {
		if (c != 0)
			usage();
		set(o, &rows[at], optarg);
	}
	if (o->client_device == NULL || optind != argc)
		usage();
	if (o->what != LOAD_DNS && o->what != LOAD_WIREGUARD && o->private_device == NULL) {
		fprintf(stderr, "bench-load: flows need --private-device, where the hosts are\n");
		exit(2);
	}
	if (o->nb_flows / o->nb_clients > 30000) {
		fprintf(stderr, "bench-load: at most 30000 flows a client\n");
		exit(2);
	}
}

static uint64_t
lost(const struct load_trial *t)
{
	uint64_t back = t->nb_answered + t->nb_refused + t->nb_wrong;

	return t->nb_sent > back ? t->nb_sent - back : 0;
}

static double
us(const struct load *l, uint64_t cycles)
{
	return (double)cycles * 1e6 / (double)l->hz;
}

static void
tell(struct load *l, const struct load_trial *t, const char *kind, struct sl_bench_json *json)
{
	double answered_pps = (double)t->nb_answered / t->took_s;
	const struct load_hist *h = &t->latency;

	if (l->o.is_json) {
		sl_bench_json_object(json);
		sl_bench_json_text(json, "bench", "load");
		sl_bench_json_text(json, "what", what_names[l->o.what]);
		sl_bench_json_text(json, "kind", kind);
		sl_bench_json_number(json, "clients", l->o.nb_clients);
		sl_bench_json_number(json, "names", l->o.nb_names);
		if (l->o.what != LOAD_DNS) {
			sl_bench_json_number(json, "flows", l->o.nb_flows);
			sl_bench_json_number(json, "frame_bytes", l->o.frame_bytes);
		}
		sl_bench_json_number(json, "rate_pps", t->rate_pps);
		sl_bench_json_number(json, "sent_pps", (double)t->nb_sent / t->took_s);
		sl_bench_json_number(json, "answered_pps", answered_pps);
		sl_bench_json_number(json, "sent", (double)t->nb_sent);
		sl_bench_json_number(json, "answered", (double)t->nb_answered);
		sl_bench_json_number(json, "lost", (double)lost(t));
		sl_bench_json_number(json, "refused", (double)t->nb_refused);
		sl_bench_json_number(json, "wrong", (double)t->nb_wrong);
		sl_bench_json_number(json, "late", (double)t->nb_late);
		sl_bench_json_number(json, "reordered", (double)t->nb_reordered);
		sl_bench_json_number(json, "p50_us", us(l, load_hist_at(h, 0.5)));
		sl_bench_json_number(json, "p90_us", us(l, load_hist_at(h, 0.9)));
		sl_bench_json_number(json, "p99_us", us(l, load_hist_at(h, 0.99)));
		sl_bench_json_number(json, "p999_us", us(l, load_hist_at(h, 0.999)));
		sl_bench_json_number(json, "max_us", us(l, h->max));
		return;
	}
	printf("%-12s %9.0f sent/s %9.0f answered/s  lost %llu, refused %llu, wrong %llu  "
	       "us: p50 %.0f p90 %.0f p99 %.0f p99.9 %.0f max %.0f\n",
	       kind,
	       (double)t->nb_sent / t->took_s,
	       answered_pps,
	       (unsigned long long)lost(t),
	       (unsigned long long)t->nb_refused,
	       (unsigned long long)t->nb_wrong,
	       us(l, load_hist_at(h, 0.5)),
	       us(l, load_hist_at(h, 0.9)),
	       us(l, load_hist_at(h, 0.99)),
	       us(l, load_hist_at(h, 0.999)),
	       us(l, h->max));
	fflush(stdout);
}

static struct load_trial
run(struct load *l, double rate_pps)
{
	struct load_trial t = { .rate_pps = rate_pps, .seconds = l->o.seconds };

	load_run(l, &t);
	return t;
}

// The highest rate without a loss (RFC 2544 section 26.1), by halving, from what a full window
// gave; then latency at half of it.
static bool
search(struct load *l, double most_pps, struct sl_bench_json *json)
{
	double good = 0, bad = most_pps * 1.5;
	struct load_trial t, best = { 0 };

	while (bad - good > SEARCH_STOP * most_pps) {
		t = run(l, (good + bad) / 2);
		tell(l, &t, "trial", json);
		if (t.nb_wrong != 0)
			return false;
		// A generator that could not keep up proves nothing about the rate it wanted.
		if (lost(&t) == 0 && t.nb_refused == 0 &&
		    (double)t.nb_sent / t.took_s > 0.98 * t.rate_pps) {
			good = t.rate_pps;
			best = t;
		} else {
			bad = t.rate_pps;
		}
	}
	if (good == 0)
		return true;
	tell(l, &best, "loss-free", json);
	t = run(l, good / 2);
	tell(l, &t, "half load", json);
	return t.nb_wrong == 0;
}

static void
create(struct load *l)
{
	struct sl_eal_conf conf = { .name = "bench-load", .memory_mb = l->o.memory_mb };

	if (!sl_bench_pin(l->o.core))
		fprintf(stderr, "bench-load: there is no core %u; running on any\n", l->o.core);
	if (sl_eal_start(&conf) != 0) {
		fprintf(stderr, "bench-load: DPDK does not start\n");
		exit(1);
	}
	l->hz = rte_get_tsc_hz();
	l->random = __rdtsc() | 1;
	l->pool = rte_pktmbuf_pool_create("load", NB_MBUFS, 256, 0, 2176, SOCKET_ID_ANY);
	if (l->pool == NULL) {
		fprintf(stderr, "bench-load: no memory for packet buffers; give more --memory\n");
		exit(1);
	}
	l->addresses = sl_bench_memory(l->o.nb_names * sizeof(*l->addresses));
	l->slots = sl_bench_memory(LOAD_SLOTS * sizeof(*l->slots));
	load_talk_create(l);
}

int
main(int argc, char **argv)
{
	static struct load l = { .o = {
					 .nb_clients = 1000,
					 .nb_names = 1000,
					 .nb_flows = 10000,
					 .frame_bytes = 64,
					 .window = 512,
					 .seconds = 2,
					 .memory_mb = 128,
				 } };
	static struct load_trial t;
	struct sl_bench_json json;
	bool is_right;

	parse(argc, argv, &l.o);
	create(&l);
	load_ports_start(&l);
	if (l.o.what == LOAD_WIREGUARD) {
		is_right = load_wireguard(&l);
		goto end;
	}
	load_learn(&l);
	if (l.o.what == LOAD_FLOWS || l.o.what == LOAD_BOTH)
		load_open(&l);
	if (l.o.is_json)
		sl_bench_json_open(&json, stdout);
	t = run(&l, l.o.rate_pps);
	tell(&l, &t, l.o.rate_pps == 0 ? "full window" : "rate", &json);
	is_right = t.nb_wrong == 0;
	if (is_right && l.o.is_search)
		is_right = search(&l, (double)t.nb_answered / t.took_s, &json);
	if (l.o.is_json)
		sl_bench_json_close(&json);
end:
	load_ports_stop(&l);
	sl_eal_stop();
	if (!is_right)
		fprintf(stderr, "bench-load: wrong answers; no figure above is worth anything\n");
	return is_right ? 0 : 1;
}
