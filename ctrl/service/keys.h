// keys: receiver indices and keypairs of all sessions, and the datagrams of handshakes. Shared by
// peers.c (the tunnel) and clients.c (WireGuard); session thread.
#pragma once

#include "internal.h"

#include <sluice/proto/peer.h>

struct address {
	rte_be32_t ip;
	rte_be16_t port;
};

int keys_create(struct sl_service *s);
void keys_free(struct sl_service *s);

// Both clocks, read once.
struct sl_peer_now service_clocks(const struct sl_service *s);

// A fresh receiver index for `peer` of `session`; false when there is none.
bool keys_take_index(struct sl_service *s, struct sl_peer *peer, uint32_t session, uint32_t *index);

// The peer of `local` that took the index, or NULL.
struct sl_peer *
keys_peer(const struct sl_service *s, const struct sl_peer_local *local, uint32_t index);

// Where workers look for the keypair of an index.
_Atomic(struct sl_keypair *) *keys_published(struct sl_service *s, uint32_t index);

// Whose a keypair is. Of a client also the worker that has it, and where it answered us (ip 0: it asked).
struct keys_place {
	uint32_t session;
	uint16_t worker;
	struct address remote, local;
};

// Make the keypair of a finished handshake and publish it for receiving. False without memory.
bool keys_install(
	struct sl_service *s, const struct sl_transport_key *key, const struct keys_place *place
);

// The index is free again; a keypair under it is unpublished, and freed by keys_free_retired().
void keys_release(struct sl_service *s, uint32_t index);

// Free what was unpublished before, after a grace period if there is anything.
void keys_free_retired(struct sl_service *s);

// Send a handshake message.
void keys_send(
	struct sl_service *s,
	struct address from,
	struct address to,
	const uint8_t *bytes,
	uint16_t nb_bytes
);
