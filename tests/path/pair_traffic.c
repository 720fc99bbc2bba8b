#include "pair.h"
#include "pair_internal.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <string.h>

#define QUEUE_FRAMES 2048u

// Frames that wait for the test, in order.
struct queue {
	struct {
		uint8_t frame[PATH_FRAME_BYTES];
		size_t nb_bytes;
	} at[QUEUE_FRAMES];
	unsigned first, nb;
};

static struct queue to_client, to_host;
unsigned pair_punted[16];

void
pair_reset_hosts(void)
{
	to_client.nb = to_host.nb = 0;
	to_client.first = to_host.first = 0;
	memset(pair_punted, 0, sizeof(pair_punted));
}

static void
push(struct queue *q, const uint8_t *frame, size_t nb_bytes)
{
	unsigned at = (q->first + q->nb) % QUEUE_FRAMES;

	CU_ASSERT_FATAL(q->nb < QUEUE_FRAMES);
	memcpy(q->at[at].frame, frame, nb_bytes);
	q->at[at].nb_bytes = nb_bytes;
	q->nb++;
}

static bool
pop(struct queue *q, uint8_t *frame, size_t *nb_bytes)
{
	if (q->nb == 0)
		return false;
	*nb_bytes = q->at[q->first].nb_bytes;
	memcpy(frame, q->at[q->first].frame, *nb_bytes);
	q->first = (q->first + 1) % QUEUE_FRAMES;
	q->nb--;
	return true;
}

// ---- The private DNS server ---------------------------------------------------------------------------

static bool
parse(struct pair_packet *p)
{
	size_t l4_bytes, head;

	p->ip = packet_check(p->frame, p->nb_bytes);
	if (p->ip == NULL)
		return false;
	p->l4 = p->ip + 1;
	l4_bytes = rte_be_to_cpu_16(p->ip->total_length) - sizeof(*p->ip);
	head = p->ip->next_proto_id == IPPROTO_TCP    ? (size_t)(p->tcp->data_off >> 4) * 4
		: p->ip->next_proto_id == IPPROTO_UDP ? sizeof(struct rte_udp_hdr)
						      : sizeof(struct rte_icmp_hdr);
	p->payload = (const uint8_t *)p->l4 + head;
	p->payload_bytes = l4_bytes - head;
	return true;
}

// The addresses the zone holds just now; how many.
static uint16_t
put_addresses(struct sl_writer *w)
{
	static const uint8_t addresses[][4] = { [PAIR_DNS_ANSWERS] = { 10, 77, 83, 5 },
						[PAIR_DNS_LOOPBACK] = { 127, 0, 0, 1 },
						[PAIR_DNS_ABSENT] = { 10, 77, 83, 99 },
						[PAIR_DNS_FAR] = { 10, 88, 0, 1 } };
	uint16_t nb = 0;

	while (nb < RTE_DIM(pair.dns_answers) && pair.dns_answers[nb] != NULL) {
		rte_be32_t address = packet_ip(pair.dns_answers[nb++]);

		sl_answer_record(w, SL_DNS_A, pair.dns_ttl_s, (const uint8_t *)&address, 4);
	}
	if (nb != 0)
		return nb;
	sl_answer_record(w, SL_DNS_A, pair.dns_ttl_s, addresses[pair.dns_mode], 4);
	return 1;
}

static void
answer_dns(const struct pair_packet *p)
{
	uint8_t message[512], frame[PATH_FRAME_BYTES];
	struct sl_query query;
	struct sl_writer w;
	struct in_addr from = { p->ip->src_addr };
	size_t nb_bytes = p->payload_bytes;
	struct packet_spec spec = { .to = path_mac(pair.connector, 1),
				    .from = "02:bb:00:00:00:53",
				    .source = PRIVATE_DNS,
				    .destination = CONN_INNER,
				    .protocol = IPPROTO_UDP,
				    .source_port = 53,
				    .destination_port = rte_be_to_cpu_16(p->udp->src_port),
				    .payload = message };
	struct sl_answer_counts counts = { 0 };
	bool is_known, is_asked;
	char name[SL_NAME_TEXT_MAX];

	memcpy(message, p->payload, nb_bytes);
	inet_ntop(AF_INET, &from, pair.dns_source, sizeof(pair.dns_source));
	CU_ASSERT_EQUAL_FATAL(sl_query_parse(&query, message, nb_bytes), SL_QUERY_OK);
	sl_name_to_text(&query.name, name, sizeof(name));
	is_asked = strstr(name, ".example") != NULL; // by a client, not by the connector for itself
	if (is_asked) {
		strcpy(pair.dns_name, name);
		pair.nb_dns_queries++;
	}
	if (pair.dns_mode == PAIR_DNS_SILENT)
		return;
	is_known = is_asked && strcmp(name, NOBODY) != 0;
	w = sl_answer_begin(&query, message, sizeof(message));
	if (is_known)
		counts.nb_answers = put_addresses(&w);
	spec.payload_bytes = sl_answer_end(
		&w,
		&query,
		counts,
		SL_DNS_RA,
		is_known ? SL_RCODE_NOERROR : SL_RCODE_NXDOMAIN,
		SL_EDE_NONE,
		0
	);
	// A forger who knows all but the ID comes first, and must not matter.
	message[1] ^= 1;
	path_send(pair.connector, 1, frame, packet_build(frame, sizeof(frame), &spec));
	message[1] ^= 1;
	path_send(pair.connector, 1, frame, packet_build(frame, sizeof(frame), &spec));
}

static bool
is_dns_query(const struct pair_packet *p)
{
	return p->ip->next_proto_id == IPPROTO_UDP && p->ip->dst_addr == packet_ip(PRIVATE_DNS) &&
		p->udp->dst_port == RTE_BE16(53);
}

// Octets of the private network anywhere in a frame.
static bool
has_private(const uint8_t *frame, size_t nb_bytes)
{
	static const uint8_t network[] = { 10, 77, 83 };

	return memmem(frame, nb_bytes, network, sizeof(network)) != NULL;
}

static bool
is_fragment(const uint8_t *frame)
{
	const struct rte_ipv4_hdr *ip = (const void *)(frame + sizeof(struct rte_ether_hdr));

	return frame[12] == 0x08 && frame[13] == 0x00 &&
		(ip->fragment_offset & RTE_BE16(0x3fff)) != 0;
}

unsigned
pair_play_hosts(void)
{
	static struct pair_packet p;
	unsigned done = 0;

	while ((p.nb_bytes = path_take(pair.connector, 1, p.frame, sizeof(p.frame))) != 0) {
		done++;
		if (p.frame[12] == 0x08 && p.frame[13] == 0x06)
			continue; // ARP for somebody who is not there
		if (pair.is_noisy)
			continue;
		CU_ASSERT_TRUE(is_fragment(p.frame) || parse(&p));
		if (!is_fragment(p.frame) && p.ip != NULL && is_dns_query(&p)) {
			answer_dns(&p);
			continue;
		}
		pair.nb_to_host++;
		push(&to_host, p.frame, p.nb_bytes);
	}
	while ((p.nb_bytes = path_take(pair.pop, 0, p.frame, sizeof(p.frame))) != 0) {
		done++;
		if (has_private(p.frame, p.nb_bytes))
			pair.nb_leaks++;
		if ((p.frame[12] == 0x08 && p.frame[13] == 0x06) || pair.is_noisy)
			continue;
		CU_ASSERT_TRUE(is_fragment(p.frame) || parse(&p));
		pair.nb_to_client++;
		push(&to_client, p.frame, p.nb_bytes);
	}
	return done;
}

void
pair_drain(void)
{
	static struct pair_packet p;

	path_run();
	while (pair_client_take(&p) || pair_host_take(&p))
		;
}

// ---- Sending and taking --------------------------------------------------------------------------------

static const char *
mac_of(const char *address)
{
	static const char *const macs[][2] = {
		{ CLIENT, "02:aa:00:00:00:01" },   { CLIENT_B, "02:aa:00:00:00:02" },
		{ STRANGER, "02:aa:00:00:00:66" }, { HOST, "02:bb:00:00:00:05" },
		{ HOST_2, "02:bb:00:00:00:06" },   { PRIVATE_DNS, "02:bb:00:00:00:53" },
	};

	for (unsigned i = 0; i < RTE_DIM(macs); i++)
		if (strcmp(macs[i][0], address) == 0)
			return macs[i][1];
	return "02:cc:00:00:00:99";
}

void
pair_client_queue(const struct packet_spec *given)
{
	struct packet_spec spec = *given;
	uint8_t frame[PATH_FRAME_BYTES];

	spec.to = path_mac(pair.pop, 0);
	spec.source = spec.source == NULL ? CLIENT : spec.source;
	spec.from = mac_of(spec.source);
	path_send(pair.pop, 0, frame, packet_build(frame, sizeof(frame), &spec));
}

void
pair_host_queue(const struct packet_spec *given)
{
	struct packet_spec spec = *given;
	uint8_t frame[PATH_FRAME_BYTES];

	spec.to = path_mac(pair.connector, 1);
	spec.source = spec.source == NULL ? HOST : spec.source;
	spec.destination = spec.destination == NULL ? CONN_INNER : spec.destination;
	spec.from = mac_of(spec.source);
	path_send(pair.connector, 1, frame, packet_build(frame, sizeof(frame), &spec));
}

void
pair_client_send(const struct packet_spec *spec)
{
	pair_client_queue(spec);
	path_run();
}

void
pair_host_send(const struct packet_spec *spec)
{
	pair_host_queue(spec);
	path_run();
}

// Without a packet the pointers lead to zeros, so that an assertion fails where it stands.
static bool
take(struct queue *q, struct pair_packet *p)
{
	static const uint8_t nothing[PATH_FRAME_BYTES];

	if (pop(q, p->frame, &p->nb_bytes) && parse(p))
		return true;
	p->ip = (const void *)nothing;
	p->l4 = nothing;
	p->payload = nothing;
	p->payload_bytes = 0;
	return false;
}

bool
pair_client_take(struct pair_packet *p)
{
	return take(&to_client, p);
}

bool
pair_host_take(struct pair_packet *p)
{
	return take(&to_host, p);
}

static void
send_raw(
	struct path_node *node, unsigned port, const char *mac, const void *packet, size_t nb_bytes
)
{
	static uint8_t frame[UINT16_MAX];
	struct rte_ether_hdr *eth = (void *)frame;

	eth->dst_addr = *path_mac(node, port);
	rte_ether_unformat_addr(mac, &eth->src_addr);
	eth->ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4);
	memcpy(eth + 1, packet, nb_bytes);
	path_send(node, port, frame, sizeof(*eth) + nb_bytes);
}

void
pair_client_raw(const void *packet, size_t nb_bytes)
{
	send_raw(pair.pop, 0, mac_of(CLIENT), packet, nb_bytes);
}

void
pair_host_raw(const void *packet, size_t nb_bytes)
{
	send_raw(pair.connector, 1, mac_of(HOST), packet, nb_bytes);
}

static size_t
take_whole(struct queue *q, uint8_t *packet, unsigned *nb_fragments)
{
	static uint8_t frame[UINT16_MAX + sizeof(struct rte_ether_hdr)];
	struct rte_ipv4_hdr *ip = (void *)packet;
	size_t at = sizeof(*ip), nb_bytes;
	bool more = true;

	for (*nb_fragments = 0; more; (*nb_fragments)++) {
		const struct rte_ipv4_hdr *piece = (void *)(frame + sizeof(struct rte_ether_hdr));
		uint16_t bits;

		if (!pop(q, frame, &nb_bytes)) {
			CU_ASSERT_EQUAL(*nb_fragments, 0);
			return 0;
		}
		bits = rte_be_to_cpu_16(piece->fragment_offset);
		nb_bytes = rte_be_to_cpu_16(piece->total_length);
		more = (bits & 0x2000) != 0;
		CU_ASSERT_EQUAL((size_t)(bits & 0x1fff) * 8 + sizeof(*ip), at);
		CU_ASSERT(rte_raw_cksum(piece, sizeof(*piece)) == 0xffff && nb_bytes <= 1500);
		if (*nb_fragments == 0)
			*ip = *piece;
		CU_ASSERT_EQUAL(ip->packet_id, piece->packet_id);
		CU_ASSERT(!more || (bits & 0x4000) == 0);
		memcpy(packet + at, piece + 1, nb_bytes - sizeof(*ip));
		at += nb_bytes - sizeof(*ip);
	}
	ip->total_length = rte_cpu_to_be_16((uint16_t)at);
	ip->fragment_offset = 0;
	ip->hdr_checksum = 0;
	ip->hdr_checksum = (uint16_t)~rte_raw_cksum(ip, sizeof(*ip));
	memcpy(frame + sizeof(struct rte_ether_hdr), packet, at);
	frame[12] = 0x08;
	frame[13] = 0;
	CU_ASSERT_PTR_NOT_NULL(packet_check(frame, at + sizeof(struct rte_ether_hdr)));
	return at;
}

size_t
pair_client_take_whole(uint8_t *packet, unsigned *nb_fragments)
{
	return take_whole(&to_client, packet, nb_fragments);
}

size_t
pair_host_take_whole(uint8_t *packet, unsigned *nb_fragments)
{
	return take_whole(&to_host, packet, nb_fragments);
}

size_t
pair_ask(
	const char *from,
	const char *name,
	uint16_t type,
	bool with_edns,
	struct pair_packet *answer
)
{
	static uint16_t port = 40000;
	uint8_t message[512];
	struct packet_spec spec = { .source = from,
				    .destination = RESOLVER,
				    .protocol = IPPROTO_UDP,
				    .source_port = ++port,
				    .destination_port = 53,
				    .payload = message };
	struct sl_name parsed;

	CU_ASSERT_EQUAL_FATAL(sl_name_from_text(&parsed, name), SL_NAME_OK);
	spec.payload_bytes = sl_query_build(
		message, sizeof(message), 0x4711, parsed.wire, parsed.nb_bytes, type, SL_DNS_RD
	);
	if (!with_edns) {
		spec.payload_bytes -= SL_DNS_OPT_BYTES;
		message[11] = 0;
	}
	// Letter case is the asker's.
	message[13] = (uint8_t)toupper(message[13]);
	pair_client_send(&spec);
	if (!pair_client_take(answer))
		return 0;
	CU_ASSERT_EQUAL(answer->udp->src_port, RTE_BE16(53));
	CU_ASSERT_EQUAL(answer->udp->dst_port, rte_cpu_to_be_16(port));
	CU_ASSERT_EQUAL(answer->ip->src_addr, packet_ip(RESOLVER));
	CU_ASSERT_EQUAL(answer->payload[0] << 8 | answer->payload[1], 0x4711);
	return answer->payload_bytes;
}

const char *
pair_resolve(const char *name)
{
	static char texts[16][16];
	static unsigned next;
	static struct pair_packet answer;
	char *text = texts[next++ % 16];
	struct in_addr address = { 0 };

	if (pair_ask(CLIENT, name, SL_DNS_A, false, &answer) > 16 && answer.payload[7] == 1)
		memcpy(&address, answer.payload + answer.payload_bytes - 4, 4);
	return inet_ntop(AF_INET, &address, text, 16);
}
