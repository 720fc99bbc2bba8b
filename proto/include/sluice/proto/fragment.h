// fragment: records that exceed the path, cut into fragments and put together again.
//
// Each fragment is a record with the type, flags, generation, flow id and TOS/TTL of the whole and
// the fragment extension besides; offsets count octets of the whole record's body.
#pragma once

#include <sluice/proto/assembly.h>
#include <sluice/proto/record.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Cuts a body into pieces. Sender.
struct sl_split {
	uint32_t nb_bytes; // of the whole body
	uint32_t at_bytes; // next piece begins here
	uint32_t piece_bytes; // of each but the last; a multiple of 8
};

// Prepare to cut a body of `nb_bytes` into fragments whose whole records (header, extensions and
// piece) take at most `room_bytes`. `flags` are those of the whole record. False when the body is
// empty or too large, or a fragment has no room for 8 octets.
[[nodiscard]] bool
sl_split_begin(struct sl_split *split, uint32_t nb_bytes, uint32_t room_bytes, uint8_t flags);

// The next piece: sets flags, nb_bytes, fragment_offset_bytes and more of `rec`, and moves `body`
// (when not NULL) to it, given the whole body in `body`. The caller has set the rest, including
// fragment_id, which must be fresh on its lane. False when all pieces have been given.
bool sl_split_next(struct sl_split *split, const uint8_t *body, struct sl_rec *rec);

// Reassembly of one lane owner, in memory handed in once. Private to one thread.
struct sl_reass;

enum sl_reass_verdict {
	SL_REASS_DONE = 0, // `whole` is there
	SL_REASS_HELD, // kept; more to come
	SL_REASS_BAD, // not a piece of anything: empty, odd length in the middle, past 65535
	SL_REASS_OVERLAP, // pieces overlap or contradict each other: the record is given up
	SL_REASS_QUOTA, // the source's share holds less than this record needs: it is given up
	SL_REASS_TOO_BIG, // beyond the size allowed: the record is given up
};

// Octets of memory for a configuration; its timeout is SL_RECORD_FRAGMENT_TIMEOUT_MS, whatever it says.
size_t sl_reass_bytes(const struct sl_assembly_conf *conf);

// `memory` is sl_reass_bytes() octets, aligned to 64, and stays the caller's.
struct sl_reass *sl_reass_init(void *memory, const struct sl_assembly_conf *conf);

// Take one fragment (a record with SL_RECORD_FRAGMENT). `source` tells sessions and lanes apart,
// for example session << 16 | lane. `now_ns` is any monotonic clock; a record is given up
// SL_RECORD_FRAGMENT_TIMEOUT_MS after its first fragment. With DONE `whole` is the record without
// the fragment flag; its body is valid until the next call.
enum sl_reass_verdict sl_reass_add(
	struct sl_reass *reass,
	uint64_t source,
	const struct sl_rec *fragment,
	uint64_t now_ns,
	struct sl_rec *whole
);

// Give up one record whose time is over; false when there is none.
bool sl_reass_expire(struct sl_reass *reass, uint64_t now_ns);

// Records given up since the start: by timeout, and in favour of newer ones.
uint64_t sl_reass_expired(const struct sl_reass *reass);
uint64_t sl_reass_evicted(const struct sl_reass *reass);
