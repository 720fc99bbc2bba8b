// last_words: what a worker says of its own accord, by its own mailbox, when flows end: to their peer, and to
// clients whose connector is gone. sl_upkeep_record() and its like of upkeep.h are here too.
#pragma once

#include <sluice/dp/flow.h>
#include <sluice/dp/worker.h>
#include <sluice/proto/record.h>

// A PoP's flow whose connector is gone, or, with TCP, has restarted and knows nothing of it. A flow that
// has asked the new incarnation itself, by the client's next packet, is not: its answer is under way.
bool sl_words_is_cut(const struct sl_worker *w, const struct sl_flow *f);

// The client hears at once that its conversation is over, not with its next packet. False: no packet
// buffer, so that the flow stays for another try.
bool sl_words_to_client(struct sl_worker *w, const struct sl_flow *f, enum sl_close_reason reason);

// After mail that a session is gone or its peer restarted: go over the table, in as many turns as it
// takes, and reset the conversations that were cut.
void sl_words_tick(struct sl_worker *w);
