// Timers and slots of a session (WireGuard paper, section 6). Handshake messages are in
// peer_handshake.c.
#include "peer_internal.h"

#include <assert.h>
#include <sluice/proto/bytes.h>
#include <stdlib.h>
#include <string.h>

#define REJECT_NS SECONDS_NS(SL_REJECT_AFTER_S)
#define REKEY_NS  SECONDS_NS(SL_REKEY_AFTER_S)
// The initiator that only receives asks for a new key when the old one lives hardly longer than a
// handshake may take.
#define LATE_NS SECONDS_NS(SL_REJECT_AFTER_S - SL_KEEPALIVE_TIMEOUT_S - SL_REKEY_TIMEOUT_S)

struct sl_peer_event *
sl_peer_emit(struct sl_peer_output *out, enum sl_peer_event_type type)
{
	struct sl_peer_event *e;

	if (out->nb >= SL_PEER_EVENTS_MAX)
		abort();
	e = &out->events[out->nb++];
	memset(e, 0, sizeof(*e));
	e->type = type;
	return e;
}

void
sl_peer_output_wipe(struct sl_peer_output *out)
{
	for (unsigned i = 0; i < out->nb; i++)
		sl_wipe(&out->events[i].key, sizeof(out->events[i].key));
	out->nb = 0;
	out->peer = NULL;
}

enum sl_noise_verdict
sl_peer_local_init(
	struct sl_peer_local *local,
	const struct sl_noise_suite *suite,
	const struct sl_noise_private_key *key
)
{
	enum sl_noise_verdict verdict;

	memset(local, 0, sizeof(*local));
	verdict = sl_noise_local_init(&local->noise, suite, key);
	if (verdict == SL_NOISE_OK)
		sl_cookie_checker_init(&local->checker, suite, &local->noise.public);
	return verdict;
}

void
sl_peer_local_wipe(struct sl_peer_local *local)
{
	sl_wipe(local, sizeof(*local));
}

enum sl_noise_verdict
sl_peer_init(
	struct sl_peer *peer,
	struct sl_peer_local *local,
	const struct sl_noise_public *public,
	const struct sl_noise_shared_key *preshared,
	uint8_t flags,
	uint16_t keepalive_s
)
{
	memset(peer, 0, sizeof(*peer));
	peer->local = local;
	peer->flags = flags;
	peer->keepalive_s = keepalive_s;
	peer->keepalive_due_ns = UINT64_MAX;
	peer->answer_due_ns = UINT64_MAX;
	sl_cookie_jar_init(&peer->jar, local->noise.suite, public);
	return sl_noise_remote_init(&peer->remote, &local->noise, public, preshared);
}

void
sl_peer_drop_slot(struct sl_peer_slot *slot, struct sl_peer_output *out)
{
	if (slot->is_used)
		sl_peer_emit(out, SL_PEER_RELEASE)->index = slot->index;
	*slot = (struct sl_peer_slot){ 0 };
}

void
sl_peer_drop_handshake_index(struct sl_peer *peer, struct sl_peer_output *out)
{
	if (peer->has_handshake_index)
		sl_peer_emit(out, SL_PEER_RELEASE)->index = peer->handshake_index;
	peer->has_handshake_index = false;
}

void
sl_peer_stop_asking(struct sl_peer *peer, struct sl_peer_output *out)
{
	if (!peer->is_asking)
		return;
	sl_peer_drop_handshake_index(peer, out);
	peer->is_asking = false;
	sl_wipe(&peer->handshake, sizeof(peer->handshake));
}

void
sl_peer_fini(struct sl_peer *peer, struct sl_peer_output *out)
{
	sl_peer_stop_asking(peer, out);
	sl_peer_drop_slot(&peer->next, out);
	sl_peer_drop_slot(&peer->current, out);
	sl_peer_drop_slot(&peer->previous, out);
	sl_wipe(peer, sizeof(*peer));
}

void
sl_peer_promote(struct sl_peer *peer, struct sl_peer_slot slot, struct sl_peer_output *out)
{
	bool has_hello = peer->local->noise.suite->has_hello;
	bool restarted = has_hello && peer->has_incarnation &&
		peer->incarnation != slot.agreement.incarnation;
	struct sl_peer_event *e;

	if (restarted)
		sl_peer_emit(out, SL_PEER_RESTARTED);
	sl_peer_drop_slot(&peer->previous, out);
	if (restarted)
		sl_peer_drop_slot(&peer->current, out);
	peer->previous = peer->current;
	peer->current = slot;
	peer->incarnation = slot.agreement.incarnation;
	peer->has_incarnation = has_hello;
	e = sl_peer_emit(out, SL_PEER_CONFIRMED);
	e->index = slot.index;
	e->agreement = slot.agreement;
}

void
sl_peer_initiate(struct sl_peer *peer, struct sl_peer_now now, struct sl_peer_output *out)
{
	if (peer->is_asking || (peer->flags & SL_PEER_INITIATES) == 0)
		return;
	peer->is_asking = true;
	peer->asking_since_ns = now.ns;
	sl_peer_send_initiation(peer, now, out);
}

// When the initiator of the current keypair should ask for the next one by itself.
static uint64_t
rekey_due_ns(const struct sl_peer *peer)
{
	if (!peer->current.is_used || peer->is_asking || (peer->flags & SL_PEER_PERSISTENT) == 0)
		return UINT64_MAX;
	// A responder's role may be left to the other end, but a connector must not run dry.
	return peer->current.created_ns +
		(peer->current.is_initiator ? REKEY_NS
					    : REKEY_NS + SECONDS_NS(SL_REKEY_ATTEMPT_S) / 3);
}

static uint64_t
persistent_due_ns(const struct sl_peer *peer)
{
	if (peer->keepalive_s == 0 || !peer->current.is_used)
		return UINT64_MAX;
	return peer->last_sealed_ns + SECONDS_NS(peer->keepalive_s);
}

static uint64_t
slot_ends_ns(const struct sl_peer_slot *slot)
{
	return slot->is_used ? slot->created_ns + REJECT_NS : UINT64_MAX;
}

static uint64_t
earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t
sl_peer_next_deadline(const struct sl_peer *peer)
{
	uint64_t at = peer->is_asking ? peer->retry_ns : UINT64_MAX;

	at = earlier(at, rekey_due_ns(peer));
	at = earlier(at, persistent_due_ns(peer));
	at = earlier(at, peer->keepalive_due_ns);
	at = earlier(at, peer->answer_due_ns);
	at = earlier(at, slot_ends_ns(&peer->previous));
	at = earlier(at, slot_ends_ns(&peer->current));
	return earlier(at, slot_ends_ns(&peer->next));
}

static void
run_expiry(struct sl_peer *peer, struct sl_peer_now now, struct sl_peer_output *out)
{
	if (now.ns >= slot_ends_ns(&peer->previous))
		sl_peer_drop_slot(&peer->previous, out);
	if (now.ns >= slot_ends_ns(&peer->next))
		sl_peer_drop_slot(&peer->next, out);
	if (now.ns < slot_ends_ns(&peer->current))
		return;
	sl_peer_drop_slot(&peer->current, out);
	peer->keepalive_due_ns = UINT64_MAX;
	sl_peer_emit(out, SL_PEER_EXPIRED);
}

static void
run_retry(struct sl_peer *peer, struct sl_peer_now now, struct sl_peer_output *out)
{
	if (!peer->is_asking || now.ns < peer->retry_ns)
		return;
	if (now.ns - peer->asking_since_ns < SECONDS_NS(SL_REKEY_ATTEMPT_S)) {
		sl_peer_send_initiation(peer, now, out);
		return;
	}
	sl_peer_emit(out, SL_PEER_GAVE_UP);
	if ((peer->flags & SL_PEER_PERSISTENT) == 0) {
		sl_peer_stop_asking(peer, out);
		return;
	}
	peer->asking_since_ns = now.ns;
	sl_peer_send_initiation(peer, now, out);
}

void
sl_peer_run(struct sl_peer *peer, struct sl_peer_now now, struct sl_peer_output *out)
{
	bool persistent = (peer->flags & SL_PEER_PERSISTENT) != 0;
	bool rekey = now.ns >= rekey_due_ns(peer);

	run_expiry(peer, now, out);
	run_retry(peer, now, out);
	if (now.ns >= peer->answer_due_ns) {
		peer->answer_due_ns = UINT64_MAX;
		rekey = true;
	}
	if (rekey || (persistent && !peer->current.is_used))
		sl_peer_initiate(peer, now, out);
	if (peer->current.is_used &&
	    (now.ns >= peer->keepalive_due_ns || now.ns >= persistent_due_ns(peer))) {
		// Counted as sealed here, so that a caller that cannot send is not asked at once again.
		peer->keepalive_due_ns = UINT64_MAX;
		peer->last_sealed_ns = now.ns;
		sl_peer_emit(out, SL_PEER_KEEPALIVE);
	}
}

void
sl_peer_note_opened(
	struct sl_peer *peer,
	uint32_t index,
	enum sl_peer_traffic traffic,
	struct sl_peer_now now,
	struct sl_peer_output *out
)
{
	peer->answer_due_ns = UINT64_MAX;
	if (peer->next.is_used && peer->next.index == index) {
		struct sl_peer_slot slot = peer->next;

		peer->next = (struct sl_peer_slot){ 0 };
		sl_peer_promote(peer, slot, out);
	}
	if (peer->current.is_used && peer->current.is_initiator &&
	    now.ns >= peer->current.created_ns + LATE_NS)
		sl_peer_initiate(peer, now, out);
	// The tunnel has its heartbeats.
	if (traffic == SL_PEER_DATA && !peer->local->noise.suite->has_hello &&
	    peer->keepalive_due_ns == UINT64_MAX)
		peer->keepalive_due_ns = now.ns + SECONDS_NS(SL_KEEPALIVE_TIMEOUT_S);
}

void
sl_peer_note_sealed(
	struct sl_peer *peer,
	enum sl_peer_traffic traffic,
	struct sl_peer_now now,
	struct sl_peer_output *out
)
{
	const struct sl_peer_slot *current = &peer->current;

	peer->last_sealed_ns = now.ns;
	peer->keepalive_due_ns = UINT64_MAX;
	if (!current->is_used ||
	    (current->is_initiator && now.ns >= current->created_ns + REKEY_NS))
		sl_peer_initiate(peer, now, out);
	if (traffic == SL_PEER_DATA && !peer->local->noise.suite->has_hello &&
	    (peer->flags & SL_PEER_INITIATES) != 0 && peer->answer_due_ns == UINT64_MAX)
		peer->answer_due_ns = now.ns +
			SECONDS_NS(SL_KEEPALIVE_TIMEOUT_S + SL_REKEY_TIMEOUT_S);
}

void
sl_peer_note_used_up(struct sl_peer *peer, struct sl_peer_now now, struct sl_peer_output *out)
{
	if (peer->current.is_used)
		sl_peer_initiate(peer, now, out);
}
