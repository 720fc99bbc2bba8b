// peers_table: the peers that are configured, how the protocol finds them, and what of them is durable.
#include "peers.h"

#include <errno.h>
#include <stdlib.h>

// ---- What proto/peer asks ----------------------------------------------------------------------------

static struct sl_peer *
by_public(void *context, const struct sl_noise_public *public)
{
	struct sl_service *s = context;

	for (uint32_t i = 0; i < s->peers->nb_entries; i++) {
		struct entry *e = &s->peers->entries[i];

		if (e->is_used && e->is_wanted &&
		    memcmp(e->public_key, public->octets, sizeof(e->public_key)) == 0)
			return &e->peer;
	}
	return NULL;
}

static struct sl_peer *
by_index(void *context, uint32_t index)
{
	struct sl_service *s = context;

	return keys_peer(s, &s->peers->local, index);
}

static bool
take_index(void *context, struct sl_peer *peer, uint32_t *index)
{
	const struct entry *e = peer->owner;

	return keys_take_index(context, peer, e->session, index);
}

void
peers_keep_wall(struct sl_service *s)
{
	atomic_store_explicit(
		&s->sessions->wall_s,
		(uint32_t)(service_clocks(s).wall_ns / SL_NS_PER_S),
		memory_order_relaxed
	);
}

// ---- Configuration -------------------------------------------------------------------------------------

static void
add_peer(struct sl_service *s, struct entry *e, const struct sl_service_peer *from)
{
	struct sl_session *session = &s->sessions->sessions[from->session];
	struct sl_noise_shared_key psk;
	struct sl_noise_public public;
	bool is_initiator = from->remote_port != 0;

	memcpy(public.octets, from->public_key, sizeof(public.octets));
	memcpy(psk.octets, from->psk, sizeof(psk.octets));
	memset(e, 0, sizeof(*e));
	if (sl_peer_init(
		    &e->peer,
		    &s->peers->local,
		    &public,
		    from->has_psk ? &psk : NULL,
		    is_initiator ? SL_PEER_INITIATES | SL_PEER_PERSISTENT : 0,
		    0
	    ) != SL_NOISE_OK) {
		sl_log(SL_LOG_ERROR, "peer-key", "the public key of %s is not one", from->name);
		return;
	}
	sl_wipe(&psk, sizeof(psk));
	e->peer.owner = e;
	e->is_used = true;
	e->session = from->session;
	memcpy(e->public_key, from->public_key, sizeof(e->public_key));
	e->remote = (struct address){ rte_cpu_to_be_32(from->remote),
				      rte_cpu_to_be_16(from->remote_port) };
	e->local = (struct address){ rte_cpu_to_be_32(from->local),
				     rte_cpu_to_be_16(from->local_port) };
	session->id = from->session;
	if (s->sessions->tunnels_end <= from->session)
		atomic_store(&s->sessions->tunnels_end, from->session + 1);
	snprintf(session->name, sizeof(session->name), "%s", from->name);
	if (is_initiator && s->peers->has_floor) {
		struct sl_peer_output out = { .nb = 0 };

		sl_peer_initiate(&e->peer, service_clocks(s), &out);
		peers_carry_out(s, &out, e);
	}
}

static void
drop_peer(struct sl_service *s, struct entry *e)
{
	struct sl_session *session = &s->sessions->sessions[e->session];
	struct sl_peer_output out = { .nb = 0 };

	peers_down(s, e, "no longer configured");
	// Workers leave a session of no kind alone, and nobody shows one without a name.
	atomic_store(&session->kind, SL_SESSION_NONE);
	session->name[0] = '\0';
	memset(&session->preference, 0, sizeof(session->preference));
	sl_peer_fini(&e->peer, &out);
	peers_carry_out(s, &out, e);
	s->peers->nb_unconfirmed -= e->is_unconfirmed;
	memset(e, 0, sizeof(*e));
}

void
peers_config(struct sl_service *s, const struct sl_service_peer *peers, unsigned nb)
{
	struct peers *p = s->peers;

	for (uint32_t i = 0; i < p->nb_entries; i++)
		p->entries[i].is_wanted = false;
	for (unsigned i = 0; i < nb; i++) {
		struct entry *e;

		if (peers[i].session >= p->nb_entries || peers[i].client != SL_NO_CLIENT)
			continue;
		e = &p->entries[peers[i].session];
		if (e->is_used &&
		    memcmp(e->public_key, peers[i].public_key, sizeof(e->public_key)) != 0)
			drop_peer(s, e);
		if (!e->is_used)
			add_peer(s, e, &peers[i]);
		e->is_wanted = true;
		e->tenant = peers[i].tenant;
		e->network = peers[i].network;
		s->sessions->sessions[e->session].weight = peers[i].weight;
	}
	for (uint32_t i = 0; i < p->nb_entries; i++)
		if (p->entries[i].is_used && !p->entries[i].is_wanted)
			drop_peer(s, &p->entries[i]);
}

// ---- Life ----------------------------------------------------------------------------------------------

static void
read_floor(void *arg, const char *key, const void *value, size_t nb_bytes)
{
	uint64_t *floor_ns = arg;

	(void)key;
	if (nb_bytes == sizeof(*floor_ns))
		memcpy(floor_ns, value, sizeof(*floor_ns));
}

int
peers_create(struct sl_service *s, const struct sl_service_conf *conf)
{
	struct peers *p = calloc(1, sizeof(*p));
	struct sl_noise_private_key key;
	uint64_t floor_ns = 0;

	s->peers = p;
	if (p == NULL)
		return -ENOMEM;
	p->nb_entries = s->sessions->nb_sessions;
	p->entries = calloc(p->nb_entries, sizeof(*p->entries));
	if (p->entries == NULL)
		return -ENOMEM;
	memcpy(key.octets, conf->key->bytes, sizeof(key.octets));
	if (sl_peer_local_init(&p->local, &sl_noise_tunnel, &key) != SL_NOISE_OK)
		return -EINVAL;
	sl_wipe(&key, sizeof(key));
	p->local.hello = (struct sl_hello){
		.version = SL_HELLO_VERSION,
		.nb_lanes = conf->nb_lanes,
		.nb_workers = (uint16_t)sl_dp_nb_workers(s->dp),
		.incarnation = service_random(NULL),
		.ciphers = SL_HELLO_AES | SL_HELLO_CHACHA20,
		.capabilities = SL_HELLO_TICKETS | SL_HELLO_DF,
	};
	s->sessions->incarnation = p->local.hello.incarnation;
	memcpy(s->sessions->public_key,
	       p->local.noise.public.octets,
	       sizeof(s->sessions->public_key));
	peers_keep_wall(s);
	p->local.context = s;
	p->local.by_public = by_public;
	p->local.by_index = by_index;
	p->local.take_index = take_index;
	if (sl_store_values(s->store, "floor/own", read_floor, &floor_ns) < 0)
		return -EIO;
	sl_tai64n_clock_init(&p->local.clock, floor_ns);
	return 0;
}

void
peers_free(struct sl_service *s)
{
	struct peers *p = s->peers;

	if (p == NULL)
		return;
	for (uint32_t i = 0; p->entries != NULL && i < p->nb_entries; i++)
		if (p->entries[i].is_used)
			drop_peer(s, &p->entries[i]);
	sl_peer_local_wipe(&p->local);
	free(p->entries);
	free(p);
	s->peers = NULL;
}
