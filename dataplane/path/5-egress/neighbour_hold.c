// neighbour_hold: keep packets whose next hop has no known MAC address, and ask for it by ARP.
//   eth_output -> neighbour_hold -> (held until arp_input learns, or neighbour_sweep gives up)
//                                -> port_tx (the query)
// The mbuf starts at L3; out_port and next_hop are set.
#include "frame.h"

#include <sluice/dp/neighbour.h>
#include <sluice/dp/node.h>

enum edge { QUEUE_FULL, TABLE_FULL, QUERY, EDGE_COUNT };

static const char *const edges[EDGE_COUNT] = {
	[QUEUE_FULL] = "neighbour_hold_queue_full",
	[TABLE_FULL] = "neighbour_hold_table_full",
	[QUERY] = "port_tx",
};

static void
hold(struct rte_graph *graph, struct rte_node *node, struct rte_mbuf *m)
{
	struct sl_worker *w = sl_node_worker(node);
	uint16_t port = sl_meta(m)->out_port;
	rte_be32_t next_hop = sl_meta(m)->next_hop;
	struct rte_mbuf *query;

	switch (sl_neighbours_hold(w->neighbours, port, next_hop, w->now_ns, m)) {
	case SL_NEIGHBOUR_HELD_WAIT:
		break;
	case SL_NEIGHBOUR_HELD_ASK:
		// Without a buffer the sweep asks again.
		query = frame_arp_query(w, port, next_hop);
		if (query != NULL)
			rte_node_enqueue_x1(graph, node, QUERY, query);
		break;
	case SL_NEIGHBOUR_QUEUE_FULL:
		rte_node_enqueue_x1(graph, node, QUEUE_FULL, m);
		break;
	case SL_NEIGHBOUR_TABLE_FULL:
		rte_node_enqueue_x1(graph, node, TABLE_FULL, m);
		break;
	}
}

static uint16_t
neighbour_hold_process(
	struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb_objs
)
{
	for (uint16_t i = 0; i < nb_objs; i++)
		hold(graph, node, objs[i]);
	return nb_objs;
}

SL_NODE(neighbour_hold, neighbour_hold_process, edges)
SL_DROP(neighbour_hold_queue_full, SL_EXPECTED, "As many packets wait for the next hop as may.")
SL_DROP(neighbour_hold_table_full,
	SL_OUR_FAULT,
	"The neighbour table is full of unanswered queries.")
