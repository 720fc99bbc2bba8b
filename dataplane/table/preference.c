#include <sluice/dp/flow_table.h>
#include <sluice/dp/preference.h>
#include <sluice/dp/session.h>
#include <sluice/dp/snapshot.h>
#include <sluice/dp/worker.h>

#define HOLD_NS    (SL_PREFERENCE_HOLD_S * SL_NS_PER_S)
#define LATE_NS    (2 * SL_HEARTBEAT_MS * SL_NS_PER_MS)
#define RTT_MAX_NS (10 * SL_NS_PER_S) // what claims to be older is no answer to a ping of ours
#define RTT_SMOOTH 8u // RFC 6298: an eighth of each new one

unsigned
sl_preference_of_load(uint16_t load)
{
	uint32_t room = SL_LOAD_MAX - load;

	if (load <= SL_LOAD_EASY)
		return SL_PREFERENCE_FULL;
	return 1 + room * (SL_PREFERENCE_FULL - 1) / (SL_LOAD_MAX - SL_LOAD_EASY);
}

// What it should be. A step of one eighth is not worth a change, but the last one back to all is.
static unsigned
wanted_share(const struct sl_preference *p, uint64_t now_ns)
{
	unsigned share = sl_preference_share(p);
	unsigned by_load = sl_preference_of_load(atomic_load(&p->load));

	if (p->doubted_ns != 0 && now_ns - p->doubted_ns < HOLD_NS)
		return 0;
	if (share != 0 && by_load != SL_PREFERENCE_FULL &&
	    (by_load == share + 1 || by_load + 1 == share))
		return share;
	return by_load;
}

void
sl_preference_look(struct sl_preference *p, bool is_silent, uint64_t now_ns)
{
	// Looks come with each heartbeat. When they do not, it was this node that stood still: what it has
	// not heard says nothing.
	bool stood_still = p->looked_ns != 0 && now_ns - p->looked_ns > LATE_NS;
	unsigned wanted;

	p->looked_ns = now_ns;
	if (is_silent && !stood_still)
		p->doubted_ns = now_ns;
	wanted = wanted_share(p, now_ns);
	if (wanted == sl_preference_share(p) ||
	    (p->changed_ns != 0 && now_ns - p->changed_ns < HOLD_NS))
		return;
	p->changed_ns = now_ns;
	atomic_store_explicit(
		&p->lost, (unsigned char)(SL_PREFERENCE_FULL - wanted), memory_order_relaxed
	);
	// This worker alone counts.
	atomic_store_explicit(
		&p->nb_changes,
		atomic_load_explicit(&p->nb_changes, memory_order_relaxed) + 1,
		memory_order_relaxed
	);
}

void
sl_preference_pong(struct sl_preference *p, const struct sl_heartbeat *pong, uint64_t now_ns)
{
	uint64_t rtt_ns = atomic_load_explicit(&p->rtt_ns, memory_order_relaxed), seen_ns;

	if (pong->timestamp_ns > now_ns || now_ns - pong->timestamp_ns > RTT_MAX_NS)
		return;
	seen_ns = now_ns - pong->timestamp_ns + 1;
	rtt_ns = rtt_ns == 0 ? seen_ns : rtt_ns - rtt_ns / RTT_SMOOTH + seen_ns / RTT_SMOOTH;
	atomic_store_explicit(&p->rtt_ns, rtt_ns, memory_order_relaxed);
}

bool
sl_preference_is_silent(const struct sl_session *s, uint32_t suspect_ms, uint64_t now_ns)
{
	uint64_t heard_ns = s->lanes[0].heard_ns;

	// Another worker heard it, by a clock it may have read after this one.
	return heard_ns != 0 && heard_ns + suspect_ms * SL_NS_PER_MS < now_ns;
}

// How a session stands with new flows. Those of the best standing there is share them.
enum standing { GONE, SILENT, SPARE, SHARING };

// One that is in doubt or full is there to spare. One that is silent is better than a refusal: when nothing
// else is left it may be the machine that stood still, and if not its flows are reset when it is found dead.
static enum standing
standing_of(const struct sl_worker *w, const struct sl_session *s)
{
	const struct sl_preference *p = &s->preference;

	if (atomic_load_explicit(&s->current, memory_order_relaxed) == NULL ||
	    atomic_load_explicit(&s->draining, memory_order_relaxed))
		return GONE;
	if (sl_preference_is_silent(s, w->timeouts.suspect_ms, w->now_ns))
		return SILENT;
	if (atomic_load_explicit(&p->load, memory_order_relaxed) >= SL_LOAD_FULL ||
	    sl_preference_share(p) == 0)
		return SPARE;
	return SHARING;
}

// One of `nb` sessions, each as likely as its part. A hash always falls on the same one.
static uint32_t
by_part(const uint32_t sessions[], const uint32_t parts[], unsigned nb, uint64_t hash)
{
	uint32_t total = 0, at;

	for (unsigned i = 0; i < nb; i++)
		total += parts[i];
	at = (uint32_t)(((hash >> 32) * total) >> 32);
	for (unsigned i = 0; i < nb; i++) {
		if (at < parts[i])
			return sessions[i];
		at -= parts[i];
	}
	return SL_NO_SESSION;
}

uint32_t
sl_preference_pick(const struct sl_worker *w, uint32_t network, uint64_t hash)
{
	const struct sl_network *n = &w->snapshot->networks[network];
	uint32_t best[SL_NETWORK_PEERS], parts[SL_NETWORK_PEERS];
	enum standing least = SILENT;
	unsigned nb = 0;

	for (unsigned i = 0; i < n->nb_sessions; i++) {
		const struct sl_session *s = &w->sessions->sessions[n->sessions[i]];
		enum standing standing = standing_of(w, s);

		if (standing < least)
			continue;
		if (standing > least)
			nb = 0;
		least = standing;
		best[nb] = n->sessions[i];
		parts[nb] = RTE_MAX(s->weight, 1u);
		if (standing == SHARING)
			parts[nb] *= sl_preference_share(&s->preference);
		nb++;
	}
	return by_part(best, parts, nb, hash);
}

uint16_t
sl_preference_own_load(const struct sl_worker *w)
{
	uint64_t nb_used = 0, nb_flows = 0;

	for (unsigned k = 0; k < w->nb_workers; k++) {
		const struct sl_worker *peer = w->peers == NULL ? w : w->peers[k];

		if (peer->flows == NULL)
			continue;
		// Another thread counts; a figure that is a moment old will do.
		nb_used += *(const volatile uint32_t *)&peer->flows->nb_used;
		nb_flows += peer->flows->nb_flows;
	}
	return nb_flows == 0 ? 0 : (uint16_t)(RTE_MIN(nb_used, nb_flows) * SL_LOAD_MAX / nb_flows);
}
