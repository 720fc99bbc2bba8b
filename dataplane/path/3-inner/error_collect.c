// error_collect: ICMP errors about what this node sent to hosts: into the tunnel, or to the session thread when
// they are about a DNS query of our own.
//   icmp_error | unreachable -> error_collect -> tunnel_pack | punt | handover
// On entry the mbuf is an ICMP error to this node, at L3, checksum verified; on exit an ERROR record.
// Whoever sent it does not matter and is told to nobody: what it quotes must be a packet of a flow.
#include "error_common.h"
#include "flow_retry.h"

#include <sluice/dp/flow_life.h>
#include <sluice/dp/nat.h>

enum edge {
	MALFORMED,
	NO_FLOW,
	NOT_IN_FLIGHT,
	LIMITED,
	UNSENT,
	NEXT,
	OUTPUT,
	HANDOVER,
	PUNT,
	PACK,
	EDGE_COUNT
};

static const char *const edges[EDGE_COUNT] = {
	[MALFORMED] = "error_collect_malformed",
	[NO_FLOW] = "error_collect_no_flow",
	[NOT_IN_FLIGHT] = "error_collect_not_in_flight",
	[LIMITED] = "error_collect_limited",
	[UNSENT] = "error_collect_unsent",
	[NEXT] = "error_collect_next",
	[OUTPUT] = "output",
	[HANDOVER] = "handover",
	[PUNT] = "punt",
	[PACK] = "pack",
};

// The flow's key is the packet as the host would return it.
static bool
key_of(const struct sl_quote *q, struct sl_flow_key *key)
{
	sl_ip4_map(key->source, q->ip->dst_addr);
	sl_ip4_map(key->destination, q->ip->src_addr);
	key->scope_protocol = q->protocol;
	if (q->protocol == IPPROTO_ICMP) {
		key->source_port_be = 0;
		memcpy(&key->destination_port_be, q->l4 + 4, 2);
		return q->l4[0] == SL_ICMP_ECHO_REQUEST && q->l4[1] == 0;
	}
	memcpy(&key->source_port_be, q->l4 + 2, 2);
	memcpy(&key->destination_port_be, q->l4, 2);
	return true;
}

// Of a name with several addresses, that one of them cannot be reached is nobody's concern.
static enum sl_retry
try_next(struct sl_worker *w, struct rte_mbuf *m, struct sl_flow *f, const struct sl_quote *q)
{
	bool is_host = q->code == 0 || q->code == 1;

	if (q->type != 3 || q->code == 4)
		return SL_RETRY_TELL;
	return sl_flow_retry(w, m, f, is_host ? SL_RETRY_UNREACHABLE : SL_RETRY_REFUSED);
}

// A server of ours is not there, or shuts its port: the next one need not wait for its silence. Whoever says so must
// have seen the query, so that nobody off its path can end it.
static enum edge
about_query(
	struct sl_worker *w, struct sl_meta *meta, const struct sl_flow *f, const struct sl_quote *q
)
{
	if (q->type != 3 || q->code == 4 ||
	    q->nb_l4 < sizeof(struct rte_udp_hdr) + sizeof(f->query.id_be) ||
	    memcmp(q->l4 + sizeof(struct rte_udp_hdr), &f->query.id_be, sizeof(f->query.id_be)) !=
		    0)
		return NOT_IN_FLIGHT;
	meta->punt = SL_PUNT_REFUSED;
	meta->token = f->query.token;
	sl_flow_over(w, meta->flow, SL_CLOSE_DONE);
	return PUNT;
}

static inline enum edge
error_collect_verdict(struct sl_worker *w, struct rte_mbuf *m)
{
	struct sl_meta *meta = sl_meta(m);
	struct sl_flow_key key;
	struct sl_quote q;
	struct sl_flow *f;
	uint32_t index;

	if (!sl_quote_parse(m, meta->l4_offset, &q) || !key_of(&q, &key))
		return MALFORMED;
	meta->worker = sl_nat_owner(w, &key);
	if (meta->worker != w->idx) {
		meta->stage = SL_STAGE_ICMP;
		return HANDOVER;
	}
	index = sl_flow_find(w->flows, &key);
	if (index == SL_NO_FLOW)
		return NO_FLOW;
	f = sl_flow_at(w->flows, index);
	meta->flow = index;
	if (f->kind == SL_FLOW_QUERY)
		return about_query(w, meta, f, &q);
	if (f->kind != SL_FLOW_HOST)
		return NO_FLOW;
	if (!sl_quote_is_in_flight(&q, f->seq_up))
		return NOT_IN_FLIGHT;
	switch (try_next(w, m, f, &q)) {
	case SL_RETRY_SENT:
		return OUTPUT;
	case SL_RETRY_TAKEN:
		return NEXT;
	case SL_RETRY_TELL:
	default:
		break;
	}
	if (!sl_quota_error(w, SL_NO_CLIENT))
		return LIMITED;
	return sl_error_to_record(w, m, f, index, &q) ? PACK : UNSENT;
}

static uint16_t
error_collect_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	return SL_FOREACH_VERDICT(graph, node, objs, nb, PACK, error_collect_verdict);
}

SL_NODE(error_collect, error_collect_process, edges)
SL_DROP(error_collect_malformed, SL_PEER_FAULT, "ICMP error that quotes no packet of ours.")
SL_DROP(error_collect_no_flow, SL_PEER_FAULT, "ICMP error about a packet of no flow.")
SL_DROP(error_collect_not_in_flight,
	SL_PEER_FAULT,
	"ICMP error about a TCP segment or a DNS query that cannot be under way.")
SL_DROP(error_collect_limited, SL_EXPECTED, "ICMP error beyond the limit of errors a second.")
SL_DROP(error_collect_unsent, SL_EXPECTED, "ICMP error for a flow whose PoP is away.")
SL_DROP(error_collect_next,
	SL_EXPECTED,
	"ICMP error about one of several addresses of a name; the next is tried instead.")
