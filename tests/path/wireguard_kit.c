#include "wireguard_kit.h"

#include <rte_icmp.h>
#include <rte_ip.h>
#include <rte_udp.h>

#include <ftw.h>
#include <sluice/dp/crypto.h>
#include <sluice/dp/plain.h>
#include <sluice/dp/snapshot.h>
#include <sluice/dp/tables.h>
#include <sluice/dp/upkeep.h>
#include <sluice/proto/inet.h>
#include <stdlib.h>
#include <unistd.h>

#define POP         "10.0.0.1"
#define DEVICE      "10.0.0.2"
#define POP_PORT    51820
#define TUNNEL_PORT 51900
#define MAC         "02:aa:00:00:00:02"
#define NB_INBOX    512u

struct wg wg;
enum path_arrival wg_arrival = WG_ARRIVAL;
struct wg_device alice = { .inner = "10.90.0.5", .port = 40000 };
struct wg_device bob = { .inner = "10.90.0.6", .port = 40100, .has_psk = true };
struct wg_device mallory = { .inner = "10.90.0.7", .port = 40200 };

static struct sl_clock service_clock;
static struct sl_config without_names; // the loaded one is not for writing
static struct sl_name_key name_key;
struct sl_aead *wg_engine;
static char state_dir[64];
const struct sl_private_key wg_pop_key = { { 8, 2, 3, 4 } };
#define NB_FIXED 3u // clients without the crowd: nobody, Alice and Bob
static struct wg_device *crowd;
static unsigned nb_crowd;
static struct sl_client clients[NB_FIXED + WG_CROWD_MAX];
static struct sl_plain_clients *plain;
static struct sl_snapshot snapshots[2];
static struct sl_tenant tenant = { .name = "a" };
static unsigned at_snapshot;

static const char pop_conf
	[] = "node = { role = \"pop\"; key_file = \"/k\"; };\n"
	     "ports = ( { name = \"a\"; device = \"net_tap0\"; address = \"10.0.0.1/24\"; } );\n"
	     "tenants = ( { name = \"a\"; id = 1; } );\n";

// Frames that left for a device, by its port, until it takes them.
static struct wg_datagram inbox[NB_INBOX];
static uint16_t inbox_port[NB_INBOX];
static unsigned nb_inbox;

// ---- The PoP -----------------------------------------------------------------------------------------------

struct sl_peer_now
wg_now(void)
{
	return (struct sl_peer_now){ .ns = path_now_ns(),
				     .wall_ns = 1800000000ull * SL_NS_PER_S + path_now_ns() };
}

static unsigned
session_thread(void)
{
	sl_clock_set(&service_clock, path_now_ns());
	return sl_service_turn(wg.service);
}

static void
start_service(void)
{
	struct sl_store_config where = { .dir = state_dir,
					 .pool = { 0x64600000u, 1u << 10 },
					 .linger_us = UINT32_MAX };
	struct sl_service_conf how = { .dp = path_dp(wg.pop),
				       .clock = &service_clock,
				       .config = &without_names,
				       .sessions = &wg.sessions,
				       .key = &wg_pop_key,
				       .nb_lanes = 1,
				       .name_key = &name_key };
	char why[300] = "";

	CU_ASSERT_EQUAL_FATAL(sl_store_open(&wg.store, &where, why, sizeof(why)), 0);
	sl_clock_set(&service_clock, path_now_ns());
	how.store = wg.store;
	wg.service = sl_service_create(&how);
	CU_ASSERT_PTR_NOT_NULL_FATAL(wg.service);
	CU_ASSERT_EQUAL_FATAL(sl_store_start(wg.store), 0);
}

static void
fill_peer(struct sl_service_peer *p, const struct wg_device *d, uint32_t id)
{
	*p = (struct sl_service_peer){ .client = id,
				       .session = id - 1,
				       .inner = rte_be_to_cpu_32(packet_ip(d->inner)),
				       .has_psk = d->has_psk };
	memcpy(p->psk, d->psk.octets, sizeof(p->psk));
	memcpy(p->public_key, d->local.noise.public.octets, sizeof(p->public_key));
	snprintf(p->name, sizeof(p->name), "client%u", id);
}

void
wg_configure(bool has_alice, bool has_bob)
{
	struct sl_snapshot *s = &snapshots[at_snapshot++ % 2];
	static struct sl_client lists[2][NB_FIXED + WG_CROWD_MAX];
	static struct sl_client_end ends[2][NB_FIXED + WG_CROWD_MAX];
	static struct sl_service_peer peers[NB_FIXED + WG_CROWD_MAX];
	struct sl_client *list = lists[at_snapshot % 2];
	unsigned nb = 0;

	memcpy(list, clients, sizeof(clients));
	list[1].is_live = has_alice;
	list[2].is_live = has_bob;
	sl_client_ends_fill(ends[at_snapshot % 2], list, NB_FIXED + nb_crowd);
	*s = (struct sl_snapshot){ .generation = at_snapshot,
				   .clients = list,
				   .ends = ends[at_snapshot % 2],
				   .nb_clients = NB_FIXED + nb_crowd,
				   .tenants = &tenant,
				   .nb_tenants = 1,
				   .plain = plain };
	if (has_alice)
		fill_peer(&peers[nb++], &alice, 1);
	if (has_bob)
		fill_peer(&peers[nb++], &bob, 2);
	for (unsigned i = 0; i < nb_crowd; i++)
		fill_peer(&peers[nb++], &crowd[i], NB_FIXED + i);
	sl_service_config(wg.service, &without_names, s, peers, nb);
	(void)!sl_dp_swap_snapshot(path_dp(wg.pop), s);
}

// The floor of timestamps gets to the disk in its own time.
static void
settle(void)
{
	for (unsigned i = 0; i < 20; i++) {
		path_pass_ms(50);
		usleep(2000);
	}
}

void
wg_restart(void)
{
	usleep(20000);
	sl_service_free(wg.service);
	sl_store_close(wg.store);
	memset(wg.sessions.sessions, 0, wg.sessions.nb_sessions * sizeof(*wg.sessions.sessions));
	start_service();
	wg_configure(true, true);
	settle();
}

static void
crowd_begin(void)
{
	for (unsigned i = 0; i < nb_crowd; i++) {
		struct wg_device *d = &crowd[i];

		*d = (struct wg_device){ .port = (uint16_t)(1024 + i) };
		snprintf(d->inner_text, sizeof(d->inner_text), "10.91.%u.%u", i / 250, i % 250 + 1);
		d->inner = d->inner_text;
		wg_device_begin(d);
		clients[NB_FIXED + i] = (struct sl_client){ .is_live = true,
							    .session = NB_FIXED + i - 1,
							    .address = packet_ip(d->inner),
							    .prefix_bits = 32,
							    .name = "one of many" };
	}
}

void
wg_begin_crowd(struct wg_device *devices, unsigned nb)
{
	crowd = devices;
	nb_crowd = nb;
	wg_begin();
}

static void
add_pop(void)
{
	struct sl_net net = {
		.nb_ports = 1,
		.ports = { { .name = "p0",
			     .address = packet_ip(POP),
			     .prefix_bits = 24,
			     .mtu_bytes = 1500 } },
		.wireguard_port = POP_PORT,
		.tunnel_port_first = TUNNEL_PORT,
		.tunnel_port_last = TUNNEL_PORT,
		.wireguard_mtu = 1420,
		.nb_resolvers = 1,
		.resolvers = { packet_ip(WG_RESOLVER) },
		.pool = packet_ip("100.96.0.0"),
		.pool_bits = 12,
	};
	struct sl_tables_conf tables = { .nb_flows = 256,
					 .nb_sessions = 8 + nb_crowd,
					 .timeouts = { 74400, 2400, 100, 1200, 20, 600 },
					 .nat_port_low = 30000,
					 .nat_port_high = 39999 };
	struct sl_dp_conf how = { .name = "pop",
				  .role = SL_DP_POP,
				  .net = &net,
				  .nb_mbufs = 4095,
				  .on_mail = sl_upkeep_mail,
				  .on_tick = sl_upkeep_tick };

	wg.pop = path_add_conf(&how);
	CU_ASSERT_EQUAL_FATAL(sl_tables_create(path_dp(wg.pop), &tables, &wg.sessions), 0);
	path_host(wg.pop, 0, packet_ip(DEVICE), MAC);
	path_arrive(wg.pop, 0, wg_arrival);
}

static void
read_config(void)
{
	struct sl_config_errors errors = { 0 };

	strcpy(state_dir, "/tmp/wgclient-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(state_dir));
	if (sl_config_load_string(pop_conf, "t.conf", SL_CONFIG_SKIP_FILES, &wg.config, &errors) !=
	    0)
		sl_config_errors_print(&errors, stdout);
	sl_config_errors_free(&errors);
	CU_ASSERT_PTR_NOT_NULL_FATAL(wg.config);
}

void
wg_begin(void)
{
	add_pop();
	read_config();
	wg_engine = sl_aead_create(SL_AEAD_BEST);
	wg_device_begin(&alice);
	wg_device_begin(&bob);
	wg_device_begin(&mallory);
	alice.port = 40000;
	mallory.port = 40200;
	plain = sl_plain_build(NULL, 0);
	clients[1] = (struct sl_client){ .is_live = true,
					 .session = 0,
					 .address = packet_ip(alice.inner),
					 .prefix_bits = 32,
					 .name = "alice" };
	clients[2] = (struct sl_client){ .is_live = true,
					 .session = 1,
					 .address = packet_ip(bob.inner),
					 .prefix_bits = 32,
					 .name = "bob" };
	crowd_begin();
	without_names = *wg.config;
	without_names.nb_tenants = 0;
	start_service();
	wg_configure(true, true);
	path_session(session_thread);
	settle();
	nb_inbox = 0;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static void
free_tables(void)
{
	sl_tables_destroy(path_dp(wg.pop), &wg.sessions);
}

void
wg_end(const char *title)
{
	wg_run();
	CU_ASSERT_EQUAL(path_drops(wg.pop, "handover_twice"), 0);
	CU_ASSERT_EQUAL(path_drops(wg.pop, "handover_no_worker"), 0);
	CU_ASSERT_EQUAL(path_drops(wg.pop, "client_output_leak"), 0);
	path_session(NULL);
	sl_service_free(wg.service);
	sl_store_close(wg.store);
	nftw(state_dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	path_before_destroy(free_tables);
	path_end(title);
	sl_config_free(wg.config);
	sl_plain_free(plain);
	sl_aead_destroy(wg_engine);
	wg_device_end(&alice);
	wg_device_end(&bob);
	wg_device_end(&mallory);
	for (unsigned i = 0; i < nb_crowd; i++)
		wg_device_end(&crowd[i]);
	nb_crowd = 0;
}

// ---- The wire ----------------------------------------------------------------------------------------------

// Sort what left into the devices' inboxes.
static void
sort(void)
{
	uint8_t frame[PATH_FRAME_BYTES];
	size_t nb;

	while ((nb = path_take(wg.pop, 0, frame, sizeof(frame))) != 0) {
		const struct rte_ether_hdr *ether = (const struct rte_ether_hdr *)frame;
		const struct rte_ipv4_hdr *ip = ether->ether_type == RTE_BE16(RTE_ETHER_TYPE_ARP)
			? NULL
			: packet_check(frame, nb);
		const struct rte_udp_hdr *udp;
		struct wg_datagram *d = &inbox[nb_inbox];

		if (ip == NULL || ip->next_proto_id != IPPROTO_UDP || nb_inbox == NB_INBOX)
			continue;
		CU_ASSERT_EQUAL(ip->dst_addr, packet_ip(DEVICE));
		udp = (const struct rte_udp_hdr *)(ip + 1);
		CU_ASSERT_EQUAL(udp->src_port, RTE_BE16(POP_PORT));
		d->nb_bytes = rte_be_to_cpu_16(udp->dgram_len) - sizeof(*udp);
		memcpy(d->bytes, udp + 1, d->nb_bytes);
		inbox_port[nb_inbox++] = rte_be_to_cpu_16(udp->dst_port);
	}
}

void
wg_run(void)
{
	path_run();
	sort();
}

void
wg_pass_s(unsigned s)
{
	path_pass_ms(1000 * s);
	sort();
}

void
wg_queue(struct wg_device *d, const struct wg_datagram *datagram)
{
	struct packet_spec spec = { .to = path_mac(wg.pop, 0),
				    .from = MAC,
				    .source = DEVICE,
				    .destination = POP,
				    .protocol = IPPROTO_UDP,
				    .source_port = d->port,
				    .destination_port = d->is_at_tunnel ? TUNNEL_PORT : POP_PORT,
				    .tos = d->tos,
				    .payload = datagram->bytes,
				    .payload_bytes = datagram->nb_bytes };
	uint8_t frame[PATH_FRAME_BYTES];

	path_send(wg.pop, 0, frame, packet_build(frame, sizeof(frame), &spec));
}

void
wg_send(struct wg_device *d, const struct wg_datagram *datagram)
{
	wg_queue(d, datagram);
	wg_run();
}

bool
wg_take(struct wg_device *d, struct wg_datagram *out)
{
	unsigned at = 0;

	while (at < nb_inbox && inbox_port[at] != d->port)
		at++;
	if (at == nb_inbox)
		return false;
	*out = inbox[at];
	nb_inbox--;
	memmove(&inbox[at], &inbox[at + 1], (nb_inbox - at) * sizeof(inbox[0]));
	memmove(&inbox_port[at], &inbox_port[at + 1], (nb_inbox - at) * sizeof(inbox_port[0]));
	return true;
}
