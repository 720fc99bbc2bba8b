#include <sluice/dns/addresses.h>
#include <sluice/dp/admission.h>
#include <sluice/dp/ip4.h>

bool
sl_flow_admit_again(struct sl_worker *w, struct sl_flow *f)
{
	const struct sl_client *client;
	const struct sl_tenant *tenant;
	struct sl_matches matches;
	struct sl_choice choice;
	uint16_t port = rte_be_to_cpu_16(f->key.destination_port_be);
	uint8_t protocol = (uint8_t)f->key.scope_protocol;

	if (f->pop.client >= w->snapshot->nb_clients ||
	    !w->snapshot->clients[f->pop.client].is_live)
		return false;
	client = &w->snapshot->clients[f->pop.client];
	tenant = &w->snapshot->tenants[client->tenant];
	if (f->pop.name != SL_NO_NAME) {
		sl_addresses_choose_name(
			tenant->addresses,
			tenant->policy,
			f->pop.name,
			client->groups,
			protocol,
			port,
			&choice
		);
	} else {
		sl_policy_match_address(
			tenant->policy, rte_be_to_cpu_32(sl_ip4_unmap(f->key.destination)), &matches
		);
		sl_policy_choose(tenant->policy, &matches, client->groups, protocol, port, &choice);
	}
	if (choice.verdict != SL_CHOICE_ADMITTED)
		return false;
	f->pop.resource = choice.resource;
	f->pop.generation = w->snapshot->generation;
	return true;
}

enum sl_choice_verdict
sl_flow_choose(
	const struct sl_worker *w,
	const struct sl_client *client,
	const struct sl_flow_key *key,
	struct sl_choice *choice,
	uint32_t *name
)
{
	const struct sl_tenant *tenant = &w->snapshot->tenants[client->tenant];
	uint32_t address = rte_be_to_cpu_32(sl_ip4_unmap(key->destination));
	uint16_t port = rte_be_to_cpu_16(key->destination_port_be);
	uint8_t protocol = (uint8_t)key->scope_protocol;
	struct sl_matches matches;

	if (sl_addresses_in_pool(tenant->addresses, address))
		return sl_addresses_choose(
			tenant->addresses,
			tenant->policy,
			address,
			client->groups,
			protocol,
			port,
			(uint32_t)(w->now_ns / SL_NS_PER_S),
			choice,
			name
		);
	*name = SL_NO_NAME;
	sl_policy_match_address(tenant->policy, address, &matches);
	return sl_policy_choose(tenant->policy, &matches, client->groups, protocol, port, choice);
}
