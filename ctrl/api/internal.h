// internal: what the files of the control socket share. See <sluice/ctrl/api.h>.
#pragma once

#include <sluice/ctrl/api.h>
#include <stddef.h>

struct sl_api_command {
	const char *command;
	const char *usage;
	const char *help;
	sl_api_handler handler;
	void *arg;
};

struct sl_api_request {
	struct sl_api *api;
	struct sl_api_connection *connection; // NULL once the client is gone
	uint32_t uid;
	struct sl_api_request *next; // of all not answered yet
};

struct sl_api_connection {
	struct sl_api *api;
	int fd;
	uint32_t uid;
	uint32_t events; // what epoll watches for
	bool ended; // the client sends no more
	bool closing; // close when the answer is out
	uint64_t moved_ns; // last time an octet went either way
	struct sl_api_request *request; // in work; no other line is looked at meanwhile
	size_t in_len;
	char *out; // answer on its way, or NULL
	size_t out_len, out_done;
	char in[SL_API_REQUEST_BYTES];
};

struct sl_api {
	int listen_fd; // -1: none
	int epoll_fd;
	char *path;
	struct sl_api_command *commands;
	unsigned nb_commands;
	struct sl_api_request *requests; // not answered yet
	struct sl_api_connection *connections[SL_API_CLIENTS_MAX];
};

// An api that listens nowhere yet. 0 or -errno.
[[nodiscard]] int sl_api_new(struct sl_api **api);

// Serve the client at the other end of `fd`, which the api then owns; -EUSERS when there are too
// many, and `fd` is closed.
int sl_api_adopt(struct sl_api *api, int fd);

// connection.c: do what can be done for a client; it may be closed and freed afterwards.
void sl_api_connection_run(struct sl_api_connection *connection, uint32_t events);
void sl_api_connection_close(struct sl_api_connection *connection);

// Put an answer on its way; takes `line`, which malloc gave and a newline ends.
void sl_api_connection_send(struct sl_api_connection *connection, char *line, size_t len);

// dispatch.c: carry out the request in one line of `len` octets without its newline.
void sl_api_dispatch(struct sl_api_connection *connection, const char *line, size_t len);
