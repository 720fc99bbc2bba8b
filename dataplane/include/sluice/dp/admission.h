// admission: does the policy in force still let a standing flow go on?
#pragma once

#include <sluice/dp/flow.h>
#include <sluice/dp/snapshot.h>
#include <sluice/dp/worker.h>
#include <stdbool.h>

// The uncommon half of sl_flow_is_admitted().
bool sl_flow_admit_again(struct sl_worker *w, struct sl_flow *f);

// Owning worker, for a client's flow. Marks the flow, so that its next packet is spared the question.
static inline bool
sl_flow_is_admitted(struct sl_worker *w, struct sl_flow *f)
{
	return __builtin_expect(f->pop.generation == w->snapshot->generation, 1) ||
		sl_flow_admit_again(w, f);
}
