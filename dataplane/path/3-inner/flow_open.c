// flow_open: an OPEN at the connector: find the flow it is about, or make it.
//   record_input | mailbox_rx -> flow_open -> ip4_output | punt | tunnel_pack | handover
// On entry the mbuf is one OPEN record on the worker that owns its lane. A name this worker has no
// address for goes to the session thread and comes back with one (meta->resolved). On exit to
// ip4_output the mbuf is the packet the OPEN carried; an ACCEPT goes to tunnel_pack beside it.
#include "flow_host.h"
#include "flow_retry.h"
#include "open_allow.h"

#include <sluice/dp/flow_life.h>
#include <sluice/dp/names_cache.h>
#include <sluice/dp/nat.h>

enum edge { MALFORMED, SHORT, TTL, NO_MBUF, REJECT, PUNT, HANDOVER, OUTPUT, EDGE_COUNT };

static const char *const edges[EDGE_COUNT] = {
	[MALFORMED] = "flow_open_malformed",
	[SHORT] = "flow_open_short",
	[TTL] = "flow_open_ttl",
	[NO_MBUF] = "flow_open_no_mbuf",
	[REJECT] = "pack",
	[PUNT] = "punt",
	[HANDOVER] = "handover",
	[OUTPUT] = "output",
};

struct opening {
	struct sl_open open;
	struct sl_rec rec;
	struct sl_link_peer peer;
	uint16_t tenant;
};

// Make the mbuf the REJECT of its OPEN.
static enum edge
reject(struct rte_mbuf *m, const struct opening *o, uint8_t reason)
{
	uint8_t answer[SL_REC_CLOSE_BYTES];

	sl_close_put(
		answer,
		SL_RECORD_REJECT,
		o->open.flow,
		o->open.generation,
		(enum sl_close_reason)reason
	);
	m->data_len = 0;
	m->pkt_len = 0;
	memcpy(rte_pktmbuf_append(m, sizeof(answer)), answer, sizeof(answer));
	sl_meta(m)->tos = 0;
	return REJECT;
}

// What the session thread found: one address in the metadata, or several behind the record.
static void
take_resolved(struct rte_mbuf *m, struct sl_pool *pool)
{
	const struct sl_meta *meta = sl_meta(m);
	uint32_t nb = meta->token, nb_bytes = nb * sizeof(rte_be32_t);

	pool->addresses[0] = meta->resolved;
	pool->nb = meta->resolved != 0;
	if (nb == 0 || nb > SL_MAIL_ADDRESSES || rte_pktmbuf_data_len(m) <= nb_bytes)
		return;
	memcpy(pool->addresses,
	       rte_pktmbuf_mtod_offset(m, uint8_t *, rte_pktmbuf_data_len(m) - nb_bytes),
	       nb_bytes);
	pool->nb = (uint8_t)nb;
}

// The private addresses: as given, from this worker's cache, or as the session thread found them.
// False: not known here. None and a reason: there is none.
static bool
find_pool(
	struct sl_worker *w,
	struct rte_mbuf *m,
	const struct opening *o,
	struct sl_pool *pool,
	uint8_t *reason
)
{
	struct sl_names_entry *entry;
	const char *name = (const char *)o->open.destination;

	pool->nb = 0;
	*reason = sl_meta(m)->reason;
	if (o->open.destination_kind == SL_DESTINATION_IP4) {
		memcpy(pool->addresses, o->open.destination, 4);
		pool->nb = 1;
		return true;
	}
	if (sl_meta(m)->stage == SL_STAGE_RESOLVED) {
		take_resolved(m, pool);
		return true;
	}
	entry = sl_names_cache_find(
		w->names, o->tenant, name, o->open.destination_bytes, w->now_ns
	);
	if (entry == NULL)
		return false;
	*reason = entry->reason;
	// Each new flow begins with the next of them.
	for (unsigned i = 0; i < entry->nb_addresses; i++)
		pool->addresses[pool->nb++] = entry->addresses
						      [(entry->next + i) % entry->nb_addresses];
	entry->next++;
	return true;
}

// Leave what this connector may not reach out of the pool; what failed lately goes last.
static void
filter(const struct sl_worker *w, const struct opening *o, struct sl_pool *pool)
{
	uint8_t nb = 0;

	for (unsigned i = 0; i < pool->nb; i++)
		if (sl_open_allowed(w, &o->open, pool->addresses[i]))
			pool->addresses[nb++] = pool->addresses[i];
	pool->nb = nb;
	if (nb > 1)
		sl_retry_order(w, pool, o->open.protocol, rte_cpu_to_be_16(o->open.port));
}

static uint32_t
create(struct sl_worker *w, const struct opening *o, rte_be32_t address, uint8_t *reason)
{
	struct sl_flow_key key = {
		.source_port_be = rte_cpu_to_be_16(o->open.port),
		.scope_protocol = o->open.protocol,
	};
	struct sl_flow *f;
	uint32_t index;

	sl_ip4_map(key.source, address);
	*reason = SL_CLOSE_UNREACHABLE;
	if (sl_net_route(w->net, address) == NULL)
		return SL_NO_FLOW;
	*reason = SL_CLOSE_NO_PORT;
	if (!sl_nat_pick(w, &key))
		return SL_NO_FLOW;
	*reason = SL_CLOSE_TABLE_FULL;
	index = sl_flow_add(w->flows, &key, w->now_ns);
	if (index == SL_NO_FLOW)
		return SL_NO_FLOW;
	f = sl_flow_at(w->flows, index);
	f->kind = SL_FLOW_HOST;
	memcpy(f->flow_key, o->open.flow_key, sizeof(f->flow_key));
	sl_flow_host_sums(f);
	if (!sl_flow_index_flow_key(w->flows, index, o->tenant)) {
		f->kind = SL_FLOW_QUERY; // not in the second index
		sl_flow_del(w->flows, index, o->tenant, w->now_ns);
		return SL_NO_FLOW;
	}
	return index;
}

// Send the packet of the OPEN on, and ACCEPT back beside it.
static enum edge
accept_flow(
	struct sl_worker *w,
	struct rte_mbuf *m,
	const struct opening *o,
	uint32_t index,
	struct rte_mbuf **accept
)
{
	struct sl_flow *f = sl_flow_at(w->flows, index);
	struct sl_rec data = o->rec;

	sl_link_accept(&f->link, o->peer, &o->open);
	*accept = rte_pktmbuf_alloc(w->pool);
	if (*accept != NULL) {
		memset(sl_meta(*accept), 0, sizeof(struct sl_meta));
		sl_meta(*accept)->session = o->peer.session;
		sl_meta(*accept)->lane = o->peer.lane;
		sl_accept_put(
			(uint8_t *)rte_pktmbuf_append(*accept, SL_REC_ACCEPT_BYTES),
			o->open.flow,
			o->open.generation,
			sl_flow_id(w->flows, index),
			f->link.own_generation
		);
		w->stats.created++;
	}
	data.body = o->open.transport;
	data.nb_bytes = o->open.nb_transport_bytes;
	switch (sl_flow_to_host(w, m, f, &data)) {
	case SL_TO_HOST_SENT:
		return OUTPUT;
	case SL_TO_HOST_TTL:
		return TTL;
	case SL_TO_HOST_SHORT:
	default:
		return SHORT;
	}
}

// A flow of this OPEN may stand at another worker: the PoP that opened it has started anew since, and
// uses another lane. The OPEN is passed round, from its lane's owner to its lane's owner, once. True
// when it is on its way.
static bool
search(const struct sl_worker *w, struct sl_meta *meta, const struct opening *o)
{
	bool is_back = meta->stage == SL_STAGE_SEARCH && meta->token >= w->nb_workers;
	bool all_asked = w->nb_workers == 1 || meta->stage == SL_STAGE_RESOLVED || is_back;

	if (sl_open_missed(o->open.open_flags, o->peer.epoch != 0, all_asked) != SL_OPEN_SEARCH)
		return false;
	meta->token = meta->stage == SL_STAGE_SEARCH ? meta->token + 1 : 1;
	meta->stage = SL_STAGE_SEARCH;
	meta->worker = (uint8_t)((w->idx + 1u) % w->nb_workers);
	return true;
}

static enum edge
flow_open_verdict(struct sl_worker *w, struct rte_mbuf *m, struct rte_mbuf **accept)
{
	struct sl_meta *meta = sl_meta(m);
	struct opening o = { .peer = sl_flow_peer(w, meta->session, meta->lane),
			     .tenant = w->sessions->sessions[meta->session].tenant };
	struct sl_pool pool;
	uint32_t index;
	enum edge edge;
	bool is_new;
	uint8_t reason;
	size_t used;

	if (sl_rec_parse(
		    rte_pktmbuf_mtod(m, const uint8_t *), rte_pktmbuf_data_len(m), &o.rec, &used
	    ) != SL_REC_OK ||
	    sl_open_parse(&o.rec, &o.open) != SL_BODY_OK)
		return MALFORMED;
	index = sl_flow_find_by_flow_key(w->flows, o.tenant, o.open.flow_key);
	if (index != SL_NO_FLOW &&
	    (uint8_t)sl_flow_at(w->flows, index)->key.scope_protocol != o.open.protocol)
		return MALFORMED;
	is_new = index == SL_NO_FLOW;
	if (is_new) {
		if (search(w, meta, &o))
			return HANDOVER;
		if (sl_open_missed(o.open.open_flags, false, true) == SL_OPEN_REJECT)
			return reject(m, &o, SL_CLOSE_NO_FLOW);
		if (!find_pool(w, m, &o, &pool, &reason)) {
			meta->punt = SL_PUNT_OPEN;
			meta->worker = (uint8_t)w->idx;
			return PUNT;
		}
		if (pool.nb == 0)
			return reject(m, &o, reason);
		filter(w, &o, &pool);
		if (pool.nb == 0)
			return reject(m, &o, SL_CLOSE_POLICY);
		index = create(w, &o, pool.addresses[0], &reason);
		if (index == SL_NO_FLOW)
			return reject(m, &o, reason);
		if (pool.nb > 1)
			sl_flow_retry_note(w, index, &pool);
	}
	edge = accept_flow(w, m, &o, index, accept);
	if (is_new)
		sl_flow_begun(w, index);
	return edge;
}

static uint16_t
flow_open_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	struct sl_worker *w = sl_node_worker(node);

	for (uint16_t i = 0; i < nb; i++) {
		struct rte_mbuf *accept = NULL;
		enum edge edge = flow_open_verdict(w, objs[i], &accept);

		rte_node_enqueue_x1(graph, node, (rte_edge_t)edge, objs[i]);
		if (accept != NULL)
			rte_node_enqueue_x1(graph, node, REJECT, accept);
	}
	return nb;
}

SL_NODE(flow_open, flow_open_process, edges)
SL_DROP(flow_open_malformed, SL_PEER_FAULT, "OPEN whose fields are wrong.")
SL_DROP(flow_open_short, SL_PEER_FAULT, "OPEN whose packet is shorter than its transport header.")
SL_DROP(flow_open_ttl,
	SL_EXPECTED,
	"OPEN whose packet's time to live was spent, or that was too long to travel inside it.")
SL_DROP(flow_open_no_mbuf, SL_OUR_FAULT, "No packet buffer for an ACCEPT.")
