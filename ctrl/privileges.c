#include <cap-ng.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sluice/ctrl/privileges.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static const struct {
	uint32_t bit;
	unsigned capability;
} table[] = {
	{ SL_PRIVILEGE_NET_ADMIN, CAP_NET_ADMIN },
	{ SL_PRIVILEGE_NET_RAW, CAP_NET_RAW },
	{ SL_PRIVILEGE_IPC_LOCK, CAP_IPC_LOCK },
	{ SL_PRIVILEGE_SYS_RAWIO, CAP_SYS_RAWIO },
};

static int
no_core_dumps(void)
{
	struct rlimit none = { 0, 0 };

	if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return -errno;
	return 0;
}

int
sl_privileges_harden(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return -errno;
	return no_core_dumps();
}

static uint64_t
mask_of(uint32_t keep)
{
	uint64_t mask = 0;

	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (keep & table[i].bit)
			mask |= 1ull << table[i].capability;
	return mask;
}

int
sl_privileges_drop(const char *user, uint32_t keep, const char **why)
{
	const struct passwd *pw;

	if (geteuid() != 0)
		return 0;
	errno = 0;
	pw = getpwnam(user);
	if (pw == NULL || pw->pw_uid == 0) {
		*why = pw == NULL
			? "the user to run as does not exist; create it with systemd-sysusers or "
			  "useradd --system"
			: "the user to run as is root; name another in system.user";
		return -ENOENT;
	}
	capng_clear(CAPNG_SELECT_BOTH);
	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (keep & table[i].bit)
			capng_update(
				CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, table[i].capability
			);
	if (capng_change_id(
		    (int)pw->pw_uid, (int)pw->pw_gid, CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING
	    ) != 0) {
		*why = "the user, groups or capabilities could not be changed; start as root or by "
		       "the service manager";
		return -EPERM;
	}
	// The kernel made the process dumpable again, or not, with the change of user.
	return no_core_dumps();
}

// The number behind `field` in a status file of /proc, read in `base`; false when it is not there.
static bool
status_field(const char *status, const char *field, int base, uint64_t *value)
{
	const char *at = strstr(status, field);

	if (at == NULL)
		return false;
	*value = strtoull(at + strlen(field), NULL, base);
	return true;
}

static const char *
check_thread(const char *tid, uint64_t mask)
{
	char path[300], status[4096];
	uint64_t uid, effective, permitted;
	size_t len;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%s/status", tid);
	f = fopen(path, "re");
	if (f == NULL)
		return errno == ENOENT ? NULL : "the state of a thread cannot be read";
	len = fread(status, 1, sizeof(status) - 1, f);
	fclose(f);
	status[len] = '\0';
	if (len == 0)
		return NULL; // it has just ended
	if (!status_field(status, "\nUid:", 10, &uid) ||
	    !status_field(status, "\nCapEff:", 16, &effective) ||
	    !status_field(status, "\nCapPrm:", 16, &permitted))
		return "the state of a thread cannot be understood";
	if (uid == 0)
		return "a thread still runs as root";
	if (((effective | permitted) & ~mask) != 0)
		return "a thread still holds a capability that was to be dropped";
	return NULL;
}

int
sl_privileges_check(uint32_t keep, const char **why)
{
	DIR *tasks = opendir("/proc/self/task");
	const struct dirent *entry;
	struct rlimit core;
	const char *fault = NULL;

	if (tasks == NULL) {
		*why = "the list of threads cannot be read";
		return -EPERM;
	}
	while (fault == NULL && (entry = readdir(tasks)) != NULL)
		if (entry->d_name[0] != '.')
			fault = check_thread(entry->d_name, mask_of(keep));
	closedir(tasks);
	if (fault == NULL &&
	    (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0 || getrlimit(RLIMIT_CORE, &core) != 0 ||
	     core.rlim_cur != 0))
		fault = "a core dump could be written";
	if (fault == NULL)
		return 0;
	*why = fault;
	return -EPERM;
}
