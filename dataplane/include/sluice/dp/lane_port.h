// lane_port: which worker the datagrams of a lane arrive at, and the search for a source port that
// makes it the lane's owner, through whatever NAT and RSS lie between. The end that was dialled (the
// PoP) says with LANE records where a lane arrives; the one that dials (the connector) changes the
// lane's source port until that is the owner, and until what comes back arrives at its own owner too.
// That is for speed alone: a datagram at the wrong worker is handed over. All calls: the lane's owner.
#pragma once

#include <sluice/dp/session.h>
#include <sluice/dp/worker.h>
#include <sluice/proto/record.h>

// The way of a lane is new. `first_port`: the first of the UDP ports (host order) this end may send
// from, SL_WIRE_MAX_LANES in all, or 0 when the other end dials.
void sl_lane_port_begin(struct sl_lane_port *p, uint16_t first_port);

// An authentic datagram of the lane came by way of worker `from`, not the owner.
static inline void
sl_lane_port_strayed(struct sl_lane_port *p, uint8_t from)
{
	p->nb_strayed++;
	p->from = from;
}

// The latest datagram came from a new address: what was counted until then is of the way before.
static inline void
sl_lane_port_followed(struct sl_lane_port *p, const struct sl_lane_endpoint *e)
{
	p->opened_pkts = (uint32_t)e->opened_pkts - 1;
	p->nb_strayed = 0;
}

// Dialled end, some times a second: is there something to say about the lane? `index`: the keypair in
// use.
bool sl_lane_port_look(
	struct sl_lane_port *p,
	const struct sl_lane_endpoint *e,
	uint32_t index,
	uint8_t owner,
	uint32_t now_ds,
	uint8_t *worker
);

// Dialling end: the other one says where the lane arrives. True when the lane's source port changed:
// something must be sent from it, so that the other end sees it.
bool sl_lane_port_told(
	struct sl_lane_port *p,
	struct sl_lane_endpoint *e,
	const struct sl_lane_report *report,
	uint32_t now_ds
);

// Say what there is to say about the worker's lanes of a session that the other end dialled.
void sl_lane_port_report(struct sl_worker *w, uint32_t session);
