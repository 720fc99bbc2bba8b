// record_whole: put the fragments of a record together.
//   record_input -> record_whole -> record_input
// On entry the mbuf holds one fragment, on the worker that owns its lane; on exit, the whole record.
// What exceeds the fragment's own buffer goes on in a large one.
#include <sluice/dp/fragments.h>
#include <sluice/dp/node.h>
#include <sluice/dp/tunnel.h>
#include <sluice/dp/worker.h>
#include <sluice/proto/fragment.h>

enum edge { BAD, HELD, OVERLAP, QUOTA, TOO_BIG, NO_BUFFER, RECORDS, EDGE_COUNT };

static const char *const edges[EDGE_COUNT] = {
	[BAD] = "record_whole_bad",
	[HELD] = "record_whole_held",
	[OVERLAP] = "record_whole_overlap",
	[QUOTA] = "record_whole_quota",
	[TOO_BIG] = "record_whole_too_big",
	[NO_BUFFER] = "record_whole_no_buffer",
	[RECORDS] = "records",
};

// In front of a body goes at least the IPv4 header and what of the transport header did not travel,
// however short the record's own header is. The most is UDP's; the longest bodies are ICMP's.
#define HEADROOM(skip) ((uint32_t)sizeof(struct rte_ipv4_hdr) + (skip))

// The whole record into `m` if that holds it, else into a large buffer; NULL without.
static struct rte_mbuf *
make_whole(struct sl_worker *w, struct rte_mbuf *m, const struct sl_rec *rec)
{
	unsigned head = sl_rec_head_bytes(rec->flags);
	uint32_t least = HEADROOM(SL_WIRE_UDP_SKIP_BYTES);
	struct rte_mbuf *whole = m;
	uint8_t *p;

	if (rec->nb_bytes + least > UINT16_MAX)
		least = HEADROOM(SL_WIRE_ICMP_SKIP_BYTES);
	if (RTE_PKTMBUF_HEADROOM + head + rec->nb_bytes + SL_WIRE_TAG_BYTES > m->buf_len) {
		whole = rte_pktmbuf_alloc(w->large_pool);
		if (whole == NULL)
			return NULL;
		*sl_meta(whole) = *sl_meta(m);
		w->stats.created++;
	}
	sl_large_reset(whole, head + rec->nb_bytes, RTE_PKTMBUF_HEADROOM, least - head);
	p = rte_pktmbuf_mtod(whole, uint8_t *);
	sl_rec_put(p, rec);
	rte_memcpy(p + head, rec->body, rec->nb_bytes);
	return whole;
}

static inline enum edge
record_whole_verdict(struct sl_worker *w, struct rte_mbuf *m, struct rte_mbuf **whole)
{
	const struct sl_meta *meta = sl_meta(m);
	struct sl_rec fragment, rec;
	size_t used;

	if (sl_rec_parse(
		    rte_pktmbuf_mtod(m, const uint8_t *), rte_pktmbuf_data_len(m), &fragment, &used
	    ) != SL_REC_OK)
		return BAD;
	switch (sl_reass_add(
		w->reass, (uint64_t)meta->session << 16 | meta->lane, &fragment, w->now_ns, &rec
	)) {
	case SL_REASS_DONE:
		if (rec.nb_bytes > SL_TUNNEL_BODY_MAX_BYTES)
			return TOO_BIG;
		*whole = make_whole(w, m, &rec);
		return *whole == NULL ? NO_BUFFER : HELD;
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
	struct sl_worker *w = sl_node_worker(node);

	for (uint16_t i = 0; i < nb; i++) {
		struct rte_mbuf *whole = NULL;
		enum edge edge = record_whole_verdict(w, objs[i], &whole);

		if (whole != NULL)
			rte_node_enqueue_x1(graph, node, RECORDS, whole);
		if (whole != objs[i])
			rte_node_enqueue_x1(graph, node, (rte_edge_t)edge, objs[i]);
	}
	return nb;
}

SL_NODE(record_whole, record_whole_process, edges)
SL_DROP(record_whole_bad, SL_PEER_FAULT, "Record fragment that is part of nothing.")
SL_DROP(record_whole_held,
	SL_EXPECTED,
	"Record fragment, copied to where its record is put together.")
SL_DROP(record_whole_overlap, SL_PEER_FAULT, "Record fragments overlap or contradict each other.")
SL_DROP(record_whole_quota,
	SL_PEER_FAULT,
	"Fragment of a record that needs more memory than its lane may have.")
SL_DROP(record_whole_too_big, SL_PEER_FAULT, "Record that holds more than a packet can.")
SL_DROP(record_whole_no_buffer, SL_OUR_FAULT, "No large buffer for a record that is whole.")
