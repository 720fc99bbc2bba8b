#include <sluice/dp/retry.h>

static bool
is_avoided(const struct sl_worker *w, rte_be32_t address, uint8_t protocol, rte_be16_t port)
{
	const struct sl_retry_host
		*h = &w->retries->hosts[(address * 0x9e3779b1u) >> 23 & (SL_RETRY_HOSTS - 1)];

	return h->address == address && (int32_t)(h->until_ds - w->now_ds) > 0 &&
		(h->port == 0 || (h->port == port && h->protocol == protocol));
}

void
sl_retry_order(const struct sl_worker *w, struct sl_pool *pool, uint8_t protocol, rte_be16_t port)
{
	struct sl_pool ordered = { .nb = 0 };

	for (unsigned avoided = 0; avoided < 2; avoided++)
		for (unsigned i = 0; i < pool->nb; i++)
			if (is_avoided(w, pool->addresses[i], protocol, port) == (avoided == 1))
				ordered.addresses[ordered.nb++] = pool->addresses[i];
	*pool = ordered;
}
