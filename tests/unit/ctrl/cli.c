#include "sl_test.h"

#include <cli.h>
#include <stdlib.h>
#include <string.h>

static char *
render(const char *json, unsigned width)
{
	json_t *document = json_loads(json, 0, NULL);
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	CU_ASSERT_PTR_NOT_NULL_FATAL(document);
	cli_render(f, document, width);
	fclose(f);
	json_decref(document);
	return text;
}

static void
test_cells(void)
{
	static const struct {
		const char *json;
		const char *unit;
		const char *text;
	} rows[] = {
		{ "null", "", "-" },
		{ "true", "", "yes" },
		{ "\"git.corp.example\"", "", "git.corp.example" },
		{ "1234567", "pkts", "1234567" },
		{ "-1", "", "-1" },
		{ "0", "bytes", "0 B" },
		{ "999", "bytes", "999 B" },
		{ "1000", "bytes", "1.00 kB" },
		{ "999600", "bytes", "1.00 MB" },
		{ "12345678", "bytes", "12.3 MB" },
		{ "940000000", "bps", "940 Mb/s" },
		{ "0", "ns", "0 ns" },
		{ "1500", "ns", "1.5 us" },
		{ "250000000", "ns", "250 ms" },
		{ "7440000000000", "ns", "2h04m" },
		{ "0.5", "s", "0.5 s" },
		{ "59", "s", "59 s" },
		{ "61", "s", "1m01s" },
		{ "200000", "s", "2d07h" },
		{ "12.345", "percent", "12.3 %" },
		{ "[1,2]", "", "[1,2]" },
		{ "[\"ip4_input\",\"flow_forward\",\"Sent.\"]",
		  "",
		  "ip4_input > flow_forward > Sent." },
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_t *value = json_loads(rows[i].json, JSON_DECODE_ANY, NULL);
		char text[CLI_CELL_BYTES];

		cli_value(value, rows[i].unit, text);
		if (strcmp(text, rows[i].text) != 0)
			sl_test_note("got \"%s\"", text);
		SL_ASSERT_ROW(strcmp(text, rows[i].text) == 0, rows[i].json);
		json_decref(value);
	}
}

#define COLUMNS                                                                                    \
	"\"columns\":[{\"name\":\"name\",\"align\":\"left\",\"unit\":\"\"},"                       \
	"{\"name\":\"pkts\",\"align\":\"right\",\"unit\":\"pkts\"},"                               \
	"{\"name\":\"why\",\"align\":\"left\",\"unit\":\"\"}]"

static const char table[] = "{\"title\":\"drops\"," COLUMNS ",\"rows\":["
			    "[\"runt\",5,\"Frame is shorter than an Ethernet header.\"],"
			    "[\"flow_denied_by_policy\",12345,\"No resource admits it.\"]],"
			    "\"notes\":[\"2 reasons never counted\"]}";

static void
test_table(void)
{
	char *text = render(table, 80);

	CU_ASSERT_STRING_EQUAL(
		text,
		"name                    pkts  why\n"
		"runt                       5  Frame is shorter than an Ethernet header.\n"
		"flow_denied_by_policy  12345  No resource admits it.\n"
		"2 reasons never counted\n"
	);
	free(text);
}

static void
test_narrow(void)
{
	char *text = render(table, 40);

	CU_ASSERT_STRING_EQUAL(
		text,
		"name                    pkts\n"
		"  why\n"
		"runt                       5\n"
		"  Frame is shorter than an Ethernet\n"
		"  header.\n"
		"flow_denied_by_policy  12345\n"
		"  No resource admits it.\n"
		"2 reasons never counted\n"
	);
	free(text);
	text = render(table, 56);
	CU_ASSERT_STRING_EQUAL(
		text,
		"name                    pkts  why\n"
		"runt                       5  Frame is shorter than an\n"
		"                              Ethernet header.\n"
		"flow_denied_by_policy  12345  No resource admits it.\n"
		"2 reasons never counted\n"
	);
	free(text);
	text = render(table, 20);
	CU_ASSERT_STRING_EQUAL(
		text,
		"name  runt\n"
		"pkts  5\n"
		"why   Frame is sh...\n"
		"\n"
		"name  flow_denied...\n"
		"pkts  12345\n"
		"why   No resource...\n"
		"2 reasons never\n"
		"counted\n"
	);
	free(text);
}

static void
test_json(void)
{
	json_t *document = json_loads(table, 0, NULL), *json = cli_json(document);
	json_t *row = json_array_get(json_object_get(json, "rows"), 1);
	json_t *tables = json_pack("{s:[O]}", "tables", document), *all = cli_json(tables);

	CU_ASSERT_EQUAL(json_integer_value(json_object_get(row, "pkts")), 12345);
	CU_ASSERT_STRING_EQUAL(
		json_string_value(json_object_get(row, "name")), "flow_denied_by_policy"
	);
	CU_ASSERT_EQUAL(json_array_size(json_object_get(json, "notes")), 1);
	CU_ASSERT(json_equal(json_array_get(json_object_get(all, "tables"), 0), json));
	json_decref(all);
	json_decref(tables);
	json_decref(json);
	json_decref(document);
}

static void
test_details(void)
{
	static const char with_detail
		[] = "{\"title\":\"x\",\"columns\":[{\"name\":\"a\"},{\"name\":\"b\",\"detail\":"
		     "true},"
		     "{\"name\":\"c\"}],\"rows\":[[\"one\",\"in full detail\",\"two\"]]}";
	char *text = render(with_detail, 40);

	CU_ASSERT_STRING_EQUAL(text, "a    b               c\none  in full detail  two\n");
	free(text);
	text = render(with_detail, 20);
	CU_ASSERT_STRING_EQUAL(text, "a    c\none  two\n");
	free(text);
}

static void
test_fits(void)
{
	for (unsigned width = 20; width < 120; width++) {
		char *text = render(table, width), *rest = text, *line;

		while ((line = strsep(&rest, "\n")) != NULL)
			CU_ASSERT(cli_text_width(line) <= width);
		free(text);
	}
}

static void
test_empty_and_others(void)
{
	char *text = render("{\"title\":\"flows\",\"columns\":[],\"rows\":[]}", 80);

	CU_ASSERT_STRING_EQUAL(text, "no flows\n");
	free(text);
	text = render("{\"text\":\"one\\ntwo\\n\"}", 80);
	CU_ASSERT_STRING_EQUAL(text, "one\ntwo\n");
	free(text);
	text = render("{\"tables\":[{\"title\":\"a\",\"columns\":[],\"rows\":[]}]}", 80);
	CU_ASSERT_STRING_EQUAL(text, "a\nno a\n");
	free(text);
	text = render("{\"a\":1}", 80);
	CU_ASSERT_STRING_EQUAL(text, "{\n  \"a\": 1\n}\n");
	free(text);
}

static void
test_terminal(void)
{
	char *text = render(
		"{\"title\":\"x\"," COLUMNS
		",\"rows\":[[\"\\u001b[31mred\\u0007\",1,\"caf\\u00e9 \\u009b2J\"]]}",
		80
	);

	CU_ASSERT_STRING_EQUAL(text, "name       pkts  why\n?[31mred?     1  caf\u00e9 ?2J\n");
	free(text);
}

static const struct sl_test_case cases[] = {
	{ "cli: values are shortened by their unit", test_cells },
	{ "cli: a table has its columns aligned", test_table },
	{ "cli: a table folds and wraps where the terminal is narrow", test_narrow },
	{ "cli: rows are objects in JSON", test_json },
	{ "cli: details are for terminals wide enough", test_details },
	{ "cli: no line is wider than the terminal", test_fits },
	{ "cli: empty tables, texts and other documents", test_empty_and_others },
	{ "cli: nothing that a terminal obeys is printed", test_terminal },
};

SL_TEST_MAIN(cases)
