#include "internal.h"

#include <errno.h>
#include <sluice/proto/aead.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

// A request with its text and value behind it; NULL when out of memory.
static struct sl_store_request *
request_new(
	enum sl_store_op op,
	const char *name,
	const char *owner,
	const void *value,
	size_t value_bytes
)
{
	size_t name_bytes = strlen(name) + 1, owner_bytes = strlen(owner) + 1;
	struct sl_store_request *request;
	char *at;

	request = calloc(1, sizeof(*request) + value_bytes + name_bytes + owner_bytes);
	if (request == NULL)
		return NULL;
	request->op = (uint8_t)op;
	at = request->data;
	if (value_bytes != 0)
		memcpy(at, value, value_bytes);
	request->value = at;
	request->value_bytes = value_bytes;
	at += value_bytes;
	memcpy(at, name, name_bytes);
	request->name = at;
	at += name_bytes;
	memcpy(at, owner, owner_bytes);
	request->owner = at;
	return request;
}

// Give the request away, or free it and say why not.
static int
send_request(struct sl_store *store, struct sl_store_request *request)
{
	uint64_t one = 1;

	if (request == NULL)
		return -ENOMEM;
	if (atomic_fetch_add(&store->nb_waiting, 1) >= store->config.queue_len ||
	    !sl_mpsc_push(&store->requests, &request)) {
		atomic_fetch_sub(&store->nb_waiting, 1);
		atomic_fetch_add(&store->nb_refused, 1);
		free(request);
		return -EAGAIN;
	}
	atomic_fetch_add(&store->nb_sent, 1);
	(void)!write(store->request_fd, &one, sizeof(one));
	return 0;
}

int
sl_lease_acquire(
	struct sl_store *store,
	uint64_t cookie,
	uint16_t tenant,
	const char *name,
	const char *owner,
	uint8_t flags
)
{
	struct sl_store_request *request;

	if (strlen(name) >= SL_STORE_NAME_BYTES || strlen(owner) >= SL_STORE_OWNER_BYTES)
		return -ENAMETOOLONG;
	request = request_new(OP_ACQUIRE, name, owner, NULL, 0);
	if (request != NULL) {
		request->cookie = cookie;
		request->tenant = tenant;
		request->flags = flags;
	}
	return send_request(store, request);
}

static int
send_change(
	struct sl_store *store,
	enum sl_store_op op,
	uint64_t cookie,
	uint16_t tenant,
	uint32_t address,
	uint64_t rest_ns
)
{
	struct sl_store_request *request = request_new(op, "", "", NULL, 0);

	if (request != NULL) {
		request->cookie = cookie;
		request->tenant = tenant;
		request->address = address;
		request->rest_ns = rest_ns;
	}
	return send_request(store, request);
}

int
sl_lease_drain(struct sl_store *store, uint64_t cookie, uint16_t tenant, uint32_t address)
{
	return send_change(store, OP_DRAIN, cookie, tenant, address, 0);
}

int
sl_lease_rest(
	struct sl_store *store, uint64_t cookie, uint16_t tenant, uint32_t address, uint64_t rest_ns
)
{
	return send_change(store, OP_REST, cookie, tenant, address, rest_ns);
}

int
sl_lease_reclaim(struct sl_store *store, uint64_t cookie, uint16_t tenant, uint32_t address)
{
	return send_change(store, OP_RECLAIM, cookie, tenant, address, 0);
}

void
sl_lease_touch(struct sl_store *store, uint16_t tenant, uint32_t address)
{
	// Touches give way: the second half of the queue is for what somebody waits for.
	if (atomic_load(&store->nb_waiting) < store->config.queue_len / 2)
		(void)!send_change(store, OP_TOUCH, 0, tenant, address, 0);
}

int
sl_store_put(
	struct sl_store *store, uint64_t cookie, const char *key, const void *value, size_t nb_bytes
)
{
	struct sl_store_request *request;

	if (strlen(key) >= SL_STORE_KEY_BYTES || nb_bytes > SL_STORE_VALUE_BYTES)
		return -ENAMETOOLONG;
	request = request_new(OP_PUT, key, "", value, nb_bytes);
	if (request != NULL)
		request->cookie = cookie;
	return send_request(store, request);
}

// ---- For callers that wait ----

static struct sl_store_wait *
wait_new(void)
{
	struct sl_store_wait *wait = calloc(1, sizeof(*wait));

	if (wait == NULL)
		return NULL;
	sem_init(&wait->done, 0, 0);
	atomic_init(&wait->nb_refs, 2); // the caller's and the request's
	wait->status = SL_STORE_FAILED;
	return wait;
}

void
sl_store_wait_put(struct sl_store_wait *wait)
{
	if (atomic_fetch_sub(&wait->nb_refs, 1) != 1)
		return;
	sem_destroy(&wait->done);
	if (wait->clients != NULL)
		sl_wipe(wait->clients, wait->nb_clients * sizeof(*wait->clients));
	free(wait->clients);
	sl_wipe(wait, sizeof(*wait));
	free(wait);
}

static int
await(struct sl_store_wait *wait)
{
	static const int errors[] = {
		[SL_STORE_OK] = 0,
		[SL_STORE_EXHAUSTED] = ENOSPC,
		[SL_STORE_NOT_FOUND] = ENOENT,
		[SL_STORE_EXISTS] = EEXIST,
		[SL_STORE_FAILED] = EIO,
	};
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += SL_STORE_WAIT_S;
	while (sem_timedwait(&wait->done, &until) != 0)
		if (errno != EINTR)
			return -errno;
	return -errors[wait->status];
}

// Carry out `op` and wait for it; before the start, at once in this thread. The caller lets go of
// `wait` afterwards, whatever this returns.
static int
call(struct sl_store *store, enum sl_store_op op, uint16_t tenant, struct sl_store_wait *wait)
{
	struct sl_store_request *request = request_new(op, "", "", NULL, 0);
	int rc;

	if (request == NULL) {
		sl_store_wait_put(wait); // the request's
		return -ENOMEM;
	}
	request->wait = wait;
	request->tenant = tenant;
	if (store->started) {
		rc = send_request(store, request);
		if (rc != 0) {
			sl_store_wait_put(wait);
			return rc;
		}
	} else {
		atomic_fetch_add(&store->nb_waiting, 1);
		sl_store_batch(store, &request, 1);
	}
	return await(wait);
}

int
sl_store_tenant_secret(struct sl_store *store, uint16_t tenant, uint8_t secret[SL_SECRET_BYTES])
{
	struct sl_store_wait *wait = wait_new();
	int rc;

	if (wait == NULL)
		return -ENOMEM;
	rc = call(store, OP_SECRET, tenant, wait);
	if (rc == 0)
		memcpy(secret, wait->secret, SL_SECRET_BYTES);
	sl_store_wait_put(wait);
	return rc;
}

static int
change_client(struct sl_store *store, enum sl_store_op op, const struct sl_store_client *client)
{
	struct sl_store_wait *wait = wait_new();
	int rc;

	if (wait == NULL)
		return -ENOMEM;
	wait->client = *client;
	rc = call(store, op, 0, wait);
	sl_store_wait_put(wait);
	return rc;
}

int
sl_store_client_add(struct sl_store *store, const struct sl_store_client *client)
{
	return change_client(store, OP_CLIENT_ADD, client);
}

int
sl_store_client_remove(struct sl_store *store, const char *tenant, const char *name)
{
	struct sl_store_client client = { 0 };

	if (strlen(tenant) >= sizeof(client.tenant) || strlen(name) >= sizeof(client.name))
		return -ENOENT;
	strcpy(client.tenant, tenant);
	strcpy(client.name, name);
	return change_client(store, OP_CLIENT_REMOVE, &client);
}

int64_t
sl_store_clients(
	struct sl_store *store,
	void (*each)(void *arg, const struct sl_store_client *client),
	void *arg
)
{
	struct sl_store_wait *wait = wait_new();
	int64_t rc;

	if (wait == NULL)
		return -ENOMEM;
	rc = call(store, OP_CLIENT_LIST, 0, wait);
	if (rc == 0) {
		for (size_t i = 0; i < wait->nb_clients; i++)
			each(arg, &wait->clients[i]);
		rc = (int64_t)wait->nb_clients;
	}
	sl_store_wait_put(wait);
	return rc;
}
