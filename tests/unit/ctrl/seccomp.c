#include "sl_test.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sluice/ctrl/privileges.h>
#include <sluice/ctrl/seccomp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// What `body` came to in a child under the filter: its exit code, or 1000 and the signal.
static int
under_filter(int (*body)(void))
{
	static const struct sl_seccomp_conf conf;
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		const char *why = "";

		if (sl_privileges_harden() != 0 || sl_seccomp_install(&conf, &why) != 0)
			_exit(255);
		_exit(body());
	}
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int
refused_calls(void)
{
	struct rlimit none = { 0 };
	char name[64];

	// Each with what it would be good for to whoever has taken over a thread.
	if (syscall(SYS_unshare, 0) != -1 || errno != EPERM)
		return 1;
	if (syscall(SYS_setuid, 0) != -1 || errno != EPERM)
		return 2;
	if (socket(AF_ALG, SOCK_SEQPACKET, 0) != -1 || errno != EPERM)
		return 3;
	if (syscall(SYS_bpf, 0, NULL, 0) != -1 || errno != EPERM)
		return 4;
	if (syscall(SYS_kill, getppid(), 0) != -1 || errno != EPERM)
		return 5;
	if (syscall(SYS_tgkill, getppid(), getppid(), 0) != -1 || errno != EPERM)
		return 6;
	if (syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) != -1 || errno != EPERM)
		return 7;
	if (syscall(SYS_fork) != -1 || errno != EPERM)
		return 8;
	if (setrlimit(RLIMIT_CORE, &none) != -1 || errno != EPERM)
		return 9;
	if (syscall(SYS_io_uring_setup, 1, NULL) != -1 || errno != EPERM)
		return 10;
	if (sl_seccomp_nb_refused(name, sizeof(name)) != 10)
		return 11;
	return strcmp(name, "io_uring_setup (425)") == 0 ? 0 : 12;
}

static int
executable_memory(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return 1;
	if (mprotect(page, 4096, PROT_READ | PROT_EXEC) != -1 || errno != EPERM)
		return 2;
	page = mmap(
		NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0
	);
	return page == MAP_FAILED && errno == EPERM ? 0 : 3;
}

static int
execute(void)
{
	execl("/bin/true", "true", NULL);
	return 1;
}

static int
trace(void)
{
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	return 1;
}

static void *
count_in_thread(void *arg)
{
	// A thread made later is held to the list, too.
	*(int *)arg = syscall(SYS_unshare, 0) == -1 && errno == EPERM;
	return NULL;
}

static int
allowed_calls(void)
{
	pthread_t thread;
	int is_refused = 0, fds[2];

	if (pthread_create(&thread, NULL, count_in_thread, &is_refused) != 0)
		return 1;
	if (pthread_join(thread, NULL) != 0 || !is_refused)
		return 2;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0 || write(fds[0], "x", 1) != 1)
		return 3;
	return socket(AF_INET, SOCK_STREAM, 0) < 0 ? 4 : 0;
}

static atomic_bool go;

static void *
wait_and_try(void *arg)
{
	while (!atomic_load(&go))
		usleep(1000);
	return count_in_thread(arg);
}

// The filter reaches a thread that was there before it.
static void
test_older_thread(void)
{
	static const struct sl_seccomp_conf conf;
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		const char *why = "";
		int is_refused = 0;
		pthread_t thread;

		if (sl_privileges_harden() != 0 ||
		    pthread_create(&thread, NULL, wait_and_try, &is_refused) != 0 ||
		    sl_seccomp_install(&conf, &why) != 0)
			_exit(1);
		atomic_store(&go, true);
		pthread_join(thread, NULL);
		_exit(is_refused ? 0 : 2);
	}
	waitpid(pid, &status, 0);
	CU_ASSERT_EQUAL(status, 0);
}

static void
test_refused(void)
{
	CU_ASSERT_EQUAL(under_filter(refused_calls), 0);
	CU_ASSERT_EQUAL(under_filter(executable_memory), 0);
}

static void
test_fatal(void)
{
	CU_ASSERT_EQUAL(under_filter(execute), 1000 + SIGSYS);
	CU_ASSERT_EQUAL(under_filter(trace), 1000 + SIGSYS);
}

static void
test_allowed(void)
{
	CU_ASSERT_EQUAL(under_filter(allowed_calls), 0);
}

static const struct sl_test_case cases[] = {
	{ "E4: calls that a daemon does not make fail with EPERM and are counted by name",
	  test_refused },
	{ "E4: running a program or tracing one ends the process", test_fatal },
	{ "seccomp: threads, sockets and files work as before, and later threads are held to it",
	  test_allowed },
	{ "seccomp: threads that were there before are held to it", test_older_thread },
};

SL_TEST_MAIN(cases)
