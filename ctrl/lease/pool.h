// pool: which addresses of a tenant are taken, and in what order a name tries them. In memory,
// beside the database, so that a nearly full pool costs no query per probe.
#pragma once

#include <sluice/ctrl/store.h>

struct sl_pool_tenant {
	uint64_t *taken; // one bit an address
	uint32_t nb_taken;
	bool has_secret;
	uint8_t secret[SL_SECRET_BYTES];
};

// The sequence of one name: begins anywhere, strides by an odd number, so that over a power of two
// it meets every address once.
struct sl_probe {
	uint32_t at;
	uint32_t stride;
	uint32_t mask;
};

// Nothing taken but the first and the last address, which some client systems take for network and
// broadcast. NULL when out of memory.
struct sl_pool_tenant *sl_pool_tenant_new(uint32_t nb);
void sl_pool_tenant_free(struct sl_pool_tenant *tenant);

static inline bool
sl_pool_taken(const struct sl_pool_tenant *tenant, uint32_t idx)
{
	return (tenant->taken[idx / 64] >> (idx % 64) & 1) != 0;
}

// Set or clear; `idx` must be in the other state.
void sl_pool_take(struct sl_pool_tenant *tenant, uint32_t idx);
void sl_pool_give(struct sl_pool_tenant *tenant, uint32_t idx);

// Begin the sequence of `name`, keyed by the tenant's secret. 0 or -EIO (libcrypto refused).
[[nodiscard]] int sl_probe_begin(
	struct sl_probe *probe, const struct sl_pool_tenant *tenant, const char *name, uint32_t nb
);

static inline uint32_t
sl_probe_next(struct sl_probe *probe)
{
	uint32_t idx = probe->at;

	probe->at = (probe->at + probe->stride) & probe->mask;
	return idx;
}
