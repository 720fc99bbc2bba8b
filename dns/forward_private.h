// forward, inside: blocks and cache, lookups with one try per upstream, promises.
#pragma once

#include "index.h"
#include "tally.h"
#include "turns.h"
#include "upstream_private.h"

#include <sluice/dns/forward.h>
#include <sluice/proto/limits.h>

#define SL_FORWARD_BLOCK_BYTES    252u
#define SL_FORWARD_KEEP_BYTES     16384u // longer answers are delivered but not cached
#define SL_FORWARD_HEAD_BYTES     (SL_DNS_HEADER_BYTES + SL_NAME_WIRE_MAX + 4u)
#define SL_NO_BLOCK               UINT32_MAX
#define SL_FORWARD_FLAGS          (SL_DNS_AD | SL_DNS_CD) // of a question, passed on
#define SL_FORWARD_STALE_AFTER_NS (1800 * SL_NS_PER_MS) // RFC 8767 section 5: client response timer

struct sl_block {
	uint32_t next;
	uint8_t bytes[SL_FORWARD_BLOCK_BYTES];
};

// A message without OPT, in blocks.
struct sl_stored {
	uint32_t first_block;
	uint32_t nb_bytes;
	uint64_t at_ns; // when it came: TTLs count from here
};

struct sl_cached {
	struct sl_stored stored;
	uint64_t hash;
	uint64_t expires_ns;
	uint64_t stale_ns; // until when it may be said stale
	uint16_t type;
	uint16_t flags; // of the question: AD, CD, and SL_FORWARD_DO
	bool is_used;
	bool is_negative;
	uint8_t nb_name_bytes;
	uint8_t wire[SL_NAME_WIRE_MAX];
};

#define SL_FORWARD_DO 0x8000u // in question flags: beside AD and CD

enum sl_try_state {
	SL_TRY_IDLE = 0,
	SL_TRY_SEND,
	SL_TRY_TCP, // to be sent over TCP
	SL_TRY_WAIT,
	SL_TRY_FAILED, // answered, but with a failure
	SL_TRY_CLOSED, // its port is to be freed
};

struct sl_try {
	uint64_t sent_ns;
	uint64_t retry_ns;
	uint64_t mix;
	uint16_t id;
	uint16_t generation;
	uint8_t state;
	bool is_tcp;
	bool has_token;
	bool is_silent; // its retry interval passed
	bool is_plain; // asked without EDNS, ...
	bool retries_plain; // ... since the upstream refused it a moment ago
	uint32_t release; // token to be freed; SL_NO_TOKEN: none
};

struct sl_question {
	uint64_t hash;
	uint64_t started_ns;
	struct sl_stored answer; // when done; first_block SL_NO_BLOCK: SERVFAIL
	uint32_t first_asker;
	uint16_t type;
	uint16_t flags;
	uint8_t first_upstream; // where serial and random begin
	uint16_t active_at; // its place among the active
	bool is_used, is_done, is_stale;
	bool was_stale_tried; // the client response timer has passed
	struct sl_name name;
	struct sl_try tries[SL_UPSTREAMS_MAX];
};

struct sl_promise {
	struct sl_forward_asker asker;
	uint32_t next;
	uint16_t question_end;
	uint16_t edns_bytes;
	bool has_edns, dnssec_ok, says_cookie;
	uint8_t cookie[SL_DNS_COOKIE_BYTES];
	uint8_t head[SL_FORWARD_HEAD_BYTES]; // header and question as the client sent them
};

struct sl_forward {
	struct sl_forward_config config;
	struct sl_upstream upstreams[SL_UPSTREAMS_MAX];

	struct sl_block *blocks;
	uint32_t nb_blocks;
	uint32_t free_block; // list of those that were used; behind them come ...
	uint32_t nb_used_ever; // ... the ones from here on
	uint32_t nb_free_blocks; // of both kinds
	struct sl_cached *cached;
	uint32_t nb_cached_max, hand;
	struct sl_index cache_index;

	struct sl_question *questions;
	struct sl_index question_index; // active ones, by hash
	uint16_t *active;
	uint32_t nb_active;
	struct sl_turns turns; // of questions
	uint16_t *idle;
	uint32_t nb_idle;
	struct sl_promise *promises;
	uint32_t free_promise, nb_promises_ever; // as of blocks
	struct sl_tally clients;
	uint8_t *scratch; // a stored message, whole
	uint8_t *out; // an answer being delivered

	struct sl_forward_stats stats;
};

// forward_try.c
uint64_t sl_forward_random(struct sl_forward *f);
// Begin another try: serial and random one, parallel all there are. Without any left, wait for those that
// are open; without those, begin again while time is left.
void sl_question_ask_next(struct sl_forward *f, struct sl_question *q, uint64_t now_ns);
// The event that sends a try's query.
void sl_try_send(
	struct sl_forward *f,
	struct sl_question *q,
	struct sl_try *t,
	uint64_t now_ns,
	struct sl_forward_event *event
);
// Begin it anew, with the upstreams there are now.
void sl_question_restart(struct sl_forward *f, struct sl_question *q, uint64_t now_ns);
// Retries, stale answers and the deadline of a question; and when they have something to do next.
void sl_question_timers(struct sl_forward *f, struct sl_question *q, uint64_t now_ns);
uint64_t sl_question_due_ns(const struct sl_forward *f, const struct sl_question *q);

// forward_cache.c
bool sl_stored_put(
	struct sl_forward *f,
	struct sl_stored *stored,
	const uint8_t *message,
	size_t nb_bytes,
	uint64_t now_ns
);
// Forget all that is kept.
void sl_cached_forget(struct sl_forward *f);
void sl_stored_drop(struct sl_forward *f, struct sl_stored *stored);
size_t sl_stored_get(struct sl_forward *f, const struct sl_stored *stored); // into scratch
struct sl_cached *sl_cached_find(
	struct sl_forward *f,
	const struct sl_name *name,
	uint16_t type,
	uint16_t flags,
	uint64_t hash
);
// Keep the answer in scratch (`nb_bytes`, no OPT) for a question, if it says for how long.
void sl_cached_keep(
	struct sl_forward *f,
	const struct sl_question *q,
	const uint8_t *message,
	size_t nb_bytes,
	uint64_t now_ns
);

// forward_build.c
// Without its OPT and what follows it: the new length, 0 if malformed. `extended` becomes the upper bits of
// the rcode. Changes the additional count in place.
size_t sl_forward_strip(uint8_t *message, size_t nb_bytes, uint8_t *extended);
// The answer for a promise from a stored message in scratch. Returns its length.
size_t sl_forward_build(
	struct sl_forward *f,
	const struct sl_promise *promise,
	const struct sl_stored *stored,
	bool is_stale,
	uint64_t now_ns,
	uint8_t *out,
	size_t room
);
size_t sl_forward_servfail(const struct sl_promise *promise, uint8_t *out, size_t room);
