// read_resource: what may be reached, and the pieces that the connector's allow list shares.
#include "readers.h"

#include <ctype.h>
#include <string.h>

#define AT(type, member) .offset = offsetof(struct type, member)

static const char *const deny_words[] = { "reset", "silent", NULL };
static const char *const dialect_words[] = { "any", "label", NULL };

// Digits, dots and a slash alone are an address, whatever else is a name.
static bool
looks_like_prefix(const char *text)
{
	return text[strspn(text, "0123456789./")] == '\0' || strchr(text, '/') != NULL;
}

void
sl_read_targets(
	struct sl_loader *l,
	const config_setting_t *s,
	struct sl_config_strings *patterns,
	struct sl_config_prefixes *prefixes
)
{
	unsigned nb = sl_strings_length(l, s);

	patterns->list = sl_arena_alloc(l->arena, nb, sizeof(*patterns->list));
	prefixes->list = sl_arena_alloc(l->arena, nb, sizeof(*prefixes->list));
	for (unsigned i = 0; i < nb; i++) {
		const config_setting_t *elem;
		const char *text = sl_strings_get(l, s, i, &elem);

		if (text == NULL)
			continue;
		if (looks_like_prefix(text)) {
			sl_get_prefix(l, elem, text, &prefixes->list[prefixes->nb++]);
		} else {
			const char *pattern = sl_get_pattern(l, elem, text);

			if (pattern != NULL)
				patterns->list[patterns->nb++] = pattern;
		}
	}
}

void
sl_read_services(
	struct sl_loader *l, const config_setting_t *group, struct sl_config_services *services
)
{
	const config_setting_t *tcp = config_setting_get_member(group, "tcp");
	const config_setting_t *udp = config_setting_get_member(group, "udp");
	const config_setting_t *icmp = config_setting_get_member(group, "icmp");

	*services = (struct sl_config_services){ 0 };
	if (tcp != NULL)
		sl_get_ports(l, tcp, &services->tcp);
	if (udp != NULL)
		sl_get_ports(l, udp, &services->udp);
	if (icmp != NULL && icmp->type == CONFIG_TYPE_BOOL)
		services->icmp = config_setting_get_bool(icmp) != 0;
	else if (icmp != NULL)
		SL_COMPLAIN(l, icmp, "'icmp' must be true or false|write it without quotes");
	if (tcp == NULL && udp == NULL && icmp == NULL) {
		static struct sl_config_port_range all = { 0, UINT16_MAX };

		services->tcp = (struct sl_config_port_ranges){ &all, 1 };
		services->udp = (struct sl_config_port_ranges){ &all, 1 };
		services->icmp = true;
	}
}

static void
skip(struct sl_loader *l, const config_setting_t *s, void *at)
{
	(void)l; // read afterwards, together
	(void)s;
	(void)at;
}

static void
read_address(struct sl_loader *l, const config_setting_t *s, void *at)
{
	struct sl_config_resource *r = SL_HOLDER(at, struct sl_config_resource, patterns);

	sl_read_targets(l, s, &r->patterns, &r->prefixes);
	if (sl_strings_length(l, s) == 0)
		SL_COMPLAIN(l, s, "'address' is empty|give a name, an address or a prefix");
}

static void
read_groups(struct sl_loader *l, const config_setting_t *s, void *at)
{
	*(uint64_t *)at = sl_read_group_names(l, s);
}

static void
read_network(struct sl_loader *l, const config_setting_t *s, void *at)
{
	unsigned nb = l->tenant->nb_networks;
	const char **words = sl_arena_alloc(l->arena, nb + 1, sizeof(*words));
	const char *text;
	unsigned idx;

	if (!sl_get_text(l, s, &text))
		return;
	for (unsigned i = 0; i < nb; i++)
		words[i] = l->tenant->networks[i].name == NULL ? "" : l->tenant->networks[i].name;
	idx = sl_get_reference(l, s, "network", text, words, nb);
	*(uint16_t *)at = idx == nb ? SL_CONFIG_NONE : (uint16_t)idx;
}

static const struct sl_field resource_fields[] = {
	{ "name", SL_FIELD_TEXT, AT(sl_config_resource, name) },
	{ "address",
	  SL_FIELD_OTHER,
	  AT(sl_config_resource, patterns),
	  .required = true,
	  .read = read_address },
	{ "aliases", SL_FIELD_NAMES, AT(sl_config_resource, aliases) },
	{ "tcp", SL_FIELD_OTHER, 0, .read = skip },
	{ "udp", SL_FIELD_OTHER, 0, .read = skip },
	{ "icmp", SL_FIELD_OTHER, 0, .read = skip },
	{ "groups", SL_FIELD_OTHER, AT(sl_config_resource, groups), .read = read_groups },
	{ "network", SL_FIELD_OTHER, AT(sl_config_resource, network_idx), .read = read_network },
	{ "inherit", SL_FIELD_BOOL, AT(sl_config_resource, inherit) },
	{ "deny", SL_FIELD_WORD, AT(sl_config_resource, deny), .words = deny_words },
	{ "ttl_s",
	  SL_FIELD_U32,
	  AT(sl_config_resource, ttl_s),
	  .max = 86400,
	  .number = SL_CONFIG_TTL_DEFAULT },
	{ "dialect", SL_FIELD_WORD, AT(sl_config_resource, dialect), .words = dialect_words },
	{ "names", SL_FIELD_U32, AT(sl_config_resource, names_max), .max = 1u << 22 },
};

// An alias stands for one thing; which one must be plain.
static void
check_aliases(struct sl_loader *l, const config_setting_t *s, const struct sl_config_resource *r)
{
	bool one_name = r->patterns.nb == 1 && r->prefixes.nb == 0 &&
		!sl_text_has_wildcard(r->patterns.list[0]);
	bool one_address = r->patterns.nb == 0 && r->prefixes.nb == 1 &&
		r->prefixes.list[0].length == 32;

	if (r->aliases.nb > 0 && !one_name && !one_address)
		SL_COMPLAIN(
			l,
			s,
			"resource '%s' has aliases but is not one exact name or address|make it a "
			"resource of its own",
			r->name
		);
}

static void
default_name(struct sl_loader *l, struct sl_config_resource *r)
{
	char shown[SL_TEXT_PREFIX_CHARS];

	if (r->name != NULL)
		return;
	if (r->patterns.nb > 0)
		r->name = r->patterns.list[0];
	else if (r->prefixes.nb > 0)
		r->name = sl_arena_strdup(
			l->arena, sl_text_show_prefix(r->prefixes.list[0], shown)
		);
	else
		r->name = "?";
}

void
sl_read_resources(struct sl_loader *l, const config_setting_t *s, void *at)
{
	struct sl_config_tenant *tenant = at;
	unsigned nb = sl_list_length(l, s, "resources");

	tenant->resources = sl_arena_alloc(l->arena, nb, sizeof(*tenant->resources));
	for (unsigned i = 0; i < nb; i++) {
		const config_setting_t *elem = config_setting_get_elem(s, i);
		struct sl_config_resource *r = &tenant->resources[tenant->nb_resources++];

		r->where = sl_where(l, elem);
		r->network_idx = tenant->nb_networks == 1 ? 0 : SL_CONFIG_NONE;
		SL_READ_GROUP(l, elem, resource_fields, "a resource", r);
		default_name(l, r);
		sl_read_services(l, elem, &r->services);
		check_aliases(l, elem, r);
		if (config_setting_get_member(elem, "network") != NULL)
			continue;
		r->network_idx = tenant->nb_networks == 1 ? 0 : SL_CONFIG_NONE;
		if (tenant->nb_networks != 1)
			SL_COMPLAIN(
				l,
				elem,
				"resource '%s' has no network|add network = \"...\";, one of the "
				"tenant's networks",
				r->name
			);
	}
}
