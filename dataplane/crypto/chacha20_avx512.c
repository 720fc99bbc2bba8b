// chacha20_avx512: 16 ChaCha20 blocks (RFC 8439 section 2.3) at once, each of its own key.
//
// A register holds one row of four blocks; four such groups hide the latency of the rounds. Rows
// rather than words, because then a block's key goes in by two 16-octet loads and the block comes
// out by eight lane shuffles per group, whoever its neighbours are.
#include "avx512.h"

#define NB_GROUPS 4u

struct group {
	__m512i a, b, c, d;
};

static inline __attribute__((always_inline)) void
quarter_rounds(struct group *g, unsigned nb)
{
	for (unsigned i = 0; i < nb; i++)
		g[i].a = _mm512_add_epi32(g[i].a, g[i].b);
	for (unsigned i = 0; i < nb; i++)
		g[i].d = _mm512_rol_epi32(_mm512_xor_si512(g[i].d, g[i].a), 16);
	for (unsigned i = 0; i < nb; i++)
		g[i].c = _mm512_add_epi32(g[i].c, g[i].d);
	for (unsigned i = 0; i < nb; i++)
		g[i].b = _mm512_rol_epi32(_mm512_xor_si512(g[i].b, g[i].c), 12);
	for (unsigned i = 0; i < nb; i++)
		g[i].a = _mm512_add_epi32(g[i].a, g[i].b);
	for (unsigned i = 0; i < nb; i++)
		g[i].d = _mm512_rol_epi32(_mm512_xor_si512(g[i].d, g[i].a), 8);
	for (unsigned i = 0; i < nb; i++)
		g[i].c = _mm512_add_epi32(g[i].c, g[i].d);
	for (unsigned i = 0; i < nb; i++)
		g[i].b = _mm512_rol_epi32(_mm512_xor_si512(g[i].b, g[i].c), 7);
}

// Columns, then diagonals brought into columns and back.
static inline __attribute__((always_inline)) void
double_round(struct group *g, unsigned nb)
{
	quarter_rounds(g, nb);
	for (unsigned i = 0; i < nb; i++) {
		g[i].b = _mm512_shuffle_epi32(g[i].b, 0x39);
		g[i].c = _mm512_shuffle_epi32(g[i].c, 0x4e);
		g[i].d = _mm512_shuffle_epi32(g[i].d, 0x93);
	}
	quarter_rounds(g, nb);
	for (unsigned i = 0; i < nb; i++) {
		g[i].b = _mm512_shuffle_epi32(g[i].b, 0x93);
		g[i].c = _mm512_shuffle_epi32(g[i].c, 0x4e);
		g[i].d = _mm512_shuffle_epi32(g[i].d, 0x39);
	}
}

// Most blocks are whole; a masked access reads and writes nothing beyond the end of the others.
static inline void
emit(uint8_t *to, uint64_t octets, __m512i stream)
{
	if (octets == UINT64_MAX)
		_mm512_storeu_si512(to, _mm512_xor_si512(_mm512_loadu_si512(to), stream));
	else if (octets)
		_mm512_mask_storeu_epi8(
			to, octets, _mm512_xor_si512(_mm512_maskz_loadu_epi8(octets, to), stream)
		);
}

// Rows of four blocks to four blocks.
static inline void
emit_group(const struct sl_chacha_blocks *blocks, unsigned first, const struct group *g)
{
	__m512i ab_low = _mm512_shuffle_i32x4(g->a, g->b, 0x44);
	__m512i cd_low = _mm512_shuffle_i32x4(g->c, g->d, 0x44);
	__m512i ab_high = _mm512_shuffle_i32x4(g->a, g->b, 0xee);
	__m512i cd_high = _mm512_shuffle_i32x4(g->c, g->d, 0xee);
	uint8_t *const *to = blocks->to + first;
	const uint64_t *octets = blocks->octets + first;

	emit(to[0], octets[0], _mm512_shuffle_i32x4(ab_low, cd_low, 0x88));
	emit(to[1], octets[1], _mm512_shuffle_i32x4(ab_low, cd_low, 0xdd));
	emit(to[2], octets[2], _mm512_shuffle_i32x4(ab_high, cd_high, 0x88));
	emit(to[3], octets[3], _mm512_shuffle_i32x4(ab_high, cd_high, 0xdd));
}

static inline __attribute__((always_inline)) void
run(const struct sl_chacha_blocks *blocks, unsigned nb_groups)
{
	const __m512i a = _mm512_broadcast_i32x4(
		_mm_setr_epi32(0x61707865, 0x3320646e, 0x79622d32, 0x6b206574)
	);
	struct group g[NB_GROUPS];

	for (unsigned i = 0; i < nb_groups; i++) {
		g[i].a = a;
		g[i].b = _mm512_load_si512(&blocks->key_low[4 * i]);
		g[i].c = _mm512_load_si512(&blocks->key_high[4 * i]);
		g[i].d = _mm512_load_si512(&blocks->counter[4 * i]);
	}
	for (unsigned round = 0; round < 20; round += 2)
		double_round(g, nb_groups);
	for (unsigned i = 0; i < nb_groups; i++) {
		g[i].a = _mm512_add_epi32(g[i].a, a);
		g[i].b = _mm512_add_epi32(g[i].b, _mm512_load_si512(&blocks->key_low[4 * i]));
		g[i].c = _mm512_add_epi32(g[i].c, _mm512_load_si512(&blocks->key_high[4 * i]));
		g[i].d = _mm512_add_epi32(g[i].d, _mm512_load_si512(&blocks->counter[4 * i]));
		emit_group(blocks, 4 * i, &g[i]);
	}
}

void
sl_chacha20_avx512(struct sl_chacha_blocks *blocks)
{
	for (unsigned i = blocks->nb; i < SL_CHACHA_BLOCKS; i++)
		blocks->octets[i] = 0;
	if (blocks->nb <= 4)
		run(blocks, 1);
	else if (blocks->nb <= 8)
		run(blocks, 2);
	else
		run(blocks, NB_GROUPS);
	blocks->nb = 0;
}
