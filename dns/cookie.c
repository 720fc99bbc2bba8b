#include <sluice/dns/cookie.h>
#include <string.h>

#define VERSION 1u
#define HASHED_BYTES                                                                               \
	20u // client cookie, version and reserved, time, IPv4 address (RFC 9018 section 4.4)
#define YOUNG_S 1800u // RFC 9018 section 4.3
#define AHEAD_S 300u

struct sip {
	uint64_t v[4];
};

static inline uint64_t
rotate(uint64_t x, unsigned nb)
{
	return x << nb | x >> (64 - nb);
}

static inline void
sip_round(struct sip *s)
{
	uint64_t *v = s->v;

	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

static inline void
sip_take(struct sip *s, uint64_t word)
{
	s->v[3] ^= word;
	sip_round(s);
	sip_round(s);
	s->v[0] ^= word;
}

// SipHash-2-4 of HASHED_BYTES octets.
static uint64_t
sip_hash(const struct sl_name_key *key, const uint8_t *p)
{
	struct sip s = { { key->word[0] ^ 0x736f6d6570736575ull,
			   key->word[1] ^ 0x646f72616e646f6dull,
			   key->word[0] ^ 0x6c7967656e657261ull,
			   key->word[1] ^ 0x7465646279746573ull } };

	sip_take(&s, sl_get64le(p));
	sip_take(&s, sl_get64le(p + 8));
	sip_take(&s, (uint64_t)HASHED_BYTES << 56 | sl_get32le(p + 16));
	s.v[2] ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(&s);
	return s.v[0] ^ s.v[1] ^ s.v[2] ^ s.v[3];
}

static uint64_t
hash_of(const uint8_t cookie[SL_DNS_COOKIE_BYTES], const struct sl_cookie_for *who)
{
	uint8_t hashed[HASHED_BYTES];

	memcpy(hashed, cookie, 16);
	sl_put32(hashed + 16, who->address);
	return __builtin_bswap64(sip_hash(who->key, hashed));
}

static bool
is_good(const uint8_t cookie[SL_DNS_COOKIE_BYTES], const struct sl_cookie_for *who)
{
	const uint32_t age_s = who->now_s - sl_get32(cookie + 12);

	return cookie[8] == VERSION && age_s + AHEAD_S <= YOUNG_S + AHEAD_S &&
		sl_get64(cookie + 16) == hash_of(cookie, who);
}

void
sl_cookie_answer(struct sl_query *query, const struct sl_cookie_for *who)
{
	uint8_t *cookie = query->cookie;

	if (!query->has_cookie)
		return;
	query->says_cookie = true;
	if (is_good(cookie, who))
		return;
	sl_put32(cookie + 8, VERSION << 24);
	sl_put32(cookie + 12, who->now_s);
	sl_put64(cookie + 16, hash_of(cookie, who));
}
