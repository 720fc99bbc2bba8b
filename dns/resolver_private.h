// resolver, inside: cache entries, queries in flight, promises.
#pragma once

#include "index.h"
#include "turns.h"
#include "upstream_private.h"

#include <sluice/dns/resolver.h>

#define SL_RESOLVER_UDP_BYTES 1232u // kept of a UDP answer: what our queries offer
#define SL_RESOLVER_TCP_SLOTS 8u // answers over TCP waiting at a time

// What is known of an (A or AAAA, name).
struct sl_known {
	uint64_t hash;
	uint64_t expires_ns;
	uint32_t ttl_s; // as learned
	uint16_t type;
	uint8_t result; // enum sl_resolved: OK or NO_NAME
	uint8_t nb_addresses;
	uint8_t bad; // bit per address: did not answer
	uint8_t rotate;
	bool is_used;
	bool is_fetched; // a prefetch is on its way or done
	uint8_t nb_bytes;
	uint8_t addresses[SL_RESOLVER_ADDRESSES_MAX][16];
	uint8_t wire[SL_NAME_WIRE_MAX];
};

enum sl_lookup_state {
	SL_LOOKUP_FREE = 0,
	SL_LOOKUP_SEND, // a query is to go out
	SL_LOOKUP_TCP, // over TCP
	SL_LOOKUP_WAIT,
	SL_LOOKUP_DONE, // promises are to be kept
};

// One (type, name) being asked.
struct sl_lookup {
	uint64_t hash; // of the name asked for by askers, and type
	uint64_t started_ns;
	uint64_t sent_ns;
	uint64_t retry_ns;
	uint32_t tried; // bit per server: asked since the last round
	uint32_t failed; // bit per server: answered with a failure
	uint32_t first_asker; // SL_NO_TOKEN: none
	uint32_t release; // token whose port is to be freed
	uint16_t generation; // of the token
	uint16_t id;
	uint16_t type;
	uint16_t active_at; // its place among the active
	uint8_t state; // enum sl_lookup_state
	uint8_t server;
	uint8_t chain; // CNAMEs followed so far
	uint8_t search; // next search domain
	uint8_t rcode; // of the last failure a server answered with
	bool is_tcp;
	bool is_plain; // asked without EDNS, ...
	bool retries_plain; // ... since the server refused it a moment ago
	bool dnssec_ok;
	bool has_token;
	uint32_t ttl_s; // smallest along the chain
	uint64_t mix; // letter case of the question
	struct sl_name name; // being asked now
	struct sl_name original; // what askers wanted
	struct sl_resolver_result result;
	uint32_t big; // index of a TCP buffer, SL_NO_TOKEN: in `message`
	uint8_t message[SL_RESOLVER_UDP_BYTES];
};

struct sl_asker {
	uint64_t cookie;
	uint32_t next;
};

struct sl_resolver {
	struct sl_resolver_config config;
	struct sl_name_key key;
	struct sl_name search[SL_RESOLVER_SEARCH_MAX];
	struct sl_upstream servers[SL_UPSTREAMS_MAX];
	uint64_t alive_ns; // last valid answer; 0: none yet

	struct sl_known *known;
	struct sl_index known_index;
	uint32_t known_at; // eviction hand

	struct sl_lookup *lookups;
	struct sl_index lookup_index; // those in use, by hash
	uint16_t *active; // slots in use, dense
	uint32_t nb_active;
	struct sl_turns turns; // of lookups
	uint16_t *idle; // stack of free slots
	uint32_t nb_idle;
	struct sl_asker *askers;
	uint32_t free_asker;
	uint8_t (*big)[SL_DNS_MESSAGE_MAX];
	bool big_used[SL_RESOLVER_TCP_SLOTS];

	struct sl_resolver_stats stats;
};

// resolver_cache.c
bool sl_known_find(
	struct sl_resolver *r,
	const struct sl_name *name,
	uint16_t type,
	uint64_t hash,
	uint64_t now_ns,
	struct sl_known **known
);
// Forget all that is known.
void sl_known_forget(struct sl_resolver *r);
void sl_known_result(struct sl_known *k, uint64_t now_ns, struct sl_resolver_result *result);
void sl_known_store(struct sl_resolver *r, const struct sl_lookup *l, uint64_t now_ns);

// resolver_lookup.c
// A name of one label is tried under each search domain in turn, then as it is. False when there is nothing
// left to try.
bool sl_lookup_next_name(struct sl_resolver *r, struct sl_lookup *l);
// Ask the next server, or give up.
void sl_lookup_ask_next(struct sl_resolver *r, struct sl_lookup *l, uint64_t now_ns);
// Begin it anew, with the servers there are now.
void sl_lookup_restart(struct sl_resolver *r, struct sl_lookup *l, uint64_t now_ns);
// The event that sends a lookup's query.
void sl_lookup_send(
	struct sl_resolver *r, struct sl_lookup *l, uint64_t now_ns, struct sl_resolver_event *event
);
// Retries and the deadline; and when the next of them comes.
void sl_lookup_timers(struct sl_resolver *r, struct sl_lookup *l, uint64_t now_ns);
uint64_t sl_lookup_due_ns(const struct sl_resolver *r, const struct sl_lookup *l);

// resolver_answer.c: read a matched answer into the lookup's result.
enum sl_reading {
	SL_READ_DONE, // result is final
	SL_READ_FOLLOW, // l->name is the next name to ask for
	SL_READ_SERVER_FAILED, // ask another
	SL_READ_LOOP,
	SL_READ_MALFORMED,
};
enum sl_reading sl_lookup_read(
	struct sl_resolver *r, struct sl_lookup *l, struct sl_response *response, size_t nb_bytes
);

static inline uint64_t
sl_lookup_hash(const struct sl_resolver *r, const struct sl_name *name, uint32_t type)
{
	return sl_name_hash(name, &r->key) ^ (uint64_t)type * 0x9e3779b97f4a7c15ull;
}
