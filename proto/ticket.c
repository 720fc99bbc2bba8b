#include <sluice/proto/bytes.h>
#include <sluice/proto/limits.h>
#include <sluice/proto/ticket.h>
#include <string.h>

#define HEAD_BYTES   16u
#define SEALED_BYTES 32u
#define FORMAT       1u

static_assert(HEAD_BYTES + SEALED_BYTES + SL_AEAD_TAG_BYTES == SL_WIRE_TICKET_BYTES);

// The message is shorter than any that a flow key is made of, so the two uses of the secret never
// meet (flowkey.c).
static void
derive_key(
	const struct sl_flowkey_key *secret, uint64_t incarnation, uint8_t key[SL_AEAD_KEY_BYTES]
)
{
	uint8_t message[17];

	memcpy(message, "tickets", 8);
	sl_put64(message + 8, incarnation);
	for (uint8_t half = 0; half < 2; half++) {
		message[16] = half;
		sl_siphash128(secret->secret, message, sizeof(message), key + 16 * half);
	}
}

struct sealing {
	struct sl_aead_key key;
	uint8_t aad[HEAD_BYTES + 2 * SL_TICKET_PEER_BYTES];
	struct sl_aead_op op;
};

static void
prepare(struct sealing *s,
	struct sl_aead *engine,
	const struct sl_ticket_parties *parties,
	const uint8_t *head,
	uint8_t *data,
	uint8_t *tag)
{
	uint8_t raw[SL_AEAD_KEY_BYTES];

	derive_key(parties->secret, sl_get64(head), raw);
	engine->ops->expand(engine, &s->key, SL_CIPHER_AES256_GCM, raw);
	sl_wipe(raw, sizeof(raw));
	memcpy(s->aad, head, HEAD_BYTES);
	memcpy(s->aad + HEAD_BYTES, parties->own, SL_TICKET_PEER_BYTES);
	memcpy(s->aad + HEAD_BYTES + SL_TICKET_PEER_BYTES, parties->peer, SL_TICKET_PEER_BYTES);
	s->op = (struct sl_aead_op){
		.key = s->key.expanded,
		.cipher = SL_CIPHER_AES256_GCM,
		.data = data,
		.tag = tag,
		.aad = s->aad,
		.nb_bytes = SEALED_BYTES,
		.nb_aad_bytes = sizeof(s->aad),
	};
	memcpy(s->op.nonce + 4, head + 8, 8);
}

void
sl_ticket_seal(
	struct sl_aead *engine,
	const struct sl_ticket_parties *parties,
	uint64_t incarnation,
	uint64_t sequence,
	const struct sl_ticket *ticket,
	uint8_t out[SL_WIRE_TICKET_BYTES]
)
{
	uint8_t *p = out + HEAD_BYTES;
	struct sealing s;

	sl_put64(out, incarnation);
	sl_put64(out + 8, sequence);
	memset(p, 0, SEALED_BYTES);
	p[0] = FORMAT;
	p[1] = ticket->protocol;
	memcpy(p + 2, &ticket->client_port_be, 2);
	memcpy(p + 4, &ticket->port_be, 2);
	memcpy(p + 8, ticket->client, 4);
	memcpy(p + 12, ticket->destination, 4);
	sl_put32(p + 16, ticket->scope);
	sl_put32(p + 20, ticket->issued_s);
	sl_put64(p + 24, ticket->client_mark);
	prepare(&s, engine, parties, out, p, p + SEALED_BYTES);
	engine->ops->seal(engine, &s.op, 1);
	sl_wipe(&s.key, sizeof(s.key));
}

enum sl_ticket_verdict
sl_ticket_open(
	struct sl_aead *engine,
	const struct sl_ticket_parties *parties,
	uint64_t own_incarnation,
	uint32_t now_s,
	const uint8_t in[SL_WIRE_TICKET_BYTES],
	struct sl_ticket *ticket
)
{
	uint8_t p[SEALED_BYTES], tag[SL_AEAD_TAG_BYTES];
	struct sealing s;
	int32_t age_s;

	memcpy(p, in + HEAD_BYTES, sizeof(p));
	memcpy(tag, in + HEAD_BYTES + SEALED_BYTES, sizeof(tag));
	prepare(&s, engine, parties, in, p, tag);
	engine->ops->open(engine, &s.op, 1);
	sl_wipe(&s.key, sizeof(s.key));
	if (!s.op.authentic)
		return SL_TICKET_FORGED;
	if (p[0] != FORMAT)
		return SL_TICKET_FORMAT;
	*ticket = (struct sl_ticket){
		.client_mark = sl_get64(p + 24),
		.scope = sl_get32(p + 16),
		.issued_s = sl_get32(p + 20),
		.protocol = p[1],
	};
	memcpy(&ticket->client_port_be, p + 2, 2);
	memcpy(&ticket->port_be, p + 4, 2);
	memcpy(ticket->client, p + 8, 4);
	memcpy(ticket->destination, p + 12, 4);
	if (sl_get64(in) == own_incarnation)
		return SL_TICKET_PRESENT;
	// The wall clock may have been stepped, either way.
	age_s = (int32_t)(now_s - ticket->issued_s);
	if (age_s > (int32_t)SL_TICKET_LIFETIME_S || age_s < -(int32_t)SL_TICKET_LIFETIME_S)
		return SL_TICKET_OLD;
	return SL_TICKET_GOOD;
}

uint64_t
sl_ticket_id(const uint8_t in[SL_WIRE_TICKET_BYTES])
{
	uint64_t id = sl_get64(in + HEAD_BYTES + SEALED_BYTES);

	return id == 0 ? 1 : id;
}
