// read_connector: what the connector role adds.
#include "readers.h"

#include <string.h>

#define AT(type, member) .offset = offsetof(struct type, member)

static void
skip(struct sl_loader *l, const config_setting_t *s, void *at)
{
	(void)l; // read afterwards, together
	(void)s;
	(void)at;
}

static void
read_targets(struct sl_loader *l, const config_setting_t *s, void *at)
{
	struct sl_config_allow *allow = SL_HOLDER(at, struct sl_config_allow, patterns);

	sl_read_targets(l, s, &allow->patterns, &allow->prefixes);
}

static const struct sl_field allow_fields[] = {
	{ "address",
	  SL_FIELD_OTHER,
	  AT(sl_config_allow, patterns),
	  .required = true,
	  .read = read_targets },
	{ "tcp", SL_FIELD_OTHER, 0, .read = skip },
	{ "udp", SL_FIELD_OTHER, 0, .read = skip },
	{ "icmp", SL_FIELD_OTHER, 0, .read = skip },
};

static void
read_allow(struct sl_loader *l, const config_setting_t *s, void *at)
{
	struct sl_config_connector_role *role = SL_HOLDER(
		at, struct sl_config_connector_role, allow
	);
	unsigned nb = sl_list_length(l, s, "rules");

	if (nb == 0 && s->type == CONFIG_TYPE_LIST)
		SL_COMPLAIN(
			l, s, "'allow' is empty|leave it out to allow what is not always refused"
		);
	role->allow = sl_arena_alloc(l->arena, nb, sizeof(*role->allow));
	for (unsigned i = 0; i < nb; i++) {
		const config_setting_t *elem = config_setting_get_elem(s, i);
		struct sl_config_allow *allow = &role->allow[role->nb_allow++];

		allow->where = sl_where(l, elem);
		SL_READ_GROUP(l, elem, allow_fields, "an allow rule", allow);
		sl_read_services(l, elem, &allow->services);
	}
}

#define RESOLVERS_MAX 8u

static void
read_resolvers(struct sl_loader *l, const config_setting_t *s, void *at)
{
	struct sl_config_connector_role *role = SL_HOLDER(
		at, struct sl_config_connector_role, resolvers
	);
	unsigned nb = sl_strings_length(l, s);

	if (nb == 0 || nb > RESOLVERS_MAX) {
		SL_COMPLAIN(l, s, "there are %u resolvers|give 1 to %u", nb, RESOLVERS_MAX);
		return;
	}
	role->resolvers = sl_arena_alloc(l->arena, nb, sizeof(*role->resolvers));
	for (unsigned i = 0; i < nb; i++) {
		const config_setting_t *elem;
		const char *text = sl_strings_get(l, s, i, &elem);

		if (text != NULL)
			sl_get_endpoint(l, elem, text, 53, &role->resolvers[role->nb_resolvers++]);
	}
}

#define NAT_ADDRESSES_MAX 64u

static void
read_nat_addresses(struct sl_loader *l, const config_setting_t *s, void *at)
{
	struct sl_config_addresses *nat = at;
	unsigned nb = sl_strings_length(l, s);

	if (nb > NAT_ADDRESSES_MAX) {
		SL_COMPLAIN(
			l, s, "there are %u NAT addresses|give at most %u", nb, NAT_ADDRESSES_MAX
		);
		return;
	}
	nat->list = sl_arena_alloc(l->arena, nb, sizeof(*nat->list));
	for (unsigned i = 0; i < nb; i++) {
		const config_setting_t *elem;
		const char *text = sl_strings_get(l, s, i, &elem);
		uint32_t *address = &nat->list[nat->nb];

		if (text == NULL)
			continue;
		if (sl_text_ip4(text, address) != SL_TEXT_OK) {
			SL_COMPLAIN(l, elem, "'%s' is no IPv4 address|write it as 10.0.0.2", text);
			continue;
		}
		for (unsigned j = 0; j < nat->nb; j++)
			if (nat->list[j] == *address)
				SL_COMPLAIN(
					l, elem, "NAT address '%s' is listed twice|remove one", text
				);
		nat->nb++;
	}
}

static void
read_nat_ports(struct sl_loader *l, const config_setting_t *s, void *at)
{
	struct sl_config_port_range *ports = at;
	struct sl_config_port_range range;
	const char *text;
	unsigned nb = 0;

	if (!sl_get_text(l, s, &text))
		return;
	if (sl_text_ports(text, &range, &nb, 1) != SL_TEXT_OK || nb != 1 || range.low == 0 ||
	    range.high - range.low < 255)
		SL_COMPLAIN(
			l,
			s,
			"'%s' is no range of 256 ports or more|write it as \"1024-65535\"",
			text
		);
	else
		*ports = range;
}

static const struct sl_field connector_fields[] = {
	{ "tenant", SL_FIELD_IDENTIFIER, AT(sl_config_connector_role, tenant), .required = true },
	{ "allow", SL_FIELD_OTHER, AT(sl_config_connector_role, allow), .read = read_allow },
	{ "resolvers",
	  SL_FIELD_OTHER,
	  AT(sl_config_connector_role, resolvers),
	  .required = true,
	  .read = read_resolvers },
	{ "search", SL_FIELD_NAMES, AT(sl_config_connector_role, search) },
	{ "nat_addresses",
	  SL_FIELD_OTHER,
	  AT(sl_config_connector_role, nat_addresses),
	  .read = read_nat_addresses },
	{ "nat_ports",
	  SL_FIELD_OTHER,
	  AT(sl_config_connector_role, nat_ports),
	  .read = read_nat_ports },
};

void
sl_read_connector(struct sl_loader *l, const config_setting_t *s, void *at)
{
	struct sl_config_connector_role *role = at;

	role->where = sl_where(l, s);
	role->nat_ports = (struct sl_config_port_range){ 1024, UINT16_MAX };
	SL_READ_GROUP(l, s, connector_fields, "the connector", role);
}
