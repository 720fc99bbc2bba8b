// tunnel_seal: encrypt datagrams and put the outer headers in front.
//   tunnel_pack -> tunnel_seal -> ip4_output
// On entry the mbuf is the plaintext of one datagram of a lane this worker owns; on exit it is an
// IPv4/UDP packet at L3. DF is set: the tunnel never leaves fragmentation to the underlay.
#include <sluice/dp/buffer.h>
#include <sluice/dp/ip4.h>
#include <sluice/dp/node.h>
#include <sluice/dp/session.h>
#include <sluice/dp/worker.h>
#include <sluice/proto/keypair.h>

#define HEADER_BYTES sizeof(struct sl_wire_data)
#define OUTER_TTL    64u
#define OUTER_BYTES  (sizeof(struct rte_ipv4_hdr) + sizeof(struct rte_udp_hdr))

enum edge { NO_KEY, KEY_USED_UP, NO_ENDPOINT, NO_ROOM, OUTPUT, EDGE_COUNT };

static const char *const edges[EDGE_COUNT] = {
	[NO_KEY] = "tunnel_seal_no_key",
	[KEY_USED_UP] = "tunnel_seal_key_used_up",
	[NO_ENDPOINT] = "tunnel_seal_no_endpoint",
	[NO_ROOM] = "tunnel_seal_no_room",
	[OUTPUT] = "output",
};

static inline enum edge
tunnel_seal_prepare(struct sl_worker *w, struct rte_mbuf *m, struct sl_aead_op *op)
{
	const struct sl_meta *meta = sl_meta(m);
	struct sl_session *session = &w->sessions->sessions[meta->session];
	struct sl_keypair *keypair = atomic_load_explicit(&session->current, memory_order_acquire);
	uint32_t nb_bytes = rte_pktmbuf_data_len(m);
	uint64_t counter;
	uint8_t *header;

	if (keypair == NULL || sl_keypair_is_expired(keypair, w->now_ns) ||
	    meta->lane >= keypair->nb_lanes)
		return NO_KEY;
	if (session->lanes[meta->lane].remote == 0)
		return NO_ENDPOINT;
	if (unlikely(
		    rte_pktmbuf_tailroom(m) < SL_WIRE_TAG_BYTES ||
		    rte_pktmbuf_headroom(m) < HEADER_BYTES + OUTER_BYTES
	    ))
		return NO_ROOM;
	if (!sl_keypair_take_counter(keypair, meta->lane, &counter))
		return KEY_USED_UP;
	header = (uint8_t *)rte_pktmbuf_prepend(m, HEADER_BYTES);
	*op = (struct sl_aead_op){ .key = sl_keypair_seal_key(keypair, meta->lane),
				   .data = header + HEADER_BYTES,
				   .tag = sl_buffer_append(m, SL_WIRE_TAG_BYTES),
				   .aad = header,
				   .nb_bytes = nb_bytes,
				   .nb_aad_bytes = HEADER_BYTES,
				   .cipher = keypair->cipher };
	sl_keypair_header(header, keypair->remote_index, meta->lane, counter);
	sl_keypair_nonce(op->nonce, meta->lane, counter);
	if (op->cipher == SL_CIPHER_AES256_GCM)
		sl_aead_key_prefetch(op->key);
	return OUTPUT;
}

// The outer UDP checksum stays zero (RFC 768): the tag says more than it could.
static inline void
tunnel_seal_address(struct sl_worker *w, struct rte_mbuf *m)
{
	struct sl_meta *meta = sl_meta(m);
	struct sl_lane_endpoint *e = &w->sessions->sessions[meta->session].lanes[meta->lane];
	struct sl_ip4_ends ends = { .source = e->local, .destination = e->remote };
	uint16_t udp_bytes = (uint16_t)(rte_pktmbuf_data_len(m) + sizeof(struct rte_udp_hdr));
	struct rte_udp_hdr *udp;
	struct rte_ipv4_hdr *ip;

	ip = (void *)rte_pktmbuf_prepend(m, sizeof(*ip) + sizeof(*udp));
	udp = (struct rte_udp_hdr *)(ip + 1);
	*udp = (struct rte_udp_hdr){ .src_port = e->local_port,
				     .dst_port = e->remote_port,
				     .dgram_len = rte_cpu_to_be_16(udp_bytes) };
	sl_ip4_fill(
		ip,
		ends,
		IPPROTO_UDP,
		(uint16_t)(sizeof(*ip) + udp_bytes),
		meta->tos,
		OUTER_TTL,
		SL_IP4_DF
	);
	e->sealed_pkts++;
	meta->l4_offset = sizeof(*ip);
	meta->protocol = IPPROTO_UDP;
}

// The keypair's own line and its lane's, for all of a burst at once: each packet may be of another
// session, and waiting for them one by one costs more than sealing.
static inline void
prefetch_keypair(const struct sl_worker *w, struct rte_mbuf *m)
{
	const struct sl_meta *meta = sl_meta(m);
	const struct sl_keypair *keypair = atomic_load_explicit(
		&w->sessions->sessions[meta->session].current, memory_order_acquire
	);

	if (keypair == NULL)
		return;
	rte_prefetch0(keypair);
	rte_prefetch0_write(&keypair->lanes[meta->lane]);
}

static void
tunnel_seal_burst(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	struct sl_worker *w = sl_node_worker(node);
	struct sl_aead_op ops[RTE_GRAPH_BURST_SIZE];
	rte_edge_t edge[RTE_GRAPH_BURST_SIZE];
	uint16_t nb_ops = 0;

	for (uint16_t i = 0; i < nb; i++)
		prefetch_keypair(w, objs[i]);
	for (uint16_t i = 0; i < nb; i++) {
		edge[i] = (rte_edge_t)tunnel_seal_prepare(w, objs[i], &ops[nb_ops]);
		nb_ops = (uint16_t)(nb_ops + (edge[i] == OUTPUT));
	}
	w->aead->ops->seal(w->aead, ops, nb_ops);
	for (uint16_t i = 0; i < nb; i++)
		if (edge[i] == OUTPUT)
			tunnel_seal_address(w, objs[i]);
	sl_node_dispatch(graph, node, objs, nb, edge);
}

static uint16_t
tunnel_seal_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	return sl_node_bursts(graph, node, objs, nb, tunnel_seal_burst);
}

SL_NODE(tunnel_seal, tunnel_seal_process, edges)
SL_DROP(tunnel_seal_no_key, SL_EXPECTED, "Record for a session whose key is gone or past its time.")
SL_DROP(tunnel_seal_key_used_up, SL_OUR_FAULT, "Record under a key that has sealed all it may.")
SL_DROP(tunnel_seal_no_endpoint, SL_EXPECTED, "Record for a lane whose far end is not known yet.")
SL_DROP(tunnel_seal_no_room, SL_OUR_FAULT, "No room in the packet buffer for header and tag.")
