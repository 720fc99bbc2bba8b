// tunnel_open: authenticate and decrypt tunnel datagrams.
//   udp_input | mailbox_rx -> tunnel_open -> record_input | handover
// On entry the mbuf is an outer IPv4/UDP packet at L3, its first payload octet SL_WIRE_DATA. On exit
// to record_input the mbuf starts at the first record; meta->session and meta->lane say whose they
// are. A datagram of a lane that another worker owns goes there unopened.
#include <rte_ip.h>
#include <rte_udp.h>

#include <sluice/dp/buffer.h>
#include <sluice/dp/lane_port.h>
#include <sluice/dp/node.h>
#include <sluice/dp/session.h>
#include <sluice/dp/worker.h>
#include <sluice/proto/keypair.h>

#define HEADER_BYTES sizeof(struct sl_wire_data)

enum edge { SHORT, NO_SESSION, BAD_LANE, EXPIRED, REPLAYED, FORGED, HANDOVER, RECORDS, EDGE_COUNT };

static const char *const edges[EDGE_COUNT] = {
	[SHORT] = "tunnel_open_short",
	[NO_SESSION] = "tunnel_open_no_session",
	[BAD_LANE] = "tunnel_open_bad_lane",
	[EXPIRED] = "tunnel_open_expired",
	[REPLAYED] = "tunnel_open_replayed",
	[FORGED] = "tunnel_open_forged",
	[HANDOVER] = "handover",
	[RECORDS] = "records",
};

struct opening {
	struct sl_keypair *keypair;
	uint64_t counter;
	uint16_t lane;
};

// What can be said before the tag is checked; RECORDS: go on and open.
static inline enum edge
tunnel_open_precheck(struct sl_worker *w, struct rte_mbuf *m, struct opening *o)
{
	struct sl_meta *meta = sl_meta(m);
	uint16_t at = (uint16_t)(meta->l4_offset + sizeof(struct rte_udp_hdr));
	const struct sl_wire_data *wire;
	struct sl_keypair_lane *lane;

	if (rte_pktmbuf_data_len(m) < at + HEADER_BYTES + SL_WIRE_TAG_BYTES)
		return SHORT;
	wire = rte_pktmbuf_mtod_offset(m, const struct sl_wire_data *, at);
	o->keypair = sl_sessions_keypair(w->sessions, sl_get32(wire->receiver_be));
	if (o->keypair == NULL || o->keypair->local_index != sl_get32(wire->receiver_be) ||
	    o->keypair->client != 0)
		return NO_SESSION;
	o->lane = sl_get16(wire->lane_be);
	o->counter = sl_get64(wire->counter_be);
	if (o->lane >= o->keypair->nb_lanes || wire->flags != 0)
		return BAD_LANE;
	if (o->lane % w->nb_workers != w->idx) {
		meta->worker = (uint8_t)(o->lane % w->nb_workers);
		meta->stage = SL_STAGE_TUNNEL;
		meta->token = w->idx; // where it arrived
		return HANDOVER;
	}
	if (sl_keypair_is_expired(o->keypair, w->now_ns))
		return EXPIRED;
	lane = &o->keypair->lanes[o->lane];
	if (sl_replay_check(&lane->replay, lane->replay_words, SL_LANE_REPLAY_WORDS, o->counter) !=
	    SL_REPLAY_FRESH)
		return REPLAYED;
	return RECORDS;
}

static inline const struct sl_wire_data *
wire_of(struct rte_mbuf *m)
{
	uint16_t at = (uint16_t)(sl_meta(m)->l4_offset + sizeof(struct rte_udp_hdr));

	return rte_pktmbuf_mtod_offset(m, const struct sl_wire_data *, at);
}

// A burst may be of as many sessions as it has packets: what each will read is asked for together. Where
// the keypair stands udp_input has asked for. Nothing here is believed; a cut datagram's octets beyond its
// end are in its buffer.
static inline void
prefetch_keypair(const struct sl_worker *w, struct rte_mbuf *m)
{
	const struct sl_wire_data *wire = wire_of(m);
	struct sl_keypair *keypair = sl_sessions_keypair(w->sessions, sl_get32(wire->receiver_be));

	if (keypair == NULL)
		return;
	rte_prefetch0(keypair);
	rte_prefetch0_write(&keypair->lanes[sl_get16(wire->lane_be) % SL_WIRE_MAX_LANES]);
}

// Known once the keypair is here: where the lane's peer is, and the schedule.
static inline void
prefetch_session(const struct sl_worker *w, const struct opening *o, const struct sl_aead_op *op)
{
	const struct sl_session *session = &w->sessions->sessions[o->keypair->session];

	rte_prefetch0(session);
	rte_prefetch0_write(&session->lanes[o->lane]);
	if (op->cipher == SL_CIPHER_AES256_GCM)
		sl_aead_key_prefetch(op->key);
}

static inline void
prepare(struct rte_mbuf *m, const struct opening *o, struct sl_aead_op *op)
{
	uint16_t at = (uint16_t)(sl_meta(m)->l4_offset + sizeof(struct rte_udp_hdr));
	uint8_t *wire = rte_pktmbuf_mtod_offset(m, uint8_t *, at);
	uint32_t nb_bytes = (uint32_t
	)(rte_pktmbuf_data_len(m) - at - HEADER_BYTES - SL_WIRE_TAG_BYTES);

	*op = (struct sl_aead_op){ .key = sl_keypair_open_key(o->keypair),
				   .data = wire + HEADER_BYTES,
				   .tag = wire + HEADER_BYTES + nb_bytes,
				   .aad = wire,
				   .nb_bytes = nb_bytes,
				   .nb_aad_bytes = HEADER_BYTES,
				   .cipher = o->keypair->cipher };
	sl_keypair_nonce(op->nonce, o->lane, o->counter);
}

// The peer has proved that it is at this address: answers go there from now on.
static inline void
follow_endpoint(
	struct sl_worker *w,
	struct sl_lane_endpoint *e,
	struct sl_lane_port *p,
	const struct rte_ipv4_hdr *ip,
	const struct rte_udp_hdr *udp
)
{
	e->heard_ns = w->now_ns;
	e->opened_pkts++;
	if (likely(e->remote == ip->src_addr && e->remote_port == udp->src_port))
		return;
	e->remote = ip->src_addr;
	e->remote_port = udp->src_port;
	e->local = ip->dst_addr;
	e->local_port = udp->dst_port;
	sl_lane_port_followed(p, e);
}

static inline enum edge
tunnel_open_finish(
	struct sl_worker *w,
	struct rte_mbuf *m,
	const struct opening *o,
	const struct sl_aead_op *op
)
{
	struct sl_keypair_lane *lane = &o->keypair->lanes[o->lane];
	struct sl_session *session = &w->sessions->sessions[o->keypair->session];
	struct sl_meta *meta = sl_meta(m);
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	const struct rte_udp_hdr *udp = rte_pktmbuf_mtod_offset(
		m, const struct rte_udp_hdr *, meta->l4_offset
	);

	if (unlikely(!op->authentic))
		return FORGED;
	if (sl_replay_commit(&lane->replay, lane->replay_words, SL_LANE_REPLAY_WORDS, o->counter) !=
	    SL_REPLAY_FRESH)
		return REPLAYED;
	if (unlikely(!atomic_load_explicit(&o->keypair->confirmed, memory_order_relaxed)))
		atomic_store_explicit(&o->keypair->confirmed, true, memory_order_relaxed);
	// A datagram of the keypair before, late, does not move the endpoint back.
	if (atomic_load_explicit(&session->current, memory_order_relaxed) == o->keypair)
		follow_endpoint(w, &session->lanes[o->lane], &session->ports[o->lane], ip, udp);
	else
		session->lanes[o->lane].heard_ns = w->now_ns;
	// One that is late and came to a port the lane has left says nothing of the present one.
	if (unlikely(meta->stage == SL_STAGE_TUNNEL) &&
	    udp->dst_port == session->lanes[o->lane].local_port)
		sl_lane_port_strayed(&session->ports[o->lane], (uint8_t)meta->token);
	meta->token = 0;
	meta->session = o->keypair->session;
	meta->lane = o->lane;
	rte_pktmbuf_adj(m, (uint16_t)(op->data - rte_pktmbuf_mtod(m, uint8_t *)));
	sl_buffer_trim(m, SL_WIRE_TAG_BYTES);
	return RECORDS;
}

static void
tunnel_open_burst(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	struct sl_worker *w = sl_node_worker(node);
	struct opening openings[RTE_GRAPH_BURST_SIZE];
	struct sl_aead_op ops[RTE_GRAPH_BURST_SIZE];
	rte_edge_t edge[RTE_GRAPH_BURST_SIZE];
	uint16_t nb_ops = 0, op = 0;

	for (uint16_t i = 0; i < nb; i++)
		prefetch_keypair(w, objs[i]);
	for (uint16_t i = 0; i < nb; i++) {
		edge[i] = (rte_edge_t)tunnel_open_precheck(w, objs[i], &openings[i]);
		if (edge[i] != RECORDS)
			continue;
		prepare(objs[i], &openings[i], &ops[nb_ops]);
		prefetch_session(w, &openings[i], &ops[nb_ops++]);
	}
	w->aead->ops->open(w->aead, ops, nb_ops);
	for (uint16_t i = 0; i < nb; i++) {
		if (edge[i] == RECORDS)
			edge[i] = (rte_edge_t
			)tunnel_open_finish(w, objs[i], &openings[i], &ops[op++]);
	}
	sl_node_dispatch(graph, node, objs, nb, edge);
}

static uint16_t
tunnel_open_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	return sl_node_bursts(graph, node, objs, nb, tunnel_open_burst);
}

SL_NODE(tunnel_open, tunnel_open_process, edges)
SL_DROP(tunnel_open_short, SL_PEER_FAULT, "Tunnel datagram is shorter than header and tag.")
SL_DROP(tunnel_open_no_session, SL_PEER_FAULT, "Tunnel datagram for an index that no session has.")
SL_DROP(tunnel_open_bad_lane,
	SL_PEER_FAULT,
	"Tunnel datagram on a lane or with flags its session lacks.")
SL_DROP(tunnel_open_expired, SL_PEER_FAULT, "Tunnel datagram under a key past its time.")
SL_DROP(tunnel_open_replayed,
	SL_PEER_FAULT,
	"Tunnel datagram seen before, or older than the replay window.")
SL_DROP(tunnel_open_forged, SL_PEER_FAULT, "Tunnel datagram whose tag is wrong.")
