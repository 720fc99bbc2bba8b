// start: the parts of the daemon, made in order. What is opened with root's rights comes first, then
// they are dropped, then everything else.
#include "daemon.h"

#include <rte_ethdev.h>

#include <errno.h>
#include <pwd.h>
#include <sluice/ctrl/log.h>
#include <sluice/ctrl/privileges.h>
#include <sluice/ctrl/seccomp.h>
#include <sluice/dp/names_cache.h>
#include <sluice/dp/nat.h>
#include <sluice/dp/tables.h>
#include <sluice/dp/upkeep.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

static int
load_wireguard_key(struct daemon *d)
{
	const char *path = d->config->wireguard.key_file, *why = NULL;
	int ret = 0;

	if (!wireguard_is_served(d->config))
		return 0;
	d->wireguard_key = d->key;
	if (path != NULL)
		ret = sl_key_load(path, &d->wireguard_key, &why);
	if (ret != 0)
		fprintf(stderr, "sluice: %s: %s\n", path, why);
	return ret == 0 ? sl_key_public(&d->wireguard_key, &d->wireguard_public) : ret;
}

int
daemon_load(struct daemon *d)
{
	struct sl_config_errors errors = { 0 };
	struct sl_config *config = NULL;
	const char *why = NULL;
	int ret = sl_config_load(d->path, &config, &errors);

	sl_config_errors_print(&errors, stderr);
	sl_config_errors_free(&errors);
	if (ret != 0)
		return ret;
	sl_config_free(d->config);
	d->config = config;
	sl_log_set_level(d->config->system.log_level);
	ret = sl_key_load(d->config->node.key_file, &d->key, &why);
	if (ret != 0)
		fprintf(stderr, "sluice: %s: %s\n", d->config->node.key_file, why);
	return ret == 0 ? load_wireguard_key(d) : ret;
}

// Tells this program, executed again, that the huge pages went to somebody else.
#define ORDINARY_MEMORY "SLUICE_ORDINARY_MEMORY"

// The same process from the beginning, on ordinary memory. Returns only on failure.
static int
begin_again(const char *path)
{
	fprintf(stderr, "sluice: the huge pages went to another program; using ordinary memory\n");
	if (setenv(ORDINARY_MEMORY, "1", 1) == 0)
		execl("/proc/self/exe", "sluice", "-c", path, (char *)NULL);
	return -errno;
}

static int
start_eal(const struct daemon *d)
{
	const struct sl_config *config = d->config;
	struct sl_config_memory needs = sl_config_memory(config);
	const char *pci[SL_MAX_PORTS];
	struct sl_eal_conf eal = { .name = config->node.name, .pci = pci };
	int ret;

	eal.is_ordinary_memory = getenv(ORDINARY_MEMORY) != NULL;
	eal.core = config->workers.cores[0];
	eal.memory_mb = config->system.memory_mb != 0
		? config->system.memory_mb
		: (unsigned)(needs.dataplane_bytes >> 20) + 64;
	for (unsigned i = 0; i < config->nb_ports && i < SL_MAX_PORTS; i++)
		if (!config->ports[i].is_vdev)
			pci[eal.nb_pci++] = config->ports[i].device;
	ret = sl_eal_start(&eal);
	return ret == -EAGAIN ? begin_again(d->path) : ret;
}

static bool
is_adaptive(const struct sl_config *config)
{
	if (config->workers.idle != SL_IDLE_AUTO)
		return config->workers.idle == SL_IDLE_ADAPTIVE;
	for (unsigned i = 0; i < config->nb_ports; i++)
		if (!config->ports[i].is_vdev)
			return false;
	return true;
}

// Memory is on the first worker's node: what works from another one pays for every packet.
static void
warn_of_numa(const struct daemon *d)
{
	const struct sl_config *c = d->config;
	const struct sl_net *net = sl_dp_net(d->dp);
	int home = sl_numa_of_core(c->workers.cores[0]);

	for (unsigned i = 1; i < c->workers.nb_cores; i++)
		if (sl_numa_of_core(c->workers.cores[i]) != home)
			sl_log(SL_LOG_WARNING,
			       "numa",
			       "core %u is on NUMA node %d, memory on %d: use cores of one node, "
			       "or an "
			       "instance for each",
			       c->workers.cores[i],
			       sl_numa_of_core(c->workers.cores[i]),
			       home);
	for (unsigned i = 0; i < net->nb_ports; i++) {
		int node = rte_eth_dev_socket_id(net->ports[i].ethdev);

		if (node >= 0 && home >= 0 && node != home)
			sl_log(SL_LOG_WARNING,
			       "numa",
			       "port %s is on NUMA node %d, its workers on %d: use cores of that "
			       "node",
			       net->ports[i].name,
			       node,
			       home);
	}
}

static int
create_dp(struct daemon *d)
{
	const struct sl_config *c = d->config;
	struct sl_dp_conf conf = {
		.name = "main",
		.role = c->node.role == SL_ROLE_POP ? SL_DP_POP : SL_DP_CONNECTOR,
		.net = &d->net,
		.nb_workers = c->workers.nb_cores,
		.idle = is_adaptive(c) ? SL_DP_IDLE_ADAPTIVE : SL_DP_IDLE_POLL,
		.nb_mbufs = sl_config_memory(c).nb_mbufs,
		.clock = &d->clock,
		.on_mail = sl_upkeep_mail,
		.on_tick = sl_upkeep_tick,
	};

	daemon_net(&d->net, c);
	d->net.serves_tcp = d->stream_fds.is_open && c->node.role == SL_ROLE_POP && c->dns.tcp;
	d->net.serves_tls = d->net.serves_tcp && c->dns.tls;
	for (unsigned i = 0; i < c->nb_ports && i < SL_MAX_PORTS; i++)
		conf.devices[i] = c->ports[i].device;
	for (unsigned i = 0; i < c->workers.nb_cores && i < SL_MAX_WORKERS; i++)
		conf.cores[i] = c->workers.cores[i];
	d->dp = sl_dp_create(&conf);
	return d->dp == NULL ? -ENODEV : 0;
}

// A connector holds on longer than a PoP, which is the authority on expiry.
struct sl_timeouts
daemon_timeouts(const struct sl_config *c)
{
	bool is_connector = c->node.role == SL_ROLE_CONNECTOR;
	uint32_t scale_ds = is_connector ? 15 : 10;

	return (struct sl_timeouts){
		.tcp_established_ds = c->timers.tcp_established_s * scale_ds,
		.tcp_transitory_ds = c->timers.tcp_transitory_s * scale_ds,
		.tcp_closed_ds = is_connector ? 30 : 20,
		.udp_ds = c->timers.udp_s * scale_ds,
		.dns_ds = c->timers.dns_s * scale_ds,
		.icmp_ds = c->timers.icmp_s * scale_ds,
		.suspect_ms = c->timers.suspect_ms,
	};
}

static int
create_tables(struct daemon *d)
{
	const struct sl_config *c = d->config;
	bool is_connector = c->node.role == SL_ROLE_CONNECTOR;
	rte_be32_t nat[SL_NAT_ADDRESSES];
	struct sl_tables_conf conf = {
		.nb_flows = c->limits.flows,
		.nb_sessions = c->limits.sessions,
		.nb_names = is_connector ? SL_NAMES_CACHED : 0,
		.timeouts = daemon_timeouts(c),
		.nat_addresses = nat,
		.nat_port_low = 1024,
		.nat_port_high = 65535,
		.nat_rest_ds = c->timers.tcp_time_wait_s * 10,
	};

	if (is_connector && c->connector.nat_ports.high != 0) {
		conf.nat_port_low = c->connector.nat_ports.low;
		conf.nat_port_high = c->connector.nat_ports.high;
	}
	for (unsigned i = 0; i < c->connector.nat_addresses.nb && i < RTE_DIM(nat); i++)
		nat[conf.nb_nat_addresses++] = rte_cpu_to_be_32(c->connector.nat_addresses.list[i]);
	return sl_tables_create(d->dp, &conf, &d->sessions);
}

static int
drop_privileges(struct daemon *d)
{
	const struct sl_config_system *system = &d->config->system;
	const struct passwd *user = getpwnam(system->user);
	const char *why = "";
	int ret = folders_make(system, user);

	if (ret != 0)
		return ret;
	ret = sl_privileges_drop(system->user, SL_PRIVILEGE_NET_ADMIN | SL_PRIVILEGE_NET_RAW, &why);
	if (ret != 0)
		fprintf(stderr, "sluice: user %s: %s\n", system->user, why);
	return ret;
}

static int
open_store(struct daemon *d)
{
	struct sl_store_config conf = {
		.dir = d->config->system.state_dir,
		.pool = { .base = d->config->dns.pool.address,
			  .nb = 1u << (32 - d->config->dns.pool.length) },
	};
	char why[256];
	int ret;

	if (d->config->node.role == SL_ROLE_CONNECTOR)
		conf.pool.nb = 1u << 20;
	ret = sl_store_open(&d->store, &conf, why, sizeof(why));
	if (ret != 0)
		fprintf(stderr, "sluice: %s\n", why);
	return ret;
}

static int
create_service(struct daemon *d)
{
	uint8_t random[32];
	struct sl_service_conf conf = {
		.dp = d->dp,
		.clock = &d->clock,
		.config = d->config,
		.store = d->store,
		.streams = d->streams,
		.sessions = &d->sessions,
		.key = &d->key,
		.wireguard_key = wireguard_is_served(d->config) ? &d->wireguard_key : NULL,
		.nb_lanes = d->config->tunnel.nb_lanes,
		.name_key = &d->name_key,
	};

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return -EIO;
	sl_name_key_init(&d->name_key, random);
	d->service = sl_service_create(&conf);
	sl_wipe(&d->key, sizeof(d->key));
	sl_wipe(&d->wireguard_key, sizeof(d->wireguard_key));
	// What is on disk has been read; from here on the store has a thread of its own.
	return d->service == NULL ? -ENOMEM : sl_store_start(d->store);
}

static int
first_snapshot(struct daemon *d)
{
	struct sl_config_errors errors = { 0 };

	d->ids = registry_create();
	d->snapshot = d->ids == NULL ? NULL : snapshot_build(d, d->config, 1, &errors);
	sl_config_errors_print(&errors, stderr);
	sl_config_errors_free(&errors);
	if (d->snapshot == NULL) {
		d->config = NULL; // went with the snapshot
		return -EINVAL;
	}
	sl_service_config(
		d->service, d->config, &d->snapshot->dp, d->snapshot->peers, d->snapshot->nb_peers
	);
	(void)!sl_dp_swap_snapshot(d->dp, &d->snapshot->dp);
	return 0;
}

static int
start_threads(struct daemon *d)
{
	int ret = sl_dp_start(d->dp);

	if (ret == 0 && d->streams != NULL)
		ret = sl_streams_start(d->streams);
	d->session_wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (ret != 0 || d->session_wake < 0)
		return -EIO;
	ret = pthread_create(&d->session_thread, NULL, session_thread_main, d);
	d->has_session_thread = ret == 0;
	if (ret == 0)
		pthread_setname_np(d->session_thread, "sl-session");
	return -ret;
}

static int
hold_to_system_calls(const struct sl_config *config)
{
	struct sl_seccomp_conf conf = { 0 };
	const char *why = "";
	int ret;

	if (!config->system.seccomp) {
		sl_log(SL_LOG_WARNING, "seccomp-off", "system calls are not limited");
		return 0;
	}
	for (unsigned i = 0; i < config->nb_ports; i++)
		if (strncmp(config->ports[i].device, "net_af_xdp", 10) == 0)
			conf.has_bpf = true;
	ret = sl_seccomp_install(&conf, &why);
	if (ret != 0)
		sl_log(SL_LOG_ERROR, "seccomp", "%s: %s", strerror(-ret), why);
	return ret;
}

int
daemon_start(struct daemon *d)
{
	int ret = daemon_load(d);

	if (ret == 0)
		ret = await_ports(d);
	if (ret == 0) {
		streams_open(d);
		ret = start_eal(d);
	}
	if (ret == 0)
		ret = create_dp(d);
	if (ret == 0)
		ret = create_tables(d);
	if (ret == 0)
		ret = streams_create(d);
	if (ret == 0)
		ret = drop_privileges(d);
	if (ret == 0)
		ret = sl_log_start(STDERR_FILENO);
	if (ret == 0) {
		warn_of_numa(d);
		ret = open_store(d);
	}
	if (ret == 0)
		ret = create_service(d);
	if (ret == 0)
		ret = first_snapshot(d);
	if (ret == 0)
		ret = start_threads(d);
	if (ret == 0)
		ret = control_open(d);
	if (ret == 0)
		flow_log_apply(d);
	if (ret == 0)
		ret = hold_to_system_calls(d->config); // last: nothing above is limited
	return ret;
}
