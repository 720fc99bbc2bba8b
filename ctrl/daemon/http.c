// http: /metrics and /health for whoever watches. Served by the control thread, which owns what is
// shown, whenever the library's descriptor is readable; never waits for a client.
#include "metrics.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <sluice/ctrl/log.h>
#include <stdlib.h>
#include <string.h>

#define CONNECTIONS_MAX  16u
#define CONNECTION_S     10u // a client that has not moved for this long is closed
#define CONNECTION_BYTES 8192u

struct http {
	struct daemon *daemon;
	struct MHD_Daemon *server;
	uint64_t start_ns; // wall time
};

static enum MHD_Result
reply(struct MHD_Connection *connection, unsigned status, const char *type, char *body, size_t nb)
{
	struct MHD_Response *response;
	enum MHD_Result ret;

	if (body == NULL)
		return MHD_NO; // no memory: the connection is closed
	response = MHD_create_response_from_buffer(nb, body, MHD_RESPMEM_MUST_FREE);
	if (response == NULL) {
		free(body);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	ret = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return ret;
}

static enum MHD_Result
reply_metrics(struct http *http, struct MHD_Connection *connection)
{
	struct sl_metric_text text = { 0 };
	size_t nb = 0;
	char *body;

	metrics_collect(http->daemon, http->start_ns, &text);
	body = sl_metric_finish(&text, &nb);
	return reply(connection, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", body, nb);
}

static enum MHD_Result
reply_health(struct http *http, struct MHD_Connection *connection)
{
	struct sl_health *health = daemon_health(http->daemon);
	json_t *json = sl_health_json(health);
	bool healthy = json_is_true(json_object_get(json, "healthy"));
	char *body = json_dumps(json, JSON_COMPACT);

	json_decref(json);
	return reply(
		connection,
		healthy ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE,
		"application/json",
		body,
		body == NULL ? 0 : strlen(body)
	);
}

static enum MHD_Result
reply_sentence(struct MHD_Connection *connection, unsigned status, const char *sentence)
{
	return reply(connection, status, "text/plain", strdup(sentence), strlen(sentence));
}

static enum MHD_Result
answer(void *arg,
       struct MHD_Connection *connection,
       const char *url,
       const char *method,
       const char *version,
       const char *upload,
       size_t *nb_upload,
       void **state)
{
	(void)version, (void)upload, (void)state;
	if (*nb_upload != 0)
		return MHD_NO;
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return reply_sentence(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET or HEAD\n");
	if (strcmp(url, "/metrics") == 0)
		return reply_metrics(arg, connection);
	if (strcmp(url, "/health") == 0)
		return reply_health(arg, connection);
	return reply_sentence(connection, MHD_HTTP_NOT_FOUND, "/metrics and /health are here\n");
}

struct http *
http_open(struct daemon *d)
{
	const struct sl_config_endpoint *at = &d->config->system.metrics;
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(at->address),
				       .sin_port = htons(at->port) };
	char text[INET_ADDRSTRLEN];
	struct http *http;

	if (at->port == 0)
		return NULL;
	http = calloc(1, sizeof(*http));
	if (http == NULL)
		return NULL;
	http->daemon = d;
	http->start_ns = sl_store_wall_ns(d->store);
	http->server = MHD_start_daemon(
		MHD_USE_EPOLL,
		at->port,
		NULL,
		NULL,
		answer,
		http,
		MHD_OPTION_SOCK_ADDR,
		&address,
		MHD_OPTION_CONNECTION_LIMIT,
		CONNECTIONS_MAX,
		MHD_OPTION_CONNECTION_TIMEOUT,
		CONNECTION_S,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)CONNECTION_BYTES,
		MHD_OPTION_END
	);
	if (http->server != NULL)
		return http;
	sl_log(SL_LOG_WARNING,
	       "metrics",
	       "%s:%u cannot be served: %s; metrics are off until a restart, set system.metrics to "
	       "a "
	       "free address and port",
	       inet_ntop(AF_INET, &address.sin_addr, text, sizeof(text)),
	       at->port,
	       strerror(errno));
	free(http);
	return NULL;
}

void
http_close(struct http *http)
{
	if (http == NULL)
		return;
	MHD_stop_daemon(http->server);
	free(http);
}

int
http_fd(const struct http *http)
{
	const union MHD_DaemonInfo *info;

	if (http == NULL)
		return -1;
	info = MHD_get_daemon_info(http->server, MHD_DAEMON_INFO_EPOLL_FD);
	return info == NULL ? -1 : info->epoll_fd;
}

void
http_process(struct http *http)
{
	if (http != NULL)
		MHD_run(http->server);
}
