#include <errno.h>
#include <immintrin.h>
#include <sluice/dp/hash.h>
#include <sluice/proto/siphash.h>
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

static uint64_t
hash_sip(const struct sl_hash_key *key, const uint8_t *p, size_t nb_bytes)
{
	return sl_siphash64(
		sl_get64le(key->secret), sl_get64le(key->secret + 8), p, nb_bytes, 1, 3
	);
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
