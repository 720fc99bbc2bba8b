// Handshakes of WireGuard clients wait in two queues, so that a flood delays neither packets nor good
// clients. What does not know our public key (mac1) goes no further than a hash. Then come first:
// senders who have shown by mac2 that they receive where they send from, senders at an address where
// a client was last heard, and answers to what we asked. All others wait behind them, and when many
// wait they get a cookie instead.
#include "clients.h"

#include <sluice/dp/hash.h>
#include <sluice/dp/ip4.h>

#define BUSY_MESSAGES 64u // more than these waiting: cookies
#define SOURCE_RATE   20u // handshakes a second and address while busy, as in WireGuard
#define SOURCE_BURST  5u

const uint8_t *
clients_message(struct rte_mbuf *m, size_t *nb_bytes, uint8_t source[SL_COOKIE_ADDRESS_BYTES])
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	size_t at = sl_meta(m)->l4_offset + sizeof(struct rte_udp_hdr);
	const struct rte_udp_hdr *udp = rte_pktmbuf_mtod_offset(
		m, const struct rte_udp_hdr *, sl_meta(m)->l4_offset
	);

	sl_ip4_map(source, ip->src_addr);
	memcpy(source + 16, &udp->src_port, 2);
	*nb_bytes = rte_pktmbuf_data_len(m) > at ? rte_pktmbuf_data_len(m) - at : 0;
	return rte_pktmbuf_mtod_offset(m, const uint8_t *, at);
}

static void
put(struct sl_service *s, struct queue *q, struct rte_mbuf *m, enum sl_peer_load load)
{
	if (q->nb == QUEUE_MESSAGES) {
		s->stats.nb_handshakes_full++;
		rte_pktmbuf_free(m);
		return;
	}
	q->messages[(q->head + q->nb++) % QUEUE_MESSAGES] = (struct queued){ m, load };
}

// One address has only so many handshakes a second while others wait.
static bool
is_too_many(struct sl_service *s, rte_be32_t ip)
{
	const struct sl_hash_key *key = sl_dp_worker(s->dp, 0)->owner_key;
	struct source *source = &s->clients->sources[sl_hash(key, &ip, sizeof(ip)) % SOURCES];

	if (source->ip != ip)
		*source = (struct source){ .ip = ip };
	return !sl_bucket_take(&source->bucket, SOURCE_RATE, SOURCE_BURST, 1, s->now_ns);
}

static void
drop(struct sl_service *s, struct rte_mbuf *m)
{
	s->stats.nb_handshakes_bad++;
	rte_pktmbuf_free(m);
}

void
clients_enqueue(struct sl_service *s, struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	const struct rte_udp_hdr *udp = rte_pktmbuf_mtod_offset(
		m, const struct rte_udp_hdr *, sl_meta(m)->l4_offset
	);
	struct clients *c = s->clients;
	bool is_busy = s->is_busy || c->rest.nb + c->urgent.nb > BUSY_MESSAGES;
	uint8_t source[SL_COOKIE_ADDRESS_BYTES];
	enum sl_cookie_verdict verdict;
	const uint8_t *message;
	size_t nb_bytes;

	s->stats.nb_handshakes++;
	message = clients_message(m, &nb_bytes, source);
	if (nb_bytes == 0) {
		drop(s, m);
		return;
	}
	// A cookie reply has no MACs; it is cheap to find out that it is none.
	if (message[0] == SL_WG_COOKIE_REPLY) {
		put(s, &c->urgent, m, SL_PEER_CALM);
		return;
	}
	verdict = sl_cookie_check(&c->local.checker, message, nb_bytes, source, s->now_ns);
	if (verdict == SL_COOKIE_INVALID)
		drop(s, m);
	else if (!is_busy)
		put(s, &c->rest, m, SL_PEER_CALM);
	else if (verdict == SL_COOKIE_MAC2_VALID && is_too_many(s, ip->src_addr))
		drop(s, m);
	else if (verdict == SL_COOKIE_MAC2_VALID)
		put(s, &c->urgent, m, SL_PEER_UNDER_LOAD);
	else if (client_by_remote(s, (struct address){ ip->src_addr, udp->src_port }) != NULL && !is_too_many(s, ip->src_addr))
		put(s, &c->urgent, m, SL_PEER_CALM);
	else
		put(s, &c->rest, m, SL_PEER_UNDER_LOAD);
}

struct rte_mbuf *
clients_dequeue(struct clients *c, enum sl_peer_load *load)
{
	struct queue *q = c->urgent.nb != 0 ? &c->urgent : &c->rest;
	struct queued *first = &q->messages[q->head];

	if (q->nb == 0)
		return NULL;
	q->head = (q->head + 1) % QUEUE_MESSAGES;
	q->nb--;
	*load = first->load;
	return first->mbuf;
}

void
clients_queues_free(struct clients *c)
{
	enum sl_peer_load load;
	struct rte_mbuf *m;

	while ((m = clients_dequeue(c, &load)) != NULL)
		rte_pktmbuf_free(m);
}
