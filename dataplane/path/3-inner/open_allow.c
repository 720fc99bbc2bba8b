// open_allow: may this connector reach what an OPEN names? What a PoP says is not enough: the operator
// of the connector has a list, and what would reach this machine itself is refused without being on it.
#include "open_allow.h"

static bool
is_within(uint32_t address, uint32_t prefix, unsigned bits)
{
	return (address ^ prefix) >> (32 - bits) == 0;
}

// The far end of a session: of a tunnel, since none but those come to a connector, and they come first.
static bool
is_underlay(const struct sl_worker *w, rte_be32_t address)
{
	uint32_t end = atomic_load_explicit(&w->sessions->tunnels_end, memory_order_relaxed);
	uint32_t nb = end == 0 ? w->sessions->nb_sessions : RTE_MIN(end, w->sessions->nb_sessions);

	for (uint32_t i = 0; i < nb; i++)
		if (w->sessions->sessions[i].lanes[0].remote == address)
			return true;
	return false;
}

static bool
is_far_resolver(const struct sl_net *net, rte_be32_t address)
{
	for (unsigned i = 0; i < net->nb_far_resolvers; i++)
		if (net->resolvers[i] == address)
			return true;
	return false;
}

// Always refused, whatever a PoP says, unless the operator lists it: addresses that would reach this
// machine or its neighbours on the link rather than the private network.
static bool
is_reserved(const struct sl_worker *w, rte_be32_t address_be)
{
	uint32_t address = rte_be_to_cpu_32(address_be);

	if (is_within(address, 0x7f000000, 8) || is_within(address, 0x00000000, 8) ||
	    is_within(address, 0xa9fe0000, 16) || address >= 0xe0000000)
		return true;
	if (w->net->pool_bits != 0 &&
	    is_within(address, rte_be_to_cpu_32(w->net->pool), w->net->pool_bits))
		return true;
	return is_far_resolver(w->net, address_be) || sl_net_port_of(w->net, address_be) != NULL ||
		sl_net_is_nat(w->net, address_be) || is_underlay(w, address_be);
}

// The operator's list: no list allows all that is not reserved.
static bool
is_listed(const struct sl_worker *w, const struct sl_open *open, rte_be32_t address)
{
	const struct sl_policy *allow = w->snapshot->allow;
	struct sl_matches matches;
	struct sl_choice choice;

	sl_policy_match_address(allow, rte_be_to_cpu_32(address), &matches);
	return sl_policy_choose(allow, &matches, UINT64_MAX, open->protocol, open->port, &choice) ==
		SL_CHOICE_ADMITTED;
}

static bool
is_name_listed(const struct sl_worker *w, const struct sl_open *open)
{
	const struct sl_policy *allow = w->snapshot->allow;
	char text[SL_NAME_MAX_BYTES + 1];
	struct sl_matches matches;
	struct sl_choice choice;
	struct sl_name name;

	memcpy(text, open->destination, open->destination_bytes);
	text[open->destination_bytes] = '\0';
	if (sl_name_from_text(&name, text) != SL_NAME_OK)
		return false;
	sl_policy_match(allow, &name, sl_name_hash(&name, sl_policy_name_key(allow)), &matches);
	return sl_policy_choose(allow, &matches, UINT64_MAX, open->protocol, open->port, &choice) ==
		SL_CHOICE_ADMITTED;
}

bool
sl_open_allowed(const struct sl_worker *w, const struct sl_open *open, rte_be32_t address)
{
	if (w->snapshot->allow == NULL)
		return !is_reserved(w, address);
	if (is_listed(w, open, address))
		return true;
	if (is_reserved(w, address))
		return false;
	return open->destination_kind == SL_DESTINATION_NAME && is_name_listed(w, open);
}
