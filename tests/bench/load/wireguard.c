// wireguard: thousands of WireGuard devices on the clients' port, each with an underlay address, keys,
// handshakes and timers of its own (the code of proto/), against a PoP in another process. They come
// up, send echo requests to a resolver and see them answered, and change their keys while they do.
#include "load.h"

#include <rte_icmp.h>
#include <rte_ip.h>

#include <sluice/dp/crypto.h>
#include <sluice/proto/peer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define INNER_BASE   0x0aa00000u // 10.160.0.0: what devices are inside
#define PORT         51820u
#define DEVICE_KEYS  4u
#define HEADER_BYTES 16u
#define ECHO_BYTES   (sizeof(struct rte_ipv4_hdr) + sizeof(struct rte_icmp_hdr))
#define PATIENCE_S   120.0 // until all are up
#define RUNS_A_TURN  64u // timers looked at

struct device {
	struct sl_peer_local local;
	struct sl_peer peer;
	struct sl_keypair *keys[DEVICE_KEYS]; // by index modulo
	struct sl_keypair *sealing;
	uint32_t nb_indices;
	uint32_t nb_confirmed;
	uint64_t asked_tsc; // its handshake under way; 0: none
	uint16_t seq; // of the echo sent last
	bool is_waiting; // for its answer
};

struct devices {
	struct load *l;
	struct device *list;
	unsigned nb;
	struct sl_aead *engine;
	struct sl_noise_public pop;
	uint32_t run_at; // whose timers are looked at next
	uint64_t nb_initiations, nb_cookies, nb_handshakes;
	struct load_hist handshake;
};

static struct devices all;

// ---- Keys --------------------------------------------------------------------------------------------------

// The same in every run, so that a PoP can be configured for them. They protect nothing.
static void
private_key(uint32_t i, struct sl_noise_private_key *key)
{
	uint64_t state = 0x9e3779b97f4a7c15u + i;

	for (unsigned b = 0; b < sizeof(key->octets); b++)
		key->octets[b] = (uint8_t)sl_bench_random(&state);
}

static void
base64(const uint8_t in[32], char out[45])
{
	static const char
		digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned at = 0;

	for (unsigned i = 0; i < 33; i += 3) {
		uint32_t v = (uint32_t)in[i] << 16 | (uint32_t)in[i + 1] << 8 |
			(i + 2 < 32 ? in[i + 2] : 0);

		for (int shift = 18; shift >= 0; shift -= 6)
			out[at++] = digits[v >> shift & 63];
	}
	out[43] = '=';
	out[44] = '\0';
}

void
load_wireguard_print(unsigned nb)
{
	for (uint32_t i = 0; i < nb; i++) {
		struct sl_noise_private_key key;
		struct sl_noise_public public;
		char text[45];

		private_key(i, &key);
		if (sl_noise_public_of(&key, &public) != SL_NOISE_OK)
			exit(1);
		base64(public.octets, text);
		printf("%s\n", text);
	}
}

static bool
from_hex(const char *text, uint8_t out[32])
{
	for (unsigned i = 0; i < 32; i++) {
		unsigned v;

		if (sscanf(text + 2 * i, "%2x", &v) != 1)
			return false;
		out[i] = (uint8_t)v;
	}
	return text[64] == '\0';
}

// ---- A device ------------------------------------------------------------------------------------------------

static struct sl_peer_now
now(void)
{
	struct timespec mono, wall;

	clock_gettime(CLOCK_MONOTONIC, &mono);
	clock_gettime(CLOCK_REALTIME, &wall);
	return (struct sl_peer_now){
		.ns = (uint64_t)mono.tv_sec * SL_NS_PER_S + (uint64_t)mono.tv_nsec,
		.wall_ns = (uint64_t)wall.tv_sec * SL_NS_PER_S + (uint64_t)wall.tv_nsec,
	};
}

static bool
take_index(void *context, struct sl_peer *peer, uint32_t *index)
{
	struct device *d = context;

	(void)peer;
	*index = ++d->nb_indices;
	return true;
}

static struct sl_peer *
by_index(void *context, uint32_t index)
{
	(void)index;
	return &((struct device *)context)->peer;
}

static struct sl_peer *
by_public(void *context, const struct sl_noise_public *public)
{
	struct device *d = context;

	return sl_noise_public_equal(public, &all.pop) ? &d->peer : NULL;
}

static void
device_create(struct device *d, uint32_t i)
{
	struct sl_noise_private_key key;

	private_key(i, &key);
	if (sl_peer_local_init(&d->local, &sl_noise_wireguard, &key) != SL_NOISE_OK)
		exit(1);
	sl_tai64n_floor_is(&d->local.clock, UINT64_MAX);
	d->local.context = d;
	d->local.take_index = take_index;
	d->local.by_index = by_index;
	d->local.by_public = by_public;
	if (sl_peer_init(&d->peer, &d->local, &all.pop, NULL, SL_PEER_INITIATES, 0) !=
	    SL_NOISE_OK) {
		fprintf(stderr, "bench-load: --pop-key is no public key\n");
		exit(1);
	}
}

static void
device_send(const struct device *d, uint8_t *bytes, size_t nb_bytes)
{
	struct load_udp u = { .from = LOAD_CLIENT_BASE + (uint32_t)(d - all.list),
			      .to = LOAD_POP,
			      .from_port = PORT,
			      .to_port = PORT,
			      .payload = bytes,
			      .payload_bytes = (unsigned)nb_bytes };
	struct rte_mbuf *m = load_udp_make(all.l, &all.l->clients, &u);

	if (m != NULL)
		load_port_send(&all.l->clients, m);
}

static void
device_seal(struct device *d, const void *packet, uint32_t nb_bytes)
{
	uint32_t padded = RTE_ALIGN_CEIL(nb_bytes, 16u);
	uint8_t wire[2048] = { 0 };
	struct sl_aead_op op;
	uint64_t counter;

	if (!sl_keypair_take_counter(d->sealing, 0, &counter))
		return;
	if (nb_bytes != 0)
		memcpy(wire + HEADER_BYTES, packet, nb_bytes);
	op = (struct sl_aead_op){ .key = &d->sealing->seal_key,
				  .data = wire + HEADER_BYTES,
				  .tag = wire + HEADER_BYTES + padded,
				  .nb_bytes = padded };
	sl_keypair_header_wireguard(wire, d->sealing->remote_index, counter);
	sl_keypair_nonce_wireguard(op.nonce, counter);
	all.engine->ops->seal(all.engine, &op, 1);
	device_send(d, wire, HEADER_BYTES + padded + SL_AEAD_TAG_BYTES);
}

static void
device_install(struct device *d, const struct sl_transport_key *key)
{
	struct sl_keypair **slot = &d->keys[key->local_index % DEVICE_KEYS];

	if (*slot == NULL)
		*slot = sl_bench_memory(RTE_ALIGN(sl_keypair_bytes(1), 64));
	sl_keypair_init(*slot, key, all.engine);
}

static void
device_do(struct device *d, struct sl_peer_output *out)
{
	for (unsigned i = 0; i < out->nb; i++) {
		struct sl_peer_event *e = &out->events[i];

		switch (e->type) {
		case SL_PEER_SEND:
			all.nb_initiations += e->bytes[0] == SL_WG_INITIATION;
			device_send(d, e->bytes, e->nb_bytes);
			break;
		case SL_PEER_INSTALL:
			device_install(d, &e->key);
			break;
		case SL_PEER_CONFIRMED:
			d->sealing = d->keys[e->index % DEVICE_KEYS];
			d->nb_confirmed++;
			all.nb_handshakes++;
			if (d->asked_tsc != 0)
				load_hist_add(&all.handshake, __rdtsc() - d->asked_tsc);
			d->asked_tsc = 0;
			break;
		case SL_PEER_KEEPALIVE:
			device_seal(d, NULL, 0);
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
}

static void
device_ask(struct device *d)
{
	struct sl_peer_output out = { .nb = 0 };

	d->asked_tsc = __rdtsc();
	sl_peer_initiate(&d->peer, now(), &out);
	device_do(d, &out);
}

// ---- Echoes --------------------------------------------------------------------------------------------------

static void
device_echo(struct device *d)
{
	uint8_t packet[1420] = { 0 };
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)packet;
	struct rte_icmp_hdr *icmp = (struct rte_icmp_hdr *)(ip + 1);
	uint32_t nb_bytes = RTE_MAX(all.l->o.frame_bytes, (unsigned)ECHO_BYTES);
	uint32_t i = (uint32_t)(d - all.list);

	nb_bytes = RTE_MIN(nb_bytes, (uint32_t)sizeof(packet));
	*ip = (struct rte_ipv4_hdr){ .version_ihl = RTE_IPV4_VHL_DEF,
				     .total_length = rte_cpu_to_be_16((uint16_t)nb_bytes),
				     .time_to_live = 64,
				     .next_proto_id = IPPROTO_ICMP,
				     .src_addr = rte_cpu_to_be_32(INNER_BASE + i),
				     .dst_addr = rte_cpu_to_be_32(LOAD_RESOLVER) };
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	icmp->icmp_type = RTE_IP_ICMP_ECHO_REQUEST;
	icmp->icmp_ident = RTE_BE16(7);
	icmp->icmp_seq_nb = rte_cpu_to_be_16(++d->seq);
	icmp->icmp_cksum = (uint16_t)~rte_raw_cksum(icmp, nb_bytes - sizeof(*ip));
	d->is_waiting = true;
	device_seal(d, packet, nb_bytes);
}

static void
take_echo(struct device *d, const uint8_t *packet, uint32_t nb_bytes)
{
	const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)packet;
	const struct rte_icmp_hdr *icmp = (const struct rte_icmp_hdr *)(ip + 1);
	struct load_trial *t = all.l->trial;

	if (nb_bytes == 0 || t == NULL)
		return;
	if (nb_bytes < ECHO_BYTES ||
	    ip->dst_addr != rte_cpu_to_be_32(INNER_BASE + (uint32_t)(d - all.list)) ||
	    ip->src_addr != rte_cpu_to_be_32(LOAD_RESOLVER) || icmp->icmp_type != 0)
		t->nb_wrong++;
	else if (d->is_waiting && icmp->icmp_seq_nb == rte_cpu_to_be_16(d->seq))
		t->nb_answered++;
	else
		t->nb_late++;
	d->is_waiting = false;
}

// ---- What comes ------------------------------------------------------------------------------------------------

static void
take_data(struct device *d, struct load_udp *u)
{
	struct sl_keypair *k = d->keys[sl_get32le(u->payload + 4) % DEVICE_KEYS];
	struct sl_peer_output out = { .nb = 0 };
	struct sl_aead_op op;

	if (u->payload_bytes < SL_WG_DATA_MIN_BYTES || k == NULL ||
	    k->local_index != sl_get32le(u->payload + 4))
		return;
	op = (struct sl_aead_op){ .key = &k->open_key,
				  .data = u->payload + HEADER_BYTES,
				  .tag = u->payload + u->payload_bytes - SL_AEAD_TAG_BYTES,
				  .nb_bytes = u->payload_bytes - SL_WG_DATA_MIN_BYTES };
	sl_keypair_nonce_wireguard(op.nonce, sl_get64le(u->payload + 8));
	all.engine->ops->open(all.engine, &op, 1);
	if (!op.authentic) {
		if (all.l->trial != NULL)
			all.l->trial->nb_wrong++;
		return;
	}
	sl_peer_note_opened(&d->peer, k->local_index, SL_PEER_EMPTY, now(), &out);
	device_do(d, &out);
	take_echo(d, op.data, op.nb_bytes);
}

static void
take(struct rte_mbuf *m)
{
	uint8_t source[SL_COOKIE_ADDRESS_BYTES] = { 1 };
	struct sl_peer_output out = { .nb = 0 };
	struct load_udp u;
	struct device *d;

	if (!load_udp_parse(m, &u) || u.from_port != PORT || u.payload_bytes < HEADER_BYTES ||
	    u.to < LOAD_CLIENT_BASE || u.to - LOAD_CLIENT_BASE >= all.nb) {
		rte_pktmbuf_free(m);
		return;
	}
	d = &all.list[u.to - LOAD_CLIENT_BASE];
	if (u.payload[0] == SL_WG_DATA) {
		take_data(d, &u);
	} else {
		all.nb_cookies += u.payload[0] == SL_WG_COOKIE_REPLY;
		(void)sl_peer_receive(
			&d->local, u.payload, u.payload_bytes, source, SL_PEER_CALM, now(), &out
		);
		device_do(d, &out);
	}
	rte_pktmbuf_free(m);
}

static void
run_timers(void)
{
	struct sl_peer_now at = now();

	for (unsigned i = 0; i < RUNS_A_TURN; i++) {
		struct device *d = &all.list[all.run_at];
		struct sl_peer_output out = { .nb = 0 };

		all.run_at = all.run_at + 1 == all.nb ? 0 : all.run_at + 1;
		if (sl_peer_next_deadline(&d->peer) > at.ns)
			continue;
		sl_peer_run(&d->peer, at, &out);
		device_do(d, &out);
	}
}

static void
turn(void)
{
	struct load_port *p = &all.l->clients;
	struct rte_mbuf *m[LOAD_BURST];
	unsigned nb = load_port_poll(p, m);

	for (unsigned i = 0; i < nb; i++)
		if (!load_port_arp(p, m[i]))
			take(m[i]);
	run_timers();
	load_port_flush(p);
}

static double
seconds_since(uint64_t tsc)
{
	return (double)(__rdtsc() - tsc) / (double)all.l->hz;
}

// ---- Stages ----------------------------------------------------------------------------------------------------

static unsigned
nb_asking(void)
{
	unsigned nb = 0;

	for (unsigned i = 0; i < all.nb; i++)
		nb += all.list[i].asked_tsc != 0;
	return nb;
}

static uint64_t
came_back(const struct load_trial *t)
{
	return t->nb_answered + t->nb_wrong + t->nb_late;
}

// Every device shakes hands, with so many under way at a time; how long that took. With `t`, echoes go
// on meanwhile, as many unanswered at a time.
static double
shake_hands(struct load_trial *t)
{
	uint64_t began = __rdtsc(), target = all.nb_handshakes + all.nb;
	unsigned next = 0, under_way = 0;

	all.l->trial = t;
	while (all.nb_handshakes < target) {
		under_way = next - (unsigned)(all.nb - (target - all.nb_handshakes));
		for (; next < all.nb && under_way < all.l->o.window; under_way++)
			device_ask(&all.list[next++]);
		if (t != NULL && t->nb_sent - came_back(t) < all.l->o.window &&
		    !load_port_is_full(&all.l->clients)) {
			struct device *d = &all.list[sl_bench_random(&all.l->random) % all.nb];

			if (!d->is_waiting) {
				device_echo(d);
				t->nb_sent++;
			}
		}
		turn();
		if (seconds_since(began) > PATIENCE_S) {
			fprintf(stderr, "bench-load: %u devices have no session\n", nb_asking());
			exit(1);
		}
	}
	return seconds_since(began);
}

// Echoes of devices in random order, so many unanswered at a time.
static void
echo_all(struct load_trial *t)
{
	uint64_t began = __rdtsc(), last = began, seen = 0;

	all.l->trial = t;
	while (seconds_since(began) < t->seconds) {
		uint64_t back = came_back(t);

		if (back != seen)
			last = __rdtsc();
		seen = back;
		for (unsigned i = 0; i < LOAD_BURST && t->nb_sent - back < all.l->o.window &&
		     !load_port_is_full(&all.l->clients);
		     i++) {
			struct device *d = &all.list[sl_bench_random(&all.l->random) % all.nb];

			if (d->is_waiting)
				continue;
			device_echo(d);
			t->nb_sent++;
		}
		turn();
		if (seconds_since(last) > 1)
			break; // all that was under way is lost
	}
	t->took_s = seconds_since(began);
	while (seconds_since(began) < t->took_s + 0.5)
		turn();
}

static void
tell_handshakes(const char *what, double took_s, const struct load_trial *t)
{
	const struct load *l = all.l;

	printf("%-10s %u devices in %.2f s: %.0f handshakes/s, %llu initiations, %llu cookies; "
	       "ms: p50 %.1f p99 %.1f max %.1f",
	       what,
	       all.nb,
	       took_s,
	       all.nb / took_s,
	       (unsigned long long)all.nb_initiations,
	       (unsigned long long)all.nb_cookies,
	       (double)load_hist_at(&all.handshake, 0.5) * 1e3 / (double)l->hz,
	       (double)load_hist_at(&all.handshake, 0.99) * 1e3 / (double)l->hz,
	       (double)all.handshake.max * 1e3 / (double)l->hz);
	if (t != NULL)
		printf("; echoes %llu, lost %llu, wrong %llu",
		       (unsigned long long)t->nb_sent,
		       (unsigned long long)(t->nb_sent - t->nb_answered - t->nb_late),
		       (unsigned long long)t->nb_wrong);
	printf("\n");
	fflush(stdout);
	memset(&all.handshake, 0, sizeof(all.handshake));
	all.nb_initiations = all.nb_cookies = 0;
}

static void
create(struct load *l)
{
	all.l = l;
	all.nb = l->o.nb_clients;
	all.engine = sl_aead_create(SL_AEAD_BEST);
	if (l->o.pop_key == NULL || strlen(l->o.pop_key) != 64 ||
	    !from_hex(l->o.pop_key, all.pop.octets)) {
		fprintf(stderr,
			"bench-load: --pop-key wants the PoP's public key, 64 hexadecimal "
			"digits\n");
		exit(2);
	}
	all.list = sl_bench_memory(all.nb * sizeof(*all.list));
	for (uint32_t i = 0; i < all.nb; i++)
		device_create(&all.list[i], i);
}

bool
load_wireguard(struct load *l)
{
	static struct load_trial during, after;
	uint64_t began = __rdtsc();
	double took_s;

	create(l);
	while (!l->clients.knows_gateway && seconds_since(began) < 60) {
		load_port_ask_gateway(l, &l->clients);
		turn();
	}
	tell_handshakes("up", shake_hands(NULL), NULL);
	after.seconds = l->o.seconds;
	echo_all(&after);
	printf("%-10s %.0f sent/s %.0f answered/s, lost %llu, wrong %llu\n",
	       "echoes",
	       (double)after.nb_sent / after.took_s,
	       (double)after.nb_answered / after.took_s,
	       (unsigned long long)(after.nb_sent - after.nb_answered - after.nb_late),
	       (unsigned long long)after.nb_wrong);
	took_s = shake_hands(&during);
	began = __rdtsc();
	while (seconds_since(began) < 0.5)
		turn();
	tell_handshakes("rekey", took_s, &during);
	return after.nb_wrong == 0 && during.nb_wrong == 0;
}
