// fragment_sweep: give up packets of which a fragment did not come in time.
//   fragment_sweep -> reject (the first fragment is there: ICMP 11/1, RFC 1122 section 3.3.2)
// A source, idle but four times a second. Of a packet given up a new one is made that holds its
// header and the octets it began with.
#include "fragment_head.h"

#include <sluice/dp/fragments.h>
#include <sluice/dp/node.h>
#include <sluice/dp/reject.h>
#include <sluice/proto/fragment.h>
#include <string.h>

#define PERIOD_NS (SL_NS_PER_S / 4)
#define AT_ONCE   64u

enum edge { TIMED_OUT, REJECT, EDGE_COUNT };

static const char *const edges[EDGE_COUNT] = {
	[TIMED_OUT] = "fragment_sweep_timed_out",
	[REJECT] = "reject",
};

static struct rte_mbuf *
remains_of(struct sl_worker *w, const struct sl_assembly_expired *expired)
{
	const struct fragment_head *head = expired->head;
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->pool);
	struct sl_meta *meta;

	if (m == NULL)
		return NULL;
	memcpy(rte_pktmbuf_append(m, sizeof(head->ip)), &head->ip, sizeof(head->ip));
	if (expired->nb_first != 0)
		memcpy(rte_pktmbuf_append(m, (uint16_t)expired->nb_first),
		       expired->first,
		       expired->nb_first);
	meta = sl_meta(m);
	memset(meta, 0, sizeof(*meta));
	meta->flow = SL_NO_FLOW;
	meta->client = head->client;
	meta->session = head->session;
	meta->port = head->port;
	meta->vlan = head->vlan;
	meta->l4_offset = sizeof(head->ip);
	meta->protocol = head->ip.next_proto_id;
	meta->reason = SL_LOCAL_REASSEMBLY;
	w->stats.created++;
	return m;
}

static uint16_t
fragment_sweep_process(
	struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb_objs
)
{
	struct sl_worker *w = sl_node_worker(node);
	struct sl_assembly_expired expired;
	uint16_t nb = 0;

	(void)objs;
	(void)nb_objs;
	if (likely(w->now_ns < w->fragments_due_ns))
		return 0;
	w->fragments_due_ns = w->now_ns + PERIOD_NS;
	while (nb < AT_ONCE && sl_assembly_expire(w->fragments, w->now_ns, &expired)) {
		struct rte_mbuf *m = remains_of(w, &expired);

		if (m == NULL)
			continue;
		rte_node_enqueue_x1(graph, node, expired.nb_first != 0 ? REJECT : TIMED_OUT, m);
		nb++;
	}
	w->stats.unfinished = sl_assembly_nb_expired(w->fragments);
	w->stats.displaced = sl_assembly_nb_evicted(w->fragments);
	if (w->reass != NULL) {
		while (sl_reass_expire(w->reass, w->now_ns))
			;
		w->stats.unfinished += sl_reass_expired(w->reass);
		w->stats.displaced += sl_reass_evicted(w->reass);
	}
	return nb;
}

SL_NODE_FLAGS(fragment_sweep, fragment_sweep_process, edges, RTE_NODE_SOURCE_F)
SL_DROP(fragment_sweep_timed_out,
	SL_PEER_FAULT,
	"Packet whose fragments did not all come in time, the first among them.")
