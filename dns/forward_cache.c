// forward_cache: messages in chains of blocks, found by question. When blocks or entries run out, whatever the
// hand stands at goes.
#include "forward_private.h"

#include <sluice/proto/limits.h>
#include <string.h>

#define FAILURE_S 5u // RFC 2308 section 7: at most 5 minutes; seconds are enough against storms

static void
evict(struct sl_forward *f, struct sl_cached *c)
{
	sl_index_remove(&f->cache_index, c->hash, (uint32_t)(c - f->cached));
	sl_stored_drop(f, &c->stored);
	c->is_used = false;
	f->stats.nb_cached--;
}

// The entry the hand stands at, free from now on; the hand goes on to the next.
static struct sl_cached *
take_next(struct sl_forward *f)
{
	struct sl_cached *c = &f->cached[f->hand];

	f->hand = f->hand + 1 < f->nb_cached_max ? f->hand + 1 : 0;
	if (c->is_used)
		evict(f, c);
	return c;
}

void
sl_cached_forget(struct sl_forward *f)
{
	for (uint32_t i = 0; i < f->nb_cached_max; i++)
		if (f->cached[i].is_used)
			evict(f, &f->cached[i]);
}

// There is one.
static uint32_t
take_block(struct sl_forward *f)
{
	uint32_t b = f->free_block;

	f->nb_free_blocks--;
	if (b == SL_NO_BLOCK)
		return f->nb_used_ever++;
	f->free_block = f->blocks[b].next;
	return b;
}

bool
sl_stored_put(
	struct sl_forward *f,
	struct sl_stored *stored,
	const uint8_t *message,
	size_t nb_bytes,
	uint64_t now_ns
)
{
	const uint32_t nb = (uint32_t
	)((nb_bytes + SL_FORWARD_BLOCK_BYTES - 1) / SL_FORWARD_BLOCK_BYTES);
	uint32_t *link = &stored->first_block;

	for (uint32_t i = 0; i < f->nb_cached_max && f->nb_free_blocks < nb; i++)
		(void)take_next(f);
	stored->first_block = SL_NO_BLOCK;
	if (f->nb_free_blocks < nb)
		return false;
	stored->nb_bytes = (uint32_t)nb_bytes;
	stored->at_ns = now_ns;
	for (size_t at = 0; at < nb_bytes; at += SL_FORWARD_BLOCK_BYTES) {
		uint32_t b = take_block(f);
		size_t n = nb_bytes - at;

		memcpy(f->blocks[b].bytes,
		       message + at,
		       n < SL_FORWARD_BLOCK_BYTES ? n : SL_FORWARD_BLOCK_BYTES);
		f->blocks[b].next = SL_NO_BLOCK;
		*link = b;
		link = &f->blocks[b].next;
	}
	return true;
}

void
sl_stored_drop(struct sl_forward *f, struct sl_stored *stored)
{
	uint32_t b = stored->first_block;

	while (b != SL_NO_BLOCK) {
		uint32_t next = f->blocks[b].next;

		f->blocks[b].next = f->free_block;
		f->free_block = b;
		f->nb_free_blocks++;
		b = next;
	}
	stored->first_block = SL_NO_BLOCK;
}

size_t
sl_stored_get(struct sl_forward *f, const struct sl_stored *stored)
{
	size_t at = 0;

	for (uint32_t b = stored->first_block; b != SL_NO_BLOCK; b = f->blocks[b].next) {
		size_t n = stored->nb_bytes - at;

		n = n < SL_FORWARD_BLOCK_BYTES ? n : SL_FORWARD_BLOCK_BYTES;
		memcpy(f->scratch + at, f->blocks[b].bytes, n);
		at += n;
	}
	return at;
}

struct sl_cached *
sl_cached_find(
	struct sl_forward *f,
	const struct sl_name *name,
	uint16_t type,
	uint16_t flags,
	uint64_t hash
)
{
	struct sl_index_at at = { 0 };
	uint32_t i;

	while ((i = sl_index_next(&f->cache_index, hash, &at)) != SL_INDEX_NONE) {
		struct sl_cached *c = &f->cached[i];

		if (c->is_used && c->hash == hash && c->type == type && c->flags == flags &&
		    c->nb_name_bytes == name->nb_bytes &&
		    memcmp(c->wire, name->wire, name->nb_bytes) == 0)
			return c;
	}
	return NULL;
}

// For how long an answer may be kept, in seconds; 0: not at all.
static uint32_t
lifetime(const struct sl_forward *f, const uint8_t *message, size_t nb_bytes, bool *is_negative)
{
	uint32_t ttl_s = UINT32_MAX, soa_s = 0;
	unsigned nb_answers = 0, rcode;
	struct sl_response response;
	struct sl_record rec;

	*is_negative = true;
	if (!sl_response_parse(&response, message, nb_bytes))
		return 0;
	rcode = response.flags & SL_DNS_RCODE;
	while (sl_records_next(&response.records, &rec)) {
		nb_answers += rec.section == SL_SECTION_ANSWER;
		ttl_s = rec.ttl_s < ttl_s ? rec.ttl_s : ttl_s;
		if (rec.section == SL_SECTION_AUTHORITY && rec.type == SL_DNS_SOA &&
		    rec.nb_bytes >= 22) {
			soa_s = sl_get32(message + rec.data_at + rec.nb_bytes - 4);
			soa_s = rec.ttl_s < soa_s ? rec.ttl_s : soa_s;
		}
	}
	if (response.records.failed)
		return 0;
	if (rcode != SL_RCODE_NOERROR && rcode != SL_RCODE_NXDOMAIN)
		return FAILURE_S;
	*is_negative = rcode == SL_RCODE_NXDOMAIN || nb_answers == 0;
	if (*is_negative) {
		soa_s = soa_s < f->config.negative_max_s ? soa_s : f->config.negative_max_s;
		return nb_answers != 0 && ttl_s < soa_s ? ttl_s : soa_s;
	}
	return ttl_s < f->config.ttl_max_s ? ttl_s : f->config.ttl_max_s;
}

void
sl_cached_keep(
	struct sl_forward *f,
	const struct sl_question *q,
	const uint8_t *message,
	size_t nb_bytes,
	uint64_t now_ns
)
{
	struct sl_cached *c = sl_cached_find(f, &q->name, q->type, q->flags, q->hash);
	const unsigned rcode = message[3] & SL_DNS_RCODE;
	bool is_negative, is_failure = rcode != SL_RCODE_NOERROR && rcode != SL_RCODE_NXDOMAIN;
	uint32_t ttl_s = lifetime(f, message, nb_bytes, &is_negative);
	struct sl_stored stored;

	if (c != NULL && is_failure)
		return; // the stale answer is worth more
	if (c != NULL)
		evict(f, c);
	if (ttl_s == 0 || nb_bytes > SL_FORWARD_KEEP_BYTES ||
	    !sl_stored_put(f, &stored, message, nb_bytes, now_ns))
		return;
	c = take_next(f);
	*c = (struct sl_cached){
		.stored = stored,
		.hash = q->hash,
		.expires_ns = now_ns + ttl_s * SL_NS_PER_S,
		.type = q->type,
		.flags = q->flags,
		.is_used = true,
		.is_negative = is_negative,
		.nb_name_bytes = (uint8_t)q->name.nb_bytes,
	};
	c->stale_ns = c->expires_ns;
	if (f->config.stale_max_s != UINT32_MAX && !is_failure)
		c->stale_ns += f->config.stale_max_s * SL_NS_PER_S;
	memcpy(c->wire, q->name.wire, q->name.nb_bytes);
	sl_index_insert(&f->cache_index, q->hash, (uint32_t)(c - f->cached));
	f->stats.nb_cached++;
}
