// show limits: what tenants and clients use of what they may, and what was refused for it.
#include "show.h"

#include <sluice/dp/quota.h>
#include <string.h>

#define ROWS_DEFAULT 200u

struct listing {
	struct daemon *d;
	json_t *table;
	const char *wanted; // a tenant's or client's name; NULL: all that use anything
	unsigned nb_shown, nb_more;
	bool shows_all;
};

static json_t *
limit(uint32_t value)
{
	return value == 0 ? json_null() : json_integer(value);
}

static bool
is_idle(const struct sl_quota_sum *sum)
{
	static const uint64_t none[SL_QUOTA_VERDICTS];

	return sum->nb_flows == 0 && memcmp(sum->refused, none, sizeof(none)) == 0;
}

static void
put_row(struct listing *l,
	const char *tenant,
	const char *client,
	const struct sl_limits *limits,
	const struct sl_quota_sum *sum)
{
	bool is_client = client != NULL;
	uint32_t half_open = is_client ? sl_quota_half_open_max(sl_dp_worker(l->d->dp, 0), limits)
				       : 0;
	const uint64_t *refused = sum->refused;

	if (!l->shows_all && l->nb_shown == ROWS_DEFAULT) {
		l->nb_more++;
		return;
	}
	l->nb_shown++;
	sl_json_row(
		l->table,
		"ssioioooIIII",
		tenant,
		is_client ? client : "-",
		sum->nb_flows,
		limit(limits->flows),
		sum->nb_half_open,
		limit(half_open),
		limit(limits->new_flows_per_s),
		limit(limits->dns_per_s),
		(json_int_t)(refused[SL_QUOTA_CLIENT_FLOWS] + refused[SL_QUOTA_TENANT_FLOWS]),
		(json_int_t)refused[SL_QUOTA_CLIENT_HALF_OPEN],
		(json_int_t
		)(refused[SL_QUOTA_CLIENT_NEW_FLOWS] + refused[SL_QUOTA_TENANT_NEW_FLOWS]),
		(json_int_t)(refused[SL_QUOTA_CLIENT_DNS] + refused[SL_QUOTA_TENANT_DNS])
	);
}

static void
list_tenant(struct listing *l, unsigned t)
{
	const struct sl_snapshot *s = &l->d->snapshot->dp;
	const struct sl_tenant *tenant = &s->tenants[t];
	bool is_wanted = l->wanted == NULL || strcmp(l->wanted, tenant->name) == 0;
	struct sl_quota_sum sum;

	sl_quota_sum(l->d->dp, SL_QUOTA_OF_TENANT, t, &sum);
	if (is_wanted)
		put_row(l, tenant->name, NULL, &tenant->limits, &sum);
	for (uint32_t i = 1; i < s->nb_clients; i++) {
		const struct sl_client *c = &s->clients[i];

		if (!c->is_live || c->tenant != t)
			continue;
		sl_quota_sum(l->d->dp, SL_QUOTA_OF_CLIENT, i, &sum);
		if (l->wanted != NULL ? strcmp(l->wanted, c->name) == 0
				      : l->shows_all || !is_idle(&sum))
			put_row(l, tenant->name, c->name, &tenant->client_limits, &sum);
	}
}

void
show_limits(void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words)
{
	static const struct sl_column columns[] = {
		SHOW_LEFT("tenant"),
		SHOW_LEFT("client"),
		SHOW_RIGHT("flows", ""),
		SHOW_RIGHT("of", ""),
		SHOW_RIGHT("half_open", ""),
		SHOW_RIGHT("of_half_open", ""),
		SHOW_RIGHT("flows_per_s", ""),
		SHOW_RIGHT("dns_per_s", ""),
		SHOW_RIGHT("refused_flows", ""),
		SHOW_RIGHT("refused_half_open", ""),
		SHOW_RIGHT("refused_rate", ""),
		SHOW_RIGHT("refused_dns", ""),
	};
	struct daemon *d = arg;
	struct listing l = { .d = d, .table = sl_json_table("limits", columns, RTE_DIM(columns)) };

	for (unsigned i = 0; i < nb_words; i++)
		if (strcmp(words[i], "all") == 0)
			l.shows_all = true;
		else
			l.wanted = words[i];
	for (unsigned t = 0; t < d->snapshot->dp.nb_tenants; t++)
		list_tenant(&l, t);
	if (l.nb_more != 0)
		sl_json_note(l.table, "%u more: name a tenant or client, or say all.", l.nb_more);
	if (d->config->node.role == SL_ROLE_CONNECTOR)
		sl_json_note(l.table, "Clients and tenants are held to limits by their PoP.");
	sl_api_reply(request, l.table);
}
