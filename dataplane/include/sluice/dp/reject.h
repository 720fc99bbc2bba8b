// reject: the RST or ICMP error that tells a sender why its packet goes no further.
#pragma once

#include <rte_mbuf.h>

#include <sluice/dp/ip4.h>
#include <sluice/proto/wire.h>
#include <stdbool.h>
#include <stdint.h>

// Why the packet path itself refuses; continues enum sl_close_reason, never on the wire.
enum sl_local_reason {
	SL_LOCAL_UNKNOWN_ADDRESS = 64, // no such assigned address, or hidden from this client
	SL_LOCAL_PROTOCOL, // neither TCP, UDP nor ICMP echo
	SL_LOCAL_NO_CONNECTOR,
	SL_LOCAL_TTL,
	SL_LOCAL_TOO_BIG, // needs a smaller MTU; token holds it
	SL_LOCAL_NO_ROUTE, // none leads to the packet's destination
	SL_LOCAL_NO_NEIGHBOUR, // its next hop does not answer
	SL_LOCAL_REASSEMBLY, // fragments of it did not come in time
};

// ICMP type and code (type << 8 | code) that stands for `reason` toward a sender.
uint16_t sl_reject_icmp(uint8_t reason);

// Turn the IPv4 packet in `m` (at L3, `l4_offset` valid) into the answer to its sender: RST for TCP
// where `reason` says so, else an ICMP error; addresses swapped, so its source is the destination
// the sender used. `mtu` is for SL_LOCAL_TOO_BIG. False when nothing may be sent (RFC 1122 3.2.2:
// answer to an ICMP error, to a fragment that is not the first, to a RST).
bool sl_reject_packet(struct rte_mbuf *m, uint16_t l4_offset, uint8_t reason, uint16_t mtu);

// Write IPv4 and ICMP header of an error in front of `quoted_bytes` octets that stand behind them.
// `mtu` is for type 3 code 4.
void sl_icmp_error_fill(
	struct rte_ipv4_hdr *ip,
	struct sl_ip4_ends ends,
	uint16_t type_code,
	uint16_t mtu,
	uint16_t quoted_bytes
);

struct sl_flow;

// Write into the empty mbuf `m` what tells the client of a flow that it is over: RST in window for
// TCP (RFC 5961), an ICMP error that quotes the flow's own header for the rest.
void sl_reject_flow(struct rte_mbuf *m, const struct sl_flow *flow, uint8_t reason);

// Write into the empty mbuf `m` the RST that tells a private host that its flow is over.
void sl_reset_host(struct rte_mbuf *m, const struct sl_flow *flow);
