#include <rte_malloc.h>

#include <errno.h>
#include <sluice/dp/crypto.h>
#include <sluice/dp/dp.h>
#include <sluice/dp/failures.h>
#include <sluice/dp/flow_event.h>
#include <sluice/dp/flow_table.h>
#include <sluice/dp/fragments.h>
#include <sluice/dp/names_cache.h>
#include <sluice/dp/nat.h>
#include <sluice/dp/quota.h>
#include <sluice/dp/retry.h>
#include <sluice/dp/tables.h>
#include <sluice/dp/tally.h>
#include <sluice/dp/tickets.h>
#include <sluice/proto/fragment.h>
#include <stdlib.h>

static int
create_sessions(struct sl_sessions *s, uint32_t nb_sessions)
{
	*s = (struct sl_sessions){ .nb_sessions = nb_sessions,
				   .nb_slots = rte_align32pow2(nb_sessions * SL_INDEX_WAYS * 2) };
	s->slot_mask = s->nb_slots - 1;
	s->sessions = rte_zmalloc("sl_sessions", nb_sessions * sizeof(*s->sessions), 64);
	s->keypairs = rte_zmalloc("sl_keypairs", s->nb_slots * sizeof(*s->keypairs), 64);
	return s->sessions == NULL || s->keypairs == NULL ? -ENOMEM : 0;
}

static struct sl_nat *
create_nat(const struct sl_tables_conf *conf, uint32_t nb_rests)
{
	struct sl_nat *nat = sl_nat_create(nb_rests, SOCKET_ID_ANY);

	if (nat == NULL)
		return NULL;
	nat->nb_addresses = RTE_MIN(conf->nb_nat_addresses, SL_NAT_ADDRESSES);
	for (unsigned i = 0; i < nat->nb_addresses; i++)
		nat->addresses[i] = conf->nat_addresses[i];
	nat->port_low = conf->nat_port_low;
	nat->port_high = conf->nat_port_high;
	nat->rest_ds = conf->nat_rest_ds;
	return nat;
}

static struct sl_reass *
create_reass(void)
{
	struct sl_assembly_conf conf = SL_RECORDS_CONF;
	void *memory = rte_malloc("sl_reass", sl_reass_bytes(&conf), RTE_CACHE_LINE_SIZE);

	return memory == NULL ? NULL : sl_reass_init(memory, &conf);
}

// The largest table of a worker, on its core's NUMA node if there is room.
static struct sl_flow_table *
create_flows(const struct sl_worker *w, uint32_t nb_flows, bool with_flow_keys, int core)
{
	int node = core < 0 ? -1 : sl_numa_of_core((unsigned)core);
	struct sl_flow_table *t = NULL;

	if (node >= 0)
		t = sl_flow_table_create(nb_flows, (uint8_t)w->idx, with_flow_keys, node);
	if (t == NULL)
		t = sl_flow_table_create(nb_flows, (uint8_t)w->idx, with_flow_keys, SOCKET_ID_ANY);
	return t;
}

static int
create_worker(
	struct sl_worker *w,
	const struct sl_tables_conf *conf,
	struct sl_sessions *sessions,
	int core
)
{
	uint32_t nb_flows = RTE_MAX(conf->nb_flows / w->nb_workers, 64u);

	w->flows = create_flows(w, nb_flows, conf->nb_names != 0, core);
	w->sessions = sessions;
	w->timeouts = conf->timeouts;
	if (w->timeouts.suspect_ms == 0)
		w->timeouts.suspect_ms = SL_SUSPECT_MS;
	// A PoP speaks UDP alone to anybody: nothing rests there.
	w->nat = create_nat(conf, conf->nb_names != 0 ? nb_flows : 0);
	w->quota = calloc(1, sizeof(*w->quota));
	w->flow_events = sl_flow_events_create();
	w->failures = sl_failures_create();
	w->tally = sl_tally_create();
	w->tickets = sl_tickets_create(
		conf->nb_names == 0 ? 0 : RTE_MAX(conf->nb_flows / w->nb_workers, 64u),
		SOCKET_ID_ANY
	);
	w->aead = sl_aead_create(SL_AEAD_BEST);
	w->reass = create_reass();
	if (conf->nb_names != 0) {
		w->names = sl_names_cache_create(conf->nb_names, SOCKET_ID_ANY);
		w->retries = rte_zmalloc("sl_retries", sizeof(*w->retries), 64);
	}
	if (w->flows == NULL || w->nat == NULL || w->quota == NULL || w->flow_events == NULL ||
	    w->failures == NULL || w->tally == NULL || w->tickets == NULL || w->aead == NULL ||
	    w->reass == NULL || (conf->nb_names != 0 && (w->names == NULL || w->retries == NULL)))
		return -ENOMEM;
	return 0;
}

int
sl_tables_create(struct sl_dp *dp, const struct sl_tables_conf *conf, struct sl_sessions *sessions)
{
	int ret = create_sessions(sessions, conf->nb_sessions);

	for (unsigned k = 0; ret == 0 && k < sl_dp_nb_workers(dp); k++)
		ret = create_worker(sl_dp_worker(dp, k), conf, sessions, sl_dp_core(dp, k));
	return ret == 0 ? sl_quota_reserve(dp, SL_QUOTA_PAGE_ROWS, SL_QUOTA_PAGE_ROWS) : ret;
}

void
sl_tables_destroy(struct sl_dp *dp, struct sl_sessions *sessions)
{
	for (unsigned k = 0; k < sl_dp_nb_workers(dp); k++) {
		struct sl_worker *w = sl_dp_worker(dp, k);

		sl_waiting_free(w);
		sl_flow_table_destroy(w->flows);
		sl_nat_destroy(w->nat);
		sl_quota_free(w->quota);
		sl_tickets_destroy(w->tickets);
		rte_free(w->reass);
		sl_aead_destroy(w->aead);
		sl_names_cache_destroy(w->names);
		rte_free(w->retries);
		w->retries = NULL;
		w->flows = NULL;
		w->nat = NULL;
		w->quota = NULL;
		sl_flow_events_destroy(w->flow_events);
		w->flow_events = NULL;
		sl_failures_destroy(w->failures);
		w->failures = NULL;
		sl_tally_destroy(w->tally);
		w->tally = NULL;
		w->tickets = NULL;
		w->reass = NULL;
		w->aead = NULL;
		w->names = NULL;
	}
	rte_free(sessions->sessions);
	rte_free(sessions->keypairs);
}
