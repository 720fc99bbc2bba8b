// read_system: limits, timers, and what surrounds the data plane.
#include "readers.h"

#define AT(type, member) .offset = offsetof(struct type, member)

static const char *const level_words[] = { "error", "warning", "notice", "info", "debug", NULL };

static void
read_tenant_defaults(struct sl_loader *l, const config_setting_t *s, void *at)
{
	static const struct sl_config_tenant_limits none;

	sl_read_tenant_limits(l, s, &none, at);
}

#define FLOWS_MAX (1u << 28) // worker 8 bits, index 24 in a flow id; no machine holds more
static const struct sl_field limits_fields[] = {
	{ "flows",
	  SL_FIELD_U32,
	  AT(sl_config_limits, flows),
	  .min = 64,
	  .max = FLOWS_MAX,
	  .number = 65536 },
	{ "names",
	  SL_FIELD_U32,
	  AT(sl_config_limits, names),
	  .min = 16,
	  .max = 1u << 22,
	  .number = 16384 },
	{ "sessions",
	  SL_FIELD_U32,
	  AT(sl_config_limits, sessions),
	  .min = 1,
	  .max = 1u << 20,
	  .number = 1024 },
	{ "mbufs", SL_FIELD_U32, AT(sl_config_limits, mbufs), .min = 1024, .max = 1u << 26 },
	{ "tenant", SL_FIELD_OTHER, AT(sl_config_limits, tenant), .read = read_tenant_defaults },
};

void
sl_read_limits(struct sl_loader *l, const config_setting_t *s, void *at)
{
	struct sl_config_limits *limits = at;

	limits->where = sl_where(l, s);
	SL_READ_GROUP(l, s, limits_fields, "limits", limits);
}

#define DAY_S 86400u
static const struct sl_field timers_fields[] = {
	{ "tcp_established_s",
	  SL_FIELD_U32,
	  AT(sl_config_timers, tcp_established_s),
	  .min = 60,
	  .max = 7 * DAY_S,
	  .number = 7440 },
	{ "tcp_transitory_s",
	  SL_FIELD_U32,
	  AT(sl_config_timers, tcp_transitory_s),
	  .min = 5,
	  .max = DAY_S,
	  .number = 240 },
	{ "tcp_time_wait_s",
	  SL_FIELD_U32,
	  AT(sl_config_timers, tcp_time_wait_s),
	  .min = 1,
	  .max = DAY_S,
	  .number = 240 },
	{ "udp_s",
	  SL_FIELD_U32,
	  AT(sl_config_timers, udp_s),
	  .min = 5,
	  .max = DAY_S,
	  .number = 120 },
	{ "dns_s",
	  SL_FIELD_U32,
	  AT(sl_config_timers, dns_s),
	  .min = 1,
	  .max = DAY_S,
	  .number = 10 },
	{ "icmp_s",
	  SL_FIELD_U32,
	  AT(sl_config_timers, icmp_s),
	  .min = 1,
	  .max = DAY_S,
	  .number = 60 },
	{ "resolve_ms",
	  SL_FIELD_U32,
	  AT(sl_config_timers, resolve_ms),
	  .min = 100,
	  .max = 30000,
	  .number = 3000 },
	{ "suspect_ms",
	  SL_FIELD_U32,
	  AT(sl_config_timers, suspect_ms),
	  .min = 200,
	  .max = 60000,
	  .number = 300 },
	{ "dead_ms",
	  SL_FIELD_U32,
	  AT(sl_config_timers, dead_ms),
	  .min = 300,
	  .max = 600000,
	  .number = 1000 },
};

void
sl_read_timers(struct sl_loader *l, const config_setting_t *s, void *at)
{
	struct sl_config_timers *timers = at;

	SL_READ_GROUP(l, s, timers_fields, "timers", timers);
	if (timers->dead_ms <= timers->suspect_ms)
		SL_COMPLAIN(
			l,
			s,
			"dead_ms (%u) is not above suspect_ms (%u)|a connector is suspect before "
			"it is dead",
			timers->dead_ms,
			timers->suspect_ms
		);
}

// "127.0.0.1:9464", or "off".
static void
read_metrics(struct sl_loader *l, const config_setting_t *s, void *at)
{
	struct sl_config_endpoint *metrics = at;
	const char *text;

	if (!sl_get_text(l, s, &text))
		return;
	*metrics = (struct sl_config_endpoint){ 0 };
	if (text[0] != 'o' || text[1] != 'f' || text[2] != 'f' || text[3] != '\0')
		sl_get_endpoint(l, s, text, 9464, metrics);
}

static const struct sl_field system_fields[] = {
	{ "state_dir", SL_FIELD_PATH, AT(sl_config_system, state_dir), .text = "/var/lib/sluice" },
	{ "control_socket",
	  SL_FIELD_PATH,
	  AT(sl_config_system, control_socket),
	  .text = "/run/sluice/sluice.sock" },
	{ "user", SL_FIELD_IDENTIFIER, AT(sl_config_system, user), .text = "sluice" },
	{ "log_level",
	  SL_FIELD_WORD,
	  AT(sl_config_system, log_level),
	  .words = level_words,
	  .number = SL_LOG_NOTICE },
	{ "flow_log", SL_FIELD_PATH, AT(sl_config_system, flow_log) },
	{ "flow_log_interim_s",
	  SL_FIELD_U32,
	  AT(sl_config_system, flow_log_interim_s),
	  .max = 86400,
	  .number = 300 },
	{ "metrics", SL_FIELD_OTHER, AT(sl_config_system, metrics), .read = read_metrics },
	{ "seccomp", SL_FIELD_BOOL, AT(sl_config_system, seccomp), .number = true },
	{ "memory_mb", SL_FIELD_U32, AT(sl_config_system, memory_mb), .min = 64, .max = 1u << 20 },
};

void
sl_read_system(struct sl_loader *l, const config_setting_t *s, void *at)
{
	struct sl_config_system *system = at;

	system->metrics = (struct sl_config_endpoint){ 0x7f000001, 9464 };
	SL_READ_GROUP(l, s, system_fields, "system", system);
	if (system->state_dir[0] != '/')
		SL_COMPLAIN(
			l,
			s,
			"state_dir '%s' is no absolute path|begin it with '/'",
			system->state_dir
		);
	if (system->control_socket[0] != '/' || __builtin_strlen(system->control_socket) > 100)
		SL_COMPLAIN(
			l,
			s,
			"control_socket '%s' is not absolute, or over 100 characters|give a "
			"shorter path from '/'",
			system->control_socket
		);
	if (__builtin_strcmp(system->user, "root") == 0)
		SL_COMPLAIN(
			l,
			s,
			"user is root|name an unprivileged user, such as \"sluice\" or \"nobody\""
		);
}
