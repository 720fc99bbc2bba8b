#include "internal.h"

#include <errno.h>
#include <sluice/ctrl/clock.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINES_PER_RUN 4u // then others have their turn

void
sl_api_connection_close(struct sl_api_connection *connection)
{
	struct sl_api *api = connection->api;

	if (connection->request != NULL)
		connection->request->connection = NULL;
	for (unsigned i = 0; i < SL_API_CLIENTS_MAX; i++)
		if (api->connections[i] == connection)
			api->connections[i] = NULL;
	close(connection->fd);
	free(connection->out);
	free(connection);
}

static bool
has_line(const struct sl_api_connection *connection)
{
	return memchr(connection->in, '\n', connection->in_len) != NULL;
}

// Watch for what can be done next, and only for that: a client is not read while it is owed an
// answer, so what it sends waits in its own socket.
static void
watch(struct sl_api_connection *connection)
{
	struct epoll_event event = { .data.ptr = connection };

	if (connection->out != NULL)
		event.events = EPOLLOUT;
	else if (connection->request != NULL)
		event.events = 0; // EPOLLHUP and EPOLLERR come all the same
	else if (has_line(connection))
		event.events = EPOLLOUT; // at once: there is work in our buffer
	else
		event.events = EPOLLIN;
	if (event.events == connection->events)
		return;
	connection->events = event.events;
	epoll_ctl(connection->api->epoll_fd, EPOLL_CTL_MOD, connection->fd, &event);
}

// False when the client is gone.
static bool
flush(struct sl_api_connection *connection)
{
	while (connection->out != NULL) {
		ssize_t n = send(
			connection->fd,
			connection->out + connection->out_done,
			connection->out_len - connection->out_done,
			MSG_DONTWAIT | MSG_NOSIGNAL
		);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		connection->moved_ns = sl_clock_now_ns();
		connection->out_done += (size_t)n;
		if (connection->out_done == connection->out_len) {
			free(connection->out);
			connection->out = NULL;
		}
	}
	return true;
}

void
sl_api_connection_send(struct sl_api_connection *connection, char *line, size_t len)
{
	connection->out = line;
	connection->out_len = len;
	connection->out_done = 0;
	connection->request = NULL;
	// A client that is gone is seen by the next event.
	(void)flush(connection);
	watch(connection);
}

// False when the client is gone.
static bool
fill(struct sl_api_connection *connection)
{
	ssize_t n = recv(
		connection->fd,
		connection->in + connection->in_len,
		sizeof(connection->in) - connection->in_len,
		MSG_DONTWAIT
	);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		connection->ended = true;
	connection->in_len += (size_t)n;
	connection->moved_ns = sl_clock_now_ns();
	return true;
}

static void
refuse_long(struct sl_api_connection *connection)
{
	static const char text[] = "{\"ok\":false,\"error\":\"the request is too long\"}\n";
	char *line = strdup(text);

	connection->closing = true;
	connection->in_len = 0;
	if (line != NULL)
		sl_api_connection_send(connection, line, sizeof(text) - 1);
}

// Carry out the lines that are there, one after the other.
static void
run_lines(struct sl_api_connection *connection)
{
	for (unsigned i = 0; i < LINES_PER_RUN; i++) {
		char *end = memchr(connection->in, '\n', connection->in_len);
		size_t len;

		if (connection->request != NULL || connection->out != NULL || end == NULL)
			break;
		len = (size_t)(end - connection->in);
		sl_api_dispatch(connection, connection->in, len);
		connection->in_len -= len + 1;
		memmove(connection->in, end + 1, connection->in_len);
	}
	if (connection->in_len == sizeof(connection->in) && !has_line(connection))
		refuse_long(connection);
}

void
sl_api_connection_run(struct sl_api_connection *connection, uint32_t events)
{
	bool idle;

	if ((events & (EPOLLERR | EPOLLHUP)) != 0 && (events & EPOLLIN) == 0)
		goto close;
	if (!flush(connection))
		goto close;
	if ((events & EPOLLIN) != 0 && connection->out == NULL && connection->request == NULL &&
	    connection->in_len < sizeof(connection->in) && !fill(connection))
		goto close;
	if (!connection->closing)
		run_lines(connection);
	idle = connection->out == NULL && connection->request == NULL;
	if (idle && (connection->closing || (connection->ended && !has_line(connection))))
		goto close;
	watch(connection);
	return;
close:
	sl_api_connection_close(connection);
}
