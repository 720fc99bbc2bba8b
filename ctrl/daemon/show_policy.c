// show clients, resources, names, sessions: who may reach what, under which address and by whom.
#include "show.h"

#include <rte_byteorder.h>

#include <sluice/dns/addresses.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_SHOWN_MAX 1000u

// ---- Clients -------------------------------------------------------------------------------------------

static json_t *
client_source(const struct sl_client *c)
{
	uint32_t a = rte_be_to_cpu_32(c->address);

	return json_sprintf(
		"%u.%u.%u.%u/%u", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255, c->prefix_bits
	);
}

// "clients", or "clients.17" for a VLAN, or the state of a WireGuard client's session.
static json_t *
client_way(const struct daemon *d, const struct sl_client *c)
{
	const struct sl_session *s;

	if (c->session == SL_NO_SESSION)
		return c->vlan == 0
			? json_string(d->config->ports[c->port].name)
			: json_sprintf("%s.%u", d->config->ports[c->port].name, c->vlan);
	if (c->session >= d->sessions.nb_sessions)
		return json_string("WireGuard, down");
	s = &d->sessions.sessions[c->session];
	return json_string(atomic_load(&s->current) == NULL ? "WireGuard, down" : "WireGuard, up");
}

// Those of the file and those that were added at run time.
void
show_clients(void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words)
{
	static const struct sl_column columns[] = {
		SHOW_LEFT("name"),   SHOW_LEFT("tenant"), SHOW_LEFT("address"),
		SHOW_LEFT("enters"), SHOW_LEFT("groups"),
	};
	struct daemon *d = arg;
	json_t *table = sl_json_table("clients", columns, RTE_DIM(columns));

	(void)nb_words;
	(void)words;
	for (uint32_t id = 0; id < d->snapshot->dp.nb_clients; id++) {
		const struct sl_client *c = &d->snapshot->dp.clients[id];
		const struct sl_config_tenant *tenant;
		char *groups;

		if (!c->is_live)
			continue;
		tenant = &d->config->tenants[c->tenant];
		groups = show_groups(tenant, c->groups);
		sl_json_row(
			table,
			"ssoos",
			c->name,
			tenant->name,
			client_source(c),
			client_way(d, c),
			groups == NULL ? "?" : groups
		);
		free(groups);
	}
	sl_api_reply(request, table);
}

// ---- Resources -----------------------------------------------------------------------------------------

// What it matches, as one text.
static json_t *
patterns(const struct sl_config_strings *names, const struct sl_config_prefixes *prefixes)
{
	char *text = NULL;
	size_t nb_bytes;
	FILE *f = open_memstream(&text, &nb_bytes);
	const char *gap = "";
	json_t *value;

	if (f == NULL)
		return json_null();
	for (unsigned i = 0; i < names->nb; i++, gap = " ")
		fprintf(f, "%s%s", gap, names->list[i]);
	for (unsigned i = 0; i < prefixes->nb; i++, gap = " ") {
		const struct sl_config_prefix *p = &prefixes->list[i];

		fprintf(f,
			"%s%u.%u.%u.%u/%u",
			gap,
			p->address >> 24,
			p->address >> 16 & 255,
			p->address >> 8 & 255,
			p->address & 255,
			p->length);
	}
	fclose(f);
	value = sl_json_str(text);
	free(text);
	return value;
}

// A connector has no resources but a list of what it lets PoPs reach.
static void
show_allowed(const struct daemon *d, json_t *table)
{
	const struct sl_config_connector_role *role = &d->config->connector;

	for (unsigned i = 0; i < role->nb_allow; i++) {
		char *services = show_services(&role->allow[i].services);

		sl_json_row(
			table,
			"soss??",
			"allow",
			patterns(&role->allow[i].patterns, &role->allow[i].prefixes),
			services == NULL ? "?" : services,
			role->tenant == NULL ? "-" : role->tenant,
			NULL,
			NULL
		);
		free(services);
	}
	if (role->nb_allow == 0)
		sl_json_note(table, "This connector lets its PoPs reach whatever its network has.");
}

void
show_resources(
	void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words
)
{
	static const struct sl_column columns[] = {
		SHOW_LEFT("name"),   SHOW_LEFT("matches"), SHOW_LEFT("services"),
		SHOW_LEFT("tenant"), SHOW_LEFT("groups"),  SHOW_LEFT("network"),
	};
	struct daemon *d = arg;
	json_t *table = sl_json_table("resources", columns, RTE_DIM(columns));

	(void)nb_words;
	(void)words;
	for (unsigned t = 0; t < d->config->nb_tenants; t++) {
		const struct sl_config_tenant *tenant = &d->config->tenants[t];

		for (unsigned i = 0; i < tenant->nb_resources; i++) {
			const struct sl_config_resource *r = &tenant->resources[i];
			char *groups = show_groups(tenant, r->groups);
			char *services = show_services(&r->services);

			sl_json_row(
				table,
				"sossss",
				r->name,
				patterns(&r->patterns, &r->prefixes),
				services == NULL ? "?" : services,
				tenant->name,
				groups == NULL ? "?" : groups,
				tenant->networks[r->network_idx].name
			);
			free(groups);
			free(services);
		}
	}
	if (d->config->node.role == SL_ROLE_CONNECTOR)
		show_allowed(d, table);
	sl_api_reply(request, table);
}

// ---- Names ---------------------------------------------------------------------------------------------

static void
name_row(struct daemon *d, json_t *table, unsigned t, uint32_t id, const char *text)
{
	static const char *const states[] = {
		"free", "waiting for disk", "live", "draining", "resting"
	};
	const struct sl_addresses *addresses = sl_service_addresses(d->service, t);
	uint64_t now_s = sl_clock_ns(&d->clock) / SL_NS_PER_S;
	struct sl_name_info info;

	if (!sl_addresses_info(addresses, id, &info) || info.state == SL_NAME_FREE ||
	    info.state >= RTE_DIM(states))
		return;
	sl_json_row(
		table,
		"soosoos",
		text,
		sl_json_ip4(info.address),
		json_string(states[info.state]),
		info.is_wildcard ? "wildcard" : "exact",
		info.used_s == 0 || info.used_s > now_s
			? json_null()
			: json_integer((json_int_t)(now_s - info.used_s)),
		info.client == UINT32_MAX ? json_null() : json_string(show_client(d, info.client)),
		show_tenant(d, t)
	);
}

void
show_names(void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words)
{
	static const struct sl_column columns[] = {
		SHOW_LEFT("name"),   SHOW_LEFT("address"),    SHOW_LEFT("state"),
		SHOW_LEFT("kind"),   SHOW_RIGHT("used", "s"), SHOW_LEFT("asked_by"),
		SHOW_LEFT("tenant"),
	};
	struct daemon *d = arg;
	json_t *table = sl_json_table("names", columns, RTE_DIM(columns));
	unsigned nb_shown = 0, nb_more = 0;

	for (unsigned t = 0; t < d->snapshot->dp.nb_tenants; t++) {
		const struct sl_addresses *addresses = sl_service_addresses(d->service, t);
		uint32_t nb = addresses == NULL ? 0 : sl_addresses_nb_ids(addresses);

		for (uint32_t id = 0; id < nb; id++) {
			char text[SL_NAME_MAX_BYTES + 1];

			if (sl_addresses_text(addresses, id, text) == 0 ||
			    (nb_words != 0 && strstr(text, words[0]) == NULL))
				continue;
			if (nb_shown < NAMES_SHOWN_MAX) {
				name_row(d, table, t, id, text);
				nb_shown++;
			} else {
				nb_more++;
			}
		}
	}
	if (nb_more != 0)
		sl_json_note(
			table, "%u more: show names TEXT finds those that contain TEXT.", nb_more
		);
	if (d->config->node.role == SL_ROLE_CONNECTOR)
		sl_json_note(
			table,
			"Names have addresses on a PoP; show stats tells how the resolver does."
		);
	sl_api_reply(request, table);
}

// ---- Sessions ------------------------------------------------------------------------------------------

static json_t *
endpoint(const struct sl_lane_endpoint *e)
{
	const uint8_t *a = (const uint8_t *)&e->remote;

	if (e->remote == 0)
		return json_null();
	return json_sprintf(
		"%u.%u.%u.%u:%u", a[0], a[1], a[2], a[3], rte_be_to_cpu_16(e->remote_port)
	);
}

// A client sends only when it has something to say: that it is not heard means nothing.
static const char *
session_state(struct daemon *d, const struct sl_session *s)
{
	if (atomic_load(&s->kind) != SL_SESSION_CLIENT)
		return show_peer_state(d, s);
	return atomic_load(&s->current) != NULL ? "up" : "down";
}

// A copy of the lane that is shown: a client's own, of a tunnel the first that has been heard.
static struct sl_lane_endpoint
shown_lane(const struct sl_session *s)
{
	struct sl_lane_endpoint lane = *sl_session_lane(s);
	unsigned nb_lanes = RTE_MIN(s->nb_lanes, SL_WIRE_MAX_LANES);

	for (unsigned l = 0; l < nb_lanes && lane.remote == 0; l++)
		lane = s->lanes[l];
	return lane;
}

static void
session_row(struct daemon *d, json_t *table, const struct sl_session *s)
{
	bool is_tunnel = atomic_load(&s->kind) != SL_SESSION_CLIENT;
	struct sl_lane_endpoint lane = shown_lane(s);
	uint64_t sealed = 0, opened = 0;
	unsigned nb_lanes = RTE_MIN(s->nb_lanes, SL_WIRE_MAX_LANES);

	for (unsigned l = 0; l < nb_lanes; l++) {
		sealed += s->lanes[l].sealed_pkts;
		opened += s->lanes[l].opened_pkts;
	}
	sl_json_row(
		table,
		"sssooiioII",
		s->name,
		is_tunnel && d->config->nb_tenants != 0 ? show_network(d, s->network) : "-",
		session_state(d, s),
		show_age(d, atomic_load(&s->established_ns)),
		endpoint(&lane),
		is_tunnel ? nb_lanes : 1,
		lane.mtu_bytes,
		show_age(d, lane.heard_ns),
		(json_int_t)sealed,
		(json_int_t)opened
	);
}

void
show_sessions(
	void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words
)
{
	static const struct sl_column columns[] = {
		SHOW_LEFT("peer"),
		SHOW_LEFT("network"),
		SHOW_LEFT("state"),
		SHOW_RIGHT("age", "s"),
		SHOW_LEFT("remote"),
		SHOW_RIGHT("lanes", ""),
		SHOW_RIGHT("mtu", ""),
		SHOW_RIGHT("heard", "s"),
		SHOW_RIGHT("sealed", "pkts"),
		SHOW_RIGHT("opened", "pkts"),
	};
	struct daemon *d = arg;
	json_t *table = sl_json_table("sessions", columns, RTE_DIM(columns));

	(void)nb_words;
	(void)words;
	for (uint32_t i = 0; i < d->sessions.nb_sessions; i++)
		if (d->sessions.sessions[i].name[0] != '\0')
			session_row(d, table, &d->sessions.sessions[i]);
	sl_api_reply(request, table);
}
