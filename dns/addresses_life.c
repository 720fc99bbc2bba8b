// addresses_life: the table is made and ends.
#include "addresses_private.h"

#include <stdlib.h>
#include <string.h>

static bool
config_is_sane(const struct sl_addresses_config *c)
{
	return c->pool_bits >= 8 && c->pool_bits <= 30 && c->names_max >= 1 &&
		c->names_max < UINT32_MAX / 4 && c->drain_s >= 2 * SL_USED_STEP_S &&
		(c->pool & (UINT32_MAX >> c->pool_bits)) == 0 && c->lease != NULL;
}

static bool
allocate(struct sl_addresses *t)
{
	const uint32_t nb = t->config.names_max;

	t->offset_mask = UINT32_MAX >> t->config.pool_bits;
	t->nb_pages = (t->offset_mask >> SL_PAGE_BITS) + 1;
	t->hot = sl_huge_alloc((uint64_t)nb * sizeof(*t->hot));
	t->cold = calloc(nb, sizeof(*t->cold));
	t->wire = calloc(nb, sizeof(*t->wire));
	t->pages = calloc(t->nb_pages, sizeof(*t->pages));
	if (t->hot == NULL || t->cold == NULL || t->wire == NULL || t->pages == NULL)
		return false;
	return sl_index_init(&t->index, nb) && sl_tally_init(&t->clients, nb) &&
		sl_tally_init(&t->resources, nb);
}

struct sl_addresses *
sl_addresses_create(const struct sl_addresses_config *config)
{
	struct sl_addresses *t;
	uint8_t material[32];

	if (!config_is_sane(config) || (t = calloc(1, sizeof(*t))) == NULL)
		return NULL;
	t->config = *config;
	if (!allocate(t)) {
		sl_addresses_free(t);
		return NULL;
	}
	// Four words out of the two of the key: the complement serves, the words are used apart.
	memcpy(material, config->probe_key, 16);
	for (int i = 0; i < 16; i++)
		material[16 + i] = (uint8_t)~config->probe_key[15 - i];
	sl_name_key_init(&t->probe_key, material);
	for (uint32_t i = 0; i < config->names_max; i++)
		t->cold[i].next_free = i + 1 < config->names_max ? i + 1 : SL_NO_NAME;
	t->free_tail = config->names_max - 1;
	t->stats.nb_state[SL_NAME_FREE] = config->names_max;
	t->stats.nb_addresses = t->offset_mask - 1; // neither the first nor the last
	return t;
}

void
sl_addresses_free(struct sl_addresses *t)
{
	if (t == NULL)
		return;
	for (uint32_t i = 0; t->pages != NULL && i < t->nb_pages; i++)
		free((void *)atomic_load_explicit(&t->pages[i], memory_order_relaxed));
	free(t->pages);
	sl_index_fini(&t->index);
	sl_tally_fini(&t->clients);
	sl_tally_fini(&t->resources);
	free(t->wire);
	free(t->cold);
	free(t->hot);
	free(t);
}
