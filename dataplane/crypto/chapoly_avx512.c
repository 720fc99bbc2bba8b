// chapoly_avx512: ChaCha20-Poly1305 (RFC 8439) over a batch, by interleaving the blocks of its
// packets. One packet alone is bound by latency: two ChaCha blocks and then the Poly1305 chain, one
// after another. Here the one-time key blocks and the data blocks of all packets share passes of
// 16, and the Poly1305 chains of 8 packets run side by side.
#include "avx512.h"
#include "chapoly.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#define CHUNK_OPS   64u
#define CHUNK_BYTES (24u << 10) // what was written is read again for the tag: keep it in L1
// Registers spilled by the passes lie below this frame; they are overwritten at the end of a call.
#define SPILL_BYTES 2048u

struct chunk {
	struct sl_chacha_blocks blocks;
	struct sl_poly_key keys[CHUNK_OPS]; // zero between chunks: key blocks are XORed in
};

// A 16-octet load at nb_aad_bytes gets the nonce into the upper three words.
static_assert(offsetof(struct sl_aead_op, nonce) == offsetof(struct sl_aead_op, nb_aad_bytes) + 4);

static inline void
add_block(
	struct sl_chacha_blocks *blocks,
	const struct sl_aead_op *op,
	uint32_t counter,
	uint8_t *to,
	uint64_t octets
)
{
	const __m128i *key = (const __m128i *)(const void *)op->key;
	const __m128i nonce = _mm_loadu_si128((const __m128i *)(const void *)&op->nb_aad_bytes);
	unsigned i = blocks->nb;

	blocks->key_low[i] = _mm_load_si128(&key[0]);
	blocks->key_high[i] = _mm_load_si128(&key[1]);
	blocks->counter[i] = _mm_insert_epi32(nonce, (int)counter, 0);
	blocks->to[i] = to;
	blocks->octets[i] = octets;
	blocks->nb = i + 1;
	if (blocks->nb == SL_CHACHA_BLOCKS)
		sl_chacha20_avx512(blocks);
}

static inline void
add_data(struct sl_chacha_blocks *blocks, const struct sl_aead_op *op)
{
	uint32_t counter = 1, at = 0;

	for (; op->nb_bytes - at >= SL_CHACHA_BLOCK_BYTES; at += SL_CHACHA_BLOCK_BYTES)
		add_block(blocks, op, counter++, op->data + at, UINT64_MAX);
	if (at < op->nb_bytes)
		add_block(
			blocks, op, counter, op->data + at, _bzhi_u64(UINT64_MAX, op->nb_bytes - at)
		);
}

static inline void
flush(struct sl_chacha_blocks *blocks)
{
	if (blocks->nb)
		sl_chacha20_avx512(blocks);
}

// Zeroes that stay: the memory is said to be looked at afterwards.
static inline void
wipe(void *p, size_t nb_bytes)
{
	memset(p, 0, nb_bytes);
	__asm__ volatile("" : : "r"(p) : "memory");
}

static __attribute__((noinline)) void
wipe_spills(void)
{
	uint8_t below[SPILL_BYTES];

	wipe(below, sizeof(below));
}

// Octets that differ, as 0 or not, in constant time.
static inline uint64_t
difference(const uint8_t *a, const uint8_t *b)
{
	uint64_t x[2], y[2];
	uint64_t different;

	memcpy(x, a, sizeof(x));
	memcpy(y, b, sizeof(y));
	different = (x[0] ^ y[0]) | (x[1] ^ y[1]);
	__asm__("" : "+r"(different)); // the compiler must not split this into two branches
	return different;
}

// How many ops to take together.
static inline unsigned
chunk_length(struct sl_aead_op *const *ops, unsigned nb_ops)
{
	uint32_t nb_bytes = 0;
	unsigned n = 0;

	while (n < nb_ops && n < CHUNK_OPS && (nb_bytes < CHUNK_BYTES || n % SL_POLY_LANES))
		nb_bytes += ops[n++]->nb_bytes;
	return n;
}

// Tags of up to 8 ops.
static inline void
tags_of(struct sl_aead_op *const *ops,
	unsigned nb,
	const struct sl_poly_key *keys,
	uint8_t tags[SL_POLY_LANES][SL_AEAD_TAG_BYTES])
{
	struct sl_aead_op *lanes[SL_POLY_LANES];

	for (unsigned i = 0; i < SL_POLY_LANES; i++)
		lanes[i] = ops[i < nb ? i : 0];
	sl_poly1305_avx512(lanes, keys, tags);
}

static void
seal_chunk(struct chunk *chunk, struct sl_aead_op *const *ops, unsigned nb)
{
	uint8_t tags[SL_POLY_LANES][SL_AEAD_TAG_BYTES];

	for (unsigned i = 0; i < nb; i++) {
		add_block(&chunk->blocks, ops[i], 0, chunk->keys[i].octets, UINT64_MAX);
		add_data(&chunk->blocks, ops[i]);
	}
	flush(&chunk->blocks);
	for (unsigned i = 0; i < nb; i += SL_POLY_LANES) {
		unsigned n = nb - i < SL_POLY_LANES ? nb - i : SL_POLY_LANES;

		tags_of(ops + i, n, chunk->keys + i, tags);
		for (unsigned j = 0; j < n; j++) {
			memcpy(ops[i + j]->tag, tags[j], SL_AEAD_TAG_BYTES);
			ops[i + j]->authentic = true;
		}
	}
}

// First the tags, over ciphertext; then only what is authentic is decrypted.
static void
open_chunk(struct chunk *chunk, struct sl_aead_op *const *ops, unsigned nb)
{
	uint8_t tags[SL_POLY_LANES][SL_AEAD_TAG_BYTES];

	for (unsigned i = 0; i < nb; i++)
		add_block(&chunk->blocks, ops[i], 0, chunk->keys[i].octets, UINT64_MAX);
	flush(&chunk->blocks);
	for (unsigned i = 0; i < nb; i += SL_POLY_LANES) {
		unsigned n = nb - i < SL_POLY_LANES ? nb - i : SL_POLY_LANES;

		tags_of(ops + i, n, chunk->keys + i, tags);
		for (unsigned j = 0; j < n; j++)
			ops[i + j]->authentic = difference(tags[j], ops[i + j]->tag) == 0;
	}
	for (unsigned i = 0; i < nb; i++)
		if (ops[i]->authentic)
			add_data(&chunk->blocks, ops[i]);
	flush(&chunk->blocks);
	wipe(tags, sizeof(tags)); // the right tags of forged packets
}

static inline __attribute__((always_inline)) void
run(struct sl_aead_op *const *ops,
    unsigned nb_ops,
    void (*one_chunk)(struct chunk *, struct sl_aead_op *const *, unsigned))
{
	struct chunk chunk;

	chunk.blocks.nb = 0;
	for (unsigned done = 0, n; done < nb_ops; done += n) {
		n = chunk_length(ops + done, nb_ops - done);
		// whole groups of lanes: the last may be partly filled, and reads its neighbours' keys
		memset(chunk.keys, 0, (n + 7) / 8 * 8 * sizeof(chunk.keys[0]));
		one_chunk(&chunk, ops + done, n);
		wipe(chunk.keys, n * sizeof(chunk.keys[0]));
	}
	wipe(&chunk.blocks, sizeof(chunk.blocks));
	wipe_spills();
}

static void
seal(struct sl_aead_op *const *ops, unsigned nb_ops)
{
	run(ops, nb_ops, seal_chunk);
}

static void
open(struct sl_aead_op *const *ops, unsigned nb_ops)
{
	run(ops, nb_ops, open_chunk);
}

const struct sl_chapoly sl_chapoly_avx512 = {
	.name = "own, 16 blocks interleaved, avx512 ifma",
	.seal = seal,
	.open = open,
};
