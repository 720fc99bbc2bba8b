#include "sl_test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sluice/ctrl/api.h>
#include <sluice/ctrl/clock.h>
#include <sluice/ctrl/json.h>
#include <sluice/ctrl/log.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static char path[64];
static struct sl_api *api;
static struct sl_api_request *kept;
static char answer[1 << 20];

static void
echo(void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < nb_words; i++)
		json_array_append_new(list, json_string(words[i]));
	sl_api_reply(request, json_pack("{s:s, s:o}", "who", arg, "words", list));
}

static void
keep(void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words)
{
	(void)arg, (void)nb_words, (void)words;
	kept = request;
}

static void
refuse(void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words)
{
	(void)arg, (void)nb_words, (void)words;
	sl_api_fail(request, "do it \"otherwise\"", "it is %s", "wrong");
}

static void
big(void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words)
{
	size_t len = nb_words == 0 ? SL_API_ANSWER_BYTES : (size_t)atol(words[0]);
	char *text = malloc(len + 1);

	(void)arg;
	memset(text, 'x', len);
	text[len] = '\0';
	sl_api_reply(request, json_string(text));
	free(text);
}

static void
begin(void)
{
	static char show[] = "show", drops[] = "show drops";

	snprintf(path, sizeof(path), "/tmp/lease-api-%d.sock", getpid());
	CU_ASSERT_EQUAL_FATAL(sl_api_open(&api, path, NULL), 0);
	CU_ASSERT_EQUAL(sl_api_register(api, "show", "WHAT", "Show.", echo, show), 0);
	CU_ASSERT_EQUAL(sl_api_register(api, "show drops", "", "Show drops.", echo, drops), 0);
	CU_ASSERT_EQUAL(sl_api_register(api, "show", "", "", echo, NULL), -EEXIST);
	CU_ASSERT_EQUAL(sl_api_register(api, "keep", "", "", keep, NULL), 0);
	CU_ASSERT_EQUAL(sl_api_register(api, "refuse", "", "", refuse, NULL), 0);
	CU_ASSERT_EQUAL(sl_api_register(api, "big", "", "", big, NULL), 0);
}

static int
client(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	strcpy(addr.sun_path, path);
	CU_ASSERT_EQUAL(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static void
turn(void)
{
	for (int i = 0; i < 8; i++)
		sl_api_process(api);
}

// Serve and read until a line has come or nothing moves any more; how many octets there are.
static size_t
read_answer(int fd)
{
	size_t len = 0;

	for (int quiet = 0; quiet < 3;) {
		ssize_t n;

		turn();
		n = read(fd, answer + len, sizeof(answer) - 1 - len);
		quiet = n > 0 ? 0 : quiet + 1;
		len += n > 0 ? (size_t)n : 0;
		if (len > 0 && answer[len - 1] == '\n')
			break;
	}
	answer[len] = '\0';
	return len;
}

static void
say(int fd, const char *text)
{
	CU_ASSERT_EQUAL(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void
test_requests(void)
{
	static const struct {
		const char *request;
		const char *answer;
	} rows[] = {
		{ "{\"cmd\":\"show\",\"args\":[\"drops\"]}",
		  "{\"ok\":true,\"result\":{\"who\":\"show drops\",\"words\":[]}}\n" },
		{ "{\"cmd\":\"show\",\"args\":[\"drops\",\"all\"]}",
		  "{\"ok\":true,\"result\":{\"who\":\"show drops\",\"words\":[\"all\"]}}\n" },
		{ "{\"cmd\":\"show\",\"args\":[\"drop\"]}",
		  "{\"ok\":true,\"result\":{\"who\":\"show\",\"words\":[\"drop\"]}}\n" },
		{ "{\"cmd\":\"show\"}",
		  "{\"ok\":true,\"result\":{\"who\":\"show\",\"words\":[]}}\n" },
		{ "{\"cmd\":\"refuse\"}",
		  "{\"ok\":false,\"error\":\"it is wrong\",\"remedy\":\"do it "
		  "\\\"otherwise\\\"\"}\n" },
		{ "{\"cmd\":\"shew\"}",
		  "{\"ok\":false,\"error\":\"there is no command \\\"shew\\\"\",\"remedy\":"
		  "\"\\\"sluicectl help\\\" lists the commands\"}\n" },
		{ "", NULL },
		{ "nonsense", NULL },
		{ "[]", NULL },
		{ "{\"cmd\":7}", NULL },
		{ "{\"cmd\":\"show\",\"args\":\"drops\"}", NULL },
		{ "{\"cmd\":\"show\",\"args\":[1]}", NULL },
		{ "{\"cmd\":\"show\",\"cmd\":\"show\"}", NULL },
		{ "{\"cmd\":\"a\\u0000b\"}", NULL },
		{ "{\"cmd\":\"show\",\"args\":[\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\","
		  "\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\","
		  "\"\",\"\",\"\",\"\",\"\",\"\"]}",
		  NULL },
	};
	int fd;

	begin();
	fd = client();
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		say(fd, rows[i].request);
		say(fd, "\n");
		SL_ASSERT_ROW(read_answer(fd) != 0, rows[i].request);
		if (rows[i].answer != NULL)
			SL_ASSERT_ROW(strcmp(answer, rows[i].answer) == 0, answer);
		else
			SL_ASSERT_ROW(strstr(answer, "this is no request") != NULL, answer);
	}
	close(fd);
	sl_api_close(api);
	CU_ASSERT_EQUAL(access(path, F_OK), -1);
}

static void
test_pieces_and_pipelines(void)
{
	int fd;

	begin();
	fd = client();
	say(fd, "{\"cmd\":\"sh");
	CU_ASSERT_EQUAL(read_answer(fd), 0);
	say(fd, "ow\"}\n{\"cmd\":\"refuse\"}\n{\"cmd\":\"show\",\"args\":[\"x\"]}\n");
	shutdown(fd, SHUT_WR);
	for (int i = 0; i < 50; i++)
		sl_api_process(api);
	read_answer(fd);
	CU_ASSERT_PTR_NOT_NULL(strstr(answer, "\"words\":[]"));
	CU_ASSERT_PTR_NOT_NULL(strstr(answer, "it is wrong"));
	CU_ASSERT_PTR_NOT_NULL(strstr(answer, "\"words\":[\"x\"]"));
	turn();
	CU_ASSERT_EQUAL(read(fd, answer, 1), 0); // closed after the last answer
	close(fd);
	sl_api_close(api);
}

static void
test_later(void)
{
	int fd, other;

	begin();
	fd = client();
	other = client();
	kept = NULL;
	say(fd, "{\"cmd\":\"keep\"}\n{\"cmd\":\"show\"}\n");
	CU_ASSERT_EQUAL(read_answer(fd), 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(kept);
	CU_ASSERT_EQUAL(sl_api_client_uid(kept), getuid());
	say(other, "{\"cmd\":\"show\"}\n"); // is not held up
	CU_ASSERT_NOT_EQUAL(read_answer(other), 0);
	sl_api_reply(kept, json_string("now"));
	CU_ASSERT_NOT_EQUAL(read_answer(fd), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(answer, "\"result\":\"now\""));
	CU_ASSERT_PTR_NOT_NULL(strstr(answer, "\"who\":\"show\""));
	say(fd, "{\"cmd\":\"keep\"}\n");
	turn();
	CU_ASSERT_FALSE(sl_api_client_gone(kept));
	close(fd);
	turn();
	CU_ASSERT_TRUE(sl_api_client_gone(kept));
	sl_api_reply(kept, json_string("too late"));
	close(other);
	sl_api_close(api);
}

static void
test_slow_reader(void)
{
	struct pollfd pfd;
	int fd, other;

	begin();
	sl_clock_freeze(1000000000ull, 1);
	fd = client();
	other = client();
	say(fd, "{\"cmd\":\"big\",\"args\":[\"4000000\"]}\n");
	turn(); // 4 MB do not fit in the socket; nobody waits for this client
	say(other, "{\"cmd\":\"show\"}\n");
	CU_ASSERT_NOT_EQUAL(read_answer(other), 0);
	pfd = (struct pollfd){ .fd = sl_api_fd(api), .events = POLLIN };
	CU_ASSERT_EQUAL(poll(&pfd, 1, 0), 0); // and it makes nobody busy
	sl_clock_advance((SL_API_STALLED_S + 1) * 1000000000ull);
	turn();
	while (read(fd, answer, sizeof(answer)) > 0)
		;
	CU_ASSERT_EQUAL(read(fd, answer, 1), 0);
	sl_clock_thaw();
	close(fd);
	close(other);
	sl_api_close(api);
}

static void
test_bounds(void)
{
	static char line[SL_API_REQUEST_BYTES];
	int fds[SL_API_CLIENTS_MAX + 1];

	begin();
	for (unsigned i = 0; i <= SL_API_CLIENTS_MAX; i++) {
		fds[i] = client();
		turn();
	}
	CU_ASSERT_NOT_EQUAL(read_answer(fds[SL_API_CLIENTS_MAX]), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(answer, "too many clients"));
	close(fds[0]);
	turn();
	fds[0] = client();
	say(fds[0], "{\"cmd\":\"big\"}\n");
	CU_ASSERT_NOT_EQUAL(read_answer(fds[0]), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(answer, "the answer is too long"));
	memset(line, 'x', sizeof(line));
	for (size_t sent = 0; sent < sizeof(line);) {
		ssize_t n = write(fds[0], line, sizeof(line) - sent);

		turn();
		sent += n > 0 ? (size_t)n : 0;
	}
	CU_ASSERT_NOT_EQUAL(read_answer(fds[0]), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(answer, "the request is too long"));
	turn();
	CU_ASSERT_EQUAL(read(fds[0], answer, 1), 0);
	for (unsigned i = 0; i <= SL_API_CLIENTS_MAX; i++)
		close(fds[i]);
	sl_api_close(api);
}

static void
test_socket_file(void)
{
	struct sl_api *second;
	struct stat st;
	int fd;

	begin();
	CU_ASSERT_EQUAL(stat(path, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0660);
	CU_ASSERT_EQUAL(sl_api_open(&second, path, NULL), -EADDRINUSE);
	CU_ASSERT_EQUAL(stat(path, &st), 0);
	sl_api_close(api);
	// What a killed daemon leaves behind.
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	{
		struct sockaddr_un addr = { .sun_family = AF_UNIX };

		strcpy(addr.sun_path, path);
		CU_ASSERT_EQUAL(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	}
	close(fd);
	CU_ASSERT_EQUAL(access(path, F_OK), 0);
	CU_ASSERT_EQUAL(sl_api_open(&second, path, NULL), 0);
	sl_api_close(second);
	// Another program's file is left alone.
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	CU_ASSERT_EQUAL(sl_api_open(&second, path, NULL), -EADDRINUSE);
	CU_ASSERT_EQUAL(unlink(path), 0);
}

static void
test_table(void)
{
	static const struct sl_column columns[] = { { "reason", SL_ALIGN_LEFT, "" },
						    { "count", SL_ALIGN_RIGHT, "pkts" } };
	json_t *table = sl_json_table("drops", columns, 2);
	char *text;

	sl_json_row(table, "sI", "runt", (json_int_t)5000000000);
	sl_json_row(table, "oI", sl_json_str("\xff\x01"), (json_int_t)1);
	sl_json_note(table, "%d more", 3);
	text = json_dumps(table, JSON_COMPACT);
	CU_ASSERT_STRING_EQUAL(
		text,
		"{\"title\":\"drops\",\"columns\":[{\"name\":\"reason\",\"align\":\"left\","
		"\"unit\":"
		"\"\"},{\"name\":\"count\",\"align\":\"right\",\"unit\":\"pkts\"}],\"rows\":[["
		"\"runt\",5000000000],[\"?\\u0001\",1]],\"notes\":[\"3 more\"]}"
	);
	free(text);
	json_decref(table);
	sl_json_row(NULL, "s", "nothing happens");
	sl_json_note(NULL, "nothing happens");
}

static const struct sl_test_case cases[] = {
	{ "api: the longest command that matches is called, the rest are its words",
	  test_requests },
	{ "api: requests come in pieces and several at once", test_pieces_and_pipelines },
	{ "api: an answer may come later, or after its client has gone", test_later },
	{ "api: a client that does not read holds up nobody and is closed", test_slow_reader },
	{ "api: clients, requests and answers are bounded", test_bounds },
	{ "E4: the control socket has mode 0660; a stale one is replaced, a live one is not",
	  test_socket_file },
	{ "json: a table is columns and rows", test_table },
};

SL_TEST_MAIN(cases)
