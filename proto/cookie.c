#include "primitives.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <errno.h>
#include <sluice/proto/bytes.h>
#include <sluice/proto/cookie.h>
#include <sluice/proto/limits.h>
#include <string.h>

#define AGE_MAX_NS (SL_COOKIE_SECRET_MAX_AGE_S * SL_NS_PER_S)

void
sl_cookie_label_init(
	struct sl_cookie_label_key *out,
	const struct sl_noise_suite *suite,
	const struct sl_noise_public *public
)
{
	struct sl_part key = { public->octets, sizeof(public->octets) };

	sl_prim_hash(
		out->mac1, (struct sl_part){ suite->label_mac1, strlen(suite->label_mac1) }, key
	);
	sl_prim_hash(
		out->cookie,
		(struct sl_part){ suite->label_cookie, strlen(suite->label_cookie) },
		key
	);
}

static void
mac(uint8_t out[16], const uint8_t *key, size_t nb_key_bytes, const uint8_t *data, size_t nb_bytes)
{
	struct sl_part none = { NULL, 0 };

	sl_prim_mac(out, key, nb_key_bytes, (struct sl_part){ data, nb_bytes }, none);
}

void
sl_cookie_checker_init(
	struct sl_cookie_checker *c,
	const struct sl_noise_suite *suite,
	const struct sl_noise_public *own_public
)
{
	*c = (struct sl_cookie_checker){ .suite = suite };
	sl_cookie_label_init(&c->label, suite, own_public);
}

void
sl_cookie_checker_wipe(struct sl_cookie_checker *c)
{
	sl_wipe(c, sizeof(*c));
}

// The cookie of an address: a MAC of it under a secret that lives 120 s.
[[nodiscard]] static int
make_cookie(
	struct sl_cookie_checker *c,
	const uint8_t source[SL_COOKIE_ADDRESS_BYTES],
	uint64_t now_ns,
	uint8_t out[SL_COOKIE_BYTES]
)
{
	if (!c->has_secret || now_ns - c->secret_born_ns >= AGE_MAX_NS) {
		if (RAND_priv_bytes(c->secret_key, sizeof(c->secret_key)) != 1)
			return -EIO;
		c->secret_born_ns = now_ns;
		c->has_secret = true;
	}
	mac(out, c->secret_key, sizeof(c->secret_key), source, SL_COOKIE_ADDRESS_BYTES);
	return 0;
}

enum sl_cookie_verdict
sl_cookie_check(
	struct sl_cookie_checker *c,
	const uint8_t *message,
	size_t nb_bytes,
	const uint8_t source[SL_COOKIE_ADDRESS_BYTES],
	uint64_t now_ns
)
{
	enum sl_cookie_verdict verdict = SL_COOKIE_MAC1_ONLY;
	uint8_t want[16], cookie_key[SL_COOKIE_BYTES];

	if (nb_bytes < 8 + SL_NOISE_MACS_BYTES)
		return SL_COOKIE_INVALID;
	mac(want, c->label.mac1, sizeof(c->label.mac1), message, nb_bytes - 32);
	if (CRYPTO_memcmp(want, message + nb_bytes - 32, 16) != 0)
		return SL_COOKIE_INVALID;
	// Without a living secret no cookie of ours can be valid.
	if (!c->has_secret || now_ns - c->secret_born_ns >= AGE_MAX_NS ||
	    make_cookie(c, source, now_ns, cookie_key) != 0)
		return SL_COOKIE_MAC1_ONLY;
	mac(want, cookie_key, sizeof(cookie_key), message, nb_bytes - 16);
	if (CRYPTO_memcmp(want, message + nb_bytes - 16, 16) == 0)
		verdict = SL_COOKIE_MAC2_VALID;
	sl_wipe(cookie_key, sizeof(cookie_key));
	sl_wipe(want, sizeof(want));
	return verdict;
}

// XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03): a subkey of the first 16 octets of the nonce, the
// other 8 after four zero octets.
static void
extend(uint8_t subkey[32], uint8_t nonce12[12], const uint8_t key[32], const uint8_t nonce24[24])
{
	sl_prim_hchacha20(subkey, key, nonce24);
	memset(nonce12, 0, 4);
	memcpy(nonce12 + 4, nonce24 + 16, 8);
}

int
sl_cookie_reply(
	struct sl_cookie_checker *c,
	const uint8_t *message,
	size_t nb_bytes,
	const uint8_t source[SL_COOKIE_ADDRESS_BYTES],
	uint64_t now_ns,
	uint8_t out[SL_COOKIE_REPLY_BYTES]
)
{
	struct sl_wg_cookie_reply *reply = (struct sl_wg_cookie_reply *)out;
	uint8_t cookie_key[SL_COOKIE_BYTES], subkey[32], nonce[12];
	struct sl_prim_sealed s = { subkey, nonce, { message + nb_bytes - 32, 16 } };

	if (nb_bytes < 8 + SL_NOISE_MACS_BYTES)
		return -EINVAL;
	if (RAND_bytes(reply->nonce, sizeof(reply->nonce)) != 1 ||
	    make_cookie(c, source, now_ns, cookie_key) != 0)
		return -EIO;
	sl_put32le(reply->type_le, c->suite->type_cookie_reply);
	memcpy(reply->receiver_le, message + 4, 4);
	extend(subkey, nonce, c->label.cookie, reply->nonce);
	sl_prim_seal(&s, reply->sealed_cookie, cookie_key, sizeof(cookie_key));
	sl_wipe(cookie_key, sizeof(cookie_key));
	sl_wipe(subkey, sizeof(subkey));
	return 0;
}

void
sl_cookie_jar_init(
	struct sl_cookie_jar *j,
	const struct sl_noise_suite *suite,
	const struct sl_noise_public *peer_public
)
{
	*j = (struct sl_cookie_jar){ 0 };
	sl_cookie_label_init(&j->label, suite, peer_public);
}

void
sl_cookie_jar_wipe(struct sl_cookie_jar *j)
{
	sl_wipe(j, sizeof(*j));
}

void
sl_cookie_seal(struct sl_cookie_jar *j, uint8_t *message, size_t nb_bytes, uint64_t now_ns)
{
	uint8_t *mac1 = message + nb_bytes - 32, *mac2 = message + nb_bytes - 16;

	mac(mac1, j->label.mac1, sizeof(j->label.mac1), message, nb_bytes - 32);
	memcpy(j->sent_mac1, mac1, sizeof(j->sent_mac1));
	j->has_sent_mac1 = true;
	memset(mac2, 0, 16);
	if (j->has_cookie && now_ns - j->cookie_born_ns < AGE_MAX_NS)
		mac(mac2, j->cookie_key, sizeof(j->cookie_key), message, nb_bytes - 16);
}

bool
sl_cookie_take(
	struct sl_cookie_jar *j,
	const struct sl_noise_suite *suite,
	const uint8_t *message,
	size_t nb_bytes,
	uint64_t now_ns
)
{
	const struct sl_wg_cookie_reply *reply = (const struct sl_wg_cookie_reply *)message;
	uint8_t cookie_key[SL_COOKIE_BYTES], subkey[32], nonce[12];
	struct sl_prim_sealed s = { subkey, nonce, { j->sent_mac1, sizeof(j->sent_mac1) } };
	bool ok;

	if (nb_bytes != sizeof(*reply) || sl_get32le(reply->type_le) != suite->type_cookie_reply ||
	    !j->has_sent_mac1)
		return false;
	extend(subkey, nonce, j->label.cookie, reply->nonce);
	ok = sl_prim_open(&s, cookie_key, reply->sealed_cookie, sizeof(cookie_key));
	if (ok) {
		memcpy(j->cookie_key, cookie_key, sizeof(j->cookie_key));
		j->cookie_born_ns = now_ns;
		j->has_cookie = true;
		j->has_sent_mac1 = false;
	}
	sl_wipe(cookie_key, sizeof(cookie_key));
	sl_wipe(subkey, sizeof(subkey));
	return ok;
}
