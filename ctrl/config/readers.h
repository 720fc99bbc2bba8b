// readers: one for each section of the file, and the checks that look across sections.
#pragma once

#include "field.h"

// read_node.c
void sl_read_node(struct sl_loader *l, const config_setting_t *s, void *node);
void sl_read_ports(struct sl_loader *l, const config_setting_t *s, void *config);
void sl_read_routes(struct sl_loader *l, const config_setting_t *s, void *config);
void sl_read_workers(struct sl_loader *l, const config_setting_t *s, void *workers);
void sl_read_tunnel(struct sl_loader *l, const config_setting_t *s, void *tunnel);
void sl_read_wireguard(struct sl_loader *l, const config_setting_t *s, void *wireguard);

// read_system.c
void sl_read_limits(struct sl_loader *l, const config_setting_t *s, void *limits);
void sl_read_timers(struct sl_loader *l, const config_setting_t *s, void *timers);
void sl_read_system(struct sl_loader *l, const config_setting_t *s, void *system);

// read_dns.c
void sl_read_dns(struct sl_loader *l, const config_setting_t *s, void *dns);
void sl_read_upstreams(struct sl_loader *l, const config_setting_t *s, void *upstreams);

// read_tenant.c
void sl_read_tenants(struct sl_loader *l, const config_setting_t *s, void *config);
void sl_read_tenant_limits(
	struct sl_loader *l,
	const config_setting_t *s,
	const struct sl_config_tenant_limits *defaults,
	struct sl_config_tenant_limits *limits
);

// read_client.c
void sl_read_clients(struct sl_loader *l, const config_setting_t *s, void *tenant);
uint64_t sl_read_group_names(struct sl_loader *l, const config_setting_t *s);

// read_resource.c
void sl_read_resources(struct sl_loader *l, const config_setting_t *s, void *tenant);
// `address` of a resource or an allow rule: names and prefixes, one or many.
void sl_read_targets(
	struct sl_loader *l,
	const config_setting_t *s,
	struct sl_config_strings *patterns,
	struct sl_config_prefixes *prefixes
);
// tcp, udp and icmp of `group` into `services`; all of them open when none is written.
void sl_read_services(
	struct sl_loader *l, const config_setting_t *group, struct sl_config_services *services
);

// read_connector.c
void sl_read_connector(struct sl_loader *l, const config_setting_t *s, void *connector);

// check_node.c, check_tenant.c, check_files.c
void sl_check_node(struct sl_loader *l);
void sl_check_tenants(struct sl_loader *l);
void sl_check_files(struct sl_loader *l);
