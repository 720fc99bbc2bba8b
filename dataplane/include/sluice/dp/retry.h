// retry: names with several addresses. The answers of the private DNS are a pool: a host that refuses,
// cannot be reached or stays silent is avoided for a while, and a flow that nobody has answered yet
// moves on to the next address of the pool its first packet was resolved to. A flow that was answered
// stays where it is.
//
// TCP: a RST or an ICMP unreachable that answers the SYN sends the same SYN to the next address at
// once; silence lets the client's next SYN go there. UDP: an ICMP unreachable before any answer lets
// the next datagram go there; silence means nothing, since there are datagrams that nobody answers.
// When all addresses of the pool have been tried, what the last one says is passed on.
//
// Private to a worker; a flow of a name with one address has no part in it.
#pragma once

#include <rte_byteorder.h>

#include <sluice/dp/mail.h>
#include <sluice/dp/worker.h>
#include <stdbool.h>
#include <stdint.h>

#define SL_RETRY_FLOWS     2048u // beginning at one time, of names with several addresses
#define SL_RETRY_HOSTS     512u
#define SL_RETRY_AVOID_S   30u
#define SL_RETRY_TCP_BYTES 60u

// The private addresses of a name, in the order they are to be tried.
struct sl_pool {
	rte_be32_t addresses[SL_MAIL_ADDRESSES];
	uint8_t nb;
};

struct sl_retry_flow {
	uint32_t flow; // index
	uint8_t generation; // of its slot; 0: free
	uint8_t at; // which of the pool it is at; all before it failed
	uint8_t tcp_bytes; // of the SYN below; 0: not to be repeated
	uint8_t tos;
	struct sl_pool pool;
	uint8_t tcp[SL_RETRY_TCP_BYTES]; // header and options of its SYN
};

// A host's service that failed lately.
struct sl_retry_host {
	rte_be32_t address;
	rte_be16_t port; // 0 for a host that cannot be reached at all
	uint16_t protocol;
	uint32_t until_ds;
};

struct sl_retries {
	struct sl_retry_flow flows[SL_RETRY_FLOWS];
	struct sl_retry_host hosts[SL_RETRY_HOSTS];
	uint64_t nb_moved; // flows that went on to another address
};

// Take the addresses that failed lately to the end of the pool; the order stays otherwise.
void
sl_retry_order(const struct sl_worker *w, struct sl_pool *pool, uint8_t protocol, rte_be16_t port);
