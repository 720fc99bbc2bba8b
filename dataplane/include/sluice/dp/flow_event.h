// flow_event: what a worker tells the flow log. Events go to the control thread by a bounded ring of
// each worker; one that finds it full is lost and counted, nobody waits.
//
// Denials may come as fast as packets. The first of a kind (client, address, protocol, port, reason)
// is told at once, those that follow are counted and told together every SL_DENIAL_WINDOW_S; when the
// table of kinds is full, those of a client are counted together, and at the last those of all. The
// counts of all events add up to the packets refused: one that cannot be told yet stays counted.
#pragma once

#include <rte_common.h>
#include <rte_ring.h>

#include <assert.h>
#include <sluice/dns/bucket.h>
#include <sluice/dp/flow.h>
#include <sluice/dp/snapshot.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct sl_worker;

enum sl_flow_event_kind {
	SL_FLOW_EVENT_START,
	SL_FLOW_EVENT_INTERIM,
	SL_FLOW_EVENT_END,
	SL_FLOW_EVENT_DENY,
};

// Plain data, copied; ids mean what they mean in the snapshot in force.
struct sl_flow_event {
	uint64_t at_ns; // worker's clock
	uint64_t bytes_up, bytes_down;
	uint32_t pkts_up, pkts_down;
	struct sl_flow_key key; // PoP: as the client sent it; connector: as the host returns it
	uint32_t client; // PoP; SL_NO_CLIENT: of several, or unknown
	uint32_t name; // PoP; SL_NO_NAME: none
	uint32_t resource; // PoP; UINT32_MAX: none
	uint32_t session; // UINT32_MAX: none
	uint32_t age_ds;
	uint32_t nb_denials; // DENY: how many packets this line stands for
	uint32_t since_ds; // DENY: in how long they came
	uint8_t kind; // enum sl_flow_event_kind
	uint8_t flow_kind; // enum sl_flow_kind
	uint8_t reason; // END, DENY: enum sl_close_reason or sl_local_reason
	uint8_t quota; // DENY for SL_CLOSE_QUOTA: enum sl_quota_verdict
	uint8_t tcp; // enum sl_tcp_state
	bool is_merged; // DENY: of several kinds; key, name and resource say nothing
	uint8_t reserved[6];
};
static_assert(sizeof(struct sl_flow_event) == 112, "the rings' element");

#define SL_FLOW_EVENTS      8192u // that wait of one worker
#define SL_DENIAL_WINDOW_S  10u
#define SL_DENIAL_KINDS     1024u
#define SL_DENIAL_WAYS      4u
#define SL_DENIAL_CLIENTS   64u
#define SL_DENIALS_TOLD_A_S 500u // at once, of each worker; beyond that with the next window

// Packets of one kind that were refused.
struct sl_denial {
	struct sl_flow_event event; // as it will be told
	uint32_t began_ds; // of the window
	uint32_t nb_pending; // not told yet
	bool is_used;
};

struct sl_flow_events {
	struct rte_ring *ring; // worker: enqueues, control: dequeues
	atomic_bool is_on; // control: rw; off: nothing is recorded
	_Atomic uint64_t nb_lost; // worker: rw, control: ro; events other than denials
	atomic_uint interim_s; // control: rw; 0: no interim events
	struct sl_bucket told;
	uint32_t swept_ds;
	struct sl_denial kinds[SL_DENIAL_KINDS];
	struct sl_denial clients[SL_DENIAL_CLIENTS];
	struct sl_denial others;
};

[[nodiscard]] struct sl_flow_events *sl_flow_events_create(void);
void sl_flow_events_destroy(struct sl_flow_events *e);

static inline bool
sl_flow_events_on(const struct sl_flow_events *e)
{
	return e != NULL && atomic_load_explicit(&e->is_on, memory_order_relaxed);
}

// Worker: tell of a flow; of a refused packet.
void sl_flow_event_put(struct sl_worker *w, const struct sl_flow_event *event);
void sl_flow_event_deny(struct sl_worker *w, const struct sl_flow_event *event);
// Worker, each tick: windows that are over. `all`: whatever is pending (control, worker stopped).
enum sl_denial_flush { SL_DENIALS_DUE, SL_DENIALS_ALL };
void sl_flow_events_tick(struct sl_worker *w, enum sl_denial_flush flush);

// Control thread: take up to `nb` events of a worker.
unsigned sl_flow_events_take(struct sl_flow_events *e, struct sl_flow_event *events, unsigned nb);
