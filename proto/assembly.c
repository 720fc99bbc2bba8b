#include <sluice/proto/assembly.h>
#include <string.h>

#define NONE        UINT16_MAX
#define NB_CHUNKS   (SL_ASSEMBLY_MAX_BYTES / SL_ASSEMBLY_CHUNK_BYTES + 1)
#define CHUNK_WORDS (SL_ASSEMBLY_CHUNK_BYTES / SL_ASSEMBLY_UNIT_BYTES / 64)

struct chunk {
	uint64_t have[CHUNK_WORDS]; // bit per unit
	uint8_t data[SL_ASSEMBLY_CHUNK_BYTES];
};

enum place_state { PLACE_FREE = 0, PLACE_FILLING, PLACE_DEAD };

struct sl_assembly_place {
	uint64_t head[SL_ASSEMBLY_HEAD_BYTES / 8];
	uint64_t key[2];
	uint64_t expires_ns;
	uint32_t have_bytes;
	uint32_t whole_bytes; // 0 until the last piece has come
	uint32_t end_bytes; // furthest octet seen
	uint32_t slot;
	uint16_t chunks[NB_CHUNKS];
	uint16_t nb_chunks;
	uint16_t chain; // next of the slot, or of the free ones
	// Oldest first: of all, and of the share.
	uint16_t next, previous;
	uint16_t share_next, share_previous;
	uint8_t share;
	uint8_t state; // DEAD: given up; its pieces are swallowed until it expires
};

struct share {
	uint16_t first, last;
	uint16_t nb_places, nb_chunks;
};

struct sl_assembly {
	struct sl_assembly_conf conf;
	uint64_t nb_expired, nb_evicted;
	uint32_t nb_used;
	uint32_t slot_mask;
	uint16_t free_place, free_chunk; // chains; a chunk's goes through its first two octets
	uint16_t first, last;
	struct share shares[SL_ASSEMBLY_SHARES];
	struct sl_assembly_place *places;
	struct chunk *chunks;
	uint16_t *slots;
};

// ---- Memory -----------------------------------------------------------------------------------------

static size_t
round64(size_t n)
{
	return (n + 63) & ~(size_t)63;
}

static uint32_t
slots_of(const struct sl_assembly_conf *conf)
{
	uint32_t nb = 1;

	while (nb < conf->nb_places)
		nb <<= 1;
	return nb;
}

size_t
sl_assembly_bytes(const struct sl_assembly_conf *conf)
{
	return round64(sizeof(struct sl_assembly)) +
		round64(conf->nb_places * sizeof(struct sl_assembly_place)) +
		round64(conf->nb_chunks * sizeof(struct chunk)) +
		round64(slots_of(conf) * sizeof(uint16_t));
}

static void
put_free_chunk(struct sl_assembly *a, uint16_t chunk)
{
	memcpy(a->chunks[chunk].data, &a->free_chunk, sizeof(a->free_chunk));
	a->free_chunk = chunk;
}

struct sl_assembly *
sl_assembly_init(void *memory, const struct sl_assembly_conf *conf)
{
	struct sl_assembly *a = memory;
	uint8_t *at = (uint8_t *)memory + round64(sizeof(*a));

	memset(a, 0, sizeof(*a));
	a->conf = *conf;
	a->slot_mask = slots_of(conf) - 1;
	a->places = (void *)at;
	at += round64(conf->nb_places * sizeof(a->places[0]));
	a->chunks = (void *)at;
	at += round64(conf->nb_chunks * sizeof(a->chunks[0]));
	a->slots = (void *)at;
	memset(a->slots, 0xff, slots_of(conf) * sizeof(a->slots[0]));
	a->free_place = a->free_chunk = a->first = a->last = NONE;
	for (uint32_t i = 0; i < SL_ASSEMBLY_SHARES; i++)
		a->shares[i].first = a->shares[i].last = NONE;
	for (uint32_t i = conf->nb_places; i-- > 0;) {
		a->places[i].state = PLACE_FREE;
		a->places[i].chain = a->free_place;
		a->free_place = (uint16_t)i;
	}
	for (uint32_t i = conf->nb_chunks; i-- > 0;)
		put_free_chunk(a, (uint16_t)i);
	return a;
}

// ---- Places -----------------------------------------------------------------------------------------

static uint16_t
index_of(const struct sl_assembly *a, const struct sl_assembly_place *p)
{
	return (uint16_t)(p - a->places);
}

static void
free_chunks(struct sl_assembly *a, struct sl_assembly_place *p)
{
	for (uint32_t i = 0; i < NB_CHUNKS && p->nb_chunks != 0; i++) {
		if (p->chunks[i] == NONE)
			continue;
		put_free_chunk(a, p->chunks[i]);
		p->chunks[i] = NONE;
		p->nb_chunks--;
		a->shares[p->share].nb_chunks--;
	}
}

static void
link_place(struct sl_assembly *a, struct sl_assembly_place *p)
{
	struct share *share = &a->shares[p->share];
	uint16_t own = index_of(a, p);

	p->next = p->share_next = NONE;
	p->previous = a->last;
	p->share_previous = share->last;
	*(a->last == NONE ? &a->first : &a->places[a->last].next) = own;
	*(share->last == NONE ? &share->first : &a->places[share->last].share_next) = own;
	a->last = share->last = own;
	p->chain = a->slots[p->slot];
	a->slots[p->slot] = own;
	share->nb_places++;
	a->nb_used++;
}

static void
unlink_place(struct sl_assembly *a, struct sl_assembly_place *p)
{
	struct share *share = &a->shares[p->share];
	uint16_t own = index_of(a, p), *at = &a->slots[p->slot];

	*(p->previous == NONE ? &a->first : &a->places[p->previous].next) = p->next;
	*(p->next == NONE ? &a->last : &a->places[p->next].previous) = p->previous;
	*(p->share_previous == NONE ? &share->first : &a->places[p->share_previous].share_next
	) = p->share_next;
	*(p->share_next == NONE ? &share->last : &a->places[p->share_next].share_previous
	) = p->share_previous;
	while (*at != own)
		at = &a->places[*at].chain;
	*at = p->chain;
	share->nb_places--;
	a->nb_used--;
}

void
sl_assembly_release(struct sl_assembly *a, struct sl_assembly_place *p)
{
	free_chunks(a, p);
	unlink_place(a, p);
	p->state = PLACE_FREE;
	p->chain = a->free_place;
	a->free_place = index_of(a, p);
}

static void
evict(struct sl_assembly *a, struct sl_assembly_place *p)
{
	a->nb_evicted += p->state == PLACE_FILLING;
	sl_assembly_release(a, p);
}

static struct sl_assembly_place *
find(struct sl_assembly *a, const struct sl_assembly_id *id, uint64_t now_ns)
{
	uint16_t at = a->slots[id->hash & a->slot_mask];

	for (; at != NONE; at = a->places[at].chain) {
		struct sl_assembly_place *p = &a->places[at];

		if (p->key[0] != id->key[0] || p->key[1] != id->key[1])
			continue;
		if (now_ns < p->expires_ns)
			return p;
		a->nb_expired += p->state == PLACE_FILLING;
		sl_assembly_release(a, p);
		return NULL;
	}
	return NULL;
}

static struct sl_assembly_place *
find_or_make(struct sl_assembly *a, const struct sl_assembly_id *id, uint64_t now_ns)
{
	struct sl_assembly_place *p = find(a, id, now_ns);
	uint8_t share = (uint8_t)(id->source % SL_ASSEMBLY_SHARES);

	if (p != NULL)
		return p;
	if (a->shares[share].nb_places >= a->conf.share_places)
		evict(a, &a->places[a->shares[share].first]);
	if (a->free_place == NONE)
		evict(a, &a->places[a->first]);
	p = &a->places[a->free_place];
	a->free_place = p->chain;
	memset(p, 0, sizeof(*p));
	memset(p->chunks, 0xff, sizeof(p->chunks));
	p->key[0] = id->key[0];
	p->key[1] = id->key[1];
	p->expires_ns = now_ns + a->conf.timeout_ns;
	p->slot = (uint32_t)(id->hash & a->slot_mask);
	p->share = share;
	p->state = PLACE_FILLING;
	link_place(a, p);
	return p;
}

// ---- Chunks -----------------------------------------------------------------------------------------

// The oldest datagram with chunks, of the share or of all, but for `keep`; NULL: none.
static struct sl_assembly_place *
oldest(struct sl_assembly *a, bool of_share, const struct sl_assembly_place *keep)
{
	uint16_t at = of_share ? a->shares[keep->share].first : a->first;

	while (at != NONE) {
		struct sl_assembly_place *p = &a->places[at];

		if (p != keep && p->nb_chunks != 0)
			return p;
		at = of_share ? p->share_next : p->next;
	}
	return NULL;
}

// A chunk for place `p`; NULL when its share holds no other datagram that could give one.
static struct chunk *
chunk_at(struct sl_assembly *a, struct sl_assembly_place *p, uint32_t i)
{
	bool of_share = a->shares[p->share].nb_chunks >= a->conf.share_chunks;
	uint16_t own;

	if (p->chunks[i] != NONE)
		return &a->chunks[p->chunks[i]];
	if (of_share || a->free_chunk == NONE) {
		struct sl_assembly_place *other = oldest(a, of_share, p);

		if (other == NULL)
			return NULL;
		evict(a, other);
	}
	own = a->free_chunk;
	memcpy(&a->free_chunk, a->chunks[own].data, sizeof(a->free_chunk));
	memset(a->chunks[own].have, 0, sizeof(a->chunks[own].have));
	p->chunks[i] = own;
	p->nb_chunks++;
	a->shares[p->share].nb_chunks++;
	return &a->chunks[own];
}

// Units [begin, end) of a chunk, as they lie in word `i` of its map.
static uint64_t
mask_of(uint32_t begin, uint32_t end, uint32_t i)
{
	uint32_t from = begin > i * 64 ? begin - i * 64 : 0;
	uint32_t to = end < (i + 1) * 64 ? end - i * 64 : 64;

	if (begin >= (i + 1) * 64 || end <= i * 64)
		return 0;
	return (UINT64_MAX << from) & (UINT64_MAX >> (64 - to));
}

// How a piece meets what is there.
struct meeting {
	bool some; // a unit of it is there
	bool all;
	bool same; // and the octets are the same
};

static void
meet(const struct sl_assembly *a,
     const struct sl_assembly_place *p,
     const struct sl_piece *piece,
     struct meeting *met)
{
	uint32_t end = piece->offset_bytes + piece->nb_bytes, next;

	*met = (struct meeting){ .all = true, .same = true };
	for (uint32_t at = piece->offset_bytes; at < end; at = next) {
		uint32_t base = at & ~(SL_ASSEMBLY_CHUNK_BYTES - 1), till;
		uint16_t own = p->chunks[base / SL_ASSEMBLY_CHUNK_BYTES];
		const struct chunk *c = &a->chunks[own];

		next = base + SL_ASSEMBLY_CHUNK_BYTES;
		till = next < end ? next : end;
		if (own == NONE) {
			met->all = false;
			continue;
		}
		for (uint32_t i = 0; i < CHUNK_WORDS; i++) {
			uint64_t mask = mask_of(
				(at - base) / SL_ASSEMBLY_UNIT_BYTES,
				(till - base + SL_ASSEMBLY_UNIT_BYTES - 1) / SL_ASSEMBLY_UNIT_BYTES,
				i
			);

			met->some |= (c->have[i] & mask) != 0;
			met->all &= (c->have[i] & mask) == mask;
		}
		met->same &= memcmp(c->data + (at - base),
				    piece->data + (at - piece->offset_bytes),
				    till - at) == 0;
	}
}

static bool
store(struct sl_assembly *a, struct sl_assembly_place *p, const struct sl_piece *piece)
{
	uint32_t end = piece->offset_bytes + piece->nb_bytes, next;

	for (uint32_t at = piece->offset_bytes; at < end; at = next) {
		uint32_t base = at & ~(SL_ASSEMBLY_CHUNK_BYTES - 1), till;
		struct chunk *c = chunk_at(a, p, base / SL_ASSEMBLY_CHUNK_BYTES);

		if (c == NULL)
			return false;
		next = base + SL_ASSEMBLY_CHUNK_BYTES;
		till = next < end ? next : end;
		for (uint32_t i = 0; i < CHUNK_WORDS; i++)
			c->have[i] |= mask_of(
				(at - base) / SL_ASSEMBLY_UNIT_BYTES,
				(till - base + SL_ASSEMBLY_UNIT_BYTES - 1) / SL_ASSEMBLY_UNIT_BYTES,
				i
			);
		memcpy(c->data + (at - base), piece->data + (at - piece->offset_bytes), till - at);
	}
	return true;
}

// ---- Pieces -----------------------------------------------------------------------------------------

static enum sl_assembly_verdict
give_up(struct sl_assembly *a, struct sl_assembly_place *p, enum sl_assembly_verdict verdict)
{
	free_chunks(a, p);
	p->state = PLACE_DEAD;
	return verdict;
}

// Does the piece contradict what is known of the whole length?
static bool
is_contradiction(const struct sl_assembly_place *p, const struct sl_piece *piece)
{
	uint32_t end = piece->offset_bytes + piece->nb_bytes;

	if (!piece->more)
		return p->whole_bytes != 0 ? end != p->whole_bytes : end < p->end_bytes;
	return p->whole_bytes != 0 && end >= p->whole_bytes;
}

static enum sl_assembly_verdict
place_add(struct sl_assembly *a, struct sl_assembly_place *p, const struct sl_piece *piece)
{
	uint32_t end = piece->offset_bytes + piece->nb_bytes;
	struct meeting met;

	if (p->state == PLACE_DEAD)
		return SL_ASSEMBLY_OVERLAP;
	if (end > a->conf.max_bytes)
		return give_up(a, p, SL_ASSEMBLY_TOO_BIG);
	meet(a, p, piece, &met);
	if (is_contradiction(p, piece) || (met.some && !(met.all && met.same)) ||
	    (met.all && !piece->more && p->whole_bytes == 0))
		return give_up(a, p, SL_ASSEMBLY_OVERLAP);
	if (met.all)
		return SL_ASSEMBLY_DUPLICATE;
	if (!store(a, p, piece))
		return give_up(a, p, SL_ASSEMBLY_FULL);
	p->have_bytes += piece->nb_bytes;
	if (end > p->end_bytes)
		p->end_bytes = end;
	if (!piece->more)
		p->whole_bytes = end;
	return p->whole_bytes != 0 && p->have_bytes == p->whole_bytes ? SL_ASSEMBLY_DONE
								      : SL_ASSEMBLY_HELD;
}

enum sl_assembly_verdict
sl_assembly_add(
	struct sl_assembly *a,
	const struct sl_assembly_id *id,
	const struct sl_piece *piece,
	uint64_t now_ns,
	struct sl_assembly_place **place
)
{
	*place = NULL;
	if (piece->nb_bytes == 0 ||
	    (piece->more && piece->nb_bytes % SL_ASSEMBLY_UNIT_BYTES != 0) ||
	    piece->offset_bytes % SL_ASSEMBLY_UNIT_BYTES != 0)
		return SL_ASSEMBLY_BAD;
	*place = find_or_make(a, id, now_ns);
	return place_add(a, *place, piece);
}

void *
sl_assembly_head(struct sl_assembly_place *place)
{
	return place->head;
}

uint32_t
sl_assembly_whole_bytes(const struct sl_assembly_place *place)
{
	return place->whole_bytes;
}

void
sl_assembly_copy(const struct sl_assembly *a, const struct sl_assembly_place *p, uint8_t *to)
{
	for (uint32_t at = 0; at < p->whole_bytes; at += SL_ASSEMBLY_CHUNK_BYTES) {
		uint32_t left = p->whole_bytes - at;

		memcpy(to + at,
		       a->chunks[p->chunks[at / SL_ASSEMBLY_CHUNK_BYTES]].data,
		       left < SL_ASSEMBLY_CHUNK_BYTES ? left : SL_ASSEMBLY_CHUNK_BYTES);
	}
}

bool
sl_assembly_expire(struct sl_assembly *a, uint64_t now_ns, struct sl_assembly_expired *expired)
{
	while (a->first != NONE && now_ns >= a->places[a->first].expires_ns) {
		struct sl_assembly_place *p = &a->places[a->first];
		bool was_filling = p->state == PLACE_FILLING;
		const struct chunk *c = p->chunks[0] == NONE ? NULL : &a->chunks[p->chunks[0]];

		*expired = (struct sl_assembly_expired){ .head = p->head };
		if (c != NULL && (c->have[0] & 1) != 0) {
			expired->nb_first = SL_ASSEMBLY_UNIT_BYTES;
			memcpy(p->key, c->data, SL_ASSEMBLY_UNIT_BYTES); // releasing writes there
			expired->first = (const uint8_t *)p->key;
		}
		sl_assembly_release(a, p);
		if (!was_filling)
			continue;
		a->nb_expired++;
		return true;
	}
	return false;
}

uint64_t
sl_assembly_nb_expired(const struct sl_assembly *a)
{
	return a->nb_expired;
}

uint64_t
sl_assembly_nb_evicted(const struct sl_assembly *a)
{
	return a->nb_evicted;
}

uint32_t
sl_assembly_nb_used(const struct sl_assembly *a)
{
	return a->nb_used;
}
