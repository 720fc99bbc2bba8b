// hello: what both ends of a tunnel tell each other inside the handshake, and what follows from it.
#pragma once

#include <sluice/proto/aead.h>
#include <sluice/proto/wire.h>
#include <stdbool.h>
#include <stdint.h>

#define SL_HELLO_VERSION  1u
#define SL_HELLO_TICKETS  0x01u // bit of `capabilities`: knows TICKET and REOPEN
#define SL_HELLO_DF       0x02u // the same: knows SL_RECORD_ODD_DF
#define SL_HELLO_AES      0x01u // bits of `ciphers`
#define SL_HELLO_CHACHA20 0x02u

// struct sl_wire_hello in the machine's order.
struct sl_hello {
	uint16_t version;
	uint16_t nb_lanes; // 1 to SL_WIRE_MAX_LANES
	uint16_t nb_workers; // at least 1
	uint32_t capabilities;
	uint64_t incarnation; // random at process start
	uint8_t ciphers; // SL_HELLO_AES, SL_HELLO_CHACHA20
	enum sl_cipher cipher; // answer: the choice; question: SL_CIPHER_NONE
};

// What both can do.
struct sl_agreement {
	uint16_t version;
	uint16_t nb_lanes;
	uint16_t peer_workers;
	uint32_t capabilities; // common to both
	uint64_t incarnation; // of the peer
	enum sl_cipher cipher;
};

void sl_hello_put(struct sl_wire_hello *out, const struct sl_hello *hello);

// False if a value is none the format allows (no version, lanes or workers).
[[nodiscard]] bool sl_hello_get(struct sl_hello *out, const struct sl_wire_hello *wire);

// Responder: choose from the peer's question. False when there is no common cipher.
[[nodiscard]] bool
sl_hello_choose(struct sl_agreement *out, const struct sl_hello *own, const struct sl_hello *asked);

// Initiator: take the responder's answer. False when it chose what was not offered.
[[nodiscard]] bool sl_hello_accept(
	struct sl_agreement *out, const struct sl_hello *own, const struct sl_hello *answer
);
