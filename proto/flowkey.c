#include <sluice/proto/bytes.h>
#include <sluice/proto/flowkey.h>
#include <sluice/proto/limits.h>
#include <sluice/proto/siphash.h>
#include <string.h>

void
sl_siphash128(
	const uint8_t key[SL_FLOWKEY_SECRET_BYTES],
	const void *data,
	size_t nb_bytes,
	uint8_t out[16]
)
{
	struct sl_sip s = sl_sip_begin(sl_get64le(key), sl_get64le(key + 8));

	s.v[1] ^= 0xee;
	sl_sip_data(&s, data, nb_bytes, 2);
	s.v[2] ^= 0xee;
	sl_sip_rounds(&s, 4);
	sl_put64le(out, sl_sip_fold(&s));
	s.v[1] ^= 0xdd;
	sl_sip_rounds(&s, 4);
	sl_put64le(out + 8, sl_sip_fold(&s));
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
