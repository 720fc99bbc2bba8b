// aead: the one interface through which keys meet packets. proto/ defines it, dataplane/crypto
// implements it over ipsec-mb (and tests/ over OpenSSL); nothing else touches a transport key.
//
// Engines are per thread: ipsec-mb's managers are not thread-safe. Expanded keys are plain memory
// and may be read by the one worker that owns a lane and, for opening, by the same worker.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum sl_cipher {
	SL_CIPHER_NONE = 0,
	SL_CIPHER_AES256_GCM = 1,
	SL_CIPHER_CHACHA20_POLY1305 = 2,
};

#define SL_AEAD_KEY_BYTES   32u
#define SL_AEAD_TAG_BYTES   16u
#define SL_AEAD_NONCE_BYTES 12u
// sizeof(struct gcm_key_data) of ipsec-mb 1.3 is 1008. Cache-line multiple.
#define SL_AEAD_EXPANDED_BYTES 1024u

// An expanded key. Secret: wipe with sl_wipe() when the keypair dies. One of ChaCha20-Poly1305 is its 32 raw
// octets, whatever the engine, and so may stand elsewhere, 16-octet aligned, where nothing else is cold.
struct sl_aead_key {
	uint8_t expanded[SL_AEAD_EXPANDED_BYTES];
} __attribute__((aligned(64)));

// Messages one key may seal before it must be replaced (with the wide margin of 2^48 for both
// ciphers: rekeying happens by time every 120 s long before).
#define SL_AEAD_SEAL_LIMIT (1ull << 48)
// So many, and a next key is asked for.
#define SL_AEAD_REKEY_LIMIT (SL_AEAD_SEAL_LIMIT / 2)

// One packet of a batch. Sealing and opening are in place: `data` holds `nb_bytes` of plain- or
// ciphertext, `tag` is where the 16 tag octets are written (seal) or read (open).
struct sl_aead_op {
	const uint8_t *key; // expanded
	uint8_t *data;
	uint8_t *tag;
	const uint8_t *aad;
	uint32_t nb_bytes; // of data
	uint32_t nb_aad_bytes; // 0 for WireGuard, 16 for the tunnel
	uint8_t nonce[SL_AEAD_NONCE_BYTES];
	bool authentic; // open: set by the engine; seal: true
	uint8_t cipher; // enum sl_cipher that `key` was expanded for
};

struct sl_aead; // engine, one per thread

struct sl_aead_ops {
	const char *name; // e.g. "ipsec-mb avx512", "openssl"
	// Expand a raw 32-octet key. Any thread.
	void (*expand
	)(struct sl_aead *engine,
	  struct sl_aead_key *key,
	  enum sl_cipher cipher,
	  const uint8_t raw_key[SL_AEAD_KEY_BYTES]);
	// Batches may mix keys and ciphers. Data of an op that is not authentic is undefined.
	void (*seal)(struct sl_aead *engine, struct sl_aead_op *ops, unsigned nb_ops);
	void (*open)(struct sl_aead *engine, struct sl_aead_op *ops, unsigned nb_ops);
};

// First member of every engine.
struct sl_aead {
	const struct sl_aead_ops *ops;
};

// Ask for the lines of an AES key that a short packet reads, before the engine does for those further on.
static inline void
sl_aead_key_prefetch(const uint8_t *expanded)
{
	for (unsigned i = 0; i < 4; i++)
		__builtin_prefetch(expanded + i * 64); // round keys
	__builtin_prefetch(expanded + SL_AEAD_EXPANDED_BYTES - 128);
	__builtin_prefetch(expanded + SL_AEAD_EXPANDED_BYTES - 64); // powers of the hash key
}

// Overwrite secrets; never optimised away.
void sl_wipe(void *secret, unsigned long nb_bytes);
