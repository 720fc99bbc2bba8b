// flow_collect: a private host's answer into the tunnel; answers to queries of our own to the
// session thread or the stream thread.
//   udp_input | ip4_input | icmp_local | mailbox_rx -> flow_collect -> tunnel_pack | punt | stream_tx |
//   reject | handover
// On entry the mbuf is an IPv4 packet at L3 to an address of this node. What answers nothing we sent
// is dropped: no state is made for a packet from this side.
#include "flow_retry.h"
#include "flow_ticket.h"

#include <sluice/dp/flow_life.h>
#include <sluice/dp/nat.h>
#include <sluice/dp/reject.h>
#include <sluice/dp/tally.h>

enum edge {
	MALFORMED,
	NOT_CARRIED,
	NO_FLOW,
	STRANGE_ID,
	UNSENT,
	CHECKSUM,
	HANDOVER,
	PUNT,
	REJECT,
	STREAM,
	STRANGE,
	OUTPUT,
	NEXT,
	PACK,
	EDGE_COUNT
};

static const char *const edges[EDGE_COUNT] = {
	[MALFORMED] = "flow_collect_malformed",
	[NOT_CARRIED] = "flow_collect_not_carried",
	[NO_FLOW] = "flow_collect_no_flow",
	[STRANGE_ID] = "flow_collect_strange_id",
	[UNSENT] = "flow_collect_unsent",
	[CHECKSUM] = "flow_collect_checksum",
	[HANDOVER] = "handover",
	[PUNT] = "punt",
	[REJECT] = "reject",
	[STREAM] = "stream",
	[STRANGE] = "strange",
	[OUTPUT] = "output",
	[NEXT] = "flow_collect_next",
	[PACK] = "pack",
};

static inline enum edge
key_of(struct sl_worker *w, struct rte_mbuf *m, struct sl_flow_key *key)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	struct sl_meta *meta = sl_meta(m);
	const uint8_t *l4 = rte_pktmbuf_mtod_offset(m, const uint8_t *, meta->l4_offset);
	uint8_t owner;

	if (sl_carry_skip_bytes(meta->protocol) == 0)
		return NOT_CARRIED;
	if (!sl_flow_l4_is_sound(m, meta))
		return MALFORMED;
	sl_ip4_map(key->source, ip->src_addr);
	sl_ip4_map(key->destination, ip->dst_addr);
	key->scope_protocol = meta->protocol;
	if (meta->protocol == IPPROTO_ICMP) {
		if (l4[0] != SL_ICMP_ECHO_REPLY || l4[1] != 0)
			return NOT_CARRIED;
		key->source_port_be = 0;
		memcpy(&key->destination_port_be, l4 + 4, 2);
	} else {
		memcpy(&key->source_port_be, l4, 2);
		memcpy(&key->destination_port_be, l4 + 2, 2);
	}
	owner = sl_nat_owner(w, key);
	if (owner == w->idx)
		return PACK;
	meta->worker = owner;
	meta->stage = SL_STAGE_COLLECT;
	return HANDOVER;
}

// Has a datagram from the server we asked the ID that we asked with? One that has not leaves the query open:
// whoever guesses the port alone must not be able to end it (RFC 5452 section 9.1).
static inline bool
has_id(const struct rte_mbuf *m, const struct sl_meta *meta, const struct sl_flow *f)
{
	const uint16_t at = (uint16_t)(meta->l4_offset + sizeof(struct rte_udp_hdr));

	return rte_pktmbuf_data_len(m) >= at + sizeof(f->query.id_be) &&
		memcmp(rte_pktmbuf_mtod_offset(m, const void *, at),
		       &f->query.id_be,
		       sizeof(f->query.id_be)) == 0;
}

static enum edge
to_session_thread(struct sl_worker *w, struct rte_mbuf *m, struct sl_flow *f)
{
	struct sl_meta *meta = sl_meta(m);

	if (!sl_udp_is_intact(m))
		return CHECKSUM;
	if (!has_id(m, meta, f))
		return STRANGE_ID;
	meta->punt = SL_PUNT_ANSWER;
	meta->token = f->query.token;
	// The port is free again at once: an answer ends a query.
	sl_flow_over(w, meta->flow, SL_CLOSE_DONE);
	return PUNT;
}

static enum edge
to_stream_thread(const struct sl_worker *w, struct sl_meta *meta, struct sl_flow *f)
{
	f->last_seen_ds = w->now_ds;
	meta->stream = f->query.token;
	meta->client = SL_NO_CLIENT;
	return STREAM;
}

// A host that forbids cutting its packet is told what fits (RFC 1191); it will send less.
static inline bool
is_too_big(struct sl_worker *w, struct rte_mbuf *m, const struct sl_flow *f)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	struct sl_meta *meta = sl_meta(m);
	uint16_t mtu = sl_flow_mtu(w, f, meta->protocol);

	if (likely(rte_be_to_cpu_16(ip->total_length) <= mtu) || !(ip->fragment_offset & SL_IP4_DF))
		return false;
	meta->reason = SL_LOCAL_TOO_BIG;
	meta->token = mtu;
	return true;
}

// A RST: of a name with several addresses, it may mean that the next one is asked.
static enum edge
refused(struct sl_worker *w, struct rte_mbuf *m, struct sl_flow *f)
{
	const struct rte_tcp_hdr *tcp = sl_flow_tcp(m, sl_meta(m));

	// One that acknowledges our SYN and nothing else (RFC 9293 section 3.10.7.3).
	if (!(tcp->tcp_flags & RTE_TCP_ACK_FLAG) || rte_be_to_cpu_32(tcp->recv_ack) != f->seq_up)
		return PACK;
	switch (sl_flow_retry(w, m, f, SL_RETRY_REFUSED)) {
	case SL_RETRY_SENT:
		return OUTPUT;
	case SL_RETRY_TAKEN:
		return NEXT;
	case SL_RETRY_TELL:
	default:
		return PACK;
	}
}

static inline enum edge
flow_collect_verdict(struct sl_worker *w, struct rte_mbuf *m, uint32_t index)
{
	struct sl_meta *meta = sl_meta(m);
	enum sl_link_send send;
	uint16_t l4_bytes;
	struct sl_flow *f;
	enum edge edge;

	if (index == SL_NO_FLOW)
		return meta->protocol == IPPROTO_TCP ? STRANGE : NO_FLOW;
	meta->flow = index;
	f = sl_flow_at(w->flows, index);
	if (f->kind == SL_FLOW_QUERY)
		return to_session_thread(w, m, f);
	if (f->kind == SL_FLOW_STREAM)
		return to_stream_thread(w, meta, f);
	if (is_too_big(w, m, f))
		return REJECT;
	send = sl_link_send(&f->link, sl_flow_peer(w, f->link.session, 0).epoch, w->now_ds);
	if (unlikely(send != SL_SEND_DATA && send != SL_SEND_ACCEPT_DATA))
		return sl_flow_try_reopen(w, m, f, index) ? PACK : UNSENT;
	l4_bytes = sl_flow_l4_bytes(m, meta);
	if (meta->protocol == IPPROTO_TCP &&
	    unlikely(sl_flow_tcp(m, meta)->tcp_flags & RTE_TCP_RST_FLAG)) {
		edge = refused(w, m, f);
		if (edge != PACK)
			return edge;
	}
	if (meta->protocol == IPPROTO_TCP)
		sl_tcp_track(f, sl_flow_tcp(m, meta), l4_bytes, SL_DOWN);
	if (unlikely(f->pkts_down == 0))
		sl_tally_reached(w, index, SL_TALLY_CONNECT);
	sl_flow_seen(f, w, SL_DOWN, (uint16_t)(l4_bytes + sizeof(struct rte_ipv4_hdr)));
	sl_flow_to_record(
		&w->sessions->sessions[f->link.session],
		m,
		meta,
		f,
		sl_flow_id(w->flows, index),
		send
	);
	return PACK;
}

static void
flow_collect_burst(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	struct sl_worker *w = sl_node_worker(node);
	struct sl_flow_key keys[RTE_GRAPH_BURST_SIZE];
	uint32_t found[RTE_GRAPH_BURST_SIZE];
	rte_edge_t edge[RTE_GRAPH_BURST_SIZE];
	uint16_t nb_wanted = 0;

	for (uint16_t i = 0; i < nb; i++) {
		edge[i] = (rte_edge_t)key_of(w, objs[i], &keys[nb_wanted]);
		nb_wanted = (uint16_t)(nb_wanted + (edge[i] == PACK));
	}
	sl_flow_find_bulk(w->flows, keys, nb_wanted, found);
	for (uint16_t i = 0; i < nb_wanted; i++)
		if (found[i] != SL_NO_FLOW)
			sl_flow_prefetch_session(w, sl_flow_at(w->flows, found[i]));
	nb_wanted = 0;
	for (uint16_t i = 0; i < nb; i++)
		if (edge[i] == PACK)
			edge[i] = (rte_edge_t)flow_collect_verdict(w, objs[i], found[nb_wanted++]);
	sl_node_dispatch(graph, node, objs, nb, edge);
}

static uint16_t
flow_collect_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	return sl_node_bursts(graph, node, objs, nb, flow_collect_burst);
}

SL_NODE(flow_collect, flow_collect_process, edges)
SL_DROP(flow_collect_malformed,
	SL_PEER_FAULT,
	"Transport header is cut, or its length is not the packet's.")
SL_DROP(flow_collect_not_carried, SL_PEER_FAULT, "Packet to this node of a kind that no flow has.")
SL_DROP(flow_collect_no_flow, SL_PEER_FAULT, "Packet to this node that answers nothing it sent.")
SL_DROP(flow_collect_checksum,
	SL_PEER_FAULT,
	"Answer to a query of our own whose UDP checksum is wrong.")
SL_DROP(flow_collect_strange_id,
	SL_PEER_FAULT,
	"Answer to a DNS query of our own has another ID than was asked with.")
SL_DROP(flow_collect_unsent, SL_EXPECTED, "Answer for a flow whose PoP is away.")
SL_DROP(flow_collect_next,
	SL_EXPECTED,
	"Refusal by one of several addresses of a name; the next is tried instead.")
