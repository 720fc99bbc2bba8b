#include <rte_malloc.h>

#include <sluice/dp/failures.h>
#include <sluice/dp/hash.h>
#include <sluice/dp/worker.h>
#include <string.h>

struct sl_failures *
sl_failures_create(void)
{
	return rte_zmalloc("sl_failures", sizeof(struct sl_failures), RTE_CACHE_LINE_SIZE);
}

void
sl_failures_destroy(struct sl_failures *f)
{
	rte_free(f);
}

// All but the client's own port, which is another with each attempt.
static bool
is_kind(const struct sl_failure *a, const struct sl_failure *b)
{
	return a->client == b->client && a->reason == b->reason && a->quota == b->quota &&
		a->resource == b->resource && a->is_refusal == b->is_refusal &&
		a->key.scope_protocol == b->key.scope_protocol &&
		a->key.destination_port_be == b->key.destination_port_be &&
		memcmp(a->key.destination, b->key.destination, 16) == 0;
}

// Never 0.
static uint32_t
tag_of(const struct sl_worker *w, const struct sl_failure *failure)
{
	struct {
		uint8_t destination[16];
		uint32_t client, protocol;
		uint32_t resource, port_reason;
	} kind = { .client = failure->client,
		   .protocol = failure->key.scope_protocol,
		   .resource = failure->resource,
		   .port_reason = (uint32_t)failure->key.destination_port_be << 16 |
			   (uint32_t)failure->reason << 8 | failure->quota };

	memcpy(kind.destination, failure->key.destination, sizeof(kind.destination));
	return (uint32_t)sl_hash(w->owner_key, &kind, sizeof(kind)) | 1;
}

// Its own place, or that of the kind that has been here longest.
static struct sl_failure_place *
place_of(const struct sl_worker *w, const struct sl_failure *failure)
{
	struct sl_failure_group *g = &w->failures->groups[failure->client % SL_FAILURE_GROUPS];
	uint32_t tag = tag_of(w, failure);
	unsigned at;

	for (at = 0; at < SL_FAILURE_KINDS; at++)
		if (g->tags[at] == tag && is_kind(&g->places[at].failure, failure))
			return &g->places[at];
	at = g->next++ % SL_FAILURE_KINDS;
	g->tags[at] = tag;
	return &g->places[at];
}

void
sl_failure_note(struct sl_worker *w, const struct sl_failure *failure)
{
	struct sl_failure_place *p;
	unsigned version;
	uint32_t nb;

	if (w->failures == NULL)
		return;
	p = place_of(w, failure);
	nb = is_kind(&p->failure, failure) ? p->failure.nb + 1 : 1;
	version = atomic_load_explicit(&p->version, memory_order_relaxed);
	atomic_store_explicit(&p->version, version + 1, memory_order_relaxed);
	// The odd version before anything it covers; pairs with the reader's acquire fence.
	atomic_thread_fence(memory_order_release);
	p->failure = *failure;
	p->failure.nb = nb;
	p->failure.at_ds = w->now_ds;
	// All of it before the even version.
	atomic_store_explicit(&p->version, version + 2, memory_order_release);
}

bool
sl_failure_read(const struct sl_failures *f, unsigned at, struct sl_failure *failure)
{
	const struct sl_failure_place *p = &f->groups[at / SL_FAILURE_KINDS % SL_FAILURE_GROUPS]
						    .places[at % SL_FAILURE_KINDS];
	unsigned version = atomic_load_explicit(&p->version, memory_order_acquire);

	if (version % 2 != 0)
		return false;
	memcpy(failure, &p->failure, sizeof(*failure));
	// The copy before the version is read again.
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(&p->version, memory_order_relaxed) == version &&
		failure->reason != 0;
}
