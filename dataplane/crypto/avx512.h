// avx512: what the three files of the interleaved ChaCha20-Poly1305 share. They are compiled with
// AVX-512 F, VL, BW, DQ, VBMI2 and IFMA and must not be called on a CPU without.
//
// All of it runs in time that depends on lengths and counts alone: no branch or address is made
// from key, data or tag.
#pragma once

#include <immintrin.h>
#include <sluice/proto/aead.h>

#define SL_CHACHA_BLOCKS      16u // in one pass
#define SL_CHACHA_BLOCK_BYTES 64u
#define SL_POLY_LANES         8u // packets side by side

// Up to 16 key stream blocks to come, each of any key, nonce and counter, and where each is XORed
// in. Lines of four 128-bit lanes, as the passes want them.
struct sl_chacha_blocks {
	__m128i key_low[SL_CHACHA_BLOCKS];
	__m128i key_high[SL_CHACHA_BLOCKS];
	__m128i counter[SL_CHACHA_BLOCKS]; // block counter, then the nonce
	uint8_t *to[SL_CHACHA_BLOCKS];
	uint64_t octets[SL_CHACHA_BLOCKS]; // bit n: octet n of the block exists at `to`
	unsigned nb;
} __attribute__((aligned(64)));

// Compute the blocks, XOR them in, and empty the list. Blocks not filled in are computed and lost.
void sl_chacha20_avx512(struct sl_chacha_blocks *blocks);

// One-time Poly1305 keys as they leave ChaCha20: the first 32 octets of a block.
struct sl_poly_key {
	uint8_t octets[SL_CHACHA_BLOCK_BYTES];
} __attribute__((aligned(64)));

// Tags of 8 packets after RFC 8439 section 2.8 over associated data, `data` as it is now, and the
// lengths. Lanes without a packet repeat another.
void sl_poly1305_avx512(
	struct sl_aead_op *const ops[SL_POLY_LANES],
	const struct sl_poly_key keys[SL_POLY_LANES],
	uint8_t tags[SL_POLY_LANES][SL_AEAD_TAG_BYTES]
);
