// field: groups of the configuration as tables.
//
// A table says, for each key a group may hold, what it is, where it goes, its bounds and default.
// One reader serves all groups: it fills defaults, reports what is missing, unknown (with the key
// that was probably meant) or of the wrong type.
#pragma once

#include "arena.h"
#include "errors.h"
#include "source.h"
#include "text.h"

#include <libconfig.h>

#include <stddef.h>

#define SL_PORTS_MAX        32u // what Debian's DPDK was built for
#define SL_QUEUES_MAX       8u // of a port
#define SL_ROUTES_MAX       256u // gateways included
#define SL_CORES_MAX        64u
#define SL_WORKER_FLOWS_MAX (1u << 24) // the index in a flow id has 24 bits
#define SL_TUNNEL_UDP_PORT  4501u

struct sl_loader {
	struct sl_arena *arena;
	struct sl_source *source;
	struct sl_config *config;
	struct sl_config_errors *errors;
	const char **files; // names of source->files, in the arena
	struct sl_config_tenant *tenant; // being read
	bool ports_say_clients[SL_PORTS_MAX]; // the file itself says what the port faces
};

enum sl_field_type {
	SL_FIELD_TEXT, // const char *: any string that is not empty
	SL_FIELD_IDENTIFIER, // const char *
	SL_FIELD_PATH, // const char *, absolute or relative to the working directory
	SL_FIELD_U16, // uint16_t in min..max
	SL_FIELD_U32, // uint32_t in min..max
	SL_FIELD_BOOL, // bool
	SL_FIELD_WORD, // enum, stored as the index into words
	SL_FIELD_IP4, // uint32_t, host order
	SL_FIELD_PREFIX, // struct sl_config_prefix without host bits
	SL_FIELD_INTERFACE, // struct sl_config_prefix with host bits
	SL_FIELD_ENDPOINT, // struct sl_config_endpoint; default port in `number`
	SL_FIELD_KEY, // struct sl_public_key
	SL_FIELD_PORT, // uint16_t index of a port, by its name
	SL_FIELD_NAMES, // struct sl_config_strings of DNS names without wildcard
	SL_FIELD_PORTS, // struct sl_config_port_ranges
	SL_FIELD_OTHER, // `read` knows; `field` is the place
};

struct sl_field {
	const char *key;
	enum sl_field_type type;
	size_t offset;
	bool required;
	const char *text; // default of a string, prefix or endpoint
	uint32_t min, max, number; // bounds and default of a number; default of a bool or word
	const char *const *words; // NULL-terminated
	void (*read)(struct sl_loader *l, const config_setting_t *s, void *field);
};

#define SL_FIELDS_MAX 32u // in one table

// The struct of which `at` is a member: for readers that fill its neighbours too.
#define SL_HOLDER(at, type, member) ((type *)(void *)((char *)(at)-offsetof(type, member)))

// `what` names the group in messages: "a client". `base` is zeroed memory of the table's struct.
// `group` may be NULL: the defaults alone (required fields are then not missed).
void sl_read_group(
	struct sl_loader *l,
	const config_setting_t *group,
	const struct sl_field *fields,
	unsigned nb_fields,
	const char *what,
	void *base
);

#define SL_READ_GROUP(l, group, fields, what, base)                                                \
	sl_read_group(l, group, fields, sizeof(fields) / sizeof((fields)[0]), what, base)

// A list of groups ("clients = ( {...}, {...} )"): the number of elements, with an error and 0 when
// it is no such list. NULL is an empty list.
unsigned sl_list_length(struct sl_loader *l, const config_setting_t *list, const char *what);

// An array or list of strings, or one string: NULL-safe length, and element or NULL with an error.
unsigned sl_strings_length(struct sl_loader *l, const config_setting_t *s);
const char *sl_strings_get(
	struct sl_loader *l, const config_setting_t *s, unsigned idx, const config_setting_t **at
);

struct sl_config_where sl_where(const struct sl_loader *l, const config_setting_t *s);
// Report at `s`; the format's halves are parted by '|' as in sl_config_error.
#define SL_COMPLAIN(l, s, ...) sl_config_error((l)->errors, sl_where(l, s), __VA_ARGS__)

// One scalar, as the table reader does it; for readers of their own.
bool sl_get_text(struct sl_loader *l, const config_setting_t *s, const char **text);
bool sl_get_number(
	struct sl_loader *l, const config_setting_t *s, uint32_t min, uint32_t max, uint32_t *n
);
void sl_get_prefix(
	struct sl_loader *l,
	const config_setting_t *s,
	const char *text,
	struct sl_config_prefix *prefix
);
void sl_get_interface(
	struct sl_loader *l,
	const config_setting_t *s,
	const char *text,
	struct sl_config_prefix *prefix
);
void sl_get_endpoint(
	struct sl_loader *l,
	const config_setting_t *s,
	const char *text,
	uint16_t port,
	struct sl_config_endpoint *endpoint
);
void sl_get_key(
	struct sl_loader *l, const config_setting_t *s, const char *text, struct sl_public_key *key
);
void
sl_get_port(struct sl_loader *l, const config_setting_t *s, const char *text, uint16_t *port_idx);
void
sl_get_word(struct sl_loader *l, const config_setting_t *s, const char *const *words, int *value);
void sl_get_names(struct sl_loader *l, const config_setting_t *s, struct sl_config_strings *names);
void
sl_get_ports(struct sl_loader *l, const config_setting_t *s, struct sl_config_port_ranges *ranges);
// The name in normal form in the arena, or NULL and an error.
const char *sl_get_pattern(struct sl_loader *l, const config_setting_t *s, const char *text);
const char *sl_get_name(struct sl_loader *l, const config_setting_t *s, const char *text);

// Index of `text` in `words`, or nb and an error "the WHAT 'TEXT' is not defined" with what was
// probably meant.
unsigned sl_get_reference(
	struct sl_loader *l,
	const config_setting_t *s,
	const char *what,
	const char *text,
	const char *const *words,
	unsigned nb
);
