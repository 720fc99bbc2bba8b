#include "sl_test.h"

#include <fcntl.h>
#include <jansson.h>
#include <netinet/in.h>
#include <sluice/ctrl/clock.h>
#include <sluice/ctrl/flowlog.h>
#include <sluice/ctrl/log.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NS 1000000000ull

static int fds[2];
static char text[1 << 20];

static void
start(void)
{
	CU_ASSERT_EQUAL_FATAL(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	CU_ASSERT_EQUAL_FATAL(sl_log_start(fds[1]), 0);
}

static void
stop(void)
{
	size_t len = 0;
	ssize_t n;

	sl_log_stop();
	while (len < sizeof(text) - 1 && (n = read(fds[0], text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	close(fds[0]);
	close(fds[1]);
}

static void
test_line(void)
{
	sl_clock_freeze(5 * NS, 1777890030 * NS + 123456789);
	start();
	sl_log(SL_LOG_NOTICE, "peer-up", "%s\nis \x1b[31mup", "pop1");
	sl_log(SL_LOG_DEBUG, "detail", "not shown");
	stop();
	CU_ASSERT_STRING_EQUAL(
		text, "2026-05-04T10:20:30.123456Z notice peer-up: pop1\\x0ais \\x1b[31mup\n"
	);
	start();
	sl_log_set_level(SL_LOG_DEBUG);
	for (unsigned i = 0; i < 2; i++)
		sl_log(SL_LOG_DEBUG, "detail", "%0600d", 7);
	sl_log_set_level(SL_LOG_NOTICE);
	stop();
	CU_ASSERT_EQUAL(strlen(text) < 2 * SL_LOG_LINE_BYTES, 1);
	CU_ASSERT_EQUAL(text[strlen(text) - 1], '\n');
	sl_clock_thaw();
}

static void
repeat(unsigned nb)
{
	for (unsigned i = 0; i < nb; i++)
		sl_log(SL_LOG_WARNING, "storm", "number %u", i);
}

static unsigned
count(const char *needle)
{
	unsigned nb = 0;

	for (const char *at = text; (at = strstr(at, needle)) != NULL; at++)
		nb++;
	return nb;
}

static void
test_rate(void)
{
	sl_clock_freeze(100 * NS, 1777890030 * NS);
	start();
	repeat(1000);
	sl_log(SL_LOG_WARNING, "other", "its own budget");
	sl_clock_advance((SL_LOG_WINDOW_S + 1) * NS);
	repeat(1);
	stop();
	CU_ASSERT_EQUAL(count("storm"), SL_LOG_BURST + 1);
	CU_ASSERT_EQUAL(count("other"), 1);
	CU_ASSERT_EQUAL(count("number 0 (990 more suppressed)\n"), 1);
	sl_clock_thaw();
}

// A reader that is stuck: the pipe is full, then the queue.
static void
test_stuck(void)
{
	struct sl_log_site sites[4000] = { 0 };
	uint64_t before = sl_log_nb_lost();

	start();
	for (unsigned i = 0; i < 4000; i++)
		sl_log_at(&sites[i], SL_LOG_WARNING, "flood", "%0400u", i);
	CU_ASSERT(sl_log_nb_lost() > before);
	stop(); // does not hang
}

static struct sl_flowlog_record
record(void)
{
	struct sl_flowlog_record r = {
		.time_ns = 1777890030 * NS,
		.duration_ns = 1500000000,
		.up_bytes = 10,
		.up_pkts = 1,
		.down_bytes = 5000000000,
		.down_pkts = 4000000,
		.client_address = { [10] = 0xff, [11] = 0xff, 10, 9, 0, 2 },
		.address = { [10] = 0xff, [11] = 0xff, 100, 96, 1, 2 },
		.client_port = 40000,
		.port = 443,
		.protocol = IPPROTO_TCP,
		.event = SL_FLOWLOG_END,
		.tenant = "corp",
		.client = "lap\"top",
		.name = "git.corp.example",
		.reason = "fin",
	};

	return r;
}

static void
test_flow_line(void)
{
	struct sl_flowlog_record r = record();
	char line[2048], tiny[50];
	unsigned len = sl_flowlog_format(&r, line, sizeof(line));

	line[len] = '\0';
	CU_ASSERT_STRING_EQUAL(
		line,
		"{\"time\":\"2026-05-04T10:20:30.000000Z\",\"event\":\"end\",\"tenant\":\"corp\","
		"\"client\":\"lap\\\"top\",\"client_address\":\"10.9.0.2\",\"client_port\":40000,"
		"\"name\":\"git.corp.example\",\"address\":\"100.96.1.2\",\"protocol\":\"tcp\","
		"\"port\":443,\"resource\":null,\"connector\":null,\"up_bytes\":10,\"up_pkts\":1,"
		"\"down_bytes\":5000000000,\"down_pkts\":4000000,\"duration_s\":1.5,\"reason\":"
		"\"fin\"}\n"
	);
	CU_ASSERT_EQUAL(sl_flowlog_format(&r, tiny, sizeof(tiny)), 0);
	memset(r.name, 'a', sizeof(r.name) - 1);
	memset(r.client, 'a', sizeof(r.client) - 1);
	memset(r.resource, 'a', sizeof(r.resource) - 1);
	memset(r.connector, 'a', sizeof(r.connector) - 1);
	CU_ASSERT_NOT_EQUAL(sl_flowlog_format(&r, line, sizeof(line)), 0);
	r.name[0] = '\xff';
	CU_ASSERT_NOT_EQUAL(sl_flowlog_format(&r, line, sizeof(line)), 0);
}

static void
test_other_lines(void)
{
	struct sl_flowlog_record r = record();
	char line[2048];

	r.event = SL_FLOWLOG_DENY;
	r.nb_denials = 7;
	snprintf(r.resource, sizeof(r.resource), "git");
	snprintf(r.reason, sizeof(r.reason), "policy");
	line[sl_flowlog_format(&r, line, sizeof(line) - 1)] = '\0';
	CU_ASSERT_PTR_NOT_NULL(strstr(
		line,
		"\"protocol\":\"tcp\",\"port\":443,\"rule\":\"git\",\"count\":7,\"duration_s\":1.5,"
		"\"reason\":\"policy\"}"
	));
	// Of several kinds: what they do not share is null, whatever the record holds.
	r.is_merged = true;
	line[sl_flowlog_format(&r, line, sizeof(line) - 1)] = '\0';
	CU_ASSERT_PTR_NOT_NULL(
		strstr(line,
		       "\"client_address\":null,\"client_port\":null,\"name\":\"git.corp.example\","
		       "\"address\":"
		       "null,\"protocol\":null,\"port\":null,")
	);
	r = record();
	r.is_connector = true;
	line[sl_flowlog_format(&r, line, sizeof(line) - 1)] = '\0';
	CU_ASSERT_PTR_NOT_NULL(strstr(line, "\"nat_address\":\"10.9.0.2\",\"nat_port\":40000,"));
	CU_ASSERT_PTR_NOT_NULL(strstr(line, "\"pop\":null"));
	CU_ASSERT_PTR_NULL(strstr(line, "client_port"));
}

static unsigned
lines_of(const char *path)
{
	unsigned nb = 0;
	char line[4096];
	FILE *f = fopen(path, "r");

	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		json_t *json = json_loads(line, 0, NULL);

		CU_ASSERT_PTR_NOT_NULL(json);
		json_decref(json);
		nb++;
	}
	if (f != NULL)
		fclose(f);
	return nb;
}

// Wait until the writer has dealt with `nb` more records than `before`.
static void
settle(uint64_t before, uint64_t nb)
{
	for (unsigned i = 0; i < 1000; i++) {
		if (sl_flowlog_nb_written() + sl_flowlog_nb_lost() >= before + nb)
			return;
		usleep(10000);
	}
	CU_FAIL("the writer did not write within 10 s");
}

static void
test_flow_file(void)
{
	uint64_t before = sl_flowlog_nb_written() + sl_flowlog_nb_lost();
	struct sl_flowlog_record r = record();
	char path[64], old[80];
	struct stat st;

	snprintf(path, sizeof(path), "/tmp/lease-flow-%d.jsonl", getpid());
	snprintf(old, sizeof(old), "%s.1", path);
	start();
	CU_ASSERT_EQUAL_FATAL(sl_flowlog_start(path), 0);
	for (unsigned i = 0; i < 500; i++)
		sl_flowlog(&r);
	settle(before, 500);
	CU_ASSERT_EQUAL(rename(path, old), 0);
	sl_flowlog_reopen();
	for (unsigned i = 0; i < 200 && stat(path, &st) != 0; i++)
		usleep(10000);
	CU_ASSERT_EQUAL(stat(path, &st), 0);
	for (unsigned i = 0; i < 20; i++)
		sl_flowlog(&r);
	sl_flowlog_stop();
	sl_flowlog(&r); // a no-op
	stop();
	CU_ASSERT_EQUAL(lines_of(old), 500);
	CU_ASSERT_EQUAL(lines_of(path), 20);
	CU_ASSERT_EQUAL(sl_flowlog_nb_written() + sl_flowlog_nb_lost(), before + 520);
	unlink(path);
	unlink(old);
}

static void
test_flow_full(void)
{
	uint64_t lost = sl_flowlog_nb_lost();
	struct sl_flowlog_record r = record();

	start();
	CU_ASSERT_EQUAL_FATAL(sl_flowlog_start("/dev/full"), 0);
	for (unsigned i = 0; i < 5; i++)
		sl_flowlog(&r);
	sl_flowlog_stop();
	stop();
	CU_ASSERT_EQUAL(sl_flowlog_nb_lost(), lost + 5);
	CU_ASSERT_EQUAL(count("flow-log-failed: /dev/full: No space left on device"), 1);
}

static const struct sl_test_case cases[] = {
	{ "E5: one line an event, with time and severity, whatever the text holds", test_line },
	{ "E5: each place in the source is rate-limited and says what it swallowed", test_rate },
	{ "log: a stuck reader costs lines, which are counted, and blocks nobody", test_stuck },
	{ "flow log: a record is one line of JSON", test_flow_line },
	{ "flow log: lines of denials, of several kinds together, and of a connector",
	  test_other_lines },
	{ "E5: the flow log is reopened on command and loses nothing by it", test_flow_file },
	{ "flow log: a full disk is said once and its records are counted", test_flow_full },
};

SL_TEST_MAIN(cases)
