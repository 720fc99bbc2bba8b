// ask: DNS questions of clients, what their answers must be, and the private DNS server.
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_BYTES 12u
#define ANSWER_BYTES 16u // compressed owner, type, class, TTL, length, address
#define TYPE_A       1u
#define FIRST_PORT   20000u
#define SUFFIX       "\4load\7example"

// "hN.load.example" on the wire, with type and class behind; octets.
static unsigned
put_question(uint8_t *at, uint32_t name)
{
	char label[16];
	unsigned nb = (unsigned)snprintf(label, sizeof(label), "h%u", name);

	at[0] = (uint8_t)nb;
	memcpy(at + 1, label, nb);
	memcpy(at + 1 + nb, SUFFIX, sizeof(SUFFIX)); // with the root label
	nb += 1 + (unsigned)sizeof(SUFFIX);
	memcpy(at + nb, "\0\1\0\1", 4);
	return nb + 4;
}

static void
put16(uint8_t *at, unsigned v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static void
put32(uint8_t *at, uint32_t v)
{
	put16(at, v >> 16);
	put16(at + 2, v & 0xffffu);
}

static unsigned
get16(const uint8_t *at)
{
	return (unsigned)at[0] << 8 | at[1];
}

struct rte_mbuf *
load_ask_make(struct load *l, uint32_t client, uint32_t name)
{
	uint32_t i = (uint32_t)(l->nb_made++ % LOAD_SLOTS);
	struct load_slot *slot = &l->slots[i];
	uint8_t message[64] = { 0 };
	struct load_udp u = {
		.from = LOAD_CLIENT_BASE + client,
		.to = LOAD_RESOLVER,
		.from_port = (uint16_t)(FIRST_PORT + (i >> 16)),
		.to_port = 53,
		.payload = message,
	};

	put16(message, i & 0xffffu);
	message[2] = 0x01; // RD
	message[5] = 1; // QDCOUNT
	u.payload_bytes = HEADER_BYTES + put_question(message + HEADER_BYTES, name);
	*slot = (struct load_slot){
		.sent_tsc = __rdtsc(),
		.client = client,
		.name = name,
		.trial = l->trial_id,
		.is_waiting = true,
	};
	return load_udp_make(l, &l->clients, &u);
}

struct rte_mbuf *
load_ask_next(struct load *l)
{
	uint64_t r = sl_bench_random(&l->random);

	return load_ask_make(l, (uint32_t)(r >> 32) % l->o.nb_clients, (uint32_t)r % l->o.nb_names);
}

// The one right answer: the question again, one A record of the pool, and always the same one.
static bool
is_right(struct load *l, const struct load_slot *slot, const struct load_udp *u)
{
	uint8_t question[64];
	unsigned nb = put_question(question, slot->name);
	const uint8_t *m = u->payload, *record = m + HEADER_BYTES + nb;
	uint32_t address;

	if (u->payload_bytes < HEADER_BYTES + nb + ANSWER_BYTES || get16(m + 4) != 1 ||
	    get16(m + 6) != 1 || memcmp(m + HEADER_BYTES, question, nb) != 0 ||
	    memcmp(record, "\xc0\x0c\0\1\0\1", 6) != 0 || get16(record + 10) != 4)
		return false;
	address = (uint32_t)get16(record + 12) << 16 | get16(record + 14);
	if ((address & LOAD_POOL_MASK) != LOAD_POOL)
		return false;
	if (l->addresses[slot->name] == 0)
		l->addresses[slot->name] = address;
	return l->addresses[slot->name] == address;
}

void
load_ask_take(struct load *l, const struct load_udp *u)
{
	struct load_trial *t = l->trial;
	struct load_slot *slot;
	uint32_t i;

	if (u->payload_bytes < HEADER_BYTES ||
	    (unsigned)u->to_port - FIRST_PORT >= LOAD_SLOTS >> 16) {
		t->nb_wrong++;
		return;
	}
	i = ((unsigned)u->to_port - FIRST_PORT) << 16 | get16(u->payload);
	slot = &l->slots[i];
	if (!slot->is_waiting || slot->trial != l->trial_id) {
		t->nb_late++;
		return;
	}
	slot->is_waiting = false;
	if ((u->payload[3] & 0xf) != 0) {
		t->nb_refused++;
	} else if (u->from != LOAD_RESOLVER || u->to != LOAD_CLIENT_BASE + slot->client || !is_right(l, slot, u)) {
		t->nb_wrong++;
	} else {
		t->nb_answered++;
		load_hist_add(&t->latency, __rdtsc() - slot->sent_tsc);
	}
}

unsigned
load_ask_serve(struct load *l, uint8_t *message, unsigned nb_bytes, unsigned room)
{
	unsigned name = 0, end;
	bool is_ours;
	uint8_t *record;
	char label[16] = { 0 };

	if (nb_bytes < HEADER_BYTES + 5 || (message[2] & 0x80) != 0 || message[HEADER_BYTES] > 15)
		return 0;
	memcpy(label, message + HEADER_BYTES + 1, message[HEADER_BYTES]);
	for (end = HEADER_BYTES; end < nb_bytes && message[end] != 0;)
		end += 1u + message[end];
	if (end + 5 > nb_bytes || end + 5 + ANSWER_BYTES > room)
		return 0;
	is_ours = (label[0] | 0x20) == 'h' && sscanf(label + 1, "%u", &name) == 1 &&
		name < l->o.nb_names;
	message[2] = (uint8_t)(0x84 | (message[2] & 1)); // QR AA
	message[3] = is_ours ? 0x80 : 0x83; // RA, and NXDOMAIN
	memset(message + 6, 0, 6);
	record = message + end + 5;
	if (!is_ours || get16(message + end + 1) != TYPE_A)
		return end + 5;
	message[7] = 1;
	memcpy(record, "\xc0\x0c\0\1\0\1\0\0\x0e\x10\0\4", 12);
	put32(record + 12, LOAD_HOST_BASE + name);
	return end + 5 + ANSWER_BYTES;
}
