// read_dns: the resolver addresses, the pool, and upstreams of the PoP and of tenants.
#include "readers.h"

#include <string.h>

#define AT(type, member) .offset = offsetof(struct type, member)

static const char *const mode_words[] = { "serial", "parallel", "random", NULL };

#define RESOLVERS_MAX 16u
#define UPSTREAMS_MAX 8u

static const struct sl_field server_fields[] = {
	{ "address", SL_FIELD_IP4, AT(sl_config_upstream, endpoint.address), .required = true },
	{ "udp_port",
	  SL_FIELD_U16,
	  AT(sl_config_upstream, endpoint.port),
	  .min = 1,
	  .max = UINT16_MAX },
	{ "tls", SL_FIELD_TEXT, AT(sl_config_upstream, tls_name) },
	{ "tls_pin", SL_FIELD_TEXT, AT(sl_config_upstream, tls_pin) },
};

// The base64 of 32 octets.
static bool
is_pin(const char *text)
{
	static const char
		letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	return strlen(text) == 44 && strspn(text, letters) == 43 && text[43] == '=';
}

static void
read_server(struct sl_loader *l, const config_setting_t *s, struct sl_config_upstream *server)
{
	char name[256];

	server->where = sl_where(l, s);
	if (s->type == CONFIG_TYPE_STRING) {
		sl_get_endpoint(l, s, config_setting_get_string(s), 53, &server->endpoint);
		return;
	}
	if (s->type != CONFIG_TYPE_GROUP) {
		SL_COMPLAIN(
			l, s, "an upstream is neither a string nor a group|write \"192.0.2.53\""
		);
		return;
	}
	SL_READ_GROUP(l, s, server_fields, "an upstream", server);
	if (server->endpoint.port == 0)
		server->endpoint.port = server->tls_name == NULL ? 53 : 853;
	if (server->tls_name != NULL && sl_text_name(server->tls_name, name) != SL_TEXT_OK)
		SL_COMPLAIN(
			l,
			s,
			"'%s' is no name a certificate could hold|give the server's full DNS name",
			server->tls_name
		);
	if (server->tls_pin != NULL && (server->tls_name == NULL || !is_pin(server->tls_pin)))
		SL_COMPLAIN(
			l,
			s,
			"tls_pin is %s|give the SHA-256 of the server's public key in base64, "
			"beside tls",
			server->tls_name == NULL ? "given without tls" : "not 44 letters of base64"
		);
}

static void
read_servers(struct sl_loader *l, const config_setting_t *s, void *at)
{
	struct sl_config_upstreams *ups = SL_HOLDER(at, struct sl_config_upstreams, list);
	unsigned nb = 1;

	if (s->type == CONFIG_TYPE_LIST || s->type == CONFIG_TYPE_ARRAY)
		nb = (unsigned)config_setting_length(s);
	if (nb > UPSTREAMS_MAX) {
		SL_COMPLAIN(l, s, "there are %u upstreams|use at most %u", nb, UPSTREAMS_MAX);
		return;
	}
	ups->list = sl_arena_alloc(l->arena, nb, sizeof(*ups->list));
	if (s->type != CONFIG_TYPE_LIST && s->type != CONFIG_TYPE_ARRAY)
		read_server(l, s, &ups->list[ups->nb++]);
	else
		for (unsigned i = 0; i < nb; i++)
			read_server(l, config_setting_get_elem(s, i), &ups->list[ups->nb++]);
	for (unsigned i = 0; i < ups->nb; i++)
		for (unsigned j = 0; j < i; j++)
			if (memcmp(&ups->list[i].endpoint,
				   &ups->list[j].endpoint,
				   sizeof(ups->list[i].endpoint)) == 0 &&
			    ups->list[i].endpoint.port != 0)
				sl_config_error(
					l->errors,
					ups->list[i].where,
					"this upstream is listed twice|remove one of them"
				);
}

static const struct sl_field upstreams_fields[] = {
	{ "mode", SL_FIELD_WORD, AT(sl_config_upstreams, mode), .words = mode_words },
	{ "servers",
	  SL_FIELD_OTHER,
	  AT(sl_config_upstreams, list),
	  .required = true,
	  .read = read_servers },
};

// upstreams = { mode = "random"; servers = (...); }, or the servers alone.
void
sl_read_upstreams(struct sl_loader *l, const config_setting_t *s, void *at)
{
	struct sl_config_upstreams *upstreams = at;

	if (s->type == CONFIG_TYPE_GROUP)
		SL_READ_GROUP(l, s, upstreams_fields, "upstreams", upstreams);
	else
		read_servers(l, s, &upstreams->list);
}

static void
read_resolvers(struct sl_loader *l, const config_setting_t *s, void *at)
{
	struct sl_config_addresses *resolvers = at;
	unsigned nb = sl_strings_length(l, s);

	if (nb == 0 || nb > RESOLVERS_MAX) {
		SL_COMPLAIN(
			l, s, "there are %u resolver addresses|give 1 to %u", nb, RESOLVERS_MAX
		);
		return;
	}
	resolvers->list = sl_arena_alloc(l->arena, nb, sizeof(*resolvers->list));
	for (unsigned i = 0; i < nb; i++) {
		const config_setting_t *elem;
		const char *text = sl_strings_get(l, s, i, &elem);
		uint32_t *address = &resolvers->list[resolvers->nb];

		if (text == NULL)
			continue;
		if (sl_text_ip4(text, address) != SL_TEXT_OK) {
			SL_COMPLAIN(
				l, elem, "'%s' is no IPv4 address|write it as 100.95.0.251", text
			);
			continue;
		}
		for (unsigned j = 0; j < resolvers->nb; j++)
			if (resolvers->list[j] == *address)
				SL_COMPLAIN(
					l, elem, "resolver '%s' is listed twice|remove one", text
				);
		resolvers->nb++;
	}
}

static const struct sl_field dns_fields[] = {
	{ "resolvers", SL_FIELD_OTHER, AT(sl_config_dns, resolvers), .read = read_resolvers },
	{ "pool", SL_FIELD_PREFIX, AT(sl_config_dns, pool), .text = "100.96.0.0/12" },
	{ "ttl_s", SL_FIELD_U32, AT(sl_config_dns, ttl_s), .max = 86400, .number = 60 },
	{ "quarantine_s",
	  SL_FIELD_U32,
	  AT(sl_config_dns, quarantine_s),
	  .max = 30 * 86400,
	  .number = 86400 },
	{ "upstreams", SL_FIELD_OTHER, AT(sl_config_dns, upstreams), .read = sl_read_upstreams },
	{ "refuse_other", SL_FIELD_BOOL, AT(sl_config_dns, refuse_other) },
	{ "canary", SL_FIELD_BOOL, AT(sl_config_dns, canary), .number = 1 },
	{ "tcp", SL_FIELD_BOOL, AT(sl_config_dns, tcp), .number = 1 },
	{ "tls", SL_FIELD_BOOL, AT(sl_config_dns, tls) },
	{ "tcp_connections",
	  SL_FIELD_U32,
	  AT(sl_config_dns, tcp_connections),
	  .min = 1,
	  .max = 65535,
	  .number = 4096 },
	{ "tcp_client_connections",
	  SL_FIELD_U32,
	  AT(sl_config_dns, tcp_client_connections),
	  .min = 1,
	  .max = 65535,
	  .number = 64 },
	{ "tcp_idle_s",
	  SL_FIELD_U32,
	  AT(sl_config_dns, tcp_idle_s),
	  .min = 1,
	  .max = 60,
	  .number = 10 },
	{ "tls_cert_file", SL_FIELD_PATH, AT(sl_config_dns, tls_cert_file) },
	{ "tls_key_file", SL_FIELD_PATH, AT(sl_config_dns, tls_key_file) },
};

void
sl_read_dns(struct sl_loader *l, const config_setting_t *s, void *at)
{
	static const uint32_t defaults[] = { 0x645f00fb, 0x645f00fc, 0x645f00fd, 0x645f00fe };
	struct sl_config_dns *dns = at;

	dns->where = sl_where(l, s);
	SL_READ_GROUP(l, s, dns_fields, "dns", dns);
	if (dns->resolvers.nb == 0) {
		dns->resolvers.list = sl_arena_alloc(l->arena, 1, sizeof(defaults));
		memcpy(dns->resolvers.list, defaults, sizeof(defaults));
		dns->resolvers.nb = 4;
	}
	if (dns->pool.length < 8 || dns->pool.length > 28)
		SL_COMPLAIN(
			l, s, "the pool's length is %u|it may be from 8 to 28", dns->pool.length
		);
	for (unsigned i = 0; i < dns->resolvers.nb; i++)
		if (sl_prefix_covers(dns->pool, dns->resolvers.list[i]))
			SL_COMPLAIN(
				l,
				s,
				"the pool covers resolver %u|keep resolver addresses outside the "
				"pool",
				i + 1
			);
	if (dns->tls_cert_file != NULL)
		dns->tls = true;
	if ((dns->tls_cert_file == NULL) != (dns->tls_key_file == NULL))
		SL_COMPLAIN(
			l,
			s,
			"only one of tls_cert_file and tls_key_file is given|give both or neither"
		);
}
