// Clients whom the PoP itself asks for a key: those whose data comes under keys that a restart has
// taken, and those for whom packets come while they have none in force. These packets wait a moment
// here, as they would with any WireGuard, so that an answer that nobody repeats is not lost.
#include "clients.h"

#include <sluice/dp/snapshot.h>

#define INITIATE_RATE  500u // a second, of those that packets bring about
#define INITIATE_BURST 500u

// The address and port by which we speak to it first.
static struct address
local_towards(const struct sl_service *s, struct address remote)
{
	const struct sl_net *net = sl_dp_net(s->dp);
	const struct sl_route *route = sl_net_route(net, remote.ip);

	if (route == NULL)
		return (struct address){ 0, 0 };
	return (struct address){ net->ports[route->port].address,
				 rte_cpu_to_be_16(net->wireguard_port) };
}

void
client_ask(struct sl_service *s, struct client *e)
{
	struct sl_peer_output out = { .nb = 0 };

	if (e->is_ready && (e->peer.current.is_used || e->peer.is_asking))
		return;
	if (e->local.ip == 0)
		e->local = local_towards(s, e->remote);
	if (e->local.ip == 0 ||
	    !sl_bucket_take(
		    &s->clients->initiations, INITIATE_RATE, INITIATE_BURST, 1, s->now_ns
	    ) ||
	    !client_ready(s, e))
		return;
	e->peer.flags |= SL_PEER_INITIATES;
	sl_peer_initiate(&e->peer, service_clocks(s), &out);
	client_carry_out(s, &out, e);
}

void
client_go_on(struct sl_service *s, struct client *e)
{
	uint16_t worker = atomic_load(&s->sessions->sessions[e->session].worker);

	for (unsigned i = 0; i < e->nb_held; i++) {
		struct rte_mbuf *m = hold_take(s, e->held[i], HOLD_KEY);

		if (m != NULL)
			to_worker(s, worker, SL_STAGE_TO_SESSION, m);
	}
	e->nb_held = 0;
}

// Forget those that have waited too long.
static void
prune(const struct sl_service *s, struct client *e)
{
	unsigned nb = 0;

	for (unsigned i = 0; i < e->nb_held; i++)
		if (holds_find(&s->holds, e->held[i], HOLD_KEY) != NULL)
			e->held[nb++] = e->held[i];
	e->nb_held = nb;
}

static struct client *
client_of(const struct sl_service *s, const struct rte_mbuf *m)
{
	uint32_t id = sl_meta((struct rte_mbuf *)(uintptr_t)m)->client, session;

	if (s->clients == NULL || id >= s->snapshot->nb_clients)
		return NULL;
	session = s->snapshot->clients[id].session;
	return session >= s->clients->nb_sessions ? NULL : s->clients->by_session[session];
}

void
clients_keyless(struct sl_service *s, struct rte_mbuf *m)
{
	struct client *e = client_of(s, m);

	// Nobody can be asked whose place is not known.
	if (e == NULL || e->remote.ip == 0) {
		rte_pktmbuf_free(m);
		return;
	}
	prune(s, e);
	if (e->nb_held == HELD_PKTS) {
		rte_pktmbuf_free(m);
	} else {
		sl_meta(m)->stages_done = 0;
		e->held[e->nb_held] = hold_put(s, HOLD_KEY, e->session, m);
		e->nb_held += e->held[e->nb_held] != HOLD_NONE;
	}
	// It may have come up in the meantime.
	if (e->is_up)
		client_go_on(s, e);
	else
		client_ask(s, e);
}
