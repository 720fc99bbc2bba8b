// internal: the parts of DNS over TCP and TLS. Everything here belongs to the stream thread, but for the
// rings to and from the session thread.
#pragma once

#include <openssl/ssl.h>
#include <rte_ring.h>

#include <pthread.h>
#include <sluice/ctrl/stream.h>
#include <sluice/dns/stream.h>
#include <sluice/dp/dp.h>
#include <sluice/dp/hash.h>
#include <sluice/proto/limits.h>
#include <stdatomic.h>

// Addresses inside the namespace, host order: ours, what stands for clients, what stands for servers.
#define STREAM_LOCAL   0x0a000001u // 10.0.0.1
#define STREAM_MASK    0xff000000u
#define STREAM_SERVERS 0x0a400000u // 10.64.0.0 and on
#define STREAM_CLIENTS 0x0a800000u // 10.128.0.0 and on
#define STREAM_PORTS   10000u // of the sockets toward servers, one each
// Passes every path that IPv6's least MTU would, so inside a WireGuard tunnel as well; both ends' MSS follow.
#define STREAM_MTU             1280
#define STREAM_USER_TIMEOUT_MS 10000
#define STREAM_SOCKET_BYTES    65536

#define NB_PEERS     16384u // clients' addresses at once, times the resolvers they use
#define NB_HEADS     16384u
#define CLIENT_PEERS (NB_PEERS / 8)
#define NB_SERVERS   256u
#define NB_QUESTIONS 16384u
#define NB_ASKS      1024u
#define NB_JOBS      4096u

// A peer's synthetic address goes to another when it has been quiet for longer than any connection inside lives
// without a packet: 10 s of data without acknowledgement, of waiting for a FIN, or of idleness; at most 60 as
// configured.
#define PEER_REST_NS (120 * SL_NS_PER_S)

#define NOBODY UINT32_MAX

// ---- peers.c: who stands behind a synthetic address -----------------------------------------------

// What a client's segments have in common with the answers to it.
struct peer_key {
	uint32_t client; // id
	uint32_t scope; // port and VLAN it came by
	rte_be32_t address;
	rte_be32_t resolver;
};

struct peer {
	struct peer_key key;
	uint64_t seen_ns; // last packet, either way
	uint32_t next; // same head
	uint32_t newer, older; // by seen_ns
	uint8_t worker; // who owns the client
	bool is_used;
};

struct client { // by id
	uint32_t nb_peers;
	uint32_t nb_conns;
	uint32_t out_bytes; // answers that wait to be written
};

struct peers {
	struct sl_hash_key hash_key;
	uint32_t heads[NB_HEADS];
	struct peer list[NB_PEERS];
	uint32_t newest, oldest, nb_used;
	struct client *clients;
	uint32_t nb_clients;
};

[[nodiscard]] int peers_init(struct peers *p);
void peers_fini(struct peers *p);
// What a client uses; NULL: no memory.
struct client *peers_client(struct peers *p, uint32_t client);
// The peer of a key; made if there is none. NOBODY: all are in use, or the client has its share.
uint32_t peers_take(struct peers *p, const struct peer_key *key, uint8_t worker, uint64_t now_ns);
// The peer behind a synthetic address (host order), or NOBODY.
uint32_t peers_find(struct peers *p, uint32_t synthetic, uint64_t now_ns);
static inline uint32_t
peers_address(uint32_t peer)
{
	return STREAM_CLIENTS + peer;
}

// ---- rewrite.c: addresses of packets on their way in and out -----------------------------------------

struct rewrite {
	rte_be32_t source, destination;
	rte_be16_t source_port, destination_port; // 0: stays
};
// Put new addresses and ports into a checked IPv4/TCP packet without options, checksums mended.
void rewrite(uint8_t *packet, const struct rewrite *to);
// Is it one? Complete headers, lengths that agree, no fragment.
bool rewrite_is_sound(const uint8_t *packet, size_t nb_bytes);

// ---- conn.c: connections of clients ---------------------------------------------------------------

// What an epoll event is about: kind, and index.
enum watched { WATCH_TUN, WATCH_WORKERS, WATCH_SESSION, WATCH_LISTENER, WATCH_CONN, WATCH_LINK };

struct channel { // an end of a connection, with or without TLS
	int fd;
	SSL *ssl;
	bool is_handshaking;
	bool wants_write; // TLS: it cannot go on before
	uint32_t events; // watched now
};

struct conn {
	struct channel channel;
	struct sl_stream stream;
	uint32_t peer;
	uint32_t client;
	uint32_t generation;
	uint64_t started_ns;
	bool is_used, is_ended; // ended: the client has said all
	uint8_t in[SL_STREAM_LENGTH_BYTES + 4094];
};

struct question {
	uint64_t asked_ns;
	uint32_t conn, conn_generation;
	uint16_t generation;
	uint16_t id_be; // of the client's
	bool is_used;
	bool wants_keepalive, wants_padding; // its EDNS options
};

// How a connection ends: AT_ONCE, so that nothing of it stays in the kernel either.
enum ending { ORDERLY, AT_ONCE };
void conn_close_fd(int fd, enum ending ending);
void conn_close(struct sl_streams *s, uint32_t index, enum ending ending);
// What its client uses; there since it was accepted.
struct client *conn_client(struct sl_streams *s, const struct conn *c);

[[nodiscard]] int conns_init(struct sl_streams *s);
void conns_free(struct sl_streams *s);
void conns_accept(struct sl_streams *s, unsigned listener); // accept.c
void conns_event(struct sl_streams *s, uint32_t index, uint32_t events);
void conns_answer(struct sl_streams *s, uint32_t stream, const uint8_t *message, size_t nb_bytes);
void conns_tick(struct sl_streams *s);

// ---- channel.c: octets in and out, plain or TLS ------------------------------------------------------

enum channel_io { CHANNEL_OK, CHANNEL_AGAIN, CHANNEL_END, CHANNEL_BROKEN };
enum channel_io channel_handshake(struct channel *c);
enum channel_io channel_read(struct channel *c, void *to, size_t room, size_t *nb);
enum channel_io channel_write(struct channel *c, const void *from, size_t nb_bytes, size_t *nb);
void channel_watch(
	struct sl_streams *s, struct channel *c, enum watched what, uint32_t index, uint32_t events
);

// ---- tls.c ------------------------------------------------------------------------------------------

SSL_CTX *tls_server(const char *cert_file, const char *key_file, char *why, size_t why_bytes);
SSL_CTX *tls_client(void);
SSL *tls_connect(SSL_CTX *context, int fd, const struct sl_stream_server *server);
// After the handshake: is it the key that was pinned? True when none was.
bool tls_is_pinned(SSL *ssl, const char *pin);

// ---- reload.c ---------------------------------------------------------------------------------------

// What a reload changes for connections that begin from then on.
struct settings {
	SSL_CTX *tls_server; // NULL: stays
	uint32_t client_connections;
	uint32_t idle_s;
};
// Take over what a reload has left, if any.
void settings_take(struct sl_streams *s);
void settings_free(struct settings *settings);

// ---- links.c: connections to servers -----------------------------------------------------------------

struct links;
[[nodiscard]] int links_init(struct sl_streams *s);
void links_free(struct sl_streams *s);
struct job;
void links_ask(struct sl_streams *s, const struct job *job);
void links_event(struct sl_streams *s, uint32_t index, uint32_t events);
void links_tick(struct sl_streams *s);
// A server's segment, from a worker; false: nobody wants it. Rewritten for the namespace.
bool links_segment_in(struct sl_streams *s, struct rte_mbuf *m);
// A segment from the namespace to a server: rewritten, metadata filled; false: it is no link's.
bool links_segment_out(struct sl_streams *s, struct rte_mbuf *m);

// ---- streams.c --------------------------------------------------------------------------------------

// From the session thread.
struct job {
	bool is_ask; // else the answer to the question `token`
	uint16_t asker;
	uint32_t token;
	struct sl_stream_server server;
	size_t nb_bytes;
	uint8_t message[];
};

struct sl_streams {
	struct sl_streams_conf conf;
	struct sl_stream_fds fds;
	struct sl_dp *dp;
	uint64_t now_ns;
	int epoll;
	pthread_t thread;
	bool has_thread;
	atomic_bool stopping;
	struct peers *peers;
	struct conn **conns; // by index; NULL: never used
	uint32_t nb_conns;
	uint32_t conn_hint; // where a free one is looked for
	uint32_t conn_generation;
	struct question *questions;
	uint32_t question_next; // counted on; slot: modulo
	SSL_CTX *tls_server, *tls_client;
	_Atomic(struct settings *) next_settings; // control thread: puts; stream thread: takes
	struct links *links;
	uint64_t next_tick_ns;
	struct rte_ring *jobs; // session thread -> here
	struct rte_ring *replies; // and back
	int session_bell; // rung by the session thread
	int reply_bell; // rung for it
	struct sl_streams_stats stats;
};

void streams_reply(
	struct sl_streams *s,
	uint16_t asker,
	uint32_t token,
	struct sl_upstream_address from,
	bool is_failure,
	const uint8_t *message,
	size_t nb_bytes
);
