// bench-path: what each path costs a worker, whole graph, no I/O, in TSC cycles per packet, beside the
// AEAD alone on the same sizes, keys and order in the same run. docs/performance.md explains it.
//
//   bench-path [--json] [--quick] [--flows N,..] [--clients N,..] [--sessions N,..] [--bytes N,..]
//              [--burst N,..] [--names N,..] [--chacha] [--wireguard] [--repetitions N] [--memory MB]
//              [--core N] [--reload]
#include "rounds.h"
#include "traffic.h"

#include <rte_cycles.h>

#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIST_MAX       8u
#define NB_NAMES       1024u
#define DNS_SESSIONS   1u
#define WIRE_GAP       20u // octets of preamble and gap between frames on Ethernet
#define NB_QUICK       10u
#define NB_REPETITIONS 60u

struct list {
	uint32_t of[LIST_MAX];
	unsigned nb;
};

struct options {
	struct list flows, clients, sessions, bytes, bursts, names;
	enum sl_cipher cipher;
	unsigned nb_repetitions, memory_mb, core;
	bool is_json, is_quick, is_wireguard, is_reload;
};

static const char *const leg_names[BENCH_LEGS] = {
	[BENCH_POP_UP] = "pop up",
	[BENCH_CONNECTOR_OUT] = "connector out",
	[BENCH_CONNECTOR_BACK] = "connector back",
	[BENCH_POP_DOWN] = "pop down",
	[BENCH_POP_NEW] = "pop new flow",
	[BENCH_CONNECTOR_NEW] = "connector new flow",
	[BENCH_DNS] = "dns answer",
};

static struct list
parse_list(const char *text)
{
	struct list list = { .nb = 0 };
	char *end = NULL;

	while (*text != '\0' && list.nb < LIST_MAX) {
		unsigned long n = strtoul(text, &end, 10);

		if (end == text || n > UINT32_MAX)
			break;
		list.of[list.nb++] = (uint32_t)n;
		text = *end == ',' ? end + 1 : end;
	}
	if (*text != '\0') {
		fprintf(stderr, "bench-path: not a list of numbers: %s\n", text);
		exit(EXIT_FAILURE);
	}
	return list;
}

static double
percent_of(double mpps, unsigned frame_bytes, double gbps)
{
	return 100 * mpps * 1e6 * (frame_bytes + WIRE_GAP) * 8 / (gbps * 1e9);
}

static void
print_profile(const struct bench_profile *p)
{
	for (unsigned i = 0; i < p->nb; i++)
		if (p->nodes[i].cycles >= 0.5)
			printf("    %-20s %7.1f\n", p->nodes[i].name, p->nodes[i].cycles);
}

static void
print_row(const struct bench_rounds *r, enum bench_leg which)
{
	const struct bench_leg_result *leg = &r->legs[which];
	const struct bench_size *s = &r->world->size;
	double mpps = (double)rte_get_tsc_hz() / leg->cycles.min / 1e6;

	printf("%-18s %5u %7u %9u %6u %5u %6.1f %7.0f %7.0f %7.0f %8.0f %6.2f %7.2f %6.1f %6.1f "
	       "%6.1f\n",
	       leg_names[which],
	       r->frame_bytes,
	       which == BENCH_DNS ? r->nb_order : s->nb_clients,
	       which == BENCH_DNS ? 0 : s->nb_flows,
	       s->nb_sessions,
	       r->burst_pkts,
	       leg->records_per_datagram,
	       leg->cycles.min,
	       leg->cycles.median,
	       leg->floor.min,
	       leg->cycles.min - leg->floor.min,
	       leg->floor.min > 0 ? leg->cycles.min / leg->floor.min : NAN,
	       mpps,
	       percent_of(mpps, r->frame_bytes, 10),
	       percent_of(mpps, r->frame_bytes, 25),
	       percent_of(mpps, r->frame_bytes, 100));
	print_profile(&leg->profile);
	fflush(stdout);
}

static void
print_object(struct sl_bench_json *json, const struct bench_rounds *r, enum bench_leg which)
{
	const struct bench_leg_result *leg = &r->legs[which];
	const struct bench_size *s = &r->world->size;
	double mpps = (double)rte_get_tsc_hz() / leg->cycles.min / 1e6;
	char field[64];

	sl_bench_json_object(json);
	sl_bench_json_text(json, "bench", "path");
	sl_bench_json_text(json, "path", leg_names[which]);
	sl_bench_json_number(json, "frame_bytes", r->frame_bytes);
	sl_bench_json_number(json, "clients", s->nb_clients);
	sl_bench_json_text(json, "access", s->is_wireguard ? "wireguard" : "plain");
	if (which != BENCH_DNS)
		sl_bench_json_number(json, "flows", s->nb_flows);
	sl_bench_json_number(json, "names", s->nb_names);
	sl_bench_json_number(json, "sessions", s->nb_sessions);
	sl_bench_json_number(json, "burst", r->burst_pkts);
	if (!isnan(leg->records_per_datagram))
		sl_bench_json_number(json, "records_per_datagram", leg->records_per_datagram);
	sl_bench_json_stat(json, "cycles", &leg->cycles);
	sl_bench_json_number(json, "aead_floor", leg->floor.min);
	sl_bench_json_number(json, "overhead", leg->cycles.min - leg->floor.min);
	if (leg->floor.min > 0)
		sl_bench_json_number(json, "ratio", leg->cycles.min / leg->floor.min);
	sl_bench_json_number(json, "mpps", mpps);
	sl_bench_json_number(json, "percent_of_10g", percent_of(mpps, r->frame_bytes, 10));
	sl_bench_json_number(json, "percent_of_25g", percent_of(mpps, r->frame_bytes, 25));
	sl_bench_json_number(json, "percent_of_100g", percent_of(mpps, r->frame_bytes, 100));
	for (unsigned i = 0; i < leg->profile.nb; i++) {
		snprintf(field, sizeof(field), "node.%s", leg->profile.nodes[i].name);
		sl_bench_json_number(json, field, leg->profile.nodes[i].cycles);
	}
}

static void
report(struct sl_bench_json *json, const struct bench_rounds *r, enum bench_leg a, enum bench_leg b)
{
	for (enum bench_leg leg = a; leg <= b; leg++) {
		if (r->legs[leg].cycles.nb_samples == 0)
			continue;
		if (json != NULL)
			print_object(json, r, leg);
		else
			print_row(r, leg);
	}
}

// Flows that stand, and those being made. Returns the faults, which print no figure.
static uint64_t
measure_flows(
	const struct options *o,
	const struct bench_size *size,
	uint32_t burst,
	struct sl_bench_json *json
)
{
	struct bench_rounds *r = bench_rounds_create(size, burst, size->nb_flows);
	uint64_t faults;

	bench_rounds_open(r);
	faults = bench_rounds_faults(r);
	if (faults == 0)
		report(json, r, BENCH_POP_NEW, BENCH_CONNECTOR_NEW);
	for (unsigned i = 0; i < o->bytes.nb && faults == 0; i++) {
		bench_rounds_measure(r, o->bytes.of[i], o->nb_repetitions);
		faults = bench_rounds_faults(r);
		if (faults == 0)
			report(json, r, BENCH_POP_UP, BENCH_POP_DOWN);
	}
	bench_rounds_destroy(r);
	return faults;
}

static uint64_t
measure_dns(const struct options *o, uint32_t nb_names, struct sl_bench_json *json)
{
	struct bench_size size = { .nb_flows = 1024,
				   .nb_clients = 10000,
				   .nb_sessions = DNS_SESSIONS,
				   .nb_names = nb_names,
				   .cipher = o->cipher };
	struct bench_rounds *r = bench_rounds_create(&size, o->bursts.of[0], nb_names);
	uint64_t faults;

	bench_rounds_ask(r, o->nb_repetitions);
	faults = bench_rounds_faults(r);
	if (faults == 0)
		report(json, r, BENCH_DNS, BENCH_DNS);
	bench_rounds_destroy(r);
	return faults;
}

static void
report_reload(
	struct sl_bench_json *json, uint32_t nb_flows, const char *end, double us[2][BENCH_RELOADS]
)
{
	struct sl_bench_stat without = sl_bench_stat(us[0], BENCH_RELOADS);
	struct sl_bench_stat with = sl_bench_stat(us[1], BENCH_RELOADS);
	double cycles = (double)rte_get_tsc_hz() / 1e6; // a microsecond

	if (json == NULL) {
		printf("%-10s %9u flows, longest walk, us: without %.0f median %.0f, with a reload "
		       "%.0f median %.0f; longer by %.0f (%.0f cycles), median %.0f (%.0f)\n",
		       end,
		       nb_flows,
		       without.min,
		       without.median,
		       with.min,
		       with.median,
		       with.min - without.min,
		       (with.min - without.min) * cycles,
		       with.median - without.median,
		       (with.median - without.median) * cycles);
		return;
	}
	sl_bench_json_object(json);
	sl_bench_json_text(json, "bench", "reload");
	sl_bench_json_text(json, "path", end);
	sl_bench_json_number(json, "flows", nb_flows);
	sl_bench_json_stat(json, "longest_us_without", &without);
	sl_bench_json_stat(json, "longest_us_with", &with);
	sl_bench_json_number(json, "longer_us", with.min - without.min);
	sl_bench_json_number(json, "longer_cycles", (with.min - without.min) * cycles);
}

static uint64_t
measure_reload(const struct options *o, uint32_t nb_flows, struct sl_bench_json *json)
{
	static struct bench_reload result;
	struct bench_size size = { .nb_flows = nb_flows,
				   .nb_clients = o->clients.of[0],
				   .nb_sessions = 1,
				   .nb_names = NB_NAMES,
				   .cipher = o->cipher,
				   .is_kept = true };
	struct bench_rounds *r = bench_rounds_create(&size, o->bursts.of[0], nb_flows);
	uint64_t faults;

	bench_rounds_open(r);
	bench_rounds_reload(r, &result);
	faults = bench_rounds_faults(r);
	if (faults == 0) {
		report_reload(json, nb_flows, "pop", result.pop);
		report_reload(json, nb_flows, "connector", result.connector);
	}
	bench_rounds_destroy(r);
	return faults;
}

static uint64_t
measure_all(const struct options *o, struct sl_bench_json *json)
{
	uint64_t faults = 0;

	for (unsigned f = 0; o->is_reload && f < o->flows.nb; f++)
		faults += measure_reload(o, o->flows.of[f], json);
	if (o->is_reload)
		return faults;
	for (unsigned f = 0; f < o->flows.nb; f++)
		for (unsigned c = 0; c < o->clients.nb; c++)
			for (unsigned s = 0; s < o->sessions.nb; s++)
				for (unsigned b = 0; b < o->bursts.nb; b++) {
					struct bench_size size = {
						.nb_flows = o->flows.of[f],
						.nb_clients = o->clients.of[c],
						.nb_sessions = o->sessions.of[s],
						.nb_names = NB_NAMES,
						.cipher = o->cipher,
						.is_wireguard = o->is_wireguard,
					};

					if (size.nb_names < size.nb_sessions)
						size.nb_names = size.nb_sessions;
					faults += measure_flows(o, &size, o->bursts.of[b], json);
				}
	for (unsigned n = 0; n < o->names.nb; n++)
		faults += measure_dns(o, o->names.of[n], json);
	return faults;
}

static void
usage(void)
{
	fprintf(stderr,
		"usage: bench-path [--json] [--quick] [--flows N,..] [--clients N,..] "
		"[--sessions N,..]\n"
		"                  [--bytes N,..] [--burst N,..] [--names N,..] [--chacha]\n"
		"                  [--wireguard]\n"
		"                  [--repetitions N] [--memory MB] [--core N] [--reload]\n");
	exit(EXIT_FAILURE);
}

static const struct option known[] = {
	{ "json", no_argument, NULL, 'j' },
	{ "quick", no_argument, NULL, 'q' },
	{ "flows", required_argument, NULL, 'f' },
	{ "clients", required_argument, NULL, 'c' },
	{ "sessions", required_argument, NULL, 's' },
	{ "bytes", required_argument, NULL, 'b' },
	{ "burst", required_argument, NULL, 'u' },
	{ "names", required_argument, NULL, 'n' },
	{ "chacha", no_argument, NULL, 'x' },
	{ "wireguard", no_argument, NULL, 'w' },
	{ "repetitions", required_argument, NULL, 'r' },
	{ "memory", required_argument, NULL, 'm' },
	{ "core", required_argument, NULL, 'o' },
	{ "reload", no_argument, NULL, 'l' },
	{ NULL, 0, NULL, 0 },
};

static void
parse_options(struct options *o, int argc, char **argv)
{
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (c) {
		case 'j':
			o->is_json = true;
			break;
		case 'q':
			o->flows = parse_list("10000");
			o->names = parse_list("100");
			o->nb_repetitions = NB_QUICK;
			break;
		case 'f':
			o->flows = parse_list(optarg);
			break;
		case 'c':
			o->clients = parse_list(optarg);
			break;
		case 's':
			o->sessions = parse_list(optarg);
			break;
		case 'b':
			o->bytes = parse_list(optarg);
			break;
		case 'u':
			o->bursts = parse_list(optarg);
			break;
		case 'n':
			o->names = parse_list(optarg);
			break;
		case 'x':
			o->cipher = SL_CIPHER_CHACHA20_POLY1305;
			break;
		case 'w':
			o->is_wireguard = true;
			break;
		case 'l':
			o->is_reload = true;
			break;
		case 'r':
			o->nb_repetitions = (unsigned)atoi(optarg);
			break;
		case 'm':
			o->memory_mb = (unsigned)atoi(optarg);
			break;
		case 'o':
			o->core = (unsigned)atoi(optarg);
			break;
		default:
			usage();
		}
	}
	if (optind != argc || o->nb_repetitions == 0)
		usage();
}

int
main(int argc, char **argv)
{
	struct options o = { .cipher = SL_CIPHER_AES256_GCM,
			     .nb_repetitions = NB_REPETITIONS,
			     .memory_mb = 2000 };
	struct sl_eal_conf eal = { .name = "sl_bench" };
	struct sl_bench_json json, *to = NULL;
	char name[32];
	uint64_t faults;

	o.flows = parse_list("10000,1000000");
	o.clients = parse_list("10000");
	o.sessions = parse_list("1,4096");
	o.bytes = parse_list("64,256,1400");
	o.bursts = parse_list("64");
	o.names = parse_list("100,100000");
	parse_options(&o, argc, argv);
	snprintf(name, sizeof(name), "sl_bench_%d", (int)getpid());
	eal.name = name;
	eal.memory_mb = o.memory_mb;
	if (sl_eal_start(&eal) != 0 || !sl_bench_pin(o.core)) {
		fprintf(stderr, "bench-path: DPDK does not start, or core %u is not there\n", o.core
		);
		return EXIT_FAILURE;
	}
	if (o.is_json) {
		to = &json;
		sl_bench_json_open(to, stdout);
	} else if (!o.is_reload) {
		printf("%-18s %5s %7s %9s %6s %5s %6s %7s %7s %7s %8s %6s %7s %6s %6s %6s\n",
		       "path",
		       "bytes",
		       "clients",
		       "flows",
		       "sess.",
		       "burst",
		       "rec/dg",
		       "cycles",
		       "median",
		       "floor",
		       "overhead",
		       "ratio",
		       "Mpps",
		       "%10G",
		       "%25G",
		       "%100G");
	}
	faults = measure_all(&o, to);
	if (to != NULL)
		sl_bench_json_close(to);
	sl_eal_stop();
	return faults != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
