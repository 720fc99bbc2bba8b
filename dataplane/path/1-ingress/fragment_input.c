// fragment_input: put the fragments of IPv4 packets together, at one worker for each packet.
//   ip4_input | wireguard_open | mailbox_rx -> fragment_input -> handover (to the owner, at
//   SL_STAGE_FRAGMENT) | ip4_input (a whole packet) | inner (a whole packet out of WireGuard)
// The mbuf starts at L3. The owner is a keyed hash of what all fragments of a packet share. Each
// fragment is copied to where its packet comes together and its buffer is free at once; what is whole
// goes back to where it came from, as if it had come so. Only clients' fragments and those to this
// node's own addresses are kept at all.
#include "../2-open/wireguard_inner.h"
#include "fragment_head.h"

#include <sluice/dp/fragments.h>

enum edge {
	STRANGER = SL_WG_INNER_EDGE_COUNT,
	HELD,
	BAD,
	TINY,
	TOO_LONG,
	OVERLAP,
	DUPLICATE,
	ECN,
	QUOTA,
	NO_BUFFER,
	WHOLE,
	HANDOVER,
	EDGE_COUNT
};

static const char *const edges[EDGE_COUNT] = {
	SL_WG_INNER_EDGES,
	[STRANGER] = "fragment_input_stranger",
	[HELD] = "fragment_input_held",
	[BAD] = "fragment_input_bad",
	[TINY] = "fragment_input_tiny",
	[TOO_LONG] = "fragment_input_too_long",
	[OVERLAP] = "fragment_input_overlap",
	[DUPLICATE] = "fragment_input_duplicate",
	[ECN] = "fragment_input_ecn",
	[QUOTA] = "fragment_input_quota",
	[NO_BUFFER] = "fragment_input_no_buffer",
	[WHOLE] = "ip4_input",
	[HANDOVER] = "handover",
};

// RFC 1858 and 3128: the first fragment holds the transport header, no later one reaches into it.
static inline bool
is_tiny(const struct rte_ipv4_hdr *ip, const struct sl_piece *piece)
{
	bool is_tcp = ip->next_proto_id == IPPROTO_TCP;

	if (piece->offset_bytes == 0)
		return piece->nb_bytes <
			(is_tcp ? sizeof(struct rte_tcp_hdr) : sizeof(struct rte_udp_hdr));
	return is_tcp && piece->offset_bytes < sizeof(struct rte_tcp_hdr);
}

// The whole packet into the fragment's own buffer if it holds it and a flow's headers besides, else
// into a large one; NULL without.
static struct rte_mbuf *
make_whole(struct sl_worker *w, struct rte_mbuf *m, struct sl_assembly_place *place)
{
	const struct fragment_head *head = sl_assembly_head(place);
	uint32_t total = (uint32_t)sizeof(head->ip) + sl_assembly_whole_bytes(place);
	struct sl_ip4_ends ends = { .source = head->ip.src_addr, .destination = head->ip.dst_addr };
	struct rte_mbuf *whole = m;
	struct rte_ipv4_hdr *ip;

	if (total + SL_FRAGMENT_ROOM_BYTES > m->buf_len) {
		whole = rte_pktmbuf_alloc(w->large_pool);
		if (whole == NULL)
			return NULL;
		*sl_meta(whole) = *sl_meta(m);
		w->stats.created++;
	}
	if (!sl_large_reset(whole, total, SL_FRAGMENT_HEADROOM, 0))
		return NULL; // not possible: a large buffer holds the largest packet
	ip = rte_pktmbuf_mtod(whole, struct rte_ipv4_hdr *);
	sl_ip4_fill(
		ip,
		ends,
		head->ip.next_proto_id,
		(uint16_t)total,
		fragment_head_tos(head),
		head->ip.time_to_live,
		0
	);
	sl_assembly_copy(w->fragments, place, (uint8_t *)(ip + 1));
	return whole;
}

// The piece that `m` is has made its packet whole. Returns where `m` goes, and the packet in `whole`
// when that is another buffer.
static rte_edge_t
finish(struct sl_worker *w,
       struct rte_mbuf *m,
       struct sl_assembly_place *place,
       struct rte_mbuf **whole)
{
	const struct fragment_head *head = sl_assembly_head(place);
	rte_edge_t edge = NO_BUFFER;

	if (!fragment_head_ecn_is_sound(head)) {
		edge = ECN;
	} else {
		*whole = make_whole(w, m, place);
		if (*whole != NULL)
			edge = *whole == m ? WHOLE : HELD;
	}
	sl_assembly_release(w->fragments, place);
	return edge;
}

static rte_edge_t
add(struct sl_worker *w,
    struct rte_mbuf *m,
    const struct fragment_key *key,
    uint64_t hash,
    struct rte_mbuf **whole)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	uint16_t bits = rte_be_to_cpu_16(ip->fragment_offset);
	uint32_t source[2] = { key->scope_protocol >> 8, key->source };
	struct sl_assembly_id id = {
		.hash = hash >> 8, // its low octet chose the worker
		.source = (uint32_t)sl_hash(w->owner_key, source, sizeof(source)),
	};
	struct sl_piece piece = { .data = (const uint8_t *)(ip + 1),
				  .nb_bytes = (uint32_t)(rte_pktmbuf_data_len(m) - sizeof(*ip)),
				  .offset_bytes = (bits & 0x1fffu) * 8,
				  .more = (bits & 0x2000u) != 0 };
	enum sl_assembly_verdict verdict;
	struct sl_assembly_place *place;

	memcpy(id.key, key, sizeof(id.key));
	if (is_tiny(ip, &piece))
		return TINY;
	verdict = sl_assembly_add(w->fragments, &id, &piece, w->now_ns, &place);
	if (place != NULL)
		fragment_head_note(sl_assembly_head(place), ip, sl_meta(m));
	switch (verdict) {
	case SL_ASSEMBLY_DONE:
		return finish(w, m, place, whole);
	case SL_ASSEMBLY_HELD:
		return HELD;
	case SL_ASSEMBLY_DUPLICATE:
		return DUPLICATE;
	case SL_ASSEMBLY_OVERLAP:
		return OVERLAP;
	case SL_ASSEMBLY_TOO_BIG:
		return TOO_LONG;
	case SL_ASSEMBLY_FULL:
		return QUOTA;
	case SL_ASSEMBLY_BAD:
	default:
		return BAD;
	}
}

static inline bool
is_of_client(const struct sl_worker *w, struct sl_meta *meta, rte_be32_t source)
{
	if (w->snapshot == NULL || (meta->port != SL_PORT_WIREGUARD && w->snapshot->plain == NULL))
		return false;
	meta->client = sl_client_of(w, meta, source);
	return meta->client != SL_NO_CLIENT;
}

static rte_edge_t
fragment_input_verdict(struct sl_worker *w, struct rte_mbuf *m, struct rte_mbuf **whole)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	struct sl_meta *meta = sl_meta(m);
	struct fragment_key key = {
		.scope_protocol = sl_scope(meta) << 8 | ip->next_proto_id,
		.source = ip->src_addr,
		.destination = ip->dst_addr,
		.id = ip->packet_id,
	};
	uint64_t hash;
	uint32_t owner;

	if (!is_of_client(w, meta, ip->src_addr) && sl_net_port_of(w->net, ip->dst_addr) == NULL)
		return STRANGER;
	hash = sl_hash(w->owner_key, &key, sizeof(key));
	owner = (uint32_t)((hash & 0xff) % w->nb_workers);
	if (owner != w->idx) {
		meta->worker = (uint8_t)owner;
		meta->stage = SL_STAGE_FRAGMENT;
		return HANDOVER;
	}
	return add(w, m, &key, hash, whole);
}

// Where a whole packet goes on: out of WireGuard it is held to that node's rules again, and never to
// be taken for one off the wire.
static rte_edge_t
onward(struct sl_worker *w, struct rte_mbuf *whole)
{
	struct sl_meta *meta = sl_meta(whole);

	meta->outer_ecn = 0; // its fragments have been marked
	return meta->port == SL_PORT_WIREGUARD ? wireguard_inner(w, whole) : (rte_edge_t)WHOLE;
}

static uint16_t
fragment_input_process(
	struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb_objs
)
{
	struct sl_worker *w = sl_node_worker(node);

	for (uint16_t i = 0; i < nb_objs; i++) {
		struct rte_mbuf *whole = NULL;
		rte_edge_t edge = fragment_input_verdict(w, objs[i], &whole);

		if (whole != NULL)
			rte_node_enqueue_x1(graph, node, onward(w, whole), whole);
		if (whole != objs[i])
			rte_node_enqueue_x1(graph, node, edge, objs[i]);
	}
	return nb_objs;
}

SL_NODE(fragment_input, fragment_input_process, edges)
SL_DROP(fragment_input_stranger,
	SL_PEER_FAULT,
	"Fragment that is neither of a client nor to an address of this node.")
SL_DROP(fragment_input_held,
	SL_EXPECTED,
	"Fragment, copied to where its packet is put together; its own buffer is free.")
SL_DROP(fragment_input_bad,
	SL_PEER_FAULT,
	"Fragment without octets, or of a length in the middle that is not a multiple of 8.")
SL_DROP(fragment_input_tiny,
	SL_PEER_FAULT,
	"First fragment shorter than its transport header, or a later one that reaches into it.")
SL_DROP(fragment_input_too_long,
	SL_PEER_FAULT,
	"Fragment that would make its packet longer than 65535 octets.")
SL_DROP(fragment_input_overlap,
	SL_PEER_FAULT,
	"Fragments overlap or contradict each other; all of their packet are dropped (RFC 5722).")
SL_DROP(fragment_input_duplicate, SL_EXPECTED, "The same fragment once more.")
SL_DROP(fragment_input_ecn,
	SL_PEER_FAULT,
	"One fragment is marked as having met congestion, another takes no part in marking.")
SL_DROP(fragment_input_quota,
	SL_PEER_FAULT,
	"Fragment of a packet that needs more memory than its source may have.")
SL_DROP(fragment_input_no_buffer, SL_OUR_FAULT, "No large buffer for a packet that is whole.")
