// port_rx: take frames off the worker's receive queues.
//   port_rx -> eth_input
// A source. Frames leave with cleared metadata but for the port they came in by; they are of no
// client and no flow yet.
#include "port_rx.h"

#include <rte_ethdev.h>

#include <sluice/dp/node.h>
#include <sluice/dp/snapshot.h>
#include <sluice/dp/worker.h>

#define BURST_PKTS 64u

enum edge { NO_EDGE, FRAME, EDGE_COUNT };

static const char *const edges[EDGE_COUNT] = {
	[NO_EDGE] = "port_rx_unsorted",
	[FRAME] = "eth_input",
};

static unsigned
receive(struct sl_worker *w, const struct sl_rx_pair *pair, struct rte_mbuf **m, unsigned room)
{
	uint16_t nb = rte_eth_rx_burst(
		pair->ethdev, pair->queue, m, (uint16_t)RTE_MIN(room, BURST_PKTS)
	);

	w->stats.rx_pkts[pair->port] += nb;
	w->stats.rx_bytes[pair->port] += port_rx_accept(m, nb, pair->port);
	return nb;
}

static uint16_t
port_rx_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb_objs)
{
	struct sl_worker *w = sl_node_worker(node);
	struct rte_mbuf **m = (struct rte_mbuf **)objs;
	unsigned nb = 0;

	(void)nb_objs;
	// The stream holds one graph burst; when that is full the remaining queues go first next time.
	for (unsigned i = 0; i < w->nb_rx_pairs && nb < RTE_GRAPH_BURST_SIZE; i++) {
		if (w->rx_next >= w->nb_rx_pairs)
			w->rx_next = 0;
		nb += receive(w, &w->rx_pairs[w->rx_next++], m + nb, RTE_GRAPH_BURST_SIZE - nb);
	}
	if (nb == 0)
		return 0;
	node->idx = (uint16_t)nb;
	rte_node_next_stream_move(graph, node, FRAME);
	return (uint16_t)nb;
}

SL_NODE_FLAGS(port_rx, port_rx_process, edges, RTE_NODE_SOURCE_F)
SL_DROP(port_rx_unsorted, SL_OUR_FAULT, "Frame left the receive node by no exit.")
