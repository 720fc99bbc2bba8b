#include <sluice/dp/flow_event.h>
#include <sluice/dp/hash.h>
#include <sluice/dp/worker.h>
#include <stdlib.h>
#include <string.h>

// rte_ring_elem.h comes with rte_ring.h.

struct sl_flow_events *
sl_flow_events_create(void)
{
	ssize_t nb_bytes = rte_ring_get_memsize_elem(sizeof(struct sl_flow_event), SL_FLOW_EVENTS);
	struct sl_flow_events *e = calloc(1, sizeof(*e));

	if (e == NULL || nb_bytes < 0) {
		free(e);
		return NULL;
	}
	e->ring = aligned_alloc(
		RTE_CACHE_LINE_SIZE, RTE_ALIGN((size_t)nb_bytes, RTE_CACHE_LINE_SIZE)
	);
	if (e->ring == NULL ||
	    rte_ring_init(
		    e->ring, "sl_flow_events", SL_FLOW_EVENTS, RING_F_SP_ENQ | RING_F_SC_DEQ
	    ) != 0) {
		sl_flow_events_destroy(e);
		return NULL;
	}
	return e;
}

void
sl_flow_events_destroy(struct sl_flow_events *e)
{
	if (e == NULL)
		return;
	free(e->ring);
	free(e);
}

unsigned
sl_flow_events_take(struct sl_flow_events *e, struct sl_flow_event *events, unsigned nb)
{
	return rte_ring_sc_dequeue_burst_elem(e->ring, events, sizeof(*events), nb, NULL);
}

static bool
tell(struct sl_flow_events *e, const struct sl_flow_event *event)
{
	return rte_ring_sp_enqueue_elem(e->ring, (void *)(uintptr_t)event, sizeof(*event)) == 0;
}

void
sl_flow_event_put(struct sl_worker *w, const struct sl_flow_event *event)
{
	struct sl_flow_events *e = w->flow_events;

	if (!tell(e, event))
		atomic_store_explicit(
			&e->nb_lost,
			atomic_load_explicit(&e->nb_lost, memory_order_relaxed) + 1,
			memory_order_relaxed
		);
}

// ---- Denials ----------------------------------------------------------------------------------

static bool
is_kind(const struct sl_denial *d, const struct sl_flow_event *event)
{
	const struct sl_flow_event *own = &d->event;

	// All of the key but the client's port: each attempt has another.
	return d->is_used && own->client == event->client && own->reason == event->reason &&
		own->quota == event->quota && own->resource == event->resource &&
		own->key.scope_protocol == event->key.scope_protocol &&
		own->key.destination_port_be == event->key.destination_port_be &&
		memcmp(own->key.source, event->key.source, 16) == 0 &&
		memcmp(own->key.destination, event->key.destination, 16) == 0;
}

// Tell what is pending. True when nothing is any more.
static bool
tell_pending(struct sl_worker *w, struct sl_denial *d)
{
	if (d->nb_pending == 0)
		return true;
	d->event.at_ns = w->now_ns;
	d->event.nb_denials = d->nb_pending;
	d->event.since_ds = w->now_ds - d->began_ds;
	if (!tell(w->flow_events, &d->event))
		return false;
	d->nb_pending = 0;
	d->began_ds = w->now_ds;
	return true;
}

static void
begin(struct sl_worker *w, struct sl_denial *d, const struct sl_flow_event *event)
{
	*d = (struct sl_denial
	){ .event = *event, .began_ds = w->now_ds, .nb_pending = 1, .is_used = true };
	if (sl_bucket_take(
		    &w->flow_events->told, SL_DENIALS_TOLD_A_S, SL_DENIALS_TOLD_A_S, 1, w->now_ns
	    ))
		tell_pending(w, d);
}

static bool
is_over(const struct sl_worker *w, const struct sl_denial *d)
{
	return w->now_ds - d->began_ds >= SL_DENIAL_WINDOW_S * 10;
}

// The place of this kind: its own, a free one, or one whose window is over. NULL: none.
static struct sl_denial *
place_of(struct sl_worker *w, const struct sl_flow_event *event)
{
	const struct {
		uint8_t destination[16];
		uint32_t client, protocol;
		uint16_t port, reason;
		uint32_t resource;
	} kind = { .client = event->client,
		   .protocol = event->key.scope_protocol,
		   .port = event->key.destination_port_be,
		   .reason = event->reason,
		   .resource = event->resource };
	uint64_t hash = sl_hash(w->owner_key, &kind, sizeof(kind)) ^
		sl_hash(w->owner_key, event->key.destination, 16);
	struct sl_denial
		*set = &w->flow_events
				->kinds[hash % (SL_DENIAL_KINDS / SL_DENIAL_WAYS) * SL_DENIAL_WAYS],
		*free_one = NULL;

	for (unsigned i = 0; i < SL_DENIAL_WAYS; i++) {
		if (is_kind(&set[i], event))
			return &set[i];
		if (!set[i].is_used || (is_over(w, &set[i]) && tell_pending(w, &set[i])))
			free_one = &set[i];
	}
	if (free_one != NULL)
		free_one->is_used = false;
	return free_one;
}

// Where denials of a client are counted together.
static struct sl_denial *
merged(struct sl_worker *w, const struct sl_flow_event *event)
{
	struct sl_flow_events *e = w->flow_events;
	struct sl_denial *d = &e->clients[event->client % SL_DENIAL_CLIENTS];

	if (!d->is_used ||
	    (d->event.client != event->client && is_over(w, d) && tell_pending(w, d))) {
		*d = (struct sl_denial){ .event = *event, .began_ds = w->now_ds, .is_used = true };
		d->event.is_merged = true;
	}
	if (d->event.client == event->client)
		return d;
	if (!e->others.is_used) {
		e->others = (struct sl_denial
		){ .event = *event, .began_ds = w->now_ds, .is_used = true };
		e->others.event.is_merged = true;
		e->others.event.client = SL_NO_CLIENT;
	}
	return &e->others;
}

void
sl_flow_event_deny(struct sl_worker *w, const struct sl_flow_event *event)
{
	struct sl_denial *d = place_of(w, event);

	if (d != NULL && !d->is_used) {
		begin(w, d, event);
		return;
	}
	if (d == NULL)
		d = merged(w, event);
	d->nb_pending++;
}

static void
tick(struct sl_worker *w, struct sl_denial *d, enum sl_denial_flush flush)
{
	if (!d->is_used || (flush == SL_DENIALS_DUE && !is_over(w, d)))
		return;
	// A window in which nothing came ends the kind.
	if (d->nb_pending == 0)
		d->is_used = false;
	else
		tell_pending(w, d);
}

void
sl_flow_events_tick(struct sl_worker *w, enum sl_denial_flush flush)
{
	struct sl_flow_events *e = w->flow_events;

	if (!sl_flow_events_on(e) || (flush == SL_DENIALS_DUE && w->now_ds - e->swept_ds < 10))
		return;
	e->swept_ds = w->now_ds;
	for (unsigned i = 0; i < SL_DENIAL_KINDS; i++)
		tick(w, &e->kinds[i], flush);
	for (unsigned i = 0; i < SL_DENIAL_CLIENTS; i++)
		tick(w, &e->clients[i], flush);
	tick(w, &e->others, flush);
}
