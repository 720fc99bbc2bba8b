// internal: what the files of the store share. See <sluice/ctrl/store.h>.
#pragma once

#include "pool.h"

#include <pthread.h>
#include <semaphore.h>
#include <sluice/ctrl/mpsc.h>
#include <sluice/ctrl/store.h>
#include <sqlite3.h>
#include <stdatomic.h>

#define SL_STORE_BATCH   1024u // requests in one transaction
#define SL_STORE_TOUCHES 65536u // touches that wait to be written
#define SL_STORE_TENANTS 65536u
#define SL_STORE_CLOCK   "clock" // key of the latest time seen

enum sl_store_op {
	OP_ACQUIRE,
	OP_DRAIN,
	OP_REST,
	OP_RECLAIM,
	OP_TOUCH,
	OP_PUT,
	OP_SECRET,
	OP_CLIENT_ADD,
	OP_CLIENT_REMOVE,
	OP_CLIENT_LIST,
};

// What a caller that waits and the store share; the last to let go frees it.
struct sl_store_wait {
	sem_t done;
	atomic_int nb_refs;
	enum sl_store_status status;
	uint8_t secret[SL_SECRET_BYTES];
	struct sl_store_client client; // in: add, remove
	struct sl_store_client *clients; // out: list
	size_t nb_clients;
};

struct sl_store_request {
	uint64_t cookie;
	uint64_t rest_ns;
	struct sl_store_wait *wait; // NULL: completes by the queue
	uint32_t address;
	uint16_t tenant;
	uint8_t op; // enum sl_store_op
	uint8_t flags;
	// Filled in by carrying it out.
	uint8_t status; // enum sl_store_status
	uint8_t state_before;
	bool needs_commit; // its outcome rests on this transaction
	size_t value_bytes;
	const char *name; // or key; inside `data`
	const char *owner;
	const void *value;
	char data[];
};

// How to take back what a transaction did in memory.
struct sl_store_undo {
	enum { UNDO_TAKE, UNDO_GIVE, UNDO_SECRET } what;
	uint32_t idx;
	struct sl_pool_tenant *tenant;
};

struct sl_store_touch {
	uint64_t used_ns;
	uint32_t address;
	uint16_t tenant;
};

enum sl_store_statement {
	ST_BEGIN,
	ST_COMMIT,
	ST_LEASE_BY_NAME,
	ST_LEASE_INSERT,
	ST_LEASE_REVIVE,
	ST_LEASE_MOVE,
	ST_LEASE_DRAIN,
	ST_LEASE_REST,
	ST_LEASE_RECLAIM,
	ST_LEASE_TOUCH,
	ST_LEASE_RESTED,
	ST_LEASE_NEXT_REST,
	ST_VALUE_GET,
	ST_VALUE_PUT,
	ST_VALUE_DELETE,
	ST_CLIENT_ADD,
	ST_CLIENT_REMOVE,
	ST_CLIENT_LIST,
	ST_COUNT,
};

struct sl_store {
	struct sl_store_config config;
	char *dir;
	char *path;
	int lock_fd;

	// Senders and the store thread.
	struct sl_mpsc requests; // struct sl_store_request *
	int request_fd;
	atomic_bool stopping;
	atomic_uint nb_waiting; // sent and not taken back by their sender
	atomic_uint_fast64_t nb_sent, nb_refused;

	// The store thread and the taker of completions.
	struct sl_mpsc done; // struct sl_store_done
	int done_fd;

	pthread_t thread;
	bool started;

	// The store thread alone; before the start, whoever opened.
	sqlite3 *db; // NULL after a fault, until it can be opened again
	sqlite3_stmt *statements[ST_COUNT];
	struct sl_pool_tenant **tenants; // by id
	struct sl_store_undo *undo; // of the transaction under way
	size_t nb_undo, undo_capacity;
	bool wrote; // the transaction under way changed something
	struct sl_store_touch *touches;
	uint32_t nb_touches;
	uint64_t touch_due_ns; // monotonic
	uint64_t next_rest_ns; // wall; when the first resting lease is free
	atomic_uint_fast64_t nb_leases; // in the pool, resting ones too
	uint64_t retry_ns; // monotonic; when to try again while failing
	struct sl_store_request *batch[SL_STORE_BATCH];

	// Immutable after open: the store's wall clock.
	uint64_t opened_wall_ns, opened_now_ns;

	pthread_mutex_t health_lock; // held for a copy, never over the disk
	struct sl_store_health health;
	atomic_uint_fast64_t commit_began_ns; // 0: none under way
};

// ---- database.c: connection, statements, transactions

[[nodiscard]] int sl_store_db_open(struct sl_store *store, char *why, size_t why_bytes);
void sl_store_db_close(struct sl_store *store);

// The statement, reset and without bindings.
sqlite3_stmt *sl_store_statement(struct sl_store *store, enum sl_store_statement which);

// Step a statement that gives no rows. SQLite's code; SQLITE_DONE is success.
int sl_store_step(struct sl_store *store, sqlite3_stmt *statement);

// Note how to take back a change in memory. 0 or -ENOMEM, and then nothing may be changed.
[[nodiscard]] int sl_store_note_undo(struct sl_store *store, struct sl_store_undo undo);

// Read each lease into memory's bitmaps, anew. Also after a reopening: a transaction whose sync
// failed may be in the log file all the same, and then it counts.
[[nodiscard]] int sl_store_index(struct sl_store *store, char *why, size_t why_bytes);

// ---- operations.c: one request within a transaction

// Carry out; fills in the outcome. False when the database failed and the transaction is lost.
bool sl_store_operate(struct sl_store *store, struct sl_store_request *request);

// Delete leases whose rest is over. False as above.
bool sl_store_end_rests(struct sl_store *store);

// Write up to a batch of touches. False as above.
bool sl_store_write_touches(struct sl_store *store);

// Note the present as the latest time seen. False as above.
bool sl_store_write_clock(struct sl_store *store);

// The tenant's bitmap, made if need be; NULL when out of memory.
struct sl_pool_tenant *sl_store_tenant(struct sl_store *store, uint16_t tenant);

// ---- batch.c: many requests, one commit

// Carry out `nb` requests, commit, complete and free them. With nb 0: upkeep alone.
void sl_store_batch(struct sl_store *store, struct sl_store_request **requests, unsigned nb);

// The body of the store thread.
void *sl_store_thread(void *arg);

// ---- request.c

void sl_store_wait_put(struct sl_store_wait *wait);
