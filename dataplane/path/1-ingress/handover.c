// handover: give packets to the worker that owns them.
//   any node -> handover -> (ring) -> mailbox_rx of worker meta->worker, at meta->stage
// A packet is handed over at most once per stage: a second time means that two workers disagree
// about its owner. An OPEN that is looked for at all workers counts its own steps.
#include <sluice/dp/node.h>
#include <sluice/dp/worker.h>

enum edge { NO_WORKER, TWICE, FULL, EDGE_COUNT };

static const char *const edges[EDGE_COUNT] = {
	[NO_WORKER] = "handover_no_worker",
	[TWICE] = "handover_twice",
	[FULL] = "handover_full",
};

static uint16_t
handover_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb_objs)
{
	struct sl_worker *w = sl_node_worker(node);

	for (uint16_t i = 0; i < nb_objs; i++) {
		struct sl_meta *meta = sl_meta(objs[i]);
		uint16_t bit = (uint16_t)(1u << meta->stage);

		if (unlikely(meta->worker >= w->nb_workers || meta->worker == w->idx)) {
			rte_node_enqueue_x1(graph, node, NO_WORKER, objs[i]);
			continue;
		}
		if (unlikely((meta->stages_done & bit) != 0) && meta->stage != SL_STAGE_SEARCH) {
			rte_node_enqueue_x1(graph, node, TWICE, objs[i]);
			continue;
		}
		meta->stages_done |= bit;
		// After this store the packet is the other worker's.
		w->wake_peers |= 1ull << meta->worker;
		if (rte_ring_sp_enqueue(w->peers[meta->worker]->from_worker[w->idx], objs[i]) != 0)
			rte_node_enqueue_x1(graph, node, FULL, objs[i]);
		else
			w->stats.handed_over++;
	}
	return nb_objs;
}

SL_NODE(handover, handover_process, edges)
SL_DROP(handover_no_worker, SL_OUR_FAULT, "Packet was to be handed to a worker there is not.")
SL_DROP(handover_twice, SL_OUR_FAULT, "Two workers disagree about whose the packet is.")
SL_DROP(handover_full, SL_OUR_FAULT, "The owning worker is too slow: its hand-over ring is full.")
