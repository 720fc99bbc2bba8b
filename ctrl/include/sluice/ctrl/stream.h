// stream: DNS over TCP and TLS. The kernel's TCP in a network namespace of its own, behind a TUN device that only
// this process has, serves clients on the resolver addresses and speaks to DNS servers for us; so no TCP is written
// by hand, and nothing else of the host is behind that device.
//
//	client's segment -> worker -> ring -> [source becomes a synthetic address] -> TUN -> listener
//	question -> worker, as a packet by UDP would come -> answer -> ring -> connection -> TUN -> worker -> client
//	query of our own -> socket -> TUN -> worker, which takes a port -> server
//
// One thread, made by sl_streams_start(), owns all of it: table of clients' addresses, connections, TLS. It never
// waits for anything but its descriptors. The session thread talks to it through two rings of messages.
#pragma once

#include <sluice/dns/upstream.h>
#include <sluice/dp/clock.h>
#include <sluice/dp/worker.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sl_dp;
struct sl_streams;

// Descriptors inside the namespace, which lives as long as one of them is open.
struct sl_stream_fds {
	int tun;
	int listeners[2]; // TCP, TLS; -1: none
	int sockets[SL_STREAM_SOCKETS]; // toward DNS servers, unconnected
	bool is_open;
};

// Make the namespace and all that is in it. Before any thread is started and before rights are dropped: it needs
// CAP_SYS_ADMIN, or user namespaces for everybody. 0, or -errno and a sentence in `why`.
[[nodiscard]] int sl_stream_open(struct sl_stream_fds *fds, char *why, size_t why_bytes);
void sl_stream_close(struct sl_stream_fds *fds);

struct sl_streams_conf {
	struct sl_dp *dp;
	struct sl_clock *clock;
	struct sl_stream_fds *fds; // taken over
	bool serves_tcp, serves_tls; // clients; both false: only sockets toward servers
	const char *tls_cert_file, *tls_key_file; // NULL: a certificate of our own making
	uint32_t connections; // at once
	uint32_t client_connections; // of one client
	uint32_t idle_s; // after which a connection of a client is closed
};

// NULL and a sentence in `why`. Certificates are read here, so before rights are dropped.
[[nodiscard]] struct sl_streams *
sl_streams_create(const struct sl_streams_conf *conf, char *why, size_t why_bytes);
[[nodiscard]] int sl_streams_start(struct sl_streams *streams);
void sl_streams_free(struct sl_streams *streams); // stops the thread
// Certificate and key as their files are now, and the limits of `conf` but `connections`, for connections that begin
// within a moment from now on. -EINVAL and a sentence in `why`, nothing changed: the files are no use. Control thread.
[[nodiscard]] int sl_streams_reload(
	struct sl_streams *streams, const struct sl_streams_conf *conf, char *why, size_t why_bytes
);

// ---- For the session thread ----------------------------------------------------------------------

// The answer to the question `stream` of a packet's metadata. Copied.
void sl_streams_answer(
	struct sl_streams *streams, uint32_t stream, const uint8_t *message, size_t nb_bytes
);

// How a server is asked.
struct sl_stream_server {
	struct sl_upstream_address at;
	const char *tls_name; // NULL: TCP; else TLS, and the name the certificate must hold
	const char *
		tls_pin; // SHA-256 of the key's SubjectPublicKeyInfo, base64; NULL: any key of a known authority
};

// Ask a server; the reply, or the news that there is none, carries asker and token. False: too many wait. The
// strings outlive the streams.
bool sl_streams_ask(
	struct sl_streams *streams,
	uint16_t asker,
	uint32_t token,
	const struct sl_stream_server *server,
	const uint8_t *message,
	size_t nb_bytes
);

struct sl_stream_reply {
	uint16_t asker;
	uint32_t token;
	struct sl_upstream_address from;
	bool is_failure; // the server cannot be reached, or said nothing in time: `message` is the question
	size_t nb_bytes;
	uint8_t message[];
};
// The next reply, to be freed by free(); NULL: none.
struct sl_stream_reply *sl_streams_reply(struct sl_streams *streams);
// Readable when there may be one; sl_streams_replies_seen() takes the bell down.
int sl_streams_fd(const struct sl_streams *streams);
void sl_streams_replies_seen(struct sl_streams *streams);

// ---- For show and metrics: plain counts, any thread ------------------------------------------------

struct sl_streams_stats {
	uint64_t nb_connections; // now
	uint64_t nb_accepted;
	uint64_t nb_refused; // of them: by a limit
	uint64_t nb_handshakes_failed; // TLS, of clients
	uint64_t nb_questions;
	uint64_t nb_answers;
	uint64_t nb_unanswered; // questions that nobody answered in time
	uint64_t nb_timed_out; // connections closed as slow or stuck
	uint64_t nb_dropped; // packets that fit no connection, or found no room
	uint64_t nb_clients_full; // segments dropped: no synthetic address left
	uint64_t nb_asked; // queries to servers
	uint64_t nb_asks_failed;
	uint64_t nb_links; // connections to servers made
	uint64_t nb_links_failed; // refused, silent, or not who they should be
};
const struct sl_streams_stats *sl_streams_stats(const struct sl_streams *streams);
