// record_whole: put the fragments of a record together.
//   record_input -> record_whole -> record_input
// On entry the mbuf holds one fragment, on the worker that owns its lane; on exit, the whole record.
// Memory is fixed: so many records at a time, each of what one packet buffer holds.
#include <sluice/dp/node.h>
#include <sluice/dp/worker.h>
#include <sluice/proto/fragment.h>

enum edge { BAD, HELD, OVERLAP, QUOTA, TOO_BIG, RECORDS, EDGE_COUNT };

static const char *const edges[EDGE_COUNT] = {
	[BAD] = "record_whole_bad",         [HELD] = "record_whole_held",
	[OVERLAP] = "record_whole_overlap", [QUOTA] = "record_whole_quota",
	[TOO_BIG] = "record_whole_too_big", [RECORDS] = "records",
};

static inline enum edge
replace(struct rte_mbuf *m, const struct sl_rec *whole)
{
	unsigned head = sl_rec_head_bytes(whole->flags);
	uint8_t *p;

	m->data_off = RTE_PKTMBUF_HEADROOM;
	m->data_len = 0;
	m->pkt_len = 0;
	if (head + whole->nb_bytes > rte_pktmbuf_tailroom(m))
		return TOO_BIG;
	p = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(head + whole->nb_bytes));
	sl_rec_put(p, whole);
	rte_memcpy(p + head, whole->body, whole->nb_bytes);
	return RECORDS;
}

static inline enum edge
record_whole_verdict(struct sl_worker *w, struct rte_mbuf *m)
{
	const struct sl_meta *meta = sl_meta(m);
	struct sl_rec fragment, whole;
	size_t used;

	if (sl_rec_parse(
		    rte_pktmbuf_mtod(m, const uint8_t *), rte_pktmbuf_data_len(m), &fragment, &used
	    ) != SL_REC_OK)
		return BAD;
	switch (sl_reass_add(
		w->reass, (uint64_t)meta->session << 16 | meta->lane, &fragment, w->now_ns, &whole
	)) {
	case SL_REASS_DONE:
		return replace(m, &whole);
	case SL_REASS_HELD:
		return HELD;
	case SL_REASS_OVERLAP:
		return OVERLAP;
	case SL_REASS_QUOTA:
		return QUOTA;
	case SL_REASS_TOO_BIG:
		return TOO_BIG;
	case SL_REASS_BAD:
	default:
		return BAD;
	}
}

static uint16_t
record_whole_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	return SL_FOREACH_VERDICT(graph, node, objs, nb, RECORDS, record_whole_verdict);
}

SL_NODE(record_whole, record_whole_process, edges)
SL_DROP(record_whole_bad, SL_PEER_FAULT, "Record fragment that is part of nothing.")
SL_DROP(record_whole_held,
	SL_EXPECTED,
	"Record fragment, copied to where its record is put together.")
SL_DROP(record_whole_overlap, SL_PEER_FAULT, "Record fragments overlap or contradict each other.")
SL_DROP(record_whole_quota,
	SL_PEER_FAULT,
	"Record fragment of a lane that has too many unfinished records.")
SL_DROP(record_whole_too_big, SL_PEER_FAULT, "Record that is larger than a packet buffer.")
