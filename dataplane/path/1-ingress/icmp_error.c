// icmp_error: ICMP errors to this node's own addresses.
//   icmp_local | mailbox_rx -> icmp_error -> flow | handover
// The mbuf starts at L3, checksum verified. Those about our own tunnel datagrams end here: of them
// only "fragmentation needed" changes anything, and only when it quotes what nobody off the path
// knows: both ends of the lane and the receiver's index. The rest leaves by `flow`.
#include <rte_ip.h>
#include <rte_udp.h>

#include <sluice/dp/inner.h>
#include <sluice/dp/node.h>
#include <sluice/dp/path_mtu.h>
#include <sluice/proto/bytes.h>
#include <sluice/proto/keypair.h>

#define TOLD_PER_S 100u // per worker
#define TOLD_BURST 20u

enum edge { MALFORMED, TUNNEL, LIMITED, PATH_MTU, HANDOVER, FLOW, EDGE_COUNT };

static const char *const edges[EDGE_COUNT] = {
	[MALFORMED] = "icmp_error_malformed",
	[TUNNEL] = "icmp_error_tunnel",
	[LIMITED] = "icmp_error_limited",
	[PATH_MTU] = "icmp_error_path_mtu",
	[HANDOVER] = "handover",
	[FLOW] = "flow",
};

struct quoted {
	struct rte_ipv4_hdr ip;
	struct rte_udp_hdr udp;
	struct sl_wire_data wire;
};

static struct sl_session *
find_session(struct sl_sessions *sessions, const struct quoted *q, uint16_t lane)
{
	for (uint32_t i = 0; i < sessions->nb_sessions; i++) {
		struct sl_session *s = &sessions->sessions[i];
		const struct sl_keypair *keypair = atomic_load_explicit(
			&s->current, memory_order_acquire
		);
		const struct sl_lane_endpoint *e = &s->lanes[lane];

		if (keypair != NULL && lane < s->nb_lanes &&
		    keypair->remote_index == sl_get32(q->wire.receiver_be) &&
		    e->remote == q->ip.dst_addr && e->remote_port == q->udp.dst_port &&
		    e->local == q->ip.src_addr && e->local_port == q->udp.src_port)
			return s;
	}
	return NULL;
}

static enum edge
about_tunnel(struct sl_worker *w, struct rte_mbuf *m, const uint8_t *icmp, const struct quoted *q)
{
	struct sl_meta *meta = sl_meta(m);
	uint16_t lane = sl_get16(q->wire.lane_be);
	struct sl_session *s;

	if (icmp[0] != 3 || icmp[1] != 4 || q->wire.type != SL_WIRE_DATA ||
	    lane >= SL_WIRE_MAX_LANES)
		return TUNNEL;
	if (lane % w->nb_workers != w->idx) {
		meta->worker = (uint8_t)(lane % w->nb_workers);
		meta->stage = SL_STAGE_ICMP;
		return HANDOVER;
	}
	if (!sl_bucket_take(&w->mtu_bucket, TOLD_PER_S, TOLD_BURST, 1, w->now_ns))
		return LIMITED;
	s = find_session(w->sessions, q, lane);
	if (s == NULL)
		return TUNNEL;
	sl_path_mtu_told(&s->lanes[lane], &s->paths[lane], sl_get16(icmp + 6), w->now_ds);
	return PATH_MTU;
}

static inline enum edge
icmp_error_verdict(struct sl_worker *w, struct rte_mbuf *m)
{
	uint16_t at = (uint16_t)(sl_meta(m)->l4_offset + 8), port;
	const uint8_t *icmp = rte_pktmbuf_mtod_offset(m, const uint8_t *, at - 8);
	const struct quoted *q = (const void *)(icmp + 8);

	if (rte_pktmbuf_data_len(m) < at + sizeof(q->ip) + sizeof(q->udp) ||
	    q->ip.version_ihl != RTE_IPV4_VHL_DEF)
		return MALFORMED;
	port = rte_be_to_cpu_16(q->udp.src_port);
	if (q->ip.next_proto_id != IPPROTO_UDP || w->net->tunnel_port_first == 0 ||
	    port < w->net->tunnel_port_first || port > w->net->tunnel_port_last)
		return FLOW;
	if (rte_pktmbuf_data_len(m) < at + sizeof(*q))
		return TUNNEL;
	return about_tunnel(w, m, icmp, q);
}

static uint16_t
icmp_error_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	return SL_FOREACH_VERDICT(graph, node, objs, nb, FLOW, icmp_error_verdict);
}

SL_NODE(icmp_error, icmp_error_process, edges)
SL_DROP(icmp_error_malformed, SL_PEER_FAULT, "ICMP error that quotes no IPv4 packet.")
SL_DROP(icmp_error_tunnel, SL_EXPECTED, "ICMP error about a tunnel datagram, not believed.")
SL_DROP(icmp_error_limited, SL_EXPECTED, "Fragmentation-needed beyond the limit of them a second.")
SL_DROP(icmp_error_path_mtu, SL_EXPECTED, "Fragmentation-needed about a tunnel datagram, heeded.")
