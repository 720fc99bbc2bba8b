// WireGuard clients in a snapshot: those that were added at run time beside those of the file, and the
// session of each.
#include "daemon.h"

#include <rte_byteorder.h>

#include <errno.h>
#include <sluice/ctrl/log.h>
#include <stdlib.h>
#include <string.h>

bool
wireguard_is_served(const struct sl_config *config)
{
	return config->node.role == SL_ROLE_POP && config->wireguard.udp_port != 0;
}

struct loading {
	struct snapshot *snapshot;
	size_t room;
	bool is_short; // of memory
};

static void
take_added(void *arg, const struct sl_store_client *client)
{
	struct loading *l = arg;
	struct snapshot *s = l->snapshot;
	unsigned nb = s->nb_added;

	if (nb == l->room) {
		size_t room = l->room == 0 ? 16 : 2 * l->room;
		struct sl_store_client *grown = calloc(room, sizeof(*grown));

		if (grown == NULL) {
			l->is_short = true;
			return;
		}
		// Not realloc(): it would leave secrets behind.
		if (s->nb_added != 0)
			memcpy(grown, s->added, nb * sizeof(*grown));
		wireguard_free(s);
		s->added = grown;
		s->nb_added = nb;
		l->room = room;
	}
	s->added[s->nb_added++] = *client;
}

void
wireguard_free(struct snapshot *s)
{
	if (s->added != NULL)
		sl_wipe(s->added, s->nb_added * sizeof(*s->added));
	free(s->added);
	s->added = NULL;
	s->nb_added = 0;
}

unsigned
wireguard_tenant(const struct sl_config *config, const char *name)
{
	unsigned t = 0;

	while (t < config->nb_tenants && strcmp(config->tenants[t].name, name) != 0)
		t++;
	return t;
}

bool
wireguard_groups(const struct sl_config_tenant *tenant, const char *names, uint64_t *groups)
{
	bool all_known = true;

	*groups = 0;
	while (*names != '\0') {
		size_t nb = strcspn(names, " ,");
		unsigned g = 0;

		while (g < tenant->groups.nb &&
		       (strlen(tenant->groups.list[g]) != nb ||
			strncmp(tenant->groups.list[g], names, nb) != 0))
			g++;
		if (g < tenant->groups.nb)
			*groups |= 1ull << g;
		else if (nb != 0)
			all_known = false;
		names += nb;
		names += *names != '\0';
	}
	return all_known;
}

int
wireguard_load(struct daemon *d, struct snapshot *s)
{
	struct loading l = { .snapshot = s };

	if (!wireguard_is_served(s->config))
		return 0;
	if (sl_store_clients(d->store, take_added, &l) < 0)
		return -EIO;
	for (unsigned i = 0; i < s->nb_added; i++) {
		unsigned t = wireguard_tenant(s->config, s->added[i].tenant);

		if (t < s->config->nb_tenants &&
		    registry_id(d->ids, ID_CLIENT, t, s->added[i].name) == UINT32_MAX)
			return -ENOMEM;
	}
	return l.is_short ? -ENOMEM : 0;
}

// The file's word on a name goes before what was added.
static void
fill_added(struct daemon *d, struct snapshot *s, const struct sl_store_client *from)
{
	unsigned t = wireguard_tenant(s->config, from->tenant);
	struct sl_client *client;
	uint64_t groups;

	if (t == s->config->nb_tenants) {
		sl_log(SL_LOG_WARNING,
		       "client-without-tenant",
		       "client %s was added to tenant %s, which is configured no more",
		       from->name,
		       from->tenant);
		return;
	}
	client = &s->clients[registry_id(d->ids, ID_CLIENT, t, from->name)];
	if (client->is_live)
		return;
	wireguard_groups(&s->config->tenants[t], from->groups, &groups);
	*client = (struct sl_client){ .is_live = true,
				      .tenant = (uint16_t)t,
				      .session = SL_NO_SESSION,
				      .groups = groups,
				      .address = rte_cpu_to_be_32(from->address),
				      .prefix_bits = 32,
				      .name = from->name };
}

void
wireguard_fill(struct daemon *d, struct snapshot *s)
{
	for (unsigned i = 0; i < s->nb_added; i++)
		fill_added(d, s, &s->added[i]);
}

// Give client `id` a session and the session thread its key.
static struct sl_service_peer *
add_session(struct daemon *d, struct snapshot *s, uint32_t id, const struct sl_public_key *key)
{
	struct sl_client *client = &s->clients[id];
	struct sl_service_peer *p = snapshot_add_peer(s, client->name, key);
	char name[128];

	if (p == NULL)
		return NULL;
	// No network has a colon in its name, so no connector's session is called this.
	snprintf(name, sizeof(name), ":%s", client->name);
	p->session = registry_id(d->ids, ID_SESSION, client->tenant, name);
	p->client = id;
	p->tenant = client->tenant;
	p->inner = rte_be_to_cpu_32(client->address);
	client->session = p->session;
	if (p->session < d->sessions.nb_sessions)
		return p;
	sl_log(SL_LOG_ERROR,
	       "too-many-sessions",
	       "client %s has no place; raise limits.sessions",
	       client->name);
	client->is_live = false;
	return p;
}

static int
config_sessions(struct daemon *d, struct snapshot *s, unsigned t)
{
	const struct sl_config_tenant *tenant = &s->config->tenants[t];

	for (unsigned i = 0; i < tenant->nb_clients; i++) {
		const struct sl_config_client *c = &tenant->clients[i];
		struct sl_service_peer *p;

		if (!c->is_wireguard)
			continue;
		p = add_session(d, s, registry_id(d->ids, ID_CLIENT, t, c->name), &c->public_key);
		if (p == NULL || snapshot_load_psk(d, p, c->psk_file) != 0)
			return -ENOMEM;
	}
	return 0;
}

int
wireguard_sessions(struct daemon *d, struct snapshot *s)
{
	static const uint8_t none[32];
	int ret = 0;

	if (!wireguard_is_served(s->config))
		return 0;
	for (unsigned t = 0; ret == 0 && t < s->config->nb_tenants; t++)
		ret = config_sessions(d, s, t);
	for (unsigned i = 0; ret == 0 && i < s->nb_added; i++) {
		const struct sl_store_client *from = &s->added[i];
		unsigned t = wireguard_tenant(s->config, from->tenant);
		struct sl_public_key key;
		struct sl_service_peer *p;
		uint32_t id;

		if (t == s->config->nb_tenants)
			continue;
		id = registry_id(d->ids, ID_CLIENT, t, from->name);
		if (s->clients[id].name != from->name)
			continue; // the file's
		memcpy(key.bytes, from->public_key, sizeof(key.bytes));
		p = add_session(d, s, id, &key);
		if (p == NULL)
			return -ENOMEM;
		p->has_psk = memcmp(from->psk, none, sizeof(none)) != 0;
		memcpy(p->psk, from->psk, sizeof(p->psk));
	}
	return ret;
}
