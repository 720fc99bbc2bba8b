#include "1-ingress/port_rx.h"
#include "feed.h"

#include <sluice/dp/node.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// What the one run there is at a time feeds.
static struct {
	const struct sl_worker *worker;
	struct bench_frames *in, *out;
	unsigned burst, at;
	uint16_t port;
} run;

enum { SOURCE_LOST, SOURCE_FRAME };
static const char *const source_edges[] = { "bench_source_lost", "frame" };

static uint16_t
source_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb_objs)
{
	struct rte_mbuf **m;
	unsigned nb;

	(void)nb_objs;
	if (run.worker != sl_node_worker(node) || run.burst == run.in->nb_bursts)
		return 0;
	m = run.in->m + run.at;
	nb = run.in->end[run.burst] - run.at;
	memcpy(objs, m, nb * sizeof(*m));
	// A driver writes these lines when it delivers; here the burst before asks for them.
	for (unsigned i = nb; i < 2 * nb && run.at + i < run.in->nb; i++)
		rte_prefetch0(m[i]);
	if (nb != 0)
		port_rx_accept(m, nb, m[0]->port);
	run.at += nb;
	run.burst++;
	node->idx = (uint16_t)nb;
	rte_node_next_stream_move(graph, node, SOURCE_FRAME);
	return (uint16_t)nb;
}

SL_NODE_FLAGS(bench_source, source_process, source_edges, RTE_NODE_SOURCE_F)
SL_DROP(bench_source_lost, SL_OUR_FAULT, "Only in benches.")

static const char *const sink_edges[] = { "bench_sink_lost" };

static uint16_t
sink_process(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t nb)
{
	struct sl_worker *w = sl_node_worker(node);
	struct bench_frames *out = run.out;

	(void)graph;
	for (uint16_t i = 0; i < nb; i++) {
		struct rte_mbuf *m = objs[i];

		m->port = sl_meta(m)->out_port;
		w->stats.tx_bytes[m->port] += m->pkt_len;
		out->m[out->nb++] = m;
	}
	w->stats.tx_pkts[0] += nb;
	return nb;
}

SL_NODE_FLAGS(bench_sink, sink_process, sink_edges, SL_NODE_FINAL_F)
SL_DROP(bench_sink_lost, SL_OUR_FAULT, "Only in benches.")

void
bench_frames_clear(struct bench_frames *f)
{
	f->nb = 0;
	f->nb_bursts = 0;
}

void
bench_frames_add(struct bench_frames *f, struct rte_mbuf *m)
{
	f->m[f->nb++] = m;
}

void
bench_frames_end_burst(struct bench_frames *f)
{
	if (f->nb_bursts == BENCH_BURSTS_MAX) {
		fprintf(stderr, "bench: too many bursts\n");
		exit(EXIT_FAILURE);
	}
	f->end[f->nb_bursts++] = f->nb;
}

void
bench_frames_free(struct bench_frames *f)
{
	rte_pktmbuf_free_bulk(f->m, f->nb);
	bench_frames_clear(f);
}

static void
begin(struct bench_end *end, struct bench_frames *in, struct bench_frames *out)
{
	bench_frames_clear(out);
	run.worker = end->worker;
	run.in = in;
	run.out = out;
	run.burst = 0;
	run.at = 0;
}

uint64_t
bench_run(struct bench_end *end, struct bench_frames *in, struct bench_frames *out)
{
	uint64_t start_tsc, stop_tsc;

	begin(end, in, out);
	// No walk of this run is one that samples its nodes' cycles.
	end->worker->stats.walks = 1;
	start_tsc = sl_bench_start_tsc();
	for (unsigned b = 0; b < in->nb_bursts; b++) {
		sl_dp_walk(end->dp, 0);
		bench_frames_end_burst(out);
		end->worker->stats.walks = 1;
	}
	stop_tsc = sl_bench_stop_tsc();
	bench_frames_clear(in);
	return stop_tsc - start_tsc;
}

static uint64_t
own_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * SL_NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t
bench_run_longest(
	struct bench_end *end,
	struct bench_frames *in,
	struct bench_frames *out,
	struct sl_clock *clock,
	uint64_t step_ns
)
{
	uint64_t longest = 0, start, took;

	begin(end, in, out);
	end->worker->stats.walks = 1;
	for (unsigned b = 0; b < in->nb_bursts; b++) {
		sl_clock_move(clock, step_ns);
		start = own_ns();
		sl_dp_walk(end->dp, 0);
		took = own_ns() - start;
		longest = took > longest ? took : longest;
		bench_frames_end_burst(out);
		end->worker->stats.walks = 1;
	}
	bench_frames_clear(in);
	return longest;
}

static void
note(struct bench_profile *p, const char *name, double cycles, double packets)
{
	unsigned i = 0;

	while (i < p->nb && strcmp(p->nodes[i].name, name) != 0)
		i++;
	if (i == BENCH_NODES_MAX)
		return;
	if (i == p->nb) {
		p->nb++;
		p->nodes[i].name = name;
		p->nodes[i].cycles = cycles;
	}
	if (cycles < p->nodes[i].cycles)
		p->nodes[i].cycles = cycles;
	p->nodes[i].packets = packets;
}

#define STATS_MAX 512u

void
bench_run_profiled(
	struct bench_end *end,
	struct bench_frames *in,
	struct bench_frames *out,
	unsigned nb_pkts,
	struct bench_profile *profile
)
{
	static struct sl_node_stats before[STATS_MAX], after[STATS_MAX];
	unsigned nb = sl_dp_node_stats(end->dp, before, STATS_MAX);

	begin(end, in, out);
	for (unsigned b = 0; b < in->nb_bursts; b++) {
		end->worker->stats.walks = 0; // the walk that is sampled
		sl_dp_walk(end->dp, 0);
		bench_frames_end_burst(out);
	}
	bench_frames_clear(in);
	sl_dp_node_stats(end->dp, after, STATS_MAX);
	for (unsigned i = 0; i < nb; i++)
		if (after[i].calls != before[i].calls)
			note(profile,
			     after[i].name,
			     (double)(after[i].cycles - before[i].cycles) / nb_pkts,
			     (double)(after[i].objs - before[i].objs) / nb_pkts);
}

// Ends of buffers whose contents went on in another, and what fills up a probe of the path.
static bool
is_consumption(const char *name)
{
	return strcmp(name, "tunnel_pack_joined") == 0 ||
		strcmp(name, "record_input_consumed") == 0 ||
		strcmp(name, "record_input_unknown") == 0;
}

uint64_t
bench_drops(const struct bench_end *end, const char **reason)
{
	static struct sl_node_stats rows[STATS_MAX];
	unsigned nb = sl_dp_node_stats(end->dp, rows, STATS_MAX);
	uint64_t sum = 0;

	for (unsigned i = 0; i < nb; i++) {
		if (rows[i].drop == NULL || is_consumption(rows[i].name) || rows[i].objs == 0)
			continue;
		*reason = rows[i].name;
		sum += rows[i].objs;
	}
	return sum;
}

struct rte_mbuf *
bench_frame(struct bench_end *end, uint16_t port, const void *bytes, unsigned nb_bytes)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(end->pool);

	if (m == NULL) {
		fprintf(stderr, "bench: no packet buffer left\n");
		exit(EXIT_FAILURE);
	}
	m->port = port;
	memcpy(rte_pktmbuf_append(m, (uint16_t)nb_bytes), bytes, nb_bytes);
	return m;
}
