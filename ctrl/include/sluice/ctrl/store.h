// store: what must survive kill -9, on disk before anybody is told. SQLite in the state directory
// (mode 0700), written by one thread.
//
// Life: sl_store_open() checks the directory, the schema and takes a lock; sl_lease_load() and the
// other readers hand over what is on disk; sl_store_start() starts the store thread. From then on
// the session thread and the control thread send requests and go on; the store thread carries out
// what has gathered in one transaction, syncs, and only then completes them. Completions wait in a
// queue behind sl_store_fd(). Nothing but the store thread ever waits for the disk.
//
// Faults: when a transaction fails (disk full, read-only, input/output error) its requests complete
// with SL_STORE_FAILED, one log line says why with the remedy, and later requests try again. sl_store_health() tells, also while a write is stuck.
//
// Time on disk is wall time as the store keeps it: the system's clock at open, or the latest time
// the store has seen if that is later, and from there on monotonic. A clock stepped back or forth
// while the daemon runs so neither shortens nor lengthens a quarantine.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SL_STORE_SCHEMA 1u

#define SL_STORE_NAME_BYTES  256u // a DNS name in presentation form and its NUL
#define SL_STORE_OWNER_BYTES 64u
#define SL_STORE_KEY_BYTES   128u
#define SL_STORE_VALUE_BYTES 512u

struct sl_store;

enum sl_store_status {
	SL_STORE_OK,
	SL_STORE_EXHAUSTED, // no address of the pool is free for this tenant
	SL_STORE_NOT_FOUND, // no such lease, key or client
	SL_STORE_EXISTS, // a client of that name, key or address is there already
	// The disk failed. Most likely nothing was changed, but a write whose sync failed may show up
	// later: send the request again before relying on either.
	SL_STORE_FAILED,
};

// The addresses that leases are taken from; the same for all tenants, each with its own set.
struct sl_store_pool {
	uint32_t base; // host order
	uint32_t nb; // a power of two, at most 2^24
};

struct sl_store_config {
	const char *dir; // state directory; made with mode 0700 if missing
	struct sl_store_pool pool;
	uint32_t queue_len; // requests under way at once; 0: 16384
	uint32_t linger_us; // gather requests this long before a commit; UINT32_MAX: none, 0: 1000
};

// Open or create the state. Returns 0, or -errno and a sentence with the remedy in `why`:
// -EPERM the directory is open to others, -EBUSY another process has it, -EPROTO the schema is
// newer than this program, -EINVAL the pool, else what the disk said.
[[nodiscard]] int sl_store_open(
	struct sl_store **store, const struct sl_store_config *config, char *why, size_t why_bytes
);

// Start the store thread. Returns 0 or -errno.
[[nodiscard]] int sl_store_start(struct sl_store *store);

// Carry out what was sent, end the thread, close. Completions not taken are dropped.
void sl_store_close(struct sl_store *store);

// Now, as the store writes it (nanoseconds since 1970).
uint64_t sl_store_wall_ns(const struct sl_store *store);

// ---- Leases -----------------------------------------------------------------------------------

// active --drain--> draining --rest--> resting --(until has passed)--> gone
//    ^-----------------acquire of the same name--------------'
// Draining: no new answers carry it, its flows go on. Resting: nothing uses it, and the address is
// given to no other name until `until_ns`. An acquire of the same (tenant, name) makes a draining
// or resting lease active again with its old address.
enum sl_lease_state { SL_LEASE_ACTIVE, SL_LEASE_DRAINING, SL_LEASE_RESTING };

enum { SL_LEASE_WILDCARD = 1 }; // flags: first seen in a query, may be reclaimed

// A lease as it stands on disk. Unique on (tenant, name) and on (tenant, address).
struct sl_lease {
	const char *name; // lower case, no trailing dot
	const char *owner; // client whose query made it; "" for exact names
	uint64_t used_ns; // last touch, wall time; a few seconds late
	uint64_t until_ns; // resting: free for others from then on
	uint32_t address; // host order
	uint16_t tenant;
	uint8_t state; // enum sl_lease_state
	uint8_t flags;
};

// Hand over each lease, in no particular order; before sl_store_start(). Leases that lie outside
// the pool of this configuration are handed over too (the pool may have been changed: they stay
// valid until released). The lease and its strings are valid during the call only. Returns the
// number of leases, or -errno.
[[nodiscard]] int64_t sl_lease_load(
	struct sl_store *store, void (*each)(void *arg, const struct sl_lease *lease), void *arg
);

// The requests below may be sent by any thread and never block. They return 0, -EAGAIN when
// queue_len requests are under way (the caller fails or holds its query), -ENAMETOOLONG, or
// -ENOMEM. Each completes exactly once with its `cookie`.

// Give (tenant, name) its address: the one it has, else the first free one of its probe sequence,
// which is keyed by the tenant's secret, so each name has a preferred address that outsiders cannot
// compute. Completes when it is on disk: OK with the address, EXHAUSTED, FAILED.
[[nodiscard]] int sl_lease_acquire(
	struct sl_store *store,
	uint64_t cookie,
	uint16_t tenant,
	const char *name,
	const char *owner,
	uint8_t flags
);

// active -> draining. OK or NOT_FOUND.
[[nodiscard]] int
sl_lease_drain(struct sl_store *store, uint64_t cookie, uint16_t tenant, uint32_t address);

// active or draining -> resting for `rest_ns` from the commit on. The caller vouches that no flow
// uses the address; `rest_ns` covers the TTL of the last answer and the quarantine.
[[nodiscard]] int sl_lease_rest(
	struct sl_store *store, uint64_t cookie, uint16_t tenant, uint32_t address, uint64_t rest_ns
);

// resting -> gone at once, whatever `until` says: for an operator who knows. OK or NOT_FOUND.
[[nodiscard]] int
sl_lease_reclaim(struct sl_store *store, uint64_t cookie, uint16_t tenant, uint32_t address);

// Note that the lease is in use. Written lazily (SL_STORE_TOUCH_S), with no completion; lost
// touches of the last seconds before a crash only make the lease look older.
#define SL_STORE_TOUCH_S 10u
void sl_lease_touch(struct sl_store *store, uint16_t tenant, uint32_t address);

// ---- Completions ------------------------------------------------------------------------------

struct sl_store_done {
	uint64_t cookie;
	uint32_t address; // acquire: host order
	uint8_t status; // enum sl_store_status
	uint8_t state_before; // acquire: 1 + enum sl_lease_state it was in; 0: new
};

// Readable while completions wait.
int sl_store_fd(const struct sl_store *store);

// Take up to `nb` completions; one thread only (the session thread). Returns how many.
unsigned sl_store_take(struct sl_store *store, struct sl_store_done *done, unsigned nb);

// ---- Small durable values ---------------------------------------------------------------------

// Hand over each value whose key begins with `prefix`; before sl_store_start().
[[nodiscard]] int64_t sl_store_values(
	struct sl_store *store,
	const char *prefix,
	void (*each)(void *arg, const char *key, const void *value, size_t nb_bytes),
	void *arg
);

// Write or (nb_bytes 0) delete a value; completes like a lease request.
[[nodiscard]] int sl_store_put(
	struct sl_store *store, uint64_t cookie, const char *key, const void *value, size_t nb_bytes
);

// Keys in use: "floor/<peer key in hex>" TAI64N label (12 octets) and incarnation (8) last
// accepted; "endpoint/<peer key in hex>" address (4) and port (2), network order.
// A cookie of 0 in sl_store_put() means that nobody waits: no completion.

// The flow-key secret of `tenant`: 32 random octets, made and on disk before this returns. Waits
// for the disk, at most SL_STORE_WAIT_S: for start-up and the control thread. Wipe after use.
// 0 or -errno (-ETIMEDOUT, -EIO).
#define SL_STORE_WAIT_S 10u
#define SL_SECRET_BYTES 32u
[[nodiscard]] int
sl_store_tenant_secret(struct sl_store *store, uint16_t tenant, uint8_t secret[SL_SECRET_BYTES]);

// ---- Clients added at run time ----------------------------------------------------------------

struct sl_store_client {
	char tenant[64];
	char name[64];
	char groups[512]; // names separated by one space
	uint8_t public_key[32];
	uint8_t psk[32]; // all zero: none. Secret: wipe
	uint32_t address; // inner address, host order
	uint64_t created_ns; // filled in by the store
};

// Hand over each added client; before or after sl_store_start(). Waits like the above when
// started. Returns their number or -errno.
[[nodiscard]] int64_t sl_store_clients(
	struct sl_store *store,
	void (*each)(void *arg, const struct sl_store_client *client),
	void *arg
);

// Add or remove; on disk when it returns 0. For the control thread: waits, at most
// SL_STORE_WAIT_S. -EEXIST name, key or address is taken; -ENOENT; -ETIMEDOUT (it may still
// happen); -EIO.
[[nodiscard]] int sl_store_client_add(struct sl_store *store, const struct sl_store_client *client);
[[nodiscard]] int
sl_store_client_remove(struct sl_store *store, const char *tenant, const char *name);

// ---- How it does ------------------------------------------------------------------------------

struct sl_store_health {
	bool failing; // the last transaction failed
	char reason[160]; // why, while failing
	uint64_t stuck_ns; // how long the transaction under way has lasted; 0: none
	uint64_t nb_commits, nb_failed_commits;
	uint64_t nb_requests, nb_refused; // sent; refused because the queue was full
	uint64_t commit_ns_last, commit_ns_max;
	uint32_t nb_waiting; // requests not completed yet
	uint64_t nb_leases, nb_exhausted;
};

// Any thread; never blocks on the disk.
void sl_store_health(struct sl_store *store, struct sl_store_health *health);
