// config: what the operator wrote, checked and with every default filled in.
//
// sl_config_load() reads libconfig syntax, validates all of it without touching a device, and
// returns a tree that is never changed afterwards. Everything in it (strings, arrays) belongs to
// the tree and dies with sl_config_free(). References are resolved: where the file names a port, a
// group, a network or a connector, the tree holds its index. IPv4 addresses are host order.
//
// Any thread may read a tree; loading and freeing belong to the control thread.
#pragma once

#include <sluice/ctrl/key.h>
#include <sluice/ctrl/log.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define SL_CONFIG_NONE       UINT16_MAX // an index that refers to nothing
#define SL_CONFIG_GROUPS_MAX 64u // per tenant: a client's groups are one word of bits

// ---- Errors -----------------------------------------------------------------------------------

struct sl_config_error {
	char *file; // NULL when the fault is not in a file
	unsigned line; // 0 when the whole file is meant
	char *what; // "the port 'lann' is not defined"
	char *remedy; // "did you mean 'lan'?"
};

// Zero-initialise before the first use; grows as loads and checks add to it.
struct sl_config_errors {
	struct sl_config_error *list; // in order of file and line
	unsigned nb;
	unsigned nb_lost; // beyond the first SL_CONFIG_ERRORS_MAX
};
#define SL_CONFIG_ERRORS_MAX 100u

// One line an error: "FILE:LINE: WHAT; REMEDY".
void sl_config_errors_print(const struct sl_config_errors *errors, FILE *to);
void sl_config_errors_free(struct sl_config_errors *errors);

// ---- Pieces -----------------------------------------------------------------------------------

// Where an entry stands in the configuration, for errors found by a later stage.
struct sl_config_where {
	const char *file;
	unsigned line;
};

struct sl_config_prefix {
	uint32_t address; // host order, no host bits unless the field says so
	uint8_t length; // 0 to 32
};

struct sl_config_endpoint {
	uint32_t address; // host order
	uint16_t port;
};

struct sl_config_strings {
	const char **list;
	unsigned nb;
};

struct sl_config_prefixes {
	struct sl_config_prefix *list;
	unsigned nb;
};

struct sl_config_addresses {
	uint32_t *list; // host order
	unsigned nb;
};

struct sl_config_port_range {
	uint16_t low, high; // both included
};

// Sorted, neither overlapping nor adjacent. All ports are one range 0-65535, none is nb == 0.
struct sl_config_port_ranges {
	struct sl_config_port_range *list;
	unsigned nb;
};

// What a resource or an allow rule lets through. When the file writes none of `tcp`, `udp` and
// `icmp`, all is let through; when it writes any, what it does not write is shut.
struct sl_config_services {
	struct sl_config_port_ranges tcp;
	struct sl_config_port_ranges udp;
	bool icmp;
};

// ---- node, ports, routes, workers -------------------------------------------------------------

enum sl_config_role { SL_ROLE_POP, SL_ROLE_CONNECTOR };

struct sl_config_node {
	struct sl_config_where where;
	const char *name; // default: the host name up to the first dot
	enum sl_config_role role;
	const char *key_file; // X25519 private key; made by sluice --genkey
};

// One layer-3 interface. Two ports may share a device when their VLANs differ.
struct sl_config_port {
	struct sl_config_where where;
	const char *name;
	const char *device; // "0000:03:00.0", or a vdev "net_af_packet0,iface=lan"
	bool is_vdev;
	uint16_t
		device_idx; // index of the first port with this device: the number of its ethdev's owner
	struct sl_config_prefix address; // with host bits: own address and its subnet
	uint32_t gateway; // 0: none. Shorthand for a default route by this port
	uint16_t vlan; // 0: untagged, else 1 to 4094
	uint16_t mtu; // default 1500
	uint16_t nb_queues; // 0 (default): one per worker, as far as the device can
	bool faces_clients; // role hint: default true on a PoP, for all ports but the tunnel's own
};

struct sl_config_route {
	struct sl_config_where where;
	struct sl_config_prefix prefix;
	uint32_t via; // 0: on link
	uint16_t port_idx;
};

enum sl_config_idle {
	SL_IDLE_AUTO, // adaptive when every port is a software port, else poll
	SL_IDLE_POLL,
	SL_IDLE_ADAPTIVE,
};

struct sl_config_workers {
	struct sl_config_where where;
	uint16_t *cores; // never empty; default: the highest core this process may run on
	unsigned nb_cores;
	enum sl_config_idle idle;
};

// ---- tunnel, WireGuard ------------------------------------------------------------------------

enum sl_config_udp_checksum {
	SL_UDP_CHECKSUM_AUTO, // by the port if it can, else zero
	SL_UDP_CHECKSUM_ALWAYS,
	SL_UDP_CHECKSUM_ZERO,
};

// A PoP that a connector dials.
struct sl_config_peer {
	struct sl_config_where where;
	const char *name;
	struct sl_config_endpoint endpoint;
	struct sl_public_key public_key;
	const char *psk_file; // NULL: no pre-shared key
};

struct sl_config_tunnel {
	struct sl_config_where where;
	uint16_t udp_port; // PoP: listens here (default 4501). Connector: first source port
	uint16_t port_idx; // the underlay; its address is the tunnel's own. Default: the only port,
		// or the port named "underlay"
	uint16_t nb_lanes; // default: the number of workers
	enum sl_config_udp_checksum udp_checksum;
	struct sl_config_peer *peers; // connector only, at least one; nb 0 on a PoP
	unsigned nb_peers;
};

struct sl_config_wireguard {
	struct sl_config_where where;
	uint16_t udp_port; // 0: no WireGuard clients (the section is absent). Default 51820
	uint16_t port_idx; // default: the tunnel's port
	uint16_t mtu; // told to clients; default 1420
	const char *key_file; // default: the node's
	const char *endpoint; // HOST:PORT told to clients; NULL: the port's own address
	struct sl_config_prefixes pools; // inner addresses for sluicectl client add; may be empty
};

// ---- DNS --------------------------------------------------------------------------------------

enum sl_config_upstream_mode { SL_UPSTREAM_SERIAL, SL_UPSTREAM_PARALLEL, SL_UPSTREAM_RANDOM };

struct sl_config_upstream {
	struct sl_config_where where;
	struct sl_config_endpoint endpoint; // port default 53, with TLS 853
	const char *tls_name; // NULL: plain DNS; else DoT, and the name its certificate must hold
	const char *
		tls_pin; // base64 SHA-256 of its public key; NULL: any that a known authority vouches for
};

struct sl_config_upstreams {
	enum sl_config_upstream_mode mode; // default serial
	struct sl_config_upstream *list;
	unsigned nb;
};

struct sl_config_dns {
	struct sl_config_where where;
	struct sl_config_addresses resolvers; // default 100.95.0.251 to .254
	struct sl_config_prefix pool; // default 100.96.0.0/12
	uint32_t ttl_s; // default 60, at most 86400
	uint32_t quarantine_s; // default 86400
	struct sl_config_upstreams upstreams;
	bool refuse_other; // names that are no resource: REFUSED instead of forwarded
	bool canary; // use-application-dns.net is NXDOMAIN; default true
	bool tcp; // DNS over TCP toward clients; default true
	bool tls; // and over TLS; default: when there is a certificate
	uint32_t tcp_connections; // at once; default 4096
	uint32_t tcp_client_connections; // of one client; default 64
	uint32_t tcp_idle_s; // 1 to 60; default 10
	const char *tls_cert_file; // NULL: DoT, if served, with a certificate made at start
	const char *tls_key_file;
};

// ---- tenants (PoP) ----------------------------------------------------------------------------

struct sl_config_client {
	struct sl_config_where where;
	const char *name;
	uint64_t groups; // bit n: tenant->groups.list[n]
	bool is_wireguard;
	// Plain access.
	uint16_t port_idx;
	uint16_t vlan; // default: the port's
	struct sl_config_prefix source;
	// WireGuard.
	struct sl_public_key public_key;
	const char *psk_file; // NULL: none
	uint32_t address; // inner address
};

enum sl_config_deny { SL_DENY_RESET, SL_DENY_SILENT };

enum sl_config_dialect {
	SL_DIALECT_ANY, // '*' is any run of characters, across dots
	SL_DIALECT_LABEL, // '*' is one label, '**' any depth
};

#define SL_CONFIG_TTL_DEFAULT UINT32_MAX // a resource without a ttl of its own

struct sl_config_resource {
	struct sl_config_where where;
	const char *name; // default: its first address as written
	// What it matches: names (exact or with wildcards), lower case, no trailing dot; prefixes
	// without host bits. At least one of the two is not empty.
	struct sl_config_strings patterns;
	struct sl_config_prefixes prefixes;
	// Other names for the one exact name or the one address above; lower case, no wildcard.
	struct sl_config_strings aliases;
	struct sl_config_services services;
	uint64_t groups; // bit n: tenant->groups.list[n]
	uint16_t network_idx;
	bool inherit;
	enum sl_config_deny deny;
	uint32_t ttl_s; // SL_CONFIG_TTL_DEFAULT: the PoP's
	enum sl_config_dialect dialect;
	uint32_t names_max; // quota of assigned names of a wildcard; 0: only the tenant's
};

struct sl_config_connector {
	struct sl_config_where where;
	const char *name;
	struct sl_public_key public_key;
	const char *psk_file; // NULL: none
	uint16_t weight; // 1 to 1000, default 100
};

struct sl_config_network {
	struct sl_config_where where;
	const char *name;
	struct sl_config_connector *connectors; // may be empty: nothing is reachable yet
	unsigned nb_connectors;
};

// 0 in any of these: no limit of its own below the node's tables.
struct sl_config_tenant_limits {
	uint32_t flows;
	uint32_t new_flows_per_s;
	uint32_t dns_per_s;
	uint32_t names; // assigned addresses
	uint32_t client_flows;
	uint32_t client_half_open; // 0: an eighth of the node's flows
	uint32_t client_new_flows_per_s;
	uint32_t client_dns_per_s;
	uint32_t client_dns_bytes_per_s; // of answers
	uint32_t client_new_names_per_s; // wildcard names asked for the first time
	uint32_t client_names; // wildcard names first asked by one client; 0: a quarter of `names`
};

struct sl_config_tenant {
	struct sl_config_where where;
	const char *name;
	uint16_t id; // 1 to 65534, unique; durable: state on disk is keyed by it
	struct sl_config_strings groups;
	struct sl_config_client *clients;
	unsigned nb_clients;
	struct sl_config_resource *resources;
	unsigned nb_resources;
	struct sl_config_network *networks;
	unsigned nb_networks;
	struct sl_config_strings bypass; // exact names never intercepted
	struct sl_config_prefixes bypass_prefixes; // and addresses
	struct sl_config_strings search; // search domains told to clients
	struct sl_config_upstreams upstreams; // nb 0: the PoP's
	bool refuse_other; // default: the PoP's
	struct sl_config_tenant_limits limits; // default: the node's `limits`
};

// ---- connector --------------------------------------------------------------------------------

// What this connector is willing to reach, whatever a PoP says.
struct sl_config_allow {
	struct sl_config_where where;
	struct sl_config_strings patterns; // as of a resource
	struct sl_config_prefixes prefixes;
	struct sl_config_services services;
};

struct sl_config_connector_role {
	struct sl_config_where where;
	const char *tenant; // its name, for logs
	// nb_allow 0: everything but what is always refused (loopback, link-local, multicast, own,
	// underlay, resolver and pool addresses).
	struct sl_config_allow *allow;
	unsigned nb_allow;
	struct sl_config_endpoint *resolvers; // private DNS servers, in order; at least one
	unsigned nb_resolvers;
	struct sl_config_strings search;
	struct sl_config_addresses nat_addresses; // empty: the address of the port a flow leaves by
	struct sl_config_port_range nat_ports; // default 1024-65535
};

// ---- limits, timers, surroundings -------------------------------------------------------------

struct sl_config_limits {
	struct sl_config_where where;
	uint32_t flows; // of the node, shared out evenly among workers; default 65536
	uint32_t
		names; // assigned addresses of each tenant that sets none of its own; default 16384
	uint32_t sessions; // connectors and WireGuard clients; default 1024
	uint32_t mbufs; // 0 (default): from ports, queues and workers
	struct sl_config_tenant_limits tenant; // defaults for tenants
};

struct sl_config_timers {
	uint32_t tcp_established_s; // 7440 (RFC 5382)
	uint32_t tcp_transitory_s; // 240 (RFC 5382)
	uint32_t tcp_time_wait_s; // 240: 2 MSL rest of a NAT tuple
	uint32_t udp_s; // 120 (RFC 4787)
	uint32_t dns_s; // 10: an unanswered flow to port 53
	uint32_t icmp_s; // 60 (RFC 5508)
	uint32_t resolve_ms; // 3000: first packets wait this long for the private DNS
	uint32_t suspect_ms; // 300
	uint32_t dead_ms; // 1000
};

struct sl_config_system {
	const char *state_dir; // default /var/lib/sluice
	const char *control_socket; // default /run/sluice/sluice.sock
	const char *user; // dropped to after start; default "sluice"
	enum sl_log_level log_level; // default notice
	const char *flow_log; // NULL: none
	uint32_t flow_log_interim_s; // default 300; 0: no interim lines
	struct sl_config_endpoint metrics; // default 127.0.0.1:9464; port 0: off
	bool seccomp; // hold the daemon to a list of system calls; default true
	uint32_t memory_mb; // of the data plane; 0 (default): as computed from the limits
};

// ---- The whole --------------------------------------------------------------------------------

struct sl_config {
	const char *path;
	struct sl_config_node node;
	struct sl_config_port *ports;
	unsigned nb_ports;
	struct sl_config_route *routes; // gateways of ports included, as 0.0.0.0/0
	unsigned nb_routes;
	struct sl_config_workers workers;
	struct sl_config_tunnel tunnel;
	struct sl_config_wireguard wireguard;
	struct sl_config_dns dns;
	struct sl_config_tenant *tenants; // PoP: at least one; connector: none
	unsigned nb_tenants;
	struct sl_config_connector_role connector; // zero on a PoP
	struct sl_config_limits limits;
	struct sl_config_timers timers;
	struct sl_config_system system;
	struct sl_arena *arena; // holds all of the above
};

// Read and validate `path` (and what it includes with @include). Returns 0 and the tree, or -errno
// with every fault found added to `errors` and *config = NULL: -EINVAL when the contents are
// wrong, else why the file could not be read. Never aborts, whatever the file holds.
[[nodiscard]] int
sl_config_load(const char *path, struct sl_config **config, struct sl_config_errors *errors);

// The same for a daemon that runs: key and PSK files are not looked at. They were read with root's
// rights at start, which are gone.
[[nodiscard]] int
sl_config_reload(const char *path, struct sl_config **config, struct sl_config_errors *errors);

// The same for text in memory. `name` stands in errors for the file; @include works relative to
// the working directory. With `check_files` false, key and PSK files are not looked at.
enum sl_config_files { SL_CONFIG_CHECK_FILES, SL_CONFIG_SKIP_FILES };
[[nodiscard]] int sl_config_load_string(
	const char *text,
	const char *name,
	enum sl_config_files files,
	struct sl_config **config,
	struct sl_config_errors *errors
);

// Free the tree and all it holds. NULL is allowed.
void sl_config_free(struct sl_config *config);

// ---- Memory (--check) -------------------------------------------------------------------------

#define SL_NUMA_NODES_MAX 8u

struct sl_config_memory {
	// From DPDK's memory: huge pages when there are any.
	uint64_t flows_bytes; // flow records
	uint64_t flow_index_bytes;
	uint64_t mbufs_bytes;
	uint64_t fragments_bytes; // what is put together, and buffers for large packets
	uint64_t sessions_bytes; // key schedules and replay windows
	uint64_t workers_bytes; // kept whatever the limits: failures, names, retries
	uint64_t base_bytes; // what DPDK takes before any table
	uint64_t dataplane_bytes; // all of the above
	// Of them, what stands on each NUMA node: flows and sessions by the worker, mbufs by the port.
	uint64_t node_bytes[SL_NUMA_NODES_MAX];
	// From the heap.
	uint64_t names_bytes; // name and address tables of tenants
	uint64_t clients_bytes; // clients and resources, two configurations at once during a reload
	uint64_t use_bytes; // what workers count: use of limits, events for the flow log, tallies
	uint64_t total_bytes;
	uint32_t nb_mbufs; // as configured, or computed
};

// What the machine has, read from /sys and /proc.
struct sl_system_memory {
	uint64_t huge_total_bytes; // of the default page size
	uint64_t huge_free_bytes;
	uint64_t huge_page_bytes;
	uint64_t ram_available_bytes;
	unsigned nb_nodes; // 1 where the kernel tells none
	uint64_t node_huge_free_bytes[SL_NUMA_NODES_MAX];
};

struct sl_config_memory sl_config_memory(const struct sl_config *config);
// `root` is "" for this machine, a folder with sys/ and proc/ in it for tests. 0 or -errno.
[[nodiscard]] int sl_system_memory(const char *root, struct sl_system_memory *has);

// 0, or -ENOMEM and errors with the command that mends each. A machine without any huge pages is
// held against its available memory; with some, they must suffice on each node.
[[nodiscard]] int sl_config_memory_check(
	const struct sl_config_memory *needs,
	const struct sl_system_memory *has,
	struct sl_config_errors *errors
);
void sl_config_memory_print(
	const struct sl_config_memory *needs, const struct sl_system_memory *has, FILE *to
);

// ---- Reload -----------------------------------------------------------------------------------

enum sl_config_change {
	SL_CHANGE_NONE,
	SL_CHANGE_RELOAD, // takes effect by reload: tenants, policy, upstreams, timers, log level
	SL_CHANGE_RESTART, // refused by reload: node, ports, routes, workers, tunnel, limits, ...
};

// Compare what runs with what is asked for. On SL_CHANGE_RESTART each offending part is added to
// `errors` as a sentence ("ports need a restart to change; ...").
enum sl_config_change sl_config_diff(
	const struct sl_config *running,
	const struct sl_config *wanted,
	struct sl_config_errors *errors
);

// Whether anything changed that decides who may reach what (tenants, clients, groups, resources,
// networks, the connector's allow list): only then does the policy generation move.
bool sl_config_policy_differs(const struct sl_config *running, const struct sl_config *wanted);
