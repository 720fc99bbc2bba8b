// show drops, graph, stats, top: what was counted. Counters of other threads are read as they stand,
// each exact at some moment.
#include "show.h"

#include <sluice/ctrl/flowlog.h>
#include <sluice/dp/flow_table.h>
#include <sluice/dp/nat.h>
#include <stdlib.h>
#include <string.h>

#define NODES_MAX 512u

static const char *const severities[] = { "expected", "peer fault", "our fault" };

// All nodes and drops of the instance; to be freed.
static struct sl_node_stats *
node_stats(struct daemon *d, unsigned *nb)
{
	struct sl_node_stats *stats = calloc(NODES_MAX, sizeof(*stats));

	*nb = stats == NULL ? 0 : sl_dp_node_stats(d->dp, stats, NODES_MAX);
	return stats;
}

static int
by_objs(const void *a, const void *b)
{
	const struct sl_node_stats *left = a, *right = b;

	if (left->objs != right->objs)
		return left->objs > right->objs ? -1 : 1;
	return strcmp(left->name, right->name);
}

void
show_drops(void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words)
{
	static const struct sl_column columns[] = { SHOW_LEFT("name"),
						    SHOW_LEFT("severity"),
						    SHOW_RIGHT("packets", "pkts"),
						    SHOW_LEFT("meaning") };
	json_t *table = sl_json_table("drops", columns, RTE_DIM(columns));
	unsigned nb;
	struct sl_node_stats *stats = node_stats(arg, &nb);

	(void)nb_words;
	(void)words;
	if (stats != NULL)
		qsort(stats, nb, sizeof(*stats), by_objs);
	for (unsigned i = 0; i < nb; i++)
		if (stats[i].drop != NULL && stats[i].objs != 0)
			sl_json_row(
				table,
				"ssIs",
				stats[i].drop->name,
				severities[stats[i].drop->severity],
				(json_int_t)stats[i].objs,
				stats[i].drop->sentence
			);
	free(stats);
	sl_api_reply(request, table);
}

// ---- Graph ---------------------------------------------------------------------------------------------

// The graph in the language of Graphviz, as far as packets have gone.
static json_t *
graph_dot(struct daemon *d)
{
	const struct rte_graph *g = sl_dp_worker(d->dp, 0)->graph;
	char *text = NULL;
	size_t nb_bytes;
	FILE *f = open_memstream(&text, &nb_bytes);
	json_t *document;

	if (f == NULL)
		return NULL;
	if (rte_graph_export(g->name, f) != 0)
		fprintf(f, "no picture of %s\n", g->name);
	fclose(f);
	for (char *tab = strchr(text, '\t'); tab != NULL; tab = strchr(tab, '\t'))
		*tab = ' '; // a terminal is sent no control characters
	document = sl_json_text("%s", text);
	free(text);
	return document;
}

void
show_graph(void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words)
{
	static const struct sl_column columns[] = {
		SHOW_LEFT("node"),
		SHOW_RIGHT("packets", "pkts"),
		SHOW_RIGHT("calls", "pkts"),
		SHOW_RIGHT("packets_a_call", ""),
	};
	json_t *table;
	unsigned nb, nb_idle = 0;
	struct sl_node_stats *stats;

	if (nb_words != 0 && strcmp(words[0], "dot") == 0) {
		sl_api_reply(request, graph_dot(arg));
		return;
	}
	table = sl_json_table("graph", columns, RTE_DIM(columns));
	stats = node_stats(arg, &nb);
	for (unsigned i = 0; i < nb; i++) {
		if (stats[i].drop != NULL)
			continue;
		if (stats[i].objs == 0) {
			nb_idle++;
			continue;
		}
		sl_json_row(
			table,
			"sIIf",
			stats[i].name,
			(json_int_t)stats[i].objs,
			(json_int_t)stats[i].calls,
			stats[i].calls == 0 ? 0.0 : (double)stats[i].objs / (double)stats[i].calls
		);
	}
	if (nb_idle != 0)
		sl_json_note(table, "%u more nodes have seen no packet.", nb_idle);
	sl_json_note(
		table,
		"show drops has the packets that ended in a drop; show graph dot the picture."
	);
	free(stats);
	sl_api_reply(request, table);
}

// ---- Stats ---------------------------------------------------------------------------------------------

static void
put(json_t *table, const char *part, const char *counter, uint64_t value)
{
	sl_json_row(table, "ssI", part, counter, (json_int_t)value);
}

static void
worker_counters(struct daemon *d, json_t *table)
{
	struct sl_worker_stats s;
	uint64_t nb_flows = 0;

	sl_dp_worker_stats(d->dp, &s);
	for (unsigned k = 0; k < sl_dp_nb_workers(d->dp); k++)
		nb_flows += sl_dp_worker(d->dp, k)->flows->nb_used;
	put(table, "workers", "flows", nb_flows);
	put(table, "workers", "walks", s.walks);
	put(table, "workers", "walks without a packet", s.walks_empty);
	put(table, "workers", "sleeps", s.sleeps);
	put(table, "workers", "packets handed to another worker", s.handed_over);
	put(table, "workers", "packets handed to the session thread", s.punted);
	put(table, "workers", "packets taken from the session thread", s.from_session);
	put(table, "workers", "packets made", s.created);
	put(table, "workers", "packets that ended inside another", s.consumed);
	put(table, "workers", "packets whose fragments did not all come", s.unfinished);
	put(table, "workers", "packets in fragments that made room for newer", s.displaced);
	put(table, "packets", "in use", rte_mempool_in_use_count(sl_dp_pool(d->dp)));
	put(table, "packets", "free", rte_mempool_avail_count(sl_dp_pool(d->dp)));
}

static void
stream_counters(struct daemon *d, json_t *table)
{
	static const char part[] = "dns over tcp";
	struct sl_streams_stats s;

	if (d->streams == NULL)
		return;
	s = *sl_streams_stats(d->streams);
	put(table, part, "connections of clients", s.nb_connections);
	put(table, part, "connections accepted", s.nb_accepted);
	put(table, part, "connections refused by a limit", s.nb_refused);
	put(table, part, "connections closed as slow or stuck", s.nb_timed_out);
	put(table, part, "TLS handshakes of clients that failed", s.nb_handshakes_failed);
	put(table, part, "questions", s.nb_questions);
	put(table, part, "answers", s.nb_answers);
	put(table, part, "questions that nobody answered", s.nb_unanswered);
	put(table, part, "segments that fit no connection or found no room", s.nb_dropped);
	put(table, part, "segments of clients without a place", s.nb_clients_full);
	put(table, part, "queries to servers", s.nb_asked);
	put(table, part, "queries to servers that failed", s.nb_asks_failed);
	put(table, part, "connections to servers", s.nb_links);
	put(table, part, "connections to servers that failed", s.nb_links_failed);
}

static void
service_counters(struct daemon *d, json_t *table)
{
	struct sl_service_stats s = *sl_service_stats(d->service);

	put(table, "session thread", "packets taken", s.nb_punts);
	put(table, "session thread", "packets that wait", s.nb_held);
	put(table, "session thread", "packets not kept: too many waited", s.nb_held_full);
	put(table, "session thread", "handshake datagrams", s.nb_handshakes);
	put(table, "session thread", "handshake datagrams refused", s.nb_handshakes_bad);
	put(table, "session thread", "handshake datagrams answered with a cookie", s.nb_cookies);
	put(table,
	    "session thread",
	    "handshake datagrams not looked at: too many waited",
	    s.nb_handshakes_full);
	put(table, "session thread", "DNS queries sent", s.nb_queries);
	put(table, "session thread", "DNS queries not sent: too many under way", s.nb_queries_full);
	put(table, "session thread", "DNS answers too late", s.nb_answers_late);
	put(table, "session thread", "DNS answers withheld: an address inside", s.nb_answers_leaking
	);
	put(table, "session thread", "DNS queries whose server is unreachable", s.nb_queries_refused
	);
}

static uint64_t
rejected(const uint64_t received[SL_RECEIVE_COUNT])
{
	uint64_t sum = 0;

	for (unsigned i = SL_RECEIVE_ACCEPTED + 1; i < SL_RECEIVE_COUNT; i++)
		sum += received[i];
	return sum;
}

static void
resolver_counters(struct daemon *d, json_t *table)
{
	const struct sl_resolver *resolver = sl_service_resolver(d->service);
	struct sl_resolver_stats s;

	if (resolver == NULL)
		return;
	sl_resolver_stats(resolver, &s);
	put(table, "resolver", "asked", s.nb_asked);
	put(table, "resolver", "answered from the cache", s.nb_hits);
	put(table, "resolver", "joined a query under way", s.nb_shared);
	put(table, "resolver", "queries sent", s.nb_sent);
	put(table, "resolver", "queries sent before expiry", s.nb_prefetched);
	put(table, "resolver", "queries over TCP", s.nb_tcp);
	put(table, "resolver", "timeouts", s.nb_timeouts);
	put(table, "resolver", "not asked: too many under way", s.nb_busy);
	put(table, "resolver", "answers accepted", s.nb_received[SL_RECEIVE_ACCEPTED]);
	put(table, "resolver", "answers not believed", rejected(s.nb_received));
	put(table, "resolver", "records not believed", s.nb_bailiwick);
	put(table, "resolver", "cached", s.nb_cached);
	put(table, "resolver", "under way", s.nb_in_flight);
}

static void
forward_counters(struct daemon *d, unsigned tenant, json_t *table)
{
	const struct sl_forward *forward = sl_service_forward(d->service, tenant);
	struct sl_forward_stats s;
	char part[96];

	if (forward == NULL)
		return;
	snprintf(part, sizeof(part), "forwarder %s", show_tenant(d, tenant));
	sl_forward_stats(forward, &s);
	put(table, part, "queries of clients", s.nb_queries);
	put(table, part, "answered from the cache", s.nb_hits + s.nb_negative_hits);
	put(table, part, "answered with stale data", s.nb_stale);
	put(table, part, "joined a query under way", s.nb_shared);
	put(table, part, "repeated by the client", s.nb_repeated);
	put(table, part, "queries sent", s.nb_sent);
	put(table, part, "queries over TCP", s.nb_tcp);
	put(table, part, "timeouts", s.nb_timeouts);
	put(table, part, "answers not believed", rejected(s.nb_received));
	put(table, part, "answers cut to the client's size", s.nb_truncated);
	put(table, part, "answered with SERVFAIL", s.nb_failed);
	put(table, part, "not answered: no room", s.nb_full);
	put(table, part, "cached", s.nb_cached);
	put(table, part, "under way", s.nb_in_flight);
}

static void
name_counters(struct daemon *d, unsigned tenant, json_t *table)
{
	const struct sl_addresses *addresses = sl_service_addresses(d->service, tenant);
	struct sl_addresses_stats s;
	char part[96];

	if (addresses == NULL)
		return;
	snprintf(part, sizeof(part), "names %s", show_tenant(d, tenant));
	sl_addresses_stats(addresses, &s);
	put(table, part, "with an address", s.nb_state[SL_NAME_LIVE]);
	put(table, part, "that wait for the disk", s.nb_state[SL_NAME_PENDING]);
	put(table, part, "that run out", s.nb_state[SL_NAME_DRAINING]);
	put(table, part, "at rest", s.nb_state[SL_NAME_QUARANTINED]);
	put(table, part, "addresses in the pool", s.nb_addresses);
	put(table, part, "refused: table or pool full", s.nb_exhausted);
	put(table, part, "refused: the client's share", s.nb_client_quota);
	put(table, part, "refused: the resource's share", s.nb_resource_quota);
	put(table, part, "addresses reclaimed", s.nb_reclaimed);
}

static void
nat_counters(struct daemon *d, json_t *table)
{
	uint64_t nb_exhausted = 0, nb_cut_short = 0, nb_evicted = 0, nb_resting = 0, nb_full = 0;

	for (unsigned k = 0; k < sl_dp_nb_workers(d->dp); k++) {
		const struct sl_worker *w = sl_dp_worker(d->dp, k);

		nb_exhausted += w->nat->nb_exhausted;
		nb_cut_short += w->nat->nb_cut_short;
		nb_evicted += w->nat->nb_evicted;
		nb_resting += sl_nat_nb_resting(w->nat);
		nb_full += w->flows->nb_full;
	}
	put(table, "flows", "refused: the table is full", nb_full);
	put(table, "ports", "refused: none left toward the host", nb_exhausted);
	put(table, "ports", "at rest", nb_resting);
	put(table, "ports", "rests cut short", nb_cut_short);
	put(table, "ports", "idle flows that made room", nb_evicted);
}

static void
store_counters(struct daemon *d, json_t *table)
{
	struct sl_store_health s;

	sl_store_health(d->store, &s);
	put(table, "disk", "commits", s.nb_commits);
	put(table, "disk", "commits failed", s.nb_failed_commits);
	put(table, "disk", "last commit, us", s.commit_ns_last / 1000);
	put(table, "disk", "longest commit, us", s.commit_ns_max / 1000);
	put(table, "disk", "requests", s.nb_requests);
	put(table, "disk", "requests refused", s.nb_refused);
	put(table, "disk", "requests that wait", s.nb_waiting);
	put(table, "disk", "addresses held", s.nb_leases);
	if (s.failing)
		sl_json_note(table, "The state directory fails: %s", s.reason);
	if (s.stuck_ns != 0)
		sl_json_note(
			table,
			"A commit has lasted %llu ms.",
			(unsigned long long)(s.stuck_ns / SL_NS_PER_MS)
		);
}

void
show_stats(void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words)
{
	static const struct sl_column columns[] = { SHOW_LEFT("part"),
						    SHOW_LEFT("counter"),
						    SHOW_RIGHT("value", "") };
	struct daemon *d = arg;
	json_t *table = sl_json_table("stats", columns, RTE_DIM(columns));

	(void)nb_words;
	(void)words;
	worker_counters(d, table);
	service_counters(d, table);
	stream_counters(d, table);
	resolver_counters(d, table);
	for (unsigned t = 0; t < d->snapshot->dp.nb_tenants; t++) {
		forward_counters(d, t, table);
		name_counters(d, t, table);
	}
	nat_counters(d, table);
	store_counters(d, table);
	put(table, "flow log", "lines written", sl_flowlog_nb_written());
	put(table, "flow log", "lines lost", flow_log_nb_lost(d));
	sl_api_reply(request, table);
}
