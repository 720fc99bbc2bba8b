// metrics: what Sluice counts for Prometheus. Names, types, labels and help stand in one table
// (ctrl/metrics.c), from which both the answers to /metrics and docs/metrics.md are made.
//
// Samples are put in any order and gathered by metric, since the text format wants all samples of
// one metric together. Labels come from the configuration and the program's own lists; of what grows
// beyond any list (clients, resources, names) the busiest have a series each, up to the numbers below.
#pragma once

#include <sluice/proto/histogram.h>
#include <stdint.h>
#include <stdio.h>

enum sl_metric {
	SL_METRIC_BUILD,
	SL_METRIC_START,
	SL_METRIC_GENERATION,
	SL_METRIC_READY,
	SL_METRIC_CONDITION,
	SL_METRIC_PORT_UP,
	SL_METRIC_PORT_RX_PKTS,
	SL_METRIC_PORT_RX_BYTES,
	SL_METRIC_PORT_TX_PKTS,
	SL_METRIC_PORT_TX_BYTES,
	SL_METRIC_PORT_MISSED,
	SL_METRIC_WALKS,
	SL_METRIC_WALKS_EMPTY,
	SL_METRIC_SLEEPS,
	SL_METRIC_HANDED_OVER,
	SL_METRIC_PUNTED,
	SL_METRIC_FROM_SESSION,
	SL_METRIC_CREATED,
	SL_METRIC_CONSUMED,
	SL_METRIC_UNFINISHED,
	SL_METRIC_DISPLACED,
	SL_METRIC_FLOWS,
	SL_METRIC_FLOWS_MAX,
	SL_METRIC_BUFFERS,
	SL_METRIC_NODE_PKTS,
	SL_METRIC_NODE_CALLS,
	SL_METRIC_NODE_CYCLES,
	SL_METRIC_DROPPED,
	SL_METRIC_PEER_UP,
	SL_METRIC_PEER_DRAINING,
	SL_METRIC_PEER_SILENT,
	SL_METRIC_PEER_PREFERENCE,
	SL_METRIC_PEER_CHANGES,
	SL_METRIC_PEER_LOAD,
	SL_METRIC_PEER_RTT,
	SL_METRIC_PEER_SEALED,
	SL_METRIC_PEER_OPENED,
	SL_METRIC_CLIENT_SESSIONS,
	SL_METRIC_FIRST_PACKET,
	SL_METRIC_DNS_TIME,
	SL_METRIC_HANDSHAKE_TIME,
	SL_METRIC_TENANT_FLOWS,
	SL_METRIC_TENANT_BEGUN,
	SL_METRIC_TENANT_DENIED,
	SL_METRIC_TENANT_LIMITED,
	SL_METRIC_TENANT_UP,
	SL_METRIC_TENANT_DOWN,
	SL_METRIC_CLIENT_FLOWS,
	SL_METRIC_CLIENT_BEGUN,
	SL_METRIC_CLIENT_DENIED,
	SL_METRIC_CLIENT_UP,
	SL_METRIC_CLIENT_DOWN,
	SL_METRIC_RESOURCE_FLOWS,
	SL_METRIC_RESOURCE_BEGUN,
	SL_METRIC_RESOURCE_DENIED,
	SL_METRIC_RESOURCE_UP,
	SL_METRIC_RESOURCE_DOWN,
	SL_METRIC_NAME_BEGUN,
	SL_METRIC_SESSION_PUNTS,
	SL_METRIC_HELD,
	SL_METRIC_HELD_FULL,
	SL_METRIC_HANDSHAKES,
	SL_METRIC_HANDSHAKES_BAD,
	SL_METRIC_HANDSHAKE_COOKIES,
	SL_METRIC_HANDSHAKES_FULL,
	SL_METRIC_QUERIES,
	SL_METRIC_QUERIES_FULL,
	SL_METRIC_ANSWERS_LATE,
	SL_METRIC_ANSWERS_LEAKING,
	SL_METRIC_QUERIES_REFUSED,
	SL_METRIC_STREAM_CONNECTIONS,
	SL_METRIC_STREAM_ACCEPTED,
	SL_METRIC_STREAM_REFUSED,
	SL_METRIC_STREAM_TIMED_OUT,
	SL_METRIC_STREAM_TLS_FAILED,
	SL_METRIC_STREAM_QUESTIONS,
	SL_METRIC_STREAM_ANSWERS,
	SL_METRIC_STREAM_UNANSWERED,
	SL_METRIC_STREAM_DROPPED,
	SL_METRIC_STREAM_NO_PLACE,
	SL_METRIC_STREAM_ASKED,
	SL_METRIC_STREAM_ASKS_FAILED,
	SL_METRIC_STREAM_LINKS,
	SL_METRIC_STREAM_LINKS_FAILED,
	SL_METRIC_RESOLVER_ASKED,
	SL_METRIC_RESOLVER_HITS,
	SL_METRIC_RESOLVER_SENT,
	SL_METRIC_RESOLVER_TIMEOUTS,
	SL_METRIC_RESOLVER_REFUSED,
	SL_METRIC_RESOLVER_BUSY,
	SL_METRIC_RESOLVER_CACHED,
	SL_METRIC_RESOLVER_UNDER_WAY,
	SL_METRIC_FORWARD_QUERIES,
	SL_METRIC_FORWARD_HITS,
	SL_METRIC_FORWARD_SENT,
	SL_METRIC_FORWARD_TIMEOUTS,
	SL_METRIC_FORWARD_REFUSED,
	SL_METRIC_FORWARD_FAILED,
	SL_METRIC_FORWARD_FULL,
	SL_METRIC_FORWARD_CACHED,
	SL_METRIC_FORWARD_UNDER_WAY,
	SL_METRIC_NAMES,
	SL_METRIC_POOL_ADDRESSES,
	SL_METRIC_NAMES_REFUSED,
	SL_METRIC_NAMES_RECLAIMED,
	SL_METRIC_STORE_FAILING,
	SL_METRIC_STORE_COMMITS,
	SL_METRIC_STORE_FAILED,
	SL_METRIC_STORE_LAST,
	SL_METRIC_STORE_MAX,
	SL_METRIC_STORE_STUCK,
	SL_METRIC_STORE_WAITING,
	SL_METRIC_STORE_REFUSED,
	SL_METRIC_STORE_LEASES,
	SL_METRIC_LOG_LOST,
	SL_METRIC_CALLS_REFUSED,
	SL_METRIC_COUNT
};

enum sl_metric_type { SL_METRIC_COUNTER, SL_METRIC_GAUGE, SL_METRIC_HISTOGRAM };

#define SL_METRIC_LABELS_MAX 2u

// Series at most: those with most flows so far.
#define SL_METRIC_CLIENTS_MAX   1000u
#define SL_METRIC_RESOURCES_MAX 1000u
#define SL_METRIC_NAMES_MAX     100u

struct sl_metric_row {
	const char *name;
	enum sl_metric_type type;
	uint8_t is_ns; // samples are put in nanoseconds and printed in seconds
	const char *labels[SL_METRIC_LABELS_MAX]; // NULL: none
	const char *help; // one sentence
};
extern const struct sl_metric_row sl_metrics[SL_METRIC_COUNT];

// One answer under way: samples by metric.
struct sl_metric_text {
	struct {
		char *text;
		size_t nb_bytes;
		FILE *to; // NULL: no sample yet
	} families[SL_METRIC_COUNT];
};

// Add a sample; `label0` and `label1` are the values of the row's labels (NULL where it has none),
// any text. What finds no memory is left out.
void sl_metric_put(
	struct sl_metric_text *text,
	enum sl_metric metric,
	uint64_t value,
	const char *label0,
	const char *label1
);

// The same for a histogram, in seconds.
void sl_metric_put_histogram(
	struct sl_metric_text *text,
	enum sl_metric metric,
	const struct sl_histogram *histogram,
	const char *label0,
	const char *label1
);

// The samples put so far, in Prometheus' text format 0.0.4; to be freed. NULL: no memory. Leaves
// `text` empty, as all zeros.
char *sl_metric_finish(struct sl_metric_text *text, size_t *nb_bytes);

// Print docs/metrics.md.
void sl_metric_document(FILE *to);
