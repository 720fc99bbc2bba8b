#include "daemon.h"

#include <errno.h>
#include <sluice/ctrl/log.h>
#include <string.h>
#include <unistd.h>

// A PoP that serves no TCP still asks upstreams by it, and so does a connector.
void
streams_open(struct daemon *d)
{
	char why[256] = "";

	if (sl_stream_open(&d->stream_fds, why, sizeof(why)) != 0)
		sl_log(SL_LOG_WARNING,
		       "no-dns-over-tcp",
		       "clients' TCP to resolvers is refused, and long answers of DNS servers stay "
		       "cut: %s",
		       why);
}

static struct sl_streams_conf
conf_of(struct daemon *d, const struct sl_config *config)
{
	const struct sl_config_dns *dns = &config->dns;

	return (struct sl_streams_conf){
		.dp = d->dp,
		.clock = &d->clock,
		.fds = &d->stream_fds,
		.serves_tcp = d->net.serves_tcp,
		.serves_tls = d->net.serves_tls,
		.tls_cert_file = dns->tls_cert_file,
		.tls_key_file = dns->tls_key_file,
		.connections = dns->tcp_connections,
		.client_connections = dns->tcp_client_connections,
		.idle_s = dns->tcp_idle_s,
	};
}

int
streams_create(struct daemon *d)
{
	struct sl_streams_conf conf = conf_of(d, d->config);
	char why[256];

	if (!d->stream_fds.is_open)
		return 0;
	if (conf.connections == 0) // a connector, which serves none
		conf.connections = 1;
	d->streams = sl_streams_create(&conf, why, sizeof(why));
	if (d->streams == NULL) {
		sl_log(SL_LOG_ERROR, "start-failed", "DNS over TCP: %s", why);
		return -EINVAL;
	}
	return 0;
}

static bool
same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

// A key that root alone may read was read at start, before root was given up: that is no fault of a reload that is
// about something else.
static bool
is_out_of_reach(const struct daemon *d, const struct sl_config_dns *dns)
{
	return dns->tls_key_file != NULL && access(dns->tls_key_file, R_OK) != 0 &&
		errno == EACCES && same_text(dns->tls_key_file, d->config->dns.tls_key_file) &&
		same_text(dns->tls_cert_file, d->config->dns.tls_cert_file);
}

int
streams_reload(struct daemon *d, const struct sl_config *config, char *why, size_t why_bytes)
{
	struct sl_streams_conf conf = conf_of(d, config);

	if (d->streams == NULL)
		return 0;
	if (is_out_of_reach(d, &config->dns)) {
		sl_log(SL_LOG_WARNING,
		       "certificate-kept",
		       "%s cannot be read as the user of the daemon: the certificate of DNS over "
		       "TLS "
		       "stays; let system.user read it, or restart",
		       config->dns.tls_key_file);
		conf.tls_cert_file = NULL;
	}
	return sl_streams_reload(d->streams, &conf, why, why_bytes);
}
