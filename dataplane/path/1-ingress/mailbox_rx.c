// mailbox_rx: take in packets that other workers, the session and the stream thread hand to this one.
//   mailbox_rx -> the node that goes on with meta->stage
// A source. Where the mbuf starts depends on the stage (enum sl_stage).
#include <sluice/dp/node.h>
#include <sluice/dp/worker.h>

static const char *const edges[SL_STAGE_COUNT] = {
	[SL_STAGE_NONE] = "mailbox_rx_no_stage",
	[SL_STAGE_IP4] = "ip4_output",
	[SL_STAGE_FRAGMENT] = "fragment",
	[SL_STAGE_TUNNEL] = "tunnel",
	[SL_STAGE_WIREGUARD] = "wireguard",
	[SL_STAGE_CLIENT] = "client",
	[SL_STAGE_RECORD] = "record",
	[SL_STAGE_COLLECT] = "collect",
	[SL_STAGE_SEAL] = "seal",
	[SL_STAGE_RESOLVED] = "resolved",
	[SL_STAGE_TO_CLIENT] = "to_client",
	[SL_STAGE_QUERY] = "query",
	[SL_STAGE_ARP] = "arp",
	[SL_STAGE_SEARCH] = "search",
	[SL_STAGE_TO_SESSION] = "to_session",
	[SL_STAGE_ICMP] = "icmp",
	[SL_STAGE_PROBE] = "probe",
	[SL_STAGE_STREAM] = "stream",
};

static uint16_t
mailbox_rx_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb_objs)
{
	struct sl_worker *w = sl_node_worker(node);
	rte_edge_t edge[RTE_GRAPH_BURST_SIZE];
	unsigned nb = 0, got;

	(void)nb_objs;
	nb += rte_ring_sc_dequeue_burst(w->from_session, objs, RTE_GRAPH_BURST_SIZE / 2, NULL);
	w->stats.from_session += nb;
	got = rte_ring_sc_dequeue_burst(w->from_stream, objs + nb, RTE_GRAPH_BURST_SIZE / 4, NULL);
	w->stats.from_stream += got;
	nb += got;
	for (unsigned i = 0; i < w->nb_workers && nb < RTE_GRAPH_BURST_SIZE; i++) {
		// Another worker's ring goes first each walk, so that none starves.
		unsigned k = (unsigned)((w->stats.walks + i) % w->nb_workers);

		nb += rte_ring_sc_dequeue_burst(
			w->from_worker[k], objs + nb, RTE_GRAPH_BURST_SIZE - nb, NULL
		);
	}
	for (unsigned i = 0; i < nb; i++) {
		uint8_t stage = sl_meta(objs[i])->stage;

		edge[i] = likely(stage < SL_STAGE_COUNT) ? stage : SL_STAGE_NONE;
	}
	sl_node_dispatch(graph, node, objs, (uint16_t)nb, edge);
	return (uint16_t)nb;
}

SL_NODE_FLAGS(mailbox_rx, mailbox_rx_process, edges, RTE_NODE_SOURCE_F)
SL_DROP(mailbox_rx_no_stage, SL_OUR_FAULT, "Packet was handed over without saying where it goes on."
)
