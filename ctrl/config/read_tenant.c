// read_tenant: tenants, their networks and connectors; clients and resources have files of their own.
#include "readers.h"

#include <string.h>

#define AT(type, member) .offset = offsetof(struct type, member)

#define NO_LIMIT UINT32_MAX // "not written", replaced by the default afterwards
#define LIMIT(key)                                                                                 \
	{                                                                                          \
#key, SL_FIELD_U32, AT(sl_config_tenant_limits, key), .max = 1u << 30,             \
								      .number = NO_LIMIT           \
	}

static const struct sl_field limits_fields[] = {
	LIMIT(flows),
	LIMIT(new_flows_per_s),
	LIMIT(dns_per_s),
	LIMIT(names),
	LIMIT(client_flows),
	LIMIT(client_half_open),
	LIMIT(client_new_flows_per_s),
	LIMIT(client_dns_per_s),
	LIMIT(client_dns_bytes_per_s),
	LIMIT(client_new_names_per_s),
	LIMIT(client_names),
};

void
sl_read_tenant_limits(
	struct sl_loader *l,
	const config_setting_t *s,
	const struct sl_config_tenant_limits *defaults,
	struct sl_config_tenant_limits *limits
)
{
	SL_READ_GROUP(l, s, limits_fields, "the limits of a tenant", limits);
	for (unsigned i = 0; i < sizeof(limits_fields) / sizeof(limits_fields[0]); i++) {
		size_t offset = limits_fields[i].offset;
		uint32_t *value = (void *)((char *)limits + offset);

		if (*value == NO_LIMIT)
			*value = *(const uint32_t *)(const void *)((const char *)defaults + offset);
	}
}

static void
skip(struct sl_loader *l, const config_setting_t *s, void *at)
{
	// Read in an order of its own, below.
	(void)l;
	(void)s;
	(void)at;
}

static const struct sl_field connector_fields[] = {
	{ "name", SL_FIELD_IDENTIFIER, AT(sl_config_connector, name), .required = true },
	{ "public_key", SL_FIELD_KEY, AT(sl_config_connector, public_key), .required = true },
	{ "psk_file", SL_FIELD_PATH, AT(sl_config_connector, psk_file) },
	{ "weight",
	  SL_FIELD_U16,
	  AT(sl_config_connector, weight),
	  .min = 1,
	  .max = 1000,
	  .number = 100 },
};

static void
read_connectors(struct sl_loader *l, const config_setting_t *s, void *at)
{
	struct sl_config_network *network = SL_HOLDER(at, struct sl_config_network, connectors);
	unsigned nb = sl_list_length(l, s, "connectors");

	network->connectors = sl_arena_alloc(l->arena, nb, sizeof(*network->connectors));
	for (unsigned i = 0; i < nb; i++) {
		const config_setting_t *elem = config_setting_get_elem(s, i);
		struct sl_config_connector
			*connector = &network->connectors[network->nb_connectors++];

		connector->where = sl_where(l, elem);
		SL_READ_GROUP(l, elem, connector_fields, "a connector", connector);
	}
}

static const struct sl_field network_fields[] = {
	{ "name", SL_FIELD_IDENTIFIER, AT(sl_config_network, name), .required = true },
	{ "connectors",
	  SL_FIELD_OTHER,
	  AT(sl_config_network, connectors),
	  .read = read_connectors },
};

static void
read_networks(struct sl_loader *l, const config_setting_t *s, struct sl_config_tenant *tenant)
{
	unsigned nb = sl_list_length(l, s, "remote networks");

	tenant->networks = sl_arena_alloc(l->arena, nb, sizeof(*tenant->networks));
	for (unsigned i = 0; i < nb; i++) {
		const config_setting_t *elem = config_setting_get_elem(s, i);
		struct sl_config_network *network = &tenant->networks[tenant->nb_networks++];

		network->where = sl_where(l, elem);
		SL_READ_GROUP(l, elem, network_fields, "a network", network);
	}
}

static void
read_groups(struct sl_loader *l, const config_setting_t *s, struct sl_config_tenant *tenant)
{
	unsigned nb = sl_strings_length(l, s);

	if (nb > SL_CONFIG_GROUPS_MAX) {
		SL_COMPLAIN(
			l,
			s,
			"there are %u groups|a tenant has at most %u",
			nb,
			SL_CONFIG_GROUPS_MAX
		);
		nb = SL_CONFIG_GROUPS_MAX;
	}
	tenant->groups.list = sl_arena_alloc(l->arena, nb, sizeof(*tenant->groups.list));
	for (unsigned i = 0; i < nb; i++) {
		const config_setting_t *elem;
		const char *text = sl_strings_get(l, s, i, &elem);

		if (text == NULL)
			continue;
		if (!sl_text_is_identifier(text))
			SL_COMPLAIN(
				l,
				elem,
				"'%s' is no name|use at most 63 letters, digits, '.', '_', '-' and "
				"'@'",
				text
			);
		for (unsigned j = 0; j < tenant->groups.nb; j++)
			if (strcmp(tenant->groups.list[j], text) == 0)
				SL_COMPLAIN(l, elem, "group '%s' is listed twice|remove one", text);
		tenant->groups.list[tenant->groups.nb++] = sl_arena_strdup(l->arena, text);
	}
}

static void
read_bypass(struct sl_loader *l, const config_setting_t *s, void *at)
{
	struct sl_config_tenant *tenant = SL_HOLDER(at, struct sl_config_tenant, bypass);

	sl_read_targets(l, s, &tenant->bypass, &tenant->bypass_prefixes);
	for (unsigned i = 0; i < tenant->bypass.nb; i++)
		if (sl_text_has_wildcard(tenant->bypass.list[i]))
			SL_COMPLAIN(
				l,
				s,
				"bypass '%s' has a wildcard|list exact names or addresses",
				tenant->bypass.list[i]
			);
}

static const struct sl_field tenant_fields[] = {
	{ "name", SL_FIELD_IDENTIFIER, AT(sl_config_tenant, name), .required = true },
	{ "id", SL_FIELD_U16, AT(sl_config_tenant, id), .required = true, .min = 1, .max = 65534 },
	{ "groups", SL_FIELD_OTHER, 0, .read = skip },
	{ "clients", SL_FIELD_OTHER, 0, .read = skip },
	{ "networks", SL_FIELD_OTHER, 0, .read = skip },
	{ "resources", SL_FIELD_OTHER, 0, .read = skip },
	{ "limits", SL_FIELD_OTHER, 0, .read = skip },
	{ "bypass", SL_FIELD_OTHER, AT(sl_config_tenant, bypass), .read = read_bypass },
	{ "search", SL_FIELD_NAMES, AT(sl_config_tenant, search) },
	{ "upstreams", SL_FIELD_OTHER, AT(sl_config_tenant, upstreams), .read = sl_read_upstreams },
	{ "refuse_other", SL_FIELD_BOOL, AT(sl_config_tenant, refuse_other) },
};

static void
read_tenant(struct sl_loader *l, const config_setting_t *s, struct sl_config_tenant *tenant)
{
	l->tenant = tenant;
	tenant->where = sl_where(l, s);
	SL_READ_GROUP(l, s, tenant_fields, "a tenant", tenant);
	if (tenant->name == NULL)
		tenant->name = "?";
	if (config_setting_get_member(s, "refuse_other") == NULL)
		tenant->refuse_other = l->config->dns.refuse_other;
	sl_read_tenant_limits(
		l,
		config_setting_get_member(s, "limits"),
		&l->config->limits.tenant,
		&tenant->limits
	);
	read_groups(l, config_setting_get_member(s, "groups"), tenant);
	read_networks(l, config_setting_get_member(s, "networks"), tenant);
	sl_read_clients(l, config_setting_get_member(s, "clients"), tenant);
	sl_read_resources(l, config_setting_get_member(s, "resources"), tenant);
	l->tenant = NULL;
}

void
sl_read_tenants(struct sl_loader *l, const config_setting_t *s, void *at)
{
	struct sl_config *config = at;
	unsigned nb = sl_list_length(l, s, "tenants");

	config->tenants = sl_arena_alloc(l->arena, nb, sizeof(*config->tenants));
	for (unsigned i = 0; i < nb; i++)
		read_tenant(
			l, config_setting_get_elem(s, i), &config->tenants[config->nb_tenants++]
		);
}
