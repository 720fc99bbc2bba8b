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

// Worker thread: room for a record of our own on a lane of this worker's; NULL without a packet buffer.
struct rte_mbuf *
sl_upkeep_record(struct sl_worker *w, uint32_t session, uint16_t lane, uint16_t nb_bytes);
// It, or another packet of this worker's making, into its own mailbox: the next walk takes it to
// `stage`. Taken over; false and freed when the mailbox is full.
bool sl_upkeep_to_self(struct sl_worker *w, struct rte_mbuf *m, uint8_t stage);

// Worker thread, nodes too: tell the far end that the flow is over, by the next walk. What cannot be
// told (its id is not known yet, no packet buffer) times out there.
void sl_upkeep_close(struct sl_worker *w, const struct sl_flow *f, enum sl_close_reason reason);
