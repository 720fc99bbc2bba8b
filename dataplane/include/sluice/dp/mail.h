// mail: messages of the session thread to a worker that are not packets. The sender allocates from
// a mempool of its own; the worker returns each after handling.
#pragma once

#include <rte_byteorder.h>

#include <stdint.h>

enum sl_mail_kind {
	SL_MAIL_ENDPOINT, // set the endpoint of this worker's lanes of a session
	SL_MAIL_PING, // lane 0's worker: a heartbeat now, behind the ENDPOINT that says where to
	SL_MAIL_PEER_RESTARTED, // the epoch of a session moved: reset what it cut off
	SL_MAIL_PEER_BACK, // connector: a session was dead, and the same PoP is heard again
	SL_MAIL_SESSION_GONE, // a session has no key any more: the same
	SL_MAIL_NAME, // a name's private addresses, for the worker's cache
	SL_MAIL_STOP, // CLOSE every flow to its peer and leave the loop
};

#define SL_MAIL_ADDRESSES 8u

struct sl_mail {
	uint8_t kind; // enum sl_mail_kind
	uint8_t nb_addresses; // SL_MAIL_NAME
	uint8_t name_bytes;
	uint8_t reason; // SL_MAIL_NAME with no address: enum sl_close_reason
	uint8_t is_initiator; // SL_MAIL_ENDPOINT: lane k sends from local_port + k
	uint16_t mtu_bytes; // SL_MAIL_ENDPOINT: of the underlay
	uint16_t tenant;
	uint16_t port; // index of struct sl_port
	uint32_t session;
	rte_be32_t remote;
	rte_be32_t local;
	rte_be16_t remote_port;
	rte_be16_t local_port; // first of the connector's lanes; lane k begins with local_port + k
	uint32_t ttl_s;
	rte_be32_t addresses[SL_MAIL_ADDRESSES];
	char name[256];
};
