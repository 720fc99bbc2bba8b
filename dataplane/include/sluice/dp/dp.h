// dp: the data plane as the daemon and the tests drive it. One process starts DPDK once
// (sl_eal_start) and then makes any number of instances, each with its role, ports and workers.
#pragma once

#include <sluice/dp/clock.h>
#include <sluice/dp/mail.h>
#include <sluice/dp/node.h>
#include <sluice/dp/trace.h>
#include <sluice/dp/worker.h>

struct sl_dp;
struct sl_snapshot;

struct sl_eal_conf {
	const char *name; // file prefix, so that two processes do not meet; at most 32 letters
	unsigned memory_mb; // for tables and packets
	const char *const *pci; // PCI addresses of ports; others are left alone
	unsigned nb_pci;
	bool is_ordinary_memory; // use no huge pages, whether there are any or not
	unsigned core; // memory comes from its NUMA node where that has enough: a worker's
};

// The NUMA node of a core, as the kernel has it; -1 where the machine has none.
int sl_numa_of_core(unsigned core);

// Start DPDK, on huge pages when enough are free, else on ordinary memory (said once on stderr).
// Main thread, once; leaves the thread's CPU affinity as it was. 0 or -errno; -EAGAIN when somebody
// else took the huge pages meanwhile: DPDK starts but once in a process, so the caller has to begin
// again as a new program, and with ordinary memory.
[[nodiscard]] int sl_eal_start(const struct sl_eal_conf *conf);
void sl_eal_stop(void);

// Where the edge `edge` of node `node` ("*": any) leads: a node or a drop reason.
struct sl_wiring {
	const char *node;
	const char *edge;
	const char *target;
};

struct sl_dp_conf {
	const char *name; // of the instance; unique among live ones; letters, digits, _
	enum sl_dp_role role;
	// Ports, routes, addresses; copied. Of a port the caller sets name, vlan, mtu_bytes, address,
	// prefix_bits and, for a port without a device string, ethdev; mac only to override it.
	const struct sl_net *net;
	const char *devices[SL_MAX_PORTS]; // PCI address or vdev string; NULL: net->ports[i].ethdev
	int cores[SL_MAX_WORKERS]; // core per worker; negative: not pinned
	unsigned nb_workers;
	enum sl_dp_idle idle;
	unsigned nb_mbufs;
	unsigned nb_neighbours; // per worker, power of two; 0: 1024
	struct sl_clock *clock; // NULL: the machine's
	const struct sl_wiring *wiring; // rows that go before the role's; NULL: none
	unsigned nb_wiring;
	// Worker thread, for each mail; the mail is returned afterwards. NULL: ignored.
	void (*on_mail)(struct sl_worker *w, struct sl_mail *mail);
	// Worker thread, after each walk: expiry and heartbeats. NULL: none.
	void (*on_tick)(struct sl_worker *w);
};

// Make an instance: ports configured, graphs wired, nothing running. The caller may set the table
// pointers of its workers (sl_dp_worker) before sl_dp_start. Control thread. On failure says why
// on stderr and returns NULL with errno set.
struct sl_dp *sl_dp_create(const struct sl_dp_conf *conf);

// Stop if running, free everything the instance made. Ports given by ethdev id stay.
void sl_dp_destroy(struct sl_dp *dp);

// Start the ports; without threads, for a caller that walks the workers itself (sl_dp_walk).
[[nodiscard]] int sl_dp_start_ports(struct sl_dp *dp);

// Start ports and worker threads. 0 or -errno.
[[nodiscard]] int sl_dp_start(struct sl_dp *dp);

// Stop worker threads and ports. What lies in rings stays until sl_dp_destroy.
void sl_dp_stop(struct sl_dp *dp);

// One turn of worker k on the calling thread: clock, walk, mail, tick. Only without threads.
// Returns the number of packets and mails it found.
unsigned sl_dp_walk(struct sl_dp *dp, unsigned k);

unsigned sl_dp_nb_workers(const struct sl_dp *dp);
struct sl_worker *sl_dp_worker(struct sl_dp *dp, unsigned k);
const struct sl_net *sl_dp_net(const struct sl_dp *dp);
struct rte_mempool *sl_dp_pool(struct sl_dp *dp);
int sl_dp_core(const struct sl_dp *dp, unsigned k);

// Publish a snapshot and wait until no worker can still see the former one, which is returned for
// the caller to free. Control thread.
[[nodiscard]] const struct sl_snapshot *
sl_dp_swap_snapshot(struct sl_dp *dp, const struct sl_snapshot *snapshot);

// Wait until every worker has passed a quiescent state: what was unpublished before may be freed.
void sl_dp_grace(struct sl_dp *dp);

// Session thread: hand a packet (meta->stage says where it goes on) or a mail to worker k and wake
// it. 0, or -ENOBUFS when its ring is full: the caller keeps the packet or mail.
[[nodiscard]] int sl_dp_send_mbuf(struct sl_dp *dp, unsigned k, struct rte_mbuf *m);
[[nodiscard]] int sl_dp_send_mail(struct sl_dp *dp, unsigned k, struct sl_mail *mail);

// Session and stream thread: a packet with cleared meta (no client, no flow), or a mail; NULL when there is none left.
struct rte_mbuf *sl_dp_alloc_mbuf(struct sl_dp *dp);
struct sl_mail *sl_dp_alloc_mail(struct sl_dp *dp);
void sl_dp_free_mail(struct sl_mail *mail);

// Session thread: take up to `nb` punted packets; meta->punt says what they are. Caller frees them.
unsigned sl_dp_poll_punts(struct sl_dp *dp, struct rte_mbuf **mbufs, unsigned nb);

// Readable when there may be punted packets. Call sl_dp_session_sleeps() before poll() on it, and
// poll only if that returns true; call sl_dp_session_woke() after.
int sl_dp_session_fd(const struct sl_dp *dp);
bool sl_dp_session_sleeps(struct sl_dp *dp);
void sl_dp_session_woke(struct sl_dp *dp);

// Stream thread: the same for its own rings.
[[nodiscard]] int sl_dp_send_stream(struct sl_dp *dp, unsigned k, struct rte_mbuf *m);
unsigned sl_dp_poll_stream(struct sl_dp *dp, struct rte_mbuf **mbufs, unsigned nb);
int sl_dp_stream_fd(const struct sl_dp *dp);
bool sl_dp_stream_sleeps(struct sl_dp *dp);
void sl_dp_stream_woke(struct sl_dp *dp);

// Control thread, each second or so: read the link state of every port; true if one changed.
// Packets for a port without link are dropped.
bool sl_dp_poll_links(struct sl_dp *dp);

// Sums over the workers of what one node or drop reason counted.
struct sl_node_stats {
	const char *name;
	const struct sl_drop *drop; // NULL: a node
	uint64_t calls;
	uint64_t objs; // packets
	uint64_t cycles; // of the sampled walks, one in 32
};

// Control thread: all nodes of the instance's graphs, drops among them. Returns how many it
// filled, at most nb. Counts are read without locks, each exact at some moment.
unsigned sl_dp_node_stats(const struct sl_dp *dp, struct sl_node_stats *stats, unsigned nb);

// Packets dropped for the named reason, over all workers.
uint64_t sl_dp_drops(const struct sl_dp *dp, const char *name);

// The workers' counters summed.
void sl_dp_worker_stats(const struct sl_dp *dp, struct sl_worker_stats *sum);

// Control thread: report the journeys of the next `nb_pkts` packets of a client, per worker
// (SL_NO_TRACE: stop); read what was reported since.
void sl_trace_arm(struct sl_dp *dp, uint32_t client, unsigned nb_pkts);
unsigned sl_trace_read(struct sl_dp *dp, struct sl_trace_entry *entries, unsigned nb);
