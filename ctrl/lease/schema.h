// schema: the shape of the state on disk and the way from one version to the next.
#pragma once

#include <sqlite3.h>
#include <stddef.h>

// Open `path` in the durability that the store promises, or create it. Returns 0 and the
// connection, or -errno and why with the remedy.
[[nodiscard]] int sl_schema_open(const char *path, sqlite3 **db, char *why, size_t why_bytes);

// Bring `db` from the version it has to `nb_steps`: steps[n] leads from version n to n + 1, each in
// a transaction of its own. A version beyond `nb_steps` is -EPROTO and left alone.
[[nodiscard]] int sl_schema_upgrade(
	sqlite3 *db, const char *const *steps, unsigned nb_steps, char *why, size_t why_bytes
);

// -errno for what SQLite said last, and in `why` a sentence with the remedy.
int sl_schema_error(sqlite3 *db, char *why, size_t why_bytes);
