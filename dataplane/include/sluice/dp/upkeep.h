// upkeep: what a worker does between two walks: mail from the session thread, expiry of flows,
// heartbeats of its sessions. Every call is bounded: a sweep looks at a share of the table.
#pragma once

#include <sluice/dp/mail.h>
#include <sluice/dp/worker.h>

// Worker thread.
void sl_upkeep_mail(struct sl_worker *w, struct sl_mail *mail);
void sl_upkeep_tick(struct sl_worker *w);
