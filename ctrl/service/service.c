#include "keys.h"

#include <rte_udp.h>

#include <errno.h>
#include <sluice/dns/answer.h>
#include <stdlib.h>
#include <sys/random.h>

#define PUNTS_PER_TURN 256u

uint64_t
service_random(void *context)
{
	uint64_t bits;

	(void)context;
	// Without entropy no query may leave: an ID that can be guessed is worse than none.
	if (getrandom(&bits, sizeof(bits), 0) != sizeof(bits))
		abort();
	return bits;
}

// ---- Holds ------------------------------------------------------------------------------------------

uint32_t
hold_put(struct sl_service *s, enum hold_kind kind, uint64_t key, struct rte_mbuf *m)
{
	uint32_t ticket = holds_put(&s->holds, kind, key, m, s->now_ns + HOLD_NS);

	if (ticket == HOLD_NONE) {
		s->stats.nb_held_full++;
		rte_pktmbuf_free(m);
	}
	s->stats.nb_held = s->holds.nb_used;
	return ticket;
}

struct rte_mbuf *
hold_take(struct sl_service *s, uint32_t ticket, enum hold_kind kind)
{
	const struct hold *h = holds_find(&s->holds, ticket, kind);
	struct rte_mbuf *m;

	if (h == NULL)
		return NULL;
	m = h->mbuf;
	// Kinds of holds are the first kinds of waits.
	sl_histogram_add(&s->stats.waits[kind - HOLD_NAME], s->now_ns + HOLD_NS - h->until_ns, 1);
	holds_end(&s->holds, ticket);
	s->stats.nb_held = s->holds.nb_used;
	return m;
}

// What has waited too long hears of it.
static void
holds_expire(struct sl_service *s)
{
	for (uint32_t i = 0; s->holds.nb_used != 0 && i < NB_HOLDS; i++) {
		enum hold_kind kind = s->holds.slots[i].kind;
		struct rte_mbuf *m;

		if (kind == HOLD_FREE || s->holds.slots[i].until_ns > s->now_ns)
			continue;
		m = hold_take(s, s->holds.slots[i].ticket, kind);
		switch (kind) {
		case HOLD_NAME:
			names_fail(s, m, SL_ANSWER_NOT_READY);
			break;
		case HOLD_ASK:
			names_fail(s, m, SL_ANSWER_RESOLVER_SILENT);
			break;
		case HOLD_OPEN:
			sl_meta(m)->resolved = 0;
			sl_meta(m)->reason = SL_CLOSE_RESOLVER;
			to_worker(s, sl_meta(m)->worker, SL_STAGE_RESOLVED, m);
			break;
		case HOLD_RESOLVE:
		case HOLD_KEY:
		case HOLD_FREE:
		default:
			rte_pktmbuf_free(m);
		}
	}
}

void
to_worker(struct sl_service *s, unsigned worker, uint8_t stage, struct rte_mbuf *m)
{
	sl_meta(m)->stage = stage;
	if (sl_dp_send_mbuf(s->dp, worker % sl_dp_nb_workers(s->dp), m) != 0)
		rte_pktmbuf_free(m);
}

// ---- A turn -------------------------------------------------------------------------------------------

static void
handshake(struct sl_service *s, struct rte_mbuf *m)
{
	const struct rte_udp_hdr *udp = rte_pktmbuf_mtod_offset(
		m, const struct rte_udp_hdr *, sl_meta(m)->l4_offset
	);

	if (s->clients != NULL &&
	    udp->dst_port == rte_cpu_to_be_16(sl_dp_net(s->dp)->wireguard_port))
		clients_handshake(s, m);
	else
		peers_handshake(s, m);
}

static void
dispatch(struct sl_service *s, struct rte_mbuf *m)
{
	s->stats.nb_punts++;
	switch ((enum sl_punt)sl_meta(m)->punt) {
	case SL_PUNT_HANDSHAKE:
		handshake(s, m);
		return;
	case SL_PUNT_UNKNOWN_INDEX:
		clients_unknown(s, m);
		return;
	case SL_PUNT_NO_KEY:
		clients_keyless(s, m);
		return;
	case SL_PUNT_DNS_NAME:
		names_query(s, m);
		return;
	case SL_PUNT_DNS_FORWARD:
		forwarding_query(s, m);
		return;
	case SL_PUNT_DNS_RESOLVE:
		asking_query(s, m);
		return;
	case SL_PUNT_OPEN:
		resolving_open(s, m);
		return;
	case SL_PUNT_ANSWER:
		query_answer(s, m);
		return;
	case SL_PUNT_REFUSED:
		query_refused(s, m);
		return;
	case SL_PUNT_RECORD:
		resolving_record(s, m);
		return;
	case SL_PUNT_NONE:
	default:
		rte_pktmbuf_free(m);
	}
}

unsigned
sl_service_turn(struct sl_service *s)
{
	struct rte_mbuf *punts[PUNTS_PER_TURN];
	unsigned nb = sl_dp_poll_punts(s->dp, punts, PUNTS_PER_TURN), nb_done = nb;

	s->now_ns = sl_clock_ns(s->clock);
	s->is_busy = nb == PUNTS_PER_TURN;
	for (unsigned i = 0; i < nb; i++)
		dispatch(s, punts[i]);
	nb_done += names_completions(s);
	nb_done += peers_work(s);
	nb_done += clients_work(s);
	keys_free_retired(s);
	nb_done += streaming_work(s);
	nb_done += names_work(s);
	nb_done += forwarding_work(s);
	nb_done += resolving_work(s);
	if (s->now_ns >= s->next_second_ns) {
		s->next_second_ns = s->now_ns + SL_NS_PER_S / 4;
		holds_expire(s);
	}
	return nb_done;
}

uint64_t
sl_service_wake_ns(const struct sl_service *s)
{
	uint64_t wake_ns = RTE_MIN(s->next_second_ns, peers_wake_ns(s));

	wake_ns = RTE_MIN(wake_ns, clients_wake_ns(s));
	wake_ns = RTE_MIN(wake_ns, names_wake_ns(s));
	for (unsigned t = 0; t < s->nb_tenants; t++)
		if (s->tenants[t].forward != NULL)
			wake_ns = RTE_MIN(wake_ns, sl_forward_wake_ns(s->tenants[t].forward));
	if (s->resolver != NULL)
		wake_ns = RTE_MIN(wake_ns, sl_resolver_wake_ns(s->resolver));
	return wake_ns;
}

// ---- Life -----------------------------------------------------------------------------------------------

static bool
is_made(const char *what, int error)
{
	if (error != 0)
		sl_log(SL_LOG_ERROR, "start-failed", "%s: %s", what, strerror(-error));
	return error == 0;
}

struct sl_service *
sl_service_create(const struct sl_service_conf *conf)
{
	struct sl_service *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->dp = conf->dp;
	s->clock = conf->clock;
	s->config = conf->config;
	s->store = conf->store;
	s->streams = conf->streams;
	s->sessions = conf->sessions;
	s->name_key = *conf->name_key;
	s->now_ns = sl_clock_ns(s->clock);
	// Packets that wait are at most a quarter of the buffers, so that the rest goes on.
	holds_init(&s->holds, RTE_MIN(NB_HOLDS, sl_dp_pool(s->dp)->size / 4));
	if (!is_made("names and leases", names_create(s)) ||
	    !is_made("upstream servers", forwarding_create(s)) ||
	    !is_made("private name servers", resolving_create(s)) ||
	    !is_made("keys", keys_create(s)) || !is_made("peers", peers_create(s, conf)) ||
	    !is_made("clients", clients_create(s, conf))) {
		sl_service_free(s);
		return NULL;
	}
	return s;
}

void
sl_service_free(struct sl_service *s)
{
	if (s == NULL)
		return;
	for (uint32_t i = 0; i < NB_HOLDS; i++)
		rte_pktmbuf_free(s->holds.slots[i].mbuf);
	clients_free(s);
	peers_free(s);
	keys_free(s);
	gather_free(s);
	resolving_free(s);
	forwarding_free(s);
	names_free(s);
	free(s);
}

void
sl_service_config(
	struct sl_service *s,
	const struct sl_config *config,
	const struct sl_snapshot *snapshot,
	const struct sl_service_peer *peers,
	unsigned nb_peers
)
{
	if (s->config != config) {
		const struct sl_config *before = s->config;

		s->config = config;
		forwarding_config(s, before);
		resolving_config(s, before);
	}
	s->snapshot = snapshot;
	names_clients(s, snapshot->nb_clients);
	for (unsigned t = 0; t < s->nb_tenants; t++)
		names_config(s, t);
	peers_config(s, peers, nb_peers);
	clients_config(s, peers, nb_peers);
}

struct sl_addresses *
sl_service_addresses(struct sl_service *s, unsigned tenant_idx)
{
	return tenant_idx < s->nb_tenants ? s->tenants[tenant_idx].addresses : NULL;
}

bool
sl_service_names_ready(const struct sl_service *s)
{
	for (unsigned t = 0; t < s->nb_tenants; t++)
		if (!s->tenants[t].is_claimed)
			return false;
	return true;
}

const struct sl_service_stats *
sl_service_stats(const struct sl_service *s)
{
	return &s->stats;
}

const struct sl_resolver *
sl_service_resolver(const struct sl_service *s)
{
	return s->resolver;
}

const struct sl_forward *
sl_service_forward(const struct sl_service *s, unsigned tenant_idx)
{
	return tenant_idx < s->nb_tenants ? s->tenants[tenant_idx].forward : NULL;
}
