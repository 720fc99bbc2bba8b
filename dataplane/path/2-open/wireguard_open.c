// wireguard_open: authenticate and decrypt what WireGuard clients send.
//   udp_input | mailbox_rx -> wireguard_open -> client_input | fragment_input | handover | punt
// On entry the mbuf is an outer IPv4/UDP packet at L3 whose payload has a first octet of 4. On exit to
// client_input it is the inner IPv4 packet, held to the rules of ip4_input and trimmed of padding;
// meta->port is SL_PORT_WIREGUARD, meta->client and meta->session say whose it is. A datagram under a
// key that another worker owns goes there unopened. One under an index that nobody has is shown
// to the session thread, a few times a second and source: it may be a client from before a restart.
#include "wireguard_ahead.h"
#include "wireguard_inner.h"
#include "wireguard_unknown.h"

#include <sluice/dp/buffer.h>
#include <sluice/proto/keypair.h>

#define HEADER_BYTES sizeof(struct sl_wg_data)

enum edge {
	SHORT = SL_WG_INNER_EDGE_COUNT,
	BAD_TYPE,
	NO_SESSION,
	EXPIRED,
	REPLAYED,
	FORGED,
	HANDOVER,
	PUNT,
	EDGE_COUNT
};

static const char *const edges[EDGE_COUNT] = {
	SL_WG_INNER_EDGES,
	[SHORT] = "wireguard_open_short",
	[BAD_TYPE] = "wireguard_open_bad_type",
	[NO_SESSION] = "wireguard_open_no_session",
	[EXPIRED] = "wireguard_open_expired",
	[REPLAYED] = "wireguard_open_replayed",
	[FORGED] = "wireguard_open_forged",
	[HANDOVER] = "handover",
	[PUNT] = "punt",
};
#define INNER SL_WG_INNER_GOOD // go on

static inline uint8_t *
payload_of(struct rte_mbuf *m)
{
	return rte_pktmbuf_mtod_offset(
		m, uint8_t *, sl_meta(m)->l4_offset + sizeof(struct rte_udp_hdr)
	);
}

static inline rte_edge_t
wireguard_open_locate(struct sl_worker *w, struct rte_mbuf *m, struct opening *o)
{
	const uint8_t *wire = payload_of(m);

	o->is_located = false;
	if (unlikely(
		    rte_pktmbuf_data_len(m) <
		    sl_meta(m)->l4_offset + sizeof(struct rte_udp_hdr) + SL_WG_DATA_MIN_BYTES
	    ))
		return SHORT;
	if (unlikely(sl_get32le(wire) != SL_WG_DATA))
		return BAD_TYPE;
	o->index = sl_get32le(wire + 4);
	o->counter = sl_get64le(wire + 8);
	o->is_located = true;
	rte_prefetch0(&w->sessions->keypairs[o->index & w->sessions->slot_mask]);
	return INNER;
}

// What can be said before the tag is checked; INNER: go on and open.
static inline rte_edge_t
wireguard_open_precheck(struct sl_worker *w, struct rte_mbuf *m, struct opening *o)
{
	struct sl_meta *meta = sl_meta(m);
	struct sl_keypair_lane *lane;

	if (unlikely(o->keypair == NULL || o->keypair->local_index != o->index))
		return wireguard_is_news(w, m) ? PUNT : NO_SESSION;
	if (unlikely(o->keypair->client == SL_NO_CLIENT))
		return NO_SESSION;
	if (o->keypair->worker != w->idx) {
		meta->worker = o->keypair->worker;
		meta->stage = SL_STAGE_WIREGUARD;
		return HANDOVER;
	}
	if (unlikely(sl_keypair_is_expired(o->keypair, w->now_ns)))
		return EXPIRED;
	lane = &o->keypair->lanes[0];
	if (unlikely(
		    sl_replay_check(
			    &lane->replay, lane->replay_words, SL_LANE_REPLAY_WORDS, o->counter
		    ) != SL_REPLAY_FRESH
	    ))
		return REPLAYED;
	return INNER;
}

static inline void
prepare(struct rte_mbuf *m, const struct opening *o, struct sl_aead_op *op)
{
	uint8_t *wire = payload_of(m);
	uint32_t nb_bytes = (uint32_t
	)(rte_pktmbuf_mtod(m, uint8_t *) + rte_pktmbuf_data_len(m) - wire - HEADER_BYTES -
	  SL_AEAD_TAG_BYTES);

	*op = (struct sl_aead_op){ .key = sl_keypair_open_key(o->keypair),
				   .cipher = o->keypair->cipher,
				   .data = wire + HEADER_BYTES,
				   .tag = wire + HEADER_BYTES + nb_bytes,
				   .nb_bytes = nb_bytes };
	sl_keypair_nonce_wireguard(op->nonce, o->counter);
}

// The client has proved that it is at this address: answers go there from now on.
static void
move_endpoint(struct sl_worker *w, struct sl_lane_endpoint *e, const struct rte_ipv4_hdr *ip)
{
	const struct rte_udp_hdr *udp = (const struct rte_udp_hdr *)(ip + 1);
	const struct sl_route *route = sl_net_route(w->net, ip->src_addr);

	e->remote = ip->src_addr;
	e->remote_port = udp->src_port;
	e->local = ip->dst_addr;
	e->local_port = udp->dst_port;
	e->mtu_bytes = route == NULL ? 0 : w->net->ports[route->port].mtu_bytes;
}

// Does the datagram speak for where the client is now? A late one, of this keypair or of the one
// before, does not move the endpoint back.
static inline bool
is_latest(const struct sl_session *session, const struct opening *o)
{
	const struct sl_keypair *current = atomic_load_explicit(
		&session->current, memory_order_acquire
	);

	if (o->keypair->lanes[0].replay.next != o->counter + 1)
		return false;
	return current == NULL || current == o->keypair ||
		current->created_ns <= o->keypair->created_ns;
}

static inline rte_edge_t
wireguard_open_finish(
	struct sl_worker *w,
	struct rte_mbuf *m,
	const struct opening *o,
	const struct sl_aead_op *op
)
{
	const struct rte_ipv4_hdr *outer = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	const struct rte_udp_hdr *udp = (const struct rte_udp_hdr *)(outer + 1);
	struct sl_keypair_lane *lane = &o->keypair->lanes[0];
	struct sl_lane_endpoint *e = &o->session->lanes[w->idx];
	struct sl_meta *meta = sl_meta(m);

	if (unlikely(!op->authentic))
		return FORGED;
	if (sl_replay_commit(&lane->replay, lane->replay_words, SL_LANE_REPLAY_WORDS, o->counter) !=
	    SL_REPLAY_FRESH)
		return REPLAYED;
	// From here on answers may be sealed with it; the session thread hears of it a little later.
	if (unlikely(sl_keypair_confirm(o->keypair))) {
		e->index = o->index;
		atomic_store_explicit(&o->session->proved, o->index, memory_order_release);
	}
	if (unlikely(e->remote != outer->src_addr || e->remote_port != udp->src_port) &&
	    is_latest(o->session, o))
		move_endpoint(w, e, outer);
	e->heard_ns = w->now_ns;
	e->opened_pkts += op->nb_bytes != 0;
	e->opened_empty_pkts += op->nb_bytes == 0;
	meta->session = o->keypair->session;
	meta->client = o->keypair->client;
	meta->port = SL_PORT_WIREGUARD;
	rte_pktmbuf_adj(m, (uint16_t)(op->data - rte_pktmbuf_mtod(m, uint8_t *)));
	sl_buffer_trim(m, SL_AEAD_TAG_BYTES);
	return wireguard_inner(w, m);
}

static void
wireguard_open_burst(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	struct sl_worker *w = sl_node_worker(node);
	struct opening openings[RTE_GRAPH_BURST_SIZE];
	struct sl_aead_op ops[RTE_GRAPH_BURST_SIZE];
	rte_edge_t edge[RTE_GRAPH_BURST_SIZE];
	uint16_t nb_ops = 0, op = 0;

	for (uint16_t i = 0; i < nb; i++)
		edge[i] = wireguard_open_locate(w, objs[i], &openings[i]);
	wireguard_open_ahead(w, openings, nb);
	for (uint16_t i = 0; i < nb; i++) {
		if (edge[i] == INNER)
			edge[i] = wireguard_open_precheck(w, objs[i], &openings[i]);
		if (edge[i] == INNER)
			prepare(objs[i], &openings[i], &ops[nb_ops++]);
	}
	w->aead->ops->open(w->aead, ops, nb_ops);
	for (uint16_t i = 0; i < nb; i++) {
		if (edge[i] == INNER)
			edge[i] = wireguard_open_finish(w, objs[i], &openings[i], &ops[op++]);
	}
	sl_node_dispatch(graph, node, objs, nb, edge);
}

static uint16_t
wireguard_open_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	return sl_node_bursts(graph, node, objs, nb, wireguard_open_burst);
}

SL_NODE(wireguard_open, wireguard_open_process, edges)
SL_DROP(wireguard_open_short, SL_PEER_FAULT, "WireGuard datagram is shorter than header and tag.")
SL_DROP(wireguard_open_bad_type, SL_PEER_FAULT, "WireGuard datagram with reserved octets not zero.")
SL_DROP(wireguard_open_no_session,
	SL_PEER_FAULT,
	"WireGuard datagram for an index that no client has.")
SL_DROP(wireguard_open_expired, SL_PEER_FAULT, "WireGuard datagram under a key past its time.")
SL_DROP(wireguard_open_replayed,
	SL_PEER_FAULT,
	"WireGuard datagram seen before, or older than the replay window.")
SL_DROP(wireguard_open_forged, SL_PEER_FAULT, "WireGuard datagram whose tag is wrong.")
SL_DROP(wireguard_open_revoked, SL_EXPECTED, "Packet of a client that is configured no more.")
SL_DROP(wireguard_open_keepalive, SL_EXPECTED, "Keepalive of a client: it has done its work.")
SL_DROP(wireguard_open_not_ip4, SL_PEER_FAULT, "Packet in a WireGuard datagram is not IPv4.")
SL_DROP(wireguard_open_wrong_source,
	SL_PEER_FAULT,
	"Packet of a WireGuard client from another address than its own.")
SL_DROP(wireguard_open_congested,
	SL_PEER_FAULT,
	"Congestion was marked on the way, of a packet whose sender cannot hear of it (RFC 6040).")
