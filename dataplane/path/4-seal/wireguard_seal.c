// wireguard_seal: encrypt packets for WireGuard clients and put the outer headers in front.
//   client_output | mailbox_rx -> wireguard_seal -> ip4_output | handover | punt
// On entry the mbuf is a finished IPv4 packet at L3 for meta->client, or an empty one, a keepalive of
// the session thread's. On exit it is an outer IPv4/UDP packet at L3. A packet for a key that
// another worker owns goes there first. DF is set: WireGuard leaves no fragmentation to the underlay.
#include "../5-egress/ip4_output.h"
#include "wireguard_key.h"
#include "wireguard_keyless.h"
#include "wireguard_session.h"

#include <sluice/dp/buffer.h>
#include <sluice/dp/ip4.h>
#include <sluice/dp/node.h>
#include <sluice/dp/session.h>
#include <sluice/dp/snapshot.h>
#include <sluice/dp/tunnel.h>
#include <sluice/dp/worker.h>
#include <sluice/proto/keypair.h>

#define HEADER_BYTES  sizeof(struct sl_wg_data)
#define PADDING_BYTES 16u
#define OUTER_TTL     64u
#define OVERHEAD_BYTES                                                                             \
	(sizeof(struct rte_ipv4_hdr) + sizeof(struct rte_udp_hdr) + HEADER_BYTES +                 \
	 SL_AEAD_TAG_BYTES)

enum edge {
	NO_CLIENT,
	NO_KEY,
	KEY_USED_UP,
	NO_ENDPOINT,
	TOO_BIG,
	NO_ROOM,
	HANDOVER,
	PUNT,
	OUTPUT,
	COUNT
};

static const char *const edges[COUNT] = {
	[NO_CLIENT] = "wireguard_seal_no_client",
	[NO_KEY] = "wireguard_seal_no_key",
	[KEY_USED_UP] = "wireguard_seal_key_used_up",
	[NO_ENDPOINT] = "wireguard_seal_no_endpoint",
	[TOO_BIG] = "too_big",
	[NO_ROOM] = "wireguard_seal_no_room",
	[HANDOVER] = "handover",
	[PUNT] = "punt",
	[OUTPUT] = "output",
};

struct sealing {
	struct sl_lane_endpoint *endpoint;
	uint8_t ecn; // of the inner header
	bool is_empty;
};

// Without a key or a place to send to: somebody else may know how to get one.
static inline enum edge
without_key(struct sl_worker *w, struct sl_meta *meta, const struct sealing *s)
{
	s->endpoint->wanted_pkts++;
	if (!s->is_empty && wireguard_is_shown(w, meta))
		return PUNT;
	return s->endpoint->remote == 0 ? NO_ENDPOINT : NO_KEY;
}

// Octets of packet and padding that one datagram to the client can hold.
static inline uint16_t
room_of(const struct sl_lane_endpoint *e)
{
	return (uint16_t)(RTE_MAX(e->mtu_bytes, SL_UNDERLAY_MTU_MIN) - OVERHEAD_BYTES);
}

// Header, padding and room for the tag around the packet. A packet as large as the client's device
// takes is not padded: its path need carry no more than the device's own datagrams.
static inline enum edge
wireguard_seal_wrap(
	struct rte_mbuf *m, struct sl_keypair *keypair, unsigned most, struct sl_aead_op *op
)
{
	uint16_t nb_bytes = rte_pktmbuf_data_len(m);
	uint16_t padded = (uint16_t
	)RTE_MAX(nb_bytes, RTE_MIN((unsigned)RTE_ALIGN_CEIL(nb_bytes, PADDING_BYTES), most));
	uint16_t behind = (uint16_t)(padded - nb_bytes + SL_AEAD_TAG_BYTES);
	uint64_t counter;
	uint8_t *header;

	if (unlikely(
		    m->nb_segs != 1 || rte_pktmbuf_headroom(m) < HEADER_BYTES ||
		    rte_pktmbuf_tailroom(m) < behind
	    ))
		return NO_ROOM;
	if (unlikely(!sl_keypair_take_counter(keypair, 0, &counter)))
		return KEY_USED_UP;
	memset(sl_buffer_append(m, behind), 0, behind);
	header = (uint8_t *)rte_pktmbuf_prepend(m, HEADER_BYTES);
	*op = (struct sl_aead_op){ .key = sl_keypair_seal_key(keypair, 0),
				   .cipher = keypair->cipher,
				   .data = header + HEADER_BYTES,
				   .tag = header + HEADER_BYTES + padded,
				   .nb_bytes = padded };
	sl_keypair_header_wireguard(header, keypair->remote_index, counter);
	sl_keypair_nonce_wireguard(op->nonce, counter);
	return OUTPUT;
}

static inline enum edge
wireguard_seal_prepare(
	struct sl_worker *w, struct rte_mbuf *m, struct sealing *s, struct sl_aead_op *op
)
{
	struct sl_meta *meta = sl_meta(m);
	struct sl_session *session = session_of(w, meta);
	struct sl_keypair *newest, *keypair;
	uint16_t owner;

	if (unlikely(session == NULL))
		return NO_CLIENT;
	newest = newest_of(w, session);
	owner = owner_of(w, meta, session, newest);
	if (owner != w->idx) {
		meta->worker = (uint8_t)owner;
		meta->stage = SL_STAGE_TO_SESSION;
		return HANDOVER;
	}
	s->endpoint = &session->lanes[w->idx];
	s->is_empty = rte_pktmbuf_data_len(m) == 0;
	keypair = keypair_of(w, session, newest);
	if (unlikely(
		    keypair == NULL || !sl_keypair_may_seal(keypair, w->now_ns) ||
		    s->endpoint->remote == 0
	    ))
		return without_key(w, meta, s);
	if (unlikely(rte_pktmbuf_data_len(m) > room_of(s->endpoint))) {
		meta->token = room_of(s->endpoint);
		return TOO_BIG;
	}
	s->ecn = 0;
	if (!s->is_empty) {
		struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *);

		// As ip4_output does for those who come without WireGuard.
		ip4_output_checksum(ip);
		s->ecn = ip->type_of_service & 3;
	}
	return wireguard_seal_wrap(
		m, keypair, RTE_MIN((unsigned)w->net->wireguard_mtu, room_of(s->endpoint)), op
	);
}

// The outer UDP checksum stays zero (RFC 768): the tag says more than it could. Of the inner TOS only
// what concerns congestion is shown (RFC 6040).
static inline void
wireguard_seal_address(struct sl_worker *w, struct rte_mbuf *m, const struct sealing *s)
{
	struct sl_lane_endpoint *e = s->endpoint;
	struct sl_ip4_ends ends = { .source = e->local, .destination = e->remote };
	uint16_t udp_bytes = (uint16_t)(rte_pktmbuf_data_len(m) + sizeof(struct rte_udp_hdr));
	uint16_t total = (uint16_t)(sizeof(struct rte_ipv4_hdr) + udp_bytes);
	struct rte_ipv4_hdr *ip;
	struct rte_udp_hdr *udp;

	ip = (void *)rte_pktmbuf_prepend(m, sizeof(*ip) + sizeof(*udp));
	udp = (struct rte_udp_hdr *)(ip + 1);
	*udp = (struct rte_udp_hdr){ .src_port = e->local_port,
				     .dst_port = e->remote_port,
				     .dgram_len = rte_cpu_to_be_16(udp_bytes) };
	sl_ip4_fill(ip, ends, IPPROTO_UDP, total, s->ecn, OUTER_TTL, SL_IP4_DF);
	e->sealed_pkts += !s->is_empty;
	e->sealed_at = sl_session_tick(w->now_ns);
	sl_meta(m)->l4_offset = sizeof(*ip);
	sl_meta(m)->protocol = IPPROTO_UDP;
}

static void
wireguard_seal_burst(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	struct sl_worker *w = sl_node_worker(node);
	struct sealing sealings[RTE_GRAPH_BURST_SIZE];
	struct sl_aead_op ops[RTE_GRAPH_BURST_SIZE];
	rte_edge_t edge[RTE_GRAPH_BURST_SIZE];
	uint16_t nb_ops = 0;

	wireguard_seal_ahead(w, (struct rte_mbuf **)objs, nb);
	for (uint16_t i = 0; i < nb; i++) {
		edge[i] = (rte_edge_t
		)wireguard_seal_prepare(w, objs[i], &sealings[i], &ops[nb_ops]);
		nb_ops = (uint16_t)(nb_ops + (edge[i] == OUTPUT));
	}
	w->aead->ops->seal(w->aead, ops, nb_ops);
	for (uint16_t i = 0; i < nb; i++)
		if (edge[i] == OUTPUT)
			wireguard_seal_address(w, objs[i], &sealings[i]);
	sl_node_dispatch(graph, node, objs, nb, edge);
}

static uint16_t
wireguard_seal_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	return sl_node_bursts(graph, node, objs, nb, wireguard_seal_burst);
}

SL_NODE(wireguard_seal, wireguard_seal_process, edges)
SL_DROP(wireguard_seal_no_client, SL_EXPECTED, "Packet for a client that is configured no more.")
SL_DROP(wireguard_seal_no_key, SL_EXPECTED, "Packet for a client without a key in force.")
SL_DROP(wireguard_seal_key_used_up, SL_OUR_FAULT, "Packet under a key that has sealed all it may.")
SL_DROP(wireguard_seal_no_endpoint, SL_EXPECTED, "Packet for a client that was never heard.")
SL_DROP(wireguard_seal_no_room, SL_OUR_FAULT, "Packet buffer has no room for header and tag.")
