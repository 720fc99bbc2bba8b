// walk: one pass over a worker's graph. Calls and objects are counted always; cycles are sampled
// each 32nd walk with one time stamp a node, since two a node cost more than the nodes' hand-over.
#include "graph.h"

#include <rte_cycles.h>

#include <sluice/dp/trace.h>

#define CYCLES_EACH_WALKS 32u

enum walk_mode { WALK_PLAIN, WALK_TIMED, WALK_TRACED };

static __rte_always_inline unsigned
walk(struct rte_graph *g, enum walk_mode mode)
{
	// Sources lie at negative indices; what they bring queues nodes from 0 on, circularly.
	int64_t at = (int32_t)g->head;
	uint64_t stamp = mode == WALK_TIMED ? rte_rdtsc() : 0;
	unsigned brought = 0;

	while (at != (int64_t)g->tail) {
		struct rte_node *node = RTE_PTR_ADD(g, g->cir_start[at]);
		bool is_source = at < 0;
		uint16_t nb;

		if (mode == WALK_TRACED)
			sl_trace_node(node);
		nb = node->process(g, node, node->objs, node->idx);
		node->idx = 0;
		node->total_calls++;
		node->total_objs += nb;
		if (is_source)
			brought += nb;
		if (mode == WALK_TIMED) {
			uint64_t now = rte_rdtsc();

			node->total_cycles += now - stamp;
			stamp = now;
		}
		at++;
		if (at > 0)
			at &= g->cir_mask;
	}
	g->tail = 0;
	return brought;
}

unsigned
sl_graph_walk(struct sl_worker *w)
{
	struct rte_graph *g = w->graph;
	unsigned brought;

	if (unlikely(w->is_traced))
		brought = walk(g, WALK_TRACED);
	else if (w->stats.walks % CYCLES_EACH_WALKS == 0)
		brought = walk(g, WALK_TIMED);
	else
		brought = walk(g, WALK_PLAIN);
	w->stats.walks++;
	if (brought == 0)
		w->stats.walks_empty++;
	return brought;
}
