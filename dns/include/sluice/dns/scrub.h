// scrub: a private resolver's answer made fit for a client (A4, A5).
//
// The answer comes back by RESOLVE as the connector got it. Every record that holds or could lead to a
// private address leaves it: A, AAAA and anything else whose content is an address (A6, APL, WKS, L32, L64),
// the ipv4hint and ipv6hint parameters of SVCB and HTTPS, and the SIG/DNSSEC records over what was
// changed, which no longer verify. Names are parsed, not copied blindly, and written without pointers
// into what is gone; the question's own name, where the answer points to it, is in the client's letter case. The
// question is the client's own, byte for byte; where an alias was asked for under its target's name, owners equal
// to the target become the question's name.
//
// A name the client may not see does not exist for it: a CNAME or DNAME that leads to one leaves the answer, and
// what stands under the hidden name is said of the last name of the chain that the client may see.
//
// An extended error (RFC 8914) of the private resolver goes on as its number, without its text.
#pragma once

#include <sluice/dns/message.h>
#include <sluice/dns/policy.h>
#include <stddef.h>
#include <stdint.h>

enum sl_scrub_verdict {
	SL_SCRUB_OK = 0,
	SL_SCRUB_MISMATCH, // the answer is not one to this query
	SL_SCRUB_MALFORMED, // cut, looping, or too many records
	SL_SCRUB_NO_ROOM,
};

struct sl_scrubbed {
	size_t nb_bytes; // of the message in `out`
	uint16_t nb_removed; // records taken out
	uint16_t nb_hints; // parameters taken out
	bool truncated; // does not fit `max_bytes`: TC is set, the sections are empty
};

// For whom an answer is made.
struct sl_scrub_view {
	const struct sl_name
		*asked; // what was asked there, the target of an alias; NULL: the query's own name
	const struct sl_policy *policy; // of the client's tenant; NULL: every name may be seen
	uint64_t groups; // of the client
};

// Build in `out` the answer for the client's `query` from the private resolver's `answer`. The rcode is the
// resolver's; its AA and AD are not believed. `max_bytes` is the largest answer the
// client takes: query->edns_bytes over UDP, SL_DNS_MESSAGE_MAX over TCP.
enum sl_scrub_verdict sl_scrub(
	struct sl_scrubbed *scrubbed,
	const struct sl_query *query,
	const struct sl_scrub_view *view,
	const uint8_t *answer,
	size_t nb_bytes,
	uint8_t *out,
	size_t room,
	size_t max_bytes
);
