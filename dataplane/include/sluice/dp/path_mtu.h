// path_mtu: how large a datagram the way to a lane's far end carries. A router's word
// (fragmentation needed) lowers the figure at once; probes, which are padded heartbeats, find it out
// where no router says anything, notice when it shrinks, and raise it again (RFC 8899). All calls:
// the lane's owner.
#pragma once

#include <sluice/dp/session.h>
#include <sluice/dp/worker.h>
#include <sluice/proto/record.h>

// The way is new: begin with what the port carries.
void sl_path_mtu_begin(struct sl_lane_endpoint *e, struct sl_path_mtu *p, uint16_t max_bytes);

// A router says what it carries. The caller has made sure that it speaks of a datagram of this lane.
// Nothing below SL_UNDERLAY_MTU_MIN is believed, nor anything that would raise the figure. True when
// the figure changed.
bool sl_path_mtu_told(
	struct sl_lane_endpoint *e, struct sl_path_mtu *p, uint16_t mtu_bytes, uint32_t now_ds
);

// What a tick asks for: a probe of that many octets (outer header included), or 0.
uint16_t sl_path_mtu_tick(struct sl_lane_endpoint *e, struct sl_path_mtu *p, uint64_t now_ns);

// The far end answered a heartbeat on this lane.
void sl_path_mtu_pong(
	struct sl_lane_endpoint *e,
	struct sl_path_mtu *p,
	const struct sl_heartbeat *pong,
	uint64_t now_ns
);

// Send the probes that are due of the worker's lanes of a session. Called a few times a second.
void sl_path_mtu_probe(struct sl_worker *w, uint32_t session);
