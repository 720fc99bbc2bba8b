// top: what whoever is called at night looks at first: is it ready and if not why, what is busy, what is
// lost, who is there. Rates are since the last call.
#include "show.h"

#include <rte_mempool.h>

#include <sluice/dp/flow_table.h>
#include <stdlib.h>
#include <string.h>

#define NODES_MAX 512u
#define DROPS_MAX 6u // reasons that are shown
#define PEERS_MAX 8u

// Of the last call, by whomever: a second caller shortens the interval, the rates stay true.
static struct {
	uint64_t then_ns;
	struct sl_worker_stats ports; // all workers
	struct {
		uint64_t walks, walks_empty;
	} workers[SL_MAX_WORKERS];
	uint64_t flows_made;
	struct sl_node_stats nodes[NODES_MAX]; // in the order of the instance, which stays
} last;

static double
rate(uint64_t now, uint64_t then, double s)
{
	return now < then ? 0 : (double)(now - then) / s;
}

// Reasons of drops, with what each took since the last call in place of its packets.
static unsigned
drops_since(const struct daemon *d, struct sl_node_stats drops[NODES_MAX])
{
	static struct sl_node_stats now[NODES_MAX];
	unsigned nb_nodes = sl_dp_node_stats(d->dp, now, NODES_MAX), nb = 0;

	for (unsigned i = 0; i < nb_nodes; i++) {
		uint64_t then = last.nodes[i].name == now[i].name ? last.nodes[i].objs : 0;

		if (now[i].drop != NULL && now[i].objs > then) {
			drops[nb] = now[i];
			drops[nb++].objs -= then;
		}
	}
	memcpy(last.nodes, now, sizeof(now));
	return nb;
}

// What is our fault before what is a peer's, and last what was expected; then by rate.
static int
worse_first(const void *a, const void *b)
{
	const struct sl_node_stats *left = a, *right = b;

	if (left->drop->severity != right->drop->severity)
		return left->drop->severity > right->drop->severity ? -1 : 1;
	return (left->objs < right->objs) - (left->objs > right->objs);
}

static json_t *
drops_table(struct sl_node_stats *drops, unsigned nb, double s)
{
	static const struct sl_column columns[] = { SHOW_RIGHT("rate", "pps"),
						    SHOW_LEFT("drop"),
						    SHOW_LEFT("fault"),
						    SHOW_LEFT("meaning") };
	static const char *const whose[] = { "none", "peer", "OURS" };
	json_t *table = sl_json_table("drops", columns, RTE_DIM(columns));

	qsort(drops, nb, sizeof(*drops), worse_first);
	for (unsigned i = 0; i < nb && i < DROPS_MAX; i++)
		sl_json_row(
			table,
			"fsss",
			(double)drops[i].objs / s,
			drops[i].drop->name,
			whose[drops[i].drop->severity],
			drops[i].drop->sentence
		);
	if (nb > DROPS_MAX)
		sl_json_note(table, "%u reasons more: sluicectl show drops", nb - DROPS_MAX);
	return table;
}

// One line for the whole: the reason last, which is left out when there is none.
static json_t *
health_table(const struct daemon *d, const struct sl_node_stats *drops, unsigned nb, double s)
{
	static const struct sl_column columns[] = {
		SHOW_LEFT("node"),         SHOW_LEFT("ready"),        SHOW_RIGHT("flows", ""),
		SHOW_RIGHT("of", ""),      SHOW_RIGHT("new", "pps"),  SHOW_RIGHT("drops", "pps"),
		SHOW_RIGHT("ours", "pps"), SHOW_RIGHT("buffers", ""), SHOW_LEFT("reason"),
	};
	json_t *table = sl_json_table("health", columns, RTE_DIM(columns));
	uint64_t used = 0, room = 0, made = 0, dropped = 0, ours = 0;
	char reason[256] = "";
	bool is_ready = sl_health_ready(daemon_health(d), reason, sizeof(reason));

	for (unsigned k = 0; k < sl_dp_nb_workers(d->dp); k++) {
		const struct sl_flow_table *flows = sl_dp_worker(d->dp, k)->flows;

		used += flows->nb_used;
		room += flows->nb_flows;
		made += flows->nb_made;
	}
	for (unsigned i = 0; i < nb; i++) {
		dropped += drops[i].drop->severity != SL_EXPECTED ? drops[i].objs : 0;
		ours += drops[i].drop->severity == SL_OUR_FAULT ? drops[i].objs : 0;
	}
	sl_json_row(
		table,
		"ssIIfffIs",
		d->config->node.name,
		is_ready ? "yes" : "NO",
		(json_int_t)used,
		(json_int_t)room,
		rate(made, last.flows_made, s),
		(double)dropped / s,
		(double)ours / s,
		(json_int_t)rte_mempool_avail_count(sl_dp_pool(d->dp)),
		is_ready ? "" : reason
	);
	last.flows_made = made;
	sl_json_note(table, "drops: by somebody's fault; ours: by this machine's.");
	return table;
}

static void
put_peers(struct daemon *d, json_t *table, unsigned *nb, bool is_up)
{
	for (uint32_t i = 0; i < d->sessions.nb_sessions; i++) {
		const struct sl_session *p = &d->sessions.sessions[i];
		uint64_t rtt_ns = atomic_load(&p->preference.rtt_ns);
		const char *state;

		if (p->name[0] == '\0' || atomic_load(&p->kind) == SL_SESSION_CLIENT)
			continue;
		state = show_peer_state(d, p);
		if ((strcmp(state, "up") == 0) != is_up || (*nb)++ >= PEERS_MAX)
			continue;
		sl_json_row(
			table,
			"ssof",
			p->name,
			state,
			rtt_ns == 0 ? json_null() : json_integer((json_int_t)rtt_ns),
			100.0 * atomic_load(&p->preference.load) / SL_LOAD_MAX
		);
	}
}

// Those that are not well first.
static json_t *
peers_table(struct daemon *d)
{
	static const struct sl_column columns[] = { SHOW_LEFT("peer"),
						    SHOW_LEFT("state"),
						    SHOW_RIGHT("rtt", "ns"),
						    SHOW_RIGHT("load", "percent") };
	json_t *table = sl_json_table("peers", columns, RTE_DIM(columns));
	unsigned nb = 0;

	put_peers(d, table, &nb, false);
	put_peers(d, table, &nb, true);
	if (nb > PEERS_MAX)
		sl_json_note(table, "%u peers more: sluicectl show peers", nb - PEERS_MAX);
	return table;
}

static json_t *
ports_table(const struct daemon *d, double s)
{
	static const struct sl_column columns[] = {
		SHOW_LEFT("port"),       SHOW_RIGHT("rx", "pps"),      SHOW_RIGHT("rx_rate", "bps"),
		SHOW_RIGHT("tx", "pps"), SHOW_RIGHT("tx_rate", "bps"),
	};
	const struct sl_net *net = sl_dp_net(d->dp);
	json_t *table = sl_json_table("ports", columns, RTE_DIM(columns));
	struct sl_worker_stats now;

	sl_dp_worker_stats(d->dp, &now);
	for (unsigned i = 0; i < net->nb_ports; i++)
		sl_json_row(
			table,
			"sffff",
			net->ports[i].name,
			rate(now.rx_pkts[i], last.ports.rx_pkts[i], s),
			8 * rate(now.rx_bytes[i], last.ports.rx_bytes[i], s),
			rate(now.tx_pkts[i], last.ports.tx_pkts[i], s),
			8 * rate(now.tx_bytes[i], last.ports.tx_bytes[i], s)
		);
	last.ports = now;
	return table;
}

static json_t *
workers_table(const struct daemon *d, double s)
{
	static const struct sl_column columns[] = {
		SHOW_RIGHT("worker", ""),   SHOW_RIGHT("core", ""),        SHOW_RIGHT("flows", ""),
		SHOW_RIGHT("walks", "pps"), SHOW_RIGHT("busy", "percent"),
	};
	json_t *table = sl_json_table("workers", columns, RTE_DIM(columns));

	for (unsigned k = 0; k < sl_dp_nb_workers(d->dp); k++) {
		const struct sl_worker *w = sl_dp_worker(d->dp, k);
		uint64_t walks = w->stats.walks, empty = w->stats.walks_empty;
		double all = rate(walks, last.workers[k].walks, s);
		double idle = rate(empty, last.workers[k].walks_empty, s);

		sl_json_row(
			table,
			"iiiff",
			k,
			sl_dp_core(d->dp, k),
			w->flows->nb_used,
			all,
			all <= 0 || idle > all ? 0.0 : 100 * (all - idle) / all
		);
		last.workers[k].walks = walks;
		last.workers[k].walks_empty = empty;
	}
	sl_json_note(table, "busy: the share of walks that found a packet.");
	return table;
}

void
show_top(void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words)
{
	struct daemon *d = arg;
	uint64_t now_ns = sl_clock_ns(&d->clock);
	double s = last.then_ns == 0 || now_ns <= last.then_ns
		? 1e9 // the first call has nothing to compare with
		: (double)(now_ns - last.then_ns) / (double)SL_NS_PER_S;
	static struct sl_node_stats drops[NODES_MAX];
	unsigned nb = drops_since(d, drops);
	json_t *tables = json_array();

	(void)nb_words;
	(void)words;
	last.then_ns = now_ns;
	json_array_append_new(tables, health_table(d, drops, nb, s));
	json_array_append_new(tables, ports_table(d, s));
	json_array_append_new(tables, drops_table(drops, nb, s));
	json_array_append_new(tables, peers_table(d));
	json_array_append_new(tables, workers_table(d, s));
	sl_api_reply(request, json_pack("{s:o}", "tables", tables));
}
