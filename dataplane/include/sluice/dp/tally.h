// tally: what a worker counts for figures alone: how long the stages of a first packet took, and what
// became of flows by resource and by name. Its worker adds, plainly; others read what stands there.
// Nothing of it is touched by a packet of a standing flow.
//
// Stages are timed by the clock of the walk. When a flow begins, the time is noted in a small table by
// the flow's index; a later flow may take the place, and then the earlier one is not timed, so under
// a storm of new flows the histograms hold a part of them.
#pragma once

#include <rte_common.h>
#include <rte_cycles.h>

#include <sluice/dp/flow_table.h>
#include <sluice/dp/worker.h>
#include <sluice/proto/histogram.h>
#include <stdint.h>

enum sl_tally_stage {
	SL_TALLY_DNS, // PoP: a query answered by the worker
	SL_TALLY_POLICY, // PoP: the decision about a new flow
	SL_TALLY_TUNNEL, // PoP: OPEN until ACCEPT: there and back, with the connector's resolving
	SL_TALLY_ANSWER, // PoP: the client's first packet until the first answer to it
	SL_TALLY_CONNECT, // connector: first packet to the host until its first answer
	SL_TALLY_STAGES,
};

// Of one resource.
struct sl_tally_row {
	uint64_t nb_begun; // flows
	uint64_t nb_over;
	uint64_t nb_refused; // packets that asked for a flow in vain
	uint64_t bytes_up, bytes_down; // of flows that are over
};

// Names that flows go to. Several share a set of places; a new one takes the place of one that is
// asked for less. What was counted for that one is forgotten.
struct sl_tally_name {
	uint32_t name; // id
	uint16_t tenant;
	uint16_t worth; // 0: free; grows with each flow, shrinks with each name that finds no place
	uint64_t nb_begun;
};

#define SL_TALLY_BEGUN     1024u
#define SL_TALLY_RESOURCES 4096u // ids from here on are counted together, in the last row
#define SL_TALLY_NAMES     1024u
#define SL_TALLY_NAME_WAYS 4u

struct sl_tally {
	struct sl_histogram stages[SL_TALLY_STAGES];
	struct {
		uint64_t at_ns;
		uint32_t flow; // 1 + index; 0: none
	} begun[SL_TALLY_BEGUN];
	struct sl_tally_row resources[SL_TALLY_RESOURCES + 1];
	struct sl_tally_name names[SL_TALLY_NAMES];
	double ns_per_cycle;
};

[[nodiscard]] struct sl_tally *sl_tally_create(void);
void sl_tally_destroy(struct sl_tally *t);

// Owning worker; all do nothing for a worker without a tally. A flow begins, is over, or is refused
// for a resource (UINT32_MAX: none was asked).
void sl_tally_begins(struct sl_worker *w, uint32_t index);
void sl_tally_over(struct sl_worker *w, const struct sl_flow *f);
void sl_tally_refused(struct sl_worker *w, uint32_t resource);

// Owning worker: the flow has come to the end of `stage`, for the first time.
void sl_tally_reached(struct sl_worker *w, uint32_t index, enum sl_tally_stage stage);

// Owning worker: `nb` things took `cycles` each.
static inline void
sl_tally_cycles(struct sl_worker *w, enum sl_tally_stage stage, uint64_t cycles, unsigned nb)
{
	if (w->tally != NULL)
		sl_histogram_add(
			&w->tally->stages[stage],
			(uint64_t)((double)cycles * w->tally->ns_per_cycle),
			nb
		);
}

// Sums over the workers. Any thread.
struct sl_dp;
void sl_tally_stage_sum(struct sl_dp *dp, enum sl_tally_stage stage, struct sl_histogram *sum);
void sl_tally_resource_sum(struct sl_dp *dp, uint32_t resource, struct sl_tally_row *sum);
// The `nb` names (room for as many) with most flows, most first; how many there are.
unsigned sl_tally_names_top(struct sl_dp *dp, struct sl_tally_name *names, unsigned nb);
