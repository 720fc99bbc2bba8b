#include <sluice/proto/assembly.h>
#include <sluice/proto/fragment.h>
#include <sluice/proto/limits.h>
#include <string.h>

#define UNIT_BYTES 8u

bool
sl_split_begin(struct sl_split *split, uint32_t nb_bytes, uint32_t room_bytes, uint8_t flags)
{
	uint32_t head = sl_rec_head_bytes(flags | SL_RECORD_FRAGMENT);

	if (nb_bytes == 0 || nb_bytes > SL_REC_BODY_MAX_BYTES || room_bytes < head + UNIT_BYTES)
		return false;
	room_bytes -= head;
	if (room_bytes > SL_REC_BODY_MAX_BYTES - SL_REC_HEAD_MAX_BYTES)
		room_bytes = SL_REC_BODY_MAX_BYTES - SL_REC_HEAD_MAX_BYTES;
	*split = (struct sl_split){
		.nb_bytes = nb_bytes,
		.piece_bytes = room_bytes & ~(UNIT_BYTES - 1),
	};
	return true;
}

bool
sl_split_next(struct sl_split *split, const uint8_t *body, struct sl_rec *rec)
{
	uint32_t left = split->nb_bytes - split->at_bytes;

	if (left == 0)
		return false;
	rec->flags |= SL_RECORD_FRAGMENT;
	rec->more = left > split->piece_bytes;
	rec->nb_bytes = rec->more ? split->piece_bytes : left;
	rec->fragment_offset_bytes = split->at_bytes;
	rec->body = body == NULL ? NULL : body + split->at_bytes;
	split->at_bytes += rec->nb_bytes;
	return true;
}

struct sl_reass {
	struct sl_assembly *assembly;
	uint8_t body[SL_ASSEMBLY_MAX_BYTES + 1];
};

// What is kept of a record while its pieces come in.
struct kept {
	uint8_t flags, tos, ttl;
	uint8_t is_there;
};

static size_t
own_bytes(void)
{
	return (sizeof(struct sl_reass) + 63) & ~(size_t)63;
}

size_t
sl_reass_bytes(const struct sl_assembly_conf *conf)
{
	return own_bytes() + sl_assembly_bytes(conf);
}

struct sl_reass *
sl_reass_init(void *memory, const struct sl_assembly_conf *conf)
{
	struct sl_assembly_conf own = *conf;
	struct sl_reass *reass = memory;

	own.timeout_ns = SL_RECORD_FRAGMENT_TIMEOUT_MS * SL_NS_PER_MS;
	if (own.max_bytes > SL_REC_BODY_MAX_BYTES)
		own.max_bytes = SL_REC_BODY_MAX_BYTES;
	reass->assembly = sl_assembly_init((uint8_t *)memory + own_bytes(), &own);
	return reass;
}

static struct sl_assembly_id
id_of(uint64_t source, const struct sl_rec *f)
{
	struct sl_assembly_id id = {
		.key = { source,
			 (uint64_t)f->flow << 32 | (uint32_t)f->fragment_id << 16 |
				 (uint32_t)f->generation << 8 | f->type },
	};

	// Peers are authenticated and gain nothing from a long chain of their own.
	id.hash = (id.key[0] * 0x9e3779b97f4a7c15u) ^ (id.key[1] * 0xc2b2ae3d27d4eb4fu);
	id.hash ^= id.hash >> 29;
	id.source = (uint32_t)((source * 0x9e3779b97f4a7c15u) >> 32);
	return id;
}

static void
take_whole(struct sl_reass *r, struct sl_assembly_place *place, struct sl_rec *whole)
{
	const struct kept *kept = sl_assembly_head(place);

	sl_assembly_copy(r->assembly, place, r->body);
	whole->flags = kept->flags;
	whole->tos = kept->tos;
	whole->ttl = kept->ttl;
	whole->body = r->body;
	whole->nb_bytes = sl_assembly_whole_bytes(place);
	whole->fragment_id = 0;
	whole->fragment_offset_bytes = 0;
	whole->more = false;
	sl_assembly_release(r->assembly, place);
}

enum sl_reass_verdict
sl_reass_add(
	struct sl_reass *reass,
	uint64_t source,
	const struct sl_rec *fragment,
	uint64_t now_ns,
	struct sl_rec *whole
)
{
	struct sl_assembly_id id = id_of(source, fragment);
	struct sl_piece piece = { .data = fragment->body,
				  .nb_bytes = fragment->nb_bytes,
				  .offset_bytes = fragment->fragment_offset_bytes,
				  .more = fragment->more };
	enum sl_assembly_verdict verdict;
	struct sl_assembly_place *place;
	struct kept *kept;

	if (fragment->fragment_offset_bytes + fragment->nb_bytes > SL_REC_BODY_MAX_BYTES)
		return SL_REASS_BAD;
	verdict = sl_assembly_add(reass->assembly, &id, &piece, now_ns, &place);
	if (place == NULL)
		return SL_REASS_BAD;
	kept = sl_assembly_head(place);
	// The one at offset 0 speaks for the whole.
	if (!kept->is_there || piece.offset_bytes == 0)
		*kept = (struct kept){ .flags = fragment->flags & (uint8_t)~SL_RECORD_FRAGMENT,
				       .tos = fragment->tos,
				       .ttl = fragment->ttl,
				       .is_there = 1 };
	switch (verdict) {
	case SL_ASSEMBLY_DONE:
		*whole = *fragment;
		take_whole(reass, place, whole);
		return SL_REASS_DONE;
	case SL_ASSEMBLY_HELD:
	case SL_ASSEMBLY_DUPLICATE:
		return SL_REASS_HELD;
	case SL_ASSEMBLY_OVERLAP:
		return SL_REASS_OVERLAP;
	case SL_ASSEMBLY_TOO_BIG:
		return SL_REASS_TOO_BIG;
	case SL_ASSEMBLY_FULL:
		return SL_REASS_QUOTA;
	case SL_ASSEMBLY_BAD:
	default:
		return SL_REASS_BAD;
	}
}

bool
sl_reass_expire(struct sl_reass *reass, uint64_t now_ns)
{
	struct sl_assembly_expired expired;

	return sl_assembly_expire(reass->assembly, now_ns, &expired);
}

uint64_t
sl_reass_expired(const struct sl_reass *reass)
{
	return sl_assembly_nb_expired(reass->assembly);
}

uint64_t
sl_reass_evicted(const struct sl_reass *reass)
{
	return sl_assembly_nb_evicted(reass->assembly);
}
