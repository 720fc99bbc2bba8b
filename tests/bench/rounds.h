// rounds: packets round a world, every leg of the journey timed by itself: up through the PoP, out
// of the connector, back into it, down to the client. What one end makes is what the other is fed,
// so each end opens and checks what the other sealed.
#pragma once

#include "feed.h"
#include "kit.h"
#include "tap.h"
#include "world.h"

enum bench_leg {
	BENCH_POP_UP, // client_input .. tunnel_seal
	BENCH_CONNECTOR_OUT, // tunnel_open .. flow_originate
	BENCH_CONNECTOR_BACK, // flow_collect .. tunnel_seal
	BENCH_POP_DOWN, // tunnel_open .. flow_return
	BENCH_POP_NEW, // the first packet of a flow, at the PoP
	BENCH_CONNECTOR_NEW, // and at the connector
	BENCH_DNS, // a query and its answer
	BENCH_LEGS
};

#define BENCH_SAMPLES_MAX 512u
#define BENCH_RELOADS     5u // runs with one, and as many without

struct bench_leg_result {
	double samples[BENCH_SAMPLES_MAX]; // cycles per packet
	unsigned nb_samples;
	struct sl_bench_stat cycles, floor;
	double records_per_datagram; // NAN: no datagrams
	struct bench_profile profile;
};

struct bench_rounds {
	struct bench_world *world;
	struct bench_tap *tap;
	unsigned frame_bytes;
	unsigned burst_pkts;
	uint64_t random;
	uint32_t *order; // the flows (or names), shuffled
	uint32_t nb_order, up_at, back_at; // in `order`
	uint16_t *nat_ports; // by flow
	struct bench_frames in, out, mid, late;
	uint32_t nb_wrong; // packets that were not what they had to be
	uint32_t nb_expected, nb_seen;
	struct bench_leg_result legs[BENCH_LEGS];
};

struct bench_rounds *
bench_rounds_create(const struct bench_size *size, unsigned burst_pkts, uint32_t nb_order);
void bench_rounds_destroy(struct bench_rounds *r);

// Open all flows and use each once, so that both ends know both ids; fills the two "new" legs.
void bench_rounds_open(struct bench_rounds *r);

// Measure the four legs of flows that stand, for frames of this size.
void bench_rounds_measure(struct bench_rounds *r, unsigned frame_bytes, unsigned nb_repetitions);

// So many batches up and as many back, of flows in turn, not measured.
void bench_rounds_exchange(struct bench_rounds *r, unsigned nb_batches);

// Measure DNS answers; bench_rounds_create() with nb_order the number of names.
void bench_rounds_ask(struct bench_rounds *r, unsigned nb_repetitions);

// The longest walk of each end while packets of all flows go both ways and time passes: over the same
// run with and without a reload in it, in turn. The world is one that is kept.
struct bench_reload {
	double pop[2][BENCH_RELOADS], connector[2][BENCH_RELOADS]; // us; [1]: with a reload
};
void bench_rounds_reload(struct bench_rounds *r, struct bench_reload *result);

// Packets lost or wrong so far; says what on stderr. No figure is worth printing unless it is 0.
uint64_t bench_rounds_faults(const struct bench_rounds *r);
