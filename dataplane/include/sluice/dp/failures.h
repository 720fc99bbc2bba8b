// failures: what a worker lately refused or ended otherwise than in peace, and why, for who asks at the
// console: "show flows" names the cause of a failure although its flow is gone, or never was.
//
// A record for each kind (client, address, protocol, port, reason). Those of a client stand in a group
// of their own, chosen by its id, so that one that scans ports overwrites its own history. Plain memory
// with a version each: the worker writes and never waits, a reader that met a write takes what it has
// for nothing.
#pragma once

#include <rte_common.h>

#include <sluice/dp/flow.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SL_FAILURE_GROUPS 256u
#define SL_FAILURE_KINDS  16u // of a group

struct sl_worker;

// Ids mean what they mean in the snapshot in force.
struct sl_failure {
	struct sl_flow_key key; // of the last packet or flow; PoP: as the client sent it
	uint32_t client; // PoP; SL_NO_CLIENT on a connector
	uint32_t name; // SL_NO_NAME: none
	uint32_t resource; // UINT32_MAX: none
	uint32_t session; // SL_NO_SESSION: none
	uint32_t nb; // packets refused, or flows ended, of this kind
	uint32_t at_ds; // the last of them
	uint8_t kind; // enum sl_flow_kind
	uint8_t reason; // enum sl_close_reason or sl_local_reason; 0: free
	uint8_t quota; // for SL_CLOSE_QUOTA: enum sl_quota_verdict
	bool is_refusal; // of a packet; else a flow that had begun
};

struct sl_failure_place {
	atomic_uint version; // worker: rw, others: ro; odd while it is written
	struct sl_failure failure; // worker: rw, others: ro
};

struct sl_failure_group {
	uint32_t tags[SL_FAILURE_KINDS]; // worker: rw; of each place's kind, 0: free
	struct sl_failure_place places[SL_FAILURE_KINDS];
	unsigned next; // worker: rw; whose place a new kind takes
} __rte_cache_aligned;

struct sl_failures {
	struct sl_failure_group groups[SL_FAILURE_GROUPS];
};

// NULL without memory.
[[nodiscard]] struct sl_failures *sl_failures_create(void);
void sl_failures_destroy(struct sl_failures *f);

// Owning worker: note one; `nb` and `at_ds` are filled in here. A worker without the table notes nothing.
void sl_failure_note(struct sl_worker *w, const struct sl_failure *failure);

// Any thread: copy place `at` of SL_FAILURE_GROUPS * SL_FAILURE_KINDS. False when it is free, or was just
// being written.
[[nodiscard]] bool
sl_failure_read(const struct sl_failures *f, unsigned at, struct sl_failure *failure);
