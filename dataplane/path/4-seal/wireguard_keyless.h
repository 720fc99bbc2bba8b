// wireguard_keyless: a packet for a WireGuard client that has no key in force. The session thread may
// know where the client was, ask it for a key and hold the packet meanwhile; but a client that is away
// costs it no more than a few packets a second.
#pragma once

#include <sluice/dp/hash.h>
#include <sluice/dp/node.h>
#include <sluice/dp/worker.h>

#define SL_KEYLESS_A_SECOND 4096u // all clients of a worker
#define SL_KEYLESS_PKTS     8u // of one client,
#define SL_KEYLESS_AGAIN_DS 10u // in this time

// Is the packet to be shown to the session thread? If so meta->punt is set.
static inline bool
wireguard_is_shown(struct sl_worker *w, struct sl_meta *meta)
{
	struct sl_keyless_clients *k = &w->keyless;
	uint32_t slot = meta->client % SL_KEYLESS_CLIENTS;

	if ((int32_t)(w->now_ds - k->until_ds[slot]) >= 0) {
		k->until_ds[slot] = w->now_ds + SL_KEYLESS_AGAIN_DS;
		k->nb_shown[slot] = 0;
	}
	if (k->nb_shown[slot] == SL_KEYLESS_PKTS ||
	    !sl_bucket_take(&k->bucket, SL_KEYLESS_A_SECOND, SL_KEYLESS_A_SECOND / 4, 1, w->now_ns))
		return false;
	k->nb_shown[slot]++;
	meta->punt = SL_PUNT_NO_KEY;
	return true;
}
