// waiting: packets too long to travel inside their flow's OPEN. The flow is opened without its packet, and
// a copy waits here until the flow is accepted: then it begins its way again, as the flow's next packet.
//
// A few at a time, of one worker, for as long as a client waits for a refusal at most; what finds no place is
// lost, as any datagram may be.
#pragma once

#include <rte_mbuf.h>

#include <stdint.h>

#define SL_WAITING_PKTS   8u
#define SL_WAITING_DS     30u
#define SL_WAITING_L4_MIN 64000u // shorter ones always have room beside an OPEN

struct sl_worker;

struct sl_waiting {
	struct rte_mbuf *m; // NULL: free; a copy that the graph has not seen yet
	uint32_t flow; // index
	uint32_t until_ds;
	uint8_t generation; // of the flow's slot
};

// Owning worker: a copy of the client's packet in `m`, at L3; NULL when there is no buffer.
struct rte_mbuf *sl_waiting_copy(struct sl_worker *w, const struct rte_mbuf *m);

// Owning worker: keep the copy until flow `index` is accepted, or free it when there is no place.
void sl_waiting_keep(struct sl_worker *w, struct rte_mbuf *copy, uint32_t index);

// Owning worker, each tick: those whose flow is accepted go on, those whose time or flow is over end.
void sl_waiting_tick(struct sl_worker *w);

// When the worker has stopped.
void sl_waiting_free(struct sl_worker *w);
