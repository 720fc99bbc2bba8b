// cookie: mac1, mac2 and cookie replies (WireGuard paper, sections 5.3, 5.4.4 and 5.4.7).
//
// mac1 shows that the sender knows whom it talks to; it is always checked, and first. Under load a
// responder does no Diffie-Hellman for a sender that has not shown, by mac2, that it receives at the
// address it sends from: it answers with a cookie instead.
#pragma once

#include <sluice/proto/noise.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SL_COOKIE_BYTES         16u
#define SL_COOKIE_REPLY_BYTES   sizeof(struct sl_wg_cookie_reply)
#define SL_COOKIE_ADDRESS_BYTES 18u // 16 of address (IPv4 mapped), 2 of port, network order

enum sl_cookie_verdict {
	SL_COOKIE_INVALID = 0, // mac1 is wrong or the message too short: drop
	SL_COOKIE_MAC1_ONLY, // under load: answer with a cookie reply
	SL_COOKIE_MAC2_VALID, // sender receives at its address: go on, rate-limited by address
};

// Keys by which an end is addressed: hashes of a label and its static public key.
struct sl_cookie_label_key {
	uint8_t mac1[32];
	uint8_t cookie[32];
};

void sl_cookie_label_init(
	struct sl_cookie_label_key *out,
	const struct sl_noise_suite *suite,
	const struct sl_noise_public *public
);

// Responder's side. One per identity; session thread.
struct sl_cookie_checker {
	const struct sl_noise_suite *suite;
	struct sl_cookie_label_key label;
	uint8_t secret_key[32];
	uint64_t secret_born_ns;
	bool has_secret;
};

void sl_cookie_checker_init(
	struct sl_cookie_checker *c,
	const struct sl_noise_suite *suite,
	const struct sl_noise_public *own_public
);
void sl_cookie_checker_wipe(struct sl_cookie_checker *c);

// Judge the last 32 octets of a handshake message from `source`. The secret is replaced when it is
// 120 s old; a cookie so lives as long at most.
[[nodiscard]] enum sl_cookie_verdict sl_cookie_check(
	struct sl_cookie_checker *c,
	const uint8_t *message,
	size_t nb_bytes,
	const uint8_t source[SL_COOKIE_ADDRESS_BYTES],
	uint64_t now_ns
);

// Answer `message` (whose mac1 was right, of at least 40 octets) with a cookie for its source. -EIO
// without randomness.
[[nodiscard]] int sl_cookie_reply(
	struct sl_cookie_checker *c,
	const uint8_t *message,
	size_t nb_bytes,
	const uint8_t source[SL_COOKIE_ADDRESS_BYTES],
	uint64_t now_ns,
	uint8_t out[SL_COOKIE_REPLY_BYTES]
);

// Initiator's side. One per peer.
struct sl_cookie_jar {
	struct sl_cookie_label_key label; // of the peer
	uint8_t cookie_key[SL_COOKIE_BYTES];
	uint64_t cookie_born_ns;
	uint8_t sent_mac1[16]; // of the last message sent: AAD of a reply to it
	bool has_cookie;
	bool has_sent_mac1;
};

void sl_cookie_jar_init(
	struct sl_cookie_jar *j,
	const struct sl_noise_suite *suite,
	const struct sl_noise_public *peer_public
);
void sl_cookie_jar_wipe(struct sl_cookie_jar *j);

// Fill in the last 32 octets of `message`: mac1, and mac2 if a cookie younger than 120 s is there.
void sl_cookie_seal(struct sl_cookie_jar *j, uint8_t *message, size_t nb_bytes, uint64_t now_ns);

// Take the cookie out of a reply to the last message sealed. False, and nothing changed, if it is
// not one.
[[nodiscard]] bool sl_cookie_take(
	struct sl_cookie_jar *j,
	const struct sl_noise_suite *suite,
	const uint8_t *message,
	size_t nb_bytes,
	uint64_t now_ns
);
