// names: assigned addresses. Exact names get theirs when the configuration loads, wildcard names at
// their first granted query, which waits here until the lease is on disk.
#include "internal.h"

#include <errno.h>
#include <sluice/dns/answer.h>
#include <sluice/dp/reply.h>
#include <stdlib.h>

#define CLAIMS_PER_TURN   256u // exact names claimed a turn: handshakes go on meanwhile
#define COMPILE_PER_TURN  1024u
#define RECLAIM_PER_TURN  256u
#define COMPLETIONS_BURST 64u

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

static bool
lease_bind(void *store, uint32_t name_id, const char *name, uint32_t address)
{
	struct lease_context *c = store;

	// The store walks the same kind of keyed probe sequence and has the last word.
	(void)address;
	return sl_lease_acquire(
		       c->service->store,
		       cookie_of(c->tenant, name_id),
		       c->service->config->tenants[c->tenant].id,
		       name,
		       "",
		       0
	       ) == 0;
}

static bool
lease_retire(void *store, uint32_t name_id, const char *name, uint32_t address, bool is_released)
{
	struct lease_context *c = store;
	uint16_t tenant = c->service->config->tenants[c->tenant].id;
	uint64_t rest_ns = (uint64_t)c->service->config->dns.quarantine_s * SL_NS_PER_S;

	(void)name_id;
	(void)name;
	if (is_released)
		return sl_lease_reclaim(c->service->store, COOKIE_RETIRE, tenant, address) == 0;
	return sl_lease_rest(c->service->store, COOKIE_RETIRE, tenant, address, rest_ns) == 0;
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
		.client_names_max = tenant->limits.client_names,
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
}

void
names_fail(struct sl_service *s, struct rte_mbuf *m, int why)
{
	struct sl_meta *meta = sl_meta(m);
	uint8_t *message;
	uint16_t nb_bytes = sl_udp_payload(m, meta->l4_offset, &message);
	size_t nb_answer;

	nb_answer = sl_answer_failure(
		(enum sl_answer_failure)why, message, nb_bytes, nb_bytes + rte_pktmbuf_tailroom(m)
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
	verdict = sl_addresses_claim(
		s->tenants[client->tenant].addresses, &claim, &query.name, &name_id
	);
	if (verdict == SL_CLAIM_PENDING)
		hold_put(s, HOLD_NAME, cookie_of(client->tenant, name_id), m);
	else
		settle(s, m, verdict);
}

static void
complete(struct sl_service *s, const struct sl_store_done *done)
{
	unsigned t = (unsigned)(done->cookie >> 32) - 1;
	enum sl_lease_result result = done->status == SL_STORE_OK ? SL_LEASE_BOUND
								  : SL_LEASE_FAILED;
	enum sl_claim_verdict verdict;

	if (done->cookie == COOKIE_FLOOR)
		peers_floor_done(s, done->status == SL_STORE_OK);
	if (t >= s->nb_tenants)
		return;
	verdict = sl_addresses_bound(
		s->tenants[t].addresses, (uint32_t)done->cookie, result, done->address, now_s(s)
	);
	if (done->status == SL_STORE_EXHAUSTED)
		verdict = SL_CLAIM_FULL;
	if (verdict == SL_CLAIM_PENDING)
		return;
	for (uint32_t i = 0; i < NB_HOLDS; i++)
		if (s->holds.slots[i].kind == HOLD_NAME && s->holds.slots[i].key == done->cookie)
			settle(s, hold_take(s, i, HOLD_NAME), verdict);
}

unsigned
names_completions(struct sl_service *s)
{
	struct sl_store_done done[COMPLETIONS_BURST];
	unsigned nb = sl_store_take(s->store, done, COMPLETIONS_BURST);

	for (unsigned i = 0; i < nb; i++)
		complete(s, &done[i]);
	return nb;
}

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

	for (; tenant->nb_claimed < nb && nb_done < CLAIMS_PER_TURN; nb_done++) {
		enum sl_claim_verdict verdict;

		sl_policy_exact(policy, tenant->nb_claimed, &name);
		verdict = sl_addresses_claim(tenant->addresses, &claim, &name, &name_id);
		if (verdict == SL_CLAIM_BUSY)
			break;
		tenant->nb_claimed++;
	}
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
