// netns: the namespace, made by a child that hands its descriptors over and ends. Nothing holds the namespace but
// these: it goes with the last of them, however the daemon ends, and no name of it is ever seen.
//
// The child enters a network namespace by CAP_SYS_ADMIN or, without, by way of a user namespace of its own, where
// it may do the same. It never comes back, so that the daemon itself gains nothing.
#include "internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEVICE  "dns"
#define BACKLOG 1024
#define NB_FDS  (3u + SL_STREAM_SOCKETS)

// How long anything in there goes on without an answer is bounded: a client's synthetic address may only go to
// another client when no connection of the first can send any more (PEER_REST_NS).
static const struct {
	const char *path;
	const char *value;
} settings[] = {
	{ "ipv4/tcp_synack_retries", "2" },
	{ "ipv4/tcp_orphan_retries", "3" },
	{ "ipv4/tcp_fin_timeout", "10" },
	{ "ipv4/tcp_syn_retries", "3" },
	{ "ipv4/tcp_max_syn_backlog", "1024" },
	{ "ipv4/tcp_syncookies", "1" },
	{ "core/somaxconn", "1024" },
	{ "ipv4/conf/all/accept_redirects", "0" },
	{ "ipv4/ip_forward", "0" },
	{ "ipv6/conf/all/disable_ipv6", "1" },
};

static int
fail(char *why, size_t why_bytes, const char *what)
{
	int error = errno;

	snprintf(why, why_bytes, "%s: %s", what, strerror(error));
	return -error;
}

static void
set(const char *path, const char *value)
{
	char full[128];
	ssize_t rc;
	int fd;

	snprintf(full, sizeof(full), "/proc/sys/net/%s", path);
	fd = open(full, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return; // a kernel without it; all have sane defaults
	rc = write(fd, value, strlen(value));
	(void)rc;
	close(fd);
}

static int
set_device(int fd, struct ifreq *r, unsigned long what)
{
	return ioctl(fd, what, r);
}

// The device, its address, its network of synthetic addresses.
static int
make_device(int *tun)
{
	struct ifreq r = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	struct sockaddr_in *in = (struct sockaddr_in *)(void *)&r.ifr_addr;
	int fd, ret = 0;

	*tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (*tun < 0)
		return -1;
	snprintf(r.ifr_name, sizeof(r.ifr_name), DEVICE);
	if (ioctl(*tun, TUNSETIFF, &r) != 0)
		return -1;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	*in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(STREAM_LOCAL) };
	ret |= set_device(fd, &r, SIOCSIFADDR);
	in->sin_addr.s_addr = htonl(STREAM_MASK);
	ret |= set_device(fd, &r, SIOCSIFNETMASK);
	r.ifr_mtu = STREAM_MTU;
	ret |= set_device(fd, &r, SIOCSIFMTU);
	r.ifr_flags = IFF_UP | IFF_RUNNING;
	ret |= set_device(fd, &r, SIOCSIFFLAGS);
	close(fd);
	return ret;
}

static int
bind_to(int fd, uint16_t port)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(STREAM_LOCAL) };

	return bind(fd, (struct sockaddr *)&in, sizeof(in));
}

static int
tcp_socket(uint16_t port)
{
	static const int one = 1, timeout_ms = STREAM_USER_TIMEOUT_MS;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms)) != 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
	    bind_to(fd, port) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static int
listener(uint16_t port)
{
	static const int bytes = STREAM_SOCKET_BYTES;
	int fd = tcp_socket(port);

	// Buffers are inherited by what is accepted: a client that does not read costs no more.
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)) != 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)) != 0 ||
	    listen(fd, BACKLOG) != 0)
		return -1;
	return fd;
}

static int
furnish(int *fds, char *why, size_t why_bytes)
{
	if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
		return fail(
			why,
			why_bytes,
			"no network namespace can be made; it takes CAP_SYS_ADMIN, or user "
			"namespaces"
		);
	for (unsigned i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		set(settings[i].path, settings[i].value);
	if (make_device(&fds[0]) != 0)
		return fail(why, why_bytes, "no TUN device; it takes /dev/net/tun");
	fds[1] = listener(53);
	fds[2] = listener(853);
	if (fds[1] < 0 || fds[2] < 0)
		return fail(why, why_bytes, "cannot listen in the namespace");
	for (unsigned i = 0; i < SL_STREAM_SOCKETS; i++)
		if ((fds[3 + i] = tcp_socket((uint16_t)(STREAM_PORTS + i))) < 0)
			return fail(why, why_bytes, "no sockets");
	return 0;
}

struct report {
	int error;
	char why[256];
};

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(NB_FDS * sizeof(int))];
};

// In the child: send what there is.
static void
deliver(int to, const struct report *report, const int *fds)
{
	union control control = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)report, .iov_len = sizeof(*report) };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c = &control.align;

	if (report->error == 0) {
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(NB_FDS * sizeof(int));
		memcpy(CMSG_DATA(c), fds, NB_FDS * sizeof(int));
	}
	sendmsg(to, &message, MSG_NOSIGNAL);
}

static void
child(int to)
{
	struct report report = { 0 };
	int fds[NB_FDS];

	report.error = furnish(fds, report.why, sizeof(report.why));
	deliver(to, &report, fds);
	_exit(0);
}

static int
receive(int from, int *fds, struct report *report)
{
	union control control = { 0 };
	struct iovec iov = { .iov_base = report, .iov_len = sizeof(*report) };
	struct msghdr message = { .msg_iov = &iov,
				  .msg_iovlen = 1,
				  .msg_control = control.bytes,
				  .msg_controllen = sizeof(control.bytes) };

	if (recvmsg(from, &message, MSG_CMSG_CLOEXEC) != sizeof(*report)) {
		snprintf(report->why, sizeof(report->why), "whoever makes the namespace died");
		return -EIO;
	}
	if (report->error != 0)
		return report->error;
	if (control.align.cmsg_len != CMSG_LEN(NB_FDS * sizeof(int)) ||
	    (message.msg_flags & MSG_CTRUNC) != 0) {
		snprintf(
			report->why,
			sizeof(report->why),
			"too few descriptors are allowed; raise LimitNOFILE"
		);
		return -EMFILE;
	}
	memcpy(fds, CMSG_DATA(&control.align), NB_FDS * sizeof(int));
	return 0;
}

int
sl_stream_open(struct sl_stream_fds *out, char *why, size_t why_bytes)
{
	struct report report = { 0 };
	int pair[2], fds[NB_FDS], ret, status;
	pid_t pid;

	out->is_open = false;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return fail(why, why_bytes, "no pair of sockets");
	pid = fork();
	if (pid == 0)
		child(pair[1]);
	close(pair[1]);
	ret = pid < 0 ? fail(report.why, sizeof(report.why), "no process")
		      : receive(pair[0], fds, &report);
	close(pair[0]);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	snprintf(why, why_bytes, "%s", report.why);
	if (ret != 0)
		return ret;
	out->tun = fds[0];
	memcpy(out->listeners, fds + 1, sizeof(out->listeners));
	memcpy(out->sockets, fds + 3, sizeof(out->sockets));
	out->is_open = true;
	return 0;
}

void
sl_stream_close(struct sl_stream_fds *fds)
{
	if (!fds->is_open)
		return;
	close(fds->tun);
	for (unsigned i = 0; i < 2; i++)
		close(fds->listeners[i]);
	for (unsigned i = 0; i < SL_STREAM_SOCKETS; i++)
		close(fds->sockets[i]);
	fds->is_open = false;
}
