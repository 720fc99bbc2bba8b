// wireguard_unknown: WireGuard data under an index that nobody has. It may be that of a client from
// before a restart, which the session thread knows by its address; so it is shown the datagram, but
// not each of them.
#pragma once

#include <rte_ip.h>
#include <rte_udp.h>

#include <sluice/dp/hash.h>
#include <sluice/dp/node.h>
#include <sluice/dp/worker.h>

#define SL_UNKNOWN_A_SECOND 4096u // all sources of a worker
#define SL_UNKNOWN_AGAIN_DS 5u // one source

// Is the datagram (mbuf at L3) to be shown to the session thread? If so meta->punt is set.
static inline bool
wireguard_is_news(struct sl_worker *w, struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	const struct rte_udp_hdr *udp = (const struct rte_udp_hdr *)(ip + 1);
	struct sl_unknown_sources *u = &w->unknown;
	uint32_t who[2] = { ip->src_addr, udp->src_port };
	uint32_t slot = (uint32_t)(sl_hash(w->owner_key, who, sizeof(who)) % SL_UNKNOWN_SOURCES);

	if ((int32_t)(w->now_ds - u->until_ds[slot]) < 0 ||
	    !sl_bucket_take(&u->bucket, SL_UNKNOWN_A_SECOND, SL_UNKNOWN_A_SECOND / 4, 1, w->now_ns))
		return false;
	u->until_ds[slot] = w->now_ds + SL_UNKNOWN_AGAIN_DS;
	sl_meta(m)->punt = SL_PUNT_UNKNOWN_INDEX;
	return true;
}
