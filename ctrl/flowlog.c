#include "log_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sluice/ctrl/clock.h>
#include <sluice/ctrl/flowlog.h>
#include <sluice/ctrl/json.h>
#include <sluice/ctrl/log.h>
#include <sluice/ctrl/mpsc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QUEUE_RECORDS 4096u
#define CHUNK_BYTES   65536u // lines gathered for one write
#define LINE_BYTES    8192u
#define RETRY_NS      5000000000ull

static struct {
	struct sl_mpsc queue;
	char *path;
	int fd; // writer: rw; -1 while it cannot be opened
	uint64_t retry_at_ns; // writer: when to try to open again
	bool failing; // writer: said so in the log
	atomic_bool running;
	atomic_bool reopen;
	atomic_uint_fast64_t nb_queued; // ever
	atomic_uint_fast64_t nb_taken; // of them, by the writer
	atomic_uint_fast64_t nb_written;
	atomic_uint_fast64_t nb_lost;
	uint32_t nb_pending; // writer: records in the chunk
	size_t chunk_len;
	char chunk[CHUNK_BYTES];
} flowlog = { .fd = -1 };

static json_t *
protocol_name(uint8_t protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return json_string("tcp");
	case IPPROTO_UDP:
		return json_string("udp");
	case IPPROTO_ICMP:
		return json_string("icmp");
	default:
		return json_integer(protocol);
	}
}

// Text that may be empty: null then, so that readers need not tell "" from a name.
static json_t *
text_or_null(const char *text)
{
	return *text == '\0' ? json_null() : sl_json_str(text);
}

// Who spoke with whom. What several packets do not share is null.
static void
put_ends(json_t *line, const struct sl_flowlog_record *r)
{
	const char *address = r->is_connector ? "nat_address" : "client_address";
	const char *port = r->is_connector ? "nat_port" : "client_port";
	bool is_one = !r->is_merged;

	json_object_set_new(line, address, is_one ? sl_json_ip(r->client_address) : json_null());
	json_object_set_new(line, port, is_one ? json_integer(r->client_port) : json_null());
	json_object_set_new(line, "name", text_or_null(r->name));
	json_object_set_new(line, "address", is_one ? sl_json_ip(r->address) : json_null());
	json_object_set_new(line, "protocol", is_one ? protocol_name(r->protocol) : json_null());
	json_object_set_new(line, "port", is_one ? json_integer(r->port) : json_null());
}

static json_t *
to_json(const struct sl_flowlog_record *r)
{
	static const char *const events[] = { "start", "interim", "end", "deny" };
	const char *event = r->event < sizeof(events) / sizeof(events[0]) ? events[r->event] : "?";
	json_t *line = json_object();

	json_object_set_new(
		line, "time", sl_json_time(r->time_ns == 0 ? sl_clock_wall_ns() : r->time_ns)
	);
	json_object_set_new(line, "event", json_string(event));
	json_object_set_new(line, "tenant", text_or_null(r->tenant));
	json_object_set_new(line, "client", text_or_null(r->client));
	put_ends(line, r);
	if (r->event == SL_FLOWLOG_DENY) {
		json_object_set_new(line, "rule", text_or_null(r->resource));
		json_object_set_new(line, "count", json_integer(r->nb_denials));
		json_object_set_new(line, "duration_s", json_real((double)r->duration_ns / 1e9));
		json_object_set_new(line, "reason", text_or_null(r->reason));
		return line;
	}
	json_object_set_new(line, "resource", text_or_null(r->resource));
	json_object_set_new(
		line, r->is_connector ? "pop" : "connector", text_or_null(r->connector)
	);
	json_object_set_new(line, "up_bytes", json_integer((json_int_t)r->up_bytes));
	json_object_set_new(line, "up_pkts", json_integer((json_int_t)r->up_pkts));
	json_object_set_new(line, "down_bytes", json_integer((json_int_t)r->down_bytes));
	json_object_set_new(line, "down_pkts", json_integer((json_int_t)r->down_pkts));
	json_object_set_new(line, "duration_s", json_real((double)r->duration_ns / 1e9));
	json_object_set_new(line, "reason", text_or_null(r->reason));
	return line;
}

unsigned
sl_flowlog_format(const struct sl_flowlog_record *record, char *line, unsigned nb_bytes)
{
	json_t *json = to_json(record);
	size_t len = json_dumpb(json, line, nb_bytes, JSON_COMPACT | JSON_REAL_PRECISION(9));

	json_decref(json);
	if (len == 0 || len + 1 > nb_bytes)
		return 0;
	line[len++] = '\n';
	return (unsigned)len;
}

static int
open_path(void)
{
	int fd = open(flowlog.path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);

	return fd < 0 ? -errno : fd;
}

static void
say_failed(int error)
{
	if (flowlog.failing)
		return;
	flowlog.failing = true;
	sl_log(SL_LOG_ERROR,
	       "flow-log-failed",
	       "%s: %s; flow records are lost until it can be written",
	       flowlog.path,
	       strerror(error));
}

// The chunk is at an end: into the file, or counted as lost.
static void
flush(void)
{
	size_t done = 0;

	while (done < flowlog.chunk_len && flowlog.fd >= 0) {
		ssize_t n = write(flowlog.fd, flowlog.chunk + done, flowlog.chunk_len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			say_failed(n < 0 ? errno : ENOSPC);
			// A cut line would spoil the next one: begin afresh.
			if (done > 0)
				(void)!write(flowlog.fd, "\n", 1);
			break;
		}
		done += (size_t)n;
	}
	if (done == flowlog.chunk_len && done > 0) {
		atomic_fetch_add(&flowlog.nb_written, flowlog.nb_pending);
		if (flowlog.failing)
			sl_log(SL_LOG_NOTICE,
			       "flow-log-recovered",
			       "%s is written again; %llu records were lost so far",
			       flowlog.path,
			       (unsigned long long)sl_flowlog_nb_lost());
		flowlog.failing = false;
	} else {
		atomic_fetch_add(&flowlog.nb_lost, flowlog.nb_pending);
	}
	flowlog.chunk_len = 0;
	flowlog.nb_pending = 0;
}

static void
reopen_if_due(void)
{
	uint64_t now_ns = sl_clock_now_ns();
	int fd;

	if (!atomic_exchange(&flowlog.reopen, false) &&
	    (flowlog.fd >= 0 || now_ns < flowlog.retry_at_ns))
		return;
	fd = open_path();
	// While the new one cannot be opened, the old one is better than nothing.
	if (fd < 0) {
		flowlog.retry_at_ns = now_ns + RETRY_NS;
		say_failed(-fd);
		return;
	}
	if (flowlog.fd >= 0)
		close(flowlog.fd);
	flowlog.fd = fd;
}

static void
drain(void)
{
	static struct sl_flowlog_record record;

	reopen_if_due();
	while (sl_mpsc_pop(&flowlog.queue, &record)) {
		unsigned len;

		if (CHUNK_BYTES - flowlog.chunk_len < LINE_BYTES)
			flush();
		atomic_fetch_add(&flowlog.nb_taken, 1);
		len = sl_flowlog_format(&record, flowlog.chunk + flowlog.chunk_len, LINE_BYTES);
		flowlog.chunk_len += len;
		flowlog.nb_pending++;
	}
	if (flowlog.nb_pending != 0)
		flush();
}

int
sl_flowlog_start(const char *path)
{
	int rc;

	if (atomic_load(&flowlog.running))
		return -EALREADY;
	flowlog.path = strdup(path);
	if (flowlog.path == NULL)
		return -ENOMEM;
	rc = open_path();
	if (rc < 0)
		goto free_path;
	flowlog.fd = rc;
	flowlog.failing = false;
	rc = sl_mpsc_init(&flowlog.queue, QUEUE_RECORDS, sizeof(struct sl_flowlog_record));
	if (rc != 0)
		goto close_file;
	rc = sl_log_writer_attach(drain);
	if (rc != 0)
		goto free_queue;
	atomic_store(&flowlog.running, true);
	return 0;
free_queue:
	sl_mpsc_free(&flowlog.queue);
close_file:
	close(flowlog.fd);
	flowlog.fd = -1;
free_path:
	free(flowlog.path);
	flowlog.path = NULL;
	return rc;
}

void
sl_flowlog_stop(void)
{
	if (!atomic_exchange(&flowlog.running, false))
		return;
	sl_log_writer_detach();
	drain(); // the writer no longer does
	if (flowlog.fd >= 0)
		close(flowlog.fd);
	flowlog.fd = -1;
	sl_mpsc_free(&flowlog.queue);
	free(flowlog.path);
	flowlog.path = NULL;
}

void
sl_flowlog(const struct sl_flowlog_record *record)
{
	if (!atomic_load_explicit(&flowlog.running, memory_order_acquire))
		return;
	if (sl_mpsc_push(&flowlog.queue, record))
		atomic_fetch_add(&flowlog.nb_queued, 1);
	else
		atomic_fetch_add(&flowlog.nb_lost, 1);
	sl_log_writer_wake();
}

unsigned
sl_flowlog_room(void)
{
	// What the writer takes meanwhile only adds to it.
	uint64_t nb = atomic_load(&flowlog.nb_queued) - atomic_load(&flowlog.nb_taken);

	return nb < QUEUE_RECORDS ? (unsigned)(QUEUE_RECORDS - nb) : 0;
}

void
sl_flowlog_reopen(void)
{
	if (!atomic_load(&flowlog.running))
		return;
	atomic_store(&flowlog.reopen, true);
	sl_log_writer_wake();
}

uint64_t
sl_flowlog_nb_written(void)
{
	return atomic_load(&flowlog.nb_written);
}

uint64_t
sl_flowlog_nb_lost(void)
{
	return atomic_load(&flowlog.nb_lost);
}
