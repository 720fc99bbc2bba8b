#include <sluice/dns/cookie.h>
#include <sluice/proto/siphash.h>
#include <string.h>

#define VERSION 1u
#define HASHED_BYTES                                                                               \
	20u // client cookie, version and reserved, time, IPv4 address (RFC 9018 section 4.4)
#define YOUNG_S 1800u // RFC 9018 section 4.3
#define AHEAD_S 300u

static uint64_t
hash_of(const uint8_t cookie[SL_DNS_COOKIE_BYTES], const struct sl_cookie_for *who)
{
	uint8_t hashed[HASHED_BYTES];

	memcpy(hashed, cookie, 16);
	sl_put32(hashed + 16, who->address);
	return __builtin_bswap64(
		sl_siphash64(who->key->word[0], who->key->word[1], hashed, sizeof(hashed), 2, 4)
	);
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
