#include "world.h"

static void
send_open(
	unsigned pop,
	const struct sl_flow_link *l,
	uint32_t own_id,
	const struct tag *t,
	bool is_syn
)
{
	uint8_t p[256], key[16];
	char name[8];
	struct sl_open open = {
		.flow = own_id,
		.generation = l->own_generation,
		.open_flags = sl_open_flags((uint8_t)t->protocol, is_syn ? 0x02 : 0x10),
		.protocol = (uint8_t)t->protocol,
		.port = 80,
		.destination = (const uint8_t *)name,
		.destination_bytes = (uint8_t)snprintf(name, sizeof(name), "h%u.x", t->name % 10u),
		.flow_key = key,
	};
	struct sl_rec rec = { .type = SL_RECORD_OPEN };
	uint32_t nb;

	flow_key_of(t, key);
	rec.nb_bytes = sl_open_bytes(open.destination_bytes) + BODY_BYTES;
	nb = sl_rec_put(p, &rec);
	nb += sl_open_put(p + nb, &open);
	memset(p + nb, 0, BODY_BYTES);
	memcpy(p + nb, t, sizeof(*t));
	transmit(pop, l->session, l->lane, p, nb + BODY_BYTES);
}

struct talk *
talk_of(const struct tag *t)
{
	for (unsigned i = 0; i < NB_TALKS; i++) {
		struct talk *talk = &w.talks[t->client][i];

		if (talk->used && talk->port == t->port && talk->protocol == t->protocol &&
		    talk->name == t->name)
			return talk;
	}
	return NULL;
}

void
pop_deliver(const struct flow *f, const uint8_t *body)
{
	struct tag got;
	struct talk *talk;

	memcpy(&got, body, sizeof(got));
	w.nb_down++;
	if (got.client != f->who.client || got.tenant != f->who.tenant || got.port != f->who.port ||
	    got.name != f->who.name || got.protocol != f->who.protocol)
		w.nb_wrong++;
	talk = talk_of(&got);
	if (talk != NULL && talk->conversation == got.conversation) {
		talk->is_answered = true;
		talk->heard_serial = got.serial;
	}
}

static unsigned
pick_connector(unsigned pop, unsigned tenant)
{
	unsigned first = rnd(2);

	for (unsigned i = 0; i < 2; i++) {
		unsigned c = NB_POPS + tenant + NB_TENANTS * ((first + i) % 2);

		if (w.nodes[pop].peer_incarnation[c] != 0)
			return c;
	}
	return 0;
}

void
pop_from_client(unsigned pop, const struct tag *t, bool is_syn)
{
	unsigned worker = t->client % NB_WORKERS, connector;
	struct worker *ws = &w.nodes[pop].workers[worker];
	struct flow *f = NULL;

	for (unsigned i = 0; i < NB_SLOTS; i++) {
		struct flow *at = &ws->flows[i];

		if (at->used && at->who.client == t->client && at->who.port == t->port &&
		    at->who.name == t->name && at->who.protocol == t->protocol)
			f = at;
	}
	if (f == NULL || w.nodes[pop].peer_incarnation[f->link.session] == 0) {
		connector = pick_connector(pop, t->tenant);
		if (connector == 0 || (f == NULL && (f = flow_new(pop, worker)) == NULL))
			return;
		f->who = *t;
		sl_link_open(&f->link, peer_of(pop, connector, worker + NB_WORKERS * rnd(2)));
	}
	f->seen_ds = w.now_ds;
	switch (sl_link_send(&f->link, w.nodes[pop].epoch[f->link.session], w.now_ds)) {
	case SL_SEND_DATA:
		send_data(pop, &f->link, 0, false, t);
		break;
	case SL_SEND_OPEN:
		send_open(pop, &f->link, id_of(worker, ws, f), t, is_syn);
		break;
	case SL_SEND_NOTHING:
	case SL_SEND_ACCEPT_DATA:
		w.nb_wrong++;
	}
}

void
client_told(const struct tag *who)
{
	struct talk *talk = talk_of(who);

	if (talk != NULL)
		talk->used = false;
}

// What stands in a ticket here: sealing is another test's.
struct ticket {
	struct tag who;
	uint16_t pop, incarnation;
	uint32_t number;
};

void
send_ticket(unsigned pop, const struct flow *f)
{
	struct ticket t = { .who = f->who,
			    .pop = (uint16_t)pop,
			    .incarnation = w.nodes[pop].incarnation,
			    .number = w.nodes[pop].nb_tickets++ };
	uint8_t p[SL_REC_TICKET_BYTES] = { 0 };

	memcpy(sl_ticket_record_put(p, f->link.peer_flow, f->link.peer_generation), &t, sizeof(t));
	transmit(pop, f->link.session, f->link.lane, p, sizeof(p));
}

static struct flow *
find_talk(struct worker *ws, const struct tag *t)
{
	for (unsigned i = 0; i < NB_SLOTS; i++) {
		struct flow *at = &ws->flows[i];

		if (at->used && at->who.client == t->client && at->who.port == t->port &&
		    at->who.name == t->name && at->who.protocol == t->protocol)
			return at;
	}
	return NULL;
}

static void
refuse(unsigned pop, const struct datagram *d, const struct sl_reopen *reopen)
{
	uint8_t p[SL_REC_CLOSE_BYTES];

	sl_close_put(p, SL_RECORD_REJECT, reopen->flow, reopen->generation, SL_CLOSE_NO_FLOW);
	transmit(pop, d->from, d->lane, p, sizeof(p));
}

void
pop_reopen(unsigned pop, const struct datagram *d, const struct sl_rec *rec)
{
	struct sl_reopen reopen;
	struct ticket t;
	unsigned worker;
	struct worker *ws;
	struct flow *f;
	bool is_new;

	if (sl_reopen_parse(rec, &reopen) != SL_BODY_OK) {
		w.nb_wrong++;
		return;
	}
	memcpy(&t, reopen.ticket, sizeof(t));
	worker = t.who.client % NB_WORKERS;
	ws = &w.nodes[pop].workers[worker];
	f = find_talk(ws, &t.who);
	is_new = f == NULL;
	if (t.pop != pop)
		return; // another's seal does not open
	if (is_new &&
	    (t.incarnation == w.nodes[pop].incarnation ||
	     w.nodes[pop].honoured[t.number % NB_HONOURED])) {
		refuse(pop, d, &reopen);
		return;
	}
	if (is_new && (f = flow_new(pop, worker)) == NULL)
		return;
	if (is_new)
		f->who = t.who;
	if (!sl_link_reopened(
		    &f->link, peer_of(pop, d->from, d->lane), reopen.flow, reopen.generation
	    )) {
		refuse(pop, d, &reopen);
		return;
	}
	w.nodes[pop].honoured[t.number % NB_HONOURED] = true;
	w.nb_reopened += is_new;
	send_accept(pop, &f->link, id_of(worker, ws, f));
	send_ticket(pop, f);
	pop_deliver(f, reopen.transport);
}
