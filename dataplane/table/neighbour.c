// neighbour: see <sluice/dp/neighbour.h>. Entries are one cache line, found within eight places of
// a keyed hash; a full window gives up its stalest entry that nobody waits for.
#include <rte_cycles.h>
#include <rte_jhash.h>
#include <rte_malloc.h>

#include <sluice/dp/neighbour.h>
#include <sluice/proto/limits.h>
#include <string.h>

#define WINDOW       8u
#define HELD_AVERAGE 4u
#define ASK_NS       (1 * SL_NS_PER_S) // between queries
#define ASK_TRIES    3u
#define REFRESH_NS   (30 * SL_NS_PER_S) // a used entry is asked again after
#define FORGET_NS    (300 * SL_NS_PER_S) // an unused one is forgotten after

enum state { FREE = 0, ASKED, KNOWN };

struct entry {
	rte_be32_t address;
	uint16_t port;
	uint8_t state;
	uint8_t nb_held;
	struct rte_ether_addr mac;
	uint8_t tries; // queries since the last answer
	uint8_t is_used; // since the last answer
	uint64_t asked_ns; // last query
	uint64_t learned_ns; // last answer
} __rte_cache_aligned;
static_assert(sizeof(struct entry) == RTE_CACHE_LINE_SIZE, "one line a neighbour");

struct sl_neighbours {
	uint32_t mask;
	uint32_t seed;
	uint32_t last; // entry found last: packets of a burst mostly go to one next hop
	uint64_t due_ns;
	uint32_t nb_held; // in all entries
	uint32_t nb_held_max;
	struct rte_mbuf *(*held)[SL_NEIGHBOUR_HELD]; // by entry
	struct entry entries[];
};

struct sl_neighbours *
sl_neighbours_create(unsigned nb_entries, unsigned nb_held_max)
{
	struct sl_neighbours *t;

	if (nb_entries < WINDOW || (nb_entries & (nb_entries - 1)) != 0)
		return NULL;
	t = rte_zmalloc(
		"sl_neighbours",
		sizeof(*t) + nb_entries * sizeof(t->entries[0]),
		RTE_CACHE_LINE_SIZE
	);
	if (t == NULL)
		return NULL;
	t->held = rte_malloc("sl_held", nb_entries * sizeof(t->held[0]), RTE_CACHE_LINE_SIZE);
	if (t->held == NULL) {
		rte_free(t);
		return NULL;
	}
	t->mask = nb_entries - 1;
	t->nb_held_max = RTE_MIN(nb_entries * HELD_AVERAGE, nb_held_max);
	t->seed = (uint32_t)rte_rdtsc();
	return t;
}

void
sl_neighbours_destroy(struct sl_neighbours *t)
{
	for (uint32_t i = 0; t != NULL && i <= t->mask; i++)
		rte_pktmbuf_free_bulk(t->held[i], t->entries[i].nb_held);
	if (t != NULL)
		rte_free(t->held);
	rte_free(t);
}

static inline uint32_t
place_of(const struct sl_neighbours *t, uint16_t port, rte_be32_t address)
{
	return rte_jhash_2words(address, port, t->seed);
}

static inline bool
is_of(const struct entry *e, uint16_t port, rte_be32_t address)
{
	return e->state != FREE && e->address == address && e->port == port;
}

static inline struct entry *
find(struct sl_neighbours *t, uint16_t port, rte_be32_t address)
{
	struct entry *last = &t->entries[t->last];
	uint32_t at;

	if (likely(is_of(last, port, address)))
		return last;
	at = place_of(t, port, address);
	for (unsigned i = 0; i < WINDOW; i++) {
		struct entry *e = &t->entries[(at + i) & t->mask];

		if (is_of(e, port, address)) {
			t->last = (at + i) & t->mask;
			return e;
		}
	}
	return NULL;
}

static struct entry *
find_or_add(struct sl_neighbours *t, uint16_t port, rte_be32_t address)
{
	struct entry *found = find(t, port, address), *stalest = NULL;
	uint32_t at = place_of(t, port, address);

	if (found != NULL)
		return found;
	for (unsigned i = 0; i < WINDOW; i++) {
		struct entry *e = &t->entries[(at + i) & t->mask];

		if (e->state == ASKED)
			continue;
		if (e->state == FREE) {
			stalest = e;
			break;
		}
		if (stalest == NULL || e->learned_ns < stalest->learned_ns)
			stalest = e;
	}
	if (stalest == NULL)
		return NULL;
	*stalest = (struct entry){ .address = address, .port = port };
	return stalest;
}

const struct rte_ether_addr *
sl_neighbours_find(struct sl_neighbours *t, uint16_t port, rte_be32_t address)
{
	struct entry *e = find(t, port, address);

	if (e == NULL || e->state != KNOWN)
		return NULL;
	if (!e->is_used)
		e->is_used = 1;
	return &e->mac;
}

enum sl_neighbour_verdict
sl_neighbours_hold(
	struct sl_neighbours *t,
	uint16_t port,
	rte_be32_t address,
	uint64_t now_ns,
	struct rte_mbuf *m
)
{
	struct entry *e = find_or_add(t, port, address);

	if (e == NULL)
		return SL_NEIGHBOUR_TABLE_FULL;
	if (e->nb_held == SL_NEIGHBOUR_HELD || t->nb_held >= t->nb_held_max)
		return SL_NEIGHBOUR_QUEUE_FULL;
	t->held[e - t->entries][e->nb_held++] = m;
	t->nb_held++;
	if (e->state == ASKED)
		return SL_NEIGHBOUR_HELD_WAIT;
	e->state = ASKED;
	e->asked_ns = now_ns;
	e->tries = 1;
	return SL_NEIGHBOUR_HELD_ASK;
}

unsigned
sl_neighbours_learn(
	struct sl_neighbours *t,
	uint16_t port,
	rte_be32_t address,
	const struct rte_ether_addr *mac,
	uint64_t now_ns,
	enum sl_neighbour_news news,
	struct rte_mbuf *released[SL_NEIGHBOUR_HELD]
)
{
	struct entry *e = find(t, port, address);
	unsigned nb;

	if (e == NULL && news == SL_NEIGHBOUR_MAY_ADD)
		e = find_or_add(t, port, address);
	if (e == NULL)
		return 0;
	nb = e->nb_held;
	memcpy(released, t->held[e - t->entries], nb * sizeof(released[0]));
	t->nb_held -= nb;
	e->nb_held = 0;
	e->state = KNOWN;
	e->mac = *mac;
	e->tries = 0;
	e->is_used = 0;
	e->learned_ns = now_ns;
	return nb;
}

// Whether an entry is due to be asked for, or has been in vain.
enum due { NOTHING, ASK, GIVE_UP };

static enum due
due(const struct entry *e, uint64_t now_ns)
{
	uint64_t age_ns = now_ns - e->learned_ns;

	if (e->state == FREE)
		return NOTHING;
	if (e->state == KNOWN && e->tries == 0) {
		if (e->is_used && age_ns >= REFRESH_NS)
			return ASK;
		return age_ns >= FORGET_NS ? GIVE_UP : NOTHING;
	}
	if (now_ns - e->asked_ns < ASK_NS)
		return NOTHING;
	return e->tries < ASK_TRIES ? ASK : GIVE_UP;
}

bool
sl_neighbours_sweep(
	struct sl_neighbours *t, uint64_t now_ns, uint32_t *at, struct sl_neighbour_event *event
)
{
	for (; *at <= t->mask; (*at)++) {
		struct entry *e = &t->entries[*at];
		enum due what = due(e, now_ns);

		if (what == NOTHING)
			continue;
		*event = (struct sl_neighbour_event){ .port = e->port, .address = e->address };
		if (what == ASK) {
			e->asked_ns = now_ns;
			e->tries++;
			event->must_ask = 1;
		} else {
			event->nb_given_up = e->nb_held;
			memcpy(event->given_up,
			       t->held[e - t->entries],
			       e->nb_held * sizeof(event->given_up[0]));
			t->nb_held -= e->nb_held;
			*e = (struct entry){ .state = FREE };
		}
		(*at)++;
		return true;
	}
	*at = 0;
	return false;
}

uint64_t *
sl_neighbours_due_ns(struct sl_neighbours *t)
{
	return &t->due_ns;
}
