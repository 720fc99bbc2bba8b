#include "internal.h"

#include <sluice/ctrl/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Forget the request; its connection, or NULL when the client is gone.
static struct sl_api_connection *
end_request(struct sl_api_request *request)
{
	struct sl_api_connection *connection = request->connection;
	struct sl_api_request **at = &request->api->requests;

	while (*at != NULL && *at != request)
		at = &(*at)->next;
	if (*at == request)
		*at = request->next;
	free(request);
	if (connection != NULL)
		connection->request = NULL;
	return connection;
}

static void
send_text(struct sl_api_connection *connection, const char *text)
{
	char *line = strdup(text);

	if (line == NULL)
		connection->closing = true; // no memory for a sentence either
	else
		sl_api_connection_send(connection, line, strlen(line));
}

// Send `answer`, whose reference is taken.
static void
send_json(struct sl_api_connection *connection, json_t *answer)
{
	size_t len = json_dumpb(answer, NULL, 0, JSON_COMPACT);
	char *line = NULL;

	if (len == 0 || len >= SL_API_ANSWER_BYTES) {
		json_decref(answer);
		send_text(
			connection,
			len == 0 ? "{\"ok\":false,\"error\":\"out of memory\"}\n"
				 : "{\"ok\":false,\"error\":\"the answer is too long\",\"remedy\":"
				   "\"ask for less\"}\n"
		);
		return;
	}
	line = malloc(len + 1);
	if (line != NULL) {
		json_dumpb(answer, line, len, JSON_COMPACT);
		line[len] = '\n';
	}
	json_decref(answer);
	if (line == NULL)
		send_text(connection, "{\"ok\":false,\"error\":\"out of memory\"}\n");
	else
		sl_api_connection_send(connection, line, len + 1);
}

void
sl_api_reply(struct sl_api_request *request, json_t *result)
{
	struct sl_api_connection *connection = end_request(request);

	if (connection == NULL)
		json_decref(result);
	else
		send_json(connection, json_pack("{s:b, s:o}", "ok", 1, "result", result));
}

void
sl_api_fail(struct sl_api_request *request, const char *remedy, const char *fmt, ...)
{
	struct sl_api_connection *connection = end_request(request);
	char *error = NULL;
	va_list ap;

	if (connection == NULL)
		return;
	va_start(ap, fmt);
	if (vasprintf(&error, fmt, ap) < 0)
		error = NULL;
	va_end(ap);
	send_json(
		connection,
		json_pack(
			"{s:b, s:o, s:s*}",
			"ok",
			0,
			"error",
			sl_json_str(error == NULL ? "out of memory" : error),
			"remedy",
			remedy
		)
	);
	free(error);
}

bool
sl_api_client_gone(const struct sl_api_request *request)
{
	return request->connection == NULL;
}

uint32_t
sl_api_client_uid(const struct sl_api_request *request)
{
	return request->uid;
}

// How many of `words` are the words of `command`; 0 when they do not begin with it.
static unsigned
match(const char *command, unsigned nb_words, const char *const *words)
{
	unsigned nb = 0;

	for (;;) {
		size_t len = strcspn(command, " ");

		if (nb == nb_words || strlen(words[nb]) != len ||
		    memcmp(words[nb], command, len) != 0)
			return 0;
		nb++;
		if (command[len] == '\0')
			return nb;
		command += len + 1;
	}
}

static void
run(struct sl_api_request *request, unsigned nb_words, const char *const *words)
{
	const struct sl_api *api = request->api;
	const struct sl_api_command *best = NULL;
	unsigned nb_best = 0;

	for (unsigned i = 0; i < api->nb_commands; i++) {
		unsigned nb = match(api->commands[i].command, nb_words, words);

		if (nb > nb_best) {
			best = &api->commands[i];
			nb_best = nb;
		}
	}
	if (best != NULL)
		best->handler(best->arg, request, nb_words - nb_best, words + nb_best);
	else
		sl_api_fail(
			request,
			"\"sluicectl help\" lists the commands",
			"there is no command \"%.64s%s%.64s\"",
			words[0],
			nb_words > 1 ? " " : "",
			nb_words > 1 ? words[1] : ""
		);
}

// The words of a request, or 0 when it is none. Their storage is `json`'s.
static unsigned
read_words(json_t *json, const char *words[SL_API_WORDS_MAX])
{
	json_t *args = json_object_get(json, "args");
	unsigned nb = 0;

	words[nb++] = json_string_value(json_object_get(json, "cmd"));
	if (words[0] == NULL || (args != NULL && !json_is_array(args)) ||
	    json_array_size(args) >= SL_API_WORDS_MAX)
		return 0;
	for (size_t i = 0; i < json_array_size(args); i++) {
		words[nb] = json_string_value(json_array_get(args, i));
		if (words[nb++] == NULL)
			return 0;
	}
	return nb;
}

void
sl_api_dispatch(struct sl_api_connection *connection, const char *line, size_t len)
{
	struct sl_api_request *request = calloc(1, sizeof(*request));
	json_t *json = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	const char *words[SL_API_WORDS_MAX];
	unsigned nb = read_words(json, words);

	if (request == NULL) {
		send_text(connection, "{\"ok\":false,\"error\":\"out of memory\"}\n");
		json_decref(json);
		return;
	}
	request->api = connection->api;
	request->connection = connection;
	request->uid = connection->uid;
	request->next = connection->api->requests;
	connection->api->requests = request;
	connection->request = request;
	if (nb == 0)
		sl_api_fail(
			request,
			"send {\"cmd\": \"show\", \"args\": [\"drops\"]} and a newline",
			"this is no request"
		);
	else
		run(request, nb, words);
	json_decref(json);
}
