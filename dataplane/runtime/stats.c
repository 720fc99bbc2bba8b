// stats: what the workers counted, summed by whoever asks. Counters are plain 64-bit adds of their
// one writer; a reader sees each as it was at some moment.
#include "graph.h"
#include "instance.h"

#include <stdlib.h>
#include <string.h>

static struct sl_node_stats *
row_of(struct sl_node_stats *stats, unsigned nb, unsigned max, const char *name)
{
	for (unsigned i = 0; i < nb && i < max; i++)
		if (strcmp(stats[i].name, name) == 0)
			return &stats[i];
	return NULL;
}

unsigned
sl_dp_node_stats(const struct sl_dp *dp, struct sl_node_stats *stats, unsigned nb)
{
	unsigned used = 0;

	for (unsigned k = 0; k < dp->conf.nb_workers; k++) {
		struct rte_graph *g = dp->workers[k]->graph;
		const struct rte_node *node;
		rte_graph_off_t off;
		rte_node_t i;

		rte_graph_foreach_node(i, off, g, node)
		{
			struct sl_node_ctx ctx;
			const struct sl_drop *drop;
			const char *name;
			struct sl_node_stats *row;

			memcpy(&ctx, node->ctx, sizeof(ctx));
			drop = ctx.is_drop ? sl_drop_by_number(ctx.number) : NULL;
			name = drop != NULL ? drop->name : sl_node_by_number(ctx.number)->name;
			row = row_of(stats, used, nb, name);
			if (row == NULL && used < nb) {
				row = &stats[used++];
				*row = (struct sl_node_stats){ .name = name, .drop = drop };
			}
			if (row == NULL)
				continue;
			row->calls += node->total_calls;
			row->objs += node->total_objs;
			row->cycles += node->total_cycles;
		}
	}
	return used;
}

uint64_t
sl_dp_drops(const struct sl_dp *dp, const char *name)
{
	uint64_t sum = 0;

	for (unsigned k = 0; k < dp->conf.nb_workers; k++) {
		const struct rte_node *node;
		rte_graph_off_t off;
		rte_node_t i;

		rte_graph_foreach_node(i, off, dp->workers[k]->graph, node)
		{
			size_t stem = strcspn(node->name, "-");

			if (strncmp(node->name, name, stem) == 0 && name[stem] == '\0')
				sum += node->total_objs;
		}
	}
	return sum;
}

void
sl_dp_worker_stats(const struct sl_dp *dp, struct sl_worker_stats *sum)
{
	memset(sum, 0, sizeof(*sum));
	for (unsigned k = 0; k < dp->conf.nb_workers; k++) {
		const struct sl_worker_stats *s = &dp->workers[k]->stats;

		sum->walks += s->walks;
		sum->walks_empty += s->walks_empty;
		sum->sleeps += s->sleeps;
		sum->handed_over += s->handed_over;
		sum->punted += s->punted;
		sum->from_session += s->from_session;
		sum->from_stream += s->from_stream;
		sum->to_stream += s->to_stream;
		sum->created += s->created;
		sum->consumed += s->consumed;
		sum->unfinished += s->unfinished;
		sum->displaced += s->displaced;
		for (unsigned p = 0; p < SL_MAX_PORTS; p++) {
			sum->tx_pkts[p] += s->tx_pkts[p];
			sum->tx_bytes[p] += s->tx_bytes[p];
			sum->rx_pkts[p] += s->rx_pkts[p];
			sum->rx_bytes[p] += s->rx_bytes[p];
		}
	}
}
