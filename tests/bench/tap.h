// tap: the floor under one path, exactly: what the path's worker had its AEAD do (keys, sizes, order
// batches, buffers) is noted in one run and then done again with nothing around it.
#pragma once

#include "kit.h"

#include <sluice/proto/aead.h>

struct bench_tap;

struct bench_tap *bench_tap_create(void);
void bench_tap_destroy(struct bench_tap *tap);

// The engine to put in an `engine`'s place while a batch runs; calls go through to it.
struct sl_aead *bench_tap_begin(struct bench_tap *tap, struct sl_aead *engine);

// What the calls noted since begin cost alone, in cycles for each of `nb_pkts` packets. The packets'
// buffers must not have gone to others yet; they are left as they are.
struct sl_bench_stat
bench_tap_floor(struct bench_tap *tap, unsigned nb_pkts, unsigned nb_repetitions);

// Datagrams sealed or opened since begin.
unsigned bench_tap_datagrams(const struct bench_tap *tap);
