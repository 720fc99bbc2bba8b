// port_rx: what is done to frames once a driver has delivered them, apart so that a bench without a
// driver does it too.
#pragma once

#include <rte_prefetch.h>

#include <sluice/dp/meta.h>
#include <string.h>

// Clear the metadata of frames that came in by `port`; the octets they begin with are asked for
// meanwhile. Returns their length in all.
static inline uint64_t
port_rx_accept(struct rte_mbuf **m, unsigned nb, uint16_t port)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < nb; i++) {
		struct sl_meta *meta = sl_meta(m[i]);

		if (i + 4 < nb)
			rte_prefetch0_write(sl_meta(m[i + 4]));
		rte_prefetch0(rte_pktmbuf_mtod(m[i], void *));
		memset(meta, 0, sizeof(*meta));
		meta->port = port;
		meta->client = SL_NO_CLIENT;
		meta->flow = SL_NO_FLOW;
		bytes += m[i]->pkt_len;
	}
	return bytes;
}
