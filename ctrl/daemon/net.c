#include "daemon.h"

#include <rte_byteorder.h>

#include <stdlib.h>

#define LANE_PORTS 1024u // source ports a connector keeps for its lanes; NAT never uses them

static int
compare_routes(const void *a, const void *b)
{
	const struct sl_route *left = a, *right = b;

	return (int)right->prefix_bits - (int)left->prefix_bits;
}

static void
add_route(struct sl_net *net, struct sl_config_prefix prefix, uint32_t via, uint16_t port)
{
	uint32_t mask = prefix.length == 0 ? 0 : UINT32_MAX << (32 - prefix.length);

	if (net->nb_routes == SL_MAX_ROUTES)
		return;
	net->routes[net->nb_routes++] = (struct sl_route){
		.prefix = rte_cpu_to_be_32(prefix.address & mask),
		.prefix_bits = prefix.length,
		.port = port,
		.via = rte_cpu_to_be_32(via),
	};
}

static void
add_port(struct sl_net *net, const struct sl_config_port *from)
{
	struct sl_port *port = &net->ports[net->nb_ports];

	snprintf(port->name, sizeof(port->name), "%s", from->name);
	port->vlan = from->vlan;
	port->mtu_bytes = from->mtu;
	port->nb_queues = from->nb_queues;
	port->prefix_bits = from->address.length;
	port->address = rte_cpu_to_be_32(from->address.address);
	add_route(net, from->address, 0, (uint16_t)net->nb_ports);
	net->nb_ports++;
}

void
daemon_net(struct sl_net *net, const struct sl_config *config)
{
	unsigned nb_resolvers;

	*net = (struct sl_net){ 0 };
	for (unsigned i = 0; i < config->nb_ports && i < SL_MAX_PORTS; i++)
		add_port(net, &config->ports[i]);
	for (unsigned i = 0; i < config->nb_routes; i++)
		add_route(
			net,
			config->routes[i].prefix,
			config->routes[i].via,
			config->routes[i].port_idx
		);
	for (unsigned i = 0;
	     i < config->connector.nat_addresses.nb && i < RTE_DIM(net->nat_addresses);
	     i++)
		net->nat_addresses[net->nb_nat_addresses++] = rte_cpu_to_be_32(
			config->connector.nat_addresses.list[i]
		);
	qsort(net->routes, net->nb_routes, sizeof(net->routes[0]), compare_routes);
	net->tunnel_port_first = config->tunnel.udp_port;
	net->tunnel_port_last = config->tunnel.udp_port;
	if (config->node.role == SL_ROLE_CONNECTOR)
		net->tunnel_port_last = (uint16_t)(config->tunnel.udp_port + LANE_PORTS - 1);
	if (config->node.role == SL_ROLE_POP) {
		net->wireguard_port = config->wireguard.udp_port;
		net->wireguard_mtu = config->wireguard.mtu;
	}
	nb_resolvers = RTE_MIN(config->dns.resolvers.nb, SL_NET_RESOLVERS);
	for (unsigned i = 0; i < nb_resolvers; i++)
		net->resolvers[i] = rte_cpu_to_be_32(config->dns.resolvers.list[i]);
	if (config->node.role == SL_ROLE_POP)
		net->nb_resolvers = nb_resolvers;
	else
		net->nb_far_resolvers = nb_resolvers;
	net->pool = rte_cpu_to_be_32(config->dns.pool.address);
	net->pool_bits = config->dns.pool.length;
}
