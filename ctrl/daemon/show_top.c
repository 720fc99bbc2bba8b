// top: what is busy, as rates since the last call.
#include "show.h"

#include <sluice/dp/flow_table.h>
#include <string.h>

// Of the last call, by whomever: a second caller shortens the interval, the rates stay true.
static struct {
	uint64_t then_ns;
	struct sl_worker_stats ports; // all workers
	struct {
		uint64_t walks, walks_empty;
	} workers[SL_MAX_WORKERS];
} last;

static double
rate(uint64_t now, uint64_t then, double s)
{
	return now < then ? 0 : (double)(now - then) / s;
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
	json_t *ports;

	(void)nb_words;
	(void)words;
	last.then_ns = now_ns;
	ports = ports_table(d, s);
	sl_api_reply(request, show_tables(ports, workers_table(d, s)));
}
