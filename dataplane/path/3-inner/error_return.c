// error_return: an ICMP error out of the tunnel, to the client or host whose packet it is about.
//   record_input -> error_return -> client_output (PoP) | ip4_output (connector)
// On entry the mbuf is one ERROR record for a flow of this worker; on exit the ICMP error. Its source
// is the address the packet was sent to, whichever router or host complained; what it quotes is that
// packet as its sender sent it, checksum included.
#include "error_common.h"

enum edge { MALFORMED, STALE, LIMITED, CLIENT, HOST, EDGE_COUNT };

static const char *const edges[EDGE_COUNT] = {
	[MALFORMED] = "error_return_malformed",
	[STALE] = "error_return_stale",
	[LIMITED] = "error_return_limited",
	[CLIENT] = "client",
	[HOST] = "host",
};

#define QUOTED_TTL 1u // nobody knows; it was about to end

// Write the packet that flow's own side sent: IPv4 header and as much transport as there is.
static uint16_t
put_quote(struct rte_ipv4_hdr *quote, const struct sl_flow *f, const struct sl_error *error)
{
	struct sl_ip4_ends ends = { .source = sl_ip4_unmap(f->key.source),
				    .destination = sl_ip4_unmap(f->key.destination) };
	uint8_t protocol = (uint8_t)f->key.scope_protocol;
	unsigned skip = sl_carry_skip_bytes(protocol);
	uint16_t first = f->key.source_port_be, second = f->key.destination_port_be;
	uint8_t l4[SL_WIRE_UDP_SKIP_BYTES + SL_ERROR_QUOTED_MAX_BYTES] = { 0 };

	if (protocol == IPPROTO_ICMP) {
		bool is_client = f->kind == SL_FLOW_CLIENT;

		first = is_client ? f->key.source_port_be : f->key.destination_port_be;
		second = is_client ? SL_ICMP_ECHO_REQUEST : SL_ICMP_ECHO_REPLY;
	}
	memcpy(l4 + skip, error->quoted, error->quoted_bytes);
	sl_carry_restore(l4, error->l4_bytes, protocol, (uint16_t)~f->sum_strip, first, second);
	memcpy(quote + 1, l4, skip + error->quoted_bytes);
	sl_ip4_fill(
		quote,
		ends,
		protocol,
		(uint16_t)(sizeof(*quote) + error->l4_bytes),
		0,
		QUOTED_TTL,
		protocol == IPPROTO_TCP ? SL_IP4_DF : 0
	);
	return (uint16_t)(sizeof(*quote) + skip + error->quoted_bytes);
}

// The octets every error quotes have to be there, and the whole packet has to have a length.
static bool
is_whole(const struct sl_flow *f, const struct sl_error *error)
{
	unsigned skip = sl_carry_skip_bytes((uint8_t)f->key.scope_protocol);

	return skip != 0 && error->quoted_bytes >= SL_QUOTE_MIN_BYTES - skip &&
		error->l4_bytes >= skip + error->quoted_bytes &&
		error->l4_bytes <= UINT16_MAX - sizeof(struct rte_ipv4_hdr);
}

static uint16_t
mtu_of(const struct sl_worker *w, const struct sl_flow *f, uint16_t mtu)
{
	uint16_t own = sl_flow_mtu(w, f, (uint8_t)f->key.scope_protocol);

	return mtu < own ? mtu : own;
}

static enum edge
tell(struct sl_worker *w, struct rte_mbuf *m, struct sl_flow *f, struct sl_error *error)
{
	struct sl_ip4_ends back = { .source = sl_ip4_unmap(f->key.destination),
				    .destination = sl_ip4_unmap(f->key.source) };
	uint8_t quoted[SL_ERROR_QUOTED_MAX_BYTES];
	struct sl_meta *meta = sl_meta(m);
	struct rte_ipv4_hdr *ip;
	uint16_t nb_bytes;

	// The record stands where the packet is to be.
	memcpy(quoted, error->quoted, error->quoted_bytes);
	error->quoted = quoted;
	m->data_off = RTE_PKTMBUF_HEADROOM;
	ip = rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *);
	nb_bytes = put_quote((struct rte_ipv4_hdr *)(void *)((uint8_t *)(ip + 1) + 8), f, error);
	sl_icmp_error_fill(
		ip,
		back,
		(uint16_t)(error->icmp_type << 8 | error->icmp_code),
		mtu_of(w, f, error->mtu),
		nb_bytes
	);
	m->data_len = (uint16_t)(sizeof(*ip) + 8 + nb_bytes);
	m->pkt_len = m->data_len;
	meta->l4_offset = sizeof(*ip);
	meta->protocol = IPPROTO_ICMP;
	if (f->kind != SL_FLOW_CLIENT)
		return HOST;
	meta->client = f->pop.client;
	meta->resolved = back.source;
	return CLIENT;
}

static inline enum edge
error_return_verdict(struct sl_worker *w, struct rte_mbuf *m)
{
	const struct sl_meta *meta = sl_meta(m);
	struct sl_error error;
	struct sl_rec rec;
	struct sl_flow *f = sl_flow_of_record(w, m, &rec);

	if (f == NULL || sl_error_parse(&rec, &error) != SL_BODY_OK)
		return MALFORMED;
	if (sl_link_data(&f->link, rec.generation, sl_flow_peer(w, meta->session, meta->lane)) !=
	    SL_LINK_DELIVER)
		return STALE;
	// Revoked meanwhile, or not looked at again yet: the next answer is.
	if (f->kind == SL_FLOW_CLIENT && f->pop.generation != w->snapshot->generation)
		return STALE;
	if (!is_whole(f, &error))
		return MALFORMED;
	if (!sl_quota_error(w, f->kind == SL_FLOW_CLIENT ? f->pop.client : SL_NO_CLIENT))
		return LIMITED;
	return tell(w, m, f, &error);
}

static uint16_t
error_return_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	return SL_FOREACH_VERDICT(graph, node, objs, nb, CLIENT, error_return_verdict);
}

SL_NODE(error_return, error_return_process, edges)
SL_DROP(error_return_malformed, SL_PEER_FAULT, "ERROR whose fields are wrong.")
SL_DROP(error_return_stale, SL_EXPECTED, "ERROR for a flow that is over.")
SL_DROP(error_return_limited, SL_EXPECTED, "ERROR beyond the limit of errors a second.")
