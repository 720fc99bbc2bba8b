// The text given to Prometheus, and the table it is made from.
#include "sl_test.h"

#include <ctype.h>
#include <sluice/ctrl/metrics.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool
ends_with(const char *text, const char *end)
{
	size_t nb = strlen(text), nb_end = strlen(end);

	return nb >= nb_end && strcmp(text + nb - nb_end, end) == 0;
}

static bool
is_name(const char *name)
{
	for (const char *c = name; *c != '\0'; c++)
		if (!islower((unsigned char)*c) && *c != '_')
			return false;
	return strncmp(name, "sluice_", 7) == 0;
}

static void
test_table(void)
{
	for (unsigned i = 0; i < SL_METRIC_COUNT; i++) {
		const struct sl_metric_row *row = &sl_metrics[i];

		CU_ASSERT_PTR_NOT_NULL_FATAL(row->name);
		SL_ASSERT_ROW(is_name(row->name), row->name);
		SL_ASSERT_ROW(
			ends_with(row->name, "_total") == (row->type == SL_METRIC_COUNTER),
			row->name
		);
		SL_ASSERT_ROW(ends_with(row->name, "_seconds") == row->is_ns, row->name);
		SL_ASSERT_ROW(row->help != NULL && ends_with(row->help, "."), row->name);
		SL_ASSERT_ROW(strpbrk(row->help, "\\|\n") == NULL, row->name);
		SL_ASSERT_ROW(row->labels[0] != NULL || row->labels[1] == NULL, row->name);
		for (unsigned j = 0; j < i; j++)
			SL_ASSERT_ROW(strcmp(row->name, sl_metrics[j].name) != 0, row->name);
	}
}

static void
test_text(void)
{
	struct sl_metric_text text = { 0 };
	size_t nb;
	char *all;

	// In no order: samples of one metric come together all the same.
	sl_metric_put(&text, SL_METRIC_DROPPED, 7, "eth_input_runt", "peer_fault");
	sl_metric_put(&text, SL_METRIC_READY, 1, NULL, NULL);
	sl_metric_put(&text, SL_METRIC_PORT_UP, 0, "clients", NULL);
	sl_metric_put(&text, SL_METRIC_STORE_MAX, 1002000003, NULL, NULL);
	sl_metric_put(&text, SL_METRIC_PORT_UP, UINT64_MAX, "underlay", NULL);
	all = sl_metric_finish(&text, &nb);
	CU_ASSERT_PTR_NOT_NULL_FATAL(all);
	CU_ASSERT_EQUAL(nb, strlen(all));
	CU_ASSERT_STRING_EQUAL(
		all,
		"# HELP sluice_ready 1 while every condition of readiness is met, as /health and "
		"sluicectl health say.\n"
		"# TYPE sluice_ready gauge\n"
		"sluice_ready 1\n"
		"# HELP sluice_port_up 1 while the port has a link.\n"
		"# TYPE sluice_port_up gauge\n"
		"sluice_port_up{port=\"clients\"} 0\n"
		"sluice_port_up{port=\"underlay\"} 18446744073709551615\n"
		"# HELP sluice_dropped_packets_total Packets that were not delivered, by reason "
		"(docs/drops.md). The severity our_fault asks for a look.\n"
		"# TYPE sluice_dropped_packets_total counter\n"
		"sluice_dropped_packets_total{reason=\"eth_input_runt\",severity=\"peer_fault\"} "
		"7\n"
		"# HELP sluice_store_longest_commit_seconds How long the longest commit since the "
		"start took.\n"
		"# TYPE sluice_store_longest_commit_seconds gauge\n"
		"sluice_store_longest_commit_seconds 1.002000003\n"
	);
	free(all);
}

static void
test_escapes(void)
{
	struct sl_metric_text text = { 0 };
	size_t nb;
	char *all;

	sl_metric_put(&text, SL_METRIC_PEER_UP, 1, "a\"b\\c\nd", NULL);
	all = sl_metric_finish(&text, &nb);
	CU_ASSERT_PTR_NOT_NULL_FATAL(all);
	CU_ASSERT_PTR_NOT_NULL(
		strstr(all, "\nsluice_peer_up{tenant=\"a\\\"b\\\\c\\nd\",peer=\"\"} 1\n")
	);
	free(all);
}

static void
test_histogram(void)
{
	struct sl_metric_text text = { 0 };
	struct sl_histogram h = { 0 };
	size_t nb;
	char *all;

	sl_histogram_add(&h, 1000, 2);
	sl_histogram_add(&h, 2000, 1);
	sl_histogram_add(&h, UINT64_MAX / 2, 1);
	h.sum_ns = 5000000001;
	sl_metric_put_histogram(&text, SL_METRIC_DNS_TIME, &h, "worker", NULL);
	all = sl_metric_finish(&text, &nb);
	CU_ASSERT_PTR_NOT_NULL_FATAL(all);
	CU_ASSERT_PTR_NOT_NULL(
		strstr(all,
		       "# TYPE sluice_dns_seconds histogram\n"
		       "sluice_dns_seconds_bucket{way=\"worker\","
		       "le=\"1.024e-06\"} 2\n"
		       "sluice_dns_seconds_bucket{way=\"worker\","
		       "le=\"2.048e-06\"} 3\n")
	);
	CU_ASSERT(ends_with(
		all,
		"le=\"17.179869184\"} 3\n"
		"sluice_dns_seconds_bucket{way=\"worker\",le=\"+Inf\"} 4\n"
		"sluice_dns_seconds_sum{way=\"worker\"} 5.000000001\n"
		"sluice_dns_seconds_count{way=\"worker\"} 4\n"
	));
	free(all);
}

static void
test_empty(void)
{
	struct sl_metric_text text = { 0 };
	size_t nb = 1;
	char *all = sl_metric_finish(&text, &nb);

	CU_ASSERT_PTR_NOT_NULL_FATAL(all);
	CU_ASSERT_EQUAL(nb, 0);
	free(all);
}

static const struct sl_test_case cases[] = {
	{ "E6: every metric has a name of its own, the suffix of its type, and a sentence",
	  test_table },
	{ "E6: samples are gathered by metric under its help and type", test_text },
	{ "E6: quotes, backslashes and line ends in labels are escaped", test_escapes },
	{ "E6: a histogram's buckets add up to its count, and its ends are in seconds",
	  test_histogram },
	{ "E6: nothing put, nothing said", test_empty },
};
SL_TEST_MAIN(cases)
