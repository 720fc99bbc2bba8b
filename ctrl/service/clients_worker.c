// Which worker has a WireGuard client's keypair: the one its flows hash to, so that a packet changes
// worker once at most. A keypair stays where it is for its life; but when the next one is made the
// choice is made anew: while the flows' worker is busy, and the one by which the client's datagrams
// arrive is much less so, that one opens and seals, and flows stay where they are.
#include "clients.h"

#include <sluice/dp/dp.h>
#include <sluice/dp/inner.h>

#define LOADS_NS        SL_NS_PER_S // reckoned no more often
#define BUSY_PERMILLE   500u // below that a worker keeps its own
#define RELIEF_PERMILLE 250u // so much less must another have to do

static struct sl_session *
session_of(const struct sl_service *s, const struct client *e)
{
	return &s->sessions->sessions[e->session];
}

static uint16_t
flows_worker(const struct sl_service *s, const struct client *e)
{
	return sl_client_owner(sl_dp_worker(s->dp, 0), SL_SCOPE_WIREGUARD | e->id, e->inner);
}

static void
reckon_loads(struct sl_service *s)
{
	struct clients *c = s->clients;

	if (c->loads_ns != 0 && s->now_ns - c->loads_ns < LOADS_NS)
		return;
	c->loads_ns = s->now_ns;
	for (unsigned k = 0; k < sl_dp_nb_workers(s->dp); k++) {
		const struct sl_worker_stats *stats = &sl_dp_worker(s->dp, k)->stats;
		struct worker_load *load = &c->loads[k];
		uint64_t walks = stats->walks - load->walks,
			 empty = stats->walks_empty - load->empty;

		load->busy_permille = walks == 0
			? 0
			: (unsigned)((walks - RTE_MIN(empty, walks)) * 1000 / walks);
		load->walks = stats->walks;
		load->empty = stats->walks_empty;
	}
}

uint16_t
client_choose_worker(struct sl_service *s, const struct client *e)
{
	const struct clients *c = s->clients;
	uint16_t home = flows_worker(s, e), there = c->arrived_by;
	unsigned home_busy, there_busy;

	if (there == home || there >= sl_dp_nb_workers(s->dp) || !e->peer.current.is_used)
		return home;
	reckon_loads(s);
	home_busy = c->loads[home].busy_permille;
	there_busy = c->loads[there].busy_permille;
	if (home_busy < BUSY_PERMILLE)
		return home;
	if (atomic_load(&session_of(s, e)->worker) == there)
		return there_busy > home_busy ? home : there;
	return home_busy > there_busy + RELIEF_PERMILLE ? there : home;
}

void
client_workers_add(struct sl_service *s, struct client *e, uint16_t worker)
{
	const struct sl_lane_endpoint *lane = &session_of(s, e)->lanes[worker];

	if ((e->workers & 1ull << worker) != 0)
		return;
	e->workers |= 1ull << worker;
	e->opened_pkts += lane->opened_pkts;
	e->opened_empty_pkts += lane->opened_empty_pkts;
	e->sealed_pkts += lane->sealed_pkts;
	e->wanted_pkts += lane->wanted_pkts;
}

void
client_workers_begin(struct sl_service *s, struct client *e)
{
	uint16_t home = flows_worker(s, e);

	e->workers = 0;
	e->opened_pkts = e->opened_empty_pkts = e->sealed_pkts = e->wanted_pkts = 0;
	client_workers_add(s, e, home);
	atomic_store(&session_of(s, e)->worker, home);
}

void
client_traffic(const struct sl_service *s, const struct client *e, struct client_traffic *out)
{
	const struct sl_session *session = session_of(s, e);
	bool has_sealed = false;

	*out = (struct client_traffic){ .heard_ns = 0 };
	for (uint64_t left = e->workers; left != 0; left &= left - 1) {
		const struct sl_lane_endpoint *lane = &session->lanes[__builtin_ctzll(left)];

		out->opened_pkts += lane->opened_pkts;
		out->opened_empty_pkts += lane->opened_empty_pkts;
		out->wanted_pkts += lane->wanted_pkts;
		out->heard_ns = RTE_MAX(out->heard_ns, lane->heard_ns);
		if (lane->sealed_pkts == 0)
			continue;
		out->sealed_pkts += lane->sealed_pkts;
		if (!has_sealed || (int32_t)(lane->sealed_at - out->sealed_at) > 0)
			out->sealed_at = lane->sealed_at;
		has_sealed = true;
	}
}
