#include <errno.h>
#include <sluice/ctrl/notify.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int
sl_notify(const char *state)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const char *path = getenv("NOTIFY_SOCKET");
	size_t len;
	ssize_t sent;
	int fd;

	if (path == NULL || *path == '\0')
		return 0;
	len = strlen(path);
	if ((*path != '/' && *path != '@') || len >= sizeof(to.sun_path))
		return -EINVAL;
	memcpy(to.sun_path, path, len);
	if (*path == '@')
		to.sun_path[0] = '\0'; // the abstract namespace
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	sent = sendto(
		fd,
		state,
		strlen(state),
		MSG_NOSIGNAL,
		(struct sockaddr *)&to,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)
	);
	len = sent < 0 ? (size_t)errno : 0;
	close(fd);
	return len != 0 ? -(int)len : 1;
}

int
sl_notify_status(const char *fmt, ...)
{
	char state[512] = "STATUS=";
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(state + 7, sizeof(state) - 7, fmt, ap);
	va_end(ap);
	for (char *c = state; *c != '\0'; c++)
		if (*c == '\n')
			*c = ' ';
	return sl_notify(state);
}
