#include <sluice/proto/flowproto.h>

enum sl_link_verdict
sl_link_accept(struct sl_flow_link *link, struct sl_link_peer peer, const struct sl_open *open)
{
	bool is_same = link->state != SL_LINK_CLOSED && link->session == peer.session &&
		link->epoch == peer.epoch && link->peer_flow == open->flow &&
		link->peer_generation == open->generation;

	*link = (struct sl_flow_link){
		.peer_flow = open->flow,
		.session = peer.session,
		.epoch = peer.epoch,
		.lane = peer.lane,
		.peer_generation = open->generation,
		.own_generation = link->own_generation,
		// Also for a duplicate: the opener may not have heard the ACCEPT before.
		.state = SL_LINK_ACCEPTING,
		.owner_data = link->owner_data,
	};
	return is_same ? SL_LINK_DUPLICATE : SL_LINK_REATTACH;
}

void
sl_link_void(struct sl_flow_link *link)
{
	link->peer_generation = 0;
	link->asked_ds = 0;
	if (link->state == SL_LINK_CLOSED)
		return;
	link->state = (link->flags & SL_LINK_OPENER) != 0 ? SL_LINK_OPENING : SL_LINK_WAITING;
}

static enum sl_link_send
send_opener(struct sl_flow_link *link, uint32_t now_ds)
{
	// In state OPEN this packet alone asks; those after it use the id that may still be good.
	link->asked_ds = now_ds | 1;
	return SL_SEND_OPEN;
}

static enum sl_link_send
send_acceptor(struct sl_flow_link *link, uint32_t now_ds)
{
	if (link->state == SL_LINK_WAITING || link->state == SL_LINK_REOPENING)
		return SL_SEND_NOTHING;
	link->asked_ds = now_ds | 1;
	return SL_SEND_ACCEPT_DATA;
}

enum sl_link_send
sl_link_send_rare(struct sl_flow_link *link, uint16_t epoch, uint32_t now_ds)
{
	if (link->state == SL_LINK_CLOSED)
		return SL_SEND_NOTHING;
	if (link->epoch != epoch) {
		sl_link_void(link);
		// The opener speaks to the new incarnation now. The acceptor keeps the old epoch until an
		// OPEN: nothing of the new incarnation can be meant for it before.
		if ((link->flags & SL_LINK_OPENER) != 0)
			link->epoch = epoch;
	}
	return (link->flags & SL_LINK_OPENER) != 0 ? send_opener(link, now_ds)
						   : send_acceptor(link, now_ds);
}

enum sl_link_reopen
sl_link_reopen(struct sl_flow_link *link, uint16_t epoch, uint16_t lane, uint32_t now_ds)
{
	enum sl_link_reopen reopen = SL_REOPEN_FIRST;

	if ((link->flags & SL_LINK_OPENER) != 0 || link->state == SL_LINK_CLOSED)
		return SL_REOPEN_NO;
	if (link->epoch == epoch) {
		if (link->state != SL_LINK_REOPENING ||
		    now_ds - link->asked_ds < SL_REOPEN_EVERY_DS)
			return SL_REOPEN_NO;
		reopen = SL_REOPEN_AGAIN;
	}
	sl_link_void(link);
	link->state = SL_LINK_REOPENING;
	link->epoch = epoch;
	link->lane = lane;
	link->asked_ds = now_ds;
	return reopen;
}

bool
sl_link_reopened(
	struct sl_flow_link *link, struct sl_link_peer peer, uint32_t flow, uint8_t generation
)
{
	if (link->state != SL_LINK_CLOSED &&
	    (link->session != peer.session || (link->flags & SL_LINK_OPENER) == 0))
		return false;
	*link = (struct sl_flow_link){
		.peer_flow = flow,
		.session = peer.session,
		.epoch = peer.epoch,
		.lane = peer.lane,
		.peer_generation = generation,
		.own_generation = link->own_generation,
		.state = SL_LINK_OPEN,
		.flags = SL_LINK_OPENER,
		.owner_data = link->owner_data,
	};
	return true;
}

enum sl_link_verdict
sl_link_accepted(
	struct sl_flow_link *link,
	uint8_t generation,
	struct sl_link_peer peer,
	const struct sl_accept *accept
)
{
	if (!sl_link_matches(link, generation, peer))
		return SL_LINK_DROP_STALE;
	if ((link->flags & SL_LINK_OPENER) == 0 && link->state != SL_LINK_REOPENING)
		return SL_LINK_IGNORE;
	link->peer_flow = accept->flow;
	link->peer_generation = accept->generation;
	link->state = SL_LINK_OPEN;
	link->asked_ds = 0;
	return SL_LINK_ACCEPTED;
}

enum sl_link_verdict
sl_link_closed(
	struct sl_flow_link *link,
	uint8_t generation,
	struct sl_link_peer peer,
	enum sl_close_reason reason
)
{
	if (!sl_link_matches(link, generation, peer))
		return SL_LINK_DROP_STALE;
	if (reason == SL_CLOSE_UNKNOWN) {
		sl_link_void(link);
		return (link->flags & SL_LINK_OPENER) != 0 ? SL_LINK_VOIDED : SL_LINK_ORPHANED;
	}
	sl_link_close(link);
	return SL_LINK_PEER_CLOSED;
}

enum sl_link_verdict
sl_link_rejected(struct sl_flow_link *link, uint8_t generation, struct sl_link_peer peer)
{
	if (!sl_link_matches(link, generation, peer))
		return SL_LINK_DROP_STALE;
	if ((link->flags & SL_LINK_OPENER) == 0 && link->state != SL_LINK_REOPENING)
		return SL_LINK_IGNORE;
	sl_link_close(link);
	return SL_LINK_REJECTED;
}

bool
sl_link_unknown(
	struct sl_flow_link *link, struct sl_link_peer peer, uint32_t flow, uint8_t generation
)
{
	if (generation == 0 || link->peer_generation != generation || link->peer_flow != flow ||
	    link->session != peer.session || link->epoch != peer.epoch)
		return false;
	sl_link_void(link);
	return true;
}

unsigned
sl_unknown_answer(uint8_t p[SL_UNKNOWN_ANSWER_BYTES], const struct sl_rec *rec)
{
	struct sl_accept accept;

	// Never an answer to CLOSE or REJECT: two ends that both know nothing would talk for ever.
	if (rec->type == SL_RECORD_ACCEPT) {
		if (sl_accept_parse(rec, &accept) != SL_BODY_OK)
			return 0;
		sl_close_put(p, SL_RECORD_CLOSE, accept.flow, accept.generation, SL_CLOSE_UNKNOWN);
		return SL_REC_CLOSE_BYTES;
	}
	if ((rec->type != SL_RECORD_DATA && rec->type != SL_RECORD_ERROR) || rec->generation == 0)
		return 0;
	sl_close_put(p, SL_RECORD_REJECT, rec->flow, rec->generation, SL_CLOSE_UNKNOWN);
	return SL_REC_CLOSE_BYTES;
}

const char *
sl_link_verdict_text(enum sl_link_verdict verdict)
{
	static const char *const texts[] = {
		[SL_LINK_DROP_STALE] = "record is for another flow, session or incarnation",
		[SL_LINK_IGNORE] = "record says nothing new",
		[SL_LINK_DELIVER] = "record delivered",
		[SL_LINK_ACCEPTED] = "flow accepted by the peer",
		[SL_LINK_DUPLICATE] = "flow opened again as it stands",
		[SL_LINK_REATTACH] = "flow re-attached",
		[SL_LINK_PEER_CLOSED] = "flow closed by the peer",
		[SL_LINK_REJECTED] = "flow refused by the peer",
		[SL_LINK_VOIDED] = "peer does not know the flow; it is opened again",
		[SL_LINK_ORPHANED] = "peer does not know the flow; it waits to be opened again",
	};

	return texts[verdict];
}
