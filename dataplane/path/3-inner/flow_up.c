#include "flow_up.h"

#include <sluice/dns/addresses.h>
#include <sluice/proto/flowkey.h>

struct destination {
	char text[SL_NAME_MAX_BYTES + 1];
	uint8_t address[4];
	const uint8_t *octets;
	uint8_t nb_bytes;
	uint8_t kind; // enum sl_destination_kind
};

static void
to_address(struct destination *d, uint32_t address)
{
	sl_put32(d->address, address);
	d->octets = d->address;
	d->nb_bytes = 4;
	d->kind = SL_DESTINATION_IP4;
}

// What the flow is to reach, in the terms of the private network. False when the name is gone.
static bool
find_destination(struct sl_worker *w, const struct sl_flow *f, struct destination *d)
{
	const struct sl_client *client = &w->snapshot->clients[f->pop.client];
	const struct sl_tenant *tenant = &w->snapshot->tenants[client->tenant];
	uint8_t protocol = (uint8_t)f->key.scope_protocol;
	struct sl_choice choice;
	size_t nb_bytes;

	if (f->pop.name == SL_NO_NAME) {
		to_address(d, rte_be_to_cpu_32(sl_ip4_unmap(f->key.destination)));
		return true;
	}
	if (sl_addresses_choose_name(
		    tenant->addresses,
		    tenant->policy,
		    f->pop.name,
		    client->groups,
		    protocol,
		    rte_be_to_cpu_16(f->key.destination_port_be),
		    &choice
	    ) != SL_CHOICE_ADMITTED)
		return false;
	if (choice.target == SL_TARGET_IP4) {
		to_address(d, choice.target_address);
		return true;
	}
	nb_bytes = choice.target == SL_TARGET_NAME
		? strnlen(choice.target_name, SL_NAME_MAX_BYTES)
		: sl_addresses_text(tenant->addresses, f->pop.name, d->text);
	d->octets = choice.target == SL_TARGET_NAME ? (const uint8_t *)choice.target_name
						    : (const uint8_t *)d->text;
	d->nb_bytes = (uint8_t)nb_bytes;
	d->kind = SL_DESTINATION_NAME;
	return nb_bytes != 0;
}

static void
derive_flow_key(
	const struct sl_worker *w,
	const struct sl_flow *f,
	const struct destination *d,
	uint8_t flow_key[SL_FLOWKEY_BYTES]
)
{
	const struct sl_client *client = &w->snapshot->clients[f->pop.client];
	struct sl_flowkey_key key;
	struct sl_flowkey_input input = {
		.client_port_be = f->key.source_port_be,
		.port_be = f->key.destination_port_be,
		.protocol = (uint8_t)f->key.scope_protocol,
		.destination_kind = d->kind,
		.destination_bytes = d->nb_bytes,
		.destination = d->octets,
	};

	memcpy(key.secret, w->snapshot->tenants[client->tenant].flow_secret, sizeof(key.secret));
	memcpy(input.client, f->key.source, sizeof(input.client));
	sl_flowkey_derive(&key, &input, flow_key);
}

// A packet that leaves no room for its OPEN, in the buffer or in the record's length, stays behind until
// the flow is accepted (waiting.h): the flow is opened with the least a packet can be and no time to live,
// so that this is not sent on.
static void
leave_behind(struct rte_mbuf *m, uint8_t protocol, struct sl_rec *rec)
{
	unsigned least = sl_carry_min_bytes(protocol);

	memmove((uint8_t *)m->buf_addr + SL_FLOW_HEADROOM, rte_pktmbuf_mtod(m, void *), least);
	m->data_off = SL_FLOW_HEADROOM;
	m->data_len = (uint16_t)least;
	m->pkt_len = least;
	rec->ttl = 1;
}

enum sl_up
sl_flow_up_open(
	struct sl_worker *w,
	struct rte_mbuf *m,
	struct sl_flow *f,
	uint32_t index,
	uint8_t tcp_flags
)
{
	struct sl_meta *meta = sl_meta(m);
	uint8_t protocol = (uint8_t)f->key.scope_protocol;
	uint8_t flow_key[SL_FLOWKEY_BYTES];
	struct destination destination;
	struct rte_mbuf *copy = NULL;
	struct sl_open open = {
		.flow = sl_flow_id(w->flows, index),
		.generation = f->link.own_generation,
		.open_flags = sl_open_flags(protocol, tcp_flags),
		.protocol = protocol,
		.port = rte_be_to_cpu_16(f->key.destination_port_be),
		.flow_key = flow_key,
	};
	struct sl_rec rec = { .type = SL_RECORD_OPEN };
	uint8_t *p;

	if (!find_destination(w, f, &destination))
		return SL_UP_UNSENT;
	if (unlikely(sl_flow_l4_bytes(m, meta) >= SL_WAITING_L4_MIN))
		copy = sl_waiting_copy(w, m);
	sl_flow_strip(&w->sessions->sessions[f->link.session], m, meta, f->sum_strip);
	rec.tos = meta->tos;
	rec.ttl = meta->ttl;
	derive_flow_key(w, f, &destination, flow_key);
	open.destination_kind = destination.kind;
	open.destination = destination.octets;
	open.destination_bytes = destination.nb_bytes;
	if (unlikely(
		    sl_open_bytes(destination.nb_bytes) + rte_pktmbuf_data_len(m) >
		    SL_TUNNEL_BODY_MAX_BYTES
	    ) ||
	    !sl_flow_make_headroom(m, SL_FLOW_HEADROOM)) {
		leave_behind(m, protocol, &rec);
		sl_waiting_keep(w, copy, index);
	} else if (unlikely(copy != NULL)) {
		rte_pktmbuf_free_bulk(&copy, 1);
	}
	p = (uint8_t *)rte_pktmbuf_prepend(m, (uint16_t)sl_open_bytes(destination.nb_bytes));
	sl_open_put(p, &open);
	rec.flags = sl_rec_tos_ttl_flag(rec.tos, rec.ttl) | meta->record_flags;
	rec.nb_bytes = rte_pktmbuf_data_len(m);
	sl_rec_put((uint8_t *)rte_pktmbuf_prepend(m, (uint16_t)sl_rec_head_bytes(rec.flags)), &rec);
	meta->session = f->link.session;
	meta->lane = f->link.lane;
	return SL_UP_PACK;
}
