// show peers: on a PoP the connectors, how they share new flows and why; on a connector its PoPs.
#include "show.h"

#include <sluice/dp/preference.h>

const char *
show_peer_state(struct daemon *d, const struct sl_session *s)
{
	if (atomic_load(&s->current) == NULL)
		return "down";
	if (atomic_load(&s->draining))
		return "draining";
	return sl_preference_is_silent(s, d->config->timers.suspect_ms, sl_clock_ns(&d->clock))
		? "silent"
		: "up";
}

static double
percent(unsigned part, unsigned whole)
{
	return 100.0 * part / whole;
}

static void
put_row(struct daemon *d, json_t *table, const struct sl_session *s)
{
	const struct sl_preference *p = &s->preference;
	uint64_t rtt_ns = atomic_load(&p->rtt_ns);
	bool is_pop = d->config->node.role == SL_ROLE_POP;

	sl_json_row(
		table,
		"sssoofoo",
		is_pop ? show_network(d, s->network) : "-",
		s->name,
		show_peer_state(d, s),
		is_pop ? json_integer(s->weight) : json_null(),
		is_pop ? json_real(percent(sl_preference_share(p), SL_PREFERENCE_FULL))
		       : json_null(),
		percent(atomic_load(&p->load), SL_LOAD_MAX),
		rtt_ns == 0 ? json_null() : json_integer((json_int_t)rtt_ns),
		is_pop ? json_integer(atomic_load(&p->nb_changes)) : json_null()
	);
}

void
show_peers(void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words)
{
	static const struct sl_column columns[] = {
		SHOW_LEFT("network"),
		SHOW_LEFT("peer"),
		SHOW_LEFT("state"),
		SHOW_RIGHT("weight", ""),
		SHOW_RIGHT("preference", "percent"),
		SHOW_RIGHT("load", "percent"),
		SHOW_RIGHT("rtt", "ns"),
		SHOW_RIGHT("changes", ""),
	};
	struct daemon *d = arg;
	json_t *table = sl_json_table("peers", columns, RTE_DIM(columns));

	(void)nb_words;
	(void)words;
	for (uint32_t i = 0; i < d->sessions.nb_sessions; i++) {
		const struct sl_session *s = &d->sessions.sessions[i];

		if (s->name[0] != '\0' && atomic_load(&s->kind) != SL_SESSION_CLIENT)
			put_row(d, table, s);
	}
	sl_api_reply(request, table);
}
