// record: the records inside a decrypted tunnel datagram: walking them, building them, and the
// bodies of those that are not transport octets. docs/wire-format.md has the formats in prose.
//
// Everything here works on octets in place. A parser returns a verdict; what it fills in is valid
// only with the verdict OK. Pointers it hands out point into the datagram.
#pragma once

#include <sluice/proto/bytes.h>
#include <sluice/proto/wire.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SL_REC_HEAD_BYTES     8u // struct sl_wire_record
#define SL_REC_TOS_TTL_BYTES  2u
#define SL_REC_FRAGMENT_BYTES 4u
#define SL_REC_HEAD_MAX_BYTES (SL_REC_HEAD_BYTES + SL_REC_TOS_TTL_BYTES + SL_REC_FRAGMENT_BYTES)
#define SL_REC_TTL_DEFAULT    64u // with TOS 0 the extension is left out
#define SL_REC_BODY_MAX_BYTES 65535u

// A flow id: worker 8 bits | index 24 bits.
static inline uint32_t
sl_id_make(uint8_t worker, uint32_t index)
{
	return (uint32_t)worker << 24 | (index & 0xffffffu);
}

static inline uint8_t
sl_id_worker(uint32_t flow)
{
	return (uint8_t)(flow >> 24);
}

static inline uint32_t
sl_id_index(uint32_t flow)
{
	return flow & 0xffffffu;
}

// One record. `body` is what follows header and extensions.
struct sl_rec {
	const uint8_t *body;
	uint32_t nb_bytes; // of body
	uint32_t flow; // receiver's id
	uint8_t type; // enum sl_record_type
	uint8_t flags; // enum sl_record_flag
	uint8_t generation;
	uint8_t tos; // 0 without the extension
	uint8_t ttl; // 64 without the extension
	bool more; // fragments follow
	uint16_t fragment_id;
	uint32_t fragment_offset_bytes; // where `body` stands in the whole record's body
};

enum sl_rec_verdict {
	SL_REC_END = 0, // no record left, and no error
	SL_REC_OK,
	SL_REC_SKIP, // type or flag unknown: count and go on
	SL_REC_REFUSE, // unknown and mandatory: nothing after it may be acted on; sticky
	SL_REC_MALFORMED, // lengths do not fit: likewise; sticky
};

// The records of one datagram. Errors are sticky: after REFUSE or MALFORMED every further call
// returns the same.
struct sl_recs {
	const uint8_t *at;
	const uint8_t *end;
	enum sl_rec_verdict stopped; // SL_REC_END while going
};

static inline struct sl_recs
sl_recs_begin(const uint8_t *plaintext, size_t nb_bytes)
{
	return (struct sl_recs){ .at = plaintext, .end = plaintext + nb_bytes };
}

// The fragment extension of `rec`, if its body holds it; false if it does not.
bool sl_rec_fragment(struct sl_rec *rec);

// Parse the record that begins at `p`, of which `left` octets are there. `*used` becomes the octets
// it takes, with extensions. MANDATORY on a known type changes nothing. Hot.
static inline enum sl_rec_verdict
sl_rec_parse(const uint8_t *p, size_t left, struct sl_rec *rec, size_t *used)
{
	uint64_t head;
	uint32_t length;

	if (left < SL_REC_HEAD_BYTES)
		return SL_REC_MALFORMED;
	memcpy(&head, p, 8);
	head = __builtin_bswap64(head);
	length = (uint32_t)(head >> 48);
	if (length > left - SL_REC_HEAD_BYTES)
		return SL_REC_MALFORMED;
	*used = SL_REC_HEAD_BYTES + length;
	*rec = (struct sl_rec){
		.body = p + SL_REC_HEAD_BYTES,
		.nb_bytes = length,
		.flow = (uint32_t)head,
		.type = (uint8_t)(head >> 44 & 0xf),
		.flags = (uint8_t)(head >> 40 & 0xf),
		.generation = (uint8_t)(head >> 32),
		.ttl = SL_REC_TTL_DEFAULT,
	};
	if (__builtin_expect(rec->type > SL_RECORD_LAST, 0))
		return (rec->flags & SL_RECORD_MANDATORY) != 0 ? SL_REC_REFUSE : SL_REC_SKIP;
	if ((rec->flags & SL_RECORD_TOS_TTL) != 0) {
		if (length < SL_REC_TOS_TTL_BYTES)
			return SL_REC_MALFORMED;
		rec->tos = rec->body[0];
		rec->ttl = rec->body[1];
		rec->body += SL_REC_TOS_TTL_BYTES;
		rec->nb_bytes -= SL_REC_TOS_TTL_BYTES;
	}
	if (__builtin_expect((rec->flags & SL_RECORD_FRAGMENT) != 0, 0))
		return sl_rec_fragment(rec) ? SL_REC_OK : SL_REC_MALFORMED;
	return SL_REC_OK;
}

// The next record. With OK `rec` is filled in; with SKIP only type, flags, flow and generation are
// of interest. An empty datagram (a keepalive) is END at once.
static inline enum sl_rec_verdict
sl_recs_next(struct sl_recs *recs, struct sl_rec *rec)
{
	enum sl_rec_verdict verdict;
	size_t used = 0;

	if (recs->at == recs->end || recs->stopped != SL_REC_END)
		return recs->stopped;
	verdict = sl_rec_parse(recs->at, (size_t)(recs->end - recs->at), rec, &used);
	recs->at += used;
	if (verdict == SL_REC_REFUSE || verdict == SL_REC_MALFORMED)
		recs->stopped = verdict;
	return verdict;
}

// Flag of the TOS/TTL extension if these values need it, else 0.
static inline uint8_t
sl_rec_tos_ttl_flag(uint8_t tos, uint8_t ttl)
{
	return tos == 0 && ttl == SL_REC_TTL_DEFAULT ? 0 : SL_RECORD_TOS_TTL;
}

// Octets of header and extensions under these flags.
static inline unsigned
sl_rec_head_bytes(uint8_t flags)
{
	return SL_REC_HEAD_BYTES + ((flags & SL_RECORD_TOS_TTL) != 0 ? SL_REC_TOS_TTL_BYTES : 0) +
		((flags & SL_RECORD_FRAGMENT) != 0 ? SL_REC_FRAGMENT_BYTES : 0);
}

// Write the 8 header octets. `length` counts everything after them, extensions included. Hot.
static inline void
sl_rec_put_fixed(
	uint8_t *p, uint8_t type, uint8_t flags, uint8_t generation, uint32_t flow, uint16_t length
)
{
	uint64_t head = (uint64_t)length << 48 | (uint64_t)(uint8_t)(type << 4 | flags) << 40 |
		(uint64_t)generation << 32 | flow;

	head = __builtin_bswap64(head);
	memcpy(p, &head, 8);
}

// Write header and the extensions its flags name for a body of `rec->nb_bytes` octets; the body is
// not touched. Returns the octets written, sl_rec_head_bytes(rec->flags). The caller sees to it
// that extensions and body fit 65535. Hot.
static inline unsigned
sl_rec_put(uint8_t *p, const struct sl_rec *rec)
{
	unsigned nb = sl_rec_head_bytes(rec->flags);
	uint16_t length = (uint16_t)(rec->nb_bytes + nb - SL_REC_HEAD_BYTES);

	sl_rec_put_fixed(p, rec->type, rec->flags, rec->generation, rec->flow, length);
	p += SL_REC_HEAD_BYTES;
	if ((rec->flags & SL_RECORD_TOS_TTL) != 0) {
		*p++ = rec->tos;
		*p++ = rec->ttl;
	}
	if ((rec->flags & SL_RECORD_FRAGMENT) != 0) {
		sl_put16(p, rec->fragment_id);
		sl_put16(p + 2, (uint16_t)(rec->fragment_offset_bytes | (rec->more ? 1 : 0)));
	}
	return nb;
}

// What a body parser found.
enum sl_body_verdict {
	SL_BODY_OK = 0,
	SL_BODY_SHORT, // fewer octets than the format needs
	SL_BODY_HEADER, // OPEN, RESOLVE, HEARTBEAT, LANE with a flow id or generation; ACCEPT without
	SL_BODY_VALUE, // a field has a value the format does not know
	SL_BODY_PROTOCOL, // OPEN: not TCP, UDP or ICMP
	SL_BODY_DESTINATION, // OPEN: length does not fit the kind, or port 0
	SL_BODY_NAME, // OPEN: not a lower-case host name, see sl_open_name_ok()
	SL_BODY_FLOW_KEY, // OPEN: all zero
	SL_BODY_TRANSPORT, // OPEN: not enough transport octets for the protocol
};

// The verdict in words, for traces and logs.
const char *sl_body_verdict_text(enum sl_body_verdict verdict);

// OPEN. Pointers point into the record.
struct sl_open {
	uint32_t flow; // sender's id
	uint8_t generation; // of it, never 0
	uint8_t open_flags; // SL_OPEN_RESUME or 0
	uint8_t protocol; // IPPROTO_TCP, _UDP or _ICMP
	uint8_t destination_kind; // enum sl_destination_kind
	uint8_t destination_bytes;
	uint16_t port; // host order
	const uint8_t *destination; // name without terminating NUL, or address in wire order
	const uint8_t *flow_key; // 16 octets
	const uint8_t *transport; // as in DATA
	uint32_t nb_transport_bytes;
};

enum sl_body_verdict sl_open_parse(const struct sl_rec *rec, struct sl_open *open);

// Octets of an OPEN body before the transport octets.
static inline unsigned
sl_open_bytes(uint8_t destination_bytes)
{
	return (unsigned)sizeof(struct sl_wire_open) + destination_bytes;
}

// Write the OPEN body up to the transport octets (which the caller has in place or copies behind
// it); returns sl_open_bytes(). `transport` and `nb_transport_bytes` are not read.
unsigned sl_open_put(uint8_t *p, const struct sl_open *open);

// 1 to 253 octets in labels of 1 to 63 letters a-z, digits, '-' and '_', no trailing dot.
bool sl_open_name_ok(const uint8_t *name, size_t nb_bytes);

// ACCEPT: whole record (16 octets) with header. `flow`, `generation`: opener's; `own_*`: acceptor's.
#define SL_REC_ACCEPT_BYTES 16u
void sl_accept_put(
	uint8_t p[SL_REC_ACCEPT_BYTES],
	uint32_t flow,
	uint8_t generation,
	uint32_t own_flow,
	uint8_t own_generation
);

struct sl_accept {
	uint32_t flow; // acceptor's own id
	uint8_t generation; // of it, never 0
};

enum sl_body_verdict sl_accept_parse(const struct sl_rec *rec, struct sl_accept *accept);

// CLOSE or REJECT: whole record (9 octets).
#define SL_REC_CLOSE_BYTES 9u
void sl_close_put(
	uint8_t p[SL_REC_CLOSE_BYTES],
	enum sl_record_type type,
	uint32_t flow,
	uint8_t generation,
	enum sl_close_reason reason
);

// Reasons this version does not know are OK and become SL_CLOSE_DONE: the flow ends either way.
enum sl_body_verdict sl_close_parse(const struct sl_rec *rec, enum sl_close_reason *reason);

// ERROR.
#define SL_ERROR_QUOTED_MAX_BYTES 64u
struct sl_error {
	uint8_t icmp_type; // 3, 11 or 12
	uint8_t icmp_code;
	uint16_t mtu; // 3/4: next-hop MTU for the flow's packets as IPv4, 0 unknown; else 0
	uint16_t l4_bytes; // transport octets of the offending packet when it was whole
	uint8_t quoted_bytes;
	const uint8_t *quoted; // its first transport octets, in DATA form
};

// Whole record; returns its octets, or 0 when `room` is too small or quoted_bytes above the limit.
unsigned sl_error_put(
	uint8_t *p, size_t room, uint32_t flow, uint8_t generation, const struct sl_error *error
);
enum sl_body_verdict sl_error_parse(const struct sl_rec *rec, struct sl_error *error);

// RESOLVE. The DNS message (at least its 12-octet header) is the rest of the body. An answer too long for a
// record comes in pieces, each a RESOLVE with its offset; all but the last say that more follows.
#define SL_RESOLVE_HEAD_BYTES 16u // record header and body before the message
struct sl_resolve {
	uint32_t token;
	bool is_answer;
	bool has_more; // not the last piece
	uint16_t offset; // of the piece
	const uint8_t *message;
	uint32_t nb_bytes;
};

// Write header and fixed body of a RESOLVE whose message of `resolve->nb_bytes` follows in place;
// returns SL_RESOLVE_HEAD_BYTES.
unsigned sl_resolve_put(uint8_t *p, const struct sl_resolve *resolve);
enum sl_body_verdict sl_resolve_parse(const struct sl_rec *rec, struct sl_resolve *resolve);

// HEARTBEAT.
#define SL_REC_HEARTBEAT_BYTES 24u
#define SL_HEARTBEAT_READY     0x01u
#define SL_HEARTBEAT_DRAINING  0x02u
struct sl_heartbeat {
	bool is_pong;
	uint8_t state; // SL_HEARTBEAT_*; other bits are ignored
	uint16_t load; // flows in use, 1/65535 of the limit
	uint32_t sequence;
	uint64_t timestamp_ns; // the pinger's clock
};

void sl_heartbeat_put(uint8_t p[SL_REC_HEARTBEAT_BYTES], const struct sl_heartbeat *beat);
enum sl_body_verdict sl_heartbeat_parse(const struct sl_rec *rec, struct sl_heartbeat *beat);

// LANE.
#define SL_REC_LANE_BYTES 12u
struct sl_lane_report {
	uint16_t lane; // below SL_WIRE_MAX_LANES
	uint8_t worker; // where datagrams of the lane arrive at the sender
	uint8_t owner; // where they should
};

void sl_lane_report_put(uint8_t p[SL_REC_LANE_BYTES], const struct sl_lane_report *report);
enum sl_body_verdict sl_lane_report_parse(const struct sl_rec *rec, struct sl_lane_report *report);

// TICKET: whole record (72 octets).
#define SL_REC_TICKET_BYTES (SL_REC_HEAD_BYTES + SL_WIRE_TICKET_BYTES)

// Write the header of a TICKET; the ticket's octets go to where the returned pointer says.
uint8_t *sl_ticket_record_put(uint8_t p[SL_REC_TICKET_BYTES], uint32_t flow, uint8_t generation);
// `*ticket` becomes its SL_WIRE_TICKET_BYTES octets, in place.
enum sl_body_verdict sl_ticket_record_parse(const struct sl_rec *rec, const uint8_t **ticket);

// REOPEN.
#define SL_REOPEN_BODY_BYTES 72u // before the transport octets
struct sl_reopen {
	uint32_t flow; // acceptor's own id
	uint8_t generation; // of it, never 0
	const uint8_t *ticket; // SL_WIRE_TICKET_BYTES
	const uint8_t *transport; // as in DATA
	uint32_t nb_transport_bytes;
};

// Write the body up to the transport octets, which are in place behind it.
void sl_reopen_put(uint8_t p[SL_REOPEN_BODY_BYTES], const struct sl_reopen *reopen);
// How many transport octets there must be is known once the ticket has been read.
enum sl_body_verdict sl_reopen_parse(const struct sl_rec *rec, struct sl_reopen *reopen);
