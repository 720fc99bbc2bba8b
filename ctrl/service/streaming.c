// streaming: what goes between this thread and the stream thread: answers to questions that came by TCP, and
// queries of our own that go by TCP or TLS.
#include "internal.h"

#include <errno.h>
#include <sluice/dns/answer.h>
#include <sluice/dp/reply.h>
#include <stdlib.h>
#include <string.h>

#define REPLIES_PER_TURN 256u

bool
streaming_answer(struct sl_service *s, struct rte_mbuf *m, const uint8_t *message, size_t nb_bytes)
{
	uint32_t stream = sl_meta(m)->stream;

	if (stream == 0 || s->streams == NULL)
		return false;
	sl_streams_answer(s->streams, stream, message, nb_bytes);
	rte_pktmbuf_free(m);
	return true;
}

bool
streaming_ask(
	struct sl_service *s,
	uint16_t asker,
	uint32_t token,
	struct sl_upstream_address to,
	const uint8_t *message,
	size_t nb_bytes
)
{
	const struct sl_stream_server *known = streaming_server(s, asker, to);
	struct sl_stream_server plain = { .at = to };

	return s->streams != NULL &&
		sl_streams_ask(
			s->streams, asker, token, known != NULL ? known : &plain, message, nb_bytes
		);
}

// ---- How upstreams are asked ------------------------------------------------------------------------

static bool
same_server(
	const struct sl_stream_server *server,
	struct sl_upstream_address at,
	const struct sl_config_upstream *u
)
{
	return server->tls_name != NULL && server->at.address == at.address &&
		server->at.port == at.port && strcmp(server->tls_name, u->tls_name) == 0 &&
		(server->tls_pin == NULL) == (u->tls_pin == NULL) &&
		(u->tls_pin == NULL || strcmp(server->tls_pin, u->tls_pin) == 0);
}

int
streaming_servers(struct tenant *tenant, const struct sl_config_upstreams *upstreams)
{
	struct sl_stream_server old[SL_UPSTREAMS_MAX];

	memcpy(old, tenant->servers, sizeof(old));
	memset(tenant->servers, 0, sizeof(tenant->servers));
	for (unsigned i = 0; i < upstreams->nb && i < SL_UPSTREAMS_MAX; i++) {
		const struct sl_config_upstream *u = &upstreams->list[i];
		struct sl_stream_server *server = &tenant->servers[i];

		server->at = (struct sl_upstream_address){ .address = u->endpoint.address,
							   .port = u->endpoint.port };
		if (u->tls_name == NULL)
			continue;
		// They outlive the configuration, and a server's place in it: queries under way know
		// them. So what a reload took out of use stays.
		for (unsigned k = 0; k < SL_UPSTREAMS_MAX; k++)
			if (same_server(&old[k], server->at, u))
				*server = old[k];
		if (server->tls_name != NULL)
			continue;
		server->tls_name = strdup(u->tls_name);
		server->tls_pin = u->tls_pin == NULL ? NULL : strdup(u->tls_pin);
		if (server->tls_name == NULL || (u->tls_pin != NULL && server->tls_pin == NULL))
			return -ENOMEM;
	}
	return 0;
}

void
streaming_servers_free(struct tenant *tenant)
{
	for (unsigned i = 0; i < SL_UPSTREAMS_MAX; i++) {
		free((char *)(uintptr_t)tenant->servers[i].tls_name);
		free((char *)(uintptr_t)tenant->servers[i].tls_pin);
	}
}

const struct sl_stream_server *
streaming_server(const struct sl_service *s, uint16_t asker, struct sl_upstream_address at)
{
	const struct tenant *tenant;

	if (asker == 0 || asker > s->nb_tenants)
		return NULL;
	tenant = &s->tenants[asker - 1];
	for (unsigned i = 0; i < SL_UPSTREAMS_MAX; i++)
		if (tenant->servers[i].at.address == at.address &&
		    tenant->servers[i].at.port == at.port && at.address != 0)
			return &tenant->servers[i];
	return NULL;
}

// ---- Replies ------------------------------------------------------------------------------------------

static void
receive(struct sl_service *s, struct sl_stream_reply *reply)
{
	// Nobody there counts as a failing server: the next one is asked.
	if (reply->is_failure && reply->nb_bytes >= SL_DNS_HEADER_BYTES)
		sl_put16(
			reply->message + 2,
			(uint16_t
			)((sl_get16(reply->message + 2) & ~(SL_DNS_RCODE | SL_DNS_TC)) | SL_DNS_QR |
			  SL_RCODE_SERVFAIL)
		);
	if (reply->asker != 0)
		forwarding_receive(
			s,
			reply->asker - 1u,
			reply->token,
			reply->message,
			reply->nb_bytes,
			reply->from,
			true
		);
	else if (s->resolver != NULL)
		(void)sl_resolver_receive(
			s->resolver,
			reply->token,
			reply->message,
			reply->nb_bytes,
			reply->from,
			true,
			s->now_ns
		);
}

unsigned
streaming_work(struct sl_service *s)
{
	struct sl_stream_reply *reply;
	unsigned nb = 0;

	if (s->streams == NULL)
		return 0;
	sl_streams_replies_seen(s->streams);
	for (; nb < REPLIES_PER_TURN && (reply = sl_streams_reply(s->streams)) != NULL; nb++) {
		receive(s, reply);
		free(reply);
	}
	return nb;
}
