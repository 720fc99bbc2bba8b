// siphash: SipHash-c-d (Aumasson, Bernstein: "SipHash: a fast short-input PRF"), of 64 and of 128 bits.
#pragma once

#include <sluice/proto/bytes.h>
#include <stddef.h>
#include <stdint.h>

struct sl_sip {
	uint64_t v[4];
};

static inline uint64_t
sl_sip_rotate(uint64_t x, unsigned nb)
{
	return x << nb | x >> (64 - nb);
}

static inline void
sl_sip_rounds(struct sl_sip *s, unsigned nb)
{
	uint64_t *v = s->v;

	for (unsigned i = 0; i < nb; i++) {
		v[0] += v[1];
		v[1] = sl_sip_rotate(v[1], 13) ^ v[0];
		v[0] = sl_sip_rotate(v[0], 32);
		v[2] += v[3];
		v[3] = sl_sip_rotate(v[3], 16) ^ v[2];
		v[0] += v[3];
		v[3] = sl_sip_rotate(v[3], 21) ^ v[0];
		v[2] += v[1];
		v[1] = sl_sip_rotate(v[1], 17) ^ v[2];
		v[2] = sl_sip_rotate(v[2], 32);
	}
}

static inline struct sl_sip
sl_sip_begin(uint64_t k0, uint64_t k1)
{
	return (struct sl_sip){ { k0 ^ 0x736f6d6570736575ull,
				  k1 ^ 0x646f72616e646f6dull,
				  k0 ^ 0x6c7967656e657261ull,
				  k1 ^ 0x7465646279746573ull } };
}

static inline void
sl_sip_word(struct sl_sip *s, uint64_t word, unsigned nb_rounds)
{
	s->v[3] ^= word;
	sl_sip_rounds(s, nb_rounds);
	s->v[0] ^= word;
}

// All of the data, and its length.
static inline void
sl_sip_data(struct sl_sip *s, const uint8_t *p, size_t nb_bytes, unsigned nb_rounds)
{
	uint64_t last = (uint64_t)nb_bytes << 56;

	for (; nb_bytes >= 8; nb_bytes -= 8, p += 8)
		sl_sip_word(s, sl_get64le(p), nb_rounds);
	for (size_t i = 0; i < nb_bytes; i++)
		last |= (uint64_t)p[i] << (8 * i);
	sl_sip_word(s, last, nb_rounds);
}

static inline uint64_t
sl_sip_fold(const struct sl_sip *s)
{
	return s->v[0] ^ s->v[1] ^ s->v[2] ^ s->v[3];
}

// SipHash-`c`-`d` of 64 bits.
static inline uint64_t
sl_siphash64(uint64_t k0, uint64_t k1, const uint8_t *data, size_t nb_bytes, unsigned c, unsigned d)
{
	struct sl_sip s = sl_sip_begin(k0, k1);

	sl_sip_data(&s, data, nb_bytes, c);
	s.v[2] ^= 0xff;
	sl_sip_rounds(&s, d);
	return sl_sip_fold(&s);
}
