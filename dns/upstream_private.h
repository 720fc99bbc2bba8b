// upstream, inside: health and choice of servers.
#pragma once

#include <sluice/dns/message.h>
#include <sluice/dns/resolver.h>
#include <sluice/dns/upstream.h>

// How long to wait for this server before another is asked.
uint64_t sl_upstream_retry_ns(const struct sl_upstream *u);
void sl_upstream_answered(struct sl_upstream *u, uint64_t rtt_ns);
void sl_upstream_silent(struct sl_upstream *u, uint64_t now_ns);
// The server to ask: not among `tried` (bits), up before down, in order from `first`; a down server that is due a
// probe counts as up, once. -1 when all were tried.
int sl_upstream_pick(
	struct sl_upstream *list, unsigned nb, unsigned first, uint32_t tried, uint64_t now_ns
);

static inline bool
sl_upstream_same(struct sl_upstream_address a, struct sl_upstream_address b)
{
	return a.address == b.address && a.port == b.port;
}
// Other servers take the places of those in `list`; one that is in both keeps what is known of it.
void sl_upstream_replace(
	struct sl_upstream list[SL_UPSTREAMS_MAX], const struct sl_upstream_address *at, unsigned nb
);

// Is it one that does not know EDNS, for now?
static inline bool
sl_upstream_is_plain(const struct sl_upstream *u, uint64_t now_ns)
{
	return now_ns < u->plain_until_ns;
}

// What a query of our own said.
struct sl_asked {
	const struct sl_name *name;
	uint16_t id;
	uint16_t type;
	uint64_t mix; // letter case of the name, as sl_name_mix_case() takes it
	bool is_plain; // without EDNS
};
// Is the message a response to it: the same ID and question, letter case included? Fills `response` from
// SL_RECEIVE_ID on.
enum sl_receive_verdict sl_upstream_match(
	const struct sl_asked *asked,
	const uint8_t *message,
	size_t nb_bytes,
	struct sl_response *response
);
// Does a matched response say that its server does not know the EDNS it was asked with? It is to be asked again,
// without.
bool sl_upstream_refused_edns(const struct sl_asked *asked, const struct sl_response *response);
// What it said to that: better than before, and it is asked so for a while.
void sl_upstream_plain_answered(
	struct sl_upstream *u, const struct sl_response *response, uint64_t now_ns
);
