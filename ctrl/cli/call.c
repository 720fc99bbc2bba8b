#include "cli.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_MAX_BYTES (64u << 20)

static int
connect_to(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -errno;
}

static void
say_unreachable(const char *path, int error)
{
	const char *remedy;

	if (error == EACCES || error == EPERM)
		remedy = "run it as root or as a member of the group sluice";
	else if (error == ENOENT || error == ECONNREFUSED)
		remedy = "start the daemon: systemctl start sluice, or sluice -c FILE. If it runs "
			 "with another socket, name it with --socket or SLUICE_SOCKET";
	else
		remedy = "see what the daemon logs: journalctl -u sluice";
	fprintf(stderr,
		"sluicectl: no daemon answers at %s: %s\n  %s\n",
		path,
		strerror(error),
		remedy);
}

static char *
request_line(int nb_words, char *const *words)
{
	json_t *args = json_array(), *request;
	char *line, *with_end = NULL;

	for (int i = 1; i < nb_words; i++)
		json_array_append_new(args, json_string(words[i]));
	request = json_pack("{s:s, s:o}", "cmd", words[0], "args", args);
	line = json_dumps(request, JSON_COMPACT);
	json_decref(request);
	if (line != NULL && asprintf(&with_end, "%s\n", line) < 0)
		with_end = NULL;
	free(line);
	return with_end;
}

static int
send_all(int fd, const char *line)
{
	size_t len = strlen(line);

	while (len > 0) {
		ssize_t n = send(fd, line, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		// A daemon that refuses says so before it closes: read that.
		if (n < 0)
			return errno == EPIPE ? 0 : -errno;
		line += n;
		len -= (size_t)n;
	}
	return 0;
}

// Milliseconds left of `timeout_s` since `start`; -1 when there is no limit.
static int
left_ms(const struct timespec *start, unsigned timeout_s)
{
	struct timespec now;
	long left;

	if (timeout_s == 0)
		return -1;
	clock_gettime(CLOCK_MONOTONIC, &now);
	left = (long)timeout_s * 1000 - (now.tv_sec - start->tv_sec) * 1000 -
		(now.tv_nsec - start->tv_nsec) / 1000000;
	return left < 0 ? 0 : (int)left;
}

// Read one line. 0 and the text (to be freed), or -errno.
static int
read_line(int fd, unsigned timeout_s, char **text, size_t *len)
{
	size_t room = 0;
	struct timespec start;
	char *grown;

	*text = NULL;
	*len = 0;
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (;;) {
		struct pollfd pfd = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (room - *len < 4096) {
			room = room == 0 ? 65536 : room * 2;
			grown = room > ANSWER_MAX_BYTES ? NULL : realloc(*text, room);
			if (grown == NULL)
				return -ENOMEM;
			*text = grown;
		}
		if (poll(&pfd, 1, left_ms(&start, timeout_s)) == 0)
			return -ETIMEDOUT;
		n = read(fd, *text + *len, room - *len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0 ? -ECONNRESET : -errno;
		*len += (size_t)n;
		if ((*text)[*len - 1] == '\n')
			return 0;
	}
}

// Take the answer apart.
static int
judge(json_t *answer, enum cli_voice voice, json_t **result)
{
	const char *error = json_string_value(json_object_get(answer, "error"));
	const char *remedy = json_string_value(json_object_get(answer, "remedy"));

	if (json_is_true(json_object_get(answer, "ok"))) {
		*result = json_incref(json_object_get(answer, "result"));
		return CLI_OK;
	}
	if (voice == CLI_QUIET)
		return CLI_REFUSED;
	fputs("sluicectl: ", stderr);
	cli_put_lines(stderr, error == NULL ? "the answer makes no sense" : error);
	if (remedy != NULL) {
		fputs("  ", stderr);
		cli_put_lines(stderr, remedy);
	}
	return CLI_REFUSED;
}

int
cli_call(
	const struct cli *cli,
	int nb_words,
	char *const *words,
	unsigned timeout_s,
	enum cli_voice voice,
	json_t **result
)
{
	char *line = request_line(nb_words, words), *text = NULL;
	json_t *answer;
	size_t len;
	int fd, rc;

	*result = NULL;
	if (line == NULL) {
		fputs("sluicectl: the arguments must be UTF-8 text\n", stderr);
		return CLI_USAGE;
	}
	fd = connect_to(cli->socket);
	rc = fd < 0 ? fd : send_all(fd, line);
	if (rc == 0)
		rc = read_line(fd, timeout_s, &text, &len);
	if (fd >= 0)
		close(fd);
	free(line);
	if (rc != 0) {
		if (voice == CLI_LOUD)
			say_unreachable(cli->socket, -rc);
		free(text);
		return CLI_UNREACHABLE;
	}
	answer = json_loadb(text, len, 0, NULL);
	free(text);
	rc = judge(answer, voice, result);
	json_decref(answer);
	return rc;
}
