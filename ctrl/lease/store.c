#include "internal.h"
#include "schema.h"

#include <errno.h>
#include <fcntl.h>
#include <sluice/ctrl/clock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define QUEUE_LEN_DEFAULT 16384u
#define LINGER_US_DEFAULT 1000u

uint64_t
sl_store_wall_ns(const struct sl_store *store)
{
	return store->opened_wall_ns + (sl_clock_now_ns() - store->opened_now_ns);
}

static int
check_dir(const char *dir, char *why, size_t why_bytes)
{
	struct stat st;

	if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
		int error = errno;

		snprintf(
			why,
			why_bytes,
			"the state directory %s cannot be made: %s; make it with mode 0700",
			dir,
			strerror(error)
		);
		return -error;
	}
	if (stat(dir, &st) != 0 || !S_ISDIR(st.st_mode)) {
		snprintf(why, why_bytes, "%s is no directory; name one in system.state_dir", dir);
		return -ENOTDIR;
	}
	if ((st.st_mode & 077) != 0) {
		snprintf(
			why,
			why_bytes,
			"the state directory %s is open to other users (mode %04o); run chmod 0700 "
			"%s",
			dir,
			(unsigned)(st.st_mode & 07777),
			dir
		);
		return -EPERM;
	}
	return 0;
}

// One daemon a directory, held until the process ends, however it ends.
static int
take_lock(struct sl_store *store, char *why, size_t why_bytes)
{
	char path[4096];
	int error;

	snprintf(path, sizeof(path), "%s/lock", store->dir);
	store->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (store->lock_fd >= 0 && flock(store->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	error = errno;
	if (store->lock_fd >= 0 && error == EWOULDBLOCK) {
		snprintf(
			why,
			why_bytes,
			"another sluice uses the state directory %s; give each its own in "
			"system.state_dir",
			store->dir
		);
		return -EBUSY;
	}
	snprintf(why, why_bytes, "%s: %s; check owner and mode", path, strerror(error));
	return -error;
}

static int
make_queues(struct sl_store *store)
{
	if (sl_mpsc_init(&store->requests, store->config.queue_len, sizeof(void *)) != 0 ||
	    sl_mpsc_init(&store->done, store->config.queue_len, sizeof(struct sl_store_done)) != 0)
		return -ENOMEM;
	store->request_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	store->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return store->request_fd < 0 || store->done_fd < 0 ? -errno : 0;
}

static int
allocate(struct sl_store *store)
{
	store->dir = strdup(store->config.dir);
	store->tenants = calloc(SL_STORE_TENANTS, sizeof(void *));
	store->touches = calloc(SL_STORE_TOUCHES, sizeof(*store->touches));
	if (store->dir == NULL || asprintf(&store->path, "%s/state.db", store->dir) < 0)
		return -ENOMEM;
	if (store->tenants == NULL || store->touches == NULL)
		return -ENOMEM;
	return make_queues(store);
}

static void
take_clock(void *arg, const char *key, const void *value, size_t nb_bytes)
{
	(void)key;
	if (nb_bytes == sizeof(uint64_t))
		memcpy(arg, value, sizeof(uint64_t));
}

static int
read_clock(struct sl_store *store, char *why, size_t why_bytes)
{
	uint64_t seen_ns = 0;

	if (sl_store_values(store, SL_STORE_CLOCK, take_clock, &seen_ns) < 0)
		return sl_schema_error(store->db, why, why_bytes);
	store->opened_now_ns = sl_clock_now_ns();
	store->opened_wall_ns = sl_clock_wall_ns();
	if (seen_ns > store->opened_wall_ns)
		store->opened_wall_ns = seen_ns;
	return 0;
}

int
sl_store_open(
	struct sl_store **out, const struct sl_store_config *config, char *why, size_t why_bytes
)
{
	struct sl_store *store;
	uint32_t nb = config->pool.nb;
	int rc;

	*out = NULL;
	if (nb == 0 || (nb & (nb - 1)) != 0 || nb > 1u << 24 || config->pool.base % nb != 0) {
		snprintf(why, why_bytes, "the pool must be a prefix of /8 or longer");
		return -EINVAL;
	}
	store = calloc(1, sizeof(*store));
	if (store == NULL)
		return -ENOMEM;
	store->config = *config;
	store->lock_fd = store->request_fd = store->done_fd = -1;
	pthread_mutex_init(&store->health_lock, NULL);
	if (config->queue_len == 0)
		store->config.queue_len = QUEUE_LEN_DEFAULT;
	if (config->linger_us == 0)
		store->config.linger_us = LINGER_US_DEFAULT;
	else if (config->linger_us == UINT32_MAX)
		store->config.linger_us = 0;
	rc = check_dir(config->dir, why, why_bytes);
	if (rc == 0) {
		rc = allocate(store);
		if (rc != 0)
			snprintf(why, why_bytes, "%s", strerror(-rc));
	}
	if (rc == 0)
		rc = take_lock(store, why, why_bytes);
	if (rc == 0)
		rc = sl_store_db_open(store, why, why_bytes);
	if (rc == 0)
		rc = read_clock(store, why, why_bytes);
	if (rc == 0)
		rc = sl_store_index(store, why, why_bytes);
	if (rc != 0) {
		sl_store_close(store);
		return rc;
	}
	*out = store;
	return 0;
}

int
sl_store_start(struct sl_store *store)
{
	int rc;

	store->started = true;
	rc = -pthread_create(&store->thread, NULL, sl_store_thread, store);
	if (rc != 0)
		store->started = false;
	else
		pthread_setname_np(store->thread, "sl-store");
	return rc;
}

void
sl_store_close(struct sl_store *store)
{
	uint64_t one = 1;

	if (store == NULL)
		return;
	if (store->started) {
		atomic_store(&store->stopping, true);
		(void)!write(store->request_fd, &one, sizeof(one));
		pthread_join(store->thread, NULL);
	}
	sl_store_db_close(store);
	for (unsigned i = 0; store->tenants != NULL && i < SL_STORE_TENANTS; i++)
		sl_pool_tenant_free(store->tenants[i]);
	free(store->tenants);
	free(store->touches);
	free(store->undo);
	sl_mpsc_free(&store->requests);
	sl_mpsc_free(&store->done);
	if (store->request_fd >= 0)
		close(store->request_fd);
	if (store->done_fd >= 0)
		close(store->done_fd);
	if (store->lock_fd >= 0)
		close(store->lock_fd);
	pthread_mutex_destroy(&store->health_lock);
	free(store->path);
	free(store->dir);
	free(store);
}

int64_t
sl_lease_load(
	struct sl_store *store, void (*each)(void *arg, const struct sl_lease *lease), void *arg
)
{
	static const char sql[] = "SELECT tenant, name, address, state, flags, owner, used, until"
				  " FROM lease";
	sqlite3_stmt *statement;
	int64_t nb = 0;
	int rc;

	if (store->started || store->db == NULL)
		return store->started ? -EBUSY : -EIO;
	if (sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL) != SQLITE_OK)
		return -EIO;
	while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
		struct sl_lease lease = {
			.tenant = (uint16_t)sqlite3_column_int(statement, 0),
			.name = (const char *)sqlite3_column_text(statement, 1),
			.address = (uint32_t)sqlite3_column_int64(statement, 2),
			.state = (uint8_t)sqlite3_column_int(statement, 3),
			.flags = (uint8_t)sqlite3_column_int(statement, 4),
			.owner = (const char *)sqlite3_column_text(statement, 5),
			.used_ns = (uint64_t)sqlite3_column_int64(statement, 6),
			.until_ns = (uint64_t)sqlite3_column_int64(statement, 7),
		};

		if (lease.name == NULL || lease.owner == NULL)
			break;
		each(arg, &lease);
		nb++;
	}
	sqlite3_finalize(statement);
	return rc == SQLITE_DONE ? nb : -EIO;
}

int64_t
sl_store_values(
	struct sl_store *store,
	const char *prefix,
	void (*each)(void *arg, const char *key, const void *value, size_t nb_bytes),
	void *arg
)
{
	static const char sql[] = "SELECT key, value FROM value"
				  " WHERE substr(key, 1, length(?1)) = ?1 ORDER BY key";
	sqlite3_stmt *statement;
	int64_t nb = 0;
	int rc;

	if (store->started || store->db == NULL)
		return store->started ? -EBUSY : -EIO;
	if (sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL) != SQLITE_OK)
		return -EIO;
	sqlite3_bind_text(statement, 1, prefix, -1, SQLITE_STATIC);
	while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
		each(arg,
		     (const char *)sqlite3_column_text(statement, 0),
		     sqlite3_column_blob(statement, 1),
		     (size_t)sqlite3_column_bytes(statement, 1));
		nb++;
	}
	sqlite3_finalize(statement);
	return rc == SQLITE_DONE ? nb : -EIO;
}

int
sl_store_fd(const struct sl_store *store)
{
	return store->done_fd;
}

unsigned
sl_store_take(struct sl_store *store, struct sl_store_done *done, unsigned nb)
{
	unsigned n = 0;
	uint64_t count = 1;

	// Emptied first: what completes after this makes it readable again.
	(void)!read(store->done_fd, &count, sizeof(count));
	while (n < nb && sl_mpsc_pop(&store->done, &done[n]))
		n++;
	atomic_fetch_sub(&store->nb_waiting, n);
	count = 1;
	if (n == nb && !sl_mpsc_empty(&store->done))
		(void)!write(store->done_fd, &count, sizeof(count));
	return n;
}

void
sl_store_health(struct sl_store *store, struct sl_store_health *health)
{
	uint64_t began_ns = atomic_load(&store->commit_began_ns);

	pthread_mutex_lock(&store->health_lock);
	*health = store->health;
	pthread_mutex_unlock(&store->health_lock);
	health->stuck_ns = began_ns == 0 ? 0 : sl_clock_now_ns() - began_ns;
	health->nb_requests = atomic_load(&store->nb_sent);
	health->nb_refused = atomic_load(&store->nb_refused);
	health->nb_leases = atomic_load(&store->nb_leases);
	health->nb_waiting = atomic_load(&store->nb_waiting);
}
