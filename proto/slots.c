#include <errno.h>
#include <sluice/proto/limits.h>
#include <sluice/proto/slots.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_DS (100 * SL_NS_PER_MS)

int
sl_slots_create(struct sl_slots *slots, uint32_t nb)
{
	*slots = (struct sl_slots){ .nb = nb, .nb_free = nb };
	if (nb == 0 || nb > SL_SLOTS_MAX)
		return -EINVAL;
	slots->rest = malloc((size_t)nb * sizeof(*slots->rest));
	slots->generation = calloc(nb, 1);
	slots->in_use = calloc(nb, 1);
	if (slots->rest == NULL || slots->generation == NULL || slots->in_use == NULL) {
		sl_slots_destroy(slots);
		return -ENOMEM;
	}
	// A process begins with a new incarnation, which voids the ids of the one before: nothing has
	// to rest. Generation 0 marks slots that have never been given.
	for (uint32_t i = 0; i < nb; i++)
		slots->rest[i] = (struct sl_slots_rest){ .index = i };
	return 0;
}

void
sl_slots_destroy(struct sl_slots *slots)
{
	free(slots->rest);
	free(slots->generation);
	free(slots->in_use);
	memset(slots, 0, sizeof(*slots));
}

uint32_t
sl_slots_take(struct sl_slots *slots, uint64_t now_ns, uint8_t *generation)
{
	const struct sl_slots_rest *oldest = &slots->rest[slots->head];
	uint32_t now_ds = (uint32_t)(now_ns / NS_PER_DS);
	uint8_t *gen;

	if (slots->nb_free == 0)
		return SL_SLOT_NONE;
	gen = &slots->generation[oldest->index];
	// One decisecond more, for what rounding down cut off.
	if (*gen != 0 && now_ds - oldest->freed_ds <= SL_FLOW_SLOT_REST_S * 10)
		return SL_SLOT_NONE;
	*gen = *gen == UINT8_MAX ? SL_SLOT_BEGIN_GEN : (uint8_t)(*gen + 1);
	*generation = *gen;
	slots->in_use[oldest->index] = 1;
	slots->head = slots->head + 1 == slots->nb ? 0 : slots->head + 1;
	slots->nb_free--;
	return oldest->index;
}

bool
sl_slots_give(struct sl_slots *slots, uint32_t index, uint64_t now_ns)
{
	uint64_t tail;

	if (index >= slots->nb || slots->in_use[index] == 0)
		return false;
	tail = (uint64_t)slots->head + slots->nb_free;
	if (tail >= slots->nb)
		tail -= slots->nb;
	slots->rest[tail] = (struct sl_slots_rest){
		.index = index,
		.freed_ds = (uint32_t)(now_ns / NS_PER_DS),
	};
	slots->in_use[index] = 0;
	slots->nb_free++;
	return true;
}

bool
sl_slots_give_untold(struct sl_slots *slots, uint32_t index, uint64_t now_ns)
{
	if (index >= slots->nb || slots->in_use[index] == 0)
		return false;
	slots->head = slots->head == 0 ? slots->nb - 1 : slots->head - 1;
	slots->rest[slots->head] = (struct sl_slots_rest){
		.index = index,
		// It had rested when it was taken.
		.freed_ds = (uint32_t)(now_ns / NS_PER_DS) - SL_FLOW_SLOT_REST_S * 10 - 1,
	};
	slots->generation[index]--; // the next one was never used
	slots->in_use[index] = 0;
	slots->nb_free++;
	return true;
}
