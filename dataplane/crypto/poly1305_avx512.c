// poly1305_avx512: Poly1305 (RFC 8439 section 2.5) of 8 packets side by side, one in each 64-bit
// lane, in limbs of 44, 44 and 42 bits multiplied by IFMA.
//
// Four blocks of each packet are loaded as one register and transposed, so that a block's low and
// high half of all packets lie in two registers. While all packets still have whole groups of four
// blocks, two blocks are taken per reduction: h = (h + m1) r^2 + m2 r.
#include "avx512.h"

#define GROUP_BYTES 64u // four blocks

struct limbs {
	__m512i l0, l1, l2;
};

// A power of r, and its upper limbs times 20: 2^132 = 20 modulo 2^130 - 5.
struct factor {
	struct limbs r;
	__m512i s1, s2;
};

// Sums of products of weights 2^0, 2^44, 2^88, and of their parts above 52 bits.
struct product {
	__m512i low0, low1, low2, high0, high1, high2;
};

struct state {
	struct limbs h;
	struct factor r, rr;
};

// One message part (associated data or data) of 8 packets.
struct part {
	const uint8_t *from[SL_POLY_LANES];
	uint64_t nb_bytes[SL_POLY_LANES] __attribute__((aligned(64)));
};

#define MASK44 _mm512_set1_epi64((1ll << 44) - 1)
#define MASK42 _mm512_set1_epi64((1ll << 42) - 1)

static inline __m512i
times20(__m512i x)
{
	return _mm512_add_epi64(_mm512_slli_epi64(x, 4), _mm512_slli_epi64(x, 2));
}

static inline struct factor
factor_of(struct limbs r)
{
	return (struct factor){ .r = r, .s1 = times20(r.l1), .s2 = times20(r.l2) };
}

// sum += a * f. Limbs of a stay below 2^46 and those of f below 2^49, so six such products fit.
static inline void
multiply_add(struct product *sum, const struct limbs *a, const struct factor *f)
{
	sum->low0 = _mm512_madd52lo_epu64(sum->low0, a->l0, f->r.l0);
	sum->low1 = _mm512_madd52lo_epu64(sum->low1, a->l0, f->r.l1);
	sum->low2 = _mm512_madd52lo_epu64(sum->low2, a->l0, f->r.l2);
	sum->high0 = _mm512_madd52hi_epu64(sum->high0, a->l0, f->r.l0);
	sum->high1 = _mm512_madd52hi_epu64(sum->high1, a->l0, f->r.l1);
	sum->high2 = _mm512_madd52hi_epu64(sum->high2, a->l0, f->r.l2);
	sum->low0 = _mm512_madd52lo_epu64(sum->low0, a->l1, f->s2);
	sum->low1 = _mm512_madd52lo_epu64(sum->low1, a->l1, f->r.l0);
	sum->low2 = _mm512_madd52lo_epu64(sum->low2, a->l1, f->r.l1);
	sum->high0 = _mm512_madd52hi_epu64(sum->high0, a->l1, f->s2);
	sum->high1 = _mm512_madd52hi_epu64(sum->high1, a->l1, f->r.l0);
	sum->high2 = _mm512_madd52hi_epu64(sum->high2, a->l1, f->r.l1);
	sum->low0 = _mm512_madd52lo_epu64(sum->low0, a->l2, f->s1);
	sum->low1 = _mm512_madd52lo_epu64(sum->low1, a->l2, f->s2);
	sum->low2 = _mm512_madd52lo_epu64(sum->low2, a->l2, f->r.l0);
	sum->high0 = _mm512_madd52hi_epu64(sum->high0, a->l2, f->s1);
	sum->high1 = _mm512_madd52hi_epu64(sum->high1, a->l2, f->s2);
	sum->high2 = _mm512_madd52hi_epu64(sum->high2, a->l2, f->r.l0);
}

// Carry once round: limbs of 44, 44 and 42 bits, the middle one up to a few bits more.
static inline struct limbs
reduce(const struct product *p)
{
	struct limbs h;
	__m512i carry;

	h.l0 = _mm512_and_si512(p->low0, MASK44);
	carry = _mm512_srli_epi64(p->low0, 44);
	carry = _mm512_add_epi64(carry, _mm512_slli_epi64(p->high0, 8));
	carry = _mm512_add_epi64(carry, p->low1);
	h.l1 = _mm512_and_si512(carry, MASK44);
	carry = _mm512_srli_epi64(carry, 44);
	carry = _mm512_add_epi64(carry, _mm512_slli_epi64(p->high1, 8));
	carry = _mm512_add_epi64(carry, p->low2);
	h.l2 = _mm512_and_si512(carry, MASK42);
	carry = _mm512_srli_epi64(carry, 42);
	carry = _mm512_add_epi64(carry, _mm512_slli_epi64(p->high2, 10));
	h.l0 = _mm512_add_epi64(h.l0, carry);
	h.l0 = _mm512_add_epi64(h.l0, _mm512_slli_epi64(carry, 2));
	h.l1 = _mm512_add_epi64(h.l1, _mm512_srli_epi64(h.l0, 44));
	h.l0 = _mm512_and_si512(h.l0, MASK44);
	return h;
}

// 16 octets of each packet as limbs, without the bit above them.
static inline struct limbs
split(__m512i low, __m512i high)
{
	return (struct limbs){
		.l0 = _mm512_and_si512(low, MASK44),
		.l1 = _mm512_and_si512(_mm512_shrdi_epi64(low, high, 44), MASK44),
		.l2 = _mm512_srli_epi64(high, 24),
	};
}

static inline struct limbs
block_of(__m512i low, __m512i high)
{
	struct limbs m = split(low, high);

	m.l2 = _mm512_or_si512(m.l2, _mm512_set1_epi64(1ll << 40));
	return m;
}

static inline struct limbs
add(const struct limbs *a, const struct limbs *b)
{
	return (struct limbs){
		.l0 = _mm512_add_epi64(a->l0, b->l0),
		.l1 = _mm512_add_epi64(a->l1, b->l1),
		.l2 = _mm512_add_epi64(a->l2, b->l2),
	};
}

static inline void
take_one(struct state *s, __m512i low, __m512i high, __mmask8 lanes)
{
	struct product sum = { 0 };
	struct limbs m = block_of(low, high);
	struct limbs h = add(&s->h, &m);

	multiply_add(&sum, &h, &s->r);
	h = reduce(&sum);
	s->h.l0 = _mm512_mask_mov_epi64(s->h.l0, lanes, h.l0);
	s->h.l1 = _mm512_mask_mov_epi64(s->h.l1, lanes, h.l1);
	s->h.l2 = _mm512_mask_mov_epi64(s->h.l2, lanes, h.l2);
}

static inline void
take_two(struct state *s, const __m512i words[4])
{
	struct product sum = { 0 };
	struct limbs m1 = block_of(words[0], words[1]);
	struct limbs m2 = block_of(words[2], words[3]);

	m1 = add(&m1, &s->h);
	multiply_add(&sum, &m2, &s->r);
	multiply_add(&sum, &m1, &s->rr);
	s->h = reduce(&sum);
}

// Eight rows of eight 64-bit words to eight columns.
static inline void
transpose(__m512i w[8])
{
	__m512i even[4], odd[4];

	for (unsigned i = 0; i < 4; i++) {
		even[i] = _mm512_unpacklo_epi64(w[2 * i], w[2 * i + 1]);
		odd[i] = _mm512_unpackhi_epi64(w[2 * i], w[2 * i + 1]);
	}
	for (unsigned i = 0; i < 2; i++) {
		const __m512i *t = i ? odd : even;
		__m512i words04_low = _mm512_shuffle_i64x2(t[0], t[1], 0x88);
		__m512i words26_low = _mm512_shuffle_i64x2(t[0], t[1], 0xdd);
		__m512i words04_high = _mm512_shuffle_i64x2(t[2], t[3], 0x88);
		__m512i words26_high = _mm512_shuffle_i64x2(t[2], t[3], 0xdd);

		w[i] = _mm512_shuffle_i64x2(words04_low, words04_high, 0x88);
		w[4 + i] = _mm512_shuffle_i64x2(words04_low, words04_high, 0xdd);
		w[2 + i] = _mm512_shuffle_i64x2(words26_low, words26_high, 0x88);
		w[6 + i] = _mm512_shuffle_i64x2(words26_low, words26_high, 0xdd);
	}
}

// Groups that every packet has in full.
static inline void
take_whole(struct state *s, const struct part *part, uint64_t nb_bytes)
{
	__m512i w[8];

	for (uint64_t at = 0; at < nb_bytes; at += GROUP_BYTES) {
		for (unsigned i = 0; i < 8; i++)
			w[i] = _mm512_loadu_si512(part->from[i] + at);
		transpose(w);
		take_two(s, w);
		take_two(s, w + 4);
	}
}

// A group that some packets have in part or not at all: what is missing reads as zero, and a lane
// stands still once its packet is over.
static inline void
take_ragged(struct state *s, const struct part *part, uint64_t at)
{
	const __m512i nb_bytes = _mm512_load_si512(part->nb_bytes);
	__m512i w[8];

	for (unsigned i = 0; i < 8; i++) {
		uint64_t nb = part->nb_bytes[i] > at ? part->nb_bytes[i] - at : 0;
		const uint8_t *from = part->from[i] + (nb ? at : 0);

		nb = nb < GROUP_BYTES ? nb : GROUP_BYTES;
		w[i] = _mm512_maskz_loadu_epi8(_bzhi_u64(UINT64_MAX, (unsigned)nb), from);
	}
	transpose(w);
	for (unsigned j = 0; j < 4; j++) {
		__m512i start = _mm512_set1_epi64((long long)(at + 16 * j));
		__mmask8 lanes = _mm512_cmpgt_epu64_mask(nb_bytes, start);

		if (!lanes)
			break;
		take_one(s, w[2 * j], w[2 * j + 1], lanes);
	}
}

static void
take_part(struct state *s, const struct part *part)
{
	uint64_t least = UINT64_MAX, most = 0;

	for (unsigned i = 0; i < 8; i++) {
		least = part->nb_bytes[i] < least ? part->nb_bytes[i] : least;
		most = part->nb_bytes[i] > most ? part->nb_bytes[i] : most;
	}
	least &= ~(uint64_t)(GROUP_BYTES - 1);
	take_whole(s, part, least);
	for (uint64_t at = least; at < most; at += GROUP_BYTES)
		take_ragged(s, part, at);
}

// Clamp r, square it. `pad` gets the second half of the key.
static void
start(struct state *s, const struct sl_poly_key *keys, __m512i pad[2])
{
	struct product sum = { 0 };
	struct limbs r;
	__m512i w[8];

	for (unsigned i = 0; i < 8; i++)
		w[i] = _mm512_castsi256_si512(
			_mm256_load_si256((const __m256i *)(const void *)keys[i].octets)
		);
	transpose(w);
	r = split(
		_mm512_and_si512(w[0], _mm512_set1_epi64(0x0ffffffc0fffffff)),
		_mm512_and_si512(w[1], _mm512_set1_epi64(0x0ffffffc0ffffffc))
	);
	s->r = factor_of(r);
	multiply_add(&sum, &r, &s->r);
	s->rr = factor_of(reduce(&sum));
	s->h = (struct limbs){ 0 };
	pad[0] = w[2];
	pad[1] = w[3];
}

// h modulo 2^130 - 5, exactly.
static inline struct limbs
canonical(struct limbs h)
{
	const __m512i five = _mm512_set1_epi64(5);
	struct limbs g;
	__m512i carry;
	__mmask8 above;

	for (unsigned i = 0; i < 2; i++) {
		h.l1 = _mm512_add_epi64(h.l1, _mm512_srli_epi64(h.l0, 44));
		h.l0 = _mm512_and_si512(h.l0, MASK44);
		h.l2 = _mm512_add_epi64(h.l2, _mm512_srli_epi64(h.l1, 44));
		h.l1 = _mm512_and_si512(h.l1, MASK44);
		carry = _mm512_srli_epi64(h.l2, 42);
		h.l2 = _mm512_and_si512(h.l2, MASK42);
		h.l0 = _mm512_add_epi64(h.l0, carry);
		h.l0 = _mm512_add_epi64(h.l0, _mm512_slli_epi64(carry, 2));
	}
	h.l1 = _mm512_add_epi64(h.l1, _mm512_srli_epi64(h.l0, 44));
	h.l0 = _mm512_and_si512(h.l0, MASK44);
	// h + 5 reaches 2^130 exactly when h is not below the modulus.
	g.l0 = _mm512_add_epi64(h.l0, five);
	g.l1 = _mm512_add_epi64(h.l1, _mm512_srli_epi64(g.l0, 44));
	g.l2 = _mm512_add_epi64(h.l2, _mm512_srli_epi64(g.l1, 44));
	above = _mm512_cmpgt_epu64_mask(g.l2, MASK42);
	h.l0 = _mm512_mask_and_epi64(h.l0, above, g.l0, MASK44);
	h.l1 = _mm512_mask_and_epi64(h.l1, above, g.l1, MASK44);
	h.l2 = _mm512_mask_and_epi64(h.l2, above, g.l2, MASK42);
	return h;
}

static void
finish(const struct state *s, const __m512i pad[2], uint8_t tags[8][SL_AEAD_TAG_BYTES])
{
	struct limbs h = canonical(s->h);
	__m512i low = _mm512_or_si512(h.l0, _mm512_slli_epi64(h.l1, 44));
	__m512i high = _mm512_or_si512(_mm512_srli_epi64(h.l1, 20), _mm512_slli_epi64(h.l2, 24));
	__m512i even = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
	__m512i odd = _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15);
	__mmask8 carry;

	low = _mm512_add_epi64(low, pad[0]);
	carry = _mm512_cmplt_epu64_mask(low, pad[0]);
	high = _mm512_add_epi64(high, pad[1]);
	high = _mm512_mask_add_epi64(high, carry, high, _mm512_set1_epi64(1));
	_mm512_storeu_si512(tags[0], _mm512_permutex2var_epi64(low, even, high));
	_mm512_storeu_si512(tags[4], _mm512_permutex2var_epi64(low, odd, high));
}

void
sl_poly1305_avx512(
	struct sl_aead_op *const ops[SL_POLY_LANES],
	const struct sl_poly_key keys[SL_POLY_LANES],
	uint8_t tags[SL_POLY_LANES][SL_AEAD_TAG_BYTES]
)
{
	struct part aad, data;
	struct state s;
	__m512i pad[2];

	for (unsigned i = 0; i < SL_POLY_LANES; i++) {
		aad.from[i] = ops[i]->aad;
		aad.nb_bytes[i] = ops[i]->nb_aad_bytes;
		data.from[i] = ops[i]->data;
		data.nb_bytes[i] = ops[i]->nb_bytes;
	}
	start(&s, keys, pad);
	take_part(&s, &aad);
	take_part(&s, &data);
	take_one(&s, _mm512_load_si512(aad.nb_bytes), _mm512_load_si512(data.nb_bytes), 0xff);
	finish(&s, pad, tags);
}
