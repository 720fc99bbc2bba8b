// show flows: conversations under way, and what was refused or failed within the last minute with its
// cause. A record is copied, then looked at: its worker may be writing it, so that a row may mix two
// moments of a flow, or two flows for one instant.
#include "causes.h"
#include "show.h"

#include <rte_byteorder.h>

#include <arpa/inet.h>
#include <sluice/dns/addresses.h>
#include <sluice/dp/failures.h>
#include <sluice/dp/flow_table.h>
#include <sluice/dp/ip4.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_DEFAULT 200u
#define ROWS_ALL     20000u
#define FAILED_S     60u // what failed is shown so long

// A flow as it was copied, with what it says in words.
struct row {
	struct sl_flow f;
	uint32_t now_ds; // of its worker
	uint8_t worker;
	const char *client;
	char name[SL_NAME_TEXT_MAX];
	const char *state;
	char cause[40]; // "": it goes on
};

struct listing {
	const struct daemon *d;
	json_t *table;
	const char *wanted; // of a client, name or address; NULL: all
	unsigned nb_max, nb_shown, nb_more;
};

static void
address_text(const uint8_t mapped[16], char text[INET_ADDRSTRLEN])
{
	inet_ntop(AF_INET, mapped + 12, text, INET_ADDRSTRLEN);
}

static const char *
protocol_text(uint8_t protocol)
{
	return protocol == IPPROTO_TCP     ? "tcp"
		: protocol == IPPROTO_UDP  ? "udp"
		: protocol == IPPROTO_ICMP ? "icmp"
					   : "?";
}

// The state a person asks for: TCP's where it is known, else how far the two ends have agreed.
static const char *
state_text(const struct sl_flow *f)
{
	static const char *const tcp[] = { NULL,          "syn-sent",      "syn-received",
					   "established", "client-closed", "host-closed",
					   "doubted",     "closing",       "reset" };
	static const char *const link[] = { "closed", "opening", "accepting", "open", "waiting" };

	if (f->link.state != SL_LINK_OPEN && f->link.state < RTE_DIM(link))
		return link[f->link.state];
	if ((uint8_t)f->key.scope_protocol == IPPROTO_TCP && f->tcp != SL_TCP_NONE &&
	    f->tcp < RTE_DIM(tcp))
		return tcp[f->tcp];
	return f->link.state == SL_LINK_OPEN ? "open" : "?";
}

static double
since(uint32_t now_ds, uint32_t then_ds)
{
	int32_t ds = (int32_t)(now_ds - then_ds);

	return ds < 0 ? 0 : ds / 10.0;
}

// Its name, or for a resource that is an address, that. A connector is told no names.
static void
name_of(const struct daemon *d, struct row *r)
{
	const struct sl_snapshot *s = &d->snapshot->dp;
	const struct sl_flow *f = &r->f;
	const struct sl_addresses *addresses;

	r->name[0] = '\0';
	r->client = "-";
	if (f->kind != SL_FLOW_CLIENT)
		return;
	r->client = show_client(d, f->pop.client);
	address_text(f->key.destination, r->name);
	if (f->pop.client >= s->nb_clients || f->pop.name == SL_NO_NAME)
		return;
	addresses = sl_service_addresses(d->service, s->clients[f->pop.client].tenant);
	if (addresses != NULL && f->pop.name < sl_addresses_nb_ids(addresses))
		(void)sl_addresses_text(addresses, f->pop.name, r->name);
}

static bool
is_wanted(const struct listing *l, const struct row *r)
{
	char source[INET_ADDRSTRLEN], destination[INET_ADDRSTRLEN];

	if (l->wanted == NULL)
		return true;
	address_text(r->f.key.source, source);
	address_text(r->f.key.destination, destination);
	return strcmp(l->wanted, r->client) == 0 || strcmp(l->wanted, r->name) == 0 ||
		strcmp(l->wanted, source) == 0 || strcmp(l->wanted, destination) == 0;
}

// What both roles show of a flow at the end of its row.
static void
append_common(const struct daemon *d, const struct row *r, json_t *row)
{
	const struct sl_flow *f = &r->f;

	json_array_append_new(row, json_integer(f->pkts_up));
	json_array_append_new(row, json_integer((json_int_t)f->bytes_up));
	json_array_append_new(row, json_integer(f->pkts_down));
	json_array_append_new(row, json_integer((json_int_t)f->bytes_down));
	json_array_append_new(row, json_real(since(r->now_ds, f->started_ds)));
	json_array_append_new(row, json_real(since(r->now_ds, f->last_seen_ds)));
	json_array_append_new(row, json_string(show_session(d, f->link.session)));
}

static json_t *
ports_text(const struct sl_flow *f)
{
	if ((uint8_t)f->key.scope_protocol == IPPROTO_ICMP)
		return json_sprintf("id %u", rte_be_to_cpu_16(f->key.source_port_be));
	return json_sprintf(
		"%u>%u",
		rte_be_to_cpu_16(f->key.source_port_be),
		rte_be_to_cpu_16(f->key.destination_port_be)
	);
}

static json_t *
client_row(const struct daemon *d, const struct row *r)
{
	const struct sl_flow *f = &r->f;
	char source[INET_ADDRSTRLEN], destination[INET_ADDRSTRLEN];
	json_t *row;

	address_text(f->key.source, source);
	address_text(f->key.destination, destination);
	row = json_pack(
		"[sossssoss]",
		r->client,
		sl_json_str(r->name),
		show_resource(d, f->pop.resource),
		protocol_text((uint8_t)f->key.scope_protocol),
		r->state,
		r->cause,
		ports_text(f),
		source,
		destination
	);
	append_common(d, r, row);
	return row;
}

// The key of a connector's flow is the packet as the host returns it.
static json_t *
host_row(const struct daemon *d, const struct row *r)
{
	const struct sl_flow *f = &r->f;
	char host[INET_ADDRSTRLEN], own[INET_ADDRSTRLEN];
	json_t *row;

	address_text(f->key.source, host);
	address_text(f->key.destination, own);
	row = json_pack(
		"[sissssi]",
		host,
		rte_be_to_cpu_16(f->key.source_port_be),
		protocol_text((uint8_t)f->key.scope_protocol),
		r->state,
		r->cause,
		own,
		rte_be_to_cpu_16(f->key.destination_port_be)
	);
	append_common(d, r, row);
	return row;
}

static void
list_flow(struct listing *l, const struct row *r)
{
	if (l->nb_shown == l->nb_max) {
		l->nb_more++;
		return;
	}
	l->nb_shown++;
	json_array_append_new(
		json_object_get(l->table, "rows"),
		r->f.kind == SL_FLOW_CLIENT ? client_row(l->d, r) : host_row(l->d, r)
	);
}

static void
list_worker(struct listing *l, const struct sl_worker *w)
{
	const struct sl_flow_table *t = w->flows;
	uint8_t kind = l->d->config->node.role == SL_ROLE_POP ? SL_FLOW_CLIENT : SL_FLOW_HOST;
	struct row r = { .now_ds = w->now_ds, .worker = (uint8_t)w->idx };

	for (uint32_t i = 0; i < t->nb_flows; i++) {
		if (*(volatile const uint8_t *)&t->flows[i].kind != kind)
			continue;
		memcpy(&r.f, &t->flows[i], sizeof(r.f));
		if (r.f.kind != kind)
			continue;
		r.state = state_text(&r.f);
		name_of(l->d, &r);
		if (is_wanted(l, &r))
			list_flow(l, &r);
	}
}

// A failure as a row of what it was about: its packets are those refused, or the flows that ended so.
static void
list_failures(struct listing *l, const struct sl_worker *w)
{
	struct row r = { .now_ds = w->now_ds, .worker = (uint8_t)w->idx };
	struct sl_failure failure;

	for (unsigned i = 0; i < SL_FAILURE_GROUPS * SL_FAILURE_KINDS; i++) {
		if (!sl_failure_read(w->failures, i, &failure) ||
		    since(r.now_ds, failure.at_ds) > FAILED_S)
			continue;
		r.f = (struct sl_flow){ .key = failure.key,
					.link.session = failure.session,
					.kind = failure.kind,
					.last_seen_ds = failure.at_ds,
					.started_ds = failure.at_ds,
					.pkts_up = failure.nb };
		if (failure.kind == SL_FLOW_CLIENT) {
			r.f.pop.client = failure.client;
			r.f.pop.name = failure.name;
			r.f.pop.resource = failure.resource;
		}
		r.state = failure.is_refusal ? "refused" : "failed";
		cause_put(r.cause, sizeof(r.cause), failure.reason, failure.quota);
		name_of(l->d, &r);
		if (is_wanted(l, &r))
			list_flow(l, &r);
	}
}

#define COMMON_COLUMNS                                                                             \
	SHOW_RIGHT("pkts_up", "pkts"), SHOW_RIGHT("bytes_up", "bytes"),                            \
		SHOW_RIGHT("pkts_down", "pkts"), SHOW_RIGHT("bytes_down", "bytes"),                \
		SHOW_RIGHT("age", "s"), SHOW_RIGHT("idle", "s"), SHOW_LEFT("session")

static json_t *
new_table(const struct daemon *d)
{
	static const struct sl_column on_pop[] = {
		SHOW_LEFT("client"), SHOW_LEFT("name"),     SHOW_LEFT("resource"),
		SHOW_LEFT("proto"),  SHOW_LEFT("state"),    SHOW_LEFT("cause"),
		SHOW_LEFT("ports"),  SHOW_DETAIL("source"), SHOW_DETAIL("address"),
		COMMON_COLUMNS,
	};
	static const struct sl_column on_connector[] = {
		SHOW_LEFT("host"),          SHOW_RIGHT("host_port", ""),
		SHOW_LEFT("proto"),         SHOW_LEFT("state"),
		SHOW_LEFT("cause"),         SHOW_LEFT("nat_address"),
		SHOW_RIGHT("nat_port", ""), COMMON_COLUMNS,
	};

	if (d->config->node.role == SL_ROLE_POP)
		return sl_json_table("flows", on_pop, RTE_DIM(on_pop));
	return sl_json_table("flows", on_connector, RTE_DIM(on_connector));
}

void
show_flows(void *arg, struct sl_api_request *request, unsigned nb_words, const char *const *words)
{
	struct daemon *d = arg;
	struct listing l = { .d = d, .table = new_table(d), .nb_max = ROWS_DEFAULT };

	for (unsigned i = 0; i < nb_words; i++)
		if (strcmp(words[i], "all") == 0)
			l.nb_max = ROWS_ALL;
		else
			l.wanted = words[i];
	for (unsigned k = 0; k < sl_dp_nb_workers(d->dp); k++)
		list_worker(&l, sl_dp_worker(d->dp, k));
	l.nb_shown = 0; // many flows hide no failure
	for (unsigned k = 0; k < sl_dp_nb_workers(d->dp); k++)
		list_failures(&l, sl_dp_worker(d->dp, k));
	if (l.nb_more != 0)
		sl_json_note(
			l.table,
			"%u more: name a client, a name or an address, or say all.",
			l.nb_more
		);
	sl_api_reply(request, l.table);
}
