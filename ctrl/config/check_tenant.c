// check_tenant: duplicates within and across tenants, and prefixes that must not be resources.
//
// There may be 100,000 clients or resources: duplicates are found by sorting, never pair by pair.
#include "readers.h"

#include <stdlib.h>
#include <string.h>

// Something that must be unique, and where it stands.
struct item {
	const void *key;
	struct sl_config_where where;
	const char *name;
	uint32_t order;
};

static int
compare_text(const void *a, const void *b)
{
	const struct item *x = a;
	const struct item *y = b;
	int c = strcmp(x->key, y->key);

	return c != 0 ? c : x->order < y->order ? -1 : x->order > y->order;
}

static int
compare_key(const void *a, const void *b)
{
	const struct item *x = a;
	const struct item *y = b;
	int c = memcmp(x->key, y->key, SL_KEY_BYTES);

	return c != 0 ? c : x->order < y->order ? -1 : x->order > y->order;
}

// The items of a sorted list that are equal to the one before.
static void
complain_twice(struct sl_loader *l, struct item *items, unsigned nb, const char *what)
{
	qsort(items, nb, sizeof(*items), compare_text);
	for (unsigned i = 1; i < nb; i++)
		if (strcmp(items[i].key, items[i - 1].key) == 0 && strcmp(items[i].key, "?") != 0)
			sl_config_error(
				l->errors,
				items[i].where,
				"%s '%s' is defined twice, first at line %u|rename one of them",
				what,
				items[i].name,
				items[i - 1].where.line
			);
}

static void
check_names(struct sl_loader *l, const struct sl_config_tenant *t)
{
	unsigned nb = t->nb_clients > t->nb_resources ? t->nb_clients : t->nb_resources;
	struct item *items;

	nb = nb > t->nb_networks ? nb : t->nb_networks;
	items = sl_arena_alloc(l->arena, nb + 1, sizeof(*items));
	for (unsigned i = 0; i < t->nb_clients; i++)
		items[i] = (struct item
		){ t->clients[i].name, t->clients[i].where, t->clients[i].name, i };
	complain_twice(l, items, t->nb_clients, "client");
	for (unsigned i = 0; i < t->nb_resources; i++)
		items[i] = (struct item
		){ t->resources[i].name, t->resources[i].where, t->resources[i].name, i };
	complain_twice(l, items, t->nb_resources, "resource");
	for (unsigned i = 0; i < t->nb_networks; i++) {
		const char *name = t->networks[i].name == NULL ? "?" : t->networks[i].name;

		items[i] = (struct item){ name, t->networks[i].where, name, i };
	}
	complain_twice(l, items, t->nb_networks, "network");
}

#define CONNECTORS_MAX 16u // in one network

static void
check_connectors(struct sl_loader *l, const struct sl_config_tenant *t)
{
	struct item *items;
	unsigned nb = 0;

	for (unsigned i = 0; i < t->nb_networks; i++) {
		nb += t->networks[i].nb_connectors;
		if (t->networks[i].nb_connectors > CONNECTORS_MAX)
			sl_config_error(
				l->errors,
				t->networks[i].where,
				"network '%s' has %u connectors|at most %u serve one network",
				t->networks[i].name,
				t->networks[i].nb_connectors,
				CONNECTORS_MAX
			);
	}
	items = sl_arena_alloc(l->arena, nb + 1, sizeof(*items));
	nb = 0;
	for (unsigned i = 0; i < t->nb_networks; i++)
		for (unsigned j = 0; j < t->networks[i].nb_connectors; j++) {
			const struct sl_config_connector *c = &t->networks[i].connectors[j];
			const char *name = c->name == NULL ? "?" : c->name;

			items[nb] = (struct item){ name, c->where, name, nb };
			nb++;
		}
	complain_twice(l, items, nb, "connector");
}

// A public key is who somebody is: no two clients or connectors of the PoP may share one.
static void
check_keys(struct sl_loader *l)
{
	static const struct sl_public_key none;
	const struct sl_config *config = l->config;
	struct item *items;
	unsigned nb = 0;

	for (unsigned i = 0; i < config->nb_tenants; i++) {
		nb += config->tenants[i].nb_clients;
		for (unsigned j = 0; j < config->tenants[i].nb_networks; j++)
			nb += config->tenants[i].networks[j].nb_connectors;
	}
	items = sl_arena_alloc(l->arena, nb + 1, sizeof(*items));
	nb = 0;
	for (unsigned i = 0; i < config->nb_tenants; i++) {
		const struct sl_config_tenant *t = &config->tenants[i];

		for (unsigned j = 0; j < t->nb_clients; j++)
			if (t->clients[j].is_wireguard) {
				const struct sl_config_client *c = &t->clients[j];

				items[nb] = (struct item){ &c->public_key, c->where, c->name, nb };
				nb++;
			}
		for (unsigned j = 0; j < t->nb_networks; j++)
			for (unsigned k = 0; k < t->networks[j].nb_connectors; k++) {
				const struct sl_config_connector *c = &t->networks[j].connectors[k];

				items[nb] = (struct item){ &c->public_key, c->where, c->name, nb };
				nb++;
			}
	}
	qsort(items, nb, sizeof(*items), compare_key);
	for (unsigned i = 1; i < nb; i++)
		if (memcmp(items[i].key, items[i - 1].key, SL_KEY_BYTES) == 0 &&
		    memcmp(items[i].key, &none, SL_KEY_BYTES) != 0)
			sl_config_error(
				l->errors,
				items[i].where,
				"'%s' has the same public_key as '%s' at line %u|every client and "
				"connector has its own",
				items[i].name == NULL ? "?" : items[i].name,
				items[i - 1].name == NULL ? "?" : items[i - 1].name,
				items[i - 1].where.line
			);
}

// Plain clients of the whole PoP and WireGuard clients of a tenant, by where their packets come from.
struct source {
	uint32_t scope; // port and VLAN, or a tenant
	uint32_t low, high;
	const struct sl_config_client *client;
};

static int
compare_source(const void *a, const void *b)
{
	const struct source *x = a;
	const struct source *y = b;

	if (x->scope != y->scope)
		return x->scope < y->scope ? -1 : 1;
	if (x->low != y->low)
		return x->low < y->low ? -1 : 1;
	return x->client->where.line < y->client->where.line ? -1 : 1;
}

static void
complain_overlaps(struct sl_loader *l, struct source *sources, unsigned nb, const char *what)
{
	unsigned widest = 0;

	qsort(sources, nb, sizeof(*sources), compare_source);
	for (unsigned i = 1; i < nb; i++) {
		const struct sl_config_client *a = sources[widest].client;
		const struct sl_config_client *b = sources[i].client;

		if (sources[widest].scope == sources[i].scope &&
		    sources[i].low <= sources[widest].high) {
			sl_config_error(
				l->errors,
				b->where,
				"clients '%s' (line %u) and '%s' share %s|give them addresses that "
				"do not overlap",
				a->name,
				a->where.line,
				b->name,
				what
			);
			if (sources[i].high <= sources[widest].high)
				continue;
		}
		widest = i;
	}
}

static void
check_sources(struct sl_loader *l)
{
	const struct sl_config *config = l->config;
	struct source *plain;
	struct source *inner;
	unsigned nb = 0;
	unsigned nb_plain = 0;
	unsigned nb_inner = 0;

	for (unsigned i = 0; i < config->nb_tenants; i++)
		nb += config->tenants[i].nb_clients;
	plain = sl_arena_alloc(l->arena, nb + 1, sizeof(*plain));
	inner = sl_arena_alloc(l->arena, nb + 1, sizeof(*inner));
	for (unsigned i = 0; i < config->nb_tenants; i++)
		for (unsigned j = 0; j < config->tenants[i].nb_clients; j++) {
			const struct sl_config_client *c = &config->tenants[i].clients[j];
			uint32_t scope = (uint32_t)c->port_idx << 16 | c->vlan;
			uint32_t rest = ~sl_prefix_mask(c->source.length);

			if (c->is_wireguard && c->address != 0)
				inner[nb_inner++] = (struct source){ i, c->address, c->address, c };
			else if (!c->is_wireguard && c->source.address != 0)
				plain[nb_plain++] = (struct source
				){ scope, c->source.address, c->source.address | rest, c };
		}
	complain_overlaps(l, plain, nb_plain, "a source on one port and VLAN");
	complain_overlaps(l, inner, nb_inner, "an inner address");
}

// What a prefix of the file must keep clear of. The sentence, or NULL.
static const char *
collision(const struct sl_config *config, struct sl_config_prefix p)
{
	if (sl_prefix_overlaps(p, config->dns.pool))
		return "the pool of assigned addresses";
	for (unsigned i = 0; i < config->dns.resolvers.nb; i++)
		if (sl_prefix_covers(p, config->dns.resolvers.list[i]))
			return "a resolver address";
	for (unsigned i = 0; i < config->nb_ports; i++)
		if (config->ports[i].address.length != 0 &&
		    sl_prefix_covers(p, config->ports[i].address.address))
			return i == config->tunnel.port_idx ? "the underlay address of the tunnel"
							    : "an address of this PoP";
	return NULL;
}

static void
check_prefixes(struct sl_loader *l, const struct sl_config_tenant *t)
{
	char shown[SL_TEXT_PREFIX_CHARS];

	for (unsigned i = 0; i < t->nb_resources; i++) {
		const struct sl_config_resource *r = &t->resources[i];

		for (unsigned j = 0; j < r->prefixes.nb; j++) {
			const char *with = collision(l->config, r->prefixes.list[j]);

			if (with != NULL)
				sl_config_error(
					l->errors,
					r->where,
					"resource '%s': %s covers %s|narrow the prefix",
					r->name,
					sl_text_show_prefix(r->prefixes.list[j], shown),
					with
				);
		}
	}
}

static void
check_client_addresses(struct sl_loader *l, const struct sl_config_tenant *t)
{
	const struct sl_config_dns *dns = &l->config->dns;

	for (unsigned i = 0; i < t->nb_clients; i++) {
		const struct sl_config_client *c = &t->clients[i];
		struct sl_config_prefix p = { c->address, 32 };
		const char *with = NULL;

		if (c->is_wireguard && c->address != 0)
			with = collision(l->config, p);
		else if (!c->is_wireguard && c->source.address != 0 && sl_prefix_overlaps(c->source, dns->pool))
			with = "the pool of assigned addresses";
		if (with != NULL)
			sl_config_error(
				l->errors,
				c->where,
				"the address of client '%s' collides with %s|give it another",
				c->name,
				with
			);
	}
}

static void
check_tenant_pair(
	struct sl_loader *l, const struct sl_config_tenant *a, const struct sl_config_tenant *b
)
{
	if (strcmp(a->name, b->name) == 0 && strcmp(a->name, "?") != 0)
		sl_config_error(
			l->errors,
			b->where,
			"tenant '%s' is defined twice, first at line %u|rename one of them",
			b->name,
			a->where.line
		);
	if (a->id == b->id && a->id != 0)
		sl_config_error(
			l->errors,
			b->where,
			"tenants '%s' and '%s' have the same id %u|give each its own and never "
			"reuse one",
			a->name,
			b->name,
			b->id
		);
}

void
sl_check_tenants(struct sl_loader *l)
{
	const struct sl_config *config = l->config;

	for (unsigned i = 0; i < config->nb_tenants; i++) {
		const struct sl_config_tenant *t = &config->tenants[i];

		for (unsigned j = 0; j < i; j++)
			check_tenant_pair(l, &config->tenants[j], t);
		check_names(l, t);
		check_connectors(l, t);
		check_prefixes(l, t);
		check_client_addresses(l, t);
	}
	check_keys(l);
	check_sources(l);
}
