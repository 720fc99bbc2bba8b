// upkeep: what a worker does between two walks: mail from the session thread, expiry of flows,
// heartbeats of its sessions. Every call is bounded: a sweep looks at a share of the table.
#pragma once

#include <sluice/dp/flow.h>
#include <sluice/dp/mail.h>
#include <sluice/dp/worker.h>
#include <sluice/proto/wire.h>

// Worker thread.
void sl_upkeep_mail(struct sl_worker *w, struct sl_mail *mail);
void sl_upkeep_tick(struct sl_worker *w);

// Worker thread, nodes too: tell the far end that the flow is over, by the next walk. What cannot be
// told (its id is not known yet, no packet buffer) times out there.
void sl_upkeep_close(struct sl_worker *w, const struct sl_flow *f, enum sl_close_reason reason);
