// arp_input: answer ARP for our addresses and learn next hops.
//   eth_input | mailbox_rx -> arp_input -> port_tx (answers) | eth_output (packets that waited)
//                                       -> handover (copies, so that every worker learns)
// The mbuf starts at the ARP header. An unasked-for claim only updates what is known already.
#include "../5-egress/frame.h"
#include "arp_input.h"

#include <sluice/dp/neighbour.h>

enum edge {
	MALFORMED,
	NOT_ON_LINK,
	CONFLICT,
	NOT_FOR_US,
	LEARNED,
	ANSWER,
	RELEASED,
	COPY,
	EDGE_COUNT
};

static const char *const edges[EDGE_COUNT] = {
	[MALFORMED] = "arp_input_malformed", [NOT_ON_LINK] = "arp_input_not_on_link",
	[CONFLICT] = "arp_input_conflict",   [NOT_FOR_US] = "arp_input_not_for_us",
	[LEARNED] = "arp_input_learned",     [ANSWER] = "port_tx",
	[RELEASED] = "eth_output",           [COPY] = "handover",
};

static void
learn(struct rte_graph *graph, struct rte_node *node, struct rte_mbuf *m, bool has_asked_for_us)
{
	struct sl_worker *w = sl_node_worker(node);
	const struct rte_arp_hdr *arp = rte_pktmbuf_mtod(m, const struct rte_arp_hdr *);
	struct rte_mbuf *released[SL_NEIGHBOUR_HELD];
	unsigned nb = sl_neighbours_learn(
		w->neighbours,
		sl_meta(m)->port,
		arp->arp_data.arp_sip,
		&arp->arp_data.arp_sha,
		w->now_ns,
		has_asked_for_us ? SL_NEIGHBOUR_MAY_ADD : SL_NEIGHBOUR_UPDATE_ONLY,
		released
	);

	for (unsigned i = 0; i < nb; i++)
		rte_node_enqueue_x1(graph, node, RELEASED, released[i]);
}

static void
copy_to_others(struct rte_graph *graph, struct rte_node *node, struct rte_mbuf *m)
{
	struct sl_worker *w = sl_node_worker(node);

	for (uint16_t k = 0; k < w->nb_workers; k++) {
		struct rte_mbuf *c;

		if (k == w->idx)
			continue;
		c = rte_pktmbuf_alloc(w->pool);
		if (c == NULL)
			return; // that worker asks by itself when it needs to know
		memcpy(rte_pktmbuf_append(c, sizeof(struct rte_arp_hdr)),
		       rte_pktmbuf_mtod(m, const void *),
		       sizeof(struct rte_arp_hdr));
		*sl_meta(c) = (struct sl_meta){
			.port = sl_meta(m)->port,
			.worker = (uint8_t)k,
			.stage = SL_STAGE_ARP,
		};
		w->stats.created++;
		rte_node_enqueue_x1(graph, node, COPY, c);
	}
}

static rte_edge_t
answer(struct sl_worker *w, struct rte_mbuf *m)
{
	struct rte_arp_hdr *arp = rte_pktmbuf_mtod(m, struct rte_arp_hdr *);
	uint16_t port = sl_meta(m)->port;
	rte_be32_t own = arp->arp_data.arp_tip;

	arp->arp_opcode = RTE_BE16(RTE_ARP_OP_REPLY);
	arp->arp_data.arp_tha = arp->arp_data.arp_sha;
	arp->arp_data.arp_tip = arp->arp_data.arp_sip;
	arp->arp_data.arp_sha = w->net->ports[port].mac;
	arp->arp_data.arp_sip = own;
	rte_pktmbuf_trim(m, (uint16_t)(m->data_len - sizeof(*arp)));
	frame_prepend(w->net, m, port, &arp->arp_data.arp_tha, RTE_ETHER_TYPE_ARP);
	return ANSWER;
}

static rte_edge_t
handle(struct rte_graph *graph, struct rte_node *node, struct rte_mbuf *m)
{
	struct sl_worker *w = sl_node_worker(node);
	bool is_copy = sl_meta(m)->stage == SL_STAGE_ARP;
	enum sl_arp_verdict verdict = arp_input_verdict(w->net, m, sl_meta(m)->port);

	switch (verdict) {
	case SL_ARP_MALFORMED:
		return MALFORMED;
	case SL_ARP_NOT_ON_LINK:
		return NOT_ON_LINK;
	case SL_ARP_CONFLICT:
		return CONFLICT;
	case SL_ARP_NOT_FOR_US:
		return NOT_FOR_US;
	case SL_ARP_PROBE:
		return answer(w, m);
	case SL_ARP_ANSWER:
	case SL_ARP_LEARN:
		break;
	}
	learn(graph, node, m, verdict == SL_ARP_ANSWER);
	if (is_copy)
		return LEARNED;
	copy_to_others(graph, node, m);
	return verdict == SL_ARP_ANSWER ? answer(w, m) : LEARNED;
}

static uint16_t
arp_input_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb_objs)
{
	for (uint16_t i = 0; i < nb_objs; i++)
		rte_node_enqueue_x1(graph, node, handle(graph, node, objs[i]), objs[i]);
	return nb_objs;
}

SL_NODE(arp_input, arp_input_process, edges)
SL_DROP(arp_input_malformed,
	SL_PEER_FAULT,
	"ARP message is not of IPv4 over Ethernet, or cut short.")
SL_DROP(arp_input_not_on_link, SL_PEER_FAULT, "ARP sender is outside the interface's prefix.")
SL_DROP(arp_input_conflict, SL_PEER_FAULT, "Another station claims our own address by ARP.")
SL_DROP(arp_input_not_for_us, SL_EXPECTED, "ARP message of others about others.")
SL_DROP(arp_input_learned, SL_EXPECTED, "ARP message told us an address; there is no more to it.")
