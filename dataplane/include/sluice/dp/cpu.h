// cpu: what this processor can do, asked once. The kernel's consent to save the wide registers is
// part of the answer: a CPU that has AVX-512 under a kernel or hypervisor that does not save it
// counts as one that has not.
#pragma once

#include <stdbool.h>

// The micro-architecture levels of the x86-64 psABI; each holds all below it.
enum sl_cpu_level {
	SL_CPU_V1, // baseline
	SL_CPU_V2, // SSE4.2, POPCNT
	SL_CPU_V3, // AVX2, BMI2, FMA
	SL_CPU_V4, // AVX-512 F, BW, CD, DQ, VL
};

// The level of this machine. Any thread.
enum sl_cpu_level sl_cpu_level(void);

// The level whose build of the hot nodes runs here: that of the machine, but the baseline where AES
// instructions are missing (they hash flows), and no higher than the environment's SLUICE_CPU says
// ("x86-64-v2", "x86-64-v3"), by which a build is tried on a machine that can do more.
enum sl_cpu_level sl_cpu_node_level(void);

// "x86-64-v3" and so on, the names compilers use for -march.
const char *sl_cpu_level_name(enum sl_cpu_level level);

// Whether the interleaved ChaCha20-Poly1305 can run: level 4 with IFMA and VBMI2. Any thread.
bool sl_cpu_has_chapoly_avx512(void);

// Whether AES and carry-less multiplication are instructions here; without them AES-256-GCM is
// neither fast nor constant-time and ChaCha20-Poly1305 is to be offered first. Any thread.
bool sl_cpu_has_aes(void);
