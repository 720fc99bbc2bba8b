// Tenants become policies: what the file says is what the policy answers, and ties are told.
#include "sl_test.h"

#include <errno.h>
#include <netinet/in.h>
#include <sluice/ctrl/compile.h>
#include <stdlib.h>
#include <string.h>

// A tenant whose resources begin on line 2.
#define TENANT(resources)                                                                          \
	"tenants = ( { name = \"a\"; id = 1; groups = [\"g\", \"h\"]; resources = (\n" resources   \
	");\nnetworks = ( { name = \"n\"; }, { name = \"m\"; } ); } );\n"                          \
	"node = { role = \"pop\"; key_file = \"/k\"; };\n"                                         \
	"ports = ( { name = \"p\"; device = \"net_tap0\"; address = \"10.1.0.1/24\"; } );\n"
#define N "network = \"n\"; "

static const struct row {
	const char *sentence;
	const char *text;
	unsigned line; // 0: loads
	const char *what;
} rows[] = {
	{ "distinct ports",
	  TENANT("{ name = \"x\"; address = \"git.corp.example\"; tcp = 80; " N "},\n"
		 "{ name = \"y\"; address = \"git.corp.example\"; tcp = 443; " N "}"),
	  0,
	  NULL },
	{ "the same name and port",
	  TENANT("{ name = \"x\"; address = \"git.corp.example\"; tcp = \"1-100\"; " N "},\n\n"
		 "{ name = \"y\"; address = \"git.corp.example\"; tcp = 80; " N "}"),
	  4,
	  "(lines 2 and 4)" },
	{ "the same whatever the groups",
	  TENANT("{ name = \"x\"; address = \"git.corp.example\"; groups = \"g\"; " N "},\n"
		 "{ name = \"y\"; address = \"git.corp.example\"; groups = \"h\"; " N "}"),
	  3,
	  "(lines 2 and 3)" },
	{ "an alias that is another's name",
	  TENANT("{ name = \"x\"; address = \"git.corp.example\"; " N "},\n"
		 "{ name = \"y\"; address = \"hg.corp.example\";\n"
		 "aliases = \"git.corp.example\"; " N "}"),
	  3,
	  "(lines 2 and 3)" },
	{ "equal prefixes",
	  TENANT("{ name = \"x\"; address = \"10.9.0.0/16\"; " N "},\n"
		 "{ name = \"y\"; address = \"10.9.0.0/16\"; network = \"m\"; }"),
	  3,
	  "(lines 2 and 3)" },
	{ "a longer prefix in a shorter",
	  TENANT("{ name = \"x\"; address = \"10.9.0.0/16\"; " N "},\n"
		 "{ name = \"y\"; address = \"10.9.1.0/24\"; network = \"m\"; }"),
	  0,
	  NULL },
	{ "wildcards of one length that meet",
	  TENANT("{ name = \"x\"; address = \"a*.corp.example\"; " N "},\n"
		 "{ name = \"y\"; address = \"*b.corp.example\"; " N "}"),
	  3,
	  "(lines 2 and 3)" },
	{ "exact before wildcard",
	  TENANT("{ name = \"x\"; address = \"*.corp.example\"; " N "},\n"
		 "{ name = \"y\"; address = \"b.corp.example\"; " N "}"),
	  0,
	  NULL },
};

static void
test_ties(void)
{
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		struct sl_config_errors errors = { 0 };
		struct sl_config *config;
		int rc = sl_config_load_string(
			row->text, "t.conf", SL_CONFIG_SKIP_FILES, &config, &errors
		);

		SL_ASSERT_ROW(rc == (row->line == 0 ? 0 : -EINVAL), row->sentence);
		SL_ASSERT_ROW(errors.nb == (row->line != 0), row->sentence);
		if (errors.nb > 0) {
			const char *what = errors.list[0].what;

			SL_ASSERT_ROW(errors.list[0].line == row->line, row->sentence);
			SL_ASSERT_ROW(strstr(what, row->what) != NULL, row->sentence);
			SL_ASSERT_ROW(strstr(what, "x") && strstr(what, "y"), row->sentence);
		}
		sl_config_free(config);
		sl_config_errors_free(&errors);
	}
}

static enum sl_choice_verdict
choose(const struct sl_policy *policy,
       const char *text,
       uint64_t groups,
       uint16_t port,
       struct sl_choice *choice)
{
	struct sl_matches matches;
	struct sl_name name;

	CU_ASSERT_EQUAL(sl_name_from_text(&name, text), SL_NAME_OK);
	sl_policy_match(policy, &name, sl_name_hash(&name, sl_policy_name_key(policy)), &matches);
	return sl_policy_choose(policy, &matches, groups, IPPROTO_TCP, port, choice);
}

static void
test_contents(void)
{
	static const char text[] = TENANT(
		"{ address = \"git.corp.example\"; tcp = [80, 443]; groups = \"g\";\n"
		"  network = \"m\"; names = 7; },\n"
		"{ name = \"quiet\"; address = \"*.dev.corp.example\"; tcp = 22; groups = \"h\";\n"
		"  deny = \"silent\"; network = \"n\"; },\n"
		"{ address = \"db.dev.corp.example\"; tcp = 1; groups = \"g\"; network = \"n\"; "
		"},\n"
		"{ address = \"open.dev.corp.example\"; tcp = 1; groups = \"g\";\n"
		"  inherit = true; network = \"n\"; }"
	);
	static const uint32_t resource_ids[] = { 1001, 1002, 1003, 1004 };
	static const uint32_t network_ids[] = { 31, 32 };
	struct sl_compile how = {
		.generation = 9,
		.name_key = { { 5, 6, 7, 8 } },
		.resource_ids = resource_ids,
		.network_ids = network_ids,
	};
	struct sl_config_errors errors = { 0 };
	struct sl_policy *policy = NULL;
	struct sl_config *config;
	struct sl_choice c;

	CU_ASSERT_EQUAL(
		sl_config_load_string(text, "t", SL_CONFIG_SKIP_FILES, &config, &errors), 0
	);
	if (config == NULL || sl_compile_policy(config, 0, &how, &policy, &errors) != 0) {
		CU_FAIL("no policy");
		return;
	}
	sl_config_free(config); // the policy keeps nothing of it
	CU_ASSERT_EQUAL(sl_policy_generation(policy), 9);
	CU_ASSERT_EQUAL(choose(policy, "git.corp.example", 1, 443, &c), SL_CHOICE_ADMITTED);
	CU_ASSERT_TRUE(c.resource == 1001 && c.network == 32 && c.names_max == 7);
	CU_ASSERT_EQUAL(choose(policy, "git.corp.example", 1, 444, &c), SL_CHOICE_DENIED);
	CU_ASSERT_EQUAL(c.deny, SL_POLICY_RESET);
	CU_ASSERT_EQUAL(choose(policy, "git.corp.example", 2, 443, &c), SL_CHOICE_UNKNOWN);
	CU_ASSERT_EQUAL(choose(policy, "x.dev.corp.example", 2, 22, &c), SL_CHOICE_ADMITTED);
	CU_ASSERT_TRUE(c.resource == 1002 && c.network == 31);
	CU_ASSERT_EQUAL(choose(policy, "x.dev.corp.example", 2, 23, &c), SL_CHOICE_DENIED);
	CU_ASSERT_EQUAL(c.deny, SL_POLICY_SILENT);
	CU_ASSERT_EQUAL(choose(policy, "db.dev.corp.example", 2, 22, &c), SL_CHOICE_UNKNOWN);
	CU_ASSERT_EQUAL(choose(policy, "open.dev.corp.example", 2, 22, &c), SL_CHOICE_ADMITTED);
	CU_ASSERT_EQUAL(choose(policy, "hg.corp.example", 3, 443, &c), SL_CHOICE_UNKNOWN);
	sl_policy_free(policy);
	sl_config_errors_free(&errors);
}

static const struct sl_test_case cases[] = {
	{ "compile: resources that tie are refused with the lines of both", test_ties },
	{ "compile: the policy answers as the file says, with the caller's ids", test_contents },
};

SL_TEST_MAIN(cases)
