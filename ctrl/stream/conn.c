// conn: connections of clients. Each question goes to the client's worker as a packet by UDP would come, with a
// number instead of a port to come back to; so policy, leases, limits and forwarding are those of UDP, and the
// answer finds its connection by the number.
#include "internal.h"

#include <openssl/err.h>
#include <rte_udp.h>

#include <errno.h>
#include <netinet/in.h>
#include <sluice/dns/message.h>
#include <sluice/dp/ip4.h>
#include <sluice/dp/reply.h>
#include <sluice/proto/bytes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENT_OUT_MAX  (4u << 20) // of all connections of a client: beyond, they are closed
#define PADDED_BYTES    468u // answers are padded to multiples of this
#define KEEPALIVE_BYTES 6u
#define HANDSHAKE_NS    (5 * SL_NS_PER_S)
#define QUESTION_NS     (6 * SL_NS_PER_S) // twice what the longest wait for an answer takes
#define ROUNDS          8u // of reading and asking per event: others have their turn

int
conns_init(struct sl_streams *s)
{
	s->conns = calloc(s->conf.connections, sizeof(struct conn *));
	s->questions = calloc(NB_QUESTIONS, sizeof(*s->questions));
	return s->conns == NULL || s->questions == NULL ? -ENOMEM : 0;
}

struct client *
conn_client(struct sl_streams *s, const struct conn *c)
{
	return &s->peers->clients[c->client]; // counted since it was accepted
}

static void
drop_output(struct sl_streams *s, struct conn *c)
{
	struct sl_stream_node *node;

	conn_client(s, c)->out_bytes -= c->stream.nb_out_bytes;
	while ((node = sl_stream_drain(&c->stream)) != NULL)
		free(node);
}

void
conn_close_fd(int fd, enum ending ending)
{
	static const struct linger at_once = { .l_onoff = 1 };

	if (ending == AT_ONCE)
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(fd);
}

void
conn_close(struct sl_streams *s, uint32_t index, enum ending ending)
{
	struct conn *c = s->conns[index];

	if (c->stream.first != NULL)
		ending = AT_ONCE;
	drop_output(s, c);
	if (c->channel.ssl != NULL) {
		if (ending == ORDERLY && !c->channel.is_handshaking)
			(void)SSL_shutdown(c->channel.ssl);
		ERR_clear_error();
		SSL_free(c->channel.ssl);
	}
	conn_close_fd(c->channel.fd, ending);
	conn_client(s, c)->nb_conns--;
	c->is_used = false;
	s->stats.nb_connections--;
	if (index < s->conn_hint)
		s->conn_hint = index;
}

void
conns_free(struct sl_streams *s)
{
	for (uint32_t i = 0; s->conns != NULL && i < s->nb_conns; i++) {
		if (s->conns[i]->is_used)
			conn_close(s, i, AT_ONCE);
		free(s->conns[i]);
	}
	free(s->conns);
	free(s->questions);
}

// ---- Questions --------------------------------------------------------------------------------------

// A slot for a question, in turn, so that a number does not come again soon. NULL: all are under way.
static struct question *
take_question(struct sl_streams *s, uint32_t *stream)
{
	struct question *q;
	uint32_t at;

	for (unsigned i = 0; i < NB_QUESTIONS; i++) {
		at = s->question_next++ % NB_QUESTIONS;
		q = &s->questions[at];
		if (q->is_used)
			continue;
		q->generation++;
		if (q->generation == 0)
			q->generation = 1;
		*stream = at | (uint32_t)q->generation << 16;
		return q;
	}
	return NULL;
}

// The question as the client's packet by UDP.
static struct rte_mbuf *
packet_of(
	const struct sl_streams *s, const struct peer *peer, const uint8_t *message, size_t nb_bytes
)
{
	struct rte_mbuf *m = sl_dp_alloc_mbuf(s->dp);
	uint16_t udp_bytes = (uint16_t)(sizeof(struct rte_udp_hdr) + nb_bytes);
	struct rte_ipv4_hdr *ip;
	struct rte_udp_hdr *udp;
	struct sl_meta *meta;

	ip = m == NULL ? NULL : (void *)rte_pktmbuf_append(m, (uint16_t)(sizeof(*ip) + udp_bytes));
	if (ip == NULL) {
		rte_pktmbuf_free(m);
		return NULL;
	}
	udp = (struct rte_udp_hdr *)(ip + 1);
	sl_ip4_fill(
		ip,
		(struct sl_ip4_ends){ peer->key.address, peer->key.resolver },
		IPPROTO_UDP,
		(uint16_t)(sizeof(*ip) + udp_bytes),
		0,
		SL_REPLY_TTL,
		0
	);
	*udp = (struct rte_udp_hdr){ .dst_port = RTE_BE16(SL_DNS_PORT),
				     .dgram_len = rte_cpu_to_be_16(udp_bytes) };
	memcpy(udp + 1, message, nb_bytes);
	meta = sl_meta(m);
	meta->port = (uint16_t)(peer->key.scope >> 16);
	meta->vlan = (uint16_t)peer->key.scope;
	meta->client = peer->key.client;
	meta->l4_offset = sizeof(*ip);
	meta->protocol = IPPROTO_UDP;
	meta->ttl = SL_REPLY_TTL;
	meta->stage = SL_STAGE_CLIENT;
	return m;
}

// Options that are between the client and this connection. Padding in the clear would hide nothing.
static void
note_options(struct question *q, const struct conn *c, const uint8_t *message, size_t nb_bytes)
{
	struct sl_query query;
	bool has_options = sl_query_parse(&query, message, nb_bytes) == SL_QUERY_OK &&
		query.has_edns;

	q->wants_keepalive = has_options && sl_query_has_option(&query, SL_DNS_OPTION_KEEPALIVE);
	q->wants_padding = has_options && c->channel.ssl != NULL &&
		sl_query_has_option(&query, SL_DNS_OPTION_PADDING);
}

// False: it will not be answered.
static bool
ask(struct sl_streams *s, uint32_t index, const uint8_t *message, size_t nb_bytes)
{
	struct conn *c = s->conns[index];
	const struct peer *peer = &s->peers->list[c->peer];
	struct question *q;
	struct rte_mbuf *m;
	uint32_t stream;

	m = packet_of(s, peer, message, nb_bytes);
	q = m == NULL ? NULL : take_question(s, &stream);
	if (q == NULL) {
		rte_pktmbuf_free(m);
		return false;
	}
	sl_meta(m)->stream = stream;
	if (sl_dp_send_stream(s->dp, peer->worker, m) != 0) {
		rte_pktmbuf_free(m);
		return false;
	}
	q->is_used = true;
	q->asked_ns = s->now_ns;
	q->conn = index;
	q->conn_generation = c->generation;
	memcpy(&q->id_be, message, sizeof(q->id_be));
	note_options(q, c, message, nb_bytes);
	s->stats.nb_questions++;
	return true;
}

// ---- Reading and writing ---------------------------------------------------------------------------

// True: go on; false: the connection is broken.
static bool
write_out(struct sl_streams *s, struct conn *c)
{
	const uint8_t *bytes;
	size_t nb_bytes, nb;

	while ((nb_bytes = sl_stream_pending(&c->stream, &bytes)) != 0) {
		enum channel_io io = channel_write(&c->channel, bytes, nb_bytes, &nb);
		struct sl_stream_node *node;

		if (io == CHANNEL_BROKEN || io == CHANNEL_END)
			return false;
		node = sl_stream_sent(&c->stream, nb, s->now_ns);
		if (node != NULL)
			conn_client(s, c)->out_bytes -= node->nb_bytes;
		free(node);
		if (io == CHANNEL_AGAIN)
			return true;
	}
	return true;
}

// Take what has come and pass the questions on. True: go on; false: the connection is broken.
static bool
read_in(struct sl_streams *s, uint32_t index)
{
	struct conn *c = s->conns[index];
	const uint8_t *message;
	size_t nb_bytes, room, nb;

	// What TLS has decrypted already no event tells of.
	for (unsigned i = 0;
	     i < ROUNDS || (c->channel.ssl != NULL && SSL_has_pending(c->channel.ssl));
	     i++) {
		enum channel_io io;
		uint8_t *to;

		while (sl_stream_next(&c->stream, &message, &nb_bytes, s->now_ns)) {
			if (nb_bytes < SL_DNS_HEADER_BYTES)
				return false; // nobody who speaks DNS
			if (!ask(s, index, message, nb_bytes))
				sl_stream_forget(&c->stream, s->now_ns);
		}
		if (c->is_ended || sl_stream_is_full(&c->stream))
			return true;
		to = sl_stream_room(&c->stream, &room);
		io = channel_read(&c->channel, to, room, &nb);
		if (io == CHANNEL_BROKEN)
			return false;
		if (io == CHANNEL_AGAIN)
			return true;
		c->is_ended = io == CHANNEL_END;
		sl_stream_received(&c->stream, nb, s->now_ns);
	}
	return true;
}

static void
watch(struct sl_streams *s, uint32_t index)
{
	struct conn *c = s->conns[index];
	uint32_t events = 0;

	if (!c->is_ended && !sl_stream_is_full(&c->stream))
		events |= EPOLLIN;
	if (c->stream.first != NULL)
		events |= EPOLLOUT;
	channel_watch(s, &c->channel, WATCH_CONN, index, events);
}

static void
go_on(struct sl_streams *s, uint32_t index)
{
	struct conn *c = s->conns[index];

	if (!write_out(s, c) || !read_in(s, index)) {
		conn_close(s, index, AT_ONCE);
		return;
	}
	// All said and all answered.
	if (c->is_ended && c->stream.nb_in_flight == 0 && c->stream.first == NULL) {
		conn_close(s, index, ORDERLY);
		return;
	}
	watch(s, index);
}

void
conns_event(struct sl_streams *s, uint32_t index, uint32_t events)
{
	struct conn *c = index < s->nb_conns ? s->conns[index] : NULL;

	if (c == NULL || !c->is_used)
		return;
	if ((events & (EPOLLERR | EPOLLHUP)) != 0) { // nobody is there to hear answers
		conn_close(s, index, AT_ONCE);
		return;
	}
	if (c->channel.is_handshaking)
		switch (channel_handshake(&c->channel)) {
		case CHANNEL_OK:
			break;
		case CHANNEL_AGAIN:
			channel_watch(s, &c->channel, WATCH_CONN, index, EPOLLIN);
			return;
		case CHANNEL_END:
		case CHANNEL_BROKEN:
		default:
			s->stats.nb_handshakes_failed++;
			conn_close(s, index, AT_ONCE);
			return;
		}
	go_on(s, index);
}

// ---- Answers ----------------------------------------------------------------------------------------

// The question of a number; it may be over.
static struct question *
question_of(const struct sl_streams *s, uint32_t stream)
{
	return &s->questions[stream % 65536 % NB_QUESTIONS];
}

// The connection of a question that ends here; NULL: it is gone, or nobody asked.
static struct conn *
end_question(struct sl_streams *s, uint32_t stream, uint16_t id_be, uint32_t *index)
{
	struct question *q = question_of(s, stream);
	struct conn *c;

	if (!q->is_used || q->generation != stream >> 16 || q->id_be != id_be)
		return NULL;
	q->is_used = false;
	*index = q->conn;
	c = s->conns[q->conn];
	return c->is_used && c->generation == q->conn_generation ? c : NULL;
}

// The answer as it goes out: with how long the connection may idle (RFC 7828), and padded (RFC 8467 section 4.1), where
// the question asked for it. NULL: no memory.
static struct sl_stream_node *
make_node(
	const struct sl_streams *s,
	const struct question *q,
	const uint8_t *message,
	size_t nb_bytes
)
{
	const size_t room = nb_bytes + KEEPALIVE_BYTES + (q->wants_padding ? 2 * PADDED_BYTES : 0);
	struct sl_stream_node *node = malloc(sizeof(*node) + SL_STREAM_LENGTH_BYTES + room);
	uint8_t timeout[2], *out;

	if (node == NULL)
		return NULL;
	sl_stream_fill(node, message, (uint16_t)nb_bytes);
	out = node->bytes + SL_STREAM_LENGTH_BYTES;
	sl_put16(timeout, (uint16_t)RTE_MIN(s->conf.idle_s * 10, (uint32_t)UINT16_MAX));
	if (q->wants_keepalive)
		nb_bytes = sl_answer_add_option(
			out, nb_bytes, room, SL_DNS_OPTION_KEEPALIVE, timeout, sizeof(timeout)
		);
	if (q->wants_padding)
		nb_bytes = sl_answer_pad(out, nb_bytes, room, PADDED_BYTES);
	sl_stream_set_length(node, (uint16_t)nb_bytes);
	return node;
}

void
conns_answer(struct sl_streams *s, uint32_t stream, const uint8_t *message, size_t nb_bytes)
{
	const struct question *q = question_of(s, stream);
	struct sl_stream_node *node;
	uint32_t index;
	struct conn *c;
	uint16_t id_be;

	if (nb_bytes < SL_DNS_HEADER_BYTES || nb_bytes > SL_DNS_MESSAGE_MAX)
		return;
	memcpy(&id_be, message, sizeof(id_be));
	c = end_question(s, stream, id_be, &index);
	if (c == NULL)
		return;
	node = make_node(s, q, message, nb_bytes);
	if (node == NULL || conn_client(s, c)->out_bytes + node->nb_bytes > CLIENT_OUT_MAX) {
		free(node);
		conn_close(s, index, AT_ONCE);
		return;
	}
	conn_client(s, c)->out_bytes += node->nb_bytes;
	sl_stream_put(&c->stream, node, s->now_ns);
	s->stats.nb_answers++;
	go_on(s, index);
}

// ---- Time ---------------------------------------------------------------------------------------------

// Questions that nobody answered, as one over UDP would not have been.
static void
give_up(struct sl_streams *s)
{
	for (uint32_t i = 0; i < NB_QUESTIONS; i++) {
		struct question *q = &s->questions[i];
		uint32_t index;
		struct conn *c;

		if (!q->is_used || s->now_ns - q->asked_ns < QUESTION_NS)
			continue;
		s->stats.nb_unanswered++;
		c = end_question(s, i | (uint32_t)q->generation << 16, q->id_be, &index);
		if (c == NULL)
			continue;
		sl_stream_forget(&c->stream, s->now_ns);
		go_on(s, index);
	}
}

void
conns_tick(struct sl_streams *s)
{
	give_up(s);
	for (uint32_t i = 0; i < s->nb_conns; i++) {
		const struct conn *c = s->conns[i];
		bool is_idle, is_late;

		if (!c->is_used)
			continue;
		is_late = c->channel.is_handshaking && s->now_ns - c->started_ns > HANDSHAKE_NS;
		if (!is_late && s->now_ns < sl_stream_deadline_ns(&c->stream))
			continue;
		is_idle = !is_late && c->stream.message_ns == 0 && c->stream.first == NULL;
		s->stats.nb_timed_out += !is_idle;
		conn_close(s, i, is_idle ? ORDERLY : AT_ONCE);
	}
}
