// feed: a source and a sink in place of a worker's ports. The source does what port_rx does after the
// driver's call, the sink what port_tx does before it, so a run is the whole graph without I/O.
#pragma once

#include "kit.h"
#include "world.h"

#include <rte_mbuf.h>

#define BENCH_BATCH_PKTS 4096u // a buffer is not used again sooner
#define BENCH_BURSTS_MAX 8192u
#define BENCH_NODES_MAX  48u

// A list of frames in bursts.
struct bench_frames {
	struct rte_mbuf *m[4 * BENCH_BATCH_PKTS];
	unsigned nb;
	unsigned end[BENCH_BURSTS_MAX]; // burst b is [end[b - 1], end[b])
	unsigned nb_bursts;
};

// Cycles a packet of each node, least over the runs that were profiled.
struct bench_profile {
	struct {
		const char *name;
		double cycles; // per packet of the run, not of the node
		double packets; // of the node, per packet of the run
	} nodes[BENCH_NODES_MAX];
	unsigned nb;
};

void bench_frames_clear(struct bench_frames *f);
void bench_frames_add(struct bench_frames *f, struct rte_mbuf *m);
void bench_frames_end_burst(struct bench_frames *f);
// Free what is left of them.
void bench_frames_free(struct bench_frames *f);

// Feed `in` to an end, a burst a turn, and put what comes out in `out`, in the same bursts. `in` is
// then empty. Returns the cycles it took.
uint64_t bench_run(struct bench_end *end, struct bench_frames *in, struct bench_frames *out);

// The same, a walk at a time, each with `step_ns` of the world's clock before it. Returns the longest walk
// in nanoseconds of this thread's own time: what else the machine did meanwhile is not in it.
uint64_t bench_run_longest(
	struct bench_end *end,
	struct bench_frames *in,
	struct bench_frames *out,
	struct sl_clock *clock,
	uint64_t step_ns
);

// The same with every node timed.
void bench_run_profiled(
	struct bench_end *end,
	struct bench_frames *in,
	struct bench_frames *out,
	unsigned nb_pkts,
	struct bench_profile *profile
);

// Packets dropped so far for a reason other than having become part of another packet; names the
// first reason.
uint64_t bench_drops(const struct bench_end *end, const char **reason);

// A frame of its own out of the end's pool, as the port would have received it.
struct rte_mbuf *
bench_frame(struct bench_end *end, uint16_t port, const void *bytes, unsigned nb_bytes);
