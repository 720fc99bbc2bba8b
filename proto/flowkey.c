#include <sluice/proto/bytes.h>
#include <sluice/proto/flowkey.h>
#include <sluice/proto/limits.h>
#include <string.h>

struct sip {
	uint64_t v[4];
};

static inline uint64_t
rotl(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

static inline void
sip_rounds(struct sip *s, unsigned nb)
{
	uint64_t *v = s->v;

	for (unsigned i = 0; i < nb; i++) {
		v[0] += v[1];
		v[1] = rotl(v[1], 13) ^ v[0];
		v[0] = rotl(v[0], 32);
		v[2] += v[3];
		v[3] = rotl(v[3], 16) ^ v[2];
		v[0] += v[3];
		v[3] = rotl(v[3], 21) ^ v[0];
		v[2] += v[1];
		v[1] = rotl(v[1], 17) ^ v[2];
		v[2] = rotl(v[2], 32);
	}
}

static inline void
sip_word(struct sip *s, uint64_t word)
{
	s->v[3] ^= word;
	sip_rounds(s, 2);
	s->v[0] ^= word;
}

void
sl_siphash128(
	const uint8_t key[SL_FLOWKEY_SECRET_BYTES],
	const void *data,
	size_t nb_bytes,
	uint8_t out[16]
)
{
	const uint8_t *p = data;
	uint64_t k0 = sl_get64le(key);
	uint64_t k1 = sl_get64le(key + 8);
	uint64_t last = (uint64_t)nb_bytes << 56;
	struct sip s = { {
		k0 ^ 0x736f6d6570736575ull,
		k1 ^ 0x646f72616e646f6dull ^ 0xee,
		k0 ^ 0x6c7967656e657261ull,
		k1 ^ 0x7465646279746573ull,
	} };

	for (; nb_bytes >= 8; nb_bytes -= 8, p += 8)
		sip_word(&s, sl_get64le(p));
	for (size_t i = 0; i < nb_bytes; i++)
		last |= (uint64_t)p[i] << (8 * i);
	sip_word(&s, last);
	s.v[2] ^= 0xee;
	sip_rounds(&s, 4);
	sl_put64le(out, s.v[0] ^ s.v[1] ^ s.v[2] ^ s.v[3]);
	s.v[1] ^= 0xdd;
	sip_rounds(&s, 4);
	sl_put64le(out + 8, s.v[0] ^ s.v[1] ^ s.v[2] ^ s.v[3]);
}

void
sl_flowkey_derive(
	const struct sl_flowkey_key *key,
	const struct sl_flowkey_input *input,
	uint8_t flow_key[SL_FLOWKEY_BYTES]
)
{
	static const uint8_t zero[SL_FLOWKEY_BYTES];
	uint8_t message[16 + 2 + 2 + 3 + UINT8_MAX];

	// Fixed offsets and the length octet make the encoding injective.
	memcpy(message, input->client, 16);
	memcpy(message + 16, &input->client_port_be, 2);
	memcpy(message + 18, &input->port_be, 2);
	message[20] = input->protocol;
	message[21] = input->destination_kind;
	message[22] = input->destination_bytes;
	memcpy(message + 23, input->destination, input->destination_bytes);
	sl_siphash128(key->secret, message, 23u + input->destination_bytes, flow_key);
	if (memcmp(flow_key, zero, sizeof(zero)) == 0)
		flow_key[0] = 1;
}
