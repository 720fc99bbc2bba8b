#include "world.h"

// The PoP has restarted: show it the ticket.
static void
try_reopen(const struct nat *n, struct flow *f, const struct tag *t)
{
	uint16_t epoch = w.nodes[n->node].epoch[f->link.session];
	uint8_t p[256], *body;
	struct sl_rec rec = { .type = SL_RECORD_REOPEN,
			      .nb_bytes = SL_REOPEN_BODY_BYTES + BODY_BYTES };
	struct sl_reopen reopen = { .generation = f->link.own_generation, .ticket = f->ticket };
	uint32_t nb;

	if (!f->has_ticket ||
	    sl_link_reopen(&f->link, epoch, f->link.lane, w.now_ds) == SL_REOPEN_NO)
		return;
	reopen.flow = id_of(n->worker, &w.nodes[n->node].workers[n->worker], f);
	nb = sl_rec_put(p, &rec);
	sl_reopen_put(p + nb, &reopen);
	body = p + nb + SL_REOPEN_BODY_BYTES;
	memset(body, 0, BODY_BYTES);
	memcpy(body, t, sizeof(*t));
	transmit(n->node, f->link.session, f->link.lane, p, nb + SL_REOPEN_BODY_BYTES + BODY_BYTES);
}

void
host_send(uint32_t nat, const struct tag *t)
{
	const struct nat *n = &w.nat[nat];
	struct worker *ws = &w.nodes[n->node].workers[n->worker];
	struct flow *f = &ws->flows[n->slot];
	enum sl_link_send how;

	if (!n->used)
		return;
	f->seen_ds = w.now_ds;
	how = sl_link_send(&f->link, w.nodes[n->node].epoch[f->link.session], w.now_ds);
	if (how == SL_SEND_OPEN)
		w.nb_wrong++;
	else if (how == SL_SEND_NOTHING)
		try_reopen(n, f, t);
	else if (how != SL_SEND_NOTHING)
		send_data(
			n->node, &f->link, id_of(n->worker, ws, f), how == SL_SEND_ACCEPT_DATA, t
		);
}

void
connector_deliver(unsigned node, struct flow *f, const uint8_t *body)
{
	struct tag got;

	memcpy(&got, body, sizeof(got));
	w.nb_up++;
	f->seen_ds = w.now_ds;
	f->ends_ds = 0;
	if (got.tenant != tenant_of_connector(node) || got.name != f->host ||
	    got.protocol != f->protocol)
		w.nb_wrong++;
	// The host takes who speaks by this port to be one client for ever.
	if (w.nat[f->nat].has_last &&
	    (w.nat[f->nat].last.client != got.client || w.nat[f->nat].last.port != got.port))
		w.nb_wrong++;
	w.nat[f->nat].last = got;
	w.nat[f->nat].has_last = true;
	if (percent(80))
		host_send(f->nat, &got);
}

static struct flow *
find_by_flow_key(struct worker *ws, const uint8_t *key)
{
	for (unsigned i = 0; i < NB_SLOTS; i++)
		if (ws->flows[i].used && memcmp(ws->flows[i].flow_key, key, 16) == 0)
			return &ws->flows[i];
	return NULL;
}

static struct flow *
connector_create(unsigned node, unsigned worker, const struct sl_open *open)
{
	struct flow *f = flow_new(node, worker);

	if (f == NULL)
		return NULL;
	memcpy(f->flow_key, open->flow_key, 16);
	f->host = (uint16_t)(open->destination[1] - '0');
	f->protocol = open->protocol;
	if (++w.nb_nat >= NB_NAT)
		w.nb_nat = 1;
	f->nat = w.nb_nat;
	w.nat[f->nat] = (struct nat
	){ .node = (uint16_t)node, .worker = (uint16_t)worker, .used = true };
	w.nat[f->nat].slot = (uint16_t)(f - w.nodes[node].workers[worker].flows);
	return f;
}

void
connector_open(unsigned node, const struct datagram *d, const struct sl_rec *rec)
{
	unsigned worker = d->lane % NB_WORKERS;
	enum sl_close_reason reason = SL_CLOSE_TABLE_FULL;
	enum sl_open_verdict verdict;
	struct flow *f;
	struct sl_open open;
	uint8_t p[SL_REC_CLOSE_BYTES];

	if (sl_open_parse(rec, &open) != SL_BODY_OK) {
		w.nb_wrong++;
		return;
	}
	f = find_by_flow_key(&w.nodes[node].workers[worker], open.flow_key);
	verdict = sl_open_missed(open.open_flags, true, false);
	if (f == NULL && verdict == SL_OPEN_SEARCH) {
		for (unsigned i = 0; i < NB_WORKERS && f == NULL; i++) {
			worker = (d->lane + i) % NB_WORKERS;
			f = find_by_flow_key(&w.nodes[node].workers[worker], open.flow_key);
		}
		verdict = sl_open_missed(open.open_flags, true, true);
	}
	if (f == NULL && verdict == SL_OPEN_CREATE) {
		worker = d->lane % NB_WORKERS;
		f = connector_create(node, worker, &open);
	} else if (f == NULL) {
		reason = SL_CLOSE_NO_FLOW;
	}
	if (f == NULL) {
		sl_close_put(p, SL_RECORD_REJECT, open.flow, open.generation, reason);
		transmit(node, d->from, d->lane, p, sizeof(p));
		return;
	}
	w.nb_reattached += sl_link_accept(&f->link, peer_of(node, d->from, d->lane), &open) ==
		SL_LINK_REATTACH;
	send_accept(node, &f->link, id_of(worker, &w.nodes[node].workers[worker], f));
	connector_deliver(node, f, open.transport);
}
