// wire: every format Sluice puts on the wire between a PoP and a connector, on one page.
// docs/wire-format.md says the same in prose and is the reference where the two differ in detail.
//
// Handshake messages keep WireGuard's layout and little-endian integers; the data header and the
// records are in network byte order.
#pragma once

#include <assert.h>
#include <stdint.h>

// First octet of every tunnel datagram. 1 to 4 are WireGuard's and are never sent on the tunnel.
enum sl_wire_type {
	SL_WIRE_INITIATION = 5,
	SL_WIRE_RESPONSE = 6,
	SL_WIRE_COOKIE_REPLY = 7,
	SL_WIRE_DATA = 8,
};

// The tunnel's own strings in place of WireGuard's (docs/wire-format.md, section 2).
#define SL_WIRE_IDENTIFIER   "Sluice v1 tunnel"
#define SL_WIRE_LABEL_MAC1   "sluice-1"
#define SL_WIRE_LABEL_COOKIE "sluice-c"

// Header of a data datagram; all 16 octets are the AAD. Nonce (12 octets): 16 zero bits, lane,
// counter. The ciphertext of one or more records follows, then the 16-octet tag.
struct sl_wire_data {
	uint8_t type; // SL_WIRE_DATA
	uint8_t flags; // zero; a receiver drops what it does not know
	uint8_t lane_be[2];
	uint8_t receiver_be[4]; // index the receiver chose in the handshake
	uint8_t counter_be[8]; // per (key, lane), from 0, never twice
};
static_assert(sizeof(struct sl_wire_data) == 16, "AAD is 16 octets");

#define SL_WIRE_TAG_BYTES   16u
#define SL_WIRE_NONCE_BYTES 12u
#define SL_WIRE_MAX_LANES   64u // lanes a keypair may hold

// Record types (4 bits).
enum sl_record_type {
	SL_RECORD_DATA = 0,
	SL_RECORD_OPEN = 1,
	SL_RECORD_ACCEPT = 2,
	SL_RECORD_CLOSE = 3,
	SL_RECORD_REJECT = 4,
	SL_RECORD_ERROR = 5,
	SL_RECORD_RESOLVE = 6,
	SL_RECORD_HEARTBEAT = 7,
	SL_RECORD_LANE = 8,
	SL_RECORD_TICKET = 9,
	SL_RECORD_REOPEN = 10,
	SL_RECORD_LAST = SL_RECORD_REOPEN,
};

// Record flags (4 bits; bit 0 is the most significant, as in the RFCs' figures).
enum sl_record_flag {
	SL_RECORD_MANDATORY = 0x8, // unknown type: refuse the datagram's session with an error
	SL_RECORD_TOS_TTL = 0x4, // 2 octets follow the header: TOS, TTL (absent: 0 and 64)
	SL_RECORD_FRAGMENT = 0x2, // 4 octets follow: id 16, offset/8 13, reserved 2, more 1
	// DATA, OPEN, REOPEN: the packet's DF is not what it mostly is, set for TCP and clear for the rest.
	// Only toward a peer that said SL_HELLO_DF: others take the record for an unknown one.
	SL_RECORD_ODD_DF = 0x1,
};

// Record header. `length` counts what follows these 8 octets. The flow id is the receiver's:
// worker 8 bits | index 24 bits; OPEN, REOPEN, RESOLVE, HEARTBEAT and LANE carry generation 0 and
// id 0.
struct sl_wire_record {
	uint8_t length_be[2];
	uint8_t type_flags; // type in the high 4 bits, flags in the low 4
	uint8_t generation;
	uint8_t flow_be[4];
};
static_assert(sizeof(struct sl_wire_record) == 8, "record header is 8 octets");

// OPEN body; `destination` (destination_bytes octets) follows, then the packet's transport bytes
// as in DATA.
struct sl_wire_open {
	uint8_t flow_be[4]; // sender's own id for the flow
	uint8_t generation; // of that id
	uint8_t open_flags; // enum sl_open_flag
	uint8_t protocol; // IPPROTO_TCP, _UDP or _ICMP
	uint8_t destination_kind; // enum sl_destination_kind
	uint8_t port_be[2]; // destination port; 0 for ICMP
	uint8_t destination_bytes; // 1..253 for a name, 4 or 16 for an address
	uint8_t reserved;
	uint8_t flow_key[16]; // keyed hash, see wire-format.md; never all zero
};
static_assert(sizeof(struct sl_wire_open) == 28, "OPEN body is 28 octets");

enum sl_open_flag {
	SL_OPEN_RESUME = 0x01, // mid-stream: re-attach or REJECT, never create
	SL_OPEN_TENANT_PASS = 0x02, // has been passed round the workers already (never on the wire)
};

enum sl_destination_kind {
	SL_DESTINATION_NAME = 0, // lower-case presentation form, no trailing dot
	SL_DESTINATION_IP4 = 1,
	SL_DESTINATION_IP6 = 2,
};

// ACCEPT body. The record header addresses the opener's flow.
struct sl_wire_accept {
	uint8_t flow_be[4]; // acceptor's own id
	uint8_t generation;
	uint8_t reserved[3];
};
static_assert(sizeof(struct sl_wire_accept) == 8, "ACCEPT body is 8 octets");

// CLOSE and REJECT body: one octet, enum sl_close_reason. A REJECT that answers a record whose flow
// does not exist echoes that record's generation and id with SL_CLOSE_UNKNOWN.
enum sl_close_reason {
	SL_CLOSE_DONE = 0, // FIN or RST both ways, or the idle timer
	SL_CLOSE_POLICY = 1, // not allowed (any more)
	SL_CLOSE_NO_NAME = 2, // private DNS says NXDOMAIN or NODATA
	SL_CLOSE_RESOLVER = 3, // private DNS is silent or fails
	SL_CLOSE_NO_PORT = 4, // NAT ports exhausted
	SL_CLOSE_TABLE_FULL = 5,
	SL_CLOSE_NO_FLOW = 6, // RESUME missed
	SL_CLOSE_UNREACHABLE = 7, // no route, no neighbour
	SL_CLOSE_UNKNOWN = 8, // id or generation does not match
	SL_CLOSE_SHUTDOWN = 9, // peer stops or drains
	SL_CLOSE_QUOTA = 10,
};

// ERROR body: an ICMP error about a packet of the flow, without any address. `quoted` octets are
// the first transport octets of the offending packet in the direction it travelled, in DATA form.
struct sl_wire_error {
	uint8_t icmp_type; // 3, 11 or 12 (ICMPv4 numbering)
	uint8_t icmp_code;
	uint8_t mtu_be[2]; // for 3/4, else 0
	uint8_t quoted_bytes; // up to 64
	uint8_t l4_bytes_be[2]; // transport octets of the whole offending packet (for its lengths)
	uint8_t reserved;
};
static_assert(sizeof(struct sl_wire_error) == 8, "ERROR body is 8 octets");

// RESOLVE body; the DNS message follows the header whole. is_answer 0: PoP asks; 1: answer.
struct sl_wire_resolve {
	uint8_t token_be[4]; // asker's, echoed
	uint8_t is_answer;
	uint8_t has_more; // of an answer in pieces: not the last
	uint8_t offset_be[2]; // of the piece in the message
};

// HEARTBEAT body. The receiver of a ping echoes it as a pong on the same lane.
struct sl_wire_heartbeat {
	uint8_t is_pong;
	uint8_t state; // enum sl_peer_state_bits: bit 0 ready, bit 1 draining
	uint8_t load_be[2]; // flows in use, in 1/65535 of the sender's limit
	uint8_t sequence_be[4];
	uint8_t timestamp_ns_be[8]; // sender's clock, echoed unchanged in the pong
};
static_assert(sizeof(struct sl_wire_heartbeat) == 16, "HEARTBEAT body is 16 octets");

// LANE body: on which of the sender's workers datagrams of `lane` arrive now.
struct sl_wire_lane {
	uint8_t lane_be[2];
	uint8_t worker;
	uint8_t owner; // lane mod the sender's number of workers
};

// TICKET body: what the opener wants to be shown, should it restart: its own description of the flow,
// sealed (proto/ticket.h). The acceptor keeps it and cannot read it.
#define SL_WIRE_TICKET_BYTES 64u

// REOPEN body: the acceptor's flow under the opener's new incarnation; the packet's transport bytes
// follow, as in DATA.
struct sl_wire_reopen {
	uint8_t flow_be[4]; // acceptor's own id for the flow
	uint8_t generation; // of that id
	uint8_t reserved[3];
	uint8_t ticket[SL_WIRE_TICKET_BYTES];
};
static_assert(sizeof(struct sl_wire_reopen) == 72, "REOPEN body is 72 octets");

// Transport octets a record leaves out, by protocol: TCP from offset 4, UDP from 6 (ports and
// length), ICMP echo from 2 (type and code; the identifier, which is the client's, travels as 0).
#define SL_WIRE_TCP_SKIP_BYTES  4u
#define SL_WIRE_UDP_SKIP_BYTES  6u
#define SL_WIRE_ICMP_SKIP_BYTES 2u

// Payload 1 of the handshake, after the 12 octets of TAI64N; payload 2 is the same 32 octets. All
// little-endian.
struct sl_wire_hello {
	uint8_t version_le[2]; // protocol version, 1
	uint8_t lanes_le[2]; // lanes the sender will use; the smaller of both holds
	uint8_t capabilities_le[4];
	uint8_t incarnation_le[8]; // random at process start
	uint8_t ciphers; // bit 0 AES-256-GCM, bit 1 ChaCha20-Poly1305; payload 2: also the choice
	uint8_t cipher; // payload 2: enum sl_cipher chosen; payload 1: 0
	uint8_t workers_le[2]; // W of the sender: lane k belongs there to worker k mod W
	uint8_t reserved[12];
};
static_assert(sizeof(struct sl_wire_hello) == 32, "hello is 32 octets");
