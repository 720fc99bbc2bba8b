// explain: why a client may or may not reach something, and whether there is a way to it now.
#include "explain.h"
#include "explain_limits.h"
#include "show.h"

#include <arpa/inet.h>
#include <sluice/dns/addresses.h>
#include <stdlib.h>
#include <string.h>

// What is asked, taken apart.
struct question {
	const char *client_name;
	const struct sl_client *client;
	uint32_t client_id;
	const struct sl_tenant *tenant;
	struct explain_flow flow;
	const char *target; // as written
	uint32_t address; // host order, when it is one
	bool is_address;
};

static void
refuse(struct sl_api_request *request, const char *why, const char *what)
{
	sl_api_fail(
		request,
		"sluicectl explain CLIENT NAME|ADDRESS tcp|udp|icmp PORT (icmp takes no port)",
		"%s%s",
		why,
		what
	);
}

// False when it makes no sense; then the request is answered.
static bool
parse(struct daemon *d,
      struct sl_api_request *request,
      unsigned nb_words,
      const char *const *words,
      struct question *q)
{
	struct in_addr address;
	uint32_t client;
	char *end = NULL;
	unsigned long port = 0;

	if (nb_words < 3 || !explain_protocol(words[2], &q->flow.protocol) || nb_words > 4 ||
	    (nb_words == 3 && q->flow.protocol != IPPROTO_ICMP)) {
		refuse(request, "a client, a name or address, a protocol and a port are wanted", ""
		);
		return false;
	}
	if (nb_words == 4)
		port = strtoul(words[3], &end, 10);
	if (end != NULL && (end == words[3] || *end != '\0' || port > UINT16_MAX)) {
		refuse(request, "no port: ", words[3]);
		return false;
	}
	client = daemon_client(d, words[0]);
	if (client == SL_NO_CLIENT) {
		refuse(request, "no client (or two of different tenants) is called ", words[0]);
		return false;
	}
	q->client_name = words[0];
	q->client_id = client;
	q->client = &d->snapshot->dp.clients[client];
	q->tenant = &d->snapshot->dp.tenants[q->client->tenant];
	q->flow.groups = q->client->groups;
	q->flow.port = (uint16_t)port;
	q->target = words[1];
	q->is_address = inet_pton(AF_INET, words[1], &address) == 1;
	q->address = ntohl(address.s_addr);
	return true;
}

// ---- What it is ----------------------------------------------------------------------------------------

static void
match_name(const struct question *q, const struct sl_name *name, struct sl_matches *matches)
{
	uint64_t hash = sl_name_hash(name, sl_policy_name_key(q->tenant->policy));

	sl_policy_match(q->tenant->policy, name, hash, matches);
}

static void
say_address_of(const struct question *q, const struct sl_name *name, json_t *notes)
{
	uint64_t hash = sl_name_hash(name, sl_policy_name_key(q->tenant->policy));
	struct sl_assigned assigned;
	char text[INET_ADDRSTRLEN];
	struct in_addr address;

	if (!sl_addresses_lookup(q->tenant->addresses, q->tenant->policy, name, hash, &assigned))
		return;
	address.s_addr = htonl(assigned.address);
	inet_ntop(AF_INET, &address, text, sizeof(text));
	json_array_append_new(notes, json_sprintf("%s has the address %s.", q->target, text));
}

// The rules that match what is asked; notes say what it turned out to be. False: nothing to match.
static bool
match(const struct question *q, struct sl_matches *matches, json_t *notes)
{
	struct sl_name name;
	uint32_t id;

	matches->nb = 0;
	if (!q->is_address) {
		if (sl_name_from_text(&name, q->target) != SL_NAME_OK)
			return false;
		match_name(q, &name, matches);
		say_address_of(q, &name, notes);
		return true;
	}
	if (!sl_addresses_in_pool(q->tenant->addresses, q->address)) {
		sl_policy_match_address(q->tenant->policy, q->address, matches);
		return true;
	}
	id = sl_addresses_at(q->tenant->addresses, q->address);
	if (id == SL_NO_NAME || !sl_addresses_name(q->tenant->addresses, id, &name)) {
		json_array_append_new(notes, json_sprintf("%s is assigned to no name.", q->target));
		return true;
	}
	match_name(q, &name, matches);
	char text[SL_NAME_MAX_BYTES + 1];

	if (sl_addresses_text(q->tenant->addresses, id, text) != 0)
		json_array_append_new(notes, json_sprintf("%s is %s.", q->target, text));
	return true;
}

// ---- What becomes of it ----------------------------------------------------------------------------------

// Whether a new flow to a network has a session to go by; notes name them all.
static bool
has_session(struct daemon *d, uint32_t network, json_t *notes)
{
	const struct sl_snapshot *s = &d->snapshot->dp;
	bool is_up = false;

	for (unsigned i = 0; network < s->nb_networks && i < s->networks[network].nb_sessions;
	     i++) {
		uint32_t id = s->networks[network].sessions[i];
		const char *state;
		bool is_silent;

		if (id >= d->sessions.nb_sessions)
			continue;
		state = show_peer_state(d, &d->sessions.sessions[id]);
		is_silent = strcmp(state, "silent") == 0;
		is_up = is_up || is_silent || strcmp(state, "up") == 0;
		json_array_append_new(
			notes,
			json_sprintf(
				"The session with %s of %s is %s%s.",
				show_session(d, id),
				show_network(d, network),
				state,
				is_silent ? ": new flows go by it only when there is no other" : ""
			)
		);
	}
	if (!atomic_load(&d->sessions.draining))
		return is_up;
	json_array_append_new(notes, json_string("This node drains: it takes no new flows."));
	return false;
}

static void
conclude(
	struct daemon *d,
	const struct question *q,
	const struct sl_choice *choice,
	json_t *document,
	json_t *notes
)
{
	static const char *const decisions[] = { "unknown", "denied", "admitted" };
	const char *what, *limit = NULL;
	bool is_up = false;

	if (choice->verdict == SL_CHOICE_ADMITTED) {
		is_up = has_session(d, choice->network, notes);
		limit = explain_limits(d, q->client_id, q->flow.protocol, notes);
	}
	if (choice->verdict == SL_CHOICE_UNKNOWN)
		what = q->tenant->refuse_other_names ? "UNKNOWN: no resource of this client's; DNS "
						       "refuses the name, packets go nowhere."
						     : "UNKNOWN: no resource of this client's; DNS "
						       "asks the public servers, packets "
						       "to the pool go nowhere.";
	else if (choice->verdict == SL_CHOICE_DENIED)
		what = choice->deny == SL_POLICY_SILENT
			? "DENIED: the client sees it, no rule admits this; dropped in silence."
			: "DENIED: the client sees it, no rule admits this; refused with RST or "
			  "ICMP.";
	else
		what = is_up
			? "ADMITTED: a new flow is sent on."
			: "ADMITTED, but no session of its network is up: refused until one is.";
	json_array_append_new(notes, json_string(what));
	if (limit != NULL)
		json_array_append_new(
			notes,
			json_sprintf("A new flow is refused with 3/13 now: %s is reached.", limit)
		);
	json_object_set_new(document, "limit", limit == NULL ? json_null() : json_string(limit));
	json_object_set_new(document, "decision", json_string(decisions[choice->verdict]));
	json_object_set_new(
		document,
		"resource",
		choice->label == NULL ? json_null() : json_string(choice->label)
	);
	json_object_set_new(
		document,
		"network",
		choice->verdict == SL_CHOICE_ADMITTED
			? json_string(show_network(d, choice->network))
			: json_null()
	);
	json_object_set_new(document, "reachable", json_boolean(is_up && limit == NULL));
}

static void
serve_explain(
	void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words
)
{
	struct daemon *d = arg;
	struct question q = { 0 };
	struct sl_matches matches;
	struct sl_choice choice;
	json_t *document, *notes;

	if (d->config->node.role != SL_ROLE_POP) {
		sl_api_fail(request, "ask a PoP", "a connector has no clients to explain for");
		return;
	}
	if (!parse(d, request, nb_words, words, &q))
		return;
	notes = json_array();
	if (!match(&q, &matches, notes)) {
		json_decref(notes);
		refuse(request, "no name and no address: ", q.target);
		return;
	}
	document = explain_rules(
		&d->config->tenants[q.client->tenant], q.tenant->policy, &matches, &q.flow, &choice
	);
	if (json_object_get(document, "notes") == NULL)
		json_object_set_new(document, "notes", json_array());
	conclude(d, &q, &choice, document, notes);
	json_array_extend(json_object_get(document, "notes"), notes);
	json_decref(notes);
	sl_api_reply(request, document);
}

int
explain_register(struct daemon *d)
{
	return sl_api_register(
		d->api,
		"explain",
		"CLIENT NAME|ADDRESS tcp|udp|icmp PORT",
		"What would become of a flow, and by which rule.",
		serve_explain,
		d
	);
}
