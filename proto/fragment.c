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

enum place_state { PLACE_FREE = 0, PLACE_FILLING, PLACE_DEAD };

struct place {
	uint64_t source;
	uint64_t expires_ns;
	struct sl_rec head; // of the first fragment that came; of the one at offset 0 once there
	uint32_t have_bytes;
	uint32_t whole_bytes; // 0 until the last fragment has come
	uint32_t end_bytes; // furthest octet seen
	uint8_t state; // DEAD: given up; its fragments are swallowed until it expires
	uint8_t *have; // bitmap of units
	uint8_t *body;
};

struct sl_reass {
	uint32_t nb_places;
	uint32_t max_bytes;
	uint32_t per_source;
	uint64_t nb_expired;
	struct place places[];
};

static uint32_t
round64(uint32_t n)
{
	return (n + 63) & ~63u;
}

static uint32_t
bitmap_bytes(uint32_t max_bytes)
{
	return round64(round64(max_bytes) / UNIT_BYTES / 8);
}

size_t
sl_reass_bytes(uint32_t nb_places, uint32_t max_body_bytes)
{
	size_t fixed = sizeof(struct sl_reass) + nb_places * sizeof(struct place);
	size_t each = (size_t)bitmap_bytes(max_body_bytes) + round64(max_body_bytes);

	return ((fixed + 63) & ~(size_t)63) + nb_places * each;
}

struct sl_reass *
sl_reass_init(void *memory, uint32_t nb_places, uint32_t max_body_bytes, uint32_t per_source)
{
	struct sl_reass *reass = memory;
	size_t at = sizeof(*reass) + nb_places * sizeof(struct place);

	at = (at + 63) & ~(size_t)63;
	memset(memory, 0, sl_reass_bytes(nb_places, max_body_bytes));
	reass->nb_places = nb_places;
	reass->max_bytes = round64(max_body_bytes);
	reass->per_source = per_source;
	for (uint32_t i = 0; i < nb_places; i++) {
		reass->places[i].have = (uint8_t *)memory + at;
		at += bitmap_bytes(max_body_bytes);
		reass->places[i].body = (uint8_t *)memory + at;
		at += round64(max_body_bytes);
	}
	return reass;
}

static bool
is_of(const struct place *p, uint64_t source, const struct sl_rec *f)
{
	return p->state != PLACE_FREE && p->source == source &&
		p->head.fragment_id == f->fragment_id && p->head.flow == f->flow &&
		p->head.generation == f->generation && p->head.type == f->type;
}

// The place of this fragment, a fresh one if there is none, or NULL when the quota is used up.
static struct place *
place_for(struct sl_reass *r, uint64_t source, const struct sl_rec *f, uint64_t now_ns)
{
	struct place *vacant = NULL;
	uint32_t nb_of_source = 0;

	for (uint32_t i = 0; i < r->nb_places; i++) {
		struct place *p = &r->places[i];

		if (p->state != PLACE_FREE && now_ns >= p->expires_ns) {
			r->nb_expired += p->state == PLACE_FILLING;
			p->state = PLACE_FREE;
		}
		if (is_of(p, source, f))
			return p;
		nb_of_source += p->state != PLACE_FREE && p->source == source;
		if (p->state == PLACE_FREE)
			vacant = p;
	}
	if (vacant == NULL || nb_of_source >= r->per_source)
		return NULL;
	memset(vacant->have, 0, bitmap_bytes(r->max_bytes));
	vacant->source = source;
	vacant->expires_ns = now_ns + SL_RECORD_FRAGMENT_TIMEOUT_MS * SL_NS_PER_MS;
	vacant->head = *f;
	vacant->have_bytes = vacant->whole_bytes = vacant->end_bytes = 0;
	vacant->state = PLACE_FILLING;
	return vacant;
}

// Mark the units of [begin, end); false if one was marked already.
static bool
mark_units(uint8_t *have, uint32_t begin_bytes, uint32_t end_bytes)
{
	uint32_t last = (end_bytes + UNIT_BYTES - 1) / UNIT_BYTES;

	for (uint32_t unit = begin_bytes / UNIT_BYTES; unit < last; unit++) {
		uint8_t bit = (uint8_t)(1u << (unit & 7));

		if ((have[unit >> 3] & bit) != 0)
			return false;
		have[unit >> 3] |= bit;
	}
	return true;
}

// Does [begin, end) contradict what is known of the record's length?
static bool
is_contradiction(const struct place *p, const struct sl_rec *f, uint32_t end_bytes)
{
	if (!f->more)
		return p->whole_bytes != 0 || end_bytes < p->end_bytes;
	return p->whole_bytes != 0 && end_bytes >= p->whole_bytes;
}

static enum sl_reass_verdict
place_add(struct sl_reass *r, struct place *p, const struct sl_rec *f)
{
	uint32_t end_bytes = f->fragment_offset_bytes + f->nb_bytes;

	if (p->state == PLACE_DEAD)
		return SL_REASS_OVERLAP;
	if (end_bytes > r->max_bytes) {
		p->state = PLACE_DEAD;
		return SL_REASS_TOO_BIG;
	}
	if (is_contradiction(p, f, end_bytes) ||
	    !mark_units(p->have, f->fragment_offset_bytes, end_bytes)) {
		p->state = PLACE_DEAD;
		return SL_REASS_OVERLAP;
	}
	memcpy(p->body + f->fragment_offset_bytes, f->body, f->nb_bytes);
	p->have_bytes += f->nb_bytes;
	if (end_bytes > p->end_bytes)
		p->end_bytes = end_bytes;
	if (!f->more)
		p->whole_bytes = end_bytes;
	if (f->fragment_offset_bytes == 0)
		p->head = *f;
	return p->whole_bytes != 0 && p->have_bytes == p->whole_bytes ? SL_REASS_DONE
								      : SL_REASS_HELD;
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
	enum sl_reass_verdict verdict;
	struct place *p;

	if (fragment->nb_bytes == 0 || (fragment->more && fragment->nb_bytes % UNIT_BYTES != 0) ||
	    fragment->fragment_offset_bytes + fragment->nb_bytes > SL_REC_BODY_MAX_BYTES)
		return SL_REASS_BAD;
	p = place_for(reass, source, fragment, now_ns);
	if (p == NULL)
		return SL_REASS_QUOTA;
	verdict = place_add(reass, p, fragment);
	if (verdict != SL_REASS_DONE)
		return verdict;
	*whole = p->head;
	whole->flags &= (uint8_t)~SL_RECORD_FRAGMENT;
	whole->body = p->body;
	whole->nb_bytes = p->whole_bytes;
	whole->fragment_id = 0;
	whole->fragment_offset_bytes = 0;
	whole->more = false;
	p->state = PLACE_FREE;
	return SL_REASS_DONE;
}

uint64_t
sl_reass_expired(const struct sl_reass *reass)
{
	return reass->nb_expired;
}
