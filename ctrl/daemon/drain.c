// drain: take no new flows, let those there are finish, and end. A PoP refuses new flows itself; a
// connector says so with its heartbeats, and PoPs send new flows elsewhere. What was under way when it
// was said is still taken.
#include "daemon.h"

#include <sluice/ctrl/clock.h>
#include <sluice/ctrl/log.h>
#include <sluice/dp/flow_table.h>
#include <string.h>

#define COUNT_NS  (1 * SL_NS_PER_S)
#define SETTLE_NS (1 * SL_NS_PER_S) // every peer has heard of it by then

// Conversations of clients; queries and connections of our own to DNS servers keep nobody here.
static unsigned
count_flows(const struct daemon *d)
{
	unsigned nb = 0;

	for (unsigned k = 0; k < sl_dp_nb_workers(d->dp); k++) {
		const struct sl_flow_table *t = sl_dp_worker(d->dp, k)->flows;

		for (uint32_t i = 0; i < t->nb_flows; i++) {
			uint8_t kind = *(const volatile uint8_t *)&t->flows[i].kind;

			nb += kind == SL_FLOW_CLIENT || kind == SL_FLOW_HOST;
		}
	}
	return nb;
}

void
drain_tick(struct daemon *d)
{
	uint64_t now_ns = sl_clock_now_ns();

	if (!d->drain.is_on || now_ns < d->drain.next_ns)
		return;
	d->drain.next_ns = now_ns + COUNT_NS;
	d->drain.nb_flows = count_flows(d);
	if (d->drain.nb_flows != 0 || d->drain.is_to_stay || now_ns - d->drain.since_ns < SETTLE_NS)
		return;
	d->drain.is_done = true;
	sl_log(SL_LOG_NOTICE, "drained", "the last flow is over");
}

static void
serve_drain(void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words)
{
	struct daemon *d = arg;
	const char *how = nb_words == 0 ? "" : words[0];
	bool is_undo = strcmp(how, "undo") == 0;
	char text[160];

	if (nb_words > 1 || (*how != '\0' && !is_undo && strcmp(how, "stay") != 0)) {
		sl_api_fail(
			request,
			"say drain, drain stay, or drain undo",
			"drain does not know \"%s\"",
			nb_words > 1 ? words[1] : how
		);
		return;
	}
	d->drain.is_to_stay = strcmp(how, "stay") == 0;
	if (!is_undo && !d->drain.is_on)
		d->drain.since_ns = sl_clock_now_ns();
	d->drain.is_on = !is_undo;
	d->drain.nb_flows = count_flows(d);
	atomic_store(&d->sessions.draining, d->drain.is_on);
	if (is_undo)
		snprintf(text, sizeof(text), "new flows are taken again");
	else
		snprintf(
			text,
			sizeof(text),
			"no new flows; %u left%s",
			d->drain.nb_flows,
			d->drain.is_to_stay ? "" : ", then the daemon ends"
		);
	sl_log(SL_LOG_NOTICE, "drain", "%s", text);
	sl_api_reply(request, json_pack("{s:s}", "text", text));
}

int
drain_register(struct daemon *d)
{
	return sl_api_register(
		d->api,
		"drain",
		"[stay|undo]",
		"Take no new flows and end with the last one; stay: do not end.",
		serve_drain,
		d
	);
}
