// show: what the parts of sluicectl show share; the control thread. What other threads own is copied
// before it is looked at, and what is copied may be half of two writes: it is checked, never trusted.
#pragma once

#include "daemon.h"

#include <sluice/ctrl/json.h>

#define SHOW_LEFT(name)                                                                            \
	{                                                                                          \
		(name), SL_ALIGN_LEFT, ""                                                          \
	}
#define SHOW_DETAIL(name)                                                                          \
	{                                                                                          \
		(name), SL_ALIGN_LEFT, "", true                                                    \
	}
#define SHOW_RIGHT(name, unit)                                                                     \
	{                                                                                          \
		(name), SL_ALIGN_RIGHT, (unit)                                                     \
	}

// Who a client id is: "laptop"; "-" for an id that is nobody's. Owned by the snapshot in force.
const char *show_client(const struct daemon *d, uint32_t client);
const char *show_tenant(const struct daemon *d, unsigned tenant);
// The name of a resource by its id. "-" when it is gone.
const char *show_resource(const struct daemon *d, uint32_t resource);
const char *show_network(const struct daemon *d, uint32_t network);
// Whom a session is with. "-" for none.
const char *show_session(const struct daemon *d, uint32_t session);

// Names of the groups in `groups`, separated by blanks; to be freed.
char *show_groups(const struct sl_config_tenant *tenant, uint64_t groups);

// What a resource or rule lets through, "tcp 80,443 udp 53 icmp"; to be freed.
char *show_services(const struct sl_config_services *services);

// Seconds from a moment of the clock to now; null for 0.
json_t *show_age(struct daemon *d, uint64_t then_ns);

// Of a tunnel session: "up", "silent" (new flows go by it only when there is no other), "draining" or "down".
const char *show_peer_state(struct daemon *d, const struct sl_session *s);

// {"tables": [...]}; references are taken.
json_t *show_tables(json_t *first, json_t *second);

void
show_ports(void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words);
void show_workers(
	void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words
);
void
show_cpu(void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words);
void
show_drops(void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words);
void
show_graph(void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words);
void
show_stats(void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words);
void show_clients(
	void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words
);
void show_resources(
	void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words
);
void
show_names(void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words);
void show_sessions(
	void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words
);
void
show_peers(void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words);
void
show_flows(void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words);
void
show_limits(void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words);
void
show_top(void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words);
