#include "internal.h"
#include "schema.h"

#include <errno.h>
#include <poll.h>
#include <sluice/ctrl/clock.h>
#include <sluice/ctrl/log.h>
#include <sluice/proto/aead.h>
#include <sluice/proto/limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define IDLE_MS  500
#define RETRY_NS (2 * SL_NS_PER_S)
#define SLOW_NS  SL_NS_PER_S // a commit that takes longer is said
#define TOUCH_NS (SL_STORE_TOUCH_S * SL_NS_PER_S)

// Take back in memory what the lost transaction did, last change first.
static void
undo_all(struct sl_store *store)
{
	while (store->nb_undo != 0) {
		const struct sl_store_undo *u = &store->undo[--store->nb_undo];

		switch (u->what) {
		case UNDO_TAKE:
			sl_pool_give(u->tenant, u->idx);
			store->nb_leases--;
			break;
		case UNDO_GIVE:
			sl_pool_take(u->tenant, u->idx);
			store->nb_leases++;
			break;
		case UNDO_SECRET:
			u->tenant->has_secret = false;
			sl_wipe(u->tenant->secret, SL_SECRET_BYTES);
			break;
		}
	}
	store->next_rest_ns = 0; // look again
}

static void
note_failure(struct sl_store *store, const char *why)
{
	bool said;

	store->retry_ns = sl_clock_now_ns() + RETRY_NS;
	pthread_mutex_lock(&store->health_lock);
	store->health.nb_failed_commits++;
	said = store->health.failing && strcmp(store->health.reason, why) == 0;
	store->health.failing = true;
	snprintf(store->health.reason, sizeof(store->health.reason), "%s", why);
	pthread_mutex_unlock(&store->health_lock);
	if (!said)
		sl_log(SL_LOG_ERROR, "store-failed", "%s: %s", store->path, why);
}

static void
note_success(struct sl_store *store, uint64_t took_ns)
{
	bool recovered;

	pthread_mutex_lock(&store->health_lock);
	recovered = store->health.failing;
	store->health.failing = false;
	store->health.reason[0] = '\0';
	store->health.nb_commits++;
	store->health.commit_ns_last = took_ns;
	if (took_ns > store->health.commit_ns_max)
		store->health.commit_ns_max = took_ns;
	pthread_mutex_unlock(&store->health_lock);
	if (recovered)
		sl_log(SL_LOG_NOTICE, "store-recovered", "%s is written again", store->path);
	if (took_ns > SLOW_NS)
		sl_log(SL_LOG_WARNING,
		       "store-slow",
		       "%s: a commit took %llu ms; first answers of new names wait for it, "
		       "check the disk",
		       store->path,
		       (unsigned long long)(took_ns / SL_NS_PER_MS));
}

// The transaction is lost. After anything but a full disk the connection may be in a state of its
// own (read-only, cached errors): open it anew next time.
static void
abandon(struct sl_store *store)
{
	char why[160];
	int code = store->db == NULL ? SQLITE_OK : sqlite3_errcode(store->db) & 0xff;

	if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE)
		snprintf(why, sizeof(why), "out of memory");
	else
		sl_schema_error(store->db, why, sizeof(why));
	for (unsigned i = 0; i < ST_COUNT; i++)
		sqlite3_reset(store->statements[i]);
	if (sqlite3_get_autocommit(store->db) == 0)
		sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
	undo_all(store);
	if (code != SQLITE_FULL)
		sl_store_db_close(store);
	note_failure(store, why);
}

static bool
reopen(struct sl_store *store)
{
	char why[160];
	int rc = sl_store_db_open(store, why, sizeof(why));

	if (rc == 0) {
		rc = sl_store_index(store, why, sizeof(why));
		if (rc != 0)
			sl_store_db_close(store);
	}
	if (rc != 0)
		note_failure(store, why);
	return rc == 0;
}

static bool
begin(struct sl_store *store)
{
	store->nb_undo = 0;
	store->wrote = false;
	if (store->db == NULL && !reopen(store))
		return false;
	if (sl_store_step(store, sl_store_statement(store, ST_BEGIN)) == SQLITE_DONE) {
		store->wrote = false; // BEGIN reports the changes of the statement before it
		return true;
	}
	abandon(store);
	return false;
}

static bool
upkeep(struct sl_store *store)
{
	uint64_t now_ns = sl_clock_now_ns();

	if (store->nb_touches != 0 && now_ns >= store->touch_due_ns) {
		if (!sl_store_write_touches(store))
			return false;
		if (store->nb_touches == 0)
			store->touch_due_ns = now_ns + TOUCH_NS;
	}
	// While failing, a write of our own tells when the disk is well again.
	if (store->wrote || store->health.failing)
		return sl_store_write_clock(store);
	return true;
}

// All of it in one transaction; false when the transaction is lost. `nb_done`: how many requests
// were carried out before that.
static bool
transact(struct sl_store *store, struct sl_store_request **requests, unsigned nb, unsigned *nb_done)
{
	uint64_t before_ns;
	bool wrote;

	*nb_done = 0;
	if (!begin(store))
		return false;
	// First, so that what a request finds does not hang on when the last commit was.
	if (!sl_store_end_rests(store))
		goto lost;
	for (unsigned i = 0; i < nb; i++) {
		if (!sl_store_operate(store, requests[i]))
			goto lost;
		requests[i]->needs_commit = store->wrote;
		(*nb_done)++;
	}
	if (!upkeep(store))
		goto lost;
	wrote = store->wrote;
	before_ns = sl_clock_now_ns();
	atomic_store(&store->commit_began_ns, before_ns | 1);
	if (sl_store_step(store, sl_store_statement(store, ST_COMMIT)) != SQLITE_DONE)
		goto lost;
	atomic_store(&store->commit_began_ns, 0);
	store->nb_undo = 0;
	if (wrote)
		note_success(store, sl_clock_now_ns() - before_ns);
	return true;
lost:
	atomic_store(&store->commit_began_ns, 0);
	abandon(store);
	return false;
}

static void
count(struct sl_store *store, const struct sl_store_request *request)
{
	if (request->op != OP_ACQUIRE)
		return;
	pthread_mutex_lock(&store->health_lock);
	if (request->status == SL_STORE_EXHAUSTED)
		store->health.nb_exhausted++;
	pthread_mutex_unlock(&store->health_lock);
}

static void
complete(struct sl_store *store, struct sl_store_request *request)
{
	struct sl_store_done done = {
		.cookie = request->cookie,
		.address = request->status == SL_STORE_OK ? request->address : 0,
		.status = request->status,
		.state_before = request->state_before,
	};

	count(store, request);
	if (request->wait != NULL) {
		request->wait->status = request->status;
		sem_post(&request->wait->done);
		sl_store_wait_put(request->wait);
	}
	// Its place in `nb_waiting` is freed when the completion is taken; the queue has room for
	// as many as may wait.
	if (request->wait != NULL || request->cookie == 0 || !sl_mpsc_push(&store->done, &done))
		atomic_fetch_sub(&store->nb_waiting, 1);
	sl_wipe(request->data, request->value_bytes);
	free(request);
}

void
sl_store_batch(struct sl_store *store, struct sl_store_request **requests, unsigned nb)
{
	uint64_t one = 1;
	unsigned nb_done;
	bool kept = transact(store, requests, nb, &nb_done);

	for (unsigned i = 0; i < nb; i++) {
		if (!kept && (i >= nb_done || requests[i]->needs_commit))
			requests[i]->status = SL_STORE_FAILED;
		complete(store, requests[i]);
	}
	if (nb != 0)
		(void)!write(store->done_fd, &one, sizeof(one));
}

static void
sleep_until_wanted(struct sl_store *store)
{
	struct pollfd pfd = { .fd = store->request_fd, .events = POLLIN };
	uint64_t nb;

	if (poll(&pfd, 1, IDLE_MS) > 0)
		(void)!read(store->request_fd, &nb, sizeof(nb));
}

// Is there anything to do though nobody asks?
static bool
upkeep_due(const struct sl_store *store)
{
	uint64_t now_ns = sl_clock_now_ns();

	return (store->health.failing && now_ns >= store->retry_ns) ||
		(store->nb_touches != 0 && now_ns >= store->touch_due_ns) ||
		sl_store_wall_ns(store) >= store->next_rest_ns;
}

static unsigned
gather(struct sl_store *store)
{
	unsigned nb = 0;

	while (nb < SL_STORE_BATCH && sl_mpsc_pop(&store->requests, &store->batch[nb]))
		nb++;
	return nb;
}

void *
sl_store_thread(void *arg)
{
	struct sl_store *store = arg;

	for (;;) {
		unsigned nb;

		if (sl_mpsc_empty(&store->requests)) {
			if (atomic_load(&store->stopping))
				break;
			sleep_until_wanted(store);
		}
		// Wait a little for company: one sync then serves many.
		if (store->config.linger_us != 0 && !sl_mpsc_empty(&store->requests) &&
		    !atomic_load(&store->stopping))
			usleep(store->config.linger_us);
		nb = gather(store);
		if (nb != 0 || upkeep_due(store))
			sl_store_batch(store, store->batch, nb);
	}
	store->touch_due_ns = 0;
	while (store->nb_touches != 0 && !store->health.failing)
		sl_store_batch(store, NULL, 0);
	return NULL;
}
