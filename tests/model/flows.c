// The flow protocol under everything a network and two hosts can do to it: loss, duplication,
// reordering up to the life of a key, slots reused as soon as they may be, clients that roam from
// PoP to PoP, and PoPs and connectors killed at any moment. Every payload is tagged with its client,
// port, protocol and destination; the invariant is that none reaches another client or host.
// After the network heals, every conversation works or has been told that it does not.
//
//   clients -- 2 PoPs (2 workers) == 4 connectors (2 workers), two to each of 2 tenants -- hosts
//
// Real: records, bodies, links, slots, flow keys. Simple: tables (arrays), sessions (incarnation
// numbers), hosts (they echo and, at times, talk by themselves). There is no replay window here:
// duplicates arrive. Seeds 1 to 24 are run; SL_SEED=N repeats one alone.
//
// world.c has the nodes, network and slots, pop.c and connector.c what each role does.
#include "flows/world.h"

static enum sl_link_verdict
act(unsigned node, const struct datagram *d, const struct sl_rec *rec, struct flow *f)
{
	struct sl_link_peer peer = peer_of(node, d->from, d->lane);
	enum sl_close_reason reason = SL_CLOSE_DONE;
	struct sl_accept accept;

	if (rec->type == SL_RECORD_DATA || rec->type == SL_RECORD_TICKET)
		return sl_link_data(&f->link, rec->generation, peer);
	if (rec->type == SL_RECORD_ACCEPT)
		return sl_accept_parse(rec, &accept) == SL_BODY_OK
			? sl_link_accepted(&f->link, rec->generation, peer, &accept)
			: SL_LINK_IGNORE;
	if (sl_close_parse(rec, &reason) != SL_BODY_OK || sl_reject_is_echo(rec->type, reason))
		return SL_LINK_IGNORE;
	return rec->type == SL_RECORD_CLOSE
		? sl_link_closed(&f->link, rec->generation, peer, reason)
		: sl_link_rejected(&f->link, rec->generation, peer);
}

static void
keep_ticket(struct flow *f, const struct sl_rec *rec)
{
	const uint8_t *ticket;

	w.nb_wrong += sl_ticket_record_parse(rec, &ticket) != SL_BODY_OK;
	memcpy(f->ticket, ticket, sizeof(f->ticket));
	f->has_ticket = true;
}

static void
handle(unsigned node, const struct datagram *d, const struct sl_rec *rec)
{
	struct flow *f = flow_of_id(node, rec->flow);
	uint8_t p[SL_UNKNOWN_ANSWER_BYTES];
	unsigned nb;

	if (rec->type == SL_RECORD_OPEN) {
		connector_open(node, d, rec);
		return;
	}
	if (rec->type == SL_RECORD_REOPEN) {
		pop_reopen(node, d, rec);
		return;
	}
	switch (f == NULL ? SL_LINK_DROP_STALE : act(node, d, rec, f)) {
	case SL_LINK_DROP_STALE:
		w.nb_stale++;
		nb = percent(50) ? sl_unknown_answer(p, rec) : 0;
		if (nb != 0)
			transmit(node, d->from, d->lane, p, nb);
		break;
	case SL_LINK_DELIVER:
		if (rec->type == SL_RECORD_TICKET)
			keep_ticket(f, rec);
		else if (is_pop(node))
			pop_deliver(f, rec->body);
		else
			connector_deliver(node, f, rec->body);
		break;
	case SL_LINK_PEER_CLOSED:
	case SL_LINK_REJECTED:
		w.nb_rejected++;
		if (is_pop(node))
			client_told(&f->who);
		flow_free(node, sl_id_worker(rec->flow), f, false);
		break;
	case SL_LINK_ORPHANED:
		f->ends_ds = w.now_ds + SL_FLOW_ORPHAN_S * 10;
		break;
	case SL_LINK_ACCEPTED:
		if (is_pop(node))
			send_ticket(node, f);
		break;
	case SL_LINK_VOIDED:
	case SL_LINK_IGNORE:
	case SL_LINK_DUPLICATE:
	case SL_LINK_REATTACH:
		break;
	}
}

static void
network_step(void)
{
	for (unsigned i = 0; i < NB_IN_FLIGHT; i++) {
		struct datagram d = w.net[i];
		struct sl_recs recs = sl_recs_begin(d.bytes, d.nb_bytes);
		enum sl_rec_verdict verdict;
		struct sl_rec rec;

		if (!d.used || d.due_ds > w.now_ds)
			continue;
		w.net[i].used = false;
		// Keys of another incarnation of either side do not open it.
		if (w.nodes[d.to].incarnation != d.to_incarnation ||
		    w.nodes[d.to].peer_incarnation[d.from] != d.from_incarnation)
			continue;
		while ((verdict = sl_recs_next(&recs, &rec)) == SL_REC_OK)
			handle(d.to, &d, &rec);
		w.nb_wrong += verdict != SL_REC_END;
	}
}

// A handshake: each end learns the other's incarnation, and voids what another one gave it.
static void
handshake(unsigned a, unsigned b)
{
	struct node *ends[2] = { &w.nodes[a], &w.nodes[b] };
	unsigned ids[2] = { a, b };

	for (unsigned i = 0; i < 2; i++) {
		struct node *n = ends[i];
		uint16_t present = ends[1 - i]->incarnation;

		if (n->peer_incarnation[ids[1 - i]] != present)
			n->epoch[ids[1 - i]]++;
		n->peer_incarnation[ids[1 - i]] = present;
	}
}

static void
sweep(unsigned node)
{
	for (unsigned i = 0; i < NB_WORKERS; i++)
		for (unsigned s = 0; s < NB_SLOTS; s++) {
			struct flow *f = &w.nodes[node].workers[i].flows[s];
			uint32_t idle_ds = w.now_ds - f->seen_ds;

			if (f->used &&
			    (idle_ds > (is_pop(node) ? IDLE_DS : IDLE_DS * 3 / 2) ||
			     (f->ends_ds != 0 && w.now_ds > f->ends_ds)))
				flow_free(node, i, f, is_pop(node));
		}
}

static void
talk_send(unsigned client, struct talk *t)
{
	struct tag tag = {
		.tenant = (uint16_t)(client % NB_TENANTS),
		.client = (uint16_t)client,
		.port = t->port,
		.name = t->name,
		.protocol = t->protocol,
		.conversation = t->conversation,
		.serial = ++t->serial,
	};

	pop_from_client(t->pop, &tag, t->protocol == IPPROTO_TCP && !t->is_answered);
}

static void
client_step(unsigned client, bool is_churning)
{
	static uint16_t conversation;
	struct talk *t = &w.talks[client][rnd(NB_TALKS)];

	if (!t->used) {
		if (!is_churning || !percent(20))
			return;
		*t = (struct talk){
			.used = true,
			.protocol = percent(60) ? IPPROTO_TCP : IPPROTO_UDP,
			.pop = (uint8_t)rnd(NB_POPS),
			.port = (uint16_t)(1000 + (t - w.talks[client])),
			.name = (uint16_t)rnd(NB_NAMES),
			.conversation = ++conversation,
		};
	}
	if (is_churning && percent(2))
		t->pop = (uint8_t)rnd(NB_POPS); // anycast took it elsewhere
	if (is_churning && percent(4)) {
		t->used = false; // goes away without a word; a new one may take its port
		return;
	}
	talk_send(client, t);
}

static void
step(bool is_churning)
{
	w.now_ds++;
	network_step();
	for (unsigned i = 0; i < NB_CLIENTS; i++)
		if (percent(15))
			client_step(i, is_churning);
	for (unsigned i = 0; i < 2; i++) {
		uint32_t nat = 1 + rnd(NB_NAT - 1);

		if (w.nat[nat].used && w.nat[nat].has_last)
			host_send(nat, &w.nat[nat].last);
	}
	if (is_churning && rnd(3000) < 2) {
		node_init(rnd(NB_NODES));
		w.nb_kills++;
	}
	for (unsigned p = 0; p < NB_POPS; p++)
		for (unsigned c = NB_POPS; c < NB_NODES; c++)
			if (w.nodes[p].peer_incarnation[c] != w.nodes[c].incarnation ||
			    w.nodes[c].peer_incarnation[p] != w.nodes[p].incarnation)
				if (!is_churning || percent(3))
					handshake(p, c);
	if (w.now_ds % 10 == 0)
		sweep(w.now_ds / 10 % NB_NODES);
}

// After the network heals: every conversation still held is answered, or ended by a refusal.
static unsigned
count_stuck(void)
{
	unsigned nb_stuck = 0;

	w.loss_percent = w.dup_percent = w.late_percent = 0;
	for (unsigned i = 0; i < 3000; i++)
		step(false);
	for (unsigned c = 0; c < NB_CLIENTS; c++)
		for (unsigned i = 0; i < NB_TALKS; i++) {
			const struct talk *t = &w.talks[c][i];

			if (t->used && t->heard_serial + 20 < t->serial)
				nb_stuck++;
		}
	return nb_stuck;
}

static void
run(uint64_t seed, unsigned nb_steps)
{
	unsigned nb_stuck;

	memset(&w, 0, sizeof(w));
	w.random = seed * 0x9e3779b97f4a7c15ull | 1;
	for (unsigned n = 0; n < NB_NODES; n++)
		node_init(n);
	w.loss_percent = 1 + rnd(30);
	w.dup_percent = rnd(20);
	w.late_percent = rnd(25);
	for (unsigned i = 0; i < nb_steps; i++)
		step(true);
	nb_stuck = count_stuck();
	if (w.nb_wrong != 0 || nb_stuck != 0)
		sl_test_note(
			"SL_SEED=%llu: %llu wrong, %u stuck",
			(unsigned long long)seed,
			(unsigned long long)w.nb_wrong,
			nb_stuck
		);
	CU_ASSERT_EQUAL(w.nb_wrong, 0);
	CU_ASSERT_EQUAL(nb_stuck, 0);
	for (unsigned n = 0; n < NB_NODES; n++)
		for (unsigned i = 0; i < NB_WORKERS; i++)
			sl_slots_destroy(&w.nodes[n].workers[i].slots);
}

static void
test_flows(void)
{
	const char *fixed = getenv("SL_SEED");
	uint64_t total[6] = { 0 };

	for (uint64_t seed = 1; seed <= 24; seed++) {
		run(fixed != NULL ? strtoull(fixed, NULL, 0) : seed, 20000);
		total[0] += w.nb_up;
		total[1] += w.nb_down;
		total[2] += w.nb_stale;
		total[3] += w.nb_reattached;
		total[4] += w.nb_kills;
		total[5] += w.nb_reopened;
		if (fixed != NULL)
			break;
	}
	sl_test_note(
		"payloads: %llu up, %llu down; stale records: %llu; flows (re)attached: %llu; "
		"kills: %llu; reopened: %llu",
		(unsigned long long)total[0],
		(unsigned long long)total[1],
		(unsigned long long)total[2],
		(unsigned long long)total[3],
		(unsigned long long)total[4],
		(unsigned long long)total[5]
	);
	// A run in which nothing went wrong underneath proves nothing.
	CU_ASSERT(
		total[0] > 1000 && total[1] > 1000 && total[2] > 1000 && total[4] > 20 &&
		total[5] > 20
	);
}

static const struct sl_test_case cases[] = {
	{ "flows: no payload reaches another client or host, and a healed network leaves none "
	  "stuck",
	  test_flows },
};

SL_TEST_MAIN(cases)
