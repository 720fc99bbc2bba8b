// peer_pair: two ends of one session for tests, an initiator and a responder, with clocks and a wire
// the test holds in its hands.
#pragma once

#include <sluice/proto/peer.h>

#define PAIR_INDICES 256u

struct pair_end {
	struct sl_peer_local local;
	struct sl_peer peer;
	struct sl_peer_output out;
	uint32_t nb_indices; // given so far; indices count from `base`
	uint32_t base;
	bool live[PAIR_INDICES]; // taken and not released
	bool installed[PAIR_INDICES];
	struct sl_transport_key keys[PAIR_INDICES];
	uint32_t sealing; // index last CONFIRMED
	unsigned nb_sealing; // CONFIRMED events
	unsigned nb_restarted, nb_expired, nb_gave_up, nb_keepalives;
	struct sl_agreement agreement;
	uint8_t message[SL_NOISE_MESSAGE_MAX]; // last SEND
	size_t nb_bytes; // 0: none since pair_take
	bool to_source;
};

struct pair {
	struct pair_end initiator, responder;
	struct sl_peer_now now;
};

// Fresh keys at both ends; `flags` and `keepalive_s` are the initiator's. Aborts on failure.
void pair_init(
	struct pair *p,
	const struct sl_noise_suite *suite,
	const struct sl_noise_shared_key *preshared,
	uint8_t flags,
	uint16_t keepalive_s
);
void pair_fini(struct pair *p);

// The process at `end` is started anew: same identity, other incarnation, nothing remembered.
void pair_restart(struct pair *p, struct pair_end *end, uint8_t flags);

// Book the events in end->out, in order, and empty it.
void pair_book(struct pair_end *end);

// Give `bytes` to `end`; its events are booked.
enum sl_peer_verdict pair_give(
	struct pair *p,
	struct pair_end *end,
	const uint8_t *bytes,
	size_t nb,
	enum sl_peer_load load
);

// Move the last message of `from` to `to`.
enum sl_peer_verdict pair_deliver(struct pair *p, struct pair_end *from, struct pair_end *to);

void pair_initiate(struct pair *p);
void pair_run(struct pair *p, struct pair_end *end);
void pair_pass(struct pair *p, uint64_t ns);
// A datagram sealed by `from` with its sealing key is opened by the other end.
void pair_data(struct pair *p, struct pair_end *from, struct pair_end *to);
// Initiation, response, first datagram. False if anything was refused.
bool pair_handshake(struct pair *p);
