// worker: one pinned polling thread, its graph and everything it owns. Nodes see their worker and,
// through it, the shared tables they may read. Ownership is written on each field as
// (worker: r|rw, session: ..., control: ...).
#pragma once

#include <rte_ether.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>

#include <sluice/dns/bucket.h>
#include <sluice/dp/meta.h>
#include <sluice/dp/timeouts.h>
#include <sluice/dp/waiting.h>
#include <sluice/proto/aead.h>
#include <sluice/proto/limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SL_MAX_WORKERS 64u
#define SL_MAX_PORTS   32u
#define SL_MAX_RXQ     8u
#define SL_MAX_ROUTES  256u
// Sockets of the stream thread toward DNS servers: socket i sends by worker i mod W.
#define SL_STREAM_SOCKETS 64u

enum sl_dp_role { SL_DP_POP, SL_DP_CONNECTOR };
enum sl_dp_idle { SL_DP_IDLE_POLL, SL_DP_IDLE_ADAPTIVE };

// One L3 interface on a DPDK port (control: written before start; all: ro; link_up: control rw).
struct sl_port {
	char name[32]; // as configured
	uint16_t ethdev; // DPDK port id
	uint16_t vlan; // 0 untagged
	uint16_t mtu_bytes;
	uint16_t nb_queues;
	struct rte_ether_addr mac; // read as eight octets, with the two that follow
	uint8_t prefix_bits;
	uint8_t is_udp_checksum_offloaded;
	rte_be32_t address;
	atomic_bool link_up;
};

struct sl_route {
	rte_be32_t prefix;
	uint8_t prefix_bits;
	uint16_t port;
	rte_be32_t via; // 0: on link
	rte_be32_t mask; // by sl_net_index()
};

// What an address is to this node; bits, since a port's address may be another's broadcast.
enum sl_local { SL_LOCAL_PORT = 1, SL_LOCAL_BROADCAST = 2, SL_LOCAL_RESOLVER = 4 };

// One place of a small open hash of the addresses that mean something to this node.
struct sl_local_entry {
	rte_be32_t address;
	uint32_t what; // enum sl_local, 0: free
};
#define SL_NET_LOCALS    256u // 3 of each port, resolvers, 64 to leave with: never nearly full
#define SL_NET_RESOLVERS 16u

// Interfaces, routes and addresses of the node itself (immutable after start).
struct sl_net {
	struct sl_port ports[SL_MAX_PORTS];
	unsigned nb_ports;
	struct sl_route routes[SL_MAX_ROUTES]; // longest prefix first; on-link ones included
	unsigned nb_routes;
	// UDP ports (host order) that are tunnel lanes of ours; a PoP has one, a connector a range that
	// NAT never uses. 0, 0: none.
	uint16_t tunnel_port_first;
	uint16_t tunnel_port_last;
	uint16_t wireguard_port; // UDP, host order; 0: none
	uint16_t wireguard_mtu; // of the clients' devices: padding goes no further
	rte_be32_t resolvers[SL_NET_RESOLVERS]; // addresses DNS is answered on,
	unsigned nb_resolvers; // PoP: here
	unsigned nb_far_resolvers; // connector: at the PoPs; no flow goes there
	bool serves_tcp; // DNS over TCP on them, port 53
	bool serves_tls; // and over TLS, port 853
	// Connector: further own addresses, that flows leave with.
	rte_be32_t nat_addresses[64];
	unsigned nb_nat_addresses;
	rte_be32_t pool; // assigned addresses; connector: of the PoPs, no flow goes there
	uint8_t pool_bits;
	// By sl_net_index().
	rte_be32_t pool_mask;
	struct sl_local_entry locals[SL_NET_LOCALS];
};

// Fill in what is derived from the rest. Once, before a packet is held against the net.
void sl_net_index(struct sl_net *net);

// Counters a worker adds to and others read (worker: rw, others: ro). Drop counts live in the graph.
struct sl_worker_stats {
	uint64_t walks;
	uint64_t walks_empty;
	uint64_t sleeps;
	uint64_t handed_over; // packets sent to another worker
	uint64_t punted;
	uint64_t from_session; // packets the session thread handed in
	uint64_t from_stream; // packets the stream thread handed in
	uint64_t to_stream; // packets handed to the stream thread
	uint64_t created; // packets made by nodes: ARP queries, copies, fragments, records
	uint64_t consumed; // packets that ended inside another one
	uint64_t unfinished; // packets and records in fragments that did not all come in time
	uint64_t displaced; // packets and records in fragments that made room for newer ones
	uint64_t tx_pkts[SL_MAX_PORTS];
	uint64_t tx_bytes[SL_MAX_PORTS];
	uint64_t rx_pkts[SL_MAX_PORTS];
	uint64_t rx_bytes[SL_MAX_PORTS];
} __rte_cache_aligned;

// One receive queue of a worker.
struct sl_rx_pair {
	uint16_t ethdev;
	uint16_t queue;
	uint16_t port; // first struct sl_port on that ethdev
};
#define SL_MAX_RX_PAIRS (SL_MAX_PORTS * SL_MAX_RXQ)

// Sources whose data under an unknown index was lately reported to the session thread, by hash.
#define SL_UNKNOWN_SOURCES 512u
struct sl_unknown_sources {
	struct sl_bucket bucket;
	uint32_t until_ds[SL_UNKNOWN_SOURCES]; // not again before
};

// Clients for whom a packet was lately shown to the session thread for want of a key, by hash.
#define SL_KEYLESS_CLIENTS 512u
struct sl_keyless_clients {
	struct sl_bucket bucket;
	uint32_t until_ds[SL_KEYLESS_CLIENTS]; // not more than a few before
	uint8_t nb_shown[SL_KEYLESS_CLIENTS];
};

struct sl_dp;
struct sl_hash_key;
struct sl_flow_table;
struct sl_neighbours;
struct sl_assembly;
struct sl_reass;
struct sl_names_cache;
struct sl_nat;
struct sl_failures;
struct sl_flow_events;
struct sl_retries;
struct sl_quota;
struct sl_tally;
struct sl_tickets;
struct sl_trace;
struct sl_snapshot;
struct sl_sessions;

struct sl_worker {
	// Read by every node (control: written before start, but for `snapshot`).
	struct sl_dp *dp;
	const struct sl_net *net;
	const struct sl_snapshot *snapshot; // loaded from dp once per walk; valid until its end
	struct sl_sessions *sessions;
	const struct sl_hash_key *owner_key; // the same for all workers
	struct sl_flow_table *flows; // worker: rw
	struct sl_neighbours *neighbours; // worker: rw
	struct sl_nat *nat; // worker: rw; connector and own queries
	struct sl_flow_events *flow_events; // worker: rw, control: reads the ring
	struct sl_failures *failures; // worker: rw, others: ro; what was refused or failed, and why
	struct sl_quota *quota; // worker: rw, others: ro; what clients and tenants use
	struct sl_retries *retries; // worker: rw; connector: names with several addresses
	struct sl_names_cache *names; // worker: rw; connector: name -> private addresses
	struct sl_aead *aead; // worker: rw
	struct sl_reass *reass; // worker: rw; records in fragments, of the lanes it owns
	struct sl_assembly *fragments; // worker: rw; IPv4 packets in fragments
	struct sl_tally *tally; // worker: rw, others: ro; NULL: nothing is tallied
	struct sl_tickets *tickets; // worker: rw
	struct sl_trace *trace; // worker: rw, control: arms and reads
	struct rte_mempool *pool; // mbufs
	struct rte_mempool *large_pool; // mbufs that hold any packet; see fragments.h
	struct rte_graph *graph;
	struct sl_worker *const *peers; // all workers of the instance, this one among them
	uint16_t idx;
	uint16_t nb_workers;
	uint16_t nb_rx_pairs;
	uint16_t rx_next; // worker: rw; the pair whose turn is first
	uint64_t now_ns; // one clock read per walk; monotonic, movable by tests
	uint32_t now_ds; // the same in deciseconds
	struct sl_waiting waiting[SL_WAITING_PKTS]; // worker: rw; packets longer than an OPEN
	unsigned nb_waiting;
	uint16_t ip_id; // next of packets that may be cut; each worker has a range of its own
	uint16_t ip_id_first, ip_id_last;
	atomic_bool is_closing; // control: set to end every flow; worker: cleared when done
	uint32_t swept_ds; // when the sweep of flows last went on
	uint32_t sweep_due; // records it has yet to look at
	uint32_t cut_due, cut_at; // records yet to be looked at for a lost connector, and the next
	uint32_t cut_restarted; // session whose peer restarted, plus 1; 0: none
	uint32_t pass_ds, last_pass_ds; // when it last began at the head of the table, and before
	uint32_t interim_ds; // this pass tells the flow log of flows so often; 0: not
	uint64_t next_beat_ns; // when heartbeats are next due
	uint64_t fragments_due_ns; // when those that wait are next looked at
	struct sl_timeouts timeouts; // of flows (control: rw, a word at a time)
	bool is_traced; // this walk records trails; loaded once per walk

	// Rings. SPSC each: sp/sc forms only.
	struct rte_ring *from_worker[SL_MAX_WORKERS]; // mbufs handed over to this worker
	struct rte_ring *from_session; // mbufs from the session thread
	struct rte_ring *to_session; // mbufs punted
	struct rte_ring *mail; // struct sl_mail * from the session thread
	struct rte_ring *from_stream; // mbufs from the stream thread
	struct rte_ring *to_stream; // mbufs for the stream thread

	// Idle (worker: rw; others: read `asleep`).
	int eventfd; // written by whoever queues for a sleeping worker
	atomic_bool asleep;
	struct sl_bucket reject_bucket; // RST and ICMP errors of our own a second
	struct sl_bucket error_bucket; // ICMP errors passed on a second
	struct sl_bucket mtu_bucket; // fragmentation-needed about our own datagrams a second
	struct sl_unknown_sources unknown; // worker: rw; WireGuard data under unknown indices
	struct sl_keyless_clients keyless; // worker: rw; packets for clients without a key
	bool wake_session; // worker: rw; this walk punted something
	bool wake_stream; // worker: rw; this walk queued something for the stream thread
	uint32_t stream_flows[SL_STREAM_SOCKETS]; // worker: rw; flow of each socket toward a server
	uint64_t wake_peers; // worker: rw; bit per worker this walk handed a packet to
	uint64_t random; // xorshift state for ports and jitter, not for secrets

	struct sl_worker_stats stats;
	struct sl_rx_pair rx_pairs[SL_MAX_RX_PAIRS];
};

static inline uint32_t
sl_net_local_place(rte_be32_t address)
{
	return (address * 0x9e3779b1u) >> 24;
}

// What `address` is to this node: enum sl_local, 0 for an address of others. One line read.
static inline uint32_t
sl_net_local(const struct sl_net *net, rte_be32_t address)
{
	uint32_t at = sl_net_local_place(address);

	while (net->locals[at].what != 0 && net->locals[at].address != address)
		at = (at + 1) % SL_NET_LOCALS;
	return net->locals[at].what;
}

// The port that has `address`, or NULL.
static inline const struct sl_port *
sl_net_port_of(const struct sl_net *net, rte_be32_t address)
{
	for (unsigned i = 0; i < net->nb_ports; i++)
		if (net->ports[i].address == address)
			return &net->ports[i];
	return NULL;
}

// Is it one that flows leave with beside those of the ports?
static inline bool
sl_net_is_nat(const struct sl_net *net, rte_be32_t address)
{
	for (unsigned i = 0; i < net->nb_nat_addresses; i++)
		if (net->nat_addresses[i] == address)
			return true;
	return false;
}

// Netmask of a prefix length, in wire order.
static inline rte_be32_t
sl_net_mask(uint8_t prefix_bits)
{
	return prefix_bits == 0 ? 0 : rte_cpu_to_be_32(UINT32_MAX << (32 - prefix_bits));
}

// The route to `address`, or NULL. The first match is the longest: sl_net keeps them in that order.
// The net has been indexed.
static inline const struct sl_route *
sl_net_route(const struct sl_net *net, rte_be32_t address)
{
	for (unsigned i = 0; i < net->nb_routes; i++) {
		const struct sl_route *r = &net->routes[i];

		if ((address & r->mask) == r->prefix)
			return r;
	}
	return NULL;
}
