#include <sluice/proto/keypair.h>
#include <string.h>

#ifndef NDEBUG
sl_keypair_recorder_fn *sl_keypair_recorder;
#endif

void
sl_keypair_init(struct sl_keypair *k, const struct sl_transport_key *t, struct sl_aead *engine)
{
	memset(k, 0, sl_keypair_bytes(t->nb_lanes));
	engine->ops->expand(engine, &k->seal_key, t->cipher, t->seal);
	engine->ops->expand(engine, &k->open_key, t->cipher, t->open);
	k->local_index = t->local_index;
	k->remote_index = t->remote_index;
	k->nb_lanes = t->nb_lanes;
	k->cipher = (uint8_t)t->cipher;
	k->peer_workers = t->peer_workers;
	k->is_initiator = t->is_initiator;
	k->created_ns = t->created_ns;
}
