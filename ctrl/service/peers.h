// peers: what peers.c and peers_table.c share.
#pragma once

#include "keys.h"

#include <sluice/proto/peer.h>

struct entry {
	struct sl_peer peer;
	bool is_used;
	bool is_wanted; // still configured
	bool is_up; // workers may seal
	bool is_dead; // silent for longer than it may
	bool is_unconfirmed; // a responder's new keypair waits for its first datagram
	uint32_t session; // id
	uint16_t tenant, network;
	uint8_t public_key[SL_NOISE_KEY_BYTES];
	struct address remote; // configured, or where the last good handshake came from
	struct address local; // connector: port of lane 0
};

struct peers {
	struct sl_peer_local local;
	struct entry *entries;
	uint32_t nb_entries;
	uint64_t next_liveness_ns;
	uint64_t next_scan_ns; // of all entries, for what is due
	unsigned nb_unconfirmed;
	bool is_floor_asked;
	uint64_t floor_asked_ns;
	bool has_floor;
	struct address arrived_from, arrived_at; // of the handshake in work
	struct sl_bucket handshakes; // that knew our key
	uint64_t loaded_until_ns; // more came than are answered without a proof of address
};

// Do what the protocol says about `e`; NULL: it is about a source that is no peer. `out` is wiped.
void peers_carry_out(struct sl_service *s, struct sl_peer_output *out, struct entry *e);
// Workers seal nothing more for it.
void peers_down(struct sl_service *s, struct entry *e, const char *why);
// Tell workers the time of day: tickets are dated by it.
void peers_keep_wall(struct sl_service *s);
