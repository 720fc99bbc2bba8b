#include <rte_common.h>
#include <rte_malloc.h>

#include <sluice/dp/hash.h>
#include <sluice/dp/names_cache.h>
#include <sluice/proto/limits.h>
#include <string.h>

#define WAYS 4u

struct sl_names_cache {
	struct sl_hash_key key;
	uint32_t set_mask;
	struct sl_names_entry entries[];
};

struct sl_names_cache *
sl_names_cache_create(uint32_t nb_names, int socket_id)
{
	uint32_t nb_sets = rte_align32pow2(RTE_MAX(nb_names / WAYS, 16u));
	struct sl_names_cache *c;

	c = rte_zmalloc_socket(
		"sl_names",
		sizeof(*c) + (size_t)nb_sets * WAYS * sizeof(c->entries[0]),
		RTE_CACHE_LINE_SIZE,
		socket_id
	);
	if (c == NULL || sl_hash_key_random(&c->key) != 0) {
		rte_free(c);
		return NULL;
	}
	c->set_mask = nb_sets - 1;
	return c;
}

void
sl_names_cache_destroy(struct sl_names_cache *c)
{
	rte_free(c);
}

static struct sl_names_entry *
set_of(struct sl_names_cache *c,
       uint16_t tenant,
       const char *name,
       size_t name_bytes,
       uint64_t *hash)
{
	*hash = (sl_hash(&c->key, name, name_bytes) + tenant * 0x9e3779b97f4a7c15ull) | 1;
	return &c->entries[(size_t)((uint32_t)(*hash >> 32) & c->set_mask) * WAYS];
}

static bool
is_entry(const struct sl_names_entry *e, uint64_t hash, uint16_t tenant, const char *name, size_t n)
{
	return e->hash == hash && e->tenant == tenant && e->name_bytes == n &&
		memcmp(e->name, name, n) == 0;
}

struct sl_names_entry *
sl_names_cache_find(
	struct sl_names_cache *c,
	uint16_t tenant,
	const char *name,
	size_t name_bytes,
	uint64_t now_ns
)
{
	uint64_t hash;
	struct sl_names_entry *set = set_of(c, tenant, name, name_bytes, &hash);

	for (unsigned way = 0; way < WAYS; way++)
		if (is_entry(&set[way], hash, tenant, name, name_bytes))
			return set[way].expires_ns > now_ns ? &set[way] : NULL;
	return NULL;
}

void
sl_names_cache_put(struct sl_names_cache *c, const struct sl_mail *mail, uint64_t now_ns)
{
	uint64_t hash;
	struct sl_names_entry *set = set_of(c, mail->tenant, mail->name, mail->name_bytes, &hash);
	struct sl_names_entry *e = &set[0];

	for (unsigned way = 0; way < WAYS; way++) {
		if (is_entry(&set[way], hash, mail->tenant, mail->name, mail->name_bytes)) {
			e = &set[way];
			break;
		}
		if (set[way].expires_ns < e->expires_ns)
			e = &set[way];
	}
	e->hash = hash;
	e->expires_ns = now_ns + mail->ttl_s * SL_NS_PER_S;
	e->tenant = mail->tenant;
	e->nb_addresses = (uint8_t)RTE_MIN(mail->nb_addresses, SL_MAIL_ADDRESSES);
	e->reason = mail->reason;
	e->name_bytes = mail->name_bytes;
	memcpy(e->addresses, mail->addresses, sizeof(e->addresses));
	memcpy(e->name, mail->name, sizeof(e->name));
}
