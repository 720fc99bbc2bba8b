// mpsc: a bounded queue of fixed-size elements, many producers, one consumer, no locks.
//
// Elements are copied in and out. A full queue refuses, it never waits: the producer counts the
// loss or tries later. Each cell carries a sequence number that says whose turn it is (after
// D. Vyukov's bounded queue). Sleeping and waking is the caller's business (an eventfd).
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sl_mpsc {
	uint8_t *cells;
	size_t cell_bytes; // the sequence number and one element, a multiple of 16
	size_t element_bytes;
	uint64_t mask;
	_Alignas(64) atomic_uint_fast64_t head; // producers: next cell to claim
	_Alignas(64) uint64_t tail; // consumer alone: next cell to take
};

// `nb` is rounded up to a power of two. Returns 0 or -ENOMEM.
[[nodiscard]] int sl_mpsc_init(struct sl_mpsc *queue, uint32_t nb, size_t element_bytes);
void sl_mpsc_free(struct sl_mpsc *queue);

// Copy `element` in; any thread. False when full.
bool sl_mpsc_push(struct sl_mpsc *queue, const void *element);

// Take the oldest element; the consumer alone. False when empty.
bool sl_mpsc_pop(struct sl_mpsc *queue, void *element);

// Whether a pop would fail right now; the consumer alone.
bool sl_mpsc_empty(const struct sl_mpsc *queue);
