// wireguard_kit: a PoP with its session thread and store, and WireGuard devices on its underlay.
#pragma once

#include "harness.h"
#include "packet.h"
#include "sl_test.h"

#include <netinet/in.h>
#include <sluice/ctrl/service.h>
#include <sluice/ctrl/store.h>
#include <sluice/dp/session.h>
#include <sluice/proto/peer.h>

struct wg_datagram {
	uint8_t bytes[2000];
	size_t nb_bytes;
};

#define WG_KEYS 16u

// A WireGuard device.
struct wg_device {
	const char *inner; // its address
	char inner_text[INET_ADDRSTRLEN]; // of a crowd's, where `inner` points to
	uint16_t port; // UDP, where it sends from
	uint8_t tos; // of its datagrams as they arrive
	bool is_at_tunnel; // it sends to where connectors do
	bool has_psk;
	struct sl_noise_private_key key;
	struct sl_noise_shared_key psk;
	struct sl_peer_local local;
	struct sl_peer peer;
	struct sl_keypair *keys[WG_KEYS]; // by index modulo
	struct sl_keypair *sealing;
	uint32_t next_index;
	unsigned nb_installed;
	unsigned nb_empty; // keepalives received
	uint16_t nb_echoes; // sent
	struct wg_datagram initiation; // last sent
	struct wg_datagram plain; // last opened
};

struct wg {
	struct path_node *pop;
	struct sl_sessions sessions;
	struct sl_service *service;
	struct sl_store *store;
	struct sl_config *config;
};

extern struct wg wg;
extern struct wg_device alice, bob, mallory; // mallory is not configured

// Which worker's queue datagrams arrive at; of programs that are built for one, WG_ARRIVAL.
extern enum path_arrival wg_arrival;
#ifndef WG_ARRIVAL
#define WG_ARRIVAL PATH_ALTERNATE
#endif

void wg_begin(void);
// The same with `nb` more devices, all configured: 10.91.0.0 and on, ports 1024 and on.
#define WG_CROWD_MAX 10000u
void wg_begin_crowd(struct wg_device *crowd, unsigned nb);
void wg_end(const char *title);
// Alice and Bob are configured, or not.
void wg_configure(bool has_alice, bool has_bob);
// The session thread and all sessions are gone; a new one starts from the disk.
void wg_restart(void);
void wg_run(void);
void wg_pass_s(unsigned s);

void wg_send(struct wg_device *d, const struct wg_datagram *datagram); // and run
void wg_queue(struct wg_device *d, const struct wg_datagram *datagram);
void wg_seal(struct wg_device *d, struct wg_datagram *out, const void *packet, size_t nb_bytes);
// An echo request to a resolver address from `source`; a packet nobody answers.
void wg_seal_echo(struct wg_device *d, struct wg_datagram *out, const char *source);
void wg_seal_silent(struct wg_device *d, struct wg_datagram *out);
void wg_initiate(struct wg_device *d);
void wg_initiate_sealed(struct wg_device *d, struct wg_datagram *out);
struct sl_peer_now wg_now(void);
// Do what the device's protocol asks for.
void wg_carry_out(struct wg_device *d, struct sl_peer_output *out);
// The next datagram for this device as it is; false: none.
bool wg_take(struct wg_device *d, struct wg_datagram *out);
// Take in the next datagram for this device (its port); false: none. What it asks for is sent.
bool wg_receive(struct wg_device *d);
void wg_handshake(struct wg_device *d);
// Receive until an echo reply is there.
bool wg_take_echo(struct wg_device *d);
bool wg_echo(struct wg_device *d);

// ---- Between wireguard_kit.c and wireguard_device.c ------------------------------------------------------

#define WG_RESOLVER "100.95.0.251"

extern struct sl_aead *wg_engine; // of the devices, while the PoP stands
extern const struct sl_private_key wg_pop_key;

// A device as new, with a key of its own; its keypairs are given back.
void wg_device_begin(struct wg_device *d);
void wg_device_end(struct wg_device *d);
