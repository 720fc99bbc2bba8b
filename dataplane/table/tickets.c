#include <rte_common.h>
#include <rte_malloc.h>

#include <sluice/dp/tickets.h>
#include <string.h>

static uint32_t
nb_sets(uint32_t nb_flows)
{
	return nb_flows == 0 ? SL_TICKETS_HONOURED / SL_TICKET_WAYS : RTE_MAX(nb_flows / 16, 16u);
}

uint64_t
sl_tickets_bytes(uint32_t nb_flows)
{
	size_t entry = nb_flows == 0 ? sizeof(uint64_t) : sizeof(struct sl_ticket_entry);

	return (uint64_t)nb_sets(nb_flows) * SL_TICKET_WAYS * entry + sizeof(struct sl_tickets);
}

struct sl_tickets *
sl_tickets_create(uint32_t nb_flows, int socket_id)
{
	struct sl_tickets *t = rte_zmalloc_socket("sl_tickets", sizeof(*t), 64, socket_id);
	size_t nb = (size_t)nb_sets(nb_flows) * SL_TICKET_WAYS;

	if (t == NULL)
		return NULL;
	t->nb_sets = nb_sets(nb_flows);
	if (nb_flows == 0)
		t->honoured = rte_zmalloc_socket(
			"sl_honoured", nb * sizeof(*t->honoured), 64, socket_id
		);
	else
		t->kept = rte_zmalloc_socket("sl_kept", nb * sizeof(*t->kept), 64, socket_id);
	if (t->honoured != NULL || t->kept != NULL)
		return t;
	rte_free(t);
	return NULL;
}

void
sl_tickets_destroy(struct sl_tickets *t)
{
	if (t == NULL)
		return;
	rte_free(t->kept);
	rte_free(t->honoured);
	rte_free(t);
}

void
sl_tickets_keep(struct sl_tickets *t, uint32_t flow, uint8_t generation, const uint8_t *ticket)
{
	struct sl_ticket_entry *set = &t->kept[(flow % t->nb_sets) * SL_TICKET_WAYS];
	unsigned at = SL_TICKET_WAYS;

	for (unsigned i = 0; i < SL_TICKET_WAYS; i++) {
		if (set[i].generation != 0 && set[i].flow == flow) {
			at = i;
			break;
		}
		if (set[i].generation == 0)
			at = i;
	}
	if (at == SL_TICKET_WAYS)
		at = t->turn++ % SL_TICKET_WAYS;
	set[at].flow = flow;
	set[at].generation = generation;
	memcpy(set[at].ticket, ticket, sizeof(set[at].ticket));
}

const uint8_t *
sl_tickets_find(const struct sl_tickets *t, uint32_t flow, uint8_t generation)
{
	const struct sl_ticket_entry *set = &t->kept[(flow % t->nb_sets) * SL_TICKET_WAYS];

	for (unsigned i = 0; i < SL_TICKET_WAYS; i++)
		if (set[i].flow == flow && set[i].generation == generation)
			return set[i].ticket;
	return NULL;
}

bool
sl_tickets_is_honoured(const struct sl_tickets *t, uint64_t id)
{
	const uint64_t *set = &t->honoured[(id % t->nb_sets) * SL_TICKET_WAYS];

	for (unsigned i = 0; i < SL_TICKET_WAYS; i++)
		if (set[i] == id)
			return true;
	return false;
}

void
sl_tickets_honour(struct sl_tickets *t, uint64_t id)
{
	uint64_t *set = &t->honoured[(id % t->nb_sets) * SL_TICKET_WAYS];

	for (unsigned i = 0; i < SL_TICKET_WAYS; i++)
		if (set[i] == 0) {
			set[i] = id;
			return;
		}
	set[t->turn++ % SL_TICKET_WAYS] = id;
}
