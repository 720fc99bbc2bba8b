// show: the list of what sluicectl show prints, and the words its parts share.
#include "show.h"

#include <stdlib.h>
#include <string.h>

const char *
show_client(const struct daemon *d, uint32_t client)
{
	const struct sl_snapshot *s = &d->snapshot->dp;

	if (client == SL_NO_CLIENT || client >= s->nb_clients || s->clients[client].name == NULL)
		return "-";
	return s->clients[client].name;
}

const char *
show_tenant(const struct daemon *d, unsigned tenant)
{
	const struct sl_snapshot *s = &d->snapshot->dp;

	return tenant < s->nb_tenants ? s->tenants[tenant].name : "-";
}

const char *
show_resource(const struct daemon *d, uint32_t resource)
{
	const struct sl_config *c = d->config;

	for (unsigned t = 0; t < c->nb_tenants; t++)
		for (unsigned i = 0; i < c->tenants[t].nb_resources; i++) {
			const char *name = c->tenants[t].resources[i].name;

			if (registry_id(d->ids, ID_RESOURCE, t, name) == resource)
				return name;
		}
	return "-";
}

const char *
show_network(const struct daemon *d, uint32_t network)
{
	const struct sl_snapshot *s = &d->snapshot->dp;

	if (network >= s->nb_networks || s->networks[network].name == NULL)
		return "-";
	return s->networks[network].name;
}

const char *
show_session(const struct daemon *d, uint32_t session)
{
	if (session >= d->sessions.nb_sessions || d->sessions.sessions[session].name[0] == '\0')
		return "-";
	return d->sessions.sessions[session].name;
}

char *
show_groups(const struct sl_config_tenant *tenant, uint64_t groups)
{
	char *text = NULL;
	size_t nb_bytes;
	FILE *f = open_memstream(&text, &nb_bytes);
	const char *gap = "";

	if (f == NULL)
		return NULL;
	for (unsigned i = 0; i < tenant->groups.nb && i < 64; i++)
		if ((groups >> i & 1) != 0) {
			fprintf(f, "%s%s", gap, tenant->groups.list[i]);
			gap = " ";
		}
	fclose(f);
	return text;
}

static void
put_ranges(FILE *f, const char *protocol, const struct sl_config_port_ranges *ranges)
{
	if (ranges->nb == 0)
		return;
	fprintf(f, "%s%s", ftell(f) == 0 ? "" : " ", protocol);
	for (unsigned i = 0; i < ranges->nb; i++) {
		const struct sl_config_port_range *r = &ranges->list[i];

		if (r->low == 0 && r->high == UINT16_MAX)
			continue; // all ports: the protocol's name says it
		fprintf(f, i == 0 ? " %u" : ",%u", r->low);
		if (r->high != r->low)
			fprintf(f, "-%u", r->high);
	}
}

char *
show_services(const struct sl_config_services *services)
{
	char *text = NULL;
	size_t nb_bytes;
	FILE *f = open_memstream(&text, &nb_bytes);

	if (f == NULL)
		return NULL;
	put_ranges(f, "tcp", &services->tcp);
	put_ranges(f, "udp", &services->udp);
	if (services->icmp)
		fprintf(f, "%sicmp", ftell(f) == 0 ? "" : " ");
	fclose(f);
	return text;
}

json_t *
show_age(struct daemon *d, uint64_t then_ns)
{
	uint64_t now_ns = sl_clock_ns(&d->clock);

	if (then_ns == 0)
		return json_null();
	return json_real(now_ns < then_ns ? 0 : (double)(now_ns - then_ns) / (double)SL_NS_PER_S);
}

json_t *
show_tables(json_t *first, json_t *second)
{
	return json_pack("{s:[o,o]}", "tables", first, second);
}

static const struct {
	const char *command;
	const char *usage;
	const char *help;
	sl_api_handler handler;
} commands[] = {
	{ "show ports", "", "Ports with their addresses, links and counters.", show_ports },
	{ "show workers", "", "Workers with their cores and the queues they poll.", show_workers },
	{ "show clients", "", "Clients, how they come in, and their groups.", show_clients },
	{ "show resources",
	  "",
	  "What may be reached, by whom and where it lives.",
	  show_resources },
	{ "show names", "[TEXT]", "Names with their assigned addresses.", show_names },
	{ "show sessions",
	  "",
	  "Tunnels to connectors, PoPs and WireGuard clients.",
	  show_sessions },
	{ "show peers", "", "How connectors share new flows, and the way to them.", show_peers },
	{ "show flows",
	  "[CLIENT|NAME|ADDRESS] [all]",
	  "Conversations under way, and what failed within the last minute and why.",
	  show_flows },
	{ "show limits",
	  "[TENANT|CLIENT] [all]",
	  "What tenants and clients use of their limits, and what was refused.",
	  show_limits },
	{ "show graph", "[dot]", "Nodes of the packet path and what they did.", show_graph },
	{ "show drops", "", "Packets not delivered, by reason.", show_drops },
	{ "show stats", "", "Counters of workers, session thread, DNS and disk.", show_stats },
	{ "show cpu", "", "What the processor can do and what does the cryptography.", show_cpu },
	{ "top", "", "Rates since the last call.", show_top },
};

int
show_register(struct daemon *d)
{
	int ret = 0;

	for (unsigned i = 0; ret == 0 && i < RTE_DIM(commands); i++)
		ret = sl_api_register(
			d->api,
			commands[i].command,
			commands[i].usage,
			commands[i].help,
			commands[i].handler,
			d
		);
	return ret;
}
