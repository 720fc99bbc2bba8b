#include "internal.h"

#include <openssl/rand.h>

#include <errno.h>
#include <sluice/proto/aead.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sl_pool_tenant *
sl_store_tenant(struct sl_store *store, uint16_t id)
{
	if (store->tenants[id] == NULL)
		store->tenants[id] = sl_pool_tenant_new(store->config.pool.nb);
	return store->tenants[id];
}

static void
bind_text(sqlite3_stmt *statement, int idx, const char *text)
{
	sqlite3_bind_text(statement, idx, text, -1, SQLITE_STATIC);
}

static void
bind_lease(sqlite3_stmt *statement, const struct sl_store_request *request)
{
	sqlite3_bind_int(statement, 1, request->tenant);
	sqlite3_bind_int64(statement, 2, request->address);
}

static bool
in_pool(const struct sl_store *store, uint32_t address)
{
	return address - store->config.pool.base < store->config.pool.nb;
}

// The lease of `address` is gone from the database: free the address in memory as well.
static bool
give_back(struct sl_store *store, uint16_t id, uint32_t address)
{
	struct sl_pool_tenant *tenant = sl_store_tenant(store, id);
	uint32_t idx = address - store->config.pool.base;

	if (tenant == NULL)
		return false;
	if (!in_pool(store, address) || !sl_pool_taken(tenant, idx))
		return true;
	if (sl_store_note_undo(store, (struct sl_store_undo){ UNDO_GIVE, idx, tenant }) != 0)
		return false;
	sl_pool_give(tenant, idx);
	store->nb_leases--;
	return true;
}

static bool
write_value(struct sl_store *store, const char *key, const void *value, size_t nb_bytes)
{
	sqlite3_stmt *statement = sl_store_statement(store, ST_VALUE_PUT);

	bind_text(statement, 1, key);
	sqlite3_bind_blob(statement, 2, value, (int)nb_bytes, SQLITE_STATIC);
	return sl_store_step(store, statement) == SQLITE_DONE;
}

// Have the tenant's secret in memory: from disk, or made and written in this transaction.
static bool
need_secret(struct sl_store *store, uint16_t id, struct sl_pool_tenant *tenant)
{
	sqlite3_stmt *statement = sl_store_statement(store, ST_VALUE_GET);
	char key[32];
	int rc;

	if (tenant->has_secret)
		return true;
	snprintf(key, sizeof(key), "secret/%u", id);
	bind_text(statement, 1, key);
	rc = sqlite3_step(statement);
	if (rc == SQLITE_ROW && sqlite3_column_bytes(statement, 0) == SL_SECRET_BYTES) {
		memcpy(tenant->secret, sqlite3_column_blob(statement, 0), SL_SECRET_BYTES);
		tenant->has_secret = true;
		sqlite3_reset(statement);
		return true;
	}
	sqlite3_reset(statement);
	if ((rc != SQLITE_DONE && rc != SQLITE_ROW) ||
	    sl_store_note_undo(store, (struct sl_store_undo){ UNDO_SECRET, 0, tenant }) != 0 ||
	    RAND_bytes(tenant->secret, SL_SECRET_BYTES) != 1)
		return false;
	tenant->has_secret = write_value(store, key, tenant->secret, SL_SECRET_BYTES);
	return tenant->has_secret;
}

// Take the first free address of the name's sequence; the pool has one.
static bool
take_free(
	struct sl_store *store, struct sl_pool_tenant *tenant, const char *name, uint32_t *address
)
{
	struct sl_probe probe;
	uint32_t idx;

	if (sl_probe_begin(&probe, tenant, name, store->config.pool.nb) != 0)
		return false;
	do
		idx = sl_probe_next(&probe);
	while (sl_pool_taken(tenant, idx));
	if (sl_store_note_undo(store, (struct sl_store_undo){ UNDO_TAKE, idx, tenant }) != 0)
		return false;
	sl_pool_take(tenant, idx);
	store->nb_leases++;
	*address = store->config.pool.base + idx;
	return true;
}

static bool
insert_lease(struct sl_store *store, const struct sl_store_request *request)
{
	sqlite3_stmt *statement = sl_store_statement(store, ST_LEASE_INSERT);

	sqlite3_bind_int(statement, 1, request->tenant);
	bind_text(statement, 2, request->name);
	sqlite3_bind_int64(statement, 3, request->address);
	sqlite3_bind_int(statement, 4, request->flags);
	bind_text(statement, 5, request->owner);
	sqlite3_bind_int64(statement, 6, (int64_t)sl_store_wall_ns(store));
	return sl_store_step(store, statement) == SQLITE_DONE;
}

// A new address for (tenant, name). `have_row`: the lease is there, at an address outside the pool.
static bool
acquire_address(struct sl_store *store, struct sl_store_request *request, bool have_row)
{
	struct sl_pool_tenant *tenant = sl_store_tenant(store, request->tenant);
	sqlite3_stmt *statement;

	if (tenant == NULL || !need_secret(store, request->tenant, tenant))
		return false;
	if (tenant->nb_taken >= store->config.pool.nb && !sl_store_end_rests(store))
		return false;
	if (tenant->nb_taken >= store->config.pool.nb) {
		request->status = SL_STORE_EXHAUSTED;
		return true;
	}
	if (!take_free(store, tenant, request->name, &request->address))
		return false;
	if (!have_row)
		return insert_lease(store, request);
	statement = sl_store_statement(store, ST_LEASE_MOVE);
	sqlite3_bind_int(statement, 1, request->tenant);
	bind_text(statement, 2, request->name);
	sqlite3_bind_int64(statement, 3, request->address);
	return sl_store_step(store, statement) == SQLITE_DONE;
}

static bool
revive(struct sl_store *store, const struct sl_store_request *request)
{
	sqlite3_stmt *statement = sl_store_statement(store, ST_LEASE_REVIVE);

	sqlite3_bind_int(statement, 1, request->tenant);
	bind_text(statement, 2, request->name);
	sqlite3_bind_int(statement, 3, request->flags);
	bind_text(statement, 4, request->owner);
	sqlite3_bind_int64(statement, 5, (int64_t)sl_store_wall_ns(store));
	return sl_store_step(store, statement) == SQLITE_DONE;
}

static bool
acquire(struct sl_store *store, struct sl_store_request *request)
{
	sqlite3_stmt *statement = sl_store_statement(store, ST_LEASE_BY_NAME);
	int rc, state, flags;

	sqlite3_bind_int(statement, 1, request->tenant);
	bind_text(statement, 2, request->name);
	rc = sqlite3_step(statement);
	if (rc == SQLITE_DONE)
		return acquire_address(store, request, false);
	if (rc != SQLITE_ROW)
		return false;
	request->address = (uint32_t)sqlite3_column_int64(statement, 0);
	state = sqlite3_column_int(statement, 1);
	flags = sqlite3_column_int(statement, 2);
	sqlite3_reset(statement);
	request->state_before = (uint8_t)(state + 1);
	// The pool was changed since: the name moves into it.
	if (!in_pool(store, request->address) && !acquire_address(store, request, true))
		return false;
	if (request->status != SL_STORE_OK || (state == SL_LEASE_ACTIVE && flags == request->flags))
		return true;
	return revive(store, request);
}

// Run a statement that changes the lease of the request: NOT_FOUND when there was none.
static bool
change_lease(struct sl_store *store, struct sl_store_request *request, sqlite3_stmt *statement)
{
	if (sl_store_step(store, statement) != SQLITE_DONE)
		return false;
	if (sqlite3_changes(store->db) == 0)
		request->status = SL_STORE_NOT_FOUND;
	return true;
}

static bool
rest(struct sl_store *store, struct sl_store_request *request)
{
	sqlite3_stmt *statement = sl_store_statement(store, ST_LEASE_REST);
	uint64_t until_ns = sl_store_wall_ns(store) + request->rest_ns;

	if (until_ns > INT64_MAX)
		until_ns = INT64_MAX;
	bind_lease(statement, request);
	sqlite3_bind_int64(statement, 3, (int64_t)until_ns);
	if (until_ns < store->next_rest_ns)
		store->next_rest_ns = until_ns;
	return change_lease(store, request, statement);
}

static bool
reclaim(struct sl_store *store, struct sl_store_request *request)
{
	sqlite3_stmt *statement = sl_store_statement(store, ST_LEASE_RECLAIM);

	bind_lease(statement, request);
	if (!change_lease(store, request, statement))
		return false;
	return request->status != SL_STORE_OK ||
		give_back(store, request->tenant, request->address);
}

// Touches wait in memory; too many of them are forgotten, which only makes leases look older.
static bool
touch(struct sl_store *store, const struct sl_store_request *request)
{
	if (store->nb_touches < SL_STORE_TOUCHES)
		store->touches[store->nb_touches++] = (struct sl_store_touch){
			.used_ns = sl_store_wall_ns(store),
			.address = request->address,
			.tenant = request->tenant,
		};
	return true;
}

static bool
put(struct sl_store *store, struct sl_store_request *request)
{
	sqlite3_stmt *statement;

	if (request->value_bytes != 0)
		return write_value(store, request->name, request->value, request->value_bytes);
	statement = sl_store_statement(store, ST_VALUE_DELETE);
	bind_text(statement, 1, request->name);
	return change_lease(store, request, statement);
}

static bool
secret(struct sl_store *store, struct sl_store_request *request)
{
	struct sl_pool_tenant *tenant = sl_store_tenant(store, request->tenant);

	if (tenant == NULL || !need_secret(store, request->tenant, tenant))
		return false;
	memcpy(request->wait->secret, tenant->secret, SL_SECRET_BYTES);
	return true;
}

static bool
client_add(struct sl_store *store, struct sl_store_request *request)
{
	sqlite3_stmt *statement = sl_store_statement(store, ST_CLIENT_ADD);
	const struct sl_store_client *client = &request->wait->client;
	int rc;

	bind_text(statement, 1, client->tenant);
	bind_text(statement, 2, client->name);
	bind_text(statement, 3, client->groups);
	sqlite3_bind_blob(statement, 4, client->public_key, 32, SQLITE_STATIC);
	sqlite3_bind_blob(statement, 5, client->psk, 32, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 6, client->address);
	sqlite3_bind_int64(statement, 7, (int64_t)sl_store_wall_ns(store));
	rc = sl_store_step(store, statement);
	if (rc == SQLITE_CONSTRAINT) {
		request->status = SL_STORE_EXISTS;
		return true;
	}
	return rc == SQLITE_DONE;
}

static bool
client_remove(struct sl_store *store, struct sl_store_request *request)
{
	sqlite3_stmt *statement = sl_store_statement(store, ST_CLIENT_REMOVE);

	bind_text(statement, 1, request->wait->client.tenant);
	bind_text(statement, 2, request->wait->client.name);
	return change_lease(store, request, statement);
}

static void
copy_text(char *to, size_t size, sqlite3_stmt *statement, int column)
{
	const char *text = (const char *)sqlite3_column_text(statement, column);

	snprintf(to, size, "%s", text == NULL ? "" : text);
}

static void
copy_key(uint8_t to[32], sqlite3_stmt *statement, int column)
{
	if (sqlite3_column_bytes(statement, column) == 32)
		memcpy(to, sqlite3_column_blob(statement, column), 32);
}

// Room for one more client in the list; capacities are powers of two. A plain realloc would leave
// keys behind in freed memory.
static bool
grow_clients(struct sl_store_wait *wait)
{
	size_t nb = wait->nb_clients;
	struct sl_store_client *grown;

	if ((nb & (nb - 1)) != 0)
		return true;
	grown = calloc(nb == 0 ? 1 : nb * 2, sizeof(*grown));
	if (grown == NULL)
		return false;
	if (nb != 0) {
		memcpy(grown, wait->clients, nb * sizeof(*grown));
		sl_wipe(wait->clients, nb * sizeof(*grown));
	}
	free(wait->clients);
	wait->clients = grown;
	return true;
}

static bool
client_list(struct sl_store *store, struct sl_store_request *request)
{
	sqlite3_stmt *statement = sl_store_statement(store, ST_CLIENT_LIST);
	struct sl_store_wait *wait = request->wait;
	int rc;

	while ((rc = sqlite3_step(statement)) == SQLITE_ROW && grow_clients(wait)) {
		struct sl_store_client *client = &wait->clients[wait->nb_clients++];

		copy_text(client->tenant, sizeof(client->tenant), statement, 0);
		copy_text(client->name, sizeof(client->name), statement, 1);
		copy_text(client->groups, sizeof(client->groups), statement, 2);
		copy_key(client->public_key, statement, 3);
		copy_key(client->psk, statement, 4);
		client->address = (uint32_t)sqlite3_column_int64(statement, 5);
		client->created_ns = (uint64_t)sqlite3_column_int64(statement, 6);
	}
	sqlite3_reset(statement);
	return rc == SQLITE_DONE;
}

bool
sl_store_operate(struct sl_store *store, struct sl_store_request *request)
{
	sqlite3_stmt *statement;

	request->status = SL_STORE_OK;
	switch ((enum sl_store_op)request->op) {
	case OP_ACQUIRE:
		return acquire(store, request);
	case OP_DRAIN:
		statement = sl_store_statement(store, ST_LEASE_DRAIN);
		bind_lease(statement, request);
		return change_lease(store, request, statement);
	case OP_REST:
		return rest(store, request);
	case OP_RECLAIM:
		return reclaim(store, request);
	case OP_TOUCH:
		return touch(store, request);
	case OP_PUT:
		return put(store, request);
	case OP_SECRET:
		return secret(store, request);
	case OP_CLIENT_ADD:
		return client_add(store, request);
	case OP_CLIENT_REMOVE:
		return client_remove(store, request);
	case OP_CLIENT_LIST:
		return client_list(store, request);
	}
	return false;
}

bool
sl_store_end_rests(struct sl_store *store)
{
	uint64_t now_ns = sl_store_wall_ns(store);
	sqlite3_stmt *statement;
	int rc;

	if (now_ns < store->next_rest_ns)
		return true;
	statement = sl_store_statement(store, ST_LEASE_RESTED);
	sqlite3_bind_int64(statement, 1, (int64_t)now_ns);
	while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
		store->wrote = true;
		if (!give_back(
			    store,
			    (uint16_t)sqlite3_column_int(statement, 0),
			    (uint32_t)sqlite3_column_int64(statement, 1)
		    )) {
			rc = SQLITE_NOMEM;
			break;
		}
	}
	sqlite3_reset(statement);
	if (rc != SQLITE_DONE)
		return false;
	statement = sl_store_statement(store, ST_LEASE_NEXT_REST);
	if (sqlite3_step(statement) != SQLITE_ROW)
		return false;
	store->next_rest_ns = sqlite3_column_type(statement, 0) == SQLITE_NULL
		? UINT64_MAX
		: (uint64_t)sqlite3_column_int64(statement, 0);
	sqlite3_reset(statement);
	return true;
}

bool
sl_store_write_touches(struct sl_store *store)
{
	for (unsigned i = 0; i < SL_STORE_BATCH && store->nb_touches != 0; i++) {
		const struct sl_store_touch *t = &store->touches[--store->nb_touches];
		sqlite3_stmt *statement = sl_store_statement(store, ST_LEASE_TOUCH);

		sqlite3_bind_int(statement, 1, t->tenant);
		sqlite3_bind_int64(statement, 2, t->address);
		sqlite3_bind_int64(statement, 3, (int64_t)t->used_ns);
		if (sl_store_step(store, statement) != SQLITE_DONE)
			return false;
	}
	return true;
}

bool
sl_store_write_clock(struct sl_store *store)
{
	uint64_t now_ns = sl_store_wall_ns(store);

	return write_value(store, SL_STORE_CLOCK, &now_ns, sizeof(now_ns));
}
