// load: a load generator on the far side of two ports. On the one it is the clients: thousands of
// addresses that ask DNS and send UDP to assigned addresses. On the other it is the private network:
// the DNS server that knows the names and the hosts behind them, which send every datagram back.
// What comes back is compared with what was sent; a wrong octet is a fault and not a figure.
#pragma once

#include <rte_ether.h>
#include <rte_mbuf.h>

#include <kit.h>
#include <stdbool.h>
#include <stdint.h>

#define LOAD_BURST       32u
#define LOAD_PENDING     256u // packets a port holds back when its ring is full
#define LOAD_CLIENT_BASE 0x0a400000u // 10.64.0.0: clients, behind 10.63.0.2
#define LOAD_HOST_BASE   0x0a1e0000u // 10.30.0.0: private hosts, behind 10.20.0.1
#define LOAD_ROUTER      0x0a3f0002u // 10.63.0.2: us, on the clients' side
#define LOAD_POP         0x0a3f0001u // 10.63.0.1
#define LOAD_LAN         0x0a140001u // 10.20.0.1: us, on the private side
#define LOAD_CONNECTOR   0x0a140002u // 10.20.0.2
#define LOAD_PRIVATE_DNS 0x0a140035u // 10.20.0.53
#define LOAD_RESOLVER    0x645f00fbu // 100.95.0.251
#define LOAD_POOL        0x64600000u // 100.96.0.0/12
#define LOAD_POOL_MASK   0xfff00000u
#define LOAD_MAX_NAMES   60000u
#define LOAD_SLOTS       (1u << 20) // questions under way
#define LOAD_TALK_PORT   9000u

// Latencies in TSC cycles, in buckets that are 1/64 wide of what they hold.
#define LOAD_HIST_BUCKETS (64u * 40u)
struct load_hist {
	uint64_t counts[LOAD_HIST_BUCKETS];
	uint64_t nb, max;
};

void load_hist_add(struct load_hist *h, uint64_t cycles);
// The upper end of the bucket that holds the `share` quantile (0 to 1); 0 when empty.
uint64_t load_hist_at(const struct load_hist *h, double share);

struct load_port {
	uint16_t ethdev;
	bool is_there, knows_gateway;
	struct rte_ether_addr mac, gateway_mac;
	uint32_t own, gateway; // host order
	struct rte_mbuf *pending[LOAD_PENDING];
	unsigned nb_pending;
};

// A question under way.
struct load_slot {
	uint64_t sent_tsc;
	uint32_t client, name;
	uint8_t trial;
	bool is_waiting;
};

struct load_flow {
	uint32_t client, name;
	uint32_t seq, seen; // of what was sent last, and of what came back last
	uint16_t port;
};

struct load_trial {
	double rate_pps, seconds; // wanted; 0: as fast as the window allows
	uint64_t nb_sent, nb_answered, nb_late, nb_reordered, nb_wrong, nb_refused;
	double took_s;
	struct load_hist latency;
};

enum load_what { LOAD_DNS, LOAD_FLOWS, LOAD_BOTH, LOAD_NEW, LOAD_WIREGUARD };

struct load_options {
	const char *client_device, *private_device, *pop_key;
	enum load_what what;
	unsigned nb_clients, nb_names, nb_flows, frame_bytes, window;
	double rate_pps, seconds;
	bool is_search, is_json;
	unsigned core, memory_mb;
};

struct load {
	struct load_options o;
	struct load_port clients, lan;
	struct rte_mempool *pool;
	struct load_trial *trial; // the one that runs
	uint8_t trial_id;
	uint64_t random;
	uint64_t hz;
	uint64_t nb_made; // of all trials: picks slots and new flows
	uint32_t *addresses; // of names, host order; 0: not known
	struct load_slot *slots;
	struct load_flow *flows;
	uint32_t *order, nb_order, at; // flows in random order
};

// ports.c
void load_ports_start(struct load *l);
void load_ports_stop(struct load *l);
unsigned load_port_poll(struct load_port *p, struct rte_mbuf **m);
// Takes the packet; false: the ring is full and so is what we hold back, the packet is freed.
bool load_port_send(struct load_port *p, struct rte_mbuf *m);
void load_port_flush(struct load_port *p);
bool load_port_is_full(const struct load_port *p);
void load_port_ask_gateway(struct load *l, struct load_port *p);
// Answers ARP; true when the packet was ARP, which it then has freed.
bool load_port_arp(struct load_port *p, struct rte_mbuf *m);

// frame.c: IPv4 and UDP
struct load_udp {
	uint32_t from, to; // host order
	uint16_t from_port, to_port;
	uint8_t *payload;
	unsigned payload_bytes;
};

// A whole frame of the port, with checksums; copies the payload. NULL: no buffer.
struct rte_mbuf *load_udp_make(struct load *l, const struct load_port *p, const struct load_udp *u);
// False unless it is a sound UDP packet with right checksums.
bool load_udp_parse(struct rte_mbuf *m, struct load_udp *u);

// ask.c: questions
struct rte_mbuf *load_ask_make(struct load *l, uint32_t client, uint32_t name);
struct rte_mbuf *load_ask_next(struct load *l);
void load_ask_take(struct load *l, const struct load_udp *u);
// As the private DNS server: writes the answer over the question; octets, 0: none.
unsigned load_ask_serve(struct load *l, uint8_t *message, unsigned nb_bytes, unsigned room);

// talk.c: datagrams of flows
void load_talk_create(struct load *l);
struct rte_mbuf *load_talk_next(struct load *l);
struct rte_mbuf *load_talk_new(struct load *l);
void load_talk_take(struct load *l, const struct load_udp *u);
// As a private host: false when it must not be answered.
bool load_talk_serve(struct load *l, const struct load_udp *u);

// trial.c
// Learn the addresses of all names; exits with a sentence when that fails.
void load_learn(struct load *l);
// Send one packet of every flow and see it back; exits with a sentence when that fails.
void load_open(struct load *l);
void load_run(struct load *l, struct load_trial *t);

// wireguard.c
// Public keys of the first `nb` devices, one a line.
void load_wireguard_print(unsigned nb);
// Bring all devices up, have them send, and have them rekey; false after a wrong answer.
bool load_wireguard(struct load *l);
