// upstream: servers that queries of our own go to, and how they have been doing. Used by resolver
// (private DNS, at the connector) and forward (public DNS, at the PoP).
//
// Health: a server that was silent on three queries running is *down*; while down it is asked last, except
// for one query in each probe interval (1 s, doubling to 30 s), and any valid answer makes it *up*. The
// retry interval follows the server's smoothed round trip: at least 50 ms, at most 1 s (RFC 6298's shape).
//
// EDNS: a server that does not know it (RFC 6891 section 7: FORMERR or NOTIMP without an OPT, perhaps a header and
// no more) is asked again without at once; one that answers then is asked so for a quarter of an hour.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SL_UPSTREAMS_MAX 8u

struct sl_upstream_address {
	uint32_t address; // host order
	uint16_t port;
};

struct sl_upstream {
	struct sl_upstream_address at;
	bool is_down;
	bool is_measured; // srtt_ns holds a sample
	uint8_t nb_silent; // queries running without an answer
	uint64_t srtt_ns;
	uint64_t rttvar_ns;
	uint64_t probe_ns; // when down: next time it may be asked first
	uint64_t probe_interval_ns;
	uint64_t plain_until_ns; // does not know EDNS: asked without it until then
	uint64_t nb_queries;
	uint64_t nb_answers;
	uint64_t nb_timeouts;
	uint64_t nb_failures; // SERVFAIL, REFUSED and the like
};
