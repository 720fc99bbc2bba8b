// instance: what dp.c, port.c, worker.c and stats.c share of one instance.
#pragma once

#include <rte_rcu_qsbr.h>

#include <pthread.h>
#include <sluice/dp/dp.h>
#include <sluice/dp/hash.h>

#define SL_RING_PKTS    1024u // each hand-over, punt and return ring
#define SL_MAX_POLL_FDS 64u

struct sl_dp {
	struct sl_dp_conf conf;
	char name[32];
	struct sl_hash_key owner_key;
	struct sl_net net;
	bool is_own_device[SL_MAX_PORTS]; // probed by us: removed at destroy
	struct sl_clock machine_clock;
	struct sl_clock *clock;
	struct rte_mempool *pool;
	struct rte_mempool *large_pool;
	struct rte_mempool *mails;
	struct sl_worker *workers[SL_MAX_WORKERS];
	pthread_t threads[SL_MAX_WORKERS];
	atomic_bool is_stopping;
	bool are_ports_started;
	unsigned nb_threads;
	_Atomic(const struct sl_snapshot *) snapshot;
	struct rte_rcu_qsbr *qsbr;
	int session_fd;
	atomic_bool session_asleep;
	int stream_fd;
	atomic_bool stream_asleep;
	unsigned stream_next; // stream thread: rw; the worker whose ring is looked at first
};

// port.c
[[nodiscard]] int sl_ports_create(struct sl_dp *dp);
[[nodiscard]] int sl_ports_start(struct sl_dp *dp);
void sl_ports_stop(struct sl_dp *dp);
void sl_ports_destroy(struct sl_dp *dp);
// Descriptors that become readable when a packet for this worker arrives. Returns how many; -1
// when one of its queues has none, so that sleeping on them would miss packets.
int sl_ports_poll_fds(const struct sl_worker *w, int *fds, unsigned nb);

// worker.c
[[nodiscard]] struct sl_worker *sl_worker_create(struct sl_dp *dp, unsigned k);
void sl_worker_destroy(struct sl_worker *w);
void *sl_worker_main(void *arg);
unsigned sl_worker_turn(struct sl_worker *w);

// session_io.c: ring a worker's bell, if it sleeps, after a store to one of its rings.
void sl_worker_wake(struct sl_worker *w);
