// world: the small world of the model test of flows; flows.c says what it is.
#pragma once

#include "sl_test.h"

#include <sluice/proto/flowkey.h>
#include <sluice/proto/flowproto.h>
#include <sluice/proto/slots.h>
#include <sluice/proto/wire.h>
#include <stdio.h>
#include <stdlib.h>

#define NB_POPS       2u
#define NB_CONNECTORS 4u
#define NB_TENANTS    2u
#define NB_WORKERS    2u
#define NB_LANES      4u
#define NB_NODES      (NB_POPS + NB_CONNECTORS)
#define NB_SLOTS      10u // a worker
#define NB_CLIENTS    8u
#define NB_TALKS      3u // a client
#define NB_NAMES      3u
#define NB_IN_FLIGHT  600u
#define NB_NAT        4096u
#define STEP_NS       (100 * SL_NS_PER_MS)
#define IDLE_DS       600u // PoP; the connector's is 1.5 times that
#define BODY_BYTES    48u
#define NB_HONOURED   4096u

struct tag {
	uint16_t tenant, client, port, name, protocol, conversation;
	uint32_t serial;
};

struct flow {
	struct sl_flow_link link;
	struct tag who; // PoP: whose it is
	uint8_t flow_key[16]; // connector
	uint16_t host; // connector: name of its tenant's network
	uint8_t protocol;
	bool used;
	bool has_ticket; // connector
	uint8_t ticket[SL_WIRE_TICKET_BYTES];
	uint32_t nat; // connector: port, given once in a run
	uint32_t seen_ds;
	uint32_t ends_ds; // 0, or when an orphan is freed
};

struct worker {
	struct sl_slots slots;
	struct flow flows[NB_SLOTS];
};

struct node {
	struct worker workers[NB_WORKERS];
	uint16_t incarnation;
	uint16_t epoch[NB_NODES]; // by peer
	uint16_t peer_incarnation[NB_NODES]; // by peer; 0: no session
	uint32_t nb_tickets; // PoP: given, in all its incarnations
	bool honoured[NB_HONOURED]; // PoP: by number, since it started
};

struct datagram {
	uint8_t bytes[256];
	uint32_t nb_bytes, due_ds;
	uint16_t from, to, from_incarnation, to_incarnation, lane;
	bool used;
};

// A client's socket.
struct talk {
	bool used, is_answered;
	uint8_t protocol, pop;
	uint16_t port, name, conversation;
	uint32_t serial, heard_serial;
};

struct nat {
	uint16_t node, worker, slot;
	bool used;
	struct tag last; // what the host last got by it
	bool has_last;
};

struct world {
	struct node nodes[NB_NODES];
	struct datagram net[NB_IN_FLIGHT];
	struct talk talks[NB_CLIENTS][NB_TALKS];
	struct nat nat[NB_NAT];
	uint32_t nb_nat, now_ds, loss_percent, dup_percent, late_percent;
	uint64_t random;
	uint64_t nb_up, nb_down, nb_stale, nb_reattached, nb_rejected, nb_kills, nb_wrong,
		nb_reopened;
};
extern struct world w;

uint32_t rnd(uint32_t below);
bool percent(uint32_t p);
uint64_t now_ns(void);
bool is_pop(unsigned node);
uint16_t tenant_of_connector(unsigned node);
void transmit(unsigned from, unsigned to, unsigned lane, const uint8_t *bytes, uint32_t nb);
struct sl_link_peer peer_of(unsigned node, unsigned peer, unsigned lane);
struct flow *flow_of_id(unsigned node, uint32_t id);
uint32_t id_of(unsigned worker, const struct worker *ws, const struct flow *f);
struct flow *flow_new(unsigned node, unsigned worker);
// Free a flow; tell the peer now and then, for a CLOSE may always be lost.
void flow_free(unsigned node, unsigned worker, struct flow *f, bool tell);
void flow_key_of(const struct tag *t, uint8_t key[16]);
void send_data(
	unsigned node,
	struct sl_flow_link *l,
	uint32_t own_id,
	bool with_accept,
	const struct tag *t
);
void send_accept(unsigned node, const struct sl_flow_link *l, uint32_t own_id);
void node_init(unsigned node);
struct talk *talk_of(const struct tag *t);
void pop_deliver(const struct flow *f, const uint8_t *body);
void pop_from_client(unsigned pop, const struct tag *t, bool is_syn);
void client_told(const struct tag *who);
void host_send(uint32_t nat, const struct tag *t);
void connector_deliver(unsigned node, struct flow *f, const uint8_t *body);
void connector_open(unsigned node, const struct datagram *d, const struct sl_rec *rec);

void send_ticket(unsigned pop, const struct flow *f);
void pop_reopen(unsigned pop, const struct datagram *d, const struct sl_rec *rec);
