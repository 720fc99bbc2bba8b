// wireguard_ahead: a burst may be of as many clients as it has packets. What opening them will read is
// asked for together, step by step since one thing leads to the next.
#pragma once

#include <sluice/dp/node.h>
#include <sluice/dp/session.h>
#include <sluice/dp/snapshot.h>
#include <sluice/dp/worker.h>
#include <sluice/proto/keypair.h>

struct opening {
	struct sl_keypair *keypair;
	struct sl_session *session;
	uint64_t counter;
	uint32_t index;
	bool is_located; // index and counter are read
};

// Ask for the memory that the checks and the engine will read: of ten thousand clients hardly any is
// in the cache.
static inline void
ahead_keypair(const struct sl_worker *w, struct opening *o)
{
	o->keypair = sl_sessions_keypair(w->sessions, o->index);
	if (unlikely(o->keypair == NULL))
		return;
	rte_prefetch0(o->keypair);
	rte_prefetch0_write(&o->keypair->lanes[0]);
}

static inline void
ahead_session(const struct sl_worker *w, struct opening *o)
{
	if (unlikely(o->keypair == NULL))
		return;
	o->session = &w->sessions->sessions[o->keypair->session];
	rte_prefetch0_write(&o->session->lanes[w->idx]);
	rte_prefetch0(&w->snapshot->ends[o->keypair->client]);
}

static inline void
wireguard_open_ahead(const struct sl_worker *w, struct opening *openings, uint16_t nb)
{
	for (uint16_t i = 0; i < nb; i++)
		if (likely(openings[i].is_located))
			ahead_keypair(w, &openings[i]);
	for (uint16_t i = 0; i < nb; i++)
		if (likely(openings[i].is_located))
			ahead_session(w, &openings[i]);
}
