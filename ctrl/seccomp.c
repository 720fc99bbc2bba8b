#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sluice/ctrl/seccomp.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef SYS_SECCOMP
#define SYS_SECCOMP 1 // siginfo.si_code; the C library of Debian 12 has no name for it
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41 // names memory; newer C libraries do
#endif

#define ALLOW      SCMP_ACT_ALLOW
#define NAMES(...) ((const char *const[]){ __VA_ARGS__, NULL })

static struct {
	atomic_uint_fast64_t nb;
	atomic_int latest;
} refused;

// ---- The list ----------------------------------------------------------------------------------------

// With any arguments.
static const char *const allowed[] = {
	// Memory: tables grow by DPDK's heap, on huge pages or without.
	"munmap",
	"mremap",
	"madvise",
	"brk",
	"mlock",
	"munlock",
	"msync",
	"memfd_create",
	"mbind",
	"get_mempolicy",
	"set_mempolicy",
	"move_pages",
	"membarrier",
	// Threads and time.
	"futex",
	"futex_waitv",
	"sched_yield",
	"sched_getaffinity",
	"sched_setaffinity",
	"sched_getparam",
	"sched_getscheduler",
	"getcpu",
	"gettid",
	"getpid",
	"getppid",
	"exit",
	"exit_group",
	"set_robust_list",
	"rseq",
	"rt_sigaction",
	"rt_sigprocmask",
	"rt_sigreturn",
	"rt_sigtimedwait",
	"sigaltstack",
	"restart_syscall",
	"nanosleep",
	"clock_nanosleep",
	"clock_gettime",
	"clock_getres",
	"gettimeofday",
	"time",
	"getrusage",
	"getrandom",
	"sysinfo",
	"uname",
	"getuid",
	"geteuid",
	"getgid",
	"getegid",
	"getgroups",
	"getrlimit",
	// Files: state, configuration at a reload, logs, what DPDK reads of /proc and /sys.
	"open",
	"openat",
	"close",
	"read",
	"write",
	"readv",
	"writev",
	"pread64",
	"pwrite64",
	"lseek",
	"fstat",
	"stat",
	"lstat",
	"newfstatat",
	"statx",
	"statfs",
	"fstatfs",
	"access",
	"faccessat",
	"faccessat2",
	"readlink",
	"readlinkat",
	"getcwd",
	"getdents64",
	"mkdir",
	"mkdirat",
	"rmdir",
	"unlink",
	"unlinkat",
	"rename",
	"renameat",
	"renameat2",
	"ftruncate",
	"fallocate",
	"fsync",
	"fdatasync",
	"sync_file_range",
	"flock",
	"fcntl",
	"fchmod",
	"chmod",
	"fchown",
	"utimensat",
	"umask",
	"dup",
	"dup2",
	"dup3",
	"pipe2",
	"ioctl",
	// Sockets: ports, control, metrics, DNS over TCP.
	"bind",
	"connect",
	"listen",
	"accept",
	"accept4",
	"shutdown",
	"sendto",
	"sendmsg",
	"sendmmsg",
	"recvfrom",
	"recvmsg",
	"recvmmsg",
	"setsockopt",
	"getsockopt",
	"getsockname",
	"getpeername",
	"poll",
	"ppoll",
	"select",
	"pselect6",
	"epoll_create",
	"epoll_create1",
	"epoll_ctl",
	"epoll_wait",
	"epoll_pwait",
	"epoll_pwait2",
	"eventfd2",
	"timerfd_create",
	"timerfd_settime",
	"timerfd_gettime",
	"signalfd4",
	"inotify_init1",
	"inotify_add_watch",
	"inotify_rm_watch",
	NULL,
};

// What ends the process: nothing of ours does these, and the tools of an intruder begin with them.
static const char *const fatal[] = {
	"execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev", NULL,
};

static const int families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_XDP };
static const unsigned long prctls[] = {
	PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE, PR_GET_NO_NEW_PRIVS, PR_SET_VMA
};

static int
add_list(scmp_filter_ctx filter, uint32_t action, const char *const *names)
{
	for (; *names != NULL; names++) {
		int number = seccomp_syscall_resolve_name(*names), ret = 0;

		// One that this library does not know cannot be made either.
		if (number != __NR_SCMP_ERROR)
			ret = seccomp_rule_add(filter, action, number, 0);
		if (ret != 0)
			return ret;
	}
	return 0;
}

static int
add_if(scmp_filter_ctx filter, const char *name, struct scmp_arg_cmp cmp)
{
	return seccomp_rule_add_array(filter, ALLOW, seccomp_syscall_resolve_name(name), 1, &cmp);
}

// Memory is writable or executable, never both, and does not become executable later.
static int
add_memory(scmp_filter_ctx filter)
{
	int ret = add_if(filter, "mmap", SCMP_CMP(2, SCMP_CMP_MASKED_EQ, PROT_WRITE, 0));

	if (ret == 0)
		ret = add_if(filter, "mmap", SCMP_CMP(2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (ret == 0)
		ret = add_if(filter, "mprotect", SCMP_CMP(2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	return ret;
}

// Threads but no processes; signals to itself alone. clone3 hides its flags from the filter: the C
// library takes clone where it is not there.
static int
add_threads(scmp_filter_ctx filter)
{
	int ret = add_if(
		filter, "clone", SCMP_CMP(0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD)
	);

	if (ret == 0)
		ret = seccomp_rule_add(
			filter, SCMP_ACT_ERRNO(ENOSYS), seccomp_syscall_resolve_name("clone3"), 0
		);
	if (ret == 0)
		ret = add_if(filter, "tgkill", SCMP_CMP(0, SCMP_CMP_EQ, (scmp_datum_t)getpid()));
	if (ret == 0) // limits are read, not set
		ret = add_if(filter, "prlimit64", SCMP_CMP(2, SCMP_CMP_EQ, 0));
	for (unsigned i = 0; ret == 0 && i < sizeof(prctls) / sizeof(prctls[0]); i++)
		ret = add_if(filter, "prctl", SCMP_CMP(0, SCMP_CMP_EQ, prctls[i]));
	return ret;
}

static int
add_sockets(scmp_filter_ctx filter)
{
	int ret = add_if(filter, "socketpair", SCMP_CMP(0, SCMP_CMP_EQ, AF_UNIX));

	for (unsigned i = 0; ret == 0 && i < sizeof(families) / sizeof(families[0]); i++)
		ret = add_if(filter, "socket", SCMP_CMP(0, SCMP_CMP_EQ, (scmp_datum_t)families[i]));
	return ret;
}

// ---- What is refused ---------------------------------------------------------------------------------

// In the thread that made the call, which has not happened: only counts, and makes it fail.
static void
on_refused(int number, siginfo_t *info, void *context)
{
	ucontext_t *at = context;

	(void)number;
	if (info->si_code != SYS_SECCOMP)
		return;
	atomic_store(&refused.latest, info->si_syscall);
	atomic_fetch_add(&refused.nb, 1);
	at->uc_mcontext.gregs[REG_RAX] = -EPERM;
}

uint64_t
sl_seccomp_nb_refused(char *name, unsigned name_bytes)
{
	uint64_t nb = atomic_load(&refused.nb);
	int latest = atomic_load(&refused.latest);
	char *text = nb == 0 ? NULL : seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, latest);

	snprintf(name, name_bytes, "%s (%d)", text == NULL ? "unknown" : text, latest);
	free(text);
	return nb;
}

// ---- In force ------------------------------------------------------------------------------------------

static int
build(scmp_filter_ctx filter, const struct sl_seccomp_conf *conf)
{
	// All threads; no slower speculation rules, since no foreign code runs here; calls found by
	// a tree, as workers on software ports make many.
	int ret = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);

	if (ret == 0)
		ret = seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
	if (ret == 0)
		ret = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (ret == 0)
		ret = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (ret == 0)
		ret = add_list(filter, ALLOW, allowed);
	if (ret == 0)
		ret = add_list(filter, SCMP_ACT_KILL_PROCESS, fatal);
	if (ret == 0 && conf->has_bpf)
		ret = add_list(filter, ALLOW, NAMES("bpf"));
	if (ret == 0)
		ret = add_memory(filter);
	if (ret == 0)
		ret = add_threads(filter);
	return ret == 0 ? add_sockets(filter) : ret;
}

int
sl_seccomp_install(const struct sl_seccomp_conf *conf, const char **why)
{
	struct sigaction action = { .sa_sigaction = on_refused,
				    .sa_flags = SA_SIGINFO | SA_NODEFER };
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_TRAP);
	int ret = filter == NULL ? -ENOMEM : build(filter, conf);

	if (ret == 0 && sigaction(SIGSYS, &action, NULL) != 0)
		ret = -errno;
	if (ret == 0)
		ret = seccomp_load(filter);
	seccomp_release(filter);
	if (ret != 0)
		*why = "the kernel takes no filter of system calls; boot one with "
		       "CONFIG_SECCOMP_FILTER, or set system.seccomp = false";
	return ret;
}
