// snapshot: what the packet path reads of the configuration. Immutable; the control thread builds a
// new one, swaps one pointer and frees the old one after an RCU quiescent period. Ids are stable
// across snapshots: an entry that went away is marked so, not reused, until every worker has swept.
#pragma once

#include <rte_byteorder.h>

#include <sluice/dns/policy.h>
#include <stdbool.h>
#include <stdint.h>

#define SL_NETWORK_PEERS 16u

struct sl_addresses; // dns/addresses.h

struct sl_client {
	bool is_live; // false: revoked, keep refusing
	uint8_t prefix_bits;
	uint16_t tenant;
	uint32_t session; // WireGuard: session id; SL_NO_SESSION for plain access
	rte_be32_t address; // WireGuard: inner address; plain: prefix
	uint16_t port; // plain: port index
	uint16_t vlan;
	uint64_t groups; // bit per group of the tenant
	uint64_t mark; // keyed hash of its name and key: the same client's after a restart
	const char *name; // owned by the snapshot
};

// What each packet of a client is held to, apart from the rest so that those of thousands of clients stand
// in few lines.
struct sl_client_end {
	uint32_t session; // as above; SL_CLIENT_GONE: not live
	rte_be32_t address;
};

#define SL_CLIENT_GONE (UINT32_MAX - 1)

// Fill `ends` from as many clients, before the snapshot is shown to workers.
void sl_client_ends_fill(
	struct sl_client_end *ends, const struct sl_client *clients, uint32_t nb_clients
);

// What may be used, 0 in any: no limit but the node's tables (half_open: see quota.h).
struct sl_limits {
	uint32_t flows; // live
	uint32_t half_open; // of a client alone
	uint32_t new_flows_per_s;
	uint32_t dns_per_s;
	uint32_t dns_bytes_per_s; // of answers to a client; then answers are cut with TC
	uint32_t new_names_per_s; // of a client: wildcard names asked for the first time
};

struct sl_tenant {
	const char *name;
	const struct sl_policy *policy; // names, resources, rules
	struct sl_addresses *addresses; // name and address table; outlives snapshots
	uint8_t flow_secret[16]; // of flow keys; durable
	bool refuse_other_names; // REFUSED instead of forwarding
	struct sl_limits limits; // of all its clients together
	struct sl_limits client_limits; // of each
};

// A remote network and the sessions that reach it.
struct sl_network {
	const char *name;
	uint16_t tenant;
	uint16_t nb_sessions;
	uint32_t sessions[SL_NETWORK_PEERS]; // session ids
};

struct sl_plain_clients; // longest-prefix table (port, VLAN, source) -> client id

struct sl_snapshot {
	uint32_t generation; // of the policy; bumped by policy changes alone
	const struct sl_client *clients; // by client id
	const struct sl_client_end *ends; // the same clients
	uint32_t nb_clients;
	const struct sl_tenant *tenants; // by tenant id
	uint16_t nb_tenants;
	const struct sl_network *networks; // by network id
	uint16_t nb_networks;
	const struct sl_plain_clients *plain; // table/plain.h
	const struct sl_policy *allow; // connector: what the operator lists; NULL: all
};
