// accept: connections of clients begin here, within the limits.
#include "internal.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define ACCEPTS_PER_TURN 64u
#define IN_FLIGHT_MAX    64u // questions of one connection
#define OUT_BYTES_MAX    131072u // beyond which a connection's questions wait
#define MESSAGE_NS       (5 * SL_NS_PER_S)
#define WRITE_NS         (5 * SL_NS_PER_S)

// The connection that has said nothing for longest and waits for nothing, or NOBODY.
static uint32_t
idlest(const struct sl_streams *s)
{
	uint64_t oldest_ns = UINT64_MAX;
	uint32_t found = NOBODY;

	for (uint32_t i = 0; i < s->nb_conns; i++) {
		const struct conn *c = s->conns[i];

		if (c->is_used && c->stream.nb_in_flight == 0 && c->stream.first == NULL &&
		    c->stream.heard_ns < oldest_ns) {
			oldest_ns = c->stream.heard_ns;
			found = i;
		}
	}
	return found;
}

// An unused slot with its memory, or NOBODY. When all are used, the idlest makes room (RFC 7766 section 6.2.3
// lets a server do so).
static uint32_t
take_slot(struct sl_streams *s)
{
	uint32_t i;

	for (i = s->conn_hint; i < s->nb_conns; i++)
		if (!s->conns[i]->is_used) {
			s->conn_hint = i + 1;
			return i;
		}
	s->conn_hint = i;
	if (i < s->conf.connections) {
		s->conns[i] = calloc(1, sizeof(struct conn));
		if (s->conns[i] == NULL)
			return NOBODY;
		s->nb_conns++;
		s->conn_hint = i + 1;
		return i;
	}
	i = idlest(s);
	if (i != NOBODY)
		conn_close(s, i, AT_ONCE);
	return i;
}

static void
begin(struct sl_streams *s, uint32_t index, int fd, uint32_t peer, SSL *ssl)
{
	const struct sl_stream_limits limits = {
		.message_max = SL_STREAM_QUESTION_MAX,
		.in_flight_max = IN_FLIGHT_MAX,
		.out_bytes_max = OUT_BYTES_MAX,
		.idle_ns = s->conf.idle_s * SL_NS_PER_S,
		.message_ns = MESSAGE_NS,
		.write_ns = WRITE_NS,
	};
	struct conn *c = s->conns[index];

	c->channel = (struct channel){ .fd = fd, .ssl = ssl, .is_handshaking = ssl != NULL };
	c->peer = peer;
	c->client = s->peers->list[peer].key.client;
	c->generation = ++s->conn_generation;
	c->started_ns = s->now_ns;
	c->is_used = true;
	c->is_ended = false;
	sl_stream_init(&c->stream, &limits, c->in, sizeof(c->in), s->now_ns);
	conn_client(s, c)->nb_conns++;
	s->stats.nb_connections++;
	channel_watch(s, &c->channel, WATCH_CONN, index, EPOLLIN);
}

static bool
admit(struct sl_streams *s, int fd, uint32_t synthetic, bool is_tls)
{
	uint32_t peer = peers_find(s->peers, synthetic, s->now_ns), index;
	SSL *ssl = NULL;

	if (peer == NOBODY ||
	    peers_client(s->peers, s->peers->list[peer].key.client)->nb_conns >=
		    s->conf.client_connections)
		return false;
	if (is_tls) {
		ssl = s->tls_server == NULL ? NULL : SSL_new(s->tls_server);
		if (ssl == NULL || SSL_set_fd(ssl, fd) != 1) {
			SSL_free(ssl);
			return false;
		}
		SSL_set_accept_state(ssl);
	}
	index = take_slot(s);
	if (index == NOBODY) {
		SSL_free(ssl);
		return false;
	}
	begin(s, index, fd, peer, ssl);
	return true;
}

void
conns_accept(struct sl_streams *s, unsigned which)
{
	for (unsigned i = 0; i < ACCEPTS_PER_TURN; i++) {
		struct sockaddr_in from = { 0 };
		socklen_t len = sizeof(from);
		int fd = accept4(
			s->fds.listeners[which],
			(struct sockaddr *)&from,
			&len,
			SOCK_NONBLOCK | SOCK_CLOEXEC
		);

		if (fd < 0)
			return;
		s->stats.nb_accepted++;
		if (!admit(s, fd, ntohl(from.sin_addr.s_addr), which == 1)) {
			s->stats.nb_refused++;
			conn_close_fd(fd, AT_ONCE);
		}
	}
}
