// links: connections to DNS servers, kept for a while and used for many queries at once (RFC 7766 section 6.2.1).
// A link is one of the namespace's sockets, each bound to a port of its own, so that segments tell whose they are.
// IDs on the wire are ours, one per query under way; the asker's comes back with the answer.
#include "internal.h"

#include <openssl/err.h>
#include <rte_ip.h>
#include <rte_tcp.h>

#include <errno.h>
#include <netinet/in.h>
#include <sluice/dns/message.h>
#include <sluice/proto/bytes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define LINK_ASKS      100u // at once on one link; another is opened beyond
#define OPEN_NS        (3 * SL_NS_PER_S)
#define ASK_NS         (4 * SL_NS_PER_S)
#define LINK_IDLE_NS   (10 * SL_NS_PER_S)
#define QUERY_MAX      640u
#define LINK_IN_BYTES  (SL_STREAM_LENGTH_BYTES + SL_DNS_MESSAGE_MAX)
#define LINK_OUT_BYTES (LINK_ASKS * 1024u)

enum link_state { LINK_UNUSED, LINK_CONNECTING, LINK_HANDSHAKING, LINK_OPEN };

struct link {
	struct channel channel;
	struct sl_stream stream;
	struct sl_stream_server server;
	uint32_t server_idx;
	uint32_t nb_asks;
	uint64_t started_ns;
	enum link_state state;
	uint8_t *in;
};

struct ask {
	struct sl_stream_server server;
	uint64_t asked_ns;
	uint32_t token;
	uint32_t link;
	uint16_t asker;
	uint16_t id; // the asker's
	uint16_t nb_bytes;
	bool is_used, is_second; // second: its first link ended
	uint8_t message[QUERY_MAX];
};

struct links {
	struct link list[SL_STREAM_SOCKETS];
	struct ask asks[NB_ASKS];
	uint32_t ask_next;
	uint32_t servers[NB_SERVERS]; // addresses, host order; they stay
	uint32_t nb_servers;
};

static void place(struct sl_streams *s, uint32_t i);

int
links_init(struct sl_streams *s)
{
	s->links = calloc(1, sizeof(*s->links));
	return s->links == NULL ? -ENOMEM : 0;
}

static void
reset(struct sl_streams *s, uint32_t i)
{
	static const struct sockaddr nowhere = { .sa_family = AF_UNSPEC };
	struct link *l = &s->links->list[i];
	struct sl_stream_node *node;

	while ((node = sl_stream_drain(&l->stream)) != NULL)
		free(node);
	if (l->channel.ssl != NULL)
		SSL_free(l->channel.ssl);
	ERR_clear_error();
	(void)epoll_ctl(s->epoll, EPOLL_CTL_DEL, s->fds.sockets[i], NULL);
	// The socket's connection ends with a RST, and it may be used again at once.
	(void)connect(s->fds.sockets[i], &nowhere, sizeof(nowhere));
	l->channel = (struct channel){ .fd = -1 };
	l->state = LINK_UNUSED;
}

void
links_free(struct sl_streams *s)
{
	if (s->links == NULL)
		return;
	for (uint32_t i = 0; i < SL_STREAM_SOCKETS; i++) {
		if (s->links->list[i].state != LINK_UNUSED)
			reset(s, i);
		free(s->links->list[i].in);
	}
	free(s->links);
}

// ---- Asks ---------------------------------------------------------------------------------------------

static void
release(struct sl_streams *s, struct ask *a)
{
	if (a->link != NOBODY)
		s->links->list[a->link].nb_asks--;
	a->is_used = false;
}

static void
fail_ask(struct sl_streams *s, struct ask *a)
{
	release(s, a);
	s->stats.nb_asks_failed++;
	streams_reply(s, a->asker, a->token, a->server.at, true, a->message, a->nb_bytes);
}

// A link is over. What was asked on it is asked once more: a server may end a link at any time, and what it
// had not answered by then counts as not asked (RFC 7766 section 6.2.4).
static void
end_link(struct sl_streams *s, uint32_t i)
{
	struct link *l = &s->links->list[i];
	bool was_open = l->state == LINK_OPEN;

	reset(s, i);
	s->stats.nb_links_failed += !was_open;
	for (uint32_t k = 0; k < NB_ASKS && l->nb_asks != 0; k++) {
		struct ask *a = &s->links->asks[k];

		if (!a->is_used || a->link != i)
			continue;
		if (a->is_second || !was_open) {
			fail_ask(s, a);
			continue;
		}
		l->nb_asks--;
		a->is_second = true;
		a->link = NOBODY;
	}
	l->nb_asks = 0;
	for (uint32_t k = 0; k < NB_ASKS; k++)
		if (s->links->asks[k].is_used && s->links->asks[k].link == NOBODY)
			place(s, k);
}

// ---- Opening -----------------------------------------------------------------------------------------

static uint32_t
server_index(struct links *links, uint32_t address)
{
	for (uint32_t i = 0; i < links->nb_servers; i++)
		if (links->servers[i] == address)
			return i;
	if (links->nb_servers == NB_SERVERS)
		return NOBODY;
	links->servers[links->nb_servers] = address;
	return links->nb_servers++;
}

static bool
same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool
same_server(const struct sl_stream_server *a, const struct sl_stream_server *b)
{
	return a->at.address == b->at.address && a->at.port == b->at.port &&
		same_text(a->tls_name, b->tls_name) && same_text(a->tls_pin, b->tls_pin);
}

// A socket to use: unused, or of a link that nobody waits for. NOBODY: all are busy.
static uint32_t
take_socket(struct sl_streams *s)
{
	for (uint32_t i = 0; i < SL_STREAM_SOCKETS; i++)
		if (s->links->list[i].state == LINK_UNUSED)
			return i;
	for (uint32_t i = 0; i < SL_STREAM_SOCKETS; i++)
		if (s->links->list[i].nb_asks == 0) {
			reset(s, i);
			return i;
		}
	return NOBODY;
}

static bool
open_link(struct sl_streams *s, uint32_t i, const struct sl_stream_server *server)
{
	const struct sl_stream_limits limits = {
		.message_max = SL_DNS_MESSAGE_MAX,
		.in_flight_max = LINK_ASKS + 1,
		.out_bytes_max = LINK_OUT_BYTES,
		.idle_ns = LINK_IDLE_NS,
		.message_ns = ASK_NS,
		.write_ns = ASK_NS,
	};
	struct link *l = &s->links->list[i];
	uint32_t idx = server_index(s->links, server->at.address);
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(server->at.port),
				  .sin_addr.s_addr = htonl(STREAM_SERVERS + idx) };

	if (l->in == NULL)
		l->in = malloc(LINK_IN_BYTES);
	if (idx == NOBODY || l->in == NULL)
		return false;
	l->server = *server;
	l->server_idx = idx;
	l->nb_asks = 0;
	l->started_ns = s->now_ns;
	l->channel = (struct channel){ .fd = s->fds.sockets[i] };
	sl_stream_init(&l->stream, &limits, l->in, LINK_IN_BYTES, s->now_ns);
	if (connect(l->channel.fd, (struct sockaddr *)&to, sizeof(to)) != 0 && errno != EINPROGRESS)
		return false;
	l->state = LINK_CONNECTING;
	s->stats.nb_links++;
	channel_watch(s, &l->channel, WATCH_LINK, i, EPOLLOUT);
	return true;
}

static uint32_t
link_for(struct sl_streams *s, const struct sl_stream_server *server)
{
	uint32_t i;

	for (i = 0; i < SL_STREAM_SOCKETS; i++) {
		const struct link *l = &s->links->list[i];

		if (l->state != LINK_UNUSED && l->nb_asks < LINK_ASKS &&
		    same_server(&l->server, server))
			return i;
	}
	i = take_socket(s);
	return i != NOBODY && open_link(s, i, server) ? i : NOBODY;
}

static void go_on(struct sl_streams *s, uint32_t i);

// Put an ask onto a link.
static void
place(struct sl_streams *s, uint32_t k)
{
	struct ask *a = &s->links->asks[k];
	uint32_t i = link_for(s, &a->server);
	struct sl_stream_node *node;

	node = i == NOBODY ? NULL : malloc(sizeof(*node) + SL_STREAM_LENGTH_BYTES + a->nb_bytes);
	if (node == NULL) {
		fail_ask(s, a);
		return;
	}
	sl_stream_fill(node, a->message, a->nb_bytes);
	sl_put16(node->bytes + SL_STREAM_LENGTH_BYTES, (uint16_t)k);
	a->link = i;
	s->links->list[i].nb_asks++;
	sl_stream_put(&s->links->list[i].stream, node, s->now_ns);
	if (s->links->list[i].state == LINK_OPEN)
		channel_watch(s, &s->links->list[i].channel, WATCH_LINK, i, EPOLLIN | EPOLLOUT);
}

void
links_ask(struct sl_streams *s, const struct job *job)
{
	struct links *links = s->links;
	uint32_t k = NOBODY;

	for (uint32_t i = 0; i < NB_ASKS && k == NOBODY; i++, links->ask_next++)
		if (!links->asks[links->ask_next % NB_ASKS].is_used)
			k = links->ask_next % NB_ASKS;
	if (k == NOBODY || job->nb_bytes > QUERY_MAX || job->nb_bytes < SL_DNS_HEADER_BYTES) {
		s->stats.nb_asks_failed++;
		streams_reply(
			s, job->asker, job->token, job->server.at, true, job->message, job->nb_bytes
		);
		return;
	}
	s->stats.nb_asked++;
	links->asks[k] = (struct ask){
		.server = job->server,
		.asked_ns = s->now_ns,
		.token = job->token,
		.link = NOBODY,
		.asker = job->asker,
		.id = sl_get16(job->message),
		.nb_bytes = (uint16_t)job->nb_bytes,
		.is_used = true,
	};
	memcpy(links->asks[k].message, job->message, job->nb_bytes);
	place(s, k);
}

// ---- Reading and writing --------------------------------------------------------------------------------

static bool
write_out(struct sl_streams *s, struct link *l)
{
	const uint8_t *bytes;
	size_t nb_bytes, nb;

	while ((nb_bytes = sl_stream_pending(&l->stream, &bytes)) != 0) {
		enum channel_io io = channel_write(&l->channel, bytes, nb_bytes, &nb);

		if (io == CHANNEL_BROKEN || io == CHANNEL_END)
			return false;
		free(sl_stream_sent(&l->stream, nb, s->now_ns));
		if (io == CHANNEL_AGAIN)
			return true;
	}
	return true;
}

static void
take_answer(struct sl_streams *s, uint32_t i, uint8_t *message, size_t nb_bytes)
{
	struct ask *a;

	if (nb_bytes < SL_DNS_HEADER_BYTES || sl_get16(message) >= NB_ASKS)
		return;
	a = &s->links->asks[sl_get16(message)];
	if (!a->is_used || a->link != i)
		return; // late: its asker has been told
	sl_put16(message, a->id);
	release(s, a);
	streams_reply(s, a->asker, a->token, a->server.at, false, message, nb_bytes);
}

static bool
read_in(struct sl_streams *s, uint32_t i)
{
	struct link *l = &s->links->list[i];
	const uint8_t *message;
	size_t nb_bytes, room, nb;

	for (;;) {
		uint8_t *to = sl_stream_room(&l->stream, &room);
		enum channel_io io = channel_read(&l->channel, to, room, &nb);

		if (io == CHANNEL_AGAIN)
			return true;
		if (io != CHANNEL_OK)
			return false;
		sl_stream_received(&l->stream, nb, s->now_ns);
		while (sl_stream_next(&l->stream, &message, &nb_bytes, s->now_ns)) {
			sl_stream_forget(&l->stream, s->now_ns);
			take_answer(s, i, l->in + (message - l->in), nb_bytes);
		}
	}
}

static void
go_on(struct sl_streams *s, uint32_t i)
{
	struct link *l = &s->links->list[i];

	if (!write_out(s, l) || !read_in(s, i)) {
		end_link(s, i);
		return;
	}
	channel_watch(
		s,
		&l->channel,
		WATCH_LINK,
		i,
		l->stream.first != NULL ? EPOLLIN | EPOLLOUT : EPOLLIN
	);
}

// Connected. True: go on with what comes next.
static bool
is_connected(struct sl_streams *s, struct link *l)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(l->channel.fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0)
		return false;
	l->state = LINK_OPEN;
	if (l->server.tls_name == NULL)
		return true;
	l->state = LINK_HANDSHAKING;
	l->channel.ssl = tls_connect(s->tls_client, l->channel.fd, &l->server);
	l->channel.is_handshaking = true;
	return l->channel.ssl != NULL;
}

void
links_event(struct sl_streams *s, uint32_t i, uint32_t events)
{
	struct link *l = &s->links->list[i];

	if (l->state == LINK_UNUSED)
		return;
	if ((events & EPOLLERR) != 0 || (l->state == LINK_CONNECTING && !is_connected(s, l))) {
		end_link(s, i);
		return;
	}
	if (l->state == LINK_HANDSHAKING) {
		enum channel_io io = channel_handshake(&l->channel);

		if (io == CHANNEL_AGAIN) {
			channel_watch(s, &l->channel, WATCH_LINK, i, EPOLLIN);
			return;
		}
		if (io != CHANNEL_OK || !tls_is_pinned(l->channel.ssl, l->server.tls_pin)) {
			end_link(s, i);
			return;
		}
		l->state = LINK_OPEN;
	}
	go_on(s, i);
}

void
links_tick(struct sl_streams *s)
{
	for (uint32_t k = 0; k < NB_ASKS; k++) {
		struct ask *a = &s->links->asks[k];

		if (a->is_used && s->now_ns - a->asked_ns > ASK_NS)
			fail_ask(s, a);
	}
	for (uint32_t i = 0; i < SL_STREAM_SOCKETS; i++) {
		const struct link *l = &s->links->list[i];
		bool is_opening = l->state == LINK_CONNECTING || l->state == LINK_HANDSHAKING;

		if (is_opening && s->now_ns - l->started_ns > OPEN_NS)
			end_link(s, i);
		else if (l->state == LINK_OPEN && l->nb_asks == 0 && s->now_ns >= sl_stream_deadline_ns(&l->stream))
			reset(s, i);
	}
}

// ---- Segments -------------------------------------------------------------------------------------------

bool
links_segment_in(struct sl_streams *s, struct rte_mbuf *m)
{
	uint8_t *packet = rte_pktmbuf_mtod(m, uint8_t *);
	const struct rte_ipv4_hdr *ip = (const void *)packet;
	uint32_t i = sl_meta(m)->stream;
	const struct link *l;

	if (i >= SL_STREAM_SOCKETS || !rewrite_is_sound(packet, rte_pktmbuf_data_len(m)))
		return false;
	l = &s->links->list[i];
	if (l->state == LINK_UNUSED || ip->src_addr != rte_cpu_to_be_32(l->server.at.address))
		return false;
	rewrite(packet,
		&(struct rewrite
		){ .source = rte_cpu_to_be_32(STREAM_SERVERS + l->server_idx),
		   .destination = RTE_BE32(STREAM_LOCAL),
		   .destination_port = rte_cpu_to_be_16((uint16_t)(STREAM_PORTS + i)) });
	return true;
}

bool
links_segment_out(struct sl_streams *s, struct rte_mbuf *m)
{
	uint8_t *packet = rte_pktmbuf_mtod(m, uint8_t *);
	const struct rte_ipv4_hdr *ip = (const void *)packet;
	const struct rte_tcp_hdr *tcp = (const void *)(ip + 1);
	uint32_t i = rte_be_to_cpu_16(tcp->src_port) - STREAM_PORTS;
	uint32_t idx = rte_be_to_cpu_32(ip->dst_addr) - STREAM_SERVERS;
	struct sl_meta *meta = sl_meta(m);

	if (i >= SL_STREAM_SOCKETS || idx >= s->links->nb_servers ||
	    ip->src_addr != RTE_BE32(STREAM_LOCAL))
		return false;
	// The worker puts in the address that the packet leaves with.
	rewrite(packet,
		&(struct rewrite){ .destination = rte_cpu_to_be_32(s->links->servers[idx]) });
	meta->stream = i;
	meta->worker = (uint8_t)(i % sl_dp_nb_workers(s->dp));
	meta->l4_offset = sizeof(*ip);
	meta->protocol = IPPROTO_TCP;
	meta->stage = SL_STAGE_STREAM;
	return true;
}
