// stream_tx: give packets to the stream thread.
//   dns_stream | client_output | flow_collect -> stream_tx -> (ring) -> stream thread
// The mbuf starts at L3. It is a client's TCP segment, the answer to a question that came by TCP, or a
// DNS server's segment for one of our sockets: ctrl/stream tells them apart by meta->stream and protocol.
#include <sluice/dp/node.h>
#include <sluice/dp/worker.h>

enum edge { FULL, EDGE_COUNT };

static const char *const edges[EDGE_COUNT] = {
	[FULL] = "stream_tx_full",
};

static uint16_t
stream_tx_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb_objs)
{
	struct sl_worker *w = sl_node_worker(node);
	unsigned nb = rte_ring_sp_enqueue_burst(w->to_stream, objs, nb_objs, NULL);

	w->stats.to_stream += nb;
	w->wake_stream = true;
	if (unlikely(nb < nb_objs))
		rte_node_enqueue(graph, node, FULL, objs + nb, (uint16_t)(nb_objs - nb));
	return nb_objs;
}

SL_NODE_FLAGS(stream_tx, stream_tx_process, edges, SL_NODE_FINAL_F)
SL_DROP(stream_tx_full,
	SL_EXPECTED,
	"Clients send TCP to the resolvers faster than the stream thread takes it.")
