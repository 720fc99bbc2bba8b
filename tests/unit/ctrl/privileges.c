#include "sl_test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sluice/ctrl/notify.h>
#include <sluice/ctrl/privileges.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

// Run `body` in a child, since what it does cannot be undone; its exit code.
static int
in_child(int (*body)(void))
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0)
		_exit(body());
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void *
stay(void *arg)
{
	(void)arg;
	pause();
	return NULL;
}

static int
drop_all(void)
{
	uint32_t keep = SL_PRIVILEGE_NET_RAW;
	const char *why = "";
	pthread_t thread;

	if (sl_privileges_harden() != 0)
		return 1;
	if (sl_privileges_check(keep, &why) == 0)
		return 2; // still root: the check must say so
	// A thread made before, as the data plane's are.
	if (pthread_create(&thread, NULL, stay, NULL) != 0)
		return 3;
	if (sl_privileges_drop("nobody", keep, &why) != 0)
		return 4;
	if (sl_privileges_check(keep, &why) != 0)
		return 5;
	if (sl_privileges_check(0, &why) == 0)
		return 6; // the one that was kept is seen
	if (geteuid() == 0 || setuid(0) == 0)
		return 7;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 8;
	if (prctl(PR_CAPBSET_READ, 0, 0, 0, 0) != 0)
		return 11;
	// What was kept works in this thread.
	if (socket(AF_INET, SOCK_RAW, 1) < 0)
		return 9;
	if (open("/proc/self/fd", O_RDONLY | O_DIRECTORY) < 0)
		return 10;
	return 0;
}

static int
drop_to_nobody_there(void)
{
	const char *why = "";

	if (sl_privileges_drop("lease-no-such-user", 0, &why) != -ENOENT)
		return 1;
	if (strstr(why, "useradd") == NULL)
		return 2;
	if (sl_privileges_drop("root", 0, &why) != -ENOENT)
		return 3;
	return geteuid() == 0 ? 0 : 4;
}

static void
test_drop(void)
{
	if (geteuid() != 0) {
		sl_test_note("not root: nothing to drop");
		return;
	}
	CU_ASSERT_EQUAL(in_child(drop_all), 0);
	CU_ASSERT_EQUAL(in_child(drop_to_nobody_there), 0);
}

static void
test_notify(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	char text[100] = "";
	ssize_t n;

	unsetenv("NOTIFY_SOCKET");
	CU_ASSERT_EQUAL(sl_notify("READY=1"), 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "/tmp/lease-notify-%d", getpid());
	setenv("NOTIFY_SOCKET", addr.sun_path, 1);
	CU_ASSERT_EQUAL(sl_notify("READY=1"), -ENOENT);
	CU_ASSERT_EQUAL(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	CU_ASSERT_EQUAL(sl_notify("READY=1\nSTATUS=serving"), 1);
	n = recv(fd, text, sizeof(text) - 1, 0);
	text[n < 0 ? 0 : n] = '\0';
	CU_ASSERT_STRING_EQUAL(text, "READY=1\nSTATUS=serving");
	CU_ASSERT_EQUAL(sl_notify_status("waiting for %s\nREADY=1", "a session"), 1);
	n = recv(fd, text, sizeof(text) - 1, 0);
	text[n < 0 ? 0 : n] = '\0';
	CU_ASSERT_STRING_EQUAL(text, "STATUS=waiting for a session READY=1");
	unlink(addr.sun_path);
	setenv("NOTIFY_SOCKET", "relative", 1);
	CU_ASSERT_EQUAL(sl_notify("READY=1"), -EINVAL);
	unsetenv("NOTIFY_SOCKET");
	close(fd);
}

static const struct sl_test_case cases[] = {
	{ "E4: after start no thread is root or holds more than what is kept; no core dumps",
	  test_drop },
	{ "notify: one datagram to the service manager, if there is one", test_notify },
};

SL_TEST_MAIN(cases)
