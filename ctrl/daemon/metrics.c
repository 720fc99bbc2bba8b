// metrics: every counter as a sample. Counters of other threads are read as they stand, each exact
// at some moment.
#include "metrics.h"

#include <rte_ethdev.h>

#include <sluice/ctrl/log.h>
#include <sluice/ctrl/seccomp.h>
#include <sluice/dp/flow_table.h>
#include <sluice/dp/version.h>
#include <stdlib.h>

#define NODES_MAX 512u
#define PEERS_MAX 1024u // more are left out: a series each

static const char *const severities[] = { "expected", "peer_fault", "our_fault" };

struct pair {
	enum sl_metric metric;
	uint64_t value;
};

static void
put_all(struct sl_metric_text *text, const char *label, const struct pair *pairs, unsigned nb)
{
	for (unsigned i = 0; i < nb; i++)
		sl_metric_put(text, pairs[i].metric, pairs[i].value, label, NULL);
}

#define PUT_ALL(text, label, ...)                                                                  \
	put_all((text),                                                                            \
		(label),                                                                           \
		(const struct pair[]){ __VA_ARGS__ },                                              \
		RTE_DIM(((const struct pair[]){ __VA_ARGS__ })))

static void
collect_daemon(struct daemon *d, uint64_t start_ns, struct sl_metric_text *text)
{
	bool is_pop = d->config->node.role == SL_ROLE_POP;
	json_t *health = sl_health_json(daemon_health(d)), *condition;
	char latest[64];
	size_t i;

	sl_metric_put(text, SL_METRIC_BUILD, 1, sl_version(), is_pop ? "pop" : "connector");
	PUT_ALL(text,
		NULL,
		{ SL_METRIC_START, start_ns },
		{ SL_METRIC_GENERATION, d->snapshot->dp.generation },
		{ SL_METRIC_READY, json_is_true(json_object_get(health, "healthy")) },
		{ SL_METRIC_LOG_LOST, sl_log_nb_lost() },
		{ SL_METRIC_CALLS_REFUSED, sl_seccomp_nb_refused(latest, sizeof(latest)) });
	json_array_foreach(json_object_get(health, "conditions"), i, condition) sl_metric_put(
		text,
		SL_METRIC_CONDITION,
		json_is_true(json_object_get(condition, "met")),
		json_string_value(json_object_get(condition, "name")),
		NULL
	);
	json_decref(health);
}

static void
collect_ports(struct daemon *d, struct sl_metric_text *text)
{
	const struct sl_net *net = sl_dp_net(d->dp);
	struct sl_worker_stats sum;

	sl_dp_worker_stats(d->dp, &sum);
	for (unsigned i = 0; i < net->nb_ports; i++) {
		const struct sl_port *p = &net->ports[i];
		struct rte_eth_stats stats = { 0 };

		PUT_ALL(text,
			p->name,
			{ SL_METRIC_PORT_UP, atomic_load(&p->link_up) },
			{ SL_METRIC_PORT_RX_PKTS, sum.rx_pkts[i] },
			{ SL_METRIC_PORT_RX_BYTES, sum.rx_bytes[i] },
			{ SL_METRIC_PORT_TX_PKTS, sum.tx_pkts[i] },
			{ SL_METRIC_PORT_TX_BYTES, sum.tx_bytes[i] });
		if (rte_eth_stats_get(p->ethdev, &stats) == 0)
			sl_metric_put(
				text,
				SL_METRIC_PORT_MISSED,
				stats.imissed + stats.rx_nombuf,
				p->name,
				NULL
			);
	}
}

static void
collect_workers(struct daemon *d, struct sl_metric_text *text)
{
	for (unsigned k = 0; k < sl_dp_nb_workers(d->dp); k++) {
		const struct sl_worker *w = sl_dp_worker(d->dp, k);
		struct sl_worker_stats s = w->stats;
		char label[16];

		snprintf(label, sizeof(label), "%u", k);
		PUT_ALL(text,
			label,
			{ SL_METRIC_WALKS, s.walks },
			{ SL_METRIC_WALKS_EMPTY, s.walks_empty },
			{ SL_METRIC_SLEEPS, s.sleeps },
			{ SL_METRIC_HANDED_OVER, s.handed_over },
			{ SL_METRIC_PUNTED, s.punted },
			{ SL_METRIC_FROM_SESSION, s.from_session },
			{ SL_METRIC_CREATED, s.created },
			{ SL_METRIC_CONSUMED, s.consumed },
			{ SL_METRIC_UNFINISHED, s.unfinished },
			{ SL_METRIC_DISPLACED, s.displaced },
			{ SL_METRIC_FLOWS, w->flows->nb_used },
			{ SL_METRIC_FLOWS_MAX, w->flows->nb_flows });
	}
	sl_metric_put(
		text, SL_METRIC_BUFFERS, rte_mempool_in_use_count(sl_dp_pool(d->dp)), "used", NULL
	);
	sl_metric_put(
		text, SL_METRIC_BUFFERS, rte_mempool_avail_count(sl_dp_pool(d->dp)), "free", NULL
	);
}

static void
collect_nodes(struct daemon *d, struct sl_metric_text *text)
{
	struct sl_node_stats *stats = calloc(NODES_MAX, sizeof(*stats));
	unsigned nb = stats == NULL ? 0 : sl_dp_node_stats(d->dp, stats, NODES_MAX);

	for (unsigned i = 0; i < nb; i++) {
		const struct sl_node_stats *s = &stats[i];

		if (s->drop != NULL)
			sl_metric_put(
				text,
				SL_METRIC_DROPPED,
				s->objs,
				s->drop->name,
				severities[s->drop->severity]
			);
		else
			PUT_ALL(text,
				s->name,
				{ SL_METRIC_NODE_PKTS, s->objs },
				{ SL_METRIC_NODE_CALLS, s->calls },
				{ SL_METRIC_NODE_CYCLES, s->cycles });
	}
	free(stats);
}

// Names of tenants belong to the configuration, and connectors are a tenant's; a connector has none.
static const char *
tenant_name(const struct daemon *d, unsigned tenant)
{
	return tenant < d->config->nb_tenants ? d->config->tenants[tenant].name : "";
}

static void
collect_preference(struct daemon *d, const struct sl_session *s, struct sl_metric_text *text)
{
	const char *tenant = tenant_name(d, s->tenant);
	const struct sl_preference *p = &s->preference;

	sl_metric_put(text, SL_METRIC_PEER_LOAD, atomic_load(&p->load), tenant, s->name);
	sl_metric_put(text, SL_METRIC_PEER_RTT, atomic_load(&p->rtt_ns), tenant, s->name);
	if (d->config->node.role != SL_ROLE_POP)
		return;
	sl_metric_put(text, SL_METRIC_PEER_PREFERENCE, sl_preference_share(p), tenant, s->name);
	sl_metric_put(text, SL_METRIC_PEER_CHANGES, atomic_load(&p->nb_changes), tenant, s->name);
}

static void
collect_peer(struct daemon *d, const struct sl_session *s, struct sl_metric_text *text)
{
	const char *tenant = tenant_name(d, s->tenant);
	unsigned nb_lanes = RTE_MIN(s->nb_lanes, SL_WIRE_MAX_LANES);
	uint64_t now_ns = sl_clock_ns(&d->clock), heard_ns = s->lanes[0].heard_ns;
	uint64_t sealed = 0, opened = 0;

	for (unsigned l = 0; l < nb_lanes; l++) {
		sealed += s->lanes[l].sealed_pkts;
		opened += s->lanes[l].opened_pkts;
	}
	sl_metric_put(text, SL_METRIC_PEER_UP, atomic_load(&s->current) != NULL, tenant, s->name);
	sl_metric_put(text, SL_METRIC_PEER_DRAINING, atomic_load(&s->draining), tenant, s->name);
	sl_metric_put(text, SL_METRIC_PEER_SEALED, sealed, tenant, s->name);
	sl_metric_put(text, SL_METRIC_PEER_OPENED, opened, tenant, s->name);
	collect_preference(d, s, text);
	if (heard_ns != 0)
		sl_metric_put(
			text,
			SL_METRIC_PEER_SILENT,
			now_ns > heard_ns ? now_ns - heard_ns : 0,
			tenant,
			s->name
		);
}

static void
collect_sessions(struct daemon *d, struct sl_metric_text *text)
{
	uint64_t nb_clients = 0;
	unsigned nb_peers = 0;

	for (uint32_t i = 0; i < d->sessions.nb_sessions; i++) {
		const struct sl_session *s = &d->sessions.sessions[i];

		if (atomic_load(&s->kind) == SL_SESSION_CLIENT)
			nb_clients += atomic_load(&s->current) != NULL;
		else if (s->name[0] != '\0' && nb_peers++ < PEERS_MAX)
			collect_peer(d, s, text);
	}
	sl_metric_put(text, SL_METRIC_CLIENT_SESSIONS, nb_clients, NULL, NULL);
}

static void
collect_service(struct daemon *d, struct sl_metric_text *text)
{
	struct sl_service_stats s = *sl_service_stats(d->service);

	PUT_ALL(text,
		NULL,
		{ SL_METRIC_SESSION_PUNTS, s.nb_punts },
		{ SL_METRIC_HELD, s.nb_held },
		{ SL_METRIC_HELD_FULL, s.nb_held_full },
		{ SL_METRIC_HANDSHAKES, s.nb_handshakes },
		{ SL_METRIC_HANDSHAKES_BAD, s.nb_handshakes_bad },
		{ SL_METRIC_HANDSHAKE_COOKIES, s.nb_cookies },
		{ SL_METRIC_HANDSHAKES_FULL, s.nb_handshakes_full },
		{ SL_METRIC_QUERIES, s.nb_queries },
		{ SL_METRIC_QUERIES_FULL, s.nb_queries_full },
		{ SL_METRIC_ANSWERS_LATE, s.nb_answers_late },
		{ SL_METRIC_ANSWERS_LEAKING, s.nb_answers_leaking },
		{ SL_METRIC_QUERIES_REFUSED, s.nb_queries_refused });
}

static void
collect_streams(struct daemon *d, struct sl_metric_text *text)
{
	struct sl_streams_stats s;

	if (d->streams == NULL)
		return;
	s = *sl_streams_stats(d->streams);
	PUT_ALL(text,
		NULL,
		{ SL_METRIC_STREAM_CONNECTIONS, s.nb_connections },
		{ SL_METRIC_STREAM_ACCEPTED, s.nb_accepted },
		{ SL_METRIC_STREAM_REFUSED, s.nb_refused },
		{ SL_METRIC_STREAM_TIMED_OUT, s.nb_timed_out },
		{ SL_METRIC_STREAM_TLS_FAILED, s.nb_handshakes_failed },
		{ SL_METRIC_STREAM_QUESTIONS, s.nb_questions },
		{ SL_METRIC_STREAM_ANSWERS, s.nb_answers },
		{ SL_METRIC_STREAM_UNANSWERED, s.nb_unanswered },
		{ SL_METRIC_STREAM_DROPPED, s.nb_dropped },
		{ SL_METRIC_STREAM_NO_PLACE, s.nb_clients_full },
		{ SL_METRIC_STREAM_ASKED, s.nb_asked },
		{ SL_METRIC_STREAM_ASKS_FAILED, s.nb_asks_failed },
		{ SL_METRIC_STREAM_LINKS, s.nb_links },
		{ SL_METRIC_STREAM_LINKS_FAILED, s.nb_links_failed });
}

static uint64_t
refused(const uint64_t received[SL_RECEIVE_COUNT])
{
	uint64_t sum = 0;

	for (unsigned i = SL_RECEIVE_ACCEPTED + 1; i < SL_RECEIVE_COUNT; i++)
		sum += received[i];
	return sum;
}

static void
collect_resolver(struct daemon *d, struct sl_metric_text *text)
{
	const struct sl_resolver *resolver = sl_service_resolver(d->service);
	struct sl_resolver_stats s;

	if (resolver == NULL)
		return;
	sl_resolver_stats(resolver, &s);
	PUT_ALL(text,
		NULL,
		{ SL_METRIC_RESOLVER_ASKED, s.nb_asked },
		{ SL_METRIC_RESOLVER_HITS, s.nb_hits },
		{ SL_METRIC_RESOLVER_SENT, s.nb_sent },
		{ SL_METRIC_RESOLVER_TIMEOUTS, s.nb_timeouts },
		{ SL_METRIC_RESOLVER_REFUSED, refused(s.nb_received) },
		{ SL_METRIC_RESOLVER_BUSY, s.nb_busy },
		{ SL_METRIC_RESOLVER_CACHED, s.nb_cached },
		{ SL_METRIC_RESOLVER_UNDER_WAY, s.nb_in_flight });
}

static void
collect_forward(struct daemon *d, unsigned tenant, struct sl_metric_text *text)
{
	const struct sl_forward *forward = sl_service_forward(d->service, tenant);
	struct sl_forward_stats s;

	if (forward == NULL)
		return;
	sl_forward_stats(forward, &s);
	PUT_ALL(text,
		tenant_name(d, tenant),
		{ SL_METRIC_FORWARD_QUERIES, s.nb_queries },
		{ SL_METRIC_FORWARD_HITS, s.nb_hits + s.nb_negative_hits },
		{ SL_METRIC_FORWARD_SENT, s.nb_sent },
		{ SL_METRIC_FORWARD_TIMEOUTS, s.nb_timeouts },
		{ SL_METRIC_FORWARD_REFUSED, refused(s.nb_received) },
		{ SL_METRIC_FORWARD_FAILED, s.nb_failed },
		{ SL_METRIC_FORWARD_FULL, s.nb_full },
		{ SL_METRIC_FORWARD_CACHED, s.nb_cached },
		{ SL_METRIC_FORWARD_UNDER_WAY, s.nb_in_flight });
}

static void
collect_names(struct daemon *d, unsigned tenant, struct sl_metric_text *text)
{
	static const struct {
		enum sl_name_state state;
		const char *label;
	} states[] = {
		{ SL_NAME_PENDING, "pending" },
		{ SL_NAME_LIVE, "live" },
		{ SL_NAME_DRAINING, "draining" },
		{ SL_NAME_QUARANTINED, "quarantined" },
	};
	const struct sl_addresses *addresses = sl_service_addresses(d->service, tenant);
	const char *name = tenant_name(d, tenant);
	struct sl_addresses_stats s;

	if (addresses == NULL)
		return;
	sl_addresses_stats(addresses, &s);
	for (unsigned i = 0; i < RTE_DIM(states); i++)
		sl_metric_put(
			text, SL_METRIC_NAMES, s.nb_state[states[i].state], name, states[i].label
		);
	sl_metric_put(text, SL_METRIC_POOL_ADDRESSES, s.nb_addresses, name, NULL);
	sl_metric_put(text, SL_METRIC_NAMES_REFUSED, s.nb_exhausted, name, "full");
	sl_metric_put(text, SL_METRIC_NAMES_REFUSED, s.nb_client_quota, name, "client_share");
	sl_metric_put(text, SL_METRIC_NAMES_REFUSED, s.nb_resource_quota, name, "resource_share");
	sl_metric_put(text, SL_METRIC_NAMES_RECLAIMED, s.nb_reclaimed, name, NULL);
}

static void
collect_store(struct daemon *d, struct sl_metric_text *text)
{
	struct sl_store_health s;

	sl_store_health(d->store, &s);
	PUT_ALL(text,
		NULL,
		{ SL_METRIC_STORE_FAILING, s.failing },
		{ SL_METRIC_STORE_COMMITS, s.nb_commits },
		{ SL_METRIC_STORE_FAILED, s.nb_failed_commits },
		{ SL_METRIC_STORE_LAST, s.commit_ns_last },
		{ SL_METRIC_STORE_MAX, s.commit_ns_max },
		{ SL_METRIC_STORE_STUCK, s.stuck_ns },
		{ SL_METRIC_STORE_WAITING, s.nb_waiting },
		{ SL_METRIC_STORE_REFUSED, s.nb_refused },
		{ SL_METRIC_STORE_LEASES, s.nb_leases });
}

void
metrics_collect(struct daemon *d, uint64_t start_ns, struct sl_metric_text *text)
{
	collect_daemon(d, start_ns, text);
	collect_ports(d, text);
	collect_workers(d, text);
	collect_nodes(d, text);
	collect_sessions(d, text);
	metrics_collect_flows(d, text);
	collect_service(d, text);
	collect_streams(d, text);
	collect_resolver(d, text);
	for (unsigned t = 0; t < d->config->nb_tenants; t++) {
		collect_forward(d, t, text);
		collect_names(d, t, text);
	}
	collect_store(d, text);
}
