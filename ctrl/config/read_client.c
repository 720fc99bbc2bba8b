// read_client: who may ask. A client has either a WireGuard key and an inner address, or is known by
// the port, VLAN and source prefix its packets come from.
#include "readers.h"

#include <string.h>

#define AT(type, member) .offset = offsetof(struct type, member)

uint64_t
sl_read_group_names(struct sl_loader *l, const config_setting_t *s)
{
	const struct sl_config_strings *groups = &l->tenant->groups;
	unsigned nb = sl_strings_length(l, s);
	uint64_t bits = 0;

	for (unsigned i = 0; i < nb; i++) {
		const config_setting_t *elem;
		const char *text = sl_strings_get(l, s, i, &elem);
		unsigned idx;

		if (text == NULL)
			continue;
		idx = sl_get_reference(l, elem, "group", text, groups->list, groups->nb);
		if (idx < groups->nb)
			bits |= UINT64_C(1) << idx;
	}
	return bits;
}

static void
read_groups(struct sl_loader *l, const config_setting_t *s, void *at)
{
	*(uint64_t *)at = sl_read_group_names(l, s);
}

static const struct sl_field client_fields[] = {
	{ "name", SL_FIELD_IDENTIFIER, AT(sl_config_client, name), .required = true },
	{ "groups", SL_FIELD_OTHER, AT(sl_config_client, groups), .read = read_groups },
	{ "port", SL_FIELD_PORT, AT(sl_config_client, port_idx) },
	{ "vlan", SL_FIELD_U16, AT(sl_config_client, vlan), .max = 4094 },
	{ "source", SL_FIELD_PREFIX, AT(sl_config_client, source) },
	{ "public_key", SL_FIELD_KEY, AT(sl_config_client, public_key) },
	{ "psk_file", SL_FIELD_PATH, AT(sl_config_client, psk_file) },
	{ "address", SL_FIELD_IP4, AT(sl_config_client, address) },
};

// The only port that faces clients, when a client names none.
static uint16_t
only_client_port(const struct sl_config *config)
{
	uint16_t found = SL_CONFIG_NONE;

	for (unsigned i = 0; i < config->nb_ports; i++) {
		if (config->ports[i].faces_clients && found != SL_CONFIG_NONE)
			return SL_CONFIG_NONE;
		if (config->ports[i].faces_clients)
			found = (uint16_t)i;
	}
	return found;
}

static bool
has(const config_setting_t *s, const char *key)
{
	return config_setting_get_member(s, key) != NULL;
}

static void
finish_wireguard(struct sl_loader *l, const config_setting_t *s, struct sl_config_client *client)
{
	client->is_wireguard = true;
	if (has(s, "port") || has(s, "vlan") || has(s, "source"))
		SL_COMPLAIN(
			l,
			s,
			"client '%s' has both a public_key and a port, vlan or source|keep one "
			"kind of access",
			client->name
		);
	if (!has(s, "address"))
		SL_COMPLAIN(
			l,
			s,
			"client '%s' has a public_key but no address|add address = \"...\", its "
			"inner address",
			client->name
		);
	if (l->config->wireguard.udp_port == 0)
		SL_COMPLAIN(
			l,
			s,
			"client '%s' needs WireGuard, which is off|add wireguard = { };",
			client->name
		);
}

static void
finish_plain(struct sl_loader *l, const config_setting_t *s, struct sl_config_client *client)
{
	if (!has(s, "source"))
		SL_COMPLAIN(
			l,
			s,
			"client '%s' has neither source nor public_key|add source = \"10.1.0.10\"; "
			"or a key",
			client->name
		);
	if (has(s, "address") || has(s, "psk_file"))
		SL_COMPLAIN(
			l,
			s,
			"client '%s' has an address or psk_file but no public_key|add its "
			"public_key",
			client->name
		);
	if (!has(s, "port")) {
		client->port_idx = only_client_port(l->config);
		if (client->port_idx == SL_CONFIG_NONE)
			SL_COMPLAIN(
				l, s, "client '%s' has no port|add port = \"...\";", client->name
			);
	}
	if (!has(s, "vlan") && client->port_idx < l->config->nb_ports)
		client->vlan = l->config->ports[client->port_idx].vlan;
}

void
sl_read_clients(struct sl_loader *l, const config_setting_t *s, void *at)
{
	struct sl_config_tenant *tenant = at;
	unsigned nb = sl_list_length(l, s, "clients");

	tenant->clients = sl_arena_alloc(l->arena, nb, sizeof(*tenant->clients));
	for (unsigned i = 0; i < nb; i++) {
		const config_setting_t *elem = config_setting_get_elem(s, i);
		struct sl_config_client *client = &tenant->clients[tenant->nb_clients++];

		client->where = sl_where(l, elem);
		SL_READ_GROUP(l, elem, client_fields, "a client", client);
		if (client->name == NULL)
			client->name = "?";
		if (has(elem, "public_key"))
			finish_wireguard(l, elem, client);
		else
			finish_plain(l, elem, client);
	}
}
