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

// How many ports from this one on may not be used, because lanes or WireGuard clients have them.
static uint32_t
nb_reserved(const struct sl_net *net, uint16_t port)
{
	if (port >= net->tunnel_port_first && port <= net->tunnel_port_last)
		return (uint32_t)net->tunnel_port_last - port + 1;
	return port == net->wireguard_port && port != 0;
}

bool
sl_nat_pick(struct sl_worker *w, struct sl_flow_key *key)
{
	struct sl_nat *nat = w->nat;
	uint32_t nb_ports = (uint32_t)nat->port_high - nat->port_low + 1;
	rte_be32_t address = own_address(w, key);
	uint32_t start, i = 0;

	if (address == 0)
		return false;
	sl_ip4_map(key->destination, address);
	key->destination_port_be = 0;
	// RFC 6056 section 3.3.4: where the search begins differs by destination in a way that
	// outsiders cannot guess, and moves on with each flow.
	start = (uint32_t)sl_hash(w->owner_key, key, sizeof(*key)) + nat->next;
	for (uint32_t tries = 0; tries < TRIES_PER_WORKER * w->nb_workers && i < nb_ports;) {
		uint16_t port = (uint16_t)(nat->port_low + (start + i) % nb_ports);
		uint32_t reserved = nb_reserved(w->net, port);

		// Passed over at once: a search that begins among them must not end there.
		if (reserved != 0) {
			i += RTE_MIN(reserved, nat->port_high - (uint32_t)port + 1);
			continue;
		}
		i++;
		tries++;
		key->destination_port_be = rte_cpu_to_be_16(port);
		if (sl_nat_owner(w, key) != w->idx || sl_flow_find(w->flows, key) != SL_NO_FLOW)
			continue;
		nat->next += i;
		return true;
	}
	// The next search for this destination begins where this one ended.
	nat->next += i;
	nat->nb_exhausted++;
	return false;
}
