// limits: every protocol constant that both ends or several files rely on, units in the names.
#pragma once

#include <stdint.h>

#define SL_NS_PER_S  1000000000ull
#define SL_NS_PER_MS 1000000ull

// Handshake and keys; the WireGuard paper, section 6, whose values the tunnel keeps.
#define SL_REKEY_AFTER_S           120u
#define SL_REJECT_AFTER_S          180u
#define SL_REKEY_ATTEMPT_S         90u
#define SL_REKEY_TIMEOUT_S         5u
#define SL_KEEPALIVE_TIMEOUT_S     10u
#define SL_REKEY_AFTER_MESSAGES    (1ull << 60)
#define SL_REJECT_AFTER_MESSAGES   (UINT64_MAX - (1ull << 13))
#define SL_COOKIE_SECRET_MAX_AGE_S 120u

// Replay windows, in datagrams.
#define SL_REPLAY_TUNNEL_PKTS    2048u // per lane
#define SL_REPLAY_WIREGUARD_PKTS 8192u

// Tunnel sessions.
#define SL_HEARTBEAT_MS     100u
#define SL_SUSPECT_MS       300u
#define SL_DEAD_MS          1000u
#define SL_FLOW_SLOT_REST_S 30u // a freed flow id is not given again sooner

// A link that has sent and not been answered for so long asks anew (OPEN or ACCEPT with its packet).
#define SL_FLOW_ASK_AGAIN_S 3u
// Ids a link has not used for so long are forgotten: before 255 rests of a slot have passed and its
// generation can come round again.
#define SL_FLOW_ID_TRUST_S 7500u
// How long a flow lives whose peer says that it does not know it and does not open it again.
#define SL_FLOW_ORPHAN_S 240u

// Tickets: how long one is good for, and how often an opener gives a fresh one to a flow that lasts.
#define SL_TICKET_LIFETIME_S 1800u
#define SL_TICKET_FIRST_S    4u // age of a flow at which the first, which may be lost, is repeated
#define SL_TICKET_AGAIN_S    256u

// Record fragments.
#define SL_RECORD_FRAGMENT_TIMEOUT_MS 2000u

// Names.
#define SL_NAME_MAX_BYTES 253u // presentation form, no trailing dot
