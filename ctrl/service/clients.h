// clients: what clients.c, clients_table.c and clients_queue.c share. Session thread.
#pragma once

#include "keys.h"

#include <sluice/ctrl/timers.h>

#define QUEUE_MESSAGES 1024u
#define SOURCES        4096u
#define HELD_PKTS      8u // of one client, for want of a key

struct client {
	struct sl_peer peer; // when is_ready
	struct sl_timer timer; // of peer
	bool is_ready; // peer is initialised: its Diffie-Hellman waits until it is needed
	bool is_wanted; // still configured
	bool is_up;
	uint32_t session; // id
	uint32_t id; // of the client
	rte_be32_t inner;
	struct sl_noise_public public;
	struct sl_noise_shared_key psk;
	bool has_psk;
	char name[64];
	struct address remote; // last known; ip 0: never heard
	struct address local; // it was heard at
	struct address stored; // remote as it is on disk
	uint8_t last_timestamp[SL_TAI64N_BYTES]; // of the initiation taken last, from the disk
	uint64_t workers; // a bit for each that has had one of its keypairs
	// Counts of these workers when last looked at, in sum.
	uint64_t opened_pkts, opened_empty_pkts, sealed_pkts, wanted_pkts;
	uint32_t held[HELD_PKTS]; // tickets of packets that wait for a key
	unsigned nb_held;
	// Chains of the tables; UINT32_MAX ends one.
	uint32_t next_by_key, next_by_remote;
};

// What the store knows of a client.
struct remembered {
	uint8_t public_key[SL_NOISE_KEY_BYTES];
	struct address remote;
	uint8_t timestamp[SL_TAI64N_BYTES];
};

// A handshake message that waits.
struct queued {
	struct rte_mbuf *mbuf;
	enum sl_peer_load load;
};

// Who is served before whom.
enum clients_rank {
	CLIENTS_PROVED, // mac2 shows that it receives where it sends from
	CLIENTS_KNOWN, // where a client was last heard, or an answer to what we asked
	CLIENTS_REST,
	CLIENTS_RANKS
};

struct queue {
	struct queued messages[QUEUE_MESSAGES];
	uint32_t head, nb;
};

// Handshakes of one source.
struct source {
	rte_be32_t ip;
	struct sl_bucket bucket;
};

// How much of its turns a worker lately had something to do in.
struct worker_load {
	uint64_t walks, empty; // when it was reckoned
	unsigned busy_permille;
};

struct clients {
	struct sl_peer_local local;
	struct client **by_session; // NULL: none
	uint32_t nb_sessions;
	uint32_t *used; // ids of sessions in use
	uint32_t nb_used;
	uint32_t *keys, *remotes; // heads of chains, by hash
	uint32_t mask;
	struct sl_timers timers;
	struct remembered *remembered; // sorted by key
	size_t nb_remembered, room_remembered;
	struct queue queues[CLIENTS_RANKS];
	struct source sources[SOURCES];
	struct sl_bucket initiations;
	uint32_t scan_at; // next of `used` to look at
	uint64_t scanned_ns;
	struct address arrived_from, arrived_at; // of the message in work
	uint16_t arrived_by; // worker
	struct worker_load loads[SL_MAX_WORKERS];
	uint64_t loads_ns; // when they were reckoned
};

// ---- clients_table.c ------------------------------------------------------------------------------------

int clients_table_create(struct sl_service *s);
void clients_table_free(struct clients *c);
struct client *client_by_key(const struct sl_service *s, const struct sl_noise_public *public);
struct client *client_by_remote(const struct sl_service *s, struct address remote);
// A client heard at `remote` from now on.
void client_moved(struct sl_service *s, struct client *e, struct address remote);
// Make or free an entry; `from` is copied.
struct client *client_new(struct sl_service *s, const struct sl_service_peer *from);
void client_delete(struct sl_service *s, struct client *e);
// Write where it is, and what initiation it sent last; delete both.
void client_store_remote(struct sl_service *s, struct client *e);
void client_store_timestamp(struct sl_service *s, const struct client *e);
void client_forget(struct sl_service *s, const struct client *e);

// ---- clients_queue.c -----------------------------------------------------------------------------------

// Judge a handshake message: drop it, or put it in a queue.
void clients_enqueue(struct sl_service *s, struct rte_mbuf *m);
// The next message to work on, by rank; NULL: none.
struct rte_mbuf *clients_dequeue(struct clients *c, enum sl_peer_load *load);
void clients_queues_free(struct clients *c);

// A message's octets and its source, as cookies know it.
const uint8_t *
clients_message(struct rte_mbuf *m, size_t *nb_bytes, uint8_t source[SL_COOKIE_ADDRESS_BYTES]);

// ---- clients.c -----------------------------------------------------------------------------------------

// Have the entry's peer; false when its key is none.
bool client_ready(struct sl_service *s, struct client *e);
// Take in a handshake message, and free it.
void client_handshake(struct sl_service *s, struct rte_mbuf *m, enum sl_peer_load load);
// Do what proto/peer says, and set the timer anew. `e` may be NULL.
void client_carry_out(struct sl_service *s, struct sl_peer_output *out, struct client *e);

// ---- clients_worker.c -----------------------------------------------------------------------------------

// The worker for the client's next keypair; the handshake message in work came by `arrived_by`.
uint16_t client_choose_worker(struct sl_service *s, const struct client *e);
// The session begins: nobody has had a keypair of it, and its first is to be the flows' owner's.
void client_workers_begin(struct sl_service *s, struct client *e);
// `worker` gets a keypair: what it counted so far is none of this keypair's.
void client_workers_add(struct sl_service *s, struct client *e, uint16_t worker);

// What the workers counted, and what came last.
struct client_traffic {
	uint64_t opened_pkts, opened_empty_pkts, sealed_pkts, wanted_pkts;
	uint64_t heard_ns;
	uint32_t sealed_at;
};
void client_traffic(const struct sl_service *s, const struct client *e, struct client_traffic *out);

// ---- clients_wait.c --------------------------------------------------------------------------------------

// Ask a client for a new key unless there is one or it is asked already. Rate-limited.
void client_ask(struct sl_service *s, struct client *e);
// It has a key: its packets go on.
void client_go_on(struct sl_service *s, struct client *e);

// ---- clients_look.c ------------------------------------------------------------------------------------

#define CLIENTS_SCAN_STEP_NS (25 * SL_NS_PER_MS)

// See what the owner of the session has done since the last look.
void client_look(struct sl_service *s, struct client *e);
// Look at as many entries as are due.
void clients_scan(struct sl_service *s);
