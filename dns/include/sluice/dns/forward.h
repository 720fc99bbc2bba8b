// forward: queries for names that are no resource, passed to upstream servers (sans-IO; A14).
//
// One instance per tenant or PoP, used by one thread at a time; no globals. The caller drives it:
//
//	sl_forward_query()    a client's query: an answer from the cache, or a promise
//	sl_forward_receive()  a datagram (or TCP answer) came from an upstream
//	sl_forward_poll()     what is to be done now: queries to send, answers for clients
//	sl_forward_wake_ns()  when to poll again if nothing comes
//
// A promise is keyed by client, its address and port, the ID and the question, so that two sockets using
// one ID both get their answer, and a repeated query is one promise. Clients with the same question
// (name in any case, type, class, DO, CD) share one query upstream. Every query upstream has a fresh ID,
// letter case and port; answers must match all of it and the server. Answers go to clients unchanged but for the ID,
// the question's letter case, TTLs counted down in the cache, the OPT (hop by hop, RFC 6891), and
// truncation at the client's size.
//
// Cache: positive by the smallest TTL, negative by the SOA (RFC 2308 section 5), failures 5 s at most
// (RFC 2308 section 7), and, when upstreams are silent or failing, stale answers for up to `stale_max_s` with TTL 30 and an
// extended error (RFC 8767). All memory is allocated by sl_forward_create(). Time is nanoseconds of one monotonic clock.
#pragma once

#include <sluice/dns/message.h>
#include <sluice/dns/resolver.h>
#include <sluice/dns/upstream.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sl_forward_mode {
	SL_FORWARD_SERIAL, // the first that is up; the next after its retry interval
	SL_FORWARD_PARALLEL, // all at once, the first good answer wins
	SL_FORWARD_RANDOM, // one at random of those up; another after its retry interval
};

struct sl_forward_config {
	enum sl_forward_mode mode;
	struct sl_upstream_address upstreams[SL_UPSTREAMS_MAX];
	unsigned nb_upstreams; // at least 1
	struct sl_name_key name_key; // of the process
	uint32_t askers_max; // promises; default when 0: 8192
	uint32_t client_askers_max; // promises of one client; default when 0: askers_max / 8
	uint32_t queries_max; // distinct questions in flight; default when 0: 2048
	uint32_t cache_bytes; // default when 0: 16 MiB; at least 64 KiB
	uint32_t ttl_max_s; // default when 0: 86400
	uint32_t negative_max_s; // default when 0: 900
	uint32_t stale_max_s; // default when 0: 86400; UINT32_MAX: no stale answers
	uint64_t deadline_ns; // after which stale or SERVFAIL is said; default when 0: 3 s
	uint64_t (*random)(void *context); // unpredictable 64 bits
	void *random_context;
};

struct sl_forward;

struct sl_forward *sl_forward_create(const struct sl_forward_config *config);
void sl_forward_free(struct sl_forward *forward);
// Ask these upstreams from now on, in this mode (the other fields of `config` are not looked at). What is kept is
// forgotten, what is under way begins anew; servers that were there before keep their health.
void sl_forward_set_upstreams(
	struct sl_forward *forward, const struct sl_forward_config *config, uint64_t now_ns
);

// Where an answer goes. Compared whole with the query's ID and question.
struct sl_forward_asker {
	uint32_t client; // id
	uint32_t address; // its source, host order
	uint32_t resolver; // address it asked, host order
	uint16_t port; // its source port
	uint16_t is_tcp; // 1: no truncation; the caller frames it
	uint64_t cookie; // caller's own; not compared
};

enum sl_forward_verdict {
	SL_FORWARD_ANSWERED = 0, // `answer` holds nb_bytes
	SL_FORWARD_PENDING, // an SL_FORWARD_ANSWER event will follow
	SL_FORWARD_REPEATED, // the same query is pending: nothing new will follow
	SL_FORWARD_FULL, // no room: drop and count
	SL_FORWARD_CLIENT_FULL, // this client has too many pending
	SL_FORWARD_REFUSED, // the query is not well-formed enough to forward
};

// A client's query. `answer` has room for SL_DNS_EDNS_BYTES over UDP, SL_DNS_MESSAGE_MAX over TCP.
enum sl_forward_verdict sl_forward_query(
	struct sl_forward *forward,
	const struct sl_forward_asker *asker,
	const uint8_t *query,
	size_t nb_bytes,
	uint64_t now_ns,
	uint8_t *answer,
	size_t room,
	size_t *nb_answer_bytes
);

// A message came for the query with `token` (the caller maps its destination port to the token).
enum sl_receive_verdict sl_forward_receive(
	struct sl_forward *forward,
	uint32_t token,
	const uint8_t *message,
	size_t nb_bytes,
	struct sl_upstream_address from,
	bool is_tcp,
	uint64_t now_ns
);

// The query with `token` did not reach its server: see sl_resolver_refused().
void sl_forward_refused(struct sl_forward *forward, uint32_t token, uint64_t now_ns);

enum sl_forward_event_kind {
	SL_FORWARD_SEND, // send `message` to `upstream` from a fresh random port, and remember token
	SL_FORWARD_NEED_TCP, // the same, over TCP
	SL_FORWARD_RELEASE, // nothing more is wanted for this token: free its port
	SL_FORWARD_ANSWER, // `message` is the answer for `asker`
};

struct sl_forward_event {
	enum sl_forward_event_kind kind;
	uint32_t token;
	struct sl_upstream_address upstream;
	struct sl_forward_asker asker;
	const uint8_t *message; // valid until the next call
	size_t nb_bytes;
};

// The next thing to do, or false when there is none now.
bool sl_forward_poll(struct sl_forward *forward, uint64_t now_ns, struct sl_forward_event *event);
// When to poll again if nothing comes; 0: at once, since the last poll did not say false.
uint64_t sl_forward_wake_ns(const struct sl_forward *forward);
// Forget the promises of a client that is gone or revoked.
unsigned sl_forward_cancel_client(struct sl_forward *forward, uint32_t client);

struct sl_forward_stats {
	uint64_t nb_queries;
	uint64_t nb_hits;
	uint64_t nb_negative_hits;
	uint64_t nb_stale;
	uint64_t nb_shared;
	uint64_t nb_repeated;
	uint64_t nb_sent;
	uint64_t nb_timeouts;
	uint64_t nb_tcp;
	uint64_t nb_truncated; // to the client's size
	uint64_t nb_failed; // SERVFAIL said by us
	uint64_t nb_full;
	uint64_t nb_received[SL_RECEIVE_COUNT];
	uint32_t nb_cached;
	uint32_t nb_in_flight;
	uint32_t nb_waiting;
};
void sl_forward_stats(const struct sl_forward *forward, struct sl_forward_stats *stats);
const struct sl_upstream *sl_forward_upstream(const struct sl_forward *forward, unsigned idx);
