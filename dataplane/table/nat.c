#include <rte_malloc.h>

#include <sluice/dp/flow_life.h>
#include <sluice/dp/inner.h>
#include <sluice/dp/nat.h>
#include <sluice/dp/upkeep.h>

#define TRIES_PER_WORKER 64u
#define ADDRESSES_TRIED  8u

const uint8_t sl_rss_key[40] = {
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
	0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
	0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};

// How many ports from this one on may not be used, because lanes or WireGuard clients have them.
static uint32_t
nb_reserved(const struct sl_net *net, uint16_t port)
{
	if (port >= net->tunnel_port_first && port <= net->tunnel_port_last)
		return (uint32_t)net->tunnel_port_last - port + 1;
	return port == net->wireguard_port && port != 0;
}

struct sl_nat *
sl_nat_create(uint32_t nb_rests, int socket_id)
{
	struct sl_nat *nat = rte_zmalloc_socket("sl_nat", sizeof(*nat), 64, socket_id);

	if (nat == NULL || nb_rests == 0)
		return nat;
	nb_rests = rte_align32prevpow2(nb_rests);
	nat->nb_rests = nb_rests;
	nat->rests = rte_zmalloc_socket(
		"sl_nat_rests", (size_t)nb_rests * sizeof(*nat->rests), 64, socket_id
	);
	if (nat->rests == NULL || sl_index_create(&nat->rest_index, nb_rests, socket_id) != 0) {
		sl_nat_destroy(nat);
		return NULL;
	}
	return nat;
}

void
sl_nat_destroy(struct sl_nat *nat)
{
	if (nat == NULL)
		return;
	sl_index_destroy(&nat->rest_index);
	rte_free(nat->rests);
	rte_free(nat);
}

// ---- Rest -------------------------------------------------------------------------------------

#define EXPIRED_A_CALL 8u

struct by_hash {
	const struct sl_nat_rest *rests;
	uint64_t hash;
};

static inline bool
is_rest(uint32_t number, const void *arg)
{
	const struct by_hash *want = arg;

	return want->rests[number].hash == want->hash;
}

// The oldest leaves the ring.
static void
leave(struct sl_nat *nat)
{
	uint32_t number = nat->tail++ % nat->nb_rests;
	struct sl_nat_rest *r = &nat->rests[number];

	if (!r->is_over)
		sl_index_del(&nat->rest_index, r->hash, number);
}

// All rest equally long, so those whose time is over are the oldest.
static void
expire(struct sl_worker *w)
{
	struct sl_nat *nat = w->nat;

	for (unsigned i = 0; i < EXPIRED_A_CALL && nat->tail != nat->head; i++) {
		const struct sl_nat_rest *r = &nat->rests[nat->tail % nat->nb_rests];

		if (!r->is_over && (int32_t)(w->now_ds - r->until_ds) < 0)
			return;
		leave(nat);
	}
}

// The number of the rest of this tuple, UINT32_MAX when it does not rest.
static uint32_t
find_rest(const struct sl_worker *w, const struct sl_flow_key *key)
{
	const struct sl_nat *nat = w->nat;
	struct by_hash want = { nat->rests, 0 };
	uint32_t number;

	if (nat->head == nat->tail || (uint8_t)key->scope_protocol != IPPROTO_TCP)
		return UINT32_MAX;
	want.hash = sl_hash(&w->flows->hash_key, key, sizeof(*key));
	number = sl_index_find(&nat->rest_index, want.hash, is_rest, &want);
	return number != UINT32_MAX && (int32_t)(w->now_ds - nat->rests[number].until_ds) < 0
		? number
		: UINT32_MAX;
}

void
sl_nat_rest(struct sl_worker *w, const struct sl_flow_key *key)
{
	struct sl_nat *nat = w->nat;
	struct sl_nat_rest rest = { .until_ds = w->now_ds + nat->rest_ds };
	struct by_hash same;
	uint32_t number;

	if (nat->nb_rests == 0 || nat->rest_ds == 0)
		return;
	expire(w);
	rest.hash = sl_hash(&w->flows->hash_key, key, sizeof(*key));
	same = (struct by_hash){ nat->rests, rest.hash };
	number = sl_index_find(&nat->rest_index, rest.hash, is_rest, &same);
	if (number != UINT32_MAX) { // it rested, and was used all the same
		nat->rests[number].is_over = 1;
		sl_index_del(&nat->rest_index, rest.hash, number);
	}
	if (nat->head - nat->tail == nat->nb_rests) {
		nat->nb_cut_short += !nat->rests[nat->tail % nat->nb_rests].is_over;
		leave(nat);
	}
	number = nat->head % nat->nb_rests;
	nat->rests[number] = rest;
	if (sl_index_add(&nat->rest_index, rest.hash, number))
		nat->head++;
}

uint32_t
sl_nat_nb_resting(const struct sl_nat *nat)
{
	return nat->head - nat->tail;
}

// ---- A tuple for a flow ---------------------------------------------------------------------------

// What a search for a tuple came by besides free ones.
struct search {
	uint32_t rest, rest_until_ds; // the one that has rested longest
	uint32_t flow, idle_ds; // the one that has been idle longest
	struct sl_flow_key rest_key, flow_key;
};

// May this flow make room for another?
static bool
is_evictable(const struct sl_worker *w, const struct sl_flow *f)
{
	bool is_tcp = (uint8_t)f->key.scope_protocol == IPPROTO_TCP;

	if (f->kind != SL_FLOW_HOST || w->now_ds - f->last_seen_ds < SL_NAT_EVICT_IDLE_S * 10)
		return false;
	return !is_tcp || f->tcp < SL_TCP_ESTABLISHED || f->tcp >= SL_TCP_CLOSING;
}

// Is the tuple free? What stands in the way is remembered.
static bool
is_free(const struct sl_worker *w, const struct sl_flow_key *key, struct search *s)
{
	uint32_t flow = sl_flow_find(w->flows, key), rest;

	if (flow != SL_NO_FLOW) {
		const struct sl_flow *f = sl_flow_at(w->flows, flow);
		uint32_t idle_ds = w->now_ds - f->last_seen_ds;

		if (is_evictable(w, f) && (s->flow == SL_NO_FLOW || idle_ds > s->idle_ds)) {
			s->flow = flow;
			s->idle_ds = idle_ds;
			s->flow_key = *key;
		}
		return false;
	}
	rest = find_rest(w, key);
	if (rest == UINT32_MAX)
		return true;
	if (s->rest == UINT32_MAX ||
	    (int32_t)(w->nat->rests[rest].until_ds - s->rest_until_ds) < 0) {
		s->rest = rest;
		s->rest_until_ds = w->nat->rests[rest].until_ds;
		s->rest_key = *key;
	}
	return false;
}

// Nothing was free: who makes room?
static bool
evict(struct sl_worker *w, struct sl_flow_key *key, const struct search *s)
{
	struct sl_nat *nat = w->nat;

	if (s->rest != UINT32_MAX) {
		nat->rests[s->rest].is_over = 1;
		sl_index_del(&nat->rest_index, nat->rests[s->rest].hash, s->rest);
		nat->nb_cut_short++;
		*key = s->rest_key;
		return true;
	}
	if (s->flow != SL_NO_FLOW) {
		sl_upkeep_close(w, sl_flow_at(w->flows, s->flow), SL_CLOSE_NO_PORT);
		*key = s->flow_key;
		// Its tuple is wanted at once: this one does not rest.
		sl_flow_forget(w, s->flow, SL_CLOSE_NO_PORT);
		nat->nb_evicted++;
		return true;
	}
	nat->nb_exhausted++;
	return false;
}

// Try ports of one own address.
static bool
try_address(struct sl_worker *w, struct sl_flow_key *key, rte_be32_t address, struct search *s)
{
	struct sl_nat *nat = w->nat;
	uint32_t nb_ports = (uint32_t)nat->port_high - nat->port_low + 1;
	uint32_t start, i = 0;

	sl_ip4_map(key->destination, address);
	key->destination_port_be = 0;
	// RFC 6056 section 3.3.4: where the search begins differs by destination in a way that
	// outsiders cannot guess, and moves on with each flow.
	start = (uint32_t)sl_hash(w->owner_key, key, sizeof(*key)) + nat->next;
	for (uint32_t tries = 0; tries < TRIES_PER_WORKER * w->nb_workers && i < nb_ports;) {
		uint16_t port = (uint16_t)(nat->port_low + (start + i) % nb_ports);
		uint32_t reserved = nb_reserved(w->net, port);

		// Passed over at once: a search that begins among them must not end there.
		if (reserved != 0) {
			i += RTE_MIN(reserved, nat->port_high - (uint32_t)port + 1);
			continue;
		}
		i++;
		tries++;
		key->destination_port_be = rte_cpu_to_be_16(port);
		if (sl_nat_owner(w, key) != w->idx || !is_free(w, key, s))
			continue;
		nat->next += i;
		return true;
	}
	// The next search for this destination begins where this one ended.
	nat->next += i;
	return false;
}

bool
sl_nat_pick(struct sl_worker *w, struct sl_flow_key *key)
{
	struct search s = { .rest = UINT32_MAX, .flow = SL_NO_FLOW };
	struct sl_nat *nat = w->nat;
	const struct sl_route *route;
	uint32_t first, turn;

	expire(w);
	if (nat->nb_addresses == 0) {
		route = sl_net_route(w->net, sl_ip4_unmap(key->source));
		if (route == NULL)
			return false;
		return try_address(w, key, w->net->ports[route->port].address, &s) ||
			evict(w, key, &s);
	}
	// A host sees one address as long as there are ports: services may go by it.
	first = (uint32_t)(sl_hash(w->owner_key, key->source, 16) % nat->nb_addresses);
	turn = nat->next;
	for (unsigned i = 0; i < RTE_MIN(nat->nb_addresses, ADDRESSES_TRIED); i++) {
		// The others in turn: more may be configured than one search looks at.
		uint32_t at = i == 0
			? first
			: (first + 1 + (turn + i) % (nat->nb_addresses - 1)) % nat->nb_addresses;

		if (try_address(w, key, nat->addresses[at], &s))
			return true;
	}
	return evict(w, key, &s);
}

bool
sl_nat_pick_from(struct sl_worker *w, struct sl_flow_key *key, uint32_t start)
{
	struct sl_nat *nat = w->nat;
	uint32_t nb_ports = (uint32_t)nat->port_high - nat->port_low + 1, i = 0;
	const struct sl_route *route = sl_net_route(w->net, sl_ip4_unmap(key->source));
	rte_be32_t address;

	if (route == NULL)
		return false;
	address = w->net->ports[route->port].address;
	if (nat->nb_addresses != 0)
		address = nat->addresses
				  [sl_hash(w->owner_key, key->source, 16) % nat->nb_addresses];
	sl_ip4_map(key->destination, address);
	for (uint32_t tries = 0; tries < TRIES_PER_WORKER * w->nb_workers && i < nb_ports;) {
		uint16_t port = (uint16_t)(nat->port_low + (start + i) % nb_ports);
		uint32_t reserved = nb_reserved(w->net, port);

		if (reserved != 0) {
			i += RTE_MIN(reserved, nat->port_high - (uint32_t)port + 1);
			continue;
		}
		i++;
		tries++;
		key->destination_port_be = rte_cpu_to_be_16(port);
		if (sl_nat_owner(w, key) == w->idx && sl_flow_find(w->flows, key) == SL_NO_FLOW)
			return true;
	}
	nat->nb_exhausted++;
	return false;
}
