// snapshot: from a configuration to what workers read. Ids come from the registry, so what a flow
// holds means the same before and after a reload; what went away stays as an entry that is not live.
#include "daemon.h"

#include <errno.h>
#include <sluice/ctrl/compile.h>
#include <sluice/dp/plain.h>
#include <sluice/dp/quota.h>
#include <sluice/proto/flowkey.h>
#include <stdlib.h>
#include <string.h>

// The other ends of sessions: connectors on a PoP, PoPs on a connector.
#define LANE_PORTS_A_PEER SL_WIRE_MAX_LANES

struct sl_service_peer *
snapshot_add_peer(struct snapshot *s, const char *name, const struct sl_public_key *public_key)
{
	struct sl_service_peer *grown = realloc(s->peers, (s->nb_peers + 1) * sizeof(*s->peers)),
			       *p;

	if (grown == NULL)
		return NULL;
	s->peers = grown;
	p = &s->peers[s->nb_peers++];
	*p = (struct sl_service_peer){ .weight = 1 };
	snprintf(p->name, sizeof(p->name), "%s", name);
	memcpy(p->public_key, public_key->bytes, sizeof(p->public_key));
	return p;
}

int
snapshot_load_psk(const struct daemon *d, struct sl_service_peer *p, const char *path)
{
	const struct snapshot *before = d->snapshot;
	struct sl_preshared_key psk;
	int ret;

	if (path == NULL)
		return 0;
	ret = sl_psk_load(path, &psk, NULL);
	p->has_psk = ret == 0;
	memcpy(p->psk, psk.bytes, sizeof(p->psk));
	sl_wipe(&psk, sizeof(psk));
	for (unsigned i = 0; ret != 0 && before != NULL && i < before->nb_peers; i++) {
		const struct sl_service_peer *q = &before->peers[i];

		if (!q->has_psk || memcmp(p->public_key, q->public_key, sizeof(p->public_key)) != 0)
			continue;
		memcpy(p->psk, q->psk, sizeof(p->psk));
		p->has_psk = true;
		ret = 0;
	}
	return ret;
}

static uint32_t
session_id(struct daemon *d, unsigned t, const struct sl_config_network *n, unsigned c)
{
	char name[256];

	snprintf(name, sizeof(name), "%s/%s", n->name, n->connectors[c].name);
	return registry_id(d->ids, ID_SESSION, t, name);
}

// Networks and the sessions of their connectors; `ids` becomes the id of each by its index.
static int
fill_networks(struct daemon *d, struct snapshot *s, unsigned t, uint32_t *ids)
{
	const struct sl_config_tenant *tenant = &s->config->tenants[t];

	for (unsigned i = 0; i < tenant->nb_networks; i++) {
		const struct sl_config_network *from = &tenant->networks[i];
		struct sl_network *to;

		ids[i] = registry_id(d->ids, ID_NETWORK, t, from->name);
		if (ids[i] >= s->dp.nb_networks)
			return -ENOMEM;
		to = &s->networks[ids[i]];
		to->name = from->name;
		to->tenant = (uint16_t)t;
		for (unsigned c = 0; c < from->nb_connectors && c < SL_NETWORK_PEERS; c++) {
			const struct sl_config_connector *connector = &from->connectors[c];
			struct sl_service_peer *p = snapshot_add_peer(
				s, connector->name, &connector->public_key
			);

			if (p == NULL || snapshot_load_psk(d, p, connector->psk_file) != 0)
				return -ENOMEM;
			p->session = session_id(d, t, from, c);
			p->tenant = (uint16_t)t;
			p->network = (uint16_t)ids[i];
			p->weight = connector->weight;
			to->sessions[to->nb_sessions++] = p->session;
		}
	}
	return 0;
}

static int
fill_policy(struct daemon *d, struct snapshot *s, unsigned t, struct sl_config_errors *errors)
{
	const struct sl_config_tenant *tenant = &s->config->tenants[t];
	uint32_t *networks = calloc(tenant->nb_networks + 1, sizeof(*networks));
	uint32_t *resources = calloc(tenant->nb_resources + 1, sizeof(*resources));
	struct sl_policy *policy = NULL;
	struct sl_compile how = { .generation = s->dp.generation,
				  .name_key = d->name_key,
				  .resource_ids = resources,
				  .network_ids = networks };
	int ret = -ENOMEM;

	if (networks != NULL && resources != NULL)
		ret = fill_networks(d, s, t, networks);
	for (unsigned i = 0; ret == 0 && i < tenant->nb_resources; i++)
		resources[i] = registry_id(d->ids, ID_RESOURCE, t, tenant->resources[i].name);
	if (ret == 0)
		ret = sl_compile_policy(s->config, t, &how, &policy, errors);
	s->tenants[t].policy = policy;
	free(networks);
	free(resources);
	return ret;
}

static int
fill_tenant(struct daemon *d, struct snapshot *s, unsigned t, struct sl_config_errors *errors)
{
	const struct sl_config_tenant *from = &s->config->tenants[t];
	struct sl_tenant *to = &s->tenants[t];
	uint8_t secret[SL_SECRET_BYTES];
	int ret;

	to->name = from->name;
	to->refuse_other_names = from->refuse_other;
	to->limits = (struct sl_limits){ .flows = from->limits.flows,
					 .new_flows_per_s = from->limits.new_flows_per_s,
					 .dns_per_s = from->limits.dns_per_s };
	to->client_limits = (struct sl_limits
	){ .flows = from->limits.client_flows,
	   .half_open = from->limits.client_half_open,
	   .new_flows_per_s = from->limits.client_new_flows_per_s,
	   .dns_per_s = from->limits.client_dns_per_s,
	   .dns_bytes_per_s = from->limits.client_dns_bytes_per_s,
	   .new_names_per_s = from->limits.client_new_names_per_s };
	to->addresses = sl_service_addresses(d->service, t);
	ret = sl_store_tenant_secret(d->store, from->id, secret);
	if (ret != 0)
		return ret;
	memcpy(to->flow_secret, secret + SL_SECRET_BYTES / 2, sizeof(to->flow_secret));
	sl_wipe(secret, sizeof(secret));
	return fill_policy(d, s, t, errors);
}

static void
fill_client(
	struct snapshot *s,
	unsigned t,
	const struct sl_config_client *from,
	uint32_t id,
	struct sl_plain_entry *plain,
	uint32_t *nb_plain
)
{
	s->clients[id] = (struct sl_client){
		.is_live = true,
		.tenant = (uint16_t)t,
		.session = SL_NO_SESSION,
		.groups = from->groups,
		.address = rte_cpu_to_be_32(
			from->is_wireguard ? from->address : from->source.address
		),
		.prefix_bits = from->is_wireguard ? 32 : from->source.length,
		.port = from->port_idx,
		.vlan = from->vlan,
		.name = from->name,
	};
	if (from->is_wireguard)
		return;
	plain[(*nb_plain)++] = (struct sl_plain_entry){
		.prefix = s->clients[id].address,
		.client = id,
		.port = from->port_idx,
		.vlan = from->vlan,
		.prefix_bits = from->source.length,
	};
}

static int
fill_clients(struct daemon *d, struct snapshot *s)
{
	uint32_t nb = 0, nb_plain = 0, nb_ids;
	struct sl_plain_entry *plain;

	// All ids first: the table is as long as the highest.
	for (unsigned t = 0; t < s->config->nb_tenants; t++)
		for (unsigned i = 0; i < s->config->tenants[t].nb_clients; i++, nb++)
			if (registry_id(
				    d->ids, ID_CLIENT, t, s->config->tenants[t].clients[i].name
			    ) == UINT32_MAX)
				return -ENOMEM;
	if (wireguard_load(d, s) != 0)
		return -EIO;
	nb_ids = registry_nb(d->ids, ID_CLIENT);
	s->clients = calloc(nb_ids, sizeof(*s->clients));
	s->ends = calloc(nb_ids, sizeof(*s->ends));
	plain = calloc(nb + 1, sizeof(*plain));
	if (s->clients == NULL || s->ends == NULL || plain == NULL) {
		free(plain);
		return -ENOMEM;
	}
	for (unsigned t = 0; t < s->config->nb_tenants; t++)
		for (unsigned i = 0; i < s->config->tenants[t].nb_clients; i++) {
			const struct sl_config_client *c = &s->config->tenants[t].clients[i];

			fill_client(
				s,
				t,
				c,
				registry_id(d->ids, ID_CLIENT, t, c->name),
				plain,
				&nb_plain
			);
		}
	wireguard_fill(d, s);
	s->dp.clients = s->clients;
	s->dp.ends = s->ends;
	s->dp.nb_clients = nb_ids;
	s->dp.plain = sl_plain_build(plain, nb_plain);
	free(plain);
	return s->dp.plain == NULL ? -ENOMEM : 0;
}

// A connector's allow list is a policy of one group.
static int
fill_allow(struct daemon *d, struct snapshot *s)
{
	const struct sl_config_connector_role *role = &s->config->connector;
	struct sl_policy_resource *rules;
	struct sl_policy_error error;
	struct sl_policy_spec spec = { .generation = s->dp.generation, .name_key = d->name_key };
	struct sl_policy *policy = NULL;
	int ret;

	if (s->config->node.role != SL_ROLE_CONNECTOR || role->nb_allow == 0)
		return 0;
	rules = calloc(role->nb_allow, sizeof(*rules));
	if (rules == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < role->nb_allow; i++) {
		const struct sl_config_allow *from = &role->allow[i];

		rules[i] = (struct sl_policy_resource){
			.id = i,
			.label = from->patterns.nb != 0 ? from->patterns.list[0] : "allow",
			.patterns = from->patterns.list,
			.nb_patterns = from->patterns.nb,
			.prefixes = (const struct sl_policy_prefix *)from->prefixes.list,
			.nb_prefixes = from->prefixes.nb,
			.tcp = (const struct sl_policy_range *)from->services.tcp.list,
			.nb_tcp = from->services.tcp.nb,
			.udp = (const struct sl_policy_range *)from->services.udp.list,
			.nb_udp = from->services.udp.nb,
			.icmp = from->services.icmp,
			.inherit = true,
			.groups = UINT64_MAX,
		};
	}
	spec.resources = rules;
	spec.nb_resources = role->nb_allow;
	ret = sl_policy_build(&spec, &policy, &error);
	s->dp.allow = policy;
	free(rules);
	return ret;
}

// The configuration's ranges and prefixes are the policy's under other names.
static_assert(sizeof(struct sl_config_port_range) == sizeof(struct sl_policy_range));
static_assert(sizeof(struct sl_config_prefix) == sizeof(struct sl_policy_prefix));

static int
fill_pops(struct daemon *d, struct snapshot *s)
{
	const struct sl_config_tunnel *tunnel = &s->config->tunnel;
	uint32_t own = s->config->ports[tunnel->port_idx].address.address;

	for (unsigned i = 0; i < tunnel->nb_peers; i++) {
		struct sl_service_peer *p = snapshot_add_peer(
			s, tunnel->peers[i].name, &tunnel->peers[i].public_key
		);

		if (p == NULL || snapshot_load_psk(d, p, tunnel->peers[i].psk_file) != 0)
			return -ENOMEM;
		p->session = registry_id(d->ids, ID_SESSION, 0, tunnel->peers[i].name);
		p->remote = tunnel->peers[i].endpoint.address;
		p->remote_port = tunnel->peers[i].endpoint.port;
		p->local = own;
		p->local_port = (uint16_t)(tunnel->udp_port + i * LANE_PORTS_A_PEER);
	}
	return 0;
}

// What a client is known by over restarts: its name and, with WireGuard, its key.
static uint64_t
mark_of(const struct snapshot *s, const struct sl_client *client, const uint8_t *public_key)
{
	uint8_t message[6 + 32 + 256] = "client", mark[16];
	size_t nb_bytes = strnlen(client->name, 256);
	uint64_t word;

	if (public_key != NULL)
		memcpy(message + 6, public_key, 32);
	memcpy(message + 38, client->name, nb_bytes);
	sl_siphash128(s->tenants[client->tenant].flow_secret, message, 38 + nb_bytes, mark);
	memcpy(&word, mark, sizeof(word));
	return word;
}

static void
mark_clients(struct snapshot *s)
{
	for (uint32_t id = 0; id < s->dp.nb_clients; id++)
		if (s->clients[id].is_live)
			s->clients[id].mark = mark_of(s, &s->clients[id], NULL);
	for (unsigned i = 0; i < s->nb_peers; i++) {
		const struct sl_service_peer *p = &s->peers[i];

		if (p->client != SL_NO_CLIENT && p->client < s->dp.nb_clients)
			s->clients[p->client].mark = mark_of(
				s, &s->clients[p->client], p->public_key
			);
	}
}

static int
fill(struct daemon *d, struct snapshot *s, struct sl_config_errors *errors)
{
	unsigned nb_networks = registry_nb(d->ids, ID_NETWORK);
	int ret;

	for (unsigned t = 0; t < s->config->nb_tenants; t++)
		nb_networks += s->config->tenants[t].nb_networks;
	s->tenants = calloc(s->config->nb_tenants + 1, sizeof(*s->tenants));
	s->networks = calloc(nb_networks + 1, sizeof(*s->networks));
	if (s->tenants == NULL || s->networks == NULL)
		return -ENOMEM;
	s->dp.tenants = s->tenants;
	s->dp.nb_tenants = (uint16_t)s->config->nb_tenants;
	s->dp.networks = s->networks;
	s->dp.nb_networks = (uint16_t)nb_networks;
	ret = fill_clients(d, s);
	for (unsigned t = 0; ret == 0 && t < s->config->nb_tenants; t++)
		ret = fill_tenant(d, s, t, errors);
	if (ret == 0)
		ret = sl_quota_reserve(d->dp, s->dp.nb_clients, s->dp.nb_tenants);
	if (ret == 0)
		ret = fill_pops(d, s);
	if (ret == 0)
		ret = wireguard_sessions(d, s);
	// Now that every client has its session.
	if (ret == 0)
		sl_client_ends_fill(s->ends, s->clients, s->dp.nb_clients);
	if (ret == 0)
		mark_clients(s);
	return ret == 0 ? fill_allow(d, s) : ret;
}

struct snapshot *
snapshot_build(
	struct daemon *d,
	struct sl_config *config,
	uint32_t generation,
	struct sl_config_errors *errors
)
{
	struct snapshot *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		sl_config_free(config);
		return NULL;
	}
	s->config = config;
	s->dp.generation = generation;
	if (fill(d, s, errors) == 0)
		return s;
	snapshot_free(s);
	return NULL;
}

void
snapshot_free(struct snapshot *s)
{
	if (s == NULL)
		return;
	for (unsigned t = 0; s->tenants != NULL && t < s->dp.nb_tenants; t++)
		sl_policy_free((struct sl_policy *)(uintptr_t)s->tenants[t].policy);
	sl_policy_free((struct sl_policy *)(uintptr_t)s->dp.allow);
	sl_plain_free((struct sl_plain_clients *)(uintptr_t)s->dp.plain);
	free(s->clients);
	free(s->ends);
	free(s->tenants);
	free(s->networks);
	if (s->peers != NULL)
		sl_wipe(s->peers, s->nb_peers * sizeof(*s->peers));
	free(s->peers);
	wireguard_free(s);
	sl_config_free(s->config);
	free(s);
}

int
snapshot_return(struct daemon *d, struct snapshot *from, uint32_t generation)
{
	struct snapshot *next = calloc(1, sizeof(*next)), *in_force = d->snapshot;
	struct sl_config_errors errors = { 0 };
	int ret;

	if (next == NULL)
		return -ENOMEM;
	next->config = from->config;
	next->dp.generation = generation;
	// Preshared keys that only root can read come from where the configuration does.
	d->snapshot = from;
	ret = fill(d, next, &errors);
	d->snapshot = in_force;
	sl_config_errors_free(&errors);
	if (ret != 0) {
		next->config = NULL; // stays where it is
		snapshot_free(next);
		return ret;
	}
	from->config = NULL;
	ret = daemon_adopt(d, next);
	if (ret != 0)
		from->config = next->config;
	return ret;
}

int
snapshot_renew(struct daemon *d)
{
	return snapshot_return(d, d->snapshot, d->snapshot->dp.generation);
}
