// flow_life: what happens when a flow begins and ends, wherever that is noticed: limits are charged,
// the flow log hears of it, the tuple rests. Nodes and upkeep call these instead of the table's
// own functions.
#pragma once

#include <sluice/dp/flow_table.h>
#include <sluice/dp/worker.h>
#include <sluice/proto/wire.h>
#include <stdint.h>

// Owning worker: the flow's kind, ids and link are filled in; it stands from now on.
void sl_flow_begun(struct sl_worker *w, uint32_t index);

// Owning worker: the flow is over, for `reason` (enum sl_close_reason or sl_local_reason). Its slot
// is given back; what the caller wants to tell anybody about it has been read before.
void sl_flow_over(struct sl_worker *w, uint32_t index, uint8_t reason);

// The same, but its tuple does not rest.
void sl_flow_forget(struct sl_worker *w, uint32_t index, uint8_t reason);

// Owning worker: a client's packet with this key is refused. `choice` may be NULL when no resource
// was asked; `quota` is enum sl_quota_verdict where `reason` is SL_CLOSE_QUOTA.
struct sl_choice;
struct sl_refusal {
	uint32_t client;
	uint32_t name; // SL_NO_NAME: none
	const struct sl_choice *choice;
	uint8_t reason; // enum sl_close_reason or sl_local_reason
	uint8_t quota;
};
void sl_flow_refused(
	struct sl_worker *w, const struct sl_flow_key *key, const struct sl_refusal *refusal
);

// Owning worker: the flow goes on; the log gets its counts so far.
void sl_flow_interim(struct sl_worker *w, uint32_t index);
