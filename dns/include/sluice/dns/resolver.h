// resolver: the connector's stub resolver (sans-IO). It asks the private DNS servers it is given, recursion
// desired, and keeps what they say.
//
// The caller drives it from one thread:
//
//	sl_resolver_ask()      a name is needed: the answer at once, or a promise
//	sl_resolver_receive()  a datagram (or a TCP answer) came for one of our queries
//	sl_resolver_poll()     what is to be done now: queries to send, promises to keep
//	sl_resolver_wake_ns()  when to poll again if nothing comes
//
// Concurrent askers of one (name, type) share one query. A silent server costs a retry interval
// (upstream.h), then the next one is asked with a new ID, case and port; the whole of it ends after
// `deadline_ns`. Answers must match token, server, ID, question and its letter case (0x20), and be a
// response; of their records only the CNAME chain from the question's name counts. What does not match is
// counted and changes nothing.
//
// All memory is allocated by sl_resolver_create(). IPv4 addresses are in host order. Time is
// nanoseconds of one monotonic clock.
#pragma once

#include <sluice/dns/message.h>
#include <sluice/dns/upstream.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SL_RESOLVER_ADDRESSES_MAX 8u // of one name; more are ignored
#define SL_RESOLVER_CHAIN_MAX     12u // CNAMEs followed within one answer, and across queries
#define SL_RESOLVER_SEARCH_MAX    6u
#define SL_RESOLVER_DNSSEC_OK                                                                      \
	0x10000u // beside a type other than A and AAAA: ask with DO (RFC 3225)
#define SL_NO_TOKEN UINT32_MAX

struct sl_resolver_config {
	struct sl_upstream_address servers[SL_UPSTREAMS_MAX]; // in order of preference
	unsigned nb_servers; // at least 1
	const char *search[SL_RESOLVER_SEARCH_MAX]; // appended to names of a single label
	unsigned nb_search;
	uint32_t names_max; // cached (name, type) pairs; default when 0: 16384
	uint32_t queries_max; // in flight; default when 0: 1024
	uint32_t askers_max; // promises; default when 0: 8192
	uint32_t ttl_max_s; // cap on what servers say; default when 0: 3600
	uint32_t negative_max_s; // cap on negative TTLs; default when 0: 60
	uint64_t deadline_ns; // default when 0: 3 s
	uint64_t (*random)(void *context); // unpredictable 64 bits
	void *random_context;
};

struct sl_resolver;

// NULL when there is no memory, or the configuration is out of range. The config is copied.
struct sl_resolver *sl_resolver_create(const struct sl_resolver_config *config);
void sl_resolver_free(struct sl_resolver *resolver);

// Ask these servers, with these search domains, from now on (the other fields of `config` are not looked at). What is
// kept is forgotten, what is under way begins anew. False when it is out of range; nothing has changed then.
bool sl_resolver_set_servers(
	struct sl_resolver *resolver, const struct sl_resolver_config *config, uint64_t now_ns
);

enum sl_resolved {
	SL_RESOLVED_OK = 0, // addresses (for SL_DNS_A, SL_DNS_AAAA) or a message (other types)
	SL_RESOLVED_NO_NAME, // NXDOMAIN, or no record of the type
	SL_RESOLVED_FAILED, // every server failed, cannot be reached, or gave nonsense
	SL_RESOLVED_SILENT, // deadline passed
	SL_RESOLVED_BUSY, // no room for the query or the promise
};

// An answer. For types other than A and AAAA `message` is what the server sent, its rcode whatever
// it is (NXDOMAIN too), with the ID it was asked with; valid until the next call.
struct sl_resolver_result {
	enum sl_resolved result;
	uint16_t type;
	uint8_t nb_addresses; // in the order the server gave them, rotated at each ask
	uint8_t family; // 4 or 6
	uint8_t addresses[SL_RESOLVER_ADDRESSES_MAX]
			 [16]; // wire order; family 4 in the first 4 octets
	uint32_t ttl_s; // what is left of it
	const uint8_t *message;
	size_t nb_message_bytes;
	uint8_t rcode; // of FAILED: what the last server that answered said; NOERROR: none did
};

// Ask. True: `result` is final (from the cache, or BUSY). False: an event with `cookie` will follow
// within the deadline. A TTL of 0 is good for the askers that wait, and no longer. An entry asked for in the
// last tenth of its TTL is fetched again in the background.
bool sl_resolver_ask(
	struct sl_resolver *resolver,
	const struct sl_name *name,
	uint32_t type, // enum sl_dns_type, or'ed with SL_RESOLVER_DNSSEC_OK
	uint64_t cookie,
	uint64_t now_ns,
	struct sl_resolver_result *result
);

// Forget promises with this cookie (the asker is gone). Returns how many.
unsigned sl_resolver_cancel(struct sl_resolver *resolver, uint64_t cookie);

// A pool member did not answer a SYN: put it behind the others until its TTL ends.
void sl_resolver_unreachable(
	struct sl_resolver *resolver,
	const struct sl_name *name,
	const uint8_t *address,
	uint8_t family,
	uint64_t now_ns
);

enum sl_receive_verdict {
	SL_RECEIVE_ACCEPTED = 0,
	SL_RECEIVE_UNKNOWN, // no query with that token: late, or never asked
	SL_RECEIVE_SERVER, // from another address or port than was asked
	SL_RECEIVE_ID,
	SL_RECEIVE_QUESTION, // another question, or another letter case
	SL_RECEIVE_MALFORMED, // no response, or cut
	SL_RECEIVE_LOOP, // its CNAMEs run in a circle
	SL_RECEIVE_COUNT
};

// A message came for the query with `token`. The caller maps the datagram's destination port to the token (each query
// has a port of its own, released by SL_RESOLVER_RELEASE); `is_tcp` for the answer to a NEED_TCP.
enum sl_receive_verdict sl_resolver_receive(
	struct sl_resolver *resolver,
	uint32_t token,
	const uint8_t *message,
	size_t nb_bytes,
	struct sl_upstream_address from,
	bool is_tcp,
	uint64_t now_ns
);

// The query with `token` did not reach its server (ICMP says so, and quotes it): the next one is asked at once. A server
// of which that is said three times in a row counts as down, as a silent one does.
void sl_resolver_refused(struct sl_resolver *resolver, uint32_t token, uint64_t now_ns);

enum sl_resolver_event_kind {
	SL_RESOLVER_SEND, // send `message` to `server` from a fresh random port, and remember token
	SL_RESOLVER_NEED_TCP, // the same, over TCP (the UDP answer was truncated)
	SL_RESOLVER_RELEASE, // nothing more is wanted for this token: free its port
	SL_RESOLVER_RESULT, // the promise `cookie` is kept: `result`
};

struct sl_resolver_event {
	enum sl_resolver_event_kind kind;
	uint32_t token;
	struct sl_upstream_address server;
	uint64_t cookie;
	size_t nb_bytes;
	uint8_t message[SL_DNS_HEADER_BYTES + SL_NAME_WIRE_MAX + 4 + SL_DNS_OPT_BYTES];
	struct sl_resolver_result result; // its message is valid until the next call
};

// The next thing to do, or false when there is none now.
bool
sl_resolver_poll(struct sl_resolver *resolver, uint64_t now_ns, struct sl_resolver_event *event);
// When to poll again if nothing comes; UINT64_MAX when nothing is in flight, 0 (at once) when the last poll did not
// say false.
uint64_t sl_resolver_wake_ns(const struct sl_resolver *resolver);

struct sl_resolver_stats {
	uint64_t nb_asked;
	uint64_t nb_hits;
	uint64_t nb_shared; // joined a query in flight
	uint64_t nb_sent;
	uint64_t nb_timeouts;
	uint64_t nb_tcp;
	uint64_t nb_prefetched;
	uint64_t nb_busy;
	uint64_t nb_bailiwick; // records in accepted answers that were no part of the chain
	uint64_t nb_received[SL_RECEIVE_COUNT]; // by enum sl_receive_verdict
	uint32_t nb_cached;
	uint32_t nb_in_flight;
};
void sl_resolver_stats(const struct sl_resolver *resolver, struct sl_resolver_stats *stats);
const struct sl_upstream *sl_resolver_server(const struct sl_resolver *resolver, unsigned idx);
// True once a server has answered validly within the last `nb_ns`, for readiness.
bool sl_resolver_is_alive(const struct sl_resolver *resolver, uint64_t nb_ns, uint64_t now_ns);
