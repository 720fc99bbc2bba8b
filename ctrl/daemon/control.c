// control: the control socket and readiness; the control thread.
#include "daemon.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <sluice/ctrl/clock.h>
#include <sluice/ctrl/log.h>
#include <sluice/ctrl/seccomp.h>
#include <sluice/dp/flow_table.h>
#include <sluice/dp/nat.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TICK_NS           (200 * SL_NS_PER_MS)
#define RESOLVER_ALIVE_NS (30 * SL_NS_PER_S)

struct control {
	struct sl_health *health;
	int underlay, session, policy, resolver, store, drain; // conditions; -1: not of this role
	uint64_t next_tick_ns;
	uint64_t nb_refused_said; // system calls
	uint64_t nb_no_port, nb_no_room; // flows refused so far, as last told
};

// ---- Readiness ------------------------------------------------------------------------------------------

static void
check_underlay(struct daemon *d)
{
	const struct sl_net *net = sl_dp_net(d->dp);
	const struct sl_port *port = &net->ports[d->config->tunnel.port_idx];

	sl_dp_poll_links(d->dp);
	if (atomic_load(&port->link_up))
		sl_health_ok(d->control->health, d->control->underlay);
	else
		sl_health_fault(
			d->control->health,
			d->control->underlay,
			"the link of port %s is down",
			port->name
		);
}

static void
check_session(struct daemon *d)
{
	const char *waited_for = "any peer";

	for (uint32_t i = 0; i < d->sessions.nb_sessions; i++) {
		const struct sl_session *s = &d->sessions.sessions[i];

		if (s->name[0] == '\0' || atomic_load(&s->kind) == SL_SESSION_CLIENT)
			continue;
		waited_for = s->name;
		if (atomic_load(&s->current) != NULL) {
			sl_health_ok(d->control->health, d->control->session);
			return;
		}
	}
	sl_health_fault(
		d->control->health,
		d->control->session,
		"no session is up; %s has not answered",
		waited_for
	);
}

static void
check_resolver(struct daemon *d)
{
	const struct sl_resolver *resolver = sl_service_resolver(d->service);

	if (sl_resolver_is_alive(resolver, RESOLVER_ALIVE_NS, sl_clock_ns(&d->clock)))
		sl_health_ok(d->control->health, d->control->resolver);
	else
		sl_health_fault(
			d->control->health,
			d->control->resolver,
			"the private DNS has not answered in the last %u s",
			(unsigned)(RESOLVER_ALIVE_NS / SL_NS_PER_S)
		);
}

static void
check_store(struct daemon *d)
{
	struct sl_store_health health;

	sl_store_health(d->store, &health);
	if (health.failing)
		sl_health_fault(
			d->control->health,
			d->control->store,
			"the state directory: %s",
			health.reason
		);
	else
		sl_health_ok(d->control->health, d->control->store);
}

// The policy is current: what the file says is in force, and on a PoP its names have addresses.
static void
check_policy(struct daemon *d)
{
	bool is_pop = d->config->node.role == SL_ROLE_POP;

	if (d->refused[0] != '\0')
		sl_health_fault(
			d->control->health,
			d->control->policy,
			"the configuration in force is an older one: %s",
			d->refused
		);
	else if (is_pop && !atomic_load(&d->names_ready))
		sl_health_fault(
			d->control->health,
			d->control->policy,
			"names of the configuration have no address on disk yet"
		);
	else
		sl_health_ok(d->control->health, d->control->policy);
}

static void
report_refused_calls(struct daemon *d)
{
	char name[64];
	uint64_t nb = sl_seccomp_nb_refused(name, sizeof(name));

	if (nb == d->control->nb_refused_said)
		return;
	sl_log(SL_LOG_ERROR,
	       "system-call-refused",
	       "%s, call %" PRIu64 " that was refused; if a device driver needs it, set "
	       "system.seccomp = false, restart, and report it; else code that is not ours runs in "
	       "here",
	       name,
	       nb);
	d->control->nb_refused_said = nb;
}

// Say that flows are refused for want of a port or of room, while they are. The log's own limit keeps
// this to some lines a minute.
static void
check_room(struct daemon *d)
{
	uint64_t nb_no_port = 0, nb_no_room = 0;

	for (unsigned k = 0; k < sl_dp_nb_workers(d->dp); k++) {
		const struct sl_worker *w = sl_dp_worker(d->dp, k);

		nb_no_port += w->nat->nb_exhausted;
		nb_no_room += w->flows->nb_full;
	}
	if (nb_no_port != d->control->nb_no_port)
		sl_log(SL_LOG_WARNING,
		       "ports-exhausted",
		       "no port is left toward a host: %llu flows refused; more "
		       "connector.nat_addresses "
		       "help",
		       (unsigned long long)nb_no_port);
	if (nb_no_room != d->control->nb_no_room)
		sl_log(SL_LOG_WARNING,
		       "flows-full",
		       "the flow table is full: %llu flows refused; limits.flows sets its size",
		       (unsigned long long)nb_no_room);
	d->control->nb_no_port = nb_no_port;
	d->control->nb_no_room = nb_no_room;
}

static void
check_drain(struct daemon *d)
{
	drain_tick(d);
	if (d->drain.is_on)
		sl_health_fault(
			d->control->health,
			d->control->drain,
			"draining: no new flows, %u left; sluicectl drain undo takes it back",
			d->drain.nb_flows
		);
	else
		sl_health_ok(d->control->health, d->control->drain);
}

void
control_tick(struct daemon *d)
{
	uint64_t now_ns = sl_clock_now_ns();

	trace_tick(d);
	reload_tick(d);
	if (now_ns < d->control->next_tick_ns)
		return;
	d->control->next_tick_ns = now_ns + TICK_NS;
	report_refused_calls(d);
	check_room(d);
	check_underlay(d);
	check_session(d);
	check_store(d);
	check_drain(d);
	check_policy(d);
	if (d->control->resolver >= 0)
		check_resolver(d);
	sl_health_publish(d->control->health);
}

static int
add_conditions(struct daemon *d)
{
	struct control *c = d->control;
	bool is_connector = d->config->node.role == SL_ROLE_CONNECTOR;

	c->drain = sl_health_add(c->health, "drain", "not started yet");
	c->store = sl_health_add(c->health, "store", "the state directory is not open yet");
	c->underlay = sl_health_add(c->health, "underlay", "the underlay port is not up yet");
	c->session = sl_health_add(c->health, "session", "no session is up yet");
	c->policy = sl_health_add(
		c->health, "policy", "names of the configuration have no address yet"
	);
	c->resolver = -1;
	if (is_connector)
		c->resolver = sl_health_add(
			c->health, "resolver", "the private DNS has not answered yet"
		);
	return c->drain < 0 || c->store < 0 || c->underlay < 0 || c->session < 0 ? -ENOSPC : 0;
}

struct sl_health *
daemon_health(const struct daemon *d)
{
	return d->control->health;
}

// ---- Clients by name ----------------------------------------------------------------------------------

uint32_t
daemon_client(const struct daemon *d, const char *name)
{
	const struct sl_snapshot *s = &d->snapshot->dp;
	const char *slash = strchr(name, '/');
	uint32_t found = SL_NO_CLIENT;

	for (uint32_t i = 1; i < s->nb_clients; i++) {
		const struct sl_client *client = &s->clients[i];
		const char *tenant;

		if (!client->is_live)
			continue;
		tenant = s->tenants[client->tenant].name;
		if (slash == NULL ? strcmp(client->name, name) == 0
				  : strncmp(tenant, name, (size_t)(slash - name)) == 0 &&
				    tenant[slash - name] == '\0' &&
				    strcmp(client->name, slash + 1) == 0) {
			if (found != SL_NO_CLIENT)
				return SL_NO_CLIENT;
			found = i;
		}
	}
	return found;
}

// ---- Life -----------------------------------------------------------------------------------------------

int
control_open(struct daemon *d)
{
	const char *path = d->config->system.control_socket;
	int ret;

	d->control = calloc(1, sizeof(*d->control));
	if (d->control == NULL)
		return -ENOMEM;
	d->generation = d->snapshot->dp.generation;
	d->control->health = sl_health_new();
	if (d->control->health == NULL)
		return -ENOMEM;
	ret = add_conditions(d);
	if (ret == 0)
		ret = sl_api_open(&d->api, path, NULL);
	if (ret != 0) {
		sl_log(SL_LOG_ERROR, "socket", "%s: %s", path, strerror(-ret));
		return ret;
	}
	ret = sl_health_serve(d->control->health, d->api);
	if (ret == 0)
		ret = reload_register(d);
	if (ret == 0)
		ret = drain_register(d);
	if (ret == 0)
		ret = show_register(d);
	if (ret == 0)
		ret = trace_register(d);
	if (ret == 0)
		ret = explain_register(d);
	if (ret == 0)
		ret = clients_register(d);
	if (ret == 0)
		ret = flow_log_register(d);
	if (ret != 0)
		return ret;
	d->http = http_open(d);
	telemetry_open(d);
	return 0;
}

void
control_close(struct daemon *d)
{
	telemetry_close();
	http_close(d->http);
	d->http = NULL;
	if (d->api != NULL)
		sl_api_close(d->api);
	d->api = NULL;
	if (d->control == NULL)
		return;
	sl_health_free(d->control->health);
	free(d->control);
	d->control = NULL;
}
