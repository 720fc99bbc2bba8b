#include "errors.h"

#include <errno.h>
#include <sluice/ctrl/compile.h>
#include <stdlib.h>

// Rooms that the spec points into; freed when the policy is built.
struct rooms {
	struct sl_policy_resource *resources;
	struct sl_policy_prefix *prefixes;
	struct sl_policy_range *ranges;
	struct sl_policy_prefix *next_prefix;
	struct sl_policy_range *next_range;
};

static struct sl_policy_prefix *
put_prefixes(struct rooms *rooms, const struct sl_config_prefixes *prefixes)
{
	struct sl_policy_prefix *first = rooms->next_prefix;

	for (unsigned i = 0; i < prefixes->nb; i++)
		*rooms->next_prefix++ = (struct sl_policy_prefix){
			prefixes->list[i].address,
			prefixes->list[i].length,
		};
	return first;
}

static struct sl_policy_range *
put_ranges(struct rooms *rooms, const struct sl_config_port_ranges *ranges)
{
	struct sl_policy_range *first = rooms->next_range;

	for (unsigned i = 0; i < ranges->nb; i++)
		*rooms->next_range++ = (struct sl_policy_range){ ranges->list[i].low,
								 ranges->list[i].high };
	return first;
}

static int
make_rooms(struct rooms *rooms, const struct sl_config_tenant *t)
{
	size_t nb_prefixes = t->bypass_prefixes.nb;
	size_t nb_ranges = 0;

	for (unsigned i = 0; i < t->nb_resources; i++) {
		nb_prefixes += t->resources[i].prefixes.nb;
		nb_ranges += t->resources[i].services.tcp.nb + t->resources[i].services.udp.nb;
	}
	// One more of each: nothing at all is no lack of memory.
	rooms->resources = calloc(t->nb_resources + 1, sizeof(*rooms->resources));
	rooms->prefixes = calloc(nb_prefixes + 1, sizeof(*rooms->prefixes));
	rooms->ranges = calloc(nb_ranges + 1, sizeof(*rooms->ranges));
	rooms->next_prefix = rooms->prefixes;
	rooms->next_range = rooms->ranges;
	return rooms->resources == NULL || rooms->prefixes == NULL || rooms->ranges == NULL
		? -ENOMEM
		: 0;
}

static void
free_rooms(struct rooms *rooms)
{
	free(rooms->resources);
	free(rooms->prefixes);
	free(rooms->ranges);
}

static void
put_resource(
	struct rooms *rooms,
	const struct sl_config *config,
	const struct sl_config_resource *r,
	struct sl_policy_resource *to
)
{
	*to = (struct sl_policy_resource){
		.label = r->name,
		.patterns = r->patterns.list,
		.nb_patterns = r->patterns.nb,
		.prefixes = put_prefixes(rooms, &r->prefixes),
		.nb_prefixes = r->prefixes.nb,
		.aliases = r->aliases.list,
		.nb_aliases = r->aliases.nb,
		.tcp = put_ranges(rooms, &r->services.tcp),
		.nb_tcp = r->services.tcp.nb,
		.udp = put_ranges(rooms, &r->services.udp),
		.nb_udp = r->services.udp.nb,
		.icmp = r->services.icmp,
		.inherit = r->inherit,
		.groups = r->groups,
		.deny = r->deny == SL_DENY_SILENT ? SL_POLICY_SILENT : SL_POLICY_RESET,
		.dialect = r->dialect == SL_DIALECT_LABEL ? SL_GLOB_LABEL : SL_GLOB_ANY,
		.ttl_s = r->ttl_s == SL_CONFIG_TTL_DEFAULT ? config->dns.ttl_s : r->ttl_s,
		.names_max = r->names_max,
	};
}

static void
complain(
	struct sl_config_errors *errors,
	const struct sl_config_tenant *t,
	const struct sl_policy_error *error
)
{
	bool has_resource = error->resource < t->nb_resources;
	struct sl_config_where where = has_resource ? t->resources[error->resource].where
						    : t->where;

	if (has_resource && error->other < t->nb_resources) {
		const struct sl_config_where *other = &t->resources[error->other].where;

		// The one further down is the newcomer.
		sl_config_error(
			errors,
			other->line > where.line ? *other : where,
			"%s (lines %u and %u)|make one pattern more specific, or part their ports",
			error->what,
			other->line > where.line ? where.line : other->line,
			other->line > where.line ? other->line : where.line
		);
	} else {
		sl_config_error(errors, where, "%s|correct the resource", error->what);
	}
}

int
sl_compile_policy(
	const struct sl_config *config,
	unsigned tenant_idx,
	const struct sl_compile *how,
	struct sl_policy **policy,
	struct sl_config_errors *errors
)
{
	const struct sl_config_tenant *t = &config->tenants[tenant_idx];
	struct sl_policy_error error = { .resource = UINT32_MAX, .other = UINT32_MAX };
	struct rooms rooms;
	int rc = make_rooms(&rooms, t);

	*policy = NULL;
	for (unsigned i = 0; rc == 0 && i < t->nb_resources; i++) {
		const struct sl_config_resource *r = &t->resources[i];
		struct sl_policy_resource *to = &rooms.resources[i];

		put_resource(&rooms, config, r, to);
		to->id = how->resource_ids != NULL ? how->resource_ids[i] : i;
		to->network = how->network_ids != NULL ? how->network_ids[r->network_idx]
						       : r->network_idx;
	}
	if (rc == 0) {
		struct sl_policy_spec spec = {
			.generation = how->generation,
			.name_key = how->name_key,
			.resources = rooms.resources,
			.nb_resources = t->nb_resources,
			.bypass = t->bypass.list,
			.nb_bypass = t->bypass.nb,
			.bypass_prefixes = put_prefixes(&rooms, &t->bypass_prefixes),
			.nb_bypass_prefixes = t->bypass_prefixes.nb,
			.canary = config->dns.canary,
			.refuse_other = t->refuse_other,
		};

		rc = sl_policy_build(&spec, policy, &error);
		if (rc == -EINVAL)
			complain(errors, t, &error);
	}
	free_rooms(&rooms);
	return rc;
}

int
sl_compile_check(const struct sl_config *config, struct sl_config_errors *errors)
{
	// Any key does: the policy is not kept.
	struct sl_compile how = { .generation = 1, .name_key = { { 1, 2, 3, 4 } } };
	int rc = 0;

	for (unsigned i = 0; i < config->nb_tenants; i++) {
		struct sl_policy *policy;
		int this = sl_compile_policy(config, i, &how, &policy, errors);

		sl_policy_free(policy);
		rc = rc != 0 ? rc : this;
	}
	return rc;
}
