// The control socket: any octets from a client, in two pieces.
#include "fuzz.h"

#include <api/internal.h>
#include <sluice/ctrl/log.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void
echo(void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words)
{
	(void)arg;
	sl_api_reply(
		request,
		json_pack("{s:i, s:s?}", "n", nb_words, "w", nb_words == 0 ? NULL : words[0])
	);
}

static void
send_piece(struct sl_api *api, int fd, const uint8_t *data, size_t size)
{
	char sink[4096];

	if (size != 0)
		(void)!send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	for (int i = 0; i < 4; i++) {
		sl_api_process(api);
		(void)!recv(fd, sink, sizeof(sink), MSG_DONTWAIT);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sl_api *api;
	int fds[2];

	sl_log_set_level(SL_LOG_ERROR);
	if (sl_api_new(&api) != 0)
		return 0;
	if (sl_api_register(api, "show drops", "", "", echo, NULL) != 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) != 0)
		abort();
	if (sl_api_adopt(api, fds[0]) != 0)
		abort();
	send_piece(api, fds[1], data, size / 2);
	send_piece(api, fds[1], data + size / 2, size - size / 2);
	close(fds[1]);
	sl_api_process(api);
	sl_api_close(api);
	return 0;
}
