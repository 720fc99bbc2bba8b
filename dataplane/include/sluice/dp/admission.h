// admission: does the policy in force still let a standing flow go on?
#pragma once

#include <sluice/dns/addresses.h>
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

// The policy's word on a packet of `client` with this key: the resource and network that take it, and
// the name its destination stands for (SL_NO_NAME: an address).
enum sl_choice_verdict sl_flow_choose(
	const struct sl_worker *w,
	const struct sl_client *client,
	const struct sl_flow_key *key,
	struct sl_choice *choice,
	uint32_t *name
);
