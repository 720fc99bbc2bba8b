// trace: the journey of a client's next packets, node by node, each ending in its delivery or in the
// sentence of its drop. One trace at a time: workers report for one client.
#include "causes.h"
#include "daemon.h"

#include <sluice/ctrl/json.h>
#include <stdlib.h>
#include <string.h>

#define PKTS_DEFAULT 10u
#define PKTS_MAX     1000u
#define READ_BURST   64u

// The one under way, if any.
static struct {
	struct sl_api_request *request; // NULL: none
	json_t *table;
	uint32_t client;
	unsigned nb_wanted, nb_read;
	uint64_t first_ns;
} trace;

static const struct {
	const char *node;
	const char *meaning;
} ends[] = {
	{ "port_tx", "Sent." },
	{ "punt", "Handed to the session thread, which goes on with it." },
};

// Nodes in order and, as the last element, what became of the packet.
static json_t *
journey(const struct sl_trace_entry *e, const char **outcome)
{
	json_t *steps = json_array();
	const char *end = "?", *meaning = NULL;

	for (unsigned i = 0; i < RTE_MIN(e->trail_len, SL_TRAIL_LEN); i++) {
		const struct sl_node *n = sl_node_by_number(e->trail[i]);

		json_array_append_new(steps, json_string(n == NULL ? "?" : n->name));
	}
	if (e->trail_len == SL_TRAIL_LEN)
		json_array_append_new(steps, json_string("(more)"));
	*outcome = e->is_drop ? "dropped" : "delivered";
	if (e->is_drop) {
		const struct sl_drop *drop = sl_drop_by_number(e->outcome);

		end = drop == NULL ? "?" : drop->name;
		meaning = drop == NULL ? NULL : drop->sentence;
	} else {
		const struct sl_node *n = sl_node_by_number(e->outcome);

		end = n == NULL ? "?" : n->name;
		for (unsigned i = 0; i < RTE_DIM(ends); i++)
			if (strcmp(end, ends[i].node) == 0)
				meaning = ends[i].meaning;
		if (strcmp(end, "punt") == 0)
			*outcome = "handed over";
	}
	if (e->is_drop)
		json_array_append_new(steps, json_string(end));
	json_array_append_new(steps, json_string(meaning == NULL ? "?" : meaning));
	if (e->reason != SL_CLOSE_DONE)
		json_array_append_new(steps, json_sprintf("Cause: %s.", cause_text(e->reason)));
	return steps;
}

static void
add_entry(const struct sl_trace_entry *e)
{
	const char *outcome;
	json_t *steps = journey(e, &outcome);

	if (trace.nb_read++ == 0)
		trace.first_ns = e->now_ns;
	sl_json_row(
		trace.table,
		"iIiso",
		trace.nb_read,
		(json_int_t)(e->now_ns - trace.first_ns),
		e->worker,
		outcome,
		steps
	);
}

static void
finish(struct daemon *d)
{
	struct sl_api_request *request = trace.request;

	sl_trace_arm(d->dp, SL_NO_TRACE, 0);
	trace.request = NULL;
	sl_api_reply(request, trace.table);
	trace.table = NULL;
}

void
trace_tick(struct daemon *d)
{
	struct sl_trace_entry entries[READ_BURST];
	unsigned nb;

	if (trace.request == NULL)
		return;
	nb = sl_trace_read(d->dp, entries, RTE_DIM(entries));
	for (unsigned i = 0; i < nb && trace.nb_read < trace.nb_wanted; i++)
		if (entries[i].client == trace.client)
			add_entry(&entries[i]);
	if (trace.nb_read == trace.nb_wanted || sl_api_client_gone(trace.request))
		finish(d);
}

static bool
parse_count(const char *text, unsigned *nb)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	*nb = (unsigned)value;
	return *text >= '0' && *text <= '9' && *end == '\0' && value != 0 && value <= PKTS_MAX;
}

static void
serve_trace(void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words)
{
	static const struct sl_column columns[] = { { "packet", SL_ALIGN_RIGHT, "" },
						    { "at", SL_ALIGN_RIGHT, "ns" },
						    { "worker", SL_ALIGN_RIGHT, "" },
						    { "outcome", SL_ALIGN_LEFT, "" },
						    { "journey", SL_ALIGN_LEFT, "" } };
	struct sl_trace_entry stale[READ_BURST];
	struct daemon *d = arg;
	unsigned nb = PKTS_DEFAULT;
	uint32_t client;

	if (nb_words == 0 || nb_words > 2 || (nb_words == 2 && !parse_count(words[1], &nb))) {
		sl_api_fail(
			request,
			"sluicectl trace CLIENT [N]",
			"a client and a number of packets from 1 to %u are wanted",
			PKTS_MAX
		);
		return;
	}
	client = daemon_client(d, words[0]);
	if (client == SL_NO_CLIENT) {
		sl_api_fail(
			request,
			"sluicectl show clients lists them; say TENANT/CLIENT where two tenants "
			"have one of that name",
			"no client is called %s",
			words[0]
		);
		return;
	}
	if (trace.request != NULL && !sl_api_client_gone(trace.request)) {
		sl_api_fail(request, "end the other trace first", "somebody else is tracing");
		return;
	}
	if (trace.request != NULL)
		finish(d);
	while (sl_trace_read(d->dp, stale, RTE_DIM(stale)) != 0)
		; // of a trace before
	trace.request = request;
	trace.table = sl_json_table("trace", columns, RTE_DIM(columns));
	trace.client = client;
	trace.nb_wanted = nb;
	trace.nb_read = 0;
	sl_trace_arm(d->dp, client, nb);
}

int
trace_register(struct daemon *d)
{
	return sl_api_register(
		d->api,
		"trace",
		"CLIENT [N]",
		"The journey of the client's next N packets, node by node.",
		serve_trace,
		d
	);
}
