#include "floor.h"
#include "tap.h"

#include <stdlib.h>
#include <string.h>

#define OPS_MAX      8192u
#define CALLS_MAX    8192u
#define STRIDE_BYTES 2176u // kept of a packet: AAD, data, tag

struct bench_tap {
	struct sl_aead aead; // first
	struct sl_aead *engine;
	struct sl_aead_op *ops; // as the path gave them, on its own buffers
	unsigned call_end[CALLS_MAX]; // call c is ops [call_end[c - 1], call_end[c])
	bool is_opening[CALLS_MAX]; // by call
	unsigned nb_ops, nb_calls;
	uint8_t *kept; // what stood in those buffers
};

static void
put_down(struct bench_tap *tap, const struct sl_aead_op *ops, unsigned nb_ops, bool is_opening)
{
	if (tap->nb_ops + nb_ops > OPS_MAX || tap->nb_calls == CALLS_MAX) {
		fprintf(stderr, "bench: more datagrams than the tap can hold\n");
		exit(EXIT_FAILURE);
	}
	for (unsigned i = 0; i < nb_ops; i++) {
		tap->ops[tap->nb_ops++] = ops[i];
	}
	tap->is_opening[tap->nb_calls] = is_opening;
	tap->call_end[tap->nb_calls++] = tap->nb_ops;
}

static void
tap_seal(struct sl_aead *aead, struct sl_aead_op *ops, unsigned nb_ops)
{
	struct bench_tap *tap = (struct bench_tap *)aead;

	put_down(tap, ops, nb_ops, false);
	tap->engine->ops->seal(tap->engine, ops, nb_ops);
}

static void
tap_open(struct sl_aead *aead, struct sl_aead_op *ops, unsigned nb_ops)
{
	struct bench_tap *tap = (struct bench_tap *)aead;

	put_down(tap, ops, nb_ops, true);
	tap->engine->ops->open(tap->engine, ops, nb_ops);
}

static const struct sl_aead_ops tap_ops = { .name = "tap", .seal = tap_seal, .open = tap_open };

struct bench_tap *
bench_tap_create(void)
{
	struct bench_tap *tap = sl_bench_memory(sizeof(*tap));

	tap->aead.ops = &tap_ops;
	tap->ops = sl_bench_memory(OPS_MAX * sizeof(*tap->ops));
	tap->kept = sl_bench_memory((size_t)OPS_MAX * STRIDE_BYTES);
	return tap;
}

void
bench_tap_destroy(struct bench_tap *tap)
{
	free(tap->kept);
	free(tap->ops);
	free(tap);
}

struct sl_aead *
bench_tap_begin(struct bench_tap *tap, struct sl_aead *engine)
{
	tap->engine = engine;
	tap->nb_ops = 0;
	tap->nb_calls = 0;
	return &tap->aead;
}

// What is to be opened has to be sealed first, untimed.
static void
prepare(struct bench_tap *tap, unsigned repetition)
{
	unsigned at = 0;

	for (unsigned i = 0; i < tap->nb_ops; i++) // no nonce twice under a key
		tap->ops[i].nonce[0] = (uint8_t)(repetition + 1);
	for (unsigned c = 0; c < tap->nb_calls; c++) {
		if (tap->is_opening[c])
			tap->engine->ops->seal(tap->engine, tap->ops + at, tap->call_end[c] - at);
		at = tap->call_end[c];
	}
}

static double
time_calls(struct bench_tap *tap, unsigned nb_pkts)
{
	const struct sl_aead_ops *ops = tap->engine->ops;
	uint64_t start_tsc = sl_bench_start_tsc();
	unsigned at = 0;

	for (unsigned c = 0; c < tap->nb_calls; c++) {
		if (tap->is_opening[c])
			ops->open(tap->engine, tap->ops + at, tap->call_end[c] - at);
		else
			ops->seal(tap->engine, tap->ops + at, tap->call_end[c] - at);
		at = tap->call_end[c];
	}
	return (double)(sl_bench_stop_tsc() - start_tsc) / nb_pkts;
}

// AAD, data and tag stand behind one another in a datagram. Keep them, or put them back.
static void
keep(struct bench_tap *tap, bool is_putting_back)
{
	for (unsigned i = 0; i < tap->nb_ops; i++) {
		struct sl_aead_op *op = &tap->ops[i];
		uint8_t *at = op->data - op->nb_aad_bytes;
		size_t nb_bytes = op->nb_aad_bytes + op->nb_bytes + SL_AEAD_TAG_BYTES;
		uint8_t *kept = tap->kept + (size_t)i * STRIDE_BYTES;

		if (is_putting_back)
			memcpy(at, kept, nb_bytes);
		else
			memcpy(kept, at, nb_bytes);
	}
}

struct sl_bench_stat
bench_tap_floor(struct bench_tap *tap, unsigned nb_pkts, unsigned nb_repetitions)
{
	double *cycles = sl_bench_memory(nb_repetitions * sizeof(double));
	struct sl_bench_stat stat;

	keep(tap, false);
	for (unsigned r = 0; r < nb_repetitions; r++) {
		prepare(tap, r);
		cycles[r] = time_calls(tap, nb_pkts);
		for (unsigned i = 0; i < tap->nb_ops; i++)
			if (!tap->ops[i].authentic) {
				fprintf(stderr, "bench: the floor opened a datagram wrongly\n");
				exit(EXIT_FAILURE);
			}
	}
	keep(tap, true);
	stat = sl_bench_stat(cycles, nb_repetitions);
	free(cycles);
	return stat;
}

unsigned
bench_tap_datagrams(const struct bench_tap *tap)
{
	return tap->nb_ops;
}
