// nat: the addresses and ports a node speaks to private hosts (and DNS servers) from.
//
// A tuple (protocol, host, host port, own address, own port) is taken when a flow of this worker has
// it as its key, and for no other reason, so ports are used again across destinations. Each worker
// takes only ports whose answers hash to it.
#pragma once

#include <rte_thash.h>

#include <sluice/dp/flow_table.h>
#include <sluice/dp/worker.h>
#include <stdbool.h>
#include <stdint.h>

struct sl_nat {
	rte_be32_t addresses[16]; // none: the address of the port a flow leaves by
	unsigned nb_addresses;
	uint16_t port_low, port_high; // host order, both included
	uint32_t next; // rotates, so that a port rests as long as it can
	uint64_t nb_exhausted;
};

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
// `key`, whose other fields are set. False when every port tried is taken or hashes elsewhere.
bool sl_nat_pick(struct sl_worker *w, struct sl_flow_key *key);
