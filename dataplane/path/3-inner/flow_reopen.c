// flow_reopen: a connector shows the ticket of a flow that an earlier incarnation of this PoP had, with
// a packet of the host: make the flow again.
//   record_input -> flow_reopen -> flow_return | tunnel_pack | handover
// On entry the mbuf is one REOPEN record on the worker that owns its lane; it goes to the worker that
// owns the client. On exit to flow_return it is the DATA record it would have been, for the flow made;
// ACCEPT and a fresh ticket go to tunnel_pack beside it. Whether the client may have the flow is
// asked of the policy of now, as for a client's packet; a ticket makes a flow once.
#include "flow_up.h"

#include <sluice/dp/admission.h>
#include <sluice/dp/flow_life.h>
#include <sluice/dp/inner.h>
#include <sluice/dp/tickets.h>
#include <sluice/dp/trace.h>

enum edge { MALFORMED, FORGED, UNKNOWN_NAME, FULL, HANDOVER, DATA, PACK, EDGE_COUNT };

static const char *const edges[EDGE_COUNT] = {
	[MALFORMED] = "flow_reopen_malformed",
	[FORGED] = "flow_reopen_forged",
	[UNKNOWN_NAME] = "flow_reopen_unknown_name",
	[FULL] = "flow_reopen_full",
	[HANDOVER] = "handover",
	[DATA] = "data",
	[PACK] = "pack",
};

struct reopening {
	struct sl_rec rec;
	struct sl_reopen reopen;
	struct sl_ticket ticket;
	enum sl_ticket_verdict verdict;
	struct sl_flow_key key;
	uint32_t client;
};

// Make the mbuf the REJECT of its REOPEN: the connector ends the flow, and the host hears of it.
static enum edge
reject(struct rte_mbuf *m, const struct reopening *r, enum sl_close_reason reason)
{
	uint32_t flow = r->reopen.flow;
	uint8_t generation = r->reopen.generation;

	m->data_len = 0;
	m->pkt_len = 0;
	sl_close_put(
		(uint8_t *)rte_pktmbuf_append(m, SL_REC_CLOSE_BYTES),
		SL_RECORD_REJECT,
		flow,
		generation,
		reason
	);
	sl_meta(m)->tos = 0;
	return PACK;
}

static enum edge
read_ticket(struct sl_worker *w, const struct sl_meta *meta, struct reopening *r)
{
	struct sl_flowkey_key secret;
	struct sl_ticket_parties parties;

	if (w->sessions->sessions[meta->session].tenant >= w->snapshot->nb_tenants)
		return FORGED;
	parties = sl_flow_ticket_parties(w, meta->session, &secret);
	r->verdict = sl_ticket_open(
		w->aead,
		&parties,
		w->sessions->incarnation,
		atomic_load_explicit(&w->sessions->wall_s, memory_order_relaxed),
		r->reopen.ticket,
		&r->ticket
	);
	sl_wipe(&secret, sizeof(secret));
	return r->verdict == SL_TICKET_FORGED || r->verdict == SL_TICKET_FORMAT ? FORGED : DATA;
}

static bool
is_client(const struct sl_worker *w, const struct reopening *r, uint32_t id, uint16_t tenant)
{
	const struct sl_client *c = &w->snapshot->clients[id];

	return c->is_live && c->tenant == tenant && c->mark == r->ticket.client_mark;
}

// The client of the ticket as it is now: by where its packets come from or, by WireGuard, by its
// identity. SL_NO_CLIENT: it is gone, or another has its place.
static uint32_t
find_client(const struct sl_worker *w, const struct reopening *r, uint16_t tenant)
{
	struct sl_meta where = { .port = (uint16_t)(r->ticket.scope >> 12),
				 .vlan = r->ticket.scope & 0xfff };
	rte_be32_t source;
	uint32_t id;

	memcpy(&source, r->ticket.client, sizeof(source));
	if ((r->ticket.scope & SL_SCOPE_WIREGUARD) == 0) {
		id = sl_client_of(w, &where, source);
		return id != SL_NO_CLIENT && is_client(w, r, id, tenant) ? id : SL_NO_CLIENT;
	}
	// Its number is the same after most restarts.
	id = r->ticket.scope & ~SL_SCOPE_WIREGUARD;
	if (id < w->snapshot->nb_clients && is_client(w, r, id, tenant) &&
	    w->snapshot->clients[id].address == source)
		return id;
	for (id = 1; id < w->snapshot->nb_clients; id++)
		if (w->snapshot->clients[id].address == source && is_client(w, r, id, tenant))
			return id;
	return SL_NO_CLIENT;
}

static void
make_key(struct reopening *r)
{
	rte_be32_t address;
	uint32_t scope = r->ticket.scope;

	if ((scope & SL_SCOPE_WIREGUARD) != 0)
		scope = SL_SCOPE_WIREGUARD | r->client;
	r->key = (struct sl_flow_key){
		.source_port_be = r->ticket.client_port_be,
		.destination_port_be = r->ticket.port_be,
		.scope_protocol = scope << 8 | r->ticket.protocol,
	};
	memcpy(&address, r->ticket.client, sizeof(address));
	sl_ip4_map(r->key.source, address);
	memcpy(&address, r->ticket.destination, sizeof(address));
	sl_ip4_map(r->key.destination, address);
}

// A flow of this key, as yet of nobody.
static struct sl_flow *
create(struct sl_worker *w, const struct reopening *r, const struct sl_choice *choice, uint32_t name
)
{
	uint32_t index = sl_flow_add(w->flows, &r->key, w->now_ns);
	struct sl_flow *f;

	if (index == SL_NO_FLOW)
		return NULL;
	f = sl_flow_at(w->flows, index);
	f->kind = SL_FLOW_CLIENT;
	f->tcp = r->ticket.protocol == IPPROTO_TCP ? SL_TCP_ESTABLISHED : SL_TCP_NONE;
	f->pop.client = r->client;
	f->pop.name = name;
	f->pop.resource = choice->resource;
	f->pop.generation = w->snapshot->generation;
	sl_flow_client_sums(f);
	sl_tickets_honour(w->tickets, sl_ticket_id(r->reopen.ticket));
	return f;
}

// ACCEPT and a fresh ticket, in a buffer of their own. Without one the connector asks again.
static struct rte_mbuf *
make_accept(struct sl_worker *w, const struct sl_flow *f)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->pool);

	if (m == NULL)
		return NULL;
	memset(sl_meta(m), 0, sizeof(struct sl_meta));
	sl_meta(m)->session = f->link.session;
	sl_meta(m)->lane = f->link.lane;
	sl_accept_put(
		(uint8_t *)rte_pktmbuf_append(m, SL_REC_ACCEPT_BYTES),
		f->link.peer_flow,
		f->link.peer_generation,
		sl_flow_id(w->flows, (uint32_t)(f - w->flows->flows)),
		f->link.own_generation
	);
	if (sl_flow_gets_ticket(w, f))
		sl_flow_ticket_put(w, f, (uint8_t *)rte_pktmbuf_append(m, SL_REC_TICKET_BYTES));
	w->stats.created++;
	return m;
}

// Make the mbuf the DATA record that flow_return expects.
static void
to_data(struct sl_worker *w, struct rte_mbuf *m, const struct reopening *r, const struct sl_flow *f)
{
	uint8_t flags = sl_rec_tos_ttl_flag(r->rec.tos, r->rec.ttl) |
		(r->rec.flags & SL_RECORD_ODD_DF);
	struct sl_rec data = { .type = SL_RECORD_DATA,
			       .flags = flags,
			       .generation = f->link.own_generation,
			       .flow = sl_flow_id(w->flows, (uint32_t)(f - w->flows->flows)),
			       .nb_bytes = r->reopen.nb_transport_bytes,
			       .tos = r->rec.tos,
			       .ttl = r->rec.ttl };
	uint8_t *head = (uint8_t *)(uintptr_t)r->reopen.transport - sl_rec_head_bytes(flags);

	rte_pktmbuf_adj(m, (uint16_t)(head - rte_pktmbuf_mtod(m, uint8_t *)));
	sl_rec_put(head, &data);
}

// At the client's owner: the flow of the ticket, made if need be.
static enum edge
attach(struct sl_worker *w, struct rte_mbuf *m, struct reopening *r, struct rte_mbuf **accept)
{
	struct sl_link_peer peer = sl_flow_peer(w, sl_meta(m)->session, sl_meta(m)->lane);
	uint32_t index = sl_flow_find(w->flows, &r->key), name;
	struct sl_choice choice;
	struct sl_flow *f = index == SL_NO_FLOW ? NULL : sl_flow_at(w->flows, index);

	if (f == NULL &&
	    (r->verdict != SL_TICKET_GOOD ||
	     sl_tickets_is_honoured(w->tickets, sl_ticket_id(r->reopen.ticket))))
		return reject(m, r, SL_CLOSE_NO_FLOW);
	if (sl_flow_choose(w, &w->snapshot->clients[r->client], &r->key, &choice, &name) !=
	    SL_CHOICE_ADMITTED)
		// A name that is not known yet may be a moment later: no word of it.
		return choice.verdict == SL_CHOICE_DENIED ? reject(m, r, SL_CLOSE_POLICY)
							  : UNKNOWN_NAME;
	if (choice.network != w->sessions->sessions[peer.session].network)
		return reject(m, r, SL_CLOSE_POLICY);
	if (f == NULL)
		f = create(w, r, &choice, name);
	if (f == NULL)
		return FULL;
	// The client has gone on by another connector meanwhile, or its address is another's.
	if (f->pop.client != r->client ||
	    !sl_link_reopened(&f->link, peer, r->reopen.flow, r->reopen.generation))
		return reject(m, r, SL_CLOSE_NO_FLOW);
	if (index == SL_NO_FLOW)
		sl_flow_begun(w, (uint32_t)(f - w->flows->flows));
	*accept = make_accept(w, f);
	to_data(w, m, r, f);
	return DATA;
}

static enum edge
flow_reopen_verdict(struct sl_worker *w, struct rte_mbuf *m, struct rte_mbuf **accept)
{
	struct sl_meta *meta = sl_meta(m);
	uint16_t tenant = w->sessions->sessions[meta->session].tenant;
	struct reopening r;
	rte_be32_t source;
	size_t used;

	if (sl_rec_parse(
		    rte_pktmbuf_mtod(m, const uint8_t *), rte_pktmbuf_data_len(m), &r.rec, &used
	    ) != SL_REC_OK ||
	    sl_reopen_parse(&r.rec, &r.reopen) != SL_BODY_OK)
		return MALFORMED;
	if (read_ticket(w, meta, &r) != DATA)
		return FORGED;
	if (sl_carry_skip_bytes(r.ticket.protocol) == 0)
		return FORGED;
	r.client = find_client(w, &r, tenant);
	if (r.client == SL_NO_CLIENT)
		return reject(m, &r, SL_CLOSE_POLICY);
	make_key(&r);
	source = sl_ip4_unmap(r.key.source);
	meta->worker = sl_client_owner(w, r.key.scope_protocol >> 8, source);
	if (meta->worker != w->idx) {
		meta->stage = SL_STAGE_RECORD;
		return HANDOVER;
	}
	return attach(w, m, &r, accept);
}

static uint16_t
flow_reopen_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	struct sl_worker *w = sl_node_worker(node);

	for (uint16_t i = 0; i < nb; i++) {
		struct rte_mbuf *accept = NULL;
		enum edge edge = flow_reopen_verdict(w, objs[i], &accept);

		rte_node_enqueue_x1(graph, node, (rte_edge_t)edge, objs[i]);
		if (accept != NULL)
			rte_node_enqueue_x1(graph, node, PACK, accept);
	}
	return nb;
}

SL_NODE(flow_reopen, flow_reopen_process, edges)
SL_DROP(flow_reopen_malformed, SL_PEER_FAULT, "REOPEN whose fields are wrong.")
SL_DROP(flow_reopen_forged,
	SL_PEER_FAULT,
	"REOPEN with a ticket that this PoP did not give to this connector.")
SL_DROP(flow_reopen_unknown_name, SL_EXPECTED, "REOPEN to an address that stands for nothing now.")
SL_DROP(flow_reopen_full, SL_EXPECTED, "REOPEN while the table of flows is full.")
