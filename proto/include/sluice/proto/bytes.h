// bytes: sticky-error readers and writers over octets from or for the network.
//
// After the first overrun every read returns zero and every write is a no-op; check `failed` once
// at the end. Neither allocates or keeps a pointer past the caller's buffer.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct sl_reader {
	const uint8_t *at; // next octet
	const uint8_t *end; // one past the last
	bool failed;
};

struct sl_writer {
	uint8_t *begin;
	uint8_t *at;
	uint8_t *end;
	bool failed;
};

static inline uint16_t
sl_get16(const uint8_t *p)
{
	return (uint16_t)((p[0] << 8) | p[1]);
}

static inline uint32_t
sl_get32(const uint8_t *p)
{
	return ((uint32_t)p[0] << 24) | ((uint32_t)p[1] << 16) | ((uint32_t)p[2] << 8) | p[3];
}

static inline uint64_t
sl_get64(const uint8_t *p)
{
	return ((uint64_t)sl_get32(p) << 32) | sl_get32(p + 4);
}

static inline void
sl_put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void
sl_put32(uint8_t *p, uint32_t v)
{
	sl_put16(p, (uint16_t)(v >> 16));
	sl_put16(p + 2, (uint16_t)v);
}

static inline void
sl_put64(uint8_t *p, uint64_t v)
{
	sl_put32(p, (uint32_t)(v >> 32));
	sl_put32(p + 4, (uint32_t)v);
}

// Little-endian forms, for the handshake alone.
static inline uint16_t
sl_get16le(const uint8_t *p)
{
	return (uint16_t)(p[0] | (p[1] << 8));
}

static inline uint32_t
sl_get32le(const uint8_t *p)
{
	return (uint32_t)sl_get16le(p) | ((uint32_t)sl_get16le(p + 2) << 16);
}

static inline uint64_t
sl_get64le(const uint8_t *p)
{
	return (uint64_t)sl_get32le(p) | ((uint64_t)sl_get32le(p + 4) << 32);
}

static inline void
sl_put16le(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

static inline void
sl_put32le(uint8_t *p, uint32_t v)
{
	sl_put16le(p, (uint16_t)v);
	sl_put16le(p + 2, (uint16_t)(v >> 16));
}

static inline void
sl_put64le(uint8_t *p, uint64_t v)
{
	sl_put32le(p, (uint32_t)v);
	sl_put32le(p + 4, (uint32_t)(v >> 32));
}

static inline struct sl_reader
sl_reader(const void *data, size_t nb_bytes)
{
	return (struct sl_reader){ .at = data, .end = (const uint8_t *)data + nb_bytes };
}

static inline size_t
sl_reader_left(const struct sl_reader *r)
{
	return (size_t)(r->end - r->at);
}

// The next `n` octets in place, or NULL (and `failed`) when there are fewer.
static inline const uint8_t *
sl_read(struct sl_reader *r, size_t n)
{
	const uint8_t *p = r->at;

	if (r->failed || sl_reader_left(r) < n) {
		r->failed = true;
		return NULL;
	}
	r->at += n;
	return p;
}

static inline uint8_t
sl_read8(struct sl_reader *r)
{
	const uint8_t *p = sl_read(r, 1);

	return p == NULL ? 0 : *p;
}

static inline uint16_t
sl_read16(struct sl_reader *r)
{
	const uint8_t *p = sl_read(r, 2);

	return p == NULL ? 0 : sl_get16(p);
}

static inline uint32_t
sl_read32(struct sl_reader *r)
{
	const uint8_t *p = sl_read(r, 4);

	return p == NULL ? 0 : sl_get32(p);
}

static inline struct sl_writer
sl_writer(void *data, size_t nb_bytes)
{
	return (struct sl_writer){ .begin = data, .at = data, .end = (uint8_t *)data + nb_bytes };
}

static inline size_t
sl_writer_len(const struct sl_writer *w)
{
	return (size_t)(w->at - w->begin);
}

// Room for `n` octets to be filled by the caller, or NULL (and `failed`).
static inline uint8_t *
sl_write_room(struct sl_writer *w, size_t n)
{
	uint8_t *p = w->at;

	if (w->failed || (size_t)(w->end - w->at) < n) {
		w->failed = true;
		return NULL;
	}
	w->at += n;
	return p;
}

static inline void
sl_write(struct sl_writer *w, const void *data, size_t n)
{
	uint8_t *p = sl_write_room(w, n);

	if (p != NULL && n != 0)
		memcpy(p, data, n);
}

static inline void
sl_write8(struct sl_writer *w, uint8_t v)
{
	sl_write(w, &v, 1);
}

static inline void
sl_write16(struct sl_writer *w, uint16_t v)
{
	uint8_t *p = sl_write_room(w, 2);

	if (p != NULL)
		sl_put16(p, v);
}

static inline void
sl_write32(struct sl_writer *w, uint32_t v)
{
	uint8_t *p = sl_write_room(w, 4);

	if (p != NULL)
		sl_put32(p, v);
}
