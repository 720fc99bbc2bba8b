// explain_limits: what a client and its tenant use of what they may, and whether a new flow would be
// refused for one of these limits now.
#include "explain_limits.h"
#include "show.h"

#include <netinet/in.h>
#include <sluice/dp/flow_table.h>
#include <sluice/dp/quota.h>

// "12 of 250", "12, no limit".
static json_t *
used_of(uint32_t used, uint32_t limit)
{
	return limit == 0 ? json_sprintf("%u, no limit", used)
			  : json_sprintf("%u of %u", used, limit);
}

static json_t *
rate_of(uint32_t limit)
{
	return limit == 0 ? json_string("without limit") : json_sprintf("%u", limit);
}

static void
say(json_t *notes, const char *whose, const struct sl_quota_sum *sum, const struct sl_limits *limits
)
{
	json_t *flows = used_of(sum->nb_flows, limits->flows);
	json_t *rate = rate_of(limits->new_flows_per_s);

	json_array_append_new(
		notes,
		json_sprintf(
			"Limits of %s: flows %s; new flows a second %s; refused for these so far: "
			"%llu.",
			whose,
			json_string_value(flows),
			json_string_value(rate),
			(unsigned long long
			)(sum->refused[SL_QUOTA_CLIENT_FLOWS] +
			  sum->refused[SL_QUOTA_CLIENT_HALF_OPEN] +
			  sum->refused[SL_QUOTA_CLIENT_NEW_FLOWS] +
			  sum->refused[SL_QUOTA_TENANT_FLOWS] +
			  sum->refused[SL_QUOTA_TENANT_NEW_FLOWS])
		)
	);
	json_decref(flows);
	json_decref(rate);
}

static const char *
reached(const struct sl_quota_sum *client,
	const struct sl_limits *of_client,
	uint32_t half_open_max,
	const struct sl_quota_sum *tenant,
	const struct sl_limits *of_tenant,
	uint8_t protocol)
{
	if (of_client->flows != 0 && client->nb_flows >= of_client->flows)
		return sl_quota_text(SL_QUOTA_CLIENT_FLOWS);
	if (protocol == IPPROTO_TCP && client->nb_half_open >= half_open_max)
		return sl_quota_text(SL_QUOTA_CLIENT_HALF_OPEN);
	if (of_tenant->flows != 0 && tenant->nb_flows >= of_tenant->flows)
		return sl_quota_text(SL_QUOTA_TENANT_FLOWS);
	return NULL;
}

const char *
explain_limits(struct daemon *d, uint32_t client, uint8_t protocol, json_t *notes)
{
	const struct sl_snapshot *s = &d->snapshot->dp;
	uint16_t tenant = s->clients[client].tenant;
	const struct sl_tenant *t = &s->tenants[tenant];
	uint32_t half_open = sl_quota_half_open_max(sl_dp_worker(d->dp, 0), &t->client_limits);
	struct sl_quota_sum of_client, of_tenant;
	uint32_t nb_flows = 0, nb_room = 0;

	sl_quota_sum(d->dp, SL_QUOTA_OF_CLIENT, client, &of_client);
	sl_quota_sum(d->dp, SL_QUOTA_OF_TENANT, tenant, &of_tenant);
	say(notes, "the client", &of_client, &t->client_limits);
	if (protocol == IPPROTO_TCP)
		json_array_append_new(
			notes,
			json_sprintf(
				"Half-open connections of the client: %u of %u.",
				of_client.nb_half_open,
				half_open
			)
		);
	say(notes, "its tenant", &of_tenant, &t->limits);
	for (unsigned k = 0; k < sl_dp_nb_workers(d->dp); k++) {
		nb_flows += sl_dp_worker(d->dp, k)->flows->nb_used;
		nb_room += sl_dp_worker(d->dp, k)->flows->nb_flows;
	}
	json_array_append_new(
		notes, json_sprintf("Flows of this node: %u of %u.", nb_flows, nb_room)
	);
	if (nb_flows >= nb_room)
		return "limits.flows of the node";
	return reached(&of_client, &t->client_limits, half_open, &of_tenant, &t->limits, protocol);
}
