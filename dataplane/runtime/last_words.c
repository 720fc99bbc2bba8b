#include "last_words.h"

#include <netinet/in.h>
#include <sluice/dp/flow_life.h>
#include <sluice/dp/flow_table.h>
#include <sluice/dp/ip4.h>
#include <sluice/dp/reject.h>
#include <sluice/dp/session.h>
#include <sluice/dp/trace.h>
#include <sluice/dp/upkeep.h>

#define CUT_MAX  4096u // records looked at in a turn
#define SAID_MAX 256u // flows cut off in a turn: their packets wait in the worker's own mailbox

bool
sl_upkeep_to_self(struct sl_worker *w, struct rte_mbuf *m, uint8_t stage)
{
	sl_meta(m)->stage = stage;
	if (rte_ring_sp_enqueue(w->from_worker[w->idx], m) == 0)
		return true;
	w->stats.created--; // it never came to be
	rte_pktmbuf_free_bulk(&m, 1);
	return false;
}

struct rte_mbuf *
sl_upkeep_record(struct sl_worker *w, uint32_t session, uint16_t lane, uint16_t nb_bytes)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->pool);

	if (m == NULL)
		return NULL;
	memset(sl_meta(m), 0, sizeof(struct sl_meta));
	sl_meta(m)->session = session;
	sl_meta(m)->lane = lane;
	rte_pktmbuf_append(m, nb_bytes);
	w->stats.created++;
	return m;
}

static uint16_t
epoch_of(const struct sl_worker *w, const struct sl_flow *f)
{
	const struct sl_session *s = &w->sessions->sessions[f->link.session];

	return (uint16_t)atomic_load_explicit(&s->epoch, memory_order_relaxed);
}

void
sl_upkeep_close(struct sl_worker *w, const struct sl_flow *f, enum sl_close_reason reason)
{
	struct rte_mbuf *m;

	// What an incarnation that is gone called it would be another flow's name now.
	if (f->link.peer_generation == 0 || f->link.epoch != epoch_of(w, f))
		return;
	m = sl_upkeep_record(w, f->link.session, f->link.lane, SL_REC_CLOSE_BYTES);
	if (m == NULL)
		return;
	sl_close_put(
		rte_pktmbuf_mtod(m, uint8_t *),
		SL_RECORD_CLOSE,
		f->link.peer_flow,
		f->link.peer_generation,
		reason
	);
	sl_upkeep_to_self(w, m, SL_STAGE_SEAL);
}

bool
sl_words_to_client(struct sl_worker *w, const struct sl_flow *f, enum sl_close_reason reason)
{
	struct rte_mbuf *m;

	if ((uint8_t)f->key.scope_protocol != IPPROTO_TCP || f->tcp < SL_TCP_ESTABLISHED ||
	    f->tcp >= SL_TCP_CLOSING)
		return true;
	m = sl_upkeep_record(w, 0, 0, 0);
	if (m == NULL)
		return false;
	sl_reject_flow(m, f, (uint8_t)reason);
	sl_meta(m)->client = f->pop.client;
	sl_meta(m)->reason = (uint8_t)reason;
	sl_trace_flag(w, sl_meta(m));
	sl_meta(m)->resolved = sl_ip4_unmap(f->key.destination);
	sl_meta(m)->l4_offset = sizeof(struct rte_ipv4_hdr);
	sl_meta(m)->protocol = IPPROTO_TCP;
	return sl_upkeep_to_self(w, m, SL_STAGE_TO_CLIENT);
}

static bool
is_established(const struct sl_flow *f)
{
	return (uint8_t)f->key.scope_protocol == IPPROTO_TCP && f->tcp >= SL_TCP_ESTABLISHED;
}

bool
sl_words_is_cut(const struct sl_worker *w, const struct sl_flow *f)
{
	const struct sl_session *s = &w->sessions->sessions[f->link.session];

	if (atomic_load_explicit(&s->current, memory_order_relaxed) == NULL)
		return true;
	return f->link.epoch != epoch_of(w, f) && is_established(f);
}

// A packet of the client's may have asked the new incarnation before the mail was read, under a key that
// died with the old one: no answer comes.
static bool
has_asked_in_vain(const struct sl_worker *w, const struct sl_flow *f)
{
	return f->link.session + 1 == w->cut_restarted && f->link.state == SL_LINK_OPENING;
}

// A PoP that held the session for dead has reset these flows, and could not say so. Those it did not,
// it speaks on sooner or later; the others are forgotten when they have been idle for a while.
static void
doubt(const struct sl_worker *w, struct sl_flow *f)
{
	if (f->kind == SL_FLOW_HOST && f->link.session + 1 == w->cut_restarted)
		f->link.flags |= SL_LINK_DOUBTED;
}

static bool
is_to_be_cut(const struct sl_worker *w, const struct sl_flow *f)
{
	return f->kind == SL_FLOW_CLIENT && is_established(f) &&
		(sl_words_is_cut(w, f) || has_asked_in_vain(w, f));
}

void
sl_words_tick(struct sl_worker *w)
{
	struct sl_flow_table *t = w->flows;
	unsigned nb_said = 0;

	for (unsigned i = 0; i < CUT_MAX && w->cut_due != 0 && nb_said < SAID_MAX; i++) {
		struct sl_flow *f = &t->flows[w->cut_at];

		doubt(w, f);
		if (is_to_be_cut(w, f)) {
			if (!sl_words_to_client(w, f, SL_CLOSE_SHUTDOWN))
				return; // no packet buffer now: here again in the next turn
			sl_flow_over(w, w->cut_at, SL_CLOSE_SHUTDOWN);
			nb_said++;
		}
		w->cut_at = w->cut_at + 1 >= t->nb_flows ? 0 : w->cut_at + 1;
		if (--w->cut_due == 0)
			w->cut_restarted = 0;
	}
}
