// harness: whole instances in one process, joined by wires, walked in turn by one thread in virtual
// time. A test adds nodes, wires their ports or plays the hosts on them itself, sends frames, runs
// until nothing moves, and looks at what came out. path_end() checks that no packet was lost without
// a name and that every buffer came back; on a failure it writes what crossed the wires as pcap.
//
//	struct path_node *pop = path_add("pop", SL_DP_POP, &net, NULL, 0);
//	path_host(pop, 0, ip, mac);              // somebody answers ARP for ip
//	path_send(pop, 0, frame, nb_bytes);
//	path_run();
//	nb = path_take(pop, 0, frame, sizeof(frame));
//	path_end("what this case is called");
//
// There is one world at a time; all of it is of the test's thread.
#pragma once

#include <sluice/dp/dp.h>
#include <stddef.h>

#define PATH_WORKERS     2u
#define PATH_FRAME_BYTES 2048u

// Which worker's queue a frame arrives at.
enum path_arrival {
	PATH_ALTERNATE, // one and the other in turn
	PATH_WORKER_0, // always the first
	PATH_WORKER_1, // always the second
	PATH_RSS, // by the Toeplitz hash of addresses and ports, as a NIC with our key would
};

struct path_node;

// Start DPDK; the setup function of a test of this kind. 0 on success.
int path_setup(void);
int path_teardown(void);

// Make an instance. Of `net` the harness fills in ethdev and mac of every port, and a route for each
// port's prefix if nb_routes is 0. NULL, and a failed assertion, on error.
struct path_node *path_add(
	const char *name,
	enum sl_dp_role role,
	const struct sl_net *net,
	const struct sl_wiring *wiring,
	unsigned nb_wiring
);

// The same with all of the configuration the caller's (name, role, hooks, ...); ports, workers and
// clock are the harness's.
struct path_node *path_add_conf(const struct sl_dp_conf *conf);

struct sl_dp *path_dp(struct path_node *node);

// The MAC address of a node's port.
const struct rte_ether_addr *path_mac(const struct path_node *node, unsigned port);

// Join two ports. Ports that are joined to nothing lead to the test (path_send, path_take).
void path_wire(struct path_node *a, unsigned port_a, struct path_node *b, unsigned port_b);

// A host on a port that leads to the test, which answers ARP for itself.
void path_host(struct path_node *node, unsigned port, rte_be32_t address, const char *mac);

void path_arrive(struct path_node *node, unsigned port, enum path_arrival arrival);

// For frames on wires: called with each, may change it; false loses it. NULL: none.
typedef bool (*path_filter_t)(struct path_node *to, unsigned port, struct rte_mbuf *m);
void path_filter(path_filter_t filter);

// A frame arrives at a port.
void path_send(struct path_node *node, unsigned port, const void *frame, size_t nb_bytes);

// Walk everything and carry frames until nothing moves any more.
void path_run(void);

// Let time pass in steps of 50 ms, running all the while.
void path_pass_ms(unsigned ms);
uint64_t path_now_ns(void);

// The next frame that left by a port that leads to the test; its length, 0 if there is none.
size_t path_take(struct path_node *node, unsigned port, void *frame, size_t room);

// The next packet punted to the session thread, or NULL. The caller frees it. Those never taken are
// freed by path_end().
struct rte_mbuf *path_take_punt(struct path_node *node);

// Called on every round of path_run() in place of the session thread; returns how much it did.
typedef unsigned (*path_session_t)(void);
void path_session(path_session_t session);

// The same for the stream thread.
struct rte_mbuf *path_take_stream(struct path_node *node);

uint64_t path_drops(struct path_node *node, const char *reason);

// Called once by the next path_end(), after all its checks and while the instances still stand.
void path_before_destroy(void (*f)(void));

// Let waiting packets time out, assert conservation and that all buffers came back, write a pcap if
// an assertion failed since the last path_end(), and take everything down.
void path_end(const char *title);
