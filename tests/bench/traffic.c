#include "traffic.h"

#include <rte_ip.h>
#include <rte_udp.h>

#include <netinet/in.h>
#include <sluice/dp/ip4.h>
#include <sluice/proto/bytes.h>
#include <string.h>

#define HEADERS_BYTES                                                                              \
	(sizeof(struct rte_ether_hdr) + sizeof(struct rte_ipv4_hdr) + sizeof(struct rte_udp_hdr))
#define FIRST_PORT 1024u

struct bench_flow
bench_flow_of(const struct bench_size *size, uint32_t flow)
{
	uint32_t client = flow % size->nb_clients, round = flow / size->nb_clients;

	return (struct bench_flow){
		.client = client,
		.name = (round + client) % size->nb_names,
		.client_port = (uint16_t)(FIRST_PORT + round / size->nb_names),
	};
}

static uint8_t
octet(uint32_t flow, uint32_t tag, unsigned i)
{
	return (uint8_t)(flow * 31 + tag * 7 + i);
}

static void
put_payload(uint8_t *p, unsigned nb_bytes, uint32_t flow, uint32_t tag)
{
	sl_put32(p, flow);
	sl_put32(p + 4, tag);
	for (unsigned i = 8; i < nb_bytes; i++)
		p[i] = octet(flow, tag, i);
}

static bool
is_payload(const uint8_t *p, unsigned nb_bytes)
{
	uint32_t flow = sl_get32(p), tag = sl_get32(p + 4);

	for (unsigned i = 8; i < nb_bytes; i++)
		if (p[i] != octet(flow, tag, i))
			return false;
	return true;
}

struct ends {
	struct sl_ip4_ends ip;
	uint16_t source_port, destination_port; // host order
};

// Headers around `nb_payload_bytes` that stand in place already.
static unsigned
wrap(uint8_t *to,
     const struct rte_ether_addr *mac,
     const struct ends *ends,
     unsigned nb_payload_bytes)
{
	struct rte_ether_hdr *eth = (void *)to;
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(eth + 1);
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(ip + 1);
	unsigned udp_bytes = (unsigned)sizeof(*udp) + nb_payload_bytes;

	*eth = (struct rte_ether_hdr){ .dst_addr = *mac,
				       .src_addr = { { 0x02, 0xff, 0, 0, 0, 1 } },
				       .ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4) };
	*udp = (struct rte_udp_hdr){ .src_port = rte_cpu_to_be_16(ends->source_port),
				     .dst_port = rte_cpu_to_be_16(ends->destination_port),
				     .dgram_len = rte_cpu_to_be_16((uint16_t)udp_bytes) };
	sl_ip4_fill(
		ip, ends->ip, IPPROTO_UDP, (uint16_t)(sizeof(*ip) + udp_bytes), 0, 64, SL_IP4_DF
	);
	udp->dgram_cksum = rte_ipv4_udptcp_cksum(ip, udp);
	return (unsigned)HEADERS_BYTES + nb_payload_bytes;
}

unsigned
bench_put_client_frame(
	const struct bench_world *w, uint32_t flow, uint32_t tag, unsigned frame_bytes, uint8_t *to
)
{
	struct bench_flow f = bench_flow_of(&w->size, flow);
	unsigned nb_bytes = frame_bytes - BENCH_FCS_BYTES - (unsigned)HEADERS_BYTES;
	struct ends ends = { .ip.source = rte_cpu_to_be_32(BENCH_FIRST_CLIENT_IP + f.client),
			     .ip.destination = rte_cpu_to_be_32(w->assigned[f.name]),
			     .source_port = f.client_port,
			     .destination_port = BENCH_SERVICE_PORT };

	put_payload(to + HEADERS_BYTES, nb_bytes, flow, tag);
	return wrap(to, bench_mac(&w->pop, BENCH_POP_ACCESS), &ends, nb_bytes);
}

unsigned
bench_put_host_frame(
	const struct bench_world *w,
	uint32_t flow,
	uint16_t nat_port,
	uint32_t tag,
	unsigned frame_bytes,
	uint8_t *to
)
{
	struct bench_flow f = bench_flow_of(&w->size, flow);
	unsigned nb_bytes = frame_bytes - BENCH_FCS_BYTES - (unsigned)HEADERS_BYTES;
	struct ends ends = {
		.ip.source = rte_cpu_to_be_32(BENCH_FIRST_HOST_IP + f.name),
		.ip.destination = sl_dp_net(w->connector.dp)->ports[BENCH_HOST_PRIVATE].address,
		.source_port = BENCH_SERVICE_PORT,
		.destination_port = nat_port,
	};

	put_payload(to + HEADERS_BYTES, nb_bytes, flow, tag);
	return wrap(to, bench_mac(&w->connector, BENCH_HOST_PRIVATE), &ends, nb_bytes);
}

unsigned
bench_put_query_frame(
	const struct bench_world *w, uint32_t client, uint32_t name, uint32_t tag, uint8_t *to
)
{
	static const uint8_t edns[11] = { 0, 0, 41, 0x04, 0xd0 };
	struct ends ends = { .ip.source = rte_cpu_to_be_32(BENCH_FIRST_CLIENT_IP + client),
			     .ip.destination = rte_cpu_to_be_32(BENCH_RESOLVER_IP),
			     .source_port = (uint16_t)(FIRST_PORT + tag),
			     .destination_port = 53 };
	uint8_t *dns = to + HEADERS_BYTES, *p = dns + 12;
	char text[64];

	bench_name_text(name, text);
	memset(dns, 0, 12);
	sl_put16(dns, (uint16_t)tag);
	sl_put16(dns + 2, 0x0100); // RD
	sl_put16(dns + 4, 1);
	sl_put16(dns + 10, 1);
	for (const char *t = text; *t != '\0';) {
		size_t n = strcspn(t, ".");

		*p++ = (uint8_t)n;
		memcpy(p, t, n);
		p += n;
		t += n + (t[n] == '.');
	}
	*p++ = 0;
	sl_put16(p, 1);
	sl_put16(p + 2, 1);
	memcpy(p + 4, edns, sizeof(edns));
	return wrap(
		to,
		bench_mac(&w->pop, BENCH_POP_ACCESS),
		&ends,
		(unsigned)(p + 4 + sizeof(edns) - dns)
	);
}

// UDP over IPv4 of the right lengths and sums? Its payload, or NULL.
static const uint8_t *
payload_of(struct rte_mbuf *m, struct ends *ends, unsigned *nb_bytes)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)(eth + 1);
	const struct rte_udp_hdr *udp = (const struct rte_udp_hdr *)(ip + 1);

	if (m->data_len < HEADERS_BYTES || ip->version_ihl != RTE_IPV4_VHL_DEF ||
	    ip->next_proto_id != IPPROTO_UDP ||
	    rte_be_to_cpu_16(ip->total_length) != m->data_len - sizeof(*eth) ||
	    sl_sum(ip, sizeof(*ip)) != 0xffff ||
	    rte_be_to_cpu_16(udp->dgram_len) != m->data_len - sizeof(*eth) - sizeof(*ip) ||
	    udp->dgram_cksum == 0 || rte_ipv4_udptcp_cksum_verify(ip, udp) != 0)
		return NULL;
	*ends = (struct ends){ .ip = { ip->src_addr, ip->dst_addr },
			       .source_port = rte_be_to_cpu_16(udp->src_port),
			       .destination_port = rte_be_to_cpu_16(udp->dst_port) };
	*nb_bytes = (unsigned)(m->data_len - HEADERS_BYTES);
	return (const uint8_t *)(udp + 1);
}

bool
bench_check_at_host(
	const struct bench_world *w,
	struct rte_mbuf *m,
	unsigned frame_bytes,
	uint32_t *flow,
	uint16_t *nat_port
)
{
	struct bench_flow f;
	struct ends ends;
	unsigned nb_bytes;
	const uint8_t *p = payload_of(m, &ends, &nb_bytes);

	if (p == NULL || m->data_len != frame_bytes - BENCH_FCS_BYTES || !is_payload(p, nb_bytes))
		return false;
	*flow = sl_get32(p);
	*nat_port = ends.source_port;
	if (*flow >= w->size.nb_flows)
		return false;
	f = bench_flow_of(&w->size, *flow);
	return ends.ip.source == sl_dp_net(w->connector.dp)->ports[BENCH_HOST_PRIVATE].address &&
		ends.ip.destination == rte_cpu_to_be_32(BENCH_FIRST_HOST_IP + f.name) &&
		ends.destination_port == BENCH_SERVICE_PORT;
}

bool
bench_check_at_client(
	const struct bench_world *w, struct rte_mbuf *m, unsigned frame_bytes, uint32_t *flow
)
{
	struct bench_flow f;
	struct ends ends;
	unsigned nb_bytes;
	const uint8_t *p = payload_of(m, &ends, &nb_bytes);

	if (p == NULL || m->data_len != frame_bytes - BENCH_FCS_BYTES || !is_payload(p, nb_bytes))
		return false;
	*flow = sl_get32(p);
	if (*flow >= w->size.nb_flows)
		return false;
	f = bench_flow_of(&w->size, *flow);
	return ends.ip.source == rte_cpu_to_be_32(w->assigned[f.name]) &&
		ends.ip.destination == rte_cpu_to_be_32(BENCH_FIRST_CLIENT_IP + f.client) &&
		ends.source_port == BENCH_SERVICE_PORT && ends.destination_port == f.client_port;
}

bool
bench_check_answer(const struct bench_world *w, struct rte_mbuf *m)
{
	struct ends ends;
	unsigned nb_bytes;
	const uint8_t *p = payload_of(m, &ends, &nb_bytes), *at;
	unsigned name;

	// One question, one answer that points at it; the name begins with "host" and its number.
	if (p == NULL || ends.ip.source != rte_cpu_to_be_32(BENCH_RESOLVER_IP) ||
	    ends.source_port != 53 || nb_bytes < 12 + 24 || (sl_get16(p + 2) & 0x800f) != 0x8000 ||
	    sl_get16(p + 4) != 1 || sl_get16(p + 6) != 1 ||
	    sl_get16(p) != (uint16_t)(ends.destination_port - FIRST_PORT) ||
	    sscanf((const char *)p + 13, "host%u", &name) != 1 || name >= w->size.nb_names)
		return false;
	at = p + 12;
	while (*at != 0)
		at += *at + 1;
	at += 5;
	return sl_get16(at) == 0xc00c && sl_get16(at + 2) == 1 && sl_get16(at + 10) == 4 &&
		sl_get32(at + 12) == w->assigned[name];
}
