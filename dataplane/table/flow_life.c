#include <sluice/dp/failures.h>
#include <sluice/dp/flow_event.h>
#include <sluice/dp/flow_life.h>
#include <sluice/dp/inner.h>
#include <sluice/dp/nat.h>
#include <sluice/dp/quota.h>
#include <sluice/dp/session.h>
#include <sluice/dp/tally.h>

static void
tell(struct sl_worker *w, const struct sl_flow *f, enum sl_flow_event_kind kind, uint8_t reason)
{
	struct sl_flow_event event = {
		.at_ns = w->now_ns,
		.bytes_up = f->bytes_up,
		.bytes_down = f->bytes_down,
		.pkts_up = f->pkts_up,
		.pkts_down = f->pkts_down,
		.key = f->key,
		.session = f->link.session,
		.age_ds = w->now_ds - f->started_ds,
		.kind = (uint8_t)kind,
		.flow_kind = f->kind,
		.reason = reason,
		.tcp = f->tcp,
	};

	if (f->kind == SL_FLOW_QUERY || f->kind == SL_FLOW_STREAM || f->kind == SL_FLOW_FREE)
		return;
	if (f->kind == SL_FLOW_CLIENT) {
		event.client = f->pop.client;
		event.name = f->pop.name;
		event.resource = f->pop.resource;
	}
	sl_flow_event_put(w, &event);
}

void
sl_flow_begun(struct sl_worker *w, uint32_t index)
{
	const struct sl_flow *f = sl_flow_at(w->flows, index);

	if (f->kind == SL_FLOW_CLIENT)
		sl_quota_flow_begins(w, f);
	sl_tally_begins(w, index);
	if (sl_flow_events_on(w->flow_events))
		tell(w, f, SL_FLOW_EVENT_START, SL_CLOSE_DONE);
}

void
sl_flow_refused(
	struct sl_worker *w, const struct sl_flow_key *key, const struct sl_refusal *refusal
)
{
	struct sl_flow_event event = {
		.at_ns = w->now_ns,
		.key = *key,
		.client = refusal->client,
		.name = refusal->name,
		.resource = refusal->choice == NULL ? UINT32_MAX : refusal->choice->resource,
		.session = SL_NO_SESSION,
		.kind = SL_FLOW_EVENT_DENY,
		.flow_kind = SL_FLOW_CLIENT,
		.reason = refusal->reason,
		.quota = refusal->quota,
	};
	struct sl_failure failure = { .key = *key,
				      .client = refusal->client,
				      .name = refusal->name,
				      .resource = event.resource,
				      .session = SL_NO_SESSION,
				      .kind = SL_FLOW_CLIENT,
				      .reason = refusal->reason,
				      .quota = refusal->quota,
				      .is_refusal = true };

	sl_failure_note(w, &failure);
	sl_tally_refused(w, event.resource);
	sl_quota_denied(w, refusal->client);
	if (sl_flow_events_on(w->flow_events))
		sl_flow_event_deny(w, &event);
}

void
sl_flow_interim(struct sl_worker *w, uint32_t index)
{
	if (sl_flow_events_on(w->flow_events))
		tell(w, sl_flow_at(w->flows, index), SL_FLOW_EVENT_INTERIM, SL_CLOSE_DONE);
}

void
sl_flow_over(struct sl_worker *w, uint32_t index, uint8_t reason)
{
	const struct sl_flow *f = sl_flow_at(w->flows, index);

	if (f->kind == SL_FLOW_HOST && (uint8_t)f->key.scope_protocol == IPPROTO_TCP)
		sl_nat_rest(w, &f->key);
	sl_flow_forget(w, index, reason);
}

// One that did not end of itself leaves its cause behind.
static void
note_failure(struct sl_worker *w, const struct sl_flow *f, uint8_t reason)
{
	struct sl_failure failure = { .key = f->key,
				      .name = SL_NO_NAME,
				      .resource = UINT32_MAX,
				      .session = f->link.session,
				      .kind = f->kind,
				      .reason = reason };

	if (reason == SL_CLOSE_DONE || (f->kind != SL_FLOW_CLIENT && f->kind != SL_FLOW_HOST))
		return;
	if (f->kind == SL_FLOW_CLIENT) {
		failure.client = f->pop.client;
		failure.name = f->pop.name;
		failure.resource = f->pop.resource;
	}
	sl_failure_note(w, &failure);
}

void
sl_flow_forget(struct sl_worker *w, uint32_t index, uint8_t reason)
{
	struct sl_flow *f = sl_flow_at(w->flows, index);
	uint16_t tenant = 0;

	if (sl_flow_events_on(w->flow_events))
		tell(w, f, SL_FLOW_EVENT_END, reason);
	note_failure(w, f, reason);
	sl_tally_over(w, f);
	if (f->kind == SL_FLOW_CLIENT)
		sl_quota_flow_ends(w, f);
	if (f->kind == SL_FLOW_HOST)
		tenant = w->sessions->sessions[f->link.session].tenant;
	sl_flow_del(w->flows, index, tenant, w->now_ns);
}
