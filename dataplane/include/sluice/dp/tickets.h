// tickets: what a worker keeps for a PoP's restart (proto/ticket.h). A connector keeps the tickets
// that PoPs gave it, at a quarter of its flows: the latest of those that meet in a set. A PoP keeps
// the ids of tickets it has honoured, so that none makes a second flow. Private to the worker;
// nothing is allocated after creation.
#pragma once

#include <netinet/in.h>
#include <sluice/dp/flow.h>
#include <sluice/dp/session.h>
#include <sluice/dp/worker.h>
#include <sluice/proto/record.h>
#include <sluice/proto/ticket.h>
#include <stdbool.h>
#include <stdint.h>

#define SL_TICKET_WAYS      4u
#define SL_TICKETS_HONOURED 65536u // remembered by each worker of a PoP

struct sl_ticket_entry {
	uint32_t flow; // index
	uint8_t generation; // of its slot; 0: free
	uint8_t ticket[SL_WIRE_TICKET_BYTES];
};

struct sl_tickets {
	struct sl_ticket_entry *kept; // connector: SL_TICKET_WAYS a set
	uint64_t *honoured; // PoP: ids, 0 none, SL_TICKET_WAYS a set
	uint32_t nb_sets;
	uint32_t turn; // which of a full set goes next
	uint64_t sequence; // PoP: of the next ticket
};

// For `nb_flows` flows of a connector, or for a PoP (`nb_flows` 0). NULL without memory.
[[nodiscard]] struct sl_tickets *sl_tickets_create(uint32_t nb_flows, int socket_id);
void sl_tickets_destroy(struct sl_tickets *t);

// Octets sl_tickets_create() takes.
uint64_t sl_tickets_bytes(uint32_t nb_flows);

// Connector: keep the ticket of a flow's slot in place of any before it.
void
sl_tickets_keep(struct sl_tickets *t, uint32_t flow, uint8_t generation, const uint8_t *ticket);
// The ticket of the flow, or NULL.
const uint8_t *sl_tickets_find(const struct sl_tickets *t, uint32_t flow, uint8_t generation);

// PoP: has the ticket of this id made a flow before?
bool sl_tickets_is_honoured(const struct sl_tickets *t, uint64_t id);
void sl_tickets_honour(struct sl_tickets *t, uint64_t id);

// Whose seal and between whom, for a tunnel session of a PoP; `secret` is filled in and wiped by the
// caller.
struct sl_ticket_parties
sl_flow_ticket_parties(const struct sl_worker *w, uint32_t session, struct sl_flowkey_key *secret);

// PoP: does the flow get a ticket? Only one that may go on after a restart, and whose connector knows
// what a ticket is. A single answer needs none.
static inline bool
sl_flow_gets_ticket(const struct sl_worker *w, const struct sl_flow *f)
{
	uint8_t protocol = (uint8_t)f->key.scope_protocol;

	return f->kind == SL_FLOW_CLIENT && f->link.peer_generation != 0 &&
		w->sessions->sessions[f->link.session].has_tickets &&
		(protocol == IPPROTO_TCP ||
		 (protocol == IPPROTO_UDP && f->key.destination_port_be != RTE_BE16(53)));
}

// PoP: write the TICKET of such a flow.
void
sl_flow_ticket_put(struct sl_worker *w, const struct sl_flow *f, uint8_t p[SL_REC_TICKET_BYTES]);
