// wireguard: thousands of WireGuard devices on the clients' port, each with an underlay address, keys,
// handshakes and timers of its own (the code of proto/), against a PoP in another process. They come
// up, send echo requests to a resolver and see them answered, and change their keys while they do.
#include "devices.h"

#include <rte_icmp.h>
#include <rte_ip.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ECHO_BYTES (sizeof(struct rte_ipv4_hdr) + sizeof(struct rte_icmp_hdr))
#define PATIENCE_S 120.0 // until all are up

// ---- Echoes --------------------------------------------------------------------------------------------------

static void
device_echo(struct device *d)
{
	uint8_t packet[1420] = { 0 };
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)packet;
	struct rte_icmp_hdr *icmp = (struct rte_icmp_hdr *)(ip + 1);
	uint32_t nb_bytes = RTE_MAX(all.l->o.frame_bytes, (unsigned)ECHO_BYTES);
	uint32_t i = (uint32_t)(d - all.list);

	nb_bytes = RTE_MIN(nb_bytes, (uint32_t)sizeof(packet));
	*ip = (struct rte_ipv4_hdr){ .version_ihl = RTE_IPV4_VHL_DEF,
				     .total_length = rte_cpu_to_be_16((uint16_t)nb_bytes),
				     .time_to_live = 64,
				     .next_proto_id = IPPROTO_ICMP,
				     .src_addr = rte_cpu_to_be_32(DEVICE_INNER_BASE + i),
				     .dst_addr = rte_cpu_to_be_32(LOAD_RESOLVER) };
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	icmp->icmp_type = RTE_IP_ICMP_ECHO_REQUEST;
	icmp->icmp_ident = RTE_BE16(7);
	icmp->icmp_seq_nb = rte_cpu_to_be_16(++d->seq);
	icmp->icmp_cksum = (uint16_t)~rte_raw_cksum(icmp, nb_bytes - sizeof(*ip));
	d->is_waiting = true;
	device_seal(d, packet, nb_bytes);
}

static void
take_echo(struct device *d, const uint8_t *packet, uint32_t nb_bytes)
{
	const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)packet;
	const struct rte_icmp_hdr *icmp = (const struct rte_icmp_hdr *)(ip + 1);
	struct load_trial *t = all.l->trial;

	if (nb_bytes == 0 || t == NULL)
		return;
	if (nb_bytes < ECHO_BYTES ||
	    ip->dst_addr != rte_cpu_to_be_32(DEVICE_INNER_BASE + (uint32_t)(d - all.list)) ||
	    ip->src_addr != rte_cpu_to_be_32(LOAD_RESOLVER) || icmp->icmp_type != 0)
		t->nb_wrong++;
	else if (d->is_waiting && icmp->icmp_seq_nb == rte_cpu_to_be_16(d->seq))
		t->nb_answered++;
	else
		t->nb_late++;
	d->is_waiting = false;
}

static void
take(struct rte_mbuf *m)
{
	struct load_udp u;
	uint32_t nb_bytes = 0;
	const uint8_t *packet;
	struct device *d;

	if (!load_udp_parse(m, &u) || u.from_port != DEVICE_PORT || u.payload_bytes < 16 ||
	    u.to < LOAD_CLIENT_BASE || u.to - LOAD_CLIENT_BASE >= all.nb) {
		rte_pktmbuf_free(m);
		return;
	}
	d = &all.list[u.to - LOAD_CLIENT_BASE];
	packet = device_take(d, &u, &nb_bytes);
	if (packet != NULL)
		take_echo(d, packet, nb_bytes);
	rte_pktmbuf_free(m);
}

static void
turn(void)
{
	struct load_port *p = &all.l->clients;
	struct rte_mbuf *m[LOAD_BURST];
	unsigned nb = load_port_poll(p, m);

	for (unsigned i = 0; i < nb; i++)
		if (!load_port_arp(p, m[i]))
			take(m[i]);
	devices_run();
	load_port_flush(p);
}

static double
seconds_since(uint64_t tsc)
{
	return (double)(__rdtsc() - tsc) / (double)all.l->hz;
}

// ---- Stages ----------------------------------------------------------------------------------------------------

static unsigned
nb_asking(void)
{
	unsigned nb = 0;

	for (unsigned i = 0; i < all.nb; i++)
		nb += all.list[i].asked_tsc != 0;
	return nb;
}

static uint64_t
came_back(const struct load_trial *t)
{
	return t->nb_answered + t->nb_wrong + t->nb_late;
}

// Every device shakes hands, with so many under way at a time; how long that took. With `t`, echoes go
// on meanwhile, as many unanswered at a time.
static double
shake_hands(struct load_trial *t)
{
	uint64_t began = __rdtsc(), target = all.nb_handshakes + all.nb;
	unsigned next = 0, under_way = 0;

	all.l->trial = t;
	while (all.nb_handshakes < target) {
		under_way = next - (unsigned)(all.nb - (target - all.nb_handshakes));
		for (; next < all.nb && under_way < all.l->o.window; under_way++)
			device_ask(&all.list[next++]);
		if (t != NULL && t->nb_sent - came_back(t) < all.l->o.window &&
		    !load_port_is_full(&all.l->clients)) {
			struct device *d = &all.list[sl_bench_random(&all.l->random) % all.nb];

			if (!d->is_waiting) {
				device_echo(d);
				t->nb_sent++;
			}
		}
		turn();
		if (seconds_since(began) > PATIENCE_S) {
			fprintf(stderr, "bench-load: %u devices have no session\n", nb_asking());
			exit(1);
		}
	}
	return seconds_since(began);
}

// Echoes of devices in random order, so many unanswered at a time.
static void
echo_all(struct load_trial *t)
{
	uint64_t began = __rdtsc(), last = began, seen = 0;

	all.l->trial = t;
	while (seconds_since(began) < t->seconds) {
		uint64_t back = came_back(t);

		if (back != seen)
			last = __rdtsc();
		seen = back;
		for (unsigned i = 0; i < LOAD_BURST && t->nb_sent - back < all.l->o.window &&
		     !load_port_is_full(&all.l->clients);
		     i++) {
			struct device *d = &all.list[sl_bench_random(&all.l->random) % all.nb];

			if (d->is_waiting)
				continue;
			device_echo(d);
			t->nb_sent++;
		}
		turn();
		if (seconds_since(last) > 1)
			break; // all that was under way is lost
	}
	t->took_s = seconds_since(began);
	while (seconds_since(began) < t->took_s + 0.5)
		turn();
}

static void
tell_handshakes(const char *what, double took_s, const struct load_trial *t)
{
	const struct load *l = all.l;

	printf("%-10s %u devices in %.2f s: %.0f handshakes/s, %llu initiations, %llu cookies; "
	       "ms: p50 %.1f p99 %.1f max %.1f",
	       what,
	       all.nb,
	       took_s,
	       all.nb / took_s,
	       (unsigned long long)all.nb_initiations,
	       (unsigned long long)all.nb_cookies,
	       (double)load_hist_at(&all.handshake, 0.5) * 1e3 / (double)l->hz,
	       (double)load_hist_at(&all.handshake, 0.99) * 1e3 / (double)l->hz,
	       (double)all.handshake.max * 1e3 / (double)l->hz);
	if (t != NULL)
		printf("; echoes %llu, lost %llu, wrong %llu",
		       (unsigned long long)t->nb_sent,
		       (unsigned long long)(t->nb_sent - t->nb_answered - t->nb_late),
		       (unsigned long long)t->nb_wrong);
	printf("\n");
	fflush(stdout);
	memset(&all.handshake, 0, sizeof(all.handshake));
	all.nb_initiations = all.nb_cookies = 0;
}

bool
load_wireguard(struct load *l)
{
	static struct load_trial during, after;
	uint64_t began = __rdtsc();
	double took_s;

	devices_create(l);
	while (!l->clients.knows_gateway && seconds_since(began) < 60) {
		load_port_ask_gateway(l, &l->clients);
		turn();
	}
	tell_handshakes("up", shake_hands(NULL), NULL);
	after.seconds = l->o.seconds;
	echo_all(&after);
	printf("%-10s %.0f sent/s %.0f answered/s, lost %llu, wrong %llu\n",
	       "echoes",
	       (double)after.nb_sent / after.took_s,
	       (double)after.nb_answered / after.took_s,
	       (unsigned long long)(after.nb_sent - after.nb_answered - after.nb_late),
	       (unsigned long long)after.nb_wrong);
	took_s = shake_hands(&during);
	began = __rdtsc();
	while (seconds_since(began) < 0.5)
		turn();
	tell_handshakes("rekey", took_s, &during);
	return after.nb_wrong == 0 && during.nb_wrong == 0;
}
