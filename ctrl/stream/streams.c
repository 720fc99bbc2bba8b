#include "internal.h"

#include <rte_errno.h>
#include <rte_ip.h>
#include <rte_malloc.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include <errno.h>
#include <signal.h>
#include <sluice/dp/inner.h>
#include <sluice/dp/reply.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BURST        64u // packets a turn from the workers, and from the namespace
#define JOBS_A_TURN  256u
#define TICK_NS      (250 * SL_NS_PER_MS)
#define EVENTS       64
#define SLEEP_MAX_MS 250

// ---- From the workers -------------------------------------------------------------------------------

static uint32_t
scope_of(const struct sl_meta *meta)
{
	return (uint32_t)meta->port << 16 | meta->vlan;
}

// A client's segment into the namespace, under the synthetic address of its sender.
static void
client_segment(struct sl_streams *s, struct rte_mbuf *m)
{
	uint8_t *packet = rte_pktmbuf_mtod(m, uint8_t *);
	const struct rte_ipv4_hdr *ip = (const void *)packet;
	const struct sl_meta *meta = sl_meta(m);
	struct peer_key key = { .client = meta->client,
				.scope = scope_of(meta),
				.address = ip->src_addr,
				.resolver = ip->dst_addr };
	uint32_t peer;

	if (!rewrite_is_sound(packet, rte_pktmbuf_data_len(m))) {
		s->stats.nb_dropped++;
		return;
	}
	peer = peers_take(s->peers, &key, meta->worker, s->now_ns);
	if (peer == NOBODY) {
		s->stats.nb_clients_full++;
		return;
	}
	rewrite(packet,
		&(struct rewrite){ .source = rte_cpu_to_be_32(peers_address(peer)),
				   .destination = RTE_BE32(STREAM_LOCAL) });
	if (write(s->fds.tun, packet, rte_pktmbuf_data_len(m)) < 0)
		s->stats.nb_dropped++;
}

static void
answer_packet(struct sl_streams *s, struct rte_mbuf *m)
{
	const struct sl_meta *meta = sl_meta(m);
	uint8_t *message;
	uint16_t nb_bytes = sl_udp_payload(m, sizeof(struct rte_ipv4_hdr), &message);

	if (nb_bytes != 0)
		conns_answer(s, meta->stream, message, nb_bytes);
}

static void
from_worker(struct sl_streams *s, struct rte_mbuf *m)
{
	const struct sl_meta *meta = sl_meta(m);
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);

	if (ip->next_proto_id == IPPROTO_UDP) {
		answer_packet(s, m);
	} else if (meta->client != SL_NO_CLIENT) {
		client_segment(s, m);
	} else if (links_segment_in(s, m)) {
		if (write(s->fds.tun, ip, rte_pktmbuf_data_len(m)) < 0)
			s->stats.nb_dropped++;
	} else {
		s->stats.nb_dropped++;
	}
	rte_pktmbuf_free(m);
}

static unsigned
take_packets(struct sl_streams *s)
{
	struct rte_mbuf *m[BURST];
	unsigned nb = sl_dp_poll_stream(s->dp, m, BURST);

	for (unsigned i = 0; i < nb; i++)
		from_worker(s, m[i]);
	return nb;
}

// ---- From the namespace -----------------------------------------------------------------------------

// The listener's segment to a client. False: it is for nobody.
static bool
segment_out(struct sl_streams *s, struct rte_mbuf *m)
{
	uint8_t *packet = rte_pktmbuf_mtod(m, uint8_t *);
	const struct rte_ipv4_hdr *ip = (const void *)packet;
	const struct rte_tcp_hdr *tcp = (const void *)(ip + 1);
	uint32_t peer;
	struct sl_meta *meta = sl_meta(m);
	const struct peer *p;

	if (ip->src_addr != RTE_BE32(STREAM_LOCAL) ||
	    (tcp->src_port != RTE_BE16(53) && tcp->src_port != RTE_BE16(853)))
		return false;
	peer = peers_find(s->peers, rte_be_to_cpu_32(ip->dst_addr), s->now_ns);
	if (peer == NOBODY)
		return false;
	p = &s->peers->list[peer];
	rewrite(packet,
		&(struct rewrite){ .source = p->key.resolver, .destination = p->key.address });
	meta->client = p->key.client;
	meta->port = (uint16_t)(p->key.scope >> 16);
	meta->vlan = (uint16_t)p->key.scope;
	meta->worker = p->worker;
	meta->l4_offset = sizeof(*ip);
	meta->protocol = IPPROTO_TCP;
	meta->ttl = SL_REPLY_TTL;
	meta->stage = SL_STAGE_TO_CLIENT;
	return true;
}

// One packet. False when there is none left.
static bool
read_tun(struct sl_streams *s)
{
	struct rte_mbuf *m = sl_dp_alloc_mbuf(s->dp);
	uint8_t lost[STREAM_MTU], *to = m == NULL ? lost : rte_pktmbuf_mtod(m, uint8_t *);
	ssize_t nb = read(s->fds.tun, to, STREAM_MTU);

	if (nb <= 0 || m == NULL) {
		rte_pktmbuf_free(m);
		s->stats.nb_dropped += nb > 0;
		return nb > 0;
	}
	rte_pktmbuf_append(m, (uint16_t)nb);
	if (!rewrite_is_sound(to, (size_t)nb) || (!segment_out(s, m) && !links_segment_out(s, m)) ||
	    sl_dp_send_stream(s->dp, sl_meta(m)->worker, m) != 0) {
		s->stats.nb_dropped++;
		rte_pktmbuf_free(m);
	}
	return true;
}

// ---- Messages with the session thread -------------------------------------------------------------------

static void
ring_bell(int fd)
{
	static const uint64_t one = 1;
	ssize_t rc = write(fd, &one, sizeof(one));

	(void)rc; // EAGAIN: it rings already
}

static void
silence_bell(int fd)
{
	uint64_t count;
	ssize_t rc = read(fd, &count, sizeof(count));

	(void)rc;
}

static bool
send_job(struct sl_streams *s, struct job *job)
{
	if (rte_ring_sp_enqueue(s->jobs, job) != 0) {
		free(job);
		return false;
	}
	ring_bell(s->session_bell);
	return true;
}

static struct job *
make_job(uint32_t token, const uint8_t *message, size_t nb_bytes)
{
	struct job *job = nb_bytes > UINT16_MAX ? NULL : calloc(1, sizeof(*job) + nb_bytes);

	if (job == NULL)
		return NULL;
	job->token = token;
	job->nb_bytes = nb_bytes;
	memcpy(job->message, message, nb_bytes);
	return job;
}

void
sl_streams_answer(struct sl_streams *s, uint32_t stream, const uint8_t *message, size_t nb_bytes)
{
	struct job *job = make_job(stream, message, nb_bytes);

	if (job != NULL)
		(void)send_job(s, job);
}

bool
sl_streams_ask(
	struct sl_streams *s,
	uint16_t asker,
	uint32_t token,
	const struct sl_stream_server *server,
	const uint8_t *message,
	size_t nb_bytes
)
{
	struct job *job = make_job(token, message, nb_bytes);

	if (job == NULL)
		return false;
	job->is_ask = true;
	job->asker = asker;
	job->server = *server;
	return send_job(s, job);
}

void
streams_reply(
	struct sl_streams *s,
	uint16_t asker,
	uint32_t token,
	struct sl_upstream_address from,
	bool is_failure,
	const uint8_t *message,
	size_t nb_bytes
)
{
	struct sl_stream_reply *reply = malloc(sizeof(*reply) + nb_bytes);

	if (reply == NULL)
		return;
	reply->asker = asker;
	reply->token = token;
	reply->from = from;
	reply->is_failure = is_failure;
	reply->nb_bytes = nb_bytes;
	memcpy(reply->message, message, nb_bytes);
	if (rte_ring_sp_enqueue(s->replies, reply) != 0)
		free(reply); // its asker hears nothing, and asks again
	ring_bell(s->reply_bell);
}

struct sl_stream_reply *
sl_streams_reply(struct sl_streams *s)
{
	void *reply;

	return rte_ring_sc_dequeue(s->replies, &reply) == 0 ? reply : NULL;
}

int
sl_streams_fd(const struct sl_streams *s)
{
	return s->reply_bell;
}

void
sl_streams_replies_seen(struct sl_streams *s)
{
	silence_bell(s->reply_bell);
}

static unsigned
take_jobs(struct sl_streams *s)
{
	void *jobs[JOBS_A_TURN];
	unsigned nb = rte_ring_sc_dequeue_burst(s->jobs, jobs, JOBS_A_TURN, NULL);

	for (unsigned i = 0; i < nb; i++) {
		struct job *job = jobs[i];

		if (job->is_ask)
			links_ask(s, job);
		else
			conns_answer(s, job->token, job->message, job->nb_bytes);
		free(job);
	}
	return nb;
}

// ---- The thread ---------------------------------------------------------------------------------------

static void
on_event(struct sl_streams *s, const struct epoll_event *event)
{
	uint32_t index = (uint32_t)event->data.u64;

	switch ((enum watched)(event->data.u64 >> 32)) {
	case WATCH_TUN:
		for (unsigned i = 0; i < BURST && read_tun(s); i++)
			;
		break;
	case WATCH_WORKERS:
		break; // sl_dp_stream_woke() takes the bell down
	case WATCH_SESSION:
		silence_bell(s->session_bell);
		break;
	case WATCH_LISTENER:
		conns_accept(s, index);
		break;
	case WATCH_CONN:
		conns_event(s, index, event->events);
		break;
	case WATCH_LINK:
		links_event(s, index, event->events);
		break;
	default:
		break;
	}
}

static void
turn(struct sl_streams *s)
{
	struct epoll_event events[EVENTS];
	bool sleeps;
	int nb;

	s->now_ns = sl_clock_ns(s->conf.clock);
	sleeps = take_packets(s) + take_jobs(s) == 0 && sl_dp_stream_sleeps(s->dp);
	nb = epoll_wait(s->epoll, events, EVENTS, sleeps ? SLEEP_MAX_MS : 0);
	if (sleeps)
		sl_dp_stream_woke(s->dp);
	s->now_ns = sl_clock_ns(s->conf.clock);
	for (int i = 0; i < nb; i++)
		on_event(s, &events[i]);
	if (s->now_ns >= s->next_tick_ns) {
		s->next_tick_ns = s->now_ns + TICK_NS;
		settings_take(s);
		conns_tick(s);
		links_tick(s);
	}
}

static void *
stream_main(void *arg)
{
	struct sl_streams *s = arg;

	pthread_setname_np(pthread_self(), "sl-stream");
	while (!atomic_load_explicit(&s->stopping, memory_order_relaxed))
		turn(s);
	return NULL;
}

// ---- Life ---------------------------------------------------------------------------------------------

static struct rte_ring *
ring_create(void)
{
	ssize_t bytes = rte_ring_get_memsize(NB_JOBS);
	struct rte_ring *r = bytes < 0 ? NULL : rte_zmalloc("sl_jobs", (size_t)bytes, 0);

	if (r != NULL && rte_ring_init(r, "sl_jobs", NB_JOBS, RING_F_SP_ENQ | RING_F_SC_DEQ) != 0) {
		rte_free(r);
		r = NULL;
	}
	return r;
}

static void
ring_destroy(struct rte_ring *r)
{
	void *message;

	while (r != NULL && rte_ring_sc_dequeue(r, &message) == 0)
		free(message);
	rte_free(r);
}

static bool
watch(const struct sl_streams *s, int fd, enum watched what, uint32_t index)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = (uint64_t)what << 32 | index };

	return epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

static int
create_parts(struct sl_streams *s)
{
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	s->session_bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	s->reply_bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	s->jobs = ring_create();
	s->replies = ring_create();
	s->peers = calloc(1, sizeof(*s->peers));
	if (s->epoll < 0 || s->session_bell < 0 || s->reply_bell < 0 || s->jobs == NULL ||
	    s->replies == NULL || s->peers == NULL || peers_init(s->peers) != 0 ||
	    conns_init(s) != 0 || links_init(s) != 0)
		return -ENOMEM;
	if (!watch(s, s->fds.tun, WATCH_TUN, 0) ||
	    !watch(s, sl_dp_stream_fd(s->dp), WATCH_WORKERS, 0) ||
	    !watch(s, s->session_bell, WATCH_SESSION, 0) ||
	    (s->conf.serves_tcp && !watch(s, s->fds.listeners[0], WATCH_LISTENER, 0)) ||
	    (s->conf.serves_tls && !watch(s, s->fds.listeners[1], WATCH_LISTENER, 1)))
		return -errno;
	return 0;
}

struct sl_streams *
sl_streams_create(const struct sl_streams_conf *conf, char *why, size_t why_bytes)
{
	struct sl_streams *s = calloc(1, sizeof(*s));
	int rc;

	if (s == NULL)
		return NULL;
	s->conf = *conf;
	s->dp = conf->dp;
	s->fds = *conf->fds;
	conf->fds->is_open = false;
	s->epoll = s->session_bell = s->reply_bell = -1;
	s->now_ns = sl_clock_ns(conf->clock);
	snprintf(why, why_bytes, "no memory");
	rc = create_parts(s);
	s->tls_client = tls_client();
	if (rc == 0 && conf->serves_tls) {
		s->tls_server = tls_server(conf->tls_cert_file, conf->tls_key_file, why, why_bytes);
		rc = s->tls_server == NULL ? -EINVAL : 0;
	}
	if (rc == 0 && s->tls_client != NULL)
		return s;
	sl_streams_free(s);
	return NULL;
}

int
sl_streams_start(struct sl_streams *s)
{
	int rc = pthread_create(&s->thread, NULL, stream_main, s);

	s->has_thread = rc == 0;
	return -rc;
}

void
sl_streams_free(struct sl_streams *s)
{
	if (s == NULL)
		return;
	if (s->has_thread) {
		atomic_store(&s->stopping, true);
		ring_bell(s->session_bell);
		pthread_join(s->thread, NULL);
	}
	if (s->peers != NULL) {
		conns_free(s);
		links_free(s);
		peers_fini(s->peers);
	}
	free(s->peers);
	ring_destroy(s->jobs);
	ring_destroy(s->replies);
	settings_free(atomic_load(&s->next_settings));
	SSL_CTX_free(s->tls_server);
	SSL_CTX_free(s->tls_client);
	if (s->epoll >= 0)
		close(s->epoll);
	if (s->session_bell >= 0)
		close(s->session_bell);
	if (s->reply_bell >= 0)
		close(s->reply_bell);
	sl_stream_close(&s->fds);
	free(s);
}

const struct sl_streams_stats *
sl_streams_stats(const struct sl_streams *s)
{
	return &s->stats;
}
