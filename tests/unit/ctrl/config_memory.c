// The memory arithmetic of --check, against machines that are folders.
#include "sl_test.h"

#include <errno.h>
#include <sluice/ctrl/config.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct sl_config *
load(const char *limits)
{
	struct sl_config_errors errors = { 0 };
	struct sl_config *config = NULL;
	char text[1024];

	(void)snprintf(
		text,
		sizeof(text),
		"node = { role = \"pop\"; key_file = \"/k\"; };\n"
		"ports = ( { name = \"a\"; device = \"net_tap0\"; address = \"10.1.0.1/24\"; } );\n"
		"workers = { cores = [0, 1]; };\n%s\n"
		"tenants = ( { name = \"a\"; id = 1; } );\n",
		limits
	);
	CU_ASSERT_EQUAL(
		sl_config_load_string(text, "t", SL_CONFIG_SKIP_FILES, &config, &errors), 0
	);
	sl_config_errors_free(&errors);
	return config;
}

static struct sl_config_memory
needs(const char *limits)
{
	struct sl_config *config = load(limits);
	struct sl_config_memory m = sl_config_memory(config);

	sl_config_free(config);
	return m;
}

static void
test_tables(void)
{
	struct sl_config_memory a = needs("limits = { flows = 1000000; mbufs = 20000; };");
	struct sl_config_memory b = needs("limits = { flows = 2000000; mbufs = 40000; };");

	CU_ASSERT_EQUAL(a.flows_bytes, 128000000);
	// Two indices, each a power of two of buckets, and the slots.
	CU_ASSERT_TRUE(a.flow_index_bytes >= 12800000 && a.flow_index_bytes <= 30000000);
	CU_ASSERT_EQUAL(b.flows_bytes, 2 * a.flows_bytes);
	CU_ASSERT_EQUAL(b.mbufs_bytes, 2 * a.mbufs_bytes);
	CU_ASSERT_EQUAL(a.nb_mbufs, 20000);
	CU_ASSERT_EQUAL(
		a.dataplane_bytes,
		a.flows_bytes + a.flow_index_bytes + a.mbufs_bytes + a.fragments_bytes +
			a.sessions_bytes + a.workers_bytes + a.base_bytes
	);
	CU_ASSERT_EQUAL(
		a.total_bytes, a.dataplane_bytes + a.names_bytes + a.clients_bytes + a.use_bytes
	);
	a = needs("limits = { sessions = 100; names = 1000; };");
	b = needs("limits = { sessions = 200; names = 2000; };");
	CU_ASSERT_EQUAL(b.sessions_bytes, 2 * a.sessions_bytes);
	CU_ASSERT_TRUE(b.names_bytes > a.names_bytes);
	// What workers count of clients, whatever the flow log and the failures they remember take.
	CU_ASSERT_TRUE(a.use_bytes > 0 && a.workers_bytes > 0);
	a = needs("limits = { sessions = 1000; };");
	b = needs("limits = { sessions = 100000; };");
	CU_ASSERT_TRUE(b.use_bytes > a.use_bytes + 2 * 98000 * 128ull);
}

static void
test_all_nodes(void)
{
	struct sl_config_memory m = needs("");
	uint64_t sum = 0;

	for (unsigned i = 0; i < SL_NUMA_NODES_MAX; i++)
		sum += m.node_bytes[i];
	CU_ASSERT_TRUE(sum <= m.dataplane_bytes && sum + 2 > m.dataplane_bytes);
}

static void
put(const char *root, const char *path, const char *text)
{
	char full[512];
	FILE *f;

	(void)snprintf(full, sizeof(full), "%s/%s", root, path);
	for (char *at = full + strlen(root) + 1; (at = strchr(at, '/')) != NULL; at++) {
		*at = '\0';
		(void)mkdir(full, 0700);
		*at = '/';
	}
	f = fopen(full, "we");
	if (f == NULL)
		abort();
	fputs(text, f);
	fclose(f);
}

#define FREE_PAGES "sys/devices/system/node/node%u/hugepages/hugepages-2048kB/free_hugepages"

// A machine of two nodes with so many free pages on each.
static struct sl_system_memory
machine(unsigned pages0, unsigned pages1, const char *available_kb)
{
	char root[] = "/tmp/config-machine-XXXXXX";
	char path[128];
	char text[256];
	struct sl_system_memory has;

	if (mkdtemp(root) == NULL)
		abort();
	(void)snprintf(
		text,
		sizeof(text),
		"MemTotal: 9 kB\nMemAvailable: %s kB\nHugePages_Total: %u\nHugePages_Free: %u\n"
		"Hugepagesize:       2048 kB\n",
		available_kb,
		pages0 + pages1,
		pages0 + pages1
	);
	put(root, "proc/meminfo", text);
	for (unsigned i = 0; i < 2; i++) {
		(void)snprintf(path, sizeof(path), FREE_PAGES, i);
		(void)snprintf(text, sizeof(text), "%u\n", i == 0 ? pages0 : pages1);
		put(root, path, text);
	}
	CU_ASSERT_EQUAL(sl_system_memory(root, &has), 0);
	(void)snprintf(text, sizeof(text), "rm -r %s", root);
	CU_ASSERT_EQUAL(system(text), 0);
	return has;
}

static void
test_machine(void)
{
	struct sl_system_memory has = machine(100, 20, "1000000");

	CU_ASSERT_EQUAL(has.huge_page_bytes, 2 << 20);
	CU_ASSERT_EQUAL(has.huge_total_bytes, 120ull << 21);
	CU_ASSERT_EQUAL(has.nb_nodes, 2);
	CU_ASSERT_EQUAL(has.node_huge_free_bytes[0], 100ull << 21);
	CU_ASSERT_EQUAL(has.node_huge_free_bytes[1], 20ull << 21);
	CU_ASSERT_EQUAL(has.ram_available_bytes, 1000000ull * 1024);
	CU_ASSERT_EQUAL(sl_system_memory("/nonexistent", &has), -ENOENT);
	CU_ASSERT_EQUAL(sl_system_memory("", &has), 0);
	CU_ASSERT_TRUE(has.ram_available_bytes > 0);
}

static void
test_verdicts(void)
{
	static const struct {
		const char *sentence;
		unsigned pages0, pages1;
		const char *available_kb;
		unsigned nb_errors;
		const char *remedy;
	} rows[] = {
		{ "enough huge pages", 100, 100, "1000000", 0, NULL },
		{ "no huge pages, enough memory", 0, 0, "1000000", 0, NULL },
		{ "no huge pages, too little memory", 0, 0, "10000", 1, "lower limits.flows" },
		{ "node 1 short of 50 pages",
		  100,
		  50,
		  "1000000",
		  1,
		  "/sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages) + "
		  "50))" },
		{ "both nodes short", 50, 50, "1000000", 2, "node0" },
		{ "huge pages, but no memory for the heap", 100, 100, "10", 1, "add memory" },
	};
	struct sl_config_memory m = { .dataplane_bytes = 400 << 20,
				      .node_bytes = { 200 << 20, 200 << 20 },
				      .names_bytes = 10 << 20,
				      .total_bytes = 410 << 20 };

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sl_system_memory has = machine(
			rows[i].pages0, rows[i].pages1, rows[i].available_kb
		);
		struct sl_config_errors errors = { 0 };
		int rc = sl_config_memory_check(&m, &has, &errors);

		SL_ASSERT_ROW(rc == (rows[i].nb_errors > 0 ? -ENOMEM : 0), rows[i].sentence);
		SL_ASSERT_ROW(errors.nb == rows[i].nb_errors, rows[i].sentence);
		if (errors.nb > 0)
			SL_ASSERT_ROW(
				strstr(errors.list[0].remedy, rows[i].remedy) != NULL,
				rows[i].sentence
			);
		sl_config_errors_free(&errors);
	}
}

static void
test_print(void)
{
	struct sl_config_memory m = needs("");
	struct sl_system_memory has = machine(100, 0, "1000000");
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	sl_config_memory_print(&m, &has, f);
	fclose(f);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "flows"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "mbufs"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "names"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "sessions"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "huge pages free: 200 MB"));
	free(text);
}

static const struct sl_test_case cases[] = {
	{ "E2: the memory of each table follows from the limits", test_tables },
	{ "E2: what NUMA nodes need adds up", test_all_nodes },
	{ "E2: huge pages and memory are read per node", test_machine },
	{ "E2: too little memory is an error with the command that mends it", test_verdicts },
	{ "E2: needs and what there is are printed", test_print },
};

SL_TEST_MAIN(cases)
