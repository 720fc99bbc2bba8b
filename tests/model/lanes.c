// lanes: the question whether lanes with lockless counters hold, put to the real protocol code.
//
// Two ends, a connector with Wa workers and a PoP with Wb, talk over lanes through a network that
// loses, reorders, repeats and forges, behind a NAT that moves lanes to other ports and in front of
// an RSS that changes its mind about the worker a datagram arrives at. Keys are replaced by the
// clock, and either end is killed and started anew. Workers are interleaved by chance: a walk takes
// its counters, and finishes only after others have done whatever they do, a rekey included.
//
//   A --seal at the lane's owner--> wire (loss, order) --RSS--> any worker of B
//                                        --at most one hand-over--> the lane's owner --open-->
//
// Held throughout: no (key, lane, counter) is sealed twice; none is accepted twice; a lane is touched
// by its owner alone; a datagram is handed over at most once; nothing forged is accepted or moves an
// endpoint; and when the storm is over every lane works both ways.
//
// Longer than other files because it is one machine, whose parts make no sense alone.
#include "../lib/aead_openssl.h"
#include "../lib/peer_pair.h"
#include "sl_test.h"

#include <sluice/proto/keypair.h>
#include <sluice/proto/limits.h>
#include <stdlib.h>
#include <string.h>

#define NB_LANES    16u
#define NB_FLYING   512u
#define NB_KEPT     256u
#define NB_HELD     16u
#define PLAIN_BYTES 16u
#define PKT_BYTES   (sizeof(struct sl_wire_data) + PLAIN_BYTES + SL_AEAD_TAG_BYTES)
#define SEEN_SLOTS  (1u << 20)
#define EVIL_PORT   0xffffu

struct pkt {
	unsigned to; // end
	int worker; // -1: on the wire; else in the mailbox of that worker
	unsigned nb_handovers;
	uint16_t port; // source, as the NAT left it
	bool forged;
	uint8_t bytes[PKT_BYTES];
};

// A walk of a worker that has taken a counter and not sealed yet.
struct held {
	unsigned end;
	uint16_t lane;
	struct sl_keypair *keypair;
	uint64_t counter;
};

struct end {
	struct pair_end *pair;
	uint16_t nb_workers;
	struct sl_keypair *keypairs[PAIR_INDICES]; // by index - base
	uint16_t nat_port[NB_LANES]; // where our lane comes from, as the other end sees it
	uint16_t endpoint[NB_LANES]; // where the other end's lane was last heard
	uint32_t rss;
	unsigned nb_keepalives;
	unsigned nb_accepted[NB_LANES];
};

// What was sealed or accepted, exactly.
struct seen {
	uint64_t key; // first octets of the raw key; 0: free
	uint64_t counter;
	uint32_t lane;
};

struct world {
	struct pair pair;
	struct end ends[2];
	struct sl_aead *engine;
	struct pkt flying[NB_FLYING];
	unsigned nb_flying;
	struct pkt kept[NB_KEPT]; // for replay
	unsigned nb_kept;
	struct held held[NB_HELD];
	unsigned nb_held;
	uint8_t old_message[2][SL_NOISE_MESSAGE_MAX];
	size_t old_bytes[2];
	struct seen *sealed, *accepted;
	unsigned worker; // running now, of the end whose keypair is used
	uint64_t nb_sealed, nb_opened, nb_replayed, nb_forged, nb_handovers, nb_lost;
};

static struct world *world; // of the recorder

static bool
chance(unsigned one_in)
{
	return random() % one_in == 0;
}

// True if it was not there.
static bool
note(struct seen *set, uint64_t key, uint32_t lane, uint64_t counter)
{
	uint64_t slot = (key ^ counter * 0x9e3779b97f4a7c15ull ^ lane * 0xc2b2ae3d27d4eb4full);

	for (slot = (slot ^ slot >> 29) % SEEN_SLOTS; set[slot].key != 0;
	     slot = (slot + 1) % SEEN_SLOTS)
		if (set[slot].key == key && set[slot].lane == lane && set[slot].counter == counter)
			return false;
	set[slot] = (struct seen){ .key = key, .counter = counter, .lane = lane };
	return true;
}

static uint64_t
key_name(const struct end *e, const struct sl_keypair *k, bool sealing)
{
	const struct sl_transport_key *t = &e->pair->keys[k->local_index - e->pair->base];
	uint64_t name;

	memcpy(&name, sealing ? t->seal : t->open, sizeof(name));
	return name | 1;
}

static struct end *
end_of(struct world *w, const struct sl_keypair *k)
{
	return &w->ends[k->local_index - w->ends[0].pair->base < PAIR_INDICES ? 0 : 1];
}

static void
record(const struct sl_keypair *k, uint16_t lane, uint64_t first, uint64_t nb)
{
	struct end *e = end_of(world, k);

	CU_ASSERT_EQUAL_FATAL(sl_lane_owner(lane, e->nb_workers), world->worker);
	for (uint64_t i = 0; i < nb; i++) {
		CU_ASSERT_TRUE_FATAL(note(world->sealed, key_name(e, k, true), lane, first + i));
		world->nb_sealed++;
	}
}

static void
fly(struct world *w, const struct pkt *p)
{
	if (w->nb_flying < NB_FLYING)
		w->flying[w->nb_flying++] = *p;
	else
		w->nb_lost++;
}

static void
finish_seal(struct world *w, unsigned i)
{
	struct held h = w->held[i];
	struct pkt p = { .to = !h.end, .worker = -1, .port = w->ends[h.end].nat_port[h.lane] };
	uint8_t *data = p.bytes + sizeof(struct sl_wire_data);
	struct sl_aead_op op = { .key = sl_keypair_seal_key(h.keypair, h.lane),
				 .cipher = h.keypair->cipher,
				 .data = data,
				 .tag = data + PLAIN_BYTES,
				 .aad = p.bytes,
				 .nb_bytes = PLAIN_BYTES,
				 .nb_aad_bytes = sizeof(struct sl_wire_data) };

	w->held[i] = w->held[--w->nb_held];
	sl_keypair_header(p.bytes, h.keypair->remote_index, h.lane, h.counter);
	sl_keypair_nonce(op.nonce, h.lane, h.counter);
	memset(data, (int)h.counter, PLAIN_BYTES);
	w->engine->ops->seal(w->engine, &op, 1);
	fly(w, &p);
	w->kept[w->nb_kept++ % NB_KEPT] = p;
}

static struct sl_keypair *
sealing(struct world *w, const struct end *e)
{
	uint32_t at = e->pair->sealing - e->pair->base;
	struct sl_keypair *k = e->pair->nb_sealing == 0 ? NULL : e->keypairs[at];

	return k != NULL && sl_keypair_may_seal(k, w->pair.now.ns) ? k : NULL;
}

static void
start_seal(struct world *w, unsigned end, uint16_t lane)
{
	struct sl_keypair *k = sealing(w, &w->ends[end]);
	uint64_t first = 0, nb = 1 + (uint64_t)random() % 4;

	if (k == NULL || lane >= k->nb_lanes || w->nb_held + nb > NB_HELD)
		return;
	w->worker = sl_lane_owner(lane, w->ends[end].nb_workers);
	CU_ASSERT_TRUE_FATAL(sl_keypair_take_counters(k, lane, nb, &first));
	for (uint64_t i = 0; i < nb; i++)
		w->held[w->nb_held++] = (struct held){ end, lane, k, first + i };
}

// Keypairs follow what the session machine said. What is unpublished is freed when no walk is under
// way that could hold it, as after an RCU grace period.
static void
sync_keypairs(struct world *w)
{
	for (unsigned n = 0; n < 2; n++) {
		struct end *e = &w->ends[n];

		for (unsigned i = 0; i < e->pair->nb_indices; i++) {
			if (e->pair->installed[i] && e->keypairs[i] == NULL) {
				const struct sl_transport_key *t = &e->pair->keys[i];

				e->keypairs[i] = aligned_alloc(
					64, sl_keypair_bytes(t->cipher, t->nb_lanes)
				);
				CU_ASSERT_PTR_NOT_NULL_FATAL(e->keypairs[i]);
				sl_keypair_init(e->keypairs[i], t, w->engine);
			}
			if (e->pair->installed[i] || e->keypairs[i] == NULL)
				continue;
			while (w->nb_held > 0)
				finish_seal(w, 0);
			sl_keypair_wipe(e->keypairs[i]);
			free(e->keypairs[i]);
			e->keypairs[i] = NULL;
		}
		if (e->nb_keepalives != e->pair->nb_keepalives)
			start_seal(w, n, 0);
		e->nb_keepalives = e->pair->nb_keepalives;
	}
}

// What a receiver reads of a header before it knows anything.
static struct sl_keypair *
addressed(const struct end *e, const struct pkt *p)
{
	uint32_t at = sl_get32(p->bytes + 4) - e->pair->base;

	return at < PAIR_INDICES ? e->keypairs[at] : NULL;
}

static void
open_pkt(struct world *w, struct end *e, struct pkt *p, struct sl_keypair *k)
{
	uint16_t lane = sl_get16(p->bytes + 2);
	uint64_t counter = sl_get64(p->bytes + 8);
	struct sl_keypair_lane *l = &k->lanes[lane];
	uint8_t *data = p->bytes + sizeof(struct sl_wire_data);
	struct sl_aead_op op = { .key = sl_keypair_open_key(k),
				 .cipher = k->cipher,
				 .data = data,
				 .tag = data + PLAIN_BYTES,
				 .aad = p->bytes,
				 .nb_bytes = PLAIN_BYTES,
				 .nb_aad_bytes = sizeof(struct sl_wire_data) };

	if (sl_replay_check(&l->replay, l->replay_words, SL_LANE_REPLAY_WORDS, counter) !=
	    SL_REPLAY_FRESH) {
		w->nb_replayed++;
		return;
	}
	sl_keypair_nonce(op.nonce, lane, counter);
	w->engine->ops->open(w->engine, &op, 1);
	if (!op.authentic) {
		CU_ASSERT_TRUE_FATAL(p->forged);
		w->nb_forged++;
		return;
	}
	CU_ASSERT_FALSE_FATAL(p->forged);
	CU_ASSERT_EQUAL_FATAL(
		sl_replay_commit(&l->replay, l->replay_words, SL_LANE_REPLAY_WORDS, counter),
		SL_REPLAY_FRESH
	);
	CU_ASSERT_EQUAL_FATAL(data[0], (uint8_t)counter);
	CU_ASSERT_TRUE_FATAL(note(w->accepted, key_name(e, k, false), lane, counter));
	// A datagram that comes late does not move the endpoint back.
	if (l->replay.next == counter + 1)
		e->endpoint[lane] = p->port;
	e->nb_accepted[lane]++;
	w->nb_opened++;
	if (sl_keypair_confirm(k)) {
		sl_peer_note_opened(
			&e->pair->peer, k->local_index, SL_PEER_DATA, w->pair.now, &e->pair->out
		);
		pair_book(e->pair);
		sync_keypairs(w);
	}
}

// One datagram makes one step: from the wire to a worker, or from a worker's mailbox.
static void
step_pkt(struct world *w, unsigned i)
{
	struct pkt *p = &w->flying[i], mine;
	struct end *e = &w->ends[p->to];
	struct sl_keypair *k = addressed(e, p);
	uint16_t lane = sl_get16(p->bytes + 2);
	unsigned worker, owner;

	worker = p->worker >= 0 ? (unsigned)p->worker
				: (p->port * 2654435761u ^ e->rss) % e->nb_workers;
	if (k != NULL && lane < k->nb_lanes && !sl_keypair_is_expired(k, w->pair.now.ns)) {
		owner = sl_lane_owner(lane, e->nb_workers);
		if (worker != owner) {
			p->worker = (int)owner;
			w->nb_handovers++;
			CU_ASSERT_EQUAL_FATAL(++p->nb_handovers, 1);
			return;
		}
		mine = *p;
		*p = w->flying[--w->nb_flying];
		open_pkt(w, e, &mine, k);
		return;
	}
	*p = w->flying[--w->nb_flying];
	w->nb_lost++;
}

// Handshake messages travel at once, or never, or twice.
static void
step_messages(struct world *w, unsigned one_in_lost)
{
	for (unsigned n = 0; n < 2; n++) {
		struct pair_end *from = w->ends[n].pair, *to = w->ends[!n].pair;

		if (from->nb_bytes == 0)
			continue;
		if (one_in_lost != 0 && chance(one_in_lost)) {
			from->nb_bytes = 0;
			continue;
		}
		memcpy(w->old_message[n], from->message, from->nb_bytes);
		w->old_bytes[n] = from->nb_bytes;
		(void)pair_deliver(&w->pair, from, to);
		sync_keypairs(w);
	}
}

static void
step_clock(struct world *w, uint64_t ns)
{
	pair_pass(&w->pair, ns);
	for (unsigned n = 0; n < 2; n++)
		if (sl_peer_next_deadline(&w->ends[n].pair->peer) <= w->pair.now.ns)
			pair_run(&w->pair, w->ends[n].pair);
	sync_keypairs(w);
}

static void
step_restart(struct world *w, unsigned n)
{
	pair_restart(
		&w->pair, w->ends[n].pair, n == 0 ? SL_PEER_INITIATES | SL_PEER_PERSISTENT : 0
	);
	w->ends[n].pair->nb_sealing = 0;
	while (w->nb_held > 0)
		finish_seal(w, 0);
	sync_keypairs(w);
	// The connector asks at its start, and when it finds its PoP dead.
	pair_initiate(&w->pair);
}

// An end that was started anew has forgotten the timestamps it took, so it may answer an initiation
// once more; but nothing comes of that: no key is sealed with and no restart is believed.
static void
repeat_message(struct world *w, unsigned n)
{
	struct pair_end *to = w->ends[!n].pair;
	unsigned nb_sealing = to->nb_sealing, nb_restarted = to->nb_restarted;
	enum sl_peer_verdict verdict = pair_give(
		&w->pair, to, w->old_message[n], w->old_bytes[n], SL_PEER_CALM
	);

	to->nb_bytes = 0;
	CU_ASSERT_TRUE_FATAL(n == 0 || verdict == SL_PEER_NOT_ASKED);
	CU_ASSERT_EQUAL_FATAL(to->nb_sealing, nb_sealing);
	CU_ASSERT_EQUAL_FATAL(to->nb_restarted, nb_restarted);
	sync_keypairs(w);
}

// What an attacker on the path can do: repeat, and change.
static void
step_attack(struct world *w)
{
	struct pkt p;
	unsigned n = (unsigned)random() % 2;

	if (w->nb_kept < NB_KEPT)
		return;
	p = w->kept[random() % NB_KEPT];
	p.worker = -1;
	p.nb_handovers = 0;
	if (chance(2)) {
		p.forged = true;
		p.port = EVIL_PORT;
		p.bytes[(size_t)random() % PKT_BYTES] ^= (uint8_t)(1 + random() % 255);
	}
	fly(w, &p);
	if (chance(8) && w->old_bytes[n] != 0)
		repeat_message(w, n);
}

static void
step(struct world *w)
{
	unsigned end = (unsigned)random() % 2;

	switch (random() % 16) {
	case 0:
		if (chance(40))
			w->ends[end].rss = (uint32_t)random();
		break;
	case 1:
		if (chance(40))
			w->ends[end].nat_port[random() % NB_LANES] = (uint16_t)(random() % 0xfff0);
		break;
	case 2:
		step_clock(w, chance(50) ? 40 * SL_NS_PER_S : 5 * SL_NS_PER_MS);
		break;
	case 3:
		step_attack(w);
		break;
	case 4:
		if (w->nb_flying > 0 && chance(4)) {
			w->flying[random() % w->nb_flying] = w->flying[w->nb_flying - 1];
			w->nb_flying--;
		}
		break;
	case 5:
		if (chance(150))
			step_restart(w, end);
		break;
	case 6:
	case 7:
	case 8:
		start_seal(w, end, (uint16_t)(random() % NB_LANES));
		break;
	case 9:
	case 10:
	case 11:
		if (w->nb_held > 0)
			finish_seal(w, (unsigned)random() % w->nb_held);
		break;
	default:
		if (w->nb_flying > 0)
			step_pkt(w, (unsigned)random() % w->nb_flying);
		break;
	}
	step_messages(w, 5);
}

static void
drain(struct world *w)
{
	while (w->nb_held > 0)
		finish_seal(w, 0);
	while (w->nb_flying > 0)
		step_pkt(w, 0);
}

// The storm is over: after one handshake every lane works, in both directions.
static void
check_works(struct world *w)
{
	drain(w);
	step_clock(w, 200 * SL_NS_PER_S);
	for (unsigned i = 0; i < 20; i++) {
		step_messages(w, 0);
		drain(w);
		step_clock(w, SL_NS_PER_S);
	}
	for (unsigned n = 0; n < 2; n++) {
		for (uint16_t lane = 0; lane < NB_LANES; lane++) {
			unsigned before = w->ends[!n].nb_accepted[lane];

			start_seal(w, n, lane);
			drain(w);
			CU_ASSERT_TRUE(w->ends[!n].nb_accepted[lane] > before);
			CU_ASSERT_EQUAL(w->ends[!n].endpoint[lane], w->ends[n].nat_port[lane]);
		}
	}
}

static void
world_free(struct world *w)
{
	pair_fini(&w->pair);
	for (unsigned n = 0; n < 2; n++)
		for (unsigned i = 0; i < PAIR_INDICES; i++)
			free(w->ends[n].keypairs[i]);
	sl_aead_openssl_destroy(w->engine);
	free(w->sealed);
	free(w->accepted);
	free(w);
}

static struct world *
world_new(uint16_t workers_a, uint16_t workers_b)
{
	struct world *w = calloc(1, sizeof(*w));

	CU_ASSERT_PTR_NOT_NULL_FATAL(w);
	w->engine = sl_aead_openssl_create();
	w->sealed = calloc(SEEN_SLOTS, sizeof(*w->sealed));
	w->accepted = calloc(SEEN_SLOTS, sizeof(*w->accepted));
	CU_ASSERT_TRUE_FATAL(w->engine != NULL && w->sealed != NULL && w->accepted != NULL);
	pair_init(&w->pair, &sl_noise_tunnel, NULL, SL_PEER_INITIATES | SL_PEER_PERSISTENT, 0);
	w->ends[0] = (struct end){ .pair = &w->pair.initiator, .nb_workers = workers_a };
	w->ends[1] = (struct end){ .pair = &w->pair.responder, .nb_workers = workers_b };
	for (unsigned n = 0; n < 2; n++) {
		w->ends[n].pair->local.hello.nb_lanes = NB_LANES;
		w->ends[n].pair->local.hello.nb_workers = w->ends[n].nb_workers;
		w->ends[n].rss = (uint32_t)random();
		for (unsigned lane = 0; lane < NB_LANES; lane++)
			w->ends[n].nat_port[lane] = (uint16_t)(40000 + lane);
	}
	world = w;
	return w;
}

static void
test_storm(void)
{
	static const struct {
		uint16_t a, b;
	} sizes[] = { { 2, 2 }, { 2, 3 }, { 3, 8 }, { 4, 4 }, { 5, 7 }, { 8, 2 }, { 8, 8 } };

	sl_keypair_recorder = record;
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct world *w;

		srandom(1000 + i);
		w = world_new(sizes[i].a, sizes[i].b);
		pair_initiate(&w->pair);
		for (unsigned n = 0; n < 100000; n++) {
			step(w);
			for (unsigned lane = 0; lane < NB_LANES; lane++)
				CU_ASSERT_NOT_EQUAL_FATAL(w->ends[n % 2].endpoint[lane], EVIL_PORT);
		}
		check_works(w);
		sl_test_note(
			"%ux%u: %lu sealed, %lu opened, %lu handed over, %lu replayed, %lu forged, "
			"%u keypairs, %u restarts seen",
			sizes[i].a,
			sizes[i].b,
			w->nb_sealed,
			w->nb_opened,
			w->nb_handovers,
			w->nb_replayed,
			w->nb_forged,
			w->pair.responder.nb_indices,
			w->pair.responder.nb_restarted + w->pair.initiator.nb_restarted
		);
		CU_ASSERT_TRUE(w->nb_opened > 2000 && w->nb_handovers > 1000);
		CU_ASSERT_TRUE(w->nb_replayed > 100 && w->nb_forged > 100);
		CU_ASSERT_TRUE(w->pair.responder.nb_indices > 5);
		CU_ASSERT_TRUE(w->pair.responder.nb_indices < PAIR_INDICES);
		world_free(w);
	}
	sl_keypair_recorder = NULL;
}

static const struct sl_test_case cases[] = {
	{ "C4: no counter sealed or accepted twice, one hand-over, from 2x2 to 8x8 workers",
	  test_storm },
};

SL_TEST_MAIN(cases)
