#include "device.h"
#include "rounds.h"
#include "traffic.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FLOOR_REPETITIONS 40u
#define PROFILE_BATCHES   24u
#define SMALL_FRAME       64u

enum mode { MODE_TIMED, MODE_TAPPED, MODE_PROFILED, MODE_SILENT };

struct bench_rounds *
bench_rounds_create(const struct bench_size *size, unsigned burst_pkts, uint32_t nb_order)
{
	struct bench_rounds *r = sl_bench_memory(sizeof(*r));

	r->world = bench_world_create(size);
	r->tap = bench_tap_create();
	r->burst_pkts = burst_pkts;
	r->random = 88172645463325252u;
	r->nb_order = nb_order;
	r->order = sl_bench_memory(nb_order * sizeof(*r->order));
	r->nat_ports = sl_bench_memory(size->nb_flows * sizeof(*r->nat_ports));
	sl_bench_shuffle(r->order, nb_order, &r->random);
	// The way back runs half the set away, so that it does not find what the way up left in caches.
	r->back_at = nb_order / 2;
	return r;
}

void
bench_rounds_destroy(struct bench_rounds *r)
{
	bench_world_destroy(r->world);
	bench_tap_destroy(r->tap);
	free(r->nat_ports);
	free(r->order);
	free(r);
}

static uint32_t
next_of(const struct bench_rounds *r, uint32_t *at)
{
	uint32_t which = r->order[*at];

	*at = *at + 1 == r->nb_order ? 0 : *at + 1;
	return which;
}

// ---- One leg -----------------------------------------------------------------------------------

static void
finish_tapped(struct bench_rounds *r, struct bench_leg_result *leg, unsigned nb_pkts)
{
	leg->floor = (struct sl_bench_stat){ .min = 0, .median = 0 };
	leg->records_per_datagram = NAN;
	if (bench_tap_datagrams(r->tap) == 0)
		return;
	leg->floor = bench_tap_floor(r->tap, nb_pkts, FLOOR_REPETITIONS);
	leg->records_per_datagram = (double)nb_pkts / bench_tap_datagrams(r->tap);
}

// Run r->in through an end into r->out and keep what the mode is for.
static void
run_leg(struct bench_rounds *r,
	struct bench_end *end,
	enum bench_leg which,
	enum mode mode,
	unsigned nb_pkts)
{
	struct bench_leg_result *leg = &r->legs[which];
	struct sl_aead *engine = end->worker->aead;
	double cycles;

	switch (mode) {
	case MODE_TIMED:
		cycles = (double)bench_run(end, &r->in, &r->out) / nb_pkts;
		if (leg->nb_samples < BENCH_SAMPLES_MAX)
			leg->samples[leg->nb_samples++] = cycles;
		break;
	case MODE_TAPPED:
		end->worker->aead = bench_tap_begin(r->tap, engine);
		bench_run(end, &r->in, &r->out);
		end->worker->aead = engine;
		finish_tapped(r, leg, nb_pkts);
		break;
	case MODE_PROFILED:
		bench_run_profiled(end, &r->in, &r->out, nb_pkts, &leg->profile);
		break;
	case MODE_SILENT:
	default:
		bench_run(end, &r->in, &r->out);
		break;
	}
}

// Carry what left one end by `port` to the other, which receives it at `far`; the rest to `late`.
static void
carry(struct bench_rounds *r, uint16_t port, struct bench_end *to, uint16_t far)
{
	unsigned at = 0;

	bench_frames_clear(&r->in);
	bench_frames_clear(&r->late);
	for (unsigned b = 0; b < r->out.nb_bursts; b++) {
		for (; at < r->out.end[b]; at++) {
			struct rte_mbuf *m = r->out.m[at];

			if (m->port != port) {
				bench_frames_add(&r->late, m);
				continue;
			}
			bench_frames_add(
				&r->in,
				bench_frame(to, far, rte_pktmbuf_mtod(m, void *), m->data_len)
			);
			rte_pktmbuf_free(m);
		}
		bench_frames_end_burst(&r->in);
	}
	bench_frames_clear(&r->out);
}

static void
check_at_host(struct bench_rounds *r, struct bench_frames *frames)
{
	for (unsigned i = 0; i < frames->nb; i++) {
		uint32_t flow;
		uint16_t nat_port;

		r->nb_seen++;
		if (bench_check_at_host(r->world, frames->m[i], r->frame_bytes, &flow, &nat_port))
			r->nat_ports[flow] = nat_port;
		else
			r->nb_wrong++;
	}
	bench_frames_free(frames);
}

static void
check_at_client(struct bench_rounds *r, struct bench_frames *frames)
{
	for (unsigned i = 0; i < frames->nb; i++) {
		uint32_t flow;

		r->nb_seen++;
		if (r->world->size.is_wireguard && !bench_device_unwrap(r->world, frames->m[i])) {
			r->nb_wrong++;
			continue;
		}
		r->nb_wrong += !bench_check_at_client(
			r->world, frames->m[i], r->frame_bytes, &flow
		);
	}
	bench_frames_free(frames);
}

static void
end_burst_at(struct bench_rounds *r, unsigned nb_done)
{
	if (nb_done % r->burst_pkts == 0)
		bench_frames_end_burst(&r->in);
}

static void
fill_up(struct bench_rounds *r, unsigned nb_pkts)
{
	uint8_t frame[BENCH_FRAME_MAX];

	bench_frames_clear(&r->in);
	for (unsigned i = 0; i < nb_pkts; i++) {
		uint32_t flow = next_of(r, &r->up_at);
		unsigned n = bench_put_client_frame(r->world, flow, i, r->frame_bytes, frame);

		if (r->world->size.is_wireguard)
			n = bench_device_wrap(
				r->world, bench_flow_of(&r->world->size, flow).client, frame, n
			);
		bench_frames_add(&r->in, bench_frame(&r->world->pop, BENCH_POP_ACCESS, frame, n));
		end_burst_at(r, i + 1);
	}
	if (nb_pkts % r->burst_pkts != 0)
		bench_frames_end_burst(&r->in);
	r->nb_expected += nb_pkts;
}

static void
fill_back(struct bench_rounds *r, unsigned nb_pkts)
{
	uint8_t frame[BENCH_FRAME_MAX];

	bench_frames_clear(&r->in);
	for (unsigned i = 0; i < nb_pkts; i++) {
		uint32_t flow = next_of(r, &r->back_at);
		unsigned n = bench_put_host_frame(
			r->world, flow, r->nat_ports[flow], i, r->frame_bytes, frame
		);

		bench_frames_add(
			&r->in, bench_frame(&r->world->connector, BENCH_HOST_PRIVATE, frame, n)
		);
		end_burst_at(r, i + 1);
	}
	r->nb_expected += nb_pkts;
}

// ---- Rounds ------------------------------------------------------------------------------------

static void
round_up(struct bench_rounds *r, enum mode mode, unsigned nb_pkts)
{
	fill_up(r, nb_pkts);
	run_leg(r, &r->world->pop, BENCH_POP_UP, mode, nb_pkts);
	carry(r, BENCH_POP_UNDERLAY, &r->world->connector, BENCH_HOST_UNDERLAY);
	run_leg(r, &r->world->connector, BENCH_CONNECTOR_OUT, mode, nb_pkts);
	check_at_host(r, &r->out);
}

static void
round_back(struct bench_rounds *r, enum mode mode)
{
	fill_back(r, BENCH_BATCH_PKTS);
	run_leg(r, &r->world->connector, BENCH_CONNECTOR_BACK, mode, BENCH_BATCH_PKTS);
	carry(r, BENCH_HOST_UNDERLAY, &r->world->pop, BENCH_POP_UNDERLAY);
	run_leg(r, &r->world->pop, BENCH_POP_DOWN, mode, BENCH_BATCH_PKTS);
	check_at_client(r, &r->out);
}

// The first packet of each flow: OPEN up, the packet out, ACCEPT back.
static void
round_open(struct bench_rounds *r, enum mode mode, unsigned nb_pkts)
{
	fill_up(r, nb_pkts);
	run_leg(r, &r->world->pop, BENCH_POP_NEW, mode, nb_pkts);
	carry(r, BENCH_POP_UNDERLAY, &r->world->connector, BENCH_HOST_UNDERLAY);
	run_leg(r, &r->world->connector, BENCH_CONNECTOR_NEW, mode, nb_pkts);
	carry(r, BENCH_HOST_UNDERLAY, &r->world->pop, BENCH_POP_UNDERLAY);
	bench_run(&r->world->pop, &r->in, &r->out);
	bench_frames_free(&r->out);
	check_at_host(r, &r->late);
}

static void
close_leg(struct bench_leg_result *leg)
{
	if (leg->nb_samples != 0)
		leg->cycles = sl_bench_stat(leg->samples, leg->nb_samples);
	leg->nb_samples = 0;
}

void
bench_rounds_open(struct bench_rounds *r)
{
	// Small enough that a table of 10,000 gives some samples; the fuller half of the table counts.
	const unsigned nb = 1024;
	uint32_t left = r->nb_order;

	r->frame_bytes = SMALL_FRAME;
	while (left != 0) {
		unsigned now = left < nb ? left : nb;
		bool is_late = left <= r->nb_order / 2 && now == nb;
		enum mode mode = is_late ? MODE_TIMED : MODE_SILENT;

		if (is_late && left < 2 * nb)
			mode = MODE_PROFILED;
		else if (is_late && left < 3 * nb)
			mode = MODE_TAPPED;
		round_open(r, mode, now);
		left -= now;
	}
	close_leg(&r->legs[BENCH_POP_NEW]);
	close_leg(&r->legs[BENCH_CONNECTOR_NEW]);
	for (left = r->nb_order; left != 0;) {
		unsigned now = left < BENCH_BATCH_PKTS ? left : BENCH_BATCH_PKTS;

		round_up(r, MODE_SILENT, now);
		left -= now;
	}
}

void
bench_rounds_measure(struct bench_rounds *r, unsigned frame_bytes, unsigned nb_repetitions)
{
	r->frame_bytes = frame_bytes;
	for (enum bench_leg leg = BENCH_POP_UP; leg <= BENCH_POP_DOWN; leg++)
		r->legs[leg].profile.nb = 0;
	for (unsigned i = 0; i < nb_repetitions; i++) {
		round_up(r, MODE_TIMED, BENCH_BATCH_PKTS);
		round_back(r, MODE_TIMED);
	}
	round_up(r, MODE_TAPPED, BENCH_BATCH_PKTS);
	round_back(r, MODE_TAPPED);
	for (unsigned i = 0; i < PROFILE_BATCHES; i++) {
		round_up(r, MODE_PROFILED, BENCH_BATCH_PKTS);
		round_back(r, MODE_PROFILED);
	}
	for (enum bench_leg leg = BENCH_POP_UP; leg <= BENCH_POP_DOWN; leg++)
		close_leg(&r->legs[leg]);
}

void
bench_rounds_exchange(struct bench_rounds *r, unsigned nb_batches)
{
	for (unsigned i = 0; i < nb_batches; i++) {
		round_up(r, MODE_SILENT, BENCH_BATCH_PKTS);
		round_back(r, MODE_SILENT);
	}
}

static void
round_ask(struct bench_rounds *r, enum mode mode)
{
	uint8_t frame[BENCH_FRAME_MAX];
	unsigned nb_bytes = 0;

	bench_frames_clear(&r->in);
	for (unsigned i = 0; i < BENCH_BATCH_PKTS; i++) {
		uint32_t client = (uint32_t
		)(sl_bench_random(&r->random) % r->world->size.nb_clients);
		unsigned n = bench_put_query_frame(
			r->world, client, next_of(r, &r->up_at), i, frame
		);

		nb_bytes += n + BENCH_FCS_BYTES;
		bench_frames_add(&r->in, bench_frame(&r->world->pop, BENCH_POP_ACCESS, frame, n));
		end_burst_at(r, i + 1);
	}
	r->frame_bytes = nb_bytes / BENCH_BATCH_PKTS;
	r->nb_expected += BENCH_BATCH_PKTS;
	run_leg(r, &r->world->pop, BENCH_DNS, mode, BENCH_BATCH_PKTS);
	for (unsigned i = 0; i < r->out.nb; i++) {
		r->nb_seen++;
		r->nb_wrong += !bench_check_answer(r->world, r->out.m[i]);
	}
	bench_frames_free(&r->out);
}

void
bench_rounds_ask(struct bench_rounds *r, unsigned nb_repetitions)
{
	round_ask(r, MODE_SILENT);
	for (unsigned i = 0; i < nb_repetitions; i++)
		round_ask(r, MODE_TIMED);
	round_ask(r, MODE_TAPPED);
	for (unsigned i = 0; i < PROFILE_BATCHES; i++)
		round_ask(r, MODE_PROFILED);
	close_leg(&r->legs[BENCH_DNS]);
}

// ---- Reloads -----------------------------------------------------------------------------------

#define WALK_NS       (SL_NS_PER_MS / 20) // time that passes from walk to walk
#define RELOAD_ROUNDS 160u // two seconds: the sweep sees every flow with a reload, and after it
#define RELOAD_AT     16u

static void
longer(double *us, uint64_t ns)
{
	*us = (double)ns / 1e3 > *us ? (double)ns / 1e3 : *us;
}

// What one end says to the other beside the flows, heartbeats, comes along and is answered.
static void
round_kept(struct bench_rounds *r, double *pop_us, double *connector_us)
{
	struct bench_world *w = r->world;
	struct sl_clock *clock = &w->clock;

	fill_up(r, BENCH_BATCH_PKTS);
	longer(pop_us, bench_run_longest(&w->pop, &r->in, &r->out, clock, WALK_NS));
	carry(r, BENCH_POP_UNDERLAY, &w->connector, BENCH_HOST_UNDERLAY);
	longer(connector_us, bench_run_longest(&w->connector, &r->in, &r->out, clock, WALK_NS));
	carry(r, BENCH_HOST_UNDERLAY, &w->pop, BENCH_POP_UNDERLAY);
	check_at_host(r, &r->late);
	longer(pop_us, bench_run_longest(&w->pop, &r->in, &r->out, clock, 0));
	bench_frames_free(&r->out);
	fill_back(r, BENCH_BATCH_PKTS);
	longer(connector_us, bench_run_longest(&w->connector, &r->in, &r->out, clock, WALK_NS));
	carry(r, BENCH_HOST_UNDERLAY, &w->pop, BENCH_POP_UNDERLAY);
	longer(pop_us, bench_run_longest(&w->pop, &r->in, &r->out, clock, WALK_NS));
	carry(r, BENCH_POP_UNDERLAY, &w->connector, BENCH_HOST_UNDERLAY);
	check_at_client(r, &r->late);
	longer(connector_us, bench_run_longest(&w->connector, &r->in, &r->out, clock, 0));
	bench_frames_free(&r->out);
}

void
bench_rounds_reload(struct bench_rounds *r, struct bench_reload *result)
{
	memset(result, 0, sizeof(*result));
	for (unsigned run = 0; run < 2 * BENCH_RELOADS; run++) {
		unsigned with = run % 2;

		for (unsigned i = 0; i < RELOAD_ROUNDS; i++) {
			if (with && i == RELOAD_AT)
				bench_world_reload(r->world);
			round_kept(
				r, &result->pop[with][run / 2], &result->connector[with][run / 2]
			);
		}
	}
}

uint64_t
bench_rounds_faults(const struct bench_rounds *r)
{
	const char *why = "";
	uint64_t drops = bench_drops(&r->world->pop, &why) +
		bench_drops(&r->world->connector, &why);
	uint64_t lost = r->nb_expected - r->nb_seen;

	if (drops != 0)
		fprintf(stderr, "bench-path: %llu dropped, %s\n", (unsigned long long)drops, why);
	if (lost != 0)
		fprintf(stderr,
			"bench-path: %llu of %u lost\n",
			(unsigned long long)lost,
			r->nb_expected);
	if (r->nb_wrong != 0)
		fprintf(stderr, "bench-path: %u came out wrong\n", r->nb_wrong);
	return drops + lost + r->nb_wrong;
}
