// crypto: the engines behind <sluice/proto/aead.h>. AES-256-GCM is always ipsec-mb's one-shot
// code. ChaCha20-Poly1305 is Sluice's own interleaved code where the CPU has AVX-512 with IFMA,
// and ipsec-mb's single-packet code elsewhere; both give the same bytes.
#pragma once

#include <sluice/proto/aead.h>
#include <stddef.h>

enum sl_aead_preference {
	SL_AEAD_BEST, // whatever is fastest here
	SL_AEAD_IPSEC_MB, // ipsec-mb for both ciphers (to compare, or to rule our own code out)
};

// Make an engine for one thread. NULL when there is no memory or ipsec-mb finds no usable
// instruction set. Sealing and opening run on that thread alone; expanding may run on any. Owned
// by the caller, who frees it with sl_aead_destroy().
struct sl_aead *sl_aead_create(enum sl_aead_preference preference);

// The same as sl_aead_create(SL_AEAD_IPSEC_MB).
struct sl_aead *sl_aead_ipsec_mb_create(void);

// Free an engine made here. NULL is allowed.
void sl_aead_destroy(struct sl_aead *engine);

// One line for operators: library version, instruction set, what does which cipher. Written to
// `text` with a closing zero and cut to `nb_bytes`.
void sl_aead_describe(const struct sl_aead *engine, char *text, size_t nb_bytes);
