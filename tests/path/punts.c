// UDP to ourselves: what of it goes to the session thread, and how much of it at once.
#include "harness.h"
#include "packet.h"
#include "sl_test.h"

#include <netinet/in.h>
#include <string.h>

#define SELF "10.0.0.1"

static struct sl_net
one_port(void)
{
	return (struct sl_net){
		.nb_ports = 1,
		.ports = { { .name = "p0", .address = packet_ip(SELF), .prefix_bits = 24 } },
	};
}

static struct packet_spec
udp_to(const struct path_node *n)
{
	return (struct packet_spec){
		.to = path_mac(n, 0),
		.from = "02:aa:00:00:00:02",
		.source = "10.0.0.2",
		.destination = SELF,
		.protocol = IPPROTO_UDP,
		.source_port = 77,
	};
}

static void
test_udp_sorting(void)
{
	static const struct {
		const char *sentence;
		uint16_t port;
		uint8_t type;
		uint8_t spoil; // added to the checksum
		bool is_punted;
		const char *drop;
	} rows[] = {
		{ "a handshake on the tunnel port", 4500, 5, 0, true, NULL },
		{ "a cookie reply on the tunnel port", 4500, 7, 0, true, NULL },
		{ "type 9 on the tunnel port", 4500, 9, 0, false, "udp_input_unknown_type" },
		{ "WireGuard's type 1 on the tunnel port",
		  4500,
		  1,
		  0,
		  false,
		  "udp_input_unknown_type" },
		{ "type 1 on the WireGuard port", 51820, 1, 0, true, NULL },
		{ "type 5 on the WireGuard port", 51820, 5, 0, false, "udp_input_unknown_type" },
		{ "a wrong checksum", 4500, 5, 1, false, "udp_input_checksum" },
	};
	struct sl_net net = one_port();
	struct path_node *n;
	uint8_t frame[PATH_FRAME_BYTES];

	net.tunnel_port_first = 4500;
	net.tunnel_port_last = 4503;
	net.wireguard_port = 51820;
	n = path_add("udp", SL_DP_POP, &net, NULL, 0);
	for (unsigned i = 0; i < RTE_DIM(rows); i++) {
		uint8_t payload[40] = { rows[i].type };
		struct packet_spec spec = udp_to(n);
		struct rte_mbuf *m;
		size_t len;

		spec.destination_port = rows[i].port;
		spec.payload = payload;
		spec.payload_bytes = sizeof(payload);
		len = packet_build(frame, sizeof(frame), &spec);
		frame[len - 1] = (uint8_t)(frame[len - 1] + rows[i].spoil);
		path_send(n, 0, frame, len);
		path_run();
		m = path_take_punt(n);
		SL_ASSERT_ROW((m != NULL) == rows[i].is_punted, rows[i].sentence);
		if (m != NULL) {
			SL_ASSERT_ROW(sl_meta(m)->punt == SL_PUNT_HANDSHAKE, rows[i].sentence);
			SL_ASSERT_ROW(m->data_len == len - 14, rows[i].sentence);
			rte_pktmbuf_free(m);
		}
		if (rows[i].drop != NULL)
			SL_ASSERT_ROW(path_drops(n, rows[i].drop) != 0, rows[i].sentence);
	}
	path_end("udp sorting");
}

// A flood of what anybody may send leaves half of the way to the session thread to others.
static void
test_punt_crowd(void)
{
	uint8_t frame[PATH_FRAME_BYTES], payload[40] = { 1 };
	struct sl_net net = one_port();
	struct packet_spec spec;
	struct path_node *n;
	struct rte_mbuf *m;
	unsigned nb = 0;
	size_t len;

	net.wireguard_port = 51820;
	n = path_add("crowd", SL_DP_POP, &net, NULL, 0);
	spec = udp_to(n);
	spec.destination_port = 51820;
	spec.payload = payload;
	spec.payload_bytes = sizeof(payload);
	len = packet_build(frame, sizeof(frame), &spec);
	path_arrive(n, 0, PATH_WORKER_0);
	for (unsigned i = 0; i < 1500; i++) {
		path_send(n, 0, frame, len);
		if (i % 100 == 99)
			path_run();
	}
	CU_ASSERT_EQUAL(path_drops(n, "punt_full"), 0);
	while ((m = path_take_punt(n)) != NULL) {
		rte_pktmbuf_free(m);
		nb++;
	}
	CU_ASSERT(nb >= 500 && nb <= 512); // of 1,023
	CU_ASSERT_EQUAL(path_drops(n, "punt_crowd"), 1500 - nb);
	path_end("punt crowd");
}

static const struct sl_test_case cases[] = {
	{ "link: UDP to us is sorted into tunnel, handshakes and the rest", test_udp_sorting },
	{ "C4: a flood of handshakes leaves half of the way to the session thread to who is known",
	  test_punt_crowd },
};

int
main(int argc, char **argv)
{
	return sl_test_main(argc, argv, cases, RTE_DIM(cases), path_setup, path_teardown);
}
