// explain_rules: the rules that match a name or address, in order, and what each says of a flow. The
// decision itself is sl_policy_choose()'s: this only puts words to it.
#include "explain.h"
#include "show.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LABELS_MAX 64u

bool
explain_protocol(const char *text, uint8_t *protocol)
{
	static const struct {
		const char *text;
		uint8_t protocol;
	} rows[] = { { "tcp", IPPROTO_TCP }, { "udp", IPPROTO_UDP }, { "icmp", IPPROTO_ICMP } };

	for (unsigned i = 0; i < RTE_DIM(rows); i++)
		if (strcasecmp(text, rows[i].text) == 0) {
			*protocol = rows[i].protocol;
			return true;
		}
	return false;
}

static bool
has_port(const struct sl_config_port_ranges *ranges, uint16_t port)
{
	for (unsigned i = 0; i < ranges->nb; i++)
		if (port >= ranges->list[i].low && port <= ranges->list[i].high)
			return true;
	return false;
}

static bool
admits(const struct sl_config_services *services, const struct explain_flow *flow)
{
	if (flow->protocol == IPPROTO_ICMP)
		return services->icmp;
	return has_port(
		flow->protocol == IPPROTO_TCP ? &services->tcp : &services->udp, flow->port
	);
}

static const struct sl_config_resource *
resource_of(const struct sl_config_tenant *tenant, const char *label)
{
	for (unsigned i = 0; i < tenant->nb_resources; i++)
		if (strcmp(tenant->resources[i].name, label) == 0)
			return &tenant->resources[i];
	return NULL;
}

// Whether a class less specific than this one is asked who sees the name.
static bool
inherits(const struct sl_config_tenant *tenant, const char *const *labels, unsigned nb_labels)
{
	for (unsigned i = 0; i < nb_labels; i++) {
		const struct sl_config_resource *r = resource_of(tenant, labels[i]);

		if (r != NULL && !r->inherit)
			return false;
	}
	return true;
}

static json_t *
not_for_client(const struct sl_config_tenant *tenant, const struct sl_config_resource *r)
{
	char *groups = show_groups(tenant, r->groups);
	json_t *text = json_sprintf(
		"passed over: it is for %s, and the client is in none of these",
		groups == NULL || *groups == '\0' ? "nobody" : groups
	);

	free(groups);
	return text;
}

static json_t *
not_the_service(const struct sl_config_resource *r)
{
	char *services = show_services(&r->services);
	json_t *text = json_sprintf(
		"passed over: it admits %s alone",
		services == NULL || *services == '\0' ? "nothing" : services
	);

	free(services);
	return text;
}

static json_t *
verdict(const struct sl_config_tenant *tenant,
	const struct sl_config_resource *r,
	const struct explain_flow *flow,
	const struct sl_choice *choice,
	bool *is_taken)
{
	if (r == NULL)
		return json_string("not in the configuration any more");
	if (*is_taken)
		return json_string("not asked: a rule before it takes the flow");
	if ((r->groups & flow->groups) == 0)
		return not_for_client(tenant, r);
	if (choice->verdict == SL_CHOICE_UNKNOWN)
		return json_string("not asked: a more specific rule hides the name");
	if (!admits(&r->services, flow))
		return not_the_service(r);
	*is_taken = true;
	return json_string("takes the flow");
}

json_t *
explain_rules(
	const struct sl_config_tenant *tenant,
	const struct sl_policy *policy,
	const struct sl_matches *matches,
	const struct explain_flow *flow,
	struct sl_choice *choice
)
{
	static const struct sl_column columns[] = { SHOW_RIGHT("rule", ""),
						    SHOW_LEFT("pattern"),
						    SHOW_LEFT("resource"),
						    SHOW_LEFT("verdict") };
	json_t *table = sl_json_table("rules", columns, RTE_DIM(columns));
	bool is_taken = false;
	unsigned order = 0;

	sl_policy_choose(policy, matches, flow->groups, flow->protocol, flow->port, choice);
	for (uint32_t i = 0; i < matches->nb; i++) {
		const char *labels[LABELS_MAX];
		uint32_t class_idx = matches->classes[i];
		const char *pattern = sl_policy_class_pattern(policy, class_idx);
		unsigned nb = sl_policy_class_labels(policy, class_idx, labels, LABELS_MAX);

		nb = RTE_MIN(nb, LABELS_MAX);
		for (unsigned l = 0; l < nb; l++)
			sl_json_row(
				table,
				"isso",
				++order,
				pattern,
				labels[l],
				verdict(tenant,
					resource_of(tenant, labels[l]),
					flow,
					choice,
					&is_taken)
			);
		if (choice->verdict == SL_CHOICE_UNKNOWN && !inherits(tenant, labels, nb)) {
			sl_json_note(
				table,
				"%s decides who sees it: it does not inherit from less specific "
				"rules.",
				pattern
			);
			break;
		}
	}
	return table;
}
