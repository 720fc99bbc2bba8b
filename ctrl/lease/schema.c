#include "schema.h"

#include <assert.h>
#include <errno.h>
#include <sluice/ctrl/store.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define APPLICATION_ID "1397507909" // "SLUE", says file(1) and the check below

// Step n leads from version n to n + 1. A step that was released is never changed.
static const char *const steps[] = {
	"CREATE TABLE lease ("
	" tenant INTEGER NOT NULL, name TEXT NOT NULL, address INTEGER NOT NULL,"
	" state INTEGER NOT NULL, flags INTEGER NOT NULL, owner TEXT NOT NULL,"
	" used INTEGER NOT NULL, until INTEGER NOT NULL,"
	" PRIMARY KEY (tenant, name), UNIQUE (tenant, address)) STRICT, WITHOUT ROWID;"
	"CREATE INDEX lease_resting ON lease (until) WHERE state = 2;"
	"CREATE TABLE value (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;"
	"CREATE TABLE client ("
	" tenant TEXT NOT NULL, name TEXT NOT NULL, groups TEXT NOT NULL,"
	" public_key BLOB NOT NULL UNIQUE, psk BLOB NOT NULL, address INTEGER NOT NULL,"
	" created INTEGER NOT NULL,"
	" PRIMARY KEY (tenant, name), UNIQUE (tenant, address)) STRICT, WITHOUT ROWID;",
};

static_assert(sizeof(steps) / sizeof(steps[0]) == SL_STORE_SCHEMA);

int
sl_schema_error(sqlite3 *db, char *why, size_t why_bytes)
{
	static const struct {
		int code;
		int error;
		const char *remedy;
	} rows[] = {
		{ SQLITE_FULL, ENOSPC, "make room on the disk of the state directory" },
		{ SQLITE_IOERR, EIO, "check the disk (dmesg), then restore or remove the state" },
		{ SQLITE_READONLY, EROFS, "mount it writable and give it to the daemon's user" },
		{ SQLITE_CANTOPEN, EACCES, "check owner and mode of the state directory" },
		{ SQLITE_PERM, EACCES, "check owner and mode of the state directory" },
		{ SQLITE_BUSY, EBUSY, "end the other program that has the state open" },
		{ SQLITE_CORRUPT, EUCLEAN, "restore the state from a copy, or remove it" },
		{ SQLITE_NOTADB, EUCLEAN, "this is no state of sluice: remove it" },
		{ SQLITE_NOMEM, ENOMEM, "give the machine more memory" },
	};
	int code = db == NULL ? SQLITE_NOMEM : sqlite3_extended_errcode(db);

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].code != (code & 0xff))
			continue;
		snprintf(why, why_bytes, "%s; %s", sqlite3_errstr(code), rows[i].remedy);
		return -rows[i].error;
	}
	snprintf(why, why_bytes, "%s", db == NULL ? "out of memory" : sqlite3_errmsg(db));
	return -EIO;
}

static int
read_number(sqlite3 *db, const char *sql, int64_t *number)
{
	sqlite3_stmt *statement;
	int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);

	if (rc != SQLITE_OK)
		return rc;
	rc = sqlite3_step(statement);
	if (rc == SQLITE_ROW)
		*number = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return rc == SQLITE_ROW ? SQLITE_OK : rc;
}

static int
one_step(sqlite3 *db, const char *sql, unsigned to)
{
	char version[64];

	snprintf(version, sizeof(version), "PRAGMA user_version = %u; COMMIT", to);
	if (sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
		return -1;
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK &&
	    sqlite3_exec(db, version, NULL, NULL, NULL) == SQLITE_OK)
		return 0;
	return -1;
}

int
sl_schema_upgrade(
	sqlite3 *db, const char *const *list, unsigned nb_steps, char *why, size_t why_bytes
)
{
	int64_t version = 0;

	if (read_number(db, "PRAGMA user_version", &version) != SQLITE_OK)
		return sl_schema_error(db, why, why_bytes);
	if (version > nb_steps) {
		snprintf(
			why,
			why_bytes,
			"the state has schema %lld, this program knows up to %u; install the "
			"version of sluice that wrote it, or a newer one",
			(long long)version,
			nb_steps
		);
		return -EPROTO;
	}
	for (; version < nb_steps; version++) {
		int rc;

		if (one_step(db, list[version], (unsigned)version + 1) == 0)
			continue;
		rc = sl_schema_error(db, why, why_bytes);
		sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
		return rc;
	}
	return 0;
}

// A database of another program has another number; a new one has 0 and no tables.
static int
check_application(sqlite3 *db, char *why, size_t why_bytes)
{
	int64_t id = 0, nb_tables = 0;

	if (read_number(db, "PRAGMA application_id", &id) != SQLITE_OK ||
	    read_number(db, "SELECT count(*) FROM sqlite_schema", &nb_tables) != SQLITE_OK)
		return sl_schema_error(db, why, why_bytes);
	if (id == 0 && nb_tables == 0) {
		if (sqlite3_exec(db, "PRAGMA application_id = " APPLICATION_ID, NULL, NULL, NULL) !=
		    SQLITE_OK)
			return sl_schema_error(db, why, why_bytes);
		return 0;
	}
	if (id == atoll(APPLICATION_ID))
		return 0;
	snprintf(
		why,
		why_bytes,
		"the file belongs to another program; name another directory in system.state_dir"
	);
	return -EUCLEAN;
}

int
sl_schema_open(const char *path, sqlite3 **db, char *why, size_t why_bytes)
{
	// EXCLUSIVE, before anything is read: no shared memory file, no other program in between.
	static const char exclusive[] = "PRAGMA locking_mode = EXCLUSIVE;";
	// WAL and FULL: a commit is on disk when COMMIT returns.
	static const char pragmas[] = "PRAGMA journal_mode = WAL;"
				      "PRAGMA synchronous = FULL;"
				      "PRAGMA temp_store = MEMORY;";
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
	int64_t synchronous = 0;
	int rc;

	if (sqlite3_open_v2(path, db, flags, NULL) != SQLITE_OK ||
	    sqlite3_exec(*db, exclusive, NULL, NULL, NULL) != SQLITE_OK) {
		rc = sl_schema_error(*db, why, why_bytes);
		goto fail;
	}
	rc = check_application(*db, why, why_bytes);
	if (rc != 0)
		goto fail;
	if (sqlite3_exec(*db, pragmas, NULL, NULL, NULL) != SQLITE_OK ||
	    read_number(*db, "PRAGMA synchronous", &synchronous) != SQLITE_OK || synchronous != 2) {
		rc = sl_schema_error(*db, why, why_bytes);
		goto fail;
	}
	rc = sl_schema_upgrade(*db, steps, SL_STORE_SCHEMA, why, why_bytes);
	if (rc == 0)
		return 0;
fail:
	sqlite3_close(*db);
	*db = NULL;
	return rc;
}
