// ticket: a PoP's own description of a flow, sealed, for the connector to keep. A PoP that was killed
// has forgotten its flows, and a connector knows no clients: where the client has nothing to send,
// the ticket tells the PoP's next incarnation whose packet the connector holds.
//
//	octets
//	0-7    incarnation of the PoP that made it   } AAD, with the public keys of the PoP
//	8-15   sequence number in that incarnation   } and of the connector it was given to
//	16-47  the description, sealed
//	48-63  tag
//
// AES-256-GCM under a key of the incarnation, which is derived (SipHash-2-4-128 as a keyed
// pseudo-random function) from the tenant's durable secret; so no (key, nonce) is used twice, and a
// ticket of another tenant, of another PoP or given to another connector does not open. Whoever holds a valid
// ticket has been told nothing and may ask for nothing but that one flow, under the policy of then.
#pragma once

#include <sluice/proto/aead.h>
#include <sluice/proto/flowkey.h>
#include <sluice/proto/wire.h>
#include <stdbool.h>
#include <stdint.h>

#define SL_TICKET_PEER_BYTES 32u

// What the PoP tells itself. Addresses are IPv4; another format gets another number.
struct sl_ticket {
	uint64_t client_mark; // of the client's identity (name, key): the same after a restart
	uint32_t scope; // where its packets came from: see dataplane's sl_scope()
	uint32_t issued_s; // wall clock
	uint8_t client[4]; // its address
	uint8_t destination[4]; // the address it used
	uint16_t client_port_be; // or echo identifier
	uint16_t port_be;
	uint8_t protocol;
};

// Between whom.
struct sl_ticket_parties {
	const struct sl_flowkey_key *secret; // of the tenant
	const uint8_t *own; // the PoP's public key, SL_TICKET_PEER_BYTES
	const uint8_t *peer; // the connector's
};

enum sl_ticket_verdict {
	SL_TICKET_FORGED = 0, // or damaged, another tenant's, another connector's
	SL_TICKET_PRESENT, // made by this very incarnation, which knows its flows
	SL_TICKET_OLD, // beyond SL_TICKET_LIFETIME_S
	SL_TICKET_FORMAT, // of a version this one does not know
	SL_TICKET_GOOD,
};

// Seal a ticket. `sequence` is never used twice in an incarnation: worker 8 | count 56.
void sl_ticket_seal(
	struct sl_aead *engine,
	const struct sl_ticket_parties *parties,
	uint64_t incarnation,
	uint64_t sequence,
	const struct sl_ticket *ticket,
	uint8_t out[SL_WIRE_TICKET_BYTES]
);

// Open one. `ticket` is filled in with PRESENT, OLD and GOOD.
enum sl_ticket_verdict sl_ticket_open(
	struct sl_aead *engine,
	const struct sl_ticket_parties *parties,
	uint64_t own_incarnation,
	uint32_t now_s,
	const uint8_t in[SL_WIRE_TICKET_BYTES],
	struct sl_ticket *ticket
);

// What tells one ticket from every other: its tag's first octets, never 0.
uint64_t sl_ticket_id(const uint8_t in[SL_WIRE_TICKET_BYTES]);
