// What workers tell of WireGuard clients: counts in the session's lane. Some entries are looked at a
// turn, so that ten thousand clients cost no turn much.
#include "clients.h"

#include <sluice/dp/dp.h>

#define SCAN_NS      (250 * SL_NS_PER_MS) // each session is looked at this often
#define SCAN_STEP_NS CLIENTS_SCAN_STEP_NS

// Has the first datagram under a new key come?
static void
look_for_proof(struct sl_service *s, struct client *e)
{
	struct sl_peer_output out = { .nb = 0 };
	const struct sl_keypair *keypair;

	if (!e->peer.next.is_used)
		return;
	keypair = atomic_load(keys_published(s, e->peer.next.index));
	if (keypair == NULL || !atomic_load(&keypair->confirmed))
		return;
	sl_peer_note_opened(&e->peer, e->peer.next.index, SL_PEER_EMPTY, service_clocks(s), &out);
	client_carry_out(s, &out, e);
}

// Follow where the workers have found it.
static void
look_for_move(struct sl_service *s, struct client *e)
{
	const struct sl_lane_endpoint *lane = sl_session_lane(&s->sessions->sessions[e->session]);
	struct address remote = { lane->remote, lane->remote_port };

	// A worker that has not used the newest key yet does not know where the client is.
	if (!e->peer.current.is_used || lane->index != e->peer.current.index)
		return;
	if (remote.ip != 0 && (remote.ip != e->remote.ip || remote.port != e->remote.port))
		client_moved(s, e, remote);
	if (remote.ip != 0)
		e->local = (struct address){ lane->local, lane->local_port };
	if (e->remote.ip != 0) {
		e->peer.flags |= SL_PEER_INITIATES;
		if (e->stored.ip != e->remote.ip || e->stored.port != e->remote.port)
			client_store_remote(s, e);
	}
}

// Has the key in force sealed so much that the next is due?
static void
look_for_end(struct sl_service *s, struct client *e)
{
	struct sl_peer_output out = { .nb = 0 };
	const struct sl_keypair *keypair;

	if (!e->peer.current.is_used || e->peer.is_asking || e->peer.next.is_used)
		return;
	keypair = atomic_load(keys_published(s, e->peer.current.index));
	if (keypair == NULL || !atomic_load_explicit(&keypair->wants_rekey, memory_order_relaxed))
		return;
	sl_peer_note_used_up(&e->peer, service_clocks(s), &out);
	client_carry_out(s, &out, e);
}

// Tell the timers what was opened and sealed since the last look, in sum. When both were, only the
// later is owed an answer: the earlier had its.
static void
look_for_traffic(struct sl_service *s, struct client *e)
{
	struct sl_peer_now now = service_clocks(s);
	struct sl_peer_output out = { .nb = 0 };
	bool opened, heard, sealed, wanted;
	struct client_traffic seen;
	int32_t later;

	client_traffic(s, e, &seen);
	opened = seen.opened_pkts != e->opened_pkts;
	heard = opened || seen.opened_empty_pkts != e->opened_empty_pkts;
	sealed = seen.sealed_pkts != e->sealed_pkts;
	wanted = seen.wanted_pkts != e->wanted_pkts;
	if (!heard && !sealed && !wanted)
		return;
	e->opened_pkts = seen.opened_pkts;
	e->opened_empty_pkts = seen.opened_empty_pkts;
	e->sealed_pkts = seen.sealed_pkts;
	e->wanted_pkts = seen.wanted_pkts;
	later = (int32_t)(seen.sealed_at - sl_session_tick(seen.heard_ns));
	if (heard && (!sealed || later > 0))
		sl_peer_note_opened(&e->peer, 0, opened ? SL_PEER_DATA : SL_PEER_EMPTY, now, &out);
	if (sealed)
		sl_peer_note_sealed(&e->peer, SL_PEER_DATA, now, &out);
	if (heard && sealed && later <= 0)
		sl_peer_note_opened(
			&e->peer, 0, opened && later < 0 ? SL_PEER_DATA : SL_PEER_EMPTY, now, &out
		);
	if (wanted && !e->peer.current.is_used && !e->peer.next.is_used)
		sl_peer_initiate(&e->peer, now, &out);
	client_carry_out(s, &out, e);
}

void
client_look(struct sl_service *s, struct client *e)
{
	look_for_proof(s, e);
	look_for_move(s, e);
	look_for_traffic(s, e);
	look_for_end(s, e);
}

void
clients_scan(struct sl_service *s)
{
	struct clients *c = s->clients;
	uint64_t past_ns = RTE_MIN(s->now_ns - c->scanned_ns, (uint64_t)SCAN_NS);
	uint64_t nb = (c->nb_used * past_ns + SCAN_NS - 1) / SCAN_NS;

	if (past_ns < SCAN_STEP_NS || c->nb_used == 0)
		return;
	c->scanned_ns = s->now_ns;
	for (; nb != 0; nb--) {
		struct client *e;

		c->scan_at = c->scan_at + 1 >= c->nb_used ? 0 : c->scan_at + 1;
		e = c->by_session[c->used[c->scan_at]];
		if (e->is_ready)
			client_look(s, e);
	}
}
