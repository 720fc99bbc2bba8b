// peer_internal: what the two halves of the session machine, handshakes and timers, share.
#pragma once

#include <sluice/proto/limits.h>
#include <sluice/proto/peer.h>

#define SECONDS_NS(s) ((uint64_t)(s)*SL_NS_PER_S)

// The next event of `out`, zeroed. There is always room: no call asks for more than
// SL_PEER_EVENTS_MAX.
struct sl_peer_event *sl_peer_emit(struct sl_peer_output *out, enum sl_peer_event_type type);

// Free the index of a slot, if it is used.
void sl_peer_drop_slot(struct sl_peer_slot *slot, struct sl_peer_output *out);

// The index of the last initiation is free again, if it still holds one.
void sl_peer_drop_handshake_index(struct sl_peer *peer, struct sl_peer_output *out);

// End the initiation under way, if any, giving up its index.
void sl_peer_stop_asking(struct sl_peer *peer, struct sl_peer_output *out);

// `slot` becomes the one to seal with; what was goes to `previous`, or away if the peer restarted.
void sl_peer_promote(struct sl_peer *peer, struct sl_peer_slot slot, struct sl_peer_output *out);

// Send one initiation, with an ephemeral key of its own.
void
sl_peer_send_initiation(struct sl_peer *peer, struct sl_peer_now now, struct sl_peer_output *out);
