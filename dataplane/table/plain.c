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

// The table is filled from the operator's file alone, so the hash needs no secret.
static uint32_t
slot_of(const struct sl_plain_entry *e)
{
	uint64_t x = ((uint64_t)e->prefix << 32) | ((uint32_t)e->port << 16) | e->vlan;

	x = (x ^ e->prefix_bits) * 0x9e3779b97f4a7c15ull;
	return (uint32_t)(x >> 32) ^ (uint32_t)(x >> 40);
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

uint32_t
sl_plain_find(const struct sl_plain_clients *p, uint16_t port, uint16_t vlan, rte_be32_t source)
{
	for (unsigned i = 0; i < p->nb_lengths; i++) {
		struct sl_plain_entry want = { .prefix = masked(source, p->lengths[i]),
					       .port = port,
					       .vlan = vlan,
					       .prefix_bits = p->lengths[i] };
		uint32_t at = slot_of(&want) & p->mask;

		for (; p->slots[at].client != SL_NO_CLIENT; at = (at + 1) & p->mask)
			if (is_same(&p->slots[at], &want))
				return p->slots[at].client;
	}
	return SL_NO_CLIENT;
}
