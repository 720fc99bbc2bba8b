// punt: give packets to the session thread.
//   any node -> punt -> (ring) -> session thread, which reads meta->punt
#include <sluice/dp/node.h>
#include <sluice/dp/worker.h>

enum edge { FULL, EDGE_COUNT };

static const char *const edges[EDGE_COUNT] = {
	[FULL] = "punt_full",
};

static uint16_t
punt_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb_objs)
{
	struct sl_worker *w = sl_node_worker(node);
	unsigned nb = rte_ring_sp_enqueue_burst(w->to_session, objs, nb_objs, NULL);

	w->stats.punted += nb;
	w->wake_session = true;
	if (unlikely(nb < nb_objs))
		rte_node_enqueue(graph, node, FULL, objs + nb, (uint16_t)(nb_objs - nb));
	return nb_objs;
}

SL_NODE_FLAGS(punt, punt_process, edges, SL_NODE_FINAL_F)
SL_DROP(punt_full, SL_OUR_FAULT, "The session thread is too slow: its ring is full.")
