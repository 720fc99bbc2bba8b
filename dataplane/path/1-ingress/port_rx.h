// port_rx: what is done to frames once a driver has delivered them, apart so that a bench without a
// driver does it too.
#pragma once

#include <rte_prefetch.h>

#include <sluice/dp/meta.h>

#define PORT_RX_AHEAD_PKTS 16u

// Both are in lines of their own, cold since a port last wrote them.
static inline void
port_rx_prefetch(struct rte_mbuf *m)
{
	rte_prefetch0_write(sl_meta(m));
	rte_prefetch0(rte_pktmbuf_mtod(m, void *));
}

// Clear the metadata of frames that came in by `port`; the octets they begin with are asked for
// meanwhile. Returns their length in all.
static inline uint64_t
port_rx_accept(struct rte_mbuf **m, unsigned nb, uint16_t port)
{
	const struct sl_meta fresh = { .port = port, .client = SL_NO_CLIENT, .flow = SL_NO_FLOW };
	uint64_t bytes = 0;

	for (unsigned i = 0; i < nb && i < PORT_RX_AHEAD_PKTS; i++)
		port_rx_prefetch(m[i]);
	for (unsigned i = 0; i < nb; i++) {
		if (i + PORT_RX_AHEAD_PKTS < nb)
			port_rx_prefetch(m[i + PORT_RX_AHEAD_PKTS]);
		*sl_meta(m[i]) = fresh;
		bytes += m[i]->pkt_len;
	}
	return bytes;
}
