// clients: the sessions with WireGuard clients. The protocol is proto/peer; here are its events, the
// turns of the session thread and the configuration.
#include "clients.h"

#include <rte_ip.h>
#include <rte_udp.h>

#include <errno.h>
#include <stdlib.h>

#define MESSAGES_PER_TURN 8u // handshakes, of some 150 us each
#define TIMERS_PER_TURN   64u

static struct sl_session *
session_of(struct sl_service *s, const struct client *e)
{
	return &s->sessions->sessions[e->session];
}

// ---- What proto/peer asks --------------------------------------------------------------------------------

static struct sl_peer *
by_public(void *context, const struct sl_noise_public *public)
{
	struct sl_service *s = context;
	struct client *e = client_by_key(s, public);

	if (e == NULL || !client_ready(s, e))
		return NULL;
	// A keypair proved just now must not be taken for one that never was.
	client_look(s, e);
	return &e->peer;
}

static struct sl_peer *
by_index(void *context, uint32_t index)
{
	struct sl_service *s = context;

	return keys_peer(s, &s->clients->local, index);
}

static bool
take_index(void *context, struct sl_peer *peer, uint32_t *index)
{
	const struct client *e = peer->owner;

	return keys_take_index(context, peer, e->session, index);
}

bool
client_ready(struct sl_service *s, struct client *e)
{
	if (e->is_ready)
		return true;
	if (sl_peer_init(
		    &e->peer,
		    &s->clients->local,
		    &e->public,
		    e->has_psk ? &e->psk : NULL,
		    e->remote.ip != 0 ? SL_PEER_INITIATES : 0,
		    0
	    ) != SL_NOISE_OK) {
		sl_log(SL_LOG_ERROR, "client-key", "the public key of %s is not one", e->name);
		return false;
	}
	e->peer.owner = e;
	memcpy(e->peer.last_timestamp, e->last_timestamp, sizeof(e->last_timestamp));
	e->is_ready = true;
	return true;
}

// ---- Events ----------------------------------------------------------------------------------------------

static void
confirm(struct sl_service *s, struct client *e, uint32_t index)
{
	struct sl_session *session = session_of(s, e);
	struct sl_keypair *keypair = atomic_load(keys_published(s, index));

	if (keypair == NULL)
		return;
	sl_histogram_add(
		&s->stats.waits[SL_WAIT_CLIENT_HANDSHAKE],
		s->now_ns - (keypair->is_initiator ? e->peer.asking_since_ns : keypair->created_ns),
		1
	);
	if (!e->is_up) {
		atomic_store(&session->established_ns, s->now_ns);
		sl_log(SL_LOG_INFO, "client-up", "session with client %s is up", e->name);
	}
	atomic_store(&session->worker, keypair->worker);
	atomic_store(&session->proved, index);
	atomic_store_explicit(&session->current, keypair, memory_order_release);
	e->is_up = true;
	if (!keypair->is_initiator)
		client_store_timestamp(s, e);
}

// An empty packet; the owner of the session seals it.
static void
send_keepalive(struct sl_service *s, struct client *e)
{
	struct rte_mbuf *m = sl_dp_alloc_mbuf(s->dp);

	if (m == NULL)
		return;
	sl_meta(m)->client = e->id;
	to_worker(s, atomic_load(&session_of(s, e)->worker), SL_STAGE_TO_SESSION, m);
}

// The keypair's worker is settled before anybody can use it.
static void
install(struct sl_service *s, struct client *e, const struct sl_transport_key *key)
{
	struct keys_place place = { .session = e->session, .worker = client_choose_worker(s, e) };

	client_workers_add(s, e, place.worker);
	if (!e->peer.current.is_used)
		atomic_store(&session_of(s, e)->worker, place.worker);
	// Our question was answered from there.
	if (key->is_initiator) {
		client_moved(s, e, s->clients->arrived_from);
		e->local = s->clients->arrived_at;
		place.remote = e->remote;
		place.local = e->local;
	}
	keys_install(s, key, &place);
}

static void
carry_out(struct sl_service *s, struct client *e, const struct sl_peer_event *event)
{
	const struct clients *c = s->clients;

	switch (event->type) {
	case SL_PEER_SEND:
		keys_send(
			s,
			event->to_source ? c->arrived_at : e->local,
			event->to_source ? c->arrived_from : e->remote,
			event->bytes,
			event->nb_bytes
		);
		break;
	case SL_PEER_INSTALL:
		install(s, e, &event->key);
		break;
	case SL_PEER_CONFIRMED:
		confirm(s, e, event->index);
		client_go_on(s, e);
		break;
	case SL_PEER_RELEASE:
		keys_release(s, event->index);
		break;
	case SL_PEER_KEEPALIVE:
		send_keepalive(s, e);
		break;
	case SL_PEER_EXPIRED:
		e->is_up = false;
		sl_log(SL_LOG_INFO, "client-down", "client %s has gone quiet", e->name);
		break;
	case SL_PEER_RESTARTED:
	case SL_PEER_GAVE_UP:
	default:
		break;
	}
}

void
client_carry_out(struct sl_service *s, struct sl_peer_output *out, struct client *e)
{
	for (unsigned i = 0; i < out->nb; i++) {
		// A cookie reply is for the source alone and may be about no client.
		if (e != NULL)
			carry_out(s, e, &out->events[i]);
		else if (out->events[i].type == SL_PEER_SEND)
			keys_send(
				s,
				s->clients->arrived_at,
				s->clients->arrived_from,
				out->events[i].bytes,
				out->events[i].nb_bytes
			);
	}
	sl_peer_output_wipe(out);
	out->nb = 0;
	if (e == NULL || !e->is_ready)
		return;
	if (sl_peer_next_deadline(&e->peer) == UINT64_MAX)
		sl_timers_cancel(&s->clients->timers, &e->timer);
	else
		(void
		)sl_timers_set(&s->clients->timers, &e->timer, sl_peer_next_deadline(&e->peer));
}

// ---- Turns -------------------------------------------------------------------------------------------------

static void
arrived(struct clients *c, struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	const struct rte_udp_hdr *udp = rte_pktmbuf_mtod_offset(
		m, const struct rte_udp_hdr *, sl_meta(m)->l4_offset
	);

	c->arrived_from = (struct address){ ip->src_addr, udp->src_port };
	c->arrived_at = (struct address){ ip->dst_addr, udp->dst_port };
	c->arrived_by = sl_meta(m)->worker;
}

void
client_handshake(struct sl_service *s, struct rte_mbuf *m, enum sl_peer_load load)
{
	struct sl_peer_output out = { .nb = 0 };
	uint8_t source[SL_COOKIE_ADDRESS_BYTES];
	enum sl_peer_verdict verdict;
	const uint8_t *message;
	size_t nb_bytes;

	arrived(s->clients, m);
	message = clients_message(m, &nb_bytes, source);
	verdict = sl_peer_receive(
		&s->clients->local, message, nb_bytes, source, load, service_clocks(s), &out
	);
	s->stats.nb_cookies += verdict == SL_PEER_COOKIE_SENT;
	s->stats.nb_handshakes_bad += verdict > SL_PEER_COOKIE_SENT;
	client_carry_out(s, &out, out.peer == NULL ? NULL : out.peer->owner);
	rte_pktmbuf_free(m);
}

void
clients_handshake(struct sl_service *s, struct rte_mbuf *m)
{
	clients_enqueue(s, m);
}

// After a restart clients go on under keys we no longer have. One that is known by where it sends
// from is asked for new ones; it need not wait until it misses our answers.
void
clients_unknown(struct sl_service *s, struct rte_mbuf *m)
{
	struct client *e = NULL;

	if (s->clients != NULL) {
		arrived(s->clients, m);
		e = client_by_remote(s, s->clients->arrived_from);
	}
	rte_pktmbuf_free(m);
	if (e == NULL || (e->is_ready && e->peer.current.is_used))
		return;
	e->local = s->clients->arrived_at;
	client_ask(s, e);
}

unsigned
clients_work(struct sl_service *s)
{
	struct clients *c = s->clients;
	struct sl_peer_output out = { .nb = 0 };
	enum sl_peer_load load;
	unsigned nb_done = 0;

	if (c == NULL)
		return 0;
	for (struct rte_mbuf *m; nb_done < MESSAGES_PER_TURN && (m = clients_dequeue(c, &load));
	     nb_done++)
		client_handshake(s, m, load);
	for (unsigned i = 0; i < TIMERS_PER_TURN; i++) {
		struct sl_timer *timer = sl_timers_expire(&c->timers, s->now_ns);
		struct client *e;

		if (timer == NULL)
			break;
		e = timer->owner;
		sl_peer_run(&e->peer, service_clocks(s), &out);
		client_carry_out(s, &out, e);
		nb_done++;
	}
	clients_scan(s);
	return nb_done;
}

uint64_t
clients_wake_ns(const struct sl_service *s)
{
	const struct clients *c = s->clients;

	if (c == NULL || c->nb_used == 0)
		return UINT64_MAX;
	return RTE_MIN(sl_timers_next_ns(&c->timers), c->scanned_ns + CLIENTS_SCAN_STEP_NS);
}

// ---- Configuration ---------------------------------------------------------------------------------------------

static void
drop_client(struct sl_service *s, struct client *e)
{
	struct sl_session *session = session_of(s, e);
	struct sl_peer_output out = { .nb = 0 };

	atomic_store(&session->current, NULL);
	atomic_store(&session->proved, 0);
	atomic_store(&session->kind, SL_SESSION_NONE);
	session->name[0] = '\0';
	if (e->is_ready) {
		sl_peer_fini(&e->peer, &out);
		e->is_ready = false;
		client_carry_out(s, &out, e);
	}
	client_delete(s, e);
}

static bool
is_same(const struct client *e, const struct sl_service_peer *from)
{
	return e->id == from->client && e->inner == rte_cpu_to_be_32(from->inner) &&
		e->has_psk == from->has_psk &&
		memcmp(e->psk.octets, from->psk, sizeof(e->psk.octets)) == 0 &&
		memcmp(e->public.octets, from->public_key, sizeof(e->public.octets)) == 0;
}

static void
fill_session(struct sl_service *s, struct client *e)
{
	struct sl_session *session = session_of(s, e);

	// What was counted before, for a client of that name or that key, is none of this one's.
	client_workers_begin(s, e);
	session->id = e->session;
	session->client = e->id;
	session->nb_lanes = (uint16_t)sl_dp_nb_workers(s->dp);
	snprintf(session->name, sizeof(session->name), "%s", e->name);
	atomic_store(&session->kind, SL_SESSION_CLIENT);
}

static void
want_client(struct sl_service *s, const struct sl_service_peer *from)
{
	struct client *e;

	if (from->session >= s->clients->nb_sessions) {
		sl_log(SL_LOG_ERROR,
		       "too-many-sessions",
		       "client %s has no place; raise limits.sessions",
		       from->name);
		return;
	}
	e = s->clients->by_session[from->session];
	if (e != NULL && !is_same(e, from)) {
		drop_client(s, e);
		e = NULL;
	}
	if (e == NULL) {
		e = client_new(s, from);
		if (e == NULL)
			return;
		fill_session(s, e);
	}
	e->is_wanted = true;
	session_of(s, e)->tenant = from->tenant;
}

void
clients_config(struct sl_service *s, const struct sl_service_peer *peers, unsigned nb)
{
	struct clients *c = s->clients;

	if (c == NULL)
		return;
	for (uint32_t i = 0; i < c->nb_used; i++)
		c->by_session[c->used[i]]->is_wanted = false;
	for (unsigned i = 0; i < nb; i++)
		if (peers[i].client != SL_NO_CLIENT)
			want_client(s, &peers[i]);
	for (uint32_t i = c->nb_used; i-- != 0;) {
		struct client *e = c->by_session[c->used[i]];

		if (!e->is_wanted) {
			client_forget(s, e);
			drop_client(s, e);
		}
	}
}

void
clients_floor(struct sl_service *s, uint64_t floor_ns)
{
	if (s->clients != NULL)
		sl_tai64n_floor_is(&s->clients->local.clock, floor_ns);
}

uint64_t
clients_floor_wanted(const struct sl_service *s, uint64_t wall_ns)
{
	return s->clients == NULL ? 0 : sl_tai64n_floor_wanted(&s->clients->local.clock, wall_ns);
}

// ---- Life ------------------------------------------------------------------------------------------------------

int
clients_create(struct sl_service *s, const struct sl_service_conf *conf)
{
	const struct sl_private_key *own = conf->wireguard_key != NULL ? conf->wireguard_key
								       : conf->key;
	struct sl_noise_private_key key;
	enum sl_noise_verdict verdict;
	int ret;

	if (sl_dp_net(s->dp)->wireguard_port == 0)
		return 0;
	s->clients = calloc(1, sizeof(*s->clients));
	if (s->clients == NULL)
		return -ENOMEM;
	ret = clients_table_create(s);
	if (ret != 0)
		return ret;
	memcpy(key.octets, own->bytes, sizeof(key.octets));
	verdict = sl_peer_local_init(&s->clients->local, &sl_noise_wireguard, &key);
	sl_wipe(&key, sizeof(key));
	if (verdict != SL_NOISE_OK)
		return -EINVAL;
	s->clients->local.context = s;
	s->clients->local.by_public = by_public;
	s->clients->local.by_index = by_index;
	s->clients->local.take_index = take_index;
	sl_tai64n_clock_init(&s->clients->local.clock, peers_floor(s));
	return 0;
}

void
clients_free(struct sl_service *s)
{
	struct clients *c = s->clients;

	if (c == NULL)
		return;
	clients_queues_free(c);
	while (c->nb_used != 0)
		drop_client(s, c->by_session[c->used[c->nb_used - 1]]);
	clients_table_free(c);
	sl_peer_local_wipe(&c->local);
	free(c);
	s->clients = NULL;
}
