#include "last_words.h"

#include <netinet/in.h>
#include <sluice/dns/addresses.h>
#include <sluice/dp/admission.h>
#include <sluice/dp/flow_event.h>
#include <sluice/dp/flow_life.h>
#include <sluice/dp/flow_table.h>
#include <sluice/dp/inner.h>
#include <sluice/dp/lane_port.h>
#include <sluice/dp/names_cache.h>
#include <sluice/dp/path_mtu.h>
#include <sluice/dp/quota.h>
#include <sluice/dp/reject.h>
#include <sluice/dp/session.h>
#include <sluice/dp/tickets.h>
#include <sluice/dp/trace.h>
#include <sluice/dp/upkeep.h>
#include <sluice/proto/keypair.h>
#include <sluice/proto/record.h>

#define SWEEP_PERIOD_DS      10u // the whole table is looked at this often
#define SWEEP_MAX            4096u // records a tick, at most
#define ASK_AGAIN_LOOKS      8u // asking the policy about a flow again counts as so many records
#define NAME_USE_S           8u // a flow says so often that its name is in use
#define HALF_OPEN_PRESSED_DS 50u // idle time of half-open connections of a client with many
#define CLOSE_MAX            256u // flows ended a tick when the node stops

// ---- Mail -------------------------------------------------------------------------------------------

static void
set_endpoint(struct sl_worker *w, const struct sl_mail *mail)
{
	struct sl_session *s = &w->sessions->sessions[mail->session];

	for (uint16_t k = w->idx; k < SL_WIRE_MAX_LANES; k = (uint16_t)(k + w->nb_workers)) {
		struct sl_lane_endpoint *e = &s->lanes[k];
		bool is_new = e->remote != mail->remote || s->paths[k].max_bytes != mail->mtu_bytes;

		e->remote = mail->remote;
		e->remote_port = mail->remote_port;
		e->local = mail->local;
		e->local_port = mail->local_port;
		if (mail->is_initiator)
			e->local_port = rte_cpu_to_be_16((uint16_t
			)(rte_be_to_cpu_16(mail->local_port) + k));
		// A rekey over the same way keeps what is known of it.
		if (is_new)
			sl_path_mtu_begin(e, &s->paths[k], mail->mtu_bytes);
		sl_lane_port_begin(
			&s->ports[k], mail->is_initiator ? rte_be_to_cpu_16(mail->local_port) : 0
		);
		e->heard_ns = w->now_ns;
	}
}

static void
ping(struct sl_worker *w, uint32_t session)
{
	struct rte_mbuf *m = sl_upkeep_record(w, session, 0, SL_REC_HEARTBEAT_BYTES);
	struct sl_heartbeat beat = { .sequence = (uint32_t)(w->now_ns / SL_NS_PER_MS),
				     .timestamp_ns = w->now_ns,
				     .state = sl_sessions_state(w->sessions),
				     .load = sl_preference_own_load(w) };

	if (m == NULL)
		return;
	sl_heartbeat_put(rte_pktmbuf_mtod(m, uint8_t *), &beat);
	sl_upkeep_to_self(w, m, SL_STAGE_SEAL);
}

void
sl_upkeep_mail(struct sl_worker *w, struct sl_mail *mail)
{
	switch ((enum sl_mail_kind)mail->kind) {
	case SL_MAIL_ENDPOINT:
		set_endpoint(w, mail);
		break;
	case SL_MAIL_PING:
		ping(w, mail->session);
		break;
	case SL_MAIL_NAME:
		sl_names_cache_put(w->names, mail, w->now_ns);
		break;
	case SL_MAIL_PEER_RESTARTED:
	case SL_MAIL_PEER_BACK:
		w->cut_restarted = mail->session + 1;
		w->cut_due = w->flows->nb_flows;
		break;
	case SL_MAIL_SESSION_GONE:
		w->cut_due = w->flows->nb_flows;
		break;
	case SL_MAIL_STOP:
	default:
		break;
	}
}

// ---- Expiry -----------------------------------------------------------------------------------------

static uint32_t
timeout_of(const struct sl_timeouts *t, const struct sl_flow *f)
{
	rte_be16_t service = f->kind == SL_FLOW_CLIENT ? f->key.destination_port_be
						       : f->key.source_port_be;

	switch ((uint8_t)f->key.scope_protocol) {
	case IPPROTO_TCP:
		if (f->tcp == SL_TCP_CLOSING || f->tcp == SL_TCP_RESET)
			return t->tcp_closed_ds;
		return f->tcp == SL_TCP_ESTABLISHED || f->tcp == SL_TCP_FIN_UP ||
				f->tcp == SL_TCP_FIN_DOWN
			? t->tcp_established_ds
			: t->tcp_transitory_ds;
	case IPPROTO_UDP:
		if (f->kind != SL_FLOW_QUERY && service != RTE_BE16(53))
			return t->udp_ds;
		// As many answers as questions: nothing is waited for, unless a client uses the
		// socket again at once (RFC 4787 lets a port be an application's own matter).
		return f->kind != SL_FLOW_QUERY && f->pkts_down >= f->pkts_up ? t->tcp_closed_ds
									      : t->dns_ds;
	default:
		return t->icmp_ds;
	}
}

// The PoP is the authority on expiry and says CLOSE; a connector only forgets, later. A node that
// stops says it whatever its role.
static void
expire(struct sl_worker *w, uint32_t index, enum sl_close_reason reason)
{
	struct sl_flow *f = sl_flow_at(w->flows, index);

	if (f->kind == SL_FLOW_CLIENT || reason == SL_CLOSE_SHUTDOWN)
		sl_upkeep_close(w, f, reason);
	sl_flow_over(w, index, (uint8_t)reason);
}

// A flow that lasts gets a fresh ticket now and then: one may have been lost, and each is good for a
// limited time. The sweep comes by about once a second.
static void
renew_ticket(struct sl_worker *w, const struct sl_flow *f)
{
	uint32_t age_s = (w->now_ds - f->started_ds) / 10;
	struct rte_mbuf *m;

	if ((age_s != SL_TICKET_FIRST_S && age_s % SL_TICKET_AGAIN_S != 0) || age_s == 0 ||
	    !sl_flow_gets_ticket(w, f))
		return;
	m = sl_upkeep_record(w, f->link.session, f->link.lane, SL_REC_TICKET_BYTES);
	if (m == NULL)
		return;
	sl_flow_ticket_put(w, f, rte_pktmbuf_mtod(m, uint8_t *));
	sl_upkeep_to_self(w, m, SL_STAGE_SEAL);
}

// A client's flow, each second or so: does the policy still admit it, is its session alive? Its name
// is in use for as long as it stands.
static void
look_at_client_flow(struct sl_worker *w, struct sl_flow *f, uint32_t index)
{
	if (w->snapshot == NULL)
		return;
	if (!sl_flow_is_admitted(w, f)) {
		if (sl_words_to_client(w, f, SL_CLOSE_POLICY))
			expire(w, index, SL_CLOSE_POLICY);
		return;
	}
	if (sl_words_is_cut(w, f)) {
		if (sl_words_to_client(w, f, SL_CLOSE_SHUTDOWN))
			expire(w, index, SL_CLOSE_SHUTDOWN);
		return;
	}
	renew_ticket(w, f);
	if (f->pop.name != SL_NO_NAME && (w->now_ds / 10 + index) % NAME_USE_S == 0)
		sl_addresses_use(
			sl_tenant_of_client(w, f->pop.client)->addresses, f->pop.name, sl_now_s(w)
		);
}

// A handshake that nobody completes is given up early when its client has many of them.
static bool
is_flooding(const struct sl_worker *w, const struct sl_flow *f, uint32_t idle_ds)
{
	return f->kind == SL_FLOW_CLIENT && (uint8_t)f->key.scope_protocol == IPPROTO_TCP &&
		sl_quota_is_half_open(f->tcp) && idle_ds > HALF_OPEN_PRESSED_DS &&
		sl_quota_is_pressed(w, f->pop.client);
}

// Once for each interval that has passed over the flow between the last pass of the sweep and this
// one: a pass looks at every flow once.
static bool
is_interim_due(const struct sl_worker *w, const struct sl_flow *f)
{
	uint32_t now_ds = w->pass_ds - f->started_ds, before_ds = w->last_pass_ds - f->started_ds;

	// A flow begun since the passes were: not yet.
	return (int32_t)before_ds >= 0 && now_ds / w->interim_ds != before_ds / w->interim_ds;
}

// The sweep begins at the head of the table again.
static void
begin_pass(struct sl_worker *w)
{
	const struct sl_flow_events *e = w->flow_events;

	w->last_pass_ds = w->pass_ds;
	w->pass_ds = w->now_ds;
	w->interim_ds = sl_flow_events_on(e)
		? atomic_load_explicit(&e->interim_s, memory_order_relaxed) * 10
		: 0;
}

// A connector's flow of which the PoP seems to know nothing any more.
static bool
is_orphan(const struct sl_flow *f)
{
	return f->link.state == SL_LINK_WAITING || f->link.state == SL_LINK_REOPENING ||
		(f->link.flags & SL_LINK_DOUBTED) != 0;
}

static void
look_at(struct sl_worker *w, struct sl_flow *f, uint32_t index)
{
	uint32_t idle_ds = w->now_ds - f->last_seen_ds;

	if (idle_ds > timeout_of(&w->timeouts, f) || is_flooding(w, f, idle_ds)) {
		expire(w, index, SL_CLOSE_DONE);
		return;
	}
	if (f->kind == SL_FLOW_QUERY || f->kind == SL_FLOW_STREAM)
		return;
	if (w->interim_ds != 0 && is_interim_due(w, f))
		sl_flow_interim(w, index);
	sl_link_age(&f->link, idle_ds / 10);
	if (f->kind == SL_FLOW_CLIENT)
		look_at_client_flow(w, f, index);
	else if (is_orphan(f) && idle_ds > SL_FLOW_ORPHAN_S * 10)
		expire(w, index, SL_CLOSE_DONE);
}

// Was it admitted under a policy that is no longer in force?
static inline bool
is_of_before(const struct sl_worker *w, const struct sl_flow *f)
{
	return f->kind == SL_FLOW_CLIENT && w->snapshot != NULL &&
		f->pop.generation != w->snapshot->generation;
}

static void
sweep(struct sl_worker *w)
{
	struct sl_flow_table *t = w->flows;
	uint32_t past_ds = w->now_ds - w->swept_ds, nb = SWEEP_MAX;

	w->swept_ds = w->now_ds;
	w->sweep_due = (uint32_t)RTE_MIN(
		w->sweep_due +
			((uint64_t)t->nb_flows * past_ds + SWEEP_PERIOD_DS - 1) / SWEEP_PERIOD_DS,
		(uint64_t)t->nb_flows
	);
	while (w->sweep_due != 0 && nb != 0) {
		struct sl_flow *f = &t->flows[t->sweep_at];

		// The walks after a reload are hardly longer than others: it only takes more of them.
		nb -= RTE_MIN(nb, is_of_before(w, f) ? ASK_AGAIN_LOOKS : 1);
		w->sweep_due--;
		if (t->sweep_at == 0)
			begin_pass(w);
		rte_prefetch0(&t->flows[(t->sweep_at + 8) % t->nb_flows].last_seen_ds);
		if (f->kind != SL_FLOW_FREE)
			look_at(w, f, t->sweep_at);
		t->sweep_at = t->sweep_at + 1 == t->nb_flows ? 0 : t->sweep_at + 1;
	}
}

// ---- Heartbeats -------------------------------------------------------------------------------------

static void
beat(struct sl_worker *w, uint32_t session)
{
	struct sl_session *s = &w->sessions->sessions[session];
	bool is_up = atomic_load_explicit(&s->current, memory_order_relaxed) != NULL;

	if (w->idx == 0)
		sl_preference_look(
			&s->preference,
			!is_up || sl_preference_is_silent(s, w->timeouts.suspect_ms, w->now_ns),
			w->now_ns
		);
	if (!is_up)
		return;
	if (w->idx == 0)
		ping(w, session);
	sl_path_mtu_probe(w, session);
	sl_lane_port_report(w, session);
}

// Lane 0 of every session belongs to worker 0, which so keeps all of them alive. Each worker asks
// about the paths of its own lanes.
static void
heartbeats(struct sl_worker *w)
{
	uint32_t end = atomic_load_explicit(&w->sessions->tunnels_end, memory_order_relaxed);

	if (w->now_ns < w->next_beat_ns)
		return;
	if (end == 0)
		end = w->sessions->nb_sessions;
	w->next_beat_ns = w->now_ns + SL_HEARTBEAT_MS * SL_NS_PER_MS;
	for (uint32_t i = 0; i < end; i++)
		if (atomic_load_explicit(&w->sessions->sessions[i].kind, memory_order_relaxed) ==
		    SL_SESSION_TUNNEL)
			beat(w, i);
}

// End a share of the flows: as many as the worker's own mailbox takes.
static void
close_all(struct sl_worker *w)
{
	unsigned nb = 0;

	for (uint32_t i = 0; i < w->flows->nb_flows && nb < CLOSE_MAX; i++) {
		if (w->flows->flows[i].kind == SL_FLOW_FREE)
			continue;
		expire(w, i, SL_CLOSE_SHUTDOWN);
		nb++;
	}
	if (nb == 0)
		atomic_store_explicit(&w->is_closing, false, memory_order_release);
}

void
sl_upkeep_tick(struct sl_worker *w)
{
	if (unlikely(atomic_load_explicit(&w->is_closing, memory_order_acquire)))
		close_all(w);
	sl_waiting_tick(w);
	sl_words_tick(w);
	sweep(w);
	sl_flow_events_tick(w, SL_DENIALS_DUE);
	heartbeats(w);
}
