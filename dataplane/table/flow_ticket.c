#include <rte_byteorder.h>

#include <sluice/dp/inner.h>
#include <sluice/dp/tickets.h>
#include <string.h>

struct sl_ticket_parties
sl_flow_ticket_parties(const struct sl_worker *w, uint32_t session, struct sl_flowkey_key *secret)
{
	const struct sl_session *s = &w->sessions->sessions[session];

	memcpy(secret->secret, w->snapshot->tenants[s->tenant].flow_secret, sizeof(secret->secret));
	return (struct sl_ticket_parties
	){ .secret = secret, .own = w->sessions->public_key, .peer = s->public_key };
}

void
sl_flow_ticket_put(struct sl_worker *w, const struct sl_flow *f, uint8_t p[SL_REC_TICKET_BYTES])
{
	struct sl_flowkey_key secret;
	struct sl_ticket_parties parties = sl_flow_ticket_parties(w, f->link.session, &secret);
	rte_be32_t client = sl_ip4_unmap(f->key.source);
	rte_be32_t destination = sl_ip4_unmap(f->key.destination);
	struct sl_ticket ticket = {
		.client_mark = w->snapshot->clients[f->pop.client].mark,
		.scope = f->key.scope_protocol >> 8,
		.issued_s = atomic_load_explicit(&w->sessions->wall_s, memory_order_relaxed),
		.client_port_be = f->key.source_port_be,
		.port_be = f->key.destination_port_be,
		.protocol = (uint8_t)f->key.scope_protocol,
	};

	memcpy(ticket.client, &client, sizeof(ticket.client));
	memcpy(ticket.destination, &destination, sizeof(ticket.destination));
	sl_ticket_seal(
		w->aead,
		&parties,
		w->sessions->incarnation,
		(uint64_t)w->idx << 56 | w->tickets->sequence++,
		&ticket,
		sl_ticket_record_put(p, f->link.peer_flow, f->link.peer_generation)
	);
	sl_wipe(&secret, sizeof(secret));
}
