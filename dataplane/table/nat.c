#include <sluice/dp/inner.h>
#include <sluice/dp/nat.h>

#define TRIES_PER_WORKER 64u

const uint8_t sl_rss_key[40] = {
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
	0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
	0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};

// The address a packet to the host leaves with; 0 without a route.
static rte_be32_t
own_address(const struct sl_worker *w, const struct sl_flow_key *key)
{
	rte_be32_t host = sl_ip4_unmap(key->source);
	const struct sl_route *route;

	if (w->nat->nb_addresses != 0)
		return w->nat
			->addresses[sl_hash(w->owner_key, key->source, 16) % w->nat->nb_addresses];
	route = sl_net_route(w->net, host);
	return route == NULL ? 0 : w->net->ports[route->port].address;
}

static bool
is_lane_port(const struct sl_net *net, uint16_t port)
{
	return (port >= net->tunnel_port_first && port <= net->tunnel_port_last) ||
		(port == net->wireguard_port && port != 0);
}

bool
sl_nat_pick(struct sl_worker *w, struct sl_flow_key *key)
{
	struct sl_nat *nat = w->nat;
	uint32_t nb_ports = (uint32_t)nat->port_high - nat->port_low + 1;
	rte_be32_t address = own_address(w, key);
	uint32_t start;

	if (address == 0)
		return false;
	sl_ip4_map(key->destination, address);
	key->destination_port_be = 0;
	// RFC 6056 section 3.3.4: where the search begins differs by destination in a way that
	// outsiders cannot guess, and moves on with each flow.
	start = (uint32_t)sl_hash(w->owner_key, key, sizeof(*key)) + nat->next;
	for (uint32_t i = 0; i < TRIES_PER_WORKER * w->nb_workers; i++) {
		uint16_t port = (uint16_t)(nat->port_low + (start + i) % nb_ports);

		key->destination_port_be = rte_cpu_to_be_16(port);
		if (is_lane_port(w->net, port) || sl_nat_owner(w, key) != w->idx ||
		    sl_flow_find(w->flows, key) != SL_NO_FLOW)
			continue;
		nat->next += i + 1;
		return true;
	}
	nat->nb_exhausted++;
	return false;
}
