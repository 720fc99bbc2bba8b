// port: finds, configures, starts and stops the ethdev ports of an instance, and the descriptors
// a sleeping worker may wait on.
#include "instance.h"

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>

#include <dirent.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define RX_DESCRIPTORS 1024u
#define TX_DESCRIPTORS 1024u

// Two struct sl_port (by VLAN) may share one ethdev; the first of them stands for it.
static bool
is_first_on_ethdev(const struct sl_dp *dp, unsigned i)
{
	for (unsigned j = 0; j < i; j++)
		if (dp->net.ports[j].ethdev == dp->net.ports[i].ethdev)
			return false;
	return true;
}

static int
device_name(const char *devargs, char *name, size_t nb_bytes)
{
	size_t len = strcspn(devargs, ",");

	if (len == 0 || len >= nb_bytes)
		return -EINVAL;
	memcpy(name, devargs, len);
	name[len] = '\0';
	return 0;
}

// A packet socket port needs a queue per worker, which its default is not.
static void
complete_devargs(const struct sl_dp *dp, const char *devargs, char *full, size_t nb_bytes)
{
	if (strncmp(devargs, "net_af_packet", 13) == 0 && strstr(devargs, "qpairs=") == NULL)
		snprintf(full, nb_bytes, "%s,qpairs=%u", devargs, dp->conf.nb_workers);
	else
		snprintf(full, nb_bytes, "%s", devargs);
}

static int
probe_device(struct sl_dp *dp, unsigned i)
{
	const char *devargs = dp->conf.devices[i];
	struct sl_port *p = &dp->net.ports[i];
	char name[64], full[256];
	int rc = device_name(devargs, name, sizeof(name));

	if (rc != 0)
		return rc;
	if (rte_eth_dev_get_port_by_name(name, &p->ethdev) == 0)
		return 0;
	complete_devargs(dp, devargs, full, sizeof(full));
	rc = rte_dev_probe(full);
	if (rc != 0)
		return rc;
	// A probe may succeed and leave no port behind.
	if (rte_eth_dev_get_port_by_name(name, &p->ethdev) != 0)
		return -ENODEV;
	dp->is_own_device[i] = true;
	return 0;
}

static void
choose_mtu(const struct sl_dp *dp, unsigned i)
{
	const struct sl_port *p = &dp->net.ports[i];

	if (p->mtu_bytes != 0 && rte_eth_dev_set_mtu(p->ethdev, p->mtu_bytes) != 0 &&
	    p->mtu_bytes > RTE_ETHER_MTU)
		fprintf(stderr,
			"sluice: port %s does not take MTU %u; larger packets may be lost\n",
			p->name,
			p->mtu_bytes);
}

static int
configure_queues(struct sl_dp *dp, unsigned i, const struct rte_eth_dev_info *info)
{
	struct sl_port *p = &dp->net.ports[i];
	int socket = rte_eth_dev_socket_id(p->ethdev);
	uint16_t nb_rxd = RX_DESCRIPTORS, nb_txd = TX_DESCRIPTORS;
	int rc = rte_eth_dev_adjust_nb_rx_tx_desc(p->ethdev, &nb_rxd, &nb_txd);

	for (uint16_t q = 0; q < p->nb_queues && rc == 0; q++)
		rc = rte_eth_rx_queue_setup(
			p->ethdev, q, nb_rxd, socket, &info->default_rxconf, dp->pool
		);
	for (uint16_t q = 0; q < dp->conf.nb_workers && rc == 0; q++)
		rc = rte_eth_tx_queue_setup(p->ethdev, q, nb_txd, socket, &info->default_txconf);
	return rc;
}

static int
configure_ethdev(struct sl_dp *dp, unsigned i)
{
	struct sl_port *p = &dp->net.ports[i];
	struct rte_eth_conf conf = { 0 };
	struct rte_eth_dev_info info;
	uint64_t rss = RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_TCP;
	int rc = rte_eth_dev_info_get(p->ethdev, &info);

	if (rc != 0)
		return rc;
	if (info.max_tx_queues < dp->conf.nb_workers) {
		fprintf(stderr,
			"sluice: port %s has %u transmit queues for %u workers: use fewer workers "
			"or another port\n",
			p->name,
			info.max_tx_queues,
			dp->conf.nb_workers);
		return -ENOSPC;
	}
	p->nb_queues = (uint16_t
	)RTE_MIN(RTE_MIN(dp->conf.nb_workers, SL_MAX_RXQ), (unsigned)info.max_rx_queues);
	if (p->nb_queues > 1 && (info.flow_type_rss_offloads & rss) != 0) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf = info.flow_type_rss_offloads & rss;
	}
	if ((info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_UDP_CKSUM) != 0) {
		conf.txmode.offloads |= RTE_ETH_TX_OFFLOAD_UDP_CKSUM;
		p->is_udp_checksum_offloaded = 1;
	}
	rc = rte_eth_dev_configure(p->ethdev, p->nb_queues, (uint16_t)dp->conf.nb_workers, &conf);
	if (rc != 0)
		return rc;
	choose_mtu(dp, i);
	return configure_queues(dp, i, &info);
}

// What a port shares with the first on its ethdev.
static void
copy_from_first(struct sl_dp *dp, unsigned i)
{
	struct sl_port *p = &dp->net.ports[i];

	for (unsigned j = 0; j < i; j++) {
		if (dp->net.ports[j].ethdev != p->ethdev)
			continue;
		p->nb_queues = dp->net.ports[j].nb_queues;
		p->is_udp_checksum_offloaded = dp->net.ports[j].is_udp_checksum_offloaded;
		return;
	}
}

static int
create_port(struct sl_dp *dp, unsigned i)
{
	struct sl_port *p = &dp->net.ports[i];
	int rc = 0;

	if (dp->conf.devices[i] != NULL)
		rc = probe_device(dp, i);
	else if (!rte_eth_dev_is_valid_port(p->ethdev))
		rc = -ENODEV;
	if (rc == 0 && is_first_on_ethdev(dp, i))
		rc = configure_ethdev(dp, i);
	else if (rc == 0)
		copy_from_first(dp, i);
	if (rc == 0 && rte_is_zero_ether_addr(&p->mac))
		rc = rte_eth_macaddr_get(p->ethdev, &p->mac);
	if (rc != 0)
		fprintf(stderr,
			"sluice: port %s (%s) cannot be used: %s\n",
			p->name,
			dp->conf.devices[i] == NULL ? "existing" : dp->conf.devices[i],
			strerror(-rc));
	return rc;
}

// Deal the receive queues out to the workers: queue q to worker q, and where a port has fewer
// queues than there are workers, starting at another worker for each port.
static void
deal_queues(struct sl_dp *dp)
{
	for (unsigned i = 0; i < dp->net.nb_ports; i++) {
		const struct sl_port *p = &dp->net.ports[i];
		unsigned shift = p->nb_queues == dp->conf.nb_workers ? 0 : i;

		if (!is_first_on_ethdev(dp, i))
			continue;
		for (unsigned q = 0; q < p->nb_queues; q++) {
			struct sl_worker *w = dp->workers[(q + shift) % dp->conf.nb_workers];

			w->rx_pairs[w->nb_rx_pairs++] = (struct sl_rx_pair){
				.ethdev = p->ethdev,
				.queue = (uint16_t)q,
				.port = (uint16_t)i,
			};
		}
	}
}

int
sl_ports_create(struct sl_dp *dp)
{
	for (unsigned i = 0; i < dp->net.nb_ports; i++) {
		int rc = create_port(dp, i);

		if (rc != 0)
			return rc;
	}
	deal_queues(dp);
	return 0;
}

int
sl_ports_start(struct sl_dp *dp)
{
	for (unsigned i = 0; i < dp->net.nb_ports; i++) {
		const struct sl_port *p = &dp->net.ports[i];
		int rc = is_first_on_ethdev(dp, i) ? rte_eth_dev_start(p->ethdev) : 0;

		if (rc != 0) {
			fprintf(stderr,
				"sluice: port %s does not start: %s\n",
				p->name,
				strerror(-rc));
			return rc;
		}
	}
	dp->are_ports_started = true;
	sl_dp_poll_links(dp);
	return 0;
}

void
sl_ports_stop(struct sl_dp *dp)
{
	for (unsigned i = 0; dp->are_ports_started && i < dp->net.nb_ports; i++)
		if (is_first_on_ethdev(dp, i))
			(void)rte_eth_dev_stop(dp->net.ports[i].ethdev);
	dp->are_ports_started = false;
}

void
sl_ports_destroy(struct sl_dp *dp)
{
	for (unsigned i = 0; i < dp->net.nb_ports; i++) {
		struct rte_eth_dev_info info;

		if (!dp->is_own_device[i] ||
		    rte_eth_dev_info_get(dp->net.ports[i].ethdev, &info) != 0)
			continue;
		rte_eth_dev_close(dp->net.ports[i].ethdev);
		rte_dev_remove(info.device);
	}
}

// Drivers of ports on an interface of the kernel (net_af_packet) hold their link for up whatever happens
// to it: the kernel is asked itself. An interface that is gone has none.
static bool
is_running(unsigned if_index)
{
	struct ifreq request = { .ifr_ifindex = (int)if_index };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool is_up = fd >= 0 && ioctl(fd, SIOCGIFNAME, &request) == 0 &&
		ioctl(fd, SIOCGIFFLAGS, &request) == 0 &&
		(request.ifr_flags & (IFF_UP | IFF_RUNNING)) == (IFF_UP | IFF_RUNNING);

	if (fd >= 0)
		close(fd);
	return is_up;
}

static bool
is_link_up(uint16_t ethdev)
{
	struct rte_eth_dev_info info = { 0 };
	struct rte_eth_link link = { 0 };

	if (rte_eth_link_get_nowait(ethdev, &link) != 0 || link.link_status != RTE_ETH_LINK_UP)
		return false;
	return rte_eth_dev_info_get(ethdev, &info) != 0 || info.if_index == 0 ||
		is_running(info.if_index);
}

bool
sl_dp_poll_links(struct sl_dp *dp)
{
	bool has_changed = false;

	for (unsigned i = 0; i < dp->net.nb_ports; i++) {
		struct sl_port *p = &dp->net.ports[i];
		bool is_up = is_link_up(p->ethdev);

		if (atomic_exchange_explicit(&p->link_up, is_up, memory_order_relaxed) != is_up)
			has_changed = true;
	}
	return has_changed;
}

// The packet sockets of an interface, in the order they were opened, which is that of its queues.
static unsigned
packet_sockets_of(unsigned if_index, int *fds, unsigned nb)
{
	unsigned found = 0;

	for (int fd = 3; fd < 1024 && found < nb; fd++) {
		struct sockaddr_ll ll = { 0 };
		socklen_t len = sizeof(ll);
		int domain = 0;
		socklen_t domain_len = sizeof(domain);

		if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &domain_len) != 0 ||
		    domain != AF_PACKET)
			continue;
		if (getsockname(fd, (struct sockaddr *)&ll, &len) == 0 &&
		    ll.sll_ifindex == (int)if_index)
			fds[found++] = fd;
	}
	return found;
}

int
sl_ports_poll_fds(const struct sl_worker *w, int *fds, unsigned nb)
{
	unsigned used = 0;

	for (unsigned i = 0; i < w->nb_rx_pairs; i++) {
		const struct sl_rx_pair *pair = &w->rx_pairs[i];
		struct rte_eth_dev_info info;
		int sockets[SL_MAX_RXQ + 1];
		unsigned found;

		if (rte_eth_dev_info_get(pair->ethdev, &info) != 0 || info.if_index == 0)
			return -1;
		found = packet_sockets_of(info.if_index, sockets, RTE_DIM(sockets));
		if (pair->queue >= found || used == nb)
			return -1;
		fds[used++] = sockets[pair->queue];
	}
	return (int)used;
}
