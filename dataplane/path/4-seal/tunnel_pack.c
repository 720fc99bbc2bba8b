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
#define SMALL_BYTES    64u // records up to this are copied in two pieces

enum edge { NO_SESSION, TOO_LONG, NO_MBUF, HANDOVER, JOINED, SEAL, EDGE_COUNT };

static const char *const edges[EDGE_COUNT] = {
	[NO_SESSION] = "tunnel_pack_no_session", [TOO_LONG] = "tunnel_pack_too_long",
	[NO_MBUF] = "tunnel_pack_no_mbuf",       [HANDOVER] = "handover",
	[JOINED] = "tunnel_pack_joined",         [SEAL] = "seal",
};

struct filling {
	struct rte_mbuf *m; // datagram that may still grow
	uint64_t lane_of; // session and lane
	uint16_t room_bytes; // left in it
	uint8_t tos;
};

struct packing {
	struct filling open[OPEN_DATAGRAMS];
	struct filling *last; // the one found or opened last: records of one lane come in runs
	unsigned nb_open;
	unsigned oldest;
};

static inline uint64_t
lane_of(const struct sl_meta *meta)
{
	return (uint64_t)meta->session << 16 | meta->lane;
}

static struct filling *
find_open(struct packing *p, uint64_t lane)
{
	if (likely(p->last != NULL && p->last->lane_of == lane))
		return p->last;
	for (unsigned i = 0; i < p->nb_open; i++)
		if (p->open[i].lane_of == lane)
			return &p->open[i];
	return NULL;
}

static void
open_datagram(struct packing *p, struct filling *at, struct rte_mbuf *m, uint16_t room_bytes)
{
	const struct sl_meta *meta = sl_meta(m);
	uint16_t tail_bytes = rte_pktmbuf_tailroom(m);

	room_bytes = (uint16_t)(room_bytes - m->data_len);
	// What seals will append its tag.
	if (tail_bytes < room_bytes + SL_WIRE_TAG_BYTES)
		room_bytes = tail_bytes < SL_WIRE_TAG_BYTES
			? 0
			: (uint16_t)(tail_bytes - SL_WIRE_TAG_BYTES);
	if (at == NULL && p->nb_open < OPEN_DATAGRAMS)
		at = &p->open[p->nb_open++];
	else if (at == NULL)
		at = &p->open[p->oldest++ % OPEN_DATAGRAMS];
	*at = (struct filling
	){ .m = m, .lane_of = lane_of(meta), .room_bytes = room_bytes, .tos = meta->tos };
	p->last = at;
}

// Append the record in `m`. Its first octets are copied in pieces of a fixed size, past its end if it is
// shorter: both buffers are longer than what is in them, and the next record overwrites the rest.
static inline void
join(struct filling *at, const struct rte_mbuf *m)
{
	uint8_t *to = rte_pktmbuf_mtod_offset(at->m, uint8_t *, at->m->data_len);
	const uint8_t *from = rte_pktmbuf_mtod(m, const uint8_t *);
	uint16_t nb_bytes = m->data_len;

	if (likely(nb_bytes <= SMALL_BYTES && at->room_bytes >= SMALL_BYTES)) {
		rte_mov32(to, from);
		if (nb_bytes > SMALL_BYTES / 2)
			rte_mov32(to + SMALL_BYTES / 2, from + SMALL_BYTES / 2);
	} else {
		rte_memcpy(to, from, nb_bytes);
	}
	at->m->data_len = (uint16_t)(at->m->data_len + nb_bytes);
	at->m->pkt_len = at->m->data_len;
	at->room_bytes = (uint16_t)(at->room_bytes - nb_bytes);
}

static inline enum edge
begin_datagram(struct sl_worker *w, struct packing *p, struct rte_mbuf *m, struct filling *at)
{
	struct sl_meta *meta = sl_meta(m);
	const struct sl_session *session;
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
	open_datagram(p, at, m, room_bytes);
	return SEAL;
}

static inline enum edge
tunnel_pack_verdict(struct sl_worker *w, struct packing *p, struct rte_mbuf *m)
{
	const struct sl_meta *meta = sl_meta(m);
	struct filling *at = find_open(p, lane_of(meta));

	// What is being filled has been found to be ours, and its session there.
	if (at != NULL && at->tos == meta->tos && m->data_len <= JOIN_BYTES &&
	    m->data_len <= at->room_bytes) {
		join(at, m);
		p->last = at;
		return JOINED;
	}
	return begin_datagram(w, p, m, at);
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
	struct packing packing;
	rte_edge_t edge[RTE_GRAPH_BURST_SIZE];

	packing.last = NULL;
	packing.nb_open = 0;
	packing.oldest = 0;
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
