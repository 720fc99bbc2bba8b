// flow_log: what workers tell of flows becomes lines. The control thread takes events from each
// worker's ring as fast as the log writer takes lines, puts names to ids, and hands records over.
#include "causes.h"
#include "daemon.h"

#include <rte_byteorder.h>

#include <errno.h>
#include <netinet/in.h>
#include <sluice/ctrl/clock.h>
#include <sluice/ctrl/flowlog.h>
#include <sluice/ctrl/log.h>
#include <sluice/dns/addresses.h>
#include <sluice/dp/flow_event.h>
#include <sluice/dp/quota.h>
#include <sluice/dp/reject.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EVENTS_AT_ONCE 64u
#define NS_PER_DS      (SL_NS_PER_S / 10)
#define CLOSE_MAX_MS   1000u

// ---- Words --------------------------------------------------------------------------------------

// Why a flow ended of itself: what its last packets said, or that there were none.
static const char *
done_text(const struct sl_flow_event *e)
{
	rte_be16_t service = e->flow_kind == SL_FLOW_CLIENT ? e->key.destination_port_be
							    : e->key.source_port_be;

	switch ((uint8_t)e->key.scope_protocol) {
	case IPPROTO_TCP:
		return e->tcp == SL_TCP_CLOSING ? "fin" : e->tcp == SL_TCP_RESET ? "reset" : "idle";
	case IPPROTO_UDP:
		return service == RTE_BE16(53) && e->pkts_down >= e->pkts_up ? "answered" : "idle";
	default:
		return "idle";
	}
}

static void
put_reason(const struct sl_flow_event *e, struct sl_flowlog_record *r)
{
	const char *text = "";

	if (e->kind == SL_FLOW_EVENT_DENY && e->reason == SL_CLOSE_QUOTA) {
		cause_put(r->reason, sizeof(r->reason), e->reason, e->quota);
		return;
	}
	if (e->kind == SL_FLOW_EVENT_END || e->kind == SL_FLOW_EVENT_DENY)
		text = e->reason == SL_CLOSE_DONE ? done_text(e) : cause_text(e->reason);
	snprintf(r->reason, sizeof(r->reason), "%s", text);
}

// ---- From event to record ---------------------------------------------------------------------------

static void
put_text(char *to, size_t nb_bytes, const char *text)
{
	snprintf(to, nb_bytes, "%s", text == NULL ? "" : text);
}

static void
put_session(const struct daemon *d, const struct sl_flow_event *e, char *to, size_t nb_bytes)
{
	if (e->session < d->sessions.nb_sessions)
		put_text(to, nb_bytes, d->sessions.sessions[e->session].name);
}

// The client's own words for what it did.
static void
put_client(struct daemon *d, const struct sl_flow_event *e, struct sl_flowlog_record *r)
{
	unsigned tenant = registry_tenant(d->ids, ID_CLIENT, e->client);
	struct sl_addresses *addresses;
	char name[SL_NAME_MAX_BYTES + 1];

	put_text(r->client, sizeof(r->client), registry_name(d->ids, ID_CLIENT, e->client));
	if (tenant < d->config->nb_tenants)
		put_text(r->tenant, sizeof(r->tenant), d->config->tenants[tenant].name);
	put_session(d, e, r->connector, sizeof(r->connector));
	if (e->is_merged)
		return;
	memcpy(r->client_address, e->key.source, 16);
	memcpy(r->address, e->key.destination, 16);
	r->protocol = (uint8_t)e->key.scope_protocol;
	r->client_port = rte_be_to_cpu_16(e->key.source_port_be);
	r->port = rte_be_to_cpu_16(e->key.destination_port_be);
	put_text(r->resource, sizeof(r->resource), registry_name(d->ids, ID_RESOURCE, e->resource));
	addresses = sl_service_addresses(d->service, tenant);
	if (e->name != SL_NO_NAME && addresses != NULL &&
	    e->name < sl_addresses_nb_ids(addresses) &&
	    sl_addresses_text(addresses, e->name, name) != 0)
		put_text(r->name, sizeof(r->name), name);
}

// A connector knows neither client nor name: its lines say which host, and from which address and
// port of its own.
static void
put_host(const struct daemon *d, const struct sl_flow_event *e, struct sl_flowlog_record *r)
{
	r->is_connector = true;
	memcpy(r->address, e->key.source, 16);
	memcpy(r->client_address, e->key.destination, 16);
	r->protocol = (uint8_t)e->key.scope_protocol;
	r->port = rte_be_to_cpu_16(e->key.source_port_be);
	r->client_port = rte_be_to_cpu_16(e->key.destination_port_be);
	put_session(d, e, r->connector, sizeof(r->connector));
}

static void
hand_over(struct daemon *d, const struct sl_flow_event *e)
{
	uint64_t now_ns = sl_clock_ns(&d->clock);
	struct sl_flowlog_record r = {
		.time_ns = sl_clock_wall_ns() - (now_ns > e->at_ns ? now_ns - e->at_ns : 0),
		.duration_ns = e->age_ds * NS_PER_DS,
		.up_bytes = e->bytes_up,
		.up_pkts = e->pkts_up,
		.down_bytes = e->bytes_down,
		.down_pkts = e->pkts_down,
		.event = e->kind,
		.nb_denials = e->nb_denials,
		.is_merged = e->is_merged,
	};

	if (e->kind == SL_FLOW_EVENT_DENY)
		r.duration_ns = e->since_ds * NS_PER_DS;
	if (e->flow_kind == SL_FLOW_CLIENT)
		put_client(d, e, &r);
	else
		put_host(d, e, &r);
	put_reason(e, &r);
	sl_flowlog(&r);
}

void
flow_log_drain(struct daemon *d)
{
	struct sl_flow_event events[EVENTS_AT_ONCE];

	for (unsigned k = 0; k < sl_dp_nb_workers(d->dp); k++) {
		struct sl_flow_events *from = sl_dp_worker(d->dp, k)->flow_events;
		unsigned nb;

		// Lines wait in the worker's ring rather than getting lost behind it.
		do {
			nb = RTE_MIN(sl_flowlog_room(), EVENTS_AT_ONCE);
			nb = nb == 0 ? 0 : sl_flow_events_take(from, events, nb);
			for (unsigned i = 0; i < nb; i++)
				hand_over(d, &events[i]);
		} while (nb == EVENTS_AT_ONCE);
	}
}

// ---- On and off ----------------------------------------------------------------------------------

static void
tell_workers(struct daemon *d, bool is_on)
{
	for (unsigned k = 0; k < sl_dp_nb_workers(d->dp); k++) {
		struct sl_flow_events *e = sl_dp_worker(d->dp, k)->flow_events;

		atomic_store(&e->interim_s, d->config->system.flow_log_interim_s);
		atomic_store(&e->is_on, is_on);
	}
}

void
flow_log_apply(struct daemon *d)
{
	const char *path = d->config->system.flow_log;
	int ret = 0;

	if (d->flow_log_path != NULL && (path == NULL || strcmp(path, d->flow_log_path) != 0)) {
		flow_log_drain(d);
		sl_flowlog_stop();
		free(d->flow_log_path);
		d->flow_log_path = NULL;
	}
	if (path != NULL && d->flow_log_path == NULL) {
		d->flow_log_path = strdup(path);
		ret = d->flow_log_path == NULL ? -ENOMEM : sl_flowlog_start(path);
	}
	if (ret != 0)
		sl_log(SL_LOG_ERROR,
		       "flow-log-failed",
		       "%s: %s; no flow is logged: make its folder writable for the user of "
		       "system.user, then sluicectl reload",
		       path,
		       strerror(-ret));
	if (ret != 0) {
		free(d->flow_log_path);
		d->flow_log_path = NULL;
	}
	tell_workers(d, d->flow_log_path != NULL);
}

static bool
is_behind(const struct daemon *d)
{
	for (unsigned k = 0; k < sl_dp_nb_workers(d->dp); k++)
		if (!rte_ring_empty(sl_dp_worker(d->dp, k)->flow_events->ring))
			return true;
	return false;
}

void
flow_log_close(struct daemon *d)
{
	if (d->flow_log_path == NULL)
		return;
	// Workers have stopped: what they still had to tell is told for them.
	for (unsigned k = 0; k < sl_dp_nb_workers(d->dp); k++)
		sl_flow_events_tick(sl_dp_worker(d->dp, k), SL_DENIALS_ALL);
	for (unsigned ms = 0; ms < CLOSE_MAX_MS && is_behind(d); ms++) {
		flow_log_drain(d);
		usleep(1000);
	}
	sl_flowlog_stop();
	free(d->flow_log_path);
	d->flow_log_path = NULL;
}

uint64_t
flow_log_nb_lost(const struct daemon *d)
{
	uint64_t nb = sl_flowlog_nb_lost();

	for (unsigned k = 0; k < sl_dp_nb_workers(d->dp); k++)
		nb += atomic_load(&sl_dp_worker(d->dp, k)->flow_events->nb_lost);
	return nb;
}

static void
serve_reopen(void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words)
{
	struct daemon *d = arg;

	(void)nb_words;
	(void)words;
	if (d->flow_log_path == NULL) {
		sl_api_fail(
			request,
			"set system.flow_log in the configuration, then sluicectl reload",
			"no flow log is written"
		);
		return;
	}
	sl_flowlog_reopen();
	sl_api_reply(request, json_pack("{s:s}", "text", "the flow log is opened anew"));
}

int
flow_log_register(struct daemon *d)
{
	return sl_api_register(
		d->api,
		"reopen",
		"",
		"Open the flow log anew, after it was moved away (logrotate).",
		serve_reopen,
		d
	);
}
