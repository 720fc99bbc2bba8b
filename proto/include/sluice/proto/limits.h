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
#define SL_HEARTBEAT_MS      100u
#define SL_SUSPECT_MS        300u
#define SL_DEAD_MS           1000u
#define SL_FLOW_SLOT_REST_S  30u // a freed flow id is not given again sooner

// Names.
#define SL_NAME_MAX_BYTES 253u // presentation form, no trailing dot
