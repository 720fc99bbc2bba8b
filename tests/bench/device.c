#include "device.h"
#include "traffic.h"

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_malloc.h>
#include <rte_udp.h>

#include <sluice/dp/crypto.h>
#include <sluice/dp/ip4.h>
#include <sluice/dp/worker.h>
#include <sluice/proto/keypair.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ETHER_BYTES sizeof(struct rte_ether_hdr)
#define OUTER_BYTES                                                                                \
	(sizeof(struct rte_ipv4_hdr) + sizeof(struct rte_udp_hdr) + sizeof(struct sl_wg_data))

// On the pages that the daemon has them on.
static struct sl_keypair *
keypair_of(
	const struct bench_world *w,
	const struct sl_transport_key *t,
	struct sl_aead *engine,
	uint32_t client
)
{
	struct sl_keypair *k = rte_malloc("sl_keypair", sl_keypair_bytes(t->cipher, 1), 64);

	if (k == NULL) {
		fprintf(stderr, "bench-path: no memory for keys\n");
		exit(EXIT_FAILURE);
	}
	sl_keypair_init(k, t, engine);
	k->session = w->size.nb_sessions + client;
	k->client = client + 1;
	atomic_store(&k->confirmed, true);
	return k;
}

static void
create(struct bench_world *w, uint32_t client, uint64_t *random)
{
	uint32_t id = w->size.nb_sessions + client;
	struct sl_session *s = &w->pop.sessions.sessions[id];
	struct sl_transport_key pop = { .cipher = SL_CIPHER_CHACHA20_POLY1305,
					.local_index = 0xab000000u | id,
					.remote_index = 0xcd000000u | id,
					.nb_lanes = 1,
					.created_ns = sl_clock_ns(&w->clock) };
	struct sl_transport_key device = pop;

	for (unsigned b = 0; b < SL_AEAD_KEY_BYTES; b++) {
		pop.seal[b] = device.open[b] = (uint8_t)sl_bench_random(random);
		pop.open[b] = device.seal[b] = (uint8_t)sl_bench_random(random);
	}
	device.local_index = pop.remote_index;
	device.remote_index = pop.local_index;
	device.is_initiator = true;
	w->devices[client] = keypair_of(w, &device, w->device_aead, client);
	w->device_keys[client] = keypair_of(w, &pop, w->pop.worker->aead, client);
	atomic_store(
		&w->pop.sessions.keypairs[pop.local_index & w->pop.sessions.slot_mask],
		w->device_keys[client]
	);
	s->id = id;
	s->client = client + 1;
	s->nb_lanes = 1;
	s->lanes[0] = (struct sl_lane_endpoint){
		.remote = rte_cpu_to_be_32(BENCH_FIRST_DEVICE_IP + client),
		.local = sl_dp_net(w->pop.dp)->ports[BENCH_POP_ACCESS].address,
		.remote_port = RTE_BE16(BENCH_WIREGUARD_PORT),
		.local_port = RTE_BE16(BENCH_WIREGUARD_PORT),
		.mtu_bytes = 1500,
		.index = pop.local_index,
	};
	atomic_store(&s->proved, pop.local_index);
	atomic_store(&s->kind, SL_SESSION_CLIENT);
	atomic_store(&s->current, w->device_keys[client]);
	w->clients[client + 1].session = id;
}

void
bench_devices_create(struct bench_world *w)
{
	uint64_t random = 0xd1b54a32d192ed03u;

	w->device_aead = sl_aead_create(SL_AEAD_BEST);
	w->devices = sl_bench_memory(w->size.nb_clients * sizeof(struct sl_keypair *));
	w->device_keys = sl_bench_memory(w->size.nb_clients * sizeof(struct sl_keypair *));
	for (uint32_t c = 0; c < w->size.nb_clients; c++)
		create(w, c, &random);
}

void
bench_devices_destroy(struct bench_world *w)
{
	for (uint32_t c = 0; c < w->size.nb_clients; c++) {
		rte_free(w->devices[c]);
		rte_free(w->device_keys[c]);
	}
	free(w->devices);
	free(w->device_keys);
	sl_aead_destroy(w->device_aead);
}

unsigned
bench_device_wrap(const struct bench_world *w, uint32_t client, uint8_t *frame, unsigned nb_bytes)
{
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(frame + ETHER_BYTES);
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(ip + 1);
	uint8_t *wire = (uint8_t *)(udp + 1), *data = wire + sizeof(struct sl_wg_data);
	unsigned inner = nb_bytes - (unsigned)ETHER_BYTES, padded = RTE_ALIGN_CEIL(inner, 16u);
	unsigned total = (unsigned)OUTER_BYTES + padded + SL_AEAD_TAG_BYTES;
	struct sl_ip4_ends ends = {
		.source = rte_cpu_to_be_32(BENCH_FIRST_DEVICE_IP + client),
		.destination = sl_dp_net(w->pop.dp)->ports[BENCH_POP_ACCESS].address
	};
	struct sl_keypair *k = w->devices[client];
	struct sl_aead_op op = { .key = sl_keypair_seal_key(k, 0),
				 .cipher = k->cipher,
				 .data = data,
				 .tag = data + padded,
				 .nb_bytes = padded };
	uint64_t counter;

	if (ETHER_BYTES + total > BENCH_FRAME_MAX || !sl_keypair_take_counter(k, 0, &counter))
		return 0;
	memmove(data, frame + ETHER_BYTES, inner);
	memset(data + inner, 0, padded - inner);
	sl_ip4_fill(ip, ends, IPPROTO_UDP, (uint16_t)total, 0, 64, SL_IP4_DF);
	*udp = (struct rte_udp_hdr
	){ .src_port = RTE_BE16(BENCH_WIREGUARD_PORT),
	   .dst_port = RTE_BE16(BENCH_WIREGUARD_PORT),
	   .dgram_len = rte_cpu_to_be_16((uint16_t)(total - sizeof(*ip))) };
	sl_keypair_header_wireguard(wire, k->remote_index, counter);
	sl_keypair_nonce_wireguard(op.nonce, counter);
	w->device_aead->ops->seal(w->device_aead, &op, 1);
	return (unsigned)ETHER_BYTES + total;
}

bool
bench_device_unwrap(const struct bench_world *w, struct rte_mbuf *m)
{
	uint8_t *frame = rte_pktmbuf_mtod(m, uint8_t *);
	const struct rte_ipv4_hdr *outer = (const struct rte_ipv4_hdr *)(frame + ETHER_BYTES);
	uint8_t *wire = frame + ETHER_BYTES + sizeof(*outer) + sizeof(struct rte_udp_hdr);
	uint8_t *data = wire + sizeof(struct sl_wg_data);
	struct sl_aead_op op = { .data = data };
	uint32_t client;

	if (m->data_len < ETHER_BYTES + OUTER_BYTES + SL_AEAD_TAG_BYTES + sizeof(*outer))
		return false;
	client = rte_be_to_cpu_32(outer->dst_addr) - BENCH_FIRST_DEVICE_IP;
	if (client >= w->size.nb_clients || sl_get32le(wire + 4) != w->devices[client]->local_index)
		return false;
	op.key = sl_keypair_open_key(w->devices[client]);
	op.cipher = w->devices[client]->cipher;
	op.nb_bytes = (uint32_t)(m->data_len - ETHER_BYTES - OUTER_BYTES - SL_AEAD_TAG_BYTES);
	op.tag = data + op.nb_bytes;
	sl_keypair_nonce_wireguard(op.nonce, sl_get64le(wire + 8));
	w->device_aead->ops->open(w->device_aead, &op, 1);
	if (!op.authentic)
		return false;
	memmove(data - ETHER_BYTES, frame, ETHER_BYTES);
	m->data_len = (uint16_t
	)(ETHER_BYTES + rte_be_to_cpu_16(((const struct rte_ipv4_hdr *)data)->total_length));
	m->pkt_len = m->data_len;
	m->data_off = (uint16_t)(m->data_off + OUTER_BYTES);
	return true;
}
