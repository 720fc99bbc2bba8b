// traffic: the frames benches send and what they must have become. Flow f of a world is UDP from
// client f mod C to the service port of one of the names; payloads say which flow and packet they are.
#pragma once

#include "world.h"

#define BENCH_FRAME_MAX 1518u
#define BENCH_FCS_BYTES 4u // counted in a frame's length, as line rates do; not in the buffer

// Where in the world a flow runs.
struct bench_flow {
	uint32_t client, name;
	uint16_t client_port;
};
struct bench_flow bench_flow_of(const struct bench_size *size, uint32_t flow);

// Write a frame of `frame_bytes` (FCS counted, not written) into `to`; returns the octets written.
unsigned bench_put_client_frame(
	const struct bench_world *w, uint32_t flow, uint32_t tag, unsigned frame_bytes, uint8_t *to
);
// The host's answer, to the port the connector speaks from.
unsigned bench_put_host_frame(
	const struct bench_world *w,
	uint32_t flow,
	uint16_t nat_port,
	uint32_t tag,
	unsigned frame_bytes,
	uint8_t *to
);
// A client's query for the A record of a name, with EDNS.
unsigned bench_put_query_frame(
	const struct bench_world *w, uint32_t client, uint32_t name, uint32_t tag, uint8_t *to
);

// Is this exactly what the packet has to be when it reaches the private host? `nat_port` becomes the
// port it comes from, `flow` whose it is, `tag` which.
bool bench_check_at_host(
	const struct bench_world *w,
	struct rte_mbuf *m,
	unsigned frame_bytes,
	uint32_t *flow,
	uint16_t *nat_port
);
// The same for the answer when it reaches the client.
bool bench_check_at_client(
	const struct bench_world *w, struct rte_mbuf *m, unsigned frame_bytes, uint32_t *flow
);
// The answer to bench_put_query_frame(): one A record with the assigned address.
bool bench_check_answer(const struct bench_world *w, struct rte_mbuf *m);
