// assembly: pieces of datagrams put together: fragments of IPv4 packets (RFC 791 section 3.2) and of
// records. Memory is handed in once and never grows.
//
// A datagram takes a place, and of the octets that came so far as many chunks of 2 KiB as they touch:
// tiny pieces cost no more than large ones. Sources share places and chunks out among themselves:
// when one has its share its own oldest datagram goes, when all is in use the oldest of all. What is
// in order comes together at once, so the oldest is the one that lost a piece. Overlapping pieces
// condemn their datagram (RFC 5722); the same piece again does not. Private to one thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SL_ASSEMBLY_UNIT_BYTES  8u // offsets are multiples of it
#define SL_ASSEMBLY_CHUNK_BYTES 2048u
#define SL_ASSEMBLY_HEAD_BYTES  64u
#define SL_ASSEMBLY_SHARES      64u
#define SL_ASSEMBLY_MAX_BYTES   65535u

struct sl_assembly;

struct sl_assembly_conf {
	uint32_t nb_places; // datagrams at a time, at most 65534
	uint32_t nb_chunks; // at most 65534
	uint32_t share_places; // of one source
	uint32_t share_chunks;
	uint32_t max_bytes; // of one datagram
	uint64_t timeout_ns; // from its first piece
};

// What tells datagrams apart. `hash` must be hard to foresee where strangers choose the rest; `source`
// picks the share.
struct sl_assembly_id {
	uint64_t key[2];
	uint64_t hash;
	uint32_t source;
};

struct sl_piece {
	const uint8_t *data;
	uint32_t nb_bytes;
	uint32_t offset_bytes; // in the whole
	bool more; // it is not the last
};

enum sl_assembly_verdict {
	SL_ASSEMBLY_DONE = 0, // the datagram is whole: copy it, then release its place
	SL_ASSEMBLY_HELD, // kept; more to come
	SL_ASSEMBLY_BAD, // not a piece of anything: empty, odd length in the middle
	SL_ASSEMBLY_DUPLICATE, // octet by octet what is there already
	SL_ASSEMBLY_OVERLAP, // pieces overlap or contradict each other: the datagram is given up
	SL_ASSEMBLY_TOO_BIG, // beyond max_bytes: the datagram is given up
	SL_ASSEMBLY_FULL, // the share holds less than this datagram needs: it is given up
};

struct sl_assembly_place;

// Octets of memory for a configuration.
size_t sl_assembly_bytes(const struct sl_assembly_conf *conf);

// `memory` is sl_assembly_bytes() octets, aligned to 64, and stays the caller's.
struct sl_assembly *sl_assembly_init(void *memory, const struct sl_assembly_conf *conf);

// Take one piece. `*place` becomes its datagram's, NULL with BAD; valid until the next call.
enum sl_assembly_verdict sl_assembly_add(
	struct sl_assembly *a,
	const struct sl_assembly_id *id,
	const struct sl_piece *piece,
	uint64_t now_ns,
	struct sl_assembly_place **place
);

// SL_ASSEMBLY_HEAD_BYTES that the caller keeps with the datagram, aligned to 8; zero at first.
void *sl_assembly_head(struct sl_assembly_place *place);

// After DONE: its length, and its octets copied to `to`.
uint32_t sl_assembly_whole_bytes(const struct sl_assembly_place *place);
void
sl_assembly_copy(const struct sl_assembly *a, const struct sl_assembly_place *place, uint8_t *to);
void sl_assembly_release(struct sl_assembly *a, struct sl_assembly_place *place);

// A datagram whose time is over, taken out; false when there is none. Its head, and the octets it
// began with (0 of them when its first piece is missing), are valid until the next call. Those that
// were given up before go in silence.
struct sl_assembly_expired {
	const void *head;
	const uint8_t *first;
	uint32_t nb_first; // at most SL_ASSEMBLY_UNIT_BYTES
};
bool
sl_assembly_expire(struct sl_assembly *a, uint64_t now_ns, struct sl_assembly_expired *expired);

// Since the start: given up by timeout, and in favour of others. Datagrams there are now.
uint64_t sl_assembly_nb_expired(const struct sl_assembly *a);
uint64_t sl_assembly_nb_evicted(const struct sl_assembly *a);
uint32_t sl_assembly_nb_used(const struct sl_assembly *a);
