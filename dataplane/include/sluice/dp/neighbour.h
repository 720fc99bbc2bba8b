// neighbour: which MAC address a next hop has. Each worker has a table of its own; ARP answers are
// copied to all workers. Packets to a next hop that is being asked for wait in its entry.
#pragma once

#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_mbuf.h>

#include <stdbool.h>
#include <stdint.h>

// Packets an entry holds while it asks: all fragments of the longest packet, at an MTU of 1500.
#define SL_NEIGHBOUR_HELD 48u

struct sl_neighbours;

// `nb_entries` is a power of two of at least 8. All entries together hold four packets each on average,
// and no more than `nb_held_max`: the worker's share of its buffers. NULL without memory. Control thread.
struct sl_neighbours *sl_neighbours_create(unsigned nb_entries, unsigned nb_held_max);

// Frees held packets too. Control thread, when the worker is gone.
void sl_neighbours_destroy(struct sl_neighbours *t);

// All below: the owning worker.

// MAC address of a known next hop on a port, or NULL. Valid until the next call.
const struct rte_ether_addr *
sl_neighbours_find(struct sl_neighbours *t, uint16_t port, rte_be32_t address);

enum sl_neighbour_verdict {
	SL_NEIGHBOUR_HELD_ASK, // the packet waits; ask now
	SL_NEIGHBOUR_HELD_WAIT, // the packet waits; it was asked for before
	SL_NEIGHBOUR_QUEUE_FULL, // as many wait as may; the packet stays the caller's
	SL_NEIGHBOUR_TABLE_FULL, // no entry to be had; the packet stays the caller's
};

// Keep `m` until the next hop is known.
enum sl_neighbour_verdict sl_neighbours_hold(
	struct sl_neighbours *t,
	uint16_t port,
	rte_be32_t address,
	uint64_t now_ns,
	struct rte_mbuf *m
);

enum sl_neighbour_news {
	SL_NEIGHBOUR_UPDATE_ONLY, // gratuitous: believed of entries we have or ask for, never a new one
	SL_NEIGHBOUR_MAY_ADD, // it asked for us, so we shall answer it
};

// Learn an address. Packets that waited for it are put in `released`; returns how many.
unsigned sl_neighbours_learn(
	struct sl_neighbours *t,
	uint16_t port,
	rte_be32_t address,
	const struct rte_ether_addr *mac,
	uint64_t now_ns,
	enum sl_neighbour_news news,
	struct rte_mbuf *released[SL_NEIGHBOUR_HELD]
);

// What the sweep found of one entry.
struct sl_neighbour_event {
	uint16_t port;
	rte_be32_t address;
	uint8_t must_ask; // send an ARP query
	uint8_t nb_given_up; // packets that waited in vain; the caller's now
	struct rte_mbuf *given_up[SL_NEIGHBOUR_HELD];
};

// Look at entries from *at on until one needs something (returns true, `event` filled) or the end
// (returns false, *at is 0 again).
bool sl_neighbours_sweep(
	struct sl_neighbours *t, uint64_t now_ns, uint32_t *at, struct sl_neighbour_event *event
);

// When the sweep is next due; the caller sets it.
uint64_t *sl_neighbours_due_ns(struct sl_neighbours *t);
