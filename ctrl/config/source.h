// source: the text of a configuration, with its @include lines expanded.
//
// libconfig expands @include itself, but puts its include folder before absolute paths too and ends
// the process when an included path is a folder. So the text is put together here, and the parser
// sees one string; `lines` leads each of its lines back to where it stands.
#pragma once

#include "arena.h"

#include <sluice/ctrl/config.h>

#define SL_SOURCE_BYTES_MAX (64u << 20) // of all files together
#define SL_SOURCE_DEPTH_MAX 10u

struct sl_source {
	char *text; // NUL-terminated
	size_t nb_bytes;
	size_t room_bytes;
	struct sl_source_line {
		unsigned file_idx;
		unsigned line;
	} * lines; // of each line of text, from 0
	unsigned nb_lines;
	unsigned room_lines;
	char **files;
	unsigned nb_files;
	bool failed; // no memory, or too large
};

// Both return 0 or -errno and add errors.
[[nodiscard]] int
sl_source_read_file(struct sl_source *source, const char *path, struct sl_config_errors *errors);
[[nodiscard]] int sl_source_read_text(
	struct sl_source *source,
	const char *text,
	const char *name,
	struct sl_config_errors *errors
);
void sl_source_free(struct sl_source *source);

// Where line `line` (from 1) of the text stands.
struct sl_config_where sl_source_where(const struct sl_source *source, unsigned line);
