// floor: the AEAD alone, the least any packet path that seals or opens can cost. Benches of the
// paths call this in the same run and report what they cost above it.
//
// Bursts of 64, keys in uniform random order over the whole set, buffers of 2 kB not used again within
// 4,096 packets, so that neither data nor schedules are hot by accident.
#pragma once

#include "kit.h"

#include <sluice/dp/crypto.h>

#define SL_BENCH_BURST     64u
#define SL_BENCH_DISTANCE  4096u // packets before a buffer is used again
#define SL_BENCH_MAX_BYTES 1984u

struct sl_bench_floor {
	enum sl_aead_preference preference;
	enum sl_cipher cipher;
	uint32_t nb_bytes; // sealed per packet, 0..SL_BENCH_MAX_BYTES
	uint32_t nb_aad_bytes; // 0 as WireGuard, 16 as the tunnel
	uint32_t nb_keys; // > 0
	uint32_t
		nb_buffers; // before one is used again; 0 for 4,096, 64 to see the code without misses
	unsigned nb_repetitions; // of that many packets; 0 for the usual 60
};

struct sl_bench_floor_result {
	struct sl_bench_stat seal, open; // cycles per packet
	unsigned nb_faults; // packets that did not open or opened to something else: no figure then
};

struct sl_bench_floor_result sl_bench_floor(const struct sl_bench_floor *what);

// The minimum for sealing or opening, as other benches subtract it; NAN when a packet was wrong.
double sl_bench_aead_floor(
	enum sl_cipher cipher,
	uint32_t nb_bytes,
	uint32_t nb_aad_bytes,
	uint32_t nb_keys,
	bool opening
);
