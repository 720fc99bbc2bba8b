// check_node: what no single section can know: names that occur twice, addresses that collide.
#include "readers.h"

#include <string.h>

static void
check_port_pair(struct sl_loader *l, const struct sl_config_port *a, const struct sl_config_port *b)
{
	if (a->name != NULL && b->name != NULL && strcmp(a->name, b->name) == 0)
		sl_config_error(
			l->errors,
			b->where,
			"port '%s' is defined twice, first at line %u|rename one of them",
			b->name,
			a->where.line
		);
	if (a->device != NULL && b->device != NULL && strcmp(a->device, b->device) == 0 &&
	    a->vlan == b->vlan)
		sl_config_error(
			l->errors,
			b->where,
			"device '%s' with VLAN %u is already port '%s'|give it another vlan or "
			"device",
			b->device,
			b->vlan,
			a->name == NULL ? "?" : a->name
		);
	if (a->address.length == 0 || b->address.length == 0)
		return;
	if (a->address.address == b->address.address)
		sl_config_error(
			l->errors,
			b->where,
			"ports '%s' and '%s' have the same address|give each its own",
			a->name,
			b->name
		);
	else if (sl_prefix_overlaps(a->address, b->address))
		sl_config_error(
			l->errors,
			b->where,
			"the subnets of ports '%s' and '%s' overlap|give them distinct subnets",
			a->name,
			b->name
		);
}

static bool
is_host_of(struct sl_config_prefix subnet, uint32_t address)
{
	uint32_t host = address & ~sl_prefix_mask(subnet.length);

	if (!sl_prefix_covers(subnet, address) || address == subnet.address)
		return false;
	return subnet.length >= 31 || (host != 0 && host != ~sl_prefix_mask(subnet.length));
}

static void
check_port_addresses(struct sl_loader *l, const struct sl_config_port *port)
{
	const struct sl_config_dns *dns = &l->config->dns;
	char shown[SL_TEXT_PREFIX_CHARS];

	if (port->address.length == 0)
		return;
	if (sl_prefix_overlaps(port->address, dns->pool))
		sl_config_error(
			l->errors,
			port->where,
			"the subnet of port '%s' overlaps the pool %s|choose another subnet, or "
			"set dns.pool",
			port->name,
			sl_text_show_prefix(dns->pool, shown)
		);
	for (unsigned i = 0; i < dns->resolvers.nb; i++)
		if (dns->resolvers.list[i] == port->address.address)
			sl_config_error(
				l->errors,
				port->where,
				"the address of port '%s' is a resolver address|give the port "
				"another",
				port->name
			);
	if (port->address.address >> 24 == 127 || port->address.address >> 28 >= 14 ||
	    port->address.address >> 24 == 0)
		sl_config_error(
			l->errors,
			port->where,
			"the address of port '%s' is loopback, multicast or reserved|give a "
			"unicast address",
			port->name
		);
	if (port->gateway != 0 && !is_host_of(port->address, port->gateway))
		sl_config_error(
			l->errors,
			port->where,
			"the gateway of port '%s' is no other host of its subnet %s|correct "
			"gateway or address",
			port->name,
			sl_text_show_prefix(
				(struct sl_config_prefix){
					port->address.address &
						sl_prefix_mask(port->address.length),
					port->address.length,
				},
				shown
			)
		);
}

static void
check_ports(struct sl_loader *l)
{
	struct sl_config *config = l->config;

	for (unsigned i = 0; i < config->nb_ports; i++) {
		struct sl_config_port *port = &config->ports[i];

		port->device_idx = (uint16_t)i;
		for (unsigned j = i; j-- > 0;)
			if (port->device != NULL && config->ports[j].device != NULL &&
			    strcmp(port->device, config->ports[j].device) == 0)
				port->device_idx = (uint16_t)j;
		for (unsigned j = 0; j < i; j++)
			check_port_pair(l, &config->ports[j], port);
		check_port_addresses(l, port);
	}
}

static void
check_routes(struct sl_loader *l)
{
	const struct sl_config *config = l->config;
	char shown[SL_TEXT_PREFIX_CHARS];

	for (unsigned i = 0; i < config->nb_routes; i++) {
		const struct sl_config_route *route = &config->routes[i];
		const struct sl_config_port *port;

		for (unsigned j = 0; j < i; j++)
			if (memcmp(&route->prefix, &config->routes[j].prefix, sizeof(route->prefix)
			    ) == 0)
				sl_config_error(
					l->errors,
					route->where,
					"there are two routes to %s, the first at line %u|keep "
					"one; a gateway is a route to 0.0.0.0/0",
					sl_text_show_prefix(route->prefix, shown),
					config->routes[j].where.line
				);
		if (route->port_idx >= config->nb_ports)
			continue;
		port = &config->ports[route->port_idx];
		if (route->via != 0 && port->gateway != route->via && port->address.length != 0 &&
		    !is_host_of(port->address, route->via))
			sl_config_error(
				l->errors,
				route->where,
				"the next hop of the route to %s is no other host of port "
				"'%s'|correct via or port",
				sl_text_show_prefix(route->prefix, shown),
				port->name
			);
		if (sl_prefix_overlaps(route->prefix, config->dns.pool) &&
		    route->prefix.length > 0 && route->prefix.length >= config->dns.pool.length)
			sl_config_error(
				l->errors,
				route->where,
				"the route to %s lies in the pool|assigned addresses are never "
				"routed; remove it",
				sl_text_show_prefix(route->prefix, shown)
			);
	}
}

static bool
same_key(const struct sl_public_key *a, const struct sl_public_key *b)
{
	static const struct sl_public_key none;

	return memcmp(a, b, sizeof(*a)) == 0 && memcmp(a, &none, sizeof(none)) != 0;
}

static void
check_peers(struct sl_loader *l)
{
	const struct sl_config_tunnel *tunnel = &l->config->tunnel;

	for (unsigned i = 0; i < tunnel->nb_peers; i++) {
		const struct sl_config_peer *b = &tunnel->peers[i];

		for (unsigned j = 0; j < i; j++) {
			const struct sl_config_peer *a = &tunnel->peers[j];

			if (a->name != NULL && b->name != NULL && strcmp(a->name, b->name) == 0)
				sl_config_error(
					l->errors,
					b->where,
					"peer '%s' is defined twice|rename one",
					b->name
				);
			if (same_key(&a->public_key, &b->public_key))
				sl_config_error(
					l->errors,
					b->where,
					"peers '%s' and '%s' have the same public_key|each PoP has "
					"a key of its own",
					a->name,
					b->name
				);
			if (memcmp(&a->endpoint, &b->endpoint, sizeof(a->endpoint)) == 0)
				sl_config_error(
					l->errors,
					b->where,
					"peers '%s' and '%s' have the same endpoint|remove one",
					a->name,
					b->name
				);
		}
	}
}

static void
check_roles(struct sl_loader *l)
{
	struct sl_config *config = l->config;
	struct sl_config_where top = { config->path, 0 };

	if (config->node.role == SL_ROLE_POP) {
		if (config->nb_tenants == 0)
			sl_config_error(
				l->errors,
				top,
				"a PoP needs a tenant|add tenants = ( { name = ...; id = 1; } );"
			);
		if (config->connector.where.line != 0)
			sl_config_error(
				l->errors,
				config->connector.where,
				"a PoP has no connector section|remove it, or set node.role = "
				"\"connector\""
			);
		if (config->tunnel.nb_peers > 0)
			sl_config_error(
				l->errors,
				config->tunnel.where,
				"a PoP dials nobody, but the tunnel has peers|list connectors "
				"under a tenant's networks"
			);
		return;
	}
	if (config->nb_tenants > 0)
		sl_config_error(
			l->errors,
			config->tenants[0].where,
			"a connector has no tenants section|name its tenant in connector.tenant"
		);
	if (config->connector.where.line == 0)
		sl_config_error(
			l->errors,
			top,
			"a connector needs a connector section|add connector = { tenant = ...; "
			"resolvers = [...]; };"
		);
	if (config->tunnel.nb_peers == 0)
		sl_config_error(
			l->errors,
			config->tunnel.where.line != 0 ? config->tunnel.where : top,
			"a connector needs a PoP to dial|add tunnel = { peers = ( { name, "
			"endpoint, public_key } ); };"
		);
	if (config->wireguard.udp_port != 0)
		sl_config_error(
			l->errors,
			config->wireguard.where,
			"a connector takes no WireGuard clients|remove the wireguard section"
		);
}

static void
check_limits(struct sl_loader *l)
{
	const struct sl_config *config = l->config;
	uint64_t nb_pool = UINT64_C(1) << (32 - config->dns.pool.length);

	if (config->limits.flows / config->workers.nb_cores > SL_WORKER_FLOWS_MAX)
		sl_config_error(
			l->errors,
			config->limits.where,
			"limits.flows is %u, over 16777216 for each of %u workers|lower it, or add "
			"cores",
			config->limits.flows,
			config->workers.nb_cores
		);
	// Network and broadcast address are not given out.
	if (config->limits.where.line != 0 && config->limits.names > nb_pool - 2)
		sl_config_error(
			l->errors,
			config->limits.where,
			"limits.names is %u but the pool has %llu addresses|lower it, or widen "
			"dns.pool",
			config->limits.names,
			(unsigned long long)nb_pool - 2
		);
	if (config->wireguard.udp_port != 0 &&
	    config->wireguard.udp_port == config->tunnel.udp_port &&
	    config->wireguard.port_idx == config->tunnel.port_idx)
		sl_config_error(
			l->errors,
			config->wireguard.where,
			"wireguard and tunnel use the same UDP port %u|give one of them another "
			"udp_port",
			config->wireguard.udp_port
		);
	for (unsigned i = 0; i < config->wireguard.pools.nb; i++)
		if (sl_prefix_overlaps(config->wireguard.pools.list[i], config->dns.pool))
			sl_config_error(
				l->errors,
				config->wireguard.where,
				"wireguard.pool overlaps dns.pool|clients need addresses of their "
				"own"
			);
}

void
sl_check_node(struct sl_loader *l)
{
	check_ports(l);
	check_routes(l);
	check_peers(l);
	check_roles(l);
	check_limits(l);
}
