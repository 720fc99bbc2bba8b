// addresses_poll: names go: drain, quarantine, reclaim under pressure.
#include "addresses_private.h"

#define VICTIMS_MAX 16u // drains begun by one poll
#define SQUEEZED_MAX                                                                               \
	65536u // names looked at by one search for a quota; the next goes on from there

// The longest-unused names seen so far, oldest first.
struct victims {
	uint32_t nb;
	uint32_t id[VICTIMS_MAX];
	uint32_t idle_s[VICTIMS_MAX];
};

static uint32_t
idle_s(const struct sl_addresses *t, uint32_t id, uint32_t now_s)
{
	uint32_t used = atomic_load_explicit(&t->hot[id].used_s, memory_order_relaxed);
	int32_t idle = (int32_t)(now_s - used); // a worker's second may be ahead of ours

	return idle < 0 ? 0 : (uint32_t)idle;
}

static void
add_victim(struct victims *v, uint32_t id, uint32_t idle)
{
	uint32_t i = v->nb;

	if (i == VICTIMS_MAX) {
		if (v->idle_s[i - 1] >= idle)
			return;
		i--;
	} else {
		v->nb++;
	}
	for (; i > 0 && v->idle_s[i - 1] < idle; i--) {
		v->id[i] = v->id[i - 1];
		v->idle_s[i] = v->idle_s[i - 1];
	}
	v->id[i] = id;
	v->idle_s[i] = idle;
}

static bool
may_reclaim(const struct sl_addresses *t, uint32_t id, uint32_t now_s)
{
	return t->cold[id].is_wildcard && sl_name_state(&t->hot[id]) == SL_NAME_LIVE &&
		idle_s(t, id, now_s) >= t->config.idle_s;
}

// Few records or addresses are left, and not enough names are on their way out already.
static bool
is_under_pressure(const struct sl_addresses *t)
{
	const uint64_t *nb = t->stats.nb_state;
	const uint64_t nb_used = t->config.names_max - nb[SL_NAME_FREE];
	const uint64_t nb_room = t->stats.nb_addresses < t->config.names_max ? t->stats.nb_addresses
									     : t->config.names_max;
	const uint64_t nb_leaving = nb[SL_NAME_DRAINING] + nb[SL_NAME_QUARANTINED];

	return nb_room - (nb_used < nb_room ? nb_used : nb_room) < nb_room / 16 + 1 &&
		nb_leaving < nb_room / 4 + 1;
}

static void
begin_drain(struct sl_addresses *t, uint32_t id, uint32_t now_s)
{
	sl_addresses_set_state(t, id, SL_NAME_DRAINING, now_s);
	t->stats.nb_reclaimed++;
}

void
sl_addresses_squeeze(struct sl_addresses *t, uint32_t client, uint32_t resource, uint32_t now_s)
{
	const uint32_t nb = t->config.names_max < SQUEEZED_MAX ? t->config.names_max : SQUEEZED_MAX;
	struct victims v = { 0 };

	// The search costs more than a query may: a flood of new names pays for one a second.
	if (t->squeezed_s == now_s)
		return;
	t->squeezed_s = now_s;
	for (uint32_t i = 0; i < nb; i++) {
		const uint32_t id = t->squeeze_at;
		const struct sl_name_cold *c = &t->cold[id];

		t->squeeze_at = id + 1 < t->config.names_max ? id + 1 : 0;
		if ((client != UINT32_MAX && c->client != client) ||
		    (resource != UINT32_MAX && c->resource != resource))
			continue;
		if (sl_name_state(&t->hot[id]) == SL_NAME_DRAINING)
			return; // some are on their way
		if (may_reclaim(t, id, now_s))
			add_victim(&v, id, idle_s(t, id, now_s));
	}
	for (uint32_t i = 0; i < v.nb; i++)
		begin_drain(t, v.id[i], now_s);
}

// Nothing can reach the address any more as this name: no flow marked it, no answer is cached.
static bool
is_drained(const struct sl_addresses *t, uint32_t id, uint32_t now_s)
{
	const struct sl_name_cold *c = &t->cold[id];
	const uint32_t wait_s = t->config.drain_s + c->ttl_max_s + SL_USED_STEP_S;

	return idle_s(t, id, now_s) > wait_s && now_s - c->since_s > t->config.drain_s;
}

static bool
retire(struct sl_addresses *t, uint32_t id, bool is_released)
{
	char text[SL_NAME_MAX_BYTES + 1];

	sl_addresses_text(t, id, text);
	return t->config.lease->retire(
		t->config.store,
		id,
		text,
		atomic_load_explicit(&t->hot[id].address, memory_order_relaxed),
		is_released
	);
}

bool
sl_addresses_is_rested(const struct sl_addresses *t, uint32_t id, uint32_t now_s)
{
	// A flow admitted in the very moment of quarantine keeps the address from others.
	return now_s - t->cold[id].since_s >= t->config.quarantine_s &&
		idle_s(t, id, now_s) > t->config.drain_s;
}

void
sl_addresses_retire_failed(struct sl_addresses *t, uint32_t id, uint32_t now_s)
{
	if (id < t->config.names_max && sl_name_state(&t->hot[id]) == SL_NAME_QUARANTINED)
		sl_addresses_set_state(t, id, SL_NAME_DRAINING, now_s);
}

// One name's turn. True when its address came free.
static bool
advance(struct sl_addresses *t, uint32_t id, uint32_t now_s)
{
	switch (sl_name_state(&t->hot[id])) {
	case SL_NAME_DRAINING:
		if (is_drained(t, id, now_s) && retire(t, id, false)) {
			sl_addresses_uncount(t, id);
			sl_addresses_set_state(t, id, SL_NAME_QUARANTINED, now_s);
		}
		return false;
	case SL_NAME_QUARANTINED:
		if (!sl_addresses_is_rested(t, id, now_s) || !retire(t, id, true))
			return false;
		sl_addresses_release(t, id, now_s);
		return true;
	case SL_NAME_FREE:
	case SL_NAME_PENDING:
	case SL_NAME_LIVE:
	default:
		return false;
	}
}

unsigned
sl_addresses_poll(struct sl_addresses *t, unsigned nb_max, uint32_t now_s)
{
	const bool is_pressed = is_under_pressure(t);
	struct victims v = { 0 };
	unsigned nb_freed = 0;

	if (nb_max > t->config.names_max)
		nb_max = t->config.names_max;
	for (; nb_max != 0; nb_max--) {
		const uint32_t id = t->poll_at;

		t->poll_at = id + 1 < t->config.names_max ? id + 1 : 0;
		if (is_pressed && may_reclaim(t, id, now_s))
			add_victim(&v, id, idle_s(t, id, now_s));
		nb_freed += advance(t, id, now_s);
	}
	for (uint32_t i = 0; i < v.nb; i++)
		begin_drain(t, v.id[i], now_s);
	return nb_freed;
}
