#include "pool.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <errno.h>
#include <sluice/proto/aead.h>
#include <sluice/proto/bytes.h>
#include <stdlib.h>
#include <string.h>

struct sl_pool_tenant *
sl_pool_tenant_new(uint32_t nb)
{
	struct sl_pool_tenant *tenant = calloc(1, sizeof(*tenant));

	if (tenant == NULL)
		return NULL;
	tenant->taken = calloc(nb / 64 + 1, sizeof(*tenant->taken));
	if (tenant->taken == NULL) {
		free(tenant);
		return NULL;
	}
	sl_pool_take(tenant, 0);
	if (nb > 1)
		sl_pool_take(tenant, nb - 1);
	return tenant;
}

void
sl_pool_tenant_free(struct sl_pool_tenant *tenant)
{
	if (tenant == NULL)
		return;
	sl_wipe(tenant->secret, sizeof(tenant->secret));
	free(tenant->taken);
	free(tenant);
}

void
sl_pool_take(struct sl_pool_tenant *tenant, uint32_t idx)
{
	tenant->taken[idx / 64] |= 1ull << (idx % 64);
	tenant->nb_taken++;
}

void
sl_pool_give(struct sl_pool_tenant *tenant, uint32_t idx)
{
	tenant->taken[idx / 64] &= ~(1ull << (idx % 64));
	tenant->nb_taken--;
}

int
sl_probe_begin(
	struct sl_probe *probe, const struct sl_pool_tenant *tenant, const char *name, uint32_t nb
)
{
	static const char label[] = "sluice address"; // the secret has other uses
	uint8_t text[sizeof(label) + SL_STORE_NAME_BYTES];
	uint8_t digest[EVP_MAX_MD_SIZE];
	size_t len = strnlen(name, SL_STORE_NAME_BYTES);

	memcpy(text, label, sizeof(label));
	memcpy(text + sizeof(label), name, len);
	if (HMAC(EVP_sha256(),
		 tenant->secret,
		 sizeof(tenant->secret),
		 text,
		 sizeof(label) + len,
		 digest,
		 NULL) == NULL)
		return -EIO;
	probe->mask = nb - 1;
	probe->at = sl_get32(digest) & probe->mask;
	probe->stride = (sl_get32(digest + 4) | 1) & probe->mask;
	return 0;
}
