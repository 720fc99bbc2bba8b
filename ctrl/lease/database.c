#include "internal.h"
#include "schema.h"

#include <errno.h>
#include <sluice/ctrl/log.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const sql[ST_COUNT] = {
	[ST_BEGIN] = "BEGIN",
	[ST_COMMIT] = "COMMIT",
	[ST_LEASE_BY_NAME] = "SELECT address, state, flags FROM lease"
			     " WHERE tenant = ?1 AND name = ?2",
	[ST_LEASE_INSERT] = "INSERT INTO lease (tenant, name, address, state, flags, owner, used,"
			    " until) VALUES (?1, ?2, ?3, 0, ?4, ?5, ?6, 0)",
	[ST_LEASE_REVIVE] = "UPDATE lease SET state = 0, until = 0, flags = ?3, owner = ?4,"
			    " used = ?5 WHERE tenant = ?1 AND name = ?2",
	[ST_LEASE_MOVE] = "UPDATE lease SET address = ?3 WHERE tenant = ?1 AND name = ?2",
	[ST_LEASE_DRAIN] = "UPDATE lease SET state = 1 WHERE tenant = ?1 AND address = ?2"
			   " AND state = 0",
	[ST_LEASE_REST] = "UPDATE lease SET state = 2, until = ?3 WHERE tenant = ?1"
			  " AND address = ?2 AND state <> 2",
	[ST_LEASE_RECLAIM] = "DELETE FROM lease WHERE tenant = ?1 AND address = ?2 AND state = 2",
	[ST_LEASE_TOUCH] = "UPDATE lease SET used = ?3 WHERE tenant = ?1 AND address = ?2"
			   " AND used < ?3",
	[ST_LEASE_RESTED] = "DELETE FROM lease WHERE state = 2 AND until <= ?1"
			    " RETURNING tenant, address",
	[ST_LEASE_NEXT_REST] = "SELECT min(until) FROM lease WHERE state = 2",
	[ST_VALUE_GET] = "SELECT value FROM value WHERE key = ?1",
	[ST_VALUE_PUT] = "INSERT INTO value (key, value) VALUES (?1, ?2)"
			 " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
	[ST_VALUE_DELETE] = "DELETE FROM value WHERE key = ?1",
	[ST_CLIENT_ADD] = "INSERT INTO client (tenant, name, groups, public_key, psk, address,"
			  " created) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	[ST_CLIENT_REMOVE] = "DELETE FROM client WHERE tenant = ?1 AND name = ?2",
	[ST_CLIENT_LIST] = "SELECT tenant, name, groups, public_key, psk, address, created"
			   " FROM client ORDER BY tenant, name",
};

int
sl_store_db_open(struct sl_store *store, char *why, size_t why_bytes)
{
	int rc = sl_schema_open(store->path, &store->db, why, why_bytes);

	if (rc != 0)
		return rc;
	// What is read from the log file was written, but perhaps never synced: a kill or a failed
	// sync may have come between. Into the database with it, synced, before anybody is told.
	if (sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) !=
	    SQLITE_OK) {
		rc = sl_schema_error(store->db, why, why_bytes);
		sl_store_db_close(store);
		return rc;
	}
	for (unsigned i = 0; i < ST_COUNT; i++) {
		if (sqlite3_prepare_v3(
			    store->db,
			    sql[i],
			    -1,
			    SQLITE_PREPARE_PERSISTENT,
			    &store->statements[i],
			    NULL
		    ) == SQLITE_OK)
			continue;
		rc = sl_schema_error(store->db, why, why_bytes);
		sl_store_db_close(store);
		return rc;
	}
	return 0;
}

void
sl_store_db_close(struct sl_store *store)
{
	for (unsigned i = 0; i < ST_COUNT; i++) {
		sqlite3_finalize(store->statements[i]);
		store->statements[i] = NULL;
	}
	sqlite3_close(store->db);
	store->db = NULL;
}

sqlite3_stmt *
sl_store_statement(struct sl_store *store, enum sl_store_statement which)
{
	sqlite3_stmt *statement = store->statements[which];

	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	return statement;
}

int
sl_store_step(struct sl_store *store, sqlite3_stmt *statement)
{
	int rc = sqlite3_step(statement);

	if (rc == SQLITE_DONE && sqlite3_changes(store->db) > 0)
		store->wrote = true;
	sqlite3_reset(statement);
	return rc;
}

int
sl_store_note_undo(struct sl_store *store, struct sl_store_undo undo)
{
	if (store->nb_undo == store->undo_capacity) {
		size_t capacity = store->undo_capacity == 0 ? 256 : store->undo_capacity * 2;
		void *grown = realloc(store->undo, capacity * sizeof(*store->undo));

		if (grown == NULL)
			return -ENOMEM;
		store->undo = grown;
		store->undo_capacity = capacity;
	}
	store->undo[store->nb_undo++] = undo;
	return 0;
}

// What memory knows of the database, forgotten: all bits and secrets are read again.
static void
forget(struct sl_store *store)
{
	for (unsigned i = 0; i < SL_STORE_TENANTS; i++) {
		sl_pool_tenant_free(store->tenants[i]);
		store->tenants[i] = NULL;
	}
	store->nb_undo = 0;
	store->nb_leases = 0;
	store->next_rest_ns = 0;
}

int
sl_store_index(struct sl_store *store, char *why, size_t why_bytes)
{
	sqlite3_stmt *statement;
	int rc;

	forget(store);
	if (sqlite3_prepare_v2(
		    store->db, "SELECT tenant, address FROM lease", -1, &statement, NULL
	    ) != SQLITE_OK)
		return sl_schema_error(store->db, why, why_bytes);
	while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
		uint16_t id = (uint16_t)sqlite3_column_int(statement, 0);
		uint32_t idx = (uint32_t)sqlite3_column_int64(statement, 1) -
			store->config.pool.base;
		struct sl_pool_tenant *tenant = sl_store_tenant(store, id);

		if (tenant == NULL) {
			rc = SQLITE_NOMEM;
			break;
		}
		if (idx >= store->config.pool.nb || sl_pool_taken(tenant, idx))
			continue;
		sl_pool_take(tenant, idx);
		store->nb_leases++;
	}
	sqlite3_finalize(statement);
	if (rc != SQLITE_DONE)
		return sl_schema_error(rc == SQLITE_NOMEM ? NULL : store->db, why, why_bytes);
	return 0;
}
