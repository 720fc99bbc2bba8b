// peers: the sessions with connectors (PoP) and PoPs (connector). The protocol is proto/peer; here are
// its turns, and what the workers are told. The table of peers is peers_table.
#include "peers.h"

#include <sluice/dp/ip4.h>

#define LIVENESS_NS    (50 * SL_NS_PER_MS)
#define UNCONFIRMED_NS (1 * SL_NS_PER_MS)
#define SCAN_NS        SL_NS_PER_MS
#define CALM_RATE      500u // handshakes a second
#define CALM_BURST     250u

// Publish the keypair of a finished handshake.
static void
install(struct sl_service *s, struct entry *e, const struct sl_transport_key *key)
{
	struct keys_place place = { .session = e->session };

	if (keys_install(s, key, &place) && !key->is_initiator && !e->is_unconfirmed) {
		e->is_unconfirmed = true;
		s->peers->nb_unconfirmed++;
	}
}

// ---- What the workers are told -------------------------------------------------------------------------

static void
mail_endpoint(struct sl_service *s, const struct entry *e)
{
	const struct sl_net *net = sl_dp_net(s->dp);
	const struct sl_route *route = sl_net_route(net, e->remote.ip);

	for (unsigned k = 0; k < sl_dp_nb_workers(s->dp); k++) {
		struct sl_mail *mail = sl_dp_alloc_mail(s->dp);

		if (mail == NULL)
			return;
		mail->kind = SL_MAIL_ENDPOINT;
		mail->session = e->session;
		mail->remote = e->remote.ip;
		mail->remote_port = e->remote.port;
		mail->local = e->local.ip;
		mail->local_port = e->local.port;
		mail->is_initiator = (e->peer.flags & SL_PEER_INITIATES) != 0;
		mail->mtu_bytes = route == NULL ? 1500 : net->ports[route->port].mtu_bytes;
		if (sl_dp_send_mail(s->dp, k, mail) != 0)
			sl_dp_free_mail(mail);
	}
}

// Clients are told at once that what the peer knew of is over. Mail that cannot be sent is made good by
// the sweep within a second.
static void
mail_cut(struct sl_service *s, const struct entry *e, enum sl_mail_kind kind)
{
	for (unsigned k = 0; k < sl_dp_nb_workers(s->dp); k++) {
		struct sl_mail *mail = sl_dp_alloc_mail(s->dp);

		if (mail == NULL)
			return;
		mail->kind = (uint8_t)kind;
		mail->session = e->session;
		if (sl_dp_send_mail(s->dp, k, mail) != 0)
			sl_dp_free_mail(mail);
	}
}

// A session that was dead is heard again, and its peer is the same.
static void
is_back(struct sl_service *s, struct entry *e)
{
	if (e->is_dead && (e->peer.flags & SL_PEER_INITIATES) != 0)
		mail_cut(s, e, SL_MAIL_PEER_BACK);
	e->is_dead = false;
}

static void
confirm(struct sl_service *s, struct entry *e, const struct sl_peer_event *event)
{
	struct sl_session *session = &s->sessions->sessions[e->session];
	struct sl_keypair *keypair = atomic_load(keys_published(s, event->index));

	if (keypair == NULL)
		return;
	sl_histogram_add(
		&s->stats.waits[SL_WAIT_PEER_HANDSHAKE],
		s->now_ns - (keypair->is_initiator ? e->peer.asking_since_ns : keypair->created_ns),
		1
	);
	session->tenant = e->tenant;
	session->network = e->network;
	session->nb_lanes = keypair->nb_lanes;
	session->peer_workers = keypair->peer_workers;
	session->has_tickets = (event->agreement.capabilities & SL_HELLO_TICKETS) != 0;
	session->knows_df = (event->agreement.capabilities & SL_HELLO_DF) != 0;
	memcpy(session->public_key, e->public_key, sizeof(session->public_key));
	if (!e->is_up) {
		// Endpoints first: a worker that sees the key must know where to send.
		mail_endpoint(s, e);
		atomic_store(&session->established_ns, s->now_ns);
		sl_log(SL_LOG_NOTICE, "peer-up", "session with %s is up", session->name);
	}
	atomic_store(&session->kind, SL_SESSION_TUNNEL);
	atomic_store_explicit(&session->current, keypair, memory_order_release);
	e->is_up = true;
	is_back(s, e);
}

void
peers_down(struct sl_service *s, struct entry *e, const char *why)
{
	struct sl_session *session = &s->sessions->sessions[e->session];

	atomic_store(&session->current, NULL);
	mail_cut(s, e, SL_MAIL_SESSION_GONE);
	if (e->is_up)
		sl_log(SL_LOG_WARNING, "peer-down", "session with %s: %s", session->name, why);
	e->is_up = false;
}

// Proves a new key to the responder, and keeps a NAT open. By mail, as the endpoint: a packet of ours could be
// there before it.
static void
mail_ping(struct sl_service *s, const struct entry *e)
{
	struct sl_mail *mail = sl_dp_alloc_mail(s->dp);

	if (mail == NULL)
		return;
	mail->kind = SL_MAIL_PING;
	mail->session = e->session;
	if (sl_dp_send_mail(s->dp, 0, mail) != 0)
		sl_dp_free_mail(mail);
}

// ---- Events ------------------------------------------------------------------------------------------------

static void
carry_out(struct sl_service *s, struct entry *e, const struct sl_peer_event *event)
{
	switch (event->type) {
	case SL_PEER_SEND:
		keys_send(
			s,
			event->to_source ? s->peers->arrived_at : e->local,
			event->to_source ? s->peers->arrived_from : e->remote,
			event->bytes,
			event->nb_bytes
		);
		break;
	case SL_PEER_INSTALL:
		if (!event->key.is_initiator) {
			e->remote = s->peers->arrived_from;
			e->local = s->peers->arrived_at;
		}
		install(s, e, &event->key);
		break;
	case SL_PEER_CONFIRMED:
		confirm(s, e, event);
		break;
	case SL_PEER_RELEASE:
		keys_release(s, event->index);
		break;
	case SL_PEER_KEEPALIVE:
		mail_ping(s, e);
		break;
	case SL_PEER_RESTARTED:
		atomic_fetch_add(&s->sessions->sessions[e->session].epoch, 1);
		e->is_dead = false;
		// A connector keeps the flows of a PoP that restarted: it may take them up again.
		if ((e->peer.flags & SL_PEER_INITIATES) == 0)
			mail_cut(s, e, SL_MAIL_PEER_RESTARTED);
		e->is_up = false; // its lanes begin anew
		break;
	case SL_PEER_EXPIRED:
		peers_down(s, e, "no key is left, the peer does not answer");
		break;
	case SL_PEER_GAVE_UP:
	default:
		break;
	}
}

void
peers_carry_out(struct sl_service *s, struct sl_peer_output *out, struct entry *e)
{
	for (unsigned i = 0; i < out->nb; i++) {
		// A cookie reply is for the source alone and may be about no peer.
		if (e == NULL && out->events[i].type == SL_PEER_SEND)
			keys_send(
				s,
				s->peers->arrived_at,
				s->peers->arrived_from,
				out->events[i].bytes,
				out->events[i].nb_bytes
			);
		else if (e != NULL)
			carry_out(s, e, &out->events[i]);
	}
	sl_peer_output_wipe(out);
}

// ---- Turns -------------------------------------------------------------------------------------------------

// Handshakes cost a tenth of a millisecond each. What comes in greater number from who knows our key, but
// has not shown where it is, is asked to show that first.
static bool
is_loaded(const struct sl_service *s)
{
	return s->is_busy || s->now_ns < s->peers->loaded_until_ns;
}

static void
count_handshake(struct sl_service *s, enum sl_peer_verdict verdict)
{
	if (verdict != SL_PEER_SHORT && verdict != SL_PEER_BAD_MAC &&
	    !sl_bucket_take(&s->peers->handshakes, CALM_RATE, CALM_BURST, 1, s->now_ns))
		s->peers->loaded_until_ns = s->now_ns + SL_NS_PER_S;
}

void
peers_handshake(struct sl_service *s, struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	const struct sl_meta *meta = sl_meta(m);
	const struct rte_udp_hdr *udp = rte_pktmbuf_mtod_offset(
		m, const struct rte_udp_hdr *, meta->l4_offset
	);
	size_t at = meta->l4_offset + sizeof(*udp);
	uint8_t source[SL_COOKIE_ADDRESS_BYTES];
	struct sl_peer_output out = { .nb = 0 };
	enum sl_peer_verdict verdict = SL_PEER_SHORT;

	s->stats.nb_handshakes++;
	s->peers->arrived_from = (struct address){ ip->src_addr, udp->src_port };
	s->peers->arrived_at = (struct address){ ip->dst_addr, udp->dst_port };
	sl_ip4_map(source, ip->src_addr);
	memcpy(source + 16, &udp->src_port, 2);
	if (rte_pktmbuf_data_len(m) > at)
		verdict = sl_peer_receive(
			&s->peers->local,
			rte_pktmbuf_mtod_offset(m, const uint8_t *, at),
			rte_pktmbuf_data_len(m) - at,
			source,
			is_loaded(s) ? SL_PEER_UNDER_LOAD : SL_PEER_CALM,
			service_clocks(s),
			&out
		);
	s->stats.nb_handshakes_bad += verdict > SL_PEER_COOKIE_SENT;
	s->stats.nb_cookies += verdict == SL_PEER_COOKIE_SENT;
	count_handshake(s, verdict);
	peers_carry_out(s, &out, out.peer == NULL ? NULL : out.peer->owner);
	rte_pktmbuf_free(m);
}

// Has the first datagram under a new key come? Workers say so in the keypair.
static void
look_for_confirmation(struct sl_service *s, struct entry *e)
{
	struct sl_peer_output out = { .nb = 0 };
	struct sl_keypair *keypair;

	if (!e->peer.next.is_used) {
		e->is_unconfirmed = false;
		s->peers->nb_unconfirmed--;
		return;
	}
	keypair = atomic_load(keys_published(s, e->peer.next.index));
	if (keypair == NULL || !atomic_load(&keypair->confirmed))
		return;
	e->is_unconfirmed = false;
	s->peers->nb_unconfirmed--;
	sl_peer_note_opened(&e->peer, e->peer.next.index, SL_PEER_EMPTY, service_clocks(s), &out);
	peers_carry_out(s, &out, e);
}

// A session that is silent is dead: nothing is sealed for it until it is heard of again.
static void
look_for_life(struct sl_service *s, struct entry *e)
{
	struct sl_session *session = &s->sessions->sessions[e->session];
	uint64_t heard_ns = session->lanes[0].heard_ns;
	uint64_t dead_ns = s->config->timers.dead_ms * SL_NS_PER_MS;
	bool is_silent = s->now_ns > heard_ns && s->now_ns - heard_ns > dead_ns &&
		s->now_ns - atomic_load(&session->established_ns) > dead_ns;
	struct sl_peer_output out = { .nb = 0 };

	if (e->is_up && is_silent) {
		peers_down(s, e, "silent; new flows go elsewhere until it is heard again");
		e->is_dead = true;
		sl_peer_initiate(&e->peer, service_clocks(s), &out);
		peers_carry_out(s, &out, e);
	} else if (e->is_dead && !is_silent && e->peer.current.is_used) {
		atomic_store(
			&session->current, atomic_load(keys_published(s, e->peer.current.index))
		);
		is_back(s, e);
		e->is_up = true;
		sl_log(SL_LOG_NOTICE, "peer-up", "session with %s is heard again", session->name);
	}
}

// Initiations need a floor of their timestamps on disk; see tai64n.h.
static void
keep_floor(struct sl_service *s)
{
	struct peers *p = s->peers;
	uint64_t wall_ns = service_clocks(s).wall_ns;
	uint64_t wanted = RTE_MAX(
		sl_tai64n_floor_wanted(&p->local.clock, wall_ns), clients_floor_wanted(s, wall_ns)
	);

	if (wanted == 0 || p->is_floor_asked)
		return;
	p->is_floor_asked = sl_store_put(
				    s->store, COOKIE_FLOOR, "floor/own", &wanted, sizeof(wanted)
			    ) == 0;
	p->floor_asked_ns = wanted;
}

uint64_t
peers_floor(const struct sl_service *s)
{
	return s->peers->local.clock.floor_ns;
}

void
peers_floor_done(struct sl_service *s, bool is_on_disk)
{
	struct sl_peer_output out = { .nb = 0 };
	struct peers *p = s->peers;

	p->is_floor_asked = false;
	if (!is_on_disk)
		return;
	sl_tai64n_floor_is(&p->local.clock, p->floor_asked_ns);
	clients_floor(s, p->floor_asked_ns);
	if (p->has_floor)
		return;
	p->has_floor = true;
	for (uint32_t i = 0; i < p->nb_entries; i++)
		if (p->entries[i].is_used && (p->entries[i].peer.flags & SL_PEER_INITIATES)) {
			sl_peer_initiate(&p->entries[i].peer, service_clocks(s), &out);
			peers_carry_out(s, &out, &p->entries[i]);
			out.nb = 0;
		}
}

unsigned
peers_work(struct sl_service *s)
{
	struct peers *p = s->peers;
	struct sl_peer_output out = { .nb = 0 };
	bool is_liveness_due = s->now_ns >= p->next_liveness_ns;
	unsigned nb_done = 0;

	// There may be thousands of connectors, and a turn for each packet that comes.
	if (s->now_ns < p->next_scan_ns && p->nb_unconfirmed == 0)
		return 0;
	p->next_scan_ns = s->now_ns + SCAN_NS;
	for (uint32_t i = 0; i < p->nb_entries; i++) {
		struct entry *e = &p->entries[i];

		if (!e->is_used)
			continue;
		if (e->is_unconfirmed)
			look_for_confirmation(s, e);
		if (is_liveness_due)
			look_for_life(s, e);
		if (sl_peer_next_deadline(&e->peer) > s->now_ns)
			continue;
		sl_peer_run(&e->peer, service_clocks(s), &out);
		peers_carry_out(s, &out, e);
		out.nb = 0;
		nb_done++;
	}
	if (is_liveness_due) {
		p->next_liveness_ns = s->now_ns + LIVENESS_NS;
		keep_floor(s);
		peers_keep_wall(s);
	}
	return nb_done;
}

uint64_t
peers_wake_ns(const struct sl_service *s)
{
	uint64_t wake_ns = s->peers->next_liveness_ns;

	if (s->peers->nb_unconfirmed != 0)
		wake_ns = RTE_MIN(wake_ns, s->now_ns + UNCONFIRMED_NS);
	return wake_ns;
}
