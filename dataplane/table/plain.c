#include <rte_common.h>

#include <sluice/dp/meta.h>
#include <sluice/dp/plain.h>
#include <stdlib.h>

struct sl_plain_clients {
	uint8_t lengths[33]; // prefix lengths in use, longest first
	uint8_t nb_lengths;
	uint32_t mask;
	struct sl_plain_entry slots[]; // open addressing; client SL_NO_CLIENT: free
};

static rte_be32_t
masked(rte_be32_t address, unsigned bits)
{
	return bits == 0 ? 0 : address & rte_cpu_to_be_32(UINT32_MAX << (32 - bits));
}

// The table is filled from the operator's file alone, so the hash needs no secret. What tells neighbours
// apart are the highest bits of a prefix: they must reach the low bits of the slot.
static uint32_t
slot_of(const struct sl_plain_entry *e)
{
	uint64_t x = ((uint64_t)e->prefix << 32) | ((uint32_t)e->port << 16) | e->vlan;

	x ^= (uint64_t)e->prefix_bits << 24;
	x = (x ^ x >> 32) * 0x9e3779b97f4a7c15ull;
	x = (x ^ x >> 29) * 0xbf58476d1ce4e5b9ull;
	return (uint32_t)(x >> 32);
}

static int
is_same(const struct sl_plain_entry *a, const struct sl_plain_entry *b)
{
	return a->prefix == b->prefix && a->port == b->port && a->vlan == b->vlan &&
		a->prefix_bits == b->prefix_bits;
}

struct sl_plain_clients *
sl_plain_build(const struct sl_plain_entry *entries, uint32_t nb)
{
	uint32_t nb_slots = 16;
	struct sl_plain_clients *p;
	uint64_t seen = 0;

	while (nb_slots < nb * 2)
		nb_slots *= 2;
	p = calloc(1, sizeof(*p) + (size_t)nb_slots * sizeof(p->slots[0]));
	if (p == NULL)
		return NULL;
	p->mask = nb_slots - 1;
	for (uint32_t i = 0; i < nb_slots; i++)
		p->slots[i].client = SL_NO_CLIENT;
	for (uint32_t i = 0; i < nb; i++) {
		struct sl_plain_entry e = entries[i];
		uint32_t at;

		e.prefix = masked(e.prefix, e.prefix_bits);
		for (at = slot_of(&e) & p->mask; p->slots[at].client != SL_NO_CLIENT;)
			at = (at + 1) & p->mask;
		p->slots[at] = e;
		seen |= 1ull << e.prefix_bits;
	}
	for (int bits = 32; bits >= 0; bits--)
		if (seen & (1ull << bits))
			p->lengths[p->nb_lengths++] = (uint8_t)bits;
	return p;
}

void
sl_plain_free(struct sl_plain_clients *p)
{
	free(p);
}

static inline struct sl_plain_entry
wanted(uint16_t port, uint16_t vlan, rte_be32_t source, uint8_t bits)
{
	return (struct sl_plain_entry
	){ .prefix = masked(source, bits), .port = port, .vlan = vlan, .prefix_bits = bits };
}

unsigned
sl_plain_longest(const struct sl_plain_clients *p)
{
	unsigned longest = 0;

	for (uint32_t at = 0; at <= p->mask; at++)
		if (p->slots[at].client != SL_NO_CLIENT)
			longest = RTE_MAX(longest, ((at - slot_of(&p->slots[at])) & p->mask) + 1);
	return longest;
}

void
sl_plain_prefetch(const struct sl_plain_clients *p, uint16_t port, uint16_t vlan, rte_be32_t source)
{
	struct sl_plain_entry longest = wanted(port, vlan, source, p->lengths[0]);

	__builtin_prefetch(&p->slots[slot_of(&longest) & p->mask]);
}

uint32_t
sl_plain_find(const struct sl_plain_clients *p, uint16_t port, uint16_t vlan, rte_be32_t source)
{
	for (unsigned i = 0; i < p->nb_lengths; i++) {
		struct sl_plain_entry want = wanted(port, vlan, source, p->lengths[i]);
		uint32_t at = slot_of(&want) & p->mask;

		for (; p->slots[at].client != SL_NO_CLIENT; at = (at + 1) & p->mask)
			if (is_same(&p->slots[at], &want))
				return p->slots[at].client;
	}
	return SL_NO_CLIENT;
}
