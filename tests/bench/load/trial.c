// trial: sends at a rate, or as fast as a window of unanswered packets allows, and takes what comes.
#include "load.h"

#include <rte_ip.h>
#include <rte_udp.h>

#include <stdio.h>
#include <stdlib.h>

#define DRAIN_S     0.2
#define PATIENCE_S  10.0
#define WRITE_OFF_S 0.05 // silence after which a full window is taken as lost

static void
take_clients(struct load *l)
{
	struct rte_mbuf *m[LOAD_BURST];
	unsigned nb = load_port_poll(&l->clients, m);
	struct load_udp u;

	for (unsigned i = 0; i < nb; i++) {
		if (load_port_arp(&l->clients, m[i]))
			continue;
		if (!load_udp_parse(m[i], &u))
			l->trial->nb_wrong++;
		else if (u.from_port == 53)
			load_ask_take(l, &u);
		else
			load_talk_take(l, &u);
		rte_pktmbuf_free(m[i]);
	}
}

static void
swap(struct rte_mbuf *m, const struct load_port *p)
{
	struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(eth + 1);
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(ip + 1);

	RTE_SWAP(ip->src_addr, ip->dst_addr);
	RTE_SWAP(udp->src_port, udp->dst_port);
	eth->dst_addr = eth->src_addr;
	eth->src_addr = p->mac;
}

static void
serve(struct load *l, struct rte_mbuf *m)
{
	struct load_udp u;
	uint8_t message[512];
	struct load_udp answer;

	if (!load_udp_parse(m, &u)) {
		l->trial->nb_wrong++;
	} else if (u.to == LOAD_PRIVATE_DNS && u.to_port == 53 && u.payload_bytes <= 256) {
		rte_memcpy(message, u.payload, u.payload_bytes);
		answer = (struct load_udp){ u.to, u.from, 53, u.from_port, message, 0 };
		answer.payload_bytes = load_ask_serve(l, message, u.payload_bytes, sizeof(message));
		rte_pktmbuf_free(m);
		m = answer.payload_bytes == 0 ? NULL : load_udp_make(l, &l->lan, &answer);
		if (m != NULL)
			load_port_send(&l->lan, m);
		return;
	} else if (load_talk_serve(l, &u)) {
		swap(m, &l->lan);
		load_port_send(&l->lan, m);
		return;
	} else {
		l->trial->nb_wrong++;
	}
	rte_pktmbuf_free(m);
}

static void
take_lan(struct load *l)
{
	struct rte_mbuf *m[LOAD_BURST];
	unsigned nb = load_port_poll(&l->lan, m);

	for (unsigned i = 0; i < nb; i++)
		if (!load_port_arp(&l->lan, m[i]))
			serve(l, m[i]);
}

static void
take_all(struct load *l)
{
	take_clients(l);
	if (l->lan.is_there)
		take_lan(l);
	load_port_flush(&l->clients);
	if (l->lan.is_there)
		load_port_flush(&l->lan);
}

static void
take_for(struct load *l, double seconds)
{
	uint64_t end = __rdtsc() + (uint64_t)(seconds * (double)l->hz);

	while (__rdtsc() < end)
		take_all(l);
}

static struct rte_mbuf *
next(struct load *l)
{
	switch (l->o.what) {
	case LOAD_DNS:
		return load_ask_next(l);
	case LOAD_FLOWS:
		return load_talk_next(l);
	case LOAD_NEW:
		return load_talk_new(l);
	case LOAD_WIREGUARD:
		break;
	case LOAD_BOTH:
		return (l->nb_made + l->at) % 8 == 0 ? load_ask_next(l) : load_talk_next(l);
	}
	return NULL;
}

static uint64_t
came_back(const struct load_trial *t)
{
	return t->nb_answered + t->nb_refused + t->nb_wrong;
}

// How many packets may be sent now.
static unsigned
due(const struct load *l,
    const struct load_trial *t,
    uint64_t began,
    uint64_t now,
    uint64_t written_off)
{
	double want;
	uint64_t waiting = t->nb_sent - came_back(t) - written_off;

	if (load_port_is_full(&l->clients))
		return 0;
	if (t->rate_pps == 0)
		return waiting >= l->o.window
			? 0
			: RTE_MIN(LOAD_BURST, (unsigned)(l->o.window - waiting));
	want = (double)(now - began) / (double)l->hz * t->rate_pps - (double)t->nb_sent;
	return want < 1 ? 0 : want > LOAD_BURST ? LOAD_BURST : (unsigned)want;
}

void
load_run(struct load *l, struct load_trial *t)
{
	uint64_t began, now, end, last_answer, seen = 0, written_off = 0;

	l->trial = t;
	l->trial_id++;
	began = last_answer = now = __rdtsc();
	end = began + (uint64_t)(t->seconds * (double)l->hz);
	for (; now < end; now = __rdtsc()) {
		unsigned nb = due(l, t, began, now, written_off);

		for (unsigned i = 0; i < nb; i++) {
			struct rte_mbuf *m = next(l);

			if (m == NULL || !load_port_send(&l->clients, m))
				break;
			t->nb_sent++;
		}
		take_all(l);
		if (came_back(t) != seen || t->rate_pps != 0) {
			seen = came_back(t);
			last_answer = now;
		} else if ((double)(now - last_answer) > WRITE_OFF_S * (double)l->hz) {
			written_off = t->nb_sent - seen;
			last_answer = now;
		}
	}
	t->took_s = (double)(now - began) / (double)l->hz;
	take_for(l, DRAIN_S);
}

static void
find_gateway(struct load *l, struct load_port *p, const char *who)
{
	uint64_t end = __rdtsc() + (uint64_t)(PATIENCE_S * (double)l->hz);

	while (p->is_there && !p->knows_gateway) {
		load_port_ask_gateway(l, p);
		take_for(l, 0.05);
		if (__rdtsc() > end) {
			fprintf(stderr, "bench-load: the %s does not answer ARP\n", who);
			exit(1);
		}
	}
}

void
load_learn(struct load *l)
{
	static struct load_trial t;
	uint32_t known = 0;

	l->trial = &t;
	find_gateway(l, &l->clients, "PoP");
	find_gateway(l, &l->lan, "connector");
	for (unsigned round = 0; known < l->o.nb_names; round++) {
		if (round == 50) {
			fprintf(stderr,
				"bench-load: %u of %u names have an address\n",
				known,
				l->o.nb_names);
			exit(1);
		}
		for (uint32_t n = 0; n < l->o.nb_names; n++) {
			struct rte_mbuf *m;

			if (l->addresses[n] != 0)
				continue;
			m = load_ask_make(l, n % l->o.nb_clients, n);
			if (m != NULL)
				load_port_send(&l->clients, m);
			if (n % LOAD_BURST == 0)
				take_for(l, 50e-6);
		}
		take_for(l, 0.05);
		known = 0;
		for (uint32_t n = 0; n < l->o.nb_names; n++)
			known += l->addresses[n] != 0;
	}
}

void
load_open(struct load *l)
{
	static struct load_trial t;
	uint32_t open = 0;

	l->trial = &t;
	l->trial_id++;
	for (unsigned round = 0; open < l->o.nb_flows; round++) {
		if (round == 40) {
			fprintf(stderr,
				"bench-load: %u of %u flows have been answered\n",
				open,
				l->o.nb_flows);
			exit(1);
		}
		for (uint32_t i = 0; i < l->o.nb_flows; i++) {
			struct rte_mbuf *m;

			if (l->flows[l->order[l->at]].seen != 0) {
				l->at = l->at + 1 == l->nb_order ? 0 : l->at + 1;
				continue;
			}
			m = load_talk_next(l);
			if (m != NULL)
				load_port_send(&l->clients, m);
			if (i % 8 == 0)
				take_for(l, 100e-6);
		}
		take_for(l, 0.2);
		open = 0;
		for (uint32_t f = 0; f < l->o.nb_flows; f++)
			open += l->flows[f].seen != 0;
	}
}
