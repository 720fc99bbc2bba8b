// Packets and records of any octets walk the graphs of a PoP and a connector, beside flows that
// stand: fragments come together, ICMP errors are translated both ways, options of TCP are looked
// through, records of any form arrive under a good key. No buffer is lost, nothing private leaves,
// nothing crashes.
//
// Input, as often as it goes on: an octet that says what it is (enum), two of length, and its octets.
// What belongs to a flow gets the flow's addresses, ports and ids, so that the rest meets a match.
#include "../path/pair.h"
#include "fuzz.h"

#include <netinet/in.h>
#include <sluice/proto/bytes.h>
#include <stdlib.h>
#include <string.h>

enum {
	FROM_HOST = 0x01, // else from the client; a record comes from that side's end of the tunnel
	FLOW = 0x06, // 0: of none; else 1 + which of the flows that stand
	ERROR = 0x08, // an ICMP error, which quotes a packet of the flow
	RECORD = 0x10, // the plaintext of a datagram
	SUMMED = 0x20, // lengths and checksums are made right
	RUN = 0x40, // else it is of one burst with the next
	LATER = 0x80, // 50 ms pass
};

#define NB_FLOWS    3u // TCP, UDP, echo
#define OPS_MAX     32u
#define WORLD_MAX   800u // inputs in one world: its keys live for 120 s
#define FRESH_EVERY 8u // inputs, then flows that may have been ended are opened again
#define PACKET_MAX  1500u

struct standing {
	uint8_t protocol;
	uint16_t client_port, service, nat_port; // of an echo the identifiers
	uint32_t ids[2]; // at the PoP, at the connector
	uint8_t generations[2];
};

static struct {
	bool is_up;
	unsigned nb_inputs;
	uint16_t port;
	rte_be32_t git;
	struct standing flows[NB_FLOWS];
} world;

#ifdef SL_FUZZING
// What fails outside of a test is a crash.
CU_BOOL
CU_assertImplementation(
	CU_BOOL is_true,
	unsigned int line,
	const char *what,
	const char *file,
	const char *function,
	CU_BOOL is_fatal
)
{
	(void)function, (void)is_fatal;
	if (is_true)
		return CU_TRUE;
	fprintf(stderr, "%s:%u: %s\n", file, line, what);
	abort();
}
#endif

// ---- Making octets belong to a flow ------------------------------------------------------------

// The packet `p` becomes one of flow `f` as the client's or the host's side sees it, from there or to
// there. What the flow does not determine stays.
static void
adopt(uint8_t *p, size_t nb_bytes, const struct standing *f, bool is_host, bool is_toward)
{
	rte_be32_t here = packet_ip(is_host ? HOST : CLIENT);
	rte_be32_t there = is_host ? packet_ip(CONN_INNER) : world.git;
	uint16_t own = is_host ? f->service : f->client_port;
	uint16_t other = is_host ? f->nat_port : f->service;
	struct rte_ipv4_hdr *ip = (void *)p;

	if (nb_bytes < sizeof(*ip))
		return;
	ip->src_addr = is_toward ? there : here;
	ip->dst_addr = is_toward ? here : there;
	ip->next_proto_id = f->protocol;
	if (nb_bytes < sizeof(*ip) + 8 || (ip->fragment_offset & RTE_BE16(0x1fff)) != 0)
		return;
	p += sizeof(*ip);
	if (f->protocol == IPPROTO_ICMP) {
		sl_put16(p + 4, is_host ? f->nat_port : f->client_port);
		return;
	}
	sl_put16(p, is_toward ? other : own);
	sl_put16(p + 2, is_toward ? own : other);
	if (f->protocol == IPPROTO_TCP) // about where the conversation is
		sl_put32(p + 4, (is_host != is_toward ? 5000 : 1000) + sl_get32(p + 4) % 4096);
}

static void
adopt_record(uint8_t *p, size_t nb_bytes, const struct standing *f, bool is_from_host)
{
	bool to_connector = !is_from_host;

	if (nb_bytes < 8)
		return;
	p[3] = f->generations[to_connector];
	sl_put32(p + 4, f->ids[to_connector]);
}

static void
make_right(uint8_t *p, size_t nb_bytes)
{
	struct rte_ipv4_hdr *ip = (void *)p;
	size_t l4_bytes = nb_bytes - sizeof(*ip);
	uint16_t *sum = NULL;
	uint8_t *l4 = p + sizeof(*ip);

	if (nb_bytes < sizeof(*ip))
		return;
	ip->version_ihl = RTE_IPV4_VHL_DEF;
	ip->total_length = rte_cpu_to_be_16((uint16_t)nb_bytes);
	ip->hdr_checksum = 0;
	ip->hdr_checksum = (uint16_t)~rte_raw_cksum(ip, sizeof(*ip));
	if ((ip->fragment_offset & RTE_BE16(0x3fff)) != 0 || l4_bytes < 8)
		return;
	if (ip->next_proto_id == IPPROTO_TCP && l4_bytes >= 20)
		sum = (void *)(l4 + 16);
	else if (ip->next_proto_id == IPPROTO_UDP)
		sum = (void *)(l4 + 6);
	else if (ip->next_proto_id == IPPROTO_ICMP)
		sum = (void *)(l4 + 2);
	if (sum == NULL)
		return;
	*sum = 0;
	*sum = ip->next_proto_id == IPPROTO_ICMP ? (uint16_t)~rte_raw_cksum(l4, l4_bytes)
						 : rte_ipv4_udptcp_cksum(ip, l4);
}

// ---- The world ---------------------------------------------------------------------------------

static bool
is_of(const struct sl_flow *f, const struct standing *s, bool at_connector)
{
	uint16_t source = at_connector ? s->service : s->client_port;
	uint16_t destination = at_connector ? s->nat_port : s->service;

	if (s->protocol == IPPROTO_ICMP) {
		source = at_connector ? 0 : s->client_port;
		destination = at_connector ? s->nat_port : 0;
	}
	return f->kind == (at_connector ? SL_FLOW_HOST : SL_FLOW_CLIENT) &&
		(uint8_t)f->key.scope_protocol == s->protocol &&
		f->key.source_port_be == rte_cpu_to_be_16(source) &&
		f->key.destination_port_be == rte_cpu_to_be_16(destination);
}

static void
find_ids(struct standing *s, struct path_node *node, bool at_connector)
{
	for (unsigned k = 0; k < PATH_WORKERS; k++) {
		struct sl_flow_table *t = sl_dp_worker(path_dp(node), k)->flows;

		for (uint32_t i = 0; i < t->nb_flows; i++) {
			const struct sl_flow *f = sl_flow_at(t, i);

			if (!is_of(f, s, at_connector))
				continue;
			s->ids[at_connector] = sl_flow_id(t, i);
			s->generations[at_connector] = f->link.own_generation;
		}
	}
}

// The client's first packet and the host's answer.
static void
open_flow(struct standing *f, uint8_t protocol)
{
	static struct pair_packet seen;
	uint8_t p[60] = { 0x45 };

	*f = (struct standing){ .protocol = protocol,
				.client_port = ++world.port,
				.service = protocol == IPPROTO_TCP ? 80 : 5000 };
	for (unsigned is_host = 0; is_host < 2; is_host++) {
		adopt(p, sizeof(p), f, is_host, false);
		p[8] = 64;
		if (protocol == IPPROTO_TCP) {
			p[20 + 12] = 0x50;
			p[20 + 13] = is_host ? 0x12 : 0x02;
			if (is_host)
				sl_put32(p + 20 + 8, 1001);
		} else if (protocol == IPPROTO_UDP) {
			sl_put16(p + 24, sizeof(p) - 20);
		} else {
			p[20] = is_host ? 0 : 8;
		}
		make_right(p, sizeof(p));
		(is_host ? pair_host_raw : pair_client_raw)(p, sizeof(p));
		path_run();
		if (!is_host && pair_host_take(&seen))
			f->nat_port = sl_get16(
				(const uint8_t *)seen.l4 + (protocol == IPPROTO_ICMP ? 4 : 0)
			);
	}
	find_ids(f, pair.pop, false);
	find_ids(f, pair.connector, true);
	while (pair_host_take(&seen) || pair_client_take(&seen))
		;
}

static void
hold_promises(void)
{
	CU_ASSERT_EQUAL(pair_drops(pair.pop, "client_output_leak"), 0);
	CU_ASSERT_EQUAL(pair_drops(pair.pop, "handover_twice"), 0);
	CU_ASSERT_EQUAL(pair_drops(pair.connector, "handover_twice"), 0);
}

static void
end_world(void)
{
	pair.may_leak = true; // a host may say of itself what it likes; hold_promises() looks
	pair_end("walk");
	world.is_up = false;
}

static void
be_ready(void)
{
	static const uint8_t protocols[NB_FLOWS] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP };
	static bool has_eal;

	if (!has_eal && path_setup() != 0)
		abort();
	has_eal = true;
	if (world.is_up && world.nb_inputs == WORLD_MAX)
		end_world();
	if (!world.is_up) {
		pair_begin(&(struct pair_conf){ .nb_flows = 4096 });
		world.is_up = true;
		world.nb_inputs = 0;
		world.port = 1000;
		world.git = packet_ip(pair_resolve(GIT));
	}
	if (world.nb_inputs++ % FRESH_EVERY != 0)
		return;
	hold_promises();
	for (unsigned i = 0; i < NB_FLOWS; i++)
		open_flow(&world.flows[i], protocols[i]);
	if (world.nb_inputs == 1) {
		CU_ASSERT_EQUAL(pair_flows(pair.pop), NB_FLOWS);
		CU_ASSERT(world.flows[0].nat_port != 0 && world.flows[1].nat_port != 0);
		CU_ASSERT(world.flows[0].generations[1] != 0 && world.flows[2].generations[0] != 0);
	}
}

// ---- One input ---------------------------------------------------------------------------------

static void
send_record(const uint8_t *p, size_t nb_bytes, bool is_from_host)
{
	struct sl_dp *dp = path_dp(is_from_host ? pair.connector : pair.pop);
	struct rte_mbuf *m = sl_dp_alloc_mbuf(dp);

	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	memcpy(rte_pktmbuf_append(m, (uint16_t)nb_bytes), p, nb_bytes);
	sl_meta(m)->stage = SL_STAGE_PROBE;
	CU_ASSERT_EQUAL_FATAL(sl_dp_send_mbuf(dp, 0, m), 0);
}

static void
play(uint8_t what, const uint8_t *data, size_t nb_bytes)
{
	unsigned which = (what & FLOW) / 2;
	const struct standing *f = which == 0 ? NULL : &world.flows[which - 1];
	bool is_host = (what & FROM_HOST) != 0;
	uint8_t p[PACKET_MAX];

	memcpy(p, data, nb_bytes);
	if ((what & RECORD) != 0) {
		if (f != NULL)
			adopt_record(p, nb_bytes, f, is_host);
		if (nb_bytes != 0 && nb_bytes <= 1400)
			send_record(p, nb_bytes, is_host);
	} else {
		if (f != NULL)
			adopt(p, nb_bytes, f, is_host, false);
		if (f != NULL && (what & ERROR) != 0 && nb_bytes > 48) {
			p[9] = IPPROTO_ICMP;
			adopt(p + 28, nb_bytes - 28, f, is_host, true);
		}
		if ((what & SUMMED) != 0)
			make_right(p, nb_bytes);
		(is_host ? pair_host_raw : pair_client_raw)(p, nb_bytes);
	}
	if ((what & RUN) != 0)
		path_run();
	if ((what & LATER) != 0)
		path_pass_ms(50);
}

// The last world stands until the process ends, and DPDK's memory, which leads to what it holds, is not looked
// through for pointers. Lost buffers are counted at the end of each world.
int __lsan_is_turned_off(void);
int
__lsan_is_turned_off(void)
{
	return 1;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t nb_bytes)
{
	be_ready();
	pair.is_noisy = true;
	for (unsigned op = 0; op < OPS_MAX && nb_bytes >= 3; op++) {
		size_t nb = sl_get16(data + 1);

		nb = nb > nb_bytes - 3 ? nb_bytes - 3 : nb;
		nb = nb > PACKET_MAX ? PACKET_MAX : nb;
		play(data[0], data + 3, nb);
		data += 3 + nb;
		nb_bytes -= 3 + nb;
	}
	path_run();
	path_pass_ms(50);
	pair.is_noisy = false;
	return 0;
}
