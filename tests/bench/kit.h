// kit: what every bench measures and prints with. Figures are TSC cycles per packet: the minimum and
// the median over repetitions. The minimum says what the code can do, the median what this
// machine gave it.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <x86intrin.h>

// Time stamps around a measured stretch: nothing measured moves out over either.
static inline uint64_t
sl_bench_start_tsc(void)
{
	uint64_t t;

	_mm_mfence();
	_mm_lfence();
	t = __rdtsc();
	_mm_lfence();
	return t;
}

static inline uint64_t
sl_bench_stop_tsc(void)
{
	unsigned cpu;
	uint64_t t = __rdtscp(&cpu);

	_mm_lfence();
	return t;
}

struct sl_bench_stat {
	double min;
	double median;
	unsigned nb_samples;
};

// Sorts `samples`. nb > 0.
struct sl_bench_stat sl_bench_stat(double *samples, unsigned nb);

// A fast repeatable generator for orders and payloads; state must not be 0.
uint64_t sl_bench_random(uint64_t *state);

// Fill `order` with 0..nb-1 in random order.
void sl_bench_shuffle(uint32_t *order, uint32_t nb, uint64_t *random);

// Zeroed, touched, 64-octet aligned memory, on huge pages where the kernel gives them. Exits with
// a message when there is none. Free with free().
void *sl_bench_memory(size_t nb_bytes);

// Pin the calling thread; false when the core is not there.
[[nodiscard]] bool sl_bench_pin(unsigned cpu_idx);

// JSON, written as it comes: an array of flat objects, each {"bench": ..., fields...}.
//   sl_bench_json_open(&j, stdout);
//   sl_bench_json_object(&j); sl_bench_json_text(&j, "bench", "aead"); ... (as often as needed)
//   sl_bench_json_close(&j);
struct sl_bench_json {
	FILE *out;
	unsigned nb_objects, nb_fields;
};

void sl_bench_json_open(struct sl_bench_json *json, FILE *out);
void sl_bench_json_object(struct sl_bench_json *json);
void sl_bench_json_text(struct sl_bench_json *json, const char *name, const char *value);
void sl_bench_json_number(struct sl_bench_json *json, const char *name, double value);
// NAME_min and NAME_median.
void
sl_bench_json_stat(struct sl_bench_json *json, const char *name, const struct sl_bench_stat *stat);
void sl_bench_json_close(struct sl_bench_json *json);
