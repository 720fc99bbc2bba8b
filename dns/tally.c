#include "tally.h"

#include <stdlib.h>

static uint32_t
home(const struct sl_tally *tally, uint32_t id)
{
	return (id * 0x9e3779b1u >> 7) & tally->mask;
}

static uint32_t
find(const struct sl_tally *tally, uint32_t id)
{
	uint32_t i = home(tally, id);

	while (tally->slots[i].nb != 0 && tally->slots[i].id != id)
		i = (i + 1) & tally->mask;
	return i;
}

bool
sl_tally_init(struct sl_tally *tally, uint32_t nb_max)
{
	uint64_t nb = 16;

	while (nb < (uint64_t)nb_max * 2)
		nb *= 2;
	tally->slots = calloc(nb, sizeof(*tally->slots));
	tally->mask = (uint32_t)(nb - 1);
	return tally->slots != NULL;
}

void
sl_tally_fini(struct sl_tally *tally)
{
	free(tally->slots);
	tally->slots = NULL;
}

uint32_t
sl_tally_get(const struct sl_tally *tally, uint32_t id)
{
	return tally->slots[find(tally, id)].nb;
}

void
sl_tally_add(struct sl_tally *tally, uint32_t id)
{
	struct sl_tally_slot *s = &tally->slots[find(tally, id)];

	s->id = id;
	s->nb++;
}

void
sl_tally_drop(struct sl_tally *tally, uint32_t id)
{
	uint32_t hole = find(tally, id);

	if (tally->slots[hole].nb == 0 || --tally->slots[hole].nb != 0)
		return;
	// Close the hole: move up whatever would no longer be found past it.
	for (uint32_t i = (hole + 1) & tally->mask; tally->slots[i].nb != 0;
	     i = (i + 1) & tally->mask) {
		uint32_t from_home = (i - home(tally, tally->slots[i].id)) & tally->mask;

		if (from_home < ((i - hole) & tally->mask))
			continue;
		tally->slots[hole] = tally->slots[i];
		tally->slots[i].nb = 0;
		hole = i;
	}
}
