// fragment_head: what is kept of an IPv4 packet while its fragments come in.
#pragma once

#include <rte_ip.h>

#include <sluice/dp/meta.h>
#include <sluice/proto/assembly.h>

// Room a packet needs in its buffer beside itself: for the OPEN that may go in front, and what sealing
// adds.
#define SL_FRAGMENT_HEADROOM   512u
#define SL_FRAGMENT_ROOM_BYTES (SL_FRAGMENT_HEADROOM + 64u)

// What all fragments of one packet share (RFC 791), and where it came from: two clients' never mix.
struct fragment_key {
	uint32_t scope_protocol;
	rte_be32_t source;
	rte_be32_t destination;
	uint32_t id;
};
static_assert(sizeof(struct fragment_key) == 16, "no padding: hashed and compared as octets");

#define FRAGMENT_NOT_ECT 1u // a fragment took no part in marking
#define FRAGMENT_CE      2u // one met congestion

struct fragment_head {
	struct rte_ipv4_hdr ip; // of the first that came, or of the one at offset 0
	uint32_t client;
	uint32_t session;
	uint16_t port;
	uint16_t vlan;
	uint8_t ecn; // FRAGMENT_*
	uint8_t is_there;
};
static_assert(sizeof(struct fragment_head) <= SL_ASSEMBLY_HEAD_BYTES, "fits");

static inline void
fragment_head_note(
	struct fragment_head *head, const struct rte_ipv4_hdr *ip, const struct sl_meta *meta
)
{
	uint8_t ecn = ip->type_of_service & 3;

	head->ecn |= (uint8_t)(ecn == 0 ? FRAGMENT_NOT_ECT : ecn == 3 ? FRAGMENT_CE : 0);
	if (head->is_there && (ip->fragment_offset & RTE_BE16(0x1fff)) != 0)
		return;
	head->ip = *ip;
	head->client = meta->client;
	head->session = meta->session;
	head->port = meta->port;
	head->vlan = meta->vlan;
	head->is_there = 1;
}

// RFC 3168 section 5.3: a mark on one fragment marks the packet, if it takes part.
static inline bool
fragment_head_ecn_is_sound(const struct fragment_head *head)
{
	return head->ecn != (FRAGMENT_NOT_ECT | FRAGMENT_CE);
}

static inline uint8_t
fragment_head_tos(const struct fragment_head *head)
{
	return (uint8_t)(head->ip.type_of_service | ((head->ecn & FRAGMENT_CE) != 0 ? 3 : 0));
}
