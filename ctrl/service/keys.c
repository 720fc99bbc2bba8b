#include "keys.h"

#include <rte_malloc.h>

#include <errno.h>
#include <sluice/dp/crypto.h>
#include <sluice/dp/ip4.h>
#include <stdlib.h>
#include <time.h>

#define OUTER_TTL      64u
#define DSCP_HANDSHAKE 0x88u // AF41, as WireGuard marks its handshakes

// A receiver index in use.
struct index_slot {
	uint32_t index;
	uint32_t session;
	struct sl_peer *peer; // NULL: free
};

struct retired {
	struct sl_keypair *keypair;
	struct retired *next;
};

struct keys {
	struct sl_aead *engine;
	struct index_slot *slots; // as many as sessions->keypairs
	struct retired *retired;
};

struct sl_peer_now
service_clocks(const struct sl_service *s)
{
	struct timespec wall;

	clock_gettime(CLOCK_REALTIME, &wall);
	return (struct sl_peer_now){
		.ns = s->now_ns,
		.wall_ns = (uint64_t)wall.tv_sec * SL_NS_PER_S + (uint64_t)wall.tv_nsec,
	};
}

// ---- Indices -------------------------------------------------------------------------------------------

static struct index_slot *
slot_of(const struct sl_service *s, uint32_t index)
{
	struct index_slot *slot = &s->keys->slots[index & s->sessions->slot_mask];

	return slot->peer != NULL && slot->index == index ? slot : NULL;
}

struct sl_peer *
keys_peer(const struct sl_service *s, const struct sl_peer_local *local, uint32_t index)
{
	const struct index_slot *slot = slot_of(s, index);

	return slot == NULL || slot->peer->local != local ? NULL : slot->peer;
}

bool
keys_take_index(struct sl_service *s, struct sl_peer *peer, uint32_t session, uint32_t *index)
{
	for (uint32_t tries = 0; tries < s->sessions->nb_slots; tries++) {
		uint32_t candidate = (uint32_t)service_random(NULL);
		struct index_slot *slot = &s->keys->slots[candidate & s->sessions->slot_mask];

		if (slot->peer != NULL || candidate == 0)
			continue;
		*slot = (struct index_slot){ .index = candidate, .session = session, .peer = peer };
		*index = candidate;
		return true;
	}
	return false;
}

// ---- Keypairs ------------------------------------------------------------------------------------------

_Atomic(struct sl_keypair *) *
keys_published(struct sl_service *s, uint32_t index)
{
	return &s->sessions->keypairs[index & s->sessions->slot_mask];
}

static void
retire(struct sl_service *s, struct sl_keypair *keypair)
{
	struct retired *r = malloc(sizeof(*r));

	if (r == NULL) {
		sl_dp_grace(s->dp);
		sl_keypair_wipe(keypair);
		rte_free(keypair);
		return;
	}
	*r = (struct retired){ keypair, s->keys->retired };
	s->keys->retired = r;
}

void
keys_free_retired(struct sl_service *s)
{
	if (s->keys->retired == NULL)
		return;
	sl_dp_grace(s->dp);
	while (s->keys->retired != NULL) {
		struct retired *r = s->keys->retired;

		s->keys->retired = r->next;
		sl_keypair_wipe(r->keypair);
		rte_free(r->keypair);
		free(r);
	}
}

bool
keys_install(
	struct sl_service *s, const struct sl_transport_key *key, const struct keys_place *place
)
{
	const struct sl_session *entry = &s->sessions->sessions[place->session];
	size_t nb_bytes = sl_keypair_bytes(key->cipher, key->nb_lanes);
	// On the large pages that packets' tables are on: a burst may be of 64 sessions.
	struct sl_keypair *keypair = rte_malloc("sl_keypair", nb_bytes, 64);

	if (keypair == NULL) {
		sl_log(SL_LOG_ERROR, "no-memory", "no memory for the keys of a session");
		return false;
	}
	sl_keypair_init(keypair, key, s->keys->engine);
	keypair->session = place->session;
	keypair->worker = (uint8_t)place->worker;
	if (atomic_load(&entry->kind) == SL_SESSION_CLIENT)
		keypair->client = entry->client;
	*sl_keypair_place(keypair) = (struct sl_keypair_place
	){ .remote_be = place->remote.ip,
	   .local_be = place->local.ip,
	   .remote_port_be = place->remote.port,
	   .local_port_be = place->local.port };
	atomic_store_explicit(keys_published(s, key->local_index), keypair, memory_order_release);
	return true;
}

void
keys_release(struct sl_service *s, uint32_t index)
{
	struct index_slot *slot = slot_of(s, index);
	struct sl_keypair *keypair;
	struct sl_session *session;

	if (slot == NULL)
		return;
	keypair = atomic_exchange(keys_published(s, index), NULL);
	if (keypair != NULL) {
		session = &s->sessions->sessions[slot->session];
		if (atomic_load(&session->current) == keypair)
			atomic_store(&session->current, NULL);
		retire(s, keypair);
	}
	*slot = (struct index_slot){ .peer = NULL };
}

// ---- Datagrams of our own --------------------------------------------------------------------------------

void
keys_send(
	struct sl_service *s,
	struct address from,
	struct address to,
	const uint8_t *bytes,
	uint16_t nb_bytes
)
{
	struct rte_mbuf *m = sl_dp_alloc_mbuf(s->dp);
	struct sl_ip4_ends ends = { .source = from.ip, .destination = to.ip };
	struct rte_ipv4_hdr *ip;
	struct rte_udp_hdr *udp;
	uint16_t udp_bytes = (uint16_t)(sizeof(*udp) + nb_bytes), sum;

	ip = m == NULL ? NULL : (void *)rte_pktmbuf_append(m, (uint16_t)(sizeof(*ip) + udp_bytes));
	if (ip == NULL) {
		rte_pktmbuf_free(m);
		return;
	}
	udp = (struct rte_udp_hdr *)(ip + 1);
	*udp = (struct rte_udp_hdr
	){ .src_port = from.port, .dst_port = to.port, .dgram_len = rte_cpu_to_be_16(udp_bytes) };
	memcpy(udp + 1, bytes, nb_bytes);
	sum = (uint16_t)~sl_sum_add(
		sl_sum(udp, udp_bytes),
		sl_ip4_pseudo_sum(ends.source, ends.destination, IPPROTO_UDP, udp_bytes)
	);
	udp->dgram_cksum = sum == 0 ? 0xffff : sum;
	sl_ip4_fill(
		ip,
		ends,
		IPPROTO_UDP,
		(uint16_t)(sizeof(*ip) + udp_bytes),
		DSCP_HANDSHAKE,
		OUTER_TTL,
		SL_IP4_DF
	);
	sl_meta(m)->l4_offset = sizeof(*ip);
	sl_meta(m)->protocol = IPPROTO_UDP;
	to_worker(s, 0, SL_STAGE_IP4, m);
}

// ---- Life --------------------------------------------------------------------------------------------------

int
keys_create(struct sl_service *s)
{
	struct keys *k = calloc(1, sizeof(*k));

	s->keys = k;
	if (k == NULL)
		return -ENOMEM;
	k->slots = calloc(s->sessions->nb_slots, sizeof(*k->slots));
	k->engine = sl_aead_create(SL_AEAD_BEST);
	return k->slots == NULL || k->engine == NULL ? -ENOMEM : 0;
}

void
keys_free(struct sl_service *s)
{
	struct keys *k = s->keys;

	if (k == NULL)
		return;
	keys_free_retired(s);
	if (k->engine != NULL)
		sl_aead_destroy(k->engine);
	free(k->slots);
	free(k);
	s->keys = NULL;
}
