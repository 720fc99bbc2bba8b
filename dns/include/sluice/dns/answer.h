// answer: what the PoP says to a client's query, decided on a worker from the query's bytes, the
// policy and the name table, without allocation, lock or clock.
//
//	sl_answer() -> SEND      the answer stands in the query's buffer
//	               DROP      nothing goes out; `drop` says why
//	               NEED_NAME, NEED_RESOLVE, FORWARD   the session thread goes on with the query
//
// What a client was not granted takes the same path as what is no resource (A13). The query itself
// is left as it came unless the verdict is SEND.
//
// AAAA and other empty answers about a name of ours carry a SOA of the name itself (RFC 2308 section
// 3): without one a stub or cache may not keep the NODATA, and would ask again before every connection.
// NXDOMAIN is sent without: it would be longer than the query.
#pragma once

#include <sluice/dns/addresses.h>
#include <sluice/dns/cookie.h>
#include <sluice/dns/message.h>
#include <sluice/dns/policy.h>
#include <stdint.h>

enum sl_answer_verdict {
	SL_ANSWER_DROP = 0,
	SL_ANSWER_SEND,
	SL_ANSWER_NEED_NAME, // granted wildcard name without a live address: claim one, then ask again
	SL_ANSWER_NEED_RESOLVE, // of another type: ask the private DNS through the connector
	SL_ANSWER_FORWARD, // no resource (of this client): ask the upstreams
};

enum sl_answer_drop {
	SL_ANSWER_DROP_NONE = 0,
	SL_ANSWER_DROP_NO_HEADER, // shorter than a header
	SL_ANSWER_DROP_RESPONSE, // a response, to our port
	SL_ANSWER_DROP_ROOM, // the buffer has no room for the answer
	SL_ANSWER_DROP_LEAK, // the address to be told is none of the pool's
};

#define SL_ANSWER_BUDGET_MIN 512u

// Who asks, and against what. One per burst and client is enough.
struct sl_answer_context {
	const struct sl_policy *policy;
	struct sl_addresses *addresses;
	uint64_t groups; // of the client
	uint32_t source; // its address, host order
	uint32_t now_s; // clock of the name table
	// Longest answer the client's byte bucket allows now; longer ones become TC, and so does what the session
	// thread would have to answer when less than SL_ANSWER_BUDGET_MIN is left.
	uint32_t budget_bytes;
};

struct sl_answer {
	enum sl_answer_verdict verdict;
	enum sl_answer_drop drop;
	enum sl_dns_rcode rcode; // SEND
	uint16_t nb_bytes; // SEND: of the DNS message
	uint16_t type; // of the question
	uint32_t name_id; // SL_NO_NAME, or the name that was answered or is to be resolved
	struct sl_choice choice; // NEED_RESOLVE: which connector, and the name to ask there
};

// A parsed query waiting for its lines. 800 bytes; a worker keeps one per packet of a burst.
struct sl_answer_query {
	struct sl_query query;
	uint64_t hash;
	enum sl_query_verdict verdict;
};

// First step: parse, hash, prefetch. Then sl_answer_decide() for the same packet; in between, do the
// first step of others, so that misses overlap.
void sl_answer_parse(
	struct sl_answer_query *parsed,
	const struct sl_answer_context *context,
	const uint8_t *message,
	size_t nb_bytes
);
// Optional middle step of a burst: prefetch what the first step's lines point at.
void
sl_answer_prefetch(const struct sl_answer_query *parsed, const struct sl_answer_context *context);
// Second step: `buffer` is the query's own, with `room` octets from its start (query plus
// SL_DNS_ANSWER_ROOM serves every answer but PTR, which needs another SL_NAME_WIRE_MAX).
void sl_answer_decide(
	struct sl_answer *answer,
	struct sl_answer_query *parsed,
	const struct sl_answer_context *context,
	uint8_t *buffer,
	size_t room
);

// Both steps at once.
void sl_answer(
	struct sl_answer *answer,
	const struct sl_answer_context *context,
	uint8_t *message,
	size_t nb_bytes,
	size_t room
);

// What the session thread says when it cannot do better: SERVFAIL with the extended error that fits (pool
// exhausted, no connector, resolver silent), or the NODATA of a name whose resource shuts
// UDP/53. Returns the length, 0 if the query deserves no answer.
enum sl_answer_failure {
	SL_ANSWER_EXHAUSTED, // no address left, or a quota is used up
	SL_ANSWER_NO_CONNECTOR, // none reachable
	SL_ANSWER_RESOLVER_SILENT,
	SL_ANSWER_UPSTREAM_SILENT,
	SL_ANSWER_NOT_READY, // the name's lease did not become durable in time
	SL_ANSWER_REFUSED, // other names are refused, or over a rate limit
	SL_ANSWER_NODATA,
};
size_t sl_answer_failure(
	enum sl_answer_failure why,
	const struct sl_cookie_for *who,
	uint8_t *message,
	size_t nb_bytes,
	size_t room
);
