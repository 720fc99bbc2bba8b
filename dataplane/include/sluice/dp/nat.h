// nat: the addresses and ports a node speaks to private hosts (and DNS servers) from.
//
// A tuple (protocol, host, host port, own address, own port) is taken when a flow of this worker has
// it as its key, so ports are used again across destinations. Each worker takes only ports whose
// answers hash to it. A TCP tuple rests for 2 MSL after its flow (RFC 9293 section 3.4.1): what is
// still under way of the old connection must not meet a new one.
//
// When no tuple toward a host is free among those tried, the one that has rested longest is taken.
// When none rests, the flow that has been idle longest makes room, if it is no established
// connection and has been idle for SL_NAT_EVICT_IDLE_S; its client is told. Otherwise the new flow is
// refused. All three are counted.
#pragma once

#include <rte_thash.h>

#include <sluice/dp/flow_table.h>
#include <sluice/dp/index.h>
#include <sluice/dp/worker.h>
#include <stdbool.h>
#include <stdint.h>

#define SL_NAT_ADDRESSES    64u
#define SL_NAT_EVICT_IDLE_S 10u

// A tuple at rest, known by its hash under the flow table's key.
struct sl_nat_rest {
	uint64_t hash;
	uint32_t until_ds;
	uint32_t is_over; // taken before its time: not in the index any more
};

struct sl_nat {
	rte_be32_t addresses[SL_NAT_ADDRESSES]; // none: the address of the port a flow leaves by
	unsigned nb_addresses;
	uint16_t port_low, port_high; // host order, both included
	uint32_t next; // rotates, so that a port rests as long as it can
	uint32_t rest_ds; // 2 MSL (control: rw, a word)
	// Tuples at rest, oldest first: ring[tail] to ring[head - 1], by number modulo nb_rest.
	struct sl_nat_rest *rests;
	struct sl_index rest_index;
	uint32_t nb_rests; // places, a power of two; 0: nothing rests here
	uint32_t head, tail;
	// worker: rw, others: ro
	uint64_t nb_exhausted; // flows refused for want of a tuple
	uint64_t nb_cut_short; // rests, by a flow that found nothing else or by a full ring
	uint64_t nb_evicted; // flows that made room
};

// At most `nb_rests` tuples, or a power of two below, may rest at a time. NULL without memory.
[[nodiscard]] struct sl_nat *sl_nat_create(uint32_t nb_rests, int socket_id);
void sl_nat_destroy(struct sl_nat *nat);

// What NICs are given too, so that hardware and software agree (the key of Microsoft's RSS
// specification).
extern const uint8_t sl_rss_key[40];
#define SL_RSS_RETA 128u

// The worker that owns answers to this tuple (`key` as packets return; ICMP: ports 0 and id).
static inline uint8_t
sl_nat_owner(const struct sl_worker *w, const struct sl_flow_key *key)
{
	uint32_t tuple[3];

	if (w->nb_workers == 1)
		return 0;
	memcpy(&tuple[0], key->source + 12, 4);
	memcpy(&tuple[1], key->destination + 12, 4);
	tuple[0] = rte_be_to_cpu_32(tuple[0]);
	tuple[1] = rte_be_to_cpu_32(tuple[1]);
	tuple[2] = (uint32_t)rte_be_to_cpu_16(key->source_port_be) << 16 |
		rte_be_to_cpu_16(key->destination_port_be);
	return (uint8_t)(rte_softrss(tuple, 3, sl_rss_key) % SL_RSS_RETA % w->nb_workers);
}

// Find own address and port for a flow to a host: fills destination and destination_port_be of
// `key`, whose other fields are set. May end another flow, as said above. False without a route, or
// when every tuple tried is taken or hashes elsewhere.
bool sl_nat_pick(struct sl_worker *w, struct sl_flow_key *key);

// A TCP flow with this key is over: its tuple rests.
void sl_nat_rest(struct sl_worker *w, const struct sl_flow_key *key);

// Tuples at rest at present.
uint32_t sl_nat_nb_resting(const struct sl_nat *nat);

// The same for a DNS query of our own, from the port that `start` stands for on: it must leave by one that nobody
// can guess from those before (RFC 5452 section 4.5). Ends no other flow.
bool sl_nat_pick_from(struct sl_worker *w, struct sl_flow_key *key, uint32_t start);
