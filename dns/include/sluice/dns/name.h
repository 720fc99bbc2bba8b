// name: DNS names in wire and presentation form (RFC 1035 section 3.1, RFC 4343).
//
// The working form is struct sl_name: the wire form without compression, lower-cased once and
// zero-padded, together with where its labels begin, so that every suffix is a pointer into it.
// Length octets (0 to 63) are below 'A', so a whole name is lower-cased without looking at labels.
#pragma once

#include <sluice/proto/limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SL_NAME_WIRE_MAX   255u // octets, the root label included
#define SL_NAME_LABELS_MAX 127u // without the root
#define SL_NAME_TEXT_MAX   1024u // room for any name with every octet escaped, and NUL

#define SL_NO_NAME UINT32_MAX // a name id that refers to nothing

// A parsed name. Octets of `wire` beyond `nb_bytes` are undefined. 400 bytes: for the stack.
struct sl_name {
	uint16_t nb_bytes; // of wire, root label included: 1 to 255
	uint8_t nb_labels; // without the root
	uint8_t label_at
		[SL_NAME_LABELS_MAX + 1]; // offsets in wire; label_at[nb_labels] is the root
	uint8_t wire[SL_NAME_WIRE_MAX + 9]; // lower case; padded so that it may be read by words
};

// Key of name hashes: random per process, so that names cannot be chosen to collide. One key serves
// all tables of a process, and a name is hashed once.
struct sl_name_key {
	uint64_t word[4]; // no word zero
};

enum sl_name_verdict {
	SL_NAME_OK = 0,
	SL_NAME_CUT, // runs past the end of the message
	SL_NAME_BAD_LABEL, // a length octet 0x40 to 0xbf, or an empty or over-long label
	SL_NAME_TOO_LONG, // more than 255 octets
	SL_NAME_LOOP, // a compression pointer that does not point backward
};

// Parse the name at `offset` of a message of `nb_bytes`, following compression pointers, which must
// point backward each time (so no loop can be). `next` (may be NULL) becomes the offset after the
// name as it stands in the message.
enum sl_name_verdict sl_name_parse(
	struct sl_name *name, const uint8_t *message, size_t nb_bytes, size_t offset, size_t *next
);

// As sl_name_parse(), but takes no pointer (question of a query: there is nothing to point at). Hot.
enum sl_name_verdict sl_name_parse_plain(
	struct sl_name *name, const uint8_t *message, size_t nb_bytes, size_t offset, size_t *next
);

// From presentation form, with or without the trailing dot; "." is the root. \DDD and \X escapes are
// understood. Names may be of any octets; see is_host.
[[nodiscard]] enum sl_name_verdict sl_name_from_text(struct sl_name *name, const char *text);

// Presentation form without trailing dot (the root is "."), lower case, octets that are not
// printable and dots inside labels escaped. Returns the length, or 0 if `room` is too small.
size_t sl_name_to_text(const struct sl_name *name, char *text, size_t room);

// Keyed 64-bit hash of a whole name or, with sl_name_hash_from(), of the suffix that begins at
// label `label` (0: all of it; nb_labels: the root).
uint64_t sl_name_hash(const struct sl_name *name, const struct sl_name_key *key);
uint64_t
sl_name_hash_from(const struct sl_name *name, unsigned label, const struct sl_name_key *key);

// Fill a key from 32 random octets.
void sl_name_key_init(struct sl_name_key *key, const uint8_t random[32]);

// Every octet is a letter, a digit, '-' or '_', and it is not the root: it may be a resource's name.
bool sl_name_is_host(const struct sl_name *name);

bool sl_name_equal(const struct sl_name *a, const struct sl_name *b);
// True when `name` is `zone` or below it.
bool sl_name_is_under(const struct sl_name *name, const struct sl_name *zone);
// Compare wire names case-insensitively (two uncompressed wire names of any case).
bool sl_name_wire_equal(const uint8_t *a, const uint8_t *b, size_t nb_bytes);

// d.c.b.a.in-addr.arpa, whole. `address` becomes a.b.c.d in host order.
bool sl_name_is_ptr4(const struct sl_name *name, uint32_t *address);
// Any name at or below in-addr.arpa: the address octets it fixes, most significant first, and how
// many bits they are (0, 8, 16, 24, 32). False for a name that is not under in-addr.arpa or whose
// labels there are not decimal octets.
bool sl_name_reverse4(const struct sl_name *name, uint32_t *address, unsigned *nb_bits);
