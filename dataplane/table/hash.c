#include <errno.h>
#include <immintrin.h>
#include <sluice/dp/hash.h>
#include <stdbool.h>
#include <string.h>
#include <sys/random.h>

int
sl_hash_key_random(struct sl_hash_key *key)
{
	return getrandom(key->secret, sizeof(key->secret), 0) == sizeof(key->secret) ? 0 : -EIO;
}

static bool has_aes;

__attribute__((constructor)) static void
detect(void)
{
	__builtin_cpu_init();
	has_aes = __builtin_cpu_supports("aes");
}

__attribute__((target("aes"))) static inline __m128i
mix(__m128i state, __m128i block, const __m128i *k)
{
	return _mm_aesenc_si128(_mm_xor_si128(state, block), k[1]);
}

__attribute__((target("aes"))) static inline uint64_t
finish(__m128i state, const __m128i *k)
{
	state = _mm_aesenc_si128(state, k[2]);
	state = _mm_aesenc_si128(state, k[3]);
	state = _mm_aesenc_si128(state, k[0]);
	return (uint64_t)_mm_cvtsi128_si64(state);
}

__attribute__((target("aes"))) static uint64_t
hash_aes(const struct sl_hash_key *key, const uint8_t *p, size_t nb_bytes)
{
	const __m128i *k = (const __m128i *)(const void *)key->secret;
	__m128i state = _mm_xor_si128(k[0], _mm_set1_epi32((int)nb_bytes));
	uint8_t last[16] = { 0 };

	for (; nb_bytes >= 16; nb_bytes -= 16, p += 16)
		state = mix(state, _mm_loadu_si128((const __m128i *)(const void *)p), k);
	memcpy(last, p, nb_bytes);
	state = mix(state, _mm_loadu_si128((const __m128i *)(const void *)last), k);
	return finish(state, k);
}

__attribute__((target("aes"))) static void
hash40_bulk_aes(const struct sl_hash_key *key, const void *items, unsigned nb, uint64_t hashes[])
{
	const __m128i *k = (const __m128i *)(const void *)key->secret;
	const __m128i first = _mm_xor_si128(k[0], _mm_set1_epi32(40));

	for (unsigned i = 0; i < nb; i++) {
		const __m128i *p = (const __m128i *)(const void *)((const uint8_t *)items + i * 40);
		__m128i state = mix(first, _mm_loadu_si128(p), k);

		state = mix(state, _mm_loadu_si128(p + 1), k);
		hashes[i] = finish(mix(state, _mm_loadl_epi64(p + 2), k), k);
	}
}

#define ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))

static inline void
sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = ROTL(v[1], 13) ^ v[0];
	v[0] = ROTL(v[0], 32);
	v[2] += v[3];
	v[3] = ROTL(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = ROTL(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = ROTL(v[1], 17) ^ v[2];
	v[2] = ROTL(v[2], 32);
}

// SipHash-1-3 (Aumasson, Bernstein: "SipHash: a fast short-input PRF").
static uint64_t
hash_sip(const struct sl_hash_key *key, const uint8_t *p, size_t nb_bytes)
{
	uint64_t k[2], v[4], m = 0;
	uint64_t tail = (uint64_t)nb_bytes << 56;

	memcpy(k, key->secret, sizeof(k));
	v[0] = k[0] ^ 0x736f6d6570736575ull;
	v[1] = k[1] ^ 0x646f72616e646f6dull;
	v[2] = k[0] ^ 0x6c7967656e657261ull;
	v[3] = k[1] ^ 0x7465646279746573ull;
	for (; nb_bytes >= 8; nb_bytes -= 8, p += 8) {
		memcpy(&m, p, 8);
		v[3] ^= m;
		sip_round(v);
		v[0] ^= m;
	}
	m = 0;
	memcpy(&m, p, nb_bytes);
	m |= tail;
	v[3] ^= m;
	sip_round(v);
	v[0] ^= m;
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t
sl_hash(const struct sl_hash_key *key, const void *data, size_t nb_bytes)
{
	return has_aes ? hash_aes(key, data, nb_bytes) : hash_sip(key, data, nb_bytes);
}

void
sl_hash40_bulk(const struct sl_hash_key *key, const void *items, unsigned nb, uint64_t hashes[])
{
	if (has_aes) {
		hash40_bulk_aes(key, items, nb, hashes);
		return;
	}
	for (unsigned i = 0; i < nb; i++)
		hashes[i] = hash_sip(key, (const uint8_t *)items + i * 40, 40);
}
