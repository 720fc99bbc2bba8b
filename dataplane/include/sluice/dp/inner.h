// inner: what the nodes that deal with clients' packets share.
#pragma once

#include <netinet/in.h>
#include <sluice/dp/hash.h>
#include <sluice/dp/ip4.h>
#include <sluice/dp/meta.h>
#include <sluice/dp/plain.h>
#include <sluice/dp/session.h>
#include <sluice/dp/snapshot.h>
#include <sluice/dp/worker.h>

#define SL_SCOPE_WIREGUARD 0x800000u // bit 23: the rest is a client id

// Where a client's packet came from, 24 bits: two packets of one scope and source are one client's.
static inline uint32_t
sl_scope(const struct sl_meta *meta)
{
	if (meta->port == SL_PORT_WIREGUARD)
		return SL_SCOPE_WIREGUARD | meta->client;
	return (uint32_t)meta->port << 12 | meta->vlan;
}

// The worker that owns the packets of this client's address, for life.
static inline uint8_t
sl_client_owner(const struct sl_worker *w, uint32_t scope, rte_be32_t source)
{
	uint32_t who[2] = { scope, source };

	if (w->nb_workers == 1)
		return 0;
	return (uint8_t)(sl_hash(w->owner_key, who, sizeof(who)) % w->nb_workers);
}

// Client id of a packet: as WireGuard found it, or by port, VLAN and source. SL_NO_CLIENT for one
// that is unknown or revoked.
static inline uint32_t
sl_client_of(const struct sl_worker *w, const struct sl_meta *meta, rte_be32_t source)
{
	uint32_t id = meta->client;

	if (meta->port != SL_PORT_WIREGUARD)
		id = sl_plain_find(w->snapshot->plain, meta->port, meta->vlan, source);
	if (id >= w->snapshot->nb_clients || !w->snapshot->clients[id].is_live)
		return SL_NO_CLIENT;
	return id;
}

static inline const struct sl_tenant *
sl_tenant_of_client(const struct sl_worker *w, uint32_t client)
{
	return &w->snapshot->tenants[w->snapshot->clients[client].tenant];
}

static inline bool
sl_is_resolver(const struct sl_net *net, rte_be32_t address)
{
	return (sl_net_local(net, address) & SL_LOCAL_RESOLVER) != 0;
}

static inline uint32_t
sl_now_s(const struct sl_worker *w)
{
	return (uint32_t)(w->now_ns / SL_NS_PER_S);
}

// Does an address stand for something here, so that a refusal may come from it? Others would be
// private addresses, which no packet toward a client shows.
static inline bool
sl_is_answerable(const struct sl_net *net, rte_be32_t address)
{
	return ((address ^ net->pool) & net->pool_mask) == 0 ||
		(sl_net_local(net, address) & (SL_LOCAL_RESOLVER | SL_LOCAL_PORT)) != 0;
}
