// holds: packets that wait for an answer. Whoever asks takes the ticket of a hold along; an answer that comes after
// its hold has ended finds nothing, though another packet waits in the same slot by then.
#pragma once

#include <stdint.h>

struct rte_mbuf;

#define NB_HOLDS  4096u // a power of two
#define HOLD_NONE UINT32_MAX // no hold has this ticket

enum hold_kind { HOLD_FREE = 0, HOLD_NAME, HOLD_OPEN, HOLD_RESOLVE, HOLD_ASK, HOLD_KEY };

struct hold {
	struct rte_mbuf *mbuf;
	uint64_t key; // says for what, in the terms of who holds it
	uint64_t until_ns;
	enum hold_kind kind;
	uint32_t next_free;
	uint32_t ticket; // slot, and above it how often the slot was used
};

struct holds {
	struct hold slots[NB_HOLDS];
	uint32_t first_free; // 1 + slot; 0: none
	uint32_t nb_used;
};

// At most `nb` packets wait.
void holds_init(struct holds *h, uint32_t nb);
// The ticket, or HOLD_NONE when too many wait: the packet stays the caller's.
uint32_t holds_put(
	struct holds *h, enum hold_kind kind, uint64_t key, struct rte_mbuf *m, uint64_t until_ns
);
// The hold of a ticket; NULL when it has ended or is of another kind.
const struct hold *holds_find(const struct holds *h, uint32_t ticket, enum hold_kind kind);
// End it. What it held is the caller's.
void holds_end(struct holds *h, uint32_t ticket);
