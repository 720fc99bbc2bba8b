// tunnel_pack: put the records of a burst into as few datagrams as the path allows.
//   flow_forward, flow_collect, flow_open, ... | mailbox_rx -> tunnel_pack -> tunnel_seal | handover
// On entry each mbuf is one or more whole records with meta->session and meta->lane set; on exit it
// is the plaintext of one datagram. Records of one (session, lane) keep their order. There is no
// timer: only what is in this burst is joined, so nothing waits. A record that exceeds the path is
// cut into fragments. Records of a lane another worker owns go there.
#include <sluice/dp/node.h>
#include <sluice/dp/session.h>
#include <sluice/dp/tunnel.h>
#include <sluice/dp/worker.h>
#include <sluice/proto/fragment.h>

#define OPEN_DATAGRAMS 32u // datagrams being filled at once; beyond it the oldest is closed
#define JOIN_BYTES     512u // longer records travel alone: copying them would cost more than it saves

enum edge { NO_SESSION, TOO_LONG, NO_MBUF, HANDOVER, JOINED, SEAL, EDGE_COUNT };

static const char *const edges[EDGE_COUNT] = {
	[NO_SESSION] = "tunnel_pack_no_session", [TOO_LONG] = "tunnel_pack_too_long",
	[NO_MBUF] = "tunnel_pack_no_mbuf",       [HANDOVER] = "handover",
	[JOINED] = "tunnel_pack_joined",         [SEAL] = "seal",
};

struct filling {
	struct rte_mbuf *m; // datagram that may still grow
	uint32_t session;
	uint16_t lane;
	uint8_t tos;
};

struct packing {
	struct filling open[OPEN_DATAGRAMS];
	unsigned nb_open;
	unsigned oldest;
};

static struct filling *
find_open(struct packing *p, const struct sl_meta *meta)
{
	for (unsigned i = 0; i < p->nb_open; i++)
		if (p->open[i].session == meta->session && p->open[i].lane == meta->lane)
			return &p->open[i];
	return NULL;
}

static void
open_datagram(struct packing *p, struct filling *at, struct rte_mbuf *m)
{
	const struct sl_meta *meta = sl_meta(m);

	if (at == NULL && p->nb_open < OPEN_DATAGRAMS)
		at = &p->open[p->nb_open++];
	else if (at == NULL)
		at = &p->open[p->oldest++ % OPEN_DATAGRAMS];
	*at = (struct filling
	){ .m = m, .session = meta->session, .lane = meta->lane, .tos = meta->tos };
}

static inline enum edge
tunnel_pack_verdict(struct sl_worker *w, struct packing *p, struct rte_mbuf *m)
{
	struct sl_meta *meta = sl_meta(m);
	const struct sl_session *session;
	struct filling *at;
	uint16_t room_bytes;

	if (meta->session >= w->sessions->nb_sessions)
		return NO_SESSION;
	session = &w->sessions->sessions[meta->session];
	if (meta->lane >= session->nb_lanes)
		return NO_SESSION;
	if (meta->lane % w->nb_workers != w->idx) {
		meta->worker = (uint8_t)(meta->lane % w->nb_workers);
		meta->stage = SL_STAGE_SEAL;
		return HANDOVER;
	}
	room_bytes = sl_tunnel_room(&session->lanes[meta->lane]);
	if (rte_pktmbuf_data_len(m) > room_bytes)
		return TOO_LONG;
	at = find_open(p, meta);
	if (at != NULL && at->tos == meta->tos && rte_pktmbuf_data_len(m) <= JOIN_BYTES &&
	    rte_pktmbuf_data_len(at->m) + rte_pktmbuf_data_len(m) <= room_bytes &&
	    rte_pktmbuf_tailroom(at->m) >= rte_pktmbuf_data_len(m) + SL_WIRE_TAG_BYTES) {
		rte_memcpy(
			rte_pktmbuf_append(at->m, rte_pktmbuf_data_len(m)),
			rte_pktmbuf_mtod(m, void *),
			rte_pktmbuf_data_len(m)
		);
		return JOINED;
	}
	open_datagram(p, at, m);
	return SEAL;
}

// A datagram of its own for one record, or a piece of one; false without a packet buffer.
static bool
send_piece(
	struct rte_graph *graph,
	struct rte_node *node,
	struct sl_worker *w,
	const struct sl_meta *meta,
	const struct sl_rec *piece
)
{
	unsigned head = sl_rec_head_bytes(piece->flags);
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->pool);
	uint8_t *p = m == NULL
		? NULL
		: (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(head + piece->nb_bytes));

	if (p == NULL) {
		rte_pktmbuf_free_bulk(&m, m != NULL);
		return false;
	}
	*sl_meta(m) = *meta;
	sl_rec_put(p, piece);
	rte_memcpy(p + head, piece->body, piece->nb_bytes);
	w->stats.created++;
	rte_node_enqueue_x1(graph, node, SEAL, m);
	return true;
}

static enum edge
cut_record(
	struct rte_graph *graph,
	struct rte_node *node,
	struct sl_worker *w,
	const struct sl_meta *meta,
	const struct sl_rec *rec
)
{
	struct sl_lane_endpoint *e = &w->sessions->sessions[meta->session].lanes[meta->lane];
	struct sl_rec piece = *rec;
	struct sl_split split;

	if (sl_rec_head_bytes(rec->flags) + rec->nb_bytes <= sl_tunnel_room(e))
		return send_piece(graph, node, w, meta, rec) ? JOINED : NO_MBUF;
	if (!sl_split_begin(&split, rec->nb_bytes, sl_tunnel_room(e), rec->flags))
		return TOO_LONG;
	piece.fragment_id = e->fragment_id++;
	while (sl_split_next(&split, rec->body, &piece))
		if (!send_piece(graph, node, w, meta, &piece))
			return NO_MBUF;
	return JOINED;
}

// Records that together, or each, exceed the path: each leaves alone, or in pieces. Returns where
// the buffer they came in goes.
static enum edge
cut(struct rte_graph *graph, struct rte_node *node, struct sl_worker *w, struct rte_mbuf *m)
{
	struct sl_recs recs = sl_recs_begin(rte_pktmbuf_mtod(m, uint8_t *), m->data_len);
	enum edge edge = JOINED;
	struct sl_rec rec;

	while (edge == JOINED && sl_recs_next(&recs, &rec) == SL_REC_OK)
		edge = cut_record(graph, node, w, sl_meta(m), &rec);
	return edge;
}

static void
tunnel_pack_burst(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	struct sl_worker *w = sl_node_worker(node);
	struct packing packing = { .nb_open = 0 };
	rte_edge_t edge[RTE_GRAPH_BURST_SIZE];

	for (uint16_t i = 0; i < nb; i++) {
		edge[i] = (rte_edge_t)tunnel_pack_verdict(w, &packing, objs[i]);
		if (unlikely(edge[i] == TOO_LONG))
			edge[i] = (rte_edge_t)cut(graph, node, w, objs[i]);
	}
	sl_node_dispatch(graph, node, objs, nb, edge);
}

static uint16_t
tunnel_pack_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	return sl_node_bursts(graph, node, objs, nb, tunnel_pack_burst);
}

SL_NODE(tunnel_pack, tunnel_pack_process, edges)
SL_DROP(tunnel_pack_no_session, SL_EXPECTED, "Record for a session or lane that is gone.")
SL_DROP(tunnel_pack_too_long, SL_OUR_FAULT, "Record exceeds the path and cannot be cut.")
SL_DROP(tunnel_pack_no_mbuf, SL_OUR_FAULT, "No packet buffer for a piece of a record.")
SL_DROP(tunnel_pack_joined,
	SL_EXPECTED,
	"Record went on inside another datagram; its own buffer is free.")
