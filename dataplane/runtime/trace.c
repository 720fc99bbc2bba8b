// trace: reports are written by the worker into a small ring that the control thread reads; a full
// ring loses the report, never time.
#include <sluice/dp/dp.h>
#include <sluice/dp/trace.h>

const struct sl_node *
sl_node_by_number(unsigned number)
{
	const struct sl_node *n = sl_node_first();

	while (n != NULL && number-- > 0)
		n = n->next;
	return n;
}

const struct sl_drop *
sl_drop_by_number(unsigned number)
{
	const struct sl_drop *d = sl_drop_first();

	while (d != NULL && number-- > 0)
		d = d->next;
	return d;
}

static void
report(const struct sl_node_ctx *ctx, const struct sl_meta *meta)
{
	struct sl_worker *w = ctx->worker;
	struct sl_trace *t = w->trace;
	unsigned at = atomic_load_explicit(&t->written, memory_order_relaxed);
	unsigned read = atomic_load_explicit(&t->read, memory_order_acquire);
	struct sl_trace_entry *e = &t->entries[at % SL_TRACE_ENTRIES];
	unsigned round = atomic_load_explicit(&t->round, memory_order_relaxed);

	if (t->reported_round != round) {
		t->reported_round = round;
		t->reported = 0;
	}
	if (at - read == SL_TRACE_ENTRIES ||
	    t->reported >= atomic_load_explicit(&t->armed_pkts, memory_order_relaxed))
		return;
	t->reported++;
	*e = (struct sl_trace_entry){
		.now_ns = w->now_ns,
		.client = meta->client,
		.outcome = ctx->number,
		.is_drop = ctx->is_drop,
		.reason = meta->reason,
		.worker = (uint8_t)w->idx,
		.trail_len = meta->trail_len & (uint8_t)~SL_TRACE_FLAG,
	};
	memcpy(e->trail, meta->trail, sizeof(e->trail));
	// Pairs with the reader's acquire: the entry before its number.
	atomic_store_explicit(&t->written, at + 1, memory_order_release);
}

void
sl_trace_end(const struct rte_node *node, const struct rte_mbuf *m)
{
	const struct sl_meta *meta = rte_mbuf_to_priv((struct rte_mbuf *)(uintptr_t)m);
	struct sl_node_ctx ctx;

	memcpy(&ctx, node->ctx, sizeof(ctx));
	if ((meta->trail_len & SL_TRACE_FLAG) != 0 && ctx.worker->is_traced)
		report(&ctx, meta);
}

void
sl_trace_node(struct rte_node *node)
{
	struct sl_node_ctx ctx;

	memcpy(&ctx, node->ctx, sizeof(ctx));
	for (uint16_t i = 0; i < node->idx; i++) {
		struct sl_meta *meta = sl_meta(node->objs[i]);
		uint8_t len = meta->trail_len & (uint8_t)~SL_TRACE_FLAG;

		if (!ctx.is_drop && len < SL_TRAIL_LEN) {
			meta->trail[len] = (uint8_t)ctx.number;
			meta->trail_len++;
		}
		if (ctx.is_final && (meta->trail_len & SL_TRACE_FLAG) != 0)
			report(&ctx, meta);
	}
}

void
sl_trace_arm(struct sl_dp *dp, uint32_t client, unsigned nb_pkts)
{
	for (unsigned k = 0; k < sl_dp_nb_workers(dp); k++) {
		struct sl_trace *t = sl_dp_worker(dp, k)->trace;

		atomic_store_explicit(&t->armed_client, SL_NO_TRACE, memory_order_relaxed);
		atomic_store_explicit(&t->armed_pkts, nb_pkts, memory_order_relaxed);
		atomic_fetch_add_explicit(&t->round, 1, memory_order_relaxed);
		// The count before the client that makes it valid.
		atomic_store_explicit(&t->armed_client, client, memory_order_release);
	}
}

unsigned
sl_trace_read(struct sl_dp *dp, struct sl_trace_entry *entries, unsigned nb)
{
	unsigned got = 0;

	for (unsigned k = 0; k < sl_dp_nb_workers(dp); k++) {
		struct sl_trace *t = sl_dp_worker(dp, k)->trace;
		unsigned at = atomic_load_explicit(&t->read, memory_order_relaxed);
		unsigned end = atomic_load_explicit(&t->written, memory_order_acquire);

		for (; at != end && got < nb; at++)
			entries[got++] = t->entries[at % SL_TRACE_ENTRIES];
		atomic_store_explicit(&t->read, at, memory_order_release);
	}
	return got;
}
