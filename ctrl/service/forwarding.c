// forwarding: names that are no resource of the client, asked of the upstream servers. One forwarder
// a tenant, so that caches and limits are its own.
#include "internal.h"

#include <errno.h>
#include <sluice/dns/answer.h>
#include <sluice/dp/reply.h>

#define EVENTS_PER_TURN 256u

static enum sl_forward_mode
mode_of(enum sl_config_upstream_mode mode)
{
	switch (mode) {
	case SL_UPSTREAM_PARALLEL:
		return SL_FORWARD_PARALLEL;
	case SL_UPSTREAM_RANDOM:
		return SL_FORWARD_RANDOM;
	case SL_UPSTREAM_SERIAL:
	default:
		return SL_FORWARD_SERIAL;
	}
}

static const struct sl_config_upstreams *
upstreams_of(const struct sl_config *config, unsigned t)
{
	const struct sl_config_upstreams *own = &config->tenants[t].upstreams;

	return own->nb != 0 ? own : &config->dns.upstreams;
}

// The forwarder of a tenant, made or given its upstreams. Without any other names are refused.
static int
set_upstreams(struct sl_service *s, unsigned t)
{
	const struct sl_config_upstreams *upstreams = upstreams_of(s->config, t);
	struct sl_forward_config config = { .name_key = s->name_key,
					    .random = service_random,
					    .mode = mode_of(upstreams->mode) };
	struct tenant *tenant = &s->tenants[t];

	tenant->has_upstreams = upstreams->nb != 0;
	if (upstreams->nb == 0)
		return 0;
	for (unsigned i = 0; i < upstreams->nb && i < SL_UPSTREAMS_MAX; i++)
		config.upstreams[config.nb_upstreams++] = (struct sl_upstream_address){
			.address = upstreams->list[i].endpoint.address,
			.port = upstreams->list[i].endpoint.port,
		};
	// Others read its counters: it is never replaced.
	if (tenant->forward != NULL)
		sl_forward_set_upstreams(tenant->forward, &config, s->now_ns);
	else
		tenant->forward = sl_forward_create(&config);
	return tenant->forward == NULL ? -ENOMEM : streaming_servers(tenant, upstreams);
}

int
forwarding_create(struct sl_service *s)
{
	int ret = 0;

	for (unsigned t = 0; ret == 0 && t < s->nb_tenants; t++)
		ret = set_upstreams(s, t);
	return ret;
}

void
forwarding_free(struct sl_service *s)
{
	for (unsigned t = 0; s->tenants != NULL && t < s->nb_tenants; t++) {
		sl_forward_free(s->tenants[t].forward);
		streaming_servers_free(&s->tenants[t]);
	}
}

static bool
same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool
same_upstreams(const struct sl_config_upstreams *a, const struct sl_config_upstreams *b)
{
	if (a->nb != b->nb || a->mode != b->mode)
		return false;
	for (unsigned i = 0; i < a->nb; i++) {
		if (a->list[i].endpoint.address != b->list[i].endpoint.address ||
		    a->list[i].endpoint.port != b->list[i].endpoint.port ||
		    !same_text(a->list[i].tls_name, b->list[i].tls_name) ||
		    !same_text(a->list[i].tls_pin, b->list[i].tls_pin))
			return false;
	}
	return true;
}

void
forwarding_config(struct sl_service *s, const struct sl_config *before)
{
	for (unsigned t = 0; t < s->nb_tenants; t++)
		if (!same_upstreams(upstreams_of(before, t), upstreams_of(s->config, t)) &&
		    set_upstreams(s, t) != 0)
			sl_log(SL_LOG_ERROR,
			       "upstreams-lost",
			       "no memory for the upstreams of a tenant: its other names are "
			       "refused");
}

void
forwarding_query(struct sl_service *s, struct rte_mbuf *m)
{
	const struct sl_meta *meta = sl_meta(m);
	struct tenant *tenant = &s->tenants[s->snapshot->clients[meta->client].tenant];
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	const struct rte_udp_hdr *udp = rte_pktmbuf_mtod_offset(
		m, const struct rte_udp_hdr *, meta->l4_offset
	);
	struct sl_forward_asker asker = {
		.client = meta->client,
		.address = rte_be_to_cpu_32(ip->src_addr),
		.resolver = rte_be_to_cpu_32(ip->dst_addr),
		.port = rte_be_to_cpu_16(udp->src_port),
		.is_tcp = meta->stream != 0,
		.cookie = (uint64_t)meta->worker << 32 | (uint64_t)meta->port << 16 | meta->vlan,
	};
	uint8_t *answer = s->message, *message;
	uint16_t nb_bytes = sl_udp_payload(m, meta->l4_offset, &message);
	size_t nb_answer = 0;

	if (meta->stream != 0)
		asker.cookie = meta->stream;
	if (!tenant->has_upstreams || tenant->forward == NULL) {
		names_fail(s, m, SL_ANSWER_REFUSED);
		return;
	}
	switch (sl_forward_query(
		tenant->forward,
		&asker,
		message,
		nb_bytes,
		s->now_ns,
		answer,
		meta->stream != 0 ? sizeof(s->message) : SL_DNS_EDNS_BYTES,
		&nb_answer
	)) {
	case SL_FORWARD_ANSWERED:
		if (streaming_answer(s, m, answer, nb_answer))
			return;
		if (nb_answer > nb_bytes + rte_pktmbuf_tailroom(m))
			break;
		memcpy(message, answer, nb_answer);
		sl_udp_reply(m, meta->l4_offset, (uint16_t)nb_answer);
		to_worker(s, meta->worker, SL_STAGE_TO_CLIENT, m);
		return;
	case SL_FORWARD_REFUSED:
		names_fail(s, m, SL_ANSWER_REFUSED);
		return;
	case SL_FORWARD_PENDING:
	case SL_FORWARD_REPEATED:
	case SL_FORWARD_FULL:
	case SL_FORWARD_CLIENT_FULL:
	default:
		break;
	}
	rte_pktmbuf_free(m);
}

void
forwarding_receive(
	struct sl_service *s,
	unsigned tenant,
	uint32_t token,
	const uint8_t *message,
	size_t nb_bytes,
	struct sl_upstream_address from,
	bool is_tcp
)
{
	if (tenant < s->nb_tenants && s->tenants[tenant].forward != NULL)
		sl_forward_receive(
			s->tenants[tenant].forward,
			token,
			message,
			nb_bytes,
			from,
			is_tcp,
			s->now_ns
		);
}

void
forwarding_refused(struct sl_service *s, unsigned tenant, uint32_t token)
{
	if (tenant < s->nb_tenants && s->tenants[tenant].forward != NULL)
		sl_forward_refused(s->tenants[tenant].forward, token, s->now_ns);
}

// A packet from the resolver address to the asker that holds the answer.
static void
send_answer(struct sl_service *s, const struct sl_forward_event *event)
{
	const struct sl_forward_asker *to = &event->asker;
	struct rte_ipv4_hdr *ip;
	struct rte_udp_hdr *udp;
	struct sl_meta *meta;
	struct rte_mbuf *m;

	if (to->is_tcp) {
		if (s->streams != NULL)
			sl_streams_answer(
				s->streams, (uint32_t)to->cookie, event->message, event->nb_bytes
			);
		return;
	}
	m = sl_dp_alloc_mbuf(s->dp);
	ip = m == NULL ? NULL
		       : (void *)rte_pktmbuf_append(
				 m, (uint16_t)(sizeof(*ip) + sizeof(*udp) + event->nb_bytes)
			 );
	if (ip == NULL) {
		rte_pktmbuf_free(m);
		return;
	}
	udp = (struct rte_udp_hdr *)(ip + 1);
	// As the query stood, so that the reply is made by the same code as every other.
	ip->version_ihl = RTE_IPV4_VHL_DEF;
	ip->src_addr = rte_cpu_to_be_32(to->address);
	ip->dst_addr = rte_cpu_to_be_32(to->resolver);
	udp->src_port = rte_cpu_to_be_16(to->port);
	udp->dst_port = RTE_BE16(SL_DNS_PORT);
	memcpy(udp + 1, event->message, event->nb_bytes);
	sl_udp_reply(m, sizeof(*ip), (uint16_t)event->nb_bytes);
	meta = sl_meta(m);
	meta->client = to->client;
	meta->port = (uint16_t)(to->cookie >> 16);
	meta->vlan = (uint16_t)to->cookie;
	meta->l4_offset = sizeof(*ip);
	meta->protocol = IPPROTO_UDP;
	to_worker(s, (unsigned)(to->cookie >> 32), SL_STAGE_TO_CLIENT, m);
}

// Without TCP toward upstreams the client hears what we heard, that the answer is cut.
static void
say_truncated(struct sl_service *s, unsigned t, const struct sl_forward_event *event)
{
	uint8_t message[SL_DNS_HEADER_BYTES + SL_NAME_WIRE_MAX + 4 + SL_DNS_OPT_BYTES];

	if (event->nb_bytes > sizeof(message) || event->nb_bytes < SL_DNS_HEADER_BYTES)
		return;
	memcpy(message, event->message, event->nb_bytes);
	sl_put16(
		message + 2, (uint16_t)(sl_get16(message + 2) | SL_DNS_QR | SL_DNS_TC | SL_DNS_RA)
	);
	sl_forward_receive(
		s->tenants[t].forward,
		event->token,
		message,
		event->nb_bytes,
		event->upstream,
		true,
		s->now_ns
	);
}

// Over TLS when the upstream is to be asked so, and by no other way; else as the event says.
static void
send_query(struct sl_service *s, unsigned t, const struct sl_forward_event *event)
{
	const struct sl_stream_server *server = streaming_server(
		s, (uint16_t)(1 + t), event->upstream
	);
	bool is_tls = server != NULL && server->tls_name != NULL;

	if (is_tls || event->kind == SL_FORWARD_NEED_TCP) {
		if (!streaming_ask(
			    s,
			    (uint16_t)(1 + t),
			    event->token,
			    event->upstream,
			    event->message,
			    event->nb_bytes
		    ) &&
		    !is_tls)
			say_truncated(s, t, event);
		return;
	}
	query_send(
		s, (uint16_t)(1 + t), event->token, event->upstream, event->message, event->nb_bytes
	);
}

static unsigned
work(struct sl_service *s, unsigned t)
{
	struct sl_forward *forward = s->tenants[t].forward;
	struct sl_forward_event event;
	unsigned nb_done = 0;

	for (; nb_done < EVENTS_PER_TURN && sl_forward_poll(forward, s->now_ns, &event);
	     nb_done++) {
		switch (event.kind) {
		case SL_FORWARD_NEED_TCP:
		case SL_FORWARD_SEND:
			send_query(s, t, &event);
			break;
		case SL_FORWARD_RELEASE:
			query_release(s, (uint16_t)(1 + t), event.token);
			break;
		case SL_FORWARD_ANSWER:
			send_answer(s, &event);
			break;
		default:
			break;
		}
	}
	return nb_done;
}

unsigned
forwarding_work(struct sl_service *s)
{
	unsigned nb_done = 0;

	for (unsigned t = 0; t < s->nb_tenants; t++)
		if (s->tenants[t].forward != NULL)
			nb_done += work(s, t);
	return nb_done;
}
