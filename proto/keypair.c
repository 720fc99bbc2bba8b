#include <sluice/proto/keypair.h>
#include <string.h>

#ifndef NDEBUG
sl_keypair_recorder_fn *sl_keypair_recorder;
#endif

void
sl_keypair_init(struct sl_keypair *k, const struct sl_transport_key *t, struct sl_aead *engine)
{
	memset(k, 0, sl_keypair_bytes(t->cipher, t->nb_lanes));
	k->local_index = t->local_index;
	k->remote_index = t->remote_index;
	k->nb_lanes = (uint8_t)t->nb_lanes;
	k->cipher = (uint8_t)t->cipher;
	k->peer_workers = t->peer_workers;
	k->is_initiator = t->is_initiator;
	k->created_ns = t->created_ns;
	if (t->cipher == SL_CIPHER_AES256_GCM) {
		engine->ops->expand(engine, &sl_keypair_aes(k)[0], t->cipher, t->open);
		engine->ops->expand(engine, &sl_keypair_aes(k)[1], t->cipher, t->seal);
		return;
	}
	memcpy(k->chacha_open, t->open, sizeof(k->chacha_open));
	for (unsigned i = 0; i < k->nb_lanes; i++)
		memcpy(k->lanes[i].chacha_seal, t->seal, sizeof(k->lanes[i].chacha_seal));
}
