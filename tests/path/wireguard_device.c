// wireguard_device: a WireGuard device of the tests, which speaks the protocol by proto/ as the PoP does.
#include "wireguard_kit.h"

#include <rte_icmp.h>
#include <rte_ip.h>

#include <sluice/dp/crypto.h>
#include <sluice/proto/inet.h>
#include <stdlib.h>

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

void
wg_device_begin(struct wg_device *d)
{
	struct sl_noise_private_key pop;
	struct sl_noise_local pop_local;

	memcpy(pop.octets, wg_pop_key.bytes, sizeof(pop.octets));
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

void
wg_device_end(struct wg_device *d)
{
	for (unsigned i = 0; i < WG_KEYS; i++) {
		free(d->keys[i]);
		d->keys[i] = NULL;
	}
}

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
			sl_keypair_init(k, &e->key, wg_engine);
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
	wg_engine->ops->seal(wg_engine, &op, 1);
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
				    .destination = WG_RESOLVER,
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
				    .destination = WG_RESOLVER,
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
	wg_engine->ops->open(wg_engine, &op, 1);
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
		sl_sum(ip, sizeof(*ip)) == 0xffff && ip->src_addr == packet_ip(WG_RESOLVER) &&
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
