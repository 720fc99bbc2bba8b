// What the loader says to a wrong file: the place, what is wrong, and the remedy.
#include "sl_test.h"

#include <errno.h>
#include <sluice/ctrl/config.h>
#include <stdlib.h>
#include <string.h>

#define KEY_A "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE="
#define KEY_B "YmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmI="

// The rows below replace or add to these parts; line numbers count from the row's own text, which
// comes first.
#define NODE   "node = { role = \"pop\"; key_file = \"/k\"; };\n"
#define CNODE  "node = { role = \"connector\"; key_file = \"/k\"; };\n"
#define LAN    "{ name = \"lan\"; device = \"net_tap0\"; address = \"10.1.0.1/24\"; }"
#define UNDER  "{ name = \"underlay\"; device = \"net_tap1\"; address = \"192.0.2.1/24\"; }"
#define PORTS  "ports = ( " LAN ", " UNDER " );\n"
#define TENANT "tenants = ( { name = \"acme\"; id = 1; } );\n"
#define NET    "networks = ( { name = \"office\"; } ); groups = [\"staff\", \"ops\"];\n"
#define PEERS                                                                                      \
	"tunnel = { peers = ( { name = \"pop1\"; endpoint = \"192.0.2.9\"; public_key = \"" KEY_A  \
	"\"; } ); };\n"
#define CONN "connector = { tenant = \"acme\"; resolvers = [\"10.9.0.53\"]; };\n"
#define POP  NODE PORTS
// A tenant whose body begins on line 2.
#define IN_TENANT(text) "tenants = ( { name = \"acme\"; id = 1; " NET text "} );\n" POP
#define IN_WG(text)     IN_TENANT(text) "wireguard = { };\n"
#define RES(text)       IN_TENANT("resources = ( { " text " } );")
#define CLI(text)       IN_TENANT("clients = ( { name = \"c\"; " text " } );")

static const struct row {
	const char *text;
	unsigned line;
	const char *what; // in what, or in the remedy
} rows[] = {
	// Syntax.
	{ "node = {", 1, "syntax error" },
	{ POP TENANT "x = 1;\n", 4, "'x' is not a key of the configuration" },
	{ "node = { role = \"pop\" role2 = 1 };\n" PORTS TENANT, 1, "not a key" },
	{ POP TENANT "node = { };\n", 4, "duplicate setting name" },
	{ "\n @include \"/nonexistent/x\"\n" POP TENANT, 2, "cannot read '/nonexistent/x'" },
	{ "@include \"/tmp\"\n" POP TENANT, 1, "'/tmp' is a folder" },
	{ "@include \"/dev/zero\"\n" POP TENANT, 1, "is not a regular file" },
	{ "@include nothing\n" POP TENANT, 1, "@include \"FILE\" on a line of its own" },
	{ "x = @include \"/tmp\"\n" POP TENANT, 1, "'@' outside a string" },
	{ NODE "\nports = ( { name = \"lan; } );\n", 3, "a string begins here" },
	{ POP "\n/* done\n", 4, "a comment begins here" },
	// Node.
	{ PORTS TENANT, 0, "there is no node" },
	{ "node = 5;\n" PORTS TENANT, 1, "'node' must be a group" },
	{ "node = { key_file = \"/k\"; };\n" PORTS TENANT, 1, "the node has no 'role'" },
	{ "node = { role = \"pop\"; };\n" PORTS TENANT, 1, "the node has no 'key_file'" },
	{ "node = { role = \"pip\"; key_file = \"/k\"; };\n" PORTS TENANT,
	  1,
	  "may be \"pop\", \"connector\"" },
	{ "node = { rolle = \"pop\"; key_file = \"/k\"; };\n" PORTS TENANT,
	  1,
	  "did you mean 'role'?" },
	{ "node = { role = \"pop\"; key_file = \"\"; };\n" PORTS TENANT, 1, "not empty" },
	{ "node = { name = \"a b\"; role = \"pop\"; key_file = \"/k\"; };\n" PORTS TENANT,
	  1,
	  "'a b' is no name" },
	// Ports.
	{ NODE TENANT, 0, "there are no ports" },
	{ "ports = ( );\n" NODE TENANT, 1, "there are no ports" },
	{ "ports = { };\n" NODE TENANT, 1, "'ports' must be a list" },
	{ "ports = ( 5 );\n" NODE TENANT, 1, "is no group" },
	{ "ports = ( { name = \"a\"; address = \"10.0.0.1/24\"; } );\n" NODE TENANT,
	  1,
	  "a port has no 'device'" },
	{ "ports = ( { name = \"a\"; device = \"eth0\"; address = \"10.0.0.1/24\"; } );\n" NODE
		  TENANT,
	  1,
	  "'eth0' is no device" },
	{ "ports = ( { name = \"a\"; device = \"0000:03:00.9\"; address = \"10.0.0.1/24\"; } "
	  ");\n" NODE TENANT,
	  1,
	  "is no device" },
	{ "ports = ( { name = \"a\"; device = \"net_tap0 --foo\"; address = \"10.0.0.1/24\"; } "
	  ");\n" NODE TENANT,
	  1,
	  "is no device" },
	{ "ports = ( { name = \"a\"; device = \"net_af_packet0\"; address = \"10.0.0.1/24\"; } "
	  ");\n" NODE TENANT,
	  1,
	  "add ,iface=NAME" },
	{ "ports = ( { name = \"a\"; device = \"net_tap0\"; address = \"10.0.0.0/24\"; } );\n" NODE
		  TENANT,
	  1,
	  "is a subnet, not an address in it" },
	{ "ports = ( { name = \"a\"; device = \"net_tap0\"; address = \"10.0.0.1\"; } );\n" NODE
		  TENANT,
	  1,
	  "with prefix length" },
	{ "ports = ( { name = \"a\"; device = \"net_tap0\"; address = \"10.0.0.300/24\"; } "
	  ");\n" NODE TENANT,
	  1,
	  "is no IPv4 address" },
	{ "ports = ( { name = \"a\"; device = \"net_tap0\"; address = \"127.0.0.1/8\"; } );\n" NODE
		  TENANT,
	  1,
	  "loopback" },
	{ "ports = ( { name = \"a\"; device = \"net_tap0\"; address = \"100.96.0.1/24\"; } "
	  ");\n" NODE TENANT,
	  1,
	  "overlaps the pool" },
	{ "ports = ( { name = \"a\"; device = \"net_tap0\"; address = \"100.95.0.251/24\"; } "
	  ");\n" NODE TENANT,
	  1,
	  "is a resolver address" },
	{ "ports = ( { name = \"a\"; device = \"net_tap0\"; address = \"10.0.0.1/24\"; mtu = 100; "
	  "} );\n" NODE TENANT,
	  1,
	  "from 576 to 9600" },
	{ "ports = ( { name = \"a\"; device = \"net_tap0\"; address = \"10.0.0.1/24\"; mtu = "
	  "\"1500\"; } );\n" NODE TENANT,
	  1,
	  "'mtu' must be a whole number" },
	{ "ports = ( { name = \"a\"; device = \"net_tap0\"; address = \"10.0.0.1/24\"; vlan = "
	  "4095; } );\n" NODE TENANT,
	  1,
	  "from 0 to 4094" },
	{ "ports = ( { name = \"a\"; device = \"net_tap0\"; address = \"10.0.0.1/24\"; clients = "
	  "1; } );\n" NODE TENANT,
	  1,
	  "must be true or false" },
	{ "ports = ( { name = \"a\"; device = \"net_tap0\"; address = \"10.0.0.1/24\"; gateway = "
	  "\"10.0.1.1\"; } );\n" NODE TENANT,
	  1,
	  "the gateway of port 'a'" },
	{ "ports = ( { name = \"a\"; device = \"net_tap0\"; address = \"10.0.0.1/24\"; gateway = "
	  "\"10.0.0.1\"; } );\n" NODE TENANT,
	  1,
	  "the gateway of port 'a'" },
	{ "ports = ( " LAN ",\n" LAN " );\n" NODE TENANT,
	  2,
	  "port 'lan' is defined twice, first at line 1" },
	{ "ports = ( " LAN ",\n" LAN " );\n" NODE TENANT, 2, "is already port 'lan'" },
	{ "ports = ( " LAN
	  ",\n{ name = \"b\"; device = \"net_tap1\"; address = \"10.1.0.2/16\"; } );\n" NODE TENANT,
	  2,
	  "overlap" },
	{ "ports = ( " LAN
	  ",\n{ name = \"b\"; device = \"net_tap1\"; address = \"10.1.0.1/24\"; } );\n" NODE TENANT,
	  2,
	  "have the same address" },
	{ "ports = ( " LAN
	  ",\n{ name = \"b\"; device = \"net_tap1\"; address = \"10.2.0.1/24\"; } );\n" NODE TENANT,
	  0,
	  "the tunnel has no 'port'" },
	// Routes.
	{ "routes = ( { prefix = \"10.9.0.0/16\"; port = \"lann\"; } );\n" POP TENANT,
	  1,
	  "did you mean 'lan'?" },
	{ "routes = ( { prefix = \"10.9.0.1/16\"; port = \"lan\"; } );\n" POP TENANT,
	  1,
	  "has host bits set; write 10.9.0.0/16" },
	{ "routes = ( { prefix = \"10.9.0.0/16\"; via = \"10.2.0.1\"; port = \"lan\"; } );\n" POP
		  TENANT,
	  1,
	  "the next hop of the route to 10.9.0.0/16" },
	{ "routes = ( { prefix = \"10.9.0.0/16\"; port = \"lan\"; },\n { prefix = \"10.9.0.0/16\"; "
	  "port = \"lan\"; } );\n" POP TENANT,
	  2,
	  "two routes to 10.9.0.0/16" },
	{ "routes = ( { prefix = \"100.100.0.0/16\"; port = \"lan\"; } );\n" POP TENANT,
	  1,
	  "lies in the pool" },
	{ "routes = ( { prefix = \"10.0.0.0/33\"; port = \"lan\"; } );\n" POP TENANT,
	  1,
	  "is no IPv4 prefix" },
	// Workers.
	{ "workers = { cores = [1, 1]; };\n" POP TENANT, 1, "core 1 is listed twice" },
	{ "workers = { cores = [ ]; };\n" POP TENANT, 1, "'cores' must list" },
	{ "workers = { cores = [ 500 ]; };\n" POP TENANT, 1, "from 0 to 127" },
	{ "workers = { idle = \"sleep\"; };\n" POP TENANT, 1, "\"auto\", \"poll\", \"adaptive\"" },
	// Tunnel.
	{ "tunnel = { port = \"wan\"; };\n" POP TENANT, 1, "the port 'wan' is not defined" },
	{ "tunnel = { udp_port = 0; };\n" POP TENANT, 1, "from 1 to 65535" },
	{ "tunnel = { lanes = 65; };\n" POP TENANT, 1, "from 1 to 64" },
	{ PEERS POP TENANT, 1, "a PoP dials nobody" },
	{ "tunnel = { peers = ( { name = \"p\"; endpoint = \"pop.example\"; public_key = \"" KEY_A
	  "\"; } ); };\n" CNODE PORTS CONN,
	  1,
	  "is no IPv4 address and port" },
	{ "tunnel = { peers = ( { name = \"p\"; endpoint = \"192.0.2.9:0\"; public_key = \"" KEY_A
	  "\"; } ); };\n" CNODE PORTS CONN,
	  1,
	  "no port from 1 to 65535" },
	{ "tunnel = { peers = ( { name = \"p\"; endpoint = \"192.0.2.9\"; public_key = \"short\"; "
	  "} ); };\n" CNODE PORTS CONN,
	  1,
	  "is no public key" },
	{ "tunnel = { peers = ( { name = \"p\"; endpoint = \"192.0.2.9\"; public_key = "
	  "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"; } ); };\n" CNODE PORTS CONN,
	  1,
	  "all-zero key" },
	{ CNODE PORTS CONN, 0, "a connector needs a PoP to dial" },
	{ CNODE PORTS PEERS, 0, "a connector needs a connector section" },
	{ TENANT CNODE PORTS PEERS CONN, 1, "a connector has no tenants section" },
	{ CONN POP TENANT, 1, "a PoP has no connector section" },
	{ POP, 0, "a PoP needs a tenant" },
	// WireGuard.
	{ "wireguard = { udp_port = 4501; };\n" POP TENANT, 1, "the same UDP port 4501" },
	{ "wireguard = { };\n" CNODE PORTS PEERS CONN, 1, "takes no WireGuard clients" },
	{ "wireguard = { pool = [\"100.100.0.0/24\"]; };\n" POP TENANT,
	  1,
	  "wireguard.pool overlaps dns.pool" },
	// DNS.
	{ "dns = { pool = \"100.95.0.0/16\"; };\n" POP TENANT, 1, "the pool covers resolver 1" },
	{ "dns = { pool = \"100.96.0.0/30\"; };\n" POP TENANT, 1, "it may be from 8 to 28" },
	{ "dns = { resolvers = [\"10.0.0.x\"]; };\n" POP TENANT,
	  1,
	  "'10.0.0.x' is no IPv4 address" },
	{ "dns = { resolvers = [\"10.7.0.1\", \"10.7.0.1\"]; };\n" POP TENANT,
	  1,
	  "is listed twice" },
	{ "dns = { ttl_s = 86401; };\n" POP TENANT, 1, "from 0 to 86400" },
	{ "dns = { upstreams = { mode = \"fast\"; servers = [\"192.0.2.53\"]; }; };\n" POP TENANT,
	  1,
	  "\"serial\", \"parallel\", \"random\"" },
	{ "dns = { upstreams = { mode = \"serial\"; }; };\n" POP TENANT,
	  1,
	  "upstreams has no 'servers'" },
	{ "dns = { upstreams = [\"192.0.2.53\", \"192.0.2.53\"]; };\n" POP TENANT,
	  1,
	  "this upstream is listed twice" },
	{ "dns = { upstreams = ( 5 ); };\n" POP TENANT, 1, "neither a string nor a group" },
	{ "dns = { upstreams = ( { address = \"192.0.2.5\"; tls_pin = \"x\"; } ); };\n" POP TENANT,
	  1,
	  "tls_pin is given without tls" },
	{ "dns = { upstreams = ( { address = \"192.0.2.5\"; tls = \"d.example\"; tls_pin = \"x\"; "
	  "} ); "
	  "};\n" POP TENANT,
	  1,
	  "44 letters of base64" },
	{ "dns = { tcp_idle_s = 61; };\n" POP TENANT, 1, "from 1 to 60" },
	{ "dns = { tls_cert_file = \"/c\"; };\n" POP TENANT, 1, "give both or neither" },
	// Limits, timers, system.
	{ "limits = { flows = -1; };\n" POP TENANT, 1, "'flows' is -1" },
	{ "limits = { flows = 99999999999999999999; };\n" POP TENANT, 1, "" },
	{ "limits = { flows = 17000000; };\nworkers = { cores = [0]; };\n" POP TENANT,
	  1,
	  "lower it, or add cores" },
	{ "limits = { names = 1000; };\ndns = { pool = \"100.96.0.0/24\"; };\n" POP TENANT,
	  1,
	  "the pool has 254 addresses" },
	{ "timers = { udp_s = 1; };\n" POP TENANT, 1, "from 5 to 86400" },
	{ "timers = { suspect_ms = 1000; };\n" POP TENANT, 1, "is not above suspect_ms" },
	{ "system = { user = \"root\"; };\n" POP TENANT, 1, "user is root" },
	{ "system = { state_dir = \"state\"; };\n" POP TENANT, 1, "is no absolute path" },
	{ "system = { log_level = \"verbose\"; };\n" POP TENANT, 1, "\"notice\"" },
	{ "system = { metrics = \"9464\"; };\n" POP TENANT, 1, "is no IPv4 address and port" },
	// Tenants.
	{ "tenants = ( { name = \"a\"; } );\n" POP, 1, "a tenant has no 'id'" },
	{ "tenants = ( { name = \"a\"; id = 0; } );\n" POP, 1, "from 1 to 65534" },
	{ "tenants = ( { name = \"a\"; id = 1; },\n{ name = \"a\"; id = 2; } );\n" POP,
	  2,
	  "tenant 'a' is defined twice" },
	{ "tenants = ( { name = \"a\"; id = 1; },\n{ name = \"b\"; id = 1; } );\n" POP,
	  2,
	  "have the same id 1" },
	{ IN_TENANT("bypass = [\"*.x.example\"];"), 2, "has a wildcard" },
	{ IN_TENANT("search = [\"corp_example.\"];"), 2, "single label" },
	{ "tenants = ( { name = \"a\"; id = 1; groups = [\"g\", \"g\"]; } );\n" POP,
	  1,
	  "group 'g' is listed twice" },
	{ "tenants = ( { name = \"a\"; id = 1; networks = ( { name = \"n\"; },\n{ name = \"n\"; } "
	  "); } );\n" POP,
	  2,
	  "network 'n' is defined twice" },
	{ "tenants = ( { name = \"a\"; id = 1; networks = ( { name = \"n\"; connectors = ( { name "
	  "= \"c\"; } ); } ); } );\n" POP,
	  1,
	  "a connector has no 'public_key'" },
	{ "tenants = ( { name = \"a\"; id = 1; networks = ( { name = \"n\"; connectors = ( { name "
	  "= \"c\"; public_key = \"" KEY_A "\"; },\n{ name = \"d\"; public_key = \"" KEY_A
	  "\"; } ); } ); } );\n" POP,
	  2,
	  "has the same public_key as 'c' at line 1" },
	{ "tenants = ( { name = \"a\"; id = 1; networks = ( { name = \"n\"; connectors = ( { name "
	  "= \"c\"; public_key = \"" KEY_A "\"; weight = 0; } ); } ); } );\n" POP,
	  1,
	  "from 1 to 1000" },
	{ IN_TENANT("limits = { flow = 5; };"), 2, "did you mean 'flows'?" },
	// Clients.
	{ CLI("source = \"10.1.0.10\"; groups = [\"stuff\"];"),
	  2,
	  "the group 'stuff' is not defined; did you mean 'staff'?" },
	{ CLI("source = \"10.1.0.10/24\";"), 2, "host bits" },
	{ CLI("groups = [\"staff\"];"), 2, "has neither source nor public_key" },
	{ CLI("source = \"10.1.0.10\"; port = \"dmz\";"), 2, "the port 'dmz' is not defined" },
	{ CLI("source = \"100.96.1.1\";"), 2, "collides with the pool" },
	{ CLI("public_key = \"" KEY_A "\"; address = \"10.8.0.2\";"),
	  2,
	  "needs WireGuard, which is off" },
	{ IN_WG("clients = ( { name = \"c\"; public_key = \"" KEY_A "\"; } );"), 2, "no address" },
	{ IN_WG("clients = ( { name = \"c\"; public_key = \"" KEY_A
		"\"; address = \"10.8.0.2\"; vlan = 5; } );"),
	  2,
	  "keep one kind of access" },
	{ IN_WG("clients = ( { name = \"c\"; public_key = \"" KEY_A
		"\"; address = \"10.8.0.2\"; },\n{ name = \"d\"; public_key = \"" KEY_A
		"\"; address = \"10.8.0.3\"; } );"),
	  3,
	  "the same public_key as 'c'" },
	{ IN_WG("clients = ( { name = \"c\"; public_key = \"" KEY_A
		"\"; address = \"10.8.0.2\"; },\n{ name = \"d\"; public_key = \"" KEY_B
		"\"; address = \"10.8.0.2\"; } );"),
	  3,
	  "share an inner address" },
	{ IN_WG("clients = ( { name = \"c\"; public_key = \"" KEY_A
		"\"; address = \"192.0.2.1\"; } );"),
	  2,
	  "collides with the underlay address" },
	{ IN_TENANT("clients = ( { name = \"c\"; source = \"10.1.0.10\"; },\n{ name = \"c\"; "
		    "source = \"10.1.0.11\"; } );"),
	  3,
	  "client 'c' is defined twice, first at line 2" },
	{ IN_TENANT("clients = ( { name = \"c\"; source = \"10.1.0.0/28\"; },\n{ name = \"d\"; "
		    "source = \"10.1.0.11\"; } );"),
	  3,
	  "share a source on one port and VLAN" },
	// Resources.
	{ RES("groups = [\"staff\"];"), 2, "a resource has no 'address'" },
	{ RES("address = [ ];"), 2, "'address' is empty" },
	{ RES("address = \"git\";"), 2, "full name, such as git.corp.example" },
	{ RES("address = \"git..example\";"), 2, "is no DNS name" },
	{ RES("address = \"git corp.example\";"), 2, "is no DNS name" },
	{ RES("address = \"*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.x\";"), 2, "too many wildcards" },
	{ RES("address = \"10.0.0.1/8\";"), 2, "write 10.0.0.0/8" },
	{ RES("address = \"0.0.0.0/0\";"), 2, "covers the pool" },
	{ RES("address = \"100.95.0.0/16\";"), 2, "covers a resolver address" },
	{ RES("address = \"192.0.0.0/16\";"), 2, "covers the underlay address" },
	{ RES("address = \"10.1.0.0/16\";"), 2, "covers an address of this PoP" },
	{ RES("address = \"git.corp.example\"; network = \"ofice\";"),
	  2,
	  "did you mean 'office'?" },
	{ RES("address = \"git.corp.example\"; tcp = \"80,x\";"), 2, "are no ports" },
	{ RES("address = \"git.corp.example\"; tcp = \"90-80\";"), 2, "are no ports" },
	{ RES("address = \"git.corp.example\"; tcp = 70000;"), 2, "from 0 to 65535" },
	{ RES("address = \"git.corp.example\"; icmp = \"yes\";"),
	  2,
	  "'icmp' must be true or false" },
	{ RES("address = \"git.corp.example\"; deny = \"drop\";"), 2, "\"reset\", \"silent\"" },
	{ RES("address = \"git.corp.example\"; ttl_s = 100000;"), 2, "from 0 to 86400" },
	{ RES("address = \"git.corp.example\"; dialect = \"glob\";"), 2, "\"any\", \"label\"" },
	{ RES("address = \"*.corp.example\"; aliases = [\"x.example\"];"),
	  2,
	  "is not one exact name" },
	{ RES("address = \"git.corp.example\"; aliases = [\"code\"];"), 2, "single label" },
	{ IN_TENANT("resources = ( { address = \"git.corp.example\"; },\n{ address = "
		    "\"git.corp.example\"; } );"),
	  3,
	  "resource 'git.corp.example' is defined twice" },
	{ "tenants = ( { name = \"a\"; id = 1;\nresources = ( { address = \"git.corp.example\"; } "
	  "); } );\n" POP,
	  2,
	  "has no network" },
	// Connector.
	{ "connector = { tenant = \"acme\"; };\n" CNODE PORTS PEERS,
	  1,
	  "the connector has no 'resolvers'" },
	{ "connector = { tenant = \"acme\"; resolvers = [ ]; };\n" CNODE PORTS PEERS,
	  1,
	  "there are 0 resolvers" },
	{ "connector = { tenant = \"acme\"; resolvers = [\"10.9.0.53\"]; allow = ( ); };\n" CNODE
		  PORTS PEERS,
	  1,
	  "'allow' is empty" },
	{ "connector = { tenant = \"acme\"; resolvers = [\"10.9.0.53\"]; nat_ports = \"80\"; "
	  "};\n" CNODE PORTS PEERS,
	  1,
	  "range of 256 ports" },
	{ "connector = { tenant = \"acme\"; resolvers = [\"10.9.0.53\"]; allow = ( { address = "
	  "\"10.0.0.1/8\"; } ); };\n" CNODE PORTS PEERS,
	  1,
	  "write 10.0.0.0/8" },
	{ "connector = { tenant = \"acme\"; resolvers = [\"10.9.0.53\"]; nat_addresses = [\"x\"]; "
	  "};\n" CNODE PORTS PEERS,
	  1,
	  "'x' is no IPv4 address" },
};

static bool
mentions(const struct sl_config_error *error, const struct row *row)
{
	char all[2048];

	(void)snprintf(all, sizeof(all), "%s; %s", error->what, error->remedy);
	return error->line == row->line && strstr(all, row->what) != NULL;
}

static void
check_row(const struct row *row)
{
	struct sl_config_errors errors = { 0 };
	struct sl_config *config;
	int rc = sl_config_load_string(row->text, "t.conf", SL_CONFIG_SKIP_FILES, &config, &errors);
	bool found = false;
	bool all_mend = true;

	for (unsigned i = 0; i < errors.nb; i++) {
		found |= mentions(&errors.list[i], row);
		all_mend &= errors.list[i].remedy[0] != '\0';
		all_mend &= errors.list[i].file != NULL &&
			strcmp(errors.list[i].file, "t.conf") == 0;
	}
	SL_ASSERT_ROW(rc == -EINVAL, row->text);
	SL_ASSERT_ROW(config == NULL, row->text);
	SL_ASSERT_ROW(found, row->what);
	SL_ASSERT_ROW(all_mend, row->text);
	if (!found)
		for (unsigned i = 0; i < errors.nb; i++)
			sl_test_note(
				"got: %u: %s; %s",
				errors.list[i].line,
				errors.list[i].what,
				errors.list[i].remedy
			);
	sl_config_free(config);
	sl_config_errors_free(&errors);
}

static void
test_rows(void)
{
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check_row(&rows[i]);
}

static void
test_all_collected(void)
{
	struct sl_config_errors errors = { 0 };
	struct sl_config *config;
	int rc = sl_config_load_string(
		"node = { role = \"pip\"; };\nports = ( { name = \"a\"; mtu = 1; } );\nx = 1;\n",
		"t.conf",
		SL_CONFIG_SKIP_FILES,
		&config,
		&errors
	);

	CU_ASSERT_EQUAL(rc, -EINVAL);
	CU_ASSERT_TRUE(errors.nb >= 6);
	for (unsigned i = 1; i < errors.nb; i++)
		CU_ASSERT_TRUE(errors.list[i - 1].line <= errors.list[i].line);
	sl_config_errors_free(&errors);
}

static void
test_bounded(void)
{
	struct sl_config_errors errors = { 0 };
	struct sl_config *config;
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	for (unsigned i = 0; i < 300; i++)
		fprintf(f, "k%u = 1;\n", i);
	fclose(f);
	CU_ASSERT_EQUAL(
		sl_config_load_string(text, "t.conf", SL_CONFIG_SKIP_FILES, &config, &errors),
		-EINVAL
	);
	CU_ASSERT_EQUAL(errors.nb, SL_CONFIG_ERRORS_MAX);
	CU_ASSERT_TRUE(errors.nb_lost >= 200);
	sl_config_errors_free(&errors);
	free(text);
}

static void
test_missing_file(void)
{
	static const char *const paths[] = { "/nonexistent/sluice.conf", "/tmp", "/dev/null" };

	for (unsigned i = 0; i < 3; i++) {
		struct sl_config_errors errors = { 0 };
		struct sl_config *config;
		int rc = sl_config_load(paths[i], &config, &errors);

		SL_ASSERT_ROW(rc != 0 && config == NULL && errors.nb == 1, paths[i]);
		SL_ASSERT_ROW(strstr(errors.list[0].what, paths[i]) != NULL, paths[i]);
		sl_config_errors_free(&errors);
	}
}

static const struct sl_test_case cases[] = {
	{ "config: every fault is told with its line and remedy, and nothing is loaded",
	  test_rows },
	{ "config: all faults of a file are collected, in the order of its lines",
	  test_all_collected },
	{ "config: the list of errors is bounded and says how many more there are", test_bounded },
	{ "config: a missing file, a folder and a device are errors", test_missing_file },
};

SL_TEST_MAIN(cases)
