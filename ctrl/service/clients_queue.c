// Handshakes of WireGuard clients wait in queues, so that a flood delays neither packets nor good
// clients. What does not know our public key (mac1) goes no further than a hash. Then come first
// senders who have shown by mac2 that they receive where they send from, behind them senders at an
// address where a client was last heard, and last all others. When many wait, who has shown nothing
// waits no longer: it gets a cookie at once, which costs no more than the look at it.
#include "clients.h"

#include <sluice/dp/hash.h>
#include <sluice/dp/ip4.h>
#include <sluice/proto/bytes.h>

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
put(struct sl_service *s, enum clients_rank rank, struct rte_mbuf *m, enum sl_peer_load load)
{
	struct queue *q = &s->clients->queues[rank];

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

// A cookie reply has no mac1. The index of a question of ours takes its place: it is hard to guess.
static bool
is_cookie_asked_for(struct sl_service *s, const uint8_t *message, size_t nb_bytes)
{
	const struct sl_peer_local *local = &s->clients->local;

	return nb_bytes == SL_COOKIE_REPLY_BYTES &&
		local->by_index(local->context, sl_get32le(message + 4)) != NULL;
}

static bool
is_busy(const struct sl_service *s)
{
	unsigned nb = 0;

	for (unsigned rank = 0; rank < CLIENTS_RANKS; rank++)
		nb += s->clients->queues[rank].nb;
	return s->is_busy || nb > BUSY_MESSAGES;
}

void
clients_enqueue(struct sl_service *s, struct rte_mbuf *m)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, const struct rte_ipv4_hdr *);
	const struct rte_udp_hdr *udp = rte_pktmbuf_mtod_offset(
		m, const struct rte_udp_hdr *, sl_meta(m)->l4_offset
	);
	struct address from = { ip->src_addr, udp->src_port };
	uint8_t source[SL_COOKIE_ADDRESS_BYTES];
	enum sl_cookie_verdict verdict;
	const uint8_t *message;
	size_t nb_bytes;

	s->stats.nb_handshakes++;
	message = clients_message(m, &nb_bytes, source);
	if (nb_bytes != 0 && message[0] == SL_WG_COOKIE_REPLY) {
		if (is_cookie_asked_for(s, message, nb_bytes))
			put(s, CLIENTS_KNOWN, m, SL_PEER_CALM);
		else
			drop(s, m);
		return;
	}
	verdict = sl_cookie_check(&s->clients->local.checker, message, nb_bytes, source, s->now_ns);
	if (verdict == SL_COOKIE_INVALID)
		drop(s, m);
	else if (!is_busy(s))
		put(s, CLIENTS_REST, m, SL_PEER_CALM);
	else if (verdict == SL_COOKIE_MAC2_VALID && is_too_many(s, ip->src_addr))
		drop(s, m);
	else if (verdict == SL_COOKIE_MAC2_VALID)
		put(s, CLIENTS_PROVED, m, SL_PEER_UNDER_LOAD);
	else if (client_by_remote(s, from) != NULL && !is_too_many(s, ip->src_addr))
		put(s, CLIENTS_KNOWN, m, SL_PEER_CALM);
	else
		client_handshake(s, m, SL_PEER_UNDER_LOAD);
}

struct rte_mbuf *
clients_dequeue(struct clients *c, enum sl_peer_load *load)
{
	unsigned rank = 0;
	struct queued *first;
	struct queue *q;

	while (rank < CLIENTS_RANKS && c->queues[rank].nb == 0)
		rank++;
	if (rank == CLIENTS_RANKS)
		return NULL;
	q = &c->queues[rank];
	first = &q->messages[q->head];
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
