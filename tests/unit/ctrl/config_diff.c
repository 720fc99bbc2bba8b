// What a reload may change, and what it refuses.
#include "sl_test.h"

#include <sluice/ctrl/config.h>
#include <stdlib.h>
#include <string.h>

#define KEY_A "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE="
#define KEY_B "YmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmI="

static const char
	base[] = "node = { name = \"pop1\"; role = \"pop\"; key_file = \"/k\"; };\n"
		 "ports = ( { name = \"lan\"; device = \"net_tap0\"; address = \"10.1.0.1/24\"; "
		 "mtu = 1500; },\n"
		 " { name = \"underlay\"; device = \"net_tap1\"; address = \"192.0.2.1/24\"; } );\n"
		 "routes = ( { prefix = \"10.9.0.0/16\"; via = \"10.1.0.9\"; port = \"lan\"; } );\n"
		 "workers = { cores = [0]; };\n"
		 "tunnel = { udp_port = 4501; lanes = 4; };\n"
		 "wireguard = { udp_port = 51820; };\n"
		 "dns = { pool = \"100.96.0.0/12\"; ttl_s = 60; upstreams = [\"192.0.2.53\"]; };\n"
		 "limits = { flows = 1000; tenant = { flows = 500; }; };\n"
		 "timers = { udp_s = 120; };\n"
		 "system = { state_dir = \"/s\"; log_level = \"notice\"; };\n"
		 "tenants = ( { name = \"acme\"; id = 1; groups = [\"g\", \"h\"];\n"
		 " networks = ( { name = \"n\"; connectors = (\n"
		 "   { name = \"c\"; weight = 100; public_key = \"" KEY_A "\"; } ); } );\n"
		 " clients = ( { name = \"x\"; source = \"10.1.0.10\"; groups = [\"g\"]; } );\n"
		 " resources = ( { address = \"git.corp.example\"; tcp = 443; groups = [\"g\"]; } "
		 "); } );\n";

static struct sl_config *
load(const char *text)
{
	struct sl_config_errors errors = { 0 };
	struct sl_config *config = NULL;

	SL_ASSERT_ROW(
		sl_config_load_string(text, "t", SL_CONFIG_SKIP_FILES, &config, &errors) == 0, text
	);
	if (errors.nb > 0)
		sl_test_note("got: %s", errors.list[0].what);
	sl_config_errors_free(&errors);
	return config;
}

// The base with `from` replaced by `to` once.
static char *
edit(const char *from, const char *to)
{
	const char *at = strstr(base, from);
	char *text = calloc(1, sizeof(base) + 512);

	if (text == NULL || at == NULL)
		abort();
	memcpy(text, base, (size_t)(at - base));
	strcat(text, to);
	strcat(text, at + strlen(from));
	return text;
}

static const struct row {
	const char *from, *to;
	enum sl_config_change change;
	bool policy;
	const char *sentence;
} rows[] = {
	{ "acme", "acme", SL_CHANGE_NONE, false, "" },
	{ "workers = { cores = [0]; };",
	  "/* said */ workers = { cores = ( 0 ); };",
	  SL_CHANGE_NONE,
	  false,
	  "" },
	{ "mtu = 1500; ", "", SL_CHANGE_NONE, false, "" },
	{ "pop1", "pop2", SL_CHANGE_RESTART, false, "node cannot change" },
	{ "mtu = 1500", "mtu = 1400", SL_CHANGE_RESTART, false, "ports cannot change" },
	{ "10.1.0.9", "10.1.0.8", SL_CHANGE_RESTART, false, "routes cannot change" },
	{ "cores = [0]", "cores = [0, 1]", SL_CHANGE_RESTART, false, "workers cannot change" },
	{ "4501", "4502", SL_CHANGE_RESTART, false, "tunnel cannot change" },
	{ "51820", "51821", SL_CHANGE_RESTART, false, "wireguard cannot change" },
	{ "100.96.0.0/12", "100.96.0.0/13", SL_CHANGE_RESTART, false, "pool" },
	{ "flows = 1000", "flows = 2000", SL_CHANGE_RESTART, false, "limits.flows" },
	{ "\"/s\"", "\"/t\"", SL_CHANGE_RESTART, false, "system" },
	{ "ttl_s = 60", "ttl_s = 61", SL_CHANGE_RELOAD, false, "" },
	{ "192.0.2.53", "192.0.2.54", SL_CHANGE_RELOAD, false, "" },
	{ "flows = 500", "flows = 600", SL_CHANGE_RELOAD, false, "" },
	{ "udp_s = 120", "udp_s = 121", SL_CHANGE_RELOAD, false, "" },
	{ "\"notice\"", "\"info\"", SL_CHANGE_RELOAD, false, "" },
	{ "weight = 100", "weight = 50", SL_CHANGE_RELOAD, false, "" },
	{ KEY_A, KEY_B, SL_CHANGE_RELOAD, false, "" },
	{ "10.1.0.10", "10.1.0.11", SL_CHANGE_RELOAD, true, "" },
	{ "\"x\"", "\"y\"", SL_CHANGE_RELOAD, true, "" },
	{ "tcp = 443", "tcp = 444", SL_CHANGE_RELOAD, true, "" },
	{ "tcp = 443", "udp = 443", SL_CHANGE_RELOAD, true, "" },
	{ "git.corp", "hg.corp", SL_CHANGE_RELOAD, true, "" },
	{ "tcp = 443", "tcp = 443; inherit = true", SL_CHANGE_RELOAD, true, "" },
	{ "tcp = 443", "tcp = 443; deny = \"silent\"", SL_CHANGE_RELOAD, true, "" },
	{ "groups = [\"g\", \"h\"]", "groups = [\"h\", \"g\"]", SL_CHANGE_RELOAD, true, "" },
	{ "id = 1;", "id = 1; bypass = [\"b.corp.example\"];", SL_CHANGE_RELOAD, true, "" },
	{ "id = 1;", "id = 1; search = [\"corp.example\"];", SL_CHANGE_RELOAD, false, "" },
	{ "id = 1;", "id = 2;", SL_CHANGE_RESTART, true, "which tenants there are" },
};

static void
test_rows(void)
{
	struct sl_config *running = load(base);

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		struct sl_config_errors errors = { 0 };
		char *text = edit(row->from, row->to);
		struct sl_config *wanted = load(text);

		SL_ASSERT_ROW(sl_config_diff(running, wanted, &errors) == row->change, row->to);
		SL_ASSERT_ROW(sl_config_policy_differs(running, wanted) == row->policy, row->to);
		SL_ASSERT_ROW(errors.nb == (row->change == SL_CHANGE_RESTART), row->to);
		if (errors.nb > 0) {
			SL_ASSERT_ROW(strstr(errors.list[0].what, row->sentence) != NULL, row->to);
			SL_ASSERT_ROW(strstr(errors.list[0].remedy, "restart") != NULL, row->to);
		}
		sl_config_errors_free(&errors);
		sl_config_free(wanted);
		free(text);
	}
	sl_config_free(running);
}

static void
test_every_part(void)
{
	struct sl_config *running = load(base);
	char *text = edit("cores = [0]", "cores = [1]");
	struct sl_config_errors errors = { 0 };
	struct sl_config *wanted;

	*strstr(text, "4501") = '5';
	wanted = load(text);
	CU_ASSERT_EQUAL(sl_config_diff(running, wanted, &errors), SL_CHANGE_RESTART);
	CU_ASSERT_EQUAL(errors.nb, 2);
	sl_config_errors_free(&errors);
	sl_config_free(wanted);
	sl_config_free(running);
	free(text);
}

static const struct sl_test_case cases[] = {
	{ "reload: what takes effect, what needs a restart, and what moves the policy", test_rows },
	{ "reload: every part that needs a restart is named", test_every_part },
};

SL_TEST_MAIN(cases)
