// flow_host: the connector's half of a flow: its key is the packet as the host returns it.
#pragma once

#include "flow_common.h"
#include "flow_retry.h"

enum sl_to_host { SL_TO_HOST_SHORT = 0, SL_TO_HOST_TTL, SL_TO_HOST_SENT };

// The client's side of a conversation goes on; its SYN may move it to another address.
static inline void
sl_flow_host_track(
	struct sl_worker *w, struct sl_flow *f, const struct sl_rec *rec, uint16_t l4_bytes
)
{
	const struct rte_tcp_hdr
		*tcp = (const struct rte_tcp_hdr *)(rec->body - SL_WIRE_TCP_SKIP_BYTES);

	if (unlikely((tcp->tcp_flags & (RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG)) == RTE_TCP_SYN_FLAG))
		sl_flow_retry_syn(w, f, rec);
	sl_tcp_track(f, tcp, l4_bytes, SL_UP);
}

// Turn a record's carried octets into the packet to the host.
static inline enum sl_to_host
sl_flow_to_host(
	struct sl_worker *w, struct rte_mbuf *m, struct sl_flow *f, const struct sl_rec *rec
)
{
	uint8_t protocol = (uint8_t)f->key.scope_protocol;
	uint16_t l4_bytes = (uint16_t)(rec->nb_bytes + sl_carry_skip_bytes(protocol));
	struct sl_flow_out out;

	if (unlikely(!sl_flow_body_is_sound(rec->nb_bytes, protocol)))
		return SL_TO_HOST_SHORT;
	if (protocol == IPPROTO_TCP)
		sl_flow_host_track(w, f, rec, l4_bytes);
	out = (struct sl_flow_out){
		.ends = { .source = sl_ip4_unmap(f->key.destination),
			  .destination = sl_ip4_unmap(f->key.source) },
		.sum_restore = f->sum_restore,
		.source_port_be = f->key.destination_port_be,
		.destination_port_be = protocol == IPPROTO_ICMP ? SL_ICMP_ECHO_REQUEST
								: f->key.source_port_be,
		.protocol = protocol,
	};
	sl_flow_seen(f, w, SL_UP, (uint16_t)(l4_bytes + sizeof(struct rte_ipv4_hdr)));
	return sl_flow_restore(w, m, rec, &out) ? SL_TO_HOST_SENT : SL_TO_HOST_TTL;
}

static inline void
sl_flow_host_sums(struct sl_flow *f)
{
	sl_flow_sums(f, SL_ICMP_ECHO_REPLY, SL_ICMP_ECHO_REQUEST, f->key.destination_port_be);
}
