// show: what sluicectl show prints, as tables; the control thread. Counters of other threads are
// read as they stand, each exact at some moment.
#include "daemon.h"

#include <sluice/ctrl/json.h>
#include <sluice/dp/flow_table.h>

static void
show_drops(void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words)
{
	static const struct sl_column columns[] = { { "reason", SL_ALIGN_LEFT, "" },
						    { "severity", SL_ALIGN_LEFT, "" },
						    { "packets", SL_ALIGN_RIGHT, "pkts" },
						    { "meaning", SL_ALIGN_LEFT, "" } };
	static const char *const severities[] = { "expected", "peer fault", "our fault" };
	struct sl_node_stats stats[512];
	struct daemon *d = arg;
	json_t *table = sl_json_table("drops", columns, RTE_DIM(columns));
	unsigned nb = sl_dp_node_stats(d->dp, stats, RTE_DIM(stats));

	(void)nb_words;
	(void)words;
	for (unsigned i = 0; i < nb && i < RTE_DIM(stats); i++)
		if (stats[i].drop != NULL && stats[i].objs != 0)
			sl_json_row(
				table,
				"ssIs",
				stats[i].drop->name,
				severities[stats[i].drop->severity],
				(json_int_t)stats[i].objs,
				stats[i].drop->sentence
			);
	sl_api_reply(request, table);
}

int
show_register(struct daemon *d)
{
	return sl_api_register(
		d->api, "show drops", "", "Packets not delivered, by reason.", show_drops, d
	);
}
