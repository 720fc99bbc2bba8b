// neighbour_sweep: ask again for next hops that did not answer or grew old, give up on the silent.
//   neighbour_sweep -> port_tx (queries) | unreachable (packets that waited in vain, at L3)
// A source, idle but four times a second.
#include "frame.h"

#include <sluice/dp/neighbour.h>
#include <sluice/dp/node.h>
#include <sluice/dp/reject.h>

#define PERIOD_NS (SL_NS_PER_S / 4)

enum edge { UNREACHABLE, QUERY, EDGE_COUNT };

static const char *const edges[EDGE_COUNT] = {
	[UNREACHABLE] = "unreachable",
	[QUERY] = "port_tx",
};

static uint16_t
neighbour_sweep_process(
	struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb_objs
)
{
	struct sl_worker *w = sl_node_worker(node);
	uint64_t *due_ns = sl_neighbours_due_ns(w->neighbours);
	struct sl_neighbour_event event;
	uint32_t at = 0;
	uint16_t nb = 0;

	(void)objs;
	(void)nb_objs;
	if (likely(w->now_ns < *due_ns))
		return 0;
	*due_ns = w->now_ns + PERIOD_NS;
	while (sl_neighbours_sweep(w->neighbours, w->now_ns, &at, &event)) {
		struct rte_mbuf *query = NULL;

		if (event.must_ask)
			query = frame_arp_query(w, event.port, event.address);
		if (query != NULL)
			rte_node_enqueue_x1(graph, node, QUERY, query);
		for (unsigned i = 0; i < event.nb_given_up; i++) {
			sl_meta(event.given_up[i])->reason = SL_LOCAL_NO_NEIGHBOUR;
			rte_node_enqueue_x1(graph, node, UNREACHABLE, event.given_up[i]);
		}
		nb = (uint16_t)(nb + (query != NULL) + event.nb_given_up);
	}
	return nb;
}

SL_NODE_FLAGS(neighbour_sweep, neighbour_sweep_process, edges, RTE_NODE_SOURCE_F)
SL_DROP(neighbour_sweep_unanswered, SL_EXPECTED, "Nobody answers ARP for the packet's next hop.")
