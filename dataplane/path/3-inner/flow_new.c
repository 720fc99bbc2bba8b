// flow_new: may this client's packet begin (or go on with) a flow?
//   flow_forward -> flow_new -> tunnel_pack | reject
// On entry the mbuf is a client's IPv4 packet at L3; meta->flow is SL_NO_FLOW, or a flow admitted
// under an older policy or whose session is gone. The decision is the one place where policy meets packets.
#include "flow_up.h"

#include <sluice/dp/admission.h>
#include <sluice/dp/flow_life.h>
#include <sluice/dp/preference.h>
#include <sluice/dp/quota.h>
#include <sluice/dp/tally.h>
#include <sluice/dp/trace.h>
#include <sluice/dp/upkeep.h>

enum edge {
	MALFORMED,
	NO_CLIENT,
	SILENT,
	ELSEWHERE,
	RESET,
	OPEN_ROOM,
	UNSENT,
	REJECT,
	PACK,
	EDGE_COUNT
};

static const char *const edges[EDGE_COUNT] = {
	[MALFORMED] = "flow_new_malformed",
	[NO_CLIENT] = "flow_new_no_client",
	[SILENT] = "flow_new_silent",
	[ELSEWHERE] = "flow_new_elsewhere",
	[RESET] = "flow_new_reset",
	[OPEN_ROOM] = "flow_new_open_room",
	[UNSENT] = "flow_new_unsent",
	[REJECT] = "reject",
	[PACK] = "pack",
};

// What is asked of policy for one packet, and what it said.
struct asking {
	struct sl_flow_key key;
	struct sl_choice choice;
	uint32_t name;
	uint8_t quota; // enum sl_quota_verdict
};

// The flow log hears of what is refused.
static void
log_refusal(struct sl_worker *w, const struct sl_meta *meta, const struct asking *a)
{
	struct sl_refusal refusal = { .client = meta->client,
				      .name = a->name,
				      .choice = &a->choice,
				      .reason = meta->reason,
				      .quota = a->quota };

	sl_flow_refused(w, &a->key, &refusal);
}

static inline enum edge
refuse(struct sl_worker *w, struct sl_meta *meta, const struct asking *a, uint8_t reason)
{
	meta->reason = reason;
	log_refusal(w, meta, a);
	return REJECT;
}

// A lane of this worker's, so that sealing needs no hand-over; any lane when it has none.
static uint16_t
pick_lane(const struct sl_worker *w, uint32_t session, uint64_t hash)
{
	uint16_t nb_lanes = w->sessions->sessions[session].nb_lanes, nb_own;

	if (w->idx >= nb_lanes)
		return (uint16_t)(w->idx % RTE_MAX(nb_lanes, (uint16_t)1));
	nb_own = (uint16_t)((nb_lanes - 1 - w->idx) / w->nb_workers + 1);
	return (uint16_t)(w->idx + w->nb_workers * (hash % nb_own));
}

// The decision, timed.
static enum sl_choice_verdict
choose(struct sl_worker *w, const struct sl_client *client, struct asking *a)
{
	uint64_t began = rte_rdtsc();
	enum sl_choice_verdict verdict = sl_flow_choose(w, client, &a->key, &a->choice, &a->name);

	sl_tally_cycles(w, SL_TALLY_POLICY, rte_rdtsc() - began, 1);
	return verdict;
}

static uint32_t
create(struct sl_worker *w, const struct sl_flow_key *key, uint32_t client, uint32_t session)
{
	uint32_t index = sl_flow_add(w->flows, key, w->now_ns);
	struct sl_flow *f;

	if (index == SL_NO_FLOW)
		return SL_NO_FLOW;
	f = sl_flow_at(w->flows, index);
	f->kind = SL_FLOW_CLIENT;
	f->pop.client = client;
	sl_flow_client_sums(f);
	sl_link_open(
		&f->link,
		sl_flow_peer(
			w, session, pick_lane(w, session, sl_hash(w->owner_key, key, sizeof(*key)))
		)
	);
	return index;
}

// The flow that goes on, or is made, for an admitted packet; SL_NO_FLOW with meta->reason set.
static uint32_t
admit(struct sl_worker *w, struct sl_meta *meta, struct asking *a)
{
	const struct sl_flow_key *key = &a->key;
	bool is_new = meta->flow == SL_NO_FLOW;
	struct sl_flow *f;
	uint32_t session;

	if (is_new) {
		meta->reason = SL_CLOSE_SHUTDOWN;
		if (atomic_load_explicit(&w->sessions->draining, memory_order_relaxed))
			return SL_NO_FLOW;
		session = sl_preference_pick(
			w, a->choice.network, sl_hash(w->owner_key, key, sizeof(*key))
		);
		meta->reason = SL_LOCAL_NO_CONNECTOR;
		if (session == SL_NO_SESSION)
			return SL_NO_FLOW;
		meta->reason = SL_CLOSE_QUOTA;
		a->quota = (uint8_t)sl_quota_new_flow(w, meta->client, meta->protocol);
		if (a->quota != SL_QUOTA_FREE)
			return SL_NO_FLOW;
		meta->flow = create(w, key, meta->client, session);
		meta->reason = SL_CLOSE_TABLE_FULL;
		if (meta->flow == SL_NO_FLOW)
			return SL_NO_FLOW;
		meta->reason = SL_CLOSE_DONE;
	}
	f = sl_flow_at(w->flows, meta->flow);
	f->pop.name = a->name;
	f->pop.resource = a->choice.resource;
	f->pop.generation = w->snapshot->generation;
	if (is_new)
		sl_flow_begun(w, meta->flow);
	return meta->flow;
}

// A flow whose client may go on no more: nothing of it is believed or sent from here on.
static void
end_flow(struct sl_worker *w, uint32_t index, enum sl_close_reason reason)
{
	if (index == SL_NO_FLOW)
		return;
	sl_upkeep_close(w, sl_flow_at(w->flows, index), reason);
	sl_flow_over(w, index, (uint8_t)reason);
}

static bool
is_session_up(const struct sl_worker *w, const struct sl_flow *f)
{
	const struct sl_session *s = &w->sessions->sessions[f->link.session];

	return atomic_load_explicit(&s->current, memory_order_relaxed) != NULL;
}

static inline enum edge
send_up(struct sl_worker *w, struct rte_mbuf *m, uint32_t index)
{
	switch (sl_flow_up(w, m, sl_flow_at(w->flows, index), index)) {
	case SL_UP_PACK:
		return PACK;
	case SL_UP_TOO_BIG:
	case SL_UP_TTL:
	case SL_UP_NO_SESSION:
		return REJECT;
	case SL_UP_ROOM:
		return OPEN_ROOM;
	case SL_UP_UNSENT:
	default:
		return UNSENT;
	}
}

// Policy does not admit it: how the client hears of that.
static enum edge
turn_away(struct sl_worker *w, struct sl_meta *meta, const struct asking *a, rte_be32_t destination)
{
	bool is_denied = a->choice.verdict == SL_CHOICE_DENIED;

	meta->reason = is_denied ? SL_CLOSE_POLICY : SL_LOCAL_UNKNOWN_ADDRESS;
	log_refusal(w, meta, a);
	if (is_denied && a->choice.deny == SL_POLICY_SILENT)
		return SILENT;
	if (!is_denied && !sl_is_answerable(w->net, destination))
		return ELSEWHERE;
	return REJECT;
}

static inline enum edge
flow_new_verdict(struct sl_worker *w, struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	struct sl_meta *meta = sl_meta(m);
	struct asking a = { .quota = SL_QUOTA_FREE };
	uint32_t index;

	if (sl_flow_up_key(m, &a.key) != SL_UP_KEY_OK)
		return MALFORMED;
	// A packet before this one in the burst may have made the flow, or ended it.
	meta->flow = sl_flow_find(w->flows, &a.key);
	meta->client = sl_client_of(w, meta, ip->src_addr);
	sl_trace_flag(w, meta);
	if (meta->client == SL_NO_CLIENT) {
		end_flow(w, meta->flow, SL_CLOSE_POLICY);
		return NO_CLIENT;
	}
	// The address is another client's now: what its former holder had is not theirs.
	if (meta->flow != SL_NO_FLOW &&
	    sl_flow_at(w->flows, meta->flow)->pop.client != meta->client) {
		end_flow(w, meta->flow, SL_CLOSE_POLICY);
		meta->flow = SL_NO_FLOW;
	}
	if (meta->flow == SL_NO_FLOW && meta->protocol == IPPROTO_TCP &&
	    (sl_flow_tcp(m, meta)->tcp_flags & RTE_TCP_RST_FLAG))
		return RESET;
	if (choose(w, &w->snapshot->clients[meta->client], &a) != SL_CHOICE_ADMITTED) {
		end_flow(w, meta->flow, SL_CLOSE_POLICY);
		return turn_away(w, meta, &a, ip->dst_addr);
	}
	if (meta->flow != SL_NO_FLOW && !is_session_up(w, sl_flow_at(w->flows, meta->flow))) {
		end_flow(w, meta->flow, SL_CLOSE_SHUTDOWN);
		meta->flow = SL_NO_FLOW;
		// The connector's end of a conversation died with it; datagrams may go on elsewhere.
		if (meta->protocol == IPPROTO_TCP &&
		    !(sl_flow_tcp(m, meta)->tcp_flags & RTE_TCP_SYN_FLAG))
			return refuse(w, meta, &a, SL_CLOSE_SHUTDOWN);
	}
	index = admit(w, meta, &a);
	if (index != SL_NO_FLOW)
		return send_up(w, m, index);
	log_refusal(w, meta, &a);
	return REJECT;
}

static uint16_t
flow_new_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	sl_clients_prefetch(sl_node_worker(node), objs, nb);
	return SL_FOREACH_VERDICT(graph, node, objs, nb, PACK, flow_new_verdict);
}

SL_NODE(flow_new, flow_new_process, edges)
SL_DROP(flow_new_malformed,
	SL_PEER_FAULT,
	"Packet without a flow whose transport header is unsound.")
SL_DROP(flow_new_no_client, SL_PEER_FAULT, "Packet from a source that is no client.")
SL_DROP(flow_new_silent, SL_EXPECTED, "Refused by policy; the resource says: in silence.")
SL_DROP(flow_new_reset, SL_EXPECTED, "RST for a flow that is over.")
SL_DROP(flow_new_open_room, SL_OUR_FAULT, "No room in the packet buffer for the flow's name.")
SL_DROP(flow_new_unsent, SL_EXPECTED, "The flow's name or session is gone.")
SL_DROP(flow_new_elsewhere,
	SL_EXPECTED,
	"Packet to an address that stands for nothing here; an answer would have to come from it.")
