// read_node: node, ports, routes, workers, tunnel, wireguard.
#include "readers.h"

#include <sched.h>
#include <string.h>
#include <unistd.h>

static const char *const role_words[] = { "pop", "connector", NULL };
static const char *const idle_words[] = { "auto", "poll", "adaptive", NULL };
static const char *const checksum_words[] = { "auto", "always", "zero", NULL };

#define AT(type, member) .offset = offsetof(struct type, member)

static const struct sl_field node_fields[] = {
	{ "name", SL_FIELD_IDENTIFIER, AT(sl_config_node, name) },
	{ "role", SL_FIELD_WORD, AT(sl_config_node, role), .required = true, .words = role_words },
	{ "key_file", SL_FIELD_PATH, AT(sl_config_node, key_file), .required = true },
};

void
sl_read_node(struct sl_loader *l, const config_setting_t *s, void *at)
{
	struct sl_config_node *node = at;
	char host[64] = "";

	if (s == NULL)
		SL_COMPLAIN(
			l, s, "there is no node|add node = { role = \"pop\"; key_file = \"...\"; };"
		);
	node->where = sl_where(l, s);
	SL_READ_GROUP(l, s, node_fields, "the node", node);
	if (node->name == NULL) {
		(void)gethostname(host, sizeof(host) - 1);
		host[strcspn(host, ".")] = '\0';
		node->name = sl_arena_strdup(
			l->arena, sl_text_is_identifier(host) ? host : "sluice"
		);
	}
}

static void
read_device(struct sl_loader *l, const config_setting_t *s, void *at)
{
	struct sl_config_port *port = SL_HOLDER(at, struct sl_config_port, device);

	if (!sl_get_text(l, s, &port->device))
		return;
	port->is_vdev = sl_text_is_vdev(port->device);
	if (!port->is_vdev && !sl_text_is_pci(port->device))
		SL_COMPLAIN(
			l,
			s,
			"'%s' is no device|give a PCI address (0000:03:00.0) or a vdev "
			"(net_af_packet0,iface=eth1)",
			port->device
		);
	else if (strncmp(port->device, "net_af_packet", 13) == 0 && strstr(port->device, ",iface=") == NULL)
		SL_COMPLAIN(l, s, "'%s' names no interface|add ,iface=NAME", port->device);
	else if (strncmp(port->device, "net_af_xdp", 10) == 0 && strstr(port->device, ",iface=") == NULL)
		SL_COMPLAIN(l, s, "'%s' names no interface|add ,iface=NAME", port->device);
}

static const struct sl_field port_fields[] = {
	{ "name", SL_FIELD_IDENTIFIER, AT(sl_config_port, name), .required = true },
	{ "device",
	  SL_FIELD_OTHER,
	  AT(sl_config_port, device),
	  .required = true,
	  .read = read_device },
	{ "address", SL_FIELD_INTERFACE, AT(sl_config_port, address), .required = true },
	{ "gateway", SL_FIELD_IP4, AT(sl_config_port, gateway) },
	{ "vlan", SL_FIELD_U16, AT(sl_config_port, vlan), .max = 4094 },
	{ "mtu", SL_FIELD_U16, AT(sl_config_port, mtu), .min = 576, .max = 9600, .number = 1500 },
	{ "queues", SL_FIELD_U16, AT(sl_config_port, nb_queues), .max = SL_QUEUES_MAX },
	{ "clients", SL_FIELD_BOOL, AT(sl_config_port, faces_clients) },
};

void
sl_read_ports(struct sl_loader *l, const config_setting_t *s, void *at)
{
	struct sl_config *config = at;
	unsigned nb = sl_list_length(l, s, "ports");

	if (s == NULL || (nb == 0 && s->type == CONFIG_TYPE_LIST))
		SL_COMPLAIN(
			l,
			s,
			"there are no ports|add ports = ( { name = ...; device = ...; address = "
			"...; } );"
		);
	if (nb > SL_PORTS_MAX) {
		SL_COMPLAIN(l, s, "there are %u ports|at most %u are possible", nb, SL_PORTS_MAX);
		nb = SL_PORTS_MAX;
	}
	config->ports = sl_arena_alloc(l->arena, nb, sizeof(*config->ports));
	for (unsigned i = 0; i < nb; i++) {
		const config_setting_t *elem = config_setting_get_elem(s, i);
		struct sl_config_port *port = &config->ports[i];

		port->where = sl_where(l, elem);
		SL_READ_GROUP(l, elem, port_fields, "a port", port);
		l->ports_say_clients[i] = config_setting_get_member(elem, "clients") != NULL;
		config->nb_ports++;
	}
}

static const struct sl_field route_fields[] = {
	{ "prefix", SL_FIELD_PREFIX, AT(sl_config_route, prefix), .required = true },
	{ "via", SL_FIELD_IP4, AT(sl_config_route, via) },
	{ "port", SL_FIELD_PORT, AT(sl_config_route, port_idx), .required = true },
};

void
sl_read_routes(struct sl_loader *l, const config_setting_t *s, void *at)
{
	struct sl_config *config = at;
	unsigned nb = sl_list_length(l, s, "routes");

	if (nb > SL_ROUTES_MAX - SL_PORTS_MAX) {
		SL_COMPLAIN(
			l,
			s,
			"there are %u routes|at most %u are possible",
			nb,
			SL_ROUTES_MAX - SL_PORTS_MAX
		);
		nb = 0;
	}
	config->routes = sl_arena_alloc(l->arena, nb + config->nb_ports, sizeof(*config->routes));
	for (unsigned i = 0; i < nb; i++) {
		struct sl_config_route *route = &config->routes[config->nb_routes++];
		const config_setting_t *elem = config_setting_get_elem(s, i);

		route->where = sl_where(l, elem);
		SL_READ_GROUP(l, elem, route_fields, "a route", route);
	}
	for (unsigned i = 0; i < config->nb_ports; i++)
		if (config->ports[i].gateway != 0)
			config->routes[config->nb_routes++] = (struct sl_config_route){
				.where = config->ports[i].where,
				.via = config->ports[i].gateway,
				.port_idx = (uint16_t)i,
			};
}

#define CORE_MAX 127u // RTE_MAX_LCORE - 1 of Debian's DPDK

static void
read_cores(struct sl_loader *l, const config_setting_t *s, void *at)
{
	struct sl_config_workers *w = SL_HOLDER(at, struct sl_config_workers, cores);
	bool met[CORE_MAX + 1] = { false };
	uint32_t core;

	if ((s->type != CONFIG_TYPE_ARRAY && s->type != CONFIG_TYPE_LIST) ||
	    config_setting_length(s) == 0 || config_setting_length(s) > (int)SL_CORES_MAX) {
		SL_COMPLAIN(
			l,
			s,
			"'cores' must list 1 to %u core numbers|write cores = [1, 2];",
			SL_CORES_MAX
		);
		return;
	}
	w->cores = sl_arena_alloc(l->arena, (size_t)config_setting_length(s), sizeof(*w->cores));
	for (int i = 0; i < config_setting_length(s); i++) {
		const config_setting_t *elem = config_setting_get_elem(s, (unsigned)i);

		if (!sl_get_number(l, elem, 0, CORE_MAX, &core))
			continue;
		if (met[core])
			SL_COMPLAIN(
				l, elem, "core %u is listed twice|each core runs one worker", core
			);
		met[core] = true;
		w->cores[w->nb_cores++] = (uint16_t)core;
	}
}

static const struct sl_field workers_fields[] = {
	{ "cores", SL_FIELD_OTHER, AT(sl_config_workers, cores), .read = read_cores },
	{ "idle", SL_FIELD_WORD, AT(sl_config_workers, idle), .words = idle_words },
};

void
sl_read_workers(struct sl_loader *l, const config_setting_t *s, void *at)
{
	struct sl_config_workers *workers = at;
	cpu_set_t set;

	workers->where = sl_where(l, s);
	SL_READ_GROUP(l, s, workers_fields, "workers", workers);
	if (workers->nb_cores > 0)
		return;
	workers->cores = sl_arena_alloc(l->arena, 1, sizeof(*workers->cores));
	workers->nb_cores = 1;
	CPU_ZERO(&set);
	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return;
	for (unsigned core = 0; core <= CORE_MAX; core++)
		if (CPU_ISSET(core, &set))
			workers->cores[0] = (uint16_t)core;
}

static const struct sl_field peer_fields[] = {
	{ "name", SL_FIELD_IDENTIFIER, AT(sl_config_peer, name), .required = true },
	{ "endpoint",
	  SL_FIELD_ENDPOINT,
	  AT(sl_config_peer, endpoint),
	  .required = true,
	  .number = SL_TUNNEL_UDP_PORT },
	{ "public_key", SL_FIELD_KEY, AT(sl_config_peer, public_key), .required = true },
	{ "psk_file", SL_FIELD_PATH, AT(sl_config_peer, psk_file) },
};

static void
read_peers(struct sl_loader *l, const config_setting_t *s, void *at)
{
	struct sl_config_tunnel *tunnel = SL_HOLDER(at, struct sl_config_tunnel, peers);
	unsigned nb = sl_list_length(l, s, "PoPs");

	tunnel->peers = sl_arena_alloc(l->arena, nb, sizeof(*tunnel->peers));
	for (unsigned i = 0; i < nb; i++) {
		const config_setting_t *elem = config_setting_get_elem(s, i);
		struct sl_config_peer *peer = &tunnel->peers[tunnel->nb_peers++];

		peer->where = sl_where(l, elem);
		SL_READ_GROUP(l, elem, peer_fields, "a peer", peer);
	}
}

static const struct sl_field tunnel_fields[] = {
	{ "udp_port",
	  SL_FIELD_U16,
	  AT(sl_config_tunnel, udp_port),
	  .min = 1,
	  .max = UINT16_MAX,
	  .number = SL_TUNNEL_UDP_PORT },
	{ "port", SL_FIELD_PORT, AT(sl_config_tunnel, port_idx) },
	{ "lanes", SL_FIELD_U16, AT(sl_config_tunnel, nb_lanes), .min = 1, .max = 64 },
	{ "udp_checksum",
	  SL_FIELD_WORD,
	  AT(sl_config_tunnel, udp_checksum),
	  .words = checksum_words },
	{ "peers", SL_FIELD_OTHER, AT(sl_config_tunnel, peers), .read = read_peers },
};

static uint16_t
default_underlay(struct sl_loader *l, const config_setting_t *s)
{
	const struct sl_config *config = l->config;

	for (unsigned i = 0; i < config->nb_ports; i++)
		if (config->ports[i].name != NULL && strcmp(config->ports[i].name, "underlay") == 0)
			return (uint16_t)i;
	if (config->nb_ports > 1)
		SL_COMPLAIN(
			l,
			s,
			"the tunnel has no 'port'|add tunnel = { port = \"NAME OF A PORT\"; };"
		);
	return config->nb_ports == 1 ? 0 : SL_CONFIG_NONE;
}

void
sl_read_tunnel(struct sl_loader *l, const config_setting_t *s, void *at)
{
	struct sl_config_tunnel *tunnel = at;
	bool is_group = s != NULL && s->type == CONFIG_TYPE_GROUP;
	struct sl_config_port *port;

	tunnel->where = sl_where(l, s);
	SL_READ_GROUP(l, s, tunnel_fields, "the tunnel", tunnel);
	if (!is_group || config_setting_get_member(s, "port") == NULL)
		tunnel->port_idx = default_underlay(l, s);
	if (tunnel->nb_lanes == 0)
		tunnel->nb_lanes = (uint16_t)l->config->workers.nb_cores;
	if (l->config->node.role == SL_ROLE_CONNECTOR)
		return;
	// A port that does not say otherwise faces clients, but for the tunnel's own.
	for (unsigned i = 0; i < l->config->nb_ports; i++) {
		port = &l->config->ports[i];
		if (!l->ports_say_clients[i])
			port->faces_clients = i != tunnel->port_idx || l->config->nb_ports == 1;
	}
}

static void
read_pools(struct sl_loader *l, const config_setting_t *s, void *at)
{
	struct sl_config_prefixes *pools = at;
	unsigned nb = sl_strings_length(l, s);

	pools->list = sl_arena_alloc(l->arena, nb, sizeof(*pools->list));
	for (unsigned i = 0; i < nb; i++) {
		const config_setting_t *elem;
		const char *text = sl_strings_get(l, s, i, &elem);

		if (text != NULL)
			sl_get_prefix(l, elem, text, &pools->list[pools->nb++]);
	}
}

static const struct sl_field wireguard_fields[] = {
	{ "udp_port",
	  SL_FIELD_U16,
	  AT(sl_config_wireguard, udp_port),
	  .min = 1,
	  .max = UINT16_MAX,
	  .number = 51820 },
	{ "port", SL_FIELD_PORT, AT(sl_config_wireguard, port_idx) },
	{ "mtu",
	  SL_FIELD_U16,
	  AT(sl_config_wireguard, mtu),
	  .min = 576,
	  .max = 9000,
	  .number = 1420 },
	{ "key_file", SL_FIELD_PATH, AT(sl_config_wireguard, key_file) },
	{ "endpoint", SL_FIELD_TEXT, AT(sl_config_wireguard, endpoint) },
	{ "pool", SL_FIELD_OTHER, AT(sl_config_wireguard, pools), .read = read_pools },
};

void
sl_read_wireguard(struct sl_loader *l, const config_setting_t *s, void *at)
{
	struct sl_config_wireguard *wireguard = at;

	wireguard->where = sl_where(l, s);
	SL_READ_GROUP(l, s, wireguard_fields, "wireguard", wireguard);
	if (s == NULL)
		wireguard->udp_port = 0;
	else if (s->type == CONFIG_TYPE_GROUP && config_setting_get_member(s, "port") == NULL)
		wireguard->port_idx = l->config->tunnel.port_idx;
	if (wireguard->key_file == NULL)
		wireguard->key_file = l->config->node.key_file;
}
