// lane_port: a search among 64 source ports. Both directions are asked about at once: a report says
// where the lane arrives at the far end, and whether it came by way of another worker says where it
// arrives here. The best port seen is kept when none is right for both.
#include <sluice/dp/lane_port.h>
#include <sluice/dp/upkeep.h>
#include <sluice/proto/keypair.h>

#define AGAIN_DS 20u // a report is said again while the lane arrives at the wrong worker
#define REST_DS  6000u // after a search in vain
#define TRIES    SL_WIRE_MAX_LANES
// So many ports that all lead to one worker, or never come home: nothing chooses by ports there.
#define TRIES_FUTILE 12u

enum { SCORE_HOME = 1, SCORE_THERE = 2, SCORE_BOTH = 3 };

void
sl_lane_port_begin(struct sl_lane_port *p, uint16_t first_port)
{
	*p = (struct sl_lane_port){ .first_port = first_port };
}

bool
sl_lane_port_look(
	struct sl_lane_port *p,
	const struct sl_lane_endpoint *e,
	uint32_t index,
	uint8_t owner,
	uint32_t now_ds,
	uint8_t *worker
)
{
	uint32_t nb = (uint32_t)e->opened_pkts - p->opened_pkts, nb_strayed = p->nb_strayed;

	if (nb == 0)
		return false;
	p->opened_pkts = (uint32_t)e->opened_pkts;
	p->nb_strayed = 0;
	*worker = nb_strayed * 2 > nb ? p->from : owner;
	if (index == p->said_index && e->remote == p->said_remote &&
	    e->remote_port == p->said_port && *worker == p->said &&
	    (*worker == owner || (int32_t)(now_ds - p->due_ds) < 0))
		return false;
	p->said_index = index;
	p->said_remote = e->remote;
	p->said_port = e->remote_port;
	p->said = *worker;
	p->due_ds = now_ds + AGAIN_DS;
	return true;
}

static bool
move(struct sl_lane_port *p, struct sl_lane_endpoint *e, unsigned at)
{
	rte_be16_t before = e->local_port;

	p->at = (uint8_t)(at % SL_WIRE_MAX_LANES);
	p->nb_strayed = 0;
	e->local_port = rte_cpu_to_be_16((uint16_t)(p->first_port + p->at));
	return e->local_port != before;
}

// Has enough been tried?
static bool
is_enough(const struct sl_lane_port *p)
{
	return p->nb_tries >= TRIES ||
		(p->nb_tries >= TRIES_FUTILE &&
		 (!p->varies || ((p->seen & SCORE_HOME) == 0 && p->best_score >= SCORE_THERE)));
}

bool
sl_lane_port_told(
	struct sl_lane_port *p,
	struct sl_lane_endpoint *e,
	const struct sl_lane_report *report,
	uint32_t now_ds
)
{
	uint8_t score = (uint8_t
	)((report->worker == report->owner ? SCORE_THERE : 0) |
	  (p->nb_strayed == 0 ? SCORE_HOME : 0));

	if (p->first_port == 0 || (p->due_ds != 0 && (int32_t)(now_ds - p->due_ds) < 0))
		return false;
	p->due_ds = 0;
	if (score == SCORE_BOTH) {
		p->nb_tries = 0;
		p->nb_strayed = 0;
		return false;
	}
	if (p->nb_tries == 0) {
		p->at = (uint8_t)(rte_be_to_cpu_16(e->local_port) - p->first_port);
		p->said = report->worker;
		p->varies = false;
		p->seen = p->best_score = 0;
		p->best = p->at;
	}
	p->varies |= report->worker != p->said;
	p->seen |= score;
	if (score > p->best_score) {
		p->best_score = score;
		p->best = p->at;
	}
	p->nb_tries++;
	if (!is_enough(p))
		return move(p, e, p->at + 1u);
	p->nb_tries = 0;
	p->due_ds = (now_ds + REST_DS) | 1; // never 0
	return move(p, e, p->best);
}

void
sl_lane_port_report(struct sl_worker *w, uint32_t session)
{
	struct sl_session *s = &w->sessions->sessions[session];
	const struct sl_keypair *keypair = atomic_load_explicit(&s->current, memory_order_acquire);
	struct sl_lane_report report = { .owner = (uint8_t)w->idx };
	struct rte_mbuf *m;

	if (keypair == NULL)
		return;
	for (report.lane = (uint16_t)w->idx; report.lane < keypair->nb_lanes;
	     report.lane = (uint16_t)(report.lane + w->nb_workers)) {
		struct sl_lane_port *p = &s->ports[report.lane];

		if (p->first_port != 0 ||
		    !sl_lane_port_look(
			    p,
			    &s->lanes[report.lane],
			    keypair->local_index,
			    report.owner,
			    w->now_ds,
			    &report.worker
		    ))
			continue;
		m = sl_upkeep_record(w, session, report.lane, SL_REC_LANE_BYTES);
		if (m == NULL)
			return;
		sl_lane_report_put(rte_pktmbuf_mtod(m, uint8_t *), &report);
		sl_upkeep_to_self(w, m, SL_STAGE_SEAL);
	}
}
