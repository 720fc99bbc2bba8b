// trace: the journey of a client's next packets, node by node. While armed, the walk writes node
// numbers into every packet's meta; client_input and flow_return flag those of the client
// (sl_trace_flag); flagged packets are reported when they reach a drop or an output.
#pragma once

#include <sluice/dp/node.h>
#include <sluice/dp/worker.h>

#define SL_TRACE_FLAG    0x80u // in sl_meta.trail_len
#define SL_TRACE_ENTRIES 64u // reports a worker can hold until they are read

struct sl_trace_entry {
	uint64_t now_ns; // worker's clock at the end of the journey
	uint32_t client;
	uint16_t outcome; // number of the drop reason, or of the node it ended in
	bool is_drop;
	uint8_t reason; // why the packet is a refusal: enum sl_close_reason or sl_local_reason; 0: it is none
	uint8_t worker;
	uint8_t trail_len;
	uint8_t trail[SL_TRAIL_LEN]; // numbers of nodes, see sl_node_by_number()
};

struct sl_trace {
	// control: rw, worker: ro.
	atomic_uint armed_client; // SL_NO_TRACE: off
	atomic_uint armed_pkts; // reports wanted; set with armed_client
	atomic_uint round; // counts arms: a worker that slept through one still begins anew
	// worker: rw, control: ro.
	atomic_uint written __rte_cache_aligned;
	unsigned reported; // in round `reported_round`
	unsigned reported_round;
	// control: rw, worker: ro.
	atomic_uint read __rte_cache_aligned;
	struct sl_trace_entry entries[SL_TRACE_ENTRIES];
};

#define SL_NO_TRACE UINT32_MAX

// Worker, in the graph walk: note a node in the trail of its packets; report those that end there.
void sl_trace_node(struct rte_node *node);

// Worker: report a flagged packet whose journey ends inside `node` other than at a drop or output
// (its octets joined another packet). Does nothing for a packet without the flag.
void sl_trace_end(const struct rte_node *node, const struct rte_mbuf *m);

// Worker, in client_input and flow_return: flag the packet if its client is the one traced.
static inline void
sl_trace_flag(const struct sl_worker *w, struct sl_meta *meta)
{
	if (unlikely(w->is_traced) &&
	    atomic_load_explicit(&w->trace->armed_client, memory_order_relaxed) == meta->client)
		meta->trail_len |= SL_TRACE_FLAG;
}

// Position of a node or drop in the registration lists; NULL past the end.
const struct sl_node *sl_node_by_number(unsigned number);
const struct sl_drop *sl_drop_by_number(unsigned number);
