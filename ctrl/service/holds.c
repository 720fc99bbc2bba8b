#include "holds.h"

#include <stddef.h>

void
holds_init(struct holds *h, uint32_t nb)
{
	for (uint32_t i = 0; i < nb && i < NB_HOLDS; i++)
		h->slots[i] = (struct hold){ .next_free = i + 2 <= nb ? i + 2 : 0, .ticket = i };
	h->first_free = nb != 0;
	h->nb_used = 0;
}

uint32_t
holds_put(struct holds *h, enum hold_kind kind, uint64_t key, struct rte_mbuf *m, uint64_t until_ns)
{
	struct hold *hold;

	if (h->first_free == 0)
		return HOLD_NONE;
	hold = &h->slots[h->first_free - 1];
	h->first_free = hold->next_free;
	h->nb_used++;
	hold->ticket += NB_HOLDS;
	if (hold->ticket == HOLD_NONE)
		hold->ticket += NB_HOLDS;
	hold->mbuf = m;
	hold->key = key;
	hold->until_ns = until_ns;
	hold->kind = kind;
	return hold->ticket;
}

const struct hold *
holds_find(const struct holds *h, uint32_t ticket, enum hold_kind kind)
{
	const struct hold *hold = &h->slots[ticket % NB_HOLDS];

	return hold->kind == kind && hold->ticket == ticket ? hold : NULL;
}

void
holds_end(struct holds *h, uint32_t ticket)
{
	uint32_t slot = ticket % NB_HOLDS;

	h->slots[slot].mbuf = NULL;
	h->slots[slot].kind = HOLD_FREE;
	h->slots[slot].next_free = h->first_free;
	h->first_free = slot + 1;
	h->nb_used--;
}
