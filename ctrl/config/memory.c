// memory: what the tables of a configuration will take, and whether the machine has it.
#include "field.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <sluice/dp/failures.h>
#include <sluice/dp/flow.h>
#include <sluice/dp/flow_event.h>
#include <sluice/dp/fragments.h>
#include <sluice/dp/index.h>
#include <sluice/dp/meta.h>
#include <sluice/dp/names_cache.h>
#include <sluice/dp/nat.h>
#include <sluice/dp/quota.h>
#include <sluice/dp/retry.h>
#include <sluice/dp/session.h>
#include <sluice/dp/tally.h>
#include <sluice/dp/tickets.h>
#include <sluice/dp/worker.h>
#include <sluice/proto/fragment.h>
#include <sluice/proto/keypair.h>
#include <sluice/proto/limits.h>
#include <sluice/proto/slots.h>
#include <stdlib.h>
#include <string.h>

// The loader's bounds are the data plane's.
static_assert(SL_PORTS_MAX == SL_MAX_PORTS, "ports");
static_assert(SL_QUEUES_MAX == SL_MAX_RXQ, "queues");
static_assert(SL_ROUTES_MAX == SL_MAX_ROUTES, "routes");
static_assert(SL_CORES_MAX == SL_MAX_WORKERS, "workers");
static_assert(SL_WORKER_FLOWS_MAX <= SL_SLOTS_MAX, "flows of a worker");

#define MB (1u << 20)

// A ring of descriptors each way per queue, a cache and a burst in hand per worker, and packets that
// wait for a name or a neighbour.
#define QUEUE_MBUFS  2048u
#define WORKER_MBUFS 2048u
#define HELD_MBUFS   4096u
#define MBUFS_MIN    16384u
// struct rte_mbuf, Sluice's line, head room, and the pool's own header.
#define MBUF_OVERHEAD_BYTES (128u + sizeof(struct sl_meta) + 128u + 64u)
#define MBUF_ROOM_BYTES     2048u
// Name record, hash slots, its list of matches; two-level pages are taken as they come into use.
#define NAME_BYTES     360u
#define ADDRESS_BYTES  4u
#define CLIENT_BYTES   160u
#define RESOURCE_BYTES 512u
// A slot's place in its ring, generation and mark of use.
#define SLOT_BYTES (sizeof(struct sl_slots_rest) + 2u)
#define BASE_BYTES (64u * MB)

static uint32_t
count_mbufs(const struct sl_config *config)
{
	uint32_t nb = HELD_MBUFS + WORKER_MBUFS * config->workers.nb_cores;

	if (config->limits.mbufs != 0)
		return config->limits.mbufs;
	for (unsigned i = 0; i < config->nb_ports; i++) {
		const struct sl_config_port *port = &config->ports[i];

		// A port that shares its device shares its queues.
		if (port->device_idx == i)
			nb += QUEUE_MBUFS *
				(port->nb_queues != 0 ? port->nb_queues : config->workers.nb_cores);
	}
	return nb < MBUFS_MIN ? MBUFS_MIN : nb;
}

static uint64_t
mbuf_bytes(const struct sl_config *config)
{
	uint64_t room = MBUF_ROOM_BYTES;

	for (unsigned i = 0; i < config->nb_ports; i++)
		if (room < config->ports[i].mtu + 64u)
			room = config->ports[i].mtu + 64u;
	return room + MBUF_OVERHEAD_BYTES;
}

// Of one worker.
static uint64_t
fragments_bytes(void)
{
	struct sl_assembly_conf packets = SL_FRAGMENTS_CONF, records = SL_RECORDS_CONF;

	return sl_assembly_bytes(&packets) + sl_reass_bytes(&records) +
		SL_LARGE_MBUFS * SL_LARGE_MBUF_BYTES;
}

// One session: its entry, and as many keypairs as an index can lead to.
static uint64_t
session_bytes(const struct sl_config *config)
{
	return sizeof(struct sl_session) +
		SL_INDEX_WAYS *
		(sizeof(struct sl_keypair *) +
		 sl_keypair_bytes(SL_CIPHER_AES256_GCM, config->tunnel.nb_lanes));
}

// As sl_index_create() reckons.
static uint64_t
index_bytes(uint64_t nb_records)
{
	uint64_t nb = RTE_MAX(nb_records / 6 + 1, 16u);

	return (nb + nb / 64 + 8) * sizeof(struct sl_index_bucket);
}

// As sl_tickets_create() reckons.
static uint64_t
ticket_bytes(const struct sl_config *config, uint64_t nb_records)
{
	if (config->node.role != SL_ROLE_CONNECTOR)
		return SL_TICKETS_HONOURED * sizeof(uint64_t);
	return RTE_MAX(nb_records / 16, 16u) * SL_TICKET_WAYS * sizeof(struct sl_ticket_entry);
}

static uint64_t
names_bytes(const struct sl_config *config)
{
	uint64_t nb_pool = UINT64_C(1) << (32 - config->dns.pool.length);
	uint64_t bytes = 0;

	for (unsigned i = 0; i < config->nb_tenants; i++) {
		uint64_t nb = config->tenants[i].limits.names;

		if (nb == 0 || nb > config->limits.names)
			nb = config->limits.names;
		// Assigned addresses are scattered: each may touch a page of 1024 of its own.
		bytes += nb * NAME_BYTES +
			ADDRESS_BYTES * (nb * 1024 < nb_pool ? nb * 1024 : nb_pool);
	}
	return bytes;
}

// Of one worker, whatever the limits. A connector keeps names, and flows that may go on to a next address.
static uint64_t
worker_bytes(const struct sl_config *config)
{
	uint64_t bytes = sizeof(struct sl_failures);

	if (config->node.role == SL_ROLE_CONNECTOR)
		bytes += sizeof(struct sl_retries) +
			(uint64_t)SL_NAMES_CACHED * sizeof(struct sl_names_entry);
	return bytes;
}

static uint64_t
quota_pages_bytes(uint64_t nb_rows)
{
	uint64_t nb_pages = nb_rows / SL_QUOTA_PAGE_ROWS + 1;

	return nb_pages * SL_QUOTA_PAGE_ROWS * sizeof(struct sl_quota_row);
}

// Of one worker: its rows of what clients and tenants use, events that wait for the flow log, tallies.
static uint64_t
use_bytes(const struct sl_config *config)
{
	uint64_t nb_clients = config->limits
				      .sessions; // WireGuard clients may be added while it runs

	for (unsigned i = 0; i < config->nb_tenants; i++)
		nb_clients += config->tenants[i].nb_clients;
	return sizeof(struct sl_quota) + quota_pages_bytes(nb_clients) +
		quota_pages_bytes(config->nb_tenants) + sizeof(struct sl_flow_events) +
		(uint64_t)SL_FLOW_EVENTS * sizeof(struct sl_flow_event) + sizeof(struct sl_tally);
}

// The NUMA node a core stands on, by /sys; 0 where the kernel tells none.
static unsigned
node_of_core(unsigned core)
{
	char path[96];

	for (unsigned node = 0; node < SL_NUMA_NODES_MAX; node++) {
		DIR *dir;

		(void
		)snprintf(path, sizeof(path), "/sys/devices/system/node/node%u/cpu%u", node, core);
		dir = opendir(path);
		if (dir == NULL)
			continue;
		closedir(dir);
		return node;
	}
	return 0;
}

struct sl_config_memory
sl_config_memory(const struct sl_config *config)
{
	unsigned nb_workers = config->workers.nb_cores;
	uint64_t worker_flows = (config->limits.flows + nb_workers - 1) / nb_workers;
	struct sl_config_memory m = { .nb_mbufs = count_mbufs(config), .base_bytes = BASE_BYTES };

	m.flows_bytes = worker_flows * nb_workers * sizeof(struct sl_flow);
	// A connector finds its flows by the key of the PoP's OPEN as well.
	m.flow_index_bytes = worker_flows * nb_workers * SLOT_BYTES;
	m.flow_index_bytes += nb_workers * index_bytes(worker_flows) *
		(config->node.role == SL_ROLE_CONNECTOR ? 2 : 1);
	// And it keeps as many tuples at rest.
	if (config->node.role == SL_ROLE_CONNECTOR)
		m.flow_index_bytes += nb_workers *
			(index_bytes(worker_flows) + worker_flows * sizeof(struct sl_nat_rest));
	m.flow_index_bytes += nb_workers * ticket_bytes(config, worker_flows);
	m.mbufs_bytes = m.nb_mbufs * mbuf_bytes(config);
	m.fragments_bytes = nb_workers * fragments_bytes();
	m.sessions_bytes = config->limits.sessions * session_bytes(config);
	m.workers_bytes = nb_workers * worker_bytes(config);
	m.dataplane_bytes = m.flows_bytes + m.flow_index_bytes + m.mbufs_bytes + m.fragments_bytes +
		m.sessions_bytes + m.workers_bytes + m.base_bytes;
	for (unsigned i = 0; i < nb_workers; i++)
		m.node_bytes[node_of_core(config->workers.cores[i])] += m.dataplane_bytes /
			nb_workers;
	m.names_bytes = names_bytes(config);
	for (unsigned i = 0; i < config->nb_tenants; i++)
		m.clients_bytes += 2ull *
			(config->tenants[i].nb_clients * CLIENT_BYTES +
			 config->tenants[i].nb_resources * RESOURCE_BYTES);
	m.use_bytes = nb_workers * use_bytes(config);
	m.total_bytes = m.dataplane_bytes + m.names_bytes + m.clients_bytes + m.use_bytes;
	return m;
}

// ---- The machine ------------------------------------------------------------------------------

static uint64_t
meminfo(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	return at == NULL ? 0 : strtoull(at + strlen(key), NULL, 10);
}

static uint64_t
node_free_pages(const char *root, unsigned node, uint64_t page_bytes, bool *exists)
{
	char path[4200];
	char text[32] = "";
	FILE *f;

	(void)snprintf(
		path,
		sizeof(path),
		"%s/sys/devices/system/node/node%u/hugepages/hugepages-%llukB/free_hugepages",
		root,
		node,
		(unsigned long long)page_bytes / 1024
	);
	f = fopen(path, "re");
	*exists = f != NULL;
	if (f == NULL)
		return 0;
	if (fgets(text, sizeof(text), f) == NULL)
		text[0] = '\0';
	fclose(f);
	return strtoull(text, NULL, 10);
}

int
sl_system_memory(const char *root, struct sl_system_memory *has)
{
	char path[4200];
	char text[4096];
	size_t nb;
	FILE *f;

	*has = (struct sl_system_memory){ .nb_nodes = 1 };
	(void)snprintf(path, sizeof(path), "%s/proc/meminfo", root);
	f = fopen(path, "re");
	if (f == NULL)
		return -errno;
	nb = fread(text, 1, sizeof(text) - 1, f);
	text[nb] = '\0';
	fclose(f);
	has->ram_available_bytes = meminfo(text, "MemAvailable:") * 1024;
	has->huge_page_bytes = meminfo(text, "Hugepagesize:") * 1024;
	has->huge_total_bytes = meminfo(text, "HugePages_Total:") * has->huge_page_bytes;
	has->huge_free_bytes = meminfo(text, "HugePages_Free:") * has->huge_page_bytes;
	has->node_huge_free_bytes[0] = has->huge_free_bytes;
	for (unsigned node = 0; node < SL_NUMA_NODES_MAX; node++) {
		bool exists;
		uint64_t pages = node_free_pages(root, node, has->huge_page_bytes, &exists);

		if (!exists)
			continue;
		has->node_huge_free_bytes[node] = pages * has->huge_page_bytes;
		has->nb_nodes = node + 1;
	}
	return 0;
}

static unsigned long long
mb(uint64_t bytes)
{
	return (bytes + MB - 1) / MB;
}

static void
complain_huge(
	const struct sl_config_memory *needs,
	const struct sl_system_memory *has,
	unsigned node,
	struct sl_config_errors *errors
)
{
	uint64_t missing = needs->node_bytes[node] - has->node_huge_free_bytes[node];
	uint64_t nb_pages = (missing + has->huge_page_bytes - 1) / has->huge_page_bytes;
	struct sl_config_where nowhere = { NULL, 0 };
	char path[96];

	(void)snprintf(
		path,
		sizeof(path),
		"/sys/devices/system/node/node%u/hugepages/hugepages-%llukB/nr_hugepages",
		node,
		(unsigned long long)has->huge_page_bytes / 1024
	);
	sl_config_error(
		errors,
		nowhere,
		"NUMA node %u needs %llu MB of huge pages and has %llu MB free|"
		"echo $(($(cat %s) + %llu)) > %s, or lower limits",
		node,
		mb(needs->node_bytes[node]),
		mb(has->node_huge_free_bytes[node]),
		path,
		(unsigned long long)nb_pages,
		path
	);
}

int
sl_config_memory_check(
	const struct sl_config_memory *needs,
	const struct sl_system_memory *has,
	struct sl_config_errors *errors
)
{
	struct sl_config_where nowhere = { NULL, 0 };
	uint64_t heap = needs->total_bytes;
	int rc = 0;

	if (has->huge_total_bytes > 0) {
		heap -= needs->dataplane_bytes;
		for (unsigned node = 0; node < has->nb_nodes; node++)
			if (needs->node_bytes[node] > has->node_huge_free_bytes[node]) {
				complain_huge(needs, has, node, errors);
				rc = -ENOMEM;
			}
	}
	if (heap > has->ram_available_bytes) {
		sl_config_error(
			errors,
			nowhere,
			"%llu MB of memory are needed and %llu MB are available|"
			"lower limits.flows, names, sessions or mbufs, or add memory",
			mb(heap),
			mb(has->ram_available_bytes)
		);
		rc = -ENOMEM;
	}
	return rc;
}

static void
print_row(FILE *to, const char *what, uint64_t bytes)
{
	fprintf(to, "  %-14s %8.1f MB\n", what, (double)bytes / MB);
}

void
sl_config_memory_print(
	const struct sl_config_memory *needs, const struct sl_system_memory *has, FILE *to
)
{
	fprintf(to, "memory needed by the data plane:\n");
	print_row(to, "flows", needs->flows_bytes);
	print_row(to, "flow index", needs->flow_index_bytes);
	print_row(to, "mbufs", needs->mbufs_bytes);
	print_row(to, "fragments", needs->fragments_bytes);
	print_row(to, "sessions", needs->sessions_bytes);
	print_row(to, "workers", needs->workers_bytes);
	print_row(to, "base", needs->base_bytes);
	for (unsigned node = 0; node < SL_NUMA_NODES_MAX; node++)
		if (needs->node_bytes[node] > 0)
			fprintf(to,
				"  = NUMA node %u: %llu MB, huge pages free: %llu MB\n",
				node,
				mb(needs->node_bytes[node]),
				mb(has->node_huge_free_bytes[node]));
	fprintf(to, "memory needed from the heap:\n");
	print_row(to, "names", needs->names_bytes);
	print_row(to, "policy", needs->clients_bytes);
	print_row(to, "use", needs->use_bytes);
	fprintf(to,
		"  = in all %llu MB, available: %llu MB%s\n",
		mb(needs->total_bytes),
		mb(has->ram_available_bytes),
		has->huge_total_bytes == 0 ? " (no huge pages: runs without)" : "");
}
