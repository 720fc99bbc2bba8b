#include <sluice/dp/buffer.h>
#include <sluice/dp/flow_table.h>
#include <sluice/dp/waiting.h>
#include <sluice/dp/worker.h>
#include <string.h>

// Nobody else refers to a copy: no count of references is locked for it.
static void
drop(struct rte_mbuf *m)
{
	if (m != NULL)
		rte_pktmbuf_free_bulk(&m, 1);
}

struct rte_mbuf *
sl_waiting_copy(struct sl_worker *w, const struct rte_mbuf *m)
{
	struct rte_mbuf *copy = w->large_pool == NULL ? NULL : rte_pktmbuf_alloc(w->large_pool);

	if (copy == NULL)
		return NULL;
	if (m->data_off + rte_pktmbuf_data_len(m) > copy->buf_len) {
		drop(copy);
		return NULL;
	}
	copy->data_off = m->data_off;
	copy->data_len = m->data_len;
	copy->pkt_len = m->data_len;
	memcpy(rte_pktmbuf_mtod(copy, void *),
	       rte_pktmbuf_mtod(m, const void *),
	       rte_pktmbuf_data_len(m));
	*sl_meta(copy) = *(const struct sl_meta *)rte_mbuf_to_priv((struct rte_mbuf *)(uintptr_t)m);
	sl_meta(copy)->flow = SL_NO_FLOW;
	sl_meta(copy)->stages_done = 0;
	sl_meta(copy)->trail_len = 0;
	return copy;
}

void
sl_waiting_keep(struct sl_worker *w, struct rte_mbuf *copy, uint32_t index)
{
	for (unsigned i = 0; copy != NULL && i < SL_WAITING_PKTS; i++) {
		if (w->waiting[i].m != NULL)
			continue;
		w->waiting[i] = (struct sl_waiting
		){ .m = copy,
		   .flow = index,
		   .generation = sl_flow_at(w->flows, index)->link.own_generation,
		   .until_ds = w->now_ds + SL_WAITING_DS };
		w->nb_waiting++;
		return;
	}
	drop(copy);
}

// Begin the way again, in this worker's own mailbox.
static void
release(struct sl_worker *w, struct sl_waiting *wait)
{
	sl_meta(wait->m)->stage = SL_STAGE_CLIENT;
	if (rte_ring_sp_enqueue(w->from_worker[w->idx], wait->m) == 0)
		w->stats.created++;
	else
		drop(wait->m);
}

void
sl_waiting_tick(struct sl_worker *w)
{
	if (likely(w->nb_waiting == 0))
		return;
	for (unsigned i = 0; i < SL_WAITING_PKTS; i++) {
		struct sl_waiting *wait = &w->waiting[i];
		const struct sl_flow *f;

		if (wait->m == NULL)
			continue;
		f = sl_flow_at(w->flows, wait->flow);
		if (f->kind == SL_FLOW_CLIENT && f->link.own_generation == wait->generation &&
		    f->link.peer_generation == 0 && (int32_t)(wait->until_ds - w->now_ds) > 0)
			continue;
		if (f->kind == SL_FLOW_CLIENT && f->link.own_generation == wait->generation &&
		    f->link.peer_generation != 0)
			release(w, wait);
		else
			drop(wait->m);
		wait->m = NULL;
		w->nb_waiting--;
	}
}

void
sl_waiting_free(struct sl_worker *w)
{
	for (unsigned i = 0; i < SL_WAITING_PKTS; i++) {
		drop(w->waiting[i].m);
		w->waiting[i].m = NULL;
	}
	w->nb_waiting = 0;
}
