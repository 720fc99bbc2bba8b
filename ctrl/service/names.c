// names: assigned addresses. Exact names get theirs when the configuration loads, wildcard names at
// their first granted query, which waits here until the lease is on disk.
#include "internal.h"

#include <errno.h>
#include <sluice/dns/answer.h>
#include <sluice/dp/reply.h>
#include <stdlib.h>

#define CLAIMS_PER_TURN 256u // exact names claimed a turn: handshakes go on meanwhile
#define BINDS_EXACT_MAX                                                                            \
	256u // of exact names under way: new names of clients do not queue behind them
#define BINDS_MAX 1024u // of all: what waits longer is better asked for again
#define BINDS_CLIENT_MAX                                                                           \
	64u // of names that one client asked for first: others do not wait behind it
#define WALK_NS           (20 * SL_NS_PER_MS) // until exact names under way are looked at again
#define WALK_FAILED_NS    SL_NS_PER_S // when the disk failed
#define WALK_SHORT_NS     (10 * SL_NS_PER_S) // when no address is left
#define COMPILE_PER_TURN  1024u
#define RECLAIM_PER_TURN  256u
#define COMPLETIONS_BURST 64u

// Cookies: tenant index + 1 and name id; RETIRE says that it is about the end of a lease.
#define RETIRE (1ull << 63)

static uint64_t
cookie_of(unsigned tenant, uint32_t name_id)
{
	return ((uint64_t)(tenant + 1) << 32) | name_id;
}

// What an address table asks of the store: the arguments it cannot carry.
struct lease_context {
	struct sl_service *service;
	unsigned tenant;
};

// How many leases of names that a client asked for first are asked of the store; NULL: not counted.
static uint16_t *
binding_of(struct sl_service *s, uint32_t client)
{
	return client < s->nb_clients ? &s->nb_binding_of[client] : NULL;
}

static bool
lease_bind(void *store, uint32_t name_id, const char *name, uint32_t address)
{
	struct lease_context *c = store;
	struct sl_service *s = c->service;
	struct sl_name_info info;
	bool is_wildcard = sl_addresses_info(s->tenants[c->tenant].addresses, name_id, &info) &&
		info.is_wildcard;

	uint16_t *of_client = is_wildcard ? binding_of(s, info.client) : NULL;

	// The store walks the same kind of keyed probe sequence and has the last word.
	(void)address;
	if (s->nb_binding >= BINDS_MAX || (of_client != NULL && *of_client >= BINDS_CLIENT_MAX) ||
	    sl_lease_acquire(
		    s->store,
		    cookie_of(c->tenant, name_id),
		    s->config->tenants[c->tenant].id,
		    name,
		    is_wildcard && strlen(s->claimer) < SL_STORE_OWNER_BYTES ? s->claimer : "",
		    is_wildcard ? SL_LEASE_WILDCARD : 0
	    ) != 0)
		return false;
	s->nb_binding++;
	if (of_client != NULL)
		++*of_client;
	return true;
}

static bool
lease_retire(void *store, uint32_t name_id, const char *name, uint32_t address, bool is_released)
{
	struct lease_context *c = store;
	uint16_t tenant = c->service->config->tenants[c->tenant].id;
	uint64_t rest_ns = (uint64_t)c->service->config->dns.quarantine_s * SL_NS_PER_S;

	(void)name;
	// A release that fails on the disk is made up for by the store itself, which ends rests.
	if (is_released)
		return sl_lease_reclaim(c->service->store, COOKIE_RETIRE, tenant, address) == 0;
	return sl_lease_rest(
		       c->service->store,
		       RETIRE | cookie_of(c->tenant, name_id),
		       tenant,
		       address,
		       rest_ns
	       ) == 0;
}

static const struct sl_lease_ops lease_ops = { .bind = lease_bind, .retire = lease_retire };

struct restore {
	struct sl_service *service;
	unsigned nb_lost;
};

static void
restore_lease(void *arg, const struct sl_lease *lease)
{
	struct restore *r = arg;
	struct sl_service *s = r->service;
	uint64_t wall_ns = sl_store_wall_ns(s->store);
	uint64_t rest_ns = (uint64_t)s->config->dns.quarantine_s * SL_NS_PER_S;
	uint64_t retired_ns = lease->until_ns > rest_ns ? lease->until_ns - rest_ns : 0;
	uint32_t age_s = wall_ns > retired_ns ? (uint32_t)((wall_ns - retired_ns) / SL_NS_PER_S)
					      : 0;

	for (unsigned t = 0; t < s->nb_tenants; t++) {
		if (s->config->tenants[t].id != lease->tenant)
			continue;
		if (sl_addresses_restore(
			    s->tenants[t].addresses,
			    lease->name,
			    lease->address,
			    lease->state == SL_LEASE_RESTING,
			    age_s,
			    now_s(s)
		    ) != 0)
			r->nb_lost++;
	}
}

static int
create_table(struct sl_service *s, unsigned t)
{
	const struct sl_config_tenant *tenant = &s->config->tenants[t];
	struct lease_context *context = calloc(1, sizeof(*context));
	uint8_t secret[SL_SECRET_BYTES];
	struct sl_addresses_config config = {
		.pool = s->config->dns.pool.address,
		.pool_bits = s->config->dns.pool.length,
		.names_max = s->config->limits.names,
		.client_names_max = tenant->limits.client_names != 0
			? tenant->limits.client_names
			: s->config->limits.names / 4 + 1,
		.quarantine_s = s->config->dns.quarantine_s,
		.drain_s = 30,
		.idle_s = 60,
		.name_key = s->name_key,
		.lease = &lease_ops,
		.store = context,
	};

	if (context == NULL)
		return -ENOMEM;
	*context = (struct lease_context){ s, t };
	if (sl_store_tenant_secret(s->store, tenant->id, secret) != 0)
		return -EIO;
	memcpy(config.probe_key, secret, sizeof(config.probe_key));
	sl_wipe(secret, sizeof(secret));
	s->tenants[t].addresses = sl_addresses_create(&config);
	return s->tenants[t].addresses == NULL ? -ENOMEM : 0;
}

int
names_create(struct sl_service *s)
{
	struct restore restore = { .service = s };
	int ret;

	s->claimer = "";
	s->nb_tenants = s->config->nb_tenants;
	s->tenants = calloc(s->nb_tenants + 1, sizeof(*s->tenants));
	if (s->tenants == NULL)
		return -ENOMEM;
	for (unsigned t = 0; t < s->nb_tenants; t++) {
		ret = create_table(s, t);
		if (ret != 0)
			return ret;
	}
	if (sl_lease_load(s->store, restore_lease, &restore) < 0)
		return -EIO;
	if (restore.nb_lost != 0)
		sl_log(SL_LOG_WARNING,
		       "leases-lost",
		       "%u leases of the state directory do not fit this configuration (another "
		       "pool, "
		       "or fewer names): their names get new addresses",
		       restore.nb_lost);
	return 0;
}

void
names_free(struct sl_service *s)
{
	for (unsigned t = 0; s->tenants != NULL && t < s->nb_tenants; t++)
		sl_addresses_free(s->tenants[t].addresses);
	free(s->tenants);
	free(s->nb_binding_of);
}

void
names_clients(struct sl_service *s, uint32_t nb_clients)
{
	uint16_t *grown;

	if (nb_clients <= s->nb_clients)
		return;
	grown = realloc(s->nb_binding_of, nb_clients * sizeof(*grown));
	if (grown == NULL)
		return; // those beyond are not counted
	memset(grown + s->nb_clients, 0, (nb_clients - s->nb_clients) * sizeof(*grown));
	s->nb_binding_of = grown;
	s->nb_clients = nb_clients;
}

struct sl_cookie_for
cookie_for(const struct sl_service *s, const struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);

	return (struct sl_cookie_for
	){ .key = &s->name_key, .address = rte_be_to_cpu_32(ip->src_addr), .now_s = now_s(s) };
}

void
names_fail(struct sl_service *s, struct rte_mbuf *m, int why)
{
	const struct sl_cookie_for who = cookie_for(s, m);
	struct sl_meta *meta = sl_meta(m);
	uint8_t *message;
	uint16_t nb_bytes = sl_udp_payload(m, meta->l4_offset, &message);
	size_t nb_answer;

	nb_answer = sl_answer_failure(
		(enum sl_answer_failure)why,
		&who,
		message,
		nb_bytes,
		nb_bytes + rte_pktmbuf_tailroom(m)
	);
	if (nb_bytes == 0 || nb_answer == 0) {
		rte_pktmbuf_free(m);
		return;
	}
	sl_udp_reply(m, meta->l4_offset, (uint16_t)nb_answer);
	to_worker(s, meta->worker, SL_STAGE_TO_CLIENT, m);
}

// The claim is settled: the query goes back to its worker, which now finds the name, or fails.
static void
settle(struct sl_service *s, struct rte_mbuf *m, enum sl_claim_verdict verdict)
{
	switch (verdict) {
	case SL_CLAIM_LIVE:
	case SL_CLAIM_NOT_A_RESOURCE: // the policy changed meanwhile: the worker decides anew
		to_worker(s, sl_meta(m)->worker, SL_STAGE_CLIENT, m);
		return;
	case SL_CLAIM_FULL:
	case SL_CLAIM_CLIENT_QUOTA:
	case SL_CLAIM_RESOURCE_QUOTA:
		names_fail(s, m, SL_ANSWER_EXHAUSTED);
		return;
	case SL_CLAIM_BUSY:
	case SL_CLAIM_PENDING:
	default:
		names_fail(s, m, SL_ANSWER_NOT_READY);
	}
}

void
names_query(struct sl_service *s, struct rte_mbuf *m)
{
	const struct sl_meta *meta = sl_meta(m);
	const struct sl_client *client = &s->snapshot->clients[meta->client];
	struct sl_claim claim = { .policy = s->snapshot->tenants[client->tenant].policy,
				  .client_groups = client->groups,
				  .client = meta->client,
				  .now_s = now_s(s) };
	enum sl_claim_verdict verdict;
	struct sl_query query;
	uint32_t name_id;
	uint8_t *message;
	uint16_t nb_bytes = sl_udp_payload(m, meta->l4_offset, &message);

	if (nb_bytes == 0 || sl_query_parse(&query, message, nb_bytes) != SL_QUERY_OK) {
		rte_pktmbuf_free(m);
		return;
	}
	s->claimer = client->name;
	verdict = sl_addresses_claim(
		s->tenants[client->tenant].addresses, &claim, &query.name, &name_id
	);
	s->claimer = "";
	if (verdict == SL_CLAIM_PENDING)
		hold_put(s, HOLD_NAME, cookie_of(client->tenant, name_id), m);
	else
		settle(s, m, verdict);
}

// What became of a claim, until the queries that wait for it are told.
struct settled {
	uint64_t cookie;
	enum sl_claim_verdict verdict;
};

static enum sl_lease_result
result_of(uint8_t status)
{
	switch ((enum sl_store_status)status) {
	case SL_STORE_OK:
		return SL_LEASE_BOUND;
	case SL_STORE_EXHAUSTED:
		return SL_LEASE_EXHAUSTED;
	case SL_STORE_NOT_FOUND:
	case SL_STORE_EXISTS:
	case SL_STORE_FAILED:
	default:
		return SL_LEASE_FAILED;
	}
}

// True when queries may wait for what was settled.
static bool
complete(struct sl_service *s, const struct sl_store_done *done, struct settled *settled)
{
	unsigned t = (unsigned)((done->cookie & ~RETIRE) >> 32) - 1;
	struct sl_name_info info;
	struct tenant *tenant;
	uint16_t *of_client;

	if (done->cookie == COOKIE_FLOOR)
		peers_floor_done(s, done->status == SL_STORE_OK);
	if (t >= s->nb_tenants)
		return false;
	tenant = &s->tenants[t];
	if ((done->cookie & RETIRE) != 0) {
		if (done->status == SL_STORE_FAILED)
			sl_addresses_retire_failed(
				tenant->addresses, (uint32_t)done->cookie, now_s(s)
			);
		return false;
	}
	s->nb_binding--;
	if (sl_addresses_info(tenant->addresses, (uint32_t)done->cookie, &info) &&
	    info.is_wildcard && (of_client = binding_of(s, info.client)) != NULL && *of_client != 0)
		--*of_client;
	*settled = (struct settled){ .cookie = done->cookie };
	settled->verdict = sl_addresses_bound(
		tenant->addresses,
		(uint32_t)done->cookie,
		result_of(done->status),
		done->address,
		now_s(s)
	);
	return settled->verdict != SL_CLAIM_PENDING;
}

// One pass over what waits, for all that came from the store together.
static void
tell_waiting(struct sl_service *s, const struct settled *settled, unsigned nb)
{
	if (nb == 0 || s->holds.nb_used == 0)
		return;
	for (uint32_t i = 0; i < NB_HOLDS; i++) {
		const struct hold *h = &s->holds.slots[i];
		unsigned k = 0;

		if (h->kind != HOLD_NAME)
			continue;
		while (k < nb && settled[k].cookie != h->key)
			k++;
		if (k < nb)
			settle(s, hold_take(s, h->ticket, HOLD_NAME), settled[k].verdict);
	}
}

unsigned
names_completions(struct sl_service *s)
{
	struct sl_store_done done[COMPLETIONS_BURST];
	struct settled settled[COMPLETIONS_BURST];
	unsigned nb = sl_store_take(s->store, done, COMPLETIONS_BURST), nb_settled = 0;

	for (unsigned i = 0; i < nb; i++)
		nb_settled += complete(s, &done[i], &settled[nb_settled]);
	tell_waiting(s, settled, nb_settled);
	return nb;
}

void
names_config(struct sl_service *s, unsigned t)
{
	struct tenant *tenant = &s->tenants[t];

	tenant->nb_claimed = tenant->nb_missing = tenant->nb_walks = 0;
	tenant->is_short = tenant->is_claimed = tenant->is_compiled = false;
	tenant->next_walk_ns = 0;
}

uint64_t
names_wake_ns(const struct sl_service *s)
{
	uint64_t wake_ns = UINT64_MAX;

	// What is under way ends with a completion, which wakes.
	for (unsigned t = 0; s->nb_binding < BINDS_EXACT_MAX && t < s->nb_tenants; t++)
		if (s->snapshot != NULL && !s->tenants[t].is_claimed)
			wake_ns = RTE_MIN(wake_ns, s->tenants[t].next_walk_ns);
	return wake_ns;
}

// The walk over the exact names is at its end: all have their addresses, or another walk follows.
static void
end_walk(struct sl_service *s, struct tenant *tenant)
{
	uint64_t pause_ns = tenant->is_short ? WALK_SHORT_NS : WALK_NS;

	tenant->is_claimed = tenant->nb_missing == 0;
	// Names that the last walk asked for and that still have none: the disk failed.
	if (!tenant->is_short && tenant->nb_walks++ > 2)
		pause_ns = WALK_FAILED_NS;
	tenant->nb_claimed = tenant->nb_missing = 0;
	tenant->is_short = false;
	tenant->next_walk_ns = s->now_ns + pause_ns;
}

// Have the exact names of the policy claimed, a piece a call, until each has its address on disk.
static unsigned
claim_exact(struct sl_service *s, unsigned t, const struct sl_policy *policy)
{
	struct tenant *tenant = &s->tenants[t];
	unsigned nb = sl_policy_nb_exact(policy), nb_done = 0;
	struct sl_claim claim = { .policy = policy,
				  .client_groups = UINT64_MAX,
				  .client = UINT32_MAX,
				  .now_s = now_s(s) };
	struct sl_name name;
	uint32_t name_id;

	if (tenant->is_claimed || s->now_ns < tenant->next_walk_ns)
		return 0;
	for (; tenant->nb_claimed < nb && nb_done < CLAIMS_PER_TURN; nb_done++) {
		enum sl_claim_verdict verdict;

		if (s->nb_binding >= BINDS_EXACT_MAX)
			return nb_done;
		sl_policy_exact(policy, tenant->nb_claimed++, &name);
		verdict = sl_addresses_claim(tenant->addresses, &claim, &name, &name_id);
		tenant->nb_missing += verdict != SL_CLAIM_LIVE &&
			verdict != SL_CLAIM_NOT_A_RESOURCE;
		tenant->is_short |= verdict == SL_CLAIM_FULL;
	}
	if (tenant->nb_claimed == nb)
		end_walk(s, tenant);
	return nb_done;
}

unsigned
names_work(struct sl_service *s)
{
	unsigned nb_done = 0;

	for (unsigned t = 0; t < s->nb_tenants; t++) {
		const struct sl_policy *policy = s->snapshot->tenants[t].policy;

		nb_done += claim_exact(s, t, policy);
		if (!s->tenants[t].is_compiled)
			s->tenants[t].is_compiled = sl_addresses_compile(
				s->tenants[t].addresses, policy, COMPILE_PER_TURN, now_s(s)
			);
		if (s->now_ns >= s->next_second_ns)
			sl_addresses_poll(s->tenants[t].addresses, RECLAIM_PER_TURN, now_s(s));
	}
	return nb_done;
}
