#include "capture.h"
#include "harness.h"
#include "sl_test.h"

#include <rte_arp.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_ip.h>

#include <netinet/in.h>
#include <sluice/dp/nat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_NODES  8u
#define MAX_PORTS  16u // in the world
#define MAX_HOSTS  16u
#define RING_PKTS  1024u
#define BURST      32u
#define START_NS   (1000 * SL_NS_PER_S)
#define MAX_ROUNDS 10000u

// A ring port; made once, lent to one node's port at a time.
struct jack {
	uint16_t ethdev;
	bool is_lent;
	struct rte_ring *to_node[PATH_WORKERS];
	struct rte_ring *from_node[PATH_WORKERS];
	struct rte_ring *out; // towards the test, when wired to nothing
	struct jack *far;
	struct path_node *node;
	unsigned port;
	enum path_arrival arrival;
	unsigned nb_arrived;
};

struct path_node {
	struct sl_dp *dp;
	struct jack *jacks[SL_MAX_PORTS];
	unsigned nb_jacks;
};

struct host {
	struct jack *jack;
	rte_be32_t address;
	struct rte_ether_addr mac;
};

static struct jack jacks[MAX_PORTS];
static struct path_node nodes[MAX_NODES];
static unsigned nb_nodes;
static struct host hosts[MAX_HOSTS];
static unsigned nb_hosts;
static struct sl_clock clock_;
static struct rte_mempool *pool;
static path_filter_t filter;
static path_session_t session;
static void (*before_destroy)(void);
static unsigned nb_failures_before;

static struct rte_ring *
make_ring(const char *kind, unsigned i, unsigned q)
{
	char name[32];

	snprintf(name, sizeof(name), "%s%u_%u", kind, i, q);
	return rte_ring_create(name, RING_PKTS, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
}

static int
make_jack(unsigned i)
{
	struct jack *j = &jacks[i];
	char name[32];
	int ethdev;

	for (unsigned q = 0; q < PATH_WORKERS; q++) {
		j->to_node[q] = make_ring("in", i, q);
		j->from_node[q] = make_ring("out", i, q);
		if (j->to_node[q] == NULL || j->from_node[q] == NULL)
			return -1;
	}
	j->out = make_ring("test", i, 0);
	snprintf(name, sizeof(name), "jack%u", i);
	ethdev = rte_eth_from_rings(name, j->to_node, PATH_WORKERS, j->from_node, PATH_WORKERS, 0);
	j->ethdev = (uint16_t)ethdev;
	return ethdev < 0 || j->out == NULL ? -1 : 0;
}

int
path_setup(void)
{
	char name[32];
	struct sl_eal_conf conf = { .name = name, .memory_mb = 256 };

	snprintf(name, sizeof(name), "sl_path_%d", (int)getpid());
	if (sl_eal_start(&conf) != 0)
		return -1;
	pool = rte_pktmbuf_pool_create(
		"path_test",
		4095,
		0,
		sizeof(struct sl_meta),
		RTE_MBUF_DEFAULT_BUF_SIZE,
		SOCKET_ID_ANY
	);
	for (unsigned i = 0; i < MAX_PORTS; i++)
		if (make_jack(i) != 0)
			return -1;
	sl_clock_set(&clock_, START_NS);
	return pool == NULL ? -1 : 0;
}

int
path_teardown(void)
{
	sl_eal_stop();
	return 0;
}

static struct jack *
lend_jack(struct path_node *node, unsigned port)
{
	for (unsigned i = 0; i < MAX_PORTS; i++) {
		struct jack *j = &jacks[i];

		if (j->is_lent)
			continue;
		j->is_lent = true;
		j->node = node;
		j->port = port;
		j->far = NULL;
		j->arrival = PATH_ALTERNATE;
		j->nb_arrived = 0;
		return j;
	}
	return NULL;
}

// Ports of one interface name that differ by VLAN share an ethdev, as in a configuration.
static void
plug_in(struct path_node *node, struct sl_net *net)
{
	for (unsigned i = 0; i < net->nb_ports; i++) {
		struct sl_port *p = &net->ports[i];

		for (unsigned k = 0; k < i && node->jacks[i] == NULL; k++)
			if (strcmp(net->ports[k].name, p->name) == 0)
				node->jacks[i] = node->jacks[k];
		if (node->jacks[i] == NULL)
			node->jacks[i] = lend_jack(node, i);
		p->ethdev = node->jacks[i]->ethdev;
		p->mac = (struct rte_ether_addr
		){ { 0x02, 0, 0, 0, (uint8_t)(node - nodes), (uint8_t)node->jacks[i]->port } };
		if (p->mtu_bytes == 0)
			p->mtu_bytes = 1500;
	}
	node->nb_jacks = net->nb_ports;
}

static void
add_routes(struct sl_net *net)
{
	if (net->nb_routes != 0)
		return;
	for (unsigned i = 0; i < net->nb_ports; i++)
		net->routes[net->nb_routes++] = (struct sl_route){
			.prefix = net->ports[i].address & sl_net_mask(net->ports[i].prefix_bits),
			.prefix_bits = net->ports[i].prefix_bits,
			.port = (uint16_t)i,
		};
}

struct path_node *
path_add_conf(const struct sl_dp_conf *given)
{
	static struct sl_net net;
	static struct sl_dp_conf conf;
	struct path_node *node = &nodes[nb_nodes];

	memset(node, 0, sizeof(*node));
	net = *given->net;
	conf = *given;
	plug_in(node, &net);
	add_routes(&net);
	conf.net = &net;
	conf.nb_workers = PATH_WORKERS;
	conf.nb_mbufs = conf.nb_mbufs == 0 ? 2047 : conf.nb_mbufs;
	conf.clock = &clock_;
	node->dp = sl_dp_create(&conf);
	CU_ASSERT_PTR_NOT_NULL_FATAL(node->dp);
	nb_nodes++;
	CU_ASSERT_EQUAL_FATAL(sl_dp_start_ports(node->dp), 0);
	return node;
}

struct path_node *
path_add(
	const char *name,
	enum sl_dp_role role,
	const struct sl_net *net,
	const struct sl_wiring *wiring,
	unsigned nb_wiring
)
{
	struct sl_dp_conf conf = {
		.name = name, .role = role, .net = net, .wiring = wiring, .nb_wiring = nb_wiring
	};

	return path_add_conf(&conf);
}

struct sl_dp *
path_dp(struct path_node *node)
{
	return node->dp;
}

const struct rte_ether_addr *
path_mac(const struct path_node *node, unsigned port)
{
	return &sl_dp_net(node->dp)->ports[port].mac;
}

void
path_wire(struct path_node *a, unsigned port_a, struct path_node *b, unsigned port_b)
{
	a->jacks[port_a]->far = b->jacks[port_b];
	b->jacks[port_b]->far = a->jacks[port_a];
}

void
path_host(struct path_node *node, unsigned port, rte_be32_t address, const char *mac)
{
	struct host *h = &hosts[nb_hosts];

	CU_ASSERT_FATAL(nb_hosts < MAX_HOSTS);
	h->jack = node->jacks[port];
	h->address = address;
	CU_ASSERT_EQUAL_FATAL(rte_ether_unformat_addr(mac, &h->mac), 0);
	nb_hosts++;
}

void
path_arrive(struct path_node *node, unsigned port, enum path_arrival arrival)
{
	node->jacks[port]->arrival = arrival;
}

void
path_filter(path_filter_t f)
{
	filter = f;
}

void
path_session(path_session_t f)
{
	session = f;
}

void
path_before_destroy(void (*f)(void))
{
	before_destroy = f;
}

// What RSS over IPv4 and its TCP and UDP ports chooses.
static unsigned
rss_queue(const struct rte_mbuf *m)
{
	const struct rte_ether_hdr *ether = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)(ether + 1);
	uint32_t tuple[3], nb = 2;
	rte_be16_t ports[2];

	if (ether->ether_type != RTE_BE16(RTE_ETHER_TYPE_IPV4))
		return 0;
	tuple[0] = rte_be_to_cpu_32(ip->src_addr);
	tuple[1] = rte_be_to_cpu_32(ip->dst_addr);
	if ((ip->next_proto_id == IPPROTO_TCP || ip->next_proto_id == IPPROTO_UDP) &&
	    (ip->fragment_offset & RTE_BE16(0x3fff)) == 0) {
		memcpy(ports, ip + 1, sizeof(ports));
		tuple[nb++] = (uint32_t)rte_be_to_cpu_16(ports[0]) << 16 |
			rte_be_to_cpu_16(ports[1]);
	}
	return rte_softrss(tuple, nb, sl_rss_key) % SL_RSS_RETA % PATH_WORKERS;
}

static unsigned
queue_of(struct jack *j, const struct rte_mbuf *m)
{
	switch (j->arrival) {
	case PATH_WORKER_0:
		return 0;
	case PATH_WORKER_1:
		return 1;
	case PATH_RSS:
		return rss_queue(m);
	case PATH_ALTERNATE:
	default:
		return j->nb_arrived++ % PATH_WORKERS;
	}
}

static void
arrive(struct jack *j, struct rte_mbuf *m)
{
	if (filter != NULL && !filter(j->node, j->port, m))
		rte_pktmbuf_free(m);
	else if (rte_ring_sp_enqueue(j->to_node[queue_of(j, m)], m) != 0)
		CU_FAIL_FATAL("more frames than the ring of a port holds");
}

void
path_send(struct path_node *node, unsigned port, const void *frame, size_t nb_bytes)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	void *room = m == NULL ? NULL : rte_pktmbuf_append(m, (uint16_t)nb_bytes);

	CU_ASSERT_PTR_NOT_NULL_FATAL(room);
	memcpy(room, frame, nb_bytes);
	capture_frame(node->jacks[port]->ethdev, path_now_ns(), frame, nb_bytes);
	arrive(node->jacks[port], m);
}

// If a frame is an ARP query for one of the test's hosts, answer it.
static bool
answered_by_host(struct jack *j, const struct rte_mbuf *m)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	const struct rte_arp_hdr *arp = (const struct rte_arp_hdr *)(eth + 1);
	uint8_t reply[sizeof(*eth) + sizeof(*arp)];
	struct rte_ether_hdr *to_eth = (void *)reply;
	struct rte_arp_hdr *to_arp = (struct rte_arp_hdr *)(to_eth + 1);

	if (eth->ether_type != RTE_BE16(RTE_ETHER_TYPE_ARP) ||
	    arp->arp_opcode != RTE_BE16(RTE_ARP_OP_REQUEST))
		return false;
	for (unsigned i = 0; i < nb_hosts; i++) {
		if (hosts[i].jack != j || hosts[i].address != arp->arp_data.arp_tip)
			continue;
		*to_eth = (struct rte_ether_hdr){ .dst_addr = eth->src_addr,
						  .src_addr = hosts[i].mac,
						  .ether_type = eth->ether_type };
		*to_arp = *arp;
		to_arp->arp_opcode = RTE_BE16(RTE_ARP_OP_REPLY);
		to_arp->arp_data.arp_tha = arp->arp_data.arp_sha;
		to_arp->arp_data.arp_tip = arp->arp_data.arp_sip;
		to_arp->arp_data.arp_sha = hosts[i].mac;
		to_arp->arp_data.arp_sip = hosts[i].address;
		path_send(j->node, j->port, reply, sizeof(reply));
		return true;
	}
	return false;
}

static unsigned
carry(struct jack *j)
{
	struct rte_mbuf *m[BURST];
	unsigned carried = 0;

	for (unsigned q = 0; q < PATH_WORKERS; q++) {
		unsigned nb = rte_ring_sc_dequeue_burst(j->from_node[q], (void **)m, BURST, NULL);

		for (unsigned i = 0; i < nb; i++) {
			capture_frame(
				j->ethdev,
				path_now_ns(),
				rte_pktmbuf_mtod(m[i], const void *),
				m[i]->data_len
			);
			if (j->far != NULL)
				arrive(j->far, m[i]);
			else if (answered_by_host(j, m[i]) || rte_ring_sp_enqueue(j->out, m[i]) != 0)
				rte_pktmbuf_free(m[i]);
		}
		carried += nb;
	}
	return carried;
}

static unsigned
run_round(void)
{
	unsigned done = session == NULL ? 0 : session();

	for (unsigned n = 0; n < nb_nodes; n++)
		for (unsigned k = 0; k < PATH_WORKERS; k++)
			done += sl_dp_walk(nodes[n].dp, k);
	for (unsigned i = 0; i < MAX_PORTS; i++)
		if (jacks[i].is_lent)
			done += carry(&jacks[i]);
	return done;
}

void
path_run(void)
{
	unsigned rounds = 0;

	while (run_round() != 0)
		if (++rounds == MAX_ROUNDS)
			CU_FAIL_FATAL("packets go round for ever");
}

void
path_pass_ms(unsigned ms)
{
	for (unsigned passed = 0; passed < ms; passed += 50) {
		sl_clock_move(&clock_, 50 * SL_NS_PER_MS);
		path_run();
	}
}

uint64_t
path_now_ns(void)
{
	return sl_clock_ns(&clock_);
}

size_t
path_take(struct path_node *node, unsigned port, void *frame, size_t room)
{
	void *obj;
	struct rte_mbuf *m;
	size_t len;

	if (rte_ring_sc_dequeue(node->jacks[port]->out, &obj) != 0)
		return 0;
	m = obj;
	len = m->data_len;
	memcpy(frame, rte_pktmbuf_mtod(m, const void *), RTE_MIN(len, room));
	rte_pktmbuf_free(m);
	return len;
}

struct rte_mbuf *
path_take_punt(struct path_node *node)
{
	struct rte_mbuf *m;

	return sl_dp_poll_punts(node->dp, &m, 1) == 1 ? m : NULL;
}

struct rte_mbuf *
path_take_stream(struct path_node *node)
{
	struct rte_mbuf *m;

	return sl_dp_poll_stream(node->dp, &m, 1) == 1 ? m : NULL;
}

uint64_t
path_drops(struct path_node *node, const char *reason)
{
	return sl_dp_drops(node->dp, reason);
}

// received + created + from the session thread = sent + dropped + punted + consumed
static void
check_conservation(struct path_node *node)
{
	static struct sl_node_stats rows[512];
	struct sl_worker_stats s;
	unsigned nb = sl_dp_node_stats(node->dp, rows, RTE_DIM(rows));
	uint64_t in, out;

	sl_dp_worker_stats(node->dp, &s);
	in = s.created + s.from_session + s.from_stream;
	out = s.punted + s.to_stream + s.consumed;
	for (unsigned i = 0; i < SL_MAX_PORTS; i++) {
		in += s.rx_pkts[i];
		out += s.tx_pkts[i];
	}
	for (unsigned i = 0; i < nb; i++)
		if (rows[i].drop != NULL)
			out += rows[i].objs;
	CU_ASSERT_EQUAL(in, out);
	if (in == out)
		return;
	sl_test_note("%llu packets in, %llu out", (unsigned long long)in, (unsigned long long)out);
	for (unsigned i = 0; i < nb; i++)
		if (rows[i].objs != 0)
			sl_test_note("%s %llu", rows[i].name, (unsigned long long)rows[i].objs);
}

static void
empty(struct path_node *node)
{
	uint8_t frame[PATH_FRAME_BYTES];
	struct rte_mbuf *m;

	for (unsigned i = 0; i < node->nb_jacks; i++)
		while (path_take(node, i, frame, sizeof(frame)) != 0)
			;
	while ((m = path_take_punt(node)) != NULL || (m = path_take_stream(node)) != NULL)
		rte_pktmbuf_free(m);
}

void
path_end(const char *title)
{
	session = NULL;
	filter = NULL;
	path_pass_ms(10000); // neighbours nobody answers for are given up
	for (unsigned n = 0; n < nb_nodes; n++)
		check_conservation(&nodes[n]);
	for (unsigned n = 0; n < nb_nodes; n++)
		empty(&nodes[n]);
	for (unsigned n = 0; n < nb_nodes; n++) {
		CU_ASSERT_EQUAL(rte_mempool_in_use_count(sl_dp_pool(nodes[n].dp)), 0);
		CU_ASSERT_EQUAL(
			rte_mempool_in_use_count(sl_dp_worker(nodes[n].dp, 0)->large_pool), 0
		);
		sl_dp_stop(nodes[n].dp);
	}
	CU_ASSERT_EQUAL(rte_mempool_in_use_count(pool), 0);
	if (before_destroy != NULL)
		before_destroy();
	before_destroy = NULL;
	for (unsigned n = 0; n < nb_nodes; n++)
		sl_dp_destroy(nodes[n].dp);
	for (unsigned i = 0; i < MAX_PORTS; i++)
		jacks[i].is_lent = false;
	nb_nodes = 0;
	nb_hosts = 0;
	if (CU_get_number_of_failures() != nb_failures_before)
		capture_write(title);
	nb_failures_before = CU_get_number_of_failures();
	capture_clear();
}
