// flow_retry: a connector's flow that nobody has answered goes on to the next address of its name;
// see sluice/dp/retry.h.
#pragma once

#include "flow_common.h"

#include <sluice/dp/retry.h>

// A flow was made for the first address of `pool`.
void sl_flow_retry_note(struct sl_worker *w, uint32_t index, const struct sl_pool *pool);

// A SYN of the flow is on its way to the host, in carried form: its first is kept, to be repeated; a
// further one means that the host is silent, and the flow moves on when it can.
void sl_flow_retry_syn(struct sl_worker *w, struct sl_flow *f, const struct sl_rec *rec);

// The host answered the first packet with a RST, or it cannot be reached. What becomes of that answer,
// `m`:
enum sl_retry {
	SL_RETRY_TELL, // nothing is left to try: it goes its way
	SL_RETRY_SENT, // it has become the SYN to the next address, at L3
	SL_RETRY_TAKEN, // the client's next packet will go to the next address
};
enum sl_retry_why { SL_RETRY_REFUSED, SL_RETRY_UNREACHABLE };
enum sl_retry
sl_flow_retry(struct sl_worker *w, struct rte_mbuf *m, struct sl_flow *f, enum sl_retry_why why);
