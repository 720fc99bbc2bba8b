// flowproto: one end of the open / accept / close / resume exchange of a flow. Both roles embed a
// struct sl_flow_link in their flow record; the PoP is the opener, the connector the acceptor.
//
//   opener                                   acceptor
//   CLOSED --open--> OPENING                 CLOSED --OPEN, no such flow--> ACCEPTING
//   OPENING --ACCEPT--> OPEN                 ACCEPTING --record to own id--> OPEN
//   OPEN --peer restarted, ids expired,      OPEN --OPEN again--> ACCEPTING
//          CLOSE{UNKNOWN}--> OPENING         ACCEPTING, OPEN --peer restarted, ids expired,
//   any --CLOSE, REJECT--> CLOSED                 CLOSE{UNKNOWN}--> WAITING --OPEN--> ACCEPTING
//                                            any --CLOSE--> CLOSED
//                                            peer restarted, packet and ticket at hand:
//                                                --REOPEN--> REOPENING --ACCEPT--> OPEN
//
// A record is believed only if its generation is the slot's, its session and that session's
// incarnation are the ones the link speaks with, and the link is not CLOSED; so a record that was
// meant for an earlier flow in the slot never reaches the present one. What is lost is made good by
// the rules of sl_link_send(): an id that is not answered for SL_FLOW_ASK_AGAIN_S is asked about
// anew. docs/wire-format.md has the state table in full. Time is in deciseconds of the worker's
// clock.
#pragma once

#include <assert.h>
#include <netinet/in.h>
#include <sluice/proto/limits.h>
#include <sluice/proto/record.h>
#include <stdbool.h>
#include <stdint.h>

enum sl_link_state {
	SL_LINK_CLOSED = 0, // no flow; believes nothing
	SL_LINK_OPENING, // opener: peer's id unknown, every packet travels in an OPEN
	SL_LINK_ACCEPTING, // acceptor: an ACCEPT rides ahead of every record
	SL_LINK_OPEN, // both ids known at both ends, as far as this end can tell
	SL_LINK_WAITING, // acceptor: peer's id void; nothing can be sent until it opens again
	SL_LINK_REOPENING, // acceptor: the same, and the peer's new incarnation has been sent a REOPEN
};

enum sl_link_flag {
	SL_LINK_OPENER = 0x01, // this end sends the OPENs
	SL_LINK_DOUBTED =
		0x02, // acceptor: the session was dead since the opener was last heard on it
};

// The end of a session a record came by or is to go by: own session id, the low bits of that
// session's epoch (which counts the peer's incarnations), and the lane.
struct sl_link_peer {
	uint32_t session;
	uint16_t epoch;
	uint16_t lane;
};

struct sl_flow_link {
	uint32_t peer_flow; // id the peer gave; valid when peer_generation is not 0
	uint32_t session; // own id of the session the flow uses
	uint16_t epoch; // of the session when the flow was (re)opened
	uint16_t lane; // the flow's lane, that of its OPEN
	uint8_t peer_generation; // 0: peer's id unknown
	uint8_t own_generation; // of the slot, from sl_slots_take()
	uint8_t state; // enum sl_link_state
	uint8_t flags; // enum sl_link_flag
	uint32_t asked_ds; // first record sent since the peer was last heard; 0: none
	uint32_t owner_data; // the flow's owner's, untouched here
};
static_assert(sizeof(struct sl_flow_link) == 24, "leaves 40 octets of a line for the key");

// What travels with the next packet.
enum sl_link_send {
	SL_SEND_NOTHING = 0, // no way to reach the peer now: drop the packet
	SL_SEND_DATA, // DATA to (peer_flow, peer_generation)
	SL_SEND_ACCEPT_DATA, // ACCEPT, then DATA in the same datagram if it fits
	SL_SEND_OPEN, // the packet inside an OPEN, with sl_open_flags()
};

// What an incoming record does. DROP_STALE is 0 so that a forgotten case fails closed.
enum sl_link_verdict {
	SL_LINK_DROP_STALE =
		0, // not for this flow: drop, answer with sl_unknown_answer() at a bounded rate
	SL_LINK_IGNORE, // for this flow, and says nothing new or nothing it may say
	SL_LINK_DELIVER, // DATA, ERROR: on to client or host
	SL_LINK_ACCEPTED, // ACCEPT: peer's id is known now
	SL_LINK_DUPLICATE, // OPEN for a flow as it stands: answer ACCEPT, deliver its packet
	SL_LINK_REATTACH, // OPEN that moved the flow to another id or session: the same
	SL_LINK_PEER_CLOSED, // CLOSE: end the flow toward client or host; link is CLOSED
	SL_LINK_REJECTED, // REJECT: the same; a PoP answers its client RST or ICMP by the reason
	SL_LINK_VOIDED, // opener: peer does not know the flow; the next packet opens it again
	SL_LINK_ORPHANED, // acceptor: the same; free it in SL_FLOW_ORPHAN_S unless opened again
};

// What an OPEN does that hit no flow of this worker.
enum sl_open_verdict {
	SL_OPEN_REJECT = 0, // REJECT{NO_FLOW}
	SL_OPEN_SEARCH, // pass it once round the other workers
	SL_OPEN_CREATE,
};

// Opener: begin a flow over `peer`, or move it there (another connector); own_generation is kept.
static inline void
sl_link_open(struct sl_flow_link *link, struct sl_link_peer peer)
{
	*link = (struct sl_flow_link){
		.session = peer.session,
		.epoch = peer.epoch,
		.lane = peer.lane,
		.own_generation = link->own_generation,
		.state = SL_LINK_OPENING,
		.flags = SL_LINK_OPENER,
		.owner_data = link->owner_data,
	};
}

// Acceptor: a new flow made for this OPEN, or an existing one it hit. In the second case the
// verdict is DUPLICATE or REATTACH; after either (and for a new flow) answer with ACCEPT at once and
// deliver the OPEN's transport octets. The caller has compared tenant, flow key and protocol.
enum sl_link_verdict
sl_link_accept(struct sl_flow_link *link, struct sl_link_peer peer, const struct sl_open *open);

// Either end: the flow is over (after CLOSE has been sent, if it is to be). Nothing is believed any
// more. Call before the slot is given back.
static inline void
sl_link_close(struct sl_flow_link *link)
{
	link->state = SL_LINK_CLOSED;
	link->peer_generation = 0;
}

// The ids the peer gave are void: an opener opens again with its next packet, an acceptor waits.
void sl_link_void(struct sl_flow_link *link);

// For the sweep: a link idle for `idle_s` no longer trusts its ids after SL_FLOW_ID_TRUST_S, for by
// then their generations may have come round.
static inline void
sl_link_age(struct sl_flow_link *link, uint32_t idle_s)
{
	if (idle_s >= SL_FLOW_ID_TRUST_S && link->peer_generation != 0)
		sl_link_void(link);
}

// The uncommon half of sl_link_send().
enum sl_link_send sl_link_send_rare(struct sl_flow_link *link, uint16_t epoch, uint32_t now_ds);

// What to send with the next packet. `epoch` is the present one of link->session. Hot.
static inline enum sl_link_send
sl_link_send(struct sl_flow_link *link, uint16_t epoch, uint32_t now_ds)
{
	if (__builtin_expect(link->state != SL_LINK_OPEN || link->epoch != epoch, 0))
		return sl_link_send_rare(link, epoch, now_ds);
	if (link->asked_ds == 0) {
		link->asked_ds = now_ds | 1;
		return SL_SEND_DATA;
	}
	if (__builtin_expect(
		    (int32_t)(now_ds - link->asked_ds) < (int32_t)SL_FLOW_ASK_AGAIN_S * 10, 1
	    ))
		return SL_SEND_DATA;
	return sl_link_send_rare(link, epoch, now_ds);
}

// Acceptor: the peer that gave the flow's id has restarted, and may be shown the ticket that it gave:
// does the host's packet travel in a REOPEN? Asked after SL_SEND_NOTHING. One packet goes each
// SL_REOPEN_EVERY_DS until the peer answers with ACCEPT or REJECT.
#define SL_REOPEN_EVERY_DS 2u
enum sl_link_reopen {
	SL_REOPEN_NO = 0, // the peer is the one that knew the flow, or was asked just now
	SL_REOPEN_FIRST,
	SL_REOPEN_AGAIN,
};
enum sl_link_reopen
sl_link_reopen(struct sl_flow_link *link, uint16_t epoch, uint16_t lane, uint32_t now_ds);

// Opener: a flow that an authentic REOPEN described, or one that the client's own packets have made
// again meanwhile. Answer with ACCEPT at once and deliver the packet. False: the flow speaks with
// another session now.
[[nodiscard]] bool sl_link_reopened(
	struct sl_flow_link *link, struct sl_link_peer peer, uint32_t flow, uint8_t generation
);

// open_flags of an OPEN that carries this packet: RESUME for TCP in mid-stream, which must never
// create a flow. `tcp_flags` is octet 13 of the TCP header, anything for other protocols.
static inline uint8_t
sl_open_flags(uint8_t protocol, uint8_t tcp_flags)
{
	return protocol == IPPROTO_TCP && (tcp_flags & 0x12) != 0x02 ? SL_OPEN_RESUME : 0;
}

// Does this record belong to the flow in the slot it names?
static inline bool
sl_link_matches(const struct sl_flow_link *link, uint8_t generation, struct sl_link_peer peer)
{
	return link->own_generation == generation && generation != 0 &&
		link->session == peer.session && link->epoch == peer.epoch &&
		link->state != SL_LINK_CLOSED;
}

// A DATA or ERROR record addressed to this flow's slot. Hot.
static inline enum sl_link_verdict
sl_link_data(struct sl_flow_link *link, uint8_t generation, struct sl_link_peer peer)
{
	if (__builtin_expect(!sl_link_matches(link, generation, peer), 0))
		return SL_LINK_DROP_STALE;
	link->asked_ds = 0;
	link->flags &= (uint8_t)~SL_LINK_DOUBTED;
	if (__builtin_expect(link->state == SL_LINK_ACCEPTING, 0))
		link->state = SL_LINK_OPEN;
	return SL_LINK_DELIVER;
}

// An ACCEPT addressed to this slot: ACCEPTED, IGNORE (this end opened nothing) or DROP_STALE.
enum sl_link_verdict sl_link_accepted(
	struct sl_flow_link *link,
	uint8_t generation,
	struct sl_link_peer peer,
	const struct sl_accept *accept
);

// A CLOSE addressed to this slot: PEER_CLOSED, VOIDED, ORPHANED or DROP_STALE (which for CLOSE and
// REJECT is never answered).
enum sl_link_verdict sl_link_closed(
	struct sl_flow_link *link,
	uint8_t generation,
	struct sl_link_peer peer,
	enum sl_close_reason reason
);

// A REJECT addressed to this slot. With SL_CLOSE_UNKNOWN the record header holds the sender's id,
// not this end's: check sl_reject_is_echo() before the slot is looked up.
enum sl_link_verdict
sl_link_rejected(struct sl_flow_link *link, uint8_t generation, struct sl_link_peer peer);

static inline bool
sl_reject_is_echo(uint8_t record_type, enum sl_close_reason reason)
{
	return record_type == SL_RECORD_REJECT && reason == SL_CLOSE_UNKNOWN;
}

// A REJECT{UNKNOWN} said that `session` does not know (flow, generation): if that is what this link
// sends to, void it. True if so. For whoever looks through the flows anyway; nobody must, since an
// unanswered link asks again by itself.
bool sl_link_unknown(
	struct sl_flow_link *link, struct sl_link_peer peer, uint32_t flow, uint8_t generation
);

// The answer to a record that was DROP_STALE or named no slot: REJECT{UNKNOWN} echoing the header of
// DATA or ERROR, CLOSE{UNKNOWN} to the acceptor named in an ACCEPT, nothing for the rest. Returns
// the octets of the whole record, 0 for none.
#define SL_UNKNOWN_ANSWER_BYTES SL_REC_CLOSE_BYTES
unsigned sl_unknown_answer(uint8_t p[SL_UNKNOWN_ANSWER_BYTES], const struct sl_rec *rec);

// An OPEN hit no flow of this worker. `open_flags` as parsed. `may_be_elsewhere`: there are other
// workers that have not been asked, and a flow of the OPEN's tenant might live there: the PoP's
// incarnation is newer than flows still held, or another PoP of the tenant has flows here.
static inline enum sl_open_verdict
sl_open_missed(uint8_t open_flags, bool may_be_elsewhere, bool all_asked)
{
	bool is_resume = (open_flags & SL_OPEN_RESUME) != 0;

	if (!all_asked && (is_resume || may_be_elsewhere))
		return SL_OPEN_SEARCH;
	return is_resume ? SL_OPEN_REJECT : SL_OPEN_CREATE;
}

// The verdict in words, for traces.
const char *sl_link_verdict_text(enum sl_link_verdict verdict);
