// quota: what one client, and all clients of one tenant, may use of a node: live flows, half-open
// TCP connections, new flows a second, DNS queries a second; of a client also octets of DNS answers and
// names asked for the first time.
//
// Every worker keeps a row for each client and each tenant, writes its own rows alone and reads
// those of the others, so that nothing is locked and no counter is shared. A client with a single
// address is one worker's alone and its limits are exact. Those of a tenant, and of a client that is
// a prefix, are held against the sum of all workers' rows: workers that decide at the same instant
// may not see each other, so that at most one flow (or query) a worker too many is let through. Each
// worker keeps a view of the one bucket of a rate and charges it with what all workers took; a worker
// that has not looked for a second may see it too full, by at most one burst.
//
// Nothing of this is on the way of a packet of a standing flow.
#pragma once

#include <rte_common.h>

#include <assert.h>
#include <sluice/dp/flow.h>
#include <sluice/dp/snapshot.h>
#include <sluice/dp/worker.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

// What is held to a rate. The burst of each is what it gives in a second.
enum sl_quota_rate {
	SL_QUOTA_NEW_FLOWS,
	SL_QUOTA_DNS_QUERIES,
	SL_QUOTA_DNS_BYTES,
	SL_QUOTA_NEW_NAMES,
	SL_QUOTA_RATES
};

// Which limit refused; SL_QUOTA_FREE: none did.
enum sl_quota_verdict {
	SL_QUOTA_FREE = 0,
	SL_QUOTA_CLIENT_FLOWS,
	SL_QUOTA_CLIENT_HALF_OPEN,
	SL_QUOTA_CLIENT_NEW_FLOWS,
	SL_QUOTA_CLIENT_DNS,
	SL_QUOTA_CLIENT_NEW_NAMES,
	SL_QUOTA_TENANT_FLOWS,
	SL_QUOTA_TENANT_NEW_FLOWS,
	SL_QUOTA_TENANT_DNS,
	SL_QUOTA_VERDICTS,
};

// "client_flows": the key of the configuration that sets it.
const char *sl_quota_text(enum sl_quota_verdict verdict);

// One worker's view of a bucket.
struct sl_quota_meter {
	_Atomic uint64_t taken; // by this worker, ever; its worker: rw, others: ro
	uint64_t seen; // taken by the others at the last look
	uint64_t looked_ns; // 0: never
	int64_t tokens; // in units of 2^-20; octets of answers may be owed
};

// Of one client or tenant at one worker (its worker: rw, others: ro).
struct sl_quota_row {
	atomic_uint nb_flows; // live
	atomic_uint nb_half_open; // of them, TCP whose handshake is not complete
	struct sl_quota_meter meters[SL_QUOTA_RATES];
	_Atomic uint64_t refused[SL_QUOTA_VERDICTS];
	_Atomic uint64_t denied; // packets that asked for a flow in vain, for whatever reason
	_Atomic uint64_t bytes_up, bytes_down; // of flows that are over
	struct sl_bucket refusals; // its worker alone: RST and ICMP errors of our own to it
	struct sl_bucket errors; // its worker alone: ICMP errors passed on to it or from it
} __rte_cache_aligned;

#define SL_QUOTA_PAGE_ROWS 256u
#define SL_QUOTA_PAGES     16384u

// The rows of one worker. Pages are added by the control thread, never taken away.
struct sl_quota {
	struct sl_quota_row *clients[SL_QUOTA_PAGES];
	struct sl_quota_row *tenants[SL_QUOTA_PAGES / 64];
};

struct sl_dp;

// Control thread, before a snapshot that names them is published: rows for clients and tenants with
// ids below these. 0 or -ENOMEM.
[[nodiscard]] int sl_quota_reserve(struct sl_dp *dp, uint32_t nb_clients, uint32_t nb_tenants);
// The same for one worker's, zero-initialised at first.
[[nodiscard]] int sl_quota_grow(struct sl_quota *quota, uint32_t nb_clients, uint32_t nb_tenants);
void sl_quota_free(struct sl_quota *quota);

// The row, NULL when none was reserved.
static inline struct sl_quota_row *
sl_quota_client(const struct sl_worker *w, uint32_t client)
{
	struct sl_quota_row *page = client < SL_QUOTA_PAGES * SL_QUOTA_PAGE_ROWS
		? w->quota->clients[client / SL_QUOTA_PAGE_ROWS]
		: NULL;

	return page == NULL ? NULL : &page[client % SL_QUOTA_PAGE_ROWS];
}

static inline struct sl_quota_row *
sl_quota_tenant(const struct sl_worker *w, uint32_t tenant)
{
	struct sl_quota_row *page = tenant < RTE_DIM(w->quota->tenants) * SL_QUOTA_PAGE_ROWS
		? w->quota->tenants[tenant / SL_QUOTA_PAGE_ROWS]
		: NULL;

	return page == NULL ? NULL : &page[tenant % SL_QUOTA_PAGE_ROWS];
}

// Owning worker: may this client begin one more flow? Takes it from the rates when it may; counts
// the refusal when not.
enum sl_quota_verdict sl_quota_new_flow(struct sl_worker *w, uint32_t client, uint8_t protocol);

// Owning worker: may this client ask one more DNS question?
enum sl_quota_verdict sl_quota_query(struct sl_worker *w, uint32_t client);
// Owning worker: may this client have one more name assigned an address? Takes it.
enum sl_quota_verdict sl_quota_new_name(struct sl_worker *w, uint32_t client);

// Owning worker: how long a DNS answer this client may get now, in octets; UINT32_MAX: of any length.
uint32_t sl_quota_dns_budget(struct sl_worker *w, uint32_t client);
// Owning worker: it got one. What is beyond the budget is owed.
void sl_quota_dns_answered(struct sl_worker *w, uint32_t client, uint32_t nb_bytes);

// What one client is told of its refused packets, and what errors are passed on for it, a second. Each
// has its own, so that a client that floods takes nothing from another.
#define SL_REFUSALS_PER_S 2000u
#define SL_REFUSALS_BURST 1000u
#define SL_ERRORS_PER_S   500u
#define SL_ERRORS_BURST   100u

// Owning worker: may this client (SL_NO_CLIENT: whoever else sent the packet, a private host or a
// stranger, all of whom share the worker's) be told of one more refusal; may one more ICMP error pass?
bool sl_quota_refusal(struct sl_worker *w, uint32_t client);
bool sl_quota_error(struct sl_worker *w, uint32_t client);

// Owning worker: a client's flow begins to stand, or is about to be deleted.
void sl_quota_flow_begins(struct sl_worker *w, const struct sl_flow *f);
void sl_quota_flow_ends(struct sl_worker *w, const struct sl_flow *f);

// Owning worker: a packet of the client asked for a flow in vain.
void sl_quota_denied(struct sl_worker *w, uint32_t client);

// TCP whose handshake is not complete.
static inline bool
sl_quota_is_half_open(uint8_t tcp_state)
{
	return tcp_state == SL_TCP_SYN_SENT || tcp_state == SL_TCP_SYN_RECEIVED;
}

// The uncommon half of sl_quota_follow().
void sl_quota_followed(struct sl_worker *w, const struct sl_flow *f, uint8_t tcp_before);

// Owning worker, after a segment of a client's flow was tracked: its state was `tcp_before`.
static inline void
sl_quota_follow(struct sl_worker *w, const struct sl_flow *f, uint8_t tcp_before)
{
	if (__builtin_expect(f->tcp != tcp_before, 0))
		sl_quota_followed(w, f, tcp_before);
}

// Half-open connections that a client may have at this node: as configured, or else an eighth of
// the flows the node can hold.
uint32_t sl_quota_half_open_max(const struct sl_worker *w, const struct sl_limits *limits);

// Owning worker: has the client of this flow so many half-open connections that they are to be given
// up early? Beyond half of what it may have.
bool sl_quota_is_pressed(const struct sl_worker *w, uint32_t client);

// Sums over the workers, for whoever shows them. Any thread.
struct sl_quota_sum {
	uint32_t nb_flows, nb_half_open;
	uint64_t taken[SL_QUOTA_RATES];
	uint64_t refused[SL_QUOTA_VERDICTS];
	uint64_t denied, bytes_up, bytes_down;
};
enum sl_quota_subject { SL_QUOTA_OF_CLIENT, SL_QUOTA_OF_TENANT };
void sl_quota_sum(
	struct sl_dp *dp, enum sl_quota_subject subject, uint32_t id, struct sl_quota_sum *sum
);
