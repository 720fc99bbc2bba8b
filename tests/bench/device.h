// device: the clients of a world as WireGuard devices, each with keys of its own.
#pragma once

#include "world.h"

#define BENCH_WIREGUARD_PORT  51820u
#define BENCH_FIRST_DEVICE_IP 0x0aa00001u // 10.160.0.1: client c's underlay address is c above it

// Give each client of the world a session; world.c calls it where size.is_wireguard.
void bench_devices_create(struct bench_world *w);
void bench_devices_destroy(struct bench_world *w);

// Make of a client's frame of `nb_bytes` the datagram that its device would send, in place; `frame`
// has room for BENCH_FRAME_MAX. Returns the octets of the new frame.
unsigned
bench_device_wrap(const struct bench_world *w, uint32_t client, uint8_t *frame, unsigned nb_bytes);
// The reverse, of what left the PoP; false: it is no device's, or does not open.
bool bench_device_unwrap(const struct bench_world *w, struct rte_mbuf *m);
