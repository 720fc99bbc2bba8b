// json: the documents that the control socket answers with, on top of jansson.
//
// A document is either a table that sluicectl renders
//
//   {"title": "drops", "columns": [{"name": "reason", "align": "left", "unit": ""}, ...],
//    "rows": [["flow_denied", 12, ...], ...], "notes": ["..."]}
//
// or {"tables": [table, ...]}, or {"text": "..."}, or anything else, which it prints as it stands.
// Numbers are raw in base units; the unit of the column says what they are, and sluicectl shortens
// them for people.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum sl_align { SL_ALIGN_LEFT, SL_ALIGN_RIGHT };

struct sl_column {
	const char *name;
	enum sl_align align;
	// "" (as is), "bytes", "pkts", "bps", "pps", "cycles", "ns", "s", "percent", "count"
	const char *unit;
	bool is_detail; // for programs, and for terminals wide enough for all columns
};

// A table without rows. NULL when out of memory, which the functions below pass on.
json_t *sl_json_table(const char *title, const struct sl_column *columns, unsigned nb_columns);

// Add a row; `fmt` and what follows are those of json_pack() without the outer brackets, one
// element a column: sl_json_row(t, "sIs?", name, (json_int_t)count, state). A table that is NULL
// or cannot grow stays as it is.
void sl_json_row(json_t *table, const char *fmt, ...);

// Add a sentence below the table: what was left out, how to see more.
void sl_json_note(json_t *table, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

// A string from elsewhere (a DNS name, a device's word): octets that are not UTF-8 become '?', where
// json_string() and json_pack("s") would give nothing. Use it with "o" in sl_json_row().
json_t *sl_json_str(const char *text);

// {"text": ...}
json_t *sl_json_text(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

// "100.96.1.2" from host order, and the same from 16 octets (IPv4-mapped shown as IPv4).
json_t *sl_json_ip4(uint32_t address);
json_t *sl_json_ip(const uint8_t address[16]);

// RFC 3339 UTC with microseconds from the wall clock, null for 0.
json_t *sl_json_time(uint64_t wall_ns);

// The same as text; `text` takes 28 characters and a NUL.
#define SL_TIME_CHARS 28u
void sl_time_format(uint64_t wall_ns, char text[SL_TIME_CHARS + 1]);
