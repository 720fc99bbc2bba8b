// reload: a renewed certificate and other limits, without a restart. The control thread reads and checks, the stream
// thread takes over between two turns; connections that stand keep what they began with.
#include "internal.h"

#include <errno.h>
#include <stdlib.h>

void
settings_free(struct settings *settings)
{
	if (settings == NULL)
		return;
	SSL_CTX_free(settings->tls_server);
	free(settings);
}

int
sl_streams_reload(
	struct sl_streams *s, const struct sl_streams_conf *conf, char *why, size_t why_bytes
)
{
	struct settings *next = calloc(1, sizeof(*next));

	if (next == NULL)
		return -ENOMEM;
	next->client_connections = conf->client_connections;
	next->idle_s = conf->idle_s;
	if (conf->serves_tls && conf->tls_cert_file != NULL) {
		next->tls_server = tls_server(
			conf->tls_cert_file, conf->tls_key_file, why, why_bytes
		);
		if (next->tls_server == NULL) {
			free(next);
			return -EINVAL;
		}
	}
	// One that was not taken yet is out of date.
	settings_free(atomic_exchange_explicit(&s->next_settings, next, memory_order_acq_rel));
	return 0;
}

void
settings_take(struct sl_streams *s)
{
	struct settings *next = atomic_exchange_explicit(
		&s->next_settings, NULL, memory_order_acq_rel
	);

	if (next == NULL)
		return;
	s->conf.client_connections = next->client_connections;
	s->conf.idle_s = next->idle_s;
	if (next->tls_server != NULL) {
		SSL_CTX *old = s->tls_server;

		s->tls_server = next->tls_server;
		next->tls_server = old; // connections that use it hold it
	}
	settings_free(next);
}
