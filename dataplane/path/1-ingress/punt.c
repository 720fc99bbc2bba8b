// punt: give packets to the session thread.
//   any node -> punt -> (ring) -> session thread, which reads meta->punt
#include <sluice/dp/node.h>
#include <sluice/dp/worker.h>

enum edge { FULL, CROWD, EDGE_COUNT };

static const char *const edges[EDGE_COUNT] = {
	[FULL] = "punt_full",
	[CROWD] = "punt_crowd",
};

// What anybody may send who knows an address of ours. All else comes from clients and peers.
static bool
is_anybodys(struct rte_mbuf *m)
{
	uint8_t punt = sl_meta(m)->punt;

	return punt == SL_PUNT_HANDSHAKE || punt == SL_PUNT_UNKNOWN_INDEX;
}

// With so many more, is the ring more than half full?
static bool
is_crowded(const struct rte_ring *ring, unsigned nb)
{
	return rte_ring_free_count(ring) < rte_ring_get_capacity(ring) / 2 + nb;
}

// Many wait: what is left of the ring is for those who are known.
static uint16_t
sieve(struct rte_graph *graph,
      struct rte_node *node,
      struct sl_worker *w,
      void **objs,
      uint16_t nb_objs)
{
	uint16_t nb_punted = 0;

	for (uint16_t i = 0; i < nb_objs; i++) {
		if (is_anybodys(objs[i]) && is_crowded(w->to_session, 1))
			rte_node_enqueue_x1(graph, node, CROWD, objs[i]);
		else if (rte_ring_sp_enqueue(w->to_session, objs[i]) != 0)
			rte_node_enqueue_x1(graph, node, FULL, objs[i]);
		else
			nb_punted++;
	}
	return nb_punted;
}

static uint16_t
punt_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb_objs)
{
	struct sl_worker *w = sl_node_worker(node);

	w->wake_session = true;
	if (unlikely(is_crowded(w->to_session, nb_objs)))
		w->stats.punted += sieve(graph, node, w, objs, nb_objs);
	else
		w->stats.punted += rte_ring_sp_enqueue_burst(w->to_session, objs, nb_objs, NULL);
	return nb_objs;
}

SL_NODE_FLAGS(punt, punt_process, edges, SL_NODE_FINAL_F)
SL_DROP(punt_full, SL_OUR_FAULT, "The session thread is too slow: its ring is full.")
SL_DROP(punt_crowd,
	SL_PEER_FAULT,
	"Handshake, or data under an unknown index, while many wait: clients and peers go first.")
