// addresses: the names of a tenant and the assigned addresses that stand for them.
//
// One table per tenant. It outlives configurations. One writer (the session thread) changes it; any
// number of workers read it without locks: names by hash, addresses through two-level pages, both published
// with release stores and read with acquire. Name ids are indices: stable, and given to another name
// only after drain and quarantine, which last far longer than any reader keeps one.
//
// A name's life (A11, A12):
//
//	free -> pending -> live <-> draining -> quarantined -> free
//	                    ^__________|_____________|   (asked again: same name, same address)
//
//	pending      an address is proposed; the lease store has not said yet that it is durable
//	live         answers carry it, packets to it are this name's
//	draining     chosen for reclaim: no new answers, packets still are this name's; ends when no flow has used it and no
//	             answer can be cached any more
//	quarantined  packets to it are as to an unassigned address; lasts quarantine_s
//
// The lease store decides uniqueness: the table proposes (the name's preferred address first, then
// along its keyed probe sequence), the store says bound or taken.
//
// Time is a count of seconds handed in, the same clock for all calls, never backwards. IPv4 addresses
// are in host order.
#pragma once

#include <sluice/dns/name.h>
#include <sluice/dns/policy.h>
#include <stdbool.h>
#include <stdint.h>

// What the table asks of the lease store. Called by the session thread from within the calls below;
// answers come later, by sl_addresses_bound().
struct sl_lease_ops {
	// Make (name -> address) durable, unless the address is another name's or the name has another
	// address. `name` is valid during the call only. False: the queue is full; the claim fails as SL_CLAIM_BUSY.
	bool (*bind)(void *store, uint32_t name_id, const char *name, uint32_t address);
	// Note that a name was quarantined (is_released false) or that its lease is over (true). Once
	// over it may be bound to another name. Must reach the disk before a later bind of the same
	// address does. False: queue full; tried again at a later poll.
	bool (*retire
	)(void *store, uint32_t name_id, const char *name, uint32_t address, bool is_released);
};

enum sl_lease_result {
	SL_LEASE_BOUND, // durable; `address` is the name's (the store's own, if it already had one)
	SL_LEASE_TAKEN, // the address is another name's: the next one is proposed
	SL_LEASE_FAILED, // the disk failed; what is on it is unknown until asked again
	SL_LEASE_EXHAUSTED, // the store has no address left
};

struct sl_addresses_config {
	uint32_t pool; // base address
	uint8_t pool_bits; // prefix length, 8 to 30
	uint32_t names_max; // records held: live, draining and quarantined; at least 1
	uint32_t client_names_max; // wildcard names first asked by one client; 0: no limit
	uint32_t quarantine_s; // 86400
	uint32_t
		drain_s; // at least twice the sweep period of flows; added to the largest TTL given
	uint32_t idle_s; // a wildcard name unused for this long may be reclaimed under pressure
	struct sl_name_key name_key; // of the process, as in sl_policy_spec
	uint8_t probe_key
		[16]; // durable, per tenant: the preferred addresses of names follow from it
	const struct sl_lease_ops *lease;
	void *store; // handed to lease ops
};

struct sl_addresses;

// All memory of the table is allocated here (about 300 octets a name, 4 an address as pages come into
// use, at most the pool). NULL when there is none, or the configuration is out of range.
struct sl_addresses *sl_addresses_create(const struct sl_addresses_config *config);
void sl_addresses_free(struct sl_addresses *table);

// ---- Session thread: names come and go ---------------------------------------------------------

enum sl_claim_verdict {
	SL_CLAIM_LIVE, // has an address already
	SL_CLAIM_PENDING, // proposed: sl_addresses_bound() will tell; hold the query
	SL_CLAIM_FULL, // no address or no record: SERVFAIL with an extended error, counted
	SL_CLAIM_CLIENT_QUOTA, // this client has had its share: the same answer
	SL_CLAIM_RESOURCE_QUOTA, // the resource has its share
	SL_CLAIM_BUSY, // the lease store's queue is full: drop, the client asks again
	SL_CLAIM_NOT_A_RESOURCE, // nothing in `policy` matches, or the client may not see it
};

struct sl_claim {
	const struct sl_policy *policy;
	uint64_t client_groups; // UINT64_MAX for exact names at load
	uint32_t client; // id, for the quota; UINT32_MAX: none
	uint32_t now_s;
};

// Give a name an address: exact names at load (client UINT32_MAX), wildcard names at their first
// granted query. `name_id` becomes its id whenever there is one. Compiles the name for the policy.
enum sl_claim_verdict sl_addresses_claim(
	struct sl_addresses *table,
	const struct sl_claim *claim,
	const struct sl_name *name,
	uint32_t *name_id
);

// The lease store's word on a proposal. Returns SL_CLAIM_LIVE, SL_CLAIM_PENDING (another address is
// proposed), SL_CLAIM_FULL, or SL_CLAIM_BUSY: the disk failed, ask again later. After the last two
// the name is what it was before the claim, free or quarantined.
// The store may choose its addresses itself: one that is bound to a name is taken from another that
// was only proposed it, and from one whose quarantine is over.
enum sl_claim_verdict sl_addresses_bound(
	struct sl_addresses *table,
	uint32_t name_id,
	enum sl_lease_result result,
	uint32_t address,
	uint32_t now_s
);

// The store's word on a retirement (not of a release) that could not be written: the name goes on
// draining, and is retired again.
void sl_addresses_retire_failed(struct sl_addresses *table, uint32_t name_id, uint32_t now_s);

// At start, before any worker runs: what the store holds. `age_s` is how long ago a quarantined lease was
// retired. Returns 0, -EINVAL (not in the pool, bad name), -EEXIST or -ENOSPC.
[[nodiscard]] int sl_addresses_restore(
	struct sl_addresses *table,
	const char *name,
	uint32_t address,
	bool is_quarantined,
	uint32_t age_s,
	uint32_t now_s
);

// A new policy is in force: compile up to `nb_max` more names for it. Returns true when all are.
// Until then workers match those names themselves, with the same result. Names the policy no longer matches
// begin to drain. Exact names of the policy are claimed by the caller (sl_policy_exact()).
bool sl_addresses_compile(
	struct sl_addresses *table, const struct sl_policy *policy, unsigned nb_max, uint32_t now_s
);

// Advance drains, quarantines and, under pressure, reclaim of least recently used idle wildcard names:
// at most `nb_max` names looked at. Call each second or so. Returns how many addresses came free.
unsigned sl_addresses_poll(struct sl_addresses *table, unsigned nb_max, uint32_t now_s);

// ---- Workers (and anyone): lock-free -----------------------------------------------------------

// A name as a worker sees it.
struct sl_assigned {
	uint32_t name_id;
	uint32_t address;
	uint64_t groups; // that see it, under the policy asked with
	uint32_t ttl_s; // SL_ADDRESSES_TTL_VARIES: by client
};
#define SL_ADDRESSES_TTL_VARIES UINT32_MAX

// Bring the lines a lookup of `hash` will read; then call sl_addresses_prefetch_record(), then look up. The
// second says false when the name is not there.
void sl_addresses_prefetch(const struct sl_addresses *table, uint64_t hash);
bool sl_addresses_prefetch_record(
	const struct sl_addresses *table, const struct sl_name *name, uint64_t hash
);

// The live name `name`, or false. A name that is pending, draining or quarantined is not found.
bool sl_addresses_lookup(
	const struct sl_addresses *table,
	const struct sl_policy *policy,
	const struct sl_name *name,
	uint64_t hash,
	struct sl_assigned *assigned
);

// Whose address is this? SL_NO_NAME when unassigned, pending or quarantined. Draining names are found.
uint32_t sl_addresses_at(const struct sl_addresses *table, uint32_t address);
bool sl_addresses_in_pool(const struct sl_addresses *table, uint32_t address);

// The whole admission of a flow to an assigned address: whose it is, visibility, choice. UNKNOWN for an address
// that is nobody's. `name_id` becomes the name's id, or SL_NO_NAME. Marks the name used when admitted.
enum sl_choice_verdict sl_addresses_choose(
	struct sl_addresses *table,
	const struct sl_policy *policy,
	uint32_t address,
	uint64_t client_groups,
	uint8_t protocol,
	uint16_t port,
	uint32_t now_s,
	struct sl_choice *choice,
	uint32_t *name_id
);
// The same for a flow that lives: by name id, when the policy generation has moved. Also for other
// questions about a name (UDP/53 for RESOLVE).
enum sl_choice_verdict sl_addresses_choose_name(
	struct sl_addresses *table,
	const struct sl_policy *policy,
	uint32_t name_id,
	uint64_t client_groups,
	uint8_t protocol,
	uint16_t port,
	struct sl_choice *choice
);

// Mark a name used: answers and the sweep of live flows (each flow at least every drain_s / 2).
// A plain store, at most one in eight seconds a name.
void sl_addresses_use(struct sl_addresses *table, uint32_t name_id, uint32_t now_s);

// Presentation form of a name that is not free; returns its length, 0 when there is none. Stable while the
// name is live or draining.
size_t sl_addresses_text(
	const struct sl_addresses *table, uint32_t name_id, char text[SL_NAME_MAX_BYTES + 1]
);
// Wire form, lower case. False when the id is of no name.
bool sl_addresses_name(const struct sl_addresses *table, uint32_t name_id, struct sl_name *name);

// ---- For the CLI and metrics -------------------------------------------------------------------

enum sl_name_state {
	SL_NAME_FREE = 0,
	SL_NAME_PENDING,
	SL_NAME_LIVE,
	SL_NAME_DRAINING,
	SL_NAME_QUARANTINED,
};

struct sl_name_info {
	enum sl_name_state state;
	uint32_t address;
	uint32_t client; // that first asked for it; UINT32_MAX: exact name or restored
	uint32_t used_s;
	bool is_wildcard;
};
// False for an id out of range. Session thread; others may read a name that changes meanwhile.
bool
sl_addresses_info(const struct sl_addresses *table, uint32_t name_id, struct sl_name_info *info);
uint32_t sl_addresses_nb_ids(const struct sl_addresses *table); // ids are below this

struct sl_addresses_stats {
	uint64_t nb_state[5]; // by enum sl_name_state
	uint64_t nb_addresses; // of the pool that can be given out
	uint64_t nb_exhausted; // claims refused as FULL
	uint64_t nb_client_quota;
	uint64_t nb_resource_quota;
	uint64_t nb_busy;
	uint64_t nb_taken; // proposals the store refused
	uint64_t nb_reclaimed;
	uint64_t nb_revived;
};
void sl_addresses_stats(const struct sl_addresses *table, struct sl_addresses_stats *stats);
