// A frame of any octets passes the verdicts from the wire inwards: none reads past its end, and what
// a verdict lets through has the form the next node relies on.
#include "1-ingress/arp_input.h"
#include "1-ingress/eth_input.h"
#include "1-ingress/icmp_local.h"
#include "1-ingress/ip4_input.h"
#include "1-ingress/udp_input.h"
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#define SELF RTE_BE32(0x0a000001)

static struct sl_net net = {
	.nb_ports = 2,
	.ports = { { .address = SELF,
		     .prefix_bits = 24,
		     .mac = { .addr_bytes = { 2, 0, 0, 0, 0, 1 } } },
		   { .vlan = 30,
		     .address = RTE_BE32(0x0a001e01),
		     .prefix_bits = 24,
		     .mac = { .addr_bytes = { 2, 0, 0, 0, 0, 1 } } } },
	.tunnel_port_first = 4500,
	.tunnel_port_last = 4503,
	.wireguard_port = 51820,
	.pool_bits = 12,
	.resolvers = { RTE_BE32(0x645f00fb) },
	.nb_resolvers = 1,
};
static struct sl_worker worker = { .net = &net, .nb_workers = 2 };

static void
hold(bool is_true)
{
	if (!is_true)
		abort();
}

static void
local(struct rte_mbuf *m, rte_edge_t edge)
{
	if (edge == SL_IP4_LOCAL_ICMP)
		hold(icmp_local_verdict(&worker, m) < SL_ICMP_EDGE_COUNT);
	if (edge == SL_IP4_LOCAL_UDP) {
		rte_edge_t sorted = udp_input_verdict(&worker, m);

		hold(sorted < SL_UDP_EDGE_COUNT);
		hold(sorted != SL_UDP_PUNT || sl_meta(m)->punt == SL_PUNT_HANDSHAKE);
	}
}

static void
layer3(struct rte_mbuf *m)
{
	rte_edge_t edge = ip4_input_verdict(&worker, m);
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);

	hold(edge < SL_IP4_EDGE_COUNT);
	if (edge < SL_IP4_FRAGMENT)
		return;
	hold(m->data_len >= 20 && m->data_len == rte_be_to_cpu_16(ip->total_length));
	hold(sl_meta(m)->l4_offset == 20);
	local(m, edge);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t nb_bytes)
{
	// The mbuf, its private area, and data of exactly the frame's size: a read past it is seen.
	struct rte_mbuf *m = aligned_alloc(
		RTE_CACHE_LINE_SIZE, sizeof(*m) + sizeof(struct sl_meta)
	);
	uint8_t *frame = malloc(nb_bytes == 0 ? 1 : nb_bytes);
	rte_edge_t edge;

	if (nb_bytes > 2000 || m == NULL || frame == NULL)
		goto out;
	memset(m, 0, sizeof(*m) + sizeof(struct sl_meta));
	memcpy(frame, data, nb_bytes);
	m->buf_addr = frame;
	m->nb_segs = 1;
	m->pkt_len = m->data_len = (uint16_t)nb_bytes;
	m->priv_size = sizeof(struct sl_meta);
	if (net.pool_mask == 0)
		sl_net_index(&net);
	edge = eth_input_verdict(&worker, m);
	hold(edge < SL_ETH_EDGE_COUNT);
	if (edge == SL_ETH_IP4)
		layer3(m);
	else if (edge == SL_ETH_ARP)
		hold(arp_input_verdict(&net, m, sl_meta(m)->port) <= SL_ARP_LEARN);
out:
	free(frame);
	free(m);
	return 0;
}
