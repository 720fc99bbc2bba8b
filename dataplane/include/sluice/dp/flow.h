// flow: one transport conversation, as its owning worker keeps it. Both roles use the same record;
// it is 128 octets and final: addresses are 128 bits (IPv4 mapped), so IPv6 changes no structure.
#pragma once

#include <rte_common.h>

#include <assert.h>
#include <emmintrin.h>
#include <sluice/dns/name.h>
#include <sluice/proto/flowproto.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Key, all in wire order. PoP: the client's packet as sent (source = client). Connector and own
// queries: the packet as it returns (source = private host).
struct sl_flow_key {
	uint8_t source[16];
	uint8_t destination[16];
	uint16_t source_port_be; // ICMP: echo id
	uint16_t destination_port_be; // ICMP: 0
	uint32_t scope_protocol; // scope << 8 | IPPROTO; scope: see sl_flow_scope_*()
};
static_assert(sizeof(struct sl_flow_key) == 40, "hashed as five words");

static inline bool
sl_flow_key_is(const struct sl_flow_key *a, const struct sl_flow_key *b)
{
	const __m128i *x = (const __m128i *)(const void *)a, *y = (const __m128i *)(const void *)b;
	__m128i differs = _mm_or_si128(
		_mm_xor_si128(_mm_loadu_si128(x), _mm_loadu_si128(y)),
		_mm_xor_si128(_mm_loadu_si128(x + 1), _mm_loadu_si128(y + 1))
	);

	differs = _mm_or_si128(
		differs, _mm_xor_si128(_mm_loadl_epi64(x + 2), _mm_loadl_epi64(y + 2))
	);
	return _mm_movemask_epi8(_mm_cmpeq_epi8(differs, _mm_setzero_si128())) == 0xffff;
}

enum sl_flow_kind {
	SL_FLOW_FREE = 0,
	SL_FLOW_CLIENT, // PoP: a client's conversation
	SL_FLOW_HOST, // connector: a conversation with a private host
	SL_FLOW_QUERY, // a DNS query of our own
	SL_FLOW_STREAM, // a TCP connection of our own to a DNS server; its token is the socket
};

enum sl_tcp_state {
	SL_TCP_NONE = 0,
	SL_TCP_SYN_SENT, // SYN seen from the client
	SL_TCP_SYN_RECEIVED, // and a SYN from the host
	SL_TCP_ESTABLISHED,
	SL_TCP_FIN_UP, // client closed its direction
	SL_TCP_FIN_DOWN, // host closed its direction
	SL_TCP_DOUBTED, // a RST that an end may have taken or not; the next segment tells
	SL_TCP_CLOSING, // both: freed in seconds
	SL_TCP_RESET,
};

struct sl_flow {
	// Line 0: what the lookup compares and what sealing needs.
	struct sl_flow_key key;
	struct sl_flow_link link; // 24 octets

	// Line 1.
	union {
		uint8_t client_line[16];
		struct {
			uint32_t client; // id
			uint32_t name; // id, SL_NO_NAME for IP resources
			uint32_t resource; // id
			uint32_t generation; // of the policy it was admitted under
		} pop;
		uint8_t flow_key[16]; // connector: what the PoP's OPEN carried
		struct {
			uint32_t token; // own query: whose it is
			uint16_t id_be; // its ID: what has another is no answer
		} query;
	};
	uint32_t last_seen_ds; // deciseconds of the worker's clock
	uint32_t started_ds;
	uint16_t sum_strip; // one's complement, added to the checksum toward the tunnel
	uint16_t sum_restore; // added to the checksum from the tunnel
	uint8_t kind; // enum sl_flow_kind
	uint8_t tcp; // enum sl_tcp_state
	uint16_t next_on_list; // reserved for the event list
	uint32_t seq_up; // next sequence number of the client's direction
	uint32_t seq_down; // next sequence number of the host's direction
	uint64_t bytes_up;
	uint64_t bytes_down;
	uint32_t pkts_up;
	uint32_t pkts_down;
} __rte_cache_aligned;
static_assert(sizeof(struct sl_flow) == 128, "two lines");
static_assert(offsetof(struct sl_flow, client_line) == 64, "hot line first");
