// device: a WireGuard device of the load generator: keys, handshakes and timers by the code of proto/.
#include "devices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HEADER_BYTES 16u
#define RUNS_A_TURN  64u // timers looked at

struct devices all;

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
			      .from_port = DEVICE_PORT,
			      .to_port = DEVICE_PORT,
			      .payload = bytes,
			      .payload_bytes = (unsigned)nb_bytes };
	struct rte_mbuf *m = load_udp_make(all.l, &all.l->clients, &u);

	if (m != NULL)
		load_port_send(&all.l->clients, m);
}

void
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
	op = (struct sl_aead_op){ .key = sl_keypair_seal_key(d->sealing, 0),
				  .cipher = d->sealing->cipher,
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
		*slot = sl_bench_memory(sl_keypair_bytes(key->cipher, 1));
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

void
device_ask(struct device *d)
{
	struct sl_peer_output out = { .nb = 0 };

	d->asked_tsc = __rdtsc();
	sl_peer_initiate(&d->peer, now(), &out);
	device_do(d, &out);
}

// ---- What comes ------------------------------------------------------------------------------------------------

static const uint8_t *
take_data(struct device *d, struct load_udp *u, uint32_t *nb_bytes)
{
	struct sl_keypair *k = d->keys[sl_get32le(u->payload + 4) % DEVICE_KEYS];
	struct sl_peer_output out = { .nb = 0 };
	struct sl_aead_op op;

	if (u->payload_bytes < SL_WG_DATA_MIN_BYTES || k == NULL ||
	    k->local_index != sl_get32le(u->payload + 4))
		return NULL;
	op = (struct sl_aead_op){ .key = sl_keypair_open_key(k),
				  .cipher = k->cipher,
				  .data = u->payload + HEADER_BYTES,
				  .tag = u->payload + u->payload_bytes - SL_AEAD_TAG_BYTES,
				  .nb_bytes = u->payload_bytes - SL_WG_DATA_MIN_BYTES };
	sl_keypair_nonce_wireguard(op.nonce, sl_get64le(u->payload + 8));
	all.engine->ops->open(all.engine, &op, 1);
	if (!op.authentic) {
		if (all.l->trial != NULL)
			all.l->trial->nb_wrong++;
		return NULL;
	}
	sl_peer_note_opened(&d->peer, k->local_index, SL_PEER_EMPTY, now(), &out);
	device_do(d, &out);
	*nb_bytes = op.nb_bytes;
	return op.nb_bytes == 0 ? NULL : op.data;
}

const uint8_t *
device_take(struct device *d, struct load_udp *u, uint32_t *nb_bytes)
{
	uint8_t source[SL_COOKIE_ADDRESS_BYTES] = { 1 };
	struct sl_peer_output out = { .nb = 0 };

	if (u->payload[0] == SL_WG_DATA)
		return take_data(d, u, nb_bytes);
	all.nb_cookies += u->payload[0] == SL_WG_COOKIE_REPLY;
	(void)sl_peer_receive(
		&d->local, u->payload, u->payload_bytes, source, SL_PEER_CALM, now(), &out
	);
	device_do(d, &out);
	return NULL;
}

void
devices_run(void)
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

void
devices_create(struct load *l)
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
