#include <sluice/dp/dp.h>
#include <sluice/dp/tally.h>
#include <stdlib.h>
#include <string.h>

struct sl_tally *
sl_tally_create(void)
{
	struct sl_tally *t = calloc(1, sizeof(*t));

	if (t != NULL)
		t->ns_per_cycle = 1e9 / (double)rte_get_tsc_hz();
	return t;
}

void
sl_tally_destroy(struct sl_tally *t)
{
	free(t);
}

void
sl_tally_stage_sum(struct sl_dp *dp, enum sl_tally_stage stage, struct sl_histogram *sum)
{
	*sum = (struct sl_histogram){ 0 };
	for (unsigned k = 0; k < sl_dp_nb_workers(dp); k++)
		sl_histogram_merge(sum, &sl_dp_worker(dp, k)->tally->stages[stage]);
}

void
sl_tally_resource_sum(struct sl_dp *dp, uint32_t resource, struct sl_tally_row *sum)
{
	*sum = (struct sl_tally_row){ 0 };
	for (unsigned k = 0; k < sl_dp_nb_workers(dp); k++) {
		const struct sl_tally_row
			*r = &sl_dp_worker(dp, k)
				      ->tally->resources[RTE_MIN(resource, SL_TALLY_RESOURCES)];

		sum->nb_begun += r->nb_begun;
		sum->nb_over += r->nb_over;
		sum->nb_refused += r->nb_refused;
		sum->bytes_up += r->bytes_up;
		sum->bytes_down += r->bytes_down;
	}
}

static int
by_name(const void *a, const void *b)
{
	const struct sl_tally_name *x = a, *y = b;

	if (x->tenant != y->tenant)
		return x->tenant < y->tenant ? -1 : 1;
	return x->name < y->name ? -1 : x->name > y->name;
}

static int
by_flows(const void *a, const void *b)
{
	const struct sl_tally_name *x = a, *y = b;

	if (x->nb_begun != y->nb_begun)
		return x->nb_begun > y->nb_begun ? -1 : 1;
	return by_name(a, b);
}

// The same name of several workers becomes one; how many are left of `nb`.
static unsigned
merge_names(struct sl_tally_name *all, unsigned nb)
{
	unsigned kept = 0;

	qsort(all, nb, sizeof(*all), by_name);
	for (unsigned i = 0; i < nb; i++) {
		if (kept != 0 && by_name(&all[kept - 1], &all[i]) == 0)
			all[kept - 1].nb_begun += all[i].nb_begun;
		else
			all[kept++] = all[i];
	}
	qsort(all, kept, sizeof(*all), by_flows);
	return kept;
}

unsigned
sl_tally_names_top(struct sl_dp *dp, struct sl_tally_name *names, unsigned nb)
{
	unsigned nb_workers = sl_dp_nb_workers(dp), nb_all = 0;
	struct sl_tally_name *all = calloc((size_t)nb_workers * SL_TALLY_NAMES, sizeof(*all));

	if (all == NULL)
		return 0;
	for (unsigned k = 0; k < nb_workers; k++)
		for (unsigned i = 0; i < SL_TALLY_NAMES; i++)
			if (sl_dp_worker(dp, k)->tally->names[i].worth != 0)
				all[nb_all++] = sl_dp_worker(dp, k)->tally->names[i];
	nb_all = merge_names(all, nb_all);
	nb = RTE_MIN(nb, nb_all);
	memcpy(names, all, nb * sizeof(*names));
	free(all);
	return nb;
}
