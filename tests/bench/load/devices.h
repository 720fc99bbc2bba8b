// devices: what the files of the WireGuard generator share.
#pragma once

#include "load.h"

#include <sluice/dp/crypto.h>
#include <sluice/proto/peer.h>

#define DEVICE_PORT       51820u
#define DEVICE_KEYS       4u
#define DEVICE_INNER_BASE 0x0aa00000u // 10.160.0.0: what devices are inside

struct device {
	struct sl_peer_local local;
	struct sl_peer peer;
	struct sl_keypair *keys[DEVICE_KEYS]; // by index modulo
	struct sl_keypair *sealing;
	uint32_t nb_indices;
	uint64_t asked_tsc; // its handshake under way; 0: none
	uint16_t seq; // of the echo sent last
	bool is_waiting; // for its answer
};

struct devices {
	struct load *l;
	struct device *list;
	unsigned nb;
	struct sl_aead *engine;
	struct sl_noise_public pop;
	uint32_t run_at; // whose timers are looked at next
	uint64_t nb_initiations, nb_cookies, nb_handshakes;
	struct load_hist handshake;
};

extern struct devices all;

// device.c: one device, its keys and its protocol.

// Fill in `all`; exits with a sentence when the PoP's key is none.
void devices_create(struct load *l);
// Begin a handshake.
void device_ask(struct device *d);
// Seal a packet, or nothing, and send it.
void device_seal(struct device *d, const void *packet, uint32_t nb_bytes);
// Take a datagram in. The packet that was in it, if there was one, for the caller.
const uint8_t *device_take(struct device *d, struct load_udp *u, uint32_t *nb_bytes);
// Timers of some devices.
void devices_run(void);
