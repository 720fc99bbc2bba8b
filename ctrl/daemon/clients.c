// sluicectl client add, remove, show: WireGuard clients that are in no file.
#include "daemon.h"

#include <rte_byteorder.h>

#include <arpa/inet.h>
#include <errno.h>
#include <sluice/ctrl/json.h>
#include <sluice/ctrl/key.h>
#include <sluice/proto/noise.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_BYTES 4096u // more would not fit a QR code either

// What was asked for.
struct wish {
	struct sl_store_client client;
	unsigned tenant; // index
	uint64_t groups;
	struct sl_noise_private_key key; // made here, unless has_public
	bool has_public;
	const char *problem, *remedy; // NULL: none
};

static void
wrong(struct wish *w, const char *problem, const char *remedy)
{
	if (w->problem == NULL) {
		w->problem = problem;
		w->remedy = remedy;
	}
}

// ---- Words -----------------------------------------------------------------------------------------------

// "acme/laptop", or "laptop" where there is one tenant.
static void
take_name(const struct sl_config *config, struct wish *w, const char *word)
{
	const char *slash = strchr(word, '/'), *name = slash == NULL ? word : slash + 1;
	char tenant[sizeof(w->client.tenant)];

	snprintf(tenant, sizeof(tenant), "%.*s", (int)(slash == NULL ? 0 : slash - word), word);
	if (slash == NULL && config->nb_tenants == 1)
		snprintf(tenant, sizeof(tenant), "%s", config->tenants[0].name);
	w->tenant = wireguard_tenant(config, tenant);
	if (w->tenant == config->nb_tenants)
		wrong(w, "there is no such tenant", "write TENANT/NAME; sluicectl show clients");
	if (name[0] == '\0' || strlen(name) >= sizeof(w->client.name) ||
	    name[strcspn(name, " \t\r\n/:")] != '\0')
		wrong(w, "that is no name for a client", "up to 63 letters, digits and dashes");
	snprintf(w->client.tenant, sizeof(w->client.tenant), "%s", tenant);
	snprintf(w->client.name, sizeof(w->client.name), "%.63s", name);
}

static void
take_groups(const struct sl_config *config, struct wish *w, const char *value)
{
	if (w->tenant < config->nb_tenants &&
	    !wireguard_groups(&config->tenants[w->tenant], value, &w->groups))
		wrong(w, "the tenant has no such group", "groups=A,B as the configuration has them"
		);
	if (strlen(value) >= sizeof(w->client.groups))
		wrong(w, "too many groups", "name fewer");
	snprintf(w->client.groups, sizeof(w->client.groups), "%s", value);
	for (char *at = w->client.groups; *at != '\0'; at++)
		if (*at == ',')
			*at = ' ';
}

// Some 32 octets are no key: with them every secret would be zero.
static bool
is_public_key(const uint8_t octets[SL_NOISE_KEY_BYTES])
{
	struct sl_noise_private_key some;
	struct sl_noise_shared_key shared;
	struct sl_noise_public public;
	bool is_good;

	memcpy(public.octets, octets, sizeof(public.octets));
	is_good = sl_noise_generate(&some) == 0 &&
		sl_noise_dh(&some, &public, &shared) == SL_NOISE_OK;
	sl_wipe(&some, sizeof(some));
	sl_wipe(&shared, sizeof(shared));
	return is_good;
}

static void
take_option(const struct sl_config *config, struct wish *w, const char *word)
{
	struct in_addr address;

	if (strncmp(word, "groups=", 7) == 0) {
		take_groups(config, w, word + 7);
	} else if (strncmp(word, "address=", 8) == 0) {
		if (inet_pton(AF_INET, word + 8, &address) != 1)
			wrong(w, "that is no IPv4 address", "address=10.100.0.7");
		else
			w->client.address = ntohl(address.s_addr);
	} else if (strncmp(word, "key=", 4) == 0) {
		w->has_public = sl_key_from_base64(
			word + 4, strlen(word + 4), w->client.public_key
		);
		if (!w->has_public || !is_public_key(w->client.public_key))
			wrong(w, "that is no public key", "key=..., the output of wg pubkey");
	} else if (strcmp(word, "psk") == 0) {
		if (sl_noise_generate((struct sl_noise_private_key *)(void *)w->client.psk) != 0)
			wrong(w, "there is no randomness", NULL);
	} else {
		wrong(w, "unknown option", "groups=A,B address=A key=PUBLIC psk");
	}
}

// ---- Addresses -------------------------------------------------------------------------------------------

static int
compare_addresses(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return left < right ? -1 : left > right;
}

// The first address of the pools that no client has; network and broadcast addresses stay free.
static uint32_t
pick_address(const struct sl_config *config, const uint32_t *used, size_t nb_used)
{
	for (unsigned i = 0; i < config->wireguard.pools.nb; i++) {
		const struct sl_config_prefix *p = &config->wireguard.pools.list[i];
		uint32_t size = p->length == 0 ? UINT32_MAX : 1u << (32 - p->length);

		for (uint32_t k = size > 2; k + (size > 2) < size; k++) {
			uint32_t address = p->address + k;

			if (bsearch(&address, used, nb_used, sizeof(*used), compare_addresses) ==
			    NULL)
				return address;
		}
	}
	return 0;
}

static void
take_address(const struct daemon *d, struct wish *w)
{
	const struct sl_snapshot *s = &d->snapshot->dp;
	uint32_t *used = calloc(s->nb_clients + 1, sizeof(*used));
	size_t nb = 0;

	if (used == NULL) {
		wrong(w, "no memory", NULL);
		return;
	}
	for (uint32_t i = 1; i < s->nb_clients; i++)
		if (s->clients[i].is_live && s->clients[i].prefix_bits == 32)
			used[nb++] = rte_be_to_cpu_32(s->clients[i].address);
	qsort(used, nb, sizeof(*used), compare_addresses);
	if (w->client.address == 0)
		w->client.address = pick_address(d->config, used, nb);
	else if (bsearch(&w->client.address, used, nb, sizeof(*used), compare_addresses) != NULL)
		wrong(w, "another client has that address", "leave address= out");
	if (w->client.address == 0)
		wrong(w, "no address is left", "widen wireguard.pool, or say address=");
	free(used);
}

// ---- The configuration for wg-quick ------------------------------------------------------------------------

static void
put_addresses(FILE *to, const struct daemon *d, const struct wish *w)
{
	const struct sl_config_tenant *tenant = &d->config->tenants[w->tenant];
	const struct sl_config_addresses *resolvers = &d->config->dns.resolvers;
	const struct sl_config_prefix *pool = &d->config->dns.pool;
	struct in_addr a = { htonl(pool->address) };

	fprintf(to, "AllowedIPs = %s/%u", inet_ntoa(a), pool->length);
	for (unsigned i = 0; i < resolvers->nb; i++) {
		a.s_addr = htonl(resolvers->list[i]);
		fprintf(to, ", %s/32", inet_ntoa(a));
	}
	for (unsigned i = 0; i < tenant->nb_resources; i++) {
		const struct sl_config_resource *r = &tenant->resources[i];

		for (unsigned k = 0; (r->groups & w->groups) != 0 && k < r->prefixes.nb; k++) {
			a.s_addr = htonl(r->prefixes.list[k].address);
			fprintf(to, ", %s/%u", inet_ntoa(a), r->prefixes.list[k].length);
		}
	}
	fputc('\n', to);
}

static void
put_interface(FILE *to, const struct daemon *d, const struct wish *w)
{
	const struct sl_config_tenant *tenant = &d->config->tenants[w->tenant];
	struct in_addr a = { htonl(w->client.address) };
	char key[SL_KEY_BASE64_CHARS + 1];

	fputs("[Interface]\n", to);
	sl_key_to_base64(w->has_public ? w->client.public_key : w->key.octets, key);
	if (w->has_public)
		fprintf(to, "# PrivateKey = the one of %s\n", key);
	else
		fprintf(to, "PrivateKey = %s\n", key);
	sl_wipe(key, sizeof(key));
	fprintf(to, "Address = %s/32\n", inet_ntoa(a));
	for (unsigned i = 0; i < d->config->dns.resolvers.nb; i++) {
		a.s_addr = htonl(d->config->dns.resolvers.list[i]);
		fprintf(to, "%s%s", i == 0 ? "DNS = " : ", ", inet_ntoa(a));
	}
	for (unsigned i = 0; i < tenant->search.nb; i++)
		fprintf(to, ", %s", tenant->search.list[i]);
	fprintf(to, "\nMTU = %u\n\n", d->config->wireguard.mtu);
}

static void
put_peer(FILE *to, const struct daemon *d, const struct wish *w)
{
	static const uint8_t none[32];
	const struct sl_config_wireguard *wg = &d->config->wireguard;
	struct in_addr a = { htonl(d->config->ports[wg->port_idx].address.address) };
	char key[SL_KEY_BASE64_CHARS + 1];

	sl_key_to_base64(d->wireguard_public.bytes, key);
	fprintf(to, "[Peer]\nPublicKey = %s\n", key);
	if (memcmp(w->client.psk, none, sizeof(none)) != 0) {
		sl_key_to_base64(w->client.psk, key);
		fprintf(to, "PresharedKey = %s\n", key);
		sl_wipe(key, sizeof(key));
	}
	put_addresses(to, d, w);
	if (wg->endpoint != NULL)
		fprintf(to, "Endpoint = %s\n", wg->endpoint);
	else
		fprintf(to, "Endpoint = %s:%u\n", inet_ntoa(a), wg->udp_port);
	fputs("PersistentKeepalive = 25\n", to);
}

static json_t *
answer(const struct daemon *d, const struct wish *w)
{
	char text[CONFIG_BYTES] = "", key[SL_KEY_BASE64_CHARS + 1], address[INET_ADDRSTRLEN];
	struct in_addr a = { htonl(w->client.address) };
	FILE *to = fmemopen(text, sizeof(text), "w");
	json_t *result;

	if (to == NULL)
		return NULL;
	put_interface(to, d, w);
	put_peer(to, d, w);
	fclose(to);
	inet_ntop(AF_INET, &a, address, sizeof(address));
	sl_key_to_base64(w->client.public_key, key);
	result = json_pack(
		"{s:s, s:s, s:s, s:s, s:s}",
		"tenant",
		w->client.tenant,
		"name",
		w->client.name,
		"address",
		address,
		"public_key",
		key,
		"config",
		text
	);
	sl_wipe(text, sizeof(text));
	return result;
}

// ---- Commands ------------------------------------------------------------------------------------------------

static void
make_key(struct wish *w)
{
	struct sl_noise_public public;

	if (w->has_public)
		return;
	if (sl_noise_generate(&w->key) != 0 || sl_noise_public_of(&w->key, &public) != SL_NOISE_OK)
		wrong(w, "there is no randomness", NULL);
	else
		memcpy(w->client.public_key, public.octets, sizeof(w->client.public_key));
}

static bool
is_of_file(const struct daemon *d, const struct wish *w)
{
	const struct sl_config_tenant *tenant = &d->config->tenants[w->tenant];
	unsigned i = 0;

	while (i < tenant->nb_clients && strcmp(tenant->clients[i].name, w->client.name) != 0)
		i++;
	return i < tenant->nb_clients;
}

static void
fill_wish(const struct daemon *d, struct wish *w, unsigned nb_words, const char *const *words)
{
	if (!wireguard_is_served(d->config)) {
		wrong(w, "no WireGuard clients are served", "add wireguard = { }; and restart");
		return;
	}
	if (nb_words == 0) {
		wrong(w, "whose name is missing", "sluicectl help");
		return;
	}
	take_name(d->config, w, words[0]);
	for (unsigned i = 1; i < nb_words; i++)
		take_option(d->config, w, words[i]);
}

static void
serve_add(void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words)
{
	struct daemon *d = arg;
	struct wish w = { 0 };
	int ret = 0;

	fill_wish(d, &w, nb_words, words);
	if (w.problem == NULL && is_of_file(d, &w))
		wrong(&w, "the configuration file has a client of that name", "take another name");
	if (w.problem == NULL)
		take_address(d, &w);
	if (w.problem == NULL)
		make_key(&w);
	if (w.problem == NULL)
		ret = sl_store_client_add(d->store, &w.client);
	if (ret == -EEXIST)
		wrong(&w, "name, key or address is taken", "sluicectl client show");
	else if (ret != 0)
		wrong(&w, "the state directory does not take it", "sluicectl health");
	if (w.problem == NULL && snapshot_renew(d) != 0)
		wrong(&w, "it is on disk, but not in force", "sluicectl reload");
	if (w.problem == NULL)
		sl_api_reply(request, answer(d, &w));
	else
		sl_api_fail(request, w.remedy, "%s", w.problem);
	sl_wipe(&w, sizeof(w));
}

static void
serve_remove(void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words)
{
	struct daemon *d = arg;
	struct wish w = { 0 };
	int ret = 0;

	fill_wish(d, &w, nb_words, words);
	if (w.problem == NULL && is_of_file(d, &w))
		wrong(&w, "that client is in the configuration file", "take it out there; reload");
	if (w.problem == NULL)
		ret = sl_store_client_remove(d->store, w.client.tenant, w.client.name);
	if (ret == -ENOENT)
		wrong(&w, "there is no such client", "sluicectl client show");
	else if (ret != 0)
		wrong(&w, "the state directory does not take it", "sluicectl health");
	if (w.problem == NULL && snapshot_renew(d) != 0)
		wrong(&w, "it is off the disk, but still in force", "sluicectl reload");
	if (w.problem == NULL)
		sl_api_reply(
			request, sl_json_text("%s/%s is removed", w.client.tenant, w.client.name)
		);
	else
		sl_api_fail(request, w.remedy, "%s", w.problem);
}

static void
put_client(json_t *table, const struct daemon *d, const struct sl_service_peer *p)
{
	const struct sl_session *session = &d->sessions.sessions[p->session];
	const struct sl_lane_endpoint *lane = sl_session_lane(session);
	char key[SL_KEY_BASE64_CHARS + 1], endpoint[INET_ADDRSTRLEN + 8] = "", ip[INET_ADDRSTRLEN];
	uint64_t now_ns = sl_clock_ns((struct sl_clock *)(uintptr_t)&d->clock), opened = 0;

	for (unsigned l = 0; l < RTE_MIN(session->nb_lanes, SL_WIRE_MAX_LANES); l++)
		opened += session->lanes[l].opened_pkts;
	sl_key_to_base64(p->public_key, key);
	if (lane->remote != 0)
		snprintf(
			endpoint,
			sizeof(endpoint),
			"%s:%u",
			inet_ntop(AF_INET, &lane->remote, ip, sizeof(ip)),
			rte_be_to_cpu_16(lane->remote_port)
		);
	sl_json_row(
		table,
		"oososssII",
		sl_json_str(d->config->tenants[p->tenant].name),
		sl_json_str(p->name),
		atomic_load(&session->current) != NULL ? "up" : "down",
		sl_json_ip4(p->inner),
		endpoint,
		key,
		lane->heard_ns == 0 ? "never" : "",
		(json_int_t)(lane->heard_ns == 0 ? 0 : (now_ns - lane->heard_ns) / SL_NS_PER_S),
		(json_int_t)opened
	);
}

static void
serve_show(void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words)
{
	static const struct sl_column columns[] = {
		{ "tenant", SL_ALIGN_LEFT, "" },      { "client", SL_ALIGN_LEFT, "" },
		{ "session", SL_ALIGN_LEFT, "" },     { "address", SL_ALIGN_LEFT, "" },
		{ "endpoint", SL_ALIGN_LEFT, "" },    { "public key", SL_ALIGN_LEFT, "" },
		{ "heard", SL_ALIGN_LEFT, "" },       { "silent for", SL_ALIGN_RIGHT, "s" },
		{ "opened", SL_ALIGN_RIGHT, "pkts" },
	};
	struct daemon *d = arg;
	json_t *table = sl_json_table("WireGuard clients", columns, RTE_DIM(columns));

	for (unsigned i = 0; i < d->snapshot->nb_peers; i++) {
		const struct sl_service_peer *p = &d->snapshot->peers[i];

		if (p->client != SL_NO_CLIENT && p->session < d->sessions.nb_sessions &&
		    (nb_words == 0 || strcmp(words[0], p->name) == 0))
			put_client(table, d, p);
	}
	sl_api_reply(request, table);
}

int
clients_register(struct daemon *d)
{
	int ret = sl_api_register(
		d->api,
		"client add",
		"[TENANT/]NAME [groups=A,B] [address=A] [key=PUBLIC] [psk]",
		"Add a WireGuard client and print its configuration.",
		serve_add,
		d
	);

	if (ret == 0)
		ret = sl_api_register(
			d->api,
			"client remove",
			"[TENANT/]NAME",
			"Remove a WireGuard client that was added.",
			serve_remove,
			d
		);
	if (ret == 0)
		ret = sl_api_register(
			d->api, "client show", "[NAME]", "WireGuard clients.", serve_show, d
		);
	return ret;
}
