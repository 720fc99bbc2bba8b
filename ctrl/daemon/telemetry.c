// telemetry: what DPDK's telemetry socket answers about Sluice, beside what DPDK answers about itself.
// It is asked on a thread of DPDK's own: what is read here is atomic, or a counter that may be a moment
// old, and the daemon is not taken apart while an answer is being made.
#include "daemon.h"

#include <rte_telemetry.h>

#include <pthread.h>
#include <sluice/dp/flow_table.h>
#include <sluice/dp/node.h>
#include <sluice/dp/preference.h>
#include <stdlib.h>
#include <string.h>

#define NODES_MAX 512u

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct daemon *asked; // NULL: not to be had; under lock

static int
tell_health(struct daemon *d, const char *parameters, struct rte_tel_data *data)
{
	char reason[SL_HEALTH_REASON_BYTES] = "";
	bool is_ready = sl_health_ready(daemon_health(d), reason, sizeof(reason));

	(void)parameters;
	rte_tel_data_start_dict(data);
	rte_tel_data_add_dict_int(data, "healthy", is_ready);
	return rte_tel_data_add_dict_string(data, "reason", reason);
}

static int
tell_flows(struct daemon *d, const char *parameters, struct rte_tel_data *data)
{
	uint64_t nb_used = 0, nb_flows = 0, nb_full = 0;

	(void)parameters;
	for (unsigned k = 0; k < sl_dp_nb_workers(d->dp); k++) {
		const struct sl_flow_table *t = sl_dp_worker(d->dp, k)->flows;

		nb_used += t->nb_used;
		nb_flows += t->nb_flows;
		nb_full += t->nb_full;
	}
	rte_tel_data_start_dict(data);
	rte_tel_data_add_dict_u64(data, "used", nb_used);
	rte_tel_data_add_dict_u64(data, "limit", nb_flows);
	return rte_tel_data_add_dict_u64(data, "refused", nb_full);
}

static const struct sl_session *
peer_at(const struct daemon *d, uint32_t i)
{
	const struct sl_session *s = &d->sessions.sessions[i];

	return s->name[0] == '\0' || atomic_load(&s->kind) == SL_SESSION_CLIENT ? NULL : s;
}

static int
tell_peers(struct daemon *d, const char *parameters, struct rte_tel_data *data)
{
	unsigned nb = 0;

	(void)parameters;
	rte_tel_data_start_array(data, RTE_TEL_STRING_VAL);
	for (uint32_t i = 0; i < d->sessions.nb_sessions && nb < RTE_TEL_MAX_ARRAY_ENTRIES; i++)
		if (peer_at(d, i) != NULL)
			nb += rte_tel_data_add_array_string(data, peer_at(d, i)->name) == 0;
	return 0;
}

static int
tell_peer(struct daemon *d, const char *parameters, struct rte_tel_data *data)
{
	const struct sl_session *s = NULL;
	const struct sl_preference *p;

	for (uint32_t i = 0; i < d->sessions.nb_sessions && s == NULL && parameters != NULL; i++) {
		s = peer_at(d, i);
		if (s != NULL && strcmp(s->name, parameters) != 0)
			s = NULL;
	}
	if (s == NULL)
		return -1;
	p = &s->preference;
	rte_tel_data_start_dict(data);
	rte_tel_data_add_dict_int(data, "up", atomic_load(&s->current) != NULL);
	rte_tel_data_add_dict_int(data, "draining", atomic_load(&s->draining));
	rte_tel_data_add_dict_int(data, "weight", (int)s->weight);
	rte_tel_data_add_dict_int(data, "preference", (int)sl_preference_share(p));
	rte_tel_data_add_dict_int(data, "load", atomic_load(&p->load));
	return rte_tel_data_add_dict_u64(data, "rtt_ns", atomic_load(&p->rtt_ns));
}

static int
tell_drops(struct daemon *d, const char *parameters, struct rte_tel_data *data)
{
	struct sl_node_stats *stats = calloc(NODES_MAX, sizeof(*stats));
	unsigned nb = stats == NULL ? 0 : sl_dp_node_stats(d->dp, stats, NODES_MAX), nb_told = 0;

	(void)parameters;
	rte_tel_data_start_dict(data);
	for (unsigned i = 0; i < nb && nb_told < RTE_TEL_MAX_DICT_ENTRIES; i++)
		if (stats[i].drop != NULL && stats[i].objs != 0)
			nb_told += rte_tel_data_add_dict_u64(
					   data, stats[i].drop->name, stats[i].objs
				   ) == 0;
	free(stats);
	return 0;
}

static const struct {
	const char *command;
	const char *help;
	int (*tell)(struct daemon *d, const char *parameters, struct rte_tel_data *data);
} commands[] = {
	{ "/sluice/health", "Whether all is well, and if not, why. No parameters.", tell_health },
	{ "/sluice/flows",
	  "Flows in the tables, room, and flows refused. No parameters.",
	  tell_flows },
	{ "/sluice/peers", "Names of the connectors, or PoPs. No parameters.", tell_peers },
	{ "/sluice/peer",
	  "A connector or PoP, and how new flows are shared. Parameter: its name.",
	  tell_peer },
	{ "/sluice/drops",
	  "Packets not delivered, by reason (docs/drops.md). No parameters.",
	  tell_drops },
};

static int
answer(const char *command, const char *parameters, struct rte_tel_data *data)
{
	int ret = -1;

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; asked != NULL && i < RTE_DIM(commands); i++)
		if (strcmp(commands[i].command, command) == 0)
			ret = commands[i].tell(asked, parameters, data);
	pthread_mutex_unlock(&lock);
	return ret;
}

void
telemetry_open(struct daemon *d)
{
	pthread_mutex_lock(&lock);
	asked = d;
	pthread_mutex_unlock(&lock);
	for (unsigned i = 0; i < RTE_DIM(commands); i++)
		(void)rte_telemetry_register_cmd(commands[i].command, answer, commands[i].help);
}

void
telemetry_close(void)
{
	pthread_mutex_lock(&lock);
	asked = NULL;
	pthread_mutex_unlock(&lock);
}
