#include <errno.h>
#include <sluice/ctrl/mpsc.h>
#include <stdlib.h>
#include <string.h>

struct cell {
	// index of the push whose turn it is; that plus one once the element is in.
	atomic_uint_fast64_t turn;
	_Alignas(16) uint8_t element[];
};

static struct cell *
cell_at(const struct sl_mpsc *queue, uint64_t idx)
{
	return (struct cell *)(void *)(queue->cells + (idx & queue->mask) * queue->cell_bytes);
}

int
sl_mpsc_init(struct sl_mpsc *queue, uint32_t nb, size_t element_bytes)
{
	uint64_t size = 2;

	while (size < nb)
		size *= 2;
	*queue = (struct sl_mpsc){ .element_bytes = element_bytes, .mask = size - 1 };
	queue->cell_bytes = (sizeof(struct cell) + element_bytes + 15) & ~(size_t)15;
	queue->cells = aligned_alloc(16, size * queue->cell_bytes);
	if (queue->cells == NULL)
		return -ENOMEM;
	memset(queue->cells, 0, size * queue->cell_bytes);
	for (uint64_t i = 0; i < size; i++)
		atomic_init(&cell_at(queue, i)->turn, i);
	return 0;
}

void
sl_mpsc_free(struct sl_mpsc *queue)
{
	free(queue->cells);
	queue->cells = NULL;
}

bool
sl_mpsc_push(struct sl_mpsc *queue, const void *element)
{
	uint64_t idx = atomic_load_explicit(&queue->head, memory_order_relaxed);
	struct cell *cell;

	for (;;) {
		int64_t ahead;

		cell = cell_at(queue, idx);
		// Pairs with the release in pop: the cell's old contents have been read.
		ahead = (int64_t)(atomic_load_explicit(&cell->turn, memory_order_acquire) - idx);
		if (ahead < 0)
			return false;
		if (ahead == 0 &&
		    atomic_compare_exchange_weak_explicit(
			    &queue->head, &idx, idx + 1, memory_order_relaxed, memory_order_relaxed
		    ))
			break;
		if (ahead > 0)
			idx = atomic_load_explicit(&queue->head, memory_order_relaxed);
	}
	memcpy(cell->element, element, queue->element_bytes);
	// Pairs with the acquire in pop: the element is whole before it is announced.
	atomic_store_explicit(&cell->turn, idx + 1, memory_order_release);
	return true;
}

bool
sl_mpsc_empty(const struct sl_mpsc *queue)
{
	struct cell *cell = cell_at(queue, queue->tail);

	return atomic_load_explicit(&cell->turn, memory_order_acquire) != queue->tail + 1;
}

bool
sl_mpsc_pop(struct sl_mpsc *queue, void *element)
{
	struct cell *cell = cell_at(queue, queue->tail);

	if (sl_mpsc_empty(queue))
		return false;
	memcpy(element, cell->element, queue->element_bytes);
	atomic_store_explicit(&cell->turn, queue->tail + queue->mask + 1, memory_order_release);
	queue->tail++;
	return true;
}
