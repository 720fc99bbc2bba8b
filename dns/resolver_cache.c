// resolver_cache: what private DNS servers said, until its TTL ends.
#include "resolver_private.h"

#include <sluice/proto/limits.h>
#include <string.h>

static bool
is_same(const struct sl_known *k, const struct sl_name *name, uint16_t type, uint64_t hash)
{
	return k->is_used && k->hash == hash && k->type == type && k->nb_bytes == name->nb_bytes &&
		memcmp(k->wire, name->wire, name->nb_bytes) == 0;
}

static struct sl_known *
find(struct sl_resolver *r, const struct sl_name *name, uint16_t type, uint64_t hash)
{
	struct sl_index_at at = { 0 };
	uint32_t i;

	while ((i = sl_index_next(&r->known_index, hash, &at)) != SL_INDEX_NONE)
		if (is_same(&r->known[i], name, type, hash))
			return &r->known[i];
	return NULL;
}

static void
drop(struct sl_resolver *r, struct sl_known *k)
{
	sl_index_remove(&r->known_index, k->hash, (uint32_t)(k - r->known));
	k->is_used = false;
	r->stats.nb_cached--;
}

void
sl_known_forget(struct sl_resolver *r)
{
	for (uint32_t i = 0; i < r->config.names_max; i++)
		if (r->known[i].is_used)
			drop(r, &r->known[i]);
}

bool
sl_known_find(
	struct sl_resolver *r,
	const struct sl_name *name,
	uint16_t type,
	uint64_t hash,
	uint64_t now_ns,
	struct sl_known **known
)
{
	struct sl_known *k = find(r, name, type, hash);

	if (k != NULL && now_ns >= k->expires_ns) {
		drop(r, k);
		k = NULL;
	}
	*known = k;
	return k != NULL;
}

void
sl_known_result(struct sl_known *k, uint64_t now_ns, struct sl_resolver_result *result)
{
	const unsigned nb = k->nb_addresses;
	unsigned out = 0;

	*result = (struct sl_resolver_result){
		.result = (enum sl_resolved)k->result,
		.type = k->type,
		.nb_addresses = (uint8_t)nb,
		.family = k->type == SL_DNS_AAAA ? 6 : 4,
		.ttl_s = (uint32_t)((k->expires_ns - now_ns) / SL_NS_PER_S),
	};
	// Those that answer first, each ask beginning at another; then those that do not.
	for (unsigned bad = 0; bad < 2; bad++)
		for (unsigned i = 0; i < nb; i++) {
			unsigned at = (k->rotate + i) % nb;

			if ((k->bad >> at & 1) == bad)
				memcpy(result->addresses[out++], k->addresses[at], 16);
		}
	if (nb != 0)
		k->rotate = (uint8_t)((k->rotate + 1) % nb);
}

// A free entry: unused, expired, or whatever the hand stands at.
static struct sl_known *
take(struct sl_resolver *r, uint64_t now_ns)
{
	for (unsigned i = 0; i < 8; i++) {
		struct sl_known *k = &r->known[r->known_at];

		r->known_at = (r->known_at + 1) % r->config.names_max;
		if (!k->is_used)
			return k;
		if (now_ns >= k->expires_ns || i == 7) {
			drop(r, k);
			return k;
		}
	}
	return NULL;
}

void
sl_known_store(struct sl_resolver *r, const struct sl_lookup *l, uint64_t now_ns)
{
	const struct sl_resolver_result *res = &l->result;
	struct sl_known *k = find(r, &l->original, l->type, l->hash);

	if (k != NULL)
		drop(r, k);
	if (res->ttl_s == 0)
		return;
	k = take(r, now_ns);
	*k = (struct sl_known){
		.hash = l->hash,
		.expires_ns = now_ns + res->ttl_s * SL_NS_PER_S,
		.ttl_s = res->ttl_s,
		.type = l->type,
		.result = (uint8_t)res->result,
		.nb_addresses = res->nb_addresses,
		.is_used = true,
		.nb_bytes = (uint8_t)l->original.nb_bytes,
	};
	memcpy(k->addresses, res->addresses, sizeof(k->addresses));
	memcpy(k->wire, l->original.wire, l->original.nb_bytes);
	sl_index_insert(&r->known_index, l->hash, (uint32_t)(k - r->known));
	r->stats.nb_cached++;
}
