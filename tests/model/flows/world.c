#include "world.h"

struct world w;

uint32_t
rnd(uint32_t below)
{
	w.random ^= w.random << 13;
	w.random ^= w.random >> 7;
	w.random ^= w.random << 17;
	return (uint32_t)(w.random >> 32) % below;
}

bool
percent(uint32_t p)
{
	return rnd(100) < p;
}

uint64_t
now_ns(void)
{
	return (uint64_t)w.now_ds * STEP_NS;
}

bool
is_pop(unsigned node)
{
	return node < NB_POPS;
}

uint16_t
tenant_of_connector(unsigned node)
{
	return (uint16_t)((node - NB_POPS) % NB_TENANTS);
}

void
transmit(unsigned from, unsigned to, unsigned lane, const uint8_t *bytes, uint32_t nb)
{
	if (w.nodes[from].peer_incarnation[to] == 0)
		return;
	for (int copies = percent(w.dup_percent) ? 2 : 1; copies > 0; copies--) {
		struct datagram *d = &w.net[rnd(NB_IN_FLIGHT)];

		if (percent(w.loss_percent) || d->used)
			continue;
		*d = (struct datagram){
			.nb_bytes = nb,
			.due_ds = w.now_ds + (percent(w.late_percent) ? rnd(1800) : rnd(4)),
			.from = (uint16_t)from,
			.to = (uint16_t)to,
			.from_incarnation = w.nodes[from].incarnation,
			.to_incarnation = w.nodes[from].peer_incarnation[to],
			.lane = (uint16_t)lane,
			.used = true,
		};
		memcpy(d->bytes, bytes, nb);
	}
}

struct sl_link_peer
peer_of(unsigned node, unsigned peer, unsigned lane)
{
	return (struct sl_link_peer){
		.session = peer,
		.epoch = w.nodes[node].epoch[peer],
		.lane = (uint16_t)lane,
	};
}

struct flow *
flow_of_id(unsigned node, uint32_t id)
{
	if (sl_id_worker(id) >= NB_WORKERS || sl_id_index(id) >= NB_SLOTS)
		return NULL;
	return &w.nodes[node].workers[sl_id_worker(id)].flows[sl_id_index(id)];
}

uint32_t
id_of(unsigned worker, const struct worker *ws, const struct flow *f)
{
	return sl_id_make((uint8_t)worker, (uint32_t)(f - ws->flows));
}

struct flow *
flow_new(unsigned node, unsigned worker)
{
	struct worker *ws = &w.nodes[node].workers[worker];
	uint8_t generation;
	uint32_t index = sl_slots_take(&ws->slots, now_ns(), &generation);
	struct flow *f;

	if (index == SL_SLOT_NONE)
		return NULL;
	f = &ws->flows[index];
	*f = (struct flow){ .used = true, .seen_ds = w.now_ds };
	f->link.own_generation = generation;
	return f;
}

// Free a flow; tell the peer now and then, for a CLOSE may always be lost.
void
flow_free(unsigned node, unsigned worker, struct flow *f, bool tell)
{
	struct worker *ws = &w.nodes[node].workers[worker];
	struct sl_flow_link *l = &f->link;
	uint8_t p[SL_REC_CLOSE_BYTES];

	if (tell && l->peer_generation != 0 && l->epoch == w.nodes[node].epoch[l->session]) {
		sl_close_put(p, SL_RECORD_CLOSE, l->peer_flow, l->peer_generation, SL_CLOSE_DONE);
		transmit(node, l->session, l->lane, p, sizeof(p));
	}
	if (f->nat != 0)
		w.nat[f->nat].used = false;
	sl_link_close(l);
	f->used = false;
	if (!sl_slots_give(&ws->slots, (uint32_t)(f - ws->flows), now_ns()))
		abort();
}

void
flow_key_of(const struct tag *t, uint8_t key[16])
{
	struct sl_flowkey_key secret = { { (uint8_t)(1 + t->tenant) } };
	char name[8];
	struct sl_flowkey_input in = {
		.client = { [15] = (uint8_t)t->client },
		.client_port_be = t->port,
		.port_be = 80,
		.protocol = (uint8_t)t->protocol,
		.destination = (const uint8_t *)name,
		.destination_bytes = (uint8_t)snprintf(name, sizeof(name), "h%u.x", t->name % 10u),
	};

	sl_flowkey_derive(&secret, &in, key);
}

void
send_data(
	unsigned node,
	struct sl_flow_link *l,
	uint32_t own_id,
	bool with_accept,
	const struct tag *t
)
{
	uint8_t p[128], body[BODY_BYTES] = { 0 };
	struct sl_rec rec = {
		.nb_bytes = BODY_BYTES,
		.type = SL_RECORD_DATA,
		.flow = l->peer_flow,
		.generation = l->peer_generation,
	};
	uint32_t nb = 0;

	memcpy(body, t, sizeof(*t));
	if (with_accept) {
		sl_accept_put(p, l->peer_flow, l->peer_generation, own_id, l->own_generation);
		nb = SL_REC_ACCEPT_BYTES;
	}
	if (with_accept && percent(30)) { // no room for both in one datagram
		transmit(node, l->session, l->lane, p, nb);
		nb = 0;
	}
	nb += sl_rec_put(p + nb, &rec);
	memcpy(p + nb, body, BODY_BYTES);
	transmit(node, l->session, l->lane, p, nb + BODY_BYTES);
}

void
send_accept(unsigned node, const struct sl_flow_link *l, uint32_t own_id)
{
	uint8_t p[SL_REC_ACCEPT_BYTES];

	sl_accept_put(p, l->peer_flow, l->peer_generation, own_id, l->own_generation);
	transmit(node, l->session, l->lane, p, sizeof(p));
}

void
node_init(unsigned node)
{
	for (unsigned i = 0; i < NB_WORKERS; i++) {
		struct worker *ws = &w.nodes[node].workers[i];

		for (unsigned s = 0; s < NB_SLOTS; s++)
			if (ws->flows[s].used && ws->flows[s].nat != 0)
				w.nat[ws->flows[s].nat].used = false;
		sl_slots_destroy(&ws->slots);
		memset(ws, 0, sizeof(*ws));
		if (sl_slots_create(&ws->slots, NB_SLOTS) != 0)
			abort();
	}
	memset(w.nodes[node].peer_incarnation, 0, sizeof(w.nodes[node].peer_incarnation));
	memset(w.nodes[node].honoured, 0, sizeof(w.nodes[node].honoured));
	w.nodes[node].incarnation++;
}
