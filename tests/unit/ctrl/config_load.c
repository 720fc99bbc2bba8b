// What a right file becomes: defaults, references, examples, @include, size.
#include "sl_test.h"

#include <dirent.h>
#include <sluice/ctrl/config.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_A "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE="

#define POP                                                                                        \
	"node = { name = \"n\"; role = \"pop\"; key_file = \"/k\"; };\n"                           \
	"ports = ( { name = \"lan\"; device = \"net_tap0\"; address = \"10.1.0.1/24\"; },\n"       \
	"  { name = \"underlay\"; device = \"0000:03:00.0\"; address = \"192.0.2.1/24\";\n"        \
	"    gateway = \"192.0.2.254\"; } );\n"
#define CONNECTOR                                                                                  \
	"node = { role = \"connector\"; key_file = \"/k\"; };\n"                                   \
	"ports = ( { name = \"only\"; device = \"net_tap0\"; address = \"10.1.0.1/24\"; } );\n"    \
	"tunnel = { peers = ( { name = \"pop\"; endpoint = \"192.0.2.9\"; public_key = \"" KEY_A   \
	"\"; } ); };\n"                                                                            \
	"connector = { tenant = \"acme\"; resolvers = [\"10.9.0.53\"]; };\n"

static struct sl_config *
load(const char *text)
{
	struct sl_config_errors errors = { 0 };
	struct sl_config *config = NULL;
	int rc = sl_config_load_string(text, "t.conf", SL_CONFIG_SKIP_FILES, &config, &errors);

	SL_ASSERT_ROW(rc == 0 && errors.nb == 0, text);
	if (errors.nb > 0)
		sl_test_note(
			"got: %u: %s; %s",
			errors.list[0].line,
			errors.list[0].what,
			errors.list[0].remedy
		);
	sl_config_errors_free(&errors);
	return config;
}

static void
test_defaults_pop(void)
{
	struct sl_config *c = load(POP "tenants = ( { name = \"acme\"; id = 7; } );\n");
	const struct sl_config_dns *dns;

	if (c == NULL)
		return;
	dns = &c->dns;
	CU_ASSERT_EQUAL(c->node.role, SL_ROLE_POP);
	CU_ASSERT_EQUAL(c->nb_ports, 2);
	CU_ASSERT_TRUE(c->ports[0].is_vdev && !c->ports[1].is_vdev);
	CU_ASSERT_EQUAL(c->ports[0].mtu, 1500);
	CU_ASSERT_EQUAL(c->ports[0].vlan, 0);
	CU_ASSERT_EQUAL(c->ports[0].nb_queues, 0);
	CU_ASSERT_TRUE(c->ports[0].faces_clients && !c->ports[1].faces_clients);
	CU_ASSERT_EQUAL(c->ports[1].device_idx, 1);
	CU_ASSERT_EQUAL(c->nb_routes, 1);
	CU_ASSERT_EQUAL(c->routes[0].prefix.length, 0);
	CU_ASSERT_EQUAL(c->routes[0].via, 0xc00002fe);
	CU_ASSERT_EQUAL(c->routes[0].port_idx, 1);
	CU_ASSERT_EQUAL(c->workers.nb_cores, 1);
	CU_ASSERT_EQUAL(c->workers.idle, SL_IDLE_AUTO);
	CU_ASSERT_EQUAL(c->tunnel.udp_port, 4501);
	CU_ASSERT_EQUAL(c->tunnel.port_idx, 1);
	CU_ASSERT_EQUAL(c->tunnel.nb_lanes, 1);
	CU_ASSERT_EQUAL(c->tunnel.udp_checksum, SL_UDP_CHECKSUM_AUTO);
	CU_ASSERT_EQUAL(c->wireguard.udp_port, 0);
	CU_ASSERT_EQUAL(dns->resolvers.nb, 4);
	CU_ASSERT_EQUAL(dns->resolvers.list[0], 0x645f00fb);
	CU_ASSERT_EQUAL(dns->resolvers.list[3], 0x645f00fe);
	CU_ASSERT_EQUAL(dns->pool.address, 0x64600000);
	CU_ASSERT_EQUAL(dns->pool.length, 12);
	CU_ASSERT_EQUAL(dns->ttl_s, 60);
	CU_ASSERT_EQUAL(dns->quarantine_s, 86400);
	CU_ASSERT_EQUAL(dns->upstreams.nb, 0);
	CU_ASSERT_TRUE(dns->canary && !dns->refuse_other);
	CU_ASSERT_EQUAL(c->tenants[0].id, 7);
	CU_ASSERT_EQUAL(c->tenants[0].limits.flows, 0);
	sl_config_free(c);
}

static void
test_defaults_rest(void)
{
	struct sl_config *c = load(CONNECTOR);

	if (c == NULL)
		return;
	CU_ASSERT_EQUAL(c->node.role, SL_ROLE_CONNECTOR);
	CU_ASSERT_PTR_NOT_NULL(c->node.name);
	CU_ASSERT_EQUAL(c->tunnel.port_idx, 0);
	CU_ASSERT_FALSE(c->ports[0].faces_clients);
	CU_ASSERT_EQUAL(c->tunnel.peers[0].endpoint.port, 4501);
	CU_ASSERT_PTR_NULL(c->tunnel.peers[0].psk_file);
	CU_ASSERT_EQUAL(c->connector.resolvers[0].port, 53);
	CU_ASSERT_EQUAL(c->connector.nb_allow, 0);
	CU_ASSERT_EQUAL(c->connector.nat_addresses.nb, 0);
	CU_ASSERT_EQUAL(c->connector.nat_ports.low, 1024);
	CU_ASSERT_EQUAL(c->connector.nat_ports.high, 65535);
	CU_ASSERT_EQUAL(c->limits.flows, 65536);
	CU_ASSERT_EQUAL(c->limits.names, 16384);
	CU_ASSERT_EQUAL(c->limits.sessions, 1024);
	CU_ASSERT_EQUAL(c->limits.mbufs, 0);
	CU_ASSERT_EQUAL(c->timers.tcp_established_s, 7440);
	CU_ASSERT_EQUAL(c->timers.tcp_transitory_s, 240);
	CU_ASSERT_EQUAL(c->timers.tcp_time_wait_s, 240);
	CU_ASSERT_EQUAL(c->timers.udp_s, 120);
	CU_ASSERT_EQUAL(c->timers.dns_s, 10);
	CU_ASSERT_EQUAL(c->timers.icmp_s, 60);
	CU_ASSERT_EQUAL(c->timers.resolve_ms, 3000);
	CU_ASSERT_EQUAL(c->timers.suspect_ms, 300);
	CU_ASSERT_EQUAL(c->timers.dead_ms, 1000);
	CU_ASSERT_STRING_EQUAL(c->system.state_dir, "/var/lib/sluice");
	CU_ASSERT_STRING_EQUAL(c->system.control_socket, "/run/sluice/sluice.sock");
	CU_ASSERT_STRING_EQUAL(c->system.user, "sluice");
	CU_ASSERT_EQUAL(c->system.log_level, SL_LOG_NOTICE);
	CU_ASSERT_PTR_NULL(c->system.flow_log);
	CU_ASSERT_EQUAL(c->system.metrics.address, 0x7f000001);
	CU_ASSERT_EQUAL(c->system.metrics.port, 9464);
	sl_config_free(c);
}

#define TENANT                                                                                     \
	POP "wireguard = { };\n"                                                                   \
	    "limits = { tenant = { dns_per_s = 50; flows = 9; }; };\n"                             \
	    "tenants = ( { name = \"acme\"; id = 1; groups = [\"a\", \"b\"];\n"                    \
	    "limits = { flows = 0; };\n"                                                           \
	    "bypass = [\"WWW.corp.example.\", \"10.3.0.1\"];\n"                                    \
	    "upstreams = ( { address = \"192.0.2.5\"; tls = \"d.example\"; }, \"192.0.2.6:54\" "   \
	    ");\n"                                                                                 \
	    "networks = ( { name = \"n\"; }, { name = \"m\"; connectors = (\n"                     \
	    "  { name = \"c\"; public_key = \"" KEY_A "\"; } ); } );\n"                            \
	    "clients = ( { name = \"x\"; source = \"10.1.0.0/28\"; groups = \"b\"; } );\n"         \
	    "resources = (\n"                                                                      \
	    " { address = \"Git.Corp.Example.\"; network = \"m\"; groups = [\"a\", \"b\"];\n"      \
	    "   tcp = (443, \"80-81\", 82, \"8000\"); },\n"                                        \
	    " { name = \"all\"; address = [\"10.128.0.0/9\", \"*.x.example\"]; network = \"n\"; "  \
	    "},\n"                                                                                 \
	    " { address = \"10.200.0.1\"; aliases = \"Box.example\"; icmp = true; deny = "         \
	    "\"silent\";\n"                                                                        \
	    "   network = \"n\"; ttl_s = 0; dialect = \"label\"; inherit = true; names = 5; } "    \
	    ");\n"                                                                                 \
	    "} );\n"

static void
test_tenant(void)
{
	struct sl_config *c = load(TENANT);
	const struct sl_config_tenant *t;
	const struct sl_config_resource *r;

	if (c == NULL)
		return;
	t = &c->tenants[0];
	CU_ASSERT_EQUAL(t->limits.flows, 0); // written, so not the default of 9
	CU_ASSERT_EQUAL(t->limits.dns_per_s, 50);
	CU_ASSERT_STRING_EQUAL(t->bypass.list[0], "www.corp.example");
	CU_ASSERT_EQUAL(t->bypass_prefixes.list[0].address, 0x0a030001);
	CU_ASSERT_EQUAL(t->upstreams.list[0].endpoint.port, 853);
	CU_ASSERT_STRING_EQUAL(t->upstreams.list[0].tls_name, "d.example");
	CU_ASSERT_EQUAL(t->upstreams.list[1].endpoint.port, 54);
	CU_ASSERT_EQUAL(t->networks[1].connectors[0].weight, 100);
	CU_ASSERT_EQUAL(t->clients[0].groups, 2);
	CU_ASSERT_EQUAL(t->clients[0].port_idx, 0);
	CU_ASSERT_EQUAL(c->wireguard.udp_port, 51820);
	CU_ASSERT_EQUAL(c->wireguard.port_idx, 1);
	CU_ASSERT_EQUAL(c->wireguard.mtu, 1420);
	CU_ASSERT_STRING_EQUAL(c->wireguard.key_file, "/k");
	r = &t->resources[0];
	CU_ASSERT_STRING_EQUAL(r->name, "git.corp.example");
	CU_ASSERT_STRING_EQUAL(r->patterns.list[0], "git.corp.example");
	CU_ASSERT_EQUAL(r->groups, 3);
	CU_ASSERT_EQUAL(r->network_idx, 1);
	CU_ASSERT_EQUAL(r->services.tcp.nb, 3);
	CU_ASSERT_EQUAL(r->services.tcp.list[0].low, 80);
	CU_ASSERT_EQUAL(r->services.tcp.list[0].high, 82);
	CU_ASSERT_EQUAL(r->services.tcp.list[1].low, 443);
	CU_ASSERT_TRUE(r->services.udp.nb == 0 && !r->services.icmp);
	CU_ASSERT_EQUAL(r->ttl_s, SL_CONFIG_TTL_DEFAULT);
	CU_ASSERT_EQUAL(r->deny, SL_DENY_RESET);
	r = &t->resources[1];
	CU_ASSERT_TRUE(r->prefixes.nb == 1 && r->patterns.nb == 1);
	CU_ASSERT_TRUE(r->services.tcp.nb == 1 && r->services.udp.nb == 1 && r->services.icmp);
	CU_ASSERT_EQUAL(r->services.udp.list[0].high, 65535);
	r = &t->resources[2];
	CU_ASSERT_TRUE(r->inherit && r->services.icmp && r->services.tcp.nb == 0);
	CU_ASSERT_EQUAL(r->deny, SL_DENY_SILENT);
	CU_ASSERT_EQUAL(r->dialect, SL_DIALECT_LABEL);
	CU_ASSERT_TRUE(r->ttl_s == 0 && r->names_max == 5);
	CU_ASSERT_STRING_EQUAL(r->aliases.list[0], "box.example");
	sl_config_free(c);
}

static char *
read_file(const char *path)
{
	FILE *f = fopen(path, "re");
	char *text = calloc(1, 1 << 16);

	if (f == NULL || text == NULL)
		abort();
	(void)!fread(text, 1, (1 << 16) - 1, f);
	fclose(f);
	return text;
}

static unsigned
nb_lines(const char *text)
{
	unsigned nb = 0;

	for (; *text != '\0'; text++)
		nb += *text == '\n';
	return nb;
}

static void
test_examples(void)
{
	static const struct {
		const char *file;
		enum sl_config_role role;
		unsigned nb_tenants;
		unsigned max_lines;
	} rows[] = {
		{ SL_SOURCE "/docs/examples/pop.conf", SL_ROLE_POP, 1, 29 },
		{ SL_SOURCE "/docs/examples/connector.conf", SL_ROLE_CONNECTOR, 0, 29 },
		{ SL_SOURCE "/docs/examples/pop-hosted.conf", SL_ROLE_POP, 2, 1000 },
		{ SL_SOURCE "/docs/examples/pop-baremetal.conf", SL_ROLE_POP, 1, 1000 },
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *text = read_file(rows[i].file);
		struct sl_config *c = load(text);

		SL_ASSERT_ROW(c != NULL, rows[i].file);
		SL_ASSERT_ROW(nb_lines(text) <= rows[i].max_lines, rows[i].file);
		if (c != NULL) {
			SL_ASSERT_ROW(c->node.role == rows[i].role, rows[i].file);
			SL_ASSERT_ROW(c->nb_tenants == rows[i].nb_tenants, rows[i].file);
		}
		sl_config_free(c);
		free(text);
	}
}

// Those named above and whatever else is kept there.
static void
test_all_examples(void)
{
	DIR *dir = opendir(SL_SOURCE "/docs/examples");
	const struct dirent *entry;
	unsigned nb = 0;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		char path[1024];
		char *text;

		if (strstr(entry->d_name, ".conf") == NULL)
			continue;
		(void)snprintf(path, sizeof(path), SL_SOURCE "/docs/examples/%s", entry->d_name);
		text = read_file(path);
		sl_config_free(load(text));
		free(text);
		nb++;
	}
	if (dir != NULL)
		closedir(dir);
	CU_ASSERT_TRUE(nb >= 4);
}

// Every key of the loader's tables stands in the reference, in backquotes.
static void
test_documented(void)
{
	static const char *const files[] = { "load.c",        "read_client.c", "read_connector.c",
					     "read_dns.c",    "read_node.c",   "read_resource.c",
					     "read_system.c", "read_tenant.c" };
	char *docs = read_file(SL_SOURCE "/docs/configuration.md");
	unsigned nb = 0;

	for (unsigned i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char path[1024];
		char *text;

		(void)snprintf(path, sizeof(path), SL_SOURCE "/ctrl/config/%s", files[i]);
		text = read_file(path);
		for (const char *at = text; (at = strstr(at, "\", SL_FIELD_")) != NULL; at++) {
			const char *begin = at;
			char key[64];

			while (begin[-1] != '"')
				begin--;
			(void)snprintf(key, sizeof(key), "`%.*s`", (int)(at - begin), begin);
			// Sections have headings.
			if (strcmp(files[i], "load.c") == 0)
				(void
				)snprintf(key, sizeof(key), "## %.*s\n", (int)(at - begin), begin);
			SL_ASSERT_ROW(strstr(docs, key) != NULL, key);
			nb++;
		}
		free(text);
	}
	free(docs);
	CU_ASSERT_TRUE(nb > 80);
}

static void
write_file(const char *dir, const char *name, const char *text)
{
	char path[512];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "we");
	if (f == NULL)
		abort();
	fputs(text, f);
	fclose(f);
}

// main.conf includes two levels, one of them by a path relative to the including file's folder, one
// absolute; the error is on line 3 of the innermost.
static void
test_include(void)
{
	char dir[] = "/tmp/config-test-XXXXXX";
	char path[512];
	char text[1024];
	struct sl_config_errors errors = { 0 };
	struct sl_config *c;
	int rc;

	if (mkdtemp(dir) == NULL)
		abort();
	(void)snprintf(path, sizeof(path), "%s/sub", dir);
	(void)mkdir(path, 0700);
	write_file(dir, "sub/inner.conf", "# a comment with @include \"/tmp\"\n\nbad = 1;\n");
	write_file(dir, "sub/ports.conf", POP "@include \"inner.conf\"\n");
	(void)snprintf(
		text,
		sizeof(text),
		"/* @include\n@include \"/tmp\"\n*/\n@include \"%s/sub/ports.conf\" // ports\n"
		"tenants = ( { name = \"a\"; id = 0; } );\n",
		dir
	);
	write_file(dir, "main.conf", text);
	(void)snprintf(path, sizeof(path), "%s/main.conf", dir);
	rc = sl_config_load(path, &c, &errors);
	CU_ASSERT_TRUE(rc != 0);
	for (unsigned i = 0, found = 0; i < errors.nb; i++) {
		const struct sl_config_error *e = &errors.list[i];

		if (strstr(e->what, "'bad'") != NULL) {
			CU_ASSERT_EQUAL(e->line, 3);
			CU_ASSERT_TRUE(strstr(e->file, "/sub/inner.conf") != NULL);
			found++;
		}
		if (strstr(e->what, "'id'") != NULL) {
			CU_ASSERT_EQUAL(e->line, 5);
			CU_ASSERT_TRUE(strstr(e->file, "/main.conf") != NULL);
			found++;
		}
		if (i + 1 == errors.nb)
			CU_ASSERT_EQUAL(found, 2);
	}
	sl_config_errors_free(&errors);
	// A file that includes itself ends.
	write_file(dir, "main.conf", "@include \"main.conf\"\n");
	CU_ASSERT_TRUE(sl_config_load(path, &c, &errors) != 0);
	CU_ASSERT_TRUE(strstr(errors.list[0].what, "files deep") != NULL);
	sl_config_errors_free(&errors);
	(void)snprintf(text, sizeof(text), "rm -r %s", dir);
	CU_ASSERT_EQUAL(system(text), 0);
}

// 100,000 resources and 10,000 clients: found duplicates pair by pair would take minutes.
static void
test_large(void)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);
	struct sl_config *c;

	fputs(POP "tenants = ( { name = \"a\"; id = 1; networks = ( { name = \"n\"; } );\n"
		  "groups = [\"g\"]; clients = (\n",
	      f);
	for (unsigned i = 0; i < 10000; i++)
		fprintf(f,
			"%s{ name = \"c%u\"; source = \"10.2.%u.%u\"; groups = [\"g\"]; }\n",
			i == 0 ? "" : ",",
			i,
			i >> 8,
			i & 255);
	fputs("); resources = (\n", f);
	for (unsigned i = 0; i < 100000; i++)
		fprintf(f,
			"%s{ address = \"h%u.corp.example\"; tcp = 443; groups = [\"g\"]; }\n",
			i == 0 ? "" : ",",
			i);
	fputs("); } );\n", f);
	fclose(f);
	c = load(text);
	if (c != NULL)
		CU_ASSERT_EQUAL(c->tenants[0].nb_resources, 100000);
	sl_config_free(c);
	free(text);
}

static void
test_tiny(void)
{
	static const char *const texts[] = { "",
					     "\n",
					     "#",
					     "/*",
					     "\"",
					     "@",
					     "(",
					     "{",
					     ";",
					     "a=\"\\",
					     "tenants = ( {}, {}, {} );",
					     "ports = ( {}, {}, {} );",
					     "node = ( );",
					     "tunnel = { port = 5; };",
					     "connector = { };",
					     "wireguard = ( );" };

	for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct sl_config_errors errors = { 0 };
		struct sl_config *c;
		int rc = sl_config_load_string(
			texts[i], "t.conf", SL_CONFIG_SKIP_FILES, &c, &errors
		);

		SL_ASSERT_ROW(rc != 0 && c == NULL && errors.nb > 0, texts[i]);
		sl_config_errors_free(&errors);
	}
}

static void
test_same_nic(void)
{
	struct sl_config *c = load(
		"node = { role = \"pop\"; key_file = \"/k\"; };\n"
		"ports = ( { name = \"a\"; device = \"net_tap0\"; address = \"10.1.0.1/24\"; },\n"
		"{ name = \"u\"; device = \"net_tap0\"; vlan = 9; address = \"10.2.0.1/24\"; } );\n"
		"tunnel = { port = \"u\"; };\n"
		"tenants = ( { name = \"a\"; id = 1;\n"
		"clients = ( { name = \"x\"; source = \"10.2.0.7\"; port = \"u\"; } ); } );\n"
	);

	if (c == NULL)
		return;
	CU_ASSERT_EQUAL(c->ports[1].device_idx, 0);
	CU_ASSERT_EQUAL(c->tunnel.port_idx, 1);
	CU_ASSERT_EQUAL(c->tenants[0].clients[0].vlan, 9);
	sl_config_free(c);
}

static const struct sl_test_case cases[] = {
	{ "config: resolver addresses and pool have their defaults, as has the rest of a PoP",
	  test_defaults_pop },
	{ "config: defaults of a connector, limits, timers and surroundings", test_defaults_rest },
	{ "config: names are put in normal form, references become indices, ports are merged",
	  test_tenant },
	{ "config: the examples are what they say, and the shortest are under 30 lines",
	  test_examples },
	{ "config: every example loads", test_all_examples },
	{ "config: every key is in the reference", test_documented },
	{ "config: @include works by relative and absolute path, and errors name the inner file",
	  test_include },
	{ "config: 100,000 resources and 10,000 clients load", test_large },
	{ "config: fragments of a file are errors, not crashes", test_tiny },
	{ "config: two ports on one device with different VLANs", test_same_nic },
};

SL_TEST_MAIN(cases)
