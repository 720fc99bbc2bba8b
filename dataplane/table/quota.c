#include <errno.h>
#include <netinet/in.h>
#include <sluice/dp/dp.h>
#include <sluice/dp/flow_table.h>
#include <sluice/dp/quota.h>
#include <sluice/proto/limits.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_BITS      20 // of a token's fraction
#define HALF_OPEN_SHARE 8u
#define HALF_OPEN_MIN   64u
// Of those who are no clients of this node, together.
#define OTHERS_REFUSALS_PER_S 10000u
#define OTHERS_REFUSALS_BURST 2000u
#define OTHERS_ERRORS_PER_S   1000u
#define OTHERS_ERRORS_BURST   200u

const char *
sl_quota_text(enum sl_quota_verdict verdict)
{
	static const char *const texts[SL_QUOTA_VERDICTS] = {
		[SL_QUOTA_FREE] = "none",
		[SL_QUOTA_CLIENT_FLOWS] = "client_flows",
		[SL_QUOTA_CLIENT_HALF_OPEN] = "client_half_open",
		[SL_QUOTA_CLIENT_NEW_FLOWS] = "client_new_flows_per_s",
		[SL_QUOTA_CLIENT_DNS] = "client_dns_per_s",
		[SL_QUOTA_CLIENT_NEW_NAMES] = "client_new_names_per_s",
		[SL_QUOTA_TENANT_FLOWS] = "flows",
		[SL_QUOTA_TENANT_NEW_FLOWS] = "new_flows_per_s",
		[SL_QUOTA_TENANT_DNS] = "dns_per_s",
	};

	return (unsigned)verdict < SL_QUOTA_VERDICTS ? texts[verdict] : "?";
}

// ---- Rows -------------------------------------------------------------------------------------

static int
reserve(struct sl_quota_row **pages, uint32_t nb_pages, uint32_t nb_rows)
{
	uint32_t nb = (nb_rows + SL_QUOTA_PAGE_ROWS - 1) / SL_QUOTA_PAGE_ROWS;
	const size_t nb_bytes = SL_QUOTA_PAGE_ROWS * sizeof(struct sl_quota_row);

	if (nb > nb_pages)
		return -ENOMEM;
	for (uint32_t i = 0; i < nb; i++) {
		if (pages[i] != NULL)
			continue;
		pages[i] = aligned_alloc(RTE_CACHE_LINE_SIZE, nb_bytes);
		if (pages[i] == NULL)
			return -ENOMEM;
		memset(pages[i], 0, nb_bytes);
	}
	return 0;
}

int
sl_quota_grow(struct sl_quota *quota, uint32_t nb_clients, uint32_t nb_tenants)
{
	int ret = reserve(quota->clients, RTE_DIM(quota->clients), nb_clients);

	return ret == 0 ? reserve(quota->tenants, RTE_DIM(quota->tenants), nb_tenants) : ret;
}

int
sl_quota_reserve(struct sl_dp *dp, uint32_t nb_clients, uint32_t nb_tenants)
{
	int ret = 0;

	for (unsigned k = 0; ret == 0 && k < sl_dp_nb_workers(dp); k++)
		ret = sl_quota_grow(sl_dp_worker(dp, k)->quota, nb_clients, nb_tenants);
	return ret;
}

void
sl_quota_free(struct sl_quota *quota)
{
	if (quota == NULL)
		return;
	for (uint32_t i = 0; i < RTE_DIM(quota->clients); i++)
		free(quota->clients[i]);
	for (uint32_t i = 0; i < RTE_DIM(quota->tenants); i++)
		free(quota->tenants[i]);
	free(quota);
}

// A counter that only this worker writes: no locked instruction.
static inline void
add32(atomic_uint *counter, uint32_t nb)
{
	atomic_store_explicit(
		counter,
		atomic_load_explicit(counter, memory_order_relaxed) + nb,
		memory_order_relaxed
	);
}

static inline void
add64(_Atomic uint64_t *counter, uint64_t nb)
{
	atomic_store_explicit(
		counter,
		atomic_load_explicit(counter, memory_order_relaxed) + nb,
		memory_order_relaxed
	);
}

// Whose row is meant, and whether other workers have one that counts too.
struct subject {
	uint32_t id;
	bool is_tenant;
	bool is_shared;
	struct sl_quota_row *own;
};

static struct sl_quota_row *
row_at(const struct sl_worker *w, const struct subject *s)
{
	return s->is_tenant ? sl_quota_tenant(w, s->id) : sl_quota_client(w, s->id);
}

enum sum { FLOWS, HALF_OPEN };

static uint32_t
sum_of(const struct sl_worker *w, const struct subject *s, enum sum which)
{
	uint32_t sum = 0;

	for (unsigned k = 0; k < w->nb_workers; k++) {
		const struct sl_quota_row *r = s->is_shared ? row_at(w->peers[k], s) : s->own;

		if (r != NULL)
			sum += atomic_load_explicit(
				which == FLOWS ? &r->nb_flows : &r->nb_half_open,
				memory_order_relaxed
			);
		if (!s->is_shared)
			break;
	}
	return sum;
}

// ---- Rates ------------------------------------------------------------------------------------

static uint64_t
taken_by_others(const struct sl_worker *w, const struct subject *s, enum sl_quota_rate which)
{
	uint64_t sum = 0;

	for (unsigned k = 0; s->is_shared && k < w->nb_workers; k++) {
		const struct sl_quota_row *r = k == w->idx ? NULL : row_at(w->peers[k], s);

		if (r != NULL)
			sum += atomic_load_explicit(&r->meters[which].taken, memory_order_relaxed);
	}
	return sum;
}

// Bring this worker's view of the bucket up to the present. What the others took is charged before
// the level is capped: in a time in which as much was taken as came in, it stands still.
static void
look(struct sl_quota_meter *m, uint32_t rate, uint64_t others, uint64_t now_ns)
{
	const __int128_t full = (__int128_t)rate << TOKEN_BITS;
	uint64_t past_ns = now_ns > m->looked_ns ? now_ns - m->looked_ns : 0;
	__int128_t spent = (__int128_t)(others - m->seen) << TOKEN_BITS;
	__int128_t level = m->tokens + ((__int128_t)past_ns * full) / SL_NS_PER_S;

	if (m->looked_ns == 0)
		level = full;
	else if (level > 0)
		level = level > spent ? level - spent : 0;
	m->tokens = (int64_t)RTE_MIN(level, full);
	m->seen = others;
	m->looked_ns = now_ns != 0 ? now_ns : 1;
}

// Is there a token? It is not taken yet: another limit may still refuse.
static bool
has_token(
	const struct sl_worker *w, const struct subject *s, enum sl_quota_rate which, uint32_t rate
)
{
	struct sl_quota_meter *m = &s->own->meters[which];

	if (rate == 0)
		return true;
	look(m, rate, taken_by_others(w, s, which), w->now_ns);
	return m->tokens >= 1 << TOKEN_BITS;
}

static void
take_token(const struct subject *s, enum sl_quota_rate which, uint32_t rate)
{
	struct sl_quota_meter *m = &s->own->meters[which];

	add64(&m->taken, 1);
	if (rate != 0)
		m->tokens -= 1u << TOKEN_BITS;
}

// ---- Decisions --------------------------------------------------------------------------------

static enum sl_quota_verdict
refuse(const struct subject *s, enum sl_quota_verdict verdict)
{
	add64(&s->own->refused[verdict], 1);
	return verdict;
}

struct parties {
	struct subject client, tenant;
	const struct sl_limits *of_client, *of_tenant;
};

// False: no rows, which no published snapshot leaves a client without.
static bool
find_parties(const struct sl_worker *w, uint32_t client, struct parties *p)
{
	const struct sl_client *c = &w->snapshot->clients[client];
	const struct sl_tenant *t = &w->snapshot->tenants[c->tenant];
	bool is_shared = w->nb_workers > 1;

	p->client = (struct subject){ .id = client,
				      .is_shared = is_shared && c->prefix_bits != 32,
				      .own = sl_quota_client(w, client) };
	p->tenant = (struct subject){ .id = c->tenant,
				      .is_tenant = true,
				      .is_shared = is_shared,
				      .own = sl_quota_tenant(w, c->tenant) };
	p->of_client = &t->client_limits;
	p->of_tenant = &t->limits;
	return p->client.own != NULL && p->tenant.own != NULL;
}

uint32_t
sl_quota_half_open_max(const struct sl_worker *w, const struct sl_limits *limits)
{
	uint32_t nb = w->flows->nb_flows * w->nb_workers / HALF_OPEN_SHARE;

	return limits->half_open != 0 ? limits->half_open : RTE_MAX(nb, HALF_OPEN_MIN);
}

enum sl_quota_verdict
sl_quota_new_flow(struct sl_worker *w, uint32_t client, uint8_t protocol)
{
	const enum sl_quota_rate rate = SL_QUOTA_NEW_FLOWS;
	struct parties p;

	if (!find_parties(w, client, &p))
		return SL_QUOTA_CLIENT_FLOWS;
	if (p.of_client->flows != 0 && sum_of(w, &p.client, FLOWS) >= p.of_client->flows)
		return refuse(&p.client, SL_QUOTA_CLIENT_FLOWS);
	if (protocol == IPPROTO_TCP &&
	    sum_of(w, &p.client, HALF_OPEN) >= sl_quota_half_open_max(w, p.of_client))
		return refuse(&p.client, SL_QUOTA_CLIENT_HALF_OPEN);
	if (!has_token(w, &p.client, rate, p.of_client->new_flows_per_s))
		return refuse(&p.client, SL_QUOTA_CLIENT_NEW_FLOWS);
	if (p.of_tenant->flows != 0 && sum_of(w, &p.tenant, FLOWS) >= p.of_tenant->flows)
		return refuse(&p.tenant, SL_QUOTA_TENANT_FLOWS);
	if (!has_token(w, &p.tenant, rate, p.of_tenant->new_flows_per_s))
		return refuse(&p.tenant, SL_QUOTA_TENANT_NEW_FLOWS);
	take_token(&p.client, rate, p.of_client->new_flows_per_s);
	take_token(&p.tenant, rate, p.of_tenant->new_flows_per_s);
	return SL_QUOTA_FREE;
}

enum sl_quota_verdict
sl_quota_query(struct sl_worker *w, uint32_t client)
{
	const enum sl_quota_rate rate = SL_QUOTA_DNS_QUERIES;
	struct parties p;

	if (!find_parties(w, client, &p))
		return SL_QUOTA_CLIENT_DNS;
	if (!has_token(w, &p.client, rate, p.of_client->dns_per_s))
		return refuse(&p.client, SL_QUOTA_CLIENT_DNS);
	if (!has_token(w, &p.tenant, rate, p.of_tenant->dns_per_s))
		return refuse(&p.tenant, SL_QUOTA_TENANT_DNS);
	take_token(&p.client, rate, p.of_client->dns_per_s);
	take_token(&p.tenant, rate, p.of_tenant->dns_per_s);
	return SL_QUOTA_FREE;
}

enum sl_quota_verdict
sl_quota_new_name(struct sl_worker *w, uint32_t client)
{
	struct parties p;

	if (!find_parties(w, client, &p) ||
	    !has_token(w, &p.client, SL_QUOTA_NEW_NAMES, p.of_client->new_names_per_s))
		return p.client.own == NULL ? SL_QUOTA_CLIENT_NEW_NAMES
					    : refuse(&p.client, SL_QUOTA_CLIENT_NEW_NAMES);
	take_token(&p.client, SL_QUOTA_NEW_NAMES, p.of_client->new_names_per_s);
	return SL_QUOTA_FREE;
}

uint32_t
sl_quota_dns_budget(struct sl_worker *w, uint32_t client)
{
	const enum sl_quota_rate rate = SL_QUOTA_DNS_BYTES;
	struct parties p;
	int64_t nb;

	if (!find_parties(w, client, &p) || p.of_client->dns_bytes_per_s == 0)
		return UINT32_MAX;
	(void)has_token(w, &p.client, rate, p.of_client->dns_bytes_per_s);
	nb = p.client.own->meters[rate].tokens / (1 << TOKEN_BITS);
	return nb < 0 ? 0 : (uint32_t)nb;
}

void
sl_quota_dns_answered(struct sl_worker *w, uint32_t client, uint32_t nb_bytes)
{
	struct sl_quota_row *row = sl_quota_client(w, client);
	struct sl_quota_meter *m;

	if (row == NULL)
		return;
	m = &row->meters[SL_QUOTA_DNS_BYTES];
	add64(&m->taken, nb_bytes);
	m->tokens -= (int64_t)nb_bytes << TOKEN_BITS;
}

// ---- Flows come and go -------------------------------------------------------------------------

// The rows of a client and of its tenant; NULL for what has none.
static void
rows_of(const struct sl_worker *w, uint32_t client, struct sl_quota_row *rows[2])
{
	rows[0] = NULL;
	rows[1] = NULL;
	if (w->quota == NULL || w->snapshot == NULL || client >= w->snapshot->nb_clients)
		return;
	rows[0] = sl_quota_client(w, client);
	rows[1] = sl_quota_tenant(w, w->snapshot->clients[client].tenant);
}

// `nb` and `nb_half_open` are 1, 0 or, to subtract, UINT32_MAX.
static void
change(struct sl_worker *w, const struct sl_flow *f, uint32_t nb, uint32_t nb_half_open)
{
	struct sl_quota_row *rows[2];

	rows_of(w, f->pop.client, rows);
	for (unsigned i = 0; i < RTE_DIM(rows); i++) {
		if (rows[i] == NULL)
			continue;
		add32(&rows[i]->nb_flows, nb);
		add32(&rows[i]->nb_half_open, nb_half_open);
	}
}

void
sl_quota_denied(struct sl_worker *w, uint32_t client)
{
	struct sl_quota_row *rows[2];

	rows_of(w, client, rows);
	for (unsigned i = 0; i < RTE_DIM(rows); i++)
		if (rows[i] != NULL)
			add64(&rows[i]->denied, 1);
}

void
sl_quota_flow_begins(struct sl_worker *w, const struct sl_flow *f)
{
	change(w, f, 1, sl_quota_is_half_open(f->tcp));
}

void
sl_quota_flow_ends(struct sl_worker *w, const struct sl_flow *f)
{
	struct sl_quota_row *rows[2];

	change(w, f, UINT32_MAX, sl_quota_is_half_open(f->tcp) ? UINT32_MAX : 0);
	rows_of(w, f->pop.client, rows);
	for (unsigned i = 0; i < RTE_DIM(rows); i++) {
		if (rows[i] == NULL)
			continue;
		add64(&rows[i]->bytes_up, f->bytes_up);
		add64(&rows[i]->bytes_down, f->bytes_down);
	}
}

void
sl_quota_followed(struct sl_worker *w, const struct sl_flow *f, uint8_t tcp_before)
{
	bool was = sl_quota_is_half_open(tcp_before), is = sl_quota_is_half_open(f->tcp);

	if (was != is)
		change(w, f, 0, is ? 1 : UINT32_MAX);
}

bool
sl_quota_is_pressed(const struct sl_worker *w, uint32_t client)
{
	struct parties p;

	return w->snapshot != NULL && client < w->snapshot->nb_clients &&
		find_parties(w, client, &p) &&
		sum_of(w, &p.client, HALF_OPEN) > sl_quota_half_open_max(w, p.of_client) / 2;
}

// ---- For show ----------------------------------------------------------------------------------

void
sl_quota_sum(struct sl_dp *dp, enum sl_quota_subject subject, uint32_t id, struct sl_quota_sum *sum)
{
	*sum = (struct sl_quota_sum){ 0 };
	for (unsigned k = 0; k < sl_dp_nb_workers(dp); k++) {
		const struct sl_worker *w = sl_dp_worker(dp, k);
		const struct sl_quota_row *r = subject == SL_QUOTA_OF_TENANT
			? sl_quota_tenant(w, id)
			: sl_quota_client(w, id);

		if (r == NULL)
			continue;
		sum->nb_flows += atomic_load_explicit(&r->nb_flows, memory_order_relaxed);
		sum->nb_half_open += atomic_load_explicit(&r->nb_half_open, memory_order_relaxed);
		sum->denied += atomic_load_explicit(&r->denied, memory_order_relaxed);
		sum->bytes_up += atomic_load_explicit(&r->bytes_up, memory_order_relaxed);
		sum->bytes_down += atomic_load_explicit(&r->bytes_down, memory_order_relaxed);
		for (unsigned i = 0; i < SL_QUOTA_RATES; i++)
			sum->taken[i] += atomic_load_explicit(
				&r->meters[i].taken, memory_order_relaxed
			);
		for (unsigned i = 0; i < SL_QUOTA_VERDICTS; i++)
			sum->refused[i] += atomic_load_explicit(
				&r->refused[i], memory_order_relaxed
			);
	}
}

// ---- What is told -------------------------------------------------------------------------------

bool
sl_quota_refusal(struct sl_worker *w, uint32_t client)
{
	struct sl_quota_row *row = client == SL_NO_CLIENT ? NULL : sl_quota_client(w, client);

	if (row == NULL)
		return sl_bucket_take(
			&w->reject_bucket,
			OTHERS_REFUSALS_PER_S,
			OTHERS_REFUSALS_BURST,
			1,
			w->now_ns
		);
	return sl_bucket_take(&row->refusals, SL_REFUSALS_PER_S, SL_REFUSALS_BURST, 1, w->now_ns);
}

bool
sl_quota_error(struct sl_worker *w, uint32_t client)
{
	struct sl_quota_row *row = client == SL_NO_CLIENT ? NULL : sl_quota_client(w, client);

	if (row == NULL)
		return sl_bucket_take(
			&w->error_bucket, OTHERS_ERRORS_PER_S, OTHERS_ERRORS_BURST, 1, w->now_ns
		);
	return sl_bucket_take(&row->errors, SL_ERRORS_PER_S, SL_ERRORS_BURST, 1, w->now_ns);
}
