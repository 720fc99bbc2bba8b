// pair: a PoP and a connector back to back in one process and in virtual time, with a client on one
// side and a private host and a private DNS server on the other, all played by the test.
//
//	pair_begin(NULL);
//	pair_client_send(&(struct packet_spec){ .destination = pair_resolve(GIT), ... });
//	pair_host_take(&p);          // what the private host received, checksums verified
//	pair_end("what this case is called");
//
// Every frame toward a client is searched for octets of the private network; pair_end() asserts that
// none was found, that no packet was handed over twice, and what path_end() asserts.
#pragma once

#include "harness.h"
#include "packet.h"
#include "sl_test.h"

#include <rte_icmp.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include <sluice/dns/addresses.h>
#include <sluice/dns/message.h>
#include <sluice/dns/policy.h>
#include <sluice/dp/flow_table.h>
#include <sluice/dp/session.h>

#define PAIR_LANES 4u

// Who is who.
#define CLIENT      "192.168.1.10" // group A
#define CLIENT_B    "192.168.1.11" // group B
#define STRANGER    "192.168.1.66" // no client
#define RESOLVER    "100.95.0.251"
#define POP_OUTER   "10.0.0.1"
#define CONN_OUTER  "10.0.0.2"
#define CONN_INNER  "10.77.83.1" // what private hosts see
#define HOST        "10.77.83.5" // git, web.dev, ...
#define HOST_2      "10.77.83.6"
#define PRIVATE_DNS "10.77.83.53"

// Names, and what the policy says of them.
#define GIT     "git.corp.example" // group A: TCP 22, 80 and 443, UDP 53 and 5000 to 5999, echo
#define NO_ECHO "web.corp.example" // group A: TCP 80
#define HIDDEN  "hidden.corp.example" // group B: everything
#define SILENT  "silent.corp.example" // group A: TCP 80; the rest is refused in silence
#define WILD    "www.dev.corp.example" // *.dev.corp.example, group A: everything
#define ALIAS   "code.corp.example" // another name of real.corp.example, group A
#define NOBODY  "nobody.corp.example" // group A: everything; the private DNS does not know it
#define IP_HOST "10.66.0.5" // of the prefix resource 10.66.0.0/24, group A: TCP 80
#define UNUSED  "100.100.1.1" // of the pool, nobody's

enum pair_dns_mode {
	PAIR_DNS_ANSWERS, // with HOST, but NXDOMAIN for NOBODY
	PAIR_DNS_SILENT,
	PAIR_DNS_LOOPBACK, // answers with 127.0.0.1
	PAIR_DNS_ABSENT, // with an address on the link that nobody has
	PAIR_DNS_FAR, // with one that no route leads to
};

struct pair {
	struct path_node *pop, *connector;
	struct sl_sessions pop_sessions, connector_sessions;
	struct sl_addresses *addresses;
	enum pair_dns_mode dns_mode;
	unsigned nb_dns_queries; // for names of clients that the private DNS server received
	char dns_name[1024]; // of the last
	char dns_source[16]; // where it came from
	uint32_t dns_ttl_s;
	const char *dns_answers[4]; // addresses it answers with; none: HOST
	unsigned nb_leaks; // frames toward a client with octets of the private network
	unsigned nb_to_client, nb_to_host; // frames
	bool may_leak; // a fault is injected on purpose
	bool is_noisy; // frames are altered on purpose: what arrives is counted and not looked at
	uint32_t generation;
	uint32_t narrowed; // resource of which policies to come grant the first range of TCP alone
};
extern struct pair pair;

// The main function of a program of these tests: frames arrive so at both instances, and the hot nodes are
// those of this CPU. A program is built for several such pairs; PAIR_MAIN takes the one of its build.
int pair_main(
	int argc,
	char **argv,
	const struct sl_test_case *cases,
	unsigned nb_cases,
	enum path_arrival arrival,
	const char *cpu
);
#define PAIR_MAIN(argc, argv, cases)                                                               \
	pair_main((argc), (argv), (cases), RTE_DIM(cases), PAIR_ARRIVAL, PAIR_CPU)

struct pair_conf {
	uint32_t nb_flows; // of the PoP; 0: 1024
	uint16_t underlay_mtu; // 0: 1500
	uint16_t inner_mtu; // between connector and hosts; 0: 1500
	uint16_t nat_low, nat_high; // 0: 20000 to 29999
	bool has_allow; // connector's list: git.corp.example TCP 22, 10.66.0.0/24 TCP 80
	bool is_chacha;
	bool serves_tcp; // DNS over TCP; the test is the stream thread
	bool no_tickets; // one end is of a version that does not know them
	bool searches_ports; // the connector looks for source ports that lead its lanes home
	bool no_df; // one end is of a version that does not know of DF
};

void pair_begin(const struct pair_conf *conf);
void pair_end(const char *title);

// A changed policy comes into force: without resource `id` (0: all of them), or with the group of
// resource `widened` extended to everybody.
void pair_policy(uint32_t without, uint32_t widened);

// Fresh keys on both sides, the ones before stay valid for opening.
void pair_rekey(void);
// The session breaks: the PoP (and the connector) have no key to seal with.
void pair_down(void);
// The PoP forgets all flows and comes back as a new incarnation, as after kill -9.
void pair_restart_pop(void);

// CLIENT's place is taken by another device.
void pair_replace_client(void);

// Time passes, with fresh keys as they are due.
void pair_pass_s(unsigned s);

struct pair_packet {
	uint8_t frame[PATH_FRAME_BYTES];
	size_t nb_bytes;
	const struct rte_ipv4_hdr *ip; // NULL: no packet, or a wrong one
	union {
		const void *l4;
		const struct rte_tcp_hdr *tcp;
		const struct rte_udp_hdr *udp;
		const struct rte_icmp_hdr *icmp;
	};
	const uint8_t *payload;
	size_t payload_bytes;
};

// Send from the client's or the host's side and run. The source is CLIENT or HOST unless given; the
// destination on the host's side is CONN_INNER.
void pair_client_send(const struct packet_spec *spec);
void pair_host_send(const struct packet_spec *spec);
// The same without running, so that several make one burst.
void pair_client_queue(const struct packet_spec *spec);
void pair_host_queue(const struct packet_spec *spec);

// The next packet for a client or for the host, whole checksums verified; false when there is none.
bool pair_client_take(struct pair_packet *p);
bool pair_host_take(struct pair_packet *p);

// An IPv4 packet of any size as it is, fragments too, from a client's or a host's side; the MAC
// addresses are CLIENT's and HOST's. Without running.
void pair_client_raw(const void *packet, size_t nb_bytes);
void pair_host_raw(const void *packet, size_t nb_bytes);

// The next packet toward a client or the host, put together from as many fragments as it came in:
// asserted to come in order, of one id, without DF, and to be right as a whole. Its length, 0 when
// there is none.
size_t pair_client_take_whole(uint8_t *packet, unsigned *nb_fragments);
size_t pair_host_take_whole(uint8_t *packet, unsigned *nb_fragments);

// Ask the PoP. Length of the DNS message that came back, 0 for none.
size_t pair_ask(
	const char *from,
	const char *name,
	uint16_t type,
	bool with_edns,
	struct pair_packet *answer
);
// The assigned address of a name, asked by CLIENT ("0.0.0.0" when there is none).
const char *pair_resolve(const char *name);

// A conversation by TCP, as far as the test has played it.
struct pair_tcp {
	const char *address; // destination the client uses
	uint16_t client_port, service, nat_port;
	uint32_t client_seq, host_seq; // next of each
};
// Play the three-way handshake, and assert each step of it.
void pair_tcp_open(struct pair_tcp *t, const char *address, uint16_t client_port, uint16_t service);
// A segment from one side, asserted to reach the other octet by octet.
void pair_tcp_up(struct pair_tcp *t, uint8_t flags, const void *data, size_t nb_bytes);
void pair_tcp_down(struct pair_tcp *t, uint8_t flags, const void *data, size_t nb_bytes);

// A segment of the client, or of the host, that the test expects nothing of.
void pair_tcp_send_up(const struct pair_tcp *t, const char *data);
void pair_tcp_send_down(const struct pair_tcp *t, const char *data);
// Is `p` the RST that the client (or the host) believes?
bool pair_is_reset(const struct pair_packet *p, const struct pair_tcp *t, bool is_to_host);
bool pair_is_error(const struct pair_packet *p, uint8_t type, uint8_t code);
// A datagram, to be sent or changed.
struct packet_spec pair_udp_to(
	const char *address,
	uint16_t client_port,
	uint16_t service,
	const void *data,
	size_t nb_bytes
);

unsigned pair_flows(struct path_node *node); // in use over all workers
uint64_t pair_drops(struct path_node *node, const char *reason);
// Tell what was dropped, for the eyes of whoever looks into a failure.
void pair_note_drops(void);
