#include <sluice/proto/bytes.h>
#include <sluice/proto/hello.h>
#include <string.h>

void
sl_hello_put(struct sl_wire_hello *out, const struct sl_hello *hello)
{
	memset(out, 0, sizeof(*out));
	sl_put16le(out->version_le, hello->version);
	sl_put16le(out->lanes_le, hello->nb_lanes);
	sl_put32le(out->capabilities_le, hello->capabilities);
	sl_put64le(out->incarnation_le, hello->incarnation);
	out->ciphers = hello->ciphers;
	out->cipher = (uint8_t)hello->cipher;
	sl_put16le(out->workers_le, hello->nb_workers);
}

bool
sl_hello_get(struct sl_hello *out, const struct sl_wire_hello *wire)
{
	if (wire->cipher > SL_CIPHER_CHACHA20_POLY1305)
		return false;
	*out = (struct sl_hello){
		.version = sl_get16le(wire->version_le),
		.nb_lanes = sl_get16le(wire->lanes_le),
		.nb_workers = sl_get16le(wire->workers_le),
		.capabilities = sl_get32le(wire->capabilities_le),
		.incarnation = sl_get64le(wire->incarnation_le),
		.ciphers = wire->ciphers,
		.cipher = (enum sl_cipher)wire->cipher,
	};
	return out->version > 0 && out->nb_lanes > 0 && out->nb_workers > 0;
}

static void
agree(struct sl_agreement *out, const struct sl_hello *own, const struct sl_hello *peer)
{
	uint16_t lanes = own->nb_lanes < peer->nb_lanes ? own->nb_lanes : peer->nb_lanes;

	*out = (struct sl_agreement){
		.version = own->version < peer->version ? own->version : peer->version,
		.nb_lanes = lanes < SL_WIRE_MAX_LANES ? lanes : SL_WIRE_MAX_LANES,
		.peer_workers = peer->nb_workers,
		.capabilities = own->capabilities & peer->capabilities,
		.incarnation = peer->incarnation,
	};
}

bool
sl_hello_choose(struct sl_agreement *out, const struct sl_hello *own, const struct sl_hello *asked)
{
	uint8_t common = own->ciphers & asked->ciphers;

	if ((common & (SL_HELLO_AES | SL_HELLO_CHACHA20)) == 0)
		return false;
	agree(out, own, asked);
	out->cipher = (common & SL_HELLO_AES) != 0 ? SL_CIPHER_AES256_GCM
						   : SL_CIPHER_CHACHA20_POLY1305;
	return true;
}

bool
sl_hello_accept(struct sl_agreement *out, const struct sl_hello *own, const struct sl_hello *answer)
{
	struct sl_agreement chosen;

	// Both ends choose alike, so an answer that differs is wrong, not merely unexpected.
	if (!sl_hello_choose(&chosen, own, answer) || chosen.cipher != answer->cipher)
		return false;
	*out = chosen;
	return true;
}
