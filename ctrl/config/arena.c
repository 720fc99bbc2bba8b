#include "arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ALIGN_BYTES 16u

struct sl_arena *
sl_arena_new(size_t size_bytes)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	void *base = mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
	struct sl_arena *arena = base;

	if (base == MAP_FAILED)
		return NULL;
	arena->base = base;
	arena->size_bytes = size_bytes;
	arena->used_bytes = (sizeof(*arena) + ALIGN_BYTES - 1) & ~(size_t)(ALIGN_BYTES - 1);
	return arena;
}

void
sl_arena_free(struct sl_arena *arena)
{
	if (arena != NULL)
		munmap(arena->base, arena->size_bytes);
}

void
sl_arena_freeze(struct sl_arena *arena)
{
	// Failure leaves the tree writable, which nobody relies on.
	(void)mprotect(arena->base, arena->size_bytes, PROT_READ);
}

void *
sl_arena_alloc(struct sl_arena *arena, size_t nb, size_t each_bytes)
{
	size_t bytes;
	char *at = arena->base + arena->used_bytes;

	if (__builtin_mul_overflow(nb, each_bytes, &bytes) ||
	    bytes > arena->size_bytes - arena->used_bytes - ALIGN_BYTES) {
		fputs("sluice: the configuration outgrew the room reserved for it\n", stderr);
		abort();
	}
	arena->used_bytes += (bytes + ALIGN_BYTES - 1) & ~(size_t)(ALIGN_BYTES - 1);
	return at;
}

char *
sl_arena_strdup(struct sl_arena *arena, const char *text)
{
	size_t bytes = strlen(text) + 1;

	return memcpy(sl_arena_alloc(arena, 1, bytes), text, bytes);
}

char *
sl_arena_printf(struct sl_arena *arena, const char *fmt, ...)
{
	va_list args;
	va_list again;
	char *text;
	int nb;

	va_start(args, fmt);
	va_copy(again, args);
	nb = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	text = sl_arena_alloc(arena, 1, nb < 0 ? 1 : (size_t)nb + 1);
	if (nb > 0)
		(void)vsnprintf(text, (size_t)nb + 1, fmt, again);
	va_end(again);
	return text;
}
