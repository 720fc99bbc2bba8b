// eal: starts DPDK for the process.
#include <rte_eal.h>
#include <rte_errno.h>

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <sluice/dp/dp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_ARGS       64
#define NUMA_NODES_MAX 64

struct args {
	char text[MAX_ARGS][80];
	char *argv[MAX_ARGS];
	int argc;
};

static void
add(struct args *a, const char *option)
{
	if (a->argc == MAX_ARGS - 1)
		return;
	snprintf(a->text[a->argc], sizeof(a->text[0]), "%s", option);
	a->argv[a->argc] = a->text[a->argc];
	a->argc++;
}

static unsigned
free_pages_of(const char *dir_name)
{
	char path[300];
	unsigned nb = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/%s/free_hugepages", dir_name);
	f = fopen(path, "re");
	if (f == NULL)
		return 0;
	if (fscanf(f, "%u", &nb) != 1)
		nb = 0;
	fclose(f);
	return nb;
}

// Memory in free huge pages of all sizes.
static uint64_t
free_huge_mb(void)
{
	DIR *dir = opendir("/sys/kernel/mm/hugepages");
	uint64_t kb = 0;
	struct dirent *e;

	if (dir == NULL)
		return 0;
	while ((e = readdir(dir)) != NULL) {
		unsigned page_kb;

		if (sscanf(e->d_name, "hugepages-%ukB", &page_kb) == 1)
			kb += (uint64_t)page_kb * free_pages_of(e->d_name);
	}
	closedir(dir);
	return kb / 1024;
}

// Whether huge pages are to be used.
static bool
add_memory(struct args *a, const struct sl_eal_conf *conf)
{
	uint64_t huge_mb = free_huge_mb();
	bool is_huge = huge_mb >= conf->memory_mb && !conf->is_ordinary_memory;
	char mb[16];

	if (is_huge) {
		add(a, "--in-memory");
	} else {
		fprintf(stderr,
			"sluice: %u MB of huge pages wanted, %llu free: using ordinary memory\n",
			conf->memory_mb,
			(unsigned long long)huge_mb);
		add(a, "--no-huge");
		add(a, "--no-shconf");
	}
	snprintf(mb, sizeof(mb), "%u", conf->memory_mb);
	add(a, "-m");
	add(a, mb);
	return is_huge;
}

int
sl_numa_of_core(unsigned core)
{
	char path[80];

	for (int node = 0; node < NUMA_NODES_MAX; node++) {
		snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%u/node%d", core, node);
		if (access(path, F_OK) == 0)
			return node;
	}
	return -1;
}

// DPDK takes memory from the NUMA node of its main core.
static void
add_main_core(struct args *a, const cpu_set_t *allowed, unsigned wanted)
{
	char core[16];
	unsigned c = 0;

	while (c < CPU_SETSIZE - 1u && !CPU_ISSET(c, allowed))
		c++;
	if (wanted < CPU_SETSIZE && CPU_ISSET(wanted, allowed))
		c = wanted;
	snprintf(core, sizeof(core), "%u", c);
	add(a, "-l");
	add(a, core);
}

// What rte_eal_init's failure means. Its own EAGAIN is not ours: it would fail again.
static int
failure(int why, bool is_huge)
{
	if (is_huge && why == ENOMEM)
		return -EAGAIN;
	if (access("/sys/module", F_OK) != 0)
		fputs("sluice: DPDK looks for VFIO in /sys/module, which this container has not: "
		      "show it (systemd-nspawn --bind-ro=/sys/module)\n",
		      stderr);
	return why == EAGAIN || why == 0 ? -EIO : -why;
}

int
sl_eal_start(const struct sl_eal_conf *conf)
{
	static struct args a;
	char prefix[64];
	cpu_set_t allowed;
	bool is_huge;
	int rc;

	CPU_ZERO(&allowed);
	if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
		return -errno;
	a.argc = 0;
	add(&a, "sluice");
	add_main_core(&a, &allowed, conf->core);
	is_huge = add_memory(&a, conf);
	snprintf(prefix, sizeof(prefix), "--file-prefix=%s", conf->name);
	add(&a, prefix);
	add(&a, "--log-level=warning");
	if (conf->nb_pci == 0)
		add(&a, "--no-pci");
	for (unsigned i = 0; i < conf->nb_pci; i++) {
		add(&a, "-a");
		add(&a, conf->pci[i]);
	}
	rc = rte_eal_init(a.argc, a.argv);
	// DPDK pins the thread that starts it; only workers are to be pinned.
	sched_setaffinity(0, sizeof(allowed), &allowed);
	return rc < 0 ? failure(rte_errno, is_huge) : 0;
}

void
sl_eal_stop(void)
{
	rte_eal_cleanup();
}
