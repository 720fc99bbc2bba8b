// wireguard: the messages of WireGuard (paper, section 5.4), octet for octet. Integers are
// little-endian; `type` is one octet and three reserved zero octets, read as one integer.
#pragma once

#include <assert.h>
#include <stdint.h>

enum sl_wg_type {
	SL_WG_INITIATION = 1,
	SL_WG_RESPONSE = 2,
	SL_WG_COOKIE_REPLY = 3,
	SL_WG_DATA = 4,
};

struct sl_wg_macs {
	uint8_t mac1[16];
	uint8_t mac2[16]; // zero without a cookie
};

struct sl_wg_initiation {
	uint8_t type_le[4];
	uint8_t sender_le[4];
	uint8_t ephemeral[32];
	uint8_t sealed_static[32 + 16];
	uint8_t sealed_timestamp[12 + 16];
	struct sl_wg_macs macs;
};
static_assert(sizeof(struct sl_wg_initiation) == 148, "initiation is 148 octets");

struct sl_wg_response {
	uint8_t type_le[4];
	uint8_t sender_le[4];
	uint8_t receiver_le[4];
	uint8_t ephemeral[32];
	uint8_t sealed_nothing[16];
	struct sl_wg_macs macs;
};
static_assert(sizeof(struct sl_wg_response) == 92, "response is 92 octets");

struct sl_wg_cookie_reply {
	uint8_t type_le[4];
	uint8_t receiver_le[4];
	uint8_t nonce[24];
	uint8_t sealed_cookie[16 + 16];
};
static_assert(sizeof(struct sl_wg_cookie_reply) == 64, "cookie reply is 64 octets");

// The padded packet follows, sealed, then the tag. A packet of no octets is a keepalive.
struct sl_wg_data {
	uint8_t type_le[4];
	uint8_t receiver_le[4];
	uint8_t counter_le[8];
};
static_assert(sizeof(struct sl_wg_data) == 16, "data header is 16 octets");

#define SL_WG_DATA_MIN_BYTES 32u // header and tag
