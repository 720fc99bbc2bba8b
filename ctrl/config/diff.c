// diff: what a reload would change. Each part of the tree is written out as text, references by name,
// and the texts are compared: order and wording of the file do not count, only what it says.
#include "errors.h"

#include <stdlib.h>
#include <string.h>

typedef void (*writer)(FILE *to, const struct sl_config *c);

static const char *
text(const char *s)
{
	return s == NULL ? "-" : s;
}

static void
write_node(FILE *to, const struct sl_config *c)
{
	fprintf(to, "%s %d %s", text(c->node.name), c->node.role, text(c->node.key_file));
}

static void
write_ports(FILE *to, const struct sl_config *c)
{
	for (unsigned i = 0; i < c->nb_ports; i++) {
		const struct sl_config_port *p = &c->ports[i];

		fprintf(to,
			"%s %s %x/%u %x ",
			p->name,
			p->device,
			p->address.address,
			p->address.length,
			p->gateway);
		fprintf(to, "%u %u %u %d\n", p->vlan, p->mtu, p->nb_queues, p->faces_clients);
	}
}

static void
write_routes(FILE *to, const struct sl_config *c)
{
	for (unsigned i = 0; i < c->nb_routes; i++)
		fprintf(to,
			"%x/%u %x %u\n",
			c->routes[i].prefix.address,
			c->routes[i].prefix.length,
			c->routes[i].via,
			c->routes[i].port_idx);
}

static void
write_workers(FILE *to, const struct sl_config *c)
{
	fprintf(to, "%d", c->workers.idle);
	for (unsigned i = 0; i < c->workers.nb_cores; i++)
		fprintf(to, " %u", c->workers.cores[i]);
}

static void
write_key(FILE *to, const struct sl_public_key *key, const char *psk_file)
{
	char base64[SL_KEY_BASE64_CHARS + 1];

	sl_key_to_base64(key->bytes, base64);
	fprintf(to, " %s %s\n", base64, text(psk_file));
}

static void
write_tunnel(FILE *to, const struct sl_config *c)
{
	const struct sl_config_tunnel *t = &c->tunnel;

	fprintf(to, "%u %u %u %d\n", t->udp_port, t->port_idx, t->nb_lanes, t->udp_checksum);
	for (unsigned i = 0; i < t->nb_peers; i++) {
		const struct sl_config_peer *p = &t->peers[i];

		fprintf(to, "%s %x:%u", p->name, p->endpoint.address, p->endpoint.port);
		write_key(to, &p->public_key, p->psk_file);
	}
}

static void
write_prefixes(FILE *to, const struct sl_config_prefixes *prefixes)
{
	for (unsigned i = 0; i < prefixes->nb; i++)
		fprintf(to, " %x/%u", prefixes->list[i].address, prefixes->list[i].length);
	fputc('\n', to);
}

static void
write_strings(FILE *to, const struct sl_config_strings *strings)
{
	for (unsigned i = 0; i < strings->nb; i++)
		fprintf(to, " %s", strings->list[i]);
	fputc('\n', to);
}

static void
write_wireguard(FILE *to, const struct sl_config *c)
{
	const struct sl_config_wireguard *w = &c->wireguard;

	fprintf(to,
		"%u %u %u %s %s",
		w->udp_port,
		w->port_idx,
		w->mtu,
		text(w->key_file),
		text(w->endpoint));
	write_prefixes(to, &w->pools);
}

static void
write_dns_fixed(FILE *to, const struct sl_config *c)
{
	for (unsigned i = 0; i < c->dns.resolvers.nb; i++)
		fprintf(to, "%x ", c->dns.resolvers.list[i]);
	fprintf(to,
		"%x/%u %u %d %d %u %d",
		c->dns.pool.address,
		c->dns.pool.length,
		c->dns.quarantine_s,
		c->dns.tcp,
		c->dns.tls,
		c->dns.tcp_connections,
		c->dns.tls_cert_file != NULL);
}

static void
write_upstreams(FILE *to, const struct sl_config_upstreams *u)
{
	fprintf(to, "%d", u->mode);
	for (unsigned i = 0; i < u->nb; i++)
		fprintf(to,
			" %x:%u %s %s",
			u->list[i].endpoint.address,
			u->list[i].endpoint.port,
			text(u->list[i].tls_name),
			text(u->list[i].tls_pin));
	fputc('\n', to);
}

static void
write_dns(FILE *to, const struct sl_config *c)
{
	fprintf(to, "%u %d %d ", c->dns.ttl_s, c->dns.refuse_other, c->dns.canary);
	fprintf(to, "%u %u ", c->dns.tcp_client_connections, c->dns.tcp_idle_s);
	fprintf(to, "%s %s ", text(c->dns.tls_cert_file), text(c->dns.tls_key_file));
	write_upstreams(to, &c->dns.upstreams);
}

static void
write_limits(FILE *to, const struct sl_config *c)
{
	fprintf(to,
		"%u %u %u %u",
		c->limits.flows,
		c->limits.names,
		c->limits.sessions,
		c->limits.mbufs);
}

static void
write_timers(FILE *to, const struct sl_config *c)
{
	const uint32_t *timers = (const uint32_t *)&c->timers;

	for (unsigned i = 0; i < sizeof(c->timers) / sizeof(*timers); i++)
		fprintf(to, "%u ", timers[i]);
}

static void
write_system_fixed(FILE *to, const struct sl_config *c)
{
	fprintf(to,
		"%s %s %s %x:%u %d %u",
		c->system.state_dir,
		c->system.control_socket,
		c->system.user,
		c->system.metrics.address,
		c->system.metrics.port,
		c->system.seccomp,
		c->system.memory_mb);
}

static void
write_system(FILE *to, const struct sl_config *c)
{
	fprintf(to,
		"%d %s %u",
		c->system.log_level,
		text(c->system.flow_log),
		c->system.flow_log_interim_s);
}

static void
write_services(FILE *to, const struct sl_config_services *s)
{
	for (unsigned i = 0; i < s->tcp.nb; i++)
		fprintf(to, " tcp %u-%u", s->tcp.list[i].low, s->tcp.list[i].high);
	for (unsigned i = 0; i < s->udp.nb; i++)
		fprintf(to, " udp %u-%u", s->udp.list[i].low, s->udp.list[i].high);
	fprintf(to, " icmp %d\n", s->icmp);
}

static void
write_resource(FILE *to, const struct sl_config_tenant *t, const struct sl_config_resource *r)
{
	bool has_network = r->network_idx < t->nb_networks;

	fprintf(to,
		"%s %llx %s %d %d",
		r->name,
		(unsigned long long)r->groups,
		has_network ? t->networks[r->network_idx].name : "-",
		r->inherit,
		r->deny);
	fprintf(to, " %u %d %u", r->ttl_s, r->dialect, r->names_max);
	write_strings(to, &r->patterns);
	write_prefixes(to, &r->prefixes);
	write_strings(to, &r->aliases);
	write_services(to, &r->services);
}

static void
write_client(FILE *to, const struct sl_config_client *c)
{
	fprintf(to,
		"%s %llx %u %u %x/%u %x",
		c->name,
		(unsigned long long)c->groups,
		c->port_idx,
		c->vlan,
		c->source.address,
		c->source.length,
		c->address);
	write_key(to, &c->public_key, c->psk_file);
}

static void
write_policy(FILE *to, const struct sl_config *c)
{
	for (unsigned i = 0; i < c->nb_tenants; i++) {
		const struct sl_config_tenant *t = &c->tenants[i];

		fprintf(to, "tenant %s %u\n", t->name, t->id);
		write_strings(to, &t->groups);
		write_strings(to, &t->bypass);
		write_prefixes(to, &t->bypass_prefixes);
		for (unsigned j = 0; j < t->nb_clients; j++)
			write_client(to, &t->clients[j]);
		for (unsigned j = 0; j < t->nb_resources; j++)
			write_resource(to, t, &t->resources[j]);
		for (unsigned j = 0; j < t->nb_networks; j++)
			fprintf(to, "network %s\n", t->networks[j].name);
	}
	fprintf(to, "allow %u\n", c->connector.nb_allow);
	for (unsigned i = 0; i < c->connector.nb_allow; i++) {
		write_strings(to, &c->connector.allow[i].patterns);
		write_prefixes(to, &c->connector.allow[i].prefixes);
		write_services(to, &c->connector.allow[i].services);
	}
}

// What of tenants may change without deciding who reaches what.
static void
write_tenants(FILE *to, const struct sl_config *c)
{
	for (unsigned i = 0; i < c->nb_tenants; i++) {
		const struct sl_config_tenant *t = &c->tenants[i];
		const uint32_t *limits = (const uint32_t *)&t->limits;

		fprintf(to, "%s %d", t->name, t->refuse_other);
		for (unsigned j = 0; j < sizeof(t->limits) / sizeof(*limits); j++)
			fprintf(to, " %u", limits[j]);
		write_strings(to, &t->search);
		write_upstreams(to, &t->upstreams);
		for (unsigned j = 0; j < t->nb_networks; j++)
			for (unsigned k = 0; k < t->networks[j].nb_connectors; k++) {
				const struct sl_config_connector *n = &t->networks[j].connectors[k];

				fprintf(to, "%s %s %u", t->networks[j].name, n->name, n->weight);
				write_key(to, &n->public_key, n->psk_file);
			}
	}
}

static void
write_connector_fixed(FILE *to, const struct sl_config *c)
{
	fprintf(to,
		"%s %u-%u",
		text(c->connector.tenant),
		c->connector.nat_ports.low,
		c->connector.nat_ports.high);
	for (unsigned i = 0; i < c->connector.nat_addresses.nb; i++)
		fprintf(to, " %x", c->connector.nat_addresses.list[i]);
}

static void
write_connector(FILE *to, const struct sl_config *c)
{
	for (unsigned i = 0; i < c->connector.nb_resolvers; i++)
		fprintf(to,
			"%x:%u ",
			c->connector.resolvers[i].address,
			c->connector.resolvers[i].port);
	write_strings(to, &c->connector.search);
}

// Tables of names, leases and forwarders are a tenant's by its place in the list.
static void
write_tenants_fixed(FILE *to, const struct sl_config *c)
{
	for (unsigned i = 0; i < c->nb_tenants; i++)
		fprintf(to, "%s %u\n", c->tenants[i].name, c->tenants[i].id);
}

static bool
differs(writer write, const struct sl_config *a, const struct sl_config *b)
{
	const struct sl_config *configs[2] = { a, b };
	char *texts[2] = { NULL, NULL };
	size_t sizes[2] = { 0, 0 };
	bool failed = false;
	bool differ;

	for (unsigned i = 0; i < 2; i++) {
		FILE *to = open_memstream(&texts[i], &sizes[i]);

		if (to == NULL) {
			failed = true;
			continue;
		}
		write(to, configs[i]);
		failed |= fclose(to) != 0;
	}
	// Without memory to compare, say that it changed: a reload too many does no harm.
	differ = failed || sizes[0] != sizes[1] || memcmp(texts[0], texts[1], sizes[0]) != 0;
	free(texts[0]);
	free(texts[1]);
	return differ;
}

static const struct part {
	const char *sentence; // NULL: takes effect by reload
	writer write;
} parts[] = {
	{ "node", write_node },
	{ "ports", write_ports },
	{ "routes", write_routes },
	{ "workers", write_workers },
	{ "tunnel", write_tunnel },
	{ "wireguard", write_wireguard },
	{ "dns.resolvers, pool, quarantine_s, tcp and tls", write_dns_fixed },
	{ "limits.flows, names, sessions and mbufs", write_limits },
	{ "system (but for log_level, flow_log and flow_log_interim_s)", write_system_fixed },
	{ "connector.tenant and NAT", write_connector_fixed },
	{ "which tenants there are (name, id and order)", write_tenants_fixed },
	{ NULL, write_dns },
	{ NULL, write_timers },
	{ NULL, write_system },
	{ NULL, write_policy },
	{ NULL, write_tenants },
	{ NULL, write_connector },
};

enum sl_config_change
sl_config_diff(
	const struct sl_config *running,
	const struct sl_config *wanted,
	struct sl_config_errors *errors
)
{
	enum sl_config_change change = SL_CHANGE_NONE;
	struct sl_config_where where = { wanted->path, 0 };

	for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (!differs(parts[i].write, running, wanted))
			continue;
		if (parts[i].sentence == NULL) {
			change = change == SL_CHANGE_NONE ? SL_CHANGE_RELOAD : change;
			continue;
		}
		change = SL_CHANGE_RESTART;
		sl_config_error(
			errors,
			where,
			"%s cannot change while Sluice runs|put them back, or restart: systemctl "
			"restart sluice",
			parts[i].sentence
		);
	}
	return change;
}

bool
sl_config_policy_differs(const struct sl_config *running, const struct sl_config *wanted)
{
	return differs(write_policy, running, wanted);
}
