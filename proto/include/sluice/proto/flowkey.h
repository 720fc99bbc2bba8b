// flowkey: the 128-bit flow key of an OPEN, by which a connector recognises a flow whose PoP
// restarted or changed.
//
// It is SipHash-2-4 with 128-bit output (Aumasson and Bernstein; reference implementation) under
// the tenant's secret: a keyed pseudo-random function of short inputs that costs about a hundred
// cycles, runs on the worker once per new flow, and needs neither context nor allocation, which
// libcrypto's MACs do. The connector never computes it; it only compares.
#pragma once

#include <sluice/proto/wire.h>
#include <stddef.h>
#include <stdint.h>

#define SL_FLOWKEY_BYTES        16u
#define SL_FLOWKEY_SECRET_BYTES 16u

// Durable, random, one per tenant, the same on every PoP of it. Secret: wipe with sl_wipe().
struct sl_flowkey_key {
	uint8_t secret[SL_FLOWKEY_SECRET_BYTES];
};

struct sl_flowkey_input {
	uint8_t client[16]; // client's (inner) address, IPv4 mapped
	uint16_t client_port_be; // or echo identifier
	uint16_t port_be; // destination port; 0 for ICMP
	uint8_t protocol;
	uint8_t destination_kind; // enum sl_destination_kind
	uint8_t destination_bytes;
	const uint8_t *destination; // as in OPEN
};

// SipHash-2-4-128 of `nb_bytes` octets.
void sl_siphash128(
	const uint8_t key[SL_FLOWKEY_SECRET_BYTES],
	const void *data,
	size_t nb_bytes,
	uint8_t out[16]
);

// The flow key, never all zero.
void sl_flowkey_derive(
	const struct sl_flowkey_key *key,
	const struct sl_flowkey_input *input,
	uint8_t flow_key[SL_FLOWKEY_BYTES]
);
