// record_input: take the records of a datagram apart and send each where its kind is dealt with.
//   tunnel_open | record_whole | mailbox_rx -> record_input -> flow_return or flow_originate | flow_open |
//   flow_reopen | flow_end | record_whole | punt | tunnel_pack | handover
// On entry the mbuf holds the records of one datagram, or one record that another worker handed
// over; on exit it holds one record, header first. Records of flows of other workers go there.
#include "flow_common.h"
#include "record_take.h"
#include "spares.h"

#define ECN_MASK 3u
#define ECN_ECT1 1u
#define ECN_ECT0 2u
#define ECN_CE   3u

enum edge {
	MALFORMED,
	REFUSED,
	UNKNOWN,
	BAD_WORKER,
	CONGESTED,
	STALE,
	NO_MBUF,
	CONSUMED,
	DATA,
	OPEN,
	REOPEN,
	ENDED,
	ERROR,
	PUNT,
	SEAL,
	HANDOVER,
	FRAGMENT,
	EDGE_COUNT
};

static const char *const edges[EDGE_COUNT] = {
	[MALFORMED] = "record_input_malformed",
	[REFUSED] = "record_input_refused",
	[UNKNOWN] = "record_input_unknown",
	[BAD_WORKER] = "record_input_bad_worker",
	[CONGESTED] = "record_input_congested",
	[STALE] = "record_input_stale",
	[NO_MBUF] = "record_input_no_mbuf",
	[CONSUMED] = "record_input_consumed",
	[DATA] = "data",
	[OPEN] = "open",
	[REOPEN] = "reopen",
	[ENDED] = "ended",
	[ERROR] = "error",
	[PUNT] = "punt",
	[SEAL] = "seal",
	[HANDOVER] = "handover",
	[FRAGMENT] = "fragment",
};

// Records that name a flow go to its worker.
static inline bool
is_for_flow(uint8_t type)
{
	return type == SL_RECORD_DATA || type == SL_RECORD_ACCEPT || type == SL_RECORD_CLOSE ||
		type == SL_RECORD_REJECT || type == SL_RECORD_ERROR || type == SL_RECORD_TICKET;
}

static inline bool
has_packet(uint8_t type)
{
	return type <= SL_RECORD_OPEN || type == SL_RECORD_REOPEN;
}

static enum edge
edge_of_taken(enum record_taken taken)
{
	switch (taken) {
	case RECORD_TAKEN:
		return CONSUMED;
	case RECORD_ANSWERED:
		return SEAL;
	case RECORD_STALE:
		return STALE;
	case RECORD_STRANGE:
		return UNKNOWN;
	case RECORD_MALFORMED:
	default:
		return MALFORMED;
	}
}

// Congestion that the outer packet met is told to the inner one (RFC 6040 section 4.2). False: the
// inner one does not take part, so it is lost instead.
static inline bool
combine_ecn(struct sl_rec *rec, uint8_t outer)
{
	uint8_t *tos = (uint8_t *)(uintptr_t)rec->body - SL_REC_TOS_TTL_BYTES;
	uint8_t inner = rec->tos & ECN_MASK;

	if (outer == inner || (outer != ECN_CE && (outer != ECN_ECT1 || inner != ECN_ECT0)))
		return true;
	if (inner == 0)
		return false;
	rec->tos = (uint8_t)((rec->tos & ~ECN_MASK) | outer);
	*tos = rec->tos; // inner is not 0, so the extension is there
	return true;
}

// The next node reads and writes both lines of the flow.
static inline void
prefetch_flow(const struct sl_worker *w, uint32_t id)
{
	const struct sl_flow *f = sl_flow_of_id(w->flows, id);

	if (unlikely(f == NULL))
		return;
	rte_prefetch0_write(f);
	rte_prefetch0_write(f->client_line);
}

static inline enum edge
record_input_verdict(struct sl_worker *w, struct rte_mbuf *m, struct sl_rec *rec)
{
	struct sl_meta *meta = sl_meta(m);

	if (unlikely(rec->flags & SL_RECORD_FRAGMENT))
		return FRAGMENT;
	if (unlikely(meta->outer_ecn != 0) && has_packet(rec->type)) {
		if (!combine_ecn(rec, meta->outer_ecn))
			return CONGESTED;
		meta->outer_ecn = 0; // once; a packet in fragments may have lost its mark, no more
	}
	if (is_for_flow(rec->type) && sl_id_worker(rec->flow) != w->idx) {
		if (sl_id_worker(rec->flow) >= w->nb_workers)
			return BAD_WORKER;
		meta->worker = sl_id_worker(rec->flow);
		meta->stage = SL_STAGE_RECORD;
		return HANDOVER;
	}
	meta->tos = rec->tos;
	meta->ttl = rec->ttl;
	switch ((enum sl_record_type)rec->type) {
	case SL_RECORD_DATA:
		prefetch_flow(w, rec->flow);
		return DATA;
	case SL_RECORD_OPEN:
		return OPEN;
	case SL_RECORD_ACCEPT:
		return edge_of_taken(record_take_accept(w, m, rec));
	case SL_RECORD_CLOSE:
	case SL_RECORD_REJECT:
		return ENDED;
	case SL_RECORD_ERROR:
		return ERROR;
	case SL_RECORD_HEARTBEAT:
		return edge_of_taken(record_take_heartbeat(w, m, rec));
	case SL_RECORD_TICKET:
		return edge_of_taken(record_take_ticket(w, m, rec));
	case SL_RECORD_REOPEN:
		return REOPEN;
	case SL_RECORD_RESOLVE:
		meta->punt = SL_PUNT_RECORD;
		return PUNT;
	case SL_RECORD_LANE:
		return edge_of_taken(record_take_lane(w, m, rec));
	default:
		return UNKNOWN;
	}
}

// What a burst comes apart into, sent on in runs.
struct pieces {
	void *m[RTE_GRAPH_BURST_SIZE];
	rte_edge_t edge[RTE_GRAPH_BURST_SIZE];
	uint16_t nb;
};

static inline void
send_pieces(struct rte_graph *graph, struct rte_node *node, struct pieces *pieces)
{
	sl_node_dispatch(graph, node, pieces->m, pieces->nb, pieces->edge);
	pieces->nb = 0;
}

static inline void
put(struct rte_graph *graph,
    struct rte_node *node,
    struct pieces *pieces,
    struct rte_mbuf *m,
    enum edge edge)
{
	if (unlikely(pieces->nb == RTE_DIM(pieces->m)))
		send_pieces(graph, node, pieces);
	pieces->m[pieces->nb] = m;
	pieces->edge[pieces->nb++] = (rte_edge_t)edge;
}

// A record of its own mbuf, copied out of `from`; NULL without one.
static inline struct rte_mbuf *
copy_record(
	struct sl_worker *w,
	struct spares *spares,
	const struct sl_meta *from,
	const uint8_t *at,
	uint16_t nb_bytes
)
{
	struct rte_mbuf *m = spares_next(w, spares);

	if (unlikely(m == NULL))
		return NULL;
	*sl_meta(m) = *from;
	m->data_len = nb_bytes;
	m->pkt_len = nb_bytes;
	spares_copy(rte_pktmbuf_mtod(m, uint8_t *), at, nb_bytes);
	return m;
}

static inline enum edge
edge_of(struct sl_worker *w, struct rte_mbuf *m, enum sl_rec_verdict verdict, struct sl_rec *rec)
{
	switch (verdict) {
	case SL_REC_OK:
		return record_input_verdict(w, m, rec);
	case SL_REC_END:
		return CONSUMED;
	case SL_REC_SKIP:
		return UNKNOWN;
	case SL_REC_REFUSE:
		return REFUSED;
	case SL_REC_MALFORMED:
	default:
		return MALFORMED;
	}
}

// Take `m` apart. The last record stays in `m` itself, whose edge is returned; without packet buffers
// the rest of the datagram is lost with it.
static inline enum edge
split(struct rte_graph *graph,
      struct rte_node *node,
      struct pieces *pieces,
      struct spares *spares,
      struct rte_mbuf *m)
{
	struct sl_worker *w = sl_node_worker(node);
	uint8_t *start = rte_pktmbuf_mtod(m, uint8_t *);
	struct sl_recs recs = sl_recs_begin(start, rte_pktmbuf_data_len(m));
	struct sl_rec rec;

	for (;;) {
		const uint8_t *at = recs.at;
		enum sl_rec_verdict verdict = sl_recs_next(&recs, &rec);
		struct rte_mbuf *own;

		if (unlikely(verdict == SL_REC_SKIP && recs.at != recs.end))
			continue;
		if (verdict != SL_REC_OK || recs.at == recs.end) {
			rte_pktmbuf_adj(m, (uint16_t)(at - start));
			return edge_of(w, m, verdict, &rec);
		}
		own = copy_record(w, spares, sl_meta(m), at, (uint16_t)(recs.at - at));
		if (unlikely(own == NULL))
			return NO_MBUF;
		rec.body = rte_pktmbuf_mtod(own, uint8_t *) + (rec.body - at);
		put(graph, node, pieces, own, record_input_verdict(w, own, &rec));
	}
}

static void
record_input_burst(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	struct sl_worker *w = sl_node_worker(node);
	struct spares spares;
	struct pieces pieces;

	pieces.nb = 0;
	spares_begin(&spares);
	for (uint16_t i = 0; i < nb; i++) {
		spares_want(w, &spares, objs[i]);
		put(graph, node, &pieces, objs[i], split(graph, node, &pieces, &spares, objs[i]));
	}
	w->stats.created += spares.nb_used;
	spares_give_back(&spares);
	send_pieces(graph, node, &pieces);
}

static uint16_t
record_input_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	return sl_node_bursts(graph, node, objs, nb, record_input_burst);
}

SL_NODE(record_input, record_input_process, edges)
SL_DROP(record_input_malformed, SL_PEER_FAULT, "Record whose lengths or fields are wrong.")
SL_DROP(record_input_refused,
	SL_PEER_FAULT,
	"Record of a mandatory kind this version does not know.")
SL_DROP(record_input_unknown, SL_EXPECTED, "Record of a kind this version does not know.")
SL_DROP(record_input_bad_worker, SL_PEER_FAULT, "Record for a worker that does not exist.")
SL_DROP(record_input_congested,
	SL_EXPECTED,
	"Its datagram met congestion, and the packet inside does not take part in marking.")
SL_DROP(record_input_stale, SL_EXPECTED, "Record for a flow that is over.")
SL_DROP(record_input_no_mbuf, SL_OUR_FAULT, "No packet buffer for a record of a datagram.")
SL_DROP(record_input_consumed, SL_EXPECTED, "Record that carries no packet, taken in.")
