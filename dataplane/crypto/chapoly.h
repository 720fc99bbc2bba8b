// chapoly: ChaCha20-Poly1305 (RFC 8439) over many packets at once, as a table of functions so that
// several builds for several CPUs can stand side by side.
#pragma once

#include <sluice/proto/aead.h>

struct sl_chapoly {
	const char *name;
	// In place, as in <sluice/proto/aead.h>; every key's first 32 octets are the raw key. Packets
	// may differ in length, key, nonce and associated data. Up to 64 per call are interleaved.
	void (*seal)(struct sl_aead_op *const *ops, unsigned nb_ops);
	void (*open)(struct sl_aead_op *const *ops, unsigned nb_ops);
};

extern const struct sl_chapoly sl_chapoly_avx512; // needs sl_cpu_has_chapoly_avx512()

// The fastest this CPU can run, or NULL when there is none.
const struct sl_chapoly *sl_chapoly_best(void);
