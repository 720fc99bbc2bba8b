// bench-aead: the AEAD floor as a table, or with --json as an array; --quick takes fewer repetitions,
// --hot uses 64 buffers again and again.
#include "floor.h"

#include <stdlib.h>
#include <string.h>

struct subject {
	const char *name;
	enum sl_cipher cipher;
	enum sl_aead_preference preference;
	uint32_t nb_aad_bytes;
};

static const struct subject subjects[] = {
	{ "aes-256-gcm", SL_CIPHER_AES256_GCM, SL_AEAD_BEST, 16 },
	{ "chacha20-poly1305", SL_CIPHER_CHACHA20_POLY1305, SL_AEAD_BEST, 0 },
	{ "chacha20-poly1305 ipsec-mb", SL_CIPHER_CHACHA20_POLY1305, SL_AEAD_IPSEC_MB, 0 },
};
static const uint32_t sizes[] = { 64, 256, 1420 };
static const uint32_t key_counts[] = { 1, 1024, 32768 };

static void
print_row(
	const struct subject *s,
	const struct sl_bench_floor *what,
	const struct sl_bench_floor_result *r
)
{
	printf("%-27s %5u %6u %8.0f %8.0f %8.0f %8.0f\n",
	       s->name,
	       what->nb_bytes,
	       what->nb_keys,
	       r->seal.min,
	       r->seal.median,
	       r->open.min,
	       r->open.median);
	fflush(stdout);
}

static void
print_object(
	struct sl_bench_json *json,
	const struct subject *s,
	const struct sl_bench_floor *what,
	const struct sl_bench_floor_result *r
)
{
	sl_bench_json_object(json);
	sl_bench_json_text(json, "bench", "aead");
	sl_bench_json_text(json, "subject", s->name);
	sl_bench_json_number(json, "bytes", what->nb_bytes);
	sl_bench_json_number(json, "aad_bytes", what->nb_aad_bytes);
	sl_bench_json_number(json, "keys", what->nb_keys);
	sl_bench_json_stat(json, "seal_cycles", &r->seal);
	sl_bench_json_stat(json, "open_cycles", &r->open);
}

// Returns the packets that came out wrong; they print no figure.
static unsigned
measure(const struct subject *s,
	uint32_t nb_bytes,
	uint32_t nb_keys,
	const struct sl_bench_floor *options,
	struct sl_bench_json *json)
{
	struct sl_bench_floor what = {
		.preference = s->preference,
		.cipher = s->cipher,
		.nb_bytes = nb_bytes,
		.nb_aad_bytes = s->nb_aad_bytes,
		.nb_keys = nb_keys,
		.nb_repetitions = options->nb_repetitions,
		.nb_buffers = options->nb_buffers,
	};
	struct sl_bench_floor_result r = sl_bench_floor(&what);

	if (r.nb_faults)
		fprintf(stderr, "bench-aead: %s: %u faults\n", s->name, r.nb_faults);
	else if (json)
		print_object(json, s, &what, &r);
	else
		print_row(s, &what, &r);
	return r.nb_faults;
}

int
main(int argc, char **argv)
{
	struct sl_bench_json json, *to = NULL;
	struct sl_bench_floor options = { 0 };
	unsigned nb_faults = 0;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--quick") == 0) {
			options.nb_repetitions = 8;
		} else if (strcmp(argv[i], "--hot") == 0) {
			options.nb_buffers = SL_BENCH_BURST;
			options.nb_repetitions = 2000;
		} else if (strcmp(argv[i], "--json") == 0) {
			to = &json;
		} else {
			fprintf(stderr, "usage: bench-aead [--quick | --hot] [--json]\n");
			return EXIT_FAILURE;
		}
	}
	if (to)
		sl_bench_json_open(to, stdout);
	else
		printf("%-27s %5s %6s %8s %8s %8s %8s\n",
		       "cycles per packet, bursts of 64",
		       "bytes",
		       "keys",
		       "seal min",
		       "median",
		       "open min",
		       "median");
	for (unsigned s = 0; s < sizeof(subjects) / sizeof(subjects[0]); s++)
		for (unsigned b = 0; b < sizeof(sizes) / sizeof(sizes[0]); b++)
			for (unsigned k = 0; k < sizeof(key_counts) / sizeof(key_counts[0]); k++)
				nb_faults += measure(
					&subjects[s], sizes[b], key_counts[k], &options, to
				);
	if (to)
		sl_bench_json_close(to);
	return nb_faults ? EXIT_FAILURE : EXIT_SUCCESS;
}
