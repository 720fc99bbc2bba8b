// meta: what the graph knows of one packet. One cache line in the mbuf's private area, zeroed when
// the packet enters (port_rx or whoever builds one; client and flow then say "none"); no overlays.
// It carries ids, never pointers. Each field: set by -> read by.
#pragma once

#include <rte_branch_prediction.h>
#include <rte_mbuf.h>

#include <assert.h>
#include <stdint.h>

#define SL_PORT_WIREGUARD UINT16_MAX // meta->port of what came out of a WireGuard session
#define SL_TRAIL_LEN      14u
#define SL_NO_FLOW        UINT32_MAX
#define SL_NO_CLIENT      0u // client ids begin at 1, so that zeroed metadata names nobody

// Where a packet that changes thread goes on (struct sl_meta.stage).
enum sl_stage {
	SL_STAGE_NONE = 0,
	SL_STAGE_IP4, // an IPv4 packet of ours to route -> ip4_output
	SL_STAGE_FRAGMENT, // an IPv4 fragment for its reassembler -> ip4_input
	SL_STAGE_TUNNEL, // an unopened tunnel datagram for its lane's owner -> tunnel_open
	SL_STAGE_WIREGUARD, // an unopened WireGuard datagram for its session's owner -> wireguard_open
	SL_STAGE_CLIENT, // a client's packet for the client's owner -> client_input
	SL_STAGE_RECORD, // a decrypted record for its flow's owner -> record_input
	SL_STAGE_COLLECT, // a private host's packet for the NAT tuple's owner -> flow_collect
	SL_STAGE_SEAL, // a plaintext record for a lane's owner -> tunnel_pack
	SL_STAGE_RESOLVED, // an OPEN come back from the resolver with addresses -> flow_open
	SL_STAGE_TO_CLIENT, // a finished IPv4 packet for a client -> client_output
	SL_STAGE_QUERY, // a DNS query of our own to send from an allocated port -> query_out
	SL_STAGE_ARP, // an ARP packet another worker received -> arp_input
	SL_STAGE_SEARCH, // an OPEN passed round the workers -> flow_open
	SL_STAGE_TO_SESSION, // a packet, or an empty one, for a WireGuard session's owner -> wireguard_seal
	SL_STAGE_ICMP, // an ICMP error for the owner of the flow or lane it is about -> icmp_error
	SL_STAGE_PROBE, // a datagram's plaintext for the lane it was made for -> tunnel_seal
	SL_STAGE_STREAM, // a TCP segment of our own toward a DNS server -> stream_out
	SL_STAGE_COUNT
};

// What a packet on its way to the session thread is (struct sl_meta.punt).
enum sl_punt {
	SL_PUNT_NONE = 0,
	SL_PUNT_HANDSHAKE, // whole IPv4/UDP packet, mbuf at L3; tunnel or WireGuard by its UDP port
	SL_PUNT_DNS_NAME, // client's query for a wildcard name without a lease yet, mbuf at L3
	SL_PUNT_DNS_FORWARD, // client's query for another name, mbuf at L3
	SL_PUNT_DNS_RESOLVE, // client's query of another type, mbuf at L3
	SL_PUNT_OPEN, // an OPEN whose name this worker has no address for; mbuf at the record
	SL_PUNT_ANSWER, // the answer to a query of our own, mbuf at L3
	SL_PUNT_REFUSED, // a query of our own did not reach its server, says ICMP
	SL_PUNT_RECORD, // RESOLVE, HEARTBEAT or LANE for the session thread; mbuf at the record
	SL_PUNT_UNKNOWN_INDEX, // WireGuard data under an index that nobody has, mbuf at L3
	SL_PUNT_NO_KEY, // a packet for a WireGuard client without a key in force, mbuf at L3
};

struct sl_meta {
	uint16_t port; // port_rx -> all: index of struct sl_port the packet came in by
	uint16_t vlan; // eth_input -> client_input: VLAN id, 0 untagged
	uint16_t out_port; // ip4_output -> port_tx
	uint8_t stage; // sender -> mailbox_rx: enum sl_stage
	uint8_t punt; // node -> session thread: enum sl_punt
	uint16_t stages_done; // handover -> handover: bit per enum sl_stage handed over already
	uint8_t worker; // node -> handover: destination worker; udp_input -> session thread: it came by
	uint8_t l4_offset; // ip4_input -> all: octets from L3 to L4
	uint8_t protocol; // ip4_input -> all: IPPROTO_*
	uint8_t tos; // record_input, ip4_input -> output: inner TOS
	uint8_t ttl; // record_input, ip4_input -> output: inner TTL
	uint8_t reason; // node -> reject: enum sl_close_reason, or why an RST/ICMP is made
	uint32_t flow; // lookups -> later nodes: own index of the flow, SL_NO_FLOW if none
	uint32_t session; // tunnel_open -> records; flow nodes -> tunnel_pack: session id
	uint32_t client; // client_input -> dns, flow, wireguard_seal: client id
	rte_be32_t next_hop; // ip4_output -> eth_output
	uint16_t lane; // tunnel_open -> flow_open; flow nodes -> tunnel_pack
	uint8_t record_type; // record_input <-> flow nodes, tunnel_pack: enum sl_record_type
	uint8_t trail_len; // graph walk -> trace; bit 7: the packet is to be reported
	// session thread <-> workers: what an answer belongs to; tunnel_open -> tunnel_open: the worker a
	// datagram arrived at
	uint32_t token;
	// resolver -> flow_open: the private address, 0 if none; reject, flow_end -> client_output: the
	// destination that the client used itself
	rte_be32_t resolved;
	uint8_t outer_ecn; // udp_input -> record_input: for RFC 6040
	uint8_t record_flags; // within a flow node, strip -> OPEN, REOPEN: enum sl_record_flag
	uint8_t trail[SL_TRAIL_LEN]; // graph walk -> trace: node numbers, while a trace is armed
	// stream thread -> client_output: the question that came by TCP, 0 for none; flow_collect -> stream
	// thread: the socket that a server's segment is for
	uint32_t stream;
} __rte_cache_aligned;
static_assert(sizeof(struct sl_meta) == RTE_CACHE_LINE_SIZE, "one line a packet");

static inline struct sl_meta *
sl_meta(struct rte_mbuf *m)
{
	return (struct sl_meta *)rte_mbuf_to_priv(m);
}
