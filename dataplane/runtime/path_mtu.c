// path_mtu: RFC 8899 for the lanes of a session, one question at a time: does a datagram of this
// size arrive? Every third second in which the lane was used, the present size is confirmed;
// three silent probes in a row while the lane is otherwise alive mean that it does not pass any more,
// and the size falls to the least that is allowed. A search by halves goes up from there. Each ten
// minutes the full size is tried again.
#include <sluice/dp/path_mtu.h>
#include <sluice/dp/tunnel.h>

#define PROBES         3u // silent ones that condemn a size
#define PROBE_WAIT_DS  5u
#define CYCLE_DS       30u
#define CYCLES_A_RAISE 200u // ten minutes
#define STEP_BYTES     16u // finer is not worth a probe
#define ALIVE_NS       (2 * SL_NS_PER_S)
#define NS_PER_DS      (SL_NS_PER_S / 10)
#define SMALL_BYTES    (SL_TUNNEL_OVERHEAD_BYTES + SL_REC_HEARTBEAT_BYTES)

void
sl_path_mtu_begin(struct sl_lane_endpoint *e, struct sl_path_mtu *p, uint16_t max_bytes)
{
	e->mtu_bytes = max_bytes;
	*p = (struct sl_path_mtu){ .max_bytes = max_bytes,
				   .failed_bytes = (uint16_t)(max_bytes + 1),
				   .sealed_pkts = e->sealed_pkts };
}

bool
sl_path_mtu_told(
	struct sl_lane_endpoint *e, struct sl_path_mtu *p, uint16_t mtu_bytes, uint32_t now_ds
)
{
	uint16_t mtu = mtu_bytes < SL_UNDERLAY_MTU_MIN ? SL_UNDERLAY_MTU_MIN : mtu_bytes;

	// 0 comes from a router older than RFC 1191; probes find out what it did not say.
	if (mtu_bytes == 0 || mtu >= e->mtu_bytes)
		return false;
	e->mtu_bytes = mtu;
	p->failed_bytes = (uint16_t)(mtu + 1);
	p->probe_bytes = 0;
	p->nb_cycles = 0;
	p->due_ds = now_ds + CYCLE_DS;
	return true;
}

// The next larger size worth asking about, 0: none.
static uint16_t
next_size(const struct sl_lane_endpoint *e, const struct sl_path_mtu *p)
{
	if (e->mtu_bytes >= p->max_bytes)
		return 0;
	if (p->failed_bytes > p->max_bytes)
		return p->max_bytes;
	if (p->failed_bytes <= e->mtu_bytes + STEP_BYTES)
		return 0;
	return (uint16_t)((e->mtu_bytes + p->failed_bytes) / 2);
}

static uint16_t
ask(struct sl_path_mtu *p, uint16_t size, uint64_t now_ns)
{
	if (size != p->probe_bytes)
		p->nb_probes = 0;
	p->probe_bytes = size;
	p->probe_ns = now_ns + 1; // not that of a heartbeat sent in the same turn
	p->due_ds = (uint32_t)(now_ns / NS_PER_DS) + PROBE_WAIT_DS;
	return size;
}

// A larger size if there is one to try, else rest.
static uint16_t
go_on(struct sl_lane_endpoint *e, struct sl_path_mtu *p, uint64_t now_ns)
{
	uint16_t size = next_size(e, p);

	if (size != 0)
		return ask(p, size, now_ns);
	p->due_ds = (uint32_t)(now_ns / NS_PER_DS) + CYCLE_DS;
	p->sealed_pkts = e->sealed_pkts;
	return 0;
}

// The probe that is out stayed unanswered: ask again, or hold the size for impossible.
static uint16_t
unanswered(struct sl_lane_endpoint *e, struct sl_path_mtu *p, uint64_t now_ns)
{
	// A lane that is silent altogether says nothing about sizes: even the least probe beside it
	// stayed unanswered.
	if (now_ns - e->heard_ns >= ALIVE_NS) {
		p->probe_bytes = 0;
		p->due_ds = (uint32_t)(now_ns / NS_PER_DS) + CYCLE_DS;
		p->sealed_pkts = e->sealed_pkts;
		return 0;
	}
	if (++p->nb_probes < PROBES)
		return ask(p, p->probe_bytes, now_ns);
	p->failed_bytes = p->probe_bytes;
	if (e->mtu_bytes >= p->probe_bytes)
		e->mtu_bytes = SL_UNDERLAY_MTU_MIN;
	p->probe_bytes = 0;
	return go_on(e, p, now_ns);
}

uint16_t
sl_path_mtu_tick(struct sl_lane_endpoint *e, struct sl_path_mtu *p, uint64_t now_ns)
{
	uint32_t now_ds = (uint32_t)(now_ns / NS_PER_DS);

	if (p->max_bytes == 0 || (int32_t)(now_ds - p->due_ds) < 0)
		return 0;
	if (p->probe_bytes != 0)
		return unanswered(e, p, now_ns);
	// Lanes that are unused, or were never heard, are left alone; their addresses may not even be
	// right yet.
	if (e->sealed_pkts == p->sealed_pkts || e->opened_pkts == 0)
		return 0;
	if (++p->nb_cycles >= CYCLES_A_RAISE) {
		p->nb_cycles = 0;
		p->failed_bytes = (uint16_t)(p->max_bytes + 1);
	}
	// A search that goes on, or begins anew; else the present size is confirmed.
	if (next_size(e, p) != 0 || e->mtu_bytes <= SL_UNDERLAY_MTU_MIN)
		return go_on(e, p, now_ns);
	return ask(p, e->mtu_bytes, now_ns);
}

void
sl_path_mtu_pong(
	struct sl_lane_endpoint *e,
	struct sl_path_mtu *p,
	const struct sl_heartbeat *pong,
	uint64_t now_ns
)
{
	uint32_t now_ds = (uint32_t)(now_ns / NS_PER_DS);

	if (p->probe_bytes == 0 || pong->timestamp_ns != p->probe_ns)
		return;
	if (p->probe_bytes > e->mtu_bytes)
		e->mtu_bytes = p->probe_bytes;
	p->probe_bytes = 0;
	// A search goes on with the next tick; what is sent meanwhile counts.
	p->due_ds = next_size(e, p) == 0 ? now_ds + CYCLE_DS : now_ds;
	p->sealed_pkts = next_size(e, p) == 0 ? e->sealed_pkts : e->sealed_pkts - 1;
}

// ---- Probes -----------------------------------------------------------------------------------------

static void
send_probe(
	struct sl_worker *w, uint32_t session, uint16_t lane, uint16_t ip_bytes, uint64_t stamp_ns
)
{
	uint16_t nb_bytes = (uint16_t)(ip_bytes - SL_TUNNEL_OVERHEAD_BYTES);
	struct sl_heartbeat beat = {
		.timestamp_ns = stamp_ns,
		.state = sl_sessions_state(w->sessions),
		.load = sl_preference_own_load(w),
	};
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->pool);
	uint8_t *p;

	if (m == NULL)
		return;
	p = rte_pktmbuf_tailroom(m) < nb_bytes + SL_WIRE_TAG_BYTES
		? NULL
		: (uint8_t *)rte_pktmbuf_append(m, nb_bytes);
	if (p == NULL) {
		rte_pktmbuf_free(m);
		return;
	}
	memset(p, 0, nb_bytes);
	sl_heartbeat_put(p, &beat);
	sl_put16(p, (uint16_t)(nb_bytes - SL_REC_HEAD_BYTES));
	memset(sl_meta(m), 0, sizeof(struct sl_meta));
	sl_meta(m)->session = session;
	sl_meta(m)->lane = lane;
	// Not by way of tunnel_pack, which would cut what exceeds the size confirmed so far.
	sl_meta(m)->stage = SL_STAGE_PROBE;
	w->stats.created++;
	if (rte_ring_sp_enqueue(w->from_worker[w->idx], m) != 0)
		rte_pktmbuf_free(m);
}

void
sl_path_mtu_probe(struct sl_worker *w, uint32_t session)
{
	struct sl_session *s = &w->sessions->sessions[session];

	for (uint16_t lane = w->idx; lane < s->nb_lanes; lane = (uint16_t)(lane + w->nb_workers)) {
		struct sl_lane_endpoint *e = &s->lanes[lane];
		uint16_t ip_bytes = e->remote == 0
			? 0
			: sl_path_mtu_tick(e, &s->paths[lane], w->now_ns);

		if (ip_bytes == 0)
			continue;
		// The least there is goes along: what is heard of it tells a size that does not pass
		// from a lane on which nobody else speaks.
		send_probe(w, session, lane, SMALL_BYTES, w->now_ns);
		send_probe(w, session, lane, ip_bytes, s->paths[lane].probe_ns);
	}
}
