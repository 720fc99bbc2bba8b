#include <errno.h>
#include <sluice/ctrl/timers.h>
#include <stdlib.h>

int
sl_timers_init(struct sl_timers *timers, uint32_t capacity)
{
	*timers = (struct sl_timers){ .capacity = capacity };
	timers->heap = calloc(capacity == 0 ? 1 : capacity, sizeof(*timers->heap));
	return timers->heap == NULL ? -ENOMEM : 0;
}

void
sl_timers_free(struct sl_timers *timers)
{
	for (uint32_t i = 0; i < timers->nb; i++)
		timers->heap[i]->place = 0;
	free(timers->heap);
	*timers = (struct sl_timers){ 0 };
}

static void
put(struct sl_timers *timers, uint32_t idx, struct sl_timer *timer)
{
	timers->heap[idx] = timer;
	timer->place = idx + 1;
}

// Let `timer`, meant for `idx`, rise to where its parent is no later.
static uint32_t
rise(struct sl_timers *timers, uint32_t idx, struct sl_timer *timer)
{
	while (idx > 0) {
		uint32_t parent = (idx - 1) / 2;

		if (timers->heap[parent]->at_ns <= timer->at_ns)
			break;
		put(timers, idx, timers->heap[parent]);
		idx = parent;
	}
	put(timers, idx, timer);
	return idx;
}

// Let `timer`, meant for `idx`, sink to where no child is earlier.
static void
sink(struct sl_timers *timers, uint32_t idx, struct sl_timer *timer)
{
	for (;;) {
		uint32_t child = 2 * idx + 1;

		if (child >= timers->nb)
			break;
		if (child + 1 < timers->nb &&
		    timers->heap[child + 1]->at_ns < timers->heap[child]->at_ns)
			child++;
		if (timers->heap[child]->at_ns >= timer->at_ns)
			break;
		put(timers, idx, timers->heap[child]);
		idx = child;
	}
	put(timers, idx, timer);
}

int
sl_timers_set(struct sl_timers *timers, struct sl_timer *timer, uint64_t at_ns)
{
	uint32_t idx;

	if (!sl_timer_armed(timer)) {
		if (timers->nb == timers->capacity)
			return -ENOSPC;
		idx = timers->nb++;
	} else {
		idx = timer->place - 1;
	}
	timer->at_ns = at_ns;
	sink(timers, rise(timers, idx, timer), timer);
	return 0;
}

void
sl_timers_cancel(struct sl_timers *timers, struct sl_timer *timer)
{
	struct sl_timer *last;
	uint32_t idx;

	if (!sl_timer_armed(timer))
		return;
	idx = timer->place - 1;
	timer->place = 0;
	last = timers->heap[--timers->nb];
	if (last != timer)
		sink(timers, rise(timers, idx, last), last);
}

uint64_t
sl_timers_next_ns(const struct sl_timers *timers)
{
	return timers->nb == 0 ? UINT64_MAX : timers->heap[0]->at_ns;
}

struct sl_timer *
sl_timers_expire(struct sl_timers *timers, uint64_t now_ns)
{
	struct sl_timer *timer;

	if (sl_timers_next_ns(timers) > now_ns || timers->nb == 0)
		return NULL;
	timer = timers->heap[0];
	sl_timers_cancel(timers, timer);
	return timer;
}

int
sl_timers_poll_ms(const struct sl_timers *timers, uint64_t now_ns, int max_ms)
{
	uint64_t next_ns = sl_timers_next_ns(timers);
	uint64_t left_ms;

	if (next_ns <= now_ns)
		return 0;
	left_ms = (next_ns - now_ns) / 1000000u + ((next_ns - now_ns) % 1000000u != 0);
	return left_ms < (uint64_t)max_ms ? (int)left_ms : max_ms;
}
