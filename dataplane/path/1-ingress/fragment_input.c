// fragment_input: bring the fragments of one packet together at one worker.
//   ip4_input | mailbox_rx -> fragment_input -> handover (to the owner, at SL_STAGE_FRAGMENT)
// The mbuf starts at L3. The owner is a keyed hash of what all fragments of a packet share. There
// they are dropped until reassembly is written.
#include <rte_ip.h>

#include <sluice/dp/hash.h>
#include <sluice/dp/node.h>
#include <sluice/dp/worker.h>

enum edge { NOT_ASSEMBLED, HANDOVER, EDGE_COUNT };

static const char *const edges[EDGE_COUNT] = {
	[NOT_ASSEMBLED] = "fragment_input_not_assembled",
	[HANDOVER] = "handover",
};

static inline rte_edge_t
fragment_input_verdict(struct sl_worker *w, struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	struct sl_meta *meta = sl_meta(m);
	const uint32_t shared[] = {
		ip->src_addr,
		ip->dst_addr,
		(uint32_t)ip->packet_id << 8 | ip->next_proto_id,
	};
	uint32_t owner = (uint32_t)(sl_hash(w->owner_key, shared, sizeof(shared)) % w->nb_workers);

	if (owner == w->idx)
		return NOT_ASSEMBLED;
	meta->worker = (uint8_t)owner;
	meta->stage = SL_STAGE_FRAGMENT;
	return HANDOVER;
}

static uint16_t
fragment_input_process(
	struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb_objs
)
{
	return SL_FOREACH_VERDICT(graph, node, objs, nb_objs, HANDOVER, fragment_input_verdict);
}

SL_NODE(fragment_input, fragment_input_process, edges)
SL_DROP(fragment_input_not_assembled, SL_PEER_FAULT, "Fragments are not put together yet.")
