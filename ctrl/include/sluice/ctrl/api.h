// api: the control socket. A Unix stream socket of mode 0660; one request a line, one answer a line.
//
//   -> {"cmd": "show", "args": ["drops"]}
//   <- {"ok": true, "result": {...}}    or    {"ok": false, "error": "...", "remedy": "..."}
//
// The command and its arguments are words; the longest registered command that they begin with
// is called with the words that follow. Clients are few and bounded, each has one request at a time
// in work, input lines and answers are bounded, and a client that does not read is closed: no
// client can make the caller wait. Everything here belongs to one thread, the control thread.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define SL_API_SOCKET_DEFAULT "/run/sluice/sluice.sock"

#define SL_API_CLIENTS_MAX   32u
#define SL_API_WORDS_MAX     32u
#define SL_API_REQUEST_BYTES 65536u
#define SL_API_ANSWER_BYTES  (16u << 20)
#define SL_API_STALLED_S     30u // a client that neither sends nor takes anything meanwhile

struct sl_api;
struct sl_api_request;

// Carry out a command. `words` are what follows the command's own words, `arg` is what was
// registered. The handler answers by sl_api_reply() or sl_api_fail(), exactly once, now or later;
// until then the request stays valid even if its client goes away. Handlers must not block.
typedef void (*sl_api_handler
)(void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words);

// Listen at `path`. A socket left by a process that died is replaced; one that answers is
// -EADDRINUSE. `group` may be NULL, else the socket is given to that group. Returns 0 or -errno.
[[nodiscard]] int sl_api_open(struct sl_api **api, const char *path, const char *group);

// Close all clients and remove the socket. Requests not answered yet must have been: it aborts
// them, and their handlers must not use them any more.
void sl_api_close(struct sl_api *api);

// Register a command of one or more words separated by single spaces. `usage` shows its arguments
// ("CLIENT [N]"), `help` is one sentence; both must outlive the api. Returns 0, -EEXIST or -ENOMEM.
// "help" is built in and lists them all.
[[nodiscard]] int sl_api_register(
	struct sl_api *api,
	const char *command,
	const char *usage,
	const char *help,
	sl_api_handler handler,
	void *arg
);

// A descriptor that is readable when sl_api_process() has something to do.
int sl_api_fd(const struct sl_api *api);

// Do what can be done without waiting; call when sl_api_fd() is readable and about once a second.
void sl_api_process(struct sl_api *api);

// Answer with `result`, whose reference is taken; NULL means out of memory.
void sl_api_reply(struct sl_api_request *request, json_t *result);

// Answer that it did not work, why (one or more lines), and what to do about it (may be NULL).
void sl_api_fail(struct sl_api_request *request, const char *remedy, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

// Whether the client is gone, so that a long piece of work may end early. Still answer.
bool sl_api_client_gone(const struct sl_api_request *request);

// Who asks: the user id at the other end of the socket.
uint32_t sl_api_client_uid(const struct sl_api_request *request);
