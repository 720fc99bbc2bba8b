// tunnel: sizes of tunnel datagrams.
#pragma once

#include <rte_ip.h>
#include <rte_udp.h>

#include <sluice/dp/session.h>
#include <sluice/proto/wire.h>

#define SL_TUNNEL_OVERHEAD_BYTES                                                                   \
	(sizeof(struct rte_ipv4_hdr) + sizeof(struct rte_udp_hdr) + sizeof(struct sl_wire_data) +  \
	 SL_WIRE_TAG_BYTES)
#define SL_UNDERLAY_MTU_MIN 1280u
// The longest body of a record: that of the longest echo. Its receiver builds the packet in place.
#define SL_TUNNEL_BODY_MAX_BYTES                                                                   \
	(UINT16_MAX - (unsigned)sizeof(struct rte_ipv4_hdr) - SL_WIRE_ICMP_SKIP_BYTES)

// Octets of records that one datagram of the lane can hold.
static inline uint16_t
sl_tunnel_room(const struct sl_lane_endpoint *e)
{
	uint16_t mtu = e->mtu_bytes < SL_UNDERLAY_MTU_MIN ? SL_UNDERLAY_MTU_MIN : e->mtu_bytes;

	return (uint16_t)(mtu - SL_TUNNEL_OVERHEAD_BYTES);
}
