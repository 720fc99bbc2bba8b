// ports: two software ports with one queue each, and ARP on them.
#include "load.h"

#include <rte_arp.h>
#include <rte_dev.h>
#include <rte_ethdev.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DESCRIPTORS 1024u

static void
port_start(struct load *l, struct load_port *p, const char *device, uint32_t own, uint32_t gateway)
{
	struct rte_eth_conf conf = { 0 };
	char name[64];
	size_t len = strcspn(device, ",");
	int rc = 0;

	snprintf(name, sizeof(name), "%.*s", (int)len, device);
	if (len >= sizeof(name) || rte_dev_probe(device) != 0 ||
	    rte_eth_dev_get_port_by_name(name, &p->ethdev) != 0) {
		fprintf(stderr, "bench-load: there is no device '%s'\n", device);
		exit(1);
	}
	rc = rte_eth_dev_configure(p->ethdev, 1, 1, &conf);
	if (rc == 0)
		rc = rte_eth_rx_queue_setup(
			p->ethdev, 0, DESCRIPTORS, SOCKET_ID_ANY, NULL, l->pool
		);
	if (rc == 0)
		rc = rte_eth_tx_queue_setup(p->ethdev, 0, DESCRIPTORS, SOCKET_ID_ANY, NULL);
	if (rc == 0)
		rc = rte_eth_dev_start(p->ethdev);
	if (rc == 0)
		rc = rte_eth_macaddr_get(p->ethdev, &p->mac);
	if (rc != 0) {
		fprintf(stderr,
			"bench-load: '%s' does not start (%s); is the other side up?\n",
			device,
			strerror(-rc));
		exit(1);
	}
	p->own = own;
	p->gateway = gateway;
	p->is_there = true;
}

void
load_ports_start(struct load *l)
{
	port_start(l, &l->clients, l->o.client_device, LOAD_ROUTER, LOAD_POP);
	if (l->o.private_device != NULL)
		port_start(l, &l->lan, l->o.private_device, LOAD_LAN, LOAD_CONNECTOR);
}

static void
port_stop(struct load_port *p)
{
	if (!p->is_there)
		return;
	rte_pktmbuf_free_bulk(p->pending, p->nb_pending);
	rte_eth_dev_stop(p->ethdev);
	rte_eth_dev_close(p->ethdev);
}

void
load_ports_stop(struct load *l)
{
	port_stop(&l->clients);
	port_stop(&l->lan);
}

unsigned
load_port_poll(struct load_port *p, struct rte_mbuf **m)
{
	return p->is_there ? rte_eth_rx_burst(p->ethdev, 0, m, LOAD_BURST) : 0;
}

void
load_port_flush(struct load_port *p)
{
	unsigned sent = 0;

	if (p->nb_pending == 0)
		return;
	sent = rte_eth_tx_burst(p->ethdev, 0, p->pending, (uint16_t)p->nb_pending);
	p->nb_pending -= sent;
	memmove(p->pending, p->pending + sent, p->nb_pending * sizeof(p->pending[0]));
}

bool
load_port_is_full(const struct load_port *p)
{
	return p->nb_pending + LOAD_BURST > LOAD_PENDING;
}

bool
load_port_send(struct load_port *p, struct rte_mbuf *m)
{
	if (p->nb_pending == LOAD_PENDING)
		load_port_flush(p);
	if (p->nb_pending == LOAD_PENDING) {
		rte_pktmbuf_free(m);
		return false;
	}
	p->pending[p->nb_pending++] = m;
	return true;
}

static void
fill_arp(
	struct rte_mbuf *m,
	const struct load_port *p,
	uint16_t opcode,
	const struct rte_arp_ipv4 *body,
	const struct rte_ether_addr *to
)
{
	struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);
	struct rte_arp_hdr *arp = (struct rte_arp_hdr *)(eth + 1);

	eth->dst_addr = *to;
	eth->src_addr = p->mac;
	eth->ether_type = RTE_BE16(RTE_ETHER_TYPE_ARP);
	arp->arp_hardware = RTE_BE16(RTE_ARP_HRD_ETHER);
	arp->arp_protocol = RTE_BE16(RTE_ETHER_TYPE_IPV4);
	arp->arp_hlen = RTE_ETHER_ADDR_LEN;
	arp->arp_plen = sizeof(uint32_t);
	arp->arp_opcode = rte_cpu_to_be_16(opcode);
	arp->arp_data = *body;
}

void
load_port_ask_gateway(struct load *l, struct load_port *p)
{
	static const struct rte_ether_addr everybody = { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } };
	struct rte_arp_ipv4 body = {
		.arp_sha = p->mac,
		.arp_sip = rte_cpu_to_be_32(p->own),
		.arp_tip = rte_cpu_to_be_32(p->gateway),
	};
	struct rte_mbuf *m = rte_pktmbuf_alloc(l->pool);

	if (m == NULL || rte_pktmbuf_append(m, 60) == NULL)
		return;
	memset(rte_pktmbuf_mtod(m, void *), 0, 60);
	fill_arp(m, p, RTE_ARP_OP_REQUEST, &body, &everybody);
	load_port_send(p, m);
	load_port_flush(p);
}

bool
load_port_arp(struct load_port *p, struct rte_mbuf *m)
{
	struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);
	struct rte_arp_hdr *arp = (struct rte_arp_hdr *)(eth + 1);
	struct rte_arp_ipv4 asked;

	if (m->data_len < sizeof(*eth) + sizeof(*arp) ||
	    eth->ether_type != RTE_BE16(RTE_ETHER_TYPE_ARP))
		return false;
	asked = arp->arp_data;
	if (asked.arp_sip == rte_cpu_to_be_32(p->gateway)) {
		p->gateway_mac = asked.arp_sha;
		p->knows_gateway = true;
	}
	// Every address of the link but the far side's own is ours: routers, hosts and servers.
	if (arp->arp_opcode == RTE_BE16(RTE_ARP_OP_REQUEST) &&
	    asked.arp_tip != rte_cpu_to_be_32(p->gateway)) {
		struct rte_arp_ipv4 body = {
			.arp_sha = p->mac,
			.arp_sip = asked.arp_tip,
			.arp_tha = asked.arp_sha,
			.arp_tip = asked.arp_sip,
		};

		fill_arp(m, p, RTE_ARP_OP_REPLY, &body, &asked.arp_sha);
		load_port_send(p, m);
	} else {
		rte_pktmbuf_free(m);
	}
	return true;
}
