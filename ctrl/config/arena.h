// arena: one reserved stretch of address space that a configuration grows into.
//
// Reserved once, large enough for anything the text could ask for, so that no step between parsing
// and the finished tree has an out-of-memory path of its own; pages are taken as they are touched.
#pragma once

#include <stddef.h>

struct sl_arena {
	char *base;
	size_t used_bytes;
	size_t size_bytes;
};

// NULL when the address space is not to be had. Lives inside its own first bytes.
struct sl_arena *sl_arena_new(size_t size_bytes);
void sl_arena_free(struct sl_arena *arena);

// From now on a write to anything in the arena is a fault.
void sl_arena_freeze(struct sl_arena *arena);

// Zeroed memory, aligned for any object. Never NULL: going past the reservation is a fault of the
// program (the reservation is a bound) and aborts.
void *sl_arena_alloc(struct sl_arena *arena, size_t nb, size_t each_bytes);
char *sl_arena_strdup(struct sl_arena *arena, const char *text);
char *
sl_arena_printf(struct sl_arena *arena, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
