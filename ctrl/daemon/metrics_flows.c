// metrics_flows: figures of tenants, clients, resources and names, and how long things take. Of what
// may be many the busiest have samples, so that the number of series is bounded.
#include "metrics.h"

#include <sluice/dns/addresses.h>
#include <sluice/dp/quota.h>
#include <sluice/dp/tally.h>
#include <stdlib.h>

// One of many, by how busy it is.
struct ranked {
	uint64_t worth;
	uint32_t tenant, index; // in the configuration
};

static int
by_worth(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	if (x->worth != y->worth)
		return x->worth > y->worth ? -1 : 1;
	if (x->tenant != y->tenant)
		return x->tenant < y->tenant ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

// ---- Tenants -------------------------------------------------------------------------------------------

static void
collect_tenant(struct daemon *d, unsigned t, struct sl_metric_text *text)
{
	const char *name = d->config->tenants[t].name;
	struct sl_quota_sum sum;

	sl_quota_sum(d->dp, SL_QUOTA_OF_TENANT, t, &sum);
	sl_metric_put(text, SL_METRIC_TENANT_FLOWS, sum.nb_flows, name, NULL);
	sl_metric_put(text, SL_METRIC_TENANT_BEGUN, sum.taken[SL_QUOTA_NEW_FLOWS], name, NULL);
	sl_metric_put(text, SL_METRIC_TENANT_DENIED, sum.denied, name, NULL);
	sl_metric_put(text, SL_METRIC_TENANT_UP, sum.bytes_up, name, NULL);
	sl_metric_put(text, SL_METRIC_TENANT_DOWN, sum.bytes_down, name, NULL);
	for (unsigned i = SL_QUOTA_TENANT_FLOWS; i < SL_QUOTA_VERDICTS; i++)
		sl_metric_put(
			text, SL_METRIC_TENANT_LIMITED, sum.refused[i], name, sl_quota_text(i)
		);
}

// ---- Clients -------------------------------------------------------------------------------------------

static uint32_t
client_id(const struct daemon *d, const struct ranked *r)
{
	const struct sl_config_tenant *tenant = &d->config->tenants[r->tenant];

	return registry_id(d->ids, ID_CLIENT, r->tenant, tenant->clients[r->index].name);
}

static void
put_client(struct daemon *d, const struct ranked *r, struct sl_metric_text *text)
{
	const struct sl_config_tenant *tenant = &d->config->tenants[r->tenant];
	const char *name = tenant->clients[r->index].name;
	struct sl_quota_sum sum;

	sl_quota_sum(d->dp, SL_QUOTA_OF_CLIENT, client_id(d, r), &sum);
	sl_metric_put(text, SL_METRIC_CLIENT_FLOWS, sum.nb_flows, tenant->name, name);
	sl_metric_put(
		text, SL_METRIC_CLIENT_BEGUN, sum.taken[SL_QUOTA_NEW_FLOWS], tenant->name, name
	);
	sl_metric_put(text, SL_METRIC_CLIENT_DENIED, sum.denied, tenant->name, name);
	sl_metric_put(text, SL_METRIC_CLIENT_UP, sum.bytes_up, tenant->name, name);
	sl_metric_put(text, SL_METRIC_CLIENT_DOWN, sum.bytes_down, tenant->name, name);
}

// ---- Resources -----------------------------------------------------------------------------------------

static uint32_t
resource_id(const struct daemon *d, const struct ranked *r)
{
	const struct sl_config_tenant *tenant = &d->config->tenants[r->tenant];

	return registry_id(d->ids, ID_RESOURCE, r->tenant, tenant->resources[r->index].name);
}

static void
put_resource(struct daemon *d, const struct ranked *r, struct sl_metric_text *text)
{
	const struct sl_config_tenant *tenant = &d->config->tenants[r->tenant];
	const char *name = tenant->resources[r->index].name;
	uint32_t id = resource_id(d, r);
	struct sl_tally_row sum;

	if (id >= SL_TALLY_RESOURCES)
		return; // counted together with others
	sl_tally_resource_sum(d->dp, id, &sum);
	sl_metric_put(
		text,
		SL_METRIC_RESOURCE_FLOWS,
		sum.nb_begun - RTE_MIN(sum.nb_over, sum.nb_begun),
		tenant->name,
		name
	);
	sl_metric_put(text, SL_METRIC_RESOURCE_BEGUN, sum.nb_begun, tenant->name, name);
	sl_metric_put(text, SL_METRIC_RESOURCE_DENIED, sum.nb_refused, tenant->name, name);
	sl_metric_put(text, SL_METRIC_RESOURCE_UP, sum.bytes_up, tenant->name, name);
	sl_metric_put(text, SL_METRIC_RESOURCE_DOWN, sum.bytes_down, tenant->name, name);
}

// ---- The busiest of many -------------------------------------------------------------------------------

static uint64_t
worth_of_client(struct daemon *d, const struct ranked *r)
{
	struct sl_quota_sum sum;

	sl_quota_sum(d->dp, SL_QUOTA_OF_CLIENT, client_id(d, r), &sum);
	return sum.taken[SL_QUOTA_NEW_FLOWS];
}

static uint64_t
worth_of_resource(struct daemon *d, const struct ranked *r)
{
	struct sl_tally_row sum;

	sl_tally_resource_sum(d->dp, resource_id(d, r), &sum);
	return sum.nb_begun;
}

// What is ranked: how many a tenant has, what one is worth, and its samples.
struct kind {
	unsigned max;
	unsigned (*nb)(const struct sl_config_tenant *tenant);
	uint64_t (*worth)(struct daemon *d, const struct ranked *r);
	void (*put)(struct daemon *d, const struct ranked *r, struct sl_metric_text *text);
};

static unsigned
nb_clients(const struct sl_config_tenant *tenant)
{
	return tenant->nb_clients;
}

static unsigned
nb_resources(const struct sl_config_tenant *tenant)
{
	return tenant->nb_resources;
}

static void
collect_kind(struct daemon *d, const struct kind *kind, struct sl_metric_text *text)
{
	struct ranked *all;
	size_t nb = 0;

	for (unsigned t = 0; t < d->config->nb_tenants; t++)
		nb += kind->nb(&d->config->tenants[t]);
	all = calloc(nb + 1, sizeof(*all));
	if (all == NULL)
		return;
	nb = 0;
	for (unsigned t = 0; t < d->config->nb_tenants; t++)
		for (unsigned i = 0; i < kind->nb(&d->config->tenants[t]); i++, nb++) {
			all[nb] = (struct ranked){ .tenant = t, .index = i };
			all[nb].worth = kind->worth(d, &all[nb]);
		}
	if (nb > kind->max)
		qsort(all, nb, sizeof(*all), by_worth);
	for (size_t i = 0; i < RTE_MIN(nb, kind->max); i++)
		kind->put(d, &all[i], text);
	free(all);
}

static void
put_name(struct daemon *d, const struct sl_tally_name *n, struct sl_metric_text *text)
{
	const struct sl_addresses *addresses;
	char name_text[SL_NAME_TEXT_MAX];
	struct sl_name_info info;
	struct sl_name name;

	if (n->tenant >= d->config->nb_tenants)
		return;
	addresses = sl_service_addresses(d->service, n->tenant);
	if (addresses == NULL || !sl_addresses_info(addresses, n->name, &info) ||
	    info.state == SL_NAME_FREE || !sl_addresses_name(addresses, n->name, &name))
		return;
	sl_name_to_text(&name, name_text, sizeof(name_text));
	sl_metric_put(
		text,
		SL_METRIC_NAME_BEGUN,
		n->nb_begun,
		d->config->tenants[n->tenant].name,
		name_text
	);
}

static void
collect_names(struct daemon *d, struct sl_metric_text *text)
{
	struct sl_tally_name top[SL_METRIC_NAMES_MAX];
	unsigned nb = sl_tally_names_top(d->dp, top, RTE_DIM(top));

	for (unsigned i = 0; i < nb; i++)
		put_name(d, &top[i], text);
}

// ---- Times ---------------------------------------------------------------------------------------------

static void
put_time(
	struct sl_metric_text *text,
	enum sl_metric metric,
	const char *label,
	const struct sl_histogram *first,
	const struct sl_histogram *second
)
{
	struct sl_histogram sum = *first;

	if (second != NULL)
		sl_histogram_merge(&sum, second);
	sl_metric_put_histogram(text, metric, &sum, label, NULL);
}

static void
collect_times(struct daemon *d, struct sl_metric_text *text)
{
	struct sl_service_stats s = *sl_service_stats(d->service);
	struct sl_histogram stages[SL_TALLY_STAGES];
	const enum sl_metric first = SL_METRIC_FIRST_PACKET, dns = SL_METRIC_DNS_TIME;

	for (unsigned i = 0; i < SL_TALLY_STAGES; i++)
		sl_tally_stage_sum(d->dp, i, &stages[i]);
	if (d->config->node.role == SL_ROLE_POP) {
		put_time(text, first, "dns", &stages[SL_TALLY_DNS], &s.waits[SL_WAIT_NAME]);
		put_time(text, first, "policy", &stages[SL_TALLY_POLICY], NULL);
		put_time(text, first, "tunnel", &stages[SL_TALLY_TUNNEL], NULL);
		put_time(text, first, "answer", &stages[SL_TALLY_ANSWER], NULL);
		put_time(text, first, "client_key", &s.waits[SL_WAIT_KEY], NULL);
		put_time(text, dns, "worker", &stages[SL_TALLY_DNS], NULL);
		put_time(text, dns, "first_sight", &s.waits[SL_WAIT_NAME], NULL);
		put_time(text, dns, "connector", &s.waits[SL_WAIT_ASK], NULL);
		put_time(text, dns, "upstream", &s.waits[SL_WAIT_UPSTREAM_DNS], NULL);
	} else {
		put_time(text, first, "resolve", &s.waits[SL_WAIT_OPEN], NULL);
		put_time(text, first, "connect", &stages[SL_TALLY_CONNECT], NULL);
		put_time(text, dns, "private", &s.waits[SL_WAIT_PRIVATE_DNS], NULL);
	}
	put_time(text, SL_METRIC_HANDSHAKE_TIME, "peer", &s.waits[SL_WAIT_PEER_HANDSHAKE], NULL);
	put_time(
		text, SL_METRIC_HANDSHAKE_TIME, "client", &s.waits[SL_WAIT_CLIENT_HANDSHAKE], NULL
	);
}

void
metrics_collect_flows(struct daemon *d, struct sl_metric_text *text)
{
	static const struct kind kinds[] = {
		{ SL_METRIC_CLIENTS_MAX, nb_clients, worth_of_client, put_client },
		{ SL_METRIC_RESOURCES_MAX, nb_resources, worth_of_resource, put_resource },
	};

	collect_times(d, text);
	for (unsigned t = 0; t < d->config->nb_tenants; t++)
		collect_tenant(d, t, text);
	for (unsigned i = 0; i < RTE_DIM(kinds); i++)
		collect_kind(d, &kinds[i], text);
	if (d->config->nb_tenants != 0)
		collect_names(d, text);
}
