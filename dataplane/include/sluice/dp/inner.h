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

// The client a packet says it is of: as WireGuard found it, or by port, VLAN and source.
static inline uint32_t
sl_client_claimed(const struct sl_worker *w, const struct sl_meta *meta, rte_be32_t source)
{
	if (meta->port == SL_PORT_WIREGUARD)
		return meta->client;
	return sl_plain_find(w->snapshot->plain, meta->port, meta->vlan, source);
}

// `id`, or SL_NO_CLIENT for one that is unknown or revoked.
static inline uint32_t
sl_client_live(const struct sl_worker *w, uint32_t id)
{
	if (id >= w->snapshot->nb_clients || !w->snapshot->clients[id].is_live)
		return SL_NO_CLIENT;
	return id;
}

// Client id of a packet; SL_NO_CLIENT for one that is unknown or revoked.
static inline uint32_t
sl_client_of(const struct sl_worker *w, const struct sl_meta *meta, rte_be32_t source)
{
	return sl_client_live(w, sl_client_claimed(w, meta, source));
}

// Packets of a burst are of as many clients: what finding each will read is asked for together. At L3.
static inline void
sl_clients_prefetch(const struct sl_worker *w, void *const *packets, uint16_t nb)
{
	for (uint16_t i = 0; i < nb; i++) {
		struct rte_mbuf *m = packets[i];
		const struct sl_meta *meta = sl_meta(m);

		if (meta->port != SL_PORT_WIREGUARD)
			sl_plain_prefetch(
				w->snapshot->plain,
				meta->port,
				meta->vlan,
				rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *)->src_addr
			);
	}
	for (uint16_t i = 0; i < nb; i++) {
		struct rte_mbuf *m = packets[i];

		rte_prefetch0(&w->snapshot->clients[sl_client_claimed(
			w, sl_meta(m), rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *)->src_addr
		)]);
	}
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
