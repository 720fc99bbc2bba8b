// talk: datagrams of clients to the names' assigned addresses, and the hosts that send them back.
#include "load.h"

#include <rte_byteorder.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC      0x5c00u
#define MAX_BYTES  1472u
#define FIRST_PORT 30000u

// At the head of each payload; what follows is told by flow and seq.
struct __attribute__((packed)) talk {
	uint16_t magic; // low octet: the trial
	uint32_t flow, seq;
	uint64_t sent_tsc;
};
_Static_assert(sizeof(struct talk) == 18, "a frame of 64 octets has room for 18");

void
load_talk_create(struct load *l)
{
	l->flows = sl_bench_memory(l->o.nb_flows * sizeof(*l->flows));
	l->order = sl_bench_memory(l->o.nb_flows * sizeof(*l->order));
	l->nb_order = l->o.nb_flows;
	for (uint32_t f = 0; f < l->o.nb_flows; f++)
		l->flows[f] = (struct load_flow){
			.client = f % l->o.nb_clients,
			.name = (uint32_t)(sl_bench_random(&l->random) >> 16) % l->o.nb_names,
			.port = (uint16_t)(FIRST_PORT + f / l->o.nb_clients),
		};
	sl_bench_shuffle(l->order, l->nb_order, &l->random);
}

static unsigned
payload_bytes(const struct load *l)
{
	return l->o.frame_bytes - 14 - 20 - 8 - 4; // a frame's size counts its FCS
}

static void
fill(uint8_t *at, unsigned nb, const struct talk *t)
{
	memcpy(at, t, sizeof(*t));
	for (unsigned i = sizeof(*t); i < nb; i++)
		at[i] = (uint8_t)(t->flow + t->seq + i);
}

static bool
is_filled(const uint8_t *at, unsigned nb, const struct talk *t)
{
	for (unsigned i = sizeof(*t); i < nb; i++)
		if (at[i] != (uint8_t)(t->flow + t->seq + i))
			return false;
	return true;
}

static struct rte_mbuf *
make(struct load *l, const struct load_flow *f, uint32_t idx)
{
	uint8_t payload[MAX_BYTES];
	struct talk t = {
		.magic = (uint16_t)(MAGIC | l->trial_id),
		.flow = idx,
		.seq = f->seq,
		.sent_tsc = __rdtsc(),
	};
	struct load_udp u = {
		.from = LOAD_CLIENT_BASE + f->client,
		.to = l->addresses[f->name],
		.from_port = f->port,
		.to_port = LOAD_TALK_PORT,
		.payload = payload,
		.payload_bytes = payload_bytes(l),
	};

	fill(payload, u.payload_bytes, &t);
	return load_udp_make(l, &l->clients, &u);
}

struct rte_mbuf *
load_talk_next(struct load *l)
{
	uint32_t idx = l->order[l->at];
	struct load_flow *f = &l->flows[idx];

	l->at = l->at + 1 == l->nb_order ? 0 : l->at + 1;
	f->seq++;
	return make(l, f, idx);
}

// The same clients and names from a port that this flow has not used before: a new flow.
struct rte_mbuf *
load_talk_new(struct load *l)
{
	uint32_t idx = l->order[l->at];
	struct load_flow *f = &l->flows[idx];

	l->at = l->at + 1 == l->nb_order ? 0 : l->at + 1;
	f->seq++;
	f->port = f->port == UINT16_MAX ? 1024 : (uint16_t)(f->port + 1);
	return make(l, f, idx);
}

void
load_talk_take(struct load *l, const struct load_udp *u)
{
	struct load_trial *trial = l->trial;
	struct load_flow *f;
	struct talk t;

	if (u->payload_bytes < sizeof(t)) {
		trial->nb_wrong++;
		return;
	}
	memcpy(&t, u->payload, sizeof(t));
	if ((t.magic & 0xff00u) == MAGIC && (t.magic & 0xffu) != l->trial_id) {
		trial->nb_late++;
		return;
	}
	f = t.flow < l->o.nb_flows ? &l->flows[t.flow] : NULL;
	if ((t.magic & 0xff00u) != MAGIC || f == NULL || u->from != l->addresses[f->name] ||
	    u->to != LOAD_CLIENT_BASE + f->client ||
	    (u->to_port != f->port && l->o.what != LOAD_NEW) || t.seq > f->seq ||
	    !is_filled(u->payload, u->payload_bytes, &t)) {
		trial->nb_wrong++;
		return;
	}
	if (t.seq <= f->seen)
		trial->nb_reordered++;
	else
		f->seen = t.seq;
	trial->nb_answered++;
	load_hist_add(&trial->latency, __rdtsc() - t.sent_tsc);
}

bool
load_talk_serve(struct load *l, const struct load_udp *u)
{
	struct talk t;

	if (u->payload_bytes < sizeof(t) || u->to_port != LOAD_TALK_PORT)
		return false;
	memcpy(&t, u->payload, sizeof(t));
	return (t.magic & 0xff00u) == MAGIC && t.flow < l->o.nb_flows &&
		u->from == LOAD_CONNECTOR && u->to == LOAD_HOST_BASE + l->flows[t.flow].name;
}
