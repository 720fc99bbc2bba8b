#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sluice/ctrl/clock.h>
#include <sluice/ctrl/json.h>
#include <sluice/ctrl/log.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define EVENTS 16

static void
help(void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words)
{
	static const struct sl_column columns[] = {
		{ "command", SL_ALIGN_LEFT, "" },
		{ "arguments", SL_ALIGN_LEFT, "" },
		{ "what it does", SL_ALIGN_LEFT, "" },
	};
	const struct sl_api *api = arg;
	json_t *table = sl_json_table("commands", columns, 3);

	(void)nb_words, (void)words;
	for (unsigned i = 0; i < api->nb_commands; i++) {
		const struct sl_api_command *c = &api->commands[i];

		sl_json_row(table, "sss", c->command, c->usage, c->help);
	}
	sl_api_reply(request, table);
}

int
sl_api_new(struct sl_api **out)
{
	struct sl_api *api = calloc(1, sizeof(*api));

	*out = NULL;
	if (api == NULL)
		return -ENOMEM;
	api->listen_fd = -1;
	api->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (api->epoll_fd < 0) {
		free(api);
		return -errno;
	}
	if (sl_api_register(api, "help", "", "List the commands.", help, api) != 0) {
		sl_api_close(api);
		return -ENOMEM;
	}
	*out = api;
	return 0;
}

// A socket file that nobody serves is left over from a process that died: away with it.
static int
clear_stale(const struct sockaddr_un *addr)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error = 0;
	struct stat st;

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) != 0)
		error = errno;
	close(fd);
	if (error == ENOENT)
		return 0;
	if (error != ECONNREFUSED || lstat(addr->sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
		return -EADDRINUSE;
	return unlink(addr->sun_path) == 0 ? 0 : -errno;
}

// Rights are set between bind and listen: until then nobody can connect.
static int
set_rights(const char *path, const char *group)
{
	const struct group *gr = group == NULL ? NULL : getgrnam(group);

	if (group != NULL && gr == NULL)
		return -ENOENT;
	if (gr != NULL && chown(path, (uid_t)-1, gr->gr_gid) != 0)
		return -errno;
	return chmod(path, 0660) == 0 ? 0 : -errno;
}

static int
listen_at(struct sl_api *api, const char *path, const char *group)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct epoll_event event = { .events = EPOLLIN };
	int rc;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, path);
	rc = clear_stale(&addr);
	if (rc != 0)
		return rc;
	api->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (api->listen_fd < 0 || bind(api->listen_fd, (struct sockaddr *)&addr, sizeof(addr)) != 0)
		return -errno;
	api->path = strdup(path);
	if (api->path == NULL) {
		unlink(path);
		return -ENOMEM;
	}
	rc = set_rights(path, group);
	if (rc != 0)
		return rc;
	if (listen(api->listen_fd, SL_API_CLIENTS_MAX) != 0 ||
	    epoll_ctl(api->epoll_fd, EPOLL_CTL_ADD, api->listen_fd, &event) != 0)
		return -errno;
	return 0;
}

int
sl_api_open(struct sl_api **out, const char *path, const char *group)
{
	int rc = sl_api_new(out);

	if (rc != 0)
		return rc;
	rc = listen_at(*out, path, group);
	if (rc != 0) {
		sl_api_close(*out);
		*out = NULL;
	}
	return rc;
}

void
sl_api_close(struct sl_api *api)
{
	if (api == NULL)
		return;
	for (unsigned i = 0; i < SL_API_CLIENTS_MAX; i++)
		if (api->connections[i] != NULL)
			sl_api_connection_close(api->connections[i]);
	while (api->requests != NULL) {
		struct sl_api_request *request = api->requests;

		api->requests = request->next;
		free(request);
	}
	if (api->path != NULL)
		unlink(api->path);
	if (api->listen_fd >= 0)
		close(api->listen_fd);
	close(api->epoll_fd);
	free(api->path);
	free(api->commands);
	free(api);
}

int
sl_api_fd(const struct sl_api *api)
{
	return api->epoll_fd;
}

int
sl_api_adopt(struct sl_api *api, int fd)
{
	struct epoll_event event = { .events = EPOLLIN };
	struct sl_api_connection *connection = NULL;
	struct ucred who = { .uid = UINT32_MAX };
	socklen_t len = sizeof(who);
	unsigned i = 0;

	while (i < SL_API_CLIENTS_MAX && api->connections[i] != NULL)
		i++;
	if (i < SL_API_CLIENTS_MAX)
		connection = calloc(1, sizeof(*connection));
	if (connection == NULL) {
		static const char full[] = "{\"ok\":false,\"error\":\"too many clients of the "
					   "control socket\",\"remedy\":\"try again\"}\n";

		(void)!send(fd, full, sizeof(full) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
		close(fd);
		return -EUSERS;
	}
	(void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len);
	connection->api = api;
	connection->fd = fd;
	connection->uid = who.uid;
	connection->events = event.events;
	connection->moved_ns = sl_clock_now_ns();
	event.data.ptr = connection;
	if (epoll_ctl(api->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
		close(fd);
		free(connection);
		return -EUSERS;
	}
	api->connections[i] = connection;
	return 0;
}

static void
accept_clients(struct sl_api *api)
{
	for (unsigned i = 0; i < SL_API_CLIENTS_MAX; i++) {
		int fd = accept4(api->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0)
			return;
		if (sl_api_adopt(api, fd) != 0)
			sl_log(SL_LOG_WARNING,
			       "control-socket-full",
			       "more than %u clients of the control socket at once",
			       SL_API_CLIENTS_MAX);
	}
}

// Who has not moved for long makes room for others, unless we are the ones who owe an answer.
static void
close_stalled(struct sl_api *api)
{
	uint64_t now_ns = sl_clock_now_ns();

	for (unsigned i = 0; i < SL_API_CLIENTS_MAX; i++) {
		struct sl_api_connection *connection = api->connections[i];

		if (connection != NULL && connection->request == NULL &&
		    now_ns - connection->moved_ns > SL_API_STALLED_S * 1000000000ull)
			sl_api_connection_close(connection);
	}
}

void
sl_api_process(struct sl_api *api)
{
	struct epoll_event events[EVENTS];
	int nb = epoll_wait(api->epoll_fd, events, EVENTS, 0);
	bool wanted = false;

	for (int i = 0; i < nb; i++) {
		if (events[i].data.ptr == NULL)
			wanted = true;
		else
			sl_api_connection_run(events[i].data.ptr, events[i].events);
	}
	// After the others: an event of this round never meets a connection of this round.
	close_stalled(api);
	if (wanted)
		accept_clients(api);
}

int
sl_api_register(
	struct sl_api *api,
	const char *command,
	const char *usage,
	const char *help,
	sl_api_handler handler,
	void *arg
)
{
	struct sl_api_command *grown;

	for (unsigned i = 0; i < api->nb_commands; i++)
		if (strcmp(api->commands[i].command, command) == 0)
			return -EEXIST;
	grown = reallocarray(api->commands, api->nb_commands + 1, sizeof(*grown));
	if (grown == NULL)
		return -ENOMEM;
	api->commands = grown;
	grown[api->nb_commands++] = (struct sl_api_command
	){ .command = command, .usage = usage, .help = help, .handler = handler, .arg = arg };
	return 0;
}
