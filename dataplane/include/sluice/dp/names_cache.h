// names_cache: connector, per worker: the private addresses of names as last resolved. Filled by
// mail from the session thread, read when an OPEN arrives; private to the worker, so no lock.
#pragma once

#include <rte_byteorder.h>

#include <sluice/dp/mail.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SL_NAMES_CACHED 16384u // by each worker of a connector

struct sl_names_cache;

struct sl_names_entry {
	uint64_t hash; // 0: free
	uint64_t expires_ns;
	rte_be32_t addresses[SL_MAIL_ADDRESSES];
	uint16_t tenant;
	uint8_t nb_addresses; // 0: known not to resolve, for `reason`
	uint8_t reason; // enum sl_close_reason
	uint8_t next; // rotates new flows over the addresses
	uint8_t name_bytes;
	char name[256];
};

[[nodiscard]] struct sl_names_cache *sl_names_cache_create(uint32_t nb_names, int socket_id);
void sl_names_cache_destroy(struct sl_names_cache *c);

// The entry, or NULL when there is none or it has expired.
struct sl_names_entry *sl_names_cache_find(
	struct sl_names_cache *c,
	uint16_t tenant,
	const char *name,
	size_t name_bytes,
	uint64_t now_ns
);

// Keep what `mail` (SL_MAIL_NAME) says; replaces the entry of that name or the oldest of its set.
void sl_names_cache_put(struct sl_names_cache *c, const struct sl_mail *mail, uint64_t now_ns);
