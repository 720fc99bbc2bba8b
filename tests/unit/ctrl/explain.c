// explain: each rule that matches is named in the order policy asks it, with why it was passed over,
// and the decision is the one that packets get.
#include "sl_test.h"

#include <daemon/explain.h>
#include <netinet/in.h>
#include <sluice/ctrl/compile.h>
#include <stdlib.h>
#include <string.h>

static const char config_text
	[] = "tenants = ( { name = \"a\"; id = 1; groups = [\"staff\", \"finance\"]; resources = "
	     "(\n"
	     "{ name = \"web\"; address = \"git.corp.example\"; tcp = [80, 443];"
	     "  groups = \"staff\"; inherit = true; network = \"n\"; },\n"
	     "{ name = \"ssh\"; address = \"git.corp.example\"; tcp = 22;"
	     "  groups = \"finance\"; inherit = true; network = \"n\"; },\n"
	     "{ name = \"all\"; address = \"*.corp.example\"; udp = \"1-1024\";"
	     "  groups = [\"staff\", \"finance\"]; network = \"m\"; },\n"
	     "{ name = \"pay\"; address = \"pay.corp.example\"; groups = \"finance\";"
	     "  network = \"n\"; }\n"
	     ");\nnetworks = ( { name = \"n\"; }, { name = \"m\"; } ); } );\n"
	     "node = { role = \"pop\"; key_file = \"/k\"; };\n"
	     "ports = ( { name = \"p\"; device = \"net_tap0\"; address = \"10.1.0.1/24\"; } );\n";

#define STAFF   1u
#define FINANCE 2u
#define ROWS    4u

static const struct row {
	const char *sentence;
	const char *name;
	struct explain_flow flow;
	enum sl_choice_verdict verdict;
	const char *label; // of the resource that decides; NULL: none
	struct {
		const char *resource;
		const char *verdict; // how it begins
	} rules[ROWS];
} rows[] = {
	{ "the first rule takes it, those after it are not asked",
	  "git.corp.example",
	  { STAFF, IPPROTO_TCP, 443 },
	  SL_CHOICE_ADMITTED,
	  "web",
	  { { "web", "takes the flow" },
	    { "ssh", "not asked: a rule before" },
	    { "all", "not asked: a rule before" } } },
	{ "a rule for other groups is passed over and says for whom it is",
	  "git.corp.example",
	  { FINANCE, IPPROTO_TCP, 22 },
	  SL_CHOICE_ADMITTED,
	  "ssh",
	  { { "web", "passed over: it is for staff," },
	    { "ssh", "takes the flow" },
	    { "all", "not asked" } } },
	{ "a less specific rule takes what those before it do not admit",
	  "git.corp.example",
	  { STAFF, IPPROTO_UDP, 53 },
	  SL_CHOICE_ADMITTED,
	  "all",
	  { { "web", "passed over: it admits tcp 80,443 alone" },
	    { "ssh", "passed over: it is for finance" },
	    { "all", "takes the flow" } } },
	{ "no rule admits it: denied, and each says what it admits",
	  "git.corp.example",
	  { STAFF, IPPROTO_TCP, 22 },
	  SL_CHOICE_DENIED,
	  "web",
	  { { "web", "passed over: it admits tcp 80,443 alone" },
	    { "ssh", "passed over: it is for finance" },
	    { "all", "passed over: it admits udp 1-1024 alone" } } },
	{ "a rule that does not inherit hides the name from others",
	  "pay.corp.example",
	  { STAFF, IPPROTO_UDP, 53 },
	  SL_CHOICE_UNKNOWN,
	  NULL,
	  { { "pay", "passed over: it is for finance" } } },
	{ "nothing matches",
	  "www.public.example",
	  { STAFF, IPPROTO_TCP, 80 },
	  SL_CHOICE_UNKNOWN,
	  NULL,
	  { { NULL, NULL } } },
};

static bool
begins(const char *text, const char *with)
{
	return text != NULL && strncmp(text, with, strlen(with)) == 0;
}

static bool
check_rules(const struct row *row, json_t *table)
{
	json_t *list = json_object_get(table, "rows");
	size_t nb = 0;

	while (nb < ROWS && row->rules[nb].resource != NULL)
		nb++;
	if (json_array_size(list) != nb)
		return false;
	for (size_t i = 0; i < nb; i++) {
		json_t *rule = json_array_get(list, i);
		const char *label = json_string_value(json_array_get(rule, 2));
		const char *verdict = json_string_value(json_array_get(rule, 3));

		if (label == NULL || strcmp(label, row->rules[i].resource) != 0 ||
		    !begins(verdict, row->rules[i].verdict)) {
			sl_test_note("rule %zu: %s: %s", i, label, verdict);
			return false;
		}
	}
	return true;
}

static void
check(const struct row *row, const struct sl_config *config, const struct sl_policy *policy)
{
	struct sl_matches matches;
	struct sl_choice choice;
	struct sl_name name;
	json_t *table;

	CU_ASSERT_EQUAL_FATAL(sl_name_from_text(&name, row->name), SL_NAME_OK);
	sl_policy_match(policy, &name, sl_name_hash(&name, sl_policy_name_key(policy)), &matches);
	table = explain_rules(&config->tenants[0], policy, &matches, &row->flow, &choice);
	SL_ASSERT_ROW(choice.verdict == row->verdict, row->sentence);
	SL_ASSERT_ROW(
		row->label == NULL ? choice.label == NULL
				   : choice.label != NULL && strcmp(choice.label, row->label) == 0,
		row->sentence
	);
	SL_ASSERT_ROW(check_rules(row, table), row->sentence);
	json_decref(table);
}

static void
test_rules(void)
{
	uint32_t ids[] = { 0, 1, 2, 3 };
	struct sl_compile how = { .generation = 1, .resource_ids = ids, .network_ids = ids };
	struct sl_config_errors errors = { 0 };
	struct sl_config *config = NULL;
	struct sl_policy *policy = NULL;
	uint8_t random[32] = { 1, 2, 3 };
	int ret = sl_config_load_string(
		config_text, "explain.conf", SL_CONFIG_SKIP_FILES, &config, &errors
	);

	sl_config_errors_print(&errors, stderr);
	CU_ASSERT_EQUAL_FATAL(ret, 0);
	sl_name_key_init(&how.name_key, random);
	CU_ASSERT_EQUAL_FATAL(sl_compile_policy(config, 0, &how, &policy, &errors), 0);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check(&rows[i], config, policy);
	sl_policy_free(policy);
	sl_config_free(config);
	sl_config_errors_free(&errors);
}

static void
test_protocol(void)
{
	uint8_t protocol = 0;

	CU_ASSERT(explain_protocol("TCP", &protocol));
	CU_ASSERT_EQUAL(protocol, IPPROTO_TCP);
	CU_ASSERT(explain_protocol("icmp", &protocol));
	CU_ASSERT_EQUAL(protocol, IPPROTO_ICMP);
	CU_ASSERT_FALSE(explain_protocol("sctp", &protocol));
	CU_ASSERT_FALSE(explain_protocol("", &protocol));
}

static const struct sl_test_case cases[] = {
	{ "explain: every rule is named in order, with its verdict", test_rules },
	{ "explain: protocols by their names", test_protocol },
};

SL_TEST_MAIN(cases)
