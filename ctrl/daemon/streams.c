#include "daemon.h"

#include <errno.h>
#include <sluice/ctrl/log.h>

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

int
streams_create(struct daemon *d)
{
	const struct sl_config_dns *dns = &d->config->dns;
	struct sl_streams_conf conf = {
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
