// explain: the part that needs no daemon, for tests.
#pragma once

#include <jansson.h>
#include <sluice/ctrl/config.h>
#include <sluice/dns/policy.h>

// What is asked.
struct explain_flow {
	uint64_t groups; // of the client
	uint8_t protocol; // IPPROTO_TCP, _UDP or _ICMP
	uint16_t port;
};

// "tcp", "udp", "icmp" in any case. False for others.
bool explain_protocol(const char *text, uint8_t *protocol);

// A table with a row for each rule that matches, in the order they are asked, and what each says.
// `choice` becomes the decision, the one packets get. `tenant` is what `policy` was compiled from.
json_t *explain_rules(
	const struct sl_config_tenant *tenant,
	const struct sl_policy *policy,
	const struct sl_matches *matches,
	const struct explain_flow *flow,
	struct sl_choice *choice
);
