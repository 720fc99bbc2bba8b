#include "floor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STRIDE_BYTES      2176u // a packet buffer of 2,048 octets and its header
#define AAD_OFFSET        0u
#define DATA_OFFSET       128u
#define USUAL_REPETITIONS 60u

struct field {
	struct sl_aead *engine;
	struct sl_aead_key *keys;
	uint32_t *order;
	uint32_t at; // in `order`
	uint8_t *buffers;
	struct sl_aead_op *ops; // one per buffer
	uint64_t random;
	uint64_t counter;
	uint32_t nb_buffers;
};

static uint8_t
expected(uint32_t buffer, uint32_t octet)
{
	return (uint8_t)(buffer * 31 + octet);
}

static void
make_keys(struct field *f, const struct sl_bench_floor *what)
{
	for (uint32_t i = 0; i < what->nb_keys; i++) {
		uint64_t raw[4];

		for (unsigned w = 0; w < 4; w++)
			raw[w] = sl_bench_random(&f->random);
		f->engine->ops->expand(f->engine, &f->keys[i], what->cipher, (const uint8_t *)raw);
	}
	sl_bench_shuffle(f->order, what->nb_keys, &f->random);
}

static struct field
make(const struct sl_bench_floor *what)
{
	struct field f = { .engine = sl_aead_create(what->preference),
			   .random = 88172645463325252u,
			   .nb_buffers = what->nb_buffers ? what->nb_buffers : SL_BENCH_DISTANCE };

	if (!f.engine) {
		fprintf(stderr, "bench: ipsec-mb gives no engine\n");
		exit(EXIT_FAILURE);
	}
	f.keys = sl_bench_memory(what->nb_keys * sizeof(f.keys[0]));
	f.order = sl_bench_memory(what->nb_keys * sizeof(f.order[0]));
	f.buffers = sl_bench_memory((size_t)f.nb_buffers * STRIDE_BYTES);
	f.ops = sl_bench_memory(f.nb_buffers * sizeof(f.ops[0]));
	make_keys(&f, what);
	for (uint32_t i = 0; i < f.nb_buffers; i++)
		for (uint32_t j = 0; j < what->nb_bytes; j++)
			f.buffers[(size_t)i * STRIDE_BYTES + DATA_OFFSET + j] = expected(i, j);
	return f;
}

static void
unmake(struct field *f)
{
	sl_aead_destroy(f->engine);
	free(f->keys);
	free(f->order);
	free(f->buffers);
	free(f->ops);
}

// New keys and nonces for the same buffers.
static void
deal(struct field *f, const struct sl_bench_floor *what)
{
	for (uint32_t i = 0; i < f->nb_buffers; i++) {
		struct sl_aead_op *op = &f->ops[i];
		uint8_t *buffer = f->buffers + (size_t)i * STRIDE_BYTES;

		*op = (struct sl_aead_op){
			.key = f->keys[f->order[f->at]].expanded,
			.cipher = (uint8_t)what->cipher,
			.data = buffer + DATA_OFFSET,
			.tag = buffer + DATA_OFFSET + what->nb_bytes,
			.aad = buffer + AAD_OFFSET,
			.nb_bytes = what->nb_bytes,
			.nb_aad_bytes = what->nb_aad_bytes,
		};
		f->counter++;
		memcpy(op->nonce + 4, &f->counter, sizeof(f->counter));
		f->at = f->at + 1 < what->nb_keys ? f->at + 1 : 0;
	}
}

static double
time_ops(struct field *f, void (*ops)(struct sl_aead *, struct sl_aead_op *, unsigned))
{
	uint64_t start_tsc, stop_tsc;

	start_tsc = sl_bench_start_tsc();
	for (uint32_t i = 0; i < f->nb_buffers; i += SL_BENCH_BURST)
		ops(f->engine, f->ops + i, SL_BENCH_BURST);
	stop_tsc = sl_bench_stop_tsc();
	return (double)(stop_tsc - start_tsc) / f->nb_buffers;
}

// All must be authentic; one in 1,000 is compared octet by octet.
static unsigned
faults(const struct field *f, const struct sl_bench_floor *what)
{
	unsigned nb = 0;

	for (uint32_t i = 0; i < f->nb_buffers; i++) {
		nb += !f->ops[i].authentic;
		if (i % 1000 != 0)
			continue;
		for (uint32_t j = 0; j < what->nb_bytes; j++)
			nb += f->ops[i].data[j] != expected(i, j);
	}
	return nb;
}

struct sl_bench_floor_result
sl_bench_floor(const struct sl_bench_floor *what)
{
	unsigned nb = what->nb_repetitions ? what->nb_repetitions : USUAL_REPETITIONS;
	struct sl_bench_floor_result result = { 0 };
	double *seal = sl_bench_memory(nb * sizeof(double));
	double *open = sl_bench_memory(nb * sizeof(double));
	struct field f = make(what);

	for (unsigned i = 0; i < nb; i++) {
		deal(&f, what);
		seal[i] = time_ops(&f, f.engine->ops->seal);
		open[i] = time_ops(&f, f.engine->ops->open);
		result.nb_faults += faults(&f, what);
	}
	result.seal = sl_bench_stat(seal, nb);
	result.open = sl_bench_stat(open, nb);
	unmake(&f);
	free(seal);
	free(open);
	return result;
}

double
sl_bench_aead_floor(
	enum sl_cipher cipher,
	uint32_t nb_bytes,
	uint32_t nb_aad_bytes,
	uint32_t nb_keys,
	bool opening
)
{
	struct sl_bench_floor what = {
		.preference = SL_AEAD_BEST,
		.cipher = cipher,
		.nb_bytes = nb_bytes,
		.nb_aad_bytes = nb_aad_bytes,
		.nb_keys = nb_keys,
	};
	struct sl_bench_floor_result result = sl_bench_floor(&what);

	if (result.nb_faults)
		return NAN;
	return opening ? result.open.min : result.seal.min;
}
