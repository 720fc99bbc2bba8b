// What travels inside the tunnel: every datagram between PoP and connector is opened here with the
// receiver's own key and read record by record. None may name a client, an assigned address or a
// private one; what is carried of a packet begins behind its ports.
#include "pair.h"

#include <rte_udp.h>

#include <netinet/in.h>
#include <sluice/dp/crypto.h>
#include <sluice/proto/keypair.h>
#include <sluice/proto/record.h>
#include <stdlib.h>
#include <string.h>

#define CLIENT_PORT 33217u

static struct pair_packet p;
static struct sl_aead *engine;
static rte_be32_t assigned;
static unsigned nb_of[16]; // records by type
static unsigned nb_bad;

static bool
has(const uint8_t *at, size_t nb_bytes, rte_be32_t address)
{
	for (size_t i = 0; i + sizeof(address) <= nb_bytes; i++)
		if (memcmp(at + i, &address, sizeof(address)) == 0)
			return true;
	return false;
}

static bool
names_somebody(const uint8_t *at, size_t nb_bytes)
{
	static const char *const secrets[] = { CLIENT,     CLIENT_B, HOST,       HOST_2,
					       CONN_INNER, RESOLVER, PRIVATE_DNS };

	for (unsigned i = 0; i < RTE_DIM(secrets); i++)
		if (has(at, nb_bytes, packet_ip(secrets[i])))
			return true;
	return assigned != 0 && has(at, nb_bytes, assigned);
}

// What this test sends, without what is not carried: of TCP the ports, of UDP ports and length, of an
// echo type and code. With them it would be longer.
static bool
is_stripped(uint32_t nb_bytes)
{
	static const uint32_t lengths[] = { 20 - 4,    20 + 8 - 4, 20 + 6 - 4, // TCP
					    8 + 8 - 6, 8 + 4 - 6, // UDP
					    8 + 8 - 2 }; // echo

	for (unsigned i = 0; i < RTE_DIM(lengths); i++)
		if (nb_bytes == lengths[i])
			return true;
	return false;
}

static void
read_record(const struct sl_rec *rec)
{
	uint32_t nb_bytes = rec->nb_bytes;
	struct sl_open open;

	nb_of[rec->type & 15]++;
	if (rec->type == SL_RECORD_OPEN) {
		CU_ASSERT_EQUAL_FATAL(sl_open_parse(rec, &open), SL_BODY_OK);
		CU_ASSERT_EQUAL(open.destination_kind, SL_DESTINATION_NAME);
		CU_ASSERT_EQUAL(open.destination_bytes, strlen(GIT));
		nb_bytes = open.nb_transport_bytes;
		// The whole of it: fixed fields, name, transport octets.
		CU_ASSERT_EQUAL(
			rec->nb_bytes,
			sl_open_bytes(open.destination_bytes) + open.nb_transport_bytes
		);
	}
	if ((rec->type == SL_RECORD_OPEN || rec->type == SL_RECORD_DATA) && !is_stripped(nb_bytes))
		nb_bad++;
}

static bool
read_datagram(struct path_node *to, unsigned port, struct rte_mbuf *m)
{
	const struct sl_sessions *sessions = to == pair.pop ? &pair.pop_sessions
							    : &pair.connector_sessions;
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
	const size_t at = sizeof(struct rte_ether_hdr) + sizeof(struct rte_ipv4_hdr) +
		sizeof(struct rte_udp_hdr);
	const struct rte_ipv4_hdr *ip = (const void *)(frame + sizeof(struct rte_ether_hdr));
	uint8_t copy[PATH_FRAME_BYTES], head[16];
	struct sl_keypair *k;
	struct sl_rec rec;
	size_t nb, used = 0;

	(void)port;
	if (m->data_len < at + 32 || frame[12] != 8 || frame[13] != 0 ||
	    ip->next_proto_id != IPPROTO_UDP || frame[at] != SL_WIRE_DATA)
		return true;
	memcpy(head, frame + at, sizeof(head));
	nb = rte_be_to_cpu_16(ip->total_length) + sizeof(struct rte_ether_hdr) - at - 16;
	memcpy(copy, frame + at + 16, nb);
	nb -= SL_WIRE_TAG_BYTES;
	k = sl_sessions_keypair(sessions, sl_get32(head + 4));
	CU_ASSERT_PTR_NOT_NULL_FATAL(k);
	struct sl_aead_op op = { .key = sl_keypair_open_key(k),
				 .cipher = k->cipher,
				 .data = copy,
				 .tag = copy + nb,
				 .aad = head,
				 .nb_bytes = (uint32_t)nb,
				 .nb_aad_bytes = 16 };

	sl_keypair_nonce(op.nonce, sl_get16(head + 2), sl_get64(head + 8));
	engine->ops->open(engine, &op, 1);
	CU_ASSERT_TRUE_FATAL(op.authentic);
	nb_bad += names_somebody(copy, nb);
	for (size_t done = 0; done < nb; done += used) {
		CU_ASSERT_EQUAL_FATAL(sl_rec_parse(copy + done, nb - done, &rec, &used), SL_REC_OK);
		read_record(&rec);
	}
	return true;
}

static void
begin(void)
{
	memset(nb_of, 0, sizeof(nb_of));
	nb_bad = 0;
	assigned = 0;
	engine = sl_aead_create(SL_AEAD_BEST);
	CU_ASSERT_PTR_NOT_NULL_FATAL(engine);
	pair_begin(NULL);
	path_filter(read_datagram);
}

static void
end(const char *title)
{
	path_filter(NULL);
	pair_end(title);
	sl_aead_destroy(engine);
}

static void
unreachable(uint8_t code)
{
	uint8_t error[4 + 28] = { 0 };

	memcpy(error + 4, p.ip, sizeof(*p.ip));
	memcpy(error + 4 + sizeof(*p.ip), p.l4, 8);
	pair_host_send(&(struct packet_spec){ .source = HOST,
					      .protocol = IPPROTO_ICMP,
					      .payload = error + 4,
					      .payload_bytes = 28,
					      .icmp_type_code = (uint16_t)(3 << 8 | code) });
}

static void
test_records(void)
{
	struct packet_spec udp,
		echo = { .protocol = IPPROTO_ICMP,
			 .source_port = CLIENT_PORT,
			 .payload = "12345678",
			 .payload_bytes = 8 };
	struct pair_tcp t;
	const char *git;

	begin();
	git = pair_resolve(GIT);
	assigned = packet_ip(git);
	pair_tcp_open(&t, git, CLIENT_PORT, 80);
	for (unsigned i = 0; i < 5; i++) {
		pair_tcp_up(&t, RTE_TCP_ACK_FLAG, "question", 8);
		pair_tcp_down(&t, RTE_TCP_ACK_FLAG, "answer", 6);
	}
	udp = pair_udp_to(git, CLIENT_PORT, 5000, "datagram", 8);
	for (unsigned i = 0; i < 3; i++) {
		pair_client_send(&udp);
		CU_ASSERT_TRUE_FATAL(pair_host_take(&p));
	}
	pair_host_send(&(struct packet_spec){ .protocol = IPPROTO_UDP,
					      .source_port = 5000,
					      .destination_port = rte_be_to_cpu_16(p.udp->src_port),
					      .payload = "back",
					      .payload_bytes = 4 });
	CU_ASSERT_TRUE(pair_client_take(&p));
	echo.destination = git;
	pair_client_send(&echo);
	CU_ASSERT_TRUE_FATAL(pair_host_take(&p));
	// An error about a datagram, and what ends and keeps flows.
	pair_client_send(&udp);
	CU_ASSERT_TRUE_FATAL(pair_host_take(&p));
	unreachable(3);
	CU_ASSERT_TRUE(pair_client_take(&p));
	pair_pass_s(40);
	pair_tcp_up(&t, RTE_TCP_FIN_FLAG | RTE_TCP_ACK_FLAG, NULL, 0);
	pair_tcp_down(&t, RTE_TCP_FIN_FLAG | RTE_TCP_ACK_FLAG, NULL, 0);
	pair_tcp_up(&t, RTE_TCP_ACK_FLAG, NULL, 0);
	pair_pass_s(130);
	CU_ASSERT_EQUAL(nb_bad, 0);
	CU_ASSERT(
		nb_of[SL_RECORD_OPEN] >= 3 && nb_of[SL_RECORD_DATA] > 12 &&
		nb_of[SL_RECORD_ACCEPT] >= 3 && nb_of[SL_RECORD_CLOSE] >= 2 &&
		nb_of[SL_RECORD_ERROR] == 1 && nb_of[SL_RECORD_HEARTBEAT] > 100 &&
		nb_of[SL_RECORD_TICKET] >= 1
	);
	end("records");
}

// The reader is no blind one: what is no secret by the rule above, but is in a packet, it finds.
static void
test_reader(void)
{
	struct packet_spec udp;
	rte_be32_t found = packet_ip(HOST_2);

	begin();
	udp = pair_udp_to(pair_resolve(GIT), CLIENT_PORT, 5000, &found, sizeof(found));
	pair_client_send(&udp);
	CU_ASSERT_TRUE(pair_host_take(&p));
	CU_ASSERT(nb_bad >= 1);
	end("reader");
}

static const struct sl_test_case cases[] = {
	{ "B1: no record in the tunnel holds a client's, assigned or private address, or a "
	  "client's port",
	  test_records },
	{ "B1: an address in a record would be found, were it there", test_reader },
};

int
main(int argc, char **argv)
{
	return PAIR_MAIN(argc, argv, cases);
}
