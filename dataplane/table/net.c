// net: what is derived from a node's interfaces and routes, so that packets need not go through them.
#include <arpa/inet.h>
#include <sluice/dp/worker.h>
#include <string.h>

static void
note(struct sl_net *net, rte_be32_t address, enum sl_local what)
{
	uint32_t at = sl_net_local_place(address);

	while (net->locals[at].what != 0 && net->locals[at].address != address)
		at = (at + 1) % SL_NET_LOCALS;
	net->locals[at].address = address;
	net->locals[at].what |= what;
}

void
sl_net_index(struct sl_net *net)
{
	memset(net->locals, 0, sizeof(net->locals));
	note(net, INADDR_BROADCAST, SL_LOCAL_BROADCAST);
	for (unsigned i = 0; i < net->nb_ports; i++) {
		const struct sl_port *p = &net->ports[i];
		rte_be32_t mask = sl_net_mask(p->prefix_bits);

		note(net, p->address, SL_LOCAL_PORT);
		// A /31 (RFC 3021) or /32 has no broadcast address.
		if (p->prefix_bits >= 31)
			continue;
		note(net, p->address & mask, SL_LOCAL_BROADCAST);
		note(net, p->address | ~mask, SL_LOCAL_BROADCAST);
	}
	for (unsigned i = 0; i < net->nb_resolvers; i++)
		note(net, net->resolvers[i], SL_LOCAL_RESOLVER);
	for (unsigned i = 0; i < net->nb_nat_addresses; i++)
		note(net, net->nat_addresses[i], SL_LOCAL_PORT);
	for (unsigned i = 0; i < net->nb_routes; i++) {
		net->routes[i].mask = sl_net_mask(net->routes[i].prefix_bits);
		net->routes[i].prefix &= net->routes[i].mask;
	}
	net->pool_mask = sl_net_mask(net->pool_bits);
}
