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
#define RESOLVER    "100.95.0.251"
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
static struct sl_aead *engine;
static char state_dir[64];
static const struct sl_private_key pop_key = { { 8, 2, 3, 4 } };
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
				       .key = &pop_key,
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

static bool
device_take_index(void *context, struct sl_peer *peer, uint32_t *index)
{
	struct wg_device *d = context;

	(void)peer;
	*index = ++d->next_index;
	return true;
}

static struct sl_peer *
device_by_index(void *context, uint32_t index)
{
	(void)index;
	return &((struct wg_device *)context)->peer;
}

static struct sl_peer *
device_by_public(void *context, const struct sl_noise_public *public)
{
	(void)public;
	return &((struct wg_device *)context)->peer;
}

static void
device_begin(struct wg_device *d)
{
	struct sl_noise_private_key pop;
	struct sl_noise_local pop_local;

	memcpy(pop.octets, pop_key.bytes, sizeof(pop.octets));
	CU_ASSERT_EQUAL_FATAL(sl_noise_generate(&d->key), 0);
	CU_ASSERT_EQUAL_FATAL(
		sl_noise_local_init(&pop_local, &sl_noise_wireguard, &pop), SL_NOISE_OK
	);
	CU_ASSERT_EQUAL_FATAL(
		sl_peer_local_init(&d->local, &sl_noise_wireguard, &d->key), SL_NOISE_OK
	);
	sl_tai64n_floor_is(&d->local.clock, UINT64_MAX);
	d->local.context = d;
	d->local.take_index = device_take_index;
	d->local.by_index = device_by_index;
	d->local.by_public = device_by_public;
	if (d->has_psk)
		memset(d->psk.octets, 0x5a, sizeof(d->psk.octets));
	CU_ASSERT_EQUAL_FATAL(
		sl_peer_init(
			&d->peer,
			&d->local,
			&pop_local.public,
			d->has_psk ? &d->psk : NULL,
			SL_PEER_INITIATES,
			0
		),
		SL_NOISE_OK
	);
	d->next_index = 0x100;
	d->nb_installed = 0;
	d->nb_empty = 0;
	d->sealing = NULL;
}

static void
device_end(struct wg_device *d)
{
	for (unsigned i = 0; i < WG_KEYS; i++) {
		free(d->keys[i]);
		d->keys[i] = NULL;
	}
}

static void
crowd_begin(void)
{
	for (unsigned i = 0; i < nb_crowd; i++) {
		struct wg_device *d = &crowd[i];

		*d = (struct wg_device){ .port = (uint16_t)(1024 + i) };
		snprintf(d->inner_text, sizeof(d->inner_text), "10.91.%u.%u", i / 250, i % 250 + 1);
		d->inner = d->inner_text;
		device_begin(d);
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

void
wg_begin(void)
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
		.resolvers = { packet_ip(RESOLVER) },
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
	struct sl_config_errors errors = { 0 };

	wg.pop = path_add_conf(&how);
	CU_ASSERT_EQUAL_FATAL(sl_tables_create(path_dp(wg.pop), &tables, &wg.sessions), 0);
	path_host(wg.pop, 0, packet_ip(DEVICE), MAC);
	path_arrive(wg.pop, 0, wg_arrival);
	strcpy(state_dir, "/tmp/wgclient-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(state_dir));
	if (sl_config_load_string(pop_conf, "t.conf", SL_CONFIG_SKIP_FILES, &wg.config, &errors) !=
	    0)
		sl_config_errors_print(&errors, stdout);
	sl_config_errors_free(&errors);
	CU_ASSERT_PTR_NOT_NULL_FATAL(wg.config);
	engine = sl_aead_create(SL_AEAD_BEST);
	device_begin(&alice);
	device_begin(&bob);
	device_begin(&mallory);
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
	sl_aead_destroy(engine);
	device_end(&alice);
	device_end(&bob);
	device_end(&mallory);
	for (unsigned i = 0; i < nb_crowd; i++)
		device_end(&crowd[i]);
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

// ---- A device ----------------------------------------------------------------------------------------------

void
wg_carry_out(struct wg_device *d, struct sl_peer_output *out)
{
	for (unsigned i = 0; i < out->nb; i++) {
		const struct sl_peer_event *e = &out->events[i];
		struct wg_datagram datagram = { .nb_bytes = e->nb_bytes };
		struct sl_keypair *k;

		switch (e->type) {
		case SL_PEER_SEND:
			memcpy(datagram.bytes, e->bytes, e->nb_bytes);
			if (e->bytes[0] == SL_WG_INITIATION)
				d->initiation = datagram;
			wg_send(d, &datagram);
			break;
		case SL_PEER_INSTALL:
			k = aligned_alloc(64, sl_keypair_bytes(e->key.cipher, 1));
			CU_ASSERT_PTR_NOT_NULL_FATAL(k);
			sl_keypair_init(k, &e->key, engine);
			free(d->keys[k->local_index % WG_KEYS]);
			d->keys[k->local_index % WG_KEYS] = k;
			d->nb_installed++;
			break;
		case SL_PEER_CONFIRMED:
			d->sealing = d->keys[e->index % WG_KEYS];
			break;
		case SL_PEER_KEEPALIVE:
			wg_seal(d, &datagram, NULL, 0);
			wg_send(d, &datagram);
			break;
		case SL_PEER_RELEASE:
		case SL_PEER_RESTARTED:
		case SL_PEER_EXPIRED:
		case SL_PEER_GAVE_UP:
		default:
			break;
		}
	}
	sl_peer_output_wipe(out);
	out->nb = 0;
}

void
wg_seal(struct wg_device *d, struct wg_datagram *out, const void *packet, size_t nb_bytes)
{
	size_t padded = (nb_bytes + 15) & ~(size_t)15;
	struct sl_peer_output asked = { .nb = 0 };
	struct sl_aead_op op;
	uint64_t counter = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(d->sealing);
	memset(out->bytes, 0, sizeof(out->bytes));
	if (nb_bytes != 0)
		memcpy(out->bytes + 16, packet, nb_bytes);
	CU_ASSERT_FATAL(sl_keypair_take_counter(d->sealing, 0, &counter));
	sl_keypair_header_wireguard(out->bytes, d->sealing->remote_index, counter);
	op = (struct sl_aead_op){ .key = sl_keypair_seal_key(d->sealing, 0),
				  .cipher = d->sealing->cipher,
				  .data = out->bytes + 16,
				  .tag = out->bytes + 16 + padded,
				  .nb_bytes = (uint32_t)padded };
	sl_keypair_nonce_wireguard(op.nonce, counter);
	engine->ops->seal(engine, &op, 1);
	out->nb_bytes = 32 + padded;
	if (nb_bytes != 0) {
		sl_peer_note_sealed(&d->peer, SL_PEER_DATA, wg_now(), &asked);
		wg_carry_out(d, &asked);
	}
}

static void
seal_packet(struct wg_device *d, struct wg_datagram *out, const struct packet_spec *spec)
{
	uint8_t frame[PATH_FRAME_BYTES];
	size_t nb = packet_build(frame, sizeof(frame), spec);

	wg_seal(d, out, frame + sizeof(struct rte_ether_hdr), nb - sizeof(struct rte_ether_hdr));
}

void
wg_seal_echo(struct wg_device *d, struct wg_datagram *out, const char *source)
{
	struct packet_spec spec = { .to = path_mac(wg.pop, 0),
				    .source = source,
				    .destination = RESOLVER,
				    .protocol = IPPROTO_ICMP,
				    .source_port = 7,
				    .destination_port = ++d->nb_echoes,
				    .payload = "are you there",
				    .payload_bytes = 13 };

	seal_packet(d, out, &spec);
}

void
wg_seal_silent(struct wg_device *d, struct wg_datagram *out)
{
	struct packet_spec spec = { .to = path_mac(wg.pop, 0),
				    .source = d->inner,
				    .destination = RESOLVER,
				    .protocol = IPPROTO_UDP,
				    .source_port = 7,
				    .destination_port = 9 };

	seal_packet(d, out, &spec);
}

void
wg_initiate_sealed(struct wg_device *d, struct wg_datagram *out)
{
	struct sl_peer_output asked = { .nb = 0 };

	sl_peer_initiate(&d->peer, wg_now(), &asked);
	CU_ASSERT_FATAL(asked.nb != 0);
	memcpy(out->bytes, asked.events[asked.nb - 1].bytes, SL_NOISE_MESSAGE_MAX);
	out->nb_bytes = asked.events[asked.nb - 1].nb_bytes;
}

void
wg_initiate(struct wg_device *d)
{
	struct sl_peer_output asked = { .nb = 0 };

	d->peer.is_asking = false; // what went unanswered is given up
	sl_peer_initiate(&d->peer, wg_now(), &asked);
	wg_carry_out(d, &asked);
}

static void
open_data(struct wg_device *d, struct wg_datagram *in)
{
	struct sl_keypair *k = d->keys[sl_get32le(in->bytes + 4) % WG_KEYS];
	struct sl_peer_output asked = { .nb = 0 };
	struct sl_aead_op op;

	CU_ASSERT_PTR_NOT_NULL_FATAL(k);
	CU_ASSERT_EQUAL_FATAL(k->local_index, sl_get32le(in->bytes + 4));
	CU_ASSERT_FATAL(in->nb_bytes >= 32);
	op = (struct sl_aead_op){ .key = sl_keypair_open_key(k),
				  .cipher = k->cipher,
				  .data = in->bytes + 16,
				  .tag = in->bytes + in->nb_bytes - 16,
				  .nb_bytes = (uint32_t)in->nb_bytes - 32 };
	CU_ASSERT(op.nb_bytes % 16 == 0 || op.nb_bytes == 1420);
	sl_keypair_nonce_wireguard(op.nonce, sl_get64le(in->bytes + 8));
	engine->ops->open(engine, &op, 1);
	CU_ASSERT(op.authentic);
	d->nb_empty += op.nb_bytes == 0;
	d->plain.nb_bytes = op.nb_bytes;
	memcpy(d->plain.bytes, op.data, op.nb_bytes);
	sl_peer_note_opened(
		&d->peer,
		k->local_index,
		op.nb_bytes == 0 ? SL_PEER_EMPTY : SL_PEER_DATA,
		wg_now(),
		&asked
	);
	wg_carry_out(d, &asked);
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

bool
wg_receive(struct wg_device *d)
{
	uint8_t source[SL_COOKIE_ADDRESS_BYTES] = { 1 };
	struct sl_peer_output asked = { .nb = 0 };
	struct wg_datagram in;

	if (!wg_take(d, &in))
		return false;
	d->plain.nb_bytes = 0;
	if (in.bytes[0] == SL_WG_DATA) {
		open_data(d, &in);
		return true;
	}
	CU_ASSERT_EQUAL(
		sl_peer_receive(
			&d->local, in.bytes, in.nb_bytes, source, SL_PEER_CALM, wg_now(), &asked
		),
		SL_PEER_OK
	);
	wg_carry_out(d, &asked);
	return true;
}

void
wg_handshake(struct wg_device *d)
{
	unsigned before = d->nb_installed;

	wg_initiate(d);
	while (d->nb_installed == before && wg_receive(d))
		;
	CU_ASSERT_EQUAL_FATAL(d->nb_installed, before + 1);
}

static bool
is_echo(const struct wg_device *d)
{
	const struct rte_ipv4_hdr *ip = (const void *)d->plain.bytes;
	const struct rte_icmp_hdr *icmp = (const void *)(ip + 1);

	return d->plain.nb_bytes >= sizeof(*ip) + sizeof(*icmp) + 13 &&
		sl_sum(ip, sizeof(*ip)) == 0xffff && ip->src_addr == packet_ip(RESOLVER) &&
		ip->dst_addr == packet_ip(d->inner) && icmp->icmp_type == RTE_IP_ICMP_ECHO_REPLY &&
		memcmp(icmp + 1, "are you there", 13) == 0;
}

bool
wg_take_echo(struct wg_device *d)
{
	while (wg_receive(d))
		if (is_echo(d))
			return true;
	return false;
}

bool
wg_echo(struct wg_device *d)
{
	struct wg_datagram datagram;

	if (d->sealing == NULL)
		return false;
	wg_seal_echo(d, &datagram, d->inner);
	wg_send(d, &datagram);
	return wg_take_echo(d);
}
