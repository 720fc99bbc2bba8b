#include <sluice/dp/snapshot.h>
#include <sluice/dp/tally.h>

static inline struct sl_tally_row *
row_of(struct sl_tally *t, uint32_t resource)
{
	return &t->resources[RTE_MIN(resource, SL_TALLY_RESOURCES)];
}

static void
count_name(struct sl_tally *t, uint16_t tenant, uint32_t name)
{
	uint32_t set = (name * 2654435761u + tenant) % (SL_TALLY_NAMES / SL_TALLY_NAME_WAYS);
	struct sl_tally_name *places = &t->names[set * SL_TALLY_NAME_WAYS], *least = places;

	for (unsigned i = 0; i < SL_TALLY_NAME_WAYS; i++) {
		struct sl_tally_name *p = &places[i];

		if (p->worth != 0 && p->name == name && p->tenant == tenant) {
			p->worth = (uint16_t)RTE_MIN(p->worth + 1, UINT16_MAX);
			p->nb_begun++;
			return;
		}
		if (p->worth < least->worth)
			least = p;
	}
	if (least->worth > 1) {
		least->worth--;
		return;
	}
	*least = (struct sl_tally_name){ name, tenant, 1, 1 };
}

void
sl_tally_begins(struct sl_worker *w, uint32_t index)
{
	const struct sl_flow *f = sl_flow_at(w->flows, index);
	struct sl_tally *t = w->tally;

	if (t == NULL || f->kind == SL_FLOW_QUERY)
		return;
	t->begun[index % SL_TALLY_BEGUN].at_ns = w->now_ns;
	t->begun[index % SL_TALLY_BEGUN].flow = index + 1;
	if (f->kind != SL_FLOW_CLIENT)
		return;
	row_of(t, f->pop.resource)->nb_begun++;
	if (f->pop.name != UINT32_MAX && w->snapshot != NULL &&
	    f->pop.client < w->snapshot->nb_clients)
		count_name(t, w->snapshot->clients[f->pop.client].tenant, f->pop.name);
}

void
sl_tally_over(struct sl_worker *w, const struct sl_flow *f)
{
	struct sl_tally_row *row;

	if (w->tally == NULL || f->kind != SL_FLOW_CLIENT)
		return;
	row = row_of(w->tally, f->pop.resource);
	row->nb_over++;
	row->bytes_up += f->bytes_up;
	row->bytes_down += f->bytes_down;
}

void
sl_tally_refused(struct sl_worker *w, uint32_t resource)
{
	if (w->tally != NULL && resource != UINT32_MAX)
		row_of(w->tally, resource)->nb_refused++;
}

void
sl_tally_reached(struct sl_worker *w, uint32_t index, enum sl_tally_stage stage)
{
	struct sl_tally *t = w->tally;

	if (t == NULL || t->begun[index % SL_TALLY_BEGUN].flow != index + 1)
		return;
	sl_histogram_add(&t->stages[stage], w->now_ns - t->begun[index % SL_TALLY_BEGUN].at_ns, 1);
}
