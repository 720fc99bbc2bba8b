#include <inttypes.h>
#include <sluice/ctrl/metrics.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S 1000000000u

#define COUNTER   SL_METRIC_COUNTER, 0
#define GAUGE     SL_METRIC_GAUGE, 0
#define SECONDS   SL_METRIC_GAUGE, 1
#define HISTOGRAM SL_METRIC_HISTOGRAM, 1

// clang-format off
const struct sl_metric_row sl_metrics[SL_METRIC_COUNT] = {
	[SL_METRIC_BUILD] = { "sluice_build_info", GAUGE, { "version", "role" },
		"Always 1; what runs here." },
	[SL_METRIC_START] = { "sluice_start_time_seconds", SECONDS, { NULL },
		"When the daemon started, in seconds since 1970." },
	[SL_METRIC_GENERATION] = { "sluice_configuration_generation", GAUGE, { NULL },
		"Grows with each policy that is taken into force by a reload." },
	[SL_METRIC_READY] = { "sluice_ready", GAUGE, { NULL },
		"1 while every condition of readiness is met, as /health and sluicectl health say." },
	[SL_METRIC_CONDITION] = { "sluice_condition_met", GAUGE, { "condition" },
		"1 while this condition of readiness is met." },

	[SL_METRIC_PORT_UP] = { "sluice_port_up", GAUGE, { "port" },
		"1 while the port has a link." },
	[SL_METRIC_PORT_RX_PKTS] = { "sluice_port_received_packets_total", COUNTER, { "port" },
		"Packets taken from the port." },
	[SL_METRIC_PORT_RX_BYTES] = { "sluice_port_received_bytes_total", COUNTER, { "port" },
		"Octets taken from the port, Ethernet headers included." },
	[SL_METRIC_PORT_TX_PKTS] = { "sluice_port_sent_packets_total", COUNTER, { "port" },
		"Packets given to the port." },
	[SL_METRIC_PORT_TX_BYTES] = { "sluice_port_sent_bytes_total", COUNTER, { "port" },
		"Octets given to the port, Ethernet headers included." },
	[SL_METRIC_PORT_MISSED] = { "sluice_port_missed_packets_total", COUNTER, { "port" },
		"Packets the device lost before a worker saw them: no descriptor or buffer was free." },

	[SL_METRIC_WALKS] = { "sluice_worker_walks_total", COUNTER, { "worker" },
		"Turns of the worker's loop." },
	[SL_METRIC_WALKS_EMPTY] = { "sluice_worker_empty_walks_total", COUNTER, { "worker" },
		"Turns that found no packet; the rest over all is how busy the worker is." },
	[SL_METRIC_SLEEPS] = { "sluice_worker_sleeps_total", COUNTER, { "worker" },
		"Times the worker slept because there was nothing to do." },
	[SL_METRIC_HANDED_OVER] = { "sluice_worker_handed_over_packets_total", COUNTER, { "worker" },
		"Packets given to another worker, whose flow they are of." },
	[SL_METRIC_PUNTED] = { "sluice_worker_punted_packets_total", COUNTER, { "worker" },
		"Packets given to the session thread." },
	[SL_METRIC_FROM_SESSION] = { "sluice_worker_returned_packets_total", COUNTER, { "worker" },
		"Packets taken from the session thread." },
	[SL_METRIC_CREATED] = { "sluice_worker_created_packets_total", COUNTER, { "worker" },
		"Packets made here: records, fragments, copies, ARP queries." },
	[SL_METRIC_CONSUMED] = { "sluice_worker_consumed_packets_total", COUNTER, { "worker" },
		"Packets that ended inside another one." },
	[SL_METRIC_UNFINISHED] = { "sluice_worker_unfinished_fragments_total", COUNTER, { "worker" },
		"Packets and records in fragments that did not all come in time." },
	[SL_METRIC_DISPLACED] = { "sluice_worker_displaced_fragments_total", COUNTER, { "worker" },
		"Packets and records in fragments that made room for newer ones." },
	[SL_METRIC_FLOWS] = { "sluice_flows", GAUGE, { "worker" },
		"Flows in the worker's table." },
	[SL_METRIC_FLOWS_MAX] = { "sluice_flows_limit", GAUGE, { "worker" },
		"Flows the worker's table has room for." },
	[SL_METRIC_BUFFERS] = { "sluice_packet_buffers", GAUGE, { "state" },
		"Packet buffers, in use or free." },

	[SL_METRIC_NODE_PKTS] = { "sluice_node_packets_total", COUNTER, { "node" },
		"Packets that went through the node of the packet graph." },
	[SL_METRIC_NODE_CALLS] = { "sluice_node_calls_total", COUNTER, { "node" },
		"Bursts of packets that went through the node." },
	[SL_METRIC_NODE_CYCLES] = { "sluice_node_sampled_cycles_total", COUNTER, { "node" },
		"Processor cycles spent in the node in the sampled turns, one in 32." },
	[SL_METRIC_DROPPED] = { "sluice_dropped_packets_total", COUNTER, { "reason", "severity" },
		"Packets that were not delivered, by reason (docs/drops.md). The severity our_fault asks "
		"for a look." },

	[SL_METRIC_PEER_UP] = { "sluice_peer_up", GAUGE, { "tenant", "peer" },
		"1 while the session with the peer is up." },
	[SL_METRIC_PEER_DRAINING] = { "sluice_peer_draining", GAUGE, { "tenant", "peer" },
		"1 while the peer takes no new flows." },
	[SL_METRIC_PEER_SILENT] = { "sluice_peer_silent_seconds", SECONDS, { "tenant", "peer" },
		"How long ago the last authentic datagram of the peer came on its first lane." },
	[SL_METRIC_PEER_PREFERENCE] = { "sluice_peer_preference", GAUGE, { "tenant", "peer" },
		"Eighths of its weight with which the connector gets new flows: 8 with room to spare, fewer "
		"under load, 0 while its path is in doubt." },
	[SL_METRIC_PEER_CHANGES] = { "sluice_peer_preference_changes_total", COUNTER,
		{ "tenant", "peer" }, "Changes of sluice_peer_preference, at most one in 30 s." },
	[SL_METRIC_PEER_LOAD] = { "sluice_peer_load", GAUGE, { "tenant", "peer" },
		"Flows in the peer's table, in 1/65535 of what it has room for; it says so itself." },
	[SL_METRIC_PEER_RTT] = { "sluice_peer_rtt_seconds", SECONDS, { "tenant", "peer" },
		"How long the peer's answers to heartbeats take, smoothed." },
	[SL_METRIC_PEER_SEALED] = { "sluice_peer_sealed_packets_total", COUNTER, { "tenant", "peer" },
		"Datagrams sealed for the peer, over its lanes." },
	[SL_METRIC_PEER_OPENED] = { "sluice_peer_opened_packets_total", COUNTER, { "tenant", "peer" },
		"Authentic datagrams of the peer, over its lanes." },
	[SL_METRIC_CLIENT_SESSIONS] = { "sluice_client_sessions", GAUGE, { NULL },
		"WireGuard clients whose session is up." },

	[SL_METRIC_FIRST_PACKET] = { "sluice_first_packet_seconds", HISTOGRAM, { "stage" },
		"What a client waits for on the way to a first answer. PoP: dns (a granted name), policy (the "
		"decision), tunnel (until the connector has taken the flow, resolving included), answer (first "
		"packet until first answer, all in all), client_key (a packet toward a WireGuard client that "
		"had to be asked for a key). Connector: resolve (a name it had no address for), connect (until "
		"the private host's first answer)." },
	[SL_METRIC_DNS_TIME] = { "sluice_dns_seconds", HISTOGRAM, { "way" },
		"How long DNS takes. PoP: worker (assigned address, at once), first_sight (until it is on "
		"disk), connector (other types, asked through the tunnel), upstream (a query to an upstream "
		"server). Connector: private (a query to a private DNS server)." },
	[SL_METRIC_HANDSHAKE_TIME] = { "sluice_handshake_seconds", HISTOGRAM, { "with" },
		"From the initiation, or for who answers it from the response, until the session's new key is "
		"confirmed: with a peer or a WireGuard client." },
	[SL_METRIC_TENANT_FLOWS] = { "sluice_tenant_flows", GAUGE, { "tenant" },
		"Flows of the tenant's clients that stand." },
	[SL_METRIC_TENANT_BEGUN] = { "sluice_tenant_flows_begun_total", COUNTER, { "tenant" },
		"Flows that clients of the tenant began." },
	[SL_METRIC_TENANT_DENIED] = { "sluice_tenant_denied_packets_total", COUNTER, { "tenant" },
		"Packets of the tenant's clients that asked for a flow in vain: by policy, limits, or for want "
		"of a connector." },
	[SL_METRIC_TENANT_LIMITED] = { "sluice_tenant_limited_total", COUNTER, { "tenant", "limit" },
		"Flows and queries refused by this limit of the tenant." },
	[SL_METRIC_TENANT_UP] = { "sluice_tenant_up_bytes_total", COUNTER, { "tenant" },
		"Octets from the tenant's clients, counted when a flow is over." },
	[SL_METRIC_TENANT_DOWN] = { "sluice_tenant_down_bytes_total", COUNTER, { "tenant" },
		"Octets to the tenant's clients, counted when a flow is over." },
	[SL_METRIC_CLIENT_FLOWS] = { "sluice_client_flows", GAUGE, { "tenant", "client" },
		"Flows of the client that stand. This and the next four: the 1000 clients with most flows." },
	[SL_METRIC_CLIENT_BEGUN] = { "sluice_client_flows_begun_total", COUNTER, { "tenant", "client" },
		"Flows the client began." },
	[SL_METRIC_CLIENT_DENIED] = { "sluice_client_denied_packets_total", COUNTER, { "tenant", "client" },
		"Packets of the client that asked for a flow in vain." },
	[SL_METRIC_CLIENT_UP] = { "sluice_client_up_bytes_total", COUNTER, { "tenant", "client" },
		"Octets from the client, counted when a flow is over." },
	[SL_METRIC_CLIENT_DOWN] = { "sluice_client_down_bytes_total", COUNTER, { "tenant", "client" },
		"Octets to the client, counted when a flow is over." },
	[SL_METRIC_RESOURCE_FLOWS] = { "sluice_resource_flows", GAUGE, { "tenant", "resource" },
		"Flows to the resource that stand. This and the next four: the 1000 resources with most flows." },
	[SL_METRIC_RESOURCE_BEGUN] = { "sluice_resource_flows_begun_total", COUNTER, { "tenant", "resource" },
		"Flows to the resource that began." },
	[SL_METRIC_RESOURCE_DENIED] = { "sluice_resource_denied_packets_total", COUNTER, { "tenant", "resource" },
		"Packets that asked for a flow to the resource in vain." },
	[SL_METRIC_RESOURCE_UP] = { "sluice_resource_up_bytes_total", COUNTER, { "tenant", "resource" },
		"Octets to the resource, counted when a flow is over." },
	[SL_METRIC_RESOURCE_DOWN] = { "sluice_resource_down_bytes_total", COUNTER, { "tenant", "resource" },
		"Octets from the resource, counted when a flow is over." },
	[SL_METRIC_NAME_BEGUN] = { "sluice_name_flows_begun_total", COUNTER, { "tenant", "name" },
		"Flows to the name, of the 100 names with most. A name that many others outdo is forgotten "
		"and begins at 0 again." },

	[SL_METRIC_SESSION_PUNTS] = { "sluice_session_thread_packets_total", COUNTER, { NULL },
		"Packets the session thread took from the workers." },
	[SL_METRIC_HELD] = { "sluice_held_packets", GAUGE, { NULL },
		"Packets that wait for a name, an address on disk or an answer." },
	[SL_METRIC_HELD_FULL] = { "sluice_not_held_packets_total", COUNTER, { NULL },
		"Packets that could not wait because too many did." },
	[SL_METRIC_HANDSHAKES] = { "sluice_handshake_datagrams_total", COUNTER, { NULL },
		"Handshake datagrams looked at." },
	[SL_METRIC_HANDSHAKES_BAD] = { "sluice_handshake_datagrams_refused_total", COUNTER, { NULL },
		"Handshake datagrams that were not authentic, old or too many." },
	[SL_METRIC_HANDSHAKE_COOKIES] = { "sluice_handshake_cookies_total", COUNTER, { NULL },
		"Handshake datagrams answered with a cookie, since many came and their source was not proved." },
	[SL_METRIC_HANDSHAKES_FULL] = { "sluice_handshake_datagrams_unseen_total", COUNTER, { NULL },
		"Handshake datagrams that were not looked at: too many waited." },
	[SL_METRIC_QUERIES] = { "sluice_dns_queries_sent_total", COUNTER, { NULL },
		"Queries sent to DNS servers." },
	[SL_METRIC_QUERIES_FULL] = { "sluice_dns_queries_not_sent_total", COUNTER, { NULL },
		"Queries that were not sent because too many were under way." },
	[SL_METRIC_ANSWERS_LATE] = { "sluice_dns_answers_late_total", COUNTER, { NULL },
		"Answers that came after their query was given up." },
	[SL_METRIC_ANSWERS_LEAKING] = { "sluice_dns_answers_withheld_total", COUNTER, { NULL },
		"Answers of a private DNS server that still showed an address when they were about to "
		"leave, and were held back." },
	[SL_METRIC_QUERIES_REFUSED] = { "sluice_dns_queries_unreachable_total", COUNTER, { NULL },
		"Queries of which ICMP said that their server cannot be reached." },

	[SL_METRIC_STREAM_CONNECTIONS] = { "sluice_dns_stream_connections", GAUGE, { NULL },
		"Connections of clients by TCP or TLS that stand." },
	[SL_METRIC_STREAM_ACCEPTED] = { "sluice_dns_stream_accepted_total", COUNTER, { NULL },
		"Connections of clients that were accepted." },
	[SL_METRIC_STREAM_REFUSED] = { "sluice_dns_stream_refused_total", COUNTER, { NULL },
		"Connections of clients that were closed at once by a limit." },
	[SL_METRIC_STREAM_TIMED_OUT] = { "sluice_dns_stream_timed_out_total", COUNTER, { NULL },
		"Connections of clients that were closed as slow or stuck." },
	[SL_METRIC_STREAM_TLS_FAILED] = { "sluice_dns_stream_tls_failures_total", COUNTER, { NULL },
		"TLS handshakes of clients that failed." },
	[SL_METRIC_STREAM_QUESTIONS] = { "sluice_dns_stream_questions_total", COUNTER, { NULL },
		"Questions that came by TCP or TLS." },
	[SL_METRIC_STREAM_ANSWERS] = { "sluice_dns_stream_answers_total", COUNTER, { NULL },
		"Answers that went back by TCP or TLS." },
	[SL_METRIC_STREAM_UNANSWERED] = { "sluice_dns_stream_unanswered_total", COUNTER, { NULL },
		"Questions by TCP or TLS that nobody answered in time." },
	[SL_METRIC_STREAM_DROPPED] = { "sluice_dns_stream_dropped_packets_total", COUNTER, { NULL },
		"Segments that fit no connection or found no room." },
	[SL_METRIC_STREAM_NO_PLACE] = { "sluice_dns_stream_clients_full_total", COUNTER, { NULL },
		"Segments dropped because too many clients have connections." },
	[SL_METRIC_STREAM_ASKED] = { "sluice_dns_stream_server_queries_total", COUNTER, { NULL },
		"Queries sent to DNS servers by TCP or TLS." },
	[SL_METRIC_STREAM_ASKS_FAILED] = { "sluice_dns_stream_server_failures_total", COUNTER, { NULL },
		"Of these, queries that got no answer." },
	[SL_METRIC_STREAM_LINKS] = { "sluice_dns_stream_server_connections_total", COUNTER, { NULL },
		"Connections to DNS servers that were made." },
	[SL_METRIC_STREAM_LINKS_FAILED] = { "sluice_dns_stream_server_connections_failed_total", COUNTER, { NULL },
		"Connections to DNS servers that failed: refused, silent, or not who they should be." },

	[SL_METRIC_RESOLVER_ASKED] = { "sluice_resolver_asked_total", COUNTER, { NULL },
		"Names the connector was asked to resolve." },
	[SL_METRIC_RESOLVER_HITS] = { "sluice_resolver_cache_hits_total", COUNTER, { NULL },
		"Of these, answered from the cache." },
	[SL_METRIC_RESOLVER_SENT] = { "sluice_resolver_queries_total", COUNTER, { NULL },
		"Queries sent to the private DNS." },
	[SL_METRIC_RESOLVER_TIMEOUTS] = { "sluice_resolver_timeouts_total", COUNTER, { NULL },
		"Queries the private DNS did not answer in time." },
	[SL_METRIC_RESOLVER_REFUSED] = { "sluice_resolver_answers_refused_total", COUNTER, { NULL },
		"Answers of the private DNS that were not believed." },
	[SL_METRIC_RESOLVER_BUSY] = { "sluice_resolver_busy_total", COUNTER, { NULL },
		"Names not resolved because too many queries were under way." },
	[SL_METRIC_RESOLVER_CACHED] = { "sluice_resolver_cached_names", GAUGE, { NULL },
		"Names in the resolver's cache." },
	[SL_METRIC_RESOLVER_UNDER_WAY] = { "sluice_resolver_under_way", GAUGE, { NULL },
		"Queries to the private DNS that wait for their answer." },

	[SL_METRIC_FORWARD_QUERIES] = { "sluice_forwarder_queries_total", COUNTER, { "tenant" },
		"Queries of clients for names that are no resource of theirs." },
	[SL_METRIC_FORWARD_HITS] = { "sluice_forwarder_cache_hits_total", COUNTER, { "tenant" },
		"Of these, answered from the cache." },
	[SL_METRIC_FORWARD_SENT] = { "sluice_forwarder_upstream_queries_total", COUNTER, { "tenant" },
		"Queries sent to the upstream DNS." },
	[SL_METRIC_FORWARD_TIMEOUTS] = { "sluice_forwarder_timeouts_total", COUNTER, { "tenant" },
		"Queries the upstream DNS did not answer in time." },
	[SL_METRIC_FORWARD_REFUSED] = { "sluice_forwarder_answers_refused_total", COUNTER, { "tenant" },
		"Answers of the upstream DNS that were not believed." },
	[SL_METRIC_FORWARD_FAILED] = { "sluice_forwarder_failures_total", COUNTER, { "tenant" },
		"Queries answered with SERVFAIL because no upstream DNS answered." },
	[SL_METRIC_FORWARD_FULL] = { "sluice_forwarder_full_total", COUNTER, { "tenant" },
		"Queries not answered because too many were under way." },
	[SL_METRIC_FORWARD_CACHED] = { "sluice_forwarder_cached_answers", GAUGE, { "tenant" },
		"Answers in the forwarder's cache." },
	[SL_METRIC_FORWARD_UNDER_WAY] = { "sluice_forwarder_under_way", GAUGE, { "tenant" },
		"Queries to the upstream DNS that wait for their answer." },

	[SL_METRIC_NAMES] = { "sluice_names", GAUGE, { "tenant", "state" },
		"Names by the state of their assigned address." },
	[SL_METRIC_POOL_ADDRESSES] = { "sluice_pool_addresses", GAUGE, { "tenant" },
		"Addresses of the pool that can be assigned to names." },
	[SL_METRIC_NAMES_REFUSED] = { "sluice_names_refused_total", COUNTER, { "tenant", "why" },
		"Names that got no address: the pool or table is full, or a client or resource had its "
		"share." },
	[SL_METRIC_NAMES_RECLAIMED] = { "sluice_names_reclaimed_total", COUNTER, { "tenant" },
		"Names whose address was taken back because nobody used it." },

	[SL_METRIC_STORE_FAILING] = { "sluice_store_failing", GAUGE, { NULL },
		"1 while the last commit to the state directory failed." },
	[SL_METRIC_STORE_COMMITS] = { "sluice_store_commits_total", COUNTER, { NULL },
		"Commits to the state directory." },
	[SL_METRIC_STORE_FAILED] = { "sluice_store_failed_commits_total", COUNTER, { NULL },
		"Commits that failed." },
	[SL_METRIC_STORE_LAST] = { "sluice_store_last_commit_seconds", SECONDS, { NULL },
		"How long the last commit took." },
	[SL_METRIC_STORE_MAX] = { "sluice_store_longest_commit_seconds", SECONDS, { NULL },
		"How long the longest commit since the start took." },
	[SL_METRIC_STORE_STUCK] = { "sluice_store_stuck_seconds", SECONDS, { NULL },
		"How long the commit under way has lasted; 0 when none is." },
	[SL_METRIC_STORE_WAITING] = { "sluice_store_waiting_requests", GAUGE, { NULL },
		"Requests that wait for the disk." },
	[SL_METRIC_STORE_REFUSED] = { "sluice_store_refused_requests_total", COUNTER, { NULL },
		"Requests refused because too many waited." },
	[SL_METRIC_STORE_LEASES] = { "sluice_store_leases", GAUGE, { NULL },
		"Assigned addresses on disk." },

	[SL_METRIC_LOG_LOST] = { "sluice_log_lines_lost_total", COUNTER, { NULL },
		"Log lines lost because whoever reads them is too slow." },
	[SL_METRIC_CALLS_REFUSED] = { "sluice_system_calls_refused_total", COUNTER, { NULL },
		"System calls that Sluice does not make and that were refused; the log names the latest." },
};
// clang-format on

// A label's value as the format wants it.
static void
put_escaped(FILE *to, const char *value)
{
	for (const char *c = value; *c != '\0'; c++) {
		if (*c == '\n') {
			fputs("\\n", to);
			continue;
		}
		if (*c == '\\' || *c == '"')
			fputc('\\', to);
		fputc(*c, to);
	}
}

// `le` is the end of a histogram's bucket; NULL: none.
static void
put_labels(FILE *to, const struct sl_metric_row *row, const char *const *values, const char *le)
{
	const char *before = "{";

	for (unsigned i = 0; i < SL_METRIC_LABELS_MAX && row->labels[i] != NULL; i++) {
		fprintf(to, "%s%s=\"", before, row->labels[i]);
		put_escaped(to, values[i] == NULL ? "" : values[i]);
		fputc('"', to);
		before = ",";
	}
	if (le != NULL) {
		fprintf(to, "%sle=\"%s\"", before, le);
		before = ",";
	}
	if (*before == ',')
		fputc('}', to);
}

static const char *
type_name(const struct sl_metric_row *row)
{
	static const char *const names[] = { "counter", "gauge", "histogram" };

	return names[row->type];
}

// Where samples of the metric go, begun by its description; NULL: no memory.
static FILE *
family(struct sl_metric_text *text, enum sl_metric metric)
{
	const struct sl_metric_row *row = &sl_metrics[metric];
	FILE *to = text->families[metric].to;

	if (to != NULL)
		return to;
	to = open_memstream(&text->families[metric].text, &text->families[metric].nb_bytes);
	if (to == NULL)
		return NULL;
	text->families[metric].to = to;
	fprintf(to, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->help, row->name, type_name(row)
	);
	return to;
}

static void
put_seconds(FILE *to, uint64_t ns)
{
	fprintf(to, "%" PRIu64 ".%09" PRIu64, ns / NS_PER_S, ns % NS_PER_S);
}

void
sl_metric_put(
	struct sl_metric_text *text,
	enum sl_metric metric,
	uint64_t value,
	const char *label0,
	const char *label1
)
{
	const struct sl_metric_row *row = &sl_metrics[metric];
	const char *values[SL_METRIC_LABELS_MAX] = { label0, label1 };
	FILE *to = family(text, metric);

	if (to == NULL)
		return;
	fputs(row->name, to);
	put_labels(to, row, values, NULL);
	fputc(' ', to);
	if (row->is_ns)
		put_seconds(to, value);
	else
		fprintf(to, "%" PRIu64, value);
	fputc('\n', to);
}

void
sl_metric_put_histogram(
	struct sl_metric_text *text,
	enum sl_metric metric,
	const struct sl_histogram *histogram,
	const char *label0,
	const char *label1
)
{
	const struct sl_metric_row *row = &sl_metrics[metric];
	const char *values[SL_METRIC_LABELS_MAX] = { label0, label1 };
	FILE *to = family(text, metric);
	uint64_t nb = 0;
	char le[32];

	if (to == NULL)
		return;
	for (unsigned i = 0; i < SL_HISTOGRAM_BUCKETS; i++) {
		uint64_t end_ns = 1ull << (SL_HISTOGRAM_FIRST_BIT + i);

		snprintf(le, sizeof(le), "%.12g", (double)end_ns / NS_PER_S);
		nb += histogram->buckets[i];
		fprintf(to, "%s_bucket", row->name);
		put_labels(to, row, values, i == SL_HISTOGRAM_BUCKETS - 1 ? "+Inf" : le);
		fprintf(to, " %" PRIu64 "\n", nb);
	}
	fprintf(to, "%s_sum", row->name);
	put_labels(to, row, values, NULL);
	fputc(' ', to);
	put_seconds(to, histogram->sum_ns);
	fprintf(to, "\n%s_count", row->name);
	put_labels(to, row, values, NULL);
	fprintf(to, " %" PRIu64 "\n", nb);
}

char *
sl_metric_finish(struct sl_metric_text *text, size_t *nb_bytes)
{
	char *all = NULL;
	FILE *to = open_memstream(&all, nb_bytes);

	for (unsigned i = 0; i < SL_METRIC_COUNT; i++) {
		if (text->families[i].to == NULL)
			continue;
		fclose(text->families[i].to);
		if (to != NULL && text->families[i].text != NULL)
			fputs(text->families[i].text, to);
		free(text->families[i].text);
	}
	memset(text, 0, sizeof(*text));
	if (to != NULL)
		fclose(to);
	return all;
}

void
sl_metric_document(FILE *to)
{
	fputs("# Metrics\n\n"
	      "Made by `sluice-metrics` from the table in ctrl/metrics.c; do not edit. A running "
	      "daemon\n"
	      "answers `http://127.0.0.1:9464/metrics` (`system.metrics`) with these, in "
	      "Prometheus' "
	      "text\n"
	      "format. Times are in seconds. Labels hold names of the configuration and of the "
	      "program's\n"
	      "own lists. Of clients and resources the 1000 with most flows have series, of names "
	      "100, so\nthe number of series is bounded whatever the traffic; what is left out is "
	      "in "
	      "the sums of\nits tenant. Every thread counts for itself by plain additions, and the "
	      "sums "
	      "are made when\nsomebody asks.\n\n"
	      "| metric | type | labels | meaning |\n"
	      "| --- | --- | --- | --- |\n",
	      to);
	for (unsigned i = 0; i < SL_METRIC_COUNT; i++) {
		const struct sl_metric_row *row = &sl_metrics[i];

		fprintf(to, "| `%s` | %s |", row->name, type_name(row));
		for (unsigned l = 0; l < SL_METRIC_LABELS_MAX && row->labels[l] != NULL; l++)
			fprintf(to, "%s `%s`", l == 0 ? "" : ",", row->labels[l]);
		fprintf(to, " | %s |\n", row->help);
	}
}
