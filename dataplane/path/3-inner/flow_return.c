// flow_return: an answer out of the tunnel, back to the client.
//   record_input -> flow_return -> client_output | flow_end
// On entry the mbuf is one DATA record for a flow of this worker; on exit the IPv4 packet the client
// expects: its source is the address the client used itself. A flow admitted under an older policy
// is checked again first, so a revocation stops answers too.
#include "flow_common.h"

#include <sluice/dp/admission.h>
#include <sluice/dp/quota.h>
#include <sluice/dp/tally.h>
#include <sluice/dp/trace.h>

enum edge { BAD_FLOW, STALE, SHORT, REVOKED, TTL, ANSWER, CLIENT, EDGE_COUNT };

static const char *const edges[EDGE_COUNT] = {
	[BAD_FLOW] = "flow_return_bad_flow",
	[STALE] = "flow_return_stale",
	[SHORT] = "flow_return_short",
	[REVOKED] = "flow_return_revoked",
	[TTL] = "flow_return_ttl",
	[ANSWER] = "pack",
	[CLIENT] = "client",
};

static inline void
track(struct sl_worker *w, struct sl_flow *f, const struct sl_rec *rec)
{
	struct rte_tcp_hdr
		*tcp = (struct rte_tcp_hdr *)((uintptr_t)rec->body - SL_WIRE_TCP_SKIP_BYTES);
	uint16_t l4_bytes = (uint16_t)(rec->nb_bytes + SL_WIRE_TCP_SKIP_BYTES);
	uint8_t tcp_before = f->tcp;

	if (unlikely(tcp->tcp_flags & RTE_TCP_SYN_FLAG))
		sl_tcp_clamp_mss(tcp, l4_bytes, sl_flow_mss(w, f));
	sl_tcp_track(f, tcp, l4_bytes, SL_DOWN);
	sl_quota_follow(w, f, tcp_before);
}

static inline void
describe(const struct sl_flow *f, struct sl_flow_out *out)
{
	out->protocol = (uint8_t)f->key.scope_protocol;
	out->ends.source = sl_ip4_unmap(f->key.destination);
	out->ends.destination = sl_ip4_unmap(f->key.source);
	out->sum_restore = f->sum_restore;
	if (out->protocol == IPPROTO_ICMP) {
		out->source_port_be = f->key.source_port_be;
		out->destination_port_be = SL_ICMP_ECHO_REPLY;
		return;
	}
	out->source_port_be = f->key.destination_port_be;
	out->destination_port_be = f->key.source_port_be;
}

static inline enum edge
flow_return_verdict(struct sl_worker *w, struct rte_mbuf *m)
{
	struct sl_meta *meta = sl_meta(m);
	struct sl_flow_out out;
	struct sl_rec rec;
	struct sl_flow *f = sl_flow_of_record(w, m, &rec);

	if (unlikely(f == NULL))
		return BAD_FLOW;
	if (unlikely(
		    sl_link_data(
			    &f->link, rec.generation, sl_flow_peer(w, meta->session, meta->lane)
		    ) != SL_LINK_DELIVER
	    ))
		return sl_flow_answer_unknown(m, &rec) ? ANSWER : STALE;
	if (unlikely(!sl_flow_is_admitted(w, f)))
		return REVOKED;
	rte_prefetch0(&w->snapshot->ends[f->pop.client]); // client_output reads it
	describe(f, &out);
	if (unlikely(!sl_flow_body_is_sound(rec.nb_bytes, out.protocol)))
		return SHORT;
	if (out.protocol == IPPROTO_TCP)
		track(w, f, &rec);
	if (unlikely(f->pkts_down == 0))
		sl_tally_reached(w, sl_id_index(rec.flow), SL_TALLY_ANSWER);
	sl_flow_seen(
		f,
		w,
		SL_DOWN,
		(uint16_t
		)(rec.nb_bytes + sl_carry_skip_bytes(out.protocol) + sizeof(struct rte_ipv4_hdr))
	);
	if (!sl_flow_restore(w, m, &rec, &out))
		return TTL;
	meta->client = f->pop.client;
	sl_trace_flag(w, meta);
	meta->flow = sl_id_index(rec.flow);
	return CLIENT;
}

static uint16_t
flow_return_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	return SL_FOREACH_VERDICT(graph, node, objs, nb, CLIENT, flow_return_verdict);
}

SL_NODE(flow_return, flow_return_process, edges)
SL_DROP(flow_return_bad_flow, SL_PEER_FAULT, "Record for a flow id beyond the table.")
SL_DROP(flow_return_stale, SL_EXPECTED, "Record for a flow that is over.")
SL_DROP(flow_return_short,
	SL_PEER_FAULT,
	"Record is shorter than its transport header, or longer than a packet.")
SL_DROP(flow_return_revoked, SL_EXPECTED, "Answer for a flow the policy admits no more.")
SL_DROP(flow_return_ttl, SL_EXPECTED, "Answer whose time to live was spent.")
